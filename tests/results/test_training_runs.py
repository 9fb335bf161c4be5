"""What varies between training runs: measured where the truth is known, and added to an answer with one seed."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from braintune.core.study import Study
from braintune.results import claims, meta_analysis, training_runs
from braintune.results.claims import Ledger
from braintune.results.statistics import Finding
from braintune.results.tables import ALL
from made_up_results import TASKS, made_up, of_several

LUCK = 0.1


def gathered(results):
    return Ledger((), tuple(claims.all_evidence(results)))


@pytest.fixture(scope="module")
def repeated():
    """Two brain data sets to which the same models were applied, with a known deviation of each training run."""
    each = [
        made_up(luck=LUCK, seeds=8, brain=brain, participants=n)
        for brain, n in (("pereira2018-exp1", 6), ("alice2016", 9))
    ]
    study = Study.make({"brains": ["pereira2018-exp1", "alice2016"], "seeds": list(range(8))})
    return gathered(replace(of_several(*each), study=study))


def test_the_mean_over_seeds_is_the_answer_and_the_mean_over_tasks_that_of_all_tasks(repeated):
    found = training_runs.by_seed(repeated, "decoding")
    assert set(found["brain"]) == {"pereira2018-exp1", "alice2016", ALL} and set(found["task"]) == {*TASKS, ALL}
    known = meta_analysis.effects(repeated, "decoding", "best")
    means = found[found["brain"] != ALL].pivot_table(index="brain", columns="task", values="difference")
    for brain, effect in known.items():
        assert means.loc[brain, ALL] == pytest.approx(effect.estimate)
        assert means.loc[brain, list(TASKS)].mean() == pytest.approx(effect.estimate)


def test_the_deviation_between_runs_is_that_of_the_difference_of_two_models(repeated):
    varied = training_runs.variation(repeated, "decoding")
    assert varied.degrees == len(TASKS) * 7
    low, high = varied.interval
    truth = LUCK * np.sqrt(2)  # one run of each method; the signal is that of the untuned model
    assert low < truth < high and varied.deviation == pytest.approx(truth, rel=0.25)


def test_one_seed_does_not_show_what_varies():
    results = of_several(*(made_up(brain=brain, seed=k) for k, brain in enumerate(("pereira2018-exp1", "alice2016"))))
    alone = gathered(replace(results, study=Study.make({"brains": ["pereira2018-exp1", "alice2016"]})))
    assert training_runs.variation(alone, "decoding") is None
    assert training_runs.widened_in_words(alone, alone).empty


@pytest.mark.parametrize(("deviation", "least"), [(0.0, 0.9), (0.02, 0.0), (0.2, 0.0)])
def test_the_widened_interval_covers_the_truth_whatever_varies(deviation, least):
    rng, n_sets, n_tasks, degrees, covered, plain = np.random.default_rng(1), 4, 7, 12, [], []
    for _ in range(1000):
        runs = deviation / np.sqrt(n_tasks) * rng.standard_normal()  # the same for all data sets
        sets = runs + 0.03 * rng.standard_normal(n_sets)
        low, high = stats.t.interval(0.95, n_sets - 1, sets.mean(), stats.sem(sets))
        found = Finding(estimate=sets.mean(), low=low, high=high, n=n_sets, sentence="")
        measured = deviation * np.sqrt(rng.chisquare(degrees) / degrees)
        wide = training_runs.Variation(measured, degrees, 0.05).widen(found, n_tasks)
        covered.append(wide[0] < 0 < wide[1])
        plain.append(low < 0 < high)
    assert np.mean(covered) > 0.93
    assert least <= np.mean(plain) <= (0.98 if deviation < 0.2 else 0.6)


def test_without_variation_the_interval_stays_and_without_an_answer_there_is_none():
    found = Finding(estimate=0.1, low=0.05, high=0.15, n=3, sentence="")
    assert training_runs.Variation(0.0, 12, 0.05).widen(found, 7) == pytest.approx((0.05, 0.15))
    of_two = replace(found, n=2)  # one degree of freedom; with those of the runs, the interval would be narrower
    assert training_runs.Variation(0.01, 12, 0.05).widen(of_two, 7) == pytest.approx((0.05, 0.15))
    nothing = Finding(estimate=None, n=0, sentence="")
    assert np.isnan(training_runs.Variation(0.1, 12, 0.05).widen(nothing, 7)).all()


def test_the_tables_say_each_seed_and_both_intervals(repeated):
    shown = training_runs.seeds_in_words(repeated)
    assert list(shown["direction"]) == ["decoding"] * 3
    assert shown["brain data"].iloc[-1] == "2 data sets combined"
    seeds = [name for name in shown if name.startswith("seed ")]
    assert seeds == [f"seed {k}" for k in range(8)]
    values = shown[seeds].map(lambda cell: float(cell.replace("−", "-").rstrip("%")))
    spread = shown["standard deviation"].str.rstrip("%").astype(float)
    np.testing.assert_allclose(values.std(axis=1), spread, atol=0.1)
    assert shown["all seeds"].str.match(r"[+−]\d+\.\d% \(").all()
    (row,) = training_runs.widened_in_words(repeated, repeated).to_dict("records")
    assert row["direction"] == "decoding" and row["tasks of the answer"] == len(TASKS)
    ends = [
        [float(part.strip(" %)")) for part in row[name].replace("−", "-").split("(")[1].split("to")]
        for name in ("answer", "with the variation between runs")
    ]
    assert ends[1][0] < ends[0][0] < ends[0][1] < ends[1][1]
