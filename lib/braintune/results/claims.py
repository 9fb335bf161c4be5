"""The claims of the paper, their tests, and the verdicts of a run, one brain data set at a time.

A verdict is `supported`, `not supported`, `inconclusive` or `no evidence possible`. A non-significant result is not
support: a claim of "no worse" is supported by non-inferiority only. No evidence is possible where a gate is closed:
nothing is decoded beyond what content-free controls give, or no task was learned (:mod:`braintune.results.evidence`).
Effects on decoding are fractions of the untuned model's signal. Every claim about decoding is judged in both directions
(decoding and encoding) at two readouts, the layer that fits best inside the training fold and the analysis layer; the
verdict is that of decoding at the first readout, and its text reports the others. The wording of the claims is in
`claims.yml`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import yaml

from braintune.core import store
from braintune.core.study import Study
from braintune.datasets.brains.registry import is_simulated
from braintune.datasets.tasks import TASKS
from braintune.results import power, statistics, tables
from braintune.results.contrasts import Contrast, ScoreCube
from braintune.results.evidence import Evidence
from braintune.results.statistics import Finding
from braintune.results.tables import ARMS, PREFIXES, Results

VERDICTS = SUPPORTED, NOT_SUPPORTED, INCONCLUSIVE, NO_EVIDENCE = (
    "supported", "not supported", "inconclusive", "no evidence possible",
)  # fmt: skip
#: Concept-level tasks of the paper, and the form-level task that they are compared with.
CONCEPT, FORM = ("wsd", "coreference"), "chunking"
#: Level of a task → its place between form and the meaning of sentences.
LEVELS = {"form": 0.0, "concept": 0.5, "sentence": 1.0}
#: Claim → its words: `paper`, `test`, `rule`, and a sentence for each verdict.
WORDS: dict[str, dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("claims.yml").read_text(encoding="utf-8"))


class Unit(NamedTuple):
    """What the effect of a claim measures, and how it is formatted."""

    form: str
    label: str


#: Fractions of the signal, the unit of most claims, and claim → its unit where that is another.
SIGNAL = Unit("+z.1%", "fraction of the untuned model's signal")
UNITS = {
    "C4": Unit("+z.3f", "difference of Spearman RSA"),
    "C5": Unit("+z.2f", "rank correlation"),
    "C6": Unit("+z.2f", "rank correlation"),
}


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The verdict on one claim for one brain data set."""

    claim: str
    brain: str
    verdict: str  #: One of :data:`VERDICTS`.
    finding: Finding  #: The effect with its interval, and the test that decides.
    measure: str  #: What the effect is, in words.
    sentence: str  #: Why, in words.
    power: dict[str, float] | None = None  #: Probability of `supported` by this rule, by what is true.
    readout: str = ""  #: Empty where the claim is not about decoding.
    elsewhere: dict[str, str] = field(default_factory=dict)  #: "direction, readout" → the verdict there.


@dataclass(frozen=True)
class Ledger:
    """All verdicts of a run, with the evidence by brain data set."""

    verdicts: tuple[Verdict, ...]
    everything: tuple[Evidence, ...]  #: In both directions, at both readouts.

    @cached_property
    def evidence(self) -> dict[str, Evidence]:
        """The evidence of decoding at the first readout, by brain."""
        return {e.brain: e for e in self.first("decoding")}

    @property
    def study(self) -> Study:
        """The run that is judged."""
        return next(iter(self.evidence.values())).study

    def first(self, direction: str) -> list[Evidence]:
        """Return the evidence of every brain data set in one direction, at the first available readout."""
        here = [e for e in self.everything if e.direction == direction]
        return list({e.brain: e for e in [*here, *reversed(here)]}.values())  # the order of the brains, their first

    def of(self, brain: str) -> list[Verdict]:
        """Return the verdicts of one brain data set."""
        return [verdict for verdict in self.verdicts if verdict.brain == brain]


def judge(results: Results) -> Ledger:
    """Judge every claim for every brain data set of a run."""
    everything, verdicts = gather(results).everything, []
    for brain in results.study.brains:
        first, *others = [e for e in everything if e.brain == brain]
        for claim, rule in CLAIMS.items():
            verdict = rule(claim, first)
            if verdict.readout:
                elsewhere = {f"{e.direction}, {e.readout}": rule(claim, e).verdict for e in others}
                verdict = replace(verdict, elsewhere=elsewhere)
            verdicts.append(verdict)
    return Ledger(tuple(verdicts), everything)


def gather(results: Results) -> Ledger:
    """Return the evidence of every brain data set of a run, without verdicts."""
    return Ledger((), tuple(e for brain in results.study.brains for e in evidence(results.of(brain), brain)))


def evidence(results: Results, brain: str, score: Mapping[str, str] = tables.SCORE) -> list[Evidence]:
    """Return the evidence for one brain data set, in each direction and at each readout."""
    here = tables.in_main_design(results.scores)
    close = results.closeness[np.isfinite(results.closeness["spearman"])]
    gain, found = tables.gain(results.tuned), []
    for direction, readout in product(score, tables.READOUTS):
        rows, null, groups = (
            table[(table["direction"] == direction) & (table["readout"] == readout)] if len(table) else table
            for table in (here, results.null, results.groups)
        )
        if rows.empty:
            continue
        cube, design = ScoreCube.read(rows, null, groups, score[direction]), rows["folds"].iloc[0]
        found.append(Evidence(results.study, brain, design, direction, readout, cube, rows, close, gain))
    return found


# --- the rules ---------------------------------------------------------------------------------------------------


def no_task_worse(claim: str, e: Evidence) -> Verdict:
    """Judge C1: on no task does fine-tuning significantly outperform prompt-tuning."""
    if e.closed:
        return _closed(claim, e)
    cells = e.differences((task, region) for region in dict.fromkeys([e.region, *e.parts]) for task in e.learned)
    main, worse = cells[cells["region"] == e.region], cells[cells["worse"]]
    unsure = main.loc[~main["not worse"], "task"].tolist()
    verdict = NOT_SUPPORTED if len(worse) else INCONCLUSIVE if unsure else SUPPORTED
    lowest = main.loc[main["difference"].idxmin()]
    words = {
        "cells": len(cells), "tasks": len(main), "open": ", ".join(unsure),
        "worse": ", ".join(f"{row.task} in {row.region} ({row.difference:+.0%})" for row in worse.itertuples()),
    }  # fmt: skip
    measure = f"prompt-tuned minus fine-tuned, in the task with the lowest value ({lowest['task']})"
    values = np.stack([e.difference(e.region, [task]).values.mean(1) for task in e.learned], 1)
    chances = power.no_worse(values, e.loss(e.region), e.study.fdr)
    return _verdict(claim, e, verdict, _row_finding(lowest, e), measure, words, chances)


def no_region_worse(claim: str, e: Evidence) -> Verdict:
    """Judge C2: prompt-tuning matches or exceeds fine-tuning in every network and region that is decoded."""
    if not e.content_free or not e.learned or not e.parts:
        return _closed(claim, e)
    cells = e.differences(("all", region) for region in e.parts)
    worse = cells[cells["worse"] & ~cells["not worse"]]
    unsure = cells.loc[~cells["not worse"], "region"].tolist()
    verdict = NOT_SUPPORTED if len(worse) else INCONCLUSIVE if unsure else SUPPORTED
    lowest = cells.loc[cells["difference"].idxmin()]
    silent = [r for r in e.cube.regions if r not in e.decoded]
    apart = ", not counting unions of regions" if len(e.parts) < len(e.decoded) else ""
    words = {
        "decoded": ", ".join(e.parts), "open": ", ".join(unsure),
        "silent": f" Not decoded: {', '.join(silent)}." if silent else "",
        "worse": ", ".join(f"{row.region} ({row.difference:+.0%})" for row in worse.itertuples()),
        "count": f"{'1 region is' if len(cells) == 1 else f'{len(cells)} regions are'} decoded{apart}",
    }  # fmt: skip
    values = np.stack([e.difference(region).values.mean(1) for region in e.parts], 1)
    chances = power.no_worse(values, max(map(e.loss, e.parts)), e.study.fdr)
    measure = f"prompt-tuned minus fine-tuned, in the region with the lowest value ({lowest['region']})"
    return _verdict(claim, e, verdict, _row_finding(lowest, e), measure, words, chances)


def meaning_over_form(claim: str, e: Evidence) -> Verdict:
    """Judge C3: the more a task is about meaning, the better its representations are decoded."""
    if e.closed:
        return _closed(claim, e)
    gain = tables.arms(e.tuned, "gain").mean(axis=1)
    tasks = [task for task in e.learned if task in gain.index and TASKS[task].level]
    levels = np.array([LEVELS[TASKS[task].level] for task in tasks])
    design = np.column_stack([np.ones(len(tasks)), levels, gain.reindex(tasks)])
    if len(tasks) < 4 or np.linalg.matrix_rank(design) < 3:
        why = f"a trend over levels beside the task score needs 4 learned tasks of different levels, not {len(tasks)}"
        return _cannot(claim, e, why)
    slope = np.linalg.pinv(design)[1]  # least squares is linear in the scores, so the trend is a contrast
    trend = e.effect(sum(weight * _mean_arm(e, [task]) for weight, task in zip(slope, tasks, strict=True)), e.region)
    concept = [task for task in CONCEPT if task in tasks]
    paper = "cannot be computed, since too few tasks were learned"
    if concept and FORM in tasks:
        own = e.effect(_mean_arm(e, concept) - _mean_arm(e, [FORM]), e.region)
        paper = f"({' and '.join(concept)} minus {FORM}) is {finding(own, e).sentence}"
    verdict = _direction(trend, e.study)
    if verdict == INCONCLUSIVE and _below(trend, e.loss(e.region)) < e.study.fdr:
        verdict = NOT_SUPPORTED
    found = finding(trend, e)
    words = {"result": found.sentence, "paper": paper, "tasks": len(tasks)}
    return _verdict(claim, e, verdict, found, "sentence meaning minus form, with the task score controlled for", words)


def closer_to_untuned(claim: str, e: Evidence) -> Verdict:
    """Judge C4: prompt-tuned representations stay closer to the untuned model."""
    measure, closeness = "prompt-tuned minus fine-tuned, Spearman RSA", tables.arms(e.closeness, "spearman")
    closeness = closeness[closeness.index.isin(e.learned)]
    if not set(ARMS) <= set(closeness) or closeness.empty:
        return _cannot(claim, e, "no task was learned by both methods", readout=False)
    difference = (closeness["prompt-tuned"] - closeness["fine-tuned"]).to_numpy()
    found = statistics.paired_difference(difference, e.study.fdr, "tasks")
    gain = tables.arms(e.tuned, "gain").reindex(closeness.index)
    matched = statistics.at_equal(difference, (gain["prompt-tuned"] - gain["fine-tuned"]).to_numpy(), e.study.fdr)
    verdict = _by_sign(found, e.study.fdr)
    words = {"result": found.sentence, "matched": matched.sentence}
    return replace(_verdict(claim, e, verdict, found, measure, words), readout="")


def closeness_predicts(claim: str, e: Evidence) -> Verdict:
    """Judge C5: closeness to the untuned model predicts decoding across task × method."""
    return _predicts(claim, e, tables.arms(e.closeness, "spearman"))


def score_predicts(claim: str, e: Evidence) -> Verdict:
    """Judge C6: the task score predicts decoding."""
    return _predicts(claim, e, tables.arms(e.tuned, "gain"))


def _predicts(claim: str, e: Evidence, x: pd.DataFrame) -> Verdict:
    """Relate a property of the tuned models, tasks × methods, to their scores in the main region."""
    if e.closed:
        return _closed(claim, e)
    tasks = [task for task in e.learned if task in x.index]
    y = np.stack([[e.effect(e.cube.arm(m, [t]), e.region).values.mean(1) for m in ARMS] for t in tasks])
    if e.cube.kind != "participant":  # ranks within a group of stimuli would be noise
        y = y.mean(2, keepdims=True)
    found = statistics.association(
        x.loc[tasks, list(ARMS)].to_numpy(), y.transpose(2, 0, 1), e.study.fdr, e.study.fold_seed
    )
    if found.p is None:
        return _cannot(claim, e, found.sentence)
    verdict = _by_sign(found, e.study.fdr)
    return _verdict(
        claim, e, verdict, found, "rank correlation across tasks within methods", {"result": found.sentence}
    )


def tuning_helps(claim: str, e: Evidence) -> Verdict:
    """Judge C7: tuned representations are decoded better than the untuned model."""
    untuned = e.cube.only("untuned")
    return _both(claim, e, {f"{method} minus untuned": e.cube.arm(method, e.learned) - untuned for method in ARMS})


def more_than_a_prefix(claim: str, e: Evidence) -> Verdict:
    """Judge C8: prompt-tuned representations are decoded better than those of an untrained prefix."""
    present = [name for name in PREFIXES if name in set(e.cube.representations["representation"])]
    if not present:
        return _cannot(claim, e, f"the run decodes neither {' nor '.join(PREFIXES)}")
    prompt = e.cube.arm("prompt-tuned", e.learned)
    return _both(claim, e, {f"prompt-tuned minus {name}": prompt - e.cube.only(name) for name in present})


def _both(claim: str, e: Evidence, weights: dict[str, np.ndarray]) -> Verdict:
    """Judge several contrasts by name: supported if all are above zero, not supported if one is shown not to be."""
    if e.closed:
        return _closed(claim, e)
    effects = {name: e.effect(w, e.region) for name, w in weights.items()}
    each = {name: _direction(effect, e.study) for name, effect in effects.items()}
    none = [
        name
        for name, effect in effects.items()
        if _below(effect, e.loss(e.region)) < e.study.fdr and each[name] != SUPPORTED
    ]
    verdict = SUPPORTED if set(each.values()) == {SUPPORTED} else NOT_SUPPORTED if none else INCONCLUSIVE
    lowest = min(effects, key=lambda name: effects[name].estimate)
    words = {"result": "; ".join(f"{name} {finding(effect, e).sentence}" for name, effect in effects.items())}
    return _verdict(claim, e, verdict, finding(effects[lowest], e), lowest, words)


CLAIMS: dict[str, Callable[[str, Evidence], Verdict]] = {
    "C1": no_task_worse,
    "C2": no_region_worse,
    "C3": meaning_over_form,
    "C4": closer_to_untuned,
    "C5": closeness_predicts,
    "C6": score_predicts,
    "C7": tuning_helps,
    "C8": more_than_a_prefix,
}


# --- parts of the rules ------------------------------------------------------------------------------------------


def finding(contrast: Contrast, e: Evidence) -> Finding:
    """Report a contrast in numbers and words: estimate, interval, and the larger two-sided p-value of the two tests."""
    low, high = (float(bound) if np.isfinite(bound) else None for bound in contrast.interval(e.study.fdr))
    p = 2 * min(contrast.shown(), contrast.shown(-1))
    n, seeds = contrast.values.shape
    units = e.cube.kind + "s" * (n > 1) if e.cube.kind == "participant" else "groups of stimuli"
    interval = "" if low is None else f"{1 - e.study.fdr:.0%} interval {low:+z.1%} to {high:+z.1%}; "
    permuted = f"permutation test: {statistics.p_text(contrast.permuted)}"
    by = permuted if len(contrast.null) else "labels not permuted"
    sentence = f"{contrast.estimate:+z.1%} ({interval}{n} {units}, {seeds} seed{'s' * (seeds > 1)}; {by})"
    p_value = min(1.0, p) if np.isfinite(p) else None
    return Finding(estimate=contrast.estimate, low=low, high=high, p=p_value, n=n, sentence=sentence)


def _row_finding(row: pd.Series, e: Evidence) -> Finding:
    low, high, p = (float(row[name]) if np.isfinite(row[name]) else None for name in ("low", "high", "p_margin"))
    sentence = f"{row['difference']:+.1%}"
    return Finding(estimate=float(row["difference"]), low=low, high=high, p=p, n=len(e.cube.units), sentence=sentence)


def _mean_arm(e: Evidence, tasks: list[str]) -> np.ndarray:
    return np.mean([e.cube.arm(method, tasks) for method in ARMS], axis=0)


def _by_sign(found: Finding, alpha: float) -> str:
    if found.p is None or found.p >= alpha:
        return INCONCLUSIVE
    return SUPPORTED if (found.estimate or 0) > 0 else NOT_SUPPORTED


def _direction(contrast: Contrast, study: Study) -> str:
    """Judge by sign: supported if shown to be above zero, not supported if shown to be below."""
    half = study.fdr / 2
    return SUPPORTED if contrast.shown() < half else NOT_SUPPORTED if contrast.shown(-1) < half else INCONCLUSIVE


def _below(contrast: Contrast, level: float) -> float:
    return 1 - contrast.above(level)


def _verdict(
    claim: str,
    e: Evidence,
    verdict: str,
    found: Finding,
    measure: str,
    words: dict[str, Any],
    chances: dict[str, float] | None = None,
) -> Verdict:
    """Return a verdict with its sentence, filled from `words`, level, margin and region."""
    common = {"level": e.study.fdr, "region": e.region, "margin": f"{e.loss(e.region):.0%}"}
    sentence = WORDS[claim][verdict].format(**common | words)
    return Verdict(
        claim=claim, brain=e.brain, verdict=verdict, finding=found, measure=measure, sentence=sentence, power=chances,
        readout=e.readout,
    )  # fmt: skip


def _cannot(claim: str, e: Evidence, why: str, verdict: str = INCONCLUSIVE, readout: bool = True) -> Verdict:
    found = statistics.cannot(why)
    return Verdict(
        claim=claim, brain=e.brain, verdict=verdict, finding=found, measure="", sentence=found.sentence,
        readout=e.readout if readout else "",
    )  # fmt: skip


def _closed(claim: str, e: Evidence) -> Verdict:
    return _cannot(claim, e, e.closed or _undecoded(e), NO_EVIDENCE)


def _undecoded(e: Evidence) -> str:
    unions = f", not counting {', '.join(e.decoded)}, a union of regions" if e.decoded else ""
    return f"no region is decoded{unions}"


# --- beside the verdicts -----------------------------------------------------------------------------------------


def task_table(ledger: Ledger, regions: bool = False) -> pd.DataFrame:
    """Return prompt-tuned minus fine-tuned by learned task in each main region, or by decoded region over tasks.

    Brains in which nothing is decoded are left out. For the columns see
    :meth:`braintune.results.evidence.Evidence.differences`; `q` is the p-value adjusted for the false-discovery rate
    over the rows of a brain.
    """
    shown = []
    for brain, e in ledger.evidence.items():
        if e.closed:
            continue
        cells = [("all", region) for region in e.decoded] if regions else [(task, e.region) for task in e.learned]
        table = e.differences(cells).drop(columns=["task", "shrunken"] if regions else "region")
        flags = ["better", "worse", "not worse"]
        table[flags] = table[flags].replace({True: "yes", False: "not shown"})
        table.insert(0, "brain", brain)
        shown.append(table)
    return pd.concat(shown, ignore_index=True) if shown else pd.DataFrame(columns=["brain", "task", "region"])


def background(e: Evidence) -> list[str]:
    """Return further sentences on the evidence: mixed model, variance, and intervals of the closeness."""
    tuned = e.scores[e.scores["task"].isin(e.learned) & e.scores["method"].isin(ARMS)]
    keys = ["participant", "region", "task", "method"]
    cells = tuned.groupby(keys, sort=False)["pairwise"].mean().rename("score").reset_index()
    said = [statistics.mixed_model(cells, e.study.fdr).sentence]
    contrast = tables.contrast(tuned, ["region", "seed"]).dropna().sort_index()  # regions that every participant has
    regions, seeds = (contrast.index.get_level_values(name).unique() for name in ("region", "seed"))
    if len(contrast) == len(regions) * len(seeds) > 0:
        cube = contrast.to_numpy().T.reshape(-1, len(regions), len(seeds))
        shares = ", ".join(f"{name} {share:.0%}" for name, share in statistics.variance_split(cube).items())
        said.append(
            f"Variance of the difference: {shares}."
            if shares
            else "The variance of the difference cannot be partitioned."
        )
    low, high = (tables.arms(e.closeness, bound) for bound in ("low", "high"))
    if set(ARMS) <= set(low) & set(high):
        prompt, fine = (int((low[one] > high[other]).sum()) for one, other in (ARMS[::-1], ARMS))
        said.append(
            "Closeness to the untuned model (bootstrap over passages or stimuli): the intervals of the two methods do "
            f"not overlap on {prompt + fine} of {len(low)} tasks; prompt-tuning is closer on {prompt} of these, and "
            f"fine-tuning on {fine}."
        )
    if len(e.cube.seeds) == 1:
        said.append("Every model was tuned with one seed, so differences may partly be due to chance in its training.")
    if e.not_learned:
        said.append(
            f"Not learned by at least one method, and therefore left out of every claim: {', '.join(e.not_learned)}."
        )
    return said


def ledger_file(study: Study, source: str = "run") -> Path:
    """Return the path of the ledger of one of :data:`braintune.core.study.SOURCES`."""
    return study.shown_folder(source) / "claims.json"


def write(study: Study, ledger: Ledger, signs: Sequence[Any] = (), source: str = "run") -> None:
    """Write a ledger and the failure signatures as JSON, where :func:`ledger_file` says."""
    brains = {
        brain: {
            "simulated": is_simulated(brain),
            "participants": e.scores["participant"].nunique(),
            "region": e.region,
            "folds": e.design,
            "decoded": e.decoded,
            "learned": e.learned,
            "claims": {v.claim: asdict(replace(v, claim=WORDS[v.claim]["paper"])) for v in ledger.of(brain)},
            "also": background(e),
        }
        for brain, e in ledger.evidence.items()
    }
    settings = {"alpha": ledger.study.fdr, "margin": ledger.study.margin}
    found = settings | {"brains": brains, "signatures": [asdict(sign) for sign in signs]}
    store.write_json(ledger_file(study, source), found)
