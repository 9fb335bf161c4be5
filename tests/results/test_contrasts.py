"""Contrasts of scores against scipy and enumeration, and the power of a whole rule against simulation."""

import numpy as np
import pytest
from scipy import stats

from braintune.results import power
from braintune.results.contrasts import Contrast, ScoreCube
from made_up_results import TASKS, made_up


def of(values, null=()):
    return Contrast(values=np.asarray(values, dtype=float), null=np.asarray(null, dtype=float))


def test_over_participants_it_is_the_t_test_of_scipy():
    values = np.random.default_rng(0).normal(0.3, 1, (9, 1))
    found, test = of(values), stats.ttest_1samp(values[:, 0], 0.1, alternative="greater")
    assert found.above(0.1) == pytest.approx(test.pvalue)
    two_sided = stats.ttest_1samp(values[:, 0], 0).confidence_interval(0.95)
    assert found.interval(0.05) == pytest.approx(tuple(two_sided))


def test_the_permutation_p_value_counts_the_observed_order():
    found = of(np.full((3, 1), 1.0), null=[-2.0, 0.0, 0.5, 1.0])
    assert found.by_permutation() == 2 / 5 and found.by_permutation(-1) == 5 / 5
    assert found.permuted == 4 / 5 and of(np.zeros((3, 1)), null=[-1.0, 0.0, 1.0]).permuted == 1
    assert np.isnan([of([[1.0], [2.0]]).by_permutation(), of([[1.0], [2.0]]).permuted]).all()


def test_both_tests_must_show_it():
    sure = np.random.default_rng(0).normal(1, 0.1, (9, 1))
    assert of(sure, null=np.zeros(99)).shown() == 0.01
    assert of(sure, null=np.full(99, 2.0)).shown() == 1.0
    assert of(sure).shown() == of(sure).above(0), "labels were not permuted"
    assert np.isnan(of([[1.0]], null=np.zeros(99)).shown()), "one participant shows nothing"


def test_scores_are_read_from_tables_in_any_order():
    results = made_up(seeds=2, participants=3, permutations=5)
    scores, null = (t[t["readout"] == "best"] for t in (results.scores, results.null))
    whole = ScoreCube.read(scores, null)
    assert whole.observed.shape == whole.expected.shape == (2, 3, 1 + 6 + 24)
    assert whole.null.shape == (5, 2, 31) and whole.seeds == [0, 1]
    mixed = ScoreCube.read(scores, null.sample(frac=1, random_state=0))
    np.testing.assert_array_equal(whole.null, mixed.null)
    weights = whole.arm("prompt-tuned", TASKS) - whole.only("untuned")
    found = whole.contrast(weights, "visual")
    here = scores[scores["region"] == "visual"]
    arm = here[here["method"] == "prompt-tuned"].groupby(["participant", "seed"])["pairwise"].mean().unstack()
    plain = here[here["kind"] == "untuned"].set_index("participant")["pairwise"]
    drawn = null[(null["region"] == "visual") & (null["permutation"] >= 0)]
    named = drawn["representation"].str.contains("prompt-tuned")
    expected = arm.sub(plain, axis=0).to_numpy().mean() - (
        drawn.loc[named, "pairwise"].mean() - drawn.loc[drawn["representation"] == "untuned", "pairwise"].mean()
    )
    assert found.values.shape == (3, 2) and found.estimate == pytest.approx(expected)
    assert found.null.mean() == pytest.approx(0)


@pytest.mark.parametrize("name", ["nothing", "wsd_fine-tuned_seed-9"])
def test_what_is_missing_cannot_be_tested(name):
    results = made_up(permutations=2)
    cube = ScoreCube.read(*(t[t["readout"] == "best"] for t in (results.scores, results.null)))
    found = cube.contrast(cube.only("untuned") - cube.only(name), "language")
    assert np.isnan(found.shown()) and np.isnan(found.interval(0.05)).all()
    assert np.isnan(cube.arm("fine-tuned", ["no-task"])).all()


def test_the_power_of_the_rule_is_that_of_its_simulation():
    rng = np.random.default_rng(1)
    root = np.linalg.cholesky(0.01 * (0.5 + 0.5 * np.eye(4)))
    values = rng.standard_normal((10, 4)) @ root.T
    values = (values - values.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(values.T))).T @ root.T  # exactly so
    found = power.no_worse(values, 0.1, 0.05)
    drawn = rng.standard_normal((3000, 10, 4)) @ root.T
    for truth, name in ((0.0, "no difference"), (-0.1, "better by the margin")):
        p = stats.ttest_1samp(drawn + truth, -0.1, axis=1, alternative="greater").pvalue
        assert found[name] == pytest.approx((p < 0.05).all(1).mean(), abs=0.03)
    assert power.no_worse(values[:1], 0.1, 0.05) == {}
