"""The results that the pages quote, collected in `results.json` by the notebooks figures and supplement.

Each name maps to Markdown, in which all text from data is escaped, or to the HTML of a table. A page inserts it with
``{{ name }}``, and what the recorded real run says with ``{{ recorded_name }}``; ``{{ answer_name }}`` is of the run if
its brains are real, and of the recorded run if they are simulated.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import HTML

from braintune.core import store
from braintune.core.study import Study
from braintune.datasets.brains.registry import DESCRIBED, is_simulated
from braintune.results import (
    answer,
    checks,
    claims,
    meta_analysis,
    prose,
    recorded,
    stages,
    tables,
    variants,
    variation,
)
from braintune.results.checks import CheckResult
from braintune.results.claims import Evidence, Ledger
from braintune.results.tables import ARMS, PREFIXES, Results


def results_file(study: Study, source: str = "run") -> Path:
    """Return the path of what the pages quote of one of :data:`braintune.core.study.SOURCES`."""
    return study.shown_folder(source) / "results.json"


def write(study: Study, quoted: Mapping[str, str | pd.DataFrame | HTML], source: str = "run") -> None:
    """Write what the pages quote: sentences as escaped Markdown, tables as HTML in one line."""
    store.write_json(results_file(study, source), {name: _markup(value) for name, value in quoted.items()})


def _markup(value: str | pd.DataFrame | HTML) -> str:
    if isinstance(value, str):
        return prose.text(value)
    html = value.data if isinstance(value, HTML) else prose.show(value).data
    html = html.translate({ord(sign): f"&#{ord(sign)};" for sign in r"\`*_{}[]$~|^@"})
    return " ".join(line.strip() for line in html.splitlines())  # a blank line would end it in Markdown


def standing(study: Study) -> str:
    """Say what the brains of a run are: simulated, the user's own, or described on the data page."""
    own = [name for name in study.brains if name not in DESCRIBED]
    kind = "simulated" if any(map(is_simulated, study.brains)) else "own" if own else "real"
    return prose.SENTENCES[kind].format(names=prose.listed(own))


def of_results(results: Results, ledger: Ledger, signs: Sequence[CheckResult]) -> dict[str, Any]:
    """Return what the pages quote of any results, of a run or recorded: name → sentence, number or table."""
    study, tuned, scores = results.study, results.tuned, results.primary
    above, lacks = tables.null_summary(results.scores, results.null), answer.missing(results)
    lacking = "; ".join(prose.SENTENCES["missing"][name] for name in lacks)
    quoted: dict[str, Any] = {
        **of_tuning(tuned),
        "missing": f"Not recorded: {lacking}." if lacks else prose.SENTENCES["nothing missing"],
        "scores": answer.score_summary(results),
        "closeness": " ".join(f"{b}: {prose.closeness_answer(results.of(b).closeness)}" for b in study.brains),
        "distance": _distance(results.closeness),
        "above_null": f"{int((above['p'] < study.fdr).sum())} of {len(above)}",
        "level": f"{study.fdr:g}",
        "margin": f"{study.margin:.0%}",
        "null": above,
        "permutations": str(int(results.null["permutation"].max()) + 1 if len(results.null) else 0),
        "topics": _topics(scores),
        "headline": " ".join(prose.headline(scores, e) for e in ledger.evidence.values()),
        **prose.brief(ledger),
        **of_encoding(results, ledger),
        "signs": f"{checks.summary(signs)}.",
        "signs_table": prose.sign_table(signs),
    }
    quoted |= {f"passage_{design}": _passage(scores, design) for design in ("shuffled", "grouped")}
    return quoted | _of_ledger(ledger, results)


def of_run(results: Results, ledger: Ledger, real: Ledger) -> dict[str, Any]:
    """Return what the pages quote of a run alone; `real` is the ledger of the recorded real run."""
    study, judged = results.study, answer.answering(ledger, real)
    brains = prose.listed([f"{prose.people(e)} ({brain})" for brain, e in ledger.evidence.items()])
    source = prose.SENTENCES["source"].format(profile=study.profile, backbone=study.backbone, brains=brains)
    return {
        "standing": standing(study),
        "source": source,
        "heading": prose.SENTENCES["heading"]["own" if judged is ledger else "simulated"],
        "matrix": answer.matrix(answer.columns_of(ledger, real), prose.combined_answer(judged)),
        "edge": f"{tables.alpha_at_edge(results.decoded):.0%}",
        "rules": prose.rule_table(),
        "tuning_costs": tables.tuning_costs(results.tuned),
        "tuning_notebooks": prose.notebook_table(results.tuned),
    }


def of_recorded(real: Results) -> dict[str, Any]:
    """Return what the pages quote of the recorded real run alone: what it is."""
    return {"source": prose.recorded_standing(real)}


def of_tuning(tuned: pd.DataFrame) -> dict[str, Any]:
    """Return what was learned: how many tuning runs beat guessing, on how many tasks, and the scores and recipes."""
    beaten = int((tuned["score"] > tuned["baseline"]).sum())
    counts = {"runs": len(tuned), "beaten": beaten, "tasks": tuned["task"].nunique()}
    shown = {"tuning": tables.tuning_summary(tuned), "tuning_choices": tables.tuning_choices(tuned)}
    shown["tuning_warnings"] = prose.tuning_warnings(tuned)
    return shown | {f"tuning_{name}": str(count) for name, count in counts.items()}


def of_encoding(results: Results, ledger: Ledger) -> dict[str, Any]:
    """Return what the pages quote of encoding; the same sentence everywhere if the results do not include it."""
    here = ledger.first("encoding")
    if not here:
        names = ("encoding", "encoding_scores", "encoding_headline", "encoding_above_null")
        return dict.fromkeys(names, prose.SENTENCES["no encoding"])
    scores = results.scores[results.scores["direction"] == "encoding"]
    above = tables.null_summary(results.scores, results.null, "encoding")
    known = {"found": int((above["p"] < results.study.fdr).sum()), "all": len(above)}
    return {
        "encoding": prose.one_sentence([(e, *prose.compare_methods(e)) for e in here]),
        "encoding_scores": answer.score_summary(results, "encoding"),
        "encoding_headline": _correlations(tables.first_readout(scores), here),
        "encoding_above_null": prose.SENTENCES["encoding above null"].format(**known),
    }


def _correlations(scores: pd.DataFrame, here: Sequence[Evidence]) -> pd.DataFrame:
    """Return the correlation of each kind of representation in the main region of each brain, and the difference."""
    means = tables.by_method(tables.judged(scores), "correlation").set_index("brain").loc[[e.brain for e in here]]
    shown = ["region", "folds", *(method for method in ("untuned", *ARMS) if method in means)]
    effects = [prose.compare_methods(e)[1] for e in here]
    table = means[shown].reset_index(drop=True).rename(columns={name: f"{name} (r)" for name in shown[2:]})
    table.insert(0, "brain data", [e.people for e in here])
    written = [None if found is None else prose.with_interval(found) for found in effects]
    return table.assign(**{"prompt-tuned minus fine-tuned": written})


def _of_ledger(ledger: Ledger, results: Results) -> dict[str, Any]:
    left_out = meta_analysis.sensitivity_summary(ledger)
    below, tasks_below = variation.signs(ledger)
    return {
        "verdicts": prose.verdicts(ledger),
        "ledger": prose.ledger_list(ledger),
        "by_region": claims.task_table(ledger, regions=True),
        "background": prose.background_table(ledger),
        "combined": prose.combined_answer(ledger),
        "effects": meta_analysis.answer_summary(ledger),
        "by_score": meta_analysis.by_score_summary(ledger, results),
        "sensitivity": left_out if len(left_out) else prose.SENTENCES["not sensitive"],
        "seeds": variation.seeds_in_words(ledger),
        "seeds_below": below,
        "tasks_below": tasks_below,
        "over_tasks": variation.tasks_in_words(ledger),
    }


def of_continual() -> dict[str, Any]:
    """Return what the pages quote of the recorded task sequences: what was run, the answer, and the scores."""
    study, scores, representations = recorded.sequences()
    rows = stages.gains(scores)
    summary = stages.summaries(rows)
    measures = [name for name in stages.MEASURES if name != "backward transfer"]  # forgetting with the other sign
    found = stages.estimates(summary, ["way"], measures)
    difference = stages.carried_minus_tuned(summary)
    return {
        "continual_standing": prose.sequences_run(study),
        "continual_answer": " ".join(stages.about_tasks(rows)),
        "continual_brains": stages.after_the_last(representations),
        "continual_limits": stages.limits(study),
        "continual_scores": stages.in_words(pd.concat([found, difference[difference["measure"].isin(measures)]])),
    }


def of_ablation() -> dict[str, Any]:
    """Return what the pages quote of the recorded variants: what was run, and the effects of every tuning method."""
    study, differing, found = recorded.variants()
    return {
        "ablation_standing": prose.variants_run(study, differing),
        "ablation_ways": variants.in_words(found["against"], found["methods"]),
    }


def of_calibration() -> dict[str, Any]:
    """Return what the pages quote of the recorded calibration: how often verdicts are wrong."""
    said = {"answer": prose.calibration_answer(recorded.read_tables("calibration")["rates"])}
    return {f"calibration_{name}": value for name, value in (said | prose.calibration_tables()).items()}


def of_costs(costs: pd.DataFrame) -> dict[str, str | HTML]:
    """Return the resources that the jobs of this run used: as a table, and in words for each step."""
    table = tables.cost_table(costs)
    quoted: dict[str, str | HTML] = {"costs": prose.show(table, digits=1), "took_encoding": prose.SENTENCES["no time"]}
    for row in table.itertuples(index=False):
        quoted[f"took_{row.step}"] = f"{row[2]:.1f} minutes"
    return quoted


def _distance(untuned: pd.DataFrame) -> str:
    """Similarity to the untuned model of each method and each untrained prefix, at the analysis layer."""
    names = {method: method for method in ARMS} | {name: f"a {name.replace('-', ' ')}" for name in PREFIXES}
    means = tables.labelled(untuned).groupby("method")["spearman"].mean().rename(names)
    return prose.mean_by_method(means, *names.values()) or "nothing but the untuned model was embedded"


def _topics(scores: pd.DataFrame) -> pd.DataFrame:
    """Untuned accuracy on pairs of sentences of the same topic and of different topics, in each main region."""
    rows = scores[scores["kind"] == "untuned"]
    return tables.by_group(tables.judged(rows))


def _passage(scores: pd.DataFrame, design: str) -> str:
    """Accuracy of the content-free passage code under one fold design."""
    rows = scores[(scores["representation"] == "passage") & (scores["folds"] == design)]
    mean = rows.loc[rows["region"].isin(["language", "whole-brain"]), "pairwise"].mean()
    return f"{mean:.3f}" if np.isfinite(mean) else "(not computed in this run)"
