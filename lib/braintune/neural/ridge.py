"""Ridge regression of one region in one fold, for every penalty, before any representation is seen.

A ridge regression predicts a representation Y [n, d] from predictors X [n, v]. Its predictions are H Y with a hat matrix
H that depends on X alone, and whatever measures how well a penalty predicts inside the training fold depends on Y only
through inner products between stimuli, G = Y Yᵀ. So the predictors become, per penalty, a hat matrix and one or two
matrices [n_train, n_train] whose Frobenius products with G give that measure. All representations share them, and
nothing grows with the number of their dimensions.

The measures of fit, both comparable between layers:

- ``scale-free``: the correlation of held-out predictions P with the truth over the inner folds k,
  Σ⟨C Yₖ, C Pₖ⟩ / √(Σ‖C Pₖ‖² Σ‖C Yₖ‖²), where C centres over the stimuli of an inner fold. The length of predictions
  does not matter, as it does not for matching.
- ``squared-error``: 1 minus the exact leave-one-out error over that of the mean. Squared error punishes the length of
  predictions; with noisy responses it prefers penalties so strong that the direction of predictions suffers.

Inner folds need no decomposition of their own. With the residual map R of all training stimuli, R Y = Y - fitted Y,
leaving out the stimuli c leaves them the residuals R_cc⁻¹ R_c Y, exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

Select = Literal["scale-free", "squared-error"]
#: (train, test) index arrays of each fold.
Folds = Sequence[tuple[np.ndarray, np.ndarray]]
#: Predictions that vary less than this part of the truth do not vary: the rest is rounding.
FLAT = 1e-12


@dataclass(frozen=True)
class Ridge:
    """Ridge regression of one region in one fold, for every penalty.

    Attributes
    ----------
    hat : tensor of shape (n_alphas, n_test, n_train)
        Predictions are ``hat @ Y[train]``; it includes the intercept, so rows sum to 1.
    terms : tensor of shape (n_terms, n_train · n_train)
        What :meth:`fit` multiplies Gram matrices with.
    select : {"scale-free", "squared-error"}
        The measure of fit.
    """

    hat: torch.Tensor
    terms: torch.Tensor
    select: Select

    def fit(self, inner: torch.Tensor) -> torch.Tensor:
        """Measure how well every penalty predicts inside the training fold; larger is better.

        Parameters
        ----------
        inner : tensor of shape (n_items, n_train, n_train)
            Gram matrices of the training stimuli.

        Returns
        -------
        tensor of shape (n_items, n_alphas)
            At most 1; 0 where predictions do not vary.
        """
        products = inner.flatten(1) @ self.terms.T
        n, truth = len(self.hat), products[:, -1:]
        if self.select == "squared-error":
            return 1 - products[:, :n] / truth
        shared, power = products[:, :n], products[:, n : 2 * n]
        return torch.where(power > FLAT * truth, shared * (power * truth).clamp(min=1e-30).rsqrt(), 0)


def fit_fold(
    responses: np.ndarray,
    fold: tuple[np.ndarray, np.ndarray],
    inner: Folds,
    alphas: torch.Tensor,
    select: Select = "scale-free",
) -> Ridge:
    """Solve one region and fold: z-score columns on the training stimuli, then :func:`fit_ridge`.

    Parameters
    ----------
    responses : array of shape (n_stimuli, n_voxels)
        Or another matrix of predictors.
    fold : (train, test) index arrays
    inner : folds of places in `train`
    alphas : tensor of shape (n_alphas,), float64
        Penalties relative to the mean eigenvalue of the kernel, on the device to compute on.
    select : {"scale-free", "squared-error"}
    """
    train, test = (torch.as_tensor(responses[i], dtype=torch.float64, device=alphas.device) for i in fold)
    return fit_ridge(*zscore_voxels(train, test), inner, alphas, select)


def zscore_voxels(train: torch.Tensor, test: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Z-score voxels with mean and deviation of the training stimuli; voxels constant in training become zero."""
    mean = train.mean(0)
    train, test = train - mean, test - mean
    spread = torch.linalg.vector_norm(train, dim=0) / len(train) ** 0.5
    scale = torch.where(spread > 1e-7 * mean.abs(), 1 / spread.clamp(min=1e-300), 0)
    return train.mul_(scale), test.mul_(scale)


def fit_ridge(train: torch.Tensor, test: torch.Tensor, inner: Folds, alphas: torch.Tensor, select: Select) -> Ridge:
    """Solve one region and fold for all penalties with one eigendecomposition, in float64.

    Parameters
    ----------
    train, test : tensors of shape (n_train, n_voxels), (n_test, n_voxels), float64
        Responses, centred on the training stimuli's mean (:func:`zscore_voxels`).
    inner : folds of places in the training stimuli
        They test every stimulus at most once, and may leave out more than they test.
    alphas : tensor of shape (n_alphas,), float64
        Penalties above zero, relative to the mean eigenvalue of the kernel X Xᵀ: with z-scored voxels that is the
        number of voxels that vary.
    select : {"scale-free", "squared-error"}

    Notes
    -----
    With few voxels (fewer than half the training stimuli) the covariance is decomposed; otherwise the kernel, and the
    residual map Q diag(α / (λ + α)) Qᵀ is formed without cancellation. The eigenvectors are centred in float64, which
    takes out the constant direction: its residual is zero, and its rounding error would drown small penalties.
    """
    n, device = len(train), train.device
    few = 2 * train.shape[1] < n
    values, vectors = torch.linalg.eigh(train.T @ train if few else train @ train.T)
    values = values.clamp(min=0)
    alphas = alphas * (values.sum() / n if values.any() else 1)
    shrink = 1 / (values + alphas[:, None])  # [n_alphas, rank]
    right = train @ vectors if few else vectors - vectors.mean(0)
    left = test @ vectors if few else (test @ train.T) @ vectors
    kept = (-shrink if few else alphas[:, None] * shrink).float()
    hat = (left.float() * shrink[:, None].float()) @ right.float().T + 1 / n
    base = torch.eye(n, device=device) - 1 / n if few else torch.zeros(1, 1, device=device)
    residual = torch.empty(len(alphas), n, n, device=device)
    right = right.float()
    for a in range(len(alphas)):
        _symmetric_product(right * kept[a], right.T, residual[a])
    residual += base
    terms = _scale_free_terms if select == "scale-free" else _squared_error_terms
    return Ridge(hat, terms(residual, inner).flatten(1), select)


def _scale_free_terms(residual: torch.Tensor, inner: Folds) -> torch.Tensor:
    """Return per penalty the centred hat C H of held-out predictions, then per penalty Hᵀ C H, then C."""
    n_alphas, n, _ = residual.shape
    terms = torch.zeros(2 * n_alphas + 1, n, n, device=residual.device)
    for kept, tested in inner:
        out = np.setdiff1d(np.arange(n), kept)  # what is tested, and what is too near to it
        inverse = torch.linalg.inv(residual[:, out[:, None], out].double()).float()
        rows = inverse[:, np.searchsorted(out, tested)]
        held_out = -rows @ residual[:, out[:, None], kept]
        terms[:n_alphas, tested[:, None], kept] = held_out - held_out.mean(1, keepdim=True)
        terms[-1, tested[:, None], tested] = -1 / len(tested)
        terms[-1, tested, tested] += 1
    for a in range(n_alphas):
        _symmetric_product(terms[a].T, terms[a], terms[n_alphas + a])
    return terms


def _squared_error_terms(residual: torch.Tensor, inner: Folds) -> torch.Tensor:
    """Return per penalty W, such that ⟨W, G⟩ is the leave-one-out error, then the same of the mean."""
    n_alphas, n, _ = residual.shape
    terms = torch.empty(n_alphas + 1, n, n, device=residual.device)
    for a in range(n_alphas):
        left_out = residual[a] / residual[a].diagonal().clamp(min=1e-30)[:, None]
        _symmetric_product(left_out.T, left_out, terms[a])
    terms[-1] = (torch.eye(n, device=residual.device) - 1 / n) * (n / (n - 1)) ** 2
    return terms


def _symmetric_product(left: torch.Tensor, right: torch.Tensor, out: torch.Tensor, blocks: int = 4) -> None:
    """Write `left` @ `right`, known to be symmetric: blocks below the diagonal are copied from above."""
    for rows in torch.arange(len(left)).chunk(blocks):
        start, stop = int(rows[0]), int(rows[-1]) + 1
        torch.mm(left[start:stop], right[:, start:], out=out[start:stop, start:])
        out[stop:, start:stop] = out[start:stop, stop:].T
