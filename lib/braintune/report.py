"""What the notebooks say: small tables and sentences read off the results, never typed.

Tables go in tidy, as the steps write them; what comes out is a small table for a page, or a sentence.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import HTML, Markdown

from braintune import store
from braintune.brain import BrainData, is_simulated, load_brain
from braintune.decoding import analysis_layer
from braintune.gram import GROUP_SCORES, SCORES
from braintune.study import Study
from braintune.tasks import TaskData

ARMS = ("fine-tuned", "prompt-tuned")
PREFIXES = ("zero-prefix", "random-prefix")
CHANCE = 0.5
MEAN_OVER_FOLDS = [
    "brain",
    "participant",
    "region",
    "representation",
    "task",
    "method",
    "seed",
    "layer",
    "folds",
]


def say(*sentences: str) -> Markdown:
    """Show sentences as one paragraph of Markdown; markup and links that a name from data holds stay text."""
    return Markdown(" ".join(sentences).replace("<", "&lt;").replace("[", "\\["))


def facts(rows: Mapping[str, Any]) -> HTML:
    """Show names and values as a two-column table; text from data is escaped."""
    cells = "".join(
        f"<tr><th scope='row'>{escape(str(k))}</th><td>{escape(_text(v))}</td></tr>" for k, v in rows.items()
    )
    return HTML(f"<table class='facts'><tbody>{cells}</tbody></table>")


def show(table: pd.DataFrame, digits: int = 3, caption: str = "") -> HTML:
    """Show a table with rounded numbers and a dash for what is not there, its caption above; text is escaped."""
    whole = dict.fromkeys(table.select_dtypes("integer"), lambda x: x if x == "–" else f"{x:,}")
    gaps = {
        name: column.astype(object).where(column.notna(), "–")
        for name, column in table.items()
        if column.dtype.kind != "f" and column.isna().any()
    }
    table = table.assign(**gaps)
    cells = {"float_format": lambda x: f"{x:.{digits}f}", "formatters": whole, "na_rep": "–"}
    above = f"<p class='caption'><strong>{escape(caption)}</strong></p>" if caption else ""
    return HTML(above + table.to_html(index=False, escape=True, border=0, classes="results", **cells))


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.4g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return str(value)


# --- tuning ------------------------------------------------------------------------------------------------------


def example(data: TaskData, row: int = 0) -> HTML:
    """Show one training example of a task, field by field."""
    shown = {k: " ".join(map(str, v)) if k in ("tokens", "tags") else v for k, v in data.train[row].items()}
    return facts(shown)


def tuning_facts(metrics: Mapping[str, Any]) -> HTML:
    """Show what one tuning run cost and reached."""
    left_out = metrics["left_out"]
    return facts(
        {
            f"score ({metrics['metric']}, test)": metrics["score"],
            "trivial baseline": metrics["baseline"],
            "bag of words": metrics["bag_of_words"],
            "trained parameters": metrics["parameters"],
            "examples (train / validation / test)": [metrics["n_train"], metrics["n_validation"], metrics["n_test"]],
            **({"left out of the source (train / test)": list(left_out.values())} if left_out else {}),
            "truncated examples": metrics["truncated"],
            "learning rate": metrics["learning_rate"],
            "best epoch": f"{metrics['best_epoch']} of {metrics['epochs']}",
            "trials in the search": metrics["n_trials"] if metrics["search_examples_seen"] else "none",
            "examples seen (search / training)": [metrics["search_examples_seen"], metrics["examples_seen"]],
            "examples per second": round(metrics["examples_per_s"], 1),
            "precision": metrics["precision"],
            "seconds": round(metrics["seconds"], 1),
        }
    )


def tuning_trials(metrics: Mapping[str, Any]) -> pd.DataFrame:
    """Return what the search tried: one row a trial, its best validation score, and which was chosen."""
    table = pd.DataFrame(metrics["trials"])
    recipe = table[["learning_rate", "epochs"]]
    table["chosen"] = (recipe == [metrics["learning_rate"], metrics["epochs"]]).all(axis=1)
    return table.rename(columns={"score": f"validation {metrics['metric']}"})


def tuning_answer(metrics: Mapping[str, Any]) -> str:
    """Say whether a tuned model has learned its task."""
    gain = metrics["score"] - metrics["baseline"]
    verdict = "it has learned" if gain > 0 else "**it does not beat guessing**, so it says little about the task"
    return (
        f"The {metrics['method']} model reaches {metrics['score']:.3f} ({metrics['metric']}) on {metrics['task']}; "
        f"the trivial baseline gets {metrics['baseline']:.3f}: {verdict}."
    )


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
    recipes = table.apply(lambda run: f"{run['learning_rate']:g}, {run['epochs']} epochs", axis=1)
    cells = table.assign(recipe=recipes).groupby(["task", "method"], sort=False)["recipe"]
    chosen = cells.agg(lambda names: "; ".join(dict.fromkeys(names))).unstack("method")
    return chosen[list(table["method"].unique())].reset_index().rename_axis(columns=None)


def tuning_warnings(table: pd.DataFrame) -> str:
    """Say which runs do not beat the baselines of their task: guessing, and a bag of words."""
    told = []
    for column, name in (("baseline", "guessing"), ("bag_of_words", "a bag of words")):
        losers = table[table["score"] <= table[column]]
        named = dict.fromkeys(f"{run.method} on {run.task}" for run in losers.itertuples())
        told.append(f"Not better than {name}: {', '.join(named)}." if named else f"Every run beats {name}.")
    return " ".join(told)


# --- decoding ----------------------------------------------------------------------------------------------------


def collect(run: Study, what: str) -> pd.DataFrame:
    """Read the tables of one step over the run's brains and participants: ``decoding``, ``null`` or an RSA table."""
    per_participant = {"decoding": run.decoding_file, "null": run.null_file}
    files = []
    for brain in run.brains:
        if what in per_participant:
            files += [per_participant[what](brain, name) for name in load_brain(run, brain).participants]
        else:
            files.append(run.rsa_file(brain, what))
    return pd.concat([store.read_table(file) for file in files], ignore_index=True)


def at_analysis_layer(table: pd.DataFrame, run: Study) -> pd.DataFrame:
    """Return the rows at the analysis layer; a control with a single layer keeps it."""
    last = table.groupby(["brain", "representation"])["layer"].transform("max")
    return table[table["layer"] == last.map(lambda n: analysis_layer(n + 1, run.layer))]


def scores(decoding: pd.DataFrame, run: Study) -> pd.DataFrame:
    """Return scores averaged over folds at the analysis layer."""
    rows = at_analysis_layer(decoding, run)
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


def group_answer(at_layer: pd.DataFrame) -> str:
    """Say how well pairs within and across topics are told apart by the untuned representation."""
    told = []
    for brain in at_layer["brain"].unique():
        rows = by_group(judged(at_layer, brain))
        for row in rows[rows["method"] == "untuned"].to_dict("records"):
            told.append(
                f"{brain} ({row['region']}, {row['folds']} folds): {row['same topic']:.3f} between sentences of the "
                f"same topic, {row['different topic']:.3f} between those of different topics"
            )
    return f"Untuned, {'; '.join(told)}." if told else "The stimuli of this run have neither topics nor passages."


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


# --- brain and stimuli -------------------------------------------------------------------------------------------


def brain_facts(data: BrainData) -> HTML:
    """Show what a brain data set holds."""
    groups = data.stimuli.passage
    return facts(
        {
            "brain data": data.name + (" (simulated)" if data.simulated else ""),
            "participants": data.participants,
            "regions": data.regions,
            "stimuli": len(data.stimuli.names),
            "sentences": len(data.stimuli.sentences),
            "passages": "none" if groups is None else len(set(np.asarray(groups).tolist())),
        }
    )


# --- sentences ---------------------------------------------------------------------------------------------------


def movement_answer(table: pd.DataFrame) -> str:
    """Say how far each method moved the last layer, by its mean cosine to the untuned vectors."""
    means = table[table["method"].isin(ARMS)].groupby("method")["cosine"].mean()
    zero = table.loc[table["representation"] == "zero-prefix", "cosine"]
    told = ", ".join(f"{method} {means[method]:.3f}" for method in ARMS if method in means)
    price = f" A prefix of zeros alone moves it to {zero.iloc[0]:.3f}." if len(zero) else ""
    return f"Mean cosine to the untuned representation at the last layer: {told}.{price}"


def participant_answer(decoding: pd.DataFrame, at_layer: pd.DataFrame) -> str:
    """Say what one participant's brain tells, and whether the penalties stayed inside their grid."""
    rows = judged(at_layer, at_layer["brain"].iloc[0])
    means = rows.groupby("method")["pairwise"].mean()
    told = ", ".join(f"{m} {means[m]:.3f}" for m in ("untuned", *ARMS) if m in means)
    return (
        f"In region {rows['region'].iloc[0]} under {rows['folds'].iloc[0]} folds, mean pairwise accuracy is {told}; "
        f"chance is {CHANCE}. In {alpha_at_edge(decoding):.0%} of the fits the penalty lies at an edge of its grid."
    )


def closeness_answer(untuned: pd.DataFrame) -> str:
    """Say which method stays closer to the untuned model, from the rows at the analysis layer."""
    means = untuned[untuned["method"].isin(ARMS)].groupby("method")[["spearman", "cka"]].mean()
    if not set(ARMS) <= set(means.index):
        return "Only one tuning method was run, so there is nothing to compare."
    fine, prompt = means.loc["fine-tuned"], means.loc["prompt-tuned"]
    closer = "prompt-tuned" if prompt["spearman"] > fine["spearman"] else "fine-tuned"
    return (
        f"At the analysis layer the {closer} representations stay closer to the untuned model: Spearman RSA "
        f"{prompt['spearman']:.3f} prompt-tuned and {fine['spearman']:.3f} fine-tuned; CKA {prompt['cka']:.3f} and "
        f"{fine['cka']:.3f}, mean over tasks."
    )


def distance_answer(untuned: pd.DataFrame) -> str:
    """Say how close to the untuned model each method and each prefix that learned nothing stays, analysis layer."""
    named = {method: untuned["method"] == method for method in ARMS}
    named |= {f"a {name.replace('-', ' ')}": untuned["representation"] == name for name in PREFIXES}
    told = [f"{name} {untuned.loc[rows, 'spearman'].mean():.3f}" for name, rows in named.items() if rows.any()]
    if not told:
        return "Nothing but the untuned model was embedded."
    return f"Similarity to the untuned model (Spearman RSA, 1 where nothing has moved): {', '.join(told)}."


def brain_similarity(table: pd.DataFrame, ceiling: pd.DataFrame, run: Study) -> pd.DataFrame:
    """Return region × method similarity to the brain at the analysis layer, beside the noise ceiling.

    Columns that end in `, partial` are without what length and passage explain.
    """
    rows = at_analysis_layer(table, run)
    means, partial = (
        rows.pivot_table(index="region", columns="method", values=name, sort=False) for name in ("spearman", "partial")
    )
    bounds = ceiling.set_index("region")[["lower", "upper"]].add_prefix("ceiling ")
    return means.join(partial.add_suffix(", partial")).join(bounds).reset_index().rename_axis(columns=None)


# --- numbers in prose --------------------------------------------------------------------------------------------


def quoted(
    run: Study,
    tuned: pd.DataFrame,
    decoded: pd.DataFrame,
    at_layer: pd.DataFrame,
    null: pd.DataFrame,
    closeness: pd.DataFrame,
) -> dict[str, str]:
    """Return every number and sentence that the pages quote, by name."""
    beaten = int((tuned["score"] > tuned["baseline"]).sum())
    above = null_summary(at_layer, null)
    simulated = [is_simulated(brain) for brain in run.brains]
    return {
        "standing": SIMULATED if any(simulated) else REAL,
        "tuning_runs": str(len(tuned)),
        "tuning_beaten": str(beaten),
        "tuning_warnings": tuning_warnings(tuned),
        "n_tasks": str(tuned["task"].nunique()),
        "closeness": " ".join(
            f"{brain}: {closeness_answer(closeness[closeness['brain'] == brain])}" for brain in run.brains
        ),
        "distance": distance_answer(closeness),
        "edge": f"{alpha_at_edge(decoded):.0%}",
        "above_null": f"{int((above['p'] < run.fdr).sum())} of {len(above)}",
        "regions": _regions(at_layer, run),
        "silent": _silent(above, run),
        "level": f"{run.fdr:g}",
        "margin": f"{run.margin:g}",
        "permutations": str(null["permutation"].nunique()),
        "leakage": leakage_answer(at_layer),
        "topics": group_answer(at_layer),
    }


SIMULATED = (
    "The brain of this run is simulated: its voxels were given a known code, so what is found here checks the "
    "method and says nothing about people."
)
REAL = "The brains of this run are real fMRI; the data sets are named above and described on the data page."


def _regions(at_layer: pd.DataFrame, run: Study) -> str:
    """Untuned accuracy of every region, under the design that claims are judged on."""
    told = []
    for brain in run.brains:
        rows = at_layer[(at_layer["brain"] == brain) & (at_layer["method"] == "untuned")]
        design = main_design(rows["folds"])
        means = rows[rows["folds"] == design].groupby("region", sort=False)["pairwise"].mean()
        told.append(
            f"{brain} ({design} folds): " + ", ".join(f"{region} {value:.3f}" for region, value in means.items())
        )
    return "; ".join(told)


def _silent(null: pd.DataFrame, run: Study) -> str:
    """What is found in the networks of the simulation that were given no signal."""
    empty = [region for region, signal in run.signal.items() if signal == 0]
    rows = null[null["brain"].map(is_simulated) & null["region"].isin(empty)]
    if rows.empty:
        return "This run has no region of which it is known that it carries no signal."
    told = "; ".join(f"{r.region}, {r.folds} folds: {r.observed:.3f}, p = {r.p:.2f}" for r in rows.itertuples())
    return f"Where nothing was planted, this is found: {told}."


def leakage_answer(at_layer: pd.DataFrame) -> str:
    """Say what the content-free passage code reaches under each design."""
    rows = at_layer[(at_layer["representation"] == "passage")]
    rows = rows[rows["region"].isin(["language", "whole-brain"])]
    if rows.empty or rows["folds"].nunique() < 2:
        return "This run has no content-free control under both fold designs."
    means = rows.groupby("folds")["pairwise"].mean()
    return (
        f"A code that knows only which passage a sentence belongs to reaches {means['shuffled']:.3f} with shuffled "
        f"folds and {means['grouped']:.3f} with grouped folds; chance is {CHANCE}."
    )


def cost_table(seconds: Mapping[str, Sequence[float]]) -> pd.DataFrame:
    """Return what each step took: jobs, minutes of all its jobs together, seconds of a typical one.

    Parameters
    ----------
    seconds : mapping
        Step → seconds of each job, from :func:`braintune.workflow.job_seconds`.
    """
    rows = [(step, len(jobs), sum(jobs) / 60, float(np.median(jobs))) for step, jobs in seconds.items() if jobs]
    return pd.DataFrame(rows, columns=["step", "jobs", "minutes, all jobs", "seconds, median job"])


def cost_answers(seconds: Mapping[str, Sequence[float]]) -> dict[str, str]:
    """Return step → what its jobs took in this run, in words."""
    told = {}
    for step, jobs in seconds.items():
        number = f"{len(jobs)} {'job' if len(jobs) == 1 else 'jobs'}"
        told[f"took_{step}"] = f"{sum(jobs) / 60:.1f} minutes ({number})" if jobs else "a time that was not recorded"
    return told


def glue_costs(seconds: Mapping[str, Sequence[float]]) -> None:
    """Register with the book what each step took."""
    from myst_nb import glue

    for name, text in cost_answers(seconds).items():
        glue(name, text, display=True)


def glue_all(run: Study, **tables: pd.DataFrame) -> None:
    """Register every quoted number with the book (`{glue:text}`)."""
    from myst_nb import glue

    for name, text in quoted(run, **tables).items():
        glue(name, text, display=True)


def glue_tables(tuned: pd.DataFrame) -> None:
    """Register the tables that stand on the pages (`{glue}` with `:doc: results/figures.ipynb`)."""
    from myst_nb import glue

    tables = {"tuning_table": tuning_summary, "tuning_costs": tuning_costs, "tuning_choices": tuning_choices}
    for name, make in tables.items():
        glue(name, show(make(tuned)), display=True)
