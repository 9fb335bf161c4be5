"""Tidy tables of a run, and the means, contrasts and summaries that claims and pages are made from."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from braintune.core import store
from braintune.core.study import Study
from braintune.datasets.brains.registry import load_brain
from braintune.neural.folds import main_design
from braintune.neural.matching import GROUP_SCORES, SCORES
from braintune.neural.representations import READOUTS, analysis_layer

ARMS = ("fine-tuned", "prompt-tuned")
PREFIXES = ("zero-prefix", "random-prefix")
CHANCE = 0.5
READOUT_NAMES = {"best": "best layer", "analysis": "analysis layer"}
#: Name of the row that combines all brain data sets.
ALL = "all"
#: Functional networks; what else a brain has beside `language` is a region of the language network.
NETWORKS = ("language", "DMN", "task-positive", "visual")
#: What names a representation, in every table.
REPRESENTATION = ["representation", "kind", "task", "method", "seed"]
MEAN_OVER_FOLDS = ["brain", "participant", "region", *REPRESENTATION, "folds"]
#: Direction of the analysis → its score, which is shown and tested.
SCORE = {"decoding": "pairwise", "encoding": "correlation"}


@dataclass(frozen=True)
class Results:
    """The tables of a run from which claims are judged and failure signatures are checked."""

    study: Study
    scores: pd.DataFrame  #: Scores of both directions at both readouts, from :func:`scores`.
    null: pd.DataFrame  #: The same with permuted labels, from :func:`null_means`.
    closeness: pd.DataFrame  #: Rows of the RSA table ``untuned`` at the analysis layer.
    tuned: pd.DataFrame  #: Metrics of the tuning runs, from :func:`braintune.models.checkpoints.tuning_table`.
    groups: pd.DataFrame = field(default_factory=pd.DataFrame)  #: Of single participants, what groups of stimuli add.
    #: Scores of every fold and layer, which are not recorded: of decoding, and of encoding.
    decoded: pd.DataFrame = field(default_factory=pd.DataFrame)
    encoded: pd.DataFrame = field(default_factory=pd.DataFrame)
    #: The RSA table ``untuned`` of all layers, which is not recorded either.
    untuned: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def primary(self) -> pd.DataFrame:
        """The decoding scores at the first available readout."""
        return first_readout(self.scores[self.scores["direction"] == "decoding"])

    def of(self, brain: str) -> "Results":
        """Return the results of one brain data set."""
        names = ("scores", "null", "closeness", "groups", "decoded", "encoded", "untuned")
        found = {name: getattr(self, name) for name in names}
        return replace(self, **{name: table[table["brain"] == brain] for name, table in found.items() if len(table)})


def read_results(study: Study, tuned: pd.DataFrame) -> Results:
    """Read the tables of a run: `tuned` is that of :func:`braintune.models.checkpoints.tuning_table`."""
    layers = {"decoded": collect(study, "decoding"), "encoded": collect_encoding(study, "scores")}
    layers["untuned"] = collect(study, "untuned")
    parts = {"scores": [scores(layers["decoded"], study)], "null": [collect_null(study)]}
    parts["groups"] = [collect(study, "groups")]
    if "encoding" in study.directions:
        parts["scores"].append(scores(layers["encoded"], study))
        parts["null"].append(collect_encoding(study, "null"))
        parts["groups"].append(collect_encoding(study, "groups"))
    found = {
        name: pd.concat([table for table in several if len(table)] or several[:1], ignore_index=True)
        for name, several in parts.items()
    }
    return Results(study, closeness=at_analysis_layer(layers["untuned"], study), tuned=tuned, **found, **layers)


# --- tuning ------------------------------------------------------------------------------------------------------


def tuning_trials(metrics: Mapping[str, Any]) -> pd.DataFrame:
    """Return what the search tried: one row per trial, its best validation score, and which was chosen."""
    table = pd.DataFrame(metrics["trials"])
    recipe = table[["learning_rate", "epochs"]]
    table["chosen"] = (recipe == [metrics["learning_rate"], metrics["epochs"]]).all(axis=1)
    return table.rename(columns={"score": f"validation {metrics['metric']}"})


def tuning_summary(table: pd.DataFrame) -> pd.DataFrame:
    """Return task × method scores beside the baselines: the mean over seeds, with standard deviation if any."""
    cells = table.groupby(["task", "method"], sort=False)["score"].agg(["mean", "std"]).apply(_with_spread, axis=1)
    columns = {"metric": ("metric", "first"), "trivial": ("baseline", "mean"), "bag of words": ("bag_of_words", "mean")}
    rest = table.groupby("task", sort=False).agg(**columns)
    return rest.join(cells.unstack("method")[list(table["method"].unique())]).reset_index().rename_axis(columns=None)


def _with_spread(cell: pd.Series) -> str:
    return f"{cell['mean']:.3f}" + (f" ± {cell['std']:.3f}" if np.isfinite(cell["std"]) else "")


def tuning_costs(table: pd.DataFrame) -> pd.DataFrame:
    """Return what each method costs, mean over tasks and seeds; the budget of the search is equal by construction."""
    columns = {
        "parameters": "trained parameters",
        "n_trials": "trials",
        "search_examples_seen": "examples seen in the search",
        "examples_seen": "examples seen in training",
        "examples_per_s": "examples per second",
        "seconds": "seconds",
        "peak_memory_mb": "peak memory (MB)",
    }
    means = table.groupby("method", sort=False)[list(columns)].mean()
    means["n_trials"] = means["n_trials"].where(means["search_examples_seen"] > 0, 0)
    return means.round(0).astype(int).rename(columns=columns).reset_index()


def gain(table: pd.DataFrame) -> pd.DataFrame:
    """Add the column ``gain``: the task score, scaled from the trivial baseline (0) to a perfect score (1)."""
    room = 1 - table["baseline"]
    found = table.assign(gain=(table["score"] - table["baseline"]) / room.where(room > 0))
    return found[np.isfinite(found["gain"].astype(float))]


def is_learned(tuned: pd.DataFrame) -> pd.Series:
    """Return whether a method learned a task, by task and method: mean score over seeds above both baselines.

    They are the trivial one and the bag of words.
    """
    means = tuned.groupby(["task", "method"], sort=False)[["score", "baseline", "bag_of_words"]].mean()
    return means["score"] > means[["baseline", "bag_of_words"]].max(axis=1)


def learned(tuned: pd.DataFrame, methods: Sequence[str]) -> list[str]:
    """Return the tasks that all of the given methods learned, see :func:`is_learned`; none if a method is missing."""
    by_method = is_learned(tuned).unstack("method")
    if not set(methods) <= set(by_method):
        return []
    every = by_method[list(methods)].eq(True).all(axis=1)
    return list(every.index[every])


def not_above(table: pd.DataFrame, column: str) -> str:
    """Name the runs (method on task) whose score is not above the baseline in `column`; empty if there are none."""
    rows = table[~(table["score"] > table[column])]
    return ", ".join(dict.fromkeys(f"{row.method} on {row.task}" for row in rows.itertuples()))


def tuning_choices(table: pd.DataFrame) -> pd.DataFrame:
    """Return the recipe that the search chose for each task and method: peak learning rate and epochs."""
    recipes = table.apply(lambda row: f"{row['learning_rate']:g}, {row['epochs']} epochs", axis=1)
    cells = table.assign(recipe=recipes).groupby(["task", "method"], sort=False)["recipe"]
    chosen = cells.agg(lambda names: "; ".join(dict.fromkeys(names))).unstack("method")
    return chosen[list(table["method"].unique())].reset_index().rename_axis(columns=None)


# --- decoding ----------------------------------------------------------------------------------------------------


def collect(study: Study, what: str) -> pd.DataFrame:
    """Read the tables of one step over the run's brains and participants.

    `what` is ``decoding``, its ``null`` or ``groups``, or an RSA table.
    """
    of_participant = {"decoding": study.decoding_file, "null": study.null_file, "groups": study.groups_file}.get(what)
    if of_participant:
        files = [
            of_participant(brain, name) for brain in study.brains for name in load_brain(study, brain).participants
        ]
    else:
        files = [study.rsa_file(brain, what) for brain in study.brains]
    found = pd.concat(map(store.read_table, files), ignore_index=True)
    return found.assign(direction="decoding") if what == "groups" else found


def collect_encoding(study: Study, table: str) -> pd.DataFrame:
    """Read the ``scores``, ``null`` or ``groups`` of encoding; empty if a run does not include it."""
    if "encoding" not in study.directions:
        return pd.DataFrame()
    files = [study.encoding_file(brain, table) for brain in study.brains]
    return pd.concat(map(store.read_table, files), ignore_index=True).assign(direction="encoding")


def collect_null(study: Study) -> pd.DataFrame:
    """Read the decoding scores with permuted labels over the run's brains; for the columns see :func:`null_means`."""
    return pd.concat(
        [
            null_means(
                [store.read_table(study.null_file(brain, name)) for name in load_brain(study, brain).participants]
            )
            for brain in study.brains
        ],
        ignore_index=True,
    )


def null_means(tables: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Average scores with permuted labels over participants, and over permutations.

    Parameters
    ----------
    tables : iterable of DataFrame
        One table per participant, from :func:`braintune.neural.decoding.decode_participant`.

    Returns
    -------
    DataFrame
        One row per brain, region, design, representation, readout and `permutation`: the mean over participants, with
        an empty `participant`. Then one row per participant with the mean over permutations, where `permutation` is -1.
    """
    keys, values = ["brain", "region", "folds", "representation", "readout"], ["pairwise", "margin"]
    total, people, count = None, [], 0
    for table in tables:
        people.append(table.groupby([*keys, "participant"], sort=False)[values].mean().reset_index())
        rows = table.set_index([*keys, "permutation"])[values]
        total, count = rows if total is None else total.add(rows), count + 1
    if total is None:
        return pd.DataFrame(columns=[*keys, "permutation", "participant", *values, "direction"])
    orders = (total / count).reset_index().assign(participant="")
    found = pd.concat([orders, pd.concat(people).assign(permutation=-1)], ignore_index=True)
    return found.assign(direction="decoding")


def at_analysis_layer(table: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Return the rows at the analysis layer; a control with a single layer keeps it."""
    last = table.groupby(["brain", "representation"])["layer"].transform("max")
    return table[table["layer"] == last.map(lambda n: analysis_layer(n + 1, study.layer))]


def scores(table: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Return scores of decoding or encoding, averaged over folds, at two readouts.

    Returns
    -------
    DataFrame
        One row per participant, region, representation, design and `readout` (:data:`READOUTS`); `layer` is the mean of
        the layers read out, `direction` is decoding or encoding.
    """
    table = table.reset_index(drop=True)  # rows are taken by their index
    best = table.loc[table.groupby([*MEAN_OVER_FOLDS, "fold"], sort=False, dropna=False)["fit"].idxmax()]
    rows = pd.concat([best.assign(readout="best"), at_analysis_layer(table, study).assign(readout="analysis")])
    columns = ["layer", *(name for name in (*SCORES, *GROUP_SCORES, "correlation") if name in rows)]
    means = rows.groupby([*MEAN_OVER_FOLDS, "readout"], sort=False, dropna=False)[columns].mean().reset_index()
    return means.assign(direction="encoding" if "correlation" in rows else "decoding")


def first_readout(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows at the first available readout."""
    return rows[rows["readout"] == next((name for name in READOUTS if name in set(rows["readout"])), "")]


def is_union(region: str, regions: Iterable[str]) -> bool:
    """Return whether a region is a union of others in the list: the language network if its regions are listed too."""
    return region == "language" and any(name not in NETWORKS for name in regions)


def main_region(regions: Iterable[str]) -> str:
    """Return the region that claims are judged in: the language network where there is one, else the first."""
    names = list(dict.fromkeys(regions))
    return "language" if "language" in names else names[0]


def in_main_design(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows in the main fold design of their brain."""
    return rows[rows["folds"] == rows.groupby("brain")["folds"].transform(lambda folds: main_design(set(folds)))]


def in_main_region(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows in the main region of their brain."""
    return rows[rows["region"] == rows.groupby("brain")["region"].transform(main_region)]


def judged(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that claims are judged on: the main region and the main design of each brain."""
    return in_main_region(in_main_design(rows))


def arms(rows: pd.DataFrame, value: str) -> pd.DataFrame:
    """Return mean values by task and tuning method (those of the two arms that exist), complete rows only."""
    table = rows[rows["method"].isin(ARMS)].pivot_table(index="task", columns="method", values=value, sort=False)
    return table[[method for method in ARMS if method in table]].dropna()


def contrast(rows: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Return the accuracy of prompt-tuned minus fine-tuned, mean over the tasks that both have.

    Parameters
    ----------
    rows : DataFrame
        Column ``pairwise`` by participant, task, method, and the columns of `by`.
    by : sequence of str
        Columns that define a group: ``region``, ``task``, ``seed``, or several.

    Returns
    -------
    DataFrame of groups × participants
    """
    keys = list(dict.fromkeys([*by, "participant", "task"]))
    wide = rows.pivot_table(index=keys, columns="method", values="pairwise", sort=False).reindex(columns=ARMS).dropna()
    difference = wide["prompt-tuned"] - wide["fine-tuned"]
    return difference.groupby([*by, "participant"], sort=False).mean().unstack("participant", sort=False)


def by_method(at_layer: pd.DataFrame, value: str = "pairwise") -> pd.DataFrame:
    """Return the mean score over participants (and tasks, seeds) for each brain, region, design and method."""
    where = ["brain", "region", "folds"]
    table = labelled(at_layer).pivot_table(index=where, columns="method", values=value, sort=False)
    first = [m for m in ("untuned", *ARMS) if m in table]
    return table[first + [m for m in table if m not in first]].reset_index().rename_axis(columns=None)


def labelled(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows in which ``method`` names the untuned model and the controls too, for a figure or a table."""
    return rows.assign(method=rows["method"].where(rows["kind"] == "tuned", rows["representation"]))


def readable(representations: Iterable[str]) -> list[str]:
    """Return names of representations in words: ``ner, fine-tuned``, and the seed if there are several."""
    names = list(representations)
    parts = [re.fullmatch(r"(.+)_(.+)_seed-(\d+)", name) for name in names]
    several = len({found[3] for found in parts if found}) > 1
    said = [f"{found[1]}, {found[2]}" + f", seed {found[3]}" * several if found else "" for found in parts]
    return [new or old for new, old in zip(said, names, strict=True)]


def by_group(at_layer: pd.DataFrame) -> pd.DataFrame:
    """Return pairwise accuracy within and across topics (or passages) for each brain, region, design and method.

    Empty where the stimuli have neither.
    """
    known = labelled(at_layer[at_layer[list(GROUP_SCORES)].notna().any(axis=1)])
    means = known.groupby(["brain", "region", "folds", "method"], sort=False)[["pairwise", *GROUP_SCORES]].mean()
    return means.set_axis(["all pairs", "same topic", "different topic"], axis=1).reset_index()


def null_summary(scores: pd.DataFrame, null: pd.DataFrame, direction: str = "decoding") -> pd.DataFrame:
    """Compare the untuned representation with its permuted labels, region by region, at the first readout.

    Returns
    -------
    DataFrame
        Per brain, region and design: observed score (:data:`SCORE`), mean over participants; mean and 95th percentile
        with permuted labels (each permutation a mean over participants); and the permutation p-value. No row where
        labels were not permuted.
    """
    keys, value = ["brain", "region", "folds"], SCORE[direction]
    scores, null = (rows[rows["direction"] == direction] for rows in (scores, null))
    untuned = first_readout(scores[scores["kind"] == "untuned"])
    null = first_readout(null[null["representation"].isin(untuned["representation"]) & (null["permutation"] >= 0)])
    if null.empty:
        return pd.DataFrame(columns=[*keys, "observed", "null mean", "null 95 %", "p"])
    found = untuned.groupby(keys, sort=False)[value].mean()
    wide = null.set_index([*keys, "permutation"])[value].unstack("permutation").reindex(found.index)
    found, wide = found[wide.notna().any(axis=1)], wide.dropna(how="all")
    p = (1 + wide.ge(found, axis=0).sum(axis=1)) / (1 + wide.notna().sum(axis=1))
    summary = {"null mean": wide.mean(axis=1), "null 95 %": wide.quantile(0.95, axis=1), "p": p}
    return pd.DataFrame({"observed": found, **summary}).reset_index()


def alpha_at_edge(decoding: pd.DataFrame) -> float:
    """Return the share of folds whose penalty lies at an edge of the grid (untuned and tuned representations)."""
    return float(decoding.loc[decoding["kind"] != "control", "alpha_edge"].mean())


def brain_similarity(table: pd.DataFrame, ceiling: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Return region × method similarity to the brain at the analysis layer, beside the noise ceiling.

    Columns that end in `, partial` control for length and passage.
    """
    rows = labelled(at_analysis_layer(table[table["kind"] != "control"], study))
    means, partial = (
        rows.pivot_table(index="region", columns="method", values=name, sort=False) for name in ("spearman", "partial")
    )
    bounds = ceiling.set_index("region")[["lower", "upper"]].add_prefix("ceiling ")
    return means.join(partial.add_suffix(", partial")).join(bounds).reset_index().rename_axis(columns=None)


def cost_table(costs: pd.DataFrame) -> pd.DataFrame:
    """Return the resources that each step used, from :func:`braintune.workflow.provenance.job_costs`."""
    by_step = costs.groupby("step", sort=False)
    table = {
        "jobs": by_step["seconds"].size(),
        "minutes, all jobs": by_step["seconds"].sum() / 60,
        "seconds, median job": by_step["seconds"].median(),
        "memory, largest job (MB)": by_step["memory_mb"].max(),
    }
    return pd.DataFrame(table).reset_index()
