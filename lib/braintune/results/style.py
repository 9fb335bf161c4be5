"""What the figures share: colours, style, and the pieces that they are drawn with.

One colour and one marker a method, everywhere. Error bars are 95 % confidence intervals over participants.
"""

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import stats

#: Colour-blind-safe (Okabe & Ito), and one colour a method everywhere.
COLOURS = {
    "untuned": "#6e6e6e",
    "fine-tuned": "#d55e00",
    "prompt-tuned": "#0072b2",
    "prompt-shallow": "#56b4e9",
    "lora": "#5d3a9b",
    "bitfit": "#e69f00",
    "head-only": "#000000",
    "control": "#b59f00",
    "baseline": "#dddddd",
}
MARKERS = {
    "untuned": "D",
    "fine-tuned": "s",
    "prompt-tuned": "o",
    "prompt-shallow": ">",
    "lora": "P",
    "bitfit": "X",
    "head-only": "d",
    "control": "^",
}
#: Fold designs have colours that no method has.
DESIGNS = {"shuffled": ("#cc79a7", "v"), "grouped": ("#009e73", "o")}
#: Regions that are whole networks; others are parts of one.
NETWORKS = ("language", "DMN", "task-positive", "visual", "whole-brain")
ACCURACY = "pairwise accuracy"
_NOTHING = "nothing to draw: "

STYLE = {
    "figure.facecolor": "white",
    "savefig.facecolor": "white",  # not transparent: black letters must stay legible on a dark page
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "x",
    "grid.color": "#e6e6e6",
    "axes.axisbelow": True,
    "font.size": 10,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "text.parse_math": False,  # names come from data, and a dollar in one is a dollar
    "svg.hashsalt": "braintune",
}
plt.rcParams.update(STYLE)


def interval(
    axes: plt.Axes,
    rows: pd.DataFrame,
    place: float,
    label: str,
    colour: str | None = None,
    marker: str | None = None,
) -> None:
    """Draw the mean over participants and its 95 % confidence interval."""
    values = rows.groupby("participant")["pairwise"].mean().to_numpy()
    if not len(values):
        return
    known = label in axes.get_legend_handles_labels()[1]
    half, mean = half_width(values), values.mean()
    within = [[min(half, mean)], [min(half, 1 - mean)]]  # an accuracy lies between 0 and 1
    axes.errorbar(
        mean, place, xerr=within, fmt=marker or MARKERS.get(label, "x"), markersize=5, capsize=2,
        color=colour or COLOURS.get(label, "black"), label=None if known else label,
    )  # fmt: skip


def half_width(values: np.ndarray) -> float:
    """Half the width of a 95 % t interval of the mean; 0 where there is only one value."""
    if len(values) < 2:
        return 0.0
    return float(stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))


def offsets(names: Sequence[str], step: float) -> list[tuple[float, str]]:
    """Spread names around a row, so that their points do not cover each other."""
    return [(step * (i - (len(names) - 1) / 2), name) for i, name in enumerate(names)]


def grid_of_panels(
    count: int, columns: int, size: tuple[float, float], **shared: bool
) -> tuple[Figure, list[plt.Axes]]:
    """Return a figure with `count` panels in rows of `columns`."""
    columns = min(columns, count)
    rows = -(-count // columns)
    shape = (max(columns * size[0] + 0.8, 4.5), rows * size[1] + 0.8)
    figure, grid = plt.subplots(rows, columns, figsize=shape, squeeze=False, layout="constrained", **shared)
    for axes in grid.flat[count:]:
        axes.set_axis_off()
    return figure, list(grid.flat[:count])


def name_rows(axes: plt.Axes, names: Sequence[str]) -> None:
    """Name the rows of a dot plot, the first on top."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)


def untuned_line(axes: plt.Axes, rows: pd.DataFrame) -> None:
    """Draw the untuned model as a line with its interval over participants as a band."""
    values = rows.groupby("participant")["pairwise"].mean().to_numpy()
    if len(values):
        half, mean = half_width(values), values.mean()
        axes.axvspan(max(mean - half, 0), min(mean + half, 1), color=COLOURS["untuned"], alpha=0.15, linewidth=0)
        axes.axvline(mean, color=COLOURS["untuned"], label="untuned")


def one_legend(figure: Figure, *panels: plt.Axes) -> None:
    """Put one legend above the panels, each entry once."""
    entries: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    if entries:
        columns = min(len(entries), int(figure.get_figwidth() / 1.3))
        figure.legend(entries.values(), entries, loc="outside upper center", ncols=columns)


def nothing(reason: str) -> Figure:
    """Return a figure that says why there is nothing to draw."""
    figure, axes = plt.subplots(figsize=(5, 1))
    axes.set_axis_off()
    axes.text(0.5, 0.5, f"{_NOTHING}{reason}", ha="center", va="center", gid="nothing")
    return figure


def why_nothing(figure: Figure) -> str:
    """Return why there was nothing to draw; empty for a figure that shows something."""
    texts = [text for axes in figure.axes for text in axes.texts if text.get_gid() == "nothing"]
    return texts[0].get_text().removeprefix(_NOTHING) if texts else ""
