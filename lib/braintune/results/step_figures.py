"""Figures of single steps for the notebooks: one input, one division into folds, one fit, one null distribution."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from IPython.display import HTML
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from scipy.spatial.distance import squareform
from scipy.stats import rankdata

from braintune.neural.folds import Fold
from braintune.results.style import COLOURS, MARKERS, nothing, panels, with_legend

if TYPE_CHECKING:  # importing transformers takes seconds, and most notebooks do without
    from transformers import PreTrainedTokenizerBase

    from braintune.models.inputs import Feature

#: What a stimulus is in a fold, and its colour.
_PARTS = {"left out": "#ffffff", "train": "#c9d3de", "test": "#0072b2"}
#: Measure of fit → the label of its axis.
FIT_LABELS = {
    "scale-free": "correlation of predicted\nwith true, inner folds",
    "squared-error": "1 − squared error / variance,\nleave-one-out",
}

# --- inputs ------------------------------------------------------------------------------------------------------


def show_tokens(tokens: Sequence[str], notes: Sequence[str]) -> HTML:
    """Show tokens in their order; those with a note are highlighted and show it as a subscript."""
    parts = (
        f"<mark>{escape(token)}<sub>{escape(note)}</sub></mark>" if note else f"<span>{escape(token)}</span>"
        for token, note in zip(tokens, notes, strict=True)
    )
    return HTML(f"<p class='tokens'>{' '.join(parts)}</p>")


def model_input(feature: "Feature", tokenizer: "PreTrainedTokenizerBase", labels: Sequence[str]) -> HTML:
    """Show one input as the model reads it, from :func:`braintune.models.inputs.encode`.

    The tokens of the spans that the head reads show the number of their span, the first token of a word shows its tag,
    the tokens of an answer show "answer", and a masked token shows what it replaces.
    """
    notes: list[list[str]] = [[] for _ in feature["input_ids"]]
    for number, (start, end) in enumerate(feature["spans"], start=1):
        for position in range(start, end):
            notes[position].append(str(number))
    wanted = feature["labels"]
    if "words" in feature:
        for position in feature["words"]:
            if position >= 0 and wanted[position] >= 0:
                notes[position].append(labels[wanted[position]])
    elif "gaps" in feature:
        for position in (position for gap in feature["gaps"] for position in gap):
            notes[position].append(tokenizer.convert_ids_to_tokens(wanted[position]))
    elif "offsets" in feature and wanted[0] >= 0:
        for position in range(wanted[0], wanted[1] + 1):
            notes[position].append("answer")
    return show_tokens(tokenizer.convert_ids_to_tokens(feature["input_ids"]), [" ".join(note) for note in notes])


def cosine_by_layer(cosines: Mapping[str, Sequence[float]]) -> Figure:
    """Draw the cosine of a sentence's vectors to its untuned vectors, layer by layer, one line per representation."""
    if not cosines:
        return nothing("the run has neither tuned models nor a zero prefix")
    figure, axes = plt.subplots(figsize=(5.5, 2.6), layout="constrained")
    for name, values in cosines.items():
        look = {"color": COLOURS.get(name, COLOURS["control"]), "marker": MARKERS.get(name, MARKERS["control"])}
        axes.plot(range(len(values)), values, label=name, **look)
    axes.xaxis.set_major_locator(MaxNLocator(12, integer=True))
    axes.set(xlabel="layer", ylabel="cosine to the untuned vector")
    axes.grid(axis="y")
    return with_legend(figure)


# --- folds and fits ----------------------------------------------------------------------------------------------


def fold_map(folds: Sequence[Fold], fold: int = 0) -> Figure:
    """Draw which stimuli every fold trains on and tests and, below them, the inner folds of one fold."""
    n, here = sum(len(one.test) for one in folds), folds[fold]
    inner = [(here.train[kept], here.train[tested]) for kept, tested in here.inner]
    heights = [len(folds), len(inner)]
    figure, both = plt.subplots(
        2, 1, figsize=(7, 0.22 * sum(heights) + 1.5), sharex=True, height_ratios=heights, layout="constrained"
    )
    parts = {"fold": [(one.train, one.test) for one in folds], f"inner fold\nof fold {fold}": inner}
    for axes, (name, divided) in zip(both, parts.items(), strict=True):
        role = np.zeros((len(divided), n))
        for row, (train, test) in enumerate(divided):
            role[row, train], role[row, test] = 1, 2
        colours = ListedColormap(list(_PARTS.values()))
        axes.pcolormesh(np.arange(n + 1), np.arange(len(divided) + 1), role, cmap=colours, vmin=0, vmax=2)
        axes.set_yticks(np.arange(len(divided)) + 0.5, range(len(divided)))
        axes.hlines(range(1, len(divided)), 0, n, color="white", linewidth=2)
        axes.set(ylabel=name, ylim=(len(divided), 0))
        axes.grid(False)
    both[-1].set_xlabel("stimulus, in the order of the data")
    handles = [Patch(facecolor=colour, edgecolor="#888888", label=part) for part, colour in _PARTS.items()]
    figure.legend(handles=handles, loc="outside upper center", ncols=3)
    return figure


def fit_by_penalty(penalties: Sequence[float], fits: Mapping[str, Sequence[float]]) -> Figure:
    """Draw how well each penalty predicts inside the training fold, one panel per measure; the best is filled in."""
    figure, parts = panels(fits, columns=2, size=(3.3, 2.1))
    for select, (axes, fit) in zip(fits, parts, strict=True):
        best = int(np.argmax(fit))
        axes.semilogx(penalties, fit, color="black", marker="o", markerfacecolor="white")
        axes.semilogx(penalties[best], fit[best], color=COLOURS["fine-tuned"], marker="o", markersize=9)
        axes.axhline(0, color="#888888", linewidth=0.8)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set(xlabel="penalty (relative)", ylabel=FIT_LABELS[select])
        axes.grid(axis="y")
    return figure


def null_histogram(null: Sequence[float], observed: float, label: str) -> Figure:
    """Draw the scores with permuted labels as a histogram, and the score with the true labels as a line."""
    if not len(null):
        return nothing("no labels were permuted")
    figure, axes = plt.subplots(figsize=(5.5, 2.4), layout="constrained")
    sns.histplot(np.asarray(null), bins="auto", color="#c9d3de", label="permuted labels", ax=axes)
    axes.axvline(observed, color=COLOURS["fine-tuned"], linewidth=2, label="true labels")
    axes.set(xlabel=label, ylabel="permutations")
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    return with_legend(figure)


def predicted_and_measured(predicted: np.ndarray, measured: np.ndarray) -> Figure:
    """Draw predicted against measured responses of one test fold, one point per stimulus and voxel."""
    figure, axes = plt.subplots(figsize=(4.5, 3.2), layout="constrained")
    size = 12 if predicted.size < 500 else 4
    axes.scatter(predicted.ravel(), measured.ravel(), s=size, alpha=0.4, linewidths=0, color="#0072b2", rasterized=True)
    slope, offset = np.polyfit(predicted.ravel(), measured.ravel(), 1) if np.ptp(predicted) else (0.0, 0.0)
    ends = np.array([predicted.min(), predicted.max()])
    axes.plot(ends, slope * ends + offset, color=COLOURS["fine-tuned"], linewidth=2)
    axes.set(xlabel="predicted response (SD)", ylabel="measured response (SD)")
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.grid(axis="both")
    return figure


# --- similarity --------------------------------------------------------------------------------------------------


def dissimilarities(rdms: Mapping[str, np.ndarray], order: np.ndarray) -> Figure:
    """Draw dissimilarity matrices side by side as ranks, stimuli in the same order: dark pairs are most similar."""
    figure, parts = panels(rdms, columns=3, size=(2.4, 1.9), fontsize=9)
    image: Any = None
    for axes, rdm in parts:
        matrix = squareform(rankdata(rdm) / len(rdm))
        image = axes.imshow(matrix[np.ix_(order, order)], cmap="viridis", vmin=0, vmax=1, interpolation="nearest")
        axes.grid(False)
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    figure.colorbar(image, ax=[axes for axes, _ in parts], label="rank of the distance", shrink=0.7)
    figure.supxlabel("stimulus, by passage or topic where there are any", fontsize=10)
    return figure
