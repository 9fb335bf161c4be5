"""Speed of a GPU beside the CPU, and whether both give the same numbers; run it on each, then compare:

PYTHONPATH=tests .venv/bin/python tests/studies/bench_device.py cuda FOLDER
PYTHONPATH=tests .venv/bin/python tests/studies/bench_device.py cpu FOLDER --without-tuning
PYTHONPATH=tests .venv/bin/python tests/studies/bench_device.py compare FOLDER

An encoder of the size of bert-base-cased with random weights: speed does not depend on what it knows. Tuning: both
methods, float32 and bfloat16, batches padded as they come or grouped by length; seconds of whole epochs after the first.
Embedding: the stimuli of the microworld. Decoding: 273 representations × 12 regions, five folds, without and with
permuted labels. The numbers are written to FOLDER, decoding accuracies to compare among them.
"""

import argparse
import sys
import time
from itertools import product
from pathlib import Path

import numpy as np
import torch
from full_size import write_encoder
from torch.utils.data import BatchSampler, RandomSampler
from transformers import TrainerCallback

from braintune.core.store import read_json, write_json
from braintune.core.study import Study
from braintune.datasets.brains.base import Stimuli
from braintune.datasets.microworld.passages import stimuli
from braintune.datasets.tasks import load_task
from braintune.models import training
from braintune.models.backbones import load_backbone
from braintune.models.embeddings import embed
from braintune.models.tuning import encode_rows, fresh_model
from braintune.neural.decoding import alphas, decode
from braintune.neural.folds import make_folds
from braintune.neural.grams import gram_matrices

#: Sizes of the decoding: representations, dimensions, and voxels of the regions.
REPRESENTATIONS, WIDTH = 273, 768
VOXELS = (5000, 4000, 3000, 2500, 350, 350, 350, 350, 350, 350, 350, 350)


def wait(device):
    if device.type == "cuda":
        torch.cuda.synchronize()


class Clock(TrainerCallback):
    """Moments at which epochs end."""

    def __init__(self, device):
        self.device, self.moments = device, []

    def on_epoch_end(self, *args, **given):
        wait(self.device)
        self.moments.append(time.perf_counter())


def tuning(folder, device, task="nli", epochs=3):
    """Examples a second of every arm: method, precision and batches."""
    found, grouped = {}, training.LengthGroupedSampler
    for method, precision, batches in product(
        ("fine-tuned", "prompt-tuned"), ("float32", "bfloat16"), ("as they come", "grouped by length")
    ):
        study = Study.make(
            {
                "backbone": str(folder / "encoder"), "tasks": [task], "train_examples": 1000, "test_examples": 10,
                "validation_fraction": 0, "precision": precision, "batch_size": 32, "max_tokens": 128,
            }
        )  # fmt: skip
        data, backbone = load_task(study, task), load_backbone(study.backbone)
        examples, nothing = (encode_rows(study, data, backbone, rows) for rows in (data.train, []))
        conditions = training.Conditions(study, 0, device, nothing)
        model = fresh_model(conditions, data, method)
        training.LengthGroupedSampler = grouped if batches == "grouped by length" else _drawn
        trainer = training.make_trainer(
            conditions, model, examples, training.Recipe(1e-4, epochs), folder / "scratch", method
        )
        trainer.args.save_strategy, clock = "no", Clock(device)
        trainer.add_callback(clock)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        trainer.train()
        seconds = min(np.diff(clock.moments))
        peak = torch.cuda.max_memory_allocated() / 2**20 if device.type == "cuda" else float("nan")
        found[f"{method}, {precision}, {batches}"] = {"examples a second": len(data.train) / seconds, "MiB": peak}
        print(
            f"  {method}, {precision}, {batches}: {len(data.train) / seconds:.0f} examples/s, {peak:.0f} MiB",
            flush=True,
        )
    training.LengthGroupedSampler = grouped
    return found


def _drawn(lengths, size):
    return BatchSampler(RandomSampler(lengths), size, drop_last=False)


def embedding(folder, device, sentences):
    """Sentences a second, and the vectors of some."""
    backbone, seconds = load_backbone(str(folder / "encoder"), device=device), []
    for _ in range(3):
        started = time.perf_counter()
        vectors = embed(backbone, sentences)
        seconds.append(time.perf_counter() - started)
    return {"sentences a second": len(sentences) / min(seconds)}, vectors[:, :20]


def decoding(device, permutations):
    """Seconds of decoding, and the accuracies."""
    study, random = Study.make({"permutations": permutations}), np.random.default_rng(0)
    n = 384
    shared = random.standard_normal((n, 40)).astype(np.float32)
    made = [
        shared @ random.standard_normal((40, WIDTH), dtype=np.float32) + random.standard_normal((n, WIDTH), np.float32)
        for _ in range(REPRESENTATIONS)
    ]
    regions = {
        f"region {i}": shared @ random.standard_normal((40, v), np.float32)
        + 150 * random.standard_normal((n, v), np.float32)
        for i, v in enumerate(VOXELS)
    }
    names = [f"sentence number {i}" for i in range(n)]
    folds = make_folds(Stimuli(names, names, np.arange(n)), "shuffled", study)
    orders = np.stack([random.permutation(n) for _ in range(permutations)]) if permutations else None
    wait(device)
    started = time.perf_counter()
    grams = gram_matrices(made, True, device)
    readouts = [np.array([i]) for i in range(REPRESENTATIONS)]
    scores, null, _ = decode(grams, regions, folds, alphas(study), orders=orders, readouts=readouts)
    wait(device)
    seconds = time.perf_counter() - started
    return {"seconds": seconds}, scores["pairwise"], scores["choice"], null["pairwise"]


def measure(device, folder, with_tuning, permutations):
    device = torch.device(device)
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    print(f"{device.type}: {name}, torch {torch.__version__}", flush=True)
    sentences = list(stimuli(Study.make({"passages": 157})).sentences)
    if not (folder / "encoder").is_dir():
        write_encoder(folder / "encoder", sentences)
    facts = {"device": name, "torch": torch.__version__}
    facts["embedding"], vectors = embedding(folder, device, sentences)
    print(f"  embedding: {facts['embedding']}", flush=True)
    if device.type == "cuda":
        decoding(device, 0)  # what is loaded and compiled once does not count
    facts["decoding"], pairwise, choice, _ = decoding(device, 0)
    print(f"  decoding: {facts['decoding']}", flush=True)
    null = np.empty(0)
    if permutations:
        facts[f"decoding, {permutations} permutations"], *_, null = decoding(device, permutations)
        print(f"  with {permutations} permutations: {facts[f'decoding, {permutations} permutations']}", flush=True)
    np.savez(folder / f"{device.type}.npz", vectors=vectors, pairwise=pairwise, choice=choice, null=null)
    write_json(folder / f"{device.type}.json", facts)
    if with_tuning:
        facts["tuning"] = tuning(folder, device)
        write_json(folder / f"{device.type}.json", facts)


def compare(folder):
    """Say how far the numbers of both devices differ."""
    one, other = (np.load(folder / f"{name}.npz", allow_pickle=False) for name in ("cpu", "cuda"))
    for name in one.files:
        a, b = one[name], other[name]
        if a.shape == b.shape and a.size:
            print(f"{name} {a.shape}: largest difference {np.abs(a - b).max():.2e}, equal {np.mean(a == b):.2%}")
    for name in ("cpu", "cuda"):
        print(name, read_json(folder / f"{name}.json"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("cpu", "cuda", "compare"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--without-tuning", action="store_true")
    parser.add_argument("--permutations", type=int, default=10)
    options = parser.parse_args()
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if options.what == "compare":
        return compare(folder)
    return measure(options.what, folder, not options.without_tuning, options.permutations)


if __name__ == "__main__":
    sys.exit(main())
