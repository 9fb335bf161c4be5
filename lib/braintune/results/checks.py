"""Failure signatures: what a run that went wrong looks like, checked in every run.

A signature that is found is no verdict: it names what to look at before any result is believed. Each entry of
:data:`SIGNATURES` is checked for every brain data set, or once for the tuning runs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from braintune.core.study import Study
from braintune.results import claims, statistics, tables
from braintune.results.tables import ARMS

#: Share of fits at an edge of the penalty grid above which the grid is in doubt.
EDGE_SHARE = 0.25
#: A gap is large if above this many margins, and on one task only if every other task's is less than half of it.
LARGE_GAP = 3
_UNTESTABLE = "one participant alone, or scores that do not vary, cannot be tested against chance"


@dataclass(frozen=True)
class Results:
    """The tables of a run that the signatures are checked in, as the figures notebook reads them.

    Attributes
    ----------
    run : Study
    tuned, decoded, at_layer, closeness : DataFrames
    """

    run: Study
    tuned: pd.DataFrame
    decoded: pd.DataFrame
    at_layer: pd.DataFrame
    closeness: pd.DataFrame

    def of(self, brain: str) -> "Results":
        """Return the results of one brain data set."""
        here = (table[table["brain"] == brain] for table in (self.decoded, self.at_layer, self.closeness))
        return Results(self.run, self.tuned, *here)

    @property
    def region(self) -> str:
        """The main region of one brain data set."""
        return tables.main_region(list(self.at_layer["region"].unique()))


@dataclass(frozen=True)
class Signature:
    """One sign of failure: what it may mean, the function that looks for it, and whether it does so in every brain.

    `look` returns whether the sign is found (None: it cannot be checked), and what was seen.
    """

    title: str
    meaning: str
    look: Callable[[Results], tuple[bool | None, str]]
    per_brain: bool = True


@dataclass(frozen=True)
class CheckResult:
    """What was seen of one signature.

    Attributes
    ----------
    name, title, meaning : str
        As in :data:`SIGNATURES`.
    brain : str
        Empty where the signature is about tuning.
    found : bool or None
        None where it cannot be checked.
    seen : str
    """

    name: str
    title: str
    meaning: str
    brain: str
    found: bool | None
    seen: str


def check(results: Results) -> list[CheckResult]:
    """Check every failure signature in the tables of a run."""
    return [
        CheckResult(name, sign.title, sign.meaning, brain, *sign.look(results.of(brain) if brain else results))
        for name, sign in SIGNATURES.items()
        for brain in (results.run.brains if sign.per_brain else [""])
    ]


def summary(signs: Sequence[CheckResult]) -> str:
    """Say in one line which failure signatures were found."""
    found = [f"{sign.title}{f' ({sign.brain})' if sign.brain else ''}" for sign in signs if sign.found]
    unseen = sum(sign.found is None for sign in signs)
    text = f"{len(found)} of {len(signs)} failure signatures found{': ' if found else ''}{'; '.join(found)}"
    return text + (f" ({unseen} could not be checked)" if unseen else "")


# --- what to look for --------------------------------------------------------------------------------------------


def _at_chance(r: Results) -> tuple[bool | None, str]:
    rows = tables.in_main_design(r.at_layer)
    above = claims.above_chance(rows[rows["method"].isin(["untuned", *ARMS])], r.run.fdr)
    if above is None:
        return None, _UNTESTABLE
    return not above, f"{len(above)} of {rows['region'].nunique()} regions above chance" + (
        f": {', '.join(above)}" if above else ""
    )


def _edge(r: Results) -> tuple[bool | None, str]:
    rows = tables.at_analysis_layer(r.decoded[r.decoded["region"] == r.region], r.run)
    share = tables.alpha_at_edge(tables.in_main_design(rows))
    return share > EDGE_SHARE, f"{share:.0%} of the fits in {r.region} (a sign above {EDGE_SHARE:.0%})"


def _no_better(r: Results) -> tuple[bool | None, str]:
    rows = r.tuned[~(r.tuned["score"] > r.tuned["baseline"])]
    named = ", ".join(dict.fromkeys(f"{row.method} on {row.task}" for row in rows.itertuples()))
    return bool(named), named or f"all {len(r.tuned)} tuning runs beat guessing"


def _lonely_gap(r: Results) -> tuple[bool | None, str]:
    rows = tables.in_main_design(r.at_layer)
    gaps = tables.contrast(rows[rows["region"] == r.region], ["task"]).mean(axis=1).sort_values(key=lambda g: -g.abs())
    if len(gaps) < 3:
        return None, f"{len(gaps)} tasks were tuned by both methods, and at least 3 are needed"
    largest, second = abs(gaps.iloc[0]), abs(gaps.iloc[1])
    found = largest > LARGE_GAP * r.run.margin and second < largest / 2
    return bool(found), f"largest {gaps.index[0]} {gaps.iloc[0]:+.3f}, next {gaps.index[1]} {gaps.iloc[1]:+.3f}"


def _negative(r: Results) -> tuple[bool | None, str]:
    rows = r.closeness[r.closeness["method"].isin(ARMS)]
    if rows.empty:
        return None, "no tuned representation"
    lowest = rows.loc[rows["spearman"].idxmin()]
    negative = rows[rows["spearman"] < 0]
    named = ", ".join(f"{row.representation} {row.spearman:.2f}" for row in negative.itertuples())
    return bool(named), named or f"lowest {lowest['representation']} {lowest['spearman']:.2f}"


def _leak(r: Results) -> tuple[bool | None, str]:
    rows = r.at_layer[(r.at_layer["representation"] == "passage") & (r.at_layer["folds"] == "grouped")]
    means = rows[rows["region"] == r.region].groupby("participant")["pairwise"].mean()
    if means.empty:
        return None, "no passage code under grouped folds"
    p = statistics.above(means, tables.CHANCE)
    if p is None:
        return None, _UNTESTABLE
    return p < r.run.fdr, f"{means.mean():.3f} in {r.region} ({statistics.p_text(p)})"


def _not_finite(r: Results) -> tuple[bool | None, str]:
    columns = ["pairwise", "pairwise_strict", "mse", "rank"]
    parts = {
        "decoding scores": r.decoded[[c for c in columns if c in r.decoded]],
        "similarities": r.closeness[["spearman", "cka"]],
        "task scores": r.tuned[["score"]],
    }
    bad = {name: int((~np.isfinite(table.to_numpy(dtype=float))).sum()) for name, table in parts.items()}
    named = ", ".join(f"{count} {name}" for name, count in bad.items() if count)
    return bool(named), named or f"all {sum(table.size for table in parts.values()):,} values are finite"


SIGNATURES: dict[str, Signature] = {
    "chance": Signature(
        "everything at chance",
        "the signal is too weak, or stimuli and responses are not in the same order",
        _at_chance,
    ),
    "edge": Signature(
        "penalties at the edge of their grid",
        "widen `alpha_exponents`; where the signal is weak, the largest penalty is the right one",
        _edge,
    ),
    "baseline": Signature(
        "a task score no better than the trivial baseline",
        "the model learned nothing; its representation says nothing about that task",
        _no_better,
        per_brain=False,
    ),
    "gap": Signature(
        "a large gap between the methods on one task only", "look at that task's learning curve first", _lonely_gap
    ),
    "negative": Signature(
        "a tuned representation that correlates negatively with the untuned one",
        "tuning has destroyed it, often by too high a learning rate",
        _negative,
    ),
    "leak": Signature("`passage` above chance with grouped folds", "the groups are wrong", _leak),
    "finite": Signature(
        "values that are not finite",
        "training has diverged, or a voxel or dimension does not vary; such scores are left out of the claims",
        _not_finite,
    ),
}
