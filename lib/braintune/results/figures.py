"""Figures of tuning, of similarity, and of what is related to decoding; and the function that writes every figure.

Each figure is made from tidy tables, with one function per figure and one colour per method. :func:`draw` writes a
figure, also those of :mod:`braintune.results.score_figures` and :mod:`braintune.results.brain_maps`, as SVG and PNG
with its caption from `captions.yml`.
"""

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import yaml
from IPython.display import display
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from braintune.core import store
from braintune.core.base import lookup
from braintune.core.study import Study
from braintune.datasets.brains.registry import is_simulated
from braintune.results import style, tables
from braintune.results.claims import WORDS
from braintune.results.style import ACCURACY, COLOURS, MARKERS, nothing, panels, with_legend
from braintune.results.tables import ARMS

#: Controls that are drawn by layer, and their lines.
CONTROL_LINES = {"zero-prefix": "-", "random-prefix": "--", "random-weights": ":"}

#: Figure → its words: `text` (the caption), `alt` (one line for a screen reader), `brain` (false: no brain data in it).
CAPTIONS: dict[str, dict[str, Any]] = yaml.safe_load(
    Path(__file__).with_name("captions.yml").read_text(encoding="utf-8")
)


def draw(study: Study, name: str, figure: Figure, source: str = "run", save: bool = True) -> None:
    """Show a figure of the book, a key of :data:`CAPTIONS`, and write it as SVG and PNG, and its caption as JSON.

    Text in the SVG stays text. A label in a corner marks a simulated brain. If there is nothing to draw, the reason is
    stored and outdated images are removed.

    Parameters
    ----------
    study : Study
    name : str
    figure : Figure
    source : str
        One of :data:`braintune.core.study.SOURCES`: whose results are shown.
    save : bool
        If not, the figure is only shown.

    Raises
    ------
    BraintuneError
        If the figure has no caption, or a file cannot be written.
    """
    caption = lookup(CAPTIONS, name, "figure")
    of_run = caption.get("brain", True) and source == "run"
    simulated = of_run and any(is_simulated(brain) for brain in study.brains)
    facts = {
        "caption": caption["text"],
        "alt": caption["alt"],
        "nothing": style.why_nothing(figure),
        "simulated": simulated,
    }
    if simulated and "simulated" not in {text.get_gid() for text in figure.texts}:
        tag: dict[str, Any] = {"ha": "right", "va": "top", "fontsize": 8, "color": "#a00000", "gid": "simulated"}
        figure.text(1, 0, "simulated brain", **tag)  # below the figure, where it covers nothing
    display(figure)  # at once, so that figures and tables of a cell stay in order
    plt.close(figure)
    if not save:
        return
    for suffix, metadata in (("svg", {"Date": None}), ("png", {"Software": None})):
        path = study.figure_file(name, suffix, source)
        if facts["nothing"]:
            path.unlink(missing_ok=True)
            continue
        with store.atomic(path) as temporary:
            figure.savefig(temporary, format=suffix, bbox_inches="tight", pad_inches=0.08, dpi=150, metadata=metadata)
    store.write_json(study.figure_file(name, "json", source), facts)


# --- tuning ------------------------------------------------------------------------------------------------------


def learning_curve(history: pd.DataFrame, metrics: Mapping[str, Any]) -> Figure:
    """Draw training loss and validation score of one tuning run, epoch by epoch."""
    figure, both = plt.subplots(1, 2, figsize=(7, 2.4), layout="constrained")
    names = {"train_loss": "training loss", "score": f"validation {metrics['metric']}"}
    for axes, (column, name) in zip(both, names.items(), strict=True):
        axes.plot(history["epoch"], history[column], marker="o", color=COLOURS.get(metrics["method"], "black"))
        axes.set(xlabel="epoch", ylabel=name)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.grid(axis="y")
    return figure


def learning_curves(history: pd.DataFrame, tuned: pd.DataFrame | None = None) -> Figure:
    """Draw validation score by epoch (mean over seeds), one small panel per task, with the baseline in `tuned`."""
    tasks = dict(list(history.groupby("task", sort=False))) if len(history) else {}
    if not tasks:
        return nothing("no model was tuned" if tuned is None or tuned.empty else style.NOT_RUN)
    figure, parts = panels(tasks, columns=5, size=(1.8, 1.7), fontsize=9, sharey=True)
    base = {} if tuned is None else tuned.groupby("task")["baseline"].mean().to_dict()
    for axes, rows in parts:
        style.curves(axes, rows, "epoch", "score")
        if (level := base.get(rows["task"].iloc[0])) is not None:
            axes.axhline(level, color="black", linestyle=":", linewidth=1, label="trivial baseline (test)")
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.set_xlim(0.5, rows["epoch"].max() + 0.5)
    figure.supxlabel("epoch", fontsize=10)
    figure.supylabel("validation score", fontsize=10)
    return with_legend(figure)


def tuning_scores(table: pd.DataFrame) -> Figure:
    """Draw test scores by task and method beside the trivial baseline."""
    tasks = list(table["task"].unique())
    if not tasks:
        return nothing("no model was tuned")
    figure, axes = plt.subplots(figsize=(7, 0.42 * len(tasks) + 1.2), layout="constrained")
    base = table.groupby("task")[["baseline", "bag_of_words"]].mean().reindex(tasks)
    rows = np.arange(len(tasks))
    axes.barh(rows, base["baseline"], height=0.7, color=COLOURS["baseline"], label="trivial baseline")
    axes.vlines(base["bag_of_words"], rows - 0.35, rows + 0.35, color="#888888", label="bag of words")
    style.dots(axes, table, "task", tasks, x="score", errorbar="sd")
    axes.set(xlabel="test score (each task's own metric)", xlim=(min(0.0, table["score"].min()), 1.02))
    return with_legend(figure)


def movement(table: pd.DataFrame) -> Figure:
    """Draw the cosine of each representation to the untuned one, by method."""
    rows = tables.labelled(table[table["cosine"].notna() & (table["kind"] != "untuned")])
    rows["colour"] = rows["method"].where(rows["kind"] == "tuned", "control")
    order = list(rows["method"].unique())
    figure, axes = plt.subplots(figsize=(7, 0.4 * len(order) + 1.0), layout="constrained")
    palette = {name: COLOURS.get(name, "black") for name in rows["colour"].unique()}
    look = {"jitter": False, "alpha": 0.7, "size": 6, "legend": False}
    sns.stripplot(rows, x="cosine", y="method", hue="colour", palette=palette, order=order, ax=axes, **look)
    axes.set(xlabel="mean cosine to the untuned vector, last layer", ylabel="", xlim=(None, 1.02))
    return figure


# --- similarity --------------------------------------------------------------------------------------------------


def similarity_matrix(table: pd.DataFrame, value: str = "spearman", label: str = "Spearman RSA") -> Figure:
    """Draw the similarity of every pair of representations, by default Spearman's."""
    if table.empty:
        return nothing("no model was tuned")
    matrix = table.pivot_table(index="representation_a", columns="representation_b", values=value, sort=False)
    matrix = matrix.set_axis(tables.readable(matrix.index), axis=0).set_axis(tables.readable(matrix.columns), axis=1)
    side = 0.22 * len(matrix) + 2.2
    figure, axes = plt.subplots(figsize=(side, side * 0.9), layout="constrained")
    bar = {"label": label, "shrink": 0.6}
    sns.heatmap(matrix, ax=axes, cmap="viridis", vmax=1, square=True, cbar_kws=bar)
    axes.set(xlabel="", ylabel="")
    axes.tick_params(labelsize=7)
    return figure


def closeness(table: pd.DataFrame) -> Figure:
    """Draw similarity to the untuned model by task and method, one panel per brain data set.

    `table` is the RSA table ``untuned`` at the analysis layer; error bars are its bootstrap intervals, averaged over
    seeds.
    """
    rows = table[table["method"].isin(ARMS)]
    tasks = list(rows["task"].unique())
    stimuli = ((f"stimuli of {style.who(brain, of)}", of) for brain, of in rows.groupby("brain", sort=False))
    brains = {textwrap.fill(title, 40): of for title, of in stimuli}
    if not tasks:
        return nothing("no model was tuned")
    figure, parts = panels(brains, columns=2, size=(3.7, 0.34 * len(tasks) + 0.7), sharex=True)
    for axes, here in parts:
        for place, method in enumerate(rows["method"].unique()):
            means = here[here["method"] == method].groupby("task")[["spearman", "low", "high"]].mean().reindex(tasks)
            spread = np.abs(means[["low", "high"]].to_numpy().T - means["spearman"].to_numpy())
            look = {"fmt": MARKERS[method], "color": COLOURS[method], "capsize": 2, "markersize": 5, "label": method}
            axes.errorbar(means["spearman"], np.arange(len(tasks)) + 0.2 * place - 0.1, xerr=spread, **look)
        style.name_rows(axes, tasks)
        axes.set(xlabel="Spearman RSA to the untuned model", xlim=(None, 1.02))
    return with_legend(figure)


def closeness_by_layer(untuned: pd.DataFrame) -> Figure:
    """Draw similarity to the untuned model by layer (RSA table ``untuned``): both arms, and the untrained controls.

    Error bars of the two methods are 95 % t intervals over tasks; those of the controls are bootstrap intervals over
    passages.
    """
    looks = {method: {"color": COLOURS[method], "marker": MARKERS[method]} for method in ARMS}
    marks = zip(CONTROL_LINES.items(), "^vX", strict=True)
    looks |= {name: {"color": COLOURS["control"], "linestyle": line, "marker": mark} for (name, line), mark in marks}
    if untuned.empty:
        return nothing(style.NOT_RUN)
    rows = tables.labelled(untuned)
    if not rows["method"].isin(looks).any():
        return nothing("no model was tuned")
    figure, axes = plt.subplots(figsize=(7, 3.8), layout="constrained")
    drawn = [name for name in looks if name in set(rows["method"])]
    for place, name in enumerate(drawn):
        here = rows[rows["method"] == name]
        by_task = here.groupby(["layer", "task"])[["spearman", "low", "high"]].mean()
        means = by_task.groupby("layer").mean()
        ends = means[["low", "high"]].T.to_numpy()
        if name in ARMS:
            ends = np.array([style.t_interval(of) for _, of in by_task["spearman"].groupby(level="layer")]).T
        spread = np.nan_to_num(np.abs(ends - means["spearman"].to_numpy()))
        x = means.index + 0.06 * (place - (len(drawn) - 1) / 2)  # so that equal curves are seen
        axes.errorbar(x, means["spearman"], yerr=spread, label=name, markersize=5, capsize=2, **looks[name])
    axes.xaxis.set_major_locator(MaxNLocator(12, integer=True))
    axes.grid(axis="y")
    axes.set(xlabel="layer", ylabel="similarity to untuned (RSA)", ylim=(None, 1.02))
    return with_legend(figure)


# --- relations -----------------------------------------------------------------------------------------


def closeness_and_decoding(scores: pd.DataFrame, untuned: pd.DataFrame) -> Figure:
    """Draw decoding accuracy against similarity to the untuned model (RSA table ``untuned`` at the analysis layer)."""
    close = untuned.groupby(["brain", "task", "method"])["spearman"].mean().rename("x").reset_index()
    return _against(scores, close, "Spearman RSA to the untuned model", untuned_at=1.0)


def score_and_decoding(scores: pd.DataFrame, tuned: pd.DataFrame) -> Figure:
    """Draw decoding accuracy against the task score, one point per task and method."""
    gain = tables.gain(tuned).groupby(["task", "method"])["gain"].mean().rename("x").reset_index()
    return _against(scores, gain, "task score, from trivial (0) to perfect (1)")


def _against(scores: pd.DataFrame, x: pd.DataFrame, label: str, untuned_at: float | None = None) -> Figure:
    """Draw accuracy against column ``x`` of a table by task and method (and brain, if it has one)."""
    if not scores["method"].isin(ARMS).any():
        return nothing("no tuned representation was decoded")
    judged = tables.labelled(tables.judged(scores))
    figure, parts = panels(style.by_brain(judged), columns=2, size=(3.7, 2.8))
    for axes, rows in parts:
        means = rows.groupby(["brain", "task", "method"], sort=False)["pairwise"].mean().reset_index()
        points = means.merge(x).dropna()
        points = points[points["method"].isin(ARMS)].set_index("task")
        for _, pair in points.groupby(level="task"):
            axes.plot(pair["x"], pair["pairwise"], color="#cccccc", linewidth=1, zorder=1)
        groups = {method: points[points["method"] == method] for method in ARMS}
        if untuned_at is not None:
            groups |= {"untuned": means[means["method"] == "untuned"].assign(x=untuned_at)}
        for method, group in groups.items():
            look = {"color": COLOURS[method], "marker": MARKERS[method], "zorder": 3}
            axes.scatter(group["x"], group["pairwise"], label=method if len(group) else None, **look)
        axes.grid(axis="y")
        axes.set(xlabel=label, ylabel=ACCURACY)
        axes.margins(0.1)
        style.name_points(axes, {task: pair[["x", "pairwise"]] for task, pair in points.groupby(level="task")})
    return with_legend(figure)


def power_curves(power: pd.DataFrame) -> Figure:
    """Draw how often each verdict is reached (the recorded table ``power``), one line per number of participants."""
    shown = {
        f"{name}\n{WORDS[name.split()[0]]['short']}": name
        for name in power
        if name not in ("participants", "difference", "studies")
    }
    figure, parts = panels(shown, columns=3, size=(2.5, 2.1), fontsize=9, sharex=True, sharey=True)
    palette = sns.color_palette("colorblind", power["participants"].nunique())
    for axes, name in parts:
        axes.axhline(0.8, color="black", linewidth=0.8, linestyle="--")
        for colour, (people, rows) in zip(palette, power.groupby("participants"), strict=True):
            label = f"{people} participants"
            axes.plot(rows["difference"], rows[name], color=colour, marker="o", markersize=4, label=label)
        axes.set(xlabel="planted difference\n(fraction of the signal)", ylabel="share of studies", ylim=(-0.03, 1.03))
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        axes.label_outer()
    return with_legend(figure)
