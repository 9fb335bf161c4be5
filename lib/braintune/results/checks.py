"""Failure signatures: what a run that went wrong looks like, checked in every run.

A signature is not a verdict: it names what to inspect before any result is trusted. Each function of :data:`SIGNATURES`
returns whether its signature is found (None: it cannot be checked) and what was observed; it is called for every brain
data set, or once for the tuning runs. Possible meanings of a signature are in `checks.yml`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from braintune.core import store
from braintune.core.study import Study
from braintune.results import claims, statistics, tables
from braintune.results.evidence import Evidence
from braintune.results.tables import ARMS, Results

#: Share of fits at an edge of the penalty grid above which the grid is in doubt.
EDGE_SHARE = 0.25
#: A gap is large if above this many margins; on one task alone if every other task's is less than half of it.
LARGE_GAP = 3
#: Similarity to the untuned model below which a representation has moved away from it.
AWAY = 0.2
#: Signatures that are checked once, not in every brain.
ONCE = {"learned"}
WORDS: dict[str, dict[str, str]] = yaml.safe_load(Path(__file__).with_name("checks.yml").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class CheckResult:
    """Result of checking one failure signature."""

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
    text = f"{len(found)} of {len(signs)} checks found a sign of failure{': ' if found else ''}{'; '.join(found)}"
    return text + (f" ({unseen} could not be checked)" if unseen else "")


def read_summary(study: Study) -> str:
    """Say in two lines what `claims.json` of a run holds: verdicts and failure signatures."""
    kept = store.read_json(claims.ledger_file(study))
    parts = []
    for brain, facts in kept["brains"].items():
        verdicts = ", ".join(f"{name} {entry['verdict']}" for name, entry in facts["claims"].items())
        parts.append(f"{brain}{' (simulated)' if facts['simulated'] else ''}: {verdicts}")
    return f"claims: {'; '.join(parts)}\nchecks: {summary([CheckResult(**sign) for sign in kept['signatures']])}"


def _evidence(r: Results) -> Evidence:
    """What the claims about one brain are judged on, at the first readout."""
    return claims.evidence(r, r.scores["brain"].iloc[0])[0]


def _at_chance(r: Results) -> tuple[bool | None, str]:
    rows = tables.null_summary(tables.in_main_design(r.scores), r.null)
    if rows.empty:
        return None, "labels were not permuted"
    above = rows.loc[rows["p"] < r.study.fdr, "region"]
    named = f": {', '.join(above)}" if len(above) else ""
    return above.empty, f"{len(above)} of {len(rows)} regions above permuted labels{named}"


def _controls(r: Results) -> tuple[bool | None, str]:
    e = _evidence(r)
    if not e.content_free:
        return None, "no content-free control was decoded"
    return e.region not in e.decoded, f"above every control in {', '.join(e.decoded) or 'no region'}"


def _edge(r: Results) -> tuple[bool | None, str]:
    if r.decoded.empty:
        return None, "no scores of single folds were recorded"
    rows = tables.judged(r.decoded)
    share, region = tables.alpha_at_edge(rows), rows["region"].iloc[0]
    return share > EDGE_SHARE, f"{share:.0%} of the fits in {region} (more than {EDGE_SHARE:.0%} is a sign of failure)"


def _not_learned(r: Results) -> tuple[bool | None, str]:
    named = dict.fromkeys(filter(None, (tables.not_above(r.tuned, name) for name in ("baseline", "bag_of_words"))))
    return bool(named), "; ".join(named) or f"all {len(r.tuned)} tuning runs beat guessing and a bag of words"


def _gap(r: Results) -> tuple[bool | None, str]:
    e = _evidence(r)
    if e.closed:
        return None, e.closed
    overall = abs(e.difference(e.region).estimate)
    gaps = {task: e.difference(e.region, [task]).estimate for task in e.learned}
    order = sorted(gaps, key=lambda task: -abs(gaps[task]))
    limit = LARGE_GAP * e.loss(e.region)
    alone = len(order) > 1 and abs(gaps[order[0]]) > limit and abs(gaps[order[1]]) < abs(gaps[order[0]]) / 2
    return (
        overall > limit or alone,
        f"overall {overall:.0%} of the signal; largest for the task {order[0]} ({gaps[order[0]]:+.0%})",
    )


def _moved_away(r: Results) -> tuple[bool | None, str]:
    rows = r.closeness[r.closeness["method"].isin(ARMS)]
    if rows.empty:
        return None, "no tuned representation"
    lowest = rows.loc[rows["spearman"].idxmin()]
    away = rows[rows["spearman"] < AWAY]
    named = ", ".join(f"{row.representation} {row.spearman:.2f}" for row in away.itertuples())
    return bool(named), named or f"lowest: {lowest['spearman']:.2f} ({lowest['representation']})"


def _leak(r: Results) -> tuple[bool | None, str]:
    e = _evidence(r)
    if e.design != "grouped" or "passage" not in e.content_free:
        return None, "no passage code under grouped folds"
    found = e.cube.contrast(e.cube.only("passage"), e.region)
    p = found.shown()
    return bool(p < r.study.fdr), f"{found.estimate:+.3f} above permuted labels in {e.region} ({statistics.p_text(p)})"


def _not_finite(r: Results) -> tuple[bool | None, str]:
    columns = ["pairwise", "margin", "pairwise_strict", "mse", "rank"]
    parts = {
        "decoding scores": r.decoded[[name for name in columns if name in r.decoded]],
        "similarities": r.closeness[["spearman", "cka"]],
        "task scores": r.tuned[["score"]],
    }
    bad = {name: int((~np.isfinite(table.to_numpy(dtype=float))).sum()) for name, table in parts.items()}
    named = ", ".join(f"{count} {name}" for name, count in bad.items() if count)
    return bool(named), named or f"all {sum(table.size for table in parts.values()):,} values are finite"


SIGNATURES: dict[str, Callable[[Results], tuple[bool | None, str]]] = {
    "chance": _at_chance,
    "controls": _controls,
    "edge": _edge,
    "learned": _not_learned,
    "gap": _gap,
    "moved": _moved_away,
    "leak": _leak,
    "finite": _not_finite,
}
