"""The variants of a sweep side by side: their verdicts on every claim, and the scores and costs of their methods."""

import textwrap
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from braintune.core.base import BraintuneError
from braintune.core.sweep import Sweep
from braintune.models import checkpoints
from braintune.results import claims, meta_analysis, statistics, style, tables
from braintune.results.claims import Ledger
from braintune.results.contrasts import Contrast
from braintune.results.evidence import Evidence
from braintune.results.tables import ALL, Results

_ANSWER = "prompt-tuned minus fine-tuned, mean over tasks"
#: The same method with the parameters of the base.
BASE = "the base"
#: Level above which a permutation test is drawn as not significant.
LEVEL = 0.05
#: What every tuning method is compared with.
REFERENCES = ("untuned", "fine-tuned", BASE)


def read(sweep: Sweep) -> dict[str, Results]:
    """Return the results of the base and of all finished variants, by name of the variant.

    Raises
    ------
    BraintuneError
        If the base is not finished: the variants are compared with it.
    """
    there = {name: study for name, study in sweep.studies.items() if name not in sweep.missing}
    done = {name: study for name, study in there.items() if claims.ledger_file(study).is_file()}
    if sweep.base not in done:
        raise BraintuneError(
            f"{sweep.base!r}, the base of {sweep.name!r}, is not finished, and the variants are compared with it; "
            f"`make sweep SWEEP={sweep.name}` runs them"
        )
    return {name: tables.read_results(study, checkpoints.tuning_table(study)) for name, study in done.items()}


def overview(sweep: Sweep, results: Mapping[str, Results]) -> pd.DataFrame:
    """Return which parameters differ in each variant, their values in the base, and what was left out and why."""
    rows = []
    varied = {key: getattr(sweep.studies[sweep.base], key) for keys in sweep.differing.values() for key in keys}
    for name in sweep.studies:
        changes = sweep.differing.get(name, varied).items()
        state = "finished" if name in results else f"left out: {sweep.missing.get(name, 'not finished')}"
        words = (f"{key}: {', '.join(map(str, value)) if isinstance(value, list) else value}" for key, value in changes)
        rows.append((name, ("the base: " if name == sweep.base else "") + "; ".join(words), state))
    return pd.DataFrame(rows, columns=["variant", "parameters", "state"])


def effects(ledgers: Mapping[str, Ledger]) -> pd.DataFrame:
    """Return the effect of the answer and of every claim, variant by variant.

    Returns
    -------
    DataFrame
        variant, brain, `claim` (or `answer, <direction>`: over all brain data sets where they can be combined),
        verdict, measure, estimate with its interval `low` … `high` (NaN where there is none), n, `permutation` (p-value
        of the answer in a single brain data set, else NaN) and `tasks`, the number of those that both methods learned.
    """
    rows: list[dict[str, Any]] = []
    for name, ledger in ledgers.items():
        counted = {"variant": name, "tasks": len(ledger.everything[0].learned) if ledger.everything else 0}
        answer = meta_analysis.answer_table(ledger).rename(columns={"difference": "estimate", "p": "permutation"})
        for direction, of in answer.groupby("direction", sort=False):
            shown = tables.first_readout(of)
            whole = shown["brain"] == ALL
            shown = shown[whole if shown.loc[whole, "estimate"].notna().any() else ~whole]
            what = counted | {"claim": f"answer, {direction}", "verdict": "", "measure": _ANSWER}
            rows += shown[["brain", "estimate", "low", "high", "n", "permutation"]].assign(**what).to_dict("records")
        for v in ledger.verdicts:
            found = {"estimate": v.finding.estimate, "low": v.finding.low, "high": v.finding.high, "n": v.finding.n}
            what = counted | {"brain": v.brain, "claim": v.claim, "verdict": v.verdict, "measure": v.measure}
            rows.append(what | found)
    columns = [
        "claim",
        "brain",
        "variant",
        "verdict",
        "measure",
        "estimate",
        "low",
        "high",
        "n",
        "permutation",
        "tasks",
    ]
    return pd.DataFrame(rows)[columns].astype(dict.fromkeys(["estimate", "low", "high", "permutation"], float))


def method_effects(ledgers: Mapping[str, Ledger]) -> pd.DataFrame:
    """Return the effect of every tuning method on decoding and encoding, combined over brain data sets.

    In a sweep with one brain data set, the effects are those of this set. Each is compared with :data:`REFERENCES`,
    over the tasks that were learned, in the main regions in which the untuned model is decoded better than its
    controls. The first ledger is that of the base, with which a variant is paired by participant or group of stimuli. A
    result that a variant shares with an earlier one is listed once.

    Returns
    -------
    DataFrame
        variant, method, direction, reference, `estimate` of the difference as a fraction of the untuned model's signal,
        its interval `low` … `high`, `n` brain data sets (of a single one: participants or groups of stimuli),
        `permutation` (the p-value with permuted labels in a single data set, else NaN) and `tasks`. NaN where a single
        data set allows no conclusion, or fewer than two of several do, and for a method that does not change the
        representation.
    """
    base = next(iter(ledgers.values()))
    rows = [
        {"variant": variant, "method": method} | _against(ledger, base, method, direction, reference)
        for variant, ledger in ledgers.items()
        for method, direction, reference in product(ledger.study.methods, tables.SCORE, REFERENCES)
        if method != reference and not (reference == BASE and ledger is base)
    ]
    columns = ["variant", "method", "direction", "reference", "estimate", "low", "high", "n", "permutation", "tasks"]
    table = pd.DataFrame(rows).reindex(columns=columns)
    table = table.astype(dict.fromkeys(["estimate", "low", "high", "permutation"], float))
    return table.drop_duplicates(columns[1:], ignore_index=True)


def _labelled(effects: pd.DataFrame) -> pd.DataFrame:
    """Name the `way` of tuning, by its method and, where variants differ in it, the variant; and what is `compared`.

    The variant of the first row is the base, which is not named.
    """
    several = effects.groupby("method")["variant"].transform("nunique") > 1
    named = several & (effects["variant"] != effects["variant"].iloc[0])
    way = effects["method"] + (", " + effects["variant"]).where(named, "")
    return effects.assign(way=way, compared=effects["direction"] + ", minus " + effects["reference"])


def _against(ledger: Ledger, base: Ledger, method: str, direction: str, reference: str) -> dict[str, Any]:
    here = [e for e in ledger.first(direction) if e.region in e.decoded]
    tasks = here[0].learned_by([method] if reference == BASE else [method, reference]) if here else []
    if reference == BASE:
        others = {e.brain: e for e in base.first(direction) if e.region in e.decoded}
        pairs = [(e, others[e.brain]) for e in here if e.brain in others and _is_paired(e, others[e.brain])]
        tasks = [task for task in tasks if pairs and task in pairs[0][1].learned_by([method])]
        contrasts = [_minus_base(e, other, method, tasks) for e, other in pairs if tasks]
    else:
        contrasts = [e.against(method, reference, e.region, tasks) for e in here if tasks]
    what = {"direction": direction, "reference": reference, "tasks": ", ".join(tasks)}
    if len(ledger.study.brains) == 1 and contrasts and contrasts[0].error[0] > 0:
        only = contrasts[0]
        low, high = only.interval(ledger.study.fdr)
        numbers = {"estimate": only.estimate, "low": low, "high": high, "n": len(only.values)}
        return what | numbers | {"permutation": only.permuted}
    found = meta_analysis.combine(contrasts, ledger.study)
    return what | {"estimate": found.estimate, "low": found.low, "high": found.high, "n": found.n}


def _is_paired(e: Evidence, other: Evidence) -> bool:
    """Whether two variants give a brain the same participants or groups of stimuli, fold design, region and seeds."""
    one, two = ((of.cube.units, of.cube.kind, of.design, of.region, of.cube.seeds) for of in (e, other))
    return one == two


def _minus_base(e: Evidence, other: Evidence, method: str, tasks: Sequence[str]) -> Contrast:
    """Return a method minus the same one in the base, mean over tasks, as a fraction of the base's signal."""
    own, of_base = (one.cube.contrast(one.cube.arm(method, tasks), e.region) for one in (e, other))
    same = own.null.shape == of_base.null.shape and e.study.fold_seed == other.study.fold_seed  # the permuted labels
    null = own.null - of_base.null if same else np.empty(0)
    signal = other.signal(e.region)
    return Contrast(values=(own.values - of_base.values) / signal, null=null / signal)


def in_words(against: pd.DataFrame, methods: pd.DataFrame) -> pd.DataFrame:
    """Return the scores and effects of every tuning method, for a page, where a comparison was possible.

    Parameters
    ----------
    against : DataFrame
        From :func:`method_effects`; each reference becomes a column.
    methods : DataFrame
        From :func:`methods`; task score and closeness are means over brain data sets.
    """
    keys, known = ["variant", "method", "direction"], against[against["estimate"].notna()]
    tested = [f", {statistics.p_text(p)}" if p >= 0 else "" for p in _permutation(known)]
    cells = known.assign(
        effect=[f"{effect}{p}" for effect, p in zip(meta_analysis.in_percent(known, "estimate"), tested, strict=True)],
        reference="minus " + known["reference"],
        learned=known["tasks"].str.count(",") + 1,
    )
    effects_of = cells.pivot(index=keys, columns="reference", values="effect")
    scores = methods.groupby(keys[:2])[["task score", "closeness"]].mean()
    rows = cells.groupby(keys, sort=False)[["learned"]].first().join(effects_of).join(scores, on=keys[:2])
    references = [name for name in map("minus {}".format, REFERENCES) if name in rows]
    shown = rows[["task score", "closeness", "learned", *references]]
    return shown.rename(columns={"learned": "tasks learned"}).reset_index()


def _permutation(effects: pd.DataFrame) -> pd.Series:
    """Return the permutation p-values; recorded effects are combined over data sets, and have none."""
    return effects.get("permutation", pd.Series(np.nan, effects.index))


def verdict_table(effects: pd.DataFrame) -> pd.DataFrame:
    """Return the verdicts: a row per variant and brain data set (not named if there is one), a column per claim."""
    judged = effects[effects["verdict"] != ""].rename(columns={"tasks": "tasks learned"})
    wide = judged.pivot_table(
        index=["variant", "brain", "tasks learned"], columns="claim", values="verdict", aggfunc="first", sort=False
    )
    table = wide.reset_index().rename_axis(columns=None)
    return table if table["brain"].nunique() > 1 else table.drop(columns="brain")


def methods(results: Mapping[str, Results]) -> pd.DataFrame:
    """Return the scores and costs of every method in each variant, means over tasks and seeds.

    Returns
    -------
    DataFrame
        variant, brain, method; `task score` from the trivial baseline (0) to perfect (1); `closeness`, the Spearman RSA
        to the untuned model; `decoding accuracy` in the main region; trained parameters; seconds of tuning.
    """
    found = []
    for name, of in results.items():
        tuned = tables.gain(of.tuned).groupby("method", sort=False)[["gain", "parameters", "seconds"]].mean()
        rows = tables.judged(of.primary)
        rows = tables.labelled(rows[rows["kind"] != "control"])
        accuracy = rows.groupby(["brain", "method"], sort=False)["pairwise"].mean()
        close = tables.labelled(of.closeness).groupby(["brain", "method"])["spearman"].mean()
        table = pd.DataFrame({"closeness": close, "decoding accuracy": accuracy}).reindex(accuracy.index)
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
            tested = f"permutation: {statistics.p_text(row.permutation)}" if row.permutation >= 0 else ""
            text = row.verdict or (tested if np.isfinite(row.estimate) else "no evidence possible")
            axes.text(1.03, place, text, transform=axes.get_yaxis_transform(), va="center", fontsize=9)
        style.name_rows(axes, names)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlabel(unit.label, fontsize=9)
    return style.with_legend(figure)


def method_forest(effects: pd.DataFrame, margin: float) -> Figure:
    """Draw the effects of every tuning method, compared with each reference, in each direction.

    For `effects` see :func:`method_effects`; the margin, a fraction of the signal, is drawn as a band. Symbols are open
    where the test with permuted labels is not significant.
    """
    known = _labelled(effects.assign(permutation=_permutation(effects)))[effects["estimate"].notna()]
    if known.empty:
        return style.nothing("no brain data set, or only one of several, allows a conclusion")
    names = list(dict.fromkeys(known["way"]))
    parts = dict(list(known.groupby("compared", sort=False)))
    columns, width = (2, 3.6) if known["direction"].nunique() > 1 else (len(REFERENCES), 2.4)
    size = (width, 0.26 * len(names) + 0.9)
    figure, drawn = style.panels(parts, columns=columns, size=size, fontsize=9, sharey=True)
    for axes, rows in drawn:
        axes.axvspan(
            -margin, margin, color=style.COLOURS["untuned"], alpha=0.15, linewidth=0, label="within the margin"
        )
        axes.axvline(0, color="black", linewidth=1)
        for row in rows.itertuples():
            look = {"fmt": style.MARKERS[row.method], "color": style.COLOURS[row.method], "capsize": 2}
            look |= {"markerfacecolor": "white"} if row.permutation > LEVEL else {}
            spread = np.nan_to_num([[row.estimate - row.low], [row.high - row.estimate]])
            axes.errorbar([row.estimate], [names.index(row.way)], xerr=spread, **look)
        style.name_rows(axes, names)
        axes.xaxis.set_major_formatter(style.signed_percent)
        axes.xaxis.set_major_locator(MaxNLocator(3 if width < 3 else 5))
        axes.set_xlabel(textwrap.fill(claims.SIGNAL.label, 26), fontsize=9)
    return style.with_legend(figure)
