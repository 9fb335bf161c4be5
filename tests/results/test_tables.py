"""Means, contrasts and summaries of made-up tables equal what was planted."""

import numpy as np
import pandas as pd
import pytest

from braintune.core.study import Study
from braintune.results import tables


def table(methods=("", "fine-tuned", "prompt-tuned"), brains=("simulated",), gain=0.05, seed=0):
    """A decoding table of six participants with a known gain of prompt-tuning, at layers 0 to 2."""
    rng = np.random.default_rng(seed)
    rows = [
        {
            "brain": brain, "participant": participant, "region": region, "representation": f"{task}_{method}" if method else "untuned",
            "kind": "tuned" if method else "untuned", "task": task, "method": method, "seed": 0, "layer": layer, "folds": folds, "fold": fold,
            "alpha": 1.0, "alpha_edge": fold == 0,
            "pairwise": 0.6 + gain * (method == "prompt-tuned") + 0.01 * layer + 0.002 * rng.standard_normal(),
            "pairwise_strict": 0.2, "mse": 1.0, "rank": 0.3, "fit": float(layer == 1 - fold),
            "pairwise_same_group": 0.55 if brain == "simulated" else np.nan,
            "pairwise_different_group": 0.65 if brain == "simulated" else np.nan,
        }
        for brain in brains
        for participant in ("S01", "S02", "S03", "S04", "S05", "S06")
        for region in ("language", "visual")
        for method in methods
        for task in (("ner", "wsd") if method else ("",))
        for layer in range(3)
        for folds in ("shuffled", "grouped")
        for fold in range(2)
    ]  # fmt: skip
    return pd.DataFrame(rows).assign(margin=lambda t: t["pairwise"] - 0.5)


@pytest.mark.parametrize(("layer", "expected"), [(-1, 2), (0, 0), (1, 1), (-3, 0)])
def test_the_analysis_layer_counts_from_either_end(layer, expected):
    rows = tables.at_analysis_layer(table(), Study.make({"layer": layer}))
    assert set(rows["layer"]) == {expected}


def test_a_control_with_one_layer_keeps_it_at_both_readouts():
    control = table(methods=("",)).query("layer == 0").assign(kind="control", representation="length")
    found = tables.scores(pd.concat([table(), control]), Study())
    layers = found.groupby(["kind", "readout"])["layer"].unique().map(list).to_dict()
    assert layers == {
        ("control", "analysis"): [0], ("control", "best"): [0], ("untuned", "analysis"): [2],
        ("untuned", "best"): [0.5], ("tuned", "analysis"): [2], ("tuned", "best"): [0.5],
    }  # fmt: skip


@pytest.mark.parametrize(("readout", "kept"), [("analysis", "layer == 2"), ("best", "layer == 1 - fold")])
def test_scores_average_over_folds_at_the_layer_read_out_and_nothing_else(readout, kept):
    full = table()
    found = tables.scores(full, Study()).query("readout == @readout")
    keys = tables.MEAN_OVER_FOLDS
    assert len(found) == len(full[keys].drop_duplicates()) and not found.duplicated(keys).any()
    expected = full.query(kept).groupby(keys)[["pairwise", "margin"]].mean()
    np.testing.assert_allclose(found.set_index(keys)[["pairwise", "margin"]].loc[expected.index], expected)


def test_the_first_readout_is_the_best_layer_where_there_is_one():
    found = tables.scores(table(), Study())
    assert set(tables.first_readout(found)["readout"]) == {"best"}
    assert set(tables.first_readout(found[found["readout"] == "analysis"])["readout"]) == {"analysis"}
    assert tables.first_readout(found[:0]).empty


def test_a_union_is_the_network_beside_its_own_regions():
    assert tables.is_union("language", ["language", "LIFG", "visual"])
    assert not tables.is_union("language", ["language", "DMN", "visual"])
    assert not tables.is_union("LIFG", ["language", "LIFG"])


def null_of(participants=3, permutations=4):
    """Scores with permuted labels, a table a participant."""
    rng = np.random.default_rng(0)
    rows = [
        ("simulated", f"S{p}", region, "grouped", name, readout, order, *rng.random(2))
        for p in range(participants)
        for region in ("language", "visual")
        for name in ("untuned", "length")
        for readout in tables.READOUTS
        for order in range(permutations)
    ]
    columns = ["brain", "participant", "region", "folds", "representation", "readout", "permutation"]
    whole = pd.DataFrame(rows, columns=[*columns, "pairwise", "margin"])
    return whole, [rows for _, rows in whole.groupby("participant")]


def test_permuted_labels_are_averaged_over_participants_and_over_permutations():
    whole, parts = null_of()
    found = tables.null_means(parts)
    keys, values = ["brain", "region", "folds", "representation", "readout"], ["pairwise", "margin"]
    assert len(found) == 2 * 2 * 2 * (4 + 3) and (found["participant"] == "").eq(found["permutation"] >= 0).all()
    for rows, unit in (
        (found[found["permutation"] >= 0], "permutation"),
        (found[found["permutation"] < 0], "participant"),
    ):
        expected = whole.groupby([*keys, unit])[values].mean()
        pd.testing.assert_frame_equal(rows.set_index([*keys, unit])[values].sort_index(), expected.sort_index())


@pytest.mark.parametrize("parts", [[], null_of(permutations=0)[1], [null_of()[0][:0]]])
def test_without_permutations_there_are_no_means(parts):
    found = tables.null_means(parts)
    assert tables.null_summary(tables.scores(table(), Study()), found).empty
    assert found.empty and {"region", "readout", "permutation", "participant", "margin"} <= set(found)


def test_pairs_within_and_across_topics_are_separated():
    at_layer = tables.scores(table(brains=("simulated", "alice2016")), Study())
    shown = tables.by_group(at_layer)
    assert set(shown["brain"]) == {"simulated"}  # the story has no topics
    np.testing.assert_allclose(shown[["same topic", "different topic"]], [[0.55, 0.65]] * len(shown))
    assert tables.by_group(at_layer[at_layer["brain"] == "alice2016"]).empty


def test_the_null_summary_counts_as_permutation_tests_do():
    found = tables.scores(table(methods=("",)), Study())
    null, high = null_of(permutations=19)[0], {"language": 0.0, "visual": 0.5}
    null["pairwise"] = 0.5 + 0.0001 * null["permutation"] + null["region"].map(high)
    summary = tables.null_summary(found, tables.null_means([rows for _, rows in null.groupby("participant")]))
    assert set(summary["folds"]) == {"grouped"}, "labels are permuted in the design that is judged"
    assert summary.set_index("region")["p"].to_dict() == {"language": 1 / 20, "visual": 1}
    here = tables.first_readout(found)
    expected = here[here["folds"] == "grouped"].groupby("region")["pairwise"].mean()
    assert summary.set_index("region")["observed"].to_dict() == pytest.approx(expected.to_dict())
    assert summary[["null mean", "null 95 %"]].to_numpy() == pytest.approx(
        np.array([[0.5009, 0.50171], [1.0009, 1.00171]])
    )


def test_the_contrast_is_the_mean_over_tasks_that_both_methods_have():
    rows = pd.DataFrame(
        [("S1", "ner", "fine-tuned", 0.6), ("S1", "ner", "prompt-tuned", 0.7), ("S1", "wsd", "fine-tuned", 0.1),
         ("S2", "ner", "fine-tuned", 0.5), ("S2", "ner", "prompt-tuned", 0.4),
         ("S2", "wsd", "fine-tuned", 0.5), ("S2", "wsd", "prompt-tuned", 0.8)],
        columns=["participant", "task", "method", "pairwise"],
    ).assign(region="language")  # fmt: skip
    found = tables.contrast(rows, ["region"]).loc["language"]
    assert found.to_dict() == pytest.approx({"S1": 0.1, "S2": 0.1})
    by_task = tables.contrast(rows, ["task"])
    assert by_task.loc["ner"].to_dict() == pytest.approx({"S1": 0.1, "S2": -0.1}) and np.isnan(by_task.loc["wsd", "S1"])
    assert tables.contrast(rows[rows["method"] == "fine-tuned"], ["region"]).empty


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

    def test_scores_have_their_spread_over_seeds(self):
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

    def test_trials_say_which_was_chosen(self):
        trials = [
            {"learning_rate": r, "epochs": e, "score": r + e, "examples_seen": 5, "seconds": 1.0}
            for r, e in ((0.1, 2), (0.2, 2))
        ]
        table = tables.tuning_trials({"trials": trials, "learning_rate": 0.2, "epochs": 2, "metric": "accuracy"})
        assert table["chosen"].tolist() == [False, True]
        assert "validation accuracy" in table


def test_what_a_step_took_is_summed_over_its_jobs():
    jobs = pd.DataFrame({"step": "tuning", "seconds": [60.0, 120.0, 30.0], "memory_mb": [800.0, 900.0, float("nan")]})
    assert tables.cost_table(jobs).set_index("step").loc["tuning"].tolist() == [3, 3.5, 60.0, 900.0]
