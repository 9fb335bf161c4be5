"""Small brains and embeddings for the tests of this folder."""

import numpy as np

from braintune.core.study import Study
from braintune.datasets.brains.base import BrainData, Stimuli
from braintune.neural.decoding import decode
from braintune.neural.folds import make_folds
from braintune.neural.grams import gram_matrices

#: Penalties relative to the mean eigenvalue of the kernel.
ALPHAS = np.logspace(-3, 2, 9)


def make_stimuli(n, passage=None, topic=None, contiguous=False, sentences=None):
    names = [f"s{i}" for i in range(n)]
    return Stimuli(names, names if sentences is None else sentences, np.arange(n), passage, topic, None, contiguous)


def make_brain(responses, stimuli, name="small"):
    """A brain whose responses are a mapping participant -> region -> array."""
    regions = tuple(next(iter(responses.values())))
    return BrainData(name, tuple(responses), regions, stimuli, True, responses.get)


def make_study(**values):
    return Study.make({"profile": "t", "device": "cpu", "n_alphas": 5, "permutations": 0, "n_folds": 4} | values)


def shuffled(n, **values):
    return make_folds(make_stimuli(n), "shuffled", make_study(**values))


def noisy_pair(n, v, d, rank=6, seed=0):
    """Voxels and an embedding that share `rank` latent features."""
    rng = np.random.default_rng(seed)
    latent = rng.normal(size=(n, rank))
    voxels = latent @ rng.normal(size=(rank, v)) + 2 * rng.normal(size=(n, v)) + rng.normal(size=v)
    embedding = latent @ rng.normal(size=(rank, d)) + rng.normal(size=(n, d)) + rng.normal(size=d)
    return voxels.astype(np.float32), embedding.astype(np.float32)


def decode_one(voxels, embedding, folds, standardise=True, **options):
    return decode(gram_matrices([embedding], standardise), {"a": voxels}, folds, ALPHAS, **options)[0]
