"""Failure signatures: what a run that went wrong looks like, checked in every run.

A signature that is found is no verdict: it names what to look at before any result is believed. Each function of
:data:`SIGNATURES` returns whether its sign is found (None: it cannot be checked), and what was seen; it is called for
every brain data set, or once for the tuning runs. What a sign may mean is in `checks.yml`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from braintune.core import store
from braintune.core.study import Study
from braintune.results import claims, statistics, tables
from braintune.results.tables import ARMS, Results

#: Share of fits at an edge of the penalty grid above which the grid is in doubt.
EDGE_SHARE = 0.25
#: A gap is large if above this many margins, and on one task only if every other task's is less than half of it.
LARGE_GAP = 3
#: Signatures that are checked once, not in every brain.
ONCE = {"baseline"}
WORDS: dict[str, dict[str, str]] = yaml.safe_load(Path(__file__).with_name("checks.yml").read_text(encoding="utf-8"))
_UNTESTABLE = "one participant alone, or scores that do not vary, cannot be tested against chance"


@dataclass(frozen=True)
class CheckResult:
    """What was seen of one signature."""

    name: str  #: Key of :data:`SIGNATURES`.
    title: str
    meaning: str
    brain: str  #: Empty where the signature is about tuning.
    found: bool | None  #: None where it cannot be checked.
    seen: str


def check(results: Results) -> list[CheckResult]:
    """Check every failure signature in the tables of a run."""
    signs = []
    for name, look in SIGNATURES.items():
        for brain in [""] if name in ONCE else results.study.brains:
            found, seen = look(results.of(brain) if brain else results)
            signs.append(CheckResult(name, **WORDS[name], brain=brain, found=found, seen=seen))
    return signs


def summary(signs: Sequence[CheckResult]) -> str:
    """Say in one line which failure signatures were found."""
    found = [f"{sign.title}{f' ({sign.brain})' if sign.brain else ''}" for sign in signs if sign.found]
    unseen = sum(sign.found is None for sign in signs)
    text = f"{len(found)} of {len(signs)} failure signatures found{': ' if found else ''}{'; '.join(found)}"
    return text + (f" ({unseen} could not be checked)" if unseen else "")


def read_summary(study: Study) -> str:
    """Say in two lines what `claims.json` of a run holds: verdicts and failure signatures."""
    kept = store.read_json(claims.ledger_file(study))
    parts = []
    for brain, facts in kept["brains"].items():
        verdicts = ", ".join(f"{name} {entry['verdict']}" for name, entry in facts["claims"].items())
        parts.append(f"{brain}{' (simulated)' if facts['simulated'] else ''}: {verdicts}")
    return f"claims: {'; '.join(parts)}\nchecks: {summary([CheckResult(**sign) for sign in kept['signatures']])}"


def _at_chance(r: Results) -> tuple[bool | None, str]:
    rows = tables.labelled(tables.in_main_design(r.at_layer))
    above = claims.above_chance(rows[rows["method"].isin(["untuned", *ARMS])], r.study.fdr)
    if above is None:
        return None, _UNTESTABLE
    named = f": {', '.join(above)}" if above else ""
    return not above, f"{len(above)} of {rows['region'].nunique()} regions above chance{named}"


def _edge(r: Results) -> tuple[bool | None, str]:
    rows = tables.at_analysis_layer(tables.judged(r.decoded), r.study)
    share, region = tables.alpha_at_edge(rows), rows["region"].iloc[0]
    return share > EDGE_SHARE, f"{share:.0%} of the fits in {region} (a sign above {EDGE_SHARE:.0%})"


def _no_better(r: Results) -> tuple[bool | None, str]:
    named = tables.not_above(r.tuned, "baseline")
    return bool(named), named or f"all {len(r.tuned)} tuning runs beat guessing"


def _lonely_gap(r: Results) -> tuple[bool | None, str]:
    rows = tables.judged(r.at_layer)
    gaps = tables.contrast(rows, ["task"]).mean(axis=1).sort_values(key=lambda gap: -gap.abs())
    if len(gaps) < 3:
        return None, f"{len(gaps)} tasks were tuned by both methods, and at least 3 are needed"
    largest, second = abs(gaps.iloc[0]), abs(gaps.iloc[1])
    found = largest > LARGE_GAP * r.study.margin and second < largest / 2
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
    rows = tables.in_main_region(r.at_layer)
    rows = rows[(rows["representation"] == "passage") & (rows["folds"] == "grouped")]
    means = rows.groupby("participant")["pairwise"].mean()
    if means.empty:
        return None, "no passage code under grouped folds"
    p = statistics.above(means, tables.CHANCE)
    if p is None:
        return None, _UNTESTABLE
    return p < r.study.fdr, f"{means.mean():.3f} in {rows['region'].iloc[0]} ({statistics.p_text(p)})"


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


SIGNATURES: dict[str, Callable[[Results], tuple[bool | None, str]]] = {
    "chance": _at_chance,
    "edge": _edge,
    "baseline": _no_better,
    "gap": _lonely_gap,
    "negative": _negative,
    "leak": _leak,
    "finite": _not_finite,
}
