"""Decoding one participant: every region, every representation and layer, in tidy tables."""

import warnings
from collections.abc import Mapping

import numpy as np
import pandas as pd

from braintune.core.base import BraintuneError
from braintune.core.settings import DecodingSettings
from braintune.core.study import Study
from braintune.datasets.brains.base import BrainData, Stimuli
from braintune.neural.folds import make_folds, permutations, topics
from braintune.neural.representations import Embeddings, layer_grams
from braintune.neural.ridge import GROUP_SCORES, SCORES, decode


def alphas(settings: DecodingSettings) -> np.ndarray:
    """Return the ridge penalties to choose from, ascending."""
    return np.logspace(*settings.alpha_exponents, settings.n_alphas)


def decode_participant(
    study: Study, brain: BrainData, participant: str, embeddings: Embeddings
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Decode every representation and layer from every region of one participant, under every fold design.

    Parameters
    ----------
    study : Study
    brain : BrainData
        As :func:`braintune.datasets.brains.registry.load_brain` returns it: its responses are checked.
    participant : str
    embeddings : mapping of Representation to array of shape (n_layers, n_stimuli, width)

    Returns
    -------
    table : DataFrame
        One row per region, design, fold, representation and layer: `alpha` is the chosen penalty, `alpha_edge` whether
        it lies at an edge of the grid; for the scores see :func:`braintune.neural.ridge.scores`. Groups are those of
        :func:`braintune.neural.folds.topics`; without any, their two scores are NaN.
    null : DataFrame
        One row per region, design and permutation: the scores of the untuned representation at the analysis layer
        with permuted labels (:func:`braintune.neural.folds.permutations`), penalty selection included, mean over folds.

    Raises
    ------
    BraintuneError
        If the embeddings cannot be analysed, or none of the designs exists for these stimuli.
    """
    regions = brain.load(participant)
    grams, items = layer_grams(embeddings, len(brain.stimuli.names), study)
    tables, nulls = [], []
    for design in study.designs:
        folds = make_folds(brain.stimuli, design, study)
        if folds is None:
            warnings.warn(
                f"{brain.name} has no {design} design: its stimuli have neither passages nor topics, and are no story",
                stacklevel=2,
            )
            continue
        source, order = _with_permutations(items, brain.stimuli, design, study)
        decoded = decode(grams, regions, folds, alphas(study), source, order, topics(brain.stimuli))
        tables.append(_score_table(list(regions), items, decoded, study))
        nulls.append(_null_table(list(regions), items, decoded))
        for table in (tables[-1], nulls[-1]):
            table.insert(0, "brain", brain.name)
            table.insert(1, "participant", participant)
            table.insert(table.columns.get_loc("layer") + 1, "folds", design)
    if not tables:
        raise BraintuneError(f"designs: {brain.name} knows none of {', '.join(study.designs)}; allowed here: shuffled")
    return pd.concat(tables, ignore_index=True), pd.concat(nulls, ignore_index=True)


def _with_permutations(
    items: pd.DataFrame, stimuli: Stimuli, design: str, study: Study
) -> tuple[np.ndarray, np.ndarray]:
    """Return what to decode: every Gram matrix as it is, then the untuned one at the analysis layer, permuted."""
    orders = permutations(stimuli, design, study)
    untuned = np.flatnonzero((items["kind"] == "untuned") & items["analysis"])
    orders = orders[: len(orders) if len(untuned) else 0]
    source = np.concatenate([np.arange(len(items)), np.repeat(untuned[:1], len(orders))])
    return source, np.concatenate([np.tile(np.arange(orders.shape[1]), (len(items), 1)), orders])


def _score_table(
    regions: list[str], items: pd.DataFrame, decoded: Mapping[str, np.ndarray], study: Study
) -> pd.DataFrame:
    n_folds, n_regions, _ = decoded["choice"].shape
    fold, region, item = (i.ravel() for i in np.indices((n_folds, n_regions, len(items))))
    choice = decoded["choice"][:, :, : len(items)].ravel().astype(int)
    columns = {
        "region": np.array(regions, dtype=object)[region],
        **{
            name: items[name].to_numpy()[item] for name in ("representation", "kind", "task", "method", "seed", "layer")
        },
        "fold": fold,
        "alpha": alphas(study)[choice],
        "alpha_edge": np.isin(choice, [0, study.n_alphas - 1]) & (study.n_alphas > 2),
    }
    values = {name: decoded[name][:, :, : len(items)].ravel() for name in (*SCORES, *GROUP_SCORES)}
    return pd.DataFrame(columns | values)


def _null_table(regions: list[str], items: pd.DataFrame, decoded: Mapping[str, np.ndarray]) -> pd.DataFrame:
    scores = {name: decoded[name][:, :, len(items) :].mean(0) for name in SCORES}
    region, permutation = (i.ravel() for i in np.indices(scores["pairwise"].shape))
    untuned = items[(items["kind"] == "untuned") & items["analysis"]]
    columns = {
        "region": np.array(regions, dtype=object)[region],
        "representation": untuned["representation"].iloc[0] if len(untuned) else "",
        "layer": int(untuned["layer"].iloc[0]) if len(untuned) else 0,
        "permutation": permutation,
    }
    return pd.DataFrame(columns | {name: values.ravel() for name, values in scores.items()})
