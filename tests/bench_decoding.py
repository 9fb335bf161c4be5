"""Speed of the decoding engine beside scikit-learn's and himalaya's: `make bench`, or with sizes of your own:

python tests/bench_decoding.py --stimuli 627 --voxels 5000 --width 768 --representations 21 --threads 1
"""

import argparse
import time
from importlib.util import find_spec

import numpy as np
import torch
from sklearn.linear_model import RidgeCV
from sklearn.preprocessing import StandardScaler

from braintune import gram

ALPHAS = np.logspace(0, 6, 20)
FOLDS = 5


def make_data(options):
    rng = np.random.default_rng(0)
    latent = rng.normal(size=(options.stimuli, 40))
    voxels = latent @ rng.normal(size=(40, options.voxels)) + 60 * rng.normal(size=(options.stimuli, options.voxels))
    embeddings = [
        latent @ rng.normal(size=(40, options.width)) + 3 * rng.normal(size=(options.stimuli, options.width))
        for _ in range(options.representations)
    ]
    tests = np.array_split(rng.permutation(options.stimuli), FOLDS)
    folds = [(np.setdiff1d(np.arange(options.stimuli), test), np.sort(test)) for test in tests]
    return voxels.astype(np.float32), [e.astype(np.float32) for e in embeddings], folds


def engine(voxels, embeddings, folds, device):
    start = time.perf_counter()
    found = gram.decode(gram.gram_matrices(embeddings, device=device), {"all": voxels}, folds, ALPHAS)
    seconds = (time.perf_counter() - start) / len(embeddings)
    return seconds, found["pairwise"][:, 0, 0].mean(), found["mse"][:, 0, 0].mean()


def fold_by_fold(fit, voxels, embedding, folds):
    """Time `fit(train voxels, train targets, test voxels) -> predictions` over the folds of one representation."""
    start = time.perf_counter()
    target, pairwise, mse = gram.standardised(embedding).astype(np.float32), [], []
    for train, test in folds:
        scaler = StandardScaler().fit(voxels[train])
        predicted = fit(scaler.transform(voxels[train]), target[train], scaler.transform(voxels[test]))
        m = len(test)
        correlation = np.corrcoef(predicted, target[test])[:m, m:]
        pairwise.append(float(gram.scores(torch.from_numpy(correlation)[None])["pairwise"]))
        mse.append(((predicted - target[test]) ** 2).mean())
    return time.perf_counter() - start, np.mean(pairwise), np.mean(mse)


def scikit_learn(train, target, test):
    return RidgeCV(ALPHAS).fit(train, target).predict(test)


def himalaya(train, target, test):
    from himalaya.kernel_ridge import KernelRidgeCV

    mean = target.mean(0)
    return KernelRidgeCV(alphas=ALPHAS, cv=5).fit(train, target - mean).predict(test) + mean


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("stimuli", 627), ("voxels", 5000), ("width", 768), ("representations", 21), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    voxels, embeddings, folds = make_data(options)
    print(
        f"{options.stimuli} stimuli, {options.voxels} voxels, {options.width} dimensions, "
        f"{len(ALPHAS)} penalties, {FOLDS} folds, {options.threads} thread(s) for torch"
    )
    print(f"{'':34s}{'s per representation':>22s}{'pairwise':>10s}{'MSE':>11s}")
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    results = {}
    for device in devices:
        if device == "cuda":
            engine(voxels, embeddings[:1], folds, device)  # the first use of a GPU loads its libraries
        name = f"braintune, {device} ({len(embeddings)} at once)"
        results[name] = engine(voxels, embeddings, folds, device)
        show(name, results[name])
    slow = fold_by_fold(scikit_learn, voxels, embeddings[0], folds)
    show("scikit-learn RidgeCV (one)", slow)
    if find_spec("himalaya"):
        show("himalaya KernelRidgeCV (one)", fold_by_fold(himalaya, voxels, embeddings[0], folds))
    else:
        print("himalaya is not installed; `pip install himalaya` adds its line")
    for name, (seconds, pairwise, mse) in results.items():
        print(
            f"{name}: {slow[0] / seconds:.0f} times as fast as scikit-learn; "
            f"pairwise differs by {abs(pairwise - slow[1]):.1e}, MSE by {abs(mse / slow[2] - 1):.1e} relative"
        )


def show(name, result):
    seconds, pairwise, mse = result
    print(f"{name:34s}{seconds:22.3f}{pairwise:10.4f}{mse:11.6f}", flush=True)


if __name__ == "__main__":
    main()
