"""Tidy tables of a run, and the means, contrasts and summaries that claims and pages are made from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from braintune.core import store
from braintune.core.study import Study
from braintune.datasets.brains.registry import load_brain
from braintune.neural.representations import analysis_layer
from braintune.neural.ridge import GROUP_SCORES, SCORES

ARMS = ("fine-tuned", "prompt-tuned")
PREFIXES = ("zero-prefix", "random-prefix")
CHANCE = 0.5
#: What names a representation, in every table.
REPRESENTATION = ["representation", "kind", "task", "method", "seed"]
MEAN_OVER_FOLDS = ["brain", "participant", "region", *REPRESENTATION, "layer", "folds"]


@dataclass(frozen=True)
class Results:
    """The tables of a run that claims are judged and signs of failure are looked for in."""

    study: Study
    at_layer: pd.DataFrame  #: Scores at the analysis layer, from :func:`scores`.
    closeness: pd.DataFrame  #: Rows of the RSA table ``untuned`` at the analysis layer.
    tuned: pd.DataFrame  #: Metrics of the tuning runs, from :func:`braintune.models.tuning.tuning_table`.
    decoded: pd.DataFrame = field(default_factory=pd.DataFrame)  #: Scores of every fold and layer; only checks read it.

    def of(self, brain: str) -> "Results":
        """Return the results of one brain data set."""
        found = {"at_layer": self.at_layer, "closeness": self.closeness, "decoded": self.decoded}
        return replace(self, **{name: table[table["brain"] == brain] for name, table in found.items() if len(table)})


# --- tuning ------------------------------------------------------------------------------------------------------


def tuning_trials(metrics: Mapping[str, Any]) -> pd.DataFrame:
    """Return what the search tried: one row a trial, its best validation score, and which was chosen."""
    table = pd.DataFrame(metrics["trials"])
    recipe = table[["learning_rate", "epochs"]]
    table["chosen"] = (recipe == [metrics["learning_rate"], metrics["epochs"]]).all(axis=1)
    return table.rename(columns={"score": f"validation {metrics['metric']}"})


def tuning_summary(table: pd.DataFrame) -> pd.DataFrame:
    """Return task × method scores beside the baselines: the mean over seeds, with its standard deviation if any."""
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
    """Add the task score as a part of the way from the trivial baseline to a perfect score, column ``gain``."""
    room = 1 - table["baseline"]
    found = table.assign(gain=(table["score"] - table["baseline"]) / room.where(room > 0))
    return found[np.isfinite(found["gain"].astype(float))]


def not_above(table: pd.DataFrame, column: str) -> str:
    """Name the runs, method on task, whose score is not above the baseline in `column`; empty if there are none."""
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
    """Read the tables of one step over the run's brains and participants: ``decoding``, ``null`` or an RSA table."""
    of_participant = {"decoding": study.decoding_file, "null": study.null_file}.get(what)
    if of_participant:
        files = [
            of_participant(brain, name) for brain in study.brains for name in load_brain(study, brain).participants
        ]
    else:
        files = [study.rsa_file(brain, what) for brain in study.brains]
    return pd.concat(map(store.read_table, files), ignore_index=True)


def at_analysis_layer(table: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Return the rows at the analysis layer; a control with a single layer keeps it."""
    last = table.groupby(["brain", "representation"])["layer"].transform("max")
    return table[table["layer"] == last.map(lambda n: analysis_layer(n + 1, study.layer))]


def scores(decoding: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Return scores averaged over folds at the analysis layer."""
    rows = at_analysis_layer(decoding, study)
    return rows.groupby(MEAN_OVER_FOLDS, sort=False, dropna=False)[[*SCORES, *GROUP_SCORES]].mean().reset_index()


def main_region(regions: Iterable[str]) -> str:
    """Return the region that claims are judged in: the language network where there is one, else the first."""
    names = list(dict.fromkeys(regions))
    return "language" if "language" in names else names[0]


def main_design(designs: Iterable[str]) -> str:
    """Return the fold design that claims are judged on: grouped where groups exist."""
    return "grouped" if "grouped" in set(designs) else "shuffled"


def in_main_design(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows in the main fold design of their brain."""
    return rows[rows["folds"] == rows.groupby("brain")["folds"].transform(main_design)]


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


def contrast(
    rows: pd.DataFrame,
    by: Sequence[str],
    levels: tuple[Sequence[str], Sequence[str]] = (ARMS[1:], ARMS[:1]),
    of: str = "method",
    over: str = "participant",
    value: str = "pairwise",
) -> pd.DataFrame:
    """Return a difference between methods (by default prompt-tuned minus fine-tuned) or between tasks.

    Parameters
    ----------
    rows : DataFrame
        Column `value` by task, method, and the columns of `by` and `over`.
    by : sequence of str
        What makes a group: ``region``, ``task``, ``seed``, ``brain``, or several.
    levels : (sequence of str, sequence of str)
        The mean over the first minus the mean over the second, only where there are values of all.
    of : {"method", "task"}
        Column of the levels; the difference is averaged over the other one.
    over : {"participant", "task"}
        Column of the units.

    Returns
    -------
    DataFrame of groups × units
    """
    plus, minus = map(list, levels)
    keys = list(dict.fromkeys([*by, over, "task" if of == "method" else "method"]))
    wide = rows.pivot_table(index=keys, columns=of, values=value, sort=False).reindex(columns=plus + minus).dropna()
    difference = wide[plus].mean(axis=1) - wide[minus].mean(axis=1)
    return difference.groupby([*by, over], sort=False).mean().unstack(over, sort=False)


def by_method(at_layer: pd.DataFrame) -> pd.DataFrame:
    """Return mean pairwise accuracy over participants (and tasks, seeds) for each brain, region, design and method."""
    where = ["brain", "region", "folds"]
    table = labelled(at_layer).pivot_table(index=where, columns="method", values="pairwise", sort=False)
    first = [m for m in ("untuned", *ARMS) if m in table]
    return table[first + [m for m in table if m not in first]].reset_index().rename_axis(columns=None)


def labelled(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows in which ``method`` names the untuned model and the controls too, for a figure or a table."""
    return rows.assign(method=rows["method"].where(rows["kind"] == "tuned", rows["representation"]))


def by_group(at_layer: pd.DataFrame) -> pd.DataFrame:
    """Return pairwise accuracy within and across topics (or passages) for each brain, region, design and method.

    Empty where the stimuli have neither.
    """
    known = labelled(at_layer[at_layer[list(GROUP_SCORES)].notna().any(axis=1)])
    means = known.groupby(["brain", "region", "folds", "method"], sort=False)[["pairwise", *GROUP_SCORES]].mean()
    return means.set_axis(["all pairs", "same topic", "different topic"], axis=1).reset_index()


def null_summary(at_layer: pd.DataFrame, null: pd.DataFrame) -> pd.DataFrame:
    """Compare the untuned representation with its permutation null, region by region.

    Returns
    -------
    DataFrame
        Per brain, region and design: observed mean over participants, mean and 95th percentile of the null (each
        permutation averaged over participants), and the permutation p-value.
    """
    keys = ["brain", "region", "folds"]
    observed = at_layer[at_layer["kind"] == "untuned"].groupby(keys, sort=False)["pairwise"].mean().rename("observed")
    permuted = null.groupby([*keys, "permutation"], sort=False)["pairwise"].mean().unstack("permutation")
    permuted = permuted.reindex(observed.index)
    summary = {"null mean": permuted.mean(axis=1), "null 95 %": permuted.quantile(0.95, axis=1)}
    p = (1 + permuted.ge(observed, axis=0).sum(axis=1)) / (1 + permuted.notna().sum(axis=1))
    return pd.DataFrame({"observed": observed, **summary, "p": p}).reset_index()


def alpha_at_edge(decoding: pd.DataFrame) -> float:
    """Return the share of folds whose penalty lies at an edge of the grid (untuned and tuned representations)."""
    return float(decoding.loc[decoding["kind"] != "control", "alpha_edge"].mean())


def brain_similarity(table: pd.DataFrame, ceiling: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Return region × method similarity to the brain at the analysis layer, beside the noise ceiling.

    Columns that end in `, partial` are without what length and passage explain.
    """
    rows = labelled(at_analysis_layer(table[table["kind"] != "control"], study))
    means, partial = (
        rows.pivot_table(index="region", columns="method", values=name, sort=False) for name in ("spearman", "partial")
    )
    bounds = ceiling.set_index("region")[["lower", "upper"]].add_prefix("ceiling ")
    return means.join(partial.add_suffix(", partial")).join(bounds).reset_index().rename_axis(columns=None)


def cost_table(costs: pd.DataFrame) -> pd.DataFrame:
    """Return what each step took, from :func:`braintune.workflow.provenance.job_costs`."""
    by_step = costs.groupby("step", sort=False)
    table = {
        "jobs": by_step["seconds"].size(),
        "minutes, all jobs": by_step["seconds"].sum() / 60,
        "seconds, median job": by_step["seconds"].median(),
        "memory, largest job (MB)": by_step["memory_mb"].max(),
    }
    return pd.DataFrame(table).reset_index()
