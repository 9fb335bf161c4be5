"""Decoding one participant: every region, every representation and layer, in tidy tables."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from braintune.core.base import BraintuneError
from braintune.core.settings import DecodingSettings
from braintune.core.study import Study
from braintune.datasets.brains.base import BrainData
from braintune.neural.folds import Fold, judged_design, make_folds, permutations, topics
from braintune.neural.grams import Grams
from braintune.neural.matching import GROUP_SCORES, SCORES, influence, null_scores, scores
from braintune.neural.representations import READOUTS, Embeddings, layer_grams
from braintune.neural.ridge import FLAT, Ridge, Select, fit_ridges
from braintune.neural.units import by_group

#: Bytes of products worked on at a time: few enough for a cache; a GPU wants more.
BLOCK_BYTES = {"cpu": 32 * 2**20, "cuda": 2**31}
#: Scores that are computed with permuted labels too.
NULL_SCORES = ("pairwise", "margin")


def alphas(settings: DecodingSettings) -> np.ndarray:
    """Return the ridge penalties to choose from, ascending, relative to the mean eigenvalue of a region's kernel."""
    return np.logspace(*settings.alpha_exponents, settings.n_alphas)


def fit_region(
    responses: np.ndarray, grams: Grams, fold: Fold, penalties: torch.Tensor, select: Select = "scale-free"
) -> tuple[Ridge, torch.Tensor]:
    """Solve one region in one fold, and measure how well every penalty predicts inside the training fold.

    Parameters
    ----------
    responses : array of shape (n_stimuli, n_voxels)
    grams : Grams of n_grams representations
    fold : Fold
    penalties : tensor of shape (n_alphas,), float64
        Relative penalties.
    select : {"scale-free", "squared-error"}
        See :mod:`braintune.neural.ridge`.

    Returns
    -------
    ridge : Ridge
    fit : tensor of shape (n_grams, n_alphas)
    """
    (ridge,) = fit_ridges([fold.clean(responses)], fold[:2], fold.inner, penalties, select, fold.known_nuisance)
    return ridge, ridge.fit(grams.without(fold.nuisance, fold.train).products(fold.train, ridge.terms))


def decode(
    grams: Grams,
    regions: Mapping[str, np.ndarray],
    folds: Sequence[Fold],
    penalties: np.ndarray,
    select: Select = "scale-free",
    groups: np.ndarray | None = None,
    orders: np.ndarray | None = None,
    readouts: Sequence[np.ndarray] = (),
    by_stimulus: bool = False,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict[str, np.ndarray]]:
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
        How the penalty is chosen: see :mod:`braintune.neural.ridge`.
    groups : array of shape (n_stimuli,), optional
        Numbers of the groups whose pairs are scored separately.
    orders : array of shape (n_orders, n_stimuli), optional
        Permuted labels: the stimuli of the representations are taken in these orders, and the analysis is repeated.
    readouts : sequence of index arrays
        What is scored with permuted labels: from each set of Gram matrices, the one that fits best inside the training
        fold, for example the best of several layers.
    by_stimulus : bool
        Return the influence of every stimulus at the readouts.

    Returns
    -------
    scores : dict of arrays of shape (n_folds, n_regions, n_grams)
        :data:`SCORES`, :data:`GROUP_SCORES` (see :func:`braintune.neural.matching.scores`), ``choice``, the index of
        the chosen penalty, and ``fit``, how well it predicts inside the training fold.
    null : dict of arrays of shape (n_orders, n_regions, n_readouts)
        :data:`NULL_SCORES`, mean over folds.
    influence : dict of arrays of shape (n_regions, n_readouts, n_stimuli)
        :data:`NULL_SCORES` (:func:`braintune.neural.matching.influence`); the last axis is empty unless `by_stimulus`.

    Raises
    ------
    BraintuneError
        If responses are not finite.

    Notes
    -----
    Memory is bounded by four times the Gram matrices plus one :class:`Ridge` per region.
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
    stimuli = grams.inner.shape[1] if by_stimulus else 0
    each = {name: np.zeros((len(regions), len(readouts), stimuli)) for name in NULL_SCORES}
    relative = torch.as_tensor(np.asarray(penalties, dtype=np.float64), device=device)
    sets = _rectangle(readouts, device)
    member = None if groups is None else torch.as_tensor(groups, device=device)
    for f, fold in enumerate(folds):
        left = grams.without(fold.nuisance, fold.train)
        cleaned = map(fold.clean, regions.values())
        ridges = fit_ridges(cleaned, fold[:2], fold.inner, relative, select, fold.known_nuisance)
        terms = torch.cat([ridge.terms for ridge in ridges])
        fits = _fits(ridges, left.products(fold.train, terms))
        here = None if member is None else member[torch.as_tensor(fold.test, device=device)]
        labels = _Labels.make(left, fold.train, fold.test, ridges)
        for g, ridge in enumerate(ridges):
            fit, choice = fits[g].max(1)
            for items in _chunks(grams.inner, fold.test):
                correlation, error = _predict(ridge, choice[items], labels, items)
                group = None if here is None else here.expand(len(correlation), -1)
                found = scores(correlation, group) | {"mse": error, "choice": choice[items], "fit": fit[items]}
                for name, values in found.items():
                    result[name][f, g, items.cpu().numpy()] = values.cpu().numpy()
            if by_stimulus:
                found = _match_readouts(ridge, fits[g], labels, sets, influence)
                for name, values in found.items():
                    each[name][g][:, fold.test] = values.cpu().numpy()
        for p, order in enumerate(orders):
            labels = _Labels.make(left, order[fold.train], order[fold.test], ridges)
            for g, fit in enumerate(_fits(ridges, left.products(order[fold.train], terms))):
                found = _match_readouts(ridges[g], fit, labels, sets, null_scores)
                for name in NULL_SCORES:
                    null[name][p, g] += found[name].cpu().numpy() / len(folds)
    return result, null, each


class _Labels(NamedTuple):
    """Which stimuli a fold trains on and tests, under one order of the labels, and where the mean of the former lies.

    What all predictions share, that mean, is taken out of both sides: where much is shrunk it would drown what tells
    stimuli apart.
    """

    grams: Grams
    train: torch.Tensor
    test: torch.Tensor
    weight: torch.Tensor  #: Of every stimulus in the mean, of shape (n_stimuli,).
    rows: torch.Tensor  #: Inner products of training with all stimuli, (n_grams, n_train or 0, n_stimuli).
    origin: torch.Tensor  #: Those of the mean with all stimuli, of shape (n_grams, n_stimuli).

    @classmethod
    def make(cls, grams: Grams, train: np.ndarray, test: np.ndarray, ridges: Sequence[Ridge]) -> "_Labels":
        kept, tested = (torch.as_tensor(part, device=grams.inner.device) for part in (train, test))
        weight = grams.inner.new_zeros(grams.inner.shape[1]).index_fill_(0, kept, 1 / len(train))
        read = kept.device.type == "cpu" and any(ridge.factors is None for ridge in ridges)
        gathered = kept if read else kept[:0]
        return cls(grams, kept, tested, weight, grams.inner.index_select(1, gathered), grams.inner @ weight)

    def spread(self, matrices: torch.Tensor) -> torch.Tensor:
        """Give matrices a column for every stimulus, so that nothing is gathered from products with them."""
        return matrices.new_zeros(*matrices.shape[:-1], len(self.weight)).index_copy_(-1, self.train, matrices)

    def multiplier(self, ridge: Ridge) -> Callable[[int, int], torch.Tensor]:
        """Return what multiplies the hat matrix of a penalty with the rows of a Gram matrix."""
        if ridge.factors is None:
            return lambda penalty, item: ridge.hat[penalty] @ self.rows[item]
        left, right = ridge.factors[0], self.spread(ridge.factors[1])
        return lambda penalty, item: left[penalty] @ (right @ self.grams.inner[item])


def _chunks(inner: torch.Tensor, test: np.ndarray) -> Sequence[torch.Tensor]:
    """Divide representations into as many as are scored together: a GPU copies their Gram matrices."""
    one = len(test) if inner.device.type == "cpu" else inner.shape[1]
    return torch.arange(len(inner), device=inner.device).split(max(1, BLOCK_BYTES[inner.device.type] // (4 * one**2)))


def _fits(ridges: Sequence[Ridge], products: torch.Tensor) -> list[torch.Tensor]:
    """Return the fit [n_grams, n_alphas] in every region."""
    return [ridge.fit(part) for ridge, part in zip(ridges, products.chunk(len(ridges), 1), strict=True)]


def _rectangle(sets: Sequence[np.ndarray], device: torch.device) -> torch.Tensor:
    """Return sets of indices as the rows of one tensor; a smaller set repeats its first index."""
    widest = max((len(members) for members in sets), default=0)
    rows = [[*members, *members[:1].repeat(widest - len(members))] for members in sets]
    return torch.tensor(np.array(rows, dtype=int).reshape(len(sets), widest), device=device)


def _match_readouts(
    ridge: Ridge,
    fit: torch.Tensor,
    labels: _Labels,
    sets: torch.Tensor,
    score: Callable[[torch.Tensor], dict[str, torch.Tensor]],
) -> dict[str, torch.Tensor]:
    """Score, of each set of Gram matrices, the one that fits best."""
    fit, choice = fit.max(1)
    chosen = sets.gather(1, fit[sets].argmax(1, keepdim=True))[:, 0]
    unique, place = chosen.unique(return_inverse=True)  # the best layer is often the last
    found = score(_predict(ridge, choice[unique], labels, unique)[0])
    return {name: values[place] for name, values in found.items()}


def _predict(
    ridge: Ridge, choice: torch.Tensor, labels: _Labels, items: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Predict the test stimuli with the chosen penalties: correlation of predictions with truths, squared error."""
    grams, test, origin = labels.grams, labels.test, labels.origin[items]
    width, mean = grams.width[items][:, None], grams.mean[items]
    inner, power, predicted = (_products if test.device.type == "cpu" else _products_at_once)(
        ridge, choice, labels, items, mean
    )
    truth = (
        grams.inner.diagonal(dim1=1, dim2=2)[items][:, test] - 2 * origin[:, test] + (origin @ labels.weight)[:, None]
    )
    error = power.sum(1) - 2 * inner.diagonal(dim1=1, dim2=2).sum(1) + truth.sum(1)
    # Centring over dimensions is a rank-one correction, so the products above serve correlations as well.
    mean = mean[:, test] - (mean @ labels.weight)[:, None]
    covariance = inner - (width * predicted)[:, :, None] * mean[:, None, :]
    scale = _inverse_norm(power - width * predicted**2, FLAT * truth)
    truth_scale = _inverse_norm(truth - width * mean**2, 1e-7 * truth)
    correlation = covariance * scale[:, :, None] * truth_scale[:, None, :]
    return correlation, error / (width[:, 0] * len(test))


def _products(
    ridge: Ridge, choice: torch.Tensor, labels: _Labels, items: torch.Tensor, mean: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return inner products of predictions with truths, squared norms of predictions, and their means."""
    spread, size = labels.spread(ridge.hat), (len(items), len(labels.test))
    inner, power, predicted = spread.new_empty(*size, size[1]), spread.new_empty(size), spread.new_empty(size)
    multiply = labels.multiplier(ridge)
    for row, (item, penalty) in enumerate(zip(items.tolist(), choice.tolist(), strict=True)):
        product = multiply(penalty, item)  # predictions with all stimuli
        torch.sub(product.index_select(1, labels.test), (product @ labels.weight)[:, None], out=inner[row])
        torch.linalg.vecdot(product, spread[penalty], out=power[row])
        torch.mv(spread[penalty], mean[row], out=predicted[row])
    return inner, power, predicted


def _products_at_once(
    ridge: Ridge, choice: torch.Tensor, labels: _Labels, items: torch.Tensor, mean: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return what :func:`_products` returns, of all representations at once: a GPU waits for every single one."""
    hats = labels.spread(ridge.hat)[choice]
    product = hats @ labels.grams.inner[items]
    inner = product.index_select(2, labels.test) - (product @ labels.weight)[..., None]
    return inner, (product * hats).sum(2), (hats @ mean[..., None])[..., 0]


def _inverse_norm(square: torch.Tensor, rounding: torch.Tensor) -> torch.Tensor:
    """Return 1 / √square, and 0 for vectors that vary no more than rounding, so that their correlations are 0."""
    varies = square > rounding.mean(1, keepdim=True)
    return torch.where(varies, square.clamp(min=1e-30).rsqrt(), 0)


# --- tables ------------------------------------------------------------------------------------------------------


def decode_participant(
    study: Study, brain: BrainData, participant: str, embeddings: Embeddings
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
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
        For the design that claims are judged on (:func:`braintune.neural.folds.main_design`): one row per region,
        permutation (:func:`braintune.neural.folds.permutations`), representation and `readout` (`best` is the layer
        that fits best in each fold, `analysis` the analysis layer): the scores with permuted labels, with penalty and
        layer chosen again, mean over folds.
    groups : DataFrame
        In the same design, what each group of stimuli (:mod:`braintune.neural.units`) contributes to the scores: one
        row per region, representation, readout and group. Empty where a data set has several participants.

    Raises
    ------
    BraintuneError
        If the embeddings cannot be analysed, or none of the designs exists for these stimuli.
    """
    regions = brain.load(participant)
    grams, items = layer_grams(embeddings, len(brain.stimuli.names), study)
    names, readouts = readout_sets(items)
    tables, made = [], {}
    alone = len(brain.participants) == 1
    main, _ = judged_design(brain.stimuli, study)
    for design in study.designs:
        folds = make_folds(brain.stimuli, design, study)
        if folds is None:
            warnings.warn(
                f"{brain.name} has no {design} design: its stimuli have neither passages nor topics, and are no story",
                stacklevel=2,
            )
            continue
        judged = design == main
        orders = permutations(brain.stimuli, design, study) if judged else None
        decoded, null, each = decode(
            grams,
            regions,
            folds,
            alphas(study),
            study.select,
            topics(brain.stimuli),
            orders,
            readouts,
            judged and alone,
        )
        tables.append(score_table(pd.DataFrame({"region": list(regions)}), items, decoded, study).assign(folds=design))
        if judged:
            groups = {name: by_group(values, folds, brain.stimuli, study) for name, values in each.items()}
            made["null"] = readout_table("permutation", list(regions), names, null).assign(folds=design)
            made["groups"] = readout_table("group", list(regions), names, groups).assign(folds=design)
    made = {"scores": pd.concat(tables, ignore_index=True), **made}
    for table in made.values():
        table.insert(0, "brain", brain.name)
        table.insert(1, "participant", participant)
        table.insert(table.columns.get_loc("region") + 1, "folds", table.pop("folds"))
    return made["scores"], made["null"], made["groups"]


def readout_sets(items: pd.DataFrame) -> tuple[pd.DataFrame, list[np.ndarray]]:
    """Return representation and name of each readout, and the rows of `items` that it chooses among."""
    rows, members = [], []
    for representation, layers in items.groupby("representation", sort=False):
        rows += [(representation, readout) for readout in READOUTS]
        members += [layers.index.to_numpy(), layers.index[layers["analysis"]].to_numpy()]
    return pd.DataFrame(rows, columns=["representation", "readout"]), members


def score_table(
    where: pd.DataFrame, items: pd.DataFrame, scores: Mapping[str, np.ndarray], study: Study
) -> pd.DataFrame:
    """Convert arrays of shape (n_folds, n_places, n_items) to a table: columns of places, items and values."""
    fold, place, item = (i.ravel() for i in np.indices(scores["choice"].shape))
    choice = scores["choice"].ravel().astype(int)
    columns = {
        **{name: where[name].to_numpy()[place] for name in where},
        **{name: items[name].to_numpy()[item] for name in items.columns.drop("analysis")},
        "fold": fold,
        "alpha": alphas(study)[choice],
        "alpha_edge": np.isin(choice, [0, study.n_alphas - 1]) & (study.n_alphas > 2),
        "fit": scores["fit"].ravel(),
    }
    return pd.DataFrame(columns | {n: v.ravel() for n, v in scores.items() if n not in ("choice", "fit")})


def readout_table(
    kind: str, regions: Sequence[str], readouts: pd.DataFrame, values: Mapping[str, np.ndarray]
) -> pd.DataFrame:
    """Lay out arrays of shape (n, n_regions, n_readouts), with a column `kind` for the first axis."""
    number, region, readout = (i.ravel() for i in np.indices(next(iter(values.values())).shape))
    columns = {
        "region": np.array(regions, dtype=object)[region],
        **{name: readouts[name].to_numpy()[readout] for name in readouts},
        kind: number,
    }
    return pd.DataFrame(columns | {name: found.ravel() for name, found in values.items()})
