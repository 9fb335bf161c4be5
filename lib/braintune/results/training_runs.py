"""How much the answer varies between training runs that differ only in their seed.

With one run of each model, its chance result is shared by all participants and all brain data sets, so no interval over
them includes it. A run with several seeds measures it: the answer is computed for each task and seed, and the variance
between seeds is pooled over tasks. Divided by the number of tasks, it is added to the variance of an answer with one
seed.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import stats

from braintune.results import meta_analysis, tables
from braintune.results.claims import Ledger
from braintune.results.contrasts import Contrast
from braintune.results.prose import with_interval
from braintune.results.statistics import Finding
from braintune.results.tables import ALL


def by_seed(ledger: Ledger, direction: str) -> pd.DataFrame:
    """Return prompt-tuned minus fine-tuned with each seed, as a fraction of the signal, at the first readout.

    Returns
    -------
    DataFrame
        brain, task, seed, difference; only brain data sets that allow a conclusion. The task
        :data:`braintune.results.tables.ALL` is the mean over learned tasks, the brain of that name combines the sets.
    """
    rows = []
    here = [e for e in ledger.first(direction) if not e.closed]
    for task in dict.fromkeys(task for e in here for task in (*e.learned, ALL)):
        effects = {e.brain: e.difference(e.region, None if task == ALL else [task]) for e in here}
        for k, seed in enumerate(ledger.study.seeds):
            alone = {brain: _with(effect, k) for brain, effect in effects.items()}
            together = meta_analysis.combine(alone.values(), ledger.study).estimate
            estimates = {brain: effect.estimate for brain, effect in alone.items()} | {ALL: together}
            rows += [(brain, task, seed, estimate) for brain, estimate in estimates.items()]
    return pd.DataFrame(rows, columns=["brain", "task", "seed", "difference"]).astype({"difference": float})


def _with(effect: Contrast, seed: int) -> Contrast:
    return replace(effect, values=effect.values[:, [seed]])


@dataclass(frozen=True)
class Variation:
    """The standard deviation of the answer between training runs on one task, as a fraction of the signal."""

    deviation: float  #: Pooled over tasks.
    degrees: int  #: Its degrees of freedom: tasks × (seeds − 1).
    alpha: float  #: Intervals cover 1 - alpha.

    @property
    def interval(self) -> tuple[float, float]:
        """The interval of the standard deviation, from the chi-squared distribution."""
        low, high = self.deviation * np.sqrt(
            self.degrees / stats.chi2.ppf([1 - self.alpha / 2, self.alpha / 2], self.degrees)
        )
        return float(low), float(high)

    def widen(self, found: Finding, n_tasks: int) -> tuple[float, float]:
        """Return the interval of an answer with one seed and `n_tasks` tasks that includes the variation between runs.

        The degrees of freedom are Satterthwaite's. With two data sets, they would make the interval narrower although
        the variance is larger; then it stays as it is. NaN where the answer has no interval.
        """
        if found.estimate is None or found.low is None or found.high is None:
            return np.nan, np.nan
        sets, level = found.n - 1, 1 - self.alpha / 2
        alone = (found.high - found.low) / 2
        of_sets = (alone / stats.t.ppf(level, sets)) ** 2
        of_runs = self.deviation**2 / n_tasks
        degrees = (of_sets + of_runs) ** 2 / (of_sets**2 / sets + of_runs**2 / self.degrees)
        half = max(alone, float(stats.t.ppf(level, degrees) * np.sqrt(of_sets + of_runs)))
        return found.estimate - half, found.estimate + half


def variation(ledger: Ledger, direction: str) -> Variation | None:
    """Return how much the combined answer varies between training runs on one task; None with fewer than two seeds."""
    rows = by_seed(ledger, direction)
    rows = rows[(rows["brain"] == ALL) & (rows["task"] != ALL)].dropna()
    wide = rows.pivot(index="task", columns="seed", values="difference").to_numpy()
    if wide.shape[1] < 2:
        return None
    deviation = float(np.sqrt(wide.var(axis=1, ddof=1).mean()))
    return Variation(deviation, len(wide) * (wide.shape[1] - 1), ledger.study.fdr)


# --- in words ----------------------------------------------------------------------------------------------------


def seeds_in_words(ledger: Ledger) -> pd.DataFrame:
    """Return the answer of each brain data set with each seed, the deviation between seeds, and that of all seeds.

    The interval of all seeds is over participants (or groups of stimuli) and seeds, the combined one over data sets.
    """
    answers, rows = meta_analysis.answer_table(ledger), []
    answers["all seeds"] = meta_analysis.in_percent(answers, "difference")
    for direction in tables.SCORE:
        found = by_seed(ledger, direction)
        for brain, of in found[found["task"] == ALL].groupby("brain", sort=False):
            here = answers[(answers["direction"] == direction) & (answers["brain"] == brain)]
            answer = here.iloc[0]  # at the first readout
            seeds = of.set_index("seed")["difference"]
            cells = {f"seed {seed}": _percent(value, "+") for seed, value in seeds.items()}
            cells |= {"standard deviation": _percent(seeds.std()), "all seeds": answer["all seeds"]}
            rows.append({"direction": direction, "brain data": answer["who"]} | cells)
    return pd.DataFrame(rows)


def widened_in_words(repeated: Ledger, ledger: Ledger) -> pd.DataFrame:
    """Return the combined answer of a run with one seed, without and with the variation found in a `repeated` run."""
    rows = []
    for direction in tables.SCORE:
        found, varied = meta_analysis.overall(ledger, direction), variation(repeated, direction)
        if varied is None or found.estimate is None:
            continue
        n_tasks = len(next(e for e in ledger.first(direction) if not e.closed).learned)
        low, high = varied.widen(found, n_tasks)
        deviation, least, most = (_percent(value) for value in (varied.deviation, *varied.interval))
        rows.append(
            {
                "direction": direction,
                "deviation between runs on one task": f"{deviation} ({least} to {most})",
                "tasks of the answer": n_tasks,
                "answer": with_interval(found),
                "with the variation between runs": with_interval(replace(found, low=low, high=high)),
            }
        )
    return pd.DataFrame(rows)


def _percent(value: float, sign: str = "") -> str:
    return f"{value:{sign}z.1%}".replace("-", "−")
