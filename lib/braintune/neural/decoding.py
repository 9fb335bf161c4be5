"""Which representation can be decoded from a brain: one participant's regions, all representations, tidy tables."""

import warnings
from collections.abc import Mapping

import numpy as np
import pandas as pd

from braintune.core.base import BraintuneError
from braintune.core.settings import DecodingSettings
from braintune.core.study import Study
from braintune.datasets.brains.base import BrainData, Stimuli
from braintune.neural.folds import (
    make_folds,
    permutations,
    topics,
)
from braintune.neural.representations import Embeddings, layer_grams
from braintune.neural.ridge import GROUP_SCORES, SCORES, decode

# --- one participant ---------------------------------------------------------------------------------------------


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
        As :func:`braintune.datasets.brains.registry.load_brain` returns it: it checks the responses that it reads.
    participant : str
    embeddings : mapping of Representation to array of shape (n_layers, n_stimuli, width)

    Returns
    -------
    table : DataFrame
        One row a region, design, fold, representation and layer: `alpha` is the chosen penalty, `alpha_edge` whether
        it lies at an edge of the grid; for the scores see :func:`braintune.neural.ridge.scores`. Groups are the topics,
        or the passages where no topics are known; with neither, their two scores are NaN.
    null : DataFrame
        One row a region, design and permutation: the scores of the untuned representation at the analysis layer with
        permuted labels, penalty chosen anew, mean over folds. See :func:`braintune.neural.folds.permutations`.

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
        found = decode(grams, regions, folds, alphas(study), source, order, topics(brain.stimuli))
        where = {"brain": brain.name, "participant": participant, "folds": design}
        tables.append(_score_table(where, list(regions), items, found, study))
        nulls.append(_null_table(where, list(regions), items, found))
    if not tables:
        raise BraintuneError(f"designs: {brain.name} knows none of {', '.join(study.designs)}; allowed here: shuffled")
    return pd.concat(tables, ignore_index=True), pd.concat(nulls, ignore_index=True)


def _with_permutations(
    items: pd.DataFrame, stimuli: Stimuli, design: str, study: Study
) -> tuple[np.ndarray, np.ndarray]:
    """Return what to decode: every Gram matrix as it is, then the untuned one at the analysis layer, permuted."""
    orders = permutations(stimuli, design, study)
    untuned = np.flatnonzero((items["method"] == "untuned") & items["analysis"])
    orders = orders[: len(orders) if len(untuned) else 0]
    source = np.concatenate([np.arange(len(items)), np.repeat(untuned[:1], len(orders))])
    return source, np.concatenate([np.tile(np.arange(orders.shape[1]), (len(items), 1)), orders])


def _score_table(
    where: Mapping[str, str], regions: list[str], items: pd.DataFrame, found: Mapping[str, np.ndarray], study: Study
) -> pd.DataFrame:
    n_folds, n_regions, _ = found["choice"].shape
    fold, region, item = (i.ravel() for i in np.indices((n_folds, n_regions, len(items))))
    choice = found["choice"][:, :, : len(items)].ravel().astype(int)
    columns = {
        "brain": where["brain"],
        "participant": where["participant"],
        "region": np.array(regions, dtype=object)[region],
        **{name: items[name].to_numpy()[item] for name in ("representation", "task", "method", "seed", "layer")},
        "folds": where["folds"],
        "fold": fold,
        "alpha": alphas(study)[choice],
        "alpha_edge": np.isin(choice, [0, study.n_alphas - 1]) & (study.n_alphas > 2),
    }
    values = {name: found[name][:, :, : len(items)].ravel() for name in (*SCORES, *GROUP_SCORES)}
    return pd.DataFrame(columns | values)


def _null_table(
    where: Mapping[str, str], regions: list[str], items: pd.DataFrame, found: Mapping[str, np.ndarray]
) -> pd.DataFrame:
    scores = {name: found[name][:, :, len(items) :].mean(0) for name in SCORES}
    region, permutation = (i.ravel() for i in np.indices(scores["pairwise"].shape))
    untuned = items[(items["method"] == "untuned") & items["analysis"]]
    columns = {
        "brain": where["brain"],
        "participant": where["participant"],
        "region": np.array(regions, dtype=object)[region],
        "representation": untuned["representation"].iloc[0] if len(untuned) else "",
        "layer": int(untuned["layer"].iloc[0]) if len(untuned) else 0,
        "folds": where["folds"],
        "permutation": permutation,
    }
    return pd.DataFrame(columns | {name: values.ravel() for name, values in scores.items()})
