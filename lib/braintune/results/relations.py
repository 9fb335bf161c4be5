"""Figures of what goes with what: closeness with layers, closeness and task score with decoding, size with power."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from braintune.results import tables
from braintune.results.statistics import POWER
from braintune.results.style import ACCURACY, COLOURS, MARKERS, grid_of_panels, nothing, one_legend

#: Controls that are drawn by layer, and their lines.
CONTROL_LINES = {"zero-prefix": "-", "random-prefix": "--", "random-weights": ":"}


def closeness_and_decoding(at_layer: pd.DataFrame, untuned: pd.DataFrame) -> Figure:
    """Draw decoding accuracy against similarity to the untuned model, one point a task and method.

    Parameters
    ----------
    at_layer : DataFrame
        From :func:`braintune.results.tables.scores`.
    untuned : DataFrame
        The RSA table ``untuned`` at the analysis layer.
    """
    keys = [key for key in ("brain", "task", "method") if key in untuned]
    close = untuned.groupby(keys)["spearman"].mean().rename("x").reset_index()
    return _against(at_layer, close, "Spearman RSA to the untuned model", untuned_at=1.0)


def closeness_by_layer(untuned: pd.DataFrame) -> Figure:
    """Draw similarity to the untuned model by layer: both arms, and the controls that have learned nothing.

    Parameters
    ----------
    untuned : DataFrame
        The RSA table ``untuned``, all layers.
    """
    lines = {method: untuned[untuned["method"] == method] for method in tables.ARMS}
    lines |= {name: untuned[untuned["representation"] == name] for name in CONTROL_LINES}
    if not any(map(len, lines.values())):
        return nothing("no model was tuned")
    figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
    for name, rows in lines.items():
        means = rows.groupby("layer")["spearman"].mean()
        if len(means):
            style = {"color": COLOURS["control"], "linestyle": CONTROL_LINES[name]} if name in CONTROL_LINES else {}
            style = style or {"color": COLOURS[name], "marker": MARKERS[name], "markersize": 5}
            axes.plot(means.index, means, label=name, **style)
    axes.xaxis.set_major_locator(MaxNLocator(12, integer=True))
    axes.grid(axis="y")
    axes.set(xlabel="layer", ylabel="Spearman RSA to the untuned model", ylim=(None, 1.02))
    one_legend(figure, axes)
    return figure


def score_and_decoding(at_layer: pd.DataFrame, tuned: pd.DataFrame) -> Figure:
    """Draw decoding accuracy against the task score, one point a task and method.

    Parameters
    ----------
    at_layer : DataFrame
        From :func:`braintune.results.tables.scores`.
    tuned : DataFrame
        From :func:`braintune.models.tuning.tuning_table`; task scores count from the trivial baseline (0) to perfect (1).
    """
    gain = tables.gain(tuned).groupby(["task", "method"])["gain"].mean().rename("x").reset_index()
    return _against(at_layer, gain, "task score, from trivial (0) to perfect (1)")


def _against(at_layer: pd.DataFrame, x: pd.DataFrame, label: str, untuned_at: float | None = None) -> Figure:
    """Draw accuracy against column ``x`` of a table by task and method (and brain, if it says so)."""
    brains = list(at_layer["brain"].unique())
    if not at_layer["method"].isin(tables.ARMS).any():
        return nothing("no tuned representation was decoded")
    figure, panels = grid_of_panels(len(brains), columns=2, size=(3.7, 2.8))
    for axes, brain in zip(panels, brains, strict=True):
        rows = tables.judged(at_layer, brain)
        if untuned_at is not None:
            here = {"x": untuned_at, "y": rows.loc[rows["method"] == "untuned", "pairwise"].mean()}
            axes.scatter(**here, color=COLOURS["untuned"], marker=MARKERS["untuned"], label="untuned", zorder=3)
        rows = rows[rows["method"].isin(tables.ARMS)].assign(brain=brain)
        means = rows.groupby(["brain", "task", "method"], sort=False)["pairwise"].mean().reset_index()
        points = means.merge(x).dropna().set_index("task")
        for _, pair in points.groupby(level="task"):
            axes.plot(pair["x"], pair["pairwise"], color="#cccccc", linewidth=1, zorder=1)
        for method in tables.ARMS:
            group = points[points["method"] == method]
            style = {"color": COLOURS[method], "marker": MARKERS[method], "zorder": 3}
            axes.scatter(group["x"], group["pairwise"], label=method if len(group) else None, **style)
        axes.grid(axis="y")
        axes.set(xlabel=label, ylabel=ACCURACY)
        axes.set_title(f"{brain}: {rows['region'].iloc[0]}, {rows['folds'].iloc[0]} folds", fontsize=10, loc="left")
        axes.margins(0.1)
        _label_tasks(axes, points)
    one_legend(figure, *panels)
    return figure


def _label_tasks(axes: plt.Axes, points: pd.DataFrame) -> None:
    """Write the tasks' names in a column at the right, each beside a thin line from its rightmost point."""
    ends = points.sort_values("x").groupby(level="task").last().sort_values("pairwise")
    low, high = axes.get_ylim()
    heights = np.linspace(low, high, len(ends) + 2)[1:-1]
    for (task, end), height in zip(ends.iterrows(), heights, strict=True):
        axes.annotate(
            task, (end["x"], end["pairwise"]), (1.03, height), textcoords=("axes fraction", "data"), fontsize=8,
            va="center", arrowprops={"arrowstyle": "-", "color": "#999999", "linewidth": 0.5, "shrinkB": 3},
        )  # fmt: skip


def power_curves(power: pd.DataFrame) -> Figure:
    """Draw how often each verdict is reached, by planted difference, one line a number of participants.

    Parameters
    ----------
    power : DataFrame
        Recorded by `make calibrate`.
    """
    shown = [name for name in power if name not in ("participants", "difference", "studies", "equivalent")]
    figure, panels = grid_of_panels(len(shown), columns=3, size=(2.5, 2.0), sharex=True, sharey=True)
    palette = sns.color_palette("colorblind", power["participants"].nunique())
    for axes, name in zip(panels, shown, strict=True):
        axes.axhline(POWER, color="black", linewidth=0.8, linestyle="--")
        for colour, (people, rows) in zip(palette, power.groupby("participants"), strict=True):
            label = f"{people} participants"
            axes.plot(rows["difference"], rows[name], color=colour, marker="o", markersize=4, label=label)
        axes.set_title("difference found" if name == "found" else name, fontsize=10, loc="left")
        axes.set(xlabel="planted difference", ylabel="share of studies", ylim=(-0.03, 1.03))
        axes.label_outer()
    one_legend(figure, *panels)
    return figure
