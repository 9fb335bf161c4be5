"""How much the answer varies between training runs that differ only in their seed.

All participants and brain data sets are scored with the same tuned models, so what one training run does to all of them
does not average out, and with one seed no interval over them includes it. A run with several seeds shows it: the answer
is computed for each task and seed.
"""

import numpy as np
import pandas as pd

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


def seeds_in_words(repeated: Ledger, ledger: Ledger) -> pd.DataFrame:
    """Return the answer of each brain data set in a run with one seed and in one with several, and that of each seed.

    The interval of all seeds is over participants (or groups of stimuli) and seeds, the combined one over data sets.
    """
    answers = _answers(ledger).rename(columns={"answer": "recorded run"})
    answers = answers.join(_answers(repeated)["answer"].rename("all seeds")).reset_index()
    rows = []
    for answer in answers.to_dict("records"):
        direction, brain = answer.pop("direction"), answer.pop("brain")
        runs = by_run(repeated, direction, meta_analysis.overall(repeated, direction).weights).get(brain)
        if runs is not None:
            means = pd.Series(runs.mean(0), repeated.study.seeds)
            answer["standard deviation"] = _percent(means.std())
            answer |= {f"seed {seed}": _percent(value, "+") for seed, value in means.items()}
        rows.append({"direction": direction} | answer)
    return pd.DataFrame(rows)


def verdicts_in_words(repeated: Ledger, ledger: Ledger) -> tuple[str, pd.DataFrame]:
    """Return how many verdicts are the same in two judged runs, and those that are not, one row per claim and data."""
    second = {(v.claim, v.brain): v.verdict for v in repeated.verdicts}
    who = {e.brain: e.people for e in ledger.everything}
    rows = [(v.claim, who[v.brain], v.verdict, second[v.claim, v.brain]) for v in ledger.verdicts]
    table = pd.DataFrame(rows, columns=["claim", "brain data", "recorded run", "second run"])
    changed = table[table["recorded run"] != table["second run"]]
    return f"{len(table) - len(changed)} of {len(table)}", changed.reset_index(drop=True)


def _answers(ledger: Ledger) -> pd.DataFrame:
    """Return (direction, brain) → whose data, and the answer at the first available readout, in words."""
    table = tables.first_readout(meta_analysis.answer_table(ledger))
    effect = pd.Series(meta_analysis.in_percent(table, "difference"), table.index)
    table["answer"] = effect.fillna("no evidence possible").mask(table["brain"] == ALL, effect)
    table["brain data"] = table["who"].mask(table["brain"] == ALL, "combined")
    return table.set_index(["direction", "brain"])[["brain data", "answer"]]


def _percent(value: float, sign: str = "") -> str:
    return f"{value:{sign}z.1%}".replace("-", "−")
