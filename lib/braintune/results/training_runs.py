"""How much the answer varies between training runs that differ only in their seed.

All participants and brain data sets are scored with the same tuned models, so what one training run does to all of them
does not average out, and with one seed no interval over them includes it. A run with several seeds measures it: the
answer is computed for each task and seed, and its variance between seeds is added to that of an answer with one seed.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from braintune.results import meta_analysis, tables
from braintune.results.claims import Ledger
from braintune.results.tables import ALL


def by_run(ledger: Ledger, direction: str, weights: tuple[float, ...]) -> dict[str, np.ndarray]:
    """Return prompt-tuned minus fine-tuned with each seed, as a fraction of the signal, at the first readout.

    Parameters
    ----------
    ledger : Ledger
    direction : str
        A key of :data:`braintune.results.tables.SCORE`.
    weights : tuple of float
        Of the brain data sets that allow a conclusion, in their order; those of an answer that combines them.

    Returns
    -------
    dict
        Brain data set → array of shape (n_learned_tasks, n_seeds), mean over participants or groups of stimuli; only
        data sets that allow a conclusion. :data:`braintune.results.tables.ALL` is their weighted mean.
    """
    found = {
        e.brain: np.array([e.difference(e.region, [task]).values.mean(0) for task in e.learned])
        for e in ledger.first(direction)
        if not e.closed
    }
    if len(weights) == len(found) > 1:
        found[ALL] = np.tensordot(weights, list(found.values()), axes=1)
    return found


@dataclass(frozen=True)
class Variation:
    """Variance of the answer between training runs, for a single task."""

    own: float  #: What differs between the tasks of one seed.
    shared: float  #: What they have in common: their covariance, at least 0.
    degrees: int  #: Degrees of freedom.

    @classmethod
    def between(cls, runs: np.ndarray) -> "Variation":
        """Measure it in an array of shape (n_tasks, n_seeds), with at least two seeds.

        The variance is pooled over tasks. If tasks have something in common, only seeds are independent.
        """
        covariance, n = np.atleast_2d(np.cov(runs)), len(runs)
        pooled, seeds = covariance.trace() / n, runs.shape[1] - 1
        shared = max(0.0, float(covariance.sum() - covariance.trace()) / (n * (n - 1))) if n > 1 else 0.0
        return cls(float(pooled) - shared, shared, seeds if shared else n * seeds)

    @property
    def deviation(self) -> float:
        """The standard deviation between runs on one task."""
        return float(np.sqrt(self.own + self.shared))

    def of_mean(self, n_tasks: int) -> float:
        """Return the variance of a mean over tasks that were tuned with one seed."""
        return self.shared + self.own / n_tasks

    def widen(self, error: float, degrees: float, n_tasks: int, alpha: float) -> tuple[float, float]:
        """Return the standard error of an answer with one seed, and half its interval, with the variation included.

        The degrees of freedom are Satterthwaite's. They may exceed the former ones so much that the interval would be
        narrower; then it stays as it is.
        """
        runs, level = self.of_mean(n_tasks), 1 - alpha / 2
        total = error**2 + runs
        both = total**2 / (error**4 / degrees + runs**2 / self.degrees)
        half = max(stats.t.ppf(level, degrees) * error, stats.t.ppf(level, both) * np.sqrt(total))
        return float(np.sqrt(total)), float(half)


def widened(repeated: Ledger, ledger: Ledger, direction: str) -> pd.DataFrame:
    """Return the answer of a run with one seed, without and with the variation between the runs that were `repeated`.

    Returns
    -------
    DataFrame
        One row per brain data set that allows a conclusion, then :data:`braintune.results.tables.ALL`: brain, who,
        tasks, `deviation` (of one task between runs), estimate, error, low, high, and the latter three with the
        variation: `all error`, `all low`, `all high`. Empty if other data sets allow a conclusion in the repeated run,
        since their variation is not that of the answer.
    """
    alpha, combined = ledger.study.fdr, meta_analysis.overall(ledger, direction)
    here = [e for e in ledger.first(direction) if not e.closed]
    runs = by_run(repeated, direction, combined.weights)
    if [e.brain for e in here] != [brain for brain in runs if brain != ALL] or len(repeated.study.seeds) < 2:
        return pd.DataFrame()
    known: dict[str, tuple[Any, ...]] = {}
    for e in here:
        effect = e.difference(e.region)
        known[e.brain] = (e.people, effect.estimate, *effect.error, *effect.interval(alpha))
    if ALL in runs and combined.low is not None and combined.high is not None:
        degrees = combined.n - 1
        error = (combined.high - combined.low) / 2 / stats.t.ppf(1 - alpha / 2, degrees)
        who = f"{combined.n} data sets combined"
        known[ALL] = (who, combined.estimate, error, degrees, combined.low, combined.high)
    rows = []
    for brain, (who, estimate, error, degrees, low, high) in known.items():
        varied, n_tasks = Variation.between(runs[brain]), len(here[0].learned)
        total, half = varied.widen(error, degrees, n_tasks, alpha)
        answer = (estimate, error, low, high, total, estimate - half, estimate + half)
        rows.append((brain, who, n_tasks, varied.deviation, *answer))
    columns = ["brain", "who", "tasks", "deviation", "estimate", "error", "low", "high"]
    return pd.DataFrame(rows, columns=[*columns, "all error", "all low", "all high"])


# --- in words ----------------------------------------------------------------------------------------------------


def seeds_in_words(ledger: Ledger) -> pd.DataFrame:
    """Return the answer of each brain data set with all seeds, the deviation between seeds, and that of each seed.

    The interval of all seeds is over participants (or groups of stimuli) and seeds, the combined one over data sets.
    """
    answers, rows = meta_analysis.answer_table(ledger), []
    answers["all seeds"] = meta_analysis.in_percent(answers, "difference")
    for direction in tables.SCORE:
        for brain, runs in by_run(ledger, direction, meta_analysis.overall(ledger, direction).weights).items():
            answer = answers[(answers["direction"] == direction) & (answers["brain"] == brain)].iloc[0]  # first readout
            means = pd.Series(runs.mean(0), ledger.study.seeds)
            cells = {"all seeds": answer["all seeds"], "standard deviation": _percent(means.std())}
            cells |= {f"seed {seed}": _percent(value, "+") for seed, value in means.items()}
            rows.append({"direction": direction, "brain data": answer["who"]} | cells)
    return pd.DataFrame(rows)


def widened_in_words(repeated: Ledger, ledger: Ledger) -> pd.DataFrame:
    """Return :func:`widened` in words, for each direction in which the same data sets allow a conclusion."""
    rows = [
        {
            "direction": direction,
            "brain data": row["who"],
            "deviation between runs, one task": _percent(row["deviation"]),
            "recorded answer": meta_analysis.in_percent(pd.DataFrame([row]), "estimate")[0],
            "standard error": _percent(row["error"]),
            "with the variation between runs": _percent(row["all error"]),
            "its interval": meta_analysis.in_percent(pd.DataFrame([row]), "all low", "all high")[0],
        }
        for direction in tables.SCORE
        for row in widened(repeated, ledger, direction).to_dict("records")
    ]
    return pd.DataFrame(rows)


def _percent(value: float, sign: str = "") -> str:
    return f"{value:{sign}z.1%}".replace("-", "−")
