"""Paired tests against scipy and enumeration; what cannot be tested says so."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from braintune import stats
from braintune.study import BraintuneError

A = np.array([0.71, 0.68, 0.74, 0.66, 0.70])
B = np.array([0.69, 0.67, 0.70, 0.67, 0.68])


def test_paired_difference_equals_scipy():
    found = stats.paired_difference(A, B)
    reference = scipy_stats.ttest_rel(A, B)
    assert (found.statistic, found.p) == pytest.approx((reference.statistic, reference.pvalue))
    assert (found.low, found.high) == pytest.approx(tuple(reference.confidence_interval(0.95)))
    assert found.estimate == pytest.approx((A - B).mean()) and found.n == 5
    assert "5 participants" in found.sentence and "nan" not in found.sentence


@given(st.lists(st.integers(-5, 5), min_size=2, max_size=7))
@settings(max_examples=40, deadline=None)
def test_sign_flips_equal_enumeration(values):
    flips = [
        abs(sum(s * v for s, v in zip(signs, values, strict=True))) for signs in product((1, -1), repeat=len(values))
    ]
    expected = np.mean([f >= abs(sum(values)) for f in flips])
    assert stats.sign_flip_p(np.array(values) / 10) == pytest.approx(expected)


def test_sign_flips_of_many_pairs_are_drawn():
    difference = np.random.default_rng(0).normal(0.1, 1, 40)
    assert stats.sign_flip_p(difference) == stats.sign_flip_p(difference)
    assert stats.sign_flip_p(difference) == pytest.approx(scipy_stats.ttest_1samp(difference, 0).pvalue, abs=0.02)


@pytest.mark.parametrize(("a", "b", "why"), [([0.7], [0.6], "only one"), ([0.7, 0.6], [0.6, 0.5], "same in all 2")])
def test_what_cannot_be_tested_says_so(a, b, why):
    found = stats.paired_difference(a, b)
    assert found.p is found.low is found.statistic is None and found.estimate == pytest.approx(0.1)
    assert "cannot be tested" in found.sentence and why in found.sentence
    assert stats.tost(a, b, 0.01).p is None and stats.non_inferiority(a, b, 0.01).p is None


def test_margins():
    wide, narrow = stats.tost(A, B, 0.2), stats.tost(A, B, 0.001)
    assert wide.p < 0.05 < narrow.p
    assert wide.sentence.startswith("equivalent") and narrow.sentence.startswith("not shown")
    reference = scipy_stats.ttest_1samp(A - B, -0.01, alternative="greater").pvalue
    assert stats.non_inferiority(A, B, 0.01).p == pytest.approx(reference)
    with pytest.raises(BraintuneError, match="margin: 0 must be above 0"):
        stats.tost(A, B, 0)


def test_fdr_equals_statsmodels():
    from statsmodels.stats.multitest import multipletests

    p = np.random.default_rng(0).random(30) ** 3
    np.testing.assert_allclose(stats.fdr(p), multipletests(p, method="fdr_bh")[1])
    np.testing.assert_array_equal(np.isnan(stats.fdr([0.01, None, 0.2])), [False, True, False])
    assert len(stats.fdr([])) == 0


@pytest.mark.parametrize("a", [[0.5, np.nan], [0.5], [], [[0.5, 0.6]]])
def test_values_that_do_not_pair(a):
    with pytest.raises(BraintuneError):
        stats.paired_difference(a, [0.5, 0.6] if len(a) else [])
