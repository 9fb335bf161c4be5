"""Tests, intervals and power against scipy, statsmodels and enumeration; what cannot be tested says so."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
from statsmodels.stats.weightstats import ttost_paired

from braintune.results import statistics

A = np.array([0.71, 0.68, 0.74, 0.66, 0.70])
B = np.array([0.69, 0.67, 0.70, 0.67, 0.68])


def test_paired_difference_equals_scipy():
    found = statistics.paired_difference(A - B, 0.05)
    reference = scipy_stats.ttest_rel(A, B)
    assert (found.statistic, found.p) == pytest.approx((reference.statistic, reference.pvalue))
    assert (found.low, found.high) == pytest.approx(tuple(reference.confidence_interval(0.95)))
    assert found.estimate == pytest.approx((A - B).mean()) and found.n == 5
    assert "5 participants" in found.sentence and "nan" not in found.sentence
    wide = statistics.paired_difference(A - B, 0.01)
    assert wide.low < found.low and "99 % interval" in wide.sentence


@given(st.lists(st.integers(-5, 5), min_size=2, max_size=7))
@settings(max_examples=40, deadline=None)
def test_sign_flips_equal_enumeration(values):
    flips = [
        abs(sum(s * v for s, v in zip(signs, values, strict=True))) for signs in product((1, -1), repeat=len(values))
    ]
    expected = np.mean([f >= abs(sum(values)) for f in flips])
    assert statistics.sign_flip_p(np.array(values) / 10) == pytest.approx(expected)


def test_sign_flips_of_many_pairs_are_drawn():
    difference = np.random.default_rng(0).normal(0.1, 1, 40)
    assert statistics.sign_flip_p(difference) == statistics.sign_flip_p(difference)
    assert statistics.sign_flip_p(difference) == pytest.approx(scipy_stats.ttest_1samp(difference, 0).pvalue, abs=0.02)


@pytest.mark.parametrize(("values", "why"), [([0.1], "only one"), ([0.1, 0.1], "same in all 2")])
def test_what_cannot_be_tested_says_so(values, why):
    found = statistics.paired_difference(values, 0.05)
    assert found.p is found.low is found.statistic is None and found.estimate == pytest.approx(0.1)
    assert "cannot be tested" in found.sentence and why in found.sentence
    row = statistics.paired_tests([values], 0.01, 0.05).iloc[0]
    assert row["difference"] == pytest.approx(0.1) and row.drop(["difference", "n"]).isna().all()


def test_many_paired_tests_equal_scipy_and_statsmodels_one_by_one():
    rng = np.random.default_rng(0)
    values = rng.normal(0.01, 0.02, (6, 9))
    values[1, 4:] = np.nan  # fewer participants
    values[2, 1:] = np.nan  # one participant
    values[3] = 0.02  # no variance
    table = statistics.paired_tests(values, 0.01, 0.05)
    assert table["n"].tolist() == [9, 4, 1, 9, 9, 9]
    assert table["p"].isna().tolist() == [False, False, True, True, False, False]
    for row, found in zip(values, table.itertuples(), strict=True):
        row = row[np.isfinite(row)]
        assert found.difference == pytest.approx(row.mean())
        if np.isnan(found.p):
            assert np.isnan([found.low, found.q, found.p_not_worse, found.p_equivalent, found.power]).all()
            continue
        test = scipy_stats.ttest_1samp(row, 0)
        assert (found.low, found.high) == pytest.approx(tuple(test.confidence_interval(0.95)))
        assert found.p == pytest.approx(test.pvalue)
        assert found.p_not_worse == pytest.approx(scipy_stats.ttest_1samp(row, -0.01, alternative="greater").pvalue)
        assert found.p_equivalent == pytest.approx(ttost_paired(row, np.zeros_like(row), -0.01, 0.01)[0])
        effect = TTestPower().solve_power(nobs=len(row), alpha=0.05, power=0.8)
        assert found.detectable == pytest.approx(effect * row.std(ddof=1))
        assert found.power == pytest.approx(TTestPower().power(0.01 / row.std(ddof=1), len(row), 0.05))
    tested = table["p"].notna()
    assert table.loc[tested, "q"].to_numpy() == pytest.approx(statistics.fdr(table.loc[tested, "p"]))


def test_fdr_equals_statsmodels():
    p = np.random.default_rng(0).random(30) ** 3
    np.testing.assert_allclose(statistics.fdr(p), multipletests(p, method="fdr_bh")[1])
    np.testing.assert_array_equal(np.isnan(statistics.fdr([0.01, None, 0.2])), [False, True, False])
    assert len(statistics.fdr([])) == 0


def test_above_a_level_equals_scipy():
    reference = scipy_stats.ttest_1samp(A, 0.68, alternative="greater").pvalue
    assert statistics.above(np.append(A, np.nan), 0.68) == pytest.approx(reference)
    assert statistics.above([0.7], 0.5) is statistics.above([0.7, 0.7], 0.5) is None


def test_power():
    sure = np.array([[0.1, 0.2, 0.3, 0.2, 0.2]])
    assert statistics.paired_tests(sure, 1.5, 0.05)["power"][0] == 1, "the distribution function of scipy is NaN there"
    # simulated with 4000 studies: .83 for 10 units and .45 for 40
    assert statistics.detectable_correlation(10, 0.05) == pytest.approx(0.83, abs=0.05)
    assert statistics.detectable_correlation(40, 0.05) == pytest.approx(0.45, abs=0.03)


class TestAssociation:
    def test_the_estimate_is_the_mean_rank_correlation_within_methods(self):
        x, y = np.random.default_rng(1).normal(size=(2, 8, 2))
        found = statistics.association(x, y, 0.05, 0)
        expected = np.mean([scipy_stats.spearmanr(a, b).statistic for a, b in zip(x.T, y.T, strict=True)])
        assert found.estimate == pytest.approx(expected) and found.low < found.estimate < found.high
        assert found == statistics.association(x, y, 0.05, 0), "a seed fixes it"

    def test_few_tasks_are_permuted_exactly(self):
        x = np.arange(5.0)[:, None]
        found = statistics.association(x, x**3, 0.05, 0)
        assert found.p == pytest.approx(2 / 120) and found.low is None

    def test_a_difference_of_methods_is_no_association(self):
        x, y = np.random.default_rng(3).normal(0, 0.01, (2, 10, 2))
        shift = np.array([0.0, 1.0])
        assert statistics.association(x + shift, y + shift, 0.05, 0).p > 0.05

    @pytest.mark.parametrize(
        ("x", "why"), [(np.ones((3, 2)), "3 tasks, and at least 4"), (np.ones((6, 2)), "the same in all 6 tasks")]
    )
    def test_what_cannot_be_tested_says_so(self, x, why):
        found = statistics.association(x, np.random.default_rng(0).normal(size=x.shape), 0.05, 0)
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
    return pd.DataFrame(rows, columns=["participant", "region", "task", "method", "pairwise"])


class TestMixedModel:
    def test_it_equals_the_formula_of_statsmodels(self):
        import statsmodels.formula.api as formula

        table = cells()
        found = statistics.mixed_model(table, 0.05)
        parts = {"participant": "0 + C(participant)", "region": "0 + C(region)", "slope": "0 + C(participant):coded"}
        reference = formula.mixedlm(
            "hundredths ~ C(method, Sum) * C(task, Sum)",
            table.assign(
                hundredths=100 * table["pairwise"], coded=np.where(table["method"] == "prompt-tuned", 0.5, -0.5)
            ),
            groups=np.ones(len(table)),
            vc_formula=parts,
        ).fit()
        effect = -2 * reference.params["C(method, Sum)[S.fine-tuned]"] / 100
        assert found.estimate == pytest.approx(effect, abs=1e-6)
        assert found.statistic == pytest.approx(-reference.tvalues["C(method, Sum)[S.fine-tuned]"], rel=1e-3)
        assert found.low < 0.02 < found.high and found.p < 0.001

    def test_participants_who_differ_in_the_effect_make_it_unsure(self):
        table, rng = cells(participants=8), np.random.default_rng(3)
        own = dict(enumerate(rng.normal(0, 0.03, 8)))
        shifted = table["pairwise"] + table["participant"].map(own) * (table["method"] == "prompt-tuned")
        alike, unlike = (statistics.mixed_model(t, 0.05) for t in (table, table.assign(pairwise=shifted)))
        wide = unlike.high - unlike.low
        assert wide > 3 * (alike.high - alike.low)
        pairs = table.assign(pairwise=shifted).groupby(["participant", "method"])["pairwise"].mean().unstack()
        paired = statistics.paired_difference(pairs["prompt-tuned"] - pairs["fine-tuned"], 0.05)
        assert wide == pytest.approx(paired.high - paired.low, rel=0.05)

    @pytest.mark.parametrize(
        ("table", "why"),
        [
            (cells(participants=1), "only one participant"),
            (cells().query("method == 'fine-tuned'"), "only one method"),
            (cells().query("not (task == 'ner' and method == 'fine-tuned')"), "cells are missing"),
            (cells().assign(pairwise=0.5), "do not vary"),
        ],
    )
    def test_what_cannot_be_fitted_says_so(self, table, why):
        found = statistics.mixed_model(table, 0.05)
        assert found.p is None and why in found.sentence

    def test_one_region_needs_no_intercept(self):
        assert (
            "random: participant, participant × method)"
            in statistics.mixed_model(cells(regions=("language",)), 0.05).sentence
        )


class TestVarianceSplit:
    def test_planted_variances_come_back(self):
        rng = np.random.default_rng(0)
        person, region, seed = (rng.normal(0, s, n) for s, n in ((3, 200), (1, 60), (2, 80)))
        table = person[:, None, None] + region[:, None] + seed + rng.normal(0, 1, (200, 60, 80))
        split = statistics.variance_split(table)
        assert list(split) == ["participant", "region", "seed", "rest"]
        assert list(split.values()) == pytest.approx([9 / 15, 1 / 15, 4 / 15, 1 / 15], abs=0.08)

    def test_one_seed_has_no_share(self):
        split = statistics.variance_split(np.random.default_rng(0).normal(size=(5, 3, 1)))
        assert list(split) == ["participant", "region", "rest"] and sum(split.values()) == pytest.approx(1)

    @pytest.mark.parametrize("shape", [(3, 1, 1), (3, 2, 1)])
    def test_what_cannot_be_split_is_empty(self, shape):
        assert statistics.variance_split(np.zeros(shape)) == {}


class TestCrossedMean:
    def test_seeds_that_differ_widen_the_interval(self):
        rng = np.random.default_rng(0)
        noise = rng.normal(0, 0.001, (10, 3))
        calm, rough = (statistics.crossed_mean(noise + seeds, 0.05) for seeds in (0, np.array([-0.02, 0.0, 0.02])))
        assert rough.high - rough.low > 5 * (calm.high - calm.low)

    def test_without_luck_of_seeds_it_is_the_t_interval_over_participants(self):
        people = np.random.default_rng(1).normal(0, 0.02, (12, 1))
        rest = np.array([[1.0, -1.0], [-1.0, 1.0]] * 6) * 1e-4  # columns have equal means
        found = statistics.crossed_mean(people + rest, 0.05)
        low, high = scipy_stats.ttest_1samp(people.ravel(), 0).confidence_interval(0.95)
        assert (found.low, found.high) == pytest.approx((low, high), abs=1e-12)

    @pytest.mark.parametrize(("participants", "seeds"), [(5, 2), (5, 3), (20, 3)])
    def test_it_covers_what_it_says(self, participants, seeds):
        rng, inside = np.random.default_rng(2), 0
        for _ in range(400):
            parts = (
                sd * rng.standard_normal(shape)
                for sd, shape in ((0.02, (participants, 1)), (0.005, (1, seeds)), (0.02, (participants, seeds)))
            )
            found = statistics.crossed_mean(0.01 + sum(parts), 0.05)
            inside += found.low <= 0.01 <= found.high
        assert 0.92 <= inside / 400 <= 0.995

    @pytest.mark.parametrize("table", [np.ones((1, 3)), np.ones((4, 1)), np.full((4, 3), np.nan)])
    def test_what_cannot_be_computed_says_so(self, table):
        found = statistics.crossed_mean(table, 0.05)
        assert found.low is None and "no interval" in found.sentence
