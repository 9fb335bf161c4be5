"""Tests over participants and tasks: paired differences, associations, meta-analysis, and models of all cells.

A result is a :class:`Finding`. Where a test is impossible (one unit, no variance, missing cells) its numbers are None
and its sentence says why. `alpha` is the significance level set by the caller: intervals cover 1 - alpha.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import factorial
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

#: Up to this many tasks an association is tested with all their orders.
EXACT_ORDERS_UP_TO = 7
RESAMPLES = 5000
#: Below this many tasks an association is not tested, and has no bootstrap interval.
LEAST_TASKS, LEAST_FOR_INTERVAL = 4, 6


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The result of one test."""

    estimate: float | None  #: None only where nothing could be computed.
    low: float | None = None  #: Lower end of the interval of the estimate,
    high: float | None = None  #: and its upper end.
    p: float | None = None  #: Two-sided p-value.
    n: int  #: Units: participants, groups of stimuli, tasks, or brain data sets.
    sentence: str  #: The result in words, or why a test is impossible.
    further: tuple[float | None, float | None] = (None, None)  #: Prediction interval of a further data set.
    error: float | None = None  #: Standard error, with n - 1 degrees of freedom, where data sets are combined,
    weights: tuple[float, ...] = ()  #: and their weights, which sum to 1.


def cannot(why: str, n: int = 0) -> Finding:
    """Return the finding of an impossible test, with the reason."""
    return Finding(estimate=None, n=n, sentence=f"It cannot be tested: {why}.")


# --- paired differences ------------------------------------------------------------------------------------------


def paired_difference(difference: np.ndarray, alpha: float, units: str = "participants") -> Finding:
    """Test a paired difference: t interval, and two-sided t test.

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
    sentence = (
        f"{estimate:+.3f} ({_percent(alpha)} interval {low:+.3f} to {high:+.3f}; t({n - 1}) = {test.statistic:.2f}, "
        f"{p_text(test.pvalue)}; {n} {units})."
    )
    return Finding(estimate=estimate, low=low, high=high, p=float(test.pvalue), n=n, sentence=sentence)


def at_equal(difference: np.ndarray, covariate: np.ndarray, alpha: float) -> Finding:
    """Estimate a paired difference over tasks at the point where a covariate is zero, by least squares.

    Parameters
    ----------
    difference, covariate : arrays of shape (n_tasks,)
        For example, differences in closeness and in task score: methods that differ in how much they learned also
        differ in how far they moved, so they are compared at equal score.
    alpha : float
    """
    from statsmodels.regression.linear_model import OLS  # statsmodels.api would import everything
    from statsmodels.tools import add_constant

    n = len(difference)
    if n < LEAST_TASKS or np.ptp(covariate) == 0 or np.ptp(difference) == 0:
        return Finding(estimate=None, n=n, sentence=f"cannot be estimated from {n} tasks")
    fit = OLS(difference, add_constant(covariate)).fit()
    (low, high), p = fit.conf_int(alpha)[0], float(fit.pvalues[0])
    sentence = f"{fit.params[0]:+.3f} ({_percent(alpha)} interval {low:+.3f} to {high:+.3f}; {p_text(p)}; {n} tasks)"
    return Finding(estimate=float(fit.params[0]), low=float(low), high=float(high), p=p, n=n, sentence=sentence)


def combined(estimates: Sequence[float], errors: Sequence[float], alpha: float) -> Finding:
    """Combine one effect of several brain data sets by a random-effects meta-analysis [1]_.

    Parameters
    ----------
    estimates, errors : sequences of length n_brains
        Effects with their standard errors.
    alpha : float

    References
    ----------
    .. [1] Paule & Mandel (1982) for the variance between sets, Knapp & Hartung (2003) for the interval, both as in
       statsmodels ``combine_effects``. If a few data sets happen to agree, Knapp and Hartung's standard error is too
       small, so at least the usual standard error is used, as Röver, Knapp & Friede (2015) recommend.
    """
    from statsmodels.stats.meta_analysis import combine_effects

    n = len(estimates)
    if n < 2:
        return Finding(estimate=None, n=n, sentence="cannot be combined: two brain data sets are needed.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of intervals of the single sets, which are not used
        found = combine_effects(np.array(estimates), np.square(errors), method_re="iterated", use_t=True, alpha=alpha)
        table = found.summary_frame()
        rows, weights = table.loc[["random effect", "random effect wls"]], table["w_re"].iloc[:n]
    estimate, error = float(rows["eff"].iloc[0]), float(rows["sd_eff"].max())
    half, spread = stats.t.ppf(1 - alpha / 2, n - 1) * np.array([error, np.sqrt(found.tau2 + error**2)])
    low, high = float(estimate - half), float(estimate + half)
    sentence = (
        f"{estimate:+.1%} ({_percent(alpha)} interval {low:+.1%} to {high:+.1%}; in a further data set "
        f"{estimate - spread:+.1%} to {estimate + spread:+.1%}; standard deviation between sets {found.tau2**0.5:.1%}; "
        f"{n} brain data sets)."
    )
    further = float(estimate - spread), float(estimate + spread)
    known = Finding(estimate=estimate, low=low, high=high, n=n, sentence=sentence, further=further)
    return replace(known, error=error, weights=tuple(map(float, weights)))


def fdr(p_values: Sequence[float | None]) -> np.ndarray:
    """Adjust a family of p-values by Benjamini and Hochberg; impossible tests (None or NaN) give NaN."""
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


# --- associations ------------------------------------------------------------------------------------------------


def association(x: np.ndarray, y: np.ndarray, alpha: float, seed: int) -> Finding:
    """Test whether `x` is associated with `y` over tasks, apart from what all tasks of a method share.

    The estimate is the rank correlation over tasks within each participant and method, mean over both. Whole tasks are
    permuted: representations of one task are tuned on the same examples, so they are not independent. If one method is
    higher in both `x` and `y`, this is a single contrast, not an association over tasks.

    Parameters
    ----------
    x : array of shape (n_tasks, n_methods)
    y : array of shape (n_participants, n_tasks, n_methods)
        Both finite.
    alpha : float
        The percentile interval (tasks and participants resampled) covers 1 - alpha.
    seed : int
        Seed of the permutations and the bootstrap.
    """
    n = len(x)
    if n < LEAST_TASKS:
        return Finding(estimate=None, n=n, sentence=f"{n} tasks, and at least {LEAST_TASKS} are needed")
    if (np.ptp(x, axis=0) == 0).all() or (np.ptp(y, axis=1) == 0).all():
        return Finding(estimate=None, n=n, sentence=f"the values are the same in all {n} tasks")
    shared: dict[str, Any] = {"vectorized": True, "rng": (rng := np.random.default_rng(seed))}
    shared["n_resamples"] = factorial(n) if n <= EXACT_ORDERS_UP_TO else RESAMPLES
    one, others = _standard_ranks(x), _standard_ranks(y).mean(0)
    moved = lambda order, axis: (one[order] * others).sum(-2).mean(-1)  # noqa: E731
    found = stats.permutation_test((np.arange(n),), moved, permutation_type="pairings", **shared)
    estimate, p = float(found.statistic), float(found.pvalue)
    bounds: dict[str, Any] = {}
    interval = ""
    if n >= LEAST_FOR_INTERVAL:
        tasks, people = (rng.integers(size, size=(RESAMPLES, size)) for size in (n, len(y)))
        drawn = _standard_ranks(x[tasks])[:, None] * _standard_ranks(y[people[:, :, None], tasks[:, None]])
        low, high = np.quantile(drawn.sum(-2).mean((-1, -2)), [alpha / 2, 1 - alpha / 2])
        bounds = {"low": float(low), "high": float(high)}
        interval = f"{_percent(alpha)} interval {low:+z.2f} to {high:+z.2f}; "
    sentence = f"{estimate:+z.2f} across {n} tasks within methods ({interval}permutation of tasks: {p_text(p)})."
    return Finding(estimate=estimate, **bounds, p=p, n=n, sentence=sentence)


def _standard_ranks(values: np.ndarray) -> np.ndarray:
    """Rank over tasks, [..., n_tasks, n_methods], with mean 0 and norm 1; 0 where nothing varies."""
    ranks = stats.rankdata(values, axis=-2)
    ranks -= ranks.mean(-2, keepdims=True)
    norm = np.linalg.norm(ranks, axis=-2, keepdims=True)
    return np.divide(ranks, norm, out=np.zeros_like(ranks), where=norm > 0)


# --- all cells ---------------------------------------------------------------------------------------------------


def mixed_model(table: pd.DataFrame, alpha: float) -> Finding:
    """Fit score ~ method × task with random intercepts and random method slopes, by restricted likelihood.

    The estimate is the effect of the method (prompt-tuned minus fine-tuned, mean over tasks). Intercepts vary over
    participants and regions, and the effect varies over participants: without this random slope, cells would count as
    independent evidence. The interval uses the degrees of freedom of the paired t test.

    Parameters
    ----------
    table : DataFrame
        Columns participant, region, task, method (prompt-tuned or fine-tuned) and score, one row per cell.
    alpha : float
    """
    from statsmodels.formula.api import mixedlm

    n = table["participant"].nunique()
    sizes = table.groupby(["task", "method"]).size().unstack()
    reasons = {f"there is only one {name}": table[name].nunique() < 2 for name in ("participant", "method")}
    reasons |= {
        "cells are missing": sizes.isna().any(axis=None),
        "the scores do not vary": table["score"].std() == 0,
    }
    if why := [reason for reason, holds in reasons.items() if holds]:
        return Finding(estimate=None, n=n, sentence=f"The mixed model cannot be fitted: {why[0]}.")
    parts = {"participant": "0 + C(participant)", "region": "0 + C(region)"}
    parts = {name: formula for name, formula in parts.items() if table[name].nunique() > 1}
    parts |= {"participant × method": "0 + C(participant):effect"}
    # hundredths: likelihoods of tiny variances are ill-conditioned
    coded = table.assign(score=100 * table["score"], effect=np.where(table["method"] == "prompt-tuned", 0.5, -0.5))
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
        f"{high:+.3f}, {p_text(p)}; {len(table)} cells, random effects: {', '.join(parts)})."
    )
    return Finding(estimate=effect, low=low, high=high, p=p, n=n, sentence=sentence)


def standard_error(values: np.ndarray) -> tuple[float, float]:
    """Return the standard error of a mean over participants and tuning seeds, and its degrees of freedom.

    Parameters
    ----------
    values : array of shape (n_participants, n_seeds)

    Returns
    -------
    error, degrees : float
        NaN where there is one participant only, a value is missing, or nothing varies.

    Notes
    -----
    With one seed they are those of the t test over participants, and the tuned models count as fixed. With several,
    both vary: the variance comes from the mean squares of participants, seeds and rest, its degrees of freedom from
    [1]_. With so few participants and seeds, the coverage of a bootstrap is below its nominal level.

    References
    ----------
    .. [1] Satterthwaite (1946), An approximate distribution of estimates of variance components. Biometrics Bull. 2.
    """
    table = np.asarray(values, dtype=float)
    if len(table) < 2 or not np.isfinite(table).all() or np.ptp(table) <= 1e-12 * max(1.0, np.abs(table).max()):
        return np.nan, np.nan
    if table.shape[1] == 1:
        return float(table.std(ddof=1) / np.sqrt(table.size)), float(table.size - 1)
    *squares, rest = _mean_squares(table).values()
    kept = [square for square in squares if square[0] > rest[0]]
    parts = [*kept, (-rest[0], rest[1])] if len(kept) == 2 else kept or [rest]
    variance = sum(square for square, _ in parts)
    return float(np.sqrt(variance / table.size)), float(variance**2 / sum(square**2 / k for square, k in parts))


def shrunken(values: np.ndarray) -> np.ndarray:
    """Shrink the means of several tasks towards their common mean, depending on how much of their variance is error.

    These are the predicted task effects of a model with random effects of tasks, participants and seeds, with variances
    estimated by the method of moments (empirical Bayes [1]_). Of many noisy tasks, the most extreme is extreme partly
    by chance.

    Parameters
    ----------
    values : array of shape (n_tasks, n_participants, n_seeds)

    Returns
    -------
    array of shape (n_tasks,)
        NaN with one participant: its errors are not known.

    References
    ----------
    .. [1] Efron & Morris (1975). Data analysis using Stein's estimator and its generalizations. Journal of the American
       Statistical Association 70, 311-319.
    """
    means = values.mean((1, 2))
    away = means - means.mean()
    if values.shape[1] < 2:
        return means * np.nan
    if not away.any():
        return means
    errors = np.nan_to_num([standard_error(task)[0] for task in values - values.mean(0)])  # 0 where nothing varies
    error = np.mean(errors**2)
    return means.mean() + np.maximum(0, 1 - error / np.mean(away**2)) * away


def variance_split(values: np.ndarray) -> dict[str, float]:
    """Return the shares of participant, region, seed and residual in the variance of a difference.

    They come from mean squares (method of moments). A factor with one level has no share, and interactions count as
    residual variance. Empty where fewer than two factors have several levels, or nothing varies.

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
    return {name: part / total for name, part in parts.items()} | {"residual": noise / total}


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
    """Write a p-value as text."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
