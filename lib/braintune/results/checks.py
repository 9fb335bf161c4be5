"""Failure signatures: what a run that went wrong looks like, looked for in every run.

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

#: Share of fits at an edge of the penalty grid from which on the grid is in doubt.
EDGE_SHARE = 0.25
#: A gap is large from this many margins on, and lonely if every other task's is less than half of it.
LARGE_GAP = 3


@dataclass(frozen=True)
class Results:
    """The tables of a run that signatures are looked for in: all of a run, or those of one brain data set.

    Attributes
    ----------
    run : Study
    tuned, decoded, at_layer, closeness : DataFrames
        As the figures notebook reads them.
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
    def judged(self) -> pd.DataFrame:
        """Scores in the design that claims are judged on."""
        return self.at_layer[self.at_layer["folds"] == tables.main_design(self.at_layer["folds"])]

    @property
    def region(self) -> str:
        """The main region."""
        return tables.main_region(list(self.at_layer["region"].unique()))


@dataclass(frozen=True)
class Signature:
    """One sign of failure.

    Attributes
    ----------
    title : str
    meaning : str
        What it may mean, and what to do.
    look : function of Results
        Returns whether it is found (None: it could not be looked for), and what was seen.
    per_brain : bool
        Whether it is looked for in every brain data set, rather than once.
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
        Brain data set; empty where the signature is about tuning.
    found : bool or None
        None where it could not be looked for.
    seen : str
    """

    name: str
    title: str
    meaning: str
    brain: str
    found: bool | None
    seen: str


def check(
    run: Study, tuned: pd.DataFrame, decoded: pd.DataFrame, at_layer: pd.DataFrame, closeness: pd.DataFrame
) -> list[CheckResult]:
    """Look for every failure signature in the tables of a run."""
    results = Results(run, tuned, decoded, at_layer, closeness)
    signs = []
    for name, entry in SIGNATURES.items():
        for brain in run.brains if entry.per_brain else [""]:
            found, seen = entry.look(results.of(brain) if brain else results)
            signs.append(CheckResult(name, entry.title, entry.meaning, brain, found, seen))
    return signs


def summary(signs: Sequence[CheckResult]) -> str:
    """Say in one line which failure signatures were found."""
    found = [f"{sign.title}{f' ({sign.brain})' if sign.brain else ''}" for sign in signs if sign.found]
    unseen = sum(sign.found is None for sign in signs)
    told = f"{len(found)} of {len(signs)} failure signatures found"
    told += f": {'; '.join(found)}" if found else ""
    return told + (f" ({unseen} could not be looked for)" if unseen else "")


# --- what to look for --------------------------------------------------------------------------------------------


def _at_chance(r: Results) -> tuple[bool | None, str]:
    rows = r.judged[r.judged["method"].isin(["untuned", *ARMS])]
    means = rows.groupby(["region", "participant"], sort=False)["pairwise"].mean()
    p = {region: statistics.above(values, tables.CHANCE) for region, values in means.groupby("region", sort=False)}
    if all(value is None for value in p.values()):
        return None, "one participant alone, or scores that do not vary, cannot be tested against chance"
    above = [region for region, q in zip(p, statistics.fdr(list(p.values())), strict=True) if q < r.run.fdr]
    return not above, f"{len(above)} of {len(p)} regions above chance{': ' if above else ''}{', '.join(above)}"


def _edge(r: Results) -> tuple[bool | None, str]:
    design = tables.main_design(r.decoded["folds"])
    rows = tables.at_analysis_layer(r.decoded[r.decoded["region"] == r.region], r.run)
    share = tables.alpha_at_edge(rows[rows["folds"] == design])
    return share > EDGE_SHARE, f"{share:.0%} of the fits in {r.region} (a sign above {EDGE_SHARE:.0%})"


def _no_better(r: Results) -> tuple[bool | None, str]:
    rows = r.tuned[~(r.tuned["score"] > r.tuned["baseline"])]
    named = list(dict.fromkeys(f"{row.method} on {row.task}" for row in rows.itertuples()))
    return bool(named), ", ".join(named) or f"all {len(r.tuned)} tuning runs beat guessing"


def _lonely_gap(r: Results) -> tuple[bool | None, str]:
    rows = r.judged[(r.judged["region"] == r.region) & r.judged["method"].isin(ARMS)]
    pairs = claims.pairs(rows, ["task"]).groupby("task", sort=False).mean()
    gaps = (pairs["prompt-tuned"] - pairs["fine-tuned"]).sort_values(key=lambda gap: -gap.abs())
    if len(gaps) < 3:
        return None, f"{len(gaps)} tasks were tuned by both methods, and at least 3 are needed"
    largest, second = abs(gaps.iloc[0]), abs(gaps.iloc[1])
    found = largest > LARGE_GAP * r.run.margin and second < largest / 2
    return bool(found), f"largest {gaps.index[0]} {gaps.iloc[0]:+.3f}, next {gaps.index[1]} {gaps.iloc[1]:+.3f}"


def _negative(r: Results) -> tuple[bool | None, str]:
    rows = r.closeness[r.closeness["method"].isin(ARMS)]
    if rows.empty:
        return None, "no tuned representation"
    negative = rows[rows["spearman"] < 0]
    lowest = rows.loc[rows["spearman"].idxmin()]
    named = ", ".join(f"{row.representation} {row.spearman:.2f}" for row in negative.itertuples())
    return bool(len(negative)), named or f"lowest {lowest['representation']} {lowest['spearman']:.2f}"


def _leak(r: Results) -> tuple[bool | None, str]:
    rows = r.judged[(r.judged["representation"] == "passage") & (r.judged["folds"] == "grouped")]
    means = rows[rows["region"] == r.region].groupby("participant")["pairwise"].mean()
    if means.empty:
        return None, "no passage code under grouped folds"
    p = statistics.above(means, tables.CHANCE)
    if p is None:
        return None, "one participant alone, or scores that do not vary, cannot be tested against chance"
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
        "a large gap between the methods on one task only",
        "look at that task's learning curve first",
        _lonely_gap,
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
