"""Encoding, the opposite direction to decoding: from a representation to the responses of every region.

Ridge regression as in decoding, with the roles exchanged: the predictors are a layer of a representation, the targets
are the responses of a region in one participant. Penalty and layer are chosen inside the training fold by the same fit.
The score is the correlation of predicted with measured responses over the test stimuli of a fold and the voxels of a
region, each voxel centred over the stimuli; for a single time course or average, it is Pearson's correlation. It
depends on the responses only through inner products between stimuli, so one regression of a representation serves all
regions, participants and permutations, and its cost does not depend on the number of voxels.
"""

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from braintune.core.base import BraintuneError
from braintune.core.device import pick_device
from braintune.core.preprocess import zscore
from braintune.core.study import Study
from braintune.datasets.brains.base import BrainData
from braintune.neural.decoding import alphas, readout_sets, readout_table, score_table
from braintune.neural.folds import Fold, judged_design, permutations
from braintune.neural.grams import PRODUCT_BYTES, Grams, gram_matrices
from braintune.neural.representations import Embeddings, stack_layers
from braintune.neural.ridge import FLAT, Ridge, Select, fit_ridges, square_terms
from braintune.neural.units import by_group

#: Bytes of inner products between responses that are kept at a time; they limit the permutations.
MOST_BYTES = {"cpu": 2**32, "cuda": 2**35}


def encode(
    layers: Sequence[np.ndarray],
    targets: Grams,
    folds: Sequence[Fold],
    penalties: np.ndarray,
    select: Select = "scale-free",
    orders: np.ndarray | None = None,
    readouts: Sequence[np.ndarray] = (),
    by_stimulus: bool = False,
    standardise: bool = True,
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Predict every target from every layer in every fold [1]_, also with permuted labels.

    Parameters
    ----------
    layers : sequence of arrays of shape (n_stimuli, n_dimensions)
        Of all representations.
    targets : Grams of n_targets responses
        Of z-scored voxels, on the device to compute on.
    folds : sequence of Fold
        With at least three test stimuli: for two, every correlation is 1 or -1.
    penalties : array of shape (n_alphas,)
        Relative penalties to choose from, inside the training fold.
    select : {"scale-free", "squared-error"}
    orders : array of shape (n_orders, n_stimuli), optional
        Permuted labels: the responses are taken in these orders, and the analysis is repeated.
    readouts : sequence of index arrays
        Of each set of layers, the one that fits best inside the training fold is read out.
    by_stimulus : bool
        Return the influence of every stimulus at the readouts.
    standardise : bool
        Z-score each dimension of a layer over the training stimuli; else it is only centred.

    Returns
    -------
    scores : dict of arrays of shape (n_folds, n_targets, n_layers)
        ``correlation``, ``choice``, the index of the chosen penalty, and ``fit``, how well it predicts inside the
        training fold.
    null : array of shape (n_orders, n_targets, n_readouts)
        The correlation, mean over folds.
    influence : array of shape (n_targets, n_readouts, n_stimuli)
        How much each stimulus contributes to the correlation of its fold, which is the mean over its test stimuli; the
        last axis is empty unless `by_stimulus`.

    Raises
    ------
    BraintuneError
        For folds that are too small, and layers that are not finite.

    Notes
    -----
    Memory: 4 bytes per target, order (including the true one), and pair of training stimuli or of a training and a test
    stimulus (see :func:`fitting_orders`), plus about 200 MB.

    References
    ----------
    .. [1] Naselaris et al. (2011). Encoding and decoding in fMRI. NeuroImage 56, 400-410.
    """
    if (smallest := min(len(fold.test) for fold in folds)) < 3:
        raise BraintuneError(f"a fold tests {smallest} stimuli; correlating needs 3: lower n_folds or blocks")
    n_targets, n = targets.inner.shape[:2]
    if bad := [layer for layer in layers if len(layer) != n or not np.isfinite(layer).all()]:
        raise BraintuneError(f"embedding of shape {bad[0].shape}: allowed are finite values [{n} stimuli, dimensions]")
    every = np.concatenate([np.arange(n)[None], np.empty((0, n), dtype=int) if orders is None else orders])
    relative = torch.as_tensor(np.asarray(penalties, dtype=np.float64), device=targets.inner.device)
    result = {name: np.zeros((len(folds), n_targets, len(layers))) for name in ("correlation", "choice", "fit")}
    null = np.zeros((len(every) - 1, n_targets, len(readouts)))
    influence = np.zeros((n_targets, len(readouts), n if by_stimulus else 0))
    for f, fold in enumerate(folds):
        left = targets.without(fold.nuisance, fold.train)
        known = _Known.make(left, fold, every)
        found, step = [], _at_once(fold, relative)
        for start in range(0, len(layers), step):
            some = layers[start : start + step]
            found += _score(fit_layers(some, fold, relative, select, standardise), known)
        shape = (len(every), n_targets, len(layers))
        fit, choice, correlation = (torch.stack(part, 1).view(shape) for part in zip(*found, strict=True))
        for name, values in {"correlation": correlation, "choice": choice, "fit": fit}.items():
            result[name][f] = values[0].cpu().numpy()
        for r, members in enumerate(torch.tensor(part, device=fit.device) for part in readouts):
            best = members[fit[:, :, members].argmax(2)]
            null[:, :, r] += correlation.gather(2, best[:, :, None])[1:, :, 0].cpu().numpy() / len(folds)
            for layer in best[0].unique() if by_stimulus else ():
                at = (best[0] == layer).nonzero()[:, 0]
                (ridge,) = fit_layers([layers[layer]], fold, relative, select, standardise)
                lifted = _influence(ridge.hat[choice[0, at, layer]], left.inner[at], fold).cpu().numpy()
                influence[at.cpu().numpy()[:, None], r, fold.test] = lifted
    return result, null, influence


def fitting_orders(orders: np.ndarray, n_targets: int, folds: Sequence[Fold], device: torch.device) -> np.ndarray:
    """Return the permuted labels, from the first on, that fit into memory, and warn if some are left out."""
    pairs = max(len(fold.train) * (len(fold.train) + 1) // 2 + len(fold.train) * len(fold.test) for fold in folds)
    most = max(0, MOST_BYTES[device.type] // (4 * n_targets * pairs) - 1)
    if most < len(orders):
        warnings.warn(
            f"permutations: {most} of {len(orders)} are used for encoding, as many as fit into memory with {n_targets} "
            "regions of participants; name fewer `participants` or `regions` for more",
            stacklevel=2,
        )
    return orders[:most]


class _Known(NamedTuple):
    """What of the responses enters a fold, in every order: rows are orders × targets."""

    triangles: torch.Tensor  #: Inner products of training stimuli.
    cross: torch.Tensor  #: Those of test with training stimuli.
    truth: torch.Tensor  #: Squared length of the centred test responses; infinite where they do not vary.

    @classmethod
    def make(cls, targets: Grams, fold: Fold, orders: np.ndarray) -> "_Known":
        triangles, cross, truth = [], [], []
        for order in orders:
            train, test = (torch.as_tensor(order[part], device=targets.inner.device) for part in fold[:2])
            rows = targets.inner.index_select(1, test)
            square = rows.index_select(2, test)
            total = square.diagonal(dim1=1, dim2=2).sum(1)
            varying = total - square.sum((1, 2)) / len(test)
            truth.append(torch.where(varying > 1e-6 * total, varying, torch.inf))
            triangles.append(targets.triangles(order[fold.train]))
            cross.append(rows.index_select(2, train).flatten(1))
        return cls(torch.cat(triangles), torch.cat(cross), torch.cat(truth))


def _at_once(fold: Fold, alphas: torch.Tensor) -> int:
    """Return how many layers are scored together: a product with many terms is as fast as one with few."""
    triangle = len(fold.train) * (len(fold.train) + 1) // 2
    return max(1, PRODUCT_BYTES[alphas.device.type] // (4 * triangle * (3 * len(alphas) + 1)))


def fit_layers(
    layers: Sequence[np.ndarray],
    fold: Fold,
    alphas: torch.Tensor,
    select: Select = "scale-free",
    standardise: bool = True,
) -> list[Ridge]:
    """Solve the regressions from layers in one fold, for every penalty, before any responses are seen.

    Parameters
    ----------
    layers : sequence of arrays of shape (n_stimuli, n_dimensions)
    fold : Fold
        Its nuisance regressors are regressed out.
    alphas : tensor of shape (n_alphas,), float64
    select : {"scale-free", "squared-error"}
    standardise : bool
        Z-score each dimension over the training stimuli; else it is only centred.
    """
    cleaned = map(fold.clean, layers)
    return fit_ridges(cleaned, fold[:2], fold.inner, alphas, select, fold.known_nuisance, standardise)


def _score(ridges: Sequence[Ridge], known: _Known) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Return fit, chosen penalty and correlation of every order and target, for each regression."""
    hats = [ridge.hat - ridge.hat.mean(1, keepdim=True) for ridge in ridges]
    terms = torch.cat([*(ridge.terms for ridge in ridges), *(square_terms(hat) for hat in hats)])
    products = (known.triangles @ terms.T).split([len(ridge.terms) for ridge in ridges] + [len(hat) for hat in hats], 1)
    crosses = (known.cross @ torch.cat([hat.flatten(1) for hat in hats]).T).chunk(len(hats), 1)
    found = []
    for ridge, product, power, shared in zip(ridges, products, products[len(ridges) :], crosses, strict=False):
        fit, choice = ridge.fit(product).max(1)
        power, shared = (part.gather(1, choice[:, None])[:, 0] for part in (power, shared))
        correlation = shared * (power * known.truth).clamp(min=1e-30).rsqrt()
        found.append((fit, choice, torch.where(power > FLAT * known.truth, correlation, 0)))
    return found


def _influence(hat: torch.Tensor, inner: torch.Tensor, fold: Fold) -> torch.Tensor:
    """Return how much each test stimulus lifts a correlation: the correlation plus its influence function [1]_.

    Parameters
    ----------
    hat : tensor of shape (n_targets, n_test, n_train)
    inner : tensor of shape (n_targets, n_stimuli, n_stimuli)

    References
    ----------
    .. [1] Devlin, Gnanadesikan & Kettenring (1975). Robust estimation and outlier detection with correlation
       coefficients. Biometrika 62, 531-545.
    """
    train, test = (torch.as_tensor(part, device=inner.device) for part in fold[:2])
    cross, centred = inner[:, test][:, :, train], hat - hat.mean(1, keepdim=True)
    product = centred @ cross.mT
    square = inner[:, test][:, :, test]
    shared = product.diagonal(dim1=1, dim2=2) - product.mean(2)
    power = ((centred @ inner[:, train][:, :, train]) * centred).sum(2)
    truth = square.diagonal(dim1=1, dim2=2) - 2 * square.mean(2) + square.mean((1, 2))[:, None]
    parts = [power, truth]
    lengths = [part.sum(1, keepdim=True).clamp(min=1e-30) for part in parts]
    scale = len(test) * (lengths[0] * lengths[1]).rsqrt()
    correlation = (shared * scale).mean(1, keepdim=True)
    relative = sum(part / length for part, length in zip(parts, lengths, strict=True))
    return correlation + shared * scale - correlation * len(test) * relative / 2


def story_ceiling(brain: BrainData) -> pd.DataFrame | None:
    """Correlate every participant's voxels with the mean of the other listeners at the same location [1]_.

    A mean over few others is noisy itself, so this is a lower bound of the noise ceiling: a model can exceed it, and
    no score is divided by it.

    Returns
    -------
    DataFrame or None
        participant, region and `ceiling`, mean over voxels. None if the stimuli are not a story, if there is only one
        participant, or if the participants' arrays differ in shape.

    References
    ----------
    .. [1] Nastase et al. (2019). Measuring shared responses across subjects using intersubject correlation. Social
       Cognitive and Affective Neuroscience 14, 667-685.
    """
    if not brain.stimuli.contiguous or len(brain.participants) < 2:
        return None
    everyone = [brain.load(name) for name in brain.participants]
    if any(len({one[region].shape for one in everyone}) > 1 for region in brain.regions):
        return None
    rows = []
    for region in brain.regions:
        standard = np.stack([zscore(one[region]) for one in everyone])
        others = standard.sum(0) - standard
        found = [(one * zscore(rest)).mean() for one, rest in zip(standard, others, strict=True)]
        rows += [(name, region, value) for name, value in zip(brain.participants, found, strict=True)]
    return pd.DataFrame(rows, columns=["participant", "region", "ceiling"])


# --- tables ------------------------------------------------------------------------------------------------------


def encode_brain(
    study: Study, brain: BrainData, embeddings: Embeddings
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Predict the responses of every participant and region from every representation and layer.

    Only the fold design that claims are judged on is used (:func:`braintune.neural.folds.main_design`).

    Parameters
    ----------
    study : Study
    brain : BrainData
        As :func:`braintune.datasets.brains.registry.load_brain` returns it.
    embeddings : mapping of Representation to array of shape (n_layers, n_stimuli, width)

    Returns
    -------
    scores : DataFrame
        One row per participant, region, fold, representation and layer: `alpha`, `alpha_edge` and `fit` as in decoding,
        and `correlation`.
    null : DataFrame
        With permuted labels, as :func:`braintune.results.tables.null_means` returns it for decoding: one row per
        region, representation, readout and `permutation`, mean over participants; then one row per participant, mean
        over permutations, with -1 for the `permutation`.
    groups : DataFrame
        For a single participant, what each group of stimuli (:mod:`braintune.neural.units`) contributes: one row per
        region, representation, readout and group. Empty if there are several participants.

    Raises
    ------
    BraintuneError
        As :func:`encode`, and if none of the designs exists for these stimuli.
    """
    layers, items = stack_layers(embeddings, len(brain.stimuli.names), study)
    names, readouts = readout_sets(items)
    design, folds = judged_design(brain.stimuli, study)
    device, found = pick_device(study.device, float64=True), []
    keys: list[tuple[str, str]] = []
    for participant in brain.participants:
        regions = brain.load(participant)
        keys += [(participant, region) for region in regions]
        found.append(gram_matrices(list(regions.values()), True, device, list(regions), least=1))
    targets = Grams(*(torch.cat(parts) for parts in zip(*((g.inner, g.mean, g.width) for g in found), strict=True)))
    orders = fitting_orders(permutations(brain.stimuli, design, study), len(keys), folds, device)
    alone = len(brain.participants) == 1
    encoded, null, each = encode(
        layers, targets, folds, alphas(study), study.select, orders, readouts, alone, study.standardise
    )
    where = pd.DataFrame(keys, columns=["participant", "region"])
    tables = {
        "scores": score_table(where, items, encoded, study),
        "null": _null_table(where, names, null),
        "groups": readout_table(
            "group", where["region"], names, {"correlation": by_group(each, folds, brain.stimuli, study)}
        ).assign(participant=brain.participants[0]),
    }
    for table in tables.values():
        table.insert(0, "brain", brain.name)
        table.insert(1, "participant", table.pop("participant"))
        table.insert(table.columns.get_loc("region") + 1, "folds", design)
    return tables["scores"], tables["null"], tables["groups"]


def _null_table(where: pd.DataFrame, readouts: pd.DataFrame, null: np.ndarray) -> pd.DataFrame:
    """Average over the participants who have a region, and over permutations."""
    rows = []
    for region, places in where.groupby("region", sort=False).groups.items():
        means = {"correlation": null[:, places].mean(1, keepdims=True)}
        rows.append(readout_table("permutation", [region], readouts, means).assign(participant=""))
    if len(null):
        means = {"correlation": null.mean(0, keepdims=True)}
        people = readout_table("permutation", where.index, readouts, means).assign(permutation=-1)
        at = people["region"].astype(int)
        rows.append(people.assign(**{name: where[name].to_numpy()[at] for name in where}))
    return pd.concat(rows, ignore_index=True)
