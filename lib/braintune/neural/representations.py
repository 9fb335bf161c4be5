"""The embeddings of a brain's stimuli, as the analyses read them."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from braintune.core.base import BraintuneError
from braintune.core.device import pick_device
from braintune.core.store import read_arrays
from braintune.core.study import Representation, Study
from braintune.neural.grams import Grams, gram_matrices

Embeddings = Mapping[Representation, np.ndarray]
#: Layer at which scores are read out: the one that fits best inside each training fold, and the analysis layer.
READOUTS = ("best", "analysis")


def load_embeddings(study: Study, brain: str) -> dict[Representation, np.ndarray]:
    """Read the embeddings of a brain's stimuli, [layers, stimuli, width] each, for all representations of a study.

    A control without a file is left out: the stimuli do not allow it, and the page of the embeddings step says why.

    Raises
    ------
    BraintuneError
        If the file of another representation is missing.
    """
    files = {wanted: study.embedding_file(brain, wanted.name) for wanted in study.representations()}
    present = {wanted: file for wanted, file in files.items() if wanted.kind != "control" or file.is_file()}
    return {wanted: read_arrays(file)["embedding"] for wanted, file in present.items()}


def analysis_layer(n_layers: int, layer: int) -> int:
    """Return the index of the analysis layer; a representation with one layer has only that."""
    if n_layers == 1:
        return 0
    if not -n_layers <= layer < n_layers:
        raise BraintuneError(f"layer: {layer} is not among 0 … {n_layers - 1}, nor -1 … -{n_layers} from the last")
    return layer % n_layers


def stack_layers(embeddings: Embeddings, n_stimuli: int, study: Study) -> tuple[list[np.ndarray], pd.DataFrame]:
    """List every layer of every representation.

    Returns
    -------
    list of arrays of shape (n_stimuli, width), in the order of the table's rows
    DataFrame
        One row per representation and layer: representation, kind, task, method, seed, layer, and `analysis`, whether
        it is the analysis layer.

    Raises
    ------
    BraintuneError
        If an embedding is not of these stimuli.
    """
    rows, layers = [], []
    for wanted, embedding in embeddings.items():
        if embedding.ndim != 3 or embedding.shape[1] != n_stimuli:
            raise BraintuneError(
                f"embedding of {wanted.name!r} has shape {embedding.shape}; allowed is [layers, "
                f"{n_stimuli} stimuli, width]: embed the stimuli of this brain again"
            )
        at = analysis_layer(len(embedding), study.layer)
        rows += [
            (wanted.name, wanted.kind, wanted.task, wanted.method, wanted.seed, layer, layer == at)
            for layer in range(len(embedding))
        ]
        layers += list(embedding)
    table = pd.DataFrame(rows, columns=["representation", "kind", "task", "method", "seed", "layer", "analysis"])
    return layers, table


def layer_grams(embeddings: Embeddings, n_stimuli: int, study: Study) -> tuple[Grams, pd.DataFrame]:
    """Turn every layer of every representation into a Gram matrix, and return the table of :func:`stack_layers`."""
    layers, table = stack_layers(embeddings, n_stimuli, study)
    names = [f"{name}, layer {layer}" for name, layer in zip(table["representation"], table["layer"], strict=True)]
    device = pick_device(study.device, float64=True)
    return gram_matrices(layers, study.standardise, device, names), table
