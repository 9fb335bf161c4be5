"""Control representations: content-free codes of the stimuli, the user's own vectors, untrained encoders."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from braintune.core.base import BraintuneError, data_folder
from braintune.core.device import pick_device
from braintune.core.study import Study
from braintune.datasets.brains.base import Stimuli, read_array, stimulus_means
from braintune.models.backbones import Backbone, load_backbone, random_backbone
from braintune.models.prefix import attach_prefix


class NotAvailable(BraintuneError):
    """A control that these stimuli do not allow; the message is the reason."""


def gaussian_basis(values: np.ndarray, n: int = 12) -> np.ndarray:
    """Encode one property as its closeness to `n` centres, so that stimuli can be correlated.

    Parameters
    ----------
    values : array of shape (n_stimuli,)
    n : int
        Gaussians, evenly spaced from the smallest to the largest value, one spacing wide.

    Returns
    -------
    array of shape (n_stimuli, n), float32

    Raises
    ------
    NotAvailable
        If all values are the same.
    """
    values = np.asarray(values, dtype=np.float64)
    centres, spacing = np.linspace(values.min(), values.max(), n, retstep=True)
    if spacing <= 0:
        raise NotAvailable(f"it is {values[0]:g} for all {len(values)} stimuli")
    return np.exp(-0.5 * ((values[:, None] - centres) / spacing) ** 2).astype(np.float32)


def passage_code(study: Study, stimuli: Stimuli) -> np.ndarray:
    """Code which passage a stimulus belongs to, and nothing of its content.

    Every passage has a random vector, to which every stimulus adds a hundredth of a random vector, so that no two are
    equal. A story has no passages: there the vector drifts, and stimuli are alike over about the length of one block
    of the grouped design.

    Returns
    -------
    array of shape (n_stimuli, 64), float32

    Raises
    ------
    NotAvailable
        If the stimuli have neither passages nor an order.
    """
    rng = np.random.default_rng(study.world_seed)
    n, width = len(stimuli.names), 64
    if stimuli.groups is not None:
        names, number = np.unique(stimuli.groups, return_inverse=True)
        vectors = rng.standard_normal((len(names), width))[number]
    elif stimuli.contiguous and stimuli.position is not None:
        reach = n / study.blocks / 2
        weights = np.exp(-0.5 * ((stimuli.position[:, None] - np.arange(n)) / reach) ** 2)
        vectors = weights / np.linalg.norm(weights, axis=1, keepdims=True) @ rng.standard_normal((n, width))
    else:
        raise NotAvailable("these stimuli have neither passages nor an order")
    return (vectors + 0.01 * rng.standard_normal((n, width))).astype(np.float32)


def length_code(study: Study, stimuli: Stimuli) -> np.ndarray:
    """Code the length of a stimulus in words and characters (mean over its sentences) as :func:`gaussian_basis`.

    Returns
    -------
    array of shape (n_stimuli, 24), float32
        Only 12 columns where all stimuli have equally many words.
    """
    counts = np.array([(len(sentence.split()), len(sentence)) for sentence in stimuli.sentences], dtype=np.float64)
    lengths = [means for means in stimulus_means(counts[None], stimuli)[0].T if np.ptp(means) > 0]
    if not lengths:
        raise NotAvailable("these stimuli are all of the same length")
    return np.hstack([gaussian_basis(means) for means in lengths])


def position_code(study: Study, stimuli: Stimuli) -> np.ndarray:
    """Code a stimulus's place in its passage or story as :func:`gaussian_basis`.

    Returns
    -------
    array of shape (n_stimuli, 12), float32
    """
    if stimuli.position is None:
        raise NotAvailable("these stimuli were presented in no fixed order")
    return gaussian_basis(stimuli.position)


def user_vectors(file: str, stimuli: Stimuli) -> np.ndarray:
    """Read the user's vectors of the stimuli, such as word vectors or features of another model.

    Parameters
    ----------
    file : str
        Path of an .npz file in the data folder; its array ``vectors`` has a row for each stimulus, in their order.
    stimuli : Stimuli

    Returns
    -------
    array of shape (n_stimuli, width), float32

    Raises
    ------
    NotAvailable
        If the number of rows is not that of the stimuli: the file belongs to another brain data set.
    BraintuneError
        If there is no such file, or it cannot be read.
    """
    vectors = read_array(data_folder() / file, "vectors")
    if len(vectors) != len(stimuli.names):
        raise NotAvailable(f"{file} has {len(vectors)} rows, and there are {len(stimuli.names)} stimuli")
    return vectors.astype(np.float32)


def _random_weights(study: Study, stimuli: Stimuli) -> Backbone:
    return random_backbone(study.backbone, study.world_seed, device=pick_device(study.device))


def _prefix(study: Study, stimuli: Stimuli, *, random: bool) -> Backbone:
    backbone = load_backbone(study.backbone, device=pick_device(study.device))
    std = study.prefix_std if random else 0.0
    layers, seed = study.prompt_layers, study.world_seed
    attach_prefix(backbone.model, study.prefix_length, std=std, layers=layers, seed=seed)
    kind = f"random prefix (seed {study.world_seed})" if random else "zero prefix"
    return replace(backbone, name=f"{study.backbone}, {kind}")


#: Control → function of (study, stimuli), which returns a code (n_stimuli, width), or a backbone to embed with.
CONTROLS: dict[str, Callable[[Study, Stimuli], np.ndarray | Backbone]] = {
    "passage": passage_code,
    "length": length_code,
    "position": position_code,
    "random-weights": _random_weights,
    "zero-prefix": partial(_prefix, random=False),
    "random-prefix": partial(_prefix, random=True),
}
