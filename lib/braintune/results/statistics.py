"""Tests over participants and tasks: paired differences, margins, power, associations, and models of all cells.

A result is a :class:`Finding`. Where a test is impossible (one unit, no variance, missing cells) its numbers are None
and its sentence says why. `alpha` is the level of the caller: intervals cover 1 - alpha.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import factorial

import numpy as np
import pandas as pd
from scipy import stats

#: Up to this many pairs the sign-flip test tries all signs, and up to this many tasks an association all orders.
EXACT_SIGNS_UP_TO, EXACT_ORDERS_UP_TO = 20, 7
RESAMPLES = 5000
#: Below this many tasks an association is not tested, and has no bootstrap interval.
LEAST_TASKS, LEAST_FOR_INTERVAL = 4, 6
#: The probability with which a detectable difference is detected.
POWER = 0.8


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The result of one test."""

    estimate: float | None  #: None only where nothing could be computed.
    low: float | None = None  #: Lower end of the interval of the estimate,
    high: float | None = None  #: and its upper end.
    statistic: float | None = None
    p: float | None = None  #: Two-sided p-value.
    p_sign_flip: float | None = None  #: Of the two-sided sign-flip test; with n pairs it cannot be below 2 / 2ⁿ.
    n: int  #: Units: participants, or tasks.
    sentence: str  #: The result in words, or why a test is impossible.


def cannot(why: str, n: int = 0) -> Finding:
    """Return a test that is impossible, for a reason."""
    return Finding(estimate=None, n=n, sentence=f"It cannot be tested: {why}.")


# --- paired differences ------------------------------------------------------------------------------------------


def paired_difference(difference: np.ndarray, alpha: float, units: str = "participants") -> Finding:
    """Test a paired difference: t interval, two-sided t test, and sign flips.

    Parameters
    ----------
    difference : array of shape (n_units,)
        At least one value, all finite.
    alpha : float
    units : str
        What is paired, for the sentence.
    """
    difference = np.asarray(difference, dtype=float)
    n, estimate = len(difference), float(difference.mean())
    if reason := _untestable(difference, units):
        return Finding(estimate=estimate, n=n, sentence=f"{estimate:+.3f}, which cannot be tested: {reason}.")
    test = stats.ttest_1samp(difference, 0.0)
    low, high = (float(bound) for bound in test.confidence_interval(1 - alpha))
    flips = sign_flip_p(difference)
    sentence = (
        f"{estimate:+.3f} ({_percent(alpha)} interval {low:+.3f} to {high:+.3f}; t({n - 1}) = {test.statistic:.2f}, "
        f"{p_text(test.pvalue)}; sign flips {p_text(flips)}; {n} {units})."
    )
    numbers = {"statistic": float(test.statistic), "p": float(test.pvalue), "p_sign_flip": flips}
    return Finding(estimate=estimate, low=low, high=high, n=n, sentence=sentence, **numbers)


def sign_flip_p(difference: np.ndarray) -> float:
    """Return the two-sided sign-flip p-value of a mean of zero, exact up to ``EXACT_SIGNS_UP_TO`` pairs."""
    values = np.asarray(difference, dtype=float)
    if len(values) > EXACT_SIGNS_UP_TO:
        drawn = {"n_resamples": 20 * RESAMPLES, "vectorized": True, "batch": RESAMPLES, "rng": 0}
        return float(stats.permutation_test((values,), np.mean, permutation_type="samples", **drawn).pvalue)
    totals = np.zeros(1)
    for value in values:  # scipy's exact test of 20 pairs takes a hundred times as long
        totals = np.concatenate([totals + value, totals - value])
    return float((np.abs(totals) >= abs(values.sum()) - 1e-12 * np.abs(values).sum()).mean())


def paired_tests(differences: np.ndarray, margin: float, alpha: float) -> pd.DataFrame:
    """Test many paired differences at once.

    Parameters
    ----------
    differences : array of shape (n_groups, n_units)
        NaN where a group lacks a unit.
    margin, alpha : float

    Returns
    -------
    DataFrame
        One row a group: `difference` with its t interval `low` … `high`, `p` (two-sided), `q` (false-discovery rate
        over the groups), `p_not_worse` (it is above -margin: non-inferiority), `p_not_better` (it is below the
        margin), `p_equivalent` (both), `detectable`, `power` (at the margin) and `n`. What cannot be tested is NaN.
    """
    from statsmodels.stats.power import TTestPower

    values = np.asarray(differences, dtype=float)
    n, mean = np.isfinite(values).sum(axis=1), np.nanmean(values, axis=1)
    testable = np.array([not _untestable(row[np.isfinite(row)]) for row in values], dtype=bool)
    spread = np.full(len(values), np.nan)
    spread[testable] = np.nanstd(values[testable], axis=1, ddof=1)
    pairs = np.maximum(n, 2)
    error, t = spread / np.sqrt(pairs), stats.t(pairs - 1)
    half = t.ppf(1 - alpha / 2) * error
    p = 2 * t.sf(np.abs(mean) / error)
    not_worse, not_better = t.sf((mean + margin) / error), t.cdf((mean - margin) / error)
    power = TTestPower().power(margin / spread, pairs, alpha)
    table = {
        "difference": mean, "low": mean - half, "high": mean + half, "p": p, "q": fdr(p), "p_not_worse": not_worse,
        "p_not_better": not_better, "p_equivalent": np.maximum(not_worse, not_better),
        "detectable": spread * np.array([detectable_effect(int(k), alpha) for k in pairs]),
        "power": np.where(testable, np.nan_to_num(power, nan=1.0), np.nan),  # far out, scipy's distribution is NaN
        "n": n,
    }  # fmt: skip
    return pd.DataFrame(table)


def above(values: np.ndarray, level: float) -> float | None:
    """Return the one-sided p-value of a mean above `level`; None where it cannot be tested."""
    values = np.asarray(values, dtype=float)
    values = values[np.isfinite(values)]
    return None if _untestable(values) else float(stats.ttest_1samp(values, level, alternative="greater").pvalue)


def fdr(p_values: Sequence[float | None]) -> np.ndarray:
    """Adjust a family of p-values by Benjamini and Hochberg; what could not be tested (None or NaN) is NaN."""
    values = np.array(p_values, dtype=float)
    tested = ~np.isnan(values)
    if tested.any():
        values[tested] = stats.false_discovery_control(values[tested])
    return values


def _untestable(difference: np.ndarray, units: str = "participants") -> str:
    """Say why a paired difference cannot be tested; empty where it can."""
    if len(difference) < 2:
        return f"there is only one {units.removesuffix('s')}"
    if np.ptp(difference) <= 1e-12 * max(1.0, np.abs(difference).max()):
        return f"the difference is the same in all {len(difference)} {units}"
    return ""


# --- power -------------------------------------------------------------------------------------------------------


@cache
def detectable_effect(n: int, alpha: float) -> float:
    """Return the mean, in standard deviations, that a two-sided t test of `n` pairs finds with ``POWER``."""
    from statsmodels.stats.power import TTestPower

    return float(TTestPower().solve_power(nobs=n, alpha=alpha, power=POWER))


def detectable_correlation(n: int, alpha: float) -> float:
    """Return the rank correlation over `n` > 3 units that a two-sided test finds with ``POWER``, by [1]_.

    References
    ----------
    .. [1] Fieller, Hartley & Pearson (1957), Tests for rank correlation coefficients. Biometrika 44.
    """
    return float(np.tanh((stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(POWER)) * np.sqrt(1.06 / (n - 3))))


# --- associations ------------------------------------------------------------------------------------------------


def association(x: np.ndarray, y: np.ndarray, alpha: float, seed: int) -> Finding:
    """Test whether `x` goes with `y` over tasks, apart from what all tasks of a method share.

    The estimate is the rank correlation over tasks within each method, mean over methods. Whole tasks are permuted:
    representations of one task are tuned on the same examples, so they are not independent; and that one method is
    higher in both `x` and `y` is a single contrast, not an association over tasks.

    Parameters
    ----------
    x, y : arrays of shape (n_tasks, n_methods)
        Finite.
    alpha : float
        The percentile interval (tasks resampled) covers 1 - alpha.
    seed : int
        Of permutations and bootstrap.
    """
    n = len(x)
    if n < LEAST_TASKS:
        return cannot(f"{n} tasks, and at least {LEAST_TASKS} are needed", n)
    if (np.ptp(x, axis=0) == 0).all() or (np.ptp(y, axis=0) == 0).all():
        return cannot(f"the values are the same in all {n} tasks", n)
    tasks, shared = (np.arange(n),), {"vectorized": True, "rng": np.random.default_rng(seed)}  # whole tasks move

    def permuted(order: np.ndarray, axis: int) -> np.ndarray:
        return rank_correlation(x[order], y)

    def resampled(chosen: np.ndarray, axis: int) -> np.ndarray:
        return rank_correlation(x[chosen], y[chosen])

    orders = factorial(n) if n <= EXACT_ORDERS_UP_TO else RESAMPLES
    found = stats.permutation_test(tasks, permuted, permutation_type="pairings", n_resamples=orders, **shared)
    estimate, p = float(found.statistic), float(found.pvalue)
    bounds, interval = {}, ""
    if n >= LEAST_FOR_INTERVAL:
        drawn = stats.bootstrap(
            tasks, resampled, n_resamples=RESAMPLES, confidence_level=1 - alpha, method="percentile", **shared
        ).confidence_interval
        bounds = {"low": float(drawn.low), "high": float(drawn.high)}
        interval = f"{_percent(alpha)} interval {drawn.low:+.2f} to {drawn.high:+.2f}; "
    sentence = (
        f"rank correlation {estimate:+.2f} over {n} tasks within methods ({interval}tasks permuted, {p_text(p)})."
    )
    return Finding(estimate=estimate, **bounds, statistic=estimate, p=p, n=n, sentence=sentence)


def rank_correlation(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return rank correlations over tasks, mean over methods: arrays [..., n_tasks, n_methods] → [...].

    A method without variance correlates 0.
    """
    a, b = (ranks - ranks.mean(-2, keepdims=True) for ranks in (stats.rankdata(v, axis=-2) for v in (x, y)))
    norm = np.sqrt((a**2).sum(-2) * (b**2).sum(-2))
    return np.divide((a * b).sum(-2), norm, out=np.zeros_like(norm), where=norm > 0).mean(-1)


# --- all cells ---------------------------------------------------------------------------------------------------


def mixed_model(table: pd.DataFrame, alpha: float) -> Finding:
    """Fit score ~ method × task with random intercepts and random method slopes, by restricted likelihood.

    The estimate is the effect of the method (prompt-tuned minus fine-tuned, mean over tasks). Intercepts vary over
    participants and regions, the effect over participants: without that slope, cells would count as independent
    evidence. The interval takes as many degrees of freedom as the paired t test has.

    Parameters
    ----------
    table : DataFrame
        Columns participant, region, task, method (prompt-tuned or fine-tuned) and pairwise, one row a cell.
    alpha : float
    """
    from statsmodels.formula.api import mixedlm

    n = table["participant"].nunique()
    sizes = table.groupby(["task", "method"]).size().unstack()
    reasons = {f"there is only one {name}": table[name].nunique() < 2 for name in ("participant", "method")}
    reasons |= {
        "cells are missing": sizes.isna().any(axis=None),
        "the scores do not vary": table["pairwise"].std() == 0,
    }
    if why := [reason for reason, holds in reasons.items() if holds]:
        return Finding(estimate=None, n=n, sentence=f"The mixed model cannot be fitted: {why[0]}.")
    parts = {"participant": "0 + C(participant)", "region": "0 + C(region)"}
    parts = {name: formula for name, formula in parts.items() if table[name].nunique() > 1}
    parts |= {"participant × method": "0 + C(participant):effect"}
    # hundredths: likelihoods of tiny variances are ill-conditioned
    coded = table.assign(score=100 * table["pairwise"], effect=np.where(table["method"] == "prompt-tuned", 0.5, -0.5))
    fixed = "score ~ effect" + (" * C(task, Sum)" if table["task"].nunique() > 1 else "")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a variance of zero is on the boundary, which is no fault
        try:
            model = mixedlm(fixed, coded, groups=np.ones(len(coded)), vc_formula=parts)
            fit = model.fit(method=["lbfgs", "powell"])
            effect, error = fit.params["effect"] / 100, fit.bse["effect"] / 100
        except (np.linalg.LinAlgError, ValueError):
            effect = error = np.nan
    if not (np.isfinite([effect, error]).all() and error > 0):
        return Finding(estimate=None, n=n, sentence="The mixed model cannot be fitted: its likelihood has no maximum.")
    t, half = effect / error, float(stats.t.ppf(1 - alpha / 2, n - 1) * error)
    low, high, p = effect - half, effect + half, float(2 * stats.t.sf(abs(t), n - 1))
    sentence = (
        f"Mixed model: prompt-tuned minus fine-tuned {effect:+.3f} ({_percent(alpha)} interval {low:+.3f} to "
        f"{high:+.3f}, {p_text(p)}; {len(table)} cells, random: {', '.join(parts)})."
    )
    return Finding(estimate=effect, low=low, high=high, statistic=t, p=p, n=n, sentence=sentence)


def crossed_mean(values: np.ndarray, alpha: float) -> Finding:
    """Estimate the mean of a participants × seeds table, where both participants and tuning seeds vary.

    Parameters
    ----------
    values : array of shape (n_participants, n_seeds)
    alpha : float
        The t interval covers 1 - alpha.

    Notes
    -----
    The variance of the mean comes from the mean squares of participants, seeds and rest, its degrees of freedom from
    [1]_. A bootstrap of participants and seeds covers less than it says with so few.

    References
    ----------
    .. [1] Satterthwaite (1946), An approximate distribution of estimates of variance components. Biometrics Bull. 2.
    """
    table = np.asarray(values, dtype=float)
    (n, seeds), estimate = table.shape, float(table.mean())
    if not np.isfinite(table).all() or min(n, seeds) < 2 or np.ptp(table) == 0:
        why = f"of {n} participants and {seeds} seeds; at least two of each are needed, complete and not all equal"
        sentence = f"There is no interval over participants and seeds {why}."
        return Finding(estimate=estimate if np.isfinite(estimate) else None, n=n, sentence=sentence)
    *squares, rest = _mean_squares(table).values()
    kept = [square for square in squares if square[0] > rest[0]]
    parts = [*kept, (-rest[0], rest[1])] if len(kept) == 2 else kept or [rest]
    variance = sum(square for square, _ in parts)
    degrees = variance**2 / sum(square**2 / k for square, k in parts)
    half = float(stats.t.ppf(1 - alpha / 2, degrees) * np.sqrt(variance / table.size))
    low, high = estimate - half, estimate + half
    sentence = (
        f"{estimate:+.3f} ({_percent(alpha)} interval over participants and seeds {low:+.3f} to {high:+.3f}; "
        f"{n} participants, {seeds} seeds)."
    )
    return Finding(estimate=estimate, low=low, high=high, n=n, sentence=sentence)


def variance_split(values: np.ndarray) -> dict[str, float]:
    """Return the shares of participant, region, seed and rest in the variance of a difference.

    They come from mean squares (method of moments). A factor with one level has no share, interactions count as rest.
    Empty where fewer than two factors have several levels, or nothing varies.

    Parameters
    ----------
    values : array of shape (n_participants, n_regions, n_seeds)
        Finite.
    """
    table = np.asarray(values, dtype=float)
    if sum(size > 1 for size in table.shape) < 2 or np.ptp(table) == 0:
        return {}
    squares = _mean_squares(table)
    noise, _ = squares.pop(-1)
    names = ("participant", "region", "seed")
    parts = {
        names[axis]: max(0.0, (square - noise) * table.shape[axis] / table.size)
        for axis, (square, _) in squares.items()
    }
    total = sum(parts.values()) + noise
    return {name: part / total for name, part in parts.items()} | {"rest": noise / total}


def _mean_squares(table: np.ndarray) -> dict[int, tuple[float, int]]:
    """Return axis → (mean square, degrees of freedom) of each axis with several levels, and of the rest as axis -1."""
    found, rest, free = {}, table - table.mean(), table.size - 1
    for axis in (axis for axis, size in enumerate(table.shape) if size > 1):
        effect = table.mean(tuple(a for a in range(table.ndim) if a != axis), keepdims=True) - table.mean()
        own = table.shape[axis] - 1
        found[axis] = (table.size / table.shape[axis] * float((effect**2).sum()) / own, own)
        rest, free = rest - effect, free - own
    return found | {-1: (float((rest**2).sum()) / free, free)}


# --- in words ----------------------------------------------------------------------------------------------------


def _percent(alpha: float) -> str:
    return f"{100 * (1 - alpha):g} %"


def p_text(p: float) -> str:
    """Put a p-value in words."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
