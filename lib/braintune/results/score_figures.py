"""Figures of decoding and encoding: scores by region, task and layer, and the difference between the tuning methods.

Functions take `scores` at one readout, as in :attr:`braintune.results.tables.Results.primary`, or the table named in
their docstring, and return a matplotlib Figure. Error bars are 95 % t intervals over participants (of each
participant's mean over tasks and seeds) unless the caption says otherwise; with one participant there are none.
"""

import textwrap
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy import stats

from braintune.results import statistics, style, tables
from braintune.results.style import ACCURACY, COLOURS, MARKERS, nothing, panels, with_legend
from braintune.results.tables import ALL, ARMS, CHANCE, READOUT_NAMES, SCORE, first_readout

#: Score → the label of its axis.
SCORE_LABELS = {"pairwise": ACCURACY, "correlation": "correlation of predicted with measured"}
#: Direction → what it does, for a title.
DIRECTIONS = {"decoding": "from brain to sentence", "encoding": "from sentence to brain"}

#: Row of the mean over tasks.
MEAN = "mean over tasks"


def by_region(scores: pd.DataFrame, value: str = "pairwise") -> Figure:
    """Draw a score by region and method, one panel per brain data set, in its main fold design."""
    if scores.empty:
        return nothing(style.NOT_RUN)
    brains = dict(list(tables.in_main_design(scores).groupby("brain", sort=False)))
    heights = [rows["region"].nunique() for rows in brains.values()]
    figure, column = plt.subplots(
        len(brains), 1, figsize=(7, 0.36 * sum(heights) + 1.1 * len(brains) + 0.3), squeeze=False, sharex=True,
        height_ratios=[h + 1 for h in heights], layout="constrained",
    )  # fmt: skip
    for axes, (brain, rows) in zip(column.flat, brains.items(), strict=True):
        if value == "pairwise":
            style.chance_line(axes)
        kept = tables.labelled(rows[rows["kind"] != "control"])
        means = style.over_participants(kept, "method", "region", value=value)
        style.dots(axes, means, "region", list(rows["region"].unique()), x=value)
        axes.set_title(f"{style.who(brain, rows)} ({rows['folds'].iloc[0]} folds)", fontsize=10, loc="left")
    column[-1, 0].set_xlabel(SCORE_LABELS[value])
    return with_legend(figure)


def beside_controls(table: pd.DataFrame, direction: str = "decoding") -> Figure:
    """Draw the scores of all representations, one panel per brain data set, beside controls and permuted labels.

    For `table` see :func:`braintune.results.answer.scores_beside_controls`.
    """
    if table.empty:
        return nothing("these results hold one direction only")
    brains = {
        f"{who}\n{region}, {folds} folds, {READOUT_NAMES[readout]}": rows
        for (who, region, folds, readout), rows in table.groupby(["who", "region", "folds", "readout"], sort=False)
    }
    names = list(dict.fromkeys(table["representation"]))
    figure, parts = panels(brains, columns=2, size=(3.7, 0.28 * len(names) + 0.9), fontsize=9)
    for axes, rows in parts:
        for place, row in enumerate(rows.set_index("representation").reindex(names).itertuples()):
            if not np.isfinite(row.mean):
                axes.text(0.02, place, "not recorded", transform=axes.get_yaxis_transform(), va="center", fontsize=8,
                          color=COLOURS["untuned"], style="italic")  # fmt: skip
                continue
            name = row.Index if row.Index in COLOURS else "control"
            spread = np.nan_to_num([[row.mean - row.low], [row.high - row.mean]])
            axes.errorbar(row.mean, place, xerr=spread, fmt=MARKERS[name], color=COLOURS[name], capsize=2, markersize=6)
        if direction == "decoding":
            style.chance_line(axes)
        style.name_rows(axes, names)
        axes.set(xlabel=SCORE_LABELS[SCORE[direction]])
    return with_legend(figure)


def decoding_by_task(scores: pd.DataFrame) -> Figure:
    """Draw accuracy by task and method, one panel per network of each brain, in its main fold design."""
    tasks = list(scores.loc[scores["method"].isin(ARMS), "task"].unique())
    if not tasks:
        return nothing("no tuned representation was decoded")
    networks = {}
    for brain, rows in tables.in_main_design(scores).groupby("brain", sort=False):
        regions, design = list(rows["region"].unique()), rows["folds"].iloc[0]
        for region in [r for r in regions if r in tables.NETWORKS] or regions:
            networks[f"{region}\n{style.who(brain, rows)},\n{design} folds"] = rows[rows["region"] == region]
    size = (2.1, 0.3 * len(tasks) + 0.9)
    figure, parts = panels(networks, columns=4, size=size, fontsize=9, sharex=True, sharey=True)
    for axes, rows in parts:
        style.untuned_line(axes, rows)
        style.chance_line(axes)
        style.dots(axes, style.over_participants(rows[rows["method"].isin(ARMS)], "method", "task"), "task", tasks)
    figure.supxlabel(ACCURACY, fontsize=10)
    return with_legend(figure)


def difference_map(scores: pd.DataFrame) -> Figure:
    """Draw prompt-tuned minus fine-tuned accuracy in percentage points, region by task, one panel per brain data set.

    A star marks q < 0.05 of a paired t test over participants (Benjamini and Hochberg over all cells of a panel).
    """
    differences, cells = {}, {}
    for brain, rows in tables.in_main_design(scores).groupby("brain", sort=False):
        contrast = tables.contrast(rows, ["region", "task"])
        if len(contrast):
            name = style.who(brain, rows)
            differences[name] = 100 * contrast.mean(axis=1).unstack("task", sort=False)
            written = [
                f"{style.signed(100 * x, '.1f')}{star}"
                for x, star in zip(contrast.mean(axis=1), _stars(contrast), strict=True)
            ]
            cells[name] = pd.Series(written, contrast.index).unstack("task", sort=False)
    if not differences:
        return nothing("only one tuning method was run")
    limit = max(float(t.abs().max().max()) for t in differences.values()) or 1.0
    heights = [len(t) for t in differences.values()]
    figure, column = plt.subplots(
        len(differences), 1, figsize=(7.4, 0.34 * sum(heights) + 1.4 * len(differences)), squeeze=False,
        height_ratios=heights, layout="constrained",
    )  # fmt: skip
    for axes, (brain, table) in zip(column.flat, differences.items(), strict=True):
        sns.heatmap(
            table, ax=axes, cmap="RdBu", center=0, vmin=-limit, vmax=limit, annot=cells[brain], fmt="",
            annot_kws={"fontsize": 8}, cbar=False, linewidths=0.5, linecolor="white",
        )  # fmt: skip
        axes.set(xlabel="", ylabel="")
        axes.set_title(
            f"{brain}: prompt-tuned minus fine-tuned, in percentage points (* q < 0.05)", fontsize=10, loc="left"
        )
        axes.set_xticks(axes.get_xticks(), axes.get_xticklabels(), rotation=35, ha="right", rotation_mode="anchor")
        axes.tick_params(axis="y", rotation=0)
    return figure


def _stars(contrast: pd.DataFrame) -> list[str]:
    """Return a star for each row of cells × participants that differs from 0 (q < 0.05), else an empty text."""
    if contrast.shape[1] < 2:
        return [""] * len(contrast)
    p_values = stats.ttest_1samp(contrast, 0, axis=1, nan_policy="omit").pvalue
    return ["*" if q < 0.05 else "" for q in statistics.fdr(p_values)]


def difference_by_task(tests: pd.DataFrame, margin: float, answers: pd.DataFrame | None = None) -> Figure:
    """Draw prompt-tuned minus fine-tuned with its interval, task by task, one panel per brain data set.

    For `tests` see :func:`braintune.results.claims.task_table`, for `answers`, which add the mean over tasks,
    :func:`braintune.results.meta_analysis.answer_table`; the margin, a fraction of the signal, is drawn as a band.
    """
    if answers is not None and len(tests):
        means = first_readout(answers[(answers["direction"] == "decoding")])
        means = means[means["brain"].isin(tests["brain"])].assign(task=MEAN)
        tests = pd.concat([tests, means[["brain", "task", "difference", "low", "high"]]], ignore_index=True)
    brains = dict(list(tests.groupby("brain", sort=False)))
    if not brains:
        return nothing("nothing is decoded beyond content-free controls, or no task was learned by both methods")
    brains = {style.who(brain, rows): rows for brain, rows in brains.items()}
    figure, parts = panels(brains, columns=2, size=(3.7, 0.32 * max(map(len, brains.values())) + 0.7), sharex=True)
    for axes, rows in parts:
        if MEAN in set(rows["task"]):
            axes.axhline(len(rows) - 1.5, color="#cccccc", linewidth=0.8)
        spread = np.abs(rows[["low", "high"]].to_numpy() - rows[["difference"]].to_numpy()).T
        axes.axvspan(-margin, margin, color=COLOURS["untuned"], alpha=0.15, linewidth=0, label="within the margin")
        axes.axvline(0, color="black", linewidth=1)
        look = {"fmt": "o", "color": "black", "markersize": 5, "capsize": 2, "label": "prompt-tuned minus fine-tuned"}
        axes.errorbar(rows["difference"], range(len(rows)), xerr=np.nan_to_num(spread), **look)
        axes.plot(rows["shrunken"], range(len(rows)), "D", color="black", fillstyle="none", markersize=8,
                  label="shrunken towards the mean")  # fmt: skip
        style.name_rows(axes, rows["task"].tolist())
        axes.set(xlabel="difference, fraction of the untuned signal")
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_formatter(style.signed_percent)
    return with_legend(figure)


def task_ranking(scores: pd.DataFrame) -> Figure:
    """Draw tasks by the accuracy of their representations, each arm, main region and design of each brain."""
    brains = style.by_brain(tables.judged(scores))
    most = max(rows.loc[rows["method"].isin(ARMS), "task"].nunique() for rows in brains.values())
    if not most:
        return nothing("no tuned representation was decoded")
    figure, parts = panels(brains, columns=2, size=(3.7, 0.32 * most + 0.7))
    for axes, rows in parts:
        style.untuned_line(axes, rows)
        tuned = rows[rows["method"].isin(ARMS)]
        order = tuned.groupby("task")["pairwise"].mean().sort_values(ascending=False).index.tolist()
        style.dots(axes, style.over_participants(tuned, "method", "task"), "task", order)
        axes.set(xlabel=ACCURACY)
    return with_legend(figure)


def layer_curves(table: pd.DataFrame, value: str = "pairwise") -> Figure:
    """Draw a score by layer and method in each brain's main region, one panel per brain and fold design."""
    if table.empty:
        return nothing(style.NOT_RUN)
    rows = tables.in_main_region(tables.labelled(table[table["kind"] != "control"]))
    figure, parts = panels(style.by_brain(rows), columns=2, size=(3.4, 2.3), fontsize=9, sharey=True)
    for axes, part in parts:
        means = style.over_participants(part, "method", "layer", value=value)
        aside = {method: 0.08 * place for place, method in enumerate(means["method"].unique())}
        means["layer"] += means["method"].map(aside)  # so that equal curves are seen
        style.curves(axes, means, "layer", value, errorbar=style.t_interval)
        if value == "pairwise":
            axes.axhline(CHANCE, color="black", linestyle="--", linewidth=1, label="one half")
        axes.xaxis.set_major_locator(MaxNLocator(12, integer=True))
        axes.set(xlabel="layer")
    figure.supylabel(SCORE_LABELS[value], fontsize=10)
    return with_legend(figure)


#: Width of a figure that fits a phone (in).
PHONE = 3.5


def forest(answers: pd.DataFrame, margin: float) -> Figure:
    """Draw prompt-tuned minus fine-tuned for every brain data set and for all combined, one panel per direction.

    For `answers` see :func:`braintune.results.meta_analysis.answer_table`, of which the first readout is drawn; the
    margin, a fraction of the signal, is drawn as a band. The combined effect is a diamond as wide as its interval; the
    thin line behind it is the prediction interval of a new data set. Lines that extend beyond the axes end in an arrow.
    Names and numbers stand above the lines, so that the figure fits the width of a phone.
    """
    shown = first_readout(answers)
    if shown["difference"].isna().all():
        return nothing("in no brain data set can anything be concluded about the tuning methods")
    ends = shown[["low", "high"]].abs().max(axis=1).fillna(shown["difference"].abs())
    edge = 1.1 * max(min(ends.max(), 1.5 * ends[shown["brain"] != ALL].max()), 1.5 * margin)
    parts = {f"{name}: {DIRECTIONS[name]}": rows for name, rows in shown.groupby("direction", sort=False)}
    height = 0.55 * shown["brain"].nunique() + 0.4
    figure, drawn = panels(parts, columns=1, size=(PHONE, height), sharex=True)
    figure.set_figwidth(PHONE)
    for axes, rows in drawn:
        axes.axvspan(-margin, margin, color=COLOURS["untuned"], alpha=0.15, linewidth=0, label="within the margin")
        axes.axvline(0, color="black", linewidth=1)
        axes.axhline(len(rows) - 1.65, color="#cccccc", linewidth=0.8)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set(xlim=(-edge, edge), ylim=(len(rows) - 0.65, -0.75))
        for place, row in enumerate(rows.itertuples()):
            _forest_row(axes, place, row)
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        axes.xaxis.set_major_formatter(style.signed_percent)
    drawn[-1][0].set_xlabel(
        "← fine-tuned is better   |   prompt-tuned is better →\n"
        "prompt-tuned minus fine-tuned,\nfraction of the untuned model's signal",
        fontsize=9,
    )
    return with_legend(figure)


def _forest_row(axes: plt.Axes, place: int, row: Any) -> None:
    """Draw one row of a forest plot: a name and numbers, and below them a line."""
    paper = {"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 0.5}  # no line strikes through a name
    above = {"transform": axes.get_yaxis_transform(), "va": "bottom", "fontsize": 9, "bbox": paper}
    axes.text(0, place - 0.2, textwrap.fill(row.who, 28), linespacing=1, **above)
    if not np.isfinite(row.difference):
        why = "no evidence possible" if row.closed else "not combined"
        axes.text(1, place - 0.2, why, color=COLOURS["untuned"], style="italic", ha="right", **above)
        return
    edge, whole = axes.get_xlim()[1], row.brain == ALL
    low, high = (row.lowest, row.highest) if whole else (row.low, row.high)
    look = {"color": "black", "linewidth": 1 if whole else 1.8}
    axes.plot(np.clip([low, high], -edge, edge), [place, place], **look)
    for sign, end in ((-1, low), (1, high)):
        if sign * end > edge:
            axes.plot(sign * edge, place, "<" if sign < 0 else ">", color="black", markersize=6, clip_on=False)
    if whole and np.isfinite(row.low):
        corners = [(row.low, place), (row.difference, place - 0.2), (row.high, place), (row.difference, place + 0.2)]
        axes.fill(*zip(*corners, strict=True), color="black")
    else:
        axes.plot(row.difference, place, "s", color="black", markersize=6)
    axes.text(1, place - 0.2, style.percent_text(row.difference, row.low, row.high), ha="right", **above)


def leakage(scores: pd.DataFrame) -> Figure:
    """Draw the controls and the untuned model under each fold design, in the main region of each brain."""
    rows = tables.in_main_region(scores[scores["kind"] != "tuned"])
    rows = rows.assign(folds=rows["folds"] + " folds")
    groups = rows.groupby(["brain", "region"], sort=False)
    brains = {f"{style.who(brain, of)}\n{region}": of for (brain, region), of in groups}
    figure, parts = panels(brains, columns=2, size=(3.7, 0.34 * rows["representation"].nunique() + 0.7))
    for axes, here in parts:
        style.chance_line(axes)
        means = style.over_participants(here, "folds", "representation")
        style.dots(axes, means, "representation", list(here["representation"].unique()), hue="folds")
        axes.set(xlabel=ACCURACY)
    return with_legend(figure)
