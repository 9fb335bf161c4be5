"""Sentences and tables for notebooks and pages, taken from the results. Their wording is in `prose.yml`."""

import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from IPython.display import HTML, Markdown

from braintune.core.study import Study
from braintune.datasets.brains.base import BrainData
from braintune.datasets.brains.registry import is_simulated, participants_label
from braintune.datasets.masking import masked_words
from braintune.datasets.tasks import TaskData
from braintune.results import claims, meta_analysis, recorded, tables
from braintune.results.checks import CheckResult
from braintune.results.claims import SIGNAL, UNITS, VERDICTS, WORDS, Evidence, Ledger, Verdict
from braintune.results.statistics import Finding
from braintune.results.tables import ARMS, Results

SENTENCES: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("prose.yml").read_text(encoding="utf-8"))

# --- display -----------------------------------------------------------------------------------------------------


def text(sentence: str) -> str:
    """Escape a sentence so that Markdown shows it verbatim: markup, roles, formulae and substitutions do nothing."""
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


def show(table: pd.DataFrame, digits: int = 3) -> HTML:
    """Show a table with rounded numbers and a dash for missing values; text is escaped."""
    whole = dict.fromkeys(table.select_dtypes("integer"), lambda x: x if x == "–" else f"{x:,}")
    gaps = {
        name: column.astype(object).where(column.notna(), "–")
        for name, column in table.items()
        if column.dtype.kind != "f" and column.isna().any()
    }
    p_values = [
        name for name in table.select_dtypes("float") if re.fullmatch(r"p|q|p_\w+|(.* )?p|permutation", str(name))
    ]
    formats = whole | dict.fromkeys(p_values, lambda p: "–" if np.isnan(p) else "<0.001" if p < 0.001 else f"{p:.3f}")
    plain = f"{{:z.{digits}f}}".format  # z: what rounds to zero has no sign
    look = {"float_format": plain, "formatters": formats, "na_rep": "–", "classes": "results"}
    return HTML(table.assign(**gaps).to_html(index=False, escape=True, border=0, **look))


# --- one notebook ------------------------------------------------------------------------------------------------


def example(data: TaskData, row: int = 0) -> HTML:
    """Show one training example of a task, field by field."""
    shown = data.train[row] | ({"masked": masked_words(data.train[row])} if data.task.kind == "language" else {})
    return facts({k: " ".join(map(str, v)) if k in ("tokens", "tags", "masked") else v for k, v in shown.items()})


def tuning_facts(metrics: dict[str, Any]) -> HTML:
    """Show the cost and the scores of one tuning run."""
    given = metrics | {
        "left_out": _value(list(metrics["left_out"].values())),
        "n_trials": metrics["n_trials"] if metrics["search_examples_seen"] else "none",
        "unanswerable": _value(list(metrics["unanswerable"].values())) if any(metrics["unanswerable"].values()) else "",
        "answered": _value([v for name, v in metrics["scores"].items() if name in ("HasAns F1", "NoAns F1")]),
    }
    rows = {name.format(**given): value.format(**given) for name, value in SENTENCES["tuning"].items()}
    return facts({name: value for name, value in rows.items() if value})


def notebook_table(tuned: pd.DataFrame) -> HTML:
    """Show every tuning run with its score and a link, relative to the tuning page, to its executed notebook."""
    shown = tuned[["task", "method", "seed", "metric", "score", "baseline"]].to_dict("records")
    head = "".join(f"<th scope='col'>{name}</th>" for name in (*shown[0], "notebook")) if shown else ""
    rows = []
    for row in shown:
        place = escape(f"results/tuning/{row['task']}_{row['method']}_seed-{row['seed']}.html")
        cells = (f"{v:.3f}" if isinstance(v, float) else escape(str(v)) for v in row.values())
        name = escape(f"{row['task']}, {row['method']}, seed {row['seed']}")
        link = f"<td><a href='{place}' aria-label='notebook: {name}'>open</a></td>"
        rows.append(f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}{link}</tr>")
    return HTML(f"<table class='results'><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>")


def tuning_warnings(table: pd.DataFrame) -> str:
    """Say which runs do not beat the baselines of their task: guessing, and a bag of words."""
    sentences = []
    for column, name in (("baseline", "guessing"), ("bag_of_words", "a bag of words")):
        named = tables.not_above(table, column)
        sentences.append(f"Not better than {name}: {named}." if named else f"Every run beats {name}.")
    return " ".join(sentences)


def tuning_answer(metrics: Mapping[str, Any]) -> str:
    """Say whether a tuned model has learned its task."""
    above = [metrics["score"] > metrics[name] for name in ("baseline", "bag_of_words")]
    found = "learned" if all(above) else "like words" if above[0] else "not learned"
    return f"{SENTENCES['reached'].format(**metrics)} {SENTENCES[found]}"


def brain_facts(data: BrainData) -> HTML:
    """Show what a brain data set contains."""
    groups = data.stimuli.groups
    return facts(
        {
            "brain data": data.name + (" (simulated)" if data.simulated else ""),
            "participants": data.participants,
            "stimuli": len(data.stimuli.names),
            "sentences": len(data.stimuli.sentences),
            "passages or topics": "none" if groups is None else len(np.unique(groups)),
        }
    )


def movement_answer(table: pd.DataFrame) -> str:
    """Say how far each method moved the last layer, by its mean cosine to the untuned vectors."""
    means = table.groupby("method")["cosine"].mean()
    sentences = [SENTENCES["movement"].format(means=mean_by_method(means, *ARMS))]
    zero = table.loc[table["representation"] == "zero-prefix", "cosine"]
    return " ".join(sentences + [SENTENCES["zero prefix"].format(cosine=cosine) for cosine in zero])


def participant_answer(decoding: pd.DataFrame, scores: pd.DataFrame) -> str:
    """Say how well one participant's brain is decoded, and whether the penalties stayed inside their grid."""
    rows = tables.labelled(tables.judged(scores))
    means, edge = mean_by_method(rows.groupby("method")["pairwise"].mean()), tables.alpha_at_edge(decoding)
    return SENTENCES["participant"].format(**rows.iloc[0], means=means, edge=edge)


def encoding_answer(encoding: pd.DataFrame, scores: pd.DataFrame) -> str:
    """Say how well the responses of a brain data set are predicted, and whether the penalties stayed in their grid."""
    rows = tables.labelled(tables.judged(scores))
    means, edge = mean_by_method(rows.groupby("method")["correlation"].mean()), tables.alpha_at_edge(encoding)
    return SENTENCES["encoding"].format(**rows.iloc[0], means=means, edge=edge)


def closeness_answer(untuned: pd.DataFrame) -> str:
    """Say which method stays closer to the untuned model, from the rows at the analysis layer."""
    means = untuned[untuned["method"].isin(ARMS)].groupby("method")[["spearman", "cka"]].mean()
    if not set(ARMS) <= set(means.index):
        return SENTENCES["one method"]
    return SENTENCES["closeness"].format(closer=means["spearman"].idxmax(), **means.apply(mean_by_method))


def mean_by_method(means: pd.Series, *methods: str) -> str:
    """Write means by method in one line: of those `methods` that exist, by default the untuned model and both arms."""
    return ", ".join(f"{m} {means[m]:.3f}" for m in methods or ("untuned", *ARMS) if m in means)


# --- claims ------------------------------------------------------------------------------------------------------


def headline(scores: pd.DataFrame, e: Evidence) -> str:
    """Say in a few sentences what one brain data set shows: the answer first, then its numbers."""
    rows = tables.judged(scores[scores["brain"] == e.brain])
    means = tables.labelled(rows).groupby("method")["pairwise"].mean()
    said, difference = compare_methods(e)
    sentences = [SENTENCES["headline"].format(where=_where(e), answer=said, means=mean_by_method(means))]
    sentences += [SENTENCES["difference"].format(result=difference.sentence)] if difference else []
    return " ".join(sentences)


def compare_methods(e: Evidence) -> tuple[str, Finding | None]:
    """Compare the two methods in the main region of one brain: the answer in words, and the difference."""
    words = SENTENCES["methods"] | SENTENCES["methods of"][e.direction]
    if e.closed:
        return words["closed"].format(why=e.closed), None
    effect = e.difference(e.region)
    found, margin = claims.finding(effect, e), e.loss(e.region)
    within = max(effect.above(-margin), 1 - effect.above(margin)) < e.study.fdr
    if found.p is not None and found.p < e.study.fdr:
        said = words["better" if effect.estimate > 0 else "worse"] + (words["little"] if within else "")
    else:
        said = words["equal" if within else "open"]
    return said.format(margin=margin), found


def people(e: Evidence) -> str:
    """Say who took part, as in "ten readers" or "the average over readers"."""
    return _with_article(e.people)


def _with_article(who: str) -> str:
    return f"the {who}" if who.startswith("average") else who


def listed(words: Sequence[str]) -> str:
    """Write a list: nothing, "a", "a and b", "a, b and c"."""
    *first, last = words or [""]
    return f"{', '.join(first)} and {last}" if first else last


def _where(e: Evidence) -> str:
    return f"{e.brain} ({people(e)}, region {e.region}, {e.design} folds)"


def verdicts(ledger: Ledger) -> str:
    """Say which claims are supported, one sentence per brain data set."""
    sentences = []
    for brain, e in ledger.evidence.items():
        named = {word: ", ".join(v.claim for v in ledger.of(brain) if v.verdict == word) for word in VERDICTS}
        sentences.append(f"{_where(e)}: " + "; ".join(f"{word}: {of}" for word, of in named.items() if of) + ".")
    return " ".join(sentences)


def brief(ledger: Ledger) -> dict[str, str]:
    """Say which method is decoded better, and some verdicts, over all brains: one sentence each.

    Returns
    -------
    dict of str to str
        ``methods``, and each claim with a `brief` → sentence. Brains with the same answer share its clause.
    """
    sentences = {"methods": one_sentence([(e, *compare_methods(e)) for e in ledger.evidence.values()])}
    for claim, words in WORDS.items():
        if brief := words.get("brief"):
            of_claim = [v for v in ledger.verdicts if v.claim == claim]
            parts = [(ledger.evidence[v.brain], brief[v.verdict], v.finding) for v in of_claim]
            form, where = UNITS.get(claim, SIGNAL).form, words.get("where", "in")
            sentences[claim] = one_sentence(parts, words["about"], form, where)
    return sentences


def one_sentence(
    parts: Sequence[tuple[Evidence, str, Finding | None]], subject: str = "", unit: str = "+z.1%", where: str = "in"
) -> str:
    """Join answers, each with its numbers, into one sentence; brains with the same answer share it."""
    by_answer: dict[str, list[tuple[str, str]]] = {}
    for e, said, found in parts:
        effect = "" if found is None or found.estimate is None else f"{with_interval(found, unit)} {where} {people(e)}"
        by_answer.setdefault(said, []).append((effect, people(e)))
    clauses: list[str] = []
    for said, of in by_answer.items():
        who = ("they " if clauses else f"{subject[:1].lower()}{subject[1:]} ") if subject else ""
        effects = ", ".join(effect for effect, _ in of if effect)
        without = f"{where} {listed([name for _, name in of])}, {who}{said}"
        clauses.append(f"{who}{said}: {effects}" if effects else without)
    sentence = "; ".join(clauses)
    return f"{sentence[:1].upper()}{sentence[1:]}."


def with_interval(found: Finding, unit: str = "+z.1%") -> str:
    """Write an estimate with its interval."""
    interval = "" if found.low is None else f" ({found.low:{unit}} to {found.high:{unit}})"
    return f"{found.estimate:{unit}}{interval}".replace("-", "−")


def combined_answer(ledger: Ledger) -> str:
    """Report the combined result of all brain data sets in each direction, or why they are not combined."""
    words, sentences = SENTENCES["combined"], []
    for direction in tables.SCORE:
        here, found = ledger.first(direction), meta_analysis.overall(ledger, direction)
        case = "absent" if not here else "too few" if found.estimate is None else "effect"
        numbers: dict[str, Any] = {"n": len([e for e in here if not e.closed]), "of": len(here)}
        if found.estimate is not None:
            ends = np.array([found.further, (found.low, found.high)], dtype=float)
            is_same = np.allclose(*ends)
            low, high = (f"{value:+.1%}".replace("-", "−") for value in ends[0])
            further = words["same" if is_same else "further"].format(low=low, high=high)
            numbers |= {"effect": with_interval(found), "further": further}
        sentence = words[case].format(direction=direction, **numbers)
        sentences.append(sentence[:1].upper() + sentence[1:])
    return " ".join(sentences)


def ledger_list(ledger: Ledger) -> HTML:
    """Show the verdicts of every brain data set, claim by claim; a simulated brain is labelled so."""
    parts = []
    for brain, e in ledger.evidence.items():
        note = ": a check of the method, not a finding" if is_simulated(brain) else ""
        entries = "".join(map(_entry, ledger.of(brain)))
        title = f"<summary>{escape(_where(e) + note)}</summary>"
        parts.append(f"<details class='ledger'>{title}<dl class='ledger'>{entries}</dl></details>")
    return HTML("\n".join(parts))


def _entry(v: Verdict) -> str:
    """Return one claim of a ledger: what the paper says, the verdict, why, and the numbers behind it."""
    effect = None if v.finding.estimate is None else with_interval(v.finding, UNITS.get(v.claim, SIGNAL).form)
    numbers = [] if effect is None else [f"effect {effect}, {v.measure}"]
    if v.power:
        chances = ", ".join(f"{chance:.1%} if {SENTENCES['truths'][truth]}" for truth, chance in v.power.items())
        numbers.append(f"probability of the verdict “supported” under this rule: {chances}")
    if v.readout:
        numbers.append(f"this verdict: decoding at the {tables.READOUT_NAMES[v.readout]}")
        numbers += [f"{_condition(where)}: {verdict}" for where, verdict in v.elsewhere.items()]
    mark = f"<span class='verdict {v.verdict.replace(' ', '-')}'>{v.verdict}</span>"
    claim = f"<dt>{v.claim}. {escape(WORDS[v.claim]['paper'])} {mark}</dt>"
    return f"{claim}<dd><p>{escape(v.sentence)}</p><p class='numbers'>{escape('; '.join(numbers))}</p></dd>"


def _condition(where: str) -> str:
    direction, readout = where.split(", ")
    return f"{direction} at the {tables.READOUT_NAMES[readout]}"


def rule_table() -> pd.DataFrame:
    """Return how each claim is tested and when it is supported."""
    rows = [(f"{name}. {words['paper']}", words["test"], words["rule"]) for name, words in WORDS.items()]
    return pd.DataFrame(rows, columns=["claim", "test", "verdict"])


def background_table(ledger: Ledger) -> pd.DataFrame:
    """Return further results on the evidence, sentence by sentence; shared sentences are shown once."""
    brains: dict[str, list[str]] = {}
    for brain, e in ledger.evidence.items():
        for sentence in claims.background(e):
            brains.setdefault(sentence, []).append(brain)
    everywhere = len(ledger.evidence) > 1
    rows = [
        ("all" if everywhere and len(of) == len(ledger.evidence) else ", ".join(of), sentence)
        for sentence, of in brains.items()
    ]
    return pd.DataFrame(rows, columns=["brain", "result"])


def sign_table(signs: Sequence[CheckResult]) -> pd.DataFrame:
    """Return every sign of failure, where it was checked, and what was observed."""
    words = {True: "found", False: "no", None: "could not be checked"}
    rows = [
        (s.title.replace("`", ""), s.brain or "tuning", words[s.found], s.seen, s.meaning.replace("`", ""))
        for s in signs
    ]
    return pd.DataFrame(rows, columns=["sign", "where", "found", "observed", "what it may mean"])


# --- what is recorded --------------------------------------------------------------------------------------------


def recorded_standing(real: Results) -> str:
    """Say what the recorded real run is, and what it is not."""
    counts = real.primary.groupby("brain", sort=False)["participant"].nunique()
    brains = listed([f"{_with_article(participants_label(brain, n))} ({brain})" for brain, n in counts.items()])
    tasks, seeds = (real.tuned[name].nunique() for name in ("task", "seed"))
    seeds = f"{seeds} seed{'s' * (seeds > 1)}"
    return SENTENCES["recorded"].format(backbone=real.study.backbone, tasks=tasks, seeds=seeds, brains=brains)


def sequences_run(study: Study) -> str:
    """Say what the recorded task sequences are."""
    return SENTENCES["recorded sequences"].format(**_learned(study), orders=study.orders, seeds=len(study.seeds))


def variants_run(study: Study, differing: Mapping[str, Mapping[str, Any]]) -> str:
    """Say what the recorded variants are."""
    n = len(study.seeds)
    counts = {"variants": len(differing), "seeds": f"{n} seed{'s' * (n > 1)}"}
    return SENTENCES["recorded variants"].format(**_learned(study), **counts, prefix=study.prefix_length)


def _learned(study: Study) -> dict[str, Any]:
    """Return which encoder learned which tasks, and from how many examples."""
    return {"backbone": study.backbone, "tasks": listed(study.tasks), "examples": study.train_examples}


def calibration_answer(rates: pd.DataFrame) -> str:
    """Say how many wrong verdicts are more frequent than allowed."""
    limited = rates[rates["allowed"].notna()]
    over = limited[limited["rate"] - 2 * limited["error"] > limited["allowed"]]
    named = "; ".join(f"{r.claim} {r.verdict} under {r.scenario!r}: {r.rate:.3f}" for r in over.itertuples())
    named = f" ({named})" if named else ""
    return SENTENCES["calibration"].format(limited=len(limited), over=len(over), named=named)


def calibration_tables() -> dict[str, pd.DataFrame]:
    """Return the recorded calibration as tables for a page: wrong verdicts, planted effects, power, coverage."""
    found = recorded.read_tables("calibration")
    planted = found["found"].assign(found=_with_error(found["found"]))
    planted = planted[["level", "scenario", "claim", "verdict", "found", "no evidence", "studies"]]
    coverage = found["coverage"].rename(columns={"error": "± (simulation)"})
    coverage["participants"] = coverage["participants"].astype("Int64").where(lambda people: people > 0)
    tables_of = {"rates": wrong_verdicts(found["rates"]), "found": planted.rename(columns=_TRUTH)}
    return tables_of | {"power": found["power"], "coverage": coverage}


def wrong_verdicts(rates: pd.DataFrame) -> pd.DataFrame:
    """Return how often each claim gets a wrong verdict: one row per truth, one column per claim, limits in brackets."""
    limit = rates["allowed"].map(lambda most: f" (≤ {most:g})" if np.isfinite(most) else "")
    cells = _with_error(rates) + limit
    keys = ["level", "scenario", "studies"]
    wide = rates.assign(cell=cells).pivot_table(index=keys, columns="claim", values="cell", aggfunc="first", sort=False)
    return wide[sorted(wide)].fillna("").reset_index().rename(columns=_TRUTH).rename_axis(columns=None)


_TRUTH = {"level": "on", "scenario": "what is true"}


def _with_error(rates: pd.DataFrame) -> pd.Series:
    return rates["rate"].map("{:.3f}".format) + " ± " + rates["error"].map("{:.3f}".format)
