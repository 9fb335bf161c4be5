"""Paired comparisons over participants, equivalence, and false-discovery rate."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats as scipy_stats

from braintune.study import BraintuneError

#: Above this many pairs the sign-flip test draws signs at random instead of trying all.
EXACT_UP_TO = 20
RANDOM_FLIPS = 100_000


@dataclass(frozen=True)
class PairedDifference:
    """Difference of two conditions, paired over participants.

    Attributes
    ----------
    estimate : float
        Mean of a - b.
    low, high : float or None
        95 % t interval of the mean.
    statistic, p : float or None
        Paired t test, two-sided.
    p_sign_flip : float or None
        Two-sided sign-flip test; with n pairs it cannot be below 2 / 2ⁿ.
    n : int
        Pairs.
    sentence : str
        The result in words. Where a test is impossible the fields above are None and this says why.
    """

    estimate: float
    low: float | None
    high: float | None
    statistic: float | None
    p: float | None
    p_sign_flip: float | None
    n: int
    sentence: str


@dataclass(frozen=True)
class MarginTest:
    """Test of a paired difference against a margin: non-inferiority or equivalence.

    Attributes
    ----------
    estimate, margin : float
    p : float or None
        Below the level: not inferior (or equivalent) within the margin. None where a test is impossible.
    n : int
        Pairs.
    sentence : str
        The result in words.
    """

    estimate: float
    margin: float
    p: float | None
    n: int
    sentence: str


def paired_difference(a: np.ndarray, b: np.ndarray) -> PairedDifference:
    """Compare two conditions, paired over participants, by t test and exact sign flips.

    Parameters
    ----------
    a, b : arrays of shape (n_participants,)

    Raises
    ------
    BraintuneError
        If the arrays do not pair up, are empty, or hold non-finite values.
    """
    difference = _differences(a, b)
    n, estimate = len(difference), float(difference.mean())
    if reason := _untestable(difference):
        sentence = f"{estimate:+.3f}, which cannot be tested: {reason}."
        return PairedDifference(estimate, None, None, None, None, None, n, sentence)
    test = scipy_stats.ttest_1samp(difference, 0.0)
    low, high = (float(bound) for bound in test.confidence_interval(0.95))
    flips = sign_flip_p(difference)
    sentence = (
        f"{estimate:+.3f} (95 % interval {low:+.3f} to {high:+.3f}; t({n - 1}) = {test.statistic:.2f}, "
        f"{_p_text(test.pvalue)}; sign flips {_p_text(flips)}; {n} participants)."
    )
    return PairedDifference(estimate, low, high, float(test.statistic), float(test.pvalue), flips, n, sentence)


def sign_flip_p(difference: np.ndarray, seed: int = 0) -> float:
    """Return the two-sided sign-flip p-value of a mean of zero.

    All 2ⁿ signs are tried up to ``EXACT_UP_TO`` pairs; above that, ``RANDOM_FLIPS`` drawn from `seed`.
    """
    values = np.asarray(difference, dtype=float)
    observed = abs(values.sum())
    if len(values) <= EXACT_UP_TO:
        totals = np.zeros(1)
        for value in values:
            totals = np.concatenate([totals + value, totals - value])
        added = 0
    else:
        signs = np.random.default_rng(seed).integers(0, 2, (RANDOM_FLIPS, len(values)), dtype=np.int8) * 2 - 1
        totals, added = signs @ values, 1
    # A flip that gives the observed sum must count, whatever the rounding.
    extreme = np.abs(totals) >= observed - 1e-12 * np.abs(values).sum()
    return float((extreme.sum() + added) / (len(totals) + added))


def non_inferiority(a: np.ndarray, b: np.ndarray, margin: float) -> MarginTest:
    """Test whether `a` is at most `margin` below `b` (one-sided paired t test)."""
    difference, margin = _differences(a, b), _positive(margin)
    n, estimate = len(difference), float(difference.mean())
    if reason := _untestable(difference):
        return MarginTest(estimate, margin, None, n, f"Non-inferiority cannot be tested: {reason}.")
    p = float(scipy_stats.ttest_1samp(difference, -margin, alternative="greater").pvalue)
    verdict = "not inferior" if p < 0.05 else "not shown to be non-inferior"
    return MarginTest(
        estimate, margin, p, n, f"{verdict} by a margin of {margin:g} ({estimate:+.3f}, {_p_text(p)}, n = {n})."
    )


def tost(a: np.ndarray, b: np.ndarray, margin: float) -> MarginTest:
    """Test whether `a` and `b` differ by less than `margin` either way (two one-sided paired t tests)."""
    difference, margin = _differences(a, b), _positive(margin)
    n, estimate = len(difference), float(difference.mean())
    if reason := _untestable(difference):
        return MarginTest(estimate, margin, None, n, f"Equivalence cannot be tested: {reason}.")
    below = scipy_stats.ttest_1samp(difference, -margin, alternative="greater").pvalue
    above = scipy_stats.ttest_1samp(difference, margin, alternative="less").pvalue
    p = float(max(below, above))
    verdict = "equivalent" if p < 0.05 else "not shown to be equivalent"
    return MarginTest(estimate, margin, p, n, f"{verdict} within ±{margin:g} ({estimate:+.3f}, {_p_text(p)}, n = {n}).")


def fdr(p_values: Sequence[float | None]) -> np.ndarray:
    """Adjust a family of p-values by Benjamini and Hochberg; what could not be tested (None) stays NaN."""
    values = np.array([np.nan if p is None else p for p in p_values], dtype=float)
    tested = ~np.isnan(values)
    if tested.any():
        values[tested] = scipy_stats.false_discovery_control(values[tested])
    return values


# --- parts -------------------------------------------------------------------------------------------------------


def _differences(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if a.shape != b.shape or a.ndim != 1 or not len(a):
        raise BraintuneError(
            f"cannot pair values of shapes {a.shape} and {b.shape}; allowed is one value a participant"
        )
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise BraintuneError("cannot compare scores that are NaN or infinite; drop the participants that lack one")
    return a - b


def _untestable(difference: np.ndarray) -> str:
    if len(difference) < 2:
        return "there is only one participant"
    if np.ptp(difference) <= 1e-12 * max(1.0, np.abs(difference).max()):
        return f"the difference is the same in all {len(difference)} participants"
    return ""


def _positive(margin: float) -> float:
    if not margin > 0:
        raise BraintuneError(f"margin: {margin} must be above 0")
    return float(margin)


def _p_text(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
