"""Sentences and small tables for the pages, taken from the results."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import HTML, Markdown

from braintune.core.study import Study
from braintune.datasets.brains.base import BrainData
from braintune.datasets.brains.registry import is_simulated
from braintune.datasets.tasks import TaskData
from braintune.results.tables import (
    ARMS,
    CHANCE,
    PREFIXES,
    alpha_at_edge,
    by_group,
    judged,
    main_design,
    null_summary,
    tuning_choices,
    tuning_costs,
    tuning_summary,
)


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


def tuning_answer(metrics: Mapping[str, Any]) -> str:
    """Say whether a tuned model has learned its task."""
    gain = metrics["score"] - metrics["baseline"]
    verdict = "it has learned" if gain > 0 else "**it does not beat guessing**, so it says little about the task"
    return (
        f"The {metrics['method']} model reaches {metrics['score']:.3f} ({metrics['metric']}) on {metrics['task']}; "
        f"the trivial baseline gets {metrics['baseline']:.3f}: {verdict}."
    )


def tuning_warnings(table: pd.DataFrame) -> str:
    """Say which runs do not beat the baselines of their task: guessing, and a bag of words."""
    told = []
    for column, name in (("baseline", "guessing"), ("bag_of_words", "a bag of words")):
        losers = table[table["score"] <= table[column]]
        named = dict.fromkeys(f"{run.method} on {run.task}" for run in losers.itertuples())
        told.append(f"Not better than {name}: {', '.join(named)}." if named else f"Every run beats {name}.")
    return " ".join(told)


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
