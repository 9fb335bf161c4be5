"""The answer to the question of the book: prompt-tuned minus fine-tuned over all brain data sets.

The effect of a brain data set is a fraction of the untuned model's signal there, so that data sets with different noise
can be compared. The signal itself is treated as known. Sets are combined by a random-effects meta-analysis
(:func:`braintune.results.statistics.combined`), in each direction and at each readout.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from braintune.core.study import Study
from braintune.results import claims, statistics, tables
from braintune.results.claims import Ledger
from braintune.results.contrasts import Contrast
from braintune.results.evidence import Evidence
from braintune.results.statistics import Finding
from braintune.results.tables import Results

#: What inference is over → the same, for one and for several.
_UNITS = {
    "participant": ("participant", "participants"),
    "group of stimuli": ("group of stimuli", "groups of stimuli"),
    "brain data set": ("data set", "data sets"),
}
#: Scores of decoding that are compared → their names on a page.
SCORE_NAMES = {"pairwise": "pairwise accuracy", "margin": "matching margin"}
_NUMBERS = ["difference", "low", "high", "lowest", "highest", "p"]


def combine(effects: Iterable[Contrast], study: Study) -> Finding:
    """Combine an effect over the brain data sets in which it can be tested."""
    known = [(effect.estimate, effect.error[0]) for effect in effects if effect.error[0] > 0]
    return statistics.combined([estimate for estimate, _ in known], [error for _, error in known], study.fdr)


def effects(ledger: Ledger, direction: str, readout: str) -> dict[str, Contrast]:
    """Return prompt-tuned minus fine-tuned (mean over learned tasks) by brain, where a conclusion is possible."""
    return {e.brain: e.difference(e.region) for e in _judged(ledger, direction, readout)}


def _judged(ledger: Ledger, direction: str, readout: str) -> list[Evidence]:
    return [e for e in ledger.everything if (e.direction, e.readout) == (direction, readout) and not e.closed]


def answer_table(ledger: Ledger) -> pd.DataFrame:
    """Return prompt-tuned minus fine-tuned of every brain data set, and over all of them, as fractions of the signal.

    Returns
    -------
    DataFrame
        One row per direction, readout and brain; then one with the brain :data:`braintune.results.tables.ALL`. `low` …
        `high` is the interval of the mean (over such data sets), `lowest` … `highest` the prediction interval of a new
        data set. `who` names the participants; `n` is the number of units, whose kind is `over`; `closed` says why a
        brain is excluded, and its difference is then NaN.
    """
    rows: list[dict[str, Any]] = []
    for direction, readout in product(tables.SCORE, tables.READOUTS):
        here = [e for e in ledger.everything if (e.direction, e.readout) == (direction, readout)]
        known = effects(ledger, direction, readout)
        where = {"direction": direction, "readout": readout}
        for e in here:
            row = where | {"brain": e.brain, "who": e.people, "n": len(e.cube.units), "over": e.cube.kind}
            row |= {"closed": e.closed}
            if effect := known.get(e.brain):
                low, high = effect.interval(ledger.study.fdr)
                row |= {"difference": effect.estimate, "low": low, "high": high, "p": effect.permuted}
            rows.append(row)
        if here:
            found = combine(known.values(), ledger.study)
            bounds = {"low": found.low, "high": found.high, "lowest": found.further[0], "highest": found.further[1]}
            who = "all data sets" if found.estimate is None else f"{found.n} data sets combined"
            row = where | {"brain": tables.ALL, "who": who, "n": found.n, "over": "brain data set"}
            rows.append(row | {"closed": "", "difference": found.estimate} | bounds)
    columns = ["direction", "readout", "brain", "who", *_NUMBERS, "n", "over", "closed"]
    return pd.DataFrame(rows).reindex(columns=columns).astype(dict.fromkeys(_NUMBERS, float))


def sensitivity(ledger: Ledger) -> pd.DataFrame:
    """Return the combined answer with each brain data set, each task, and each tuning seed left out in turn.

    Returns
    -------
    DataFrame
        direction, readout, `without`, and the difference with its interval; no row where fewer than two sets remain.
    """
    rows = []
    for direction, readout in product(tables.SCORE, tables.READOUTS):
        for without, remaining in _left_out(ledger, direction, readout):
            found = combine(remaining, ledger.study)
            if found.estimate is not None:
                rows.append((direction, readout, without, found.estimate, found.low, found.high))
    return pd.DataFrame(rows, columns=["direction", "readout", "without", "difference", "low", "high"])


def _left_out(ledger: Ledger, direction: str, readout: str) -> Iterator[tuple[str, list[Contrast]]]:
    """Yield what is left out of the answer, and the effects that remain."""
    here = _judged(ledger, direction, readout)
    whole = [e.difference(e.region) for e in here]
    for k, left_out in enumerate(here):
        yield left_out.brain, whole[:k] + whole[k + 1 :]
    tasks = here[0].learned if here else []
    for task in tasks if len(tasks) > 1 else []:
        yield f"task {task}", [e.difference(e.region, [other for other in e.learned if other != task]) for e in here]
    seeds = ledger.study.seeds[: whole[0].values.shape[1]] if whole else []
    for k, seed in enumerate(seeds if len(seeds) > 1 else []):
        yield f"seed {seed}", [replace(effect, values=np.delete(effect.values, k, 1)) for effect in whole]


def by_score(ledger: Ledger, results: Results) -> pd.DataFrame:
    """Return the answer in decoding by pairwise accuracy, which is judged, and by the matching margin, which is not.

    Returns
    -------
    DataFrame
        who, score, and the difference with its interval; one row per brain data set that allows a conclusion and score,
        then the combined ones.
    """
    rows: list[tuple[Any, ...]] = []
    known: dict[str, list[Contrast]] = {score: [] for score in SCORE_NAMES}
    judged = [e for e in ledger.first("decoding") if not e.closed]
    for e in judged:
        here = claims.evidence(results.of(e.brain), e.brain, {"decoding": "margin"})
        other = next(one for one in here if one.readout == e.readout)
        for score, scored in zip(SCORE_NAMES, (e, other), strict=True):
            effect = scored.difference(e.region)
            known[score].append(effect)
            rows.append((e.people, SCORE_NAMES[score], effect.estimate, *effect.interval(ledger.study.fdr)))
    for score, effects_of in known.items():
        found = combine(effects_of, ledger.study)
        if found.estimate is not None:
            rows.append((f"{found.n} data sets combined", SCORE_NAMES[score], found.estimate, found.low, found.high))
    return pd.DataFrame(rows, columns=["who", "score", "difference", "low", "high"])


def overall(ledger: Ledger, direction: str = "decoding") -> Finding:
    """Return the combined answer in one direction at the first available readout, in numbers and words."""
    return combine([e.difference(e.region) for e in ledger.first(direction) if not e.closed], ledger.study)


# --- in words ----------------------------------------------------------------------------------------------------


def answer_summary(ledger: Ledger) -> pd.DataFrame:
    """Return :func:`answer_table` in words, for a page."""
    table = answer_table(ledger)
    uncombined = table["difference"].isna() & (table["closed"] == "")
    further = pd.Series(in_percent(table, "lowest", "highest"), table.index)
    expected = "expected in a further data set: " + further.fillna("")
    words = {
        "brain data": table["who"],
        "prompt-tuned minus fine-tuned": in_percent(table, "difference"),
        "permutation p": table["p"],
        "units": [f"{n} {_UNITS[over][n != 1]}" for n, over in zip(table["n"], table["over"], strict=True)],
        "note": table["closed"].mask(uncombined, "two data sets are needed").mask(further.notna(), expected),
    }
    return _conditions(table).assign(**words)


def sensitivity_summary(ledger: Ledger) -> pd.DataFrame:
    """Return :func:`sensitivity` in words, for a page."""
    table, who = sensitivity(ledger), {e.brain: e.people for e in ledger.everything}
    effect = {"prompt-tuned minus fine-tuned": in_percent(table, "difference")}
    return _conditions(table).assign(**{"left out": table["without"].replace(who)} | effect)


def by_score_summary(ledger: Ledger, results: Results) -> pd.DataFrame:
    """Return :func:`by_score` in words, for a page."""
    table = by_score(ledger, results)
    wide = table.assign(effect=in_percent(table, "difference")).pivot_table(
        index="who", columns="score", values="effect", aggfunc="first", sort=False
    )
    return wide.rename_axis("brain data").rename_axis(columns=None).reset_index()


def _conditions(table: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"analysis": table["direction"] + ", " + table["readout"].map(tables.READOUT_NAMES)})


def in_percent(table: pd.DataFrame, value: str, end: str = "") -> list[str | None]:
    """Format effects with their intervals, or ranges from `value` to `end`; None where there are no numbers."""
    written: list[str | None] = []
    for row in table.to_dict("records"):
        low, high = (row[name] for name in ((value, end) if end else ("low", "high")))
        interval = f"{low:+z.1%} to {high:+z.1%}" if np.isfinite([low, high]).all() else None
        if not end and np.isfinite(row[value]):
            interval = f"{row[value]:+z.1%}" + (f" ({interval})" if interval else "")
        written.append(interval.replace("-", "−") if interval else None)
    return written
