"""How much the answer varies between training runs that differ only in their seed.

All participants and brain data sets are scored with the same tuned models, so what one training run does to all of them
does not average out, and with one seed no interval over them includes it. A run with several seeds measures it: the
answer is computed for each task and seed, and its variance between seeds is added to that of an answer with one seed.
"""

from dataclasses import dataclass

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
        `deviation` (of one task between runs), estimate, error, low, high, and the latter three with the variation:
        `all error`, `all low`, `all high`. Empty if other data sets allow a conclusion in the repeated run, since their
        variation is not that of the answer.
    """
    combined = meta_analysis.overall(ledger, direction)
    here = [e for e in ledger.first(direction) if not e.closed]
    runs = by_run(repeated, direction, combined.weights)
    if [e.brain for e in here] != [brain for brain in runs if brain != ALL] or len(repeated.study.seeds) < 2:
        return pd.DataFrame()
    effects = {e.brain: (e.people, e.difference(e.region)) for e in here}
    known = {brain: (who, effect.estimate, *effect.error) for brain, (who, effect) in effects.items()}
    if combined.estimate is not None and combined.error is not None and ALL in runs:
        known[ALL] = (f"{combined.n} data sets combined", combined.estimate, combined.error, combined.n - 1)
    rows, alpha, n_tasks = [], ledger.study.fdr, len(here[0].learned) if here else 0
    for brain, (who, estimate, error, degrees) in known.items():
        varied, alone = Variation.between(runs[brain]), stats.t.ppf(1 - alpha / 2, degrees) * error
        total, half = varied.widen(error, degrees, n_tasks, alpha)
        ends = [estimate - alone, estimate + alone, total, estimate - half, estimate + half]
        rows.append((brain, who, varied.deviation, estimate, error, *ends))
    columns = ["brain", "who", "deviation", "estimate", "error", "low", "high", "all error", "all low", "all high"]
    return pd.DataFrame(rows, columns=columns)


def signs(ledger: Ledger, direction: str) -> dict[str, str]:
    """Count the answers with single seeds that favour fine-tuning, and say of how many.

    Returns
    -------
    dict
        ``combined`` (mean over tasks, data sets combined), ``data sets`` (each of them), ``tasks`` (also each task).
    """
    found = by_run(ledger, direction, meta_analysis.overall(ledger, direction).weights)
    sets = [runs for brain, runs in found.items() if brain != ALL]
    whole = [found[ALL].mean(0)] if ALL in found else []
    return {"combined": _below(whole), "data sets": _below([runs.mean(0) for runs in sets]), "tasks": _below(sets)}


def _below(parts: list[np.ndarray]) -> str:
    return f"{sum(int((part < 0).sum()) for part in parts)} of {sum(part.size for part in parts)}"


# --- in words ----------------------------------------------------------------------------------------------------


def beside_in_words(ledger: Ledger, repeated: Ledger) -> pd.DataFrame:
    """Return the answer of two runs side by side, at the first available readout."""
    found = []
    for of in (ledger, repeated):
        table = tables.first_readout(meta_analysis.answer_table(of))
        effect = pd.Series(meta_analysis.in_percent(table, "difference"), table.index)
        table["effect"] = effect.fillna("no evidence possible").mask(table["brain"] == ALL, effect)
        found.append(table.set_index(["direction", "brain"])[["who", "effect"]])
    words = {"brain data": found[0]["who"].where(found[0].index.get_level_values("brain") != ALL, "combined")}
    words |= {name: table["effect"] for name, table in zip(("recorded run", "second run"), found, strict=True)}
    return pd.DataFrame(words).reset_index().drop(columns="brain")


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
    table = pd.concat([widened(repeated, ledger, name).assign(direction=name) for name in tables.SCORE])
    if table.empty:
        return table
    words = {
        "direction": table["direction"],
        "brain data": table["who"],
        "deviation between runs, one task": table["deviation"].map(_percent),
        "recorded answer": meta_analysis.in_percent(table, "estimate"),
        "standard error": table["error"].map(_percent),
        "with the variation between runs": table["all error"].map(_percent),
        "its interval": meta_analysis.in_percent(table, "all low", "all high"),
    }
    return pd.DataFrame(words)


def _percent(value: float, sign: str = "") -> str:
    return f"{value:{sign}z.1%}".replace("-", "−")
