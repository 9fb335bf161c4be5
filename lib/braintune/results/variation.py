"""How much the answer varies between training runs, and between tasks.

All participants and brain data sets are scored with the same tuned models, so what one training run does to all of them
does not average out, and with one seed no interval over them includes it. A run with several seeds shows it: the answer
is computed for each task and seed. The tasks themselves count as fixed everywhere but in :func:`over_tasks`.
"""

import numpy as np
import pandas as pd
from scipy import stats

from braintune.results import meta_analysis, statistics, tables
from braintune.results.claims import Ledger
from braintune.results.tables import ALL


def by_run(ledger: Ledger, direction: str = "decoding") -> dict[str, np.ndarray]:
    """Return prompt-tuned minus fine-tuned of each task and seed, as a fraction of the signal, at the first readout.

    Returns
    -------
    dict
        Brain data set → array of shape (n_learned_tasks, n_seeds), mean over participants or groups of stimuli; only
        data sets that allow a conclusion. :data:`braintune.results.tables.ALL` is their mean with the weights of the
        combined answer, if they can be combined.
    """
    here = [e for e in ledger.first(direction) if not e.closed]
    found = {e.brain: np.array([e.difference(e.region, [task]).values.mean(0) for task in e.learned]) for e in here}
    weights = meta_analysis.overall(ledger, direction).weights
    if len(weights) == len(found) > 1:
        found[ALL] = np.tensordot(weights, list(found.values()), axes=1)
    return found


def signs(ledger: Ledger) -> tuple[str, str]:
    """Count the differences in decoding that favour fine-tuning: of each seed and data set, and also of each task."""
    found = [runs for brain, runs in by_run(ledger).items() if brain != ALL]
    return _below([runs.mean(0) for runs in found]), _below(found)


def _below(parts: list[np.ndarray]) -> str:
    return f"{sum(int((part < 0).sum()) for part in parts)} of {sum(part.size for part in parts)}"


def over_tasks(ledger: Ledger) -> pd.DataFrame:
    """Return the answer in decoding as if the learned tasks were a sample of tasks.

    Returns
    -------
    DataFrame
        One row per data set of :func:`by_run`: brain, difference, its interval `low` … `high` over tasks (t test), and
        `p` of a permutation test that flips the signs of the tasks' differences.
    """
    rows = []
    for brain, runs in by_run(ledger).items():
        tasks = runs.mean(1)
        found = statistics.paired_difference(tasks, ledger.study.fdr, "tasks")
        p = None
        if len(tasks) > 1:
            flipped = stats.permutation_test((tasks,), np.mean, permutation_type="samples", rng=ledger.study.fold_seed)
            p = flipped.pvalue
        rows.append((brain, found.estimate, found.low, found.high, p))
    numbers = ["difference", "low", "high", "p"]
    return pd.DataFrame(rows, columns=["brain", *numbers]).astype(dict.fromkeys(numbers, float))


# --- in words ----------------------------------------------------------------------------------------------------


def seeds_in_words(ledger: Ledger) -> pd.DataFrame:
    """Return the answer of each brain data set at the first available readout: of all seeds, and of each.

    The interval is over participants (or groups of stimuli) and seeds, the combined one over data sets; `p` is that of
    permuted labels.
    """
    table = tables.first_readout(meta_analysis.answer_table(ledger))
    runs = {direction: by_run(ledger, direction) for direction in tables.SCORE}
    effects = meta_analysis.in_percent(table, "difference")
    rows = []
    for answer, effect in zip(table.to_dict("records"), effects, strict=True):
        direction, brain = answer["direction"], answer["brain"]
        row = {"direction": direction, "brain data": "combined" if brain == ALL else answer["who"]}
        row |= {"all seeds": effect or ("no evidence possible" if brain != ALL else None), "p": answer["p"]}
        if brain in runs[direction]:
            means = pd.Series(runs[direction][brain].mean(0), ledger.study.seeds)
            if len(means) > 1:
                row["standard deviation"] = _percent(means.std())
            row |= {f"seed {seed}": _percent(value, "+") for seed, value in means.items()}
        rows.append(row)
    return pd.DataFrame(rows)


def tasks_in_words(ledger: Ledger) -> pd.DataFrame:
    """Return :func:`over_tasks` in words."""
    table = over_tasks(ledger)
    who = {e.brain: e.people for e in ledger.everything} | {ALL: "combined"}
    effect = meta_analysis.in_percent(table, "difference")
    words = {"brain data": table["brain"].replace(who), "prompt-tuned minus fine-tuned": effect, "p": table["p"]}
    return pd.DataFrame(words)


def _percent(value: float, sign: str = "") -> str:
    return f"{value:{sign}z.1%}".replace("-", "−")
