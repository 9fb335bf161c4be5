"""What the verdict page says: the ledger and the failure signatures as sentences and tables."""

from collections.abc import Sequence
from html import escape

import numpy as np
import pandas as pd
from IPython.display import HTML

from braintune.core.store import read_json
from braintune.core.study import Study
from braintune.datasets.brains.registry import is_simulated, participants_label
from braintune.results import checks, claims, prose, recorded, statistics, tables
from braintune.results.checks import CheckResult
from braintune.results.claims import CLAIMS, INCONCLUSIVE, NOT_SUPPORTED, SUPPORTED, Evidence, Ledger, Verdict
from braintune.results.recorded import Recorded
from braintune.results.statistics import Finding
from braintune.results.tables import ARMS

# --- in words ----------------------------------------------------------------------------------------------------


def headline(at_layer: pd.DataFrame, e: Evidence) -> str:
    """Say in a few sentences what one brain data set answers: the answer first, then its numbers."""
    rows = tables.judged(at_layer, e.brain)
    means = rows.groupby("method")["pairwise"].mean()
    told = ", ".join(f"{m} {means[m]:.3f}" for m in ("untuned", *ARMS) if m in means)
    numbers = f"Mean pairwise accuracy: {told}; chance is {tables.CHANCE}."
    pair = claims.pairs(e.main, ["region"])
    if pair.empty:
        return f"{_where(e)}: only one tuning method was run. {numbers}"
    arms = pair["prompt-tuned"].to_numpy(), pair["fine-tuned"].to_numpy()
    difference = statistics.paired_difference(*arms, e.run.fdr)
    answer = comparison_in_words(difference, statistics.tost(*arms, e.run.margin, e.run.fdr))
    return f"{_where(e)}: {answer}. {numbers} Prompt-tuned minus fine-tuned: {difference.sentence}"


def _where(e: Evidence) -> str:
    return f"{e.brain} ({_people(e)}, region {e.region}, {e.design} folds)"


def comparison_in_words(difference: statistics.PairedDifference, equivalence: statistics.MarginTest) -> str:
    """Say in words whether the methods differ, are equivalent, both, or cannot be told apart."""
    if difference.p is not None and difference.p < equivalence.alpha:
        direction = "better" if difference.estimate > 0 else "worse"
        size = f", but by less than {equivalence.margin:g}" if equivalence.shown else ""
        return f"prompt-tuned representations are decoded {direction} than fine-tuned ones{size}"
    if equivalence.shown:
        return f"prompt-tuned and fine-tuned representations are decoded equally well, to within {equivalence.margin:g}"
    return "neither a difference between prompt-tuned and fine-tuned representations nor their equivalence is shown"


def answer(ledger: Ledger) -> str:
    """Say which claims are supported, one sentence a brain data set."""
    told = []
    for brain, e in ledger.evidence.items():
        groups = {
            verdict: [v.claim for v in ledger.of(brain) if v.verdict == verdict]
            for verdict in (SUPPORTED, NOT_SUPPORTED, INCONCLUSIVE)
        }
        parts = "; ".join(f"{verdict}: {', '.join(names)}" for verdict, names in groups.items() if names)
        told.append(f"{_where(e)}: {parts}.")
    return " ".join(told)


#: Claim → what it is about, and what each verdict says of it.
SAID = {
    "C3": (
        "tasks about the meaning of concepts (word sense, coreference)",
        {
            SUPPORTED: "are decoded better than chunking",
            NOT_SUPPORTED: "are decoded no better than chunking",
            INCONCLUSIVE: "cannot be told apart from chunking",
        },
    ),
    "C4": (
        "prompt-tuned representations",
        {
            SUPPORTED: "stay closer to the untuned model",
            NOT_SUPPORTED: "stay less close to the untuned model than fine-tuned ones",
            INCONCLUSIVE: "are not shown to stay closer to the untuned model",
        },
    ),
    "C5": (
        "representations that stay closer to the untuned model",
        {
            SUPPORTED: "are decoded better",
            NOT_SUPPORTED: "are decoded worse",
            INCONCLUSIVE: "are not shown to be decoded better",
        },
    ),
}


def brief(ledger: Ledger) -> dict[str, str]:
    """Say in one sentence each which method is decoded better, and how C3, C4 and C5 fare, over all brains.

    Returns
    -------
    dict of str to str
        ``methods``, ``C3``, ``C4``, ``C5`` → sentence. Brains with the same answer share its clause.
    """
    told = {"methods": _one_sentence([_methods(e) for e in ledger.evidence.values()])}
    for claim, (subject, says) in SAID.items():
        found = [v for v in ledger.verdicts if v.claim == claim]
        parts = [(says[v.verdict], _numbers(ledger.evidence[v.brain], v.finding)) for v in found]
        told[claim] = _one_sentence(parts, subject)
    return told


def _methods(e: Evidence) -> tuple[str, str]:
    """Return the clause that compares the two methods in one brain, and its numbers."""
    pair = claims.pairs(e.main, ["region"])
    if pair.empty:
        return "only one tuning method was run", _people(e)
    arms = pair["prompt-tuned"].to_numpy(), pair["fine-tuned"].to_numpy()
    difference = statistics.paired_difference(*arms, e.run.fdr)
    return comparison_in_words(difference, statistics.tost(*arms, e.run.margin, e.run.fdr)), _numbers(e, difference)


def _people(e: Evidence) -> str:
    return f"{e.scores['participant'].nunique()} {participants_label(e.brain)}"


def _numbers(e: Evidence, found: Finding) -> str:
    """Return an effect with its interval, and whose it is."""
    if found.estimate is None:
        return _people(e)
    interval = f" ({found.low:+.3f} to {found.high:+.3f})" if None not in (found.low, found.high) else ""
    return f"{found.estimate:+.3f}{interval} in {_people(e)}"


def _one_sentence(parts: Sequence[tuple[str, str]], subject: str = "") -> str:
    """Join what is said, each with its numbers, to one sentence; numbers of the same answer stand together."""
    said: dict[str, list[str]] = {}
    for answered, numbers in parts:
        said.setdefault(answered, []).append(numbers)
    told = "; and ".join(f"{answered}: {', '.join(numbers)}" for answered, numbers in said.items())
    told = f"{subject} {told}".strip()
    return f"{told[:1].upper()}{told[1:]}."


def answering(own: Ledger, recorded: Ledger) -> Ledger:
    """Return the ledger that answers the book's question: the run's own, or the recorded one where it is simulated."""
    return recorded if any(map(is_simulated, own.evidence)) else own


def answer_source(own: Ledger, recorded: Recorded) -> str:
    """Say whose data answer the book's question."""
    if any(map(is_simulated, own.evidence)):
        return recorded_standing(recorded)
    run = own.run
    told = " and ".join(f"{_people(e)} ({brain})" for brain, e in own.evidence.items())
    return f"The answer is that of this run, {run.profile}: {run.backbone}, real fMRI of {told}."


def summary(run: Study) -> str:
    """Say in two lines what the ledger of a run holds, read from its file."""
    kept = read_json(claims.ledger_file(run))
    parts = []
    for brain, facts in kept["brains"].items():
        found = ", ".join(f"{name} {entry['verdict']}" for name, entry in facts["claims"].items())
        parts.append(f"{brain}{' (simulated)' if facts['simulated'] else ''}: {found}")
    signs = [CheckResult(**sign) for sign in kept["signatures"]]
    return f"claims: {'; '.join(parts)}\nchecks: {checks.summary(signs)}"


# --- tables ------------------------------------------------------------------------------------------------------


def rule_table() -> pd.DataFrame:
    """Return what each claim is tested by and when it is supported."""
    rows = [(f"{name}. {claim.paper}", claim.test, claim.rule) for name, claim in CLAIMS.items()]
    return pd.DataFrame(rows, columns=["the paper claims", "our test", "verdict"])


def ledger_list(ledger: Ledger) -> HTML:
    """Show the ledger of every brain data set, claim by claim; a simulated brain is labelled so."""
    parts = []
    for brain, e in ledger.evidence.items():
        note = ": a check of the method, not a finding" if is_simulated(brain) else ""
        title = escape(f"{_where(e)}{note}")
        entries = "".join(map(_entry, ledger.of(brain)))
        parts.append(f"<p class='caption'><strong>{title}</strong></p><dl class='ledger'>{entries}</dl>")
    return HTML("\n".join(parts))


def _entry(v: Verdict) -> str:
    """Return one claim of a ledger: what the paper says, the verdict, why, and the numbers behind it."""
    numbers = [f"effect {_effect(v)}"]
    numbers += [f"smallest detectable {v.detectable:.3f}"] if v.detectable is not None else []
    numbers += [f"power at the margin {v.power:.0%}"] if v.power is not None else []
    mark = f"<span class='verdict {v.verdict.replace(' ', '-')}'>{v.verdict}</span>"
    said = f"<dt>{v.claim}. {escape(CLAIMS[v.claim].paper)} {mark}</dt>"
    return f"{said}<dd><p>{escape(v.sentence)}</p><p class='numbers'>{escape('; '.join(numbers))}</p></dd>"


def _effect(v: Verdict) -> str:
    f = v.finding
    if f.estimate is None:
        return "–"
    interval = f" ({f.low:+.3f} to {f.high:+.3f})" if f.low is not None else ""
    return f"{f.estimate:+.3f}{interval}, {v.measure}"


def task_table(ledger: Ledger, regions: bool = False) -> pd.DataFrame:
    """Return prompt-tuned minus fine-tuned by task in each main region, or by region over tasks.

    `q` is the false-discovery rate over the tasks (or regions) of a brain.
    """
    tables = []
    for brain, e in ledger.evidence.items():
        cells = (
            claims.comparisons(e.cells, ["region"], e.run) if regions else claims.comparisons(e.main, ["task"], e.run)
        )
        differs = cells["q"].lt(e.run.fdr).map({True: "yes", False: "not shown"})
        marks = {
            name: cells[p].lt(e.run.fdr).map({True: "yes", False: "not shown"})
            for name, p in (("not worse", "p_margin"), ("equivalent", "p_equivalent"))
        }
        kept = cells.drop(columns=["p_margin", "p_equivalent"]).assign(differs=differs, **marks)
        kept.insert(0, "brain", brain)
        tables.append(kept)
    return pd.concat(tables, ignore_index=True)


def background_table(ledger: Ledger) -> pd.DataFrame:
    """Return what stands behind the verdicts, sentence by sentence."""
    rows = [(brain, told) for brain, e in ledger.evidence.items() for told in claims.background(e)]
    return pd.DataFrame(rows, columns=["brain", "also"])


def sign_table(signs: Sequence[CheckResult]) -> pd.DataFrame:
    """Return every failure signature, where it was looked for, and what was seen."""
    words = {True: "found", False: "no", None: "could not be looked for"}
    rows = [(s.title.replace("`", ""), s.brain or "tuning", words[s.found], s.seen, s.meaning) for s in signs]
    return pd.DataFrame(rows, columns=["sign", "where", "found", "seen", "what it may mean"])


# --- what is recorded --------------------------------------------------------------------------------------------


def recorded_ledger(recorded: Recorded) -> Ledger:
    """Judge the claims on the recorded real run."""
    return claims.judge(recorded.run, recorded.at_layer, recorded.closeness, recorded.tuned)


def recorded_standing(recorded: Recorded) -> str:
    """Say what the recorded real run is, and what it is not."""
    people = recorded.at_layer.groupby("brain", sort=False)["participant"].nunique()
    told = " and ".join(f"{count} {participants_label(brain)} ({brain})" for brain, count in people.items())
    return (
        f"The recorded real run: {recorded.run.backbone}, {recorded.tuned['task'].nunique()} real tasks, "
        f"{recorded.tuned['seed'].nunique()} seeds for each, real fMRI of {told}. These are not the paper's own data."
    )


def calibration_answer(rates: pd.DataFrame) -> str:
    """Say how many wrong verdicts come more often than they may."""
    limited = rates[rates["allowed"].notna()]
    over = limited[limited["rate"] - 2 * limited["error"] > limited["allowed"]]
    told = f"Of {len(limited)} error rates with a limit, {len(over)} lie above it by more than two standard errors"
    named = "; ".join(f"{r.claim} {r.verdict} under {r.scenario!r}: {r.rate:.3f}" for r in over.itertuples())
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


# --- numbers in prose --------------------------------------------------------------------------------------------


def glue_all(ledger: Ledger, signs: Sequence[CheckResult], at_layer: pd.DataFrame) -> None:
    """Register sentences and tables of the ledger with the book."""
    from myst_nb import glue

    told = {
        "headline": " ".join(headline(at_layer, e) for e in ledger.evidence.values()),
        "verdicts": answer(ledger),
        "signs": checks.summary(signs) + ".",
    }
    told |= {f"brief_{name}": text for name, text in brief(ledger).items()}
    for name, text in told.items():
        glue(name, text, display=True)
    tables = {"rules": rule_table(), "background": background_table(ledger), "signs_table": sign_table(signs)}
    for name, table in tables.items():
        glue(name, prose.show(table), display=True)
    glue("ledger", ledger_list(ledger), display=True)
    glue("by_region", prose.show(task_table(ledger, regions=True)), display=True)


def glue_answer(own: Ledger, recorded: Recorded, real: Ledger) -> None:
    """Register the answer to the book's question, and whose data give it."""
    from myst_nb import glue

    told = {f"answer_{name}": text for name, text in brief(answering(own, real)).items()}
    for name, text in (told | {"answer_source": answer_source(own, recorded)}).items():
        glue(name, text, display=True)


def glue_recorded(recorded: Recorded, ledger: Ledger) -> None:
    """Register what is recorded with the book: the real run and its ledger, and the calibration."""
    from myst_nb import glue

    calibration = calibration_tables()
    told = {
        "recorded_standing": recorded_standing(recorded),
        "recorded_headline": " ".join(headline(recorded.at_layer, e) for e in ledger.evidence.values()),
        "recorded_verdicts": answer(ledger),
        "calibration_answer": calibration_answer(recorded.read_tables("calibration")["rates"]),
    }
    for name, text in told.items():
        glue(name, text, display=True)
    glue("recorded_ledger", ledger_list(ledger), display=True)
    shown = {
        "recorded_by_region": task_table(ledger, regions=True),
        "recorded_background": background_table(ledger),
        "recorded_null": recorded.null,
        "recorded_tuning": tables.tuning_summary(recorded.tuned),
    } | {f"calibration_{name}": table for name, table in calibration.items()}
    for name, table in shown.items():
        glue(name, prose.show(table), display=True)
