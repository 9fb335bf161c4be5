"""The answer to the question of the book: absolute scores beside controls, and every verdict in one matrix.

Real data take precedence. If the brains of a run are simulated, the recorded real run gives the answer
(:func:`answering`), and the tables that it lacks are listed (:func:`missing`).
"""

from collections.abc import Sequence
from html import escape

import numpy as np
import pandas as pd
from IPython.display import HTML

from braintune.datasets.brains.registry import is_simulated, participants_label
from braintune.results import meta_analysis, prose, style, tables
from braintune.results.claims import NO_EVIDENCE, UNITS, WORDS, Ledger
from braintune.results.statistics import Finding
from braintune.results.tables import ARMS, Results

#: Row of the scores with permuted labels.
PERMUTED = "permuted labels"
#: One column of the matrix: heading, ledger, brain.
Column = tuple[str, Ledger, str]


def answering(own: Ledger, real: Ledger) -> Ledger:
    """Return the ledger that answers the book's question: that of the run, or if it is simulated, the recorded one."""
    return real if any(map(is_simulated, own.evidence)) else own


def scores_beside_controls(results: Results, direction: str = "decoding") -> pd.DataFrame:
    """Return the scores of all kinds of representations in each main region, at the first available readout.

    Returns
    -------
    DataFrame
        One row per brain and representation (each tuning method: mean over tasks and seeds; then the controls, and the
        untuned model with permuted labels where they were recorded): `mean` over participants of
        :data:`braintune.results.tables.SCORE` with its 95 % t interval, `low` … `high`; NaN with one participant.
        Empty where the direction was not run.
    """
    keys, value = ["brain", "region", "folds", "readout"], tables.SCORE[direction]
    rows = tables.judged(tables.first_readout(results.scores[results.scores["direction"] == direction]))
    columns = [*keys, "who", "representation", "kind", "mean", "low", "high"]
    if rows.empty:
        return pd.DataFrame(columns=columns)
    rows = tables.labelled(rows).assign(representation=lambda table: table["method"])
    null = results.null[results.null["direction"] == direction] if len(results.null) else results.null
    if len(null):
        null = null[(null["representation"] == "untuned") & (null["permutation"] == -1)]
        null = null.merge(rows[keys].drop_duplicates()).assign(representation=PERMUTED, kind="control")
        rows = pd.concat([rows, null], ignore_index=True)
    names = list(dict.fromkeys(["untuned", *ARMS, *rows["representation"]]))
    people = rows.groupby([*keys, "representation", "kind", "participant"], sort=False)[value].mean()
    found = []
    for (*where, name, kind), values in people.groupby([*keys, "representation", "kind"], sort=False):
        low, high = style.t_interval(values) if len(values) > 1 else (np.nan, np.nan)
        who = participants_label(where[0], len(values))
        found.append((*where, who, name, kind, float(values.mean()), low, high))
    table = pd.DataFrame(found, columns=columns)
    return table.sort_values("representation", key=lambda of: of.map(names.index), kind="stable", ignore_index=True)


def score_summary(results: Results, direction: str = "decoding") -> pd.DataFrame:
    """Return :func:`scores_beside_controls` for a page: one row per representation, one column per brain data set."""
    table = scores_beside_controls(results, direction)
    written = [
        f"{row.mean:.3f}" + (f" ({row.low:.3f} to {row.high:.3f})" if np.isfinite(row.low) else "")
        for row in table.itertuples(index=False)
    ]
    heading = table["who"] + ", " + table["region"]
    wide = table.assign(cell=written, heading=heading).pivot_table(
        index="representation", columns="heading", values="cell", aggfunc="first", sort=False
    )
    return wide.fillna("not recorded").reset_index().rename_axis(columns=None)


def missing(results: Results) -> list[str]:
    """Return which tables a run lacks: ``encoding``, ``best``, ``permuted``, ``permuted tuned``, ``layers``."""
    scores, null = results.scores, results.null
    permuted = set(null["representation"]) if len(null) else set()
    found = {
        "encoding": "encoding" not in set(scores["direction"]),
        "best": "best" not in set(scores["readout"]),
        "permuted": "untuned" not in permuted,
        "permuted tuned": not permuted & set(scores.loc[scores["kind"] == "tuned", "representation"]),
        "layers": results.decoded.empty,
    }
    return [name for name, is_missing in found.items() if is_missing]


# --- every verdict at a glance -------------------------------------------------------------------------------------


def columns_of(own: Ledger, real: Ledger) -> list[Column]:
    """Return the columns of the matrix, real brains first: heading, ledger, brain.

    They are the columns of the run and, if it has a simulated brain, also those of the recorded run.
    """
    ledgers = [own] if answering(own, real) is own else [real, own]
    found = [(ledger, brain) for ledger in ledgers for brain in ledger.evidence]
    found.sort(key=lambda column: is_simulated(column[1]))
    return [(_heading(ledger, brain, ledger is not own), ledger, brain) for ledger, brain in found]


def _heading(ledger: Ledger, brain: str, is_recorded: bool) -> str:
    people = ledger.evidence[brain].people
    return f"{people} (recorded)" if is_recorded else people


def verdict_matrix(columns: Sequence[Column]) -> pd.DataFrame:
    """Return all verdicts: one row per claim and column (see :func:`columns_of`), with the effect and its interval.

    Returns
    -------
    DataFrame
        `claim`, `paper` (what is claimed), `column`, `verdict` ("no evidence" is short for no evidence possible) and
        `effect`, empty where there is none.
    """
    rows = [
        (
            verdict.claim,
            WORDS[verdict.claim]["paper"],
            heading,
            verdict.verdict,
            effect_text(verdict.finding, verdict.claim),
        )
        for heading, ledger, brain in columns
        for verdict in ledger.of(brain)
    ]
    table = pd.DataFrame(rows, columns=["claim", "paper", "column", "verdict", "effect"])
    return table.replace({"verdict": {NO_EVIDENCE: "no evidence"}})


def combined_effects(columns: Sequence[Column]) -> list[str]:
    """Return prompt-tuned minus fine-tuned in decoding, over all learned tasks, by column; empty if closed."""
    found = []
    for _, ledger, brain in columns:
        table = tables.first_readout(meta_analysis.answer_table(ledger))
        row = table[(table["brain"] == brain) & (table["direction"] == "decoding")].iloc[0]
        found.append(
            "" if np.isnan(row["difference"]) else style.percent_text(row["difference"], row["low"], row["high"])
        )
    return found


def effect_text(found: Finding, claim: str) -> str:
    """Write the effect of a claim with its interval, in its unit; empty where there is no estimate."""
    if found.estimate is None:
        return ""
    if claim not in UNITS:
        low, high = (np.nan if bound is None else bound for bound in (found.low, found.high))
        return style.percent_text(found.estimate, low, high)
    return prose.with_interval(found, UNITS[claim].form)


def matrix(columns: Sequence[Column], combined: str) -> HTML:
    """Show the verdicts on all claims at a glance: one row per claim, one column per brain data set, real ones first.

    The last line shows `combined`, the result over all data sets that answer the question.
    """
    table = verdict_matrix(columns)
    heads = "".join(f"<th scope='col'>{escape(heading)}</th>" for heading, *_ in columns)
    rows = ""
    for (claim, paper), found in table.groupby(["claim", "paper"], sort=False):
        cells = "".join(map(_cell, found["verdict"], found["effect"]))
        rows += f"<tr><th scope='row'>{claim}. {escape(paper)}</th>{cells}</tr>"
    effects = "".join(f"<td>{escape(effect) or '–'}</td>" for effect in combined_effects(columns))
    words = prose.SENTENCES["matrix"]
    return HTML(
        f"<table class='results matrix'><caption>{words['caption']}</caption>"
        f"<thead><tr><th scope='col'>{words['claim']}</th>{heads}</tr></thead><tbody>{rows}"
        f"<tr><th scope='row'>{words['effect']}</th>{effects}</tr></tbody>"
        f"<tfoot><tr><th scope='row'>{words['combined']}</th><td colspan='{len(columns)}'>{escape(combined)}</td></tr>"
        "</tfoot></table>"
    )


def _cell(verdict: str, effect: str) -> str:
    mark = f"<span class='verdict {verdict.replace(' ', '-')}'>{verdict}</span>"
    return f"<td>{mark} <span class='numbers'>{escape(effect)}</span></td>"
