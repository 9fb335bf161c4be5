import re

import numpy as np
import pandas as pd
import pytest

from braintune.core.study import Study
from braintune.results import prose, tables


def table(methods=("untuned", "fine-tuned", "prompt-tuned"), brains=("simulated",), gain=0.05, seed=0):
    """A decoding table of six participants with a known gain of prompt-tuning, at layers 0 to 2."""
    random = np.random.default_rng(seed)
    rows = [
        {
            "brain": brain, "participant": participant, "region": region, "representation": f"{task}_{method}",
            "task": task, "method": method, "seed": 0, "layer": layer, "folds": folds, "fold": fold,
            "alpha": 1.0, "alpha_edge": fold == 0,
            "pairwise": 0.6 + gain * (method == "prompt-tuned") + 0.01 * layer + 0.002 * random.standard_normal(),
            "pairwise_strict": 0.2, "mse": 1.0, "rank": 0.3,
            "pairwise_same_group": 0.55 if brain == "simulated" else np.nan,
            "pairwise_different_group": 0.65 if brain == "simulated" else np.nan,
        }
        for brain in brains
        for participant in ("S01", "S02", "S03", "S04", "S05", "S06")
        for region in ("language", "visual")
        for method in methods
        for task in (("",) if method == "untuned" else ("ner", "wsd"))
        for layer in range(3)
        for folds in ("shuffled", "grouped")
        for fold in range(2)
    ]  # fmt: skip
    return pd.DataFrame(rows)


@pytest.mark.parametrize(("layer", "expected"), [(-1, 2), (0, 0), (1, 1), (-3, 0)])
def test_the_analysis_layer_counts_from_either_end(layer, expected):
    rows = tables.at_analysis_layer(table(), Study.make({"layer": layer}))
    assert set(rows["layer"]) == {expected}


def test_a_control_with_one_layer_keeps_it():
    control = table(methods=("untuned",)).query("layer == 0").assign(method="control", representation="length")
    rows = tables.at_analysis_layer(pd.concat([table(), control]), Study())
    assert set(rows.loc[rows["method"] == "control", "layer"]) == {0}
    assert set(rows.loc[rows["method"] != "control", "layer"]) == {2}


def test_scores_average_over_folds_and_nothing_else():
    full = table()
    at_layer = tables.scores(full, Study())
    one = full.query("layer == 2 and participant == 'S01' and region == 'visual' and folds == 'grouped'")
    one = one[one["representation"] == "ner_prompt-tuned"]
    found = at_layer.query("participant == 'S01' and region == 'visual' and folds == 'grouped'")
    found = found[found["representation"] == "ner_prompt-tuned"]
    assert found["pairwise"].item() == pytest.approx(one["pairwise"].mean())


def test_pairs_within_and_across_topics_are_told_apart():
    at_layer = tables.scores(table(brains=("simulated", "alice2016")), Study())
    shown = tables.by_group(at_layer)
    assert set(shown["brain"]) == {"simulated"}  # the story has no topics
    np.testing.assert_allclose(shown[["same topic", "different topic"]], [[0.55, 0.65]] * len(shown))
    assert "0.550 between sentences of the same topic, 0.650" in prose.group_answer(at_layer)
    story = at_layer[at_layer["brain"] == "alice2016"]
    assert tables.by_group(story).empty and "neither topics nor passages" in prose.group_answer(story)


def test_the_null_summary_counts_as_permutation_tests_do():
    at_layer = tables.scores(table(methods=("untuned",)), Study())
    keys = at_layer[["brain", "participant", "region", "folds"]].drop_duplicates()
    null = pd.concat([keys.assign(permutation=i, pairwise=0.5 + 0.0001 * i) for i in range(19)])
    summary = tables.null_summary(at_layer, null)
    assert len(summary) == 4
    assert summary["p"].tolist() == [1 / 20] * 4


def test_what_is_not_there_is_a_dash():
    table = pd.DataFrame(
        {"a": [None, "x"], "b": [np.nan, 0.5], "c": pd.array([1234, None], "Int64"), "d": [None, None]}
    )
    cells = re.findall("<td>(.*?)</td>", prose.show(table).data)
    assert cells == ["–", "–", "1,234", "–", "x", "0.500", "–", "–"]


def test_text_from_data_is_escaped():
    assert "<script>" not in prose.facts({"<script>": "<script>alert(1)</script>"}).data
    assert "<script>" not in prose.show(pd.DataFrame({"a": ["<script>"]})).data


def test_what_a_step_took_is_summed_over_its_jobs():
    seconds = {"tuning": [60.0, 120.0, 30.0], "rsa": [42.0], "figures": []}
    table = tables.cost_table(seconds).set_index("step")
    assert table.loc["tuning"].tolist() == [3, 3.5, 60.0] and "figures" not in table.index
    told = prose.cost_answers(seconds)
    assert told["took_tuning"] == "3.5 minutes (3 jobs)" and told["took_rsa"] == "0.7 minutes (1 job)"
    assert told["took_figures"] == "a time that was not recorded"


def test_the_distance_names_methods_and_prefixes_that_learned_nothing():
    rows = [("a", "fine-tuned", 0.5), ("b", "fine-tuned", 0.7), ("zero-prefix", "control", 0.98)]
    told = prose.distance_answer(pd.DataFrame(rows, columns=["representation", "method", "spearman"]))
    assert told.endswith("fine-tuned 0.600, a zero prefix 0.980.") and "prompt-tuned" not in told


class TestTuning:
    def runs(self, seeds=(0, 1)):
        rows = [
            {
                "task": task, "method": method, "seed": seed, "metric": "accuracy", "baseline": 0.5, "bag_of_words": 0.55,
                "score": 0.5 + 0.1 * (task == "ner") + 0.02 * seed * (task == "ner"), "parameters": 1000 * (1 + k),
                "n_trials": 2, "search_examples_seen": 400, "examples_seen": 1200, "examples_per_s": 20.4,
                "seconds": 9.6, "peak_memory_mb": 900.2, "learning_rate": 0.01 / (1 + k), "epochs": 4 - seed,
            }
            for task in ("wsd", "ner")
            for k, method in enumerate(("fine-tuned", "head-only"))
            for seed in seeds
        ]  # fmt: skip
        return pd.DataFrame(rows)

    def test_scores_stand_with_their_spread_over_seeds(self):
        table = tables.tuning_summary(self.runs())
        assert table["task"].tolist() == ["wsd", "ner"]
        assert list(table) == ["task", "metric", "trivial", "bag of words", "fine-tuned", "head-only"]
        assert table.loc[1, "head-only"] == "0.610 ± 0.014"
        assert tables.tuning_summary(self.runs(seeds=(0,))).loc[1, "fine-tuned"] == "0.600"

    def test_costs_are_means_by_method(self):
        table = tables.tuning_costs(self.runs()).set_index("method")
        assert table.loc["head-only"].to_dict() == {
            "trained parameters": 2000, "trials": 2, "examples seen in the search": 400,
            "examples seen in training": 1200, "examples per second": 20, "seconds": 10, "peak memory (MB)": 900,
        }  # fmt: skip
        without = self.runs().assign(search_examples_seen=0)
        assert tables.tuning_costs(without)["trials"].tolist() == [0, 0]

    def test_choices_name_every_recipe_once(self):
        table = tables.tuning_choices(self.runs()).set_index("task")
        assert table.loc["ner", "fine-tuned"] == "0.01, 4 epochs; 0.01, 3 epochs"

    def test_a_run_no_better_than_guessing_is_named_once(self):
        told = prose.tuning_warnings(self.runs())
        assert told.count("fine-tuned on wsd, head-only on wsd.") == 2
        assert (
            prose.tuning_warnings(self.runs().query("task == 'ner'"))
            == "Every run beats guessing. Every run beats a bag of words."
        )

    def test_trials_say_which_was_chosen(self):
        trials = [
            {"learning_rate": r, "epochs": e, "score": r + e, "examples_seen": 5, "seconds": 1.0}
            for r, e in ((0.1, 2), (0.2, 2))
        ]
        table = tables.tuning_trials({"trials": trials, "learning_rate": 0.2, "epochs": 2, "metric": "accuracy"})
        assert table["chosen"].tolist() == [False, True]
        assert "validation accuracy" in table
