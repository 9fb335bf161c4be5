"""Tasks learned one after another: score matrices, forgetting and transfer, and what the stages do to a representation.

Scores run from the trivial baseline (0) to perfect (1). :math:`R_{ij}` is the score on the task at position j of an
order after stage i, and T is the number of tasks. Intervals treat orders and seeds as random factors
(:func:`braintune.results.statistics.standard_error`); tasks, encoder, participants and stimuli count as fixed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy import stats

from braintune.core.study import Study
from braintune.datasets.brains.base import BrainData
from braintune.datasets.brains.registry import participants_label
from braintune.models.sequences import WAYS, sequences
from braintune.neural.decoding import decode_participant
from braintune.neural.encoding import encode_brain
from braintune.neural.folds import judged_design
from braintune.neural.representations import Embeddings, analysis_layer, layer_grams
from braintune.neural.rsa import gram_rdms, ranks
from braintune.results import style, tables
from braintune.results.statistics import standard_error

SENTENCES: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("stages.yml").read_text(encoding="utf-8"))
#: Summaries of a sequence, see :func:`summarise`.
MEASURES = ("average accuracy", "forgetting", "backward transfer", "forward transfer")
#: Measures that are no differences, and at most 1.
SCORES = ("average accuracy", "closeness")
#: Measures of a representation → the label of their axis.
OF_REPRESENTATION = {
    "closeness": "Spearman RSA to untuned",
    "pairwise": "decoding accuracy minus untuned",
    "correlation": "encoding correlation minus untuned",
}

# --- scores ------------------------------------------------------------------------------------------------------


def gains(scores: pd.DataFrame) -> pd.DataFrame:
    """Add to the table of :func:`braintune.models.continual.stage_table` its scores from trivial (0) to perfect (1).

    They are the columns ``gain`` and ``alone_gain``; `learned` says whether every method learned the task alone. Tasks
    that the trivial baseline solves perfectly are left out.
    """
    alone = _alone(scores)
    learned = tables.learned(alone, list(alone["method"].unique()))
    rows = tables.gain(scores).assign(alone_gain=tables.gain(alone)["gain"])
    return rows.assign(learned=rows["task"].isin(learned))


def _alone(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the scores of the models that learned one task only, by method."""
    return rows.assign(score=rows["alone"], method=rows["way"].map(lambda way: WAYS[way].method))


def score_matrix(rows: pd.DataFrame) -> np.ndarray:
    """Return R for one way of learning, the mean over the orders and seeds in `rows`; NaN for tasks learned later.

    Returns
    -------
    array of shape (n_tasks, n_tasks)
        One row per stage, one column per place in the order.
    """
    return rows.pivot_table(index="stage", columns="position", values="gain").to_numpy()


def summarise(matrix: np.ndarray, alone: np.ndarray) -> dict[str, float]:
    r"""Summarise one sequence.

    Parameters
    ----------
    matrix : array of shape (n_tasks, n_tasks)
        :math:`R_{ij}`; entries with j > i are NaN, and so are all entries of a task that is excluded.
    alone : array of shape (n_tasks,)
        Scores of the models that learned each task alone.

    Returns
    -------
    dict
        ``average accuracy``, the mean of :math:`R_{Tj}` over j, and ``backward transfer``, that of
        :math:`R_{Tj} - R_{jj}` over j < T [1]_; ``forgetting``, the mean of
        :math:`\max_{j \le i < T} R_{ij} - R_{Tj}` over j < T [2]_; ``forward transfer``, the mean of
        :math:`R_{jj} - a_j` over j > 1, where :math:`a_j` is the score of learning task j alone. That is the
        intransigence of [2]_ with the opposite sign, and with this reference instead of a model trained on all tasks
        jointly. The forward transfer of [1]_ requires predictions for a task before it is learned, which a new head
        cannot make. NaN if no task is left for the mean.

    References
    ----------
    .. [1] Lopez-Paz & Ranzato (2017). Gradient episodic memory for continual learning. NeurIPS.
    .. [2] Chaudhry et al. (2018). Riemannian walk for incremental learning: understanding forgetting and intransigence.
       ECCV.
    """
    last, learned = pd.Series(matrix[-1]), pd.Series(matrix.diagonal())
    best = pd.DataFrame(matrix[:-1, :-1]).max()
    found = last, best - last[:-1], (last - learned)[:-1], (learned - alone)[1:]
    return dict(zip(MEASURES, (float(of.mean()) for of in found), strict=True))  # without NaN


def summaries(rows: pd.DataFrame) -> pd.DataFrame:
    """Return :data:`MEASURES` of every way, order and seed over learned tasks, from the table of :func:`gains`."""
    found = []
    for (way, order, seed), of in rows.groupby(["way", "order", "seed"], sort=False):
        places = of.groupby("position")[["alone_gain", "learned"]].first()
        matrix = np.where(places["learned"], score_matrix(of), np.nan)
        found.append({"way": way, "order": order, "seed": seed} | summarise(matrix, places["alone_gain"].to_numpy()))
    return pd.DataFrame(found)


def estimates(rows: pd.DataFrame, by: Sequence[str], measures: Sequence[str]) -> pd.DataFrame:
    """Return the mean of measures over orders and seeds with its 95 % t interval, for each group.

    Returns
    -------
    DataFrame
        One row per group and measure: `estimate`, `low`, `high` (NaN with one order, or where nothing varies; at most 1
        for :data:`SCORES`) and `n`, the number of sequences.
    """
    found = []
    for keys, of in rows.groupby(list(by), sort=False):
        for measure in measures:
            wide = of.pivot(index="order", columns="seed", values=measure).to_numpy()
            error, degrees = standard_error(wide)
            half = stats.t.ppf(0.975, degrees) * error
            high = min(wide.mean() + half, 1.0) if measure in SCORES else wide.mean() + half
            values = wide.mean(), wide.mean() - half, high, wide.size
            found.append((*keys, measure, *values))
    return pd.DataFrame(found, columns=[*by, "measure", "estimate", "low", "high", "n"])


def carried_minus_tuned(summary: pd.DataFrame) -> pd.DataFrame:
    """Return estimates of ``one prefix`` minus ``fine-tuned``, paired by order and seed; empty if one is missing."""
    wide = summary.set_index(["order", "seed", "way"])[list(MEASURES)].unstack("way")
    if not {"one prefix", "fine-tuned"} <= set(summary["way"]):
        return pd.DataFrame(columns=["way", "measure", "estimate", "low", "high", "n"])
    parts = (wide.xs(way, axis=1, level="way") for way in ("one prefix", "fine-tuned"))
    difference = next(parts) - next(parts)
    return estimates(difference.reset_index().assign(way="one prefix minus fine-tuned"), ["way"], MEASURES)


# --- representations ---------------------------------------------------------------------------------------------


def brain_scores(study: Study, brain: BrainData, embeddings: Embeddings) -> pd.DataFrame:
    """Score the encoder after every stage: closeness to the untuned one, decoding and encoding in the main region.

    Parameters
    ----------
    study : Study
    brain : BrainData
    embeddings : mapping of Representation to array of shape (n_layers, n_stimuli, width)
        From :func:`braintune.models.continual.embed_stages`.

    Returns
    -------
    DataFrame
        One row per method, order, seed and stage: `closeness`, the Spearman RSA at the analysis layer; ``pairwise`` and
        ``correlation``, mean over participants at the best layer under the folds that claims are judged on, minus those
        of the untuned encoder, which are in the columns ``untuned …``.
    """
    region, (design, _) = tables.main_region(brain.regions), judged_design(brain.stimuli, study)
    study = study.model_copy(update={"designs": [design], "permutations": 0})
    part = replace(brain, regions=(region,), load=lambda name: {region: brain.load(name)[region]})
    at_layer = {one: values[[analysis_layer(len(values), study.layer)]] for one, values in embeddings.items()}
    grams, items = layer_grams(at_layer, len(brain.stimuli.names), study)
    ranked = ranks(gram_rdms(grams))
    found = pd.DataFrame({"closeness": (ranked @ ranked[0]).astype(float)}, index=items["representation"])
    scored = {"decoding": pd.concat(decode_participant(study, part, one, embeddings)[0] for one in part.participants)}
    if "encoding" in study.directions:
        scored["encoding"] = encode_brain(study, part, embeddings)[0]
    for direction, table in scored.items():
        value = tables.SCORE[direction]
        means = tables.first_readout(tables.scores(table, study)).groupby("representation")[value].mean()
        found[value] = means - means["untuned"]
        found[f"untuned {value}"] = means["untuned"]
    where = [
        (brain.name, region, one.stage_name(stage), one.method, one.order, one.seed, stage, task)
        for one in sequences(study)
        for stage, task in enumerate(one.tasks)
    ]
    columns = ["brain", "region", "representation", "method", "order", "seed", "stage", "task"]
    return pd.DataFrame(where, columns=columns).join(found, on="representation")


# --- figures -----------------------------------------------------------------------------------------------------


def matrices(rows: pd.DataFrame) -> Figure:
    """Draw the score on each task after each stage, one panel per way, mean over orders and seeds.

    `rows` is the table of :func:`gains`; a task is named by its place in the order.
    """
    parts = {str(way): score_matrix(of) for way, of in rows.groupby("way", sort=False)}
    n = max(map(len, parts.values()))
    figure, drawn = style.panels(parts, columns=3, size=(0.44 * n + 0.6, 0.34 * n + 0.6), sharey=True)
    for axes, matrix in drawn:
        axes.imshow(matrix, cmap="cividis", vmin=0, vmax=1, aspect="auto")
        for (stage, place), value in np.ndenumerate(matrix):
            if np.isfinite(value):
                colour = "black" if value > 0.6 else "white"
                axes.text(place, stage, f"{value:.2f}", ha="center", va="center", color=colour, fontsize=8)
        axes.grid(visible=False)
        axes.set_xticks(range(n), [str(place + 1) for place in range(n)], fontsize=9)
        axes.set_xlabel("position of the task", fontsize=9)
        axes.set_yticks(range(n), [f"after task {stage + 1}" for stage in range(n)], fontsize=9)
    return figure


def transfer(summary: pd.DataFrame) -> Figure:
    """Draw average accuracy, forgetting and forward transfer by way of learning, with intervals over orders and seeds.

    `summary` is the result of :func:`estimates` for the table of :func:`summaries`.
    """
    names = list(summary["way"].unique())
    shown = summary[summary["measure"] != "backward transfer"].groupby("measure", sort=False)
    figure, drawn = style.panels(dict(list(shown)), columns=3, size=(2.6, 0.4 * len(names) + 0.8), sharey=True)
    for axes, of in drawn:
        for row in of.itertuples():
            method = WAYS[row.way].method
            spread = np.nan_to_num([[row.estimate - row.low], [row.high - row.estimate]])
            marker = {"fmt": style.MARKERS[method], "color": style.COLOURS[method], "capsize": 3}
            axes.errorbar([row.estimate], [names.index(row.way)], xerr=spread, **marker)
        axes.axvline(0, color="black", linewidth=1)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        style.name_rows(axes, names)
    return figure


def by_stage(scored: pd.DataFrame) -> Figure:
    """Draw closeness, decoding and encoding after every stage, one panel per measure and brain data set.

    `scored` is the result of :func:`estimates` by brain, method and stage; intervals treat orders and seeds as random.
    The line is the untuned encoder.
    """
    parts = {
        f"{_people(brain)}\n{OF_REPRESENTATION[name]}": of
        for (brain, name), of in scored.groupby(["brain", "measure"], sort=False)
    }
    figure, drawn = style.panels(parts, columns=3, size=(3.4, 2.6), fontsize=9)
    for axes, of in drawn:
        axes.axhline(float(of["measure"].iloc[0] == "closeness"), color=style.COLOURS["untuned"], label="untuned")
        for shift, (method, line) in enumerate(of.groupby("method", sort=False)):
            spread = np.nan_to_num(np.abs(line[["low", "high"]].to_numpy() - line[["estimate"]].to_numpy()).T)
            look = {"marker": style.MARKERS[method], "color": style.COLOURS[method], "capsize": 2, "label": method}
            axes.errorbar(line["stage"] + 1 + 0.08 * shift, line["estimate"], yerr=spread, **look)
        axes.set_xlabel("tasks learned", fontsize=9)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(axis="y")
    return style.with_legend(figure)


# --- in words ----------------------------------------------------------------------------------------------------


def in_words(found: pd.DataFrame) -> pd.DataFrame:
    """Return :func:`estimates` with one column per measure, each estimate with its interval."""
    rows = found.assign(cell=[_said(row) for row in found.itertuples()])
    wide = rows.pivot_table(index="way", columns="measure", values="cell", aggfunc="first", sort=False)
    return wide.reset_index().rename_axis(columns=None)


def after_the_last(scored: pd.DataFrame) -> pd.DataFrame:
    """Return the scores of each brain's representations after the last stage, in words, with the methods' difference.

    `scored` is the table of :func:`brain_scores`, of all brain data sets; differences are paired by order and seed.
    """
    rows = []
    last = scored[scored["stage"] == scored["stage"].max()]
    for (brain, region), of in last.groupby(["brain", "region"], sort=False):
        for measure in (name for name in OF_REPRESENTATION if name in scored):
            wide = of.pivot(index=["order", "seed"], columns="method", values=measure)
            cells = {"untuned": f"{of[f'untuned {measure}'].iloc[0]:.3f}" if measure != "closeness" else "1"}
            cells |= {method: _said_of(values, measure) for method, values in wide.items()}
            if set(tables.ARMS) <= set(wide):
                change = wide["prompt-tuned"] - wide["fine-tuned"]
                cells["prompt-tuned minus fine-tuned"] = _said_of(change, "difference")
            who = f"{_people(brain)}, {region}"
            rows.append({"brain data": who, "measure": OF_REPRESENTATION[measure]} | cells)
    return pd.DataFrame(rows)


def _said_of(values: pd.Series, measure: str) -> str:
    """Write the estimate of a measure, given by order and seed."""
    (row,) = estimates(values.rename(measure).reset_index().assign(all=""), ["all"], [measure]).itertuples()
    return _said(row, 3)


def _said(row: Any, digits: int = 2) -> str:
    """Write an estimate with its interval, a difference with its sign."""
    is_level = row.measure in SCORES and " minus " not in getattr(row, "way", "")
    sign = "" if is_level else "+"
    ends = [_number(value, f"{sign}z.{digits}f") for value in (row.estimate, row.low, row.high)]
    return ends[0] + (f" ({ends[1]} to {ends[2]})" if np.isfinite([row.low, row.high]).all() else "")


def _people(brain: str) -> str:
    """Say whose responses a brain data set holds, as the beginning of a sentence."""
    people = participants_label(brain, None)
    return people[:1].upper() + people[1:]


def _number(value: float, form: str) -> str:
    return f"{value:{form}}".replace("-", "−")


def _settled(row: Any) -> str:
    """Return whether an interval lies above zero (more), below it (less), or neither (open)."""
    return "more" if row.low > 0 else "less" if row.high < 0 else "open"


def limits(study: Study) -> str:
    """Say what the intervals do not cover."""
    given = {"orders": study.orders, "seeds": len(study.seeds), "backbone": Path(study.backbone).name}
    return SENTENCES["limits"].format(**given)


def about_tasks(rows: pd.DataFrame) -> list[str]:
    """Say what is forgotten and whether the starting point helps, from the table of :func:`gains`.

    Only tasks that were learned alone count; intervals treat orders and seeds as random factors.
    """
    said = [SENTENCES["not learned"].format(runs=unlearned)] if (unlearned := not_learned(rows)) else []
    n = rows.loc[rows["learned"], "task"].nunique()
    if n < 2:
        return [*said, SENTENCES["too few"]]
    summary = summaries(rows)
    found = estimates(summary, ["way"], MEASURES)
    by_measure: Mapping[str, pd.DataFrame] = dict(list(found.groupby("measure", sort=False)))
    carried = by_measure["forgetting"][~by_measure["forgetting"]["way"].map(lambda way: WAYS[way].keeps)]
    words = {"average": _each(by_measure["average accuracy"]), "forgetting": _each(carried)}
    said.append(SENTENCES["kept"].format(n=rows["task"].nunique(), learned=n, **words))
    for row in carried_minus_tuned(summary).itertuples():
        if row.measure == "forgetting":
            said.append(SENTENCES["forgets"][_settled(row)].format(difference=_said(row)))
    for row in by_measure["forward transfer"].itertuples():
        if row.way != "one prefix":  # it learns each task from the same start as one prefix per task
            said.append(SENTENCES["start"][_settled(row)].format(way=SENTENCES["starts"][row.way], effect=_said(row)))
    return said


def _each(of: pd.DataFrame) -> str:
    """Write the estimates of every way or method, which is the first column."""
    return ", ".join(f"{row[1]} {_said(row)}" for row in of.itertuples())


def not_learned(rows: pd.DataFrame) -> str:
    """Name the tasks that a method did not learn even alone; empty if there are none."""
    found = tables.is_learned(_alone(rows))
    return ", ".join(sorted(f"{method} on {task}" for task, method in found.index[~found]))
