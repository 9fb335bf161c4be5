"""Summaries of task sequences against numbers worked out by hand, representations after every stage, and the words."""

import re

import numpy as np
import pandas as pd
import pytest

from braintune.core.study import Representation, Study
from braintune.datasets.brains.registry import load_brain
from braintune.models.sequences import WAYS, sequences, task_orders
from braintune.neural.decoding import decode_participant
from braintune.results import stages, tables

#: Score on the task at a place (column) after a stage (row).
MATRIX = np.array([[0.8, np.nan, np.nan], [0.9, 0.6, np.nan], [0.5, 0.7, 0.4]])
ALONE = np.array([0.8, 0.5, 0.6])
SMALL = {"tasks": ["ner", "wsd", "nli"], "orders": 3, "seeds": [0, 1], "passages": 12, "topics": 4, "n_folds": 3,
         "sentences_per_passage": 3, "simulated_participants": 2, "voxels_per_region": 12, "n_alphas": 3,
         "permutations": 3}  # fmt: skip


def test_summaries_of_a_sequence_are_those_worked_out_by_hand():
    found = stages.summarise(MATRIX, ALONE)
    assert found == pytest.approx(
        {
            "average accuracy": (0.5 + 0.7 + 0.4) / 3,
            "forgetting": ((0.9 - 0.5) + (0.6 - 0.7)) / 2,  # the best of stages before the last, not that of learning
            "backward transfer": ((0.5 - 0.8) + (0.7 - 0.6)) / 2,
            "forward transfer": ((0.6 - 0.5) + (0.4 - 0.6)) / 2,
        }
    )


def test_two_tasks_are_enough():
    found = stages.summarise(np.array([[0.8, np.nan], [0.6, 0.5]]), np.array([0.8, 0.4]))
    assert found == pytest.approx(dict(zip(stages.MEASURES, (0.55, 0.2, -0.2, 0.1), strict=True)))


def stage_table(study, noise=0.0):
    """What `continual.stage_table` returns if every sequence has the matrix, fine-tuned with more forgetting."""
    rng, rows = np.random.default_rng(0), []
    for way in WAYS:
        for order, tasks in enumerate(task_orders(study), start=1):
            for seed in study.seeds:
                for (stage, position), gain in np.ndenumerate(MATRIX):
                    if position <= stage:
                        kept = MATRIX[position, position] if WAYS[way].keeps else gain
                        lost = 0.2 * (way == "fine-tuned") * (stage > position)
                        value = 0.2 + 0.8 * (kept - lost + noise * rng.normal())  # the baseline is 0.2
                        rows.append((way, order, seed, stage, position, tasks[position], value, 0.2, 0.3))
    names = ["way", "order", "seed", "stage", "position", "task", "score", "baseline", "bag_of_words"]
    table = pd.DataFrame(rows, columns=names)
    return table.assign(alone=0.2 + 0.8 * ALONE[table["position"]])


def test_scores_run_from_the_baseline_to_perfect_and_matrices_are_means_over_sequences():
    rows = stages.gains(stage_table(Study.make(SMALL)))
    one = rows[rows["way"] == "one prefix"]
    np.testing.assert_allclose(stages.score_matrix(one), MATRIX)
    assert one.groupby("position")["alone_gain"].first().to_numpy() == pytest.approx(ALONE)


def test_ways_are_summarised_and_compared_sequence_by_sequence():
    study = Study.make(SMALL)
    summary = stages.summaries(stages.gains(stage_table(study)))
    assert len(summary) == 3 * 3 * 2
    found = stages.estimates(summary, ["way"], stages.MEASURES).set_index(["way", "measure"])
    assert found.loc[("one prefix", "forgetting"), "estimate"] == pytest.approx(0.15)
    assert found.loc[("one prefix per task", "forgetting"), "estimate"] == pytest.approx(0)
    assert found.loc[("one prefix per task", "forward transfer"), "estimate"] == pytest.approx(-0.05)
    assert (found["n"] == 6).all() and found["low"].isna().all(), "nothing varies, so there is no interval"
    difference = stages.carried_minus_tuned(summary).set_index("measure")["estimate"]
    assert difference["forgetting"] == pytest.approx(-0.15)  # 0.1 and 0.2 more are lost of the two tasks
    assert stages.carried_minus_tuned(summary[summary["way"] != "fine-tuned"]).empty


def test_an_interval_covers_orders_and_seeds():
    rng = np.random.default_rng(1)
    covered = []
    for _ in range(300):
        values = rng.normal(size=(4, 1)) + 0.5 * rng.normal(size=(1, 2)) + 0.5 * rng.normal(size=(4, 2))
        order, seed = (i.ravel() for i in np.indices(values.shape))
        rows = pd.DataFrame({"way": "x", "order": order, "seed": seed, "m": values.ravel()})
        (row,) = stages.estimates(rows, ["way"], ["m"]).itertuples()
        covered.append(row.low <= 0 <= row.high)
    assert 0.88 <= np.mean(covered) <= 1


@pytest.fixture(scope="module")
def scored():
    """A study, made-up embeddings of its stages, and their scores; prompt-tuned ones stay near the untuned one."""
    study = Study.make(SMALL)
    brain, rng = load_brain(study, "simulated"), np.random.default_rng(0)
    shape = (2, len(brain.stimuli.names), 8)
    untuned = rng.normal(size=shape)
    embeddings = {Representation("untuned", "untuned"): untuned}
    for one in sequences(study):
        for stage, task in enumerate(one.tasks):
            away = (0.1 if one.method == "prompt-tuned" else 0.5) * (1 + stage)
            made = Representation(one.stage_name(stage), "tuned", one.method, task, one.seed)
            embeddings[made] = untuned + away * rng.normal(size=shape)
    return study, brain, embeddings, stages.brain_scores(study, brain, embeddings)


def test_stages_are_scored_beside_the_untuned_model(scored):
    study, brain, embeddings, table = scored
    assert len(table) == 3 * 2 * 2 * 3 and table[list(stages.OF_REPRESENTATION)].notna().all(axis=None)
    close = table.groupby(["method", "stage"])["closeness"].mean()
    assert (close["prompt-tuned"] > close["fine-tuned"]).all() and close["fine-tuned"].is_monotonic_decreasing
    few = {one: embeddings[one] for one in list(embeddings)[:2]}
    decoded = pd.concat(decode_participant(study, brain, name, few)[0] for name in brain.participants)
    rows = tables.judged(tables.first_readout(tables.scores(decoded, study)))
    means = rows.groupby("representation", sort=False)["pairwise"].mean()
    first = table.set_index("representation").loc[means.index[1]]
    assert first["pairwise"] == pytest.approx(means.iloc[1] - means.iloc[0], abs=1e-6)
    assert first["untuned pairwise"] == pytest.approx(means["untuned"], abs=1e-6)


def test_what_the_sequences_leave_is_shown_by_brain_and_measure_with_the_paired_difference(scored):
    *_, table = scored
    shown = stages.after_the_last(table).set_index("measure")
    assert list(shown.index) == list(stages.OF_REPRESENTATION.values())
    assert set(shown["brain data"]) == {"Simulated participants, language"}
    last = table[table["stage"] == table["stage"].max()].groupby("method")["closeness"].mean()
    close = shown.loc[stages.OF_REPRESENTATION["closeness"]]
    assert close["untuned"] == "1" and close["fine-tuned"].startswith(f"{last['fine-tuned']:.3f}")
    difference = last["prompt-tuned"] - last["fine-tuned"]
    assert close["prompt-tuned minus fine-tuned"].startswith(f"{difference:+.3f}")
    alone = table.drop(columns=["correlation", "untuned correlation"])
    assert len(stages.after_the_last(alone)) == 2, "a run without encoding"


def test_the_answer_says_what_is_settled_and_what_it_cannot_say(scored):
    study, *_ = scored
    said = " ".join(stages.about_tasks(stages.gains(stage_table(study, noise=0.01))))
    assert re.search(r"prefix further leads to less forgetting than fine-tuning, by −0\.1[456] \(−", said)
    assert re.search(r"one prefix 0\.5\d \(0\.5\d to 0\.5\d\)", said), "an average has no sign"
    assert "Starting from the prefix left by the previous task hurts" in said
    limits = stages.limits(study)
    assert "encoders other than all-MiniLM-L6-v2" in limits and "3 orders and 2 seeds used here" in limits
    assert "Not above" not in said and "over the 3 tasks that were learned" in said
    uncertain = stages.gains(stage_table(study, noise=2))
    assert "It remains open whether" in " ".join(stages.about_tasks(uncertain))


def test_tasks_that_were_not_learned_alone_are_named_and_do_not_count(scored):
    study, *_ = scored
    first, *others = study.tasks
    scores = stage_table(study)
    poor = scores["task"] == first
    below = scores.assign(
        alone=scores["alone"].mask(poor & (scores["way"] == "fine-tuned"), 0.25)
    )  # the words have 0.3
    rows = stages.gains(below)
    assert stages.not_learned(rows) == f"fine-tuned on {first}" and set(rows.loc[rows["learned"], "task"]) == {*others}
    (one,) = stages.summaries(
        rows[(rows["way"] == "one prefix") & (rows["order"] == 1) & (rows["seed"] == 0)]
    ).itertuples()
    place = rows.loc[(rows["task"] == first) & (rows["order"] == 1), "position"].iloc[0]
    assert one[4] == pytest.approx(np.delete(MATRIX[-1], place).mean()), "the average accuracy without that task"
    said = " ".join(stages.about_tasks(rows))
    assert (
        f"bag of words even when learned alone: fine-tuned on {first}." in said
        and "over the 2 tasks that were learned" in said
    )
    none = " ".join(stages.about_tasks(stages.gains(scores.assign(alone=0.25))))
    assert "Fewer than two tasks were learned" in none and "Mean drop" not in none


def test_figures_show_every_way_and_method(scored):
    study, *_, table = scored
    rows = stages.gains(stage_table(study))
    matrices = stages.matrices(rows)
    assert [axes.get_title(loc="left") for axes in matrices.axes] == list(WAYS)
    assert [text.get_text() for text in matrices.axes[1].texts] == ["0.80", "0.90", "0.60", "0.50", "0.70", "0.40"]
    found = stages.estimates(stages.summaries(rows), ["way"], stages.MEASURES)
    figure = stages.transfer(found)
    shown = [axes.get_title(loc="left") for axes in figure.axes]
    assert shown == ["average accuracy", "forgetting", "forward transfer"]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == list(WAYS)
    by_stage = stages.estimates(table, ["brain", "method", "stage"], list(stages.OF_REPRESENTATION))
    figure = stages.by_stage(by_stage)
    assert len(figure.axes) == 3 and len(figure.axes[0].containers) == 2
