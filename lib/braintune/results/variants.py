"""The variants of a sweep side by side: what each says on every claim, and what its methods reach and cost."""

import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from braintune.core.base import BraintuneError
from braintune.core.sweep import Sweep
from braintune.models import tuning
from braintune.results import claims, meta_analysis, style, tables
from braintune.results.claims import Ledger
from braintune.results.tables import ALL, Results

_ANSWER = "prompt-tuned minus fine-tuned, mean over tasks"


def read(sweep: Sweep) -> dict[str, Results]:
    """Return variant → its results, of the base and all variants that are finished.

    Raises
    ------
    BraintuneError
        If none is.
    """
    there = {name: study for name, study in sweep.studies.items() if name not in sweep.missing}
    done = {name: study for name, study in there.items() if claims.ledger_file(study).is_file()}
    if not done:
        raise BraintuneError(f"no variant of {sweep.name!r} is finished; `make sweep SWEEP={sweep.name}` runs them")
    return {name: tables.read_results(study, tuning.tuning_table(study)) for name, study in done.items()}


def overview(sweep: Sweep, results: Mapping[str, Results]) -> pd.DataFrame:
    """Return what differs in each variant, and whether it was finished or why it was left out."""
    rows = []
    for name in sweep.studies:
        changes = sweep.differing.get(name, {}).items()
        state = "finished" if name in results else f"left out: {sweep.missing.get(name, 'not finished')}"
        words = (f"{key}: {', '.join(map(str, value)) if isinstance(value, list) else value}" for key, value in changes)
        rows.append((name, "; ".join(words) or "the base", state))
    return pd.DataFrame(rows, columns=["variant", "what differs", "state"])


def effects(ledgers: Mapping[str, Ledger]) -> pd.DataFrame:
    """Return the effect of the answer and of every claim, variant by variant.

    Returns
    -------
    DataFrame
        variant, brain, `claim` (or `answer, <direction>`: over all brain data sets where they can be combined),
        verdict, measure, estimate with its interval `low` … `high` (NaN where there is none), and n.
    """
    rows: list[dict[str, Any]] = []
    for name, ledger in ledgers.items():
        answer = meta_analysis.answer_table(ledger).rename(columns={"difference": "estimate"})
        for direction, of in answer.groupby("direction", sort=False):
            shown = tables.first_readout(of)
            whole = shown["brain"] == ALL
            shown = shown[whole if shown.loc[whole, "estimate"].notna().any() else ~whole]
            what = {"variant": name, "claim": f"answer, {direction}", "verdict": "", "measure": _ANSWER}
            rows += shown[["brain", "estimate", "low", "high", "n"]].assign(**what).to_dict("records")
        for v in ledger.verdicts:
            found = {"estimate": v.finding.estimate, "low": v.finding.low, "high": v.finding.high, "n": v.finding.n}
            what = {"variant": name, "brain": v.brain, "claim": v.claim, "verdict": v.verdict, "measure": v.measure}
            rows.append(what | found)
    columns = ["claim", "brain", "variant", "verdict", "measure", "estimate", "low", "high", "n"]
    return pd.DataFrame(rows)[columns].astype({"estimate": float, "low": float, "high": float})


def verdict_table(effects: pd.DataFrame) -> pd.DataFrame:
    """Return the verdicts, one row per variant and brain data set, one column per claim."""
    judged = effects[effects["verdict"] != ""]
    wide = judged.pivot_table(
        index=["variant", "brain"], columns="claim", values="verdict", aggfunc="first", sort=False
    )
    return wide.reset_index().rename_axis(columns=None)


def methods(results: Mapping[str, Results]) -> pd.DataFrame:
    """Return what every method reaches and costs in each variant, means over tasks and seeds.

    Returns
    -------
    DataFrame
        variant, brain, method; `task score` from the trivial baseline (0) to perfect (1); `closeness`, the Spearman RSA
        to the untuned model; `decoding accuracy` in the main region, and less that of the untuned model; trained
        parameters; seconds of tuning.
    """
    found = []
    for name, of in results.items():
        tuned = tables.gain(of.tuned).groupby("method", sort=False)[["gain", "parameters", "seconds"]].mean()
        rows = tables.judged(of.primary)
        rows = tables.labelled(rows[rows["kind"] != "control"])
        accuracy = rows.groupby(["brain", "method"], sort=False)["pairwise"].mean()
        close = tables.labelled(of.closeness).groupby(["brain", "method"])["spearman"].mean()
        table = pd.DataFrame({"closeness": close, "decoding accuracy": accuracy}).reindex(accuracy.index)
        untuned = accuracy.xs("untuned", level="method")
        table["minus untuned"] = accuracy - accuracy.index.get_level_values("brain").map(untuned)
        scored = pd.MultiIndex.from_product([of.study.brains, tuned.index], names=["brain", "method"])
        table = table.reindex(accuracy.index.union(scored, sort=False)).join(tuned, on="method")
        found.append(table.reset_index().assign(variant=name))
    names = {"gain": "task score", "parameters": "trained parameters", "seconds": "seconds of tuning"}
    columns = [
        "variant",
        "brain",
        "method",
        "gain",
        "closeness",
        "decoding accuracy",
        "minus untuned",
        *list(names)[1:],
    ]
    table = pd.concat(found, ignore_index=True)[columns]
    whole = {name: table[name].round().astype("Int64") for name in ("parameters", "seconds")}
    return table.assign(**whole).rename(columns=names)


def forest(effects: pd.DataFrame, margin: float) -> Figure:
    """Draw the effect of every claim and of the answer, variant by variant, with its interval and verdict.

    For `effects` see :func:`effects`; the margin, a fraction of the signal, is drawn as a band.
    """
    parts = dict(list(effects.groupby(["claim", "brain"], sort=False)))
    names = list(effects["variant"].unique())
    titles = {
        f"{claim} ({brain})": textwrap.fill(claims.WORDS[claim]["paper"], 48) if claim in claims.WORDS else _ANSWER
        for claim, brain in parts
    }
    panels = {f"{where}\n{title}": rows for (where, title), rows in zip(titles.items(), parts.values(), strict=True)}
    figure, drawn = style.panels(panels, columns=1, size=(6.2, 0.3 * len(names) + 1.1), fontsize=9)
    for axes, rows in drawn:
        unit = claims.UNITS.get(rows["claim"].iloc[0], claims.SIGNAL)
        if unit is claims.SIGNAL:
            axes.axvspan(
                -margin, margin, color=style.COLOURS["untuned"], alpha=0.15, linewidth=0, label="within the margin"
            )
            axes.xaxis.set_major_formatter(style.signed_percent)
        axes.axvline(0, color="black", linewidth=1)
        spread = np.abs(rows[["low", "high"]].to_numpy() - rows[["estimate"]].to_numpy()).T
        places = [names.index(name) for name in rows["variant"]]
        axes.errorbar(rows["estimate"], places, xerr=np.nan_to_num(spread), fmt="s", color="black", capsize=2)
        for place, row in zip(places, rows.itertuples(), strict=True):
            text = row.verdict or ("" if np.isfinite(row.estimate) else "no evidence possible")
            axes.text(1.03, place, text, transform=axes.get_yaxis_transform(), va="center", fontsize=9)
        style.name_rows(axes, names)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlabel(unit.label, fontsize=9)
    return style.with_legend(figure)
