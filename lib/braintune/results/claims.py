"""The claims of the paper, their tests, and the verdicts of a run, one brain data set at a time.

A verdict is `supported`, `not supported` or `inconclusive`. A non-significant result is not support: a claim of "no
worse" is supported by non-inferiority only, and only where something is decoded at all. What cannot be tested is
inconclusive, and its sentence says why. Level and margin are the profile's (`fdr`, `margin`). Claims are judged in each
brain's main region, unless a claim names more, and on grouped folds where groups exist. Tests are over participants or
tasks; the tuned models are fixed.

A judge takes the name of a claim and the evidence of a brain, and returns a verdict; its words are in `claims.yml`.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from braintune.core import store
from braintune.core.study import Study
from braintune.datasets.brains.registry import is_simulated
from braintune.results import statistics, tables
from braintune.results.statistics import Finding
from braintune.results.tables import ARMS, Results

VERDICTS = SUPPORTED, NOT_SUPPORTED, INCONCLUSIVE = "supported", "not supported", "inconclusive"
#: Concept-level tasks of the paper, and the form-level task that they are compared with.
CONCEPT, FORM = ("wsd", "coreference"), "chunking"
#: Claim → its words: `paper`, `test`, `rule`, and a sentence for each verdict.
WORDS: dict[str, dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("claims.yml").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Evidence:
    """The results of one brain data set that its claims are judged on."""

    study: Study
    brain: str
    scores: pd.DataFrame  #: Finite scores of the tuned representations in the main design.
    region: str  #: The main region.
    design: str  #: The main fold design.
    closeness: pd.DataFrame  #: Finite rows of the RSA table ``untuned`` at the analysis layer.
    gain: pd.DataFrame  #: Tasks × methods: task score from trivial (0) to perfect (1), mean over seeds.

    @cached_property
    def cells(self) -> pd.DataFrame:
        """Scores averaged over seeds: one row a participant, region, task and method."""
        keys = ["participant", "region", "task", "method"]
        return self.scores.groupby(keys, sort=False)["pairwise"].mean().reset_index()

    @cached_property
    def main(self) -> pd.DataFrame:
        """The cells of the main region."""
        return self.cells[self.cells["region"] == self.region]

    @cached_property
    def above(self) -> list[str]:
        """The regions above chance."""
        return above_chance(self.cells, self.study.fdr) or []


@dataclass(frozen=True)
class Verdict:
    """The verdict on one claim for one brain data set."""

    claim: str
    brain: str
    verdict: str  #: One of :data:`VERDICTS`.
    finding: Finding  #: The effect with its interval, and the test that decides.
    measure: str  #: What the effect is, in words.
    sentence: str  #: Why, in words.
    detectable: float | None = None  #: Smallest effect that such a test finds with a probability of 80 %.
    power: float | None = None  #: Probability of finding a difference as large as the margin.


@dataclass(frozen=True)
class Ledger:
    """All verdicts of a run, with the evidence by brain data set."""

    evidence: dict[str, Evidence]
    verdicts: tuple[Verdict, ...]

    @property
    def study(self) -> Study:
        """The run that is judged."""
        return next(iter(self.evidence.values())).study

    def of(self, brain: str) -> list[Verdict]:
        """Return the verdicts of one brain data set."""
        return [verdict for verdict in self.verdicts if verdict.brain == brain]


def judge(results: Results) -> Ledger:
    """Judge every claim for every brain data set of a run."""
    found = {brain: evidence(results, brain) for brain in results.study.brains}
    return Ledger(found, tuple(rule(name, e) for e in found.values() for name, rule in CLAIMS.items()))


def evidence(results: Results, brain: str) -> Evidence:
    """Select from the tables of a run what the claims are judged on for one brain data set."""
    here = results.of(brain)
    scores, closeness = here.at_layer, here.closeness
    region, design = tables.main_region(scores["region"]), tables.main_design(scores["folds"])
    rows = scores[(scores["folds"] == design) & scores["method"].isin(ARMS) & np.isfinite(scores["pairwise"])]
    close, gain = closeness[np.isfinite(closeness["spearman"])], tables.arms(tables.gain(here.tuned), "gain")
    return Evidence(here.study, brain, rows, region, design, close, gain)


def above_chance(rows: pd.DataFrame, level: float) -> list[str] | None:
    """Return the regions whose accuracy is above chance, by the false-discovery rate; None if none can be tested."""
    means = rows.groupby(["region", "participant"], sort=False)["pairwise"].mean()
    p = {region: statistics.above(values, tables.CHANCE) for region, values in means.groupby("region", sort=False)}
    if all(value is None for value in p.values()):
        return None
    return [region for region, q in zip(p, statistics.fdr(list(p.values())), strict=True) if q < level]


def comparisons(cells: pd.DataFrame, by: Sequence[str], study: Study) -> pd.DataFrame:
    """Test prompt-tuned minus fine-tuned accuracy in every group of cells, paired over participants.

    Returns
    -------
    DataFrame
        One row a group, from :func:`braintune.results.statistics.paired_tests`; its columns `by` name the group.
    """
    contrast = tables.contrast(cells, by)
    found = statistics.paired_tests(contrast.to_numpy(), study.margin, study.fdr)
    return pd.concat([contrast.index.to_frame(index=False), found], axis=1)


def task_table(ledger: Ledger, regions: bool = False) -> pd.DataFrame:
    """Return the comparisons by task in each main region, or by region over tasks, with what they show.

    `q` is the false-discovery rate over the tasks (or regions) of a brain.
    """
    found = []
    for brain, e in ledger.evidence.items():
        cells = comparisons(e.cells, ["region"], e.study) if regions else comparisons(e.main, ["task"], e.study)
        shown = {"differs": "q", "not worse": "p_not_worse", "equivalent": "p_equivalent"}
        marks = {name: cells[p].lt(e.study.fdr).map({True: "yes", False: "not shown"}) for name, p in shown.items()}
        found.append(cells.drop(columns=["p_not_worse", "p_not_better", "p_equivalent"]).assign(**marks))
        found[-1].insert(0, "brain", brain)
    return pd.concat(found, ignore_index=True)


# --- no worse on any task, in any region -------------------------------------------------------------------------


def no_task_worse(claim: str, e: Evidence) -> Verdict:
    """Judge C1: on no task does fine-tuning significantly outperform prompt-tuning."""
    cells = comparisons(e.cells, ["task", "region"], e.study)
    main = cells[cells["region"] == e.region]
    worse = cells[(cells["q"] < e.study.fdr) & (cells["difference"] < 0)]
    open_ = _not_shown(e.main["task"].unique(), "task", main, e.study)
    if not open_ and e.region not in e.above:
        open_ = f"{e.region} is not above chance, where no method can be better"
    named = ", ".join(f"{row.task} in {row.region} ({row.difference:+.3f})" for row in worse.itertuples())
    words = {"cells": len(cells), "significant": len(worse), "worse": named, "open": open_, "tasks": len(main)}
    return _none_worse(claim, e, "task", main, worse, words)


def no_region_worse(claim: str, e: Evidence) -> Verdict:
    """Judge C2: prompt-tuning matches or exceeds fine-tuning in every network and region."""
    cells = comparisons(e.cells, ["region"], e.study)
    level = e.study.fdr
    worse = cells[(cells["p_not_worse"] >= level) & (cells["q"] < level) & (cells["difference"] < 0)]
    decoded = cells[cells["region"].isin(e.above)]
    tested = cells if len(worse) or decoded.empty else decoded
    open_ = _not_shown(e.above, "region", tested, e.study)
    if decoded.empty:
        open_ = open_ or f"no region is above chance{_untested(tested)}"
    named = ", ".join(f"{row.region} ({row.difference:+.3f})" for row in worse.itertuples())
    silent = [region for region in e.cells["region"].unique() if region not in e.above]
    words = {"cells": len(cells), "worse": named, "open": open_, "decoded": ", ".join(e.above)}
    return _none_worse(claim, e, "region", tested, worse, words | {"silent": ", ".join(silent) or "none"})


def _none_worse(
    claim: str, e: Evidence, unit: str, tested: pd.DataFrame, worse: pd.DataFrame, words: dict[str, Any]
) -> Verdict:
    """Return the verdict on "fine-tuning is better for no `unit`": inconclusive where something is `open`.

    Its effect is the lowest of the significant differences, or of those tested; its p-value is the largest of them.
    """
    if tested.empty:
        return _cannot(claim, e, f"lowest {unit}", "no task was tuned by both methods")
    rows, p = (worse, worse["q"]) if len(worse) else (tested, tested["p_not_worse"])
    lowest = rows.loc[rows["difference"].idxmin()]
    found = Finding(
        estimate=float(lowest["difference"]),
        low=_number(lowest["low"]),
        high=_number(lowest["high"]),
        p=_number(p.max(skipna=False)),
        n=int(lowest["n"]),
        sentence=f"{lowest['difference']:+.3f} ({lowest[unit]})",
    )
    verdict = NOT_SUPPORTED if len(worse) else INCONCLUSIVE if words["open"] else SUPPORTED
    measure = f"prompt-tuned minus fine-tuned, lowest {unit} ({lowest[unit]})"
    power = {"detectable": _number(tested["detectable"].max()), "power": _number(tested["power"].min())}
    return _verdict(claim, e, verdict, found, measure, words, **power)


def _not_shown(names: Sequence[str], unit: str, cells: pd.DataFrame, study: Study) -> str:
    """Say for which tasks or regions non-inferiority is not shown; empty if it is shown for all."""
    unsure = [name for name in names if name not in set(cells.loc[cells["p_not_worse"] < study.fdr, unit])]
    if not unsure:
        return ""
    return f"non-inferiority (margin {study.margin:g}) is not shown for {', '.join(unsure)}{_untested(cells)}"


def _untested(cells: pd.DataFrame) -> str:
    if cells["p_not_worse"].notna().any():
        return ""
    return f"; it cannot be tested: {'there is only one participant' if cells['n'].max() < 2 else 'nothing varies'}"


# --- one difference, one relation --------------------------------------------------------------------------------


def concept_over_form(claim: str, e: Evidence) -> Verdict:
    """Judge C3: concept-level tasks decode better than chunking."""
    tasks = set(e.main["task"])
    concept = [task for task in CONCEPT if task in tasks]
    measure = f"{' and '.join(concept or CONCEPT)} minus {FORM}"
    if not concept or FORM not in tasks:
        needed = f"it needs {FORM} and one of {', '.join(CONCEPT)} among the tasks of the profile"
        return _cannot(claim, e, measure, needed)
    difference = tables.contrast(e.main, ["region"], (concept, [FORM]), of="task")
    if difference.empty:
        return _cannot(claim, e, measure, "no participant has scores of all of them")
    found, test = paired_test(difference, e)
    verdict = _by_sign(found, e.study.fdr)
    if verdict != SUPPORTED:
        below = e.region in e.above and test["p_not_better"] < e.study.fdr
        verdict = NOT_SUPPORTED if below else INCONCLUSIVE
    power = {name: _number(test[name]) for name in ("detectable", "power")}
    return _verdict(claim, e, verdict, found, measure, {"result": found.sentence}, **power)


def closer_to_untuned(claim: str, e: Evidence) -> Verdict:
    """Judge C4: prompt-tuned representations stay closer to the untuned model."""
    measure = "prompt-tuned minus fine-tuned, Spearman RSA"
    difference = tables.contrast(e.closeness, ["brain"], over="task", value="spearman")
    if difference.empty:
        return _cannot(claim, e, measure, "no task was tuned by both methods")
    found, test = paired_test(difference, e, "tasks")
    verdict, words = _by_sign(found, e.study.fdr), {"result": found.sentence}
    return _verdict(claim, e, verdict, found, measure, words, detectable=_number(test["detectable"]))


def closeness_predicts(claim: str, e: Evidence) -> Verdict:
    """Judge C5: closeness to the untuned model predicts decoding across task × method."""
    return _predicts(claim, e, tables.arms(e.closeness, "spearman"))


def score_predicts(claim: str, e: Evidence) -> Verdict:
    """Judge C6: the task score predicts decoding."""
    return _predicts(claim, e, e.gain)


def _predicts(claim: str, e: Evidence, x: pd.DataFrame) -> Verdict:
    """Relate a property of the tuned models, tasks × methods, to their accuracy in the main region."""
    measure, decoding = "rank correlation", tables.arms(e.main, "pairwise")
    methods = [method for method in ARMS if method in x and method in decoding]
    tasks = [task for task in x.index if task in decoding.index]
    if not methods or not tasks:
        return _cannot(claim, e, measure, "no tuned representation has both values")
    one, other = (table.loc[tasks, methods].to_numpy() for table in (x, decoding))
    found = statistics.association(one, other, e.study.fdr, e.study.fold_seed)
    if found.p is None:
        return _verdict(claim, e, INCONCLUSIVE, found, measure)
    mixed = pd.Series(one.ravel()).corr(pd.Series(other.ravel()), method="spearman")
    result = f"{found.sentence} Over all {one.size} points, methods mixed, the rank correlation is {mixed:+.2f}."
    words = {"result": result if np.isfinite(mixed) else found.sentence}
    detectable = statistics.detectable_correlation(found.n, e.study.fdr)
    return _verdict(claim, e, _by_sign(found, e.study.fdr), found, measure, words, detectable=detectable)


#: Claim → its judge.
CLAIMS: dict[str, Callable[[str, Evidence], Verdict]] = {
    "C1": no_task_worse,
    "C2": no_region_worse,
    "C3": concept_over_form,
    "C4": closer_to_untuned,
    "C5": closeness_predicts,
    "C6": score_predicts,
}


def _verdict(
    claim: str, e: Evidence, verdict: str, finding: Finding, measure: str, words: dict[str, Any] | None = None,
    **power: float | None,
) -> Verdict:  # fmt: skip
    """Return a verdict with its sentence, filled from `words`; without any, with that of the finding."""
    sentence = finding.sentence
    if words is not None:
        shared = {"level": e.study.fdr, "margin": e.study.margin, "region": e.region}
        sentence = WORDS[claim][verdict].format(**shared, **words)
    return Verdict(claim, e.brain, verdict, finding, measure, sentence, **power)


def _cannot(claim: str, e: Evidence, measure: str, why: str) -> Verdict:
    return _verdict(claim, e, INCONCLUSIVE, statistics.cannot(why), measure)


def paired_test(contrast: pd.DataFrame, e: Evidence, units: str = "participants") -> tuple[Finding, pd.Series]:
    """Test a contrast of one group: in words, and as a row of numbers."""
    values = contrast.to_numpy()
    found = statistics.paired_difference(values[0], e.study.fdr, units)
    return found, statistics.paired_tests(values, e.study.margin, e.study.fdr).iloc[0]


def _by_sign(found: Finding, alpha: float) -> str:
    if found.p is None or found.p >= alpha:
        return INCONCLUSIVE
    return SUPPORTED if (found.estimate or 0) > 0 else NOT_SUPPORTED


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


# --- beside the verdicts -----------------------------------------------------------------------------------------


def background(e: Evidence) -> list[str]:
    """Return further sentences on the evidence: mixed model, variance, training runs, intervals of the closeness."""
    sentences = [statistics.mixed_model(e.cells, e.study.fdr).sentence]
    contrast = tables.contrast(e.scores, ["region", "seed"]).dropna().sort_index()  # regions that every participant has
    regions, seeds = (contrast.index.get_level_values(name).unique() for name in ("region", "seed"))
    if len(contrast) == len(regions) * len(seeds) > 0:
        cube = contrast.to_numpy().T.reshape(-1, len(regions), len(seeds))
        shares = ", ".join(f"{name} {share:.0%}" for name, share in statistics.variance_split(cube).items())
        sentences.append(f"Variance of the difference: {shares or 'it cannot be split'}.")
    if len(seeds) > 1 and e.region in regions:
        sentences.append(statistics.crossed_mean(contrast.loc[e.region].to_numpy().T, e.study.fdr).sentence)
    low, high = (tables.arms(e.closeness, bound) for bound in ("low", "high"))
    if set(ARMS) <= set(low) & set(high):
        prompt, fine = (int((low[one] > high[other]).sum()) for one, other in (ARMS[::-1], ARMS))
        sentences.append(
            f"Closeness to the untuned model, bootstrapping passages (or stimuli): intervals do not overlap on "
            f"{prompt + fine} of {len(low)} tasks, with prompt-tuning closer on {prompt} and fine-tuning on {fine}."
        )
    if e.scores["seed"].nunique() <= 1:
        sentences.append("Every model was tuned with one seed: a difference includes the luck of single training runs.")
    return sentences


def ledger_file(study: Study) -> Path:
    """Return the path of the ledger, `claims.json` in the folder of a run."""
    return study.folder / "claims.json"


def write(study: Study, ledger: Ledger, signs: Sequence[Any] = ()) -> None:
    """Write the ledger and the failure signatures of a run as JSON."""
    signatures = [asdict(sign) for sign in signs]
    facts: dict[str, Any] = {"alpha": study.fdr, "margin": study.margin, "signatures": signatures, "brains": {}}
    for brain, e in ledger.evidence.items():
        facts["brains"][brain] = {
            "simulated": is_simulated(brain),
            "participants": int(e.scores["participant"].nunique()),
            "region": e.region,
            "folds": e.design,
            "claims": {v.claim: asdict(replace(v, claim=WORDS[v.claim]["paper"])) for v in ledger.of(brain)},
            "also": background(e),
        }
    store.write_json(ledger_file(study), facts)
