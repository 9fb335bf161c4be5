"""Figures of the book, each from tidy tables: one function a figure, one colour a method.

Functions return a matplotlib Figure; :func:`draw` keeps it as SVG and PNG with its caption. Error bars are 95 %
confidence intervals over participants (t intervals of each participant's mean over tasks and seeds) unless a caption
says otherwise; with one participant there are none.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from braintune.core import store
from braintune.core.base import BraintuneError, lookup
from braintune.core.study import Study
from braintune.datasets.brains.registry import is_simulated
from braintune.results import tables
from braintune.results.style import (
    ACCURACY,
    COLOURS,
    DESIGNS,
    MARKERS,
    NETWORKS,
    grid_of_panels,
    half_width,
    interval,
    name_rows,
    nothing,
    offsets,
    one_legend,
    untuned_line,
    why_nothing,
)

# --- keeping -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Caption:
    """What a figure shows, in words that can stand alone, for eyes and for a screen reader.

    Attributes
    ----------
    text : str
        The caption.
    alt : str
        What is to be seen, in one line.
    brain : bool
        Whether it shows brain data.
    """

    text: str
    alt: str
    brain: bool = True


_BARS = "Points are means over participants, bars are 95 % confidence intervals over participants"
CAPTIONS = {
    "tuning-scores": Caption(
        "Test score by task and method, beside what a trivial answer (bar) and a bag of words (line) score on the same "
        "examples. With several seeds, points are means and error bars standard deviations over seeds. Each task has "
        "its own metric, so compare within a row.",
        "Test score by task and tuning method, beside a trivial baseline and a bag of words.",
        brain=False,
    ),
    "learning-curves": Caption(
        "Validation score after each epoch, mean over seeds. A curve that still rises at its end asks for more epochs.",
        "Validation score by epoch for every task and method.",
        brain=False,
    ),
    "decoding-networks": Caption(
        f"How well each kind of representation is decoded from each region, mean over tasks. {_BARS}; the dashed line "
        "is chance.",
        "Decoding accuracy of untuned, fine-tuned and prompt-tuned representations, by region.",
    ),
    "decoding-tasks": Caption(
        f"How well the representation of each task is decoded from each network. {_BARS}; the grey line and band are "
        "the untuned model and its interval, the dashed line is chance.",
        "Decoding accuracy by network, task and tuning method, with the untuned model as a line.",
    ),
    "difference": Caption(
        "Prompt-tuned minus fine-tuned pairwise accuracy, in hundredths, mean over participants, by region and task. "
        "Above zero (blue), the prompt-tuned representation is decoded better.",
        "Prompt-tuned minus fine-tuned accuracy by region and task.",
    ),
    "difference-tasks": Caption(
        "Prompt-tuned minus fine-tuned pairwise accuracy by task, in the main region of each brain. Points are means "
        "over participants, bars are intervals over participants; the grey band is the margin within which a "
        "difference does not count. Right of zero, the prompt-tuned representation is decoded better.",
        "Prompt-tuned minus fine-tuned accuracy by task with intervals, beside the margin.",
    ),
    "task-ranking": Caption(
        f"Tasks in the order of how well their representations are decoded. {_BARS}; the grey line and band are the "
        "untuned model and its interval.",
        "Tasks ranked by the decoding accuracy of their representations.",
    ),
    "layers": Caption(
        f"Pairwise accuracy by layer, mean over tasks; layer 0 holds the token embeddings. {_BARS}; the dashed line is "
        "chance.",
        "Decoding accuracy by layer for untuned, fine-tuned and prompt-tuned representations.",
    ),
    "leakage": Caption(
        f"The controls and the untuned model under both fold designs. {_BARS}; the dashed line is chance. What a "
        "content-free code reaches with shuffled folds is leakage.",
        "Decoding accuracy of the controls and the untuned model under shuffled and grouped folds.",
    ),
    "closeness-tasks": Caption(
        "Representational similarity (Spearman) of each tuned model to the untuned one, by task, over the stimuli of "
        "each brain data set. Points are means over seeds, bars 95 % bootstrap intervals over passages (or stimuli). "
        "At 1, tuning has left the order of all distances as it was.",
        "Similarity to the untuned model by task and tuning method, with bootstrap intervals.",
        brain=False,
    ),
    "closeness-layers": Caption(
        "Representational similarity (Spearman) to the untuned model at the same layer, mean over tasks, seeds and the "
        "stimuli of all brain data sets. The prefix controls have learned nothing: what they lack to 1 is the price of "
        "attending to a prefix. Layer 0 holds the token embeddings.",
        "Similarity to the untuned model by layer, for both tuning methods and three controls.",
        brain=False,
    ),
    "closeness": Caption(
        "Each point is one task tuned by one method: how close its representation stays to the untuned model, and how "
        "well it is decoded, mean over participants. A line joins the two methods of a task; the diamond is the "
        "untuned model.",
        "Decoding accuracy against closeness to the untuned model, by task and method.",
    ),
    "task-score": Caption(
        "Each point is one task tuned by one method: how far its task score has come from the trivial baseline to a "
        "perfect score, and how well its representation is decoded, mean over participants. A line joins the two "
        "methods of a task.",
        "Decoding accuracy against task score, by task and method.",
    ),
    "answer": Caption(
        "Real brains: prompt-tuned minus fine-tuned pairwise accuracy by task, in the main region of each brain data "
        "set. Points are means over participants and seeds, bars are intervals over participants; the grey band is the "
        "margin within which a difference does not count. Right of zero, the prompt-tuned representation is decoded "
        "better.",
        "Prompt-tuned minus fine-tuned decoding accuracy by task on real brains, with intervals, beside the margin.",
        brain=False,
    ),
    "recorded-difference": Caption(
        "The recorded real run: prompt-tuned minus fine-tuned pairwise accuracy by task, in the main region of each "
        "brain data set. Points are means over participants and seeds, bars are intervals over participants; the grey "
        "band is the margin within which a difference does not count.",
        "Recorded real run: prompt-tuned minus fine-tuned accuracy by task with intervals, beside the margin.",
        brain=False,
    ),
    "power": Caption(
        "How often a planted difference is found in simulated tables of scores, by its size and the number of "
        "participants. C1 and C2 can be wrong in two ways, so both sides are shown: prompt-tuning better by the "
        "difference (supported) and fine-tuning better by it (not supported). The dashed line is 80 %.",
        "Share of simulated studies that reach each verdict, by planted difference and number of participants.",
        brain=False,
    ),
    "brain-surface": Caption(
        "The regions on the surface of the brain (fsaverage), seen from the left and the right, coloured by pairwise "
        "accuracy (mean over participants and tasks) of each method's representations.",
        "Brain surfaces with the regions coloured by decoding accuracy, one row a method.",
    ),
    "brain-difference": Caption(
        "Prompt-tuned minus fine-tuned pairwise accuracy of each region in MNI space, mean over participants and "
        "tasks, seen through a glass brain. In blue regions the prompt-tuned representation is decoded better.",
        "Glass brain with the regions coloured by the difference between the two tuning methods.",
    ),
    "brain-map": Caption(
        "Regions in MNI space, seen through a glass brain, coloured by pairwise accuracy (mean over participants and "
        "tasks) of each method's representations.",
        "Glass brains with the regions coloured by decoding accuracy, one row a method.",
    ),
}


def draw(run: Study, name: str, figure: Figure) -> None:
    """Keep a figure of the book under its name, with its caption among :data:`CAPTIONS`."""
    caption = lookup(CAPTIONS, name, "figure")
    save_figure(run, figure, name, caption)


def save_figure(run: Study, figure: Figure, name: str, caption: Caption) -> None:
    """Write a figure as SVG (text as text) and PNG, and its caption as JSON; a simulated brain is named in a corner.

    Where there was nothing to draw, the reason is written in the place of the pictures, and stale ones are removed.

    Parameters
    ----------
    run : Study
    figure : Figure
    name : str
        Name of the files.
    caption : Caption

    Raises
    ------
    BraintuneError
        If the caption or its alternative text is empty, or a file cannot be written.
    """
    if not (caption.text.strip() and caption.alt.strip()):
        raise BraintuneError(f"figure {name!r} needs a caption and an alternative text")
    facts = {"caption": caption.text, "alt": caption.alt, "nothing": why_nothing(figure)}
    facts["simulated"] = caption.brain and any(is_simulated(brain) for brain in run.brains)
    if facts["simulated"] and "simulated" not in {text.get_gid() for text in figure.texts}:
        tag = {"ha": "right", "va": "top", "fontsize": 8, "color": "#a00000", "gid": "simulated"}
        figure.text(1, 0, "simulated brain", **tag)  # hangs below the figure, where it covers nothing
    for suffix in ("svg", "png"):
        if facts["nothing"]:
            run.figure_file(name, suffix).unlink(missing_ok=True)
            continue
        metadata = {"Date": None} if suffix == "svg" else {"Software": None}
        with store.atomic(run.figure_file(name, suffix)) as temporary:
            figure.savefig(temporary, format=suffix, bbox_inches="tight", pad_inches=0.08, dpi=150, metadata=metadata)
    store.write_json(run.figure_file(name, "json"), facts)


# --- tuning ------------------------------------------------------------------------------------------------------


def learning_curve(history: pd.DataFrame, metrics: Mapping[str, Any]) -> Figure:
    """Draw training loss and validation score of one tuning run, epoch by epoch."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(7, 2.4), layout="constrained")
    colour = COLOURS.get(metrics["method"], "black")
    left.plot(history["epoch"], history["train_loss"], marker="o", color=colour)
    left.set(xlabel="epoch", ylabel="training loss")
    right.plot(history["epoch"], history["score"], marker="o", color=colour)
    right.set(xlabel="epoch", ylabel=f"validation {metrics['metric']}")
    for axes in (left, right):
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.grid(axis="y")
    return figure


def learning_curves(history: pd.DataFrame) -> Figure:
    """Draw validation score by epoch (mean over seeds), one small panel a task."""
    tasks = list(history["task"].unique())
    if not tasks:
        return nothing("no model was tuned")
    figure, panels = grid_of_panels(len(tasks), columns=5, size=(1.8, 1.7))
    for axes, task in zip(panels, tasks, strict=True):
        for method, rows in history[history["task"] == task].groupby("method", sort=False):
            line = rows.groupby("epoch")["score"].mean()
            axes.plot(
                line.index,
                line,
                marker=MARKERS.get(method, "x"),
                markersize=4,
                color=COLOURS.get(method, "black"),
                label=method,
            )
        axes.set_title(task, fontsize=9)
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.grid(axis="y")
    figure.supxlabel("epoch", fontsize=10)
    figure.supylabel("validation score", fontsize=10)
    one_legend(figure, *panels)
    return figure


def tuning_scores(table: pd.DataFrame) -> Figure:
    """Draw test scores by task and method beside the trivial baseline."""
    tasks = list(dict.fromkeys(table["task"]))
    if not tasks:
        return nothing("no model was tuned")
    figure, axes = plt.subplots(figsize=(7, 0.42 * len(tasks) + 1.2), layout="constrained")
    base = table.groupby("task")["baseline"].mean().reindex(tasks)
    axes.barh(range(len(tasks)), base, height=0.7, color=COLOURS["baseline"], label="trivial baseline")
    words = table.groupby("task")["bag_of_words"].mean().reindex(tasks)
    axes.vlines(
        words, np.arange(len(tasks)) - 0.35, np.arange(len(tasks)) + 0.35, color="#888888", label="bag of words"
    )
    methods = list(dict.fromkeys(table["method"]))
    for offset, method in offsets(methods, 0.6 / len(methods)):
        scores = table[table["method"] == method].groupby("task", sort=False)["score"].agg(["mean", "std"])
        places = [tasks.index(task) + offset for task in scores.index]
        look = {"color": COLOURS.get(method, "black"), "fmt": MARKERS.get(method, "x"), "markersize": 6, "capsize": 2}
        axes.errorbar(scores["mean"], places, xerr=scores["std"].fillna(0), label=method, zorder=3, **look)
    axes.set_yticks(range(len(tasks)), tasks)
    axes.invert_yaxis()
    axes.set(xlabel="test score (each task's own metric)", xlim=(min(0.0, table["score"].min()), 1.02))
    one_legend(figure, axes)
    return figure


def movement(table: pd.DataFrame) -> Figure:
    """Draw the cosine of each representation to the untuned one, by method."""
    rows = table[table["cosine"].notna() & (table["representation"] != "untuned")]
    rows = rows.assign(what=np.where(rows["method"] == "control", rows["representation"], rows["method"]))
    order = list(dict.fromkeys(rows["what"]))
    figure, axes = plt.subplots(figsize=(7, 0.4 * len(order) + 1.0), layout="constrained")
    for place, what in enumerate(order):
        group = rows[rows["what"] == what]
        axes.scatter(
            group["cosine"],
            np.full(len(group), place),
            color=COLOURS.get(group["method"].iloc[0], "black"),
            alpha=0.7,
        )
    axes.set_yticks(range(len(order)), order)
    axes.invert_yaxis()
    axes.set(xlabel="mean cosine to the untuned vector, last layer", xlim=(None, 1.02))
    return figure


# --- decoding ----------------------------------------------------------------------------------------------------


def decoding_by_region(at_layer: pd.DataFrame) -> Figure:
    """Draw accuracy by region and method, one panel a brain data set, in its main fold design."""
    brains = list(at_layer["brain"].unique())
    rows = pd.concat([tables.in_main_design(at_layer[at_layer["brain"] == brain]) for brain in brains])
    rows = rows[rows["method"] != "control"]
    heights = [rows.loc[rows["brain"] == brain, "region"].nunique() for brain in brains]
    figure, panels = plt.subplots(
        len(brains), 1, figsize=(7, 0.36 * sum(heights) + 1.1 * len(brains) + 0.3), squeeze=False, sharex=True,
        height_ratios=[h + 1 for h in heights], layout="constrained",
    )  # fmt: skip
    for axes, brain in zip(panels[:, 0], brains, strict=True):
        here = rows[rows["brain"] == brain]
        regions = list(here["region"].unique())
        axes.axvline(tables.CHANCE, color="black", linestyle="--", linewidth=1, label="chance")
        for offset, method in offsets(list(here["method"].unique()), 0.25):
            for place, region in enumerate(regions):
                chosen = here[(here["region"] == region) & (here["method"] == method)]
                interval(axes, chosen, place + offset, method)
        name_rows(axes, regions)
        axes.set_title(f"{brain} ({here['folds'].iloc[0]} folds)", fontsize=10, loc="left")
    panels[-1, 0].set_xlabel(ACCURACY)
    one_legend(figure, *panels[:, 0])
    return figure


def decoding_by_task(at_layer: pd.DataFrame) -> Figure:
    """Draw accuracy by task and method, one panel a network of each brain, in its main fold design."""
    panels_of = []
    for brain in at_layer["brain"].unique():
        rows = tables.in_main_design(at_layer[at_layer["brain"] == brain])
        regions = list(rows["region"].unique())
        panels_of += [(brain, rows[rows["region"] == r]) for r in [r for r in regions if r in NETWORKS] or regions]
    tasks = [t for t in at_layer.loc[at_layer["method"].isin(tables.ARMS), "task"].unique() if t]
    if not tasks:
        return nothing("no tuned representation was decoded")
    figure, panels = grid_of_panels(
        len(panels_of), columns=4, size=(2.1, 0.3 * len(tasks) + 0.9), sharex=True, sharey=True
    )
    for axes, (brain, rows) in zip(panels, panels_of, strict=True):
        untuned_line(axes, rows[rows["method"] == "untuned"])
        axes.axvline(tables.CHANCE, color="black", linestyle="--", linewidth=1, label="chance")
        for offset, method in offsets([m for m in tables.ARMS if m in set(rows["method"])], 0.3):
            for place, task in enumerate(tasks):
                here = rows[(rows["task"] == task) & (rows["method"] == method)]
                interval(axes, here, place + offset, method)
        axes.set_title(f"{rows['region'].iloc[0]}\n{brain}, {rows['folds'].iloc[0]}", fontsize=9, loc="left")
        name_rows(axes, tasks)
    figure.supxlabel(ACCURACY, fontsize=10)
    one_legend(figure, *panels)
    return figure


def difference_map(at_layer: pd.DataFrame) -> Figure:
    """Draw prompt-tuned minus fine-tuned accuracy in hundredths, region by task, one panel a brain data set."""
    differences = {}
    for brain, rows in at_layer.groupby("brain", sort=False):
        arms = tables.in_main_design(rows).pivot_table(
            index=["region", "task"], columns="method", values="pairwise", sort=False
        )
        if set(tables.ARMS) <= set(arms):
            difference = 100 * (arms["prompt-tuned"] - arms["fine-tuned"])
            differences[brain] = difference.dropna().unstack("task", sort=False)
    if not differences:
        return nothing("only one tuning method was run")
    limit = max(float(t.abs().max().max()) for t in differences.values()) or 1.0
    heights = [len(t) for t in differences.values()]
    figure, panels = plt.subplots(
        len(differences), 1, figsize=(7.4, 0.34 * sum(heights) + 1.4 * len(differences)), squeeze=False,
        height_ratios=heights, layout="constrained",
    )  # fmt: skip
    for axes, (brain, table) in zip(panels[:, 0], differences.items(), strict=True):
        sns.heatmap(
            table, ax=axes, cmap="RdBu", center=0, vmin=-limit, vmax=limit, annot=True, fmt="+.1f",
            annot_kws={"fontsize": 8}, cbar=False, linewidths=0.5, linecolor="white",
        )  # fmt: skip
        axes.set(xlabel="", ylabel="")
        axes.set_title(f"{brain}: prompt-tuned minus fine-tuned, in hundredths", fontsize=10, loc="left")
        axes.set_xticks(axes.get_xticks(), axes.get_xticklabels(), rotation=35, ha="right", rotation_mode="anchor")
        axes.tick_params(axis="y", rotation=0)
    return figure


def difference_by_task(tests: pd.DataFrame, margin: float) -> Figure:
    """Draw prompt-tuned minus fine-tuned accuracy with its interval, task by task, one panel a brain data set.

    Parameters
    ----------
    tests : DataFrame
        Columns brain, task, difference, low, high, from :func:`braintune.results.verdicts.task_table`.
    margin : float
        Drawn as a band.
    """
    brains = list(tests["brain"].unique())
    if not brains:
        return nothing("only one tuning method was run")
    most = int(tests.groupby("brain").size().max())
    figure, panels = grid_of_panels(len(brains), columns=2, size=(3.7, 0.32 * most + 0.7))
    for axes, brain in zip(panels, brains, strict=True):
        rows = tests[tests["brain"] == brain]
        spread = np.abs(rows[["low", "high"]].to_numpy() - rows[["difference"]].to_numpy()).T
        axes.axvspan(-margin, margin, color=COLOURS["untuned"], alpha=0.15, linewidth=0, label="within the margin")
        axes.axvline(0, color="black", linewidth=1)
        look = {"fmt": "o", "color": "black", "markersize": 5, "capsize": 2, "label": "prompt-tuned minus fine-tuned"}
        axes.errorbar(rows["difference"], range(len(rows)), xerr=np.nan_to_num(spread), **look)
        name_rows(axes, rows["task"].tolist())
        axes.set(xlabel=f"difference in {ACCURACY}")
        axes.set_title(brain, fontsize=10, loc="left")
    one_legend(figure, *panels)
    return figure


def task_ranking(at_layer: pd.DataFrame) -> Figure:
    """Draw tasks by the accuracy of their representations, each arm, main region and design of each brain."""
    brains = list(at_layer["brain"].unique())
    tuned = {
        brain: rows[rows["method"].isin(tables.ARMS)] for brain in brains for rows in [tables.judged(at_layer, brain)]
    }
    most = max(rows["task"].nunique() for rows in tuned.values())
    if not most:
        return nothing("no tuned representation was decoded")
    figure, panels = grid_of_panels(len(brains), columns=2, size=(3.7, 0.32 * most + 0.7))
    for axes, brain in zip(panels, brains, strict=True):
        rows = tables.judged(at_layer, brain)
        untuned_line(axes, rows[rows["method"] == "untuned"])
        order = tuned[brain].groupby("task")["pairwise"].mean().sort_values(ascending=False).index.tolist()
        for offset, method in offsets([m for m in tables.ARMS if m in set(rows["method"])], 0.26):
            for place, task in enumerate(order):
                interval(axes, rows[(rows["task"] == task) & (rows["method"] == method)], place + offset, method)
        name_rows(axes, order)
        axes.set(xlabel=ACCURACY)
        axes.set_title(f"{brain}: {rows['region'].iloc[0]}, {rows['folds'].iloc[0]} folds", fontsize=10, loc="left")
    one_legend(figure, *panels)
    return figure


def layer_curves(decoding: pd.DataFrame) -> Figure:
    """Draw accuracy by layer and method in each brain's main region, one panel a brain and fold design."""
    rows = decoding[decoding["method"] != "control"]
    regions = rows.groupby("brain", sort=False)["region"].unique().map(lambda r: tables.main_region(list(r)))
    rows = rows[rows["region"] == rows["brain"].map(regions)]
    keys = list(dict.fromkeys(zip(rows["brain"], rows["folds"], strict=True)))
    figure, panels = grid_of_panels(len(keys), columns=2, size=(3.4, 2.3), sharey=True)
    for axes, (brain, design) in zip(panels, keys, strict=True):
        here = rows[(rows["brain"] == brain) & (rows["folds"] == design)]
        methods = list(here["method"].unique())
        for shift, method in offsets(methods, 0.08):  # a little aside, so that equal curves show
            group = here[here["method"] == method]
            means = group.groupby(["layer", "participant"])["pairwise"].mean().groupby("layer")
            centre, half = means.mean(), means.apply(lambda v: half_width(v.to_numpy()))
            axes.errorbar(
                centre.index + shift, centre, yerr=half, marker=MARKERS.get(method, "x"), markersize=4, capsize=2,
                color=COLOURS.get(method, "black"), label=method,
            )  # fmt: skip
        axes.axhline(tables.CHANCE, color="black", linestyle="--", linewidth=1, label="chance")
        axes.xaxis.set_major_locator(MaxNLocator(12, integer=True))
        axes.grid(axis="y")
        axes.set(xlabel="layer")
        axes.set_title(f"{brain}: {regions[brain]}, {design} folds", fontsize=9, loc="left")
    figure.supylabel(ACCURACY, fontsize=10)
    one_legend(figure, *panels)
    return figure


def leakage(at_layer: pd.DataFrame) -> Figure:
    """Draw the controls and the untuned model under each fold design, main region of each brain."""
    rows = at_layer[at_layer["method"].isin(["untuned", "control"])]
    brains = list(rows["brain"].unique())
    figure, panels = grid_of_panels(len(brains), columns=2, size=(3.7, 0.34 * rows["representation"].nunique() + 0.7))
    for axes, brain in zip(panels, brains, strict=True):
        here = rows[rows["brain"] == brain]
        here = here[here["region"] == tables.main_region(list(here["region"].unique()))]
        order = list(here["representation"].unique())
        axes.axvline(tables.CHANCE, color="black", linestyle="--", linewidth=1, label="chance")
        for offset, design in offsets([d for d in DESIGNS if d in set(here["folds"])], 0.26):
            for place, name in enumerate(order):
                chosen = here[(here["representation"] == name) & (here["folds"] == design)]
                interval(axes, chosen, place + offset, f"{design} folds", *DESIGNS[design])
        name_rows(axes, order)
        axes.set(xlabel=ACCURACY)
        axes.set_title(f"{brain}: {here['region'].iloc[0]}", fontsize=10, loc="left")
    one_legend(figure, *panels)
    return figure


# --- similarity --------------------------------------------------------------------------------------------------


def similarity_matrix(table: pd.DataFrame) -> Figure:
    """Draw the Spearman similarity of every pair of representations."""
    matrix = table.pivot_table(index="representation_a", columns="representation_b", values="spearman", sort=False)
    side = 0.22 * len(matrix) + 2.2
    figure, axes = plt.subplots(figsize=(side, side * 0.9), layout="constrained")
    sns.heatmap(
        matrix,
        ax=axes,
        cmap="viridis",
        vmax=1,
        square=True,
        cbar_kws={"label": "Spearman RSA", "shrink": 0.6},
    )
    axes.set(xlabel="", ylabel="")
    axes.tick_params(labelsize=7)
    return figure


def closeness(table: pd.DataFrame) -> Figure:
    """Draw similarity to the untuned model by task and method at one layer, one panel a brain data set.

    Parameters
    ----------
    table : DataFrame
        The RSA table ``untuned`` at the analysis layer; bars are its bootstrap intervals, mean over seeds.
    """
    rows = table[table["method"].isin(tables.ARMS)]
    tasks, brains = list(dict.fromkeys(rows["task"])), list(rows["brain"].unique())
    if not tasks:
        return nothing("no model was tuned")
    figure, panels = grid_of_panels(len(brains), columns=2, size=(3.7, 0.34 * len(tasks) + 0.7), sharex=True)
    for axes, brain in zip(panels, brains, strict=True):
        for offset, method in offsets(list(dict.fromkeys(rows["method"])), 0.2):
            here = rows[(rows["brain"] == brain) & (rows["method"] == method)]
            here = here.groupby("task")[["spearman", "low", "high"]].mean().reindex(tasks)
            spread = np.abs(here[["low", "high"]].to_numpy().T - here["spearman"].to_numpy())
            look = {"fmt": MARKERS[method], "color": COLOURS[method], "capsize": 2, "markersize": 5}
            axes.errorbar(here["spearman"], np.arange(len(tasks)) + offset, xerr=spread, label=method, **look)
        name_rows(axes, tasks)
        axes.set(xlabel="Spearman RSA to the untuned model", xlim=(None, 1.02))
        axes.set_title(brain, fontsize=10, loc="left")
    one_legend(figure, *panels)
    return figure
