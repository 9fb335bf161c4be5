"""The decoding engine: ridge regression from voxels to many representations at once, in Gram space.

Everything that is scored depends on a representation Y [n, d] only through inner products between stimuli. So each
representation becomes one Gram matrix G = Y Yᵀ [n, n], and the brain becomes, per fold and penalty, two matrices that
all representations share: the hat matrix H [test, train], from which every score follows, and a matrix W such that the
exact leave-one-out error is the Frobenius product ⟨W, G⟩. Neither depends on the number of embedding dimensions, and
nothing that is repeated for every representation depends on the number of voxels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from braintune.core.base import BraintuneError
from braintune.core.preprocess import zscore_varying

#: Correlations are sums of float32 products: differences below this are ties.
TIE = 2e-6
#: Bytes of Gram blocks worked on at a time: enough for products to be large, few enough for a cache; a GPU wants more.
BLOCK_BYTES = {"cpu": 32 * 2**20, "cuda": 2**31}
SCORES = ("pairwise", "pairwise_strict", "mse", "rank")
#: Scores where groups of stimuli are known, else NaN.
GROUP_SCORES = ("pairwise_same_group", "pairwise_different_group")


@dataclass(frozen=True)
class Grams:
    """Representations as inner products between stimuli.

    Attributes
    ----------
    inner : tensor of shape (n_representations, n_stimuli, n_stimuli)
        Gram matrices G = Y Yᵀ.
    mean : tensor of shape (n_representations, n_stimuli)
        Mean of each stimulus over the dimensions; centring Y over dimensions is G - width · mean meanᵀ.
    width : tensor of shape (n_representations,)
        Dimensions.
    """

    inner: torch.Tensor
    mean: torch.Tensor
    width: torch.Tensor


def gram_matrices(
    embeddings: Sequence[np.ndarray],
    standardise: bool = True,
    device: str | torch.device = "cpu",
    names: Sequence[str] | None = None,
) -> Grams:
    """Turn embeddings into Gram matrices.

    Parameters
    ----------
    embeddings : sequence of arrays of shape (n_stimuli, n_dimensions)
        The number of dimensions may differ; three must vary over the stimuli, since correlations over fewer say
        nothing. Give a one-dimensional property (length, position) as a basis code: one-hot bins or Gaussians.
    standardise : bool
        Z-score each dimension over the stimuli first; constant dimensions are left out.
    device : str or torch.device
        Device of the result.
    names : sequence of str, optional
        Names of the embeddings in errors.

    Raises
    ------
    BraintuneError
        For non-finite values, fewer than three varying dimensions, or differing numbers of stimuli.
    """
    inner: list[torch.Tensor] = []
    mean, width = [], []
    names = [str(place) for place in range(len(embeddings))] if names is None else names
    for name, embedding in zip(names, embeddings, strict=True):
        if embedding.ndim != 2 or not np.isfinite(embedding).all():
            raise BraintuneError(
                f"embedding {name} of shape {embedding.shape}: allowed are finite values [stimuli, dimensions]"
            )
        if inner and len(embedding) != len(inner[0]):
            raise BraintuneError(f"embedding {name} has {len(embedding)} stimuli, those before {len(inner[0])}")
        varying = zscore_varying(embedding)
        if varying.shape[1] < 3:
            raise BraintuneError(
                f"embedding {name} has {varying.shape[1]} dimensions that vary over the stimuli; at least 3 are "
                "needed to correlate over; give a single property as a basis code (one-hot or Gaussian bins)"
            )
        values = torch.from_numpy(np.ascontiguousarray(varying if standardise else embedding, dtype=np.float32))
        inner.append(values @ values.T)
        mean.append(values.mean(1))
        width.append(values.shape[1])
    return Grams(
        torch.stack(inner).to(device), torch.stack(mean).to(device), torch.tensor(width, dtype=torch.float32).to(device)
    )


# --- the brain's side --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ridge:
    """Ridge regression of one region in one fold, for every penalty, before any representation is seen.

    Attributes
    ----------
    hat : tensor of shape (n_alphas, n_test, n_train)
        Predictions are ``hat @ Y[train]``; it includes the intercept, so rows sum to 1.
    left_out : tensor of shape (n_alphas, n_train, n_train + n_test)
        Exact leave-one-out squared error is ``(left_out * G[train, train + test]).sum()``; the test columns are zero,
        so that the same block of G serves the error and the predictions.
    """

    hat: torch.Tensor
    left_out: torch.Tensor


def zscore_voxels(train: torch.Tensor, test: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Z-score voxels with mean and deviation of the training stimuli; voxels constant in training become zero."""
    mean = train.mean(0)
    train, test = train - mean, test - mean
    spread = torch.linalg.vector_norm(train, dim=0) / len(train) ** 0.5
    scale = torch.where(spread > 1e-7 * mean.abs(), 1 / spread.clamp(min=1e-300), 0)
    return train.mul_(scale), test.mul_(scale)


def fit_ridge(train: torch.Tensor, test: torch.Tensor, alphas: torch.Tensor) -> Ridge:
    """Solve one region and fold for all penalties with one eigendecomposition, in float64.

    Parameters
    ----------
    train, test : tensors of shape (n_train, n_voxels), (n_test, n_voxels), float64
        Responses, centred on the training stimuli's mean (:func:`zscore_voxels`).
    alphas : tensor of shape (n_alphas,), float64
        Penalties, above zero.

    Notes
    -----
    With few voxels (fewer than half the training stimuli) the covariance is decomposed, and the hat matrix has low
    rank; otherwise the kernel, and the residual map Q diag(α / (λ + α)) Qᵀ is formed without cancellation.
    """
    n = len(train)
    few = 2 * train.shape[1] < n
    values, vectors = torch.linalg.eigh(train.T @ train if few else train @ train.T)
    shrink = 1 / (values.clamp(min=0) + alphas[:, None])  # [n_alphas, rank]
    right = train @ vectors if few else vectors
    left = test @ vectors if few else (test @ train.T) @ vectors
    fitted = shrink if few else shrink * values.clamp(min=0)
    leverage = fitted @ (right**2).T + 1 / n  # [n_alphas, n_train]; the intercept adds 1/n
    weight = ((1 - leverage).clamp(min=1e-9) ** -2).float()
    shrink, right, left = shrink.float(), right.float(), left.float()
    hat = (left * shrink[:, None]) @ right.T + 1 / n
    ours = _left_out_low_rank if few else _left_out_full_rank
    left_out = torch.zeros(len(alphas), n, n + len(test), device=train.device)
    ours(right, shrink if few else alphas[:, None].float() * shrink, weight, left_out[:, :, :n])
    return Ridge(hat, left_out)


def _left_out_full_rank(right: torch.Tensor, kept: torch.Tensor, weight: torch.Tensor, out: torch.Tensor) -> None:
    """Write W = R diag(weight) R for the centred residual map R = Q diag(kept) Qᵀ J."""
    residual = torch.empty(len(right), len(right), device=right.device)
    for a in range(len(kept)):
        _symmetric_product(right * kept[a], right.T, residual)
        centred = residual - residual.mean(1, keepdim=True)
        _symmetric_product(centred.T, centred * weight[a][:, None], out[a])


def _symmetric_product(left: torch.Tensor, right: torch.Tensor, out: torch.Tensor, blocks: int = 4) -> None:
    """Write `left` @ `right`, known to be symmetric: blocks below the diagonal are copied from above."""
    for rows in torch.arange(len(left)).chunk(blocks):
        start, stop = int(rows[0]), int(rows[-1]) + 1
        torch.mm(left[start:stop], right[:, start:], out=out[start:stop, start:])
        out[stop:, start:stop] = out[start:stop, stop:].T


def _left_out_low_rank(right: torch.Tensor, shrink: torch.Tensor, weight: torch.Tensor, out: torch.Tensor) -> None:
    """Write the same for R = I - Z diag(t) Zᵀ, with Z the voxels' directions and the constant.

    R diag(w) R = diag(w) - F Zᵀ - Z Fᵀ with F = diag(w) Z t - ½ Z t (Zᵀ diag(w) Z) t. As W is used only in Frobenius
    products with symmetric matrices, -2 F Zᵀ replaces the two last terms.
    """
    n = len(right)
    basis = torch.cat([torch.full((n, 1), n**-0.5, device=right.device), right], 1)
    for a in range(len(shrink)):
        scaled = basis * torch.cat([torch.ones(1, device=right.device), shrink[a]])
        weighted = basis * weight[a][:, None]
        half = weight[a][:, None] * scaled - 0.5 * scaled @ (weighted.T @ scaled)
        out[a] = half @ (-2 * basis.T)
        out[a].diagonal().add_(weight[a])


# --- the representations' side -----------------------------------------------------------------------------------


def decode(
    grams: Grams,
    regions: Mapping[str, np.ndarray],
    folds: Sequence[tuple[np.ndarray, np.ndarray]],
    alphas: np.ndarray,
    source: np.ndarray | None = None,
    order: np.ndarray | None = None,
    groups: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Decode every representation from every region in every fold.

    Parameters
    ----------
    grams : Grams of n_grams representations
        On the device to compute on.
    regions : mapping of region name to array of shape (n_stimuli, n_voxels)
        Finite voxel responses.
    folds : sequence of (train, test) index arrays
    alphas : array of shape (n_alphas,)
        Ridge penalties to choose from, by exact leave-one-out error summed over dimensions.
    source, order : arrays of shape (n_items,) and (n_items, n_stimuli), optional
        What to decode: item i is Gram matrix ``source[i]`` with its stimuli taken in ``order[i]``, which is how
        labels are permuted. By default each Gram matrix as it is.
    groups : array of shape (n_stimuli,), optional
        Numbers of the groups whose pairs are scored separately; they move with the labels.

    Returns
    -------
    dict of arrays of shape (n_folds, n_regions, n_items)
        :data:`SCORES`, :data:`GROUP_SCORES` (see :func:`scores`), and ``choice``, the index of the chosen penalty.

    Notes
    -----
    Memory is bounded by the Gram matrices, plus one :class:`Ridge` per region, plus one block of representations.
    """
    device = grams.inner.device
    if source is None or order is None:
        source, order = np.arange(len(grams.inner)), np.tile(np.arange(grams.inner.shape[1]), (len(grams.inner), 1))
    source, order = (torch.as_tensor(values, device=device) for values in (source, order))
    group = None if groups is None else torch.as_tensor(groups, device=device)
    n_items, names = len(source), (*SCORES, *GROUP_SCORES, "choice")
    result = {name: np.full((len(folds), len(regions), n_items), np.nan) for name in names}
    penalties = torch.as_tensor(np.asarray(alphas, dtype=np.float64), device=device)
    for f, (train, test) in enumerate(folds):
        ridges = [fit_fold(responses, train, test, penalties) for responses in regions.values()]
        columns = torch.as_tensor(np.concatenate([train, test]), device=device)
        step = max(1, BLOCK_BYTES[device.type] // (4 * len(train) * len(columns)))
        for start in range(0, n_items, step):
            chunk = slice(start, min(start + step, n_items))
            block = _gather(grams, source[chunk], order[chunk][:, columns], len(train))
            member = None if group is None else group[order[chunk][:, columns[len(train) :]]]
            for g, ridge in enumerate(ridges):
                correlation, fit = _decode_block(ridge, *block)
                for name, values in (fit | scores(correlation, member)).items():
                    result[name][f, g, chunk] = values.cpu().numpy()
    return result


def fit_fold(responses: np.ndarray, train: np.ndarray, test: np.ndarray, alphas: torch.Tensor) -> Ridge:
    """Solve one region and fold: z-score columns on the training stimuli, then :func:`fit_ridge`.

    Parameters
    ----------
    responses : array of shape (n_stimuli, n_voxels)
        Or another matrix of predictors.
    train, test : index arrays
    alphas : tensor of shape (n_alphas,), float64
        On the device to compute on.
    """
    one, other = (torch.as_tensor(responses[i], dtype=torch.float64, device=alphas.device) for i in (train, test))
    return fit_ridge(*zscore_voxels(one, other), alphas)


def _gather(
    grams: Grams, source: torch.Tensor, order: torch.Tensor, n_train: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return G[train, train + test], the means, the squared norms of the test stimuli and the widths of some items.

    `order` [n_items, n_train + n_test] holds the stimuli of each item, training first.
    """
    block = torch.empty(len(source), n_train, order.shape[1], device=order.device)
    for item, (gram, at) in enumerate(zip(source.tolist(), order, strict=True)):
        rows = grams.inner[gram].index_select(0, at[:n_train])  # rows, then columns: a third of one flat gather's time
        torch.index_select(rows, 1, at, out=block[item])
    tested = order[:, n_train:]
    return block, grams.mean[source[:, None], order], grams.inner[source[:, None], tested, tested], grams.width[source]


def _decode_block(
    ridge: Ridge, block: torch.Tensor, mean: torch.Tensor, truth: torch.Tensor, width: torch.Tensor
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Choose penalties for one chunk of representations in one region and fold, and correlate [item, test, test]."""
    n_train = block.shape[1]
    choice = (block.flatten(1) @ ridge.left_out.flatten(1).T).argmin(1)
    hat = ridge.hat[choice]
    product = torch.bmm(hat, block)
    inner = product[:, :, n_train:]  # predictions with truths
    power = (hat * product[:, :, :n_train]).sum(2)  # squared norms of predictions
    error = power.sum(1) - 2 * inner.diagonal(dim1=1, dim2=2).sum(1) + truth.sum(1)
    # Centring over dimensions is a rank-one correction, so the product above serves correlations as well.
    mean_p, mean_t = (hat @ mean[:, :n_train, None])[:, :, 0], mean[:, n_train:]
    d = width[:, None]
    covariance = inner - (d * mean_p)[:, :, None] * mean_t[:, None, :]
    scale_p = _inverse_norm(power - d * mean_p**2, truth)
    scale_t = _inverse_norm(truth - d * mean_t**2, truth)
    correlation = covariance * scale_p[:, :, None] * scale_t[:, None, :]
    return correlation, {"mse": error / (width * truth.shape[1]), "choice": choice}


def _inverse_norm(square: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Return 1 / √square, and 0 for vectors that do not vary, so that their correlations are 0."""
    varies = square > 1e-7 * truth.mean(1, keepdim=True)
    return torch.where(varies, square.clamp(min=1e-30).rsqrt(), 0)


def scores(correlation: torch.Tensor, group: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
    """Score correlations between predictions and truths of one test fold.

    Parameters
    ----------
    correlation : tensor of shape (n_representations, n_test, n_test)
        Entry ij: prediction of stimulus i with true embedding of stimulus j.
    group : tensor of shape (n_representations, n_test), optional
        Number of the group that each stimulus belongs to.

    Returns
    -------
    dict of tensors of shape (n_representations,)
        ``pairwise``: share of pairs with r_ii + r_jj > r_ij + r_ji (chance 0.5).
        ``pairwise_strict``: share of pairs with r_ii > r_ij and r_jj > r_ji (chance about 0.25
        for unrelated predictions; far below where strong shrinkage makes all predictions alike).
        ``rank``: mean rank of the true stimulus among those of the fold for each prediction, normalised to 0 (first)
        … 1 (last) (chance 0.5). In all three a tie counts half, so predictions that do not vary are at chance.
        ``pairwise_same_group``, ``pairwise_different_group``, only with `group`: ``pairwise`` over the pairs within
        a group and over those across groups; NaN where a fold has none.
    """
    m = correlation.shape[1]
    margin = correlation.diagonal(dim1=1, dim2=2)[:, :, None] - correlation
    total = margin + margin.transpose(1, 2)
    pairs = m * (m - 1)
    wins, won = _sign(margin), _sign(total)
    # (1 + s_ij)/2 · (1 + s_ji)/2 over pairs, where s is 1, 0 (tie) or -1; the diagonal has s = 0 and adds m to the ones
    summed = wins.sum((1, 2))
    both = (wins * wins.transpose(1, 2)).sum((1, 2))
    strict = 0.25 * (1 + (2 * summed + both) / pairs)
    pairwise = 0.5 + 0.5 * won.sum((1, 2)) / pairs
    result = {"pairwise": pairwise, "pairwise_strict": strict, "rank": 0.5 - 0.5 * summed / pairs}
    if group is None:
        return result
    same = group[:, :, None] == group[:, None, :]
    inside = same.sum((1, 2)) - m
    return result | {
        "pairwise_same_group": 0.5 + 0.5 * (won * same).sum((1, 2)) / inside,
        "pairwise_different_group": 0.5 + 0.5 * (won * ~same).sum((1, 2)) / (pairs - inside),
    }


def _sign(values: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.hardshrink(values, TIE).sign_()
