"""What a job costs, before it runs: seconds, memory and disk from the profile alone.

A job's seconds are a sum of a few amounts of work, each times a coefficient that was measured (:data:`COEFFICIENTS`).
:func:`amounts` counts the work, from the parameters of the profile and from the sizes of tasks, brains and backbones
(:data:`TASK_SIZES`, :data:`BRAIN_SIZES`, :data:`BACKBONE_SIZES`); files of the data folder are looked at where they are
there. Counting takes no time and loads no model, since Snakemake asks for each job that it hands to a cluster.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from braintune.core import base
from braintune.core.base import BraintuneError, lookup
from braintune.core.study import Study
from braintune.datasets.brains import registry
from braintune.workflow.jobs import Job, make_job


@dataclass(frozen=True)
class Coefficient:
    """What a unit of work costs on one core.

    Attributes
    ----------
    seconds : float
        For one unit.
    unit : str
    source : str
        How it was measured.
    gpu : bool
        Whether a GPU makes it faster.
    """

    seconds: float
    unit: str
    source: str
    gpu: bool = False


_FITTED = "fitted to the tuning jobs of seed 0 in `data/reference/real`, by `tests/fit_cost.py`"
_REST = "between `data/reference/real` and `real`: what these jobs took, less the work below"

#: One thread of a shared cloud machine (x86-64, AVX-512), PyTorch 2.13 without a GPU, two jobs on two cores.
COEFFICIENTS: dict[str, Coefficient] = {
    "tuning": Coefficient(7.0, "a notebook of tuning", "the time in which a kernel starts and imports torch"),
    "embeddings": Coefficient(7.0, "a notebook of embeddings", "as tuning"),
    "decoding": Coefficient(10.0, "a notebook of decoding", _REST),
    "rsa": Coefficient(11.0, "a notebook of similarity", _REST),
    "figures": Coefficient(35.0, "the notebook of figures", "`real`"),
    "tokens": Coefficient(19.6, "10¹² tokens × weights of the layers × passes", _FITTED, gpu=True),
    "weights": Coefficient(0.33, "10⁹ trained weights × steps of the optimiser", _FITTED, gpu=True),
    "steps": Coefficient(46.0, "1,000 steps of a model of six layers", _FITTED),
    "loading": Coefficient(55.0, "10⁹ weights loaded, checked and tuned", _REST),
    "products": Coefficient(25.0, "10¹² operations in Gram space", "the decoder alone, 84 to 627 stimuli", gpu=True),
    "ranking": Coefficient(8.0, "10⁹ pairs of stimuli ranked in the bootstrap", "that alone, 84 to 384 stimuli"),
    "reading": Coefficient(10.0, "10⁹ bytes of voxel responses", "assumed: 100 MB a second from a shared folder"),
}  # fmt: skip

#: How many times faster a GPU is than one core at what it makes faster. Assumed: no GPU was there to measure it on.
GPU_FACTOR = 30.0

#: Passes over the weights for one token of training: forward one, and backward one for the activations and one for the
#: weights that are trained.
PASSES = {"fine-tuned": 3.0, "head-only": 1.0, "lora": 2.3}
_PASSES_OF_OTHERS = 2.0


@dataclass(frozen=True)
class TaskSize:
    """Rows and mean padded tokens of a row, as the encoder reads it."""

    train: int
    test: int
    tokens: float


_REAL = {
    "chunking": TaskSize(3000, 1000, 30.4),
    "ner": TaskSize(3000, 1000, 32.6),
    "srl": TaskSize(3000, 1000, 35.0),
    "coreference": TaskSize(2454, 1000, 96.6),
    "wsd": TaskSize(3000, 1000, 22.0),
    "nli": TaskSize(1767, 1000, 54.4),
    "paraphrase": TaskSize(3000, 1000, 56.1),
    "qa": TaskSize(3000, 1000, 43.4),
    "sentiment": TaskSize(3000, 1000, 24.9),
    "emotion": TaskSize(3000, 1000, 19.9),
}
_GENERATED = {"chunking": 13.7, "ner": 11.8, "srl": 16.0, "coreference": 21.9, "wsd": 24.1, "nli": 21.8,
              "paraphrase": 21.0, "qa": 38.1, "sentiment": 14.8, "emotion": 17.0}  # fmt: skip

#: Task source → task → its size. Those of the folder were counted in the data that the project describes; the hub's
#: vary with the data set, and are taken to have rows of the same length.
TASK_SIZES: dict[str, dict[str, TaskSize]] = {
    "folder": _REAL,
    "hub": _REAL,
    "microworld": {task: TaskSize(1000, 1000, tokens) for task, tokens in _GENERATED.items()},
}

#: A task that has been added and is not listed above.
UNLISTED_TASK = TaskSize(3000, 1000, 40.0)


@dataclass(frozen=True)
class BrainSize:
    """Participants, regions, stimuli, sentences, tokens of one, voxels of all regions, bytes of a participant."""

    participants: int
    regions: int
    stimuli: int
    sentences: int
    tokens: float
    voxels: int = 1000
    bytes: float = 1e6


#: Brain data set → its size. `pereira2018` is what the release describes and has not been counted here; one that is not
#: listed is taken to be like `folder`.
BRAIN_SIZES: dict[str, BrainSize] = {
    "simulated": BrainSize(5, 12, 384, 384, 13.1, voxels=2640, bytes=0),
    "pereira2018-exp1": BrainSize(10, 1, 180, 1080, 10.7, voxels=256),
    "alice2016": BrainSize(20, 7, 84, 84, 27.6, voxels=48),
    "pereira2018": BrainSize(5, 20, 627, 627, 15.0, voxels=60_000, bytes=1.2e9),
    "pereira2018-hub": BrainSize(8, 4, 384, 384, 15.0, voxels=40_000, bytes=0.8e9),
    "folder": BrainSize(20, 8, 400, 400, 15.0, voxels=20_000, bytes=1e8),
}


@dataclass(frozen=True)
class BackboneSize:
    """Layers, width, and millions of parameters with the embeddings of the vocabulary."""

    layers: int
    width: int
    millions: float

    @property
    def body(self) -> float:
        """Weights of the layers, which every token passes."""
        return 12.0 * self.layers * self.width**2


#: Backbone → its size; another one is taken to have the size of BERT-base.
BACKBONE_SIZES: dict[str, BackboneSize] = {
    "all-MiniLM-L6-v2": BackboneSize(6, 384, 22.7),
    "bert-base-cased": BackboneSize(12, 768, 108),
    "roberta-base": BackboneSize(12, 768, 125),
    "distilbert-base-cased": BackboneSize(6, 768, 65),
    "answerdotai/ModernBERT-base": BackboneSize(22, 768, 149),
    "gpt2": BackboneSize(12, 768, 124),
}


def backbone_size(run: Study) -> BackboneSize:
    """Return the size of a run's backbone."""
    return BACKBONE_SIZES.get(run.backbone, BACKBONE_SIZES["bert-base-cased"])


def task_size(run: Study, task: str) -> TaskSize:
    """Return the size of a task as a run learns it; rows of the data folder are counted where they are there."""
    listed = TASK_SIZES[run.task_source].get(task, UNLISTED_TASK)
    rows = {part: getattr(listed, part) for part in ("train", "test")}
    if run.task_source == "folder":
        files = {part: base.data_folder() / "nlu" / task / f"{part}.jsonl" for part in rows}
        rows = {part: _lines(file) if file.is_file() else rows[part] for part, file in files.items()}
    wanted = {"train": run.train_examples, "test": run.test_examples}
    if run.task_source == "microworld":  # as many are generated as are wanted
        rows = {part: wanted[part] or rows[part] for part in rows}
    found = {part: min(rows[part], wanted[part] or rows[part]) for part in rows}
    return TaskSize(found["train"], found["test"], min(listed.tokens, run.max_tokens))


@cache
def _lines(file: Path) -> int:
    with file.open("rb") as rows:
        return sum(1 for row in rows if row.strip())


def brain_size(run: Study, name: str) -> BrainSize:
    """Return the size of a brain data set as a run decodes it: its chosen participants and regions."""
    listed = BRAIN_SIZES.get(name, BRAIN_SIZES["folder"])
    people = len(run.participants) if run.participants else _participants(run, name, listed.participants)
    regions = len(run.regions) if run.regions else listed.regions
    changed = {"participants": people, "regions": regions}
    if name == "simulated":
        n = run.passages * run.sentences_per_passage
        changed |= {"stimuli": n, "sentences": n, "voxels": 22 * run.voxels_per_region}
    return BrainSize(**{**listed.__dict__, **changed})


def _participants(run: Study, name: str, otherwise: int) -> int:
    if name == "simulated":
        return run.simulated_participants
    try:
        return len(registry.load_brain(run, name).participants)
    except BraintuneError:  # its data are not there
        return otherwise


# --- work ----------------------------------------------------------------------------------------------------------


def amounts(run: Study, job: Job) -> dict[str, float]:
    """Return the work of a job: coefficient's name → units of it.

    Parameters
    ----------
    run : Study
    job : Job
        One of its jobs; the longest training of the search counts as the one that is chosen.
    """
    own = dict(job.parameters)
    work = {"tuning": _tuning, "embeddings": _embeddings, "decoding": _decoding, "rsa": _rsa}
    return {job.step: 1.0} | (work[job.step](run, **own) if job.step in work else {})


def _tuning(run: Study, task: str, method: str, seed: int) -> dict[str, float]:
    """Search and training: tokens forth and back, steps of the optimiser, and scoring after every epoch."""
    size, model = task_size(run, task), backbone_size(run)
    train = round(size.train * (1 - run.validation_fraction))
    rates = len(lookup(run.learning_rates, method, "key of learning_rates"))
    trials = sum(run.epochs) * rates if len(run.epochs) * rates > 1 else 0  # epochs in all trials
    longest = max(run.epochs)
    seen = trials * min(run.search_examples, train) + longest * train
    scored = (trials + longest) * (size.train - train) + size.test
    steps = seen / (run.batch_size * run.accumulate)
    trained = model.millions / 1e3 if method == "fine-tuned" else 1e-4
    forth_and_back = PASSES.get(method, _PASSES_OF_OTHERS) * seen + scored
    return {
        "tokens": size.tokens * model.body * forth_and_back / 1e12,
        "weights": trained * steps,
        "steps": steps * model.layers / 6 / 1e3,
    }


def _models(run: Study) -> int:
    """Representations that a model makes: all but the codes and the user's vectors."""
    codes = {"passage", "length", "position", *run.vectors}
    return sum(representation.name not in codes for representation in run.representations())


def _embeddings(run: Study, brain: str) -> dict[str, float]:
    size, model, models = brain_size(run, brain), backbone_size(run), _models(run)
    return {
        "tokens": models * size.sentences * size.tokens * model.body / 1e12,
        "loading": models * model.millions / 1e3,
    }


def _items(run: Study) -> int:
    """Gram matrices of a run: every layer of every representation."""
    return len(run.representations()) * (backbone_size(run).layers + 1)


def _decoding(run: Study, brain: str, participant: str) -> dict[str, float]:
    """Per region and fold: the ridge solutions, then the choice of the penalty and the predictions of every item."""
    size = brain_size(run, brain)
    n, folds = size.stimuli, run.n_folds
    train, test = n * (folds - 1) / folds, n / folds
    ridges = 2 * run.n_alphas * train**3 + 2 * train**2 * size.voxels / size.regions
    item = 2 * test * train * n + 2 * run.n_alphas * train**2
    products = len(run.designs) * folds * size.regions * (ridges + (_items(run) + run.permutations) * item)
    return {"products": products / 1e12, "reading": size.bytes / 1e9}


def _rsa(run: Study, brain: str) -> dict[str, float]:
    """Similarities of all items with each other and with the brains, and the bootstrap of the representations."""
    size, items, pairs = brain_size(run, brain), _items(run), brain_size(run, brain).stimuli ** 2
    products = 3 * pairs * items * (items + 2 * size.participants * size.regions)
    return {
        "products": products / 1e12,
        "ranking": pairs * run.bootstrap * len(run.representations()) / 1e9,
        "reading": size.participants * size.bytes / 1e9,
    }


# --- seconds, memory, disk -------------------------------------------------------------------------------------------


def seconds(run: Study, job: Job, gpu: bool = False) -> float:
    """Return the seconds that a job takes on one core, or on one core with a GPU (:data:`GPU_FACTOR`)."""
    parts = seconds_by_work(amounts(run, job), gpu)
    return sum(parts.values())


def seconds_by_work(work: Mapping[str, float], gpu: bool = False) -> dict[str, float]:
    """Return coefficient's name → seconds of some work."""
    return {
        name: units * COEFFICIENTS[name].seconds / (GPU_FACTOR if gpu and COEFFICIENTS[name].gpu else 1.0)
        for name, units in work.items()
    }


def memory(run: Study, job: Job) -> float:
    """Return the MB of memory that a job has at its peak: what it has loaded, then weights, activations or arrays."""
    own, model = dict(job.parameters), backbone_size(run)
    numbers = 0.0  # of four bytes
    if job.step == "tuning":
        copies = 5 if own["method"] == "fine-tuned" else 1  # weights, gradients, two moments, the best ones
        tokens = run.batch_size * min(3 * task_size(run, own["task"]).tokens, run.max_tokens)  # the longest batch
        kept = 15 if own["method"] == "head-only" else 60  # numbers for each unit of a layer: some go backward
        numbers = copies * model.millions * 1e6 + tokens * model.layers * model.width * kept
    elif job.step == "embeddings":
        numbers = 2 * model.millions * 1e6 + run.embedding_batch * 64 * model.width * 20
    elif job.step in ("decoding", "rsa"):
        size, items = brain_size(run, own["brain"]), _items(run)
        grams, vectors = items * size.stimuli**2, items * size.stimuli * model.width
        numbers = vectors + grams * (2 if job.step == "decoding" else 5) + 3 * size.voxels * size.stimuli
    return 1100 + 4 * numbers / 2**20


def disk(run: Study) -> float:
    """Return the MB that a run writes: weights, embeddings, tables, notebooks and the book."""
    model = backbone_size(run)
    full = len(run.tasks) * len(run.seeds) * ("fine-tuned" in run.methods) * model.millions * 4
    vectors = sum(_items(run) * brain_size(run, name).stimuli * model.width * 4 / 2**20 for name in run.brains)
    pages = len(run.tasks) * len(run.methods) * len(run.seeds)
    pages += sum(brain_size(run, name).participants for name in run.brains)
    return full + vectors + 60 + 1.5 * pages


def request(run: Study, job: Job, gpu: bool = False) -> dict[str, int]:
    """Return what a job asks a cluster for: ``mem_mb`` and ``runtime`` in minutes, with room to spare.

    Half as much memory again and twice the time, since the machine is another one, and the files lie on a network.
    """
    return {
        "mem_mb": 500 * math.ceil(1.5 * memory(run, job) / 500),
        "runtime": 5 * math.ceil((5 + 2 * seconds(run, job, gpu) / 60) / 5),
    }


def read_label(label: str) -> Job:
    """Return the job of a label, as `provenance.json` has it: ``tuning · ner · fine-tuned · seed 0``."""
    step, *words = label.split(" · ")
    names = {"tuning": ("task", "method", "seed"), "decoding": ("brain", "participant")}.get(step, ("brain",))
    values = {n: int(w.removeprefix("seed ")) if n == "seed" else w for n, w in zip(names, words, strict=False)}
    return make_job(step, **values)
