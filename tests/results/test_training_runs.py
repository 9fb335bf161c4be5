"""What varies between training runs: measured where the truth is known, and added to an answer with one seed."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from braintune.core.study import Study
from braintune.results import claims, meta_analysis, prose, training_runs
from braintune.results.tables import ALL
from braintune.results.training_runs import Variation
from made_up_results import TASKS, made_up, of_several

LUCK = 0.1
BRAINS = "pereira2018-exp1", "alice2016"


def gathered(results, seeds):
    study = Study.make({"brains": list(BRAINS), "seeds": list(range(seeds))})
    return claims.gather(replace(results, study=study))


@pytest.fixture(scope="module")
def repeated():
    """Two brain data sets to which the same models were applied, with a known deviation of each training run."""
    each = [made_up(luck=LUCK, seeds=8, brain=brain, participants=n) for brain, n in zip(BRAINS, (6, 9), strict=True)]
    return gathered(of_several(*each), 8)


@pytest.fixture(scope="module")
def alone():
    """Other participants, with the models of one seed."""
    each = [made_up({(None, None): 0.3}, brain=brain, seed=k) for k, brain in enumerate(BRAINS)]
    return gathered(of_several(*each), 1)


def test_the_mean_over_runs_is_the_answer_of_each_data_set_and_of_all(repeated):
    combined = meta_analysis.overall(repeated, "decoding")
    found = training_runs.by_run(repeated, "decoding", combined.weights)
    assert list(found) == [*BRAINS, ALL] and {runs.shape for runs in found.values()} == {(len(TASKS), 8)}
    for brain, effect in meta_analysis.effects(repeated, "decoding", "best").items():
        assert found[brain].mean() == pytest.approx(effect.estimate)
    assert found[ALL].mean() == pytest.approx(combined.estimate)
    assert list(training_runs.by_run(repeated, "decoding", ())) == list(BRAINS), "nothing is combined"


def test_the_deviation_between_runs_is_that_of_the_difference_of_two_models(repeated):
    runs = training_runs.by_run(repeated, "decoding", (0.5, 0.5))[ALL]
    truth = LUCK * np.sqrt(2)  # one run of each method; the signal is that of the untuned model
    assert Variation.between(runs).deviation == pytest.approx(truth, rel=0.25)


@pytest.mark.parametrize("common", [0.0, 0.5])
def test_what_the_tasks_of_a_seed_have_in_common_is_not_divided_by_their_number(common):
    rng = np.random.default_rng(0)
    runs = np.sqrt(1 - common) * rng.standard_normal((6, 4000)) + np.sqrt(common) * rng.standard_normal(4000)
    found = Variation.between(runs)
    assert found.deviation == pytest.approx(1, abs=0.05) and found.shared == pytest.approx(common, abs=0.05)
    assert found.of_mean(6) == pytest.approx(runs.mean(0).var(ddof=1), abs=0.02)
    assert found.of_mean(1000) == pytest.approx(common, abs=0.05)


def test_independent_tasks_have_the_degrees_of_freedom_of_all_runs():
    apart = np.array([[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0]])
    assert (Variation.between(apart).shared, Variation.between(apart).degrees) == (0.0, 4)
    assert Variation.between(np.abs(apart)).degrees == 2, "only seeds are independent"
    assert Variation.between(apart[:1]).degrees == 2, "one task"


@pytest.mark.parametrize("n_sets", [2, 3, 4])
@pytest.mark.parametrize(("deviation", "common"), [(0.0, 0.0), (0.02, 0.0), (0.08, 0.0), (0.08, 0.3), (0.2, 0.3)])
def test_the_widened_interval_covers_the_truth(n_sets, deviation, common):
    """The whole way: five runs of three tasks, and an answer of other runs of seven tasks in a few data sets."""
    rng, covered = np.random.default_rng(1), []

    def runs_of(tasks, seeds):
        parts = np.sqrt(1 - common) * rng.standard_normal((tasks, seeds)) + np.sqrt(common) * rng.standard_normal(seeds)
        return deviation * parts

    for _ in range(1500):
        sets = runs_of(7, 1).mean() + 0.03 * rng.standard_normal(n_sets)
        error = float(stats.sem(sets))
        total, half = Variation.between(runs_of(3, 5)).widen(error, n_sets - 1, 7, 0.05)
        assert total >= error and half >= stats.t.ppf(0.975, n_sets - 1) * error
        covered.append(abs(sets.mean()) < half)
    assert np.mean(covered) > (0.92 if not common else 0.9), "a common part has few degrees of freedom"


def test_without_variation_the_interval_stays_as_it_is():
    nothing = Variation(0.0, 0.0, 12)
    assert nothing.widen(0.02, 2, 7, 0.05) == pytest.approx((0.02, 0.02 * stats.t.ppf(0.975, 2)))


def test_every_data_set_and_the_answer_of_all_are_widened(repeated, alone):
    found = training_runs.widened(repeated, alone, "decoding").set_index("brain")
    assert list(found.index) == [*BRAINS, ALL]
    combined = meta_analysis.overall(alone, "decoding")
    assert found.loc[ALL, ["estimate", "low", "high"]].tolist() == pytest.approx(
        [combined.estimate, combined.low, combined.high]
    )
    assert (found["all error"] > found["error"]).all() and (found["all low"] <= found["low"]).all()
    runs = training_runs.by_run(repeated, "decoding", combined.weights)
    for brain, row in found.iterrows():
        added = row["all error"] ** 2 - row["error"] ** 2
        assert added == pytest.approx(Variation.between(runs[brain]).of_mean(len(TASKS)))
    (first, *_) = training_runs.widened_in_words(repeated, alone).to_dict("records")
    assert first["direction"] == "decoding" and first["brain data"] == "8 readers of concept words"


def test_two_runs_are_shown_side_by_side(repeated, alone):
    table = training_runs.beside_in_words(alone, repeated)
    assert list(table) == ["direction", "brain data", "recorded run", "second run"] and len(table) == len(BRAINS) + 1
    assert table["brain data"].iloc[-1] == "combined"
    for column, ledger in (("recorded run", alone), ("second run", repeated)):
        words = prose.with_interval(meta_analysis.overall(ledger))
        assert table[column].iloc[-1] == words and table[column].nunique() > 1


def test_the_answers_that_favour_fine_tuning_are_counted(repeated):
    combined = meta_analysis.overall(repeated, "decoding")
    runs = training_runs.by_run(repeated, "decoding", combined.weights)
    counted = training_runs.signs(repeated, "decoding")
    below = sum(int((runs[brain] < 0).sum()) for brain in BRAINS)
    assert counted["tasks"] == f"{below} of {2 * 8 * len(TASKS)}" and below > 0
    assert counted["combined"] == f"{int((runs[ALL].mean(0) < 0).sum())} of 8"
    assert counted["data sets"].endswith(" of 16")
    assert set(training_runs.signs(repeated, "encoding").values()) == {"0 of 0"}, "left out of this run"


def test_other_data_sets_or_one_seed_widen_nothing(repeated, alone):
    nothing_decoded = [made_up(seeds=8, brain=brain, signal=s) for brain, s in zip(BRAINS, (0.1, 0.0), strict=True)]
    others = gathered(of_several(*nothing_decoded), 8)
    assert len([e for e in others.first("decoding") if not e.closed]) == 1
    for runs in (others, alone):
        assert training_runs.widened(runs, alone, "decoding").empty
    assert training_runs.widened_in_words(alone, alone).empty


def test_the_table_says_the_answer_of_each_seed(repeated):
    shown = training_runs.seeds_in_words(repeated)
    assert list(shown["direction"]) == ["decoding"] * 3
    assert shown["brain data"].iloc[-1] == "2 data sets combined"
    seeds = [name for name in shown if name.startswith("seed ")]
    assert seeds == [f"seed {k}" for k in range(8)]
    values = shown[seeds].map(lambda cell: float(cell.replace("−", "-").rstrip("%")))
    spread = shown["standard deviation"].str.rstrip("%").astype(float)
    np.testing.assert_allclose(values.std(axis=1), spread, atol=0.1)
    assert shown["all seeds"].str.match(r"[+−]\d+\.\d% \(").all()
