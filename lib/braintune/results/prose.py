"""Sentences and tables for notebooks and pages, taken from the results.

The figures notebook collects what the pages quote in `results.json`: name → Markdown, in which all text from data is
escaped, or the HTML of a table. A page asks for it by ``{{ name }}``.
"""

import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import HTML, Markdown

from braintune.core import store
from braintune.core.study import Study
from braintune.datasets.brains.base import BrainData
from braintune.datasets.brains.registry import is_simulated, participants_label
from braintune.datasets.tasks import TaskData
from braintune.results import checks, claims, recorded, statistics, tables
from braintune.results.checks import CheckResult, Results
from braintune.results.claims import VERDICTS, WORDS, Evidence, Ledger, Verdict
from braintune.results.recorded import Recorded
from braintune.results.statistics import Finding
from braintune.results.tables import ARMS, CHANCE, PREFIXES

# --- display -----------------------------------------------------------------------------------------------------


def text(sentence: str) -> str:
    """Escape a sentence so that Markdown shows it as it is: no markup, role, formula or substitution in it acts."""
    return re.sub(r"([\\`*_{}\[\]<>$~#|&!^@])", r"\\\1", sentence)


def say(*sentences: str) -> Markdown:
    """Show sentences as one paragraph."""
    return Markdown(text(" ".join(sentences)))


def facts(rows: Mapping[str, Any]) -> HTML:
    """Show names and values as a two-column table; text from data is escaped."""
    cells = (f"<tr><th scope='row'>{escape(str(k))}</th><td>{escape(_value(v))}</td></tr>" for k, v in rows.items())
    return HTML(f"<table class='facts'><tbody>{''.join(cells)}</tbody></table>")


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_value, value))
    if isinstance(value, bool | str):
        return str(value)
    return f"{value:,.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def show(table: pd.DataFrame, digits: int = 3, caption: str = "") -> HTML:
    """Show a table with rounded numbers and a dash for what is missing, its caption above; text is escaped."""
    whole = dict.fromkeys(table.select_dtypes("integer"), lambda x: x if x == "–" else f"{x:,}")
    gaps = {
        name: column.astype(object).where(column.notna(), "–")
        for name, column in table.items()
        if column.dtype.kind != "f" and column.isna().any()
    }
    look = {"float_format": f"{{:.{digits}f}}".format, "formatters": whole, "na_rep": "–", "classes": "results"}
    html = table.assign(**gaps).to_html(index=False, escape=True, border=0, **look)
    return HTML((f"<p class='caption'><strong>{escape(caption)}</strong></p>" if caption else "") + html)


# --- one notebook ------------------------------------------------------------------------------------------------


def example(data: TaskData, row: int = 0) -> HTML:
    """Show one training example of a task, field by field."""
    return facts({k: " ".join(map(str, v)) if k in ("tokens", "tags") else v for k, v in data.train[row].items()})


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
    learned = metrics["score"] > metrics["baseline"]
    verdict = "it has learned" if learned else "it does not beat guessing, so it says little about the task"
    return (
        f"The {metrics['method']} model reaches {metrics['score']:.3f} ({metrics['metric']}) on {metrics['task']}; "
        f"the trivial baseline gets {metrics['baseline']:.3f}: {verdict}."
    )


def brain_facts(data: BrainData) -> HTML:
    """Show what a brain data set holds."""
    groups = data.stimuli.passage
    return facts(
        {
            "brain data": data.name + (" (simulated)" if data.simulated else ""),
            "participants": data.participants,
            "stimuli": len(data.stimuli.names),
            "sentences": len(data.stimuli.sentences),
            "passages": "none" if groups is None else len(np.unique(groups)),
        }
    )


def movement_answer(table: pd.DataFrame) -> str:
    """Say how far each method moved the last layer, by its mean cosine to the untuned vectors."""
    means = table.groupby("method")["cosine"].mean()
    zero = table.loc[table["representation"] == "zero-prefix", "cosine"]
    price = f" A prefix of zeros alone moves it to {zero.iloc[0]:.3f}." if len(zero) else ""
    return f"Mean cosine to the untuned representation at the last layer: {_by_method(means, *ARMS)}.{price}"


def participant_answer(decoding: pd.DataFrame, at_layer: pd.DataFrame) -> str:
    """Say how well one participant's brain is decoded, and whether the penalties stayed inside their grid."""
    rows = tables.labelled(tables.judged(at_layer, at_layer["brain"].iloc[0]))
    return (
        f"In region {rows['region'].iloc[0]} under {rows['folds'].iloc[0]} folds, mean pairwise accuracy is "
        f"{_by_method(rows.groupby('method')['pairwise'].mean())}; chance is {CHANCE}. "
        f"In {tables.alpha_at_edge(decoding):.0%} of the fits the penalty is at an edge of its grid."
    )


def closeness_answer(untuned: pd.DataFrame) -> str:
    """Say which method stays closer to the untuned model, from the rows at the analysis layer."""
    means = untuned[untuned["method"].isin(ARMS)].groupby("method")[["spearman", "cka"]].mean()
    if not set(ARMS) <= set(means.index):
        return "Only one tuning method was run, so there is nothing to compare."
    spearman, cka = means["spearman"], means["cka"]
    return (
        f"At the analysis layer the {spearman.idxmax()} representations stay closer to the untuned model: Spearman RSA "
        f"{_by_method(spearman)}; CKA {_by_method(cka)}, mean over tasks."
    )


def _by_method(means: pd.Series, *methods: str) -> str:
    return ", ".join(f"{m} {means[m]:.3f}" for m in methods or ("untuned", *ARMS) if m in means)


# --- claims ------------------------------------------------------------------------------------------------------


def headline(at_layer: pd.DataFrame, e: Evidence) -> str:
    """Say in a few sentences what one brain data set answers: the answer first, then its numbers."""
    means = tables.labelled(tables.judged(at_layer, e.brain)).groupby("method")["pairwise"].mean()
    answered, difference = _methods(e)
    told = f"{_where(e)}: {answered}. Mean pairwise accuracy: {_by_method(means)}; chance is {CHANCE}."
    return told + (f" Prompt-tuned minus fine-tuned: {difference.sentence}" if difference else "")


def _methods(e: Evidence) -> tuple[str, Finding | None]:
    """Compare the two methods in the main region of one brain: the answer in words, and the difference."""
    contrast = tables.contrast(e.main, ["region"])
    if contrast.empty:
        return "only one tuning method was run", None
    found, margin = statistics.paired_difference(contrast.to_numpy()[0], e.study.fdr), f"{e.study.margin:g}"
    equivalent = claims.comparisons(e.main, ["region"], e.study)["p_equivalent"][0] < e.study.fdr
    if found.p is not None and found.p < e.study.fdr:
        direction, but = (
            "better" if (found.estimate or 0) > 0 else "worse",
            f", but by less than {margin}" if equivalent else "",
        )
        return f"prompt-tuned representations are decoded {direction} than fine-tuned ones{but}", found
    if equivalent:
        return f"prompt-tuned and fine-tuned representations are decoded equally well, to within {margin}", found
    return (
        "neither a difference between prompt-tuned and fine-tuned representations nor their equivalence is shown",
        found,
    )


def _people(e: Evidence) -> str:
    return f"{e.scores['participant'].nunique()} {participants_label(e.brain)}"


def _where(e: Evidence) -> str:
    return f"{e.brain} ({_people(e)}, region {e.region}, {e.design} folds)"


def verdicts(ledger: Ledger) -> str:
    """Say which claims are supported, one sentence a brain data set."""
    said = []
    for brain, e in ledger.evidence.items():
        named = {word: [v.claim for v in ledger.of(brain) if v.verdict == word] for word in VERDICTS}
        said.append(f"{_where(e)}: " + "; ".join(f"{word}: {', '.join(of)}" for word, of in named.items() if of) + ".")
    return " ".join(said)


def brief(ledger: Ledger) -> dict[str, str]:
    """Say in one sentence each which method is decoded better, and how C3, C4 and C5 fare, over all brains.

    Returns
    -------
    dict of str to str
        ``methods``, ``C3``, ``C4``, ``C5`` → sentence. Brains with the same answer share its clause.
    """
    said = {"methods": _one_sentence([(e, *_methods(e)) for e in ledger.evidence.values()])}
    for claim in (name for name, words in WORDS.items() if "brief" in words):
        words = WORDS[claim]["brief"]
        parts = [(ledger.evidence[v.brain], words[v.verdict], v.finding) for v in ledger.verdicts if v.claim == claim]
        said[claim] = _one_sentence(parts, WORDS[claim]["about"])
    return said


def _one_sentence(parts: Sequence[tuple[Evidence, str, Finding | None]], subject: str = "") -> str:
    """Join answers, each with its numbers, to one sentence; brains with the same answer share it."""
    said: dict[str, list[str]] = {}
    for e, answered, found in parts:
        numbers = f"{_effect(found)} in {_people(e)}" if found and found.estimate is not None else _people(e)
        said.setdefault(answered, []).append(numbers)
    told = f"{subject} " + "; and ".join(f"{answer}: {', '.join(of)}" for answer, of in said.items())
    told = told.strip()
    return f"{told[:1].upper()}{told[1:]}."


def _effect(found: Finding) -> str:
    return f"{found.estimate:+.3f}" + ("" if found.low is None else f" ({found.low:+.3f} to {found.high:+.3f})")


def ledger_list(ledger: Ledger) -> HTML:
    """Show the verdicts of every brain data set, claim by claim; a simulated brain is labelled so."""
    parts = []
    for brain, e in ledger.evidence.items():
        note = ": a check of the method, not a finding" if is_simulated(brain) else ""
        entries = "".join(map(_entry, ledger.of(brain)))
        title = f"<p class='caption'><strong>{escape(_where(e) + note)}</strong></p>"
        parts.append(f"{title}<dl class='ledger'>{entries}</dl>")
    return HTML("\n".join(parts))


def _entry(v: Verdict) -> str:
    """Return one claim of a ledger: what the paper says, the verdict, why, and the numbers behind it."""
    numbers = ["effect –" if v.finding.estimate is None else f"effect {_effect(v.finding)}, {v.measure}"]
    numbers += [f"smallest detectable {v.detectable:.3f}"] if v.detectable is not None else []
    numbers += [f"power at the margin {v.power:.0%}"] if v.power is not None else []
    mark = f"<span class='verdict {v.verdict.replace(' ', '-')}'>{v.verdict}</span>"
    said = f"<dt>{v.claim}. {escape(WORDS[v.claim]['paper'])} {mark}</dt>"
    return f"{said}<dd><p>{escape(v.sentence)}</p><p class='numbers'>{escape('; '.join(numbers))}</p></dd>"


def rule_table() -> pd.DataFrame:
    """Return what each claim is tested by and when it is supported."""
    rows = [(f"{name}. {words['paper']}", words["test"], words["rule"]) for name, words in WORDS.items()]
    return pd.DataFrame(rows, columns=["the paper claims", "our test", "verdict"])


def background_table(ledger: Ledger) -> pd.DataFrame:
    """Return further results on the evidence, sentence by sentence."""
    rows = [(brain, said) for brain, e in ledger.evidence.items() for said in claims.background(e)]
    return pd.DataFrame(rows, columns=["brain", "also"])


def sign_table(signs: Sequence[CheckResult]) -> pd.DataFrame:
    """Return every failure signature, where it was checked, and what was seen."""
    words = {True: "found", False: "no", None: "could not be checked"}
    rows = [(s.title.replace("`", ""), s.brain or "tuning", words[s.found], s.seen, s.meaning) for s in signs]
    return pd.DataFrame(rows, columns=["sign", "where", "found", "seen", "what it may mean"])


def answering(own: Ledger, real: Ledger) -> Ledger:
    """Return the ledger that answers the book's question: the run's own, or the recorded one where it is simulated."""
    return real if any(map(is_simulated, own.evidence)) else own


# --- what is recorded --------------------------------------------------------------------------------------------


def recorded_standing(real: Recorded) -> str:
    """Say what the recorded real run is, and what it is not."""
    people = real.at_layer.groupby("brain", sort=False)["participant"].nunique()
    told = " and ".join(f"{count} {participants_label(brain)} ({brain})" for brain, count in people.items())
    return (
        f"The recorded real run: {real.study.backbone}, {real.tuned['task'].nunique()} real tasks, "
        f"{real.tuned['seed'].nunique()} seeds for each, real fMRI of {told}. These are not the paper's own data."
    )


def calibration_answer(rates: pd.DataFrame) -> str:
    """Say how many wrong verdicts come more often than they may."""
    limited = rates[rates["allowed"].notna()]
    over = limited[limited["rate"] - 2 * limited["error"] > limited["allowed"]]
    named = "; ".join(f"{r.claim} {r.verdict} under {r.scenario!r}: {r.rate:.3f}" for r in over.itertuples())
    told = f"Of {len(limited)} error rates with a limit, {len(over)} are above it by more than two standard errors"
    return f"{told}{f' ({named})' if named else ''}."


def calibration_tables() -> dict[str, pd.DataFrame]:
    """Return the recorded calibration as tables for a page: wrong verdicts, power, coverage of intervals."""
    found = recorded.read_tables("calibration")
    coverage = found["coverage"].rename(columns={"error": "± (simulation)"})
    people = coverage["participants"]
    coverage["participants"] = people.astype("Int64").where(people > 0)
    return {"rates": wrong_verdicts(found["rates"]), "power": found["power"], "coverage": coverage}


def wrong_verdicts(rates: pd.DataFrame) -> pd.DataFrame:
    """Return how often each claim gets a wrong verdict: a row a truth, a column a claim, the limit in brackets."""
    limit = rates["allowed"].map(lambda most: f" (≤ {most:g})" if np.isfinite(most) else "")
    cells = rates["rate"].map("{:.3f}".format) + " ± " + rates["error"].map("{:.3f}".format) + limit
    keys = ["level", "scenario", "studies"]
    wide = rates.assign(cell=cells).pivot_table(index=keys, columns="claim", values="cell", aggfunc="first", sort=False)
    names = {"level": "on", "scenario": "what is true"}
    return wide[sorted(wide)].fillna("").reset_index().rename(columns=names).rename_axis(columns=None)


# --- what the pages quote ----------------------------------------------------------------------------------------

SIMULATED = (
    "The brain of this run is simulated: its voxels were given a known code, so these results check the method and say "
    "nothing about people."
)
REAL = "The brains of this run are real fMRI; the data sets are named above and described on the data page."


def results_file(study: Study) -> Path:
    """Return the path of what the pages quote, `results.json` in the folder of a run."""
    return study.folder / "results.json"


def write(study: Study, quoted: Mapping[str, str | pd.DataFrame | HTML]) -> None:
    """Write what the pages quote: sentences as escaped Markdown, tables as HTML in one line."""
    store.write_json(results_file(study), {name: _markup(value) for name, value in quoted.items()})


def _markup(value: str | pd.DataFrame | HTML) -> str:
    if isinstance(value, str):
        return text(value)
    html = value.data if isinstance(value, HTML) else show(value).data
    html = html.translate({ord(sign): f"&#{ord(sign)};" for sign in r"\`*_{}[]$~|^@"})
    return " ".join(line.strip() for line in html.splitlines())  # a blank line would end it in Markdown


def of_run(results: Results, null: pd.DataFrame, ledger: Ledger, signs: Sequence[CheckResult]) -> dict[str, Any]:
    """Return what the pages quote of a run: name → sentence, number or table."""
    study, tuned, at_layer = results.study, results.tuned, results.at_layer
    above = tables.null_summary(at_layer, null)
    quoted = {
        "standing": SIMULATED if any(map(is_simulated, study.brains)) else REAL,
        "tuning_runs": str(len(tuned)),
        "tuning_beaten": str(int((tuned["score"] > tuned["baseline"]).sum())),
        "tuning_warnings": tuning_warnings(tuned),
        "tuning_table": tables.tuning_summary(tuned),
        "tuning_costs": tables.tuning_costs(tuned),
        "tuning_choices": tables.tuning_choices(tuned),
        "n_tasks": str(tuned["task"].nunique()),
        "closeness": " ".join(f"{brain}: {closeness_answer(results.of(brain).closeness)}" for brain in study.brains),
        "distance": _distance(results.closeness),
        "edge": f"{tables.alpha_at_edge(results.decoded):.0%}",
        "above_null": f"{int((above['p'] < study.fdr).sum())} of {len(above)}",
        "level": f"{study.fdr:g}",
        "margin": f"{study.margin:g}",
        "null": above,
        "permutations": str(null["permutation"].nunique()),
        "topics": _topics(at_layer),
        "headline": " ".join(headline(at_layer, e) for e in ledger.evidence.values()),
        "verdicts": verdicts(ledger),
        "signs": f"{checks.summary(signs)}.",
        "ledger": ledger_list(ledger),
        "rules": rule_table(),
        "by_region": claims.task_table(ledger, regions=True),
        "background": background_table(ledger),
        "signs_table": sign_table(signs),
    }
    quoted |= {f"brief_{name}": said for name, said in brief(ledger).items()}
    return quoted | {f"passage_{design}": _passage(at_layer, design) for design in ("shuffled", "grouped")}


def of_recorded(real: Recorded, ledger: Ledger) -> dict[str, Any]:
    """Return what the pages quote of the recorded results: the real run and its verdicts, and the calibration."""
    quoted = {
        "recorded_standing": recorded_standing(real),
        "recorded_verdicts": verdicts(ledger),
        "recorded_ledger": ledger_list(ledger),
        "recorded_by_region": claims.task_table(ledger, regions=True),
        "recorded_background": background_table(ledger),
        "recorded_tuning": tables.tuning_summary(real.tuned),
        "calibration_answer": calibration_answer(recorded.read_tables("calibration")["rates"]),
    }
    return quoted | {f"calibration_{name}": table for name, table in calibration_tables().items()}


def of_answer(own: Ledger, real: Recorded, ledger: Ledger) -> dict[str, str]:
    """Return the answer to the book's question, and whose data give it."""
    people = " and ".join(f"{_people(e)} ({brain})" for brain, e in own.evidence.items())
    study, answer = own.study, answering(own, ledger)
    source = f"The answer is that of this run, {study.profile}: {study.backbone}, real fMRI of {people}."
    said = {f"answer_{name}": sentence for name, sentence in brief(answer).items()}
    return said | {"answer_source": source if answer is own else recorded_standing(real)}


def of_costs(costs: pd.DataFrame) -> dict[str, str | HTML]:
    """Return what the jobs took in this run: a table, and for each step in words."""
    table = tables.cost_table(costs)
    said: dict[str, str | HTML] = {}
    for row in table.itertuples(index=False):
        said[f"took_{row.step}"] = f"{row[2]:.1f} minutes ({row.jobs} {'job' if row.jobs == 1 else 'jobs'})"
    return said | {"costs": show(table, digits=1)}


def tuning_warnings(table: pd.DataFrame) -> str:
    """Say which runs do not beat the baselines of their task: guessing, and a bag of words."""
    said = []
    for column, name in (("baseline", "guessing"), ("bag_of_words", "a bag of words")):
        losers = table[table["score"] <= table[column]]
        named = ", ".join(dict.fromkeys(f"{row.method} on {row.task}" for row in losers.itertuples()))
        said.append(f"Not better than {name}: {named}." if named else f"Every run beats {name}.")
    return " ".join(said)


def _distance(untuned: pd.DataFrame) -> str:
    """Similarity to the untuned model of each method and each untrained prefix, at the analysis layer."""
    named = {method: untuned["method"] == method for method in ARMS}
    named |= {f"a {name.replace('-', ' ')}": untuned["representation"] == name for name in PREFIXES}
    means = {name: untuned.loc[rows, "spearman"].mean() for name, rows in named.items() if rows.any()}
    return _by_method(pd.Series(means, dtype=float), *means) or "nothing but the untuned model was embedded"


def _topics(at_layer: pd.DataFrame) -> pd.DataFrame:
    """Untuned accuracy on pairs of sentences of the same topic and of different topics, in each main region."""
    rows = pd.concat([tables.judged(at_layer, brain) for brain in at_layer["brain"].unique()])
    return tables.by_group(rows[rows["kind"] == "untuned"])


def _passage(at_layer: pd.DataFrame, design: str) -> str:
    """Accuracy of the content-free passage code under one fold design."""
    rows = at_layer[(at_layer["representation"] == "passage") & (at_layer["folds"] == design)]
    mean = rows.loc[rows["region"].isin(["language", "whole-brain"]), "pairwise"].mean()
    return f"{mean:.3f}" if np.isfinite(mean) else "(not computed in this run)"
