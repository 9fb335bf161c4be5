"""Tests, intervals and models against scipy, statsmodels and enumeration; what cannot be tested says so."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats as scipy_stats
from statsmodels.stats.multitest import multipletests

from braintune.results import statistics

A = np.array([0.71, 0.68, 0.74, 0.66, 0.70])
B = np.array([0.69, 0.67, 0.70, 0.67, 0.68])


def test_paired_difference_equals_scipy():
    found = statistics.paired_difference(A - B, 0.05)
    reference = scipy_stats.ttest_rel(A, B)
    assert found.p == pytest.approx(reference.pvalue) and f"t(4) = {reference.statistic:.2f}" in found.sentence
    assert (found.low, found.high) == pytest.approx(tuple(reference.confidence_interval(0.95)))
    assert found.estimate == pytest.approx((A - B).mean()) and found.n == 5
    assert "5 participants" in found.sentence and "nan" not in found.sentence
    wide = statistics.paired_difference(A - B, 0.01, "tasks")
    assert wide.low < found.low and "99 % interval" in wide.sentence and "5 tasks" in wide.sentence


@pytest.mark.parametrize(("values", "why"), [([0.1], "only one"), ([0.1, 0.1], "same in all 2")])
def test_what_cannot_be_tested_says_so(values, why):
    found = statistics.paired_difference(values, 0.05)
    assert found.p is found.low is None and found.estimate == pytest.approx(0.1)
    assert "cannot be tested" in found.sentence and why in found.sentence


class TestAtEqual:
    def test_it_is_the_intercept_of_least_squares(self):
        x, y = np.random.default_rng(0).normal(0.2, 1, (2, 9))
        found, fit = statistics.at_equal(y, x, 0.1), scipy_stats.linregress(x, y)
        half = scipy_stats.t.ppf(0.95, 7) * fit.intercept_stderr
        assert (found.low, found.estimate, found.high) == pytest.approx(
            (fit.intercept - half, fit.intercept, fit.intercept + half)
        )
        assert found.p == pytest.approx(2 * scipy_stats.t.sf(abs(fit.intercept / fit.intercept_stderr), 7))
        assert found.p == pytest.approx(sm.OLS(y, sm.add_constant(x)).fit().pvalues[0]) and found.n == 9

    def test_a_difference_that_the_covariate_explains_is_none(self):
        x = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
        y = 2 * x + np.array([0.01, -0.01, -0.01, 0.01, 0.01, -0.01])
        assert statistics.paired_difference(y, 0.05).p < 0.05 < statistics.at_equal(y, x, 0.05).p

    @pytest.mark.parametrize(
        ("x", "y"), [([1, 2, 3], [1, 3, 2]), ([1, 1, 1, 1], [1, 3, 2, 5]), ([1, 2, 3, 4], [1] * 4)]
    )
    def test_what_cannot_be_told_says_so(self, x, y):
        found = statistics.at_equal(np.array(y), np.array(x), 0.05)
        assert found.estimate is found.p is None and f"cannot be estimated from {len(x)} tasks" in found.sentence


class TestCombined:
    def test_it_equals_the_formulas(self):
        """Two sets: then Paule and Mandel's variance has a closed form, and weights are equal where errors are."""
        found = statistics.combined([0.3, 0.1], [0.05, 0.05], 0.05)
        between = (
            0.3 - 0.1
        ) ** 2 / 2 - 0.05**2  # Q = (difference²/2) / (between + error²) is its one degree of freedom
        error = 0.1  # Knapp and Hartung: the standard deviation of the two over the root of 2
        half, spread = (scipy_stats.t.ppf(0.975, 1) * e for e in (error, np.sqrt(between + error**2)))
        assert (found.low, found.estimate, found.high) == pytest.approx((0.2 - half, 0.2, 0.2 + half), rel=1e-4)
        assert f"a further data set {0.2 - spread:+.1%} to {0.2 + spread:+.1%}" in found.sentence
        assert f"between sets {between**0.5:.1%}; 2 brain data sets" in found.sentence

    def test_sets_that_agree_count_by_their_precision(self):
        found = statistics.combined([0.11, 0.1, 0.1], [0.2, 0.05, 0.05], 0.05)
        weights = 1 / np.array([0.2, 0.05, 0.05]) ** 2
        assert found.estimate == pytest.approx(np.average([0.11, 0.1, 0.1], weights=weights))
        assert "between sets 0.0%" in found.sentence

    def test_one_set_cannot_be_combined(self):
        found = statistics.combined([0.1], [0.1], 0.05)
        assert found.estimate is None and "two brain data sets are needed" in found.sentence


def test_fdr_equals_statsmodels():
    p = np.random.default_rng(0).random(30) ** 3
    np.testing.assert_allclose(statistics.fdr(p), multipletests(p, method="fdr_bh")[1])
    np.testing.assert_array_equal(np.isnan(statistics.fdr([0.01, None, 0.2])), [False, True, False])
    assert len(statistics.fdr([])) == 0


class TestAssociation:
    def test_the_estimate_is_the_mean_rank_correlation_within_participants_and_methods(self):
        rng = np.random.default_rng(1)
        x, y = rng.normal(size=(8, 2)), rng.normal(size=(3, 8, 2))
        found = statistics.association(x, y, 0.05, 0)
        expected = np.mean([scipy_stats.spearmanr(x[:, m], one[:, m]).statistic for one in y for m in range(2)])
        assert found.estimate == pytest.approx(expected) and found.low < found.estimate < found.high
        assert found == statistics.association(x, y, 0.05, 0), "a seed fixes it"
        assert found.p != statistics.association(x, y, 0.05, 1).p

    def test_few_tasks_are_permuted_exactly(self):
        x = np.arange(5.0)[:, None]
        found = statistics.association(x, np.stack([x**3, x]), 0.05, 0)
        assert found.p == pytest.approx(2 / 120) and found.low is None

    def test_participants_who_differ_widen_the_interval(self):
        rng = np.random.default_rng(2)
        x, noise = rng.normal(size=(10, 1)), rng.normal(0, 0.1, (6, 10, 1))
        alike, unlike = (
            statistics.association(x, sign[:, None, None] * x + noise, 0.05, 0)
            for sign in (np.ones(6), np.array([1, 1, 1, 1, -1, -1]))
        )
        assert unlike.high - unlike.low > 2 * (alike.high - alike.low)

    def test_a_difference_of_methods_is_no_association(self):
        rng = np.random.default_rng(3)
        x, y, shift = rng.normal(0, 0.01, (10, 2)), rng.normal(0, 0.01, (4, 10, 2)), np.array([0.0, 1.0])
        assert statistics.association(x + shift, y + shift, 0.05, 0).p > 0.05

    @pytest.mark.parametrize(
        ("x", "why"), [(np.ones((3, 2)), "3 tasks, and at least 4"), (np.ones((6, 2)), "the same in all 6 tasks")]
    )
    def test_what_cannot_be_tested_says_so(self, x, why):
        found = statistics.association(x, np.random.default_rng(0).normal(size=(2, *x.shape)), 0.05, 0)
        assert found.p is found.estimate is None and why in found.sentence


def cells(effect=0.02, participants=6, regions=("language", "visual"), seed=0):
    """Scores of a full design with participant and region intercepts and a known effect of the method."""
    rng = np.random.default_rng(seed)
    level = {name: rng.normal(0, 0.03) for name in [*range(participants), *regions]}
    rows = [
        (p, r, t, m, 0.6 + level[p] + level[r] + effect * (m == "prompt-tuned") + rng.normal(0, 0.01))
        for p in range(participants)
        for r in regions
        for t in ("ner", "wsd", "nli")
        for m in ("fine-tuned", "prompt-tuned")
    ]
    return pd.DataFrame(rows, columns=["participant", "region", "task", "method", "score"])


class TestMixedModel:
    def test_it_equals_the_formula_of_statsmodels(self):
        import statsmodels.formula.api as formula

        table = cells()
        found = statistics.mixed_model(table, 0.05)
        parts = {"participant": "0 + C(participant)", "region": "0 + C(region)", "slope": "0 + C(participant):coded"}
        reference = formula.mixedlm(
            "hundredths ~ C(method, Sum) * C(task, Sum)",
            table.assign(hundredths=100 * table["score"], coded=np.where(table["method"] == "prompt-tuned", 0.5, -0.5)),
            groups=np.ones(len(table)),
            vc_formula=parts,
        ).fit()
        effect = -2 * reference.params["C(method, Sum)[S.fine-tuned]"] / 100
        assert found.estimate == pytest.approx(effect, abs=1e-6)
        error = 2 * reference.bse["C(method, Sum)[S.fine-tuned]"] / 100
        assert found.high - found.low == pytest.approx(2 * scipy_stats.t.ppf(0.975, 5) * error, rel=1e-3)
        assert found.low < 0.02 < found.high and found.p < 0.001

    def test_participants_who_differ_in_the_effect_make_it_unsure(self):
        table, rng = cells(participants=8), np.random.default_rng(3)
        own = dict(enumerate(rng.normal(0, 0.03, 8)))
        shifted = table["score"] + table["participant"].map(own) * (table["method"] == "prompt-tuned")
        alike, unlike = (statistics.mixed_model(t, 0.05) for t in (table, table.assign(score=shifted)))
        wide = unlike.high - unlike.low
        assert wide > 3 * (alike.high - alike.low)
        pairs = table.assign(score=shifted).groupby(["participant", "method"])["score"].mean().unstack()
        paired = statistics.paired_difference(pairs["prompt-tuned"] - pairs["fine-tuned"], 0.05)
        assert wide == pytest.approx(paired.high - paired.low, rel=0.05)

    @pytest.mark.parametrize(
        ("table", "why"),
        [
            (cells(participants=1), "only one participant"),
            (cells().query("method == 'fine-tuned'"), "only one method"),
            (cells().query("not (task == 'ner' and method == 'fine-tuned')"), "cells are missing"),
            (cells().assign(score=0.5), "do not vary"),
        ],
    )
    def test_what_cannot_be_fitted_says_so(self, table, why):
        found = statistics.mixed_model(table, 0.05)
        assert found.p is None and why in found.sentence

    def test_one_region_needs_no_intercept(self):
        assert (
            "random effects: participant, participant × method)"
            in statistics.mixed_model(cells(regions=("language",)), 0.05).sentence
        )


class TestVarianceSplit:
    def test_planted_variances_come_back(self):
        rng = np.random.default_rng(0)
        person, region, seed = (rng.normal(0, s, n) for s, n in ((3, 200), (1, 60), (2, 80)))
        table = person[:, None, None] + region[:, None] + seed + rng.normal(0, 1, (200, 60, 80))
        split = statistics.variance_split(table)
        assert list(split) == ["participant", "region", "seed", "residual"]
        assert list(split.values()) == pytest.approx([9 / 15, 1 / 15, 4 / 15, 1 / 15], abs=0.08)

    def test_one_seed_has_no_share(self):
        split = statistics.variance_split(np.random.default_rng(0).normal(size=(5, 3, 1)))
        assert list(split) == ["participant", "region", "residual"] and sum(split.values()) == pytest.approx(1)

    @pytest.mark.parametrize("shape", [(3, 1, 1), (3, 2, 1)])
    def test_what_cannot_be_split_is_empty(self, shape):
        assert statistics.variance_split(np.zeros(shape)) == {}


class TestShrunken:
    def test_it_is_nearer_to_the_truth_than_the_means(self):
        rng, errors = np.random.default_rng(0), []
        for _ in range(200):
            truth = rng.normal(0.1, 0.05, 10)
            values = truth[:, None, None] + rng.normal(0, 0.2, (10, 8, 1)) + rng.normal(0, 0.1, (8, 1))
            errors.append(
                [np.mean((found - truth) ** 2) for found in (values.mean((1, 2)), statistics.shrunken(values))]
            )
        plain, shrunken = np.mean(errors, 0)
        assert shrunken < 0.75 * plain

    def test_without_error_nothing_is_drawn(self):
        tasks, people = np.array([0.1, 0.3, -0.2])[:, None, None], np.array([0.0, 0.5, 0.1, -0.4])[:, None]
        np.testing.assert_allclose(statistics.shrunken(tasks + people), (tasks + people).mean((1, 2)))

    def test_without_difference_all_are_the_mean(self):
        values = np.tile(np.random.default_rng(1).normal(size=(1, 6, 2)), (4, 1, 1))
        np.testing.assert_allclose(statistics.shrunken(values), values.mean())

    def test_luck_of_seeds_draws_them_together(self):
        rng = np.random.default_rng(2)
        seeds = rng.normal(0, 0.3, (8, 1, 3)) + rng.normal(0, 0.01, (8, 9, 3))
        found = statistics.shrunken(seeds)
        assert np.ptp(found) < 0.6 * np.ptp(seeds.mean((1, 2)))

    def test_of_one_participant_it_is_not_known(self):
        assert np.isnan(statistics.shrunken(np.arange(6.0).reshape(3, 1, 2))).all()


class TestStandardError:
    def test_with_one_seed_it_is_that_of_the_t_test(self):
        error, degrees = statistics.standard_error((A - B)[:, None])
        assert (error, degrees) == pytest.approx((scipy_stats.sem(A - B), 4))

    def test_seeds_that_differ_widen_it(self):
        noise = np.random.default_rng(0).normal(0, 0.001, (10, 3))
        calm, rough = (statistics.standard_error(noise + seeds)[0] for seeds in (0, np.array([-0.02, 0.0, 0.02])))
        assert rough > 5 * calm

    def test_without_luck_of_seeds_it_is_that_over_participants(self):
        people = np.random.default_rng(1).normal(0, 0.02, (12, 1))
        rest = np.array([[1.0, -1.0], [-1.0, 1.0]] * 6) * 1e-4  # columns have equal means
        assert statistics.standard_error(people + rest) == pytest.approx((scipy_stats.sem(people[:, 0]), 11))

    @pytest.mark.parametrize(("participants", "seeds"), [(5, 2), (5, 3), (20, 3)])
    def test_its_interval_covers_what_it_says(self, participants, seeds):
        rng, inside = np.random.default_rng(2), 0
        for _ in range(400):
            parts = (
                sd * rng.standard_normal(shape)
                for sd, shape in ((0.02, (participants, 1)), (0.005, (1, seeds)), (0.02, (participants, seeds)))
            )
            values = sum(parts)
            error, degrees = statistics.standard_error(values)
            inside += abs(values.mean()) <= scipy_stats.t.ppf(0.975, degrees) * error
        assert 0.92 <= inside / 400 <= 0.995

    @pytest.mark.parametrize("table", [np.ones((1, 3)), np.ones((4, 1)), [[1.0, 2.0], [3.0, np.nan]]])
    def test_it_is_nan_where_nothing_can_be_told(self, table):
        assert np.isnan(statistics.standard_error(table)).all()
