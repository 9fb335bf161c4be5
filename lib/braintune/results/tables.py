"""Tidy tables of a run, and the means, contrasts and summaries that claims and pages are made from."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from braintune.core import store
from braintune.core.study import Study
from braintune.datasets.brains.registry import load_brain
from braintune.neural.matching import GROUP_SCORES, SCORES
from braintune.neural.representations import analysis_layer

ARMS = ("fine-tuned", "prompt-tuned")
PREFIXES = ("zero-prefix", "random-prefix")
CHANCE = 0.5
MEAN_OVER_FOLDS = ["brain", "participant", "region", "representation", "task", "method", "seed", "layer", "folds"]

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


def tuning_choices(table: pd.DataFrame) -> pd.DataFrame:
    """Return the recipe that the search chose for each task and method: peak learning rate and epochs."""
    recipes = table.apply(lambda row: f"{row['learning_rate']:g}, {row['epochs']} epochs", axis=1)
    cells = table.assign(recipe=recipes).groupby(["task", "method"], sort=False)["recipe"]
    chosen = cells.agg(lambda names: "; ".join(dict.fromkeys(names))).unstack("method")
    return chosen[list(table["method"].unique())].reset_index().rename_axis(columns=None)


# --- decoding ----------------------------------------------------------------------------------------------------


def collect(study: Study, what: str) -> pd.DataFrame:
    """Read the tables of one step over the run's brains and participants: ``decoding``, ``null`` or an RSA table."""
    per_participant = {"decoding": study.decoding_file, "null": study.null_file}
    files = []
    for brain in study.brains:
        if what in per_participant:
            files += [per_participant[what](brain, name) for name in load_brain(study, brain).participants]
        else:
            files.append(study.rsa_file(brain, what))
    return pd.concat([store.read_table(file) for file in files], ignore_index=True)


def at_analysis_layer(table: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Return the rows at the analysis layer; a control with a single layer keeps it."""
    last = table.groupby(["brain", "representation"])["layer"].transform("max")
    return table[table["layer"] == last.map(lambda n: analysis_layer(n + 1, study.layer))]


def scores(decoding: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Return scores averaged over folds at the analysis layer."""
    rows = at_analysis_layer(decoding, study)
    return rows.groupby(MEAN_OVER_FOLDS, sort=False, dropna=False)[[*SCORES, *GROUP_SCORES]].mean().reset_index()


def main_region(regions: Sequence[str]) -> str:
    """Return the region a brain's headline is about: the language network where there is one."""
    return "language" if "language" in regions else regions[0]


def main_design(designs: Sequence[str]) -> str:
    """Return the fold design that claims are judged on: grouped where groups exist."""
    return "grouped" if "grouped" in set(designs) else "shuffled"


def in_main_design(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the design that claims are judged on."""
    return rows[rows["folds"] == main_design(rows["folds"])]


def judged(at_layer: pd.DataFrame, brain: str) -> pd.DataFrame:
    """Return one brain's scores in its main region and main design."""
    rows = at_layer[at_layer["brain"] == brain]
    rows = rows[rows["region"] == main_region(list(rows["region"].unique()))]
    return in_main_design(rows)


def arms(rows: pd.DataFrame, value: str) -> pd.DataFrame:
    """Return mean values by task and tuning method (those of the two arms that exist), complete rows only."""
    table = rows[rows["method"].isin(ARMS)].pivot_table(index="task", columns="method", values=value, sort=False)
    return table[[method for method in ARMS if method in table]].dropna()


def contrast(rows: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Return prompt-tuned minus fine-tuned accuracy: groups × participants, mean over the tasks with both methods.

    Parameters
    ----------
    rows : DataFrame
        Scores by participant, task, method and the columns of `by`.
    by : sequence of str
        What makes a group: ``region``, ``task``, ``seed``, or several.
    """
    keys = list(dict.fromkeys([*by, "participant", "task"]))
    both = rows.pivot_table(index=keys, columns="method", values="pairwise", sort=False).reindex(columns=list(ARMS))
    both = both.dropna()
    difference = (both["prompt-tuned"] - both["fine-tuned"]).groupby([*by, "participant"], sort=False).mean()
    return difference.unstack("participant", sort=False)


def by_method(at_layer: pd.DataFrame) -> pd.DataFrame:
    """Return mean pairwise accuracy over participants (and tasks, seeds) for each brain, region, design and method."""
    table = _controls_named(at_layer).pivot_table(
        index=["brain", "region", "folds"], columns="method", values="pairwise", sort=False
    )
    first = [m for m in ("untuned", *ARMS) if m in table]
    return table[first + [m for m in table if m not in first]].reset_index().rename_axis(columns=None)


def _controls_named(at_layer: pd.DataFrame) -> pd.DataFrame:
    control = at_layer["method"] == "control"
    return at_layer.assign(method=at_layer["representation"].where(control, at_layer["method"]))


def by_group(at_layer: pd.DataFrame) -> pd.DataFrame:
    """Return pairwise accuracy within and across topics (or passages) for each brain, region, design and method.

    Telling topics apart is easier than telling apart sentences of one topic, which takes more than the topic.
    Empty where the stimuli have neither topics nor passages.
    """
    known = _controls_named(at_layer[at_layer[list(GROUP_SCORES)].notna().any(axis=1)])
    means = known.groupby(["brain", "region", "folds", "method"], sort=False)[["pairwise", *GROUP_SCORES]].mean()
    names = {
        "pairwise": "all pairs",
        "pairwise_same_group": "same topic",
        "pairwise_different_group": "different topic",
    }
    return means.reset_index().rename(columns=names)


def null_summary(at_layer: pd.DataFrame, null: pd.DataFrame) -> pd.DataFrame:
    """Compare the untuned representation with its permutation null, region by region.

    Returns
    -------
    DataFrame
        Per brain, region and design: observed mean over participants, mean and 95th percentile of the null (each
        permutation averaged over participants), and the permutation p-value.
    """
    keys = ["brain", "region", "folds"]
    observed = at_layer[at_layer["method"] == "untuned"].groupby(keys, sort=False)["pairwise"].mean()
    drawn = null.groupby([*keys, "permutation"], sort=False)["pairwise"].mean().reset_index()
    rows = []
    for key, value in observed.items():
        sample = drawn[(drawn[keys] == pd.Series(dict(zip(keys, key, strict=True)))).all(axis=1)]["pairwise"]
        p = (1 + (sample >= value).sum()) / (1 + len(sample))
        rows.append((*key, value, sample.mean(), sample.quantile(0.95), p))
    return pd.DataFrame(rows, columns=[*keys, "observed", "null mean", "null 95 %", "p"])


def alpha_at_edge(decoding: pd.DataFrame) -> float:
    """Return the share of folds whose penalty lies at an edge of the grid (untuned and tuned representations)."""
    return float(decoding.loc[decoding["method"] != "control", "alpha_edge"].mean())


def brain_similarity(table: pd.DataFrame, ceiling: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Return region × method similarity to the brain at the analysis layer, beside the noise ceiling.

    Columns that end in `, partial` are without what length and passage explain.
    """
    rows = at_analysis_layer(table, study)
    means, partial = (
        rows.pivot_table(index="region", columns="method", values=name, sort=False) for name in ("spearman", "partial")
    )
    bounds = ceiling.set_index("region")[["lower", "upper"]].add_prefix("ceiling ")
    return means.join(partial.add_suffix(", partial")).join(bounds).reset_index().rename_axis(columns=None)


def cost_table(costs: pd.DataFrame) -> pd.DataFrame:
    """Return what each step took: jobs, minutes of all its jobs together, seconds of a typical one, most memory.

    Parameters
    ----------
    costs : DataFrame
        From :func:`braintune.workflow.provenance.job_costs`.
    """
    by_step = costs.groupby("step", sort=False)
    return pd.DataFrame(
        {
            "jobs": by_step["seconds"].size(),
            "minutes, all jobs": by_step["seconds"].sum() / 60,
            "seconds, median job": by_step["seconds"].median(),
            "memory, largest job (MB)": by_step["memory_mb"].max(),
        }
    ).reset_index()
