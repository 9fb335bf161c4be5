"""Calibration: how often a verdict is wrong where the truth is known, and what can be found.

Three levels. On the level of *tables*, scores are drawn from a model of participants, tasks and training runs; the same rules judge
the scores of decoding and encoding, so these rates are those of both. On the level of the *brain*, simulated
participants read the generated sentences and are decoded by the steps of a run. On that of the *story*, listeners have
slow responses that know the time and nothing else. Tuning is skipped on the last two: tuned representations are those
of the untuned model, mixed at random. `make calibrate` writes the tables that the book shows.
"""

import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from braintune.core.preprocess import zscore
from braintune.core.study import Representation, Study
from braintune.core.versions import code_and_versions
from braintune.datasets.brains import simulated
from braintune.datasets.brains.base import BrainData, Stimuli
from braintune.datasets.brains.registry import load_brain
from braintune.datasets.microworld import passages
from braintune.datasets.tasks import TASKS as ALL_TASKS
from braintune.models import embeddings
from braintune.models.backbones import load_backbone
from braintune.neural import decoding, rsa
from braintune.results import claims, recorded, statistics, tables
from braintune.results import power as verdict_power
from braintune.results.claims import NO_EVIDENCE, NOT_SUPPORTED, SUPPORTED
from braintune.results.tables import ARMS, READOUTS
from made_up_results import made_up

#: Tasks on the level of tables; those that are decoded leave out the second, to save time.
TASKS = ("chunking", "ner", "wsd", "coreference", "nli", "qa")
DECODED = tuple(task for task in TASKS if task != "ner")
#: Studies of one truth, by level; and on the level of tables, of one point of a power curve, and of one interval.
STUDIES = {"table": 400, "brain": 30, "story": 30}
POWER_STUDIES, COVERAGE_STUDIES = 40, 100
LEVEL = {task: ALL_TASKS[task].level for task in TASKS}
MARGIN = Study().margin
#: Standard deviation of the noise that makes a method worse, relative to an embedding dimension of the untuned model.
BLUR = 2.5
T = TypeVar("T")


@dataclass(frozen=True)
class Scenario:
    """One truth, and the verdicts that are wrong and right under it.

    Attributes
    ----------
    title : str
    level : {"table", "brain", "story"}
    truth : dict
        What :func:`made_up_results.made_up` or :func:`participants` is given.
    wrong : dict of str to tuple of (verdicts, nominal rate)
        By claim. The nominal rate is the most that the rule allows; None where it promises nothing.
    right : dict of str to str
        By claim, the verdict that a planted effect should get.
    """

    title: str
    level: str
    truth: dict[str, Any]
    wrong: dict[str, tuple[tuple[str, ...], float | None]]
    right: dict[str, str] = field(default_factory=dict)


_EITHER = (SUPPORTED, NOT_SUPPORTED)
_SAME = {"C1": ((NOT_SUPPORTED,), 0.05), "C2": ((NOT_SUPPORTED,), 0.05)}
_UNRELATED = {claim: (_EITHER, 0.05) for claim in ("C4", "C5", "C6")}
_NO_GAIN = {claim: ((SUPPORTED,), 0.025) for claim in ("C3", "C7", "C8")}
_NOTHING = {claim: (_EITHER, 0.05) for claim in ("C1", "C2", "C3", "C5", "C6", "C7")}
_OPEN = {claim: (verdicts, None) for claim, (verdicts, _) in _SAME.items()}
_LOSS = {("wsd", None): -MARGIN}
_PREFIXES = {"zero-prefix": 1.0, "random-prefix": 1.0}
_PLAIN = {"noise": 0.2, "tuning": 0, "controls": _PREFIXES}
_BETTER, _WORSE = ({claim: verdict for claim in ("C1", "C2")} for verdict in _EITHER)
_FOR, _AGAINST = ({claim: ((verdict,), None) for claim in ("C1", "C2")} for verdict in _EITHER)

SCENARIOS = (
    Scenario("no difference", "table", _PLAIN, _SAME | _UNRELATED | _NO_GAIN),
    Scenario("no difference, 20 participants", "table", _PLAIN | {"participants": 20}, _SAME | _NO_GAIN),
    Scenario("fine-tuning better by the margin on one task", "table", {"effect": _LOSS}, {"C1": ((SUPPORTED,), 0.05)}),
    Scenario("fine-tuning better by the margin in one region", "table", {"effect": {(None, "visual"): -MARGIN}},
             {"C2": ((SUPPORTED,), 0.05)}),
    Scenario("tuning gains the margin", "table", {"tuning": MARGIN}, {"C7": ((NOT_SUPPORTED,), 0.05)}),
    Scenario("no difference, luck of training, 1 seed", "table", {"luck": 0.1, "tuning": 0}, _OPEN),
    Scenario("no difference, luck of training, 3 seeds", "table", {"luck": 0.1, "tuning": 0, "seeds": 3}, _SAME),
    Scenario("a code without content does as well", "table", {"controls": {"length": 1.0}}, _NOTHING),
    Scenario("nothing in the brain", "brain", {"signal": 0.0}, _NOTHING),
    Scenario("no difference", "brain", {"anew": True}, _SAME | {claim: (_UNRELATED | _NO_GAIN)[claim]
                                                                for claim in ("C3", "C4", "C6")}),
    Scenario("fine-tuning better", "brain", {"anew": True, "blurred": "prompt-tuned"}, _FOR, _WORSE),
    # a stronger signal brings accuracy so close to 1 that it cannot rank the tasks
    Scenario("concept-coding brain", "brain", {"signal": 0.4, "syntax_share": 0.0, "content": 2.0},
             {"C3": ((NOT_SUPPORTED,), None)}, {"C3": SUPPORTED}),
    Scenario("syntax-coding brain", "brain", {"signal": 0.4, "syntax_share": 1.0, "content": 2.0},
             {"C3": ((SUPPORTED,), None)}, {"C3": NOT_SUPPORTED}),
    Scenario("slow responses without content", "story", {"signal": 0.0}, _NOTHING),
    Scenario("slow responses, no difference", "story", {"signal": 1.0, "anew": True}, _SAME),
    Scenario("slow responses, fine-tuning better", "story", {"signal": 1.0, "anew": True, "blurred": "prompt-tuned"},
             _FOR, _WORSE),
)  # fmt: skip


# --- participants that are decoded -------------------------------------------------------------------------------


def participants(
    number: int, level: str, signal: float = 0.6, syntax_share: float = 0.2, anew: bool = False, content: float = 0.0,
    blurred: str = "",
) -> tables.Results:  # fmt: skip
    """Simulate participants and tuned representations, decode them, and compare them with the untuned model.

    Parameters
    ----------
    number : int
        Number of the study; it seeds all random numbers.
    level : {"brain", "story"}
    signal : float
        Standard deviation of the signal relative to the noise; 0 plants nothing.
    syntax_share : float
        Part of the signal that codes syntax.
    anew : bool
        Whether every participant has other tuned models, so that no training run is shared.
    content : float
        How much tasks about meaning gain of the concept features, and tasks about form of the syntax features.
    blurred : str
        Method whose representations get white noise of standard deviation :data:`BLUR`.

    """
    study = small_study(number, signal, syntax_share)
    brain = load_brain(study, "simulated") if level == "brain" else story(number, signal)
    base = untuned()[: len(brain.stimuli.names)]
    features = passages.stimuli(study)
    about = {"form": zscore(features.syntax), "concept": zscore(features.concepts)}
    if content:  # the untuned model knows a little of both
        rng = np.random.default_rng([number, 7])
        base = base + sum(known @ rng.standard_normal((known.shape[1], base.shape[1])) for known in about.values())
    scored = []
    for place, participant in enumerate(brain.participants):
        rng = np.random.default_rng([number, place if anew else 0])
        made = {Representation("untuned", "untuned"): base[None]}
        made |= {Representation(name, "control"): code[None] for name, code in codes(study, brain.stimuli).items()}
        for task in DECODED:
            for method in ARMS:
                mixed = base + base @ rng.standard_normal((base.shape[1],) * 2) / np.sqrt(base.shape[1])
                if content:
                    known = about["form" if LEVEL[task] == "form" else "concept"]
                    mixed += content * known @ rng.standard_normal((known.shape[1], base.shape[1]))
                if method == blurred:
                    mixed += BLUR * rng.standard_normal(mixed.shape)
                name = f"{task}_{method}_seed-0"
                made[Representation(name, "tuned", method, task, 0)] = mixed[None].astype(np.float32)
        scored.append(decoding.decode_participant(study, brain, participant, made))
    decoded, null, _ = zip(*scored, strict=True)
    closeness = rsa.rsa_tables(study, brain, made)["untuned"]
    models = closeness.loc[closeness["kind"] == "tuned", ["task", "method", "seed"]]
    score = 0.75 + 0.05 * np.random.default_rng([number, 1]).standard_normal(len(models))
    tuned = models.assign(score=score, baseline=0.5, bag_of_words=0.5)
    scores = tables.scores(pd.concat(decoded, ignore_index=True), study)
    return tables.Results(study, scores, tables.null_means(null), closeness, tuned)


def small_study(number: int, signal: float = 0.6, syntax_share: float = 0.2) -> Study:
    """Return the profile of one simulated study: small, so that hundreds of them take minutes."""
    return Study.make(
        {
            "profile": "calibration", "passages": 18, "topics": 18, "voxels_per_region": 20, "simulated_participants": 4,
            "simulation_seed": number + 1, "signal": {"language": signal},
            "syntax_share": syntax_share, "designs": ["grouped"], "bootstrap": 0, "n_folds": 3, "blocks": 3,
            "inner_folds": 3, "n_alphas": 7, "permutations": 40, "regions": ["language"],
        }
    )  # fmt: skip


def story(number: int, signal: float, n: int = 72, people: int = 4, voxels: int = 24) -> BrainData:
    """Listeners of a story whose responses are slow noise, with `signal` of the untuned representation planted."""
    names = [f"s{i}" for i in range(n)]
    stimuli = Stimuli(names, names, np.arange(n), position=np.arange(n), contiguous=True)
    rng = np.random.default_rng([number, 6])
    code = zscore(untuned()[:n] @ rng.standard_normal((untuned().shape[1], voxels)))
    responses = {}
    for person in range(people):
        noise = np.zeros((n, voxels))
        for i, kick in enumerate(rng.standard_normal((n, voxels))):
            noise[i] = 0.7 * noise[i - 1] + kick if i else kick
        responses[f"P{person}"] = {"language": (zscore(noise) + signal * code).astype(np.float32)}
    return BrainData("simulated", tuple(responses), ("language",), stimuli, True, responses.__getitem__)


def codes(study: Study, stimuli: Stimuli) -> dict[str, np.ndarray]:
    """Codes without content: the position, and a random mixture of words, for sentences or their numbers."""
    rng = np.random.default_rng(study.simulation_seed)
    place = stimuli.position if stimuli.contiguous else np.arange(len(stimuli.names)) % 4
    centres = np.linspace(place.min(), place.max(), 8)
    smooth = np.exp(-0.5 * ((place[:, None] - centres) / max(1.0, np.ptp(centres) / 8)) ** 2)
    return {"position": smooth.astype(np.float32), "random": rng.standard_normal((len(place), 30)).astype(np.float32)}


@cache
def untuned() -> np.ndarray:
    """Return a quarter of the untuned model's last layer for the simulated stimuli, [n_stimuli, width], z-scored."""
    study = small_study(0)
    sentences = simulated.simulate(study).stimuli.sentences
    return zscore(embeddings.embed(load_backbone(study.backbone), sentences)[-1, :, ::4]).astype(np.float32)


# --- how often ---------------------------------------------------------------------------------------------------


def verdicts(scenario: Scenario, number: int) -> dict[str, str]:
    """Return the verdicts on the claims of a scenario in one study, in decoding at the first readout."""
    if scenario.level == "table":
        found = made_up(tasks=TASKS, seed=number, readouts=READOUTS[:1], **scenario.truth)
    else:
        found = participants(number, scenario.level, **scenario.truth)
    e = claims.evidence(found, "simulated")[0]
    return {claim: claims.CLAIMS[claim](claim, e).verdict for claim in {**scenario.wrong, **scenario.right}}


def rates(each: "Each", scenarios: Sequence[Scenario] = SCENARIOS) -> dict[str, pd.DataFrame]:
    """Return how often each verdict is given where it is wrong, and how often a planted effect is found.

    Returns
    -------
    dict of DataFrame
        One row a scenario and claim. In ``rates`` the `verdict` is wrong, in ``found`` right: its `rate` with
        Monte-Carlo `error`, the share of `no evidence`, and `studies`. In ``rates`` too: what is `allowed` (NaN where
        the rule promises nothing), and the share `supported`.
    """
    wrong, right = [], []
    for s in scenarios:
        given = pd.DataFrame(each(partial(verdicts, s), STUDIES[s.level], f"{s.level}: {s.title}"))
        shares = {word: (given == word).mean() for word in (SUPPORTED, NO_EVIDENCE)}
        for claim, (words, allowed) in s.wrong.items():
            row = _row(s, claim, words, given[claim]) | {"allowed": allowed, "supported": shares[SUPPORTED][claim]}
            wrong.append(row | {"no evidence": shares[NO_EVIDENCE][claim]})
        for claim, word in s.right.items():
            right.append(_row(s, claim, (word,), given[claim]) | {"no evidence": shares[NO_EVIDENCE][claim]})
    return {"rates": pd.DataFrame(wrong).astype({"allowed": float}), "found": pd.DataFrame(right)}


def _row(s: Scenario, claim: str, words: tuple[str, ...], given: pd.Series) -> dict[str, Any]:
    rate = float(given.isin(words).mean())
    error = float(np.sqrt(rate * (1 - rate) / len(given)))
    names = {"level": s.level, "scenario": s.title, "claim": claim, "verdict": " or ".join(words)}
    return names | {"rate": rate, "error": error, "studies": len(given)}


PARTICIPANTS = (5, 10, 20)
DIFFERENCES = (0.0, 0.05, 0.1, 0.2)


def power(each: "Each") -> pd.DataFrame:
    """Return how often planted differences are found: one row per number of participants and difference.

    The difference is a fraction of the signal. Prompt-tuning is better by it (C1, C2 supported), or fine-tuning (C1, C2 not
    supported); tuning gains it (C7), over an untrained prefix too (C8).
    """
    rows = []
    for people in PARTICIPANTS:
        for gap in DIFFERENCES:
            up, down = (
                Scenario("", "table", {"participants": people, "effect": {(None, None): sign * gap}, "tuning": gap,
                                       "controls": _PREFIXES}, {}, dict.fromkeys(judged, SUPPORTED))
                for sign, judged in ((1, ("C1", "C2", "C7", "C8")), (-1, ("C1", "C2")))
            )  # fmt: skip
            better, worse = (
                pd.DataFrame(each(partial(verdicts, s), POWER_STUDIES, f"power: {people} participants, {gap:g}"))
                for s in (up, down)
            )
            found = {f"{claim} supported": (better[claim] == SUPPORTED).mean() for claim in ("C1", "C2", "C7", "C8")}
            found |= {f"{claim} not supported": (worse[claim] == NOT_SUPPORTED).mean() for claim in ("C1", "C2")}
            rows.append({"participants": people, "difference": gap, **found, "studies": len(better)})
    return pd.DataFrame(rows)


def coverage(each: "Each") -> pd.DataFrame:
    """Return how often intervals contain what is true: one row per interval and number of participants."""
    rows = []
    for people in PARTICIPANTS:
        for name, luck, seeds in (("over participants", 0.0, 1), ("over participants and seeds", 0.1, 3)):
            inside = each(
                partial(_covered, people, luck, seeds), COVERAGE_STUDIES, f"coverage: {people} participants, {name}"
            )
            rows.append((f"prompt-tuned minus fine-tuned, {name}", people, 0.95, float(np.mean(inside)), len(inside)))
    similar = np.array(each(_similarity_interval, COVERAGE_STUDIES, "coverage: similarity"))
    truth = similar[:, 0].mean()  # of the statistic, over studies
    inside = float(((similar[:, 1] <= truth) & (truth <= similar[:, 2])).mean())
    rows.append(("similarity to the untuned model: bootstrap over passages", 0, 0.95, inside, len(similar)))
    table = pd.DataFrame(rows, columns=["interval", "participants", "nominal", "coverage", "studies"])
    return table.assign(error=np.sqrt(table["coverage"] * (1 - table["coverage"]) / table["studies"]))


def _covered(people: int, luck: float, seeds: int, number: int) -> bool:
    planted = {"participants": people, "effect": {(None, None): 0.1}, "luck": luck, "seeds": seeds}
    e = claims.evidence(made_up(tasks=TASKS, seed=number, readouts=READOUTS[:1], **planted), "simulated")[0]
    contrast = e.cube.contrast(e.cube.arm("prompt-tuned", TASKS) - e.cube.arm("fine-tuned", TASKS), e.region)
    low, high = contrast.interval(0.05)
    return bool(low <= 0.1 * 0.1 <= high)  # a tenth of the signal, which is 0.1


def _similarity_interval(number: int, passages: int = 48, sentences: int = 4, width: int = 20) -> tuple[float, ...]:
    """Draw stimuli, some of whose variance their passage shares, and bound the similarity of two codes of them."""
    rng = np.random.default_rng([number, 5])
    groups = np.repeat(np.arange(passages), sentences)
    one = rng.standard_normal((passages, width))[groups] + rng.standard_normal((len(groups), width))
    other = one + rng.standard_normal(one.shape)
    rdms = rsa.rdm(one), rsa.rdm(other)
    drawn = rsa.bootstrap_spearman(rdms[0][None], rdms[1], groups, Study().bootstrap, number)
    return float(np.dot(*rsa.ranks(np.stack(rdms)))), *np.quantile(drawn, [0.025, 0.975])


# --- all of it ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Each:
    """Call a function for the numbers of many studies, in several processes.

    Attributes
    ----------
    share : float
        Part of the studies that are simulated, at least two: less than 1 for a quick look, more for smaller errors.
    cores : int
    """

    share: float = 1.0
    cores: int = field(default_factory=lambda: os.cpu_count() or 1)

    def __call__(self, job: Callable[[int], T], wanted: int, title: str) -> list[T]:
        """Return ``job(0)``, ``job(1)`` …; the number of processes changes nothing in them."""
        begun, count = time.monotonic(), max(2, round(self.share * wanted))
        with ProcessPoolExecutor(self.cores, initializer=_start) as pool:
            found = list(pool.map(job, range(count), chunksize=max(1, count // (8 * self.cores))))
        print(f"{title:<66} {count:>5} studies {time.monotonic() - begun:7.1f} s", flush=True)
        return found


def _start() -> None:
    """Prepare a process: one thread, and no simulated power and interval of single verdicts, which nothing here reads."""
    import torch

    torch.set_num_threads(1)
    verdict_power.DRAWS = statistics.RESAMPLES = 1


def calibrate(each: Each | None = None) -> dict[str, pd.DataFrame]:
    """Return the tables ``rates``, ``found``, ``power`` and ``coverage``."""
    each = each or Each()
    return {**rates(each), "power": power(each), "coverage": coverage(each)}


def main(words: Sequence[str]) -> None:
    """Calibrate with ``[SHARE [PROCESSES]]`` of the studies, and keep the tables if it is at least all of them."""
    begun, share = time.monotonic(), float(words[0]) if words else 1.0
    each = Each(share, *map(int, words[1:2]))
    found = calibrate(each)
    for name, table in found.items():
        print(f"\n{name}\n{table.round(3).to_string(index=False)}")
    if share >= 1:
        facts = {"seconds": round(time.monotonic() - begun), "cores": each.cores, **code_and_versions()}
        print(f"recorded: {recorded.keep('calibration', found, facts)}")


if __name__ == "__main__":
    main(sys.argv[1:])
