"""Calibration: how often the verdicts are wrong where the truth is known, and what they can find.

On the level of *tables*, scores are drawn from a model of participants, tasks and training runs. On the level of the
*chain*, simulated participants are decoded and judged by the steps of a run; only tuning is skipped: the untuned
embeddings, mixed at random, stand in for tuned ones. `make calibrate` writes the tables that the book shows.
"""

import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache, partial
from typing import TypeVar

import numpy as np
import pandas as pd

from braintune.core.preprocess import zscore
from braintune.core.study import Representation, Study
from braintune.core.versions import code_and_versions
from braintune.datasets.brains import simulated
from braintune.datasets.microworld import passages
from braintune.models import embeddings
from braintune.models.backbones import load_backbone
from braintune.neural import decoding, rsa
from braintune.neural.representations import Embeddings
from braintune.results import claims, recorded, statistics, tables
from braintune.results.claims import CONCEPT, FORM, NOT_SUPPORTED, SUPPORTED
from braintune.results.tables import ARMS, Results

#: Studies of one truth: for power, and for the coverage of intervals.
POWER_STUDIES, COVERAGE_STUDIES = 100, 400
TASKS = ("chunking", "ner", "srl", "coreference", "wsd", "nli", "paraphrase", "qa", "sentiment", "emotion")
REGIONS = ("language", "DMN", "task-positive", "visual")
#: Standard deviations of accuracy: over participants, of their difference between the methods, and of a single score.
#: They are about those of the twenty story listeners (6 regions of 84 sentences).
SD_PARTICIPANT, SD_METHOD, SD_SCORE = 0.05, 0.02, 0.04
#: Standard deviation of what one training run adds to the scores of all participants, where it is planted.
SD_SEED = 0.01
LEVEL = 0.65

T = TypeVar("T")


# --- tables ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Truth:
    """What is true in simulated tables of scores."""

    participants: int = 20
    seeds: int = 1
    difference: float = 0.0  # prompt-tuned minus fine-tuned accuracy, in every task and region
    concept: float = 0.0  # by how much concept-level tasks decode better than the others
    closeness: float = 0.0  # prompt-tuned minus fine-tuned similarity to the untuned model
    luck: float = 0.0  # standard deviation of what a training run adds for all participants


Tables = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]


def draw_tables(truth: Truth, rng: np.random.Generator) -> Tables:
    """Draw the tables that the claims are judged on: scores at the analysis layer, closeness, and task scores."""
    shape = (truth.participants, len(REGIONS), len(TASKS), len(ARMS), truth.seeds)
    arm = np.array([-0.5, 0.5])[:, None]
    concept = np.isin(TASKS, CONCEPT)[:, None, None] * truth.concept
    level = LEVEL + SD_PARTICIPANT * rng.standard_normal((shape[0], 1, 1, 1, 1))
    slope = arm * SD_METHOD * rng.standard_normal((*shape[:2], 1, 1, 1))
    luck = truth.luck * rng.standard_normal((1, 1, *shape[2:]))
    scores = level + slope + arm * truth.difference + concept + luck + SD_SCORE * rng.standard_normal(shape)
    participant, region, task, method, seed = (i.ravel() for i in np.indices(shape))
    names = [f"{t}_{m}_seed-{k}" for t in TASKS for m in ARMS for k in range(truth.seeds)]
    model = (task * len(ARMS) + method) * truth.seeds + seed
    columns = {
        "participant": np.array([f"S{i + 1:02d}" for i in range(shape[0])])[participant],
        "region": np.array(REGIONS)[region],
        "representation": np.array(names)[model],
        "kind": "tuned",
        "task": np.array(TASKS)[task],
        "method": np.array(ARMS)[method],
        "seed": seed,
    }
    at_layer = pd.DataFrame({"brain": "simulated", **columns, "layer": 6, "folds": "grouped"})
    at_layer["pairwise"] = scores.ravel()
    models = at_layer[["brain", *tables.REPRESENTATION, "layer"]].drop_duplicates()
    spread = 0.05 * rng.standard_normal(len(models))
    close = 0.7 + spread + truth.closeness * (models["method"] == "prompt-tuned")
    closeness = models.assign(spearman=close, cka=close, low=np.nan, high=np.nan)
    score = 0.75 + 0.05 * rng.standard_normal(len(models))
    tuned = models[["task", "method", "seed"]].assign(score=score, baseline=0.5, bag_of_words=0.5)
    return at_layer, closeness, tuned


# --- the chain ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Chain:
    """What is true in simulated studies that go through decoding."""

    signal: float = 0.25  # standard deviation of the signal relative to the noise, everywhere but in `visual`
    syntax_share: float = 0.2  # part of the signal that codes syntax
    own_models: bool = False  # whether every participant has other tuned models, so that no training run is shared
    content: float = 0.0  # how much concept-level tasks gain of the concept features, and chunking of the syntax ones


def chain_study(truth: Chain, base: np.ndarray, number: int) -> Tables:
    """Simulate participants and tuned representations, decode them, and compare them with the untuned model.

    `base` is the untuned model's embedding of the stimuli (n_stimuli, width); the number of the study seeds all random
    numbers.
    """
    run = chain_run(truth, number)
    brain = simulated.simulate(run)
    parts = []
    for place, participant in enumerate(brain.participants):
        tuned = representations(truth, run, base, [number, place if truth.own_models else 0])
        parts.append(decoding.decode_participant(run, brain, participant, tuned)[0])
    at_layer = tables.scores(pd.concat(parts, ignore_index=True), run)
    closeness = rsa.rsa_tables(run, brain, tuned)["untuned"]
    models = closeness.loc[closeness["method"].isin(ARMS), ["task", "method", "seed"]]
    score = 0.75 + 0.05 * np.random.default_rng([number, 1]).standard_normal(len(models))
    return at_layer, closeness, models.assign(score=score, baseline=0.5, bag_of_words=0.5)


def chain_run(truth: Chain, number: int) -> Study:
    """Return the profile of one simulated study: small, so that hundreds of them take minutes."""
    return Study.make(
        {
            "profile": "calibration",
            "passages": 48,
            "voxels_per_region": 40,
            "n_alphas": 8,
            "simulation_seed": number + 1,
            "signal": {name: truth.signal for name in ("language", "DMN", "task-positive")},
            "syntax_share": truth.syntax_share,
            "designs": ["grouped"],
            "permutations": 0,
            "bootstrap": 0,
        }
    )


def representations(truth: Chain, run: Study, base: np.ndarray, seed: Sequence[int]) -> Embeddings:
    """Return the untuned embedding, and one for each task and method that is the untuned one mixed at random."""
    rng = np.random.default_rng(seed)
    plain = zscore(base)
    features = {task: None for task in TASKS}
    if truth.content:
        world = passages.stimuli(run)
        features |= {task: world.concepts for task in CONCEPT} | {FORM: world.syntax}
    found = {Representation("untuned", "untuned"): plain[None].astype(np.float32)}
    for task in TASKS:
        for method in ARMS:
            mixed = plain + plain @ rng.standard_normal((plain.shape[1],) * 2) / np.sqrt(plain.shape[1])
            if features[task] is not None:
                gained = zscore(features[task])
                mixed += truth.content * gained @ rng.standard_normal((gained.shape[1], plain.shape[1]))
            name = f"{task}_{method}_seed-0"
            found[Representation(name, "tuned", method, task, 0)] = mixed[None].astype(np.float32)
    return found


# --- what is judged ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scenario:
    """One truth, and the verdicts that are wrong under it."""

    title: str
    truth: Truth | Chain
    #: Claim → wrong verdicts, and the most of them that the rule allows (None where it promises nothing).
    wrong: dict[str, tuple[tuple[str, ...], float | None]]
    studies: int  # how many are simulated


_EITHER = (SUPPORTED, NOT_SUPPORTED)
_NO_DIFFERENCE = {"C1": ((NOT_SUPPORTED,), 0.05), "C2": ((NOT_SUPPORTED,), 0.05), "C3": ((SUPPORTED,), 0.025)}
_NO_RELATION = {"C5": (_EITHER, 0.05), "C6": (_EITHER, 0.05)}
MARGIN = Study().margin


def _nothing_promised() -> dict[str, tuple[tuple[str, ...], None]]:
    """What would be wrong to say of the methods, where a test can only speak of the two models that were trained."""
    return {claim: (verdicts, None) for claim, (verdicts, _) in _NO_DIFFERENCE.items()}


SCENARIOS: dict[str, tuple[Scenario, ...]] = {
    "table": (
        Scenario("no difference", Truth(), _NO_DIFFERENCE | {"C4": (_EITHER, 0.05)} | _NO_RELATION, 1000),
        Scenario("no difference, 5 participants", Truth(participants=5), _NO_DIFFERENCE, 1000),
        Scenario(
            "fine-tuning better by the margin",
            Truth(difference=-MARGIN),
            {"C1": ((SUPPORTED,), 0.05), "C2": ((SUPPORTED,), 0.05)},
            1000,
        ),
        Scenario("concept tasks better by the margin", Truth(concept=MARGIN), {"C3": ((NOT_SUPPORTED,), 0.05)}, 1000),
        Scenario("no difference, but the luck of single training runs", Truth(luck=SD_SEED), _nothing_promised(), 1000),
    ),
    "chain": (
        Scenario("nothing in the brain", Chain(signal=0.0), _NO_DIFFERENCE | _NO_RELATION, 100),
        Scenario("no difference", Chain(own_models=True), _NO_DIFFERENCE, 100),
        Scenario("no difference, but the luck of single training runs", Chain(), _nothing_promised(), 100),
        Scenario("concept-coding brain", Chain(syntax_share=0.0, content=1.0), {"C3": ((NOT_SUPPORTED,), None)}, 20),
        Scenario("syntax-coding brain", Chain(syntax_share=1.0, content=1.0), {"C3": ((SUPPORTED,), None)}, 20),
    ),
}


def verdicts_of(found: Tables) -> dict[str, str]:
    """Return the verdict on every claim, at the level and the margin of the default profile."""
    return {verdict.claim: verdict.verdict for verdict in claims.judge(Results(Study(), *found)).verdicts}


def _study(truth: Truth | Chain, base: np.ndarray | None, number: int) -> dict[str, str]:
    if isinstance(truth, Chain):
        return verdicts_of(chain_study(truth, base, number))
    return verdicts_of(draw_tables(truth, np.random.default_rng([number, 2])))


def rates(level: str, each: "Each") -> pd.DataFrame:
    """Return how often each verdict is given where it is wrong, on the level `table` or `chain`.

    One row a scenario and claim: the `verdict` that is wrong, its `rate` with Monte-Carlo `error`, what is `allowed`
    (NaN where the rule promises nothing), the share `supported`, and `studies`.
    """
    base = untuned() if level == "chain" else None
    rows = []
    for scenario in SCENARIOS[level]:
        given = each(partial(_study, scenario.truth, base), scenario.studies, f"{level}: {scenario.title}")
        for claim, (wrong, allowed) in scenario.wrong.items():
            verdicts = pd.Series([of_study[claim] for of_study in given])
            rate, supported = float(verdicts.isin(wrong).mean()), float((verdicts == SUPPORTED).mean())
            row = (level, scenario.title, claim, " or ".join(wrong), rate, _error(rate, len(given)), allowed, supported)
            rows.append((*row, len(given)))
    columns = ["level", "scenario", "claim", "verdict", "rate", "error", "allowed", "supported", "studies"]
    return pd.DataFrame(rows, columns=columns).astype({"allowed": float})


def _error(rate: float | pd.Series, studies: int | pd.Series) -> float | pd.Series:
    """Return the Monte-Carlo standard error of a rate."""
    return np.sqrt(rate * (1 - rate) / studies)


@cache
def untuned() -> np.ndarray:
    """Return the untuned model's last layer for the stimuli of the simulated studies, [n_stimuli, width]."""
    run = chain_run(Chain(), 0)
    return embeddings.embed(load_backbone(run.backbone), simulated.simulate(run).stimuli.sentences)[-1]


# --- power and coverage ------------------------------------------------------------------------------------------

PARTICIPANTS = (5, 20, 50)
DIFFERENCES = (0.0, 0.005, 0.01, 0.02, 0.05)


def power(each: "Each") -> pd.DataFrame:
    """Return how often planted differences are found: one row a number of participants and a difference.

    `found` is the share of studies whose main region shows the difference (mean over tasks, two-sided t test);
    `equivalent` the share in which it is shown to be within the margin; the other columns are verdicts where
    prompt-tuning is better by the difference (C1, C2 supported), where fine-tuning is (C1, C2 not supported), and
    where concept-level tasks are (C3).
    """
    rows = []
    for participants in PARTICIPANTS:
        for difference in DIFFERENCES:
            title = f"power: {participants} participants, {difference:g}"
            up, down = (Truth(participants, difference=sign * difference, concept=difference) for sign in (1, -1))
            better, worse = (
                np.mean(each(partial(_found, truth), POWER_STUDIES, title), axis=0) for truth in (up, down)
            )
            shares = (*better[:3], worse[3], better[4], worse[5], better[6])
            rows.append((participants, difference, *shares, each.studies(POWER_STUDIES)))
    columns = [
        "participants", "difference", "found", "equivalent", "C1 supported", "C1 not supported", "C2 supported",
        "C2 not supported", "C3 supported", "studies",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def _found(truth: Truth, number: int) -> list[bool]:
    run, drawn = Study(), draw_tables(truth, np.random.default_rng([number, 3]))
    ledger = claims.judge(Results(run, *drawn))
    main = claims.comparisons(ledger.evidence["simulated"].main, ["region"], run).iloc[0]
    verdict = {v.claim: v.verdict for v in ledger.verdicts}
    shown = [main["p"] < run.fdr, main["p_equivalent"] < run.fdr]
    both = [verdict[claim] == word for claim in ("C1", "C2") for word in (SUPPORTED, NOT_SUPPORTED)]
    return [bool(value) for value in (*shown, *both, verdict["C3"] == SUPPORTED)]


def coverage(each: "Each") -> pd.DataFrame:
    """Return how often intervals contain what is true: one row an interval and a number of participants."""
    rows = []
    for participants in PARTICIPANTS:
        title = f"coverage: {participants} participants"
        given = each(partial(_covered, participants), COVERAGE_STUDIES, title)
        for name, nominal in INTERVALS.items():
            rows.append((name, participants, nominal, float(np.mean([found[name] for found in given])), len(given)))
    similar = np.array(each(_similarity_interval, COVERAGE_STUDIES, "coverage: similarity"))
    truth = similar[:, 0].mean()  # of the statistic, over studies
    inside = float(((similar[:, 1] <= truth) & (truth <= similar[:, 2])).mean())
    rows.append(("similarity to the untuned model: bootstrap over passages", 0, 0.95, inside, len(similar)))
    table = pd.DataFrame(rows, columns=["interval", "participants", "nominal", "coverage", "studies"])
    return table.assign(error=_error(table["coverage"], table["studies"]))


INTERVALS = {
    "paired difference: t": 0.95,
    "equivalence: two one-sided t": 0.90,
    "mixed model": 0.95,
    "participants and seeds": 0.95,
}


def _covered(participants: int, number: int) -> dict[str, bool]:
    alpha, planted = 0.05, 0.01
    rng = np.random.default_rng([number, 4])
    plain = _evidence(Truth(participants, difference=planted), rng)
    difference = tables.contrast(plain.main, ["region"]).to_numpy()[0]
    lucky = _evidence(Truth(participants, seeds=3, difference=planted, luck=SD_SEED), rng)
    by_seed = tables.contrast(lucky.scores, ["region", "seed"]).loc[lucky.region]
    found = (
        statistics.paired_difference(difference, alpha),
        statistics.paired_difference(difference, 2 * alpha),  # two one-sided tests: equivalent where it is within
        statistics.mixed_model(plain.main, alpha),
        statistics.crossed_mean(by_seed.to_numpy().T, alpha),
    )
    return {name: bool(f.low <= planted <= f.high) for name, f in zip(INTERVALS, found, strict=True)}


def _evidence(truth: Truth, rng: np.random.Generator) -> claims.Evidence:
    return claims.evidence(Results(Study(), *draw_tables(truth, rng)), "simulated")


def _similarity_interval(number: int, passages: int = 48, sentences: int = 4, width: int = 20) -> tuple[float, ...]:
    """Draw stimuli, some of whose variance their passage shares, and bound the similarity of two codes of them."""
    rng = np.random.default_rng([number, 5])
    groups = np.repeat(np.arange(passages), sentences)
    one = rng.standard_normal((passages, width))[groups] + rng.standard_normal((len(groups), width))
    other = one + rng.standard_normal(one.shape)
    rdms = rsa.rdm(one), rsa.rdm(other)
    drawn = rsa.bootstrap_spearman(rdms[0][None], rdms[1], groups, Study().bootstrap, number)
    return float(np.prod(rsa.ranks(np.stack(rdms)), axis=0).sum()), *np.quantile(drawn, [0.025, 0.975])


# --- all of it ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Each:
    """Call a function for the numbers of many studies, in several processes."""

    share: float = 1.0  # part of the studies that are simulated, at least two: less than 1 for a quick look
    cores: int = field(default_factory=lambda: os.cpu_count() or 1)

    def studies(self, wanted: int) -> int:
        """Return how many studies are simulated where `wanted` are foreseen."""
        return max(2, round(self.share * wanted))

    def __call__(self, job: Callable[[int], T], wanted: int, title: str) -> list[T]:
        """Return ``job(0)``, ``job(1)`` …; the number of processes changes nothing in them."""
        begun, count = time.monotonic(), self.studies(wanted)
        with ProcessPoolExecutor(self.cores, initializer=_one_thread) as pool:
            found = list(pool.map(job, range(count), chunksize=max(1, count // (8 * self.cores))))
        print(f"{title:<66} {count:>5} studies {time.monotonic() - begun:7.1f} s", flush=True)
        return found


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def calibrate(each: Each | None = None) -> dict[str, pd.DataFrame]:
    """Return the tables ``rates``, ``power`` and ``coverage``."""
    each = each or Each()
    return {
        "rates": pd.concat([rates(level, each) for level in SCENARIOS], ignore_index=True),
        "power": power(each),
        "coverage": coverage(each),
    }


def main(words: Sequence[str]) -> None:
    """Calibrate with ``[SHARE]`` of the studies, and keep the tables if it is all of them."""
    begun, share = time.monotonic(), float(words[0]) if words else 1.0
    found = calibrate(Each(share))
    for name, table in found.items():
        print(f"\n{name}\n{table.round(3).to_string(index=False)}")
    if share == 1:
        facts = {"seconds": round(time.monotonic() - begun), "cores": os.cpu_count(), **code_and_versions()}
        print(f"recorded: {recorded.keep('calibration', found, facts)}")


if __name__ == "__main__":
    main(sys.argv[1:])
