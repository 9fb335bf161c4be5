"""Tests over participants and tasks: differences, margins, associations, power, and false-discovery rate.

Every result is a :class:`Finding`: estimate, interval, statistic, p-value, number of units and a sentence. Where a test
is impossible (one unit, no variance, missing cells) its numbers are None and the sentence says why: nothing is NaN.
`alpha` is always the level of the caller: tests report p-values, intervals cover 1 - alpha.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import permutations

import numpy as np
import pandas as pd
from scipy import stats as scipy_stats
from scipy.stats import rankdata

from braintune.core.base import BraintuneError

#: Above this many pairs the sign-flip test draws signs at random instead of trying all.
EXACT_UP_TO = 20
RANDOM_FLIPS = 100_000
#: Above this many tasks the permutation test of an association draws orders at random instead of trying all.
ALL_ORDERS_UP_TO = 7
RANDOM_ORDERS = 5000
#: Below this many tasks an association has no bootstrap interval: too few different samples.
LEAST_FOR_INTERVAL = 6
#: Bootstrap samples of an interval, and simulated studies of a power.
RESAMPLES = 2000
SIMULATIONS = 4000
#: The probability with which a detectable difference is detected.
POWER = 0.8


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The result of one test.

    Attributes
    ----------
    estimate : float or None
        What is estimated; None only where nothing could be computed.
    low, high : float or None
        Interval of the estimate; one-sided tests leave the open side None.
    statistic, p : float or None
        Test statistic and p-value. Where a test is impossible they are None and `sentence` says why.
    n : int
        Units: participants, or tasks.
    sentence : str
        The result in words.
    """

    estimate: float | None
    low: float | None = None
    high: float | None = None
    statistic: float | None = None
    p: float | None = None
    n: int
    sentence: str


@dataclass(frozen=True, kw_only=True)
class PairedDifference(Finding):
    """Difference of two conditions, paired: mean of a - b, t interval, two-sided t test.

    Attributes
    ----------
    p_sign_flip : float or None
        Two-sided sign-flip test; with n pairs it cannot be below 2 / 2ⁿ.
    """

    p_sign_flip: float | None = None


@dataclass(frozen=True, kw_only=True)
class MarginTest(Finding):
    """Test of a paired difference against a margin: non-inferiority or equivalence.

    Attributes
    ----------
    margin, alpha : float
    """

    margin: float
    alpha: float

    @property
    def shown(self) -> bool:
        """Whether the difference is shown to be on the right side of the margin."""
        return self.p is not None and self.p < self.alpha


# --- paired differences ------------------------------------------------------------------------------------------


def paired_difference(a: np.ndarray, b: np.ndarray, alpha: float, units: str = "participants") -> PairedDifference:
    """Compare two conditions, paired over participants (or tasks), by t test and exact sign flips.

    Parameters
    ----------
    a, b : arrays of shape (n_units,)
    alpha : float
        The interval covers 1 - alpha.
    units : str
        What is paired, for the sentence.

    Raises
    ------
    BraintuneError
        If the arrays do not pair up, are empty, or hold non-finite values.
    """
    difference = _differences(a, b)
    n, estimate = len(difference), float(difference.mean())
    if reason := _untestable(difference, units):
        return PairedDifference(estimate=estimate, n=n, sentence=f"{estimate:+.3f}, which cannot be tested: {reason}.")
    test = scipy_stats.ttest_1samp(difference, 0.0)
    low, high = (float(bound) for bound in test.confidence_interval(1 - alpha))
    flips = sign_flip_p(difference)
    sentence = (
        f"{estimate:+.3f} ({_percent(1 - alpha)} interval {low:+.3f} to {high:+.3f}; t({n - 1}) = {test.statistic:.2f},"
        f" {p_text(test.pvalue)}; sign flips {p_text(flips)}; {n} {units})."
    )
    return PairedDifference(
        estimate=estimate, low=low, high=high, statistic=float(test.statistic), p=float(test.pvalue), n=n,
        p_sign_flip=flips, sentence=sentence,
    )  # fmt: skip


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


def non_inferiority(a: np.ndarray, b: np.ndarray, margin: float, alpha: float) -> MarginTest:
    """Test whether `a` is at most `margin` below `b` (one-sided paired t test; `low` is the one-sided bound)."""
    difference, margin = _differences(a, b), _not_negative(margin)
    n, estimate = len(difference), float(difference.mean())
    shared = {"estimate": estimate, "n": n, "margin": margin, "alpha": alpha}
    if reason := _untestable(difference):
        return MarginTest(**shared, sentence=f"Non-inferiority cannot be tested: {reason}.")
    test = scipy_stats.ttest_1samp(difference, -margin, alternative="greater")
    low, p = float(test.confidence_interval(1 - alpha).low), float(test.pvalue)
    verdict = "not inferior" if p < alpha else "not shown to be non-inferior"
    sentence = f"{verdict} by a margin of {margin:g} ({estimate:+.3f}, {p_text(p)}, n = {n})."
    return MarginTest(**shared, low=low, statistic=float(test.statistic), p=p, sentence=sentence)


def tost(a: np.ndarray, b: np.ndarray, margin: float, alpha: float) -> MarginTest:
    """Test whether `a` and `b` differ by less than `margin` either way (two one-sided paired t tests).

    The interval covers 1 - 2 alpha: equivalence is shown exactly where it lies within the margin.
    """
    difference, margin = _differences(a, b), _not_negative(margin)
    n, estimate = len(difference), float(difference.mean())
    shared = {"estimate": estimate, "n": n, "margin": margin, "alpha": alpha}
    if reason := _untestable(difference):
        return MarginTest(**shared, sentence=f"Equivalence cannot be tested: {reason}.")
    below = scipy_stats.ttest_1samp(difference, -margin, alternative="greater")
    above = scipy_stats.ttest_1samp(difference, margin, alternative="less")
    nearer = max(below, above, key=lambda test: test.pvalue)
    low, high = below.confidence_interval(1 - alpha).low, above.confidence_interval(1 - alpha).high
    p = float(nearer.pvalue)
    verdict = "equivalent" if p < alpha else "not shown to be equivalent"
    sentence = f"{verdict} within ±{margin:g} ({estimate:+.3f}, {p_text(p)}, n = {n})."
    return MarginTest(
        **shared, low=float(low), high=float(high), statistic=float(nearer.statistic), p=p, sentence=sentence
    )


def paired_family(differences: np.ndarray, margin: float, alpha: float) -> pd.DataFrame:
    """Test many paired differences at once: the numbers of :func:`paired_difference` and of the margin tests.

    Parameters
    ----------
    differences : array of shape (n_groups, n_units)
        NaN where a group lacks a unit.
    margin, alpha : float

    Returns
    -------
    DataFrame
        One row a group: `difference` with its interval `low` … `high`, `p` (two-sided), `q` (false-discovery rate over
        the groups), `p_margin` (non-inferiority), `p_equivalent`, `detectable`, `power` (at the margin) and `n`. What
        cannot be tested is NaN.
    """
    values, margin = np.asarray(differences, dtype=float), _not_negative(margin)
    table = pd.DataFrame({"difference": np.nanmean(values, axis=1), "n": np.isfinite(values).sum(axis=1)})
    numbers = ["low", "high", "p", "q", "p_margin", "p_equivalent", "detectable", "power"]
    table[numbers] = np.nan
    whole = [row[np.isfinite(row)] for row in values]
    testable = np.array([len(row) > 1 and not _untestable(row) for row in whole], dtype=bool)
    for n in table.loc[testable, "n"].unique():
        at = np.flatnonzero(testable & (table["n"] == n))
        rows = np.stack([whole[i] for i in at])
        test = scipy_stats.ttest_1samp(rows, 0.0, axis=1)
        bounds = test.confidence_interval(1 - alpha)
        low = scipy_stats.ttest_1samp(rows, -margin, axis=1, alternative="greater").pvalue
        high = scipy_stats.ttest_1samp(rows, margin, axis=1, alternative="less").pvalue
        power = [(smallest_detectable(row, alpha), power_at(row, margin, alpha)) for row in rows]
        found = [bounds.low, bounds.high, test.pvalue, low, np.maximum(low, high), *np.transpose(power)]
        table.loc[at, [name for name in numbers if name != "q"]] = np.transpose(found)
    table["q"] = fdr(table["p"].replace(np.nan, None))
    return table[["difference", *numbers, "n"]]


def above(values: np.ndarray, level: float) -> float | None:
    """Return the one-sided p-value of participants' mean lying above `level`; None where it cannot be tested."""
    values = np.asarray(values, dtype=float)
    values = values[np.isfinite(values)]
    if len(values) < 2 or _untestable(values):
        return None
    return float(scipy_stats.ttest_1samp(values, level, alternative="greater").pvalue)


def fdr(p_values: Sequence[float | None]) -> np.ndarray:
    """Adjust a family of p-values by Benjamini and Hochberg; what could not be tested (None) stays NaN."""
    values = np.array([np.nan if p is None else p for p in p_values], dtype=float)
    tested = ~np.isnan(values)
    if tested.any():
        values[tested] = scipy_stats.false_discovery_control(values[tested])
    return values


def crossed_mean(values: np.ndarray, alpha: float) -> Finding:
    """Estimate the mean of a participants × seeds table, where both participants and tuning seeds vary.

    Parameters
    ----------
    values : array of shape (n_participants, n_seeds)
        A difference, say.
    alpha : float
        The t interval covers 1 - alpha.

    Notes
    -----
    The variance of the mean is put together from the mean squares of participants, seeds and rest; its degrees of
    freedom are those of [1]_. Drawing participants and seeds anew (bootstrap) covers less than it says with so few.

    References
    ----------
    .. [1] Satterthwaite (1946), An approximate distribution of estimates of variance components. Biometrics Bull. 2.
    """
    table = np.asarray(values, dtype=float)
    n, seeds = table.shape
    estimate = float(table.mean()) if np.isfinite(table).all() and table.size else None
    reason = "a value is missing" if estimate is None else ""
    if not reason and min(n, seeds) < 2:
        reason = f"{n} participants and {seeds} seeds; two of each are needed"
    if not reason and np.ptp(table) == 0:
        reason = "the difference is the same in all cells"
    if reason:
        return Finding(
            estimate=estimate, n=n, sentence=f"The interval over participants and seeds cannot be had: {reason}."
        )
    squares, free = _mean_squares(table)
    rest, rest_free = squares.pop(), free.pop()
    kept = [(square, k) for square, k in zip(squares, free, strict=True) if square > rest]
    parts = [*kept, (-rest, rest_free)] if len(kept) == 2 else kept or [(rest, rest_free)]
    variance = sum(square for square, _ in parts)
    degrees = variance**2 / sum(square**2 / k for square, k in parts)
    half = float(scipy_stats.t.ppf(1 - alpha / 2, degrees) * np.sqrt(variance / table.size))
    low, high = estimate - half, estimate + half
    sentence = (
        f"{estimate:+.3f} ({_percent(1 - alpha)} interval over participants and seeds {low:+.3f} to {high:+.3f}; "
        f"{n} participants, {seeds} seeds)."
    )
    return Finding(estimate=estimate, low=low, high=high, n=n, sentence=sentence)


def _mean_squares(table: np.ndarray) -> tuple[list[float], list[int]]:
    """Return the mean squares of the rows, the columns and the rest of a table, and their degrees of freedom."""
    n, k = table.shape
    rows, columns = (table.mean(axis, keepdims=True) - table.mean() for axis in (1, 0))
    rest = table - table.mean() - rows - columns
    free = [n - 1, k - 1, (n - 1) * (k - 1)]
    sums = k * (rows**2).sum(), n * (columns**2).sum(), (rest**2).sum()
    return [float(total) / f for total, f in zip(sums, free, strict=True)], free


# --- power -------------------------------------------------------------------------------------------------------


def smallest_detectable(difference: np.ndarray, alpha: float, power: float = POWER) -> float | None:
    """Return the mean difference that a two-sided paired t test finds with probability `power`.

    Studies are simulated with the observed number of pairs and the observed standard deviation. None where that is
    unknown.

    Parameters
    ----------
    difference : array of shape (n_units,)
    """
    values = np.asarray(difference, dtype=float)
    if len(values) < 2 or _untestable(values):
        return None
    return float(values.std(ddof=1) * _effect_for_power(len(values), alpha, power))


def power_at(difference: np.ndarray, effect: float, alpha: float) -> float | None:
    """Return the probability that a mean difference of `effect` would be found, by simulation; None if unknown."""
    values = np.asarray(difference, dtype=float)
    if len(values) < 2 or _untestable(values):
        return None
    return _power(len(values), abs(effect) / float(values.std(ddof=1)), alpha)


def detectable_correlation(n: int, alpha: float, power: float = POWER) -> float | None:
    """Return the correlation that a two-sided rank test over `n` units finds with probability `power`."""
    return _correlation_for_power(n, alpha, power) if n >= 4 else None


@cache
def _noise(n: int) -> np.ndarray:
    return np.random.default_rng(n).standard_normal((SIMULATIONS, n))


def _power(n: int, effect: float, alpha: float) -> float:
    """Share of simulated studies of `n` pairs with unit deviation in which a t test finds `effect`."""
    noise = _noise(n)
    t = (noise.mean(1) + effect) / (noise.std(1, ddof=1) / np.sqrt(n))
    return float((np.abs(t) > scipy_stats.t.ppf(1 - alpha / 2, n - 1)).mean())


@cache
def _effect_for_power(n: int, alpha: float, power: float) -> float:
    low, high = 0.0, 1.0
    while _power(n, high, alpha) < power:
        high *= 2
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (low, middle) if _power(n, middle, alpha) >= power else (middle, high)
    return high


@cache
def _correlation_for_power(n: int, alpha: float, power: float) -> float | None:
    dice = np.random.default_rng(n)
    x, noise = dice.standard_normal((2, SIMULATIONS, n))
    critical = np.quantile(np.abs(_row_correlations(_ranks(x), _ranks(noise))), 1 - alpha)
    for rho in np.arange(0.05, 1.0, 0.01):
        found = _row_correlations(_ranks(x), _ranks(rho * x + np.sqrt(1 - rho**2) * noise))
        if (np.abs(found) > critical + 1e-9).mean() >= power:
            return round(float(rho), 2)
    return None


# --- associations ------------------------------------------------------------------------------------------------


def association(x: np.ndarray, y: np.ndarray, alpha: float, seed: int) -> Finding:
    """Test whether `x` goes with `y` over tasks, apart from what all tasks of a method share.

    The estimate is the rank correlation over tasks within each method, mean over methods. Its p-value comes from
    permuting whole tasks: representations of one task are tuned on the same examples, so they are not independent; and
    that one method lies higher in both `x` and `y` is a single contrast, which does not make an association over tasks.

    Parameters
    ----------
    x, y : arrays of shape (n_tasks, n_methods)
    alpha : float
        The percentile interval (tasks drawn anew) covers 1 - alpha.
    seed : int
        Of permutations and bootstrap.

    Raises
    ------
    BraintuneError
        If the shapes differ or values are not finite.
    """
    x, y = (np.asarray(v, dtype=float) for v in (x, y))
    if x.shape != y.shape or x.ndim != 2:
        raise BraintuneError(f"cannot relate values of shapes {x.shape} and {y.shape}; allowed is tasks × methods")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise BraintuneError("cannot relate values that are NaN or infinite; drop the tasks that lack one")
    n = len(x)
    if n < 4:
        return Finding(estimate=None, n=n, sentence=f"cannot be tested: {n} tasks, and at least 4 are needed.")
    if (np.ptp(x, axis=0) == 0).all() or (np.ptp(y, axis=0) == 0).all():
        return Finding(estimate=None, n=n, sentence=f"cannot be tested: the values are the same in all {n} tasks.")
    dice = np.random.default_rng(seed)
    ranked = _ranks(y.T)
    estimate = float(_row_correlations(_ranks(x.T), ranked).mean())
    orders = _orders(n, dice)
    drawn = np.mean([_row_correlations(_ranks(a)[None], b[orders]) for a, b in zip(x.T, ranked, strict=True)], axis=0)
    extreme = int((np.abs(drawn) >= abs(estimate) - 1e-9).sum())
    added = int(n > ALL_ORDERS_UP_TO)
    p = (extreme + added) / (len(orders) + added)
    bounds, told = {}, ""
    if n >= LEAST_FOR_INTERVAL:
        low, high = _interval_over_tasks(x, y, alpha, dice)
        bounds, told = {"low": low, "high": high}, f"{_percent(1 - alpha)} interval {low:+.2f} to {high:+.2f}; "
    sentence = f"rank correlation {estimate:+.2f} over {n} tasks within methods ({told}tasks permuted, {p_text(p)})."
    return Finding(estimate=estimate, **bounds, statistic=estimate, p=p, n=n, sentence=sentence)


def _interval_over_tasks(x: np.ndarray, y: np.ndarray, alpha: float, dice: np.random.Generator) -> tuple[float, float]:
    who = dice.integers(0, len(x), (RESAMPLES, len(x)))
    again = np.mean([_row_correlations(_ranks(a[who]), _ranks(b[who])) for a, b in zip(x.T, y.T, strict=True)], axis=0)
    low, high = np.quantile(again, [alpha / 2, 1 - alpha / 2])
    return float(low), float(high)


def _orders(n: int, dice: np.random.Generator) -> np.ndarray:
    if n <= ALL_ORDERS_UP_TO:
        return np.array(list(permutations(range(n))))
    return dice.permuted(np.tile(np.arange(n), (RANDOM_ORDERS, 1)), axis=1)


def _ranks(values: np.ndarray) -> np.ndarray:
    """Return ranks along the last axis, centred."""
    ranked = rankdata(values, axis=-1)
    return ranked - ranked.mean(-1, keepdims=True)


def _row_correlations(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Correlate centred rows; a row without variance correlates 0."""
    norm = np.sqrt((a**2).sum(-1) * (b**2).sum(-1))
    return np.divide((a * b).sum(-1), norm, out=np.zeros_like(norm), where=norm > 0)


# --- models of all cells -----------------------------------------------------------------------------------------


def mixed_model(table: pd.DataFrame, alpha: float) -> Finding:
    """Fit score ~ method × task, random intercepts of participant and region, by restricted likelihood.

    The estimate is the effect of the method (prompt-tuned minus fine-tuned, mean over tasks). It varies from
    participant to participant too (a random slope): without that, cells would count as independent evidence and the
    interval would be too narrow. Its interval takes as many degrees of freedom as the paired t test has.

    Parameters
    ----------
    table : DataFrame
        Columns participant, region, task, method (prompt-tuned or fine-tuned) and pairwise, one row a cell.
    alpha : float
        The interval covers 1 - alpha.
    """
    from statsmodels.regression.mixed_linear_model import MixedLM

    n = table["participant"].nunique()
    few = [name for name, least in (("participant", 2), ("method", 2)) if table[name].nunique() < least]
    empty = table.groupby(["task", "method"]).size().unstack().isna().to_numpy().any() if len(table) else True
    if few or empty or table["pairwise"].std() == 0:
        why = f"there is only one {few[0]}" if few else "cells are missing" if empty else "the scores do not vary"
        return Finding(estimate=None, n=n, sentence=f"The mixed model cannot be fitted: {why}.")
    tasks = pd.get_dummies(table["task"], dtype=float).to_numpy()
    coded = (tasks - tasks[:, -1:])[:, :-1]  # sum coding, so that the method's effect is the mean over tasks
    method = np.where(table["method"] == "prompt-tuned", 0.5, -0.5)[:, None]
    design = np.hstack([np.ones_like(method), method, coded, method * coded])
    parts = {name: pd.get_dummies(table[name], dtype=float) for name in ("participant", "region")}
    parts = {name: dummies.to_numpy() for name, dummies in parts.items() if dummies.shape[1] > 1}
    if "participant" in parts:
        parts["participant × method"] = parts["participant"] * method
    scale = 100 * table["pairwise"].to_numpy()  # hundredths: likelihoods of tiny variances are ill-conditioned
    fitted = _fit(MixedLM, scale, design, parts)
    if fitted is None:
        return Finding(estimate=None, n=n, sentence="The mixed model cannot be fitted: its likelihood has no maximum.")
    effect, error = fitted[0] / 100, fitted[1] / 100
    t = effect / error
    p = float(2 * scipy_stats.t.sf(abs(t), n - 1))
    half = float(scipy_stats.t.ppf(1 - alpha / 2, n - 1) * error)
    sentence = (
        f"Mixed model: prompt-tuned minus fine-tuned {effect:+.3f} ({_percent(1 - alpha)} interval "
        f"{effect - half:+.3f} to {effect + half:+.3f}, {p_text(p)}; "
        f"{len(table)} cells, random: {', '.join(parts)})."
    )
    return Finding(estimate=effect, low=effect - half, high=effect + half, statistic=t, p=p, n=n, sentence=sentence)


def _fit(
    model: type, score: np.ndarray, design: np.ndarray, parts: dict[str, np.ndarray]
) -> tuple[float, float] | None:
    """Fit crossed random effects; return the method's effect and its standard error, None where it fails."""
    import warnings

    from statsmodels.regression.mixed_linear_model import VCSpec

    names = [[f"{name}{i}" for i in range(matrix.shape[1])] for name, matrix in parts.items()]
    spec = VCSpec(list(parts), [[columns] for columns in names], [[matrix] for matrix in parts.values()])
    everyone = np.zeros(len(score))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a variance of zero lies on the boundary, which is no fault
        try:
            fit = model(score, design, groups=everyone, exog_vc=spec).fit(reml=True, method=["lbfgs", "powell"])
        except (np.linalg.LinAlgError, ValueError):
            return None
    effect, error = float(fit.params[1]), float(fit.bse[1])
    return (effect, error) if np.isfinite([effect, error]).all() and error > 0 else None


@dataclass(frozen=True)
class VarianceSplit:
    """Shares of the variance of a difference.

    Attributes
    ----------
    participant, region, seed : float or None
        Share that is due to each; None where it has only one level.
    rest : float or None
        What is left: noise, and interactions. None where nothing can be split.
    sentence : str
        The result in words.
    """

    participant: float | None
    region: float | None
    seed: float | None
    rest: float | None
    sentence: str


def variance_split(values: np.ndarray) -> VarianceSplit:
    """Split the variance of a difference into participant, region and seed, by the method of moments.

    The three are crossed; their interactions count as rest.

    Parameters
    ----------
    values : array of shape (n_participants, n_regions, n_seeds)
        Complete and finite.
    """
    table = np.asarray(values, dtype=float)
    names = ("participant", "region", "seed")
    crossed = [axis for axis in range(3) if table.shape[axis] > 1]
    none = dict.fromkeys((*names, "rest"))
    if not np.isfinite(table).all() or not table.size:
        return VarianceSplit(**none, sentence="The variance cannot be split: cells are missing.")
    if len(crossed) < 2 or np.ptp(table) == 0:
        why = "all cells are equal" if len(crossed) > 1 else "two of participant, region and seed must have two levels"
        return VarianceSplit(**none, sentence=f"The variance cannot be split: {why}.")
    grand, left, free = table.mean(), table - table.mean(), table.size - 1
    squares = {}
    for axis in crossed:
        effect = table.mean(tuple(a for a in range(3) if a != axis), keepdims=True) - grand
        left = left - effect
        free -= table.shape[axis] - 1
        repeats = table.size / table.shape[axis]
        squares[axis] = (repeats * float((effect**2).sum()) / (table.shape[axis] - 1), repeats)
    noise = float((left**2).sum()) / free
    parts = {names[axis]: max(0.0, (square - noise) / repeats) for axis, (square, repeats) in squares.items()}
    total = sum(parts.values()) + noise
    shares = {name: part / total for name, part in parts.items()} | {"rest": noise / total}
    told = ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
    return VarianceSplit(**(none | shares), sentence=f"Variance of the difference: {told}.")


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


def _untestable(difference: np.ndarray, units: str = "participants") -> str:
    if len(difference) < 2:
        return f"there is only one {units.removesuffix('s')}"
    if np.ptp(difference) <= 1e-12 * max(1.0, np.abs(difference).max()):
        return f"the difference is the same in all {len(difference)} {units}"
    return ""


def _not_negative(margin: float) -> float:
    if not margin >= 0:
        raise BraintuneError(f"margin: {margin} must be 0 or above; set `margin` in the profile")
    return float(margin)


def _percent(share: float) -> str:
    return f"{100 * share:g} %"


def p_text(p: float) -> str:
    """Put a p-value in words."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
