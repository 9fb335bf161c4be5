"""Elements that the figures share: colours, style and drawing functions."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from scipy import stats

from braintune.datasets.brains.registry import participants_label
from braintune.results.tables import CHANCE

#: Colour (blind-safe: Okabe & Ito) and marker of each method and each fold design.
LOOKS = {
    "untuned": ("#6e6e6e", "D"),
    "fine-tuned": ("#d55e00", "s"),
    "prompt-tuned": ("#0072b2", "o"),
    "prompt-shallow": ("#56b4e9", ">"),
    "lora": ("#5d3a9b", "P"),
    "bitfit": ("#e69f00", "X"),
    "upper-half": ("#f0a3a3", "p"),
    "head-only": ("#000000", "d"),
    "control": ("#b59f00", "^"),
    "baseline": ("#dddddd", "|"),
    "shuffled folds": ("#cc79a7", "v"),
    "grouped folds": ("#009e73", "o"),
}
COLOURS = {name: colour for name, (colour, _) in LOOKS.items()}
MARKERS = {name: marker for name, (_, marker) in LOOKS.items()}
ACCURACY = "pairwise accuracy"
_NOTHING = "nothing to draw: "
T = TypeVar("T")

plt.rcParams |= {
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


def t_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % t interval of the mean of scores, cut at 1; the mean itself for one value."""
    sample = np.asarray(values, dtype=float)
    mean, half = sample.mean(), 0.0
    if len(sample) > 1:
        half = stats.t.ppf(0.975, len(sample) - 1) * sample.std(ddof=1) / np.sqrt(len(sample))
    return mean - half, min(mean + half, 1.0)


def over_participants(rows: pd.DataFrame, *keys: str, value: str = "pairwise") -> pd.DataFrame:
    """Return each participant's mean score for every combination of `keys`."""
    return rows.groupby([*keys, "participant"], sort=False)[value].mean().reset_index()


def dots(
    axes: plt.Axes, rows: pd.DataFrame, y: str, order: Sequence[str], hue: str = "method", x: str = "pairwise",
    errorbar: Any = t_interval,
) -> None:  # fmt: skip
    """Draw means with error bars, one row per entry of `order` (the first on top), one colour per entry of `hue`."""
    names = list(rows[hue].unique())
    if names:
        look = {"linestyle": "none", "markersize": 6, "markeredgewidth": 0, "capsize": 0.15}
        look |= {"palette": [COLOURS.get(n, "black") for n in names], "markers": [MARKERS.get(n, "x") for n in names]}
        look |= {"dodge": 0.26 * (len(names) - 1), "errorbar": errorbar, "err_kws": {"linewidth": 1.5}}
        sns.pointplot(rows, x=x, y=y, order=order, hue=hue, hue_order=names, ax=axes, **look)
        axes.get_legend().remove()
    axes.set(xlabel="", ylabel="")
    name_rows(axes, order)


def curves(axes: plt.Axes, rows: pd.DataFrame, x: str, y: str, errorbar: Any = None) -> None:
    """Draw the mean of `y` by `x`, one line per method."""
    names = list(rows["method"].unique())
    markers, palette = ({n: of.get(n, d) for n in names} for of, d in ((MARKERS, "o"), (COLOURS, "black")))
    sns.lineplot(
        rows, x=x, y=y, hue="method", style="method", markers=markers, dashes=False, palette=palette, ax=axes,
        errorbar=errorbar, err_style="bars", err_kws={"capsize": 2},
    )  # fmt: skip
    axes.get_legend().remove()
    axes.set(xlabel="", ylabel="")
    axes.grid(axis="y")


def chance_line(axes: plt.Axes) -> None:
    """Draw a line at one half in a dot plot: about the score with permuted labels, except for slow responses."""
    axes.axvline(CHANCE, color="black", linestyle="--", linewidth=1, label="one half")


def untuned_line(axes: plt.Axes, rows: pd.DataFrame) -> None:
    """Draw the untuned model as a line with its interval over participants as a band."""
    values = over_participants(rows[rows["kind"] == "untuned"])["pairwise"]
    if len(values):
        axes.axvspan(*t_interval(values), color=COLOURS["untuned"], alpha=0.15, linewidth=0)
        axes.axvline(values.mean(), color=COLOURS["untuned"], label="untuned")


def panels(
    parts: Mapping[str, T], columns: int, size: tuple[float, float], fontsize: int = 10, **shared: bool
) -> tuple[Figure, list[tuple[plt.Axes, T]]]:
    """Return a figure with a panel for each of `parts` (title → content), and the axes of each panel with its part.

    There are `columns` panels in a row, of `size` (width, height, in inches); `shared` are `sharex` and `sharey`.
    """
    columns = min(columns, len(parts))
    rows = -(-len(parts) // columns)
    shape = (max(columns * size[0] + 0.8, 4.5), rows * size[1] + 0.8)
    figure, grid = plt.subplots(rows, columns, figsize=shape, squeeze=False, layout="constrained", **shared)
    for axes in grid.flat[len(parts) :]:
        axes.set_axis_off()
    for axes, title in zip(grid.flat, parts, strict=False):
        axes.set_title(title, fontsize=fontsize, loc="left")
    return figure, list(zip(grid.flat, parts.values(), strict=False))


def name_rows(axes: plt.Axes, names: Sequence[str]) -> None:
    """Name the rows of a dot plot, the first on top."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)


def who(brain: str, rows: pd.DataFrame) -> str:
    """Name a brain data set by its participants; without their number if `rows` do not list participants."""
    return participants_label(brain, rows["participant"].nunique() if "participant" in rows else None)


def name_points(axes: plt.Axes, points: Mapping[str, pd.DataFrame], size: int = 8) -> None:
    """Write each name beside one of its points, where it covers no other point, line or name.

    `points` maps a name to its points, one row of x and y per point; a line joins them.
    """
    axes.figure.draw_without_rendering()  # settles the axes, so that places on the page are known
    to_page = axes.transData.transform
    lines = {name: to_page(of.to_numpy(dtype=float)) for name, of in points.items()}
    taken = [
        point + np.outer(np.linspace(0, 1, 100), line[-1] - point) for line in lines.values() for point in line[:1]
    ]
    dots, scale = np.concatenate([np.empty((0, 2)), *taken]), axes.figure.dpi / 72
    boxes: list[Bbox] = []
    marks = np.concatenate([np.empty((0, 2)), *lines.values()])
    for name, line in lines.items():
        width, height, gap = 0.6 * size * scale * len(name), 1.1 * size * scale, 6 * scale
        choices = []
        for (x, y), dx, dy in ((point, dx, dy) for point in line for dx in (1, -1, 0) for dy in (0, 1, -1)):
            if dx or dy:
                left = x + dx * gap - width * (1 - dx) / 2
                low = y + dy * gap * (1 if dx else 1.4) - height * (1 - dy) / 2
                choices.append(Bbox.from_bounds(left, low, width, height))
        inside = axes.bbox
        cost = [
            3 * sum(box.overlaps(other) for other in boxes)
            + 2 * box.count_contains(marks)
            + 0.1 * box.count_contains(dots)
            + 5 * (not inside.contains(*box.min) or not inside.contains(*box.max))
            for box in choices
        ]
        best = choices[int(np.argmin(cost))]
        boxes.append(best)
        middle = axes.transData.inverted().transform((best.x0 + best.width / 2, best.y0 + best.height / 2))
        axes.text(*middle, name, ha="center", va="center", fontsize=size)


def with_legend(figure: Figure) -> Figure:
    """Return a figure with one legend above its panels, each entry once."""
    entries: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    if entries:
        columns = min(len(entries), int(figure.get_figwidth() / 1.3))
        figure.legend(entries.values(), entries, loc="outside upper center", ncols=columns)
    return figure


def signed_percent(part: float, _: Any = None) -> str:
    """Write a fraction as a percentage with its sign: ``+3 %``, ``−10 %``, ``0 %``."""
    return f"{_signed(part)} %"


def percent_text(value: float, low: float, high: float) -> str:
    """Write an effect with its interval in percent: ``+3 % (−1 to +7)``; the effect alone if there is no interval."""
    interval = f" ({_signed(low)} to {_signed(high)})" if np.isfinite([low, high]).all() else ""
    return signed_percent(value) + interval


def signed(value: float, form: str) -> str:
    """Write a number with its sign; one that rounds to zero has none."""
    written = f"{value:+{form}}"
    return written[1:] if not float(written) else written.replace("-", "−")


def _signed(part: float) -> str:
    whole = round(100 * part)
    return f"{whole:+d}".replace("-", "−") if whole else "0"


#: Why there may be nothing to draw.
NOT_RUN = "these results do not include it"


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


def by_brain(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the rows of each brain, region and fold design, with these three as keys."""
    groups = rows.groupby(["brain", "region", "folds"], sort=False)
    return {f"{who(brain, of)}\n{region}, {design} folds": of for (brain, region, design), of in groups}
