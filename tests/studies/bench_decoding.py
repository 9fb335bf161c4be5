"""Speed of the decoding engine beside scikit-learn's and himalaya's: `make bench-decoding`, or with sizes of your own:

python tests/studies/bench_decoding.py --stimuli 200 --voxels 500 --width 96 --seconds 2 --permutations 20

It prints a table and writes `runs/bench/decoding.json`. All that is compared decodes the same data in the same run on
the same threads; scikit-learn and himalaya are timed on as many representations as `--seconds` allow, and scaled.
"""

import argparse
import os
import resource
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import RidgeCV
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from braintune.core.base import REPOSITORY
from braintune.core.preprocess import zscore_varying
from braintune.core.store import write_json
from braintune.neural.ridge import decode, gram_matrices, scores

ALPHAS = np.logspace(0, 6, 20)
FOLDS = 5
FEW, MANY = 21, 273
REGIONS, PARTICIPANTS, DESIGNS = 12, 5, 2

Folds = list[tuple[np.ndarray, np.ndarray]]
#: (train voxels, train targets, test voxels) -> predictions
Fit = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Size:
    """Size of a problem."""

    stimuli: int
    voxels: int
    width: int
    representations: int

    def but(self, **changes: int) -> "Size":
        return Size(**(vars(self) | changes))


@dataclass(frozen=True)
class Scores:
    """Pairwise accuracy and mean squared error of some representations, mean over folds."""

    pairwise: np.ndarray
    mse: np.ndarray


# --- data --------------------------------------------------------------------------------------------------------


def make_voxels(size: Size, seed: int = 0) -> np.ndarray:
    """Voxels that carry forty latent features in much noise, as real ones do."""
    rng = np.random.default_rng([1, seed])
    weights = rng.standard_normal((40, size.voxels), np.float32)
    return latent(size) @ weights + 60 * rng.standard_normal((size.stimuli, size.voxels), np.float32)


def make_embeddings(size: Size) -> Iterator[np.ndarray]:
    """Representations that carry the same features in other mixtures, made one at a time."""
    for seed in range(size.representations):
        rng = np.random.default_rng([2, seed])
        weights = rng.standard_normal((40, size.width), np.float32)
        yield latent(size) @ weights + 3 * rng.standard_normal((size.stimuli, size.width), np.float32)


def latent(size: Size) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((size.stimuli, 40), np.float32)


def make_folds(n: int, seed: int = 0) -> Folds:
    tests = np.array_split(np.random.default_rng([3, seed]).permutation(n), FOLDS)
    return [(np.setdiff1d(np.arange(n), test), np.sort(test)) for test in tests]


# --- the engines -------------------------------------------------------------------------------------------------


def braintune(voxels: np.ndarray, embeddings: Iterable[np.ndarray], folds: Folds, device: str) -> Scores:
    found = decode(gram_matrices(list(embeddings), device=device), {"all": voxels}, folds, ALPHAS)
    return Scores(found["pairwise"][:, 0].mean(0), found["mse"][:, 0].mean(0))


def one_by_one(fit: Fit, voxels: np.ndarray, embeddings: Iterable[np.ndarray], folds: Folds) -> Scores:
    """Decode with a regression of another library, a representation and a fold at a time."""
    pairwise, mse = [], []
    for embedding in embeddings:
        target, found = zscore_varying(embedding).astype(np.float32), []
        for train, test in folds:
            scaler = StandardScaler().fit(voxels[train])
            predicted = fit(scaler.transform(voxels[train]), target[train], scaler.transform(voxels[test]))
            correlation = np.corrcoef(predicted, target[test])[: len(test), len(test) :]
            accuracy = scores(torch.from_numpy(correlation)[None])["pairwise"]
            found.append((float(accuracy[0]), ((predicted - target[test]) ** 2).mean()))
        pairwise.append(np.mean([accuracy for accuracy, _ in found]))
        mse.append(np.mean([error for _, error in found]))
    return Scores(np.array(pairwise), np.array(mse))


def scikit_learn(train: np.ndarray, target: np.ndarray, test: np.ndarray) -> np.ndarray:
    return RidgeCV(ALPHAS).fit(train, target).predict(test)


def himalaya(train: np.ndarray, target: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Choose one penalty for all dimensions, as scikit-learn does, but by five inner folds: it has no leave-one-out."""
    from himalaya.kernel_ridge import KernelRidgeCV

    mean = target.mean(0)
    model = KernelRidgeCV(ALPHAS, cv=5, solver_params={"local_alpha": False}, warn=False)
    return np.asarray(model.fit(train, target - mean).predict(test)) + mean


# --- measuring ---------------------------------------------------------------------------------------------------


def seconds(job: Callable[[], object], clock: Callable[[], float]) -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    start = clock()
    job()
    return clock() - start


def seconds_each(job: Callable[[int], object], clock: Callable[[], float], budget: float) -> tuple[float, int]:
    """Time ``job(0)``, ``job(1)``, … until `budget` seconds are spent; return seconds each and how many there were."""
    start = clock()
    for done in count(1):
        job(done - 1)
        if clock() - start > budget * done / (done + 1) or done == MANY:  # another one would go over
            return (clock() - start) / done, done
    raise AssertionError


def agreement(size: Size, device: str) -> dict[str, float]:
    """Assert that scikit-learn finds the same accuracy and error for three representations."""
    three = size.but(representations=3)
    data = make_voxels(size), make_folds(size.stimuli)
    ours = braintune(data[0], make_embeddings(three), data[1], device)
    theirs = one_by_one(scikit_learn, data[0], make_embeddings(three), data[1])
    accuracy = float(np.abs(ours.pairwise - theirs.pairwise).max())
    error = float(np.abs(ours.mse / theirs.mse - 1).max())
    assert accuracy < 1e-4, f"pairwise accuracy differs from scikit-learn's by {accuracy:.1e}"
    assert error < 1e-4, f"MSE differs from scikit-learn's by {error:.1e} of it"
    return {"max_abs_accuracy_difference": accuracy, "max_rel_mse_difference": error}


def engine_seconds(size: Size, device: str, clock: Callable[[], float]) -> float:
    voxels, embeddings, folds = make_voxels(size), list(make_embeddings(size)), make_folds(size.stimuli)
    return seconds(lambda: braintune(voxels, embeddings, folds, device), clock)


def other_seconds(fit: Fit, size: Size, clock: Callable[[], float], budget: float) -> tuple[float, int]:
    voxels, folds, embeddings = make_voxels(size), make_folds(size.stimuli), list(make_embeddings(size))
    return seconds_each(lambda i: one_by_one(fit, voxels, [embeddings[i % len(embeddings)]], folds), clock, budget)


def himalaya_seconds(size: Size, clock: Callable[[], float], budget: float) -> tuple[float, int, str]:
    """Time himalaya with each backend that works here on one representation, and with the fastest on many."""
    from himalaya.backend import set_backend

    tried = {}
    for backend in ("numpy", "torch", *(["torch_cuda"] if torch.cuda.is_available() else [])):
        set_backend(backend)
        tried[backend] = other_seconds(himalaya, size, clock, 0)[0]
    fastest = min(tried, key=tried.get)
    set_backend(fastest)
    return *other_seconds(himalaya, size, clock, budget), fastest


def exponents(size: Size, device: str, clock: Callable[[], float]) -> dict[str, float]:
    """Fit time ~ size to the power of … over three sizes of each axis, the others as they are."""
    found = {}
    for axis in ("stimuli", "voxels", "width", "representations"):
        sizes = [getattr(size, axis) // part for part in (4, 2, 1)]
        times = [engine_seconds(size.but(**{axis: at}), device, clock) for at in sizes]
        found[f"exponent_{axis}"] = float(np.polyfit(np.log(sizes), np.log(times), 1)[0])
    return found


def permutation_seconds(size: Size, permutations: int, device: str, clock: Callable[[], float]) -> float:
    """Time permuted labels for all representations, every one refitted with its penalty chosen anew."""
    rng = np.random.default_rng(4)
    orders = np.array([rng.permutation(size.stimuli) for _ in range(permutations)])
    source, order = np.tile(np.arange(size.representations), permutations), orders.repeat(size.representations, 0)
    grams, voxels = gram_matrices(list(make_embeddings(size)), device=device), make_voxels(size)
    folds = make_folds(size.stimuli)
    return seconds(lambda: decode(grams, {"all": voxels}, folds, ALPHAS, source, order), clock)


def paper_grid_seconds(size: Size, device: str, clock: Callable[[], float]) -> float:
    """Time participants x regions x representations x fold designs, one participant's voxels in memory at a time."""
    embeddings, total = list(make_embeddings(size)), 0.0
    for participant in range(PARTICIPANTS):
        regions = {str(r): make_voxels(size, REGIONS * participant + r) for r in range(REGIONS)}

        def decode(regions: dict[str, np.ndarray] = regions) -> None:
            grams = gram_matrices(embeddings, device=device)
            for design in range(DESIGNS):
                decode(grams, regions, make_folds(size.stimuli, design), ALPHAS)

        total += seconds(decode, clock)
    return total


def peak_memory_gib() -> float:
    """Largest memory this process has held so far, in GiB (Linux counts in KiB, macOS in bytes)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2 ** (30 if sys.platform == "darwin" else 20)


# --- the table ---------------------------------------------------------------------------------------------------


def measure(options: argparse.Namespace) -> dict[str, float | int | str]:
    """Measure everything; peak memory is read before other libraries have run at full size."""
    clock = time.process_time if options.cpu_time else time.perf_counter
    size, device = Size(options.stimuli, options.voxels, options.width, FEW), options.device
    found: dict[str, float | int | str] = {
        "stimuli": size.stimuli, "voxels": size.voxels, "width": size.width, "penalties": len(ALPHAS), "folds": FOLDS,
        "threads": options.threads, "device": device, "clock": "cpu" if options.cpu_time else "wall",
    }  # fmt: skip
    tell = partial(show, found)
    engine_seconds(size.but(representations=2, voxels=100), device, clock)  # the first use of a library loads it
    tell(s_per_representation_273=engine_seconds(size.but(representations=MANY), device, clock) / MANY)
    tell(peak_memory_gib=peak_memory_gib())
    tell(**agreement(size, device))
    tell(s_per_representation_21=engine_seconds(size, device, clock) / FEW)
    each, timed = other_seconds(scikit_learn, size, clock, options.seconds)
    tell(sklearn_s_per_representation=each, sklearn_representations_timed=timed)
    compare(tell, found, "sklearn")
    if find_spec("himalaya"):
        each, timed, backend = himalaya_seconds(size, clock, options.seconds)
        tell(himalaya_s_per_representation=each, himalaya_representations_timed=timed, himalaya_backend=backend)
        compare(tell, found, "himalaya")
    else:
        print("himalaya is not installed; `pip install himalaya` adds its lines")
    tell(**{f"permutation_{options.permutations}_s": permutation_seconds(size, options.permutations, device, clock)})
    tell(**exponents(size, device, clock))
    tell(paper_grid_s=paper_grid_seconds(size, device, clock))
    return found


def compare(tell: Callable[..., None], found: dict[str, float | int | str], other: str) -> None:
    for n in (FEW, MANY):
        tell(**{f"speedup_{other}_{n}": found[f"{other}_s_per_representation"] / found[f"s_per_representation_{n}"]})


def show(found: dict[str, float | int | str], **values: float | int | str) -> None:
    """Print new values as soon as they are known, and keep them."""
    found |= values
    for name, value in values.items():
        print(f"{name:36s}{value:>14.4g}" if isinstance(value, float) else f"{name:36s}{value:>14}", flush=True)


def main() -> None:
    warnings.filterwarnings("ignore", category=FutureWarning)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stimuli", type=int, default=627)
    parser.add_argument("--voxels", type=int, default=5000, help="in every region")
    parser.add_argument("--width", type=int, default=768, help="dimensions of a representation")
    parser.add_argument("--seconds", type=float, default=60, help="for scikit-learn, and for himalaya")
    parser.add_argument("--permutations", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of every library (default: all cores)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--cpu-time", action="store_true", help="count processor time: for a machine that is busy")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "runs" / "bench" / "decoding.json")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with threadpool_limits(options.threads):
        found = measure(options)
    print(
        f"{found['stimuli']} stimuli, {found['voxels']} voxels, {found['width']} dimensions, {len(ALPHAS)} penalties, "
        f"{FOLDS} folds, {found['threads']} threads, {found['clock']} time. The other libraries' seconds are the mean "
        "of the representations timed."
    )
    write_json(options.out, found)
    print(f"written: {options.out}")


if __name__ == "__main__":
    main()
