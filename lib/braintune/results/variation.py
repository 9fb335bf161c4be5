"""How much the answer varies between training runs, and between tasks.

All participants and brain data sets are scored with the same tuned models, so what one training run does to all of them
does not average out, and with one seed no interval over them includes it. A run with several seeds shows it: the answer
is computed for each task and seed. The tasks themselves count as fixed everywhere but in :func:`over_tasks`.
"""

import numpy as np
import pandas as pd
from scipy import stats

from braintune.results import meta_analysis, statistics, tables
from braintune.results.claims import NO_EVIDENCE, Ledger
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


def seeds_in_words(repeated: Ledger, ledger: Ledger) -> pd.DataFrame:
    """Return the answer of each brain data set in a run with one seed and in one with several, and that of each seed.

    The interval of all seeds is over participants (or groups of stimuli) and seeds, the combined one over data sets;
    `p` is that of permuted labels.
    """
    answers = _answers(ledger).rename(columns={"answer": "recorded run"})
    second = _answers(repeated)[["answer", "p"]].set_axis(["all seeds", "all seeds, p"], axis=1)
    answers = answers[["brain data", "recorded run"]].join(second).reset_index()
    runs = {direction: by_run(repeated, direction) for direction in tables.SCORE}
    rows = []
    for answer in answers.to_dict("records"):
        direction, brain = answer.pop("direction"), answer.pop("brain")
        if brain in runs[direction]:
            means = pd.Series(runs[direction][brain].mean(0), repeated.study.seeds)
            answer["standard deviation"] = _percent(means.std())
            answer |= {f"seed {seed}": _percent(value, "+") for seed, value in means.items()}
        rows.append({"direction": direction} | answer)
    return pd.DataFrame(rows)


def tasks_in_words(repeated: Ledger, ledger: Ledger) -> pd.DataFrame:
    """Return :func:`over_tasks` in words, for a run and its repetition."""
    words: dict[str, pd.Series] = {}
    for name, of in (("recorded run", ledger), ("second run", repeated)):
        table = over_tasks(of)
        effect = pd.Series(meta_analysis.in_percent(table, "difference"), table["brain"])
        words |= {name: effect, f"{name}, p": table.set_index("brain")["p"]}
    who = {e.brain: e.people for e in ledger.everything} | {ALL: "combined"}
    return pd.DataFrame(words).rename(who).rename_axis("brain data").reset_index()


def verdicts_in_words(repeated: Ledger, ledger: Ledger) -> tuple[str, pd.DataFrame]:
    """Return how many verdicts are the same in two judged runs, and those that are not, one row per claim and data.

    Where no evidence is possible in either run, nothing is compared.
    """
    second = {(v.claim, v.brain): v.verdict for v in repeated.verdicts}
    who = {e.brain: e.people for e in ledger.everything}
    rows = [(v.claim, who[v.brain], v.verdict, second[v.claim, v.brain]) for v in ledger.verdicts]
    table = pd.DataFrame(rows, columns=["claim", "brain data", "recorded run", "second run"])
    table = table[~(table[["recorded run", "second run"]] == NO_EVIDENCE).all(axis=1)]
    changed = table[table["recorded run"] != table["second run"]]
    return f"{len(table) - len(changed)} of {len(table)}", changed.reset_index(drop=True)


def _answers(ledger: Ledger) -> pd.DataFrame:
    """Return (direction, brain) → whose data, the answer at the first available readout in words, and its p-value."""
    table = tables.first_readout(meta_analysis.answer_table(ledger))
    effect = pd.Series(meta_analysis.in_percent(table, "difference"), table.index)
    table["answer"] = effect.fillna("no evidence possible").mask(table["brain"] == ALL, effect)
    table["brain data"] = table["who"].mask(table["brain"] == ALL, "combined")
    return table.set_index(["direction", "brain"])[["brain data", "answer", "p"]]


def _percent(value: float, sign: str = "") -> str:
    return f"{value:{sign}z.1%}".replace("-", "−")
