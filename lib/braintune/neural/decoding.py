"""Decoding one participant: every region, every representation and layer, in tidy tables."""

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch

from braintune.core.base import BraintuneError
from braintune.core.settings import DecodingSettings
from braintune.core.study import Study
from braintune.datasets.brains.base import BrainData
from braintune.neural.folds import Fold, main_design, make_folds, permutations, topics
from braintune.neural.grams import Block, Grams
from braintune.neural.matching import GROUP_SCORES, SCORES, scores
from braintune.neural.representations import READOUTS, Embeddings, layer_grams
from braintune.neural.ridge import FLAT, Ridge, Select, fit_fold

#: Bytes of inner products worked on at a time: enough for large products, few enough for a cache; a GPU wants more.
BLOCK_BYTES = {"cpu": 32 * 2**20, "cuda": 2**31}
#: Scores that are computed with permuted labels too.
NULL_SCORES = ("pairwise", "margin")


def alphas(settings: DecodingSettings) -> np.ndarray:
    """Return the ridge penalties to choose from, ascending, relative to the mean eigenvalue of a region's kernel."""
    return np.logspace(*settings.alpha_exponents, settings.n_alphas)


def decode(
    grams: Grams,
    regions: Mapping[str, np.ndarray],
    folds: Sequence[Fold],
    penalties: np.ndarray,
    select: Select = "scale-free",
    groups: np.ndarray | None = None,
    orders: np.ndarray | None = None,
    readouts: Sequence[np.ndarray] = (),
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Decode every representation from every region in every fold, also with permuted labels.

    Parameters
    ----------
    grams : Grams of n_grams representations
        On the device to compute on.
    regions : mapping of region name to array of shape (n_stimuli, n_voxels)
        Finite voxel responses.
    folds : sequence of Fold
    penalties : array of shape (n_alphas,)
        Relative penalties to choose from, inside the training fold.
    select : {"scale-free", "squared-error"}
        How: see :mod:`braintune.neural.ridge`.
    groups : array of shape (n_stimuli,), optional
        Numbers of the groups whose pairs are scored separately.
    orders : array of shape (n_orders, n_stimuli), optional
        Permuted labels: the representations' stimuli are taken in these orders, and everything is repeated.
    readouts : sequence of index arrays
        What is scored with permuted labels: of each set of Gram matrices, the one that fits best inside the training
        fold, as when the best of several layers is read out.

    Returns
    -------
    scores : dict of arrays of shape (n_folds, n_regions, n_grams)
        :data:`SCORES`, :data:`GROUP_SCORES` (see :func:`braintune.neural.matching.scores`), ``choice``, the index of
        the chosen penalty, and ``fit``, how well it predicts inside the training fold.
    null : dict of arrays of shape (n_orders, n_regions, n_readouts)
        :data:`NULL_SCORES`, mean over folds.

    Raises
    ------
    BraintuneError
        If responses are not finite.

    Notes
    -----
    Memory is bounded by twice the Gram matrices plus one :class:`Ridge` per region.
    """
    for name, responses in regions.items():
        if responses.ndim != 2 or not np.isfinite(responses).all():
            raise BraintuneError(
                f"responses of region {name}, shape {responses.shape}: allowed are finite values [stimuli, voxels]"
            )
    device = grams.inner.device
    orders = np.empty((0, grams.inner.shape[1]), dtype=int) if orders is None else orders
    names = (*SCORES, *GROUP_SCORES, "choice", "fit")
    result = {name: np.full((len(folds), len(regions), len(grams.inner)), np.nan) for name in names}
    null = {name: np.zeros((len(orders), len(regions), len(readouts))) for name in NULL_SCORES}
    relative = torch.as_tensor(np.asarray(penalties, dtype=np.float64), device=device)
    sets = [torch.tensor(members, device=device) for members in readouts]
    member = None if groups is None else torch.as_tensor(groups, device=device)
    for f, fold in enumerate(folds):
        ridges = [fit_fold(values, fold[:2], fold.inner, relative, select) for values in regions.values()]
        terms = torch.cat([ridge.terms for ridge in ridges])
        fits = _fits(ridges, grams.products(fold.train, terms))
        here = None if member is None else member[torch.as_tensor(fold.test, device=device)]
        for items in _chunks(len(grams.inner), 4 * len(fold.train) * (len(fold.train) + len(fold.test)), device):
            block = grams.block(fold.train, fold.test, items)
            for g, ridge in enumerate(ridges):
                fit, choice = fits[g][items].max(1)
                found = _match(ridge, choice, block, here) | {"choice": choice, "fit": fit}
                for name, values in found.items():
                    result[name][f, g, items] = values.cpu().numpy()
        for p, order in enumerate(orders):
            train, test = order[fold.train], order[fold.test]
            for g, fit in enumerate(_fits(ridges, grams.products(train, terms))):
                found = _match_readouts(ridges[g], fit, grams, train, test, sets)
                for name in NULL_SCORES:
                    null[name][p, g] += found[name].cpu().numpy() / len(folds)
    return result, null


def _chunks(n: int, bytes_each: int, device: torch.device) -> list[slice]:
    step = max(1, BLOCK_BYTES[device.type] // bytes_each)
    return [slice(start, min(start + step, n)) for start in range(0, n, step)]


def _fits(ridges: Sequence[Ridge], products: torch.Tensor) -> list[torch.Tensor]:
    """Return the fit [n_grams, n_alphas] in every region."""
    return [ridge.fit(part) for ridge, part in zip(ridges, products.chunk(len(ridges), 1), strict=True)]


def _match_readouts(
    ridge: Ridge, fit: torch.Tensor, grams: Grams, train: np.ndarray, test: np.ndarray, sets: Sequence[torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Score, of each set of Gram matrices, the one that fits best."""
    fit, choice = fit.max(1)
    chosen = torch.stack([members[fit[members].argmax()] for members in sets])
    unique, place = chosen.unique(return_inverse=True)  # the best layer is often the last
    found = _match(ridge, choice[unique], grams.block(train, test, unique))
    return {name: values[place] for name, values in found.items()}


def _match(
    ridge: Ridge, choice: torch.Tensor, block: Block, group: torch.Tensor | None = None
) -> dict[str, torch.Tensor]:
    """Predict the test stimuli with the chosen penalties, and match predictions with truths."""
    hat = ridge.hat[choice]
    inner = hat @ block.cross  # predictions with truths
    power = ((hat @ block.train) * hat).sum(2)  # squared norms of predictions
    error = power.sum(1) - 2 * inner.diagonal(dim1=1, dim2=2).sum(1) + block.truth.sum(1)
    # Centring over dimensions is a rank-one correction, so the products above serve correlations as well.
    mean = (hat @ block.mean_train[:, :, None])[:, :, 0]
    covariance = inner - (block.width * mean)[:, :, None] * block.mean_test[:, None, :]
    scale = _inverse_norm(power - block.width * mean**2, FLAT * block.truth)
    truth_scale = _inverse_norm(block.truth - block.width * block.mean_test**2, 1e-7 * block.truth)
    correlation = covariance * scale[:, :, None] * truth_scale[:, None, :]
    group = None if group is None else group.expand(len(hat), -1)
    return scores(correlation, group) | {"mse": error / (block.width[:, 0] * block.truth.shape[1])}


def _inverse_norm(square: torch.Tensor, rounding: torch.Tensor) -> torch.Tensor:
    """Return 1 / √square, and 0 for vectors that vary no more than rounding, so that their correlations are 0."""
    varies = square > rounding.mean(1, keepdim=True)
    return torch.where(varies, square.clamp(min=1e-30).rsqrt(), 0)


# --- tables ------------------------------------------------------------------------------------------------------


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
        One row per region, design, fold, representation and layer: `alpha` is the chosen penalty relative to the mean
        eigenvalue of the region's kernel, `alpha_edge` whether it lies at an edge of the grid, `fit` how well it
        predicts inside the training fold; for the scores see :func:`braintune.neural.matching.scores`. Groups are
        those of :func:`braintune.neural.folds.topics`; without any, their two scores are NaN.
    null : DataFrame
        Of the design that claims are judged on (:func:`braintune.neural.folds.main_design`): one row per region,
        permutation (:func:`braintune.neural.folds.permutations`), representation and `readout` (`best` is the layer
        that fits best in each fold, `analysis` the analysis layer): the scores with permuted labels, with penalty and
        layer chosen anew, mean over folds.

    Raises
    ------
    BraintuneError
        If the embeddings cannot be analysed, or none of the designs exists for these stimuli.
    """
    regions = brain.load(participant)
    grams, items = layer_grams(embeddings, len(brain.stimuli.names), study)
    names, readouts = _readouts(items)
    tables, nulls = [], []
    designs = {design: make_folds(brain.stimuli, design, study) for design in study.designs}
    for design, folds in designs.items():
        if folds is None:
            warnings.warn(
                f"{brain.name} has no {design} design: its stimuli have neither passages nor topics, and are no story",
                stacklevel=2,
            )
            continue
        judged = design == main_design([name for name, found in designs.items() if found])
        orders = permutations(brain.stimuli, design, study) if judged else None
        decoded, null = decode(
            grams, regions, folds, alphas(study), study.select, topics(brain.stimuli), orders, readouts
        )
        tables.append(_score_table(list(regions), items, decoded, study))
        nulls.append(_null_table(list(regions), names, null))
        for table in (tables[-1], nulls[-1]):
            table.insert(0, "brain", brain.name)
            table.insert(1, "participant", participant)
            table.insert(table.columns.get_loc("region") + 1, "folds", design)
    if not tables:
        raise BraintuneError(f"designs: {brain.name} knows none of {', '.join(study.designs)}; allowed here: shuffled")
    return pd.concat(tables, ignore_index=True), pd.concat(nulls, ignore_index=True)


def _readouts(items: pd.DataFrame) -> tuple[pd.DataFrame, list[np.ndarray]]:
    """Return representation and name of each readout, and the rows of `items` that it chooses among."""
    rows, members = [], []
    for representation, layers in items.groupby("representation", sort=False):
        rows += [(representation, readout) for readout in READOUTS]
        members += [layers.index.to_numpy(), layers.index[layers["analysis"]].to_numpy()]
    return pd.DataFrame(rows, columns=["representation", "readout"]), members


def _score_table(
    regions: list[str], items: pd.DataFrame, decoded: Mapping[str, np.ndarray], study: Study
) -> pd.DataFrame:
    fold, region, item = (i.ravel() for i in np.indices(decoded["choice"].shape))
    choice = decoded["choice"].ravel().astype(int)
    columns = {
        "region": np.array(regions, dtype=object)[region],
        **{name: items[name].to_numpy()[item] for name in items.columns.drop("analysis")},
        "fold": fold,
        "alpha": alphas(study)[choice],
        "alpha_edge": np.isin(choice, [0, study.n_alphas - 1]) & (study.n_alphas > 2),
    }
    values = {name: decoded[name].ravel() for name in ("fit", *SCORES, *GROUP_SCORES)}
    return pd.DataFrame(columns | values)


def _null_table(regions: list[str], readouts: pd.DataFrame, null: Mapping[str, np.ndarray]) -> pd.DataFrame:
    permutation, region, readout = (i.ravel() for i in np.indices(null["pairwise"].shape))
    columns = {
        "region": np.array(regions, dtype=object)[region],
        **{name: readouts[name].to_numpy()[readout] for name in readouts},
        "permutation": permutation,
    }
    return pd.DataFrame(columns | {name: values.ravel() for name, values in null.items()})
