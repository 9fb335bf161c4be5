"""Speed and accuracy of the decoder beside other libraries: `make bench-decoding`, or with other sizes:

python tests/studies/bench_decoding.py --stimuli 200 --voxels 500 --width 96 --regions 2 --permutations 5

All choose a penalty in the same folds among the same penalties, in every mode of each library that could serve it best,
the others on principal components of the voxels, which makes them faster and changes no result.
himalaya and fracridge are left out where they are not installed. `--data` (default BRAINTUNE_DATA) is the folder of real
data, to compare accuracy on ten readers of 180 concepts. It prints a table and writes `runs/bench/decoding.json`.
"""

import argparse
import os
import resource
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import PredefinedSplit
from threadpoolctl import threadpool_limits

from braintune.core.base import REPOSITORY
from braintune.core.preprocess import zscore_varying
from braintune.core.store import write_json
from braintune.core.study import Study
from braintune.datasets.brains.base import Stimuli
from braintune.datasets.brains.registry import load_brain
from braintune.models.backbones import load_backbone
from braintune.models.embeddings import embed, stimulus_means
from braintune.neural.decoding import decode
from braintune.neural.folds import Fold, make_folds
from braintune.neural.grams import gram_matrices
from braintune.neural.matching import scores

ALPHAS = np.logspace(-3, 3, 20)  # relative to the mean eigenvalue of the kernel
FEW, LAYERS, PARTICIPANTS = 21, 13, 5
STUDY = Study.make({"profile": "bench", "n_folds": 5, "inner_folds": 4})


def peak_memory() -> float:
    """Return the largest memory this process has held so far, in GiB (Linux counts in KiB, macOS in bytes)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2 ** (30 if sys.platform == "darwin" else 20)


def make_voxels(options: argparse.Namespace, participant: int = 0) -> dict[str, np.ndarray]:
    return {str(r): draw([1, participant, r], options.stimuli, options.voxels, 60) for r in range(options.regions)}


def make_embeddings(options: argparse.Namespace, count: int) -> list[np.ndarray]:
    return [draw([2, seed], options.stimuli, options.width, 3) for seed in range(count)]


def draw(seed: list[int], stimuli: int, columns: int, noise: float) -> np.ndarray:
    """Mix forty features that voxels and embeddings share, and add noise."""
    rng, shared = np.random.default_rng(seed), np.random.default_rng(0).standard_normal((stimuli, 40), np.float32)
    mixed = shared @ rng.standard_normal((40, columns), np.float32)
    return mixed + noise * rng.standard_normal(mixed.shape, np.float32)


def draw_folds(options: argparse.Namespace, seed: int = 0) -> list[Fold]:
    names = [str(i) for i in range(options.stimuli)]
    stimuli = Stimuli(names, names, np.arange(len(names)))
    return make_folds(stimuli, "shuffled", STUDY.model_copy(update={"fold_seed": seed}))


@dataclass
class Problem:
    """One fold: z-scored voxels, centred targets [stimuli, representations, dimensions], inner folds, penalties."""

    train: np.ndarray
    test: np.ndarray
    targets: np.ndarray
    inner: list
    alphas: np.ndarray

    def flat(self) -> np.ndarray:
        return self.targets.reshape(len(self.targets), -1)


def each(solve: Callable[[Problem], np.ndarray], problem: Problem) -> np.ndarray:
    """Solve for one representation at a time."""
    targets = np.split(problem.targets, problem.targets.shape[1], 1)
    return np.concatenate([solve(replace(problem, targets=target)) for target in targets], 1)


def scikit_learn(problem: Problem, dtype: type, **mode: object) -> np.ndarray:
    train, test, target = (part.astype(dtype) for part in (problem.train, problem.test, problem.flat()))
    return RidgeCV(problem.alphas, **mode).fit(train, target).predict(test)


def numpy_loop(problem: Problem) -> np.ndarray:
    """Choose the penalty of each representation by leave-one-out error, with one decomposition per fold."""
    values, vectors = np.linalg.eigh((problem.train @ problem.train.T).astype(np.float64))
    values, vectors = np.maximum(values[1:], 0).astype(np.float32), vectors[:, 1:].astype(np.float32)  # centred
    rotated, left = vectors.T @ problem.flat(), problem.test @ problem.train.T @ vectors
    best, predicted = np.full(problem.targets.shape[1], np.inf), np.empty((len(left), *problem.targets.shape[1:]))
    for alpha in problem.alphas.astype(np.float32):
        kept = alpha / (values + alpha)
        residual = (vectors * kept) @ rotated / ((vectors**2) @ kept)[:, None]
        error = (residual.reshape(problem.targets.shape) ** 2).sum((0, 2))
        better = np.flatnonzero(error < best)
        guess = (left / (values + alpha)) @ rotated
        predicted[:, better] = guess.reshape(predicted.shape)[:, better]
        best = np.minimum(error, best)
    return predicted


def himalaya(problem: Problem, local_alpha: bool, score: str) -> np.ndarray:
    from himalaya import scoring
    from himalaya.backend import set_backend
    from himalaya.kernel_ridge import solve_kernel_ridge_cv_eigenvalues

    set_backend("torch")
    train, test, target = (torch.from_numpy(part).float() for part in (problem.train, problem.test, problem.flat()))
    tested_in = np.empty(len(train), dtype=int)
    for number, (_, tested) in enumerate(problem.inner):
        tested_in[tested] = number
    _, weights, _ = solve_kernel_ridge_cv_eigenvalues(
        train @ train.T,
        target,
        torch.from_numpy(problem.alphas).float(),
        getattr(scoring, score),
        PredefinedSplit(tested_in),
        local_alpha=local_alpha,
    )
    return (test @ train.T @ weights).numpy()


def fraction_ridge(problem: Problem) -> np.ndarray:
    """Choose among as many fractions as there are penalties elsewhere, in the inner folds."""
    from fracridge import fracridge

    fractions = np.linspace(0, 1, len(ALPHAS) + 1)[1:]
    train, target = problem.train, problem.flat()
    error = np.zeros(len(fractions))
    for kept, tested in problem.inner:
        weights, _ = fracridge(train[kept], target[kept], fractions)
        predicted = np.einsum("nv,vfd->fnd", train[tested], weights, optimize=True)
        error += ((predicted - target[tested]) ** 2).sum((1, 2))
    return problem.test @ fracridge(train, target, fractions[error.argmin()])[0].reshape(train.shape[1], -1)


def rivals() -> dict[str, tuple[Callable[[Problem], np.ndarray], int]]:
    """Return solvers by name, and how many representations they solve at a time."""
    found = {}
    for local in (False, True):
        name = ", penalty per dimension" if local else ""
        for mode, dtype in product(("eigen", "svd"), (np.float32, np.float64)):
            solve = partial(scikit_learn, dtype=dtype, gcv_mode=mode, alpha_per_target=local)
            found[f"scikit-learn {mode} {dtype.__name__}{name}"] = (solve if local else partial(each, solve)), 3
        for score in ("l2_neg_loss", "correlation_score") if find_spec("himalaya") else ():
            solve = partial(himalaya, local_alpha=local, score=score)
            found[f"himalaya {score}{name}"] = (solve if local else partial(each, solve)), 7
    if find_spec("fracridge"):
        found["fracridge"] = partial(each, fraction_ridge), 3
    return found | {"NumPy, one eigh per fold": (numpy_loop, FEW)}


def decode_with(
    solve: Callable[[Problem], np.ndarray], voxels: np.ndarray, embeddings: list, folds: list
) -> np.ndarray:
    """Return the pairwise accuracy of each representation, mean over folds."""
    targets = np.stack([zscore_varying(embedding) for embedding in embeddings], 1).astype(np.float32)
    found = []
    for train, test, inner, _ in folds:
        mean, spread = voxels[train].mean(0), voxels[train].std(0)
        scaled = (voxels[np.concatenate([train, test])] - mean) / np.where(spread > 0, spread, np.inf)
        centre = targets[train].mean(0)
        known = targets[train] - centre
        values, axes = np.linalg.eigh((scaled[: len(train)] @ scaled[: len(train)].T).astype(np.float64))
        axes = (axes / np.sqrt(values.clip(1e-30)))[:, values > 1e-6 * values.max()].astype(np.float32)
        components = scaled @ (scaled[: len(train)].T @ axes)  # the same kernel with fewer columns: faster for all
        problem = Problem(*np.split(components, [len(train)]), known, inner, ALPHAS * (spread > 0).sum())
        predicted = solve(problem).reshape(len(test), *centre.shape) + centre
        pairs = zip(predicted.swapaxes(0, 1), targets[test].swapaxes(0, 1), strict=True)
        correlation = np.stack([np.corrcoef(*pair)[: len(test), len(test) :] for pair in pairs])
        found.append(scores(torch.from_numpy(correlation))["pairwise"].numpy())
    return np.mean(found, 0)


def speed(options: argparse.Namespace, show: Callable[..., None]) -> None:
    clock = time.process_time if options.cpu_time else time.perf_counter

    def seconds(job: Callable[..., object], *arguments: object) -> float:
        start = clock()
        job(*arguments)
        return clock() - start

    def engine(embeddings: list[np.ndarray], regions: dict[str, np.ndarray], designs: int = 1, *more: object) -> None:
        grams = gram_matrices(embeddings, device=options.device)
        for design in range(designs):
            decode(grams, regions, draw_folds(options, design), ALPHAS, "scale-free", None, *more)

    regions, embeddings = make_voxels(options), make_embeddings(options, FEW * LAYERS)
    one = {"0": regions["0"]}
    engine(embeddings[:2], one)  # the first use of a library loads it
    ours = {count: seconds(engine, embeddings[:count], one) / count for count in (FEW, FEW * LAYERS)}
    for count, took in ours.items():
        show(f"braintune, seconds per representation of {count}", took)
    show("braintune, peak memory in GiB, one region", peak_memory())
    others = {}
    for name, (solve, batch) in rivals().items():
        took = others[name] = seconds(decode_with, solve, one["0"], embeddings[:batch], draw_folds(options)) / batch
        show(f"{name}, seconds per representation", took)
        show(f"{name}, times braintune's with 21 and 273", [round(took / our, 1) for our in ours.values()])
    show("the fastest of the others", min(others, key=others.__getitem__))
    total = sum(seconds(engine, embeddings, make_voxels(options, p), 2) for p in range(options.participants))
    show(f"grid of {options.participants} participants, {options.regions} regions, two designs, seconds", total)
    rng, layers = np.random.default_rng(3), np.arange(FEW * LAYERS).reshape(FEW, LAYERS)
    orders = np.array([rng.permutation(options.stimuli) for _ in range(options.permutations)])
    null = seconds(engine, embeddings, regions, 1, orders, [*layers, *layers[:, -1:]])
    show(f"one participant, one design, {options.permutations} permutations at both readouts, seconds", null)


def accuracy(show: Callable[..., None]) -> None:
    """Decode layers 0, 3 and 6 of untuned MiniLM from ten readers of 180 concepts."""
    study = Study.load("real")
    brain = load_brain(study, "pereira2018-exp1")
    layers = stimulus_means(embed(load_backbone(study.backbone), brain.stimuli.sentences), brain.stimuli)
    layers, folds = list(layers[[0, 3, 6]]), make_folds(brain.stimuli, "shuffled", STUDY)
    regions = {name: next(iter(brain.load(name).values())) for name in brain.participants}
    for select in ("scale-free", "squared-error"):
        found = decode(gram_matrices(layers), regions, folds, ALPHAS, select)[0]["pairwise"]
        show(f"braintune {select}, pairwise accuracy at layers 0, 3, 6", found.mean((0, 1)).round(3).tolist())
    for name, (solve, _) in rivals().items():
        found = np.mean([decode_with(solve, voxels, layers, folds) for voxels in regions.values()], 0)
        show(f"{name}, pairwise accuracy at layers 0, 3, 6", found.round(3).tolist())


def main() -> None:
    warnings.filterwarnings("ignore")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("stimuli", 627), ("voxels", 5000), ("width", 768), ("regions", 12)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--participants", type=int, default=PARTICIPANTS)
    parser.add_argument("--permutations", type=int, default=100)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of every library (default: all cores)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda; the other libraries use the CPU")
    parser.add_argument("--cpu-time", action="store_true", help="count processor time: for a machine that is busy")
    parser.add_argument("--data", default=os.environ.get("BRAINTUNE_DATA"), help="folder of real data")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "runs" / "bench" / "decoding.json")
    options = parser.parse_args()
    found = {name: value for name, value in vars(options).items() if name not in ("out", "data")}

    def show(name: str, value: float | str | list[float]) -> None:
        found[name] = value
        print(f"{name:84s} {f'{value:>12.4g}' if isinstance(value, float) else value}", flush=True)

    torch.set_num_threads(options.threads)
    with threadpool_limits(options.threads):
        speed(options, show)
        show("peak memory in GiB, of the other libraries too", peak_memory())
        if options.data and Path(options.data).is_dir():
            os.environ["BRAINTUNE_DATA"] = str(Path(options.data).resolve())
            accuracy(show)
        else:
            print("no folder of real data (--data, BRAINTUNE_DATA): accuracy is left out")
    write_json(options.out, found)
    print(f"written: {options.out}")


if __name__ == "__main__":
    main()
