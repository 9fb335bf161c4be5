"""Ridge regression of one region in one fold, for every penalty, before any representation is seen.

A ridge regression predicts a representation Y [n, d] from predictors X [n, v]. Its predictions are H Y, where the hat
matrix H depends on X alone, and how well a penalty predicts inside the training fold depends on Y only through inner
products between stimuli, G = Y Yᵀ. So the predictors are reduced, for each penalty, to a hat matrix and one or two
matrices [n_train, n_train] whose Frobenius products with G give that measure. All representations share these matrices,
and the cost does not depend on the number of dimensions.

The measures of fit, both comparable between layers:

- ``scale-free``: the correlation of held-out predictions P with the truth over the inner folds k,
  Σ⟨C Yₖ, C Pₖ⟩ / √(Σ‖C Pₖ‖² Σ‖C Yₖ‖²), where C centres over the stimuli of an inner fold. The norm of predictions
  does not matter, as it does not for matching.
- ``squared-error``: 1 minus the exact leave-one-out error over that of the mean. Squared error depends on the norm of
  predictions; with noisy responses it prefers penalties so strong that the direction of predictions suffers.

Every inner fold has its own eigendecomposition, since deriving it from that of all training stimuli would divide by
numbers that small penalties make tiny. On a GPU, the decompositions of several regressions are computed together,
because a single one leaves most of the GPU idle. Both matrices of a Frobenius product are symmetric, so lower triangles
are sufficient.
"""

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
import torch

from braintune.core.preprocess import confound_regression

Select = Literal["scale-free", "squared-error"]
#: (train, test) index arrays of each fold.
Folds = Sequence[tuple[np.ndarray, np.ndarray]]
_Result = TypeVar("_Result")
# It yields a symmetric matrix, is sent its eigenvalues and eigenvectors, and so on; it returns a result.
_Solver = Generator[torch.Tensor, tuple[torch.Tensor, torch.Tensor], _Result]
#: Predictions that vary less than this part of the truth do not vary: the rest is rounding.
FLAT = 1e-12


@dataclass(frozen=True)
class Ridge:
    """Ridge regression of one region in one fold, for every penalty.

    Attributes
    ----------
    hat : tensor of shape (n_alphas, n_test, n_train)
        Predictions are the mean of the training stimuli plus ``hat @ Y[train]``; rows sum to 0.
    terms : tensor of shape (n_terms, n_train · (n_train + 1) / 2)
        What :meth:`fit` multiplies Gram matrices with: lower triangles, with the off-diagonal entries counted twice.
    select : {"scale-free", "squared-error"}
        The measure of fit.
    factors : tensors of shapes (n_alphas, n_test, n_voxels), (n_voxels, n_train), or None
        ``hat`` as a product, where there are so few voxels that multiplying with the factors is faster.
    """

    hat: torch.Tensor
    terms: torch.Tensor
    select: Select
    factors: tuple[torch.Tensor, torch.Tensor] | None = None

    def fit(self, products: torch.Tensor) -> torch.Tensor:
        """Measure how well every penalty predicts inside the training fold; larger is better.

        Parameters
        ----------
        products : tensor of shape (n_items, n_terms)
            ``triangles @ terms.T``, with the lower triangles of the training stimuli's Gram matrices (of
            :func:`lower_triangle`).

        Returns
        -------
        tensor of shape (n_items, n_alphas)
            At most 1; 0 where predictions do not vary.
        """
        n, truth = len(self.hat), products[:, -1:]
        if self.select == "squared-error":
            return 1 - products[:, :n] / truth
        shared, power = products[:, :n], products[:, n : 2 * n]
        return torch.where(power > FLAT * truth, shared * (power * truth).clamp(min=1e-30).rsqrt(), 0)


def lower_triangle(places: torch.Tensor, width: int) -> torch.Tensor:
    """Return the indices of the lower triangle between `places` in a flattened matrix of `width` columns."""
    row, column = torch.tril_indices(len(places), len(places), device=places.device)
    return places[row] * width + places[column]


def fit_ridges(
    predictors: Iterable[np.ndarray],
    fold: tuple[np.ndarray, np.ndarray],
    inner: Folds,
    alphas: torch.Tensor,
    select: Select = "scale-free",
    nuisance: np.ndarray | None = None,
    standardise: bool = True,
) -> list[Ridge]:
    """Solve several regressions of one fold, each for all penalties, decomposing in float64.

    Parameters
    ----------
    predictors : iterable of arrays of shape (n_stimuli, n_voxels)
        Responses of regions, or other predictors; their numbers of columns may differ.
    fold : (train, test) index arrays
    inner : folds of places in `train`
        They test every training stimulus at most once, and may exclude more stimuli from training than they test.
    alphas : tensor of shape (n_alphas,), float64
        Penalties above zero, relative to the mean eigenvalue of the kernel X Xᵀ, on the device to compute on. For
        z-scored columns, this mean is the number of columns that vary.
    select : {"scale-free", "squared-error"}
    nuisance : array of shape (n_train, n_regressors), optional
        Regressors that were regressed out of the training stimuli together. In each inner fold they are regressed out
        again, fitted on the training stimuli of that fold, because the contribution of its test stimuli would favour
        weak penalties. For the leave-one-out error there is no such remedy, and
        :func:`braintune.neural.folds.make_folds` rejects it.
    standardise : bool
        Z-score columns with mean and deviation of the training stimuli; else they are only centred.

    Notes
    -----
    With few columns (fewer than half the training stimuli) covariances are decomposed, otherwise kernels.
    """
    prepare = zscore_voxels if standardise else _centre
    parts = ((torch.as_tensor(one[i], dtype=torch.float64, device=alphas.device) for i in fold) for one in predictors)
    solvers = (_fit(*prepare(*pair), inner, alphas, select, nuisance) for pair in parts)
    together = [list(solvers)] if alphas.device.type == "cuda" else ([solver] for solver in solvers)
    return [ridge for some in together for ridge in _in_step(some)]


def _in_step(solvers: Sequence[_Solver[_Result]]) -> list[_Result]:
    """Run solvers to their results; the matrices that they yield at one time are decomposed together."""
    results: list[Any] = [None] * len(solvers)
    answers: dict[int, Any] = dict.fromkeys(range(len(solvers)))
    while answers:
        asked: dict[torch.Size, dict[int, torch.Tensor]] = {}
        for number, answer in answers.items():
            try:
                matrix = solvers[number].send(answer)
            except StopIteration as end:
                results[number] = end.value
            else:
                asked.setdefault(matrix.shape, {})[number] = matrix
        answers = {}
        for some in asked.values():
            values, vectors = torch.linalg.eigh(torch.stack(list(some.values())))
            answers |= zip(some, zip(values, vectors, strict=True), strict=True)
    return results


def zscore_voxels(train: torch.Tensor, test: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Z-score voxels with mean and deviation of the training stimuli; voxels constant in training become zero."""
    mean = train.mean(0)
    train, test = train - mean, test - mean
    spread = torch.linalg.vector_norm(train, dim=0) / len(train) ** 0.5
    scale = torch.where(spread > 1e-7 * mean.abs(), 1 / spread.clamp(min=1e-300), 0)
    return train.mul_(scale), test.mul_(scale)


def _centre(train: torch.Tensor, test: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    mean = train.mean(0)
    return train - mean, test - mean


def _fit(
    train: torch.Tensor,
    test: torch.Tensor,
    inner: Folds,
    alphas: torch.Tensor,
    select: Select,
    nuisance: np.ndarray | None,
) -> _Solver[Ridge]:
    """Solve one regression; `train` and `test` are centred on the training stimuli's mean."""
    few = 2 * train.shape[1] < len(train)
    if few:
        outer = yield from _from_voxels(train, test)
    else:
        kernel = torch.empty(len(train), len(train), dtype=train.dtype, device=train.device)
        for rows, columns in _lower_blocks(len(train)):
            torch.mm(train[rows], train[columns].T, out=kernel[rows, columns])
            kernel[columns, rows] = kernel[rows, columns].T
        outer = yield from _from_kernel(kernel, test @ train.T)
    scale = outer.values.sum() / len(train)
    alphas = alphas * torch.where(scale > 0, scale, 1)
    left, right = _factors(outer, alphas)
    hat = left @ right
    factors = (left, right) if 2 * len(right) < len(test) else None
    if select == "squared-error":
        return Ridge(hat, _squared_error_terms(outer, few, alphas), select, factors)
    places = [tuple(torch.as_tensor(part, device=train.device) for part in fold) for fold in inner]
    removed = [] if nuisance is None else [_Confounds.make(nuisance, *fold, train) for fold in inner]

    parts = []
    for number, (kept, tested) in enumerate(places):
        both = (train[kept], train[tested]) if few else (kernel[kept][:, kept], kernel[tested][:, kept])
        if removed:
            both = removed[number].clean(*both, kernel=not few)
        parts.append((yield from (_from_voxels(*both) if few else _from_kernel(*both))))
    return Ridge(hat, _scale_free_terms(parts, places, alphas, len(train), removed), select, factors)


class _Confounds(NamedTuple):
    """What predicts values from nuisance regressors in an inner fold: ``design @ (solve @ kept)``."""

    kept: torch.Tensor
    tested: torch.Tensor
    solve: torch.Tensor

    @classmethod
    def make(cls, nuisance: np.ndarray, kept: np.ndarray, tested: np.ndarray, like: torch.Tensor) -> "_Confounds":
        design, solve = confound_regression(nuisance, kept)
        return cls(
            *(
                torch.as_tensor(part, dtype=like.dtype, device=like.device)
                for part in (design[kept], design[tested], solve)
            )
        )

    def clean(self, kept: torch.Tensor, tested: torch.Tensor, kernel: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """Regress the nuisance out of predictors, or of both sides of their kernels."""
        predicted = self.solve @ kept
        cleaned = kept - self.kept @ predicted, tested - self.tested @ predicted
        if not kernel:
            return cleaned
        return tuple(part - (part @ self.solve.T) @ self.kept.T for part in cleaned)


class _Parts(NamedTuple):
    """Predictions with the penalty α are left diag(1 / (values + α)) rightᵀ Y + the mean of Y."""

    left: torch.Tensor
    right: torch.Tensor
    values: torch.Tensor


def _from_voxels(train: torch.Tensor, test: torch.Tensor) -> _Solver[_Parts]:
    mean = train.mean(0)
    train, test = train - mean, test - mean
    values, vectors = yield train.T @ train
    return _Parts(test @ vectors, train @ vectors, values.clamp(min=0))


def _from_kernel(kernel: torch.Tensor, cross: torch.Tensor) -> _Solver[_Parts]:
    """Centre on the training stimuli; of the eigenvectors too, since rounding would drown small penalties."""
    mean = kernel.mean(0)
    cross = cross - cross.mean(1, keepdim=True) - mean + mean.mean()
    values, vectors = yield kernel - mean - mean[:, None] + mean.mean()
    return _Parts(cross @ vectors, vectors - vectors.mean(0), values.clamp(min=0))


def _factors(parts: _Parts, alphas: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the hat matrix of every penalty, without the mean, as two factors, float32."""
    left = parts.left / (parts.values + alphas[:, None])[:, None]
    return left.float(), parts.right.T.float()


def _scale_free_terms(
    folds: Iterable[_Parts], places: Sequence[tuple], alphas: torch.Tensor, n: int, removed: Sequence[_Confounds] = ()
) -> torch.Tensor:
    """Return per penalty the centred hat C H of held-out predictions, then per penalty Hᵀ C H, then C.

    Where nuisance is regressed out, the truth is C M Y with a row of M for each stimulus that is tested, and the terms
    are those of Mᵀ C H, Hᵀ C H and Mᵀ C M; H M is H.
    """
    device, n_alphas = alphas.device, len(alphas)
    centred = torch.zeros(n_alphas + 1, n, n, device=device)
    for (left, right, values), (kept, tested) in zip(folds, places, strict=True):
        padded = right.new_zeros(n, right.shape[1]).index_copy_(0, kept, right)
        first, second = _factors(_Parts(left - left.mean(0), padded, values), alphas)
        centred[:-1].index_copy_(1, tested, first @ second)
        centred[-1, tested[:, None], tested] = torch.eye(len(tested), device=device) - 1 / len(tested)
    triangle = lower_triangle(torch.arange(n, device=device), n)
    terms = torch.empty(2 * n_alphas + 1, len(triangle), device=device)
    terms[n_alphas:-1] = square_terms(centred[:-1])
    if removed:
        left, right = _truth(removed, places, centred)
        terms[-1] = square_terms(centred[-1:])[0]
    for a in range(n_alphas):
        shared = centred[a] + left @ (right @ centred[a]) if removed else centred[a]
        terms[a] = _count_twice(shared + shared.T, triangle)
    if not removed:
        terms[-1] = _count_twice(2 * centred[-1], triangle)
    return terms


def _truth(
    removed: Sequence[_Confounds], places: Sequence[tuple], centred: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Subtract from the truth C, the last matrix, what nuisance predicts; return the two factors of that."""
    n, columns = centred.shape[1], sum(len(part.solve) for part in removed)
    left, right, start = centred.new_zeros(n, columns), centred.new_zeros(columns, n), 0
    for part, (kept, tested) in zip(removed, places, strict=True):
        own = slice(start, start + len(part.solve))
        left[kept, own] = -part.solve.T.float()
        right[own, tested] = (part.tested - part.tested.mean(0)).T.float()
        start = own.stop
    centred[-1] += right.T @ left.T
    return left, right


def square_terms(matrices: torch.Tensor) -> torch.Tensor:
    """Return what lower triangles of Gram matrices G are multiplied with to give tr(M G Mᵀ).

    Parameters
    ----------
    matrices : tensor of shape (n_matrices, m, n)

    Returns
    -------
    tensor of shape (n_matrices, n · (n + 1) / 2)
    """
    n = matrices.shape[2]
    triangle = lower_triangle(torch.arange(n, device=matrices.device), n)
    terms = torch.empty(len(matrices), len(triangle), device=matrices.device)
    for row, matrix in zip(terms, matrices, strict=True):
        row.copy_(_count_twice(2 * _square(matrix), triangle))
    return terms


def _squared_error_terms(parts: _Parts, few: bool, alphas: torch.Tensor) -> torch.Tensor:
    """Return per penalty W, such that ⟨W, G⟩ is the leave-one-out error, then the same of the mean.

    The residuals are Q diag(α / (λ + α)) Qᵀ Y of a kernel's eigenvectors Q: formed so, nothing cancels.
    """
    right, n, device = parts.right.float(), len(parts.right), parts.right.device
    base = torch.eye(n, device=device) - 1 / n
    triangle = lower_triangle(torch.arange(n, device=device), n)
    terms = torch.empty(len(alphas) + 1, len(triangle), device=device)
    for a, alpha in enumerate(alphas):
        shrink = 1 / (parts.values + alpha)
        residual = (right * (-shrink if few else alpha * shrink).float()) @ right.T + (base if few else 0)
        terms[a] = _count_twice(2 * _square(residual / residual.diagonal().clamp(min=1e-30)[:, None]), triangle)
    terms[-1] = _count_twice(2 * base * (n / (n - 1)) ** 2, triangle)
    return terms


def _square(matrix: torch.Tensor) -> torch.Tensor:
    """Return the lower triangle of ``matrix.T @ matrix``."""
    product = torch.empty(matrix.shape[1], matrix.shape[1], dtype=matrix.dtype, device=matrix.device)
    for rows, columns in _lower_blocks(matrix.shape[1]):
        torch.mm(matrix[:, rows].T, matrix[:, columns], out=product[rows, columns])
    return product


def _count_twice(matrix: torch.Tensor, triangle: torch.Tensor) -> torch.Tensor:
    """Return the lower triangle of a doubled matrix, which its diagonal must not be."""
    matrix.diagonal().mul_(0.5)
    return matrix.view(-1)[triangle]


def _lower_blocks(n: int, blocks: int = 3) -> list[tuple[slice, slice]]:
    """Divide the lower triangle of a matrix into blocks of rows, each with the columns up to its diagonal."""
    edges = [n * block // blocks for block in range(blocks + 1)]
    return [(slice(start, stop), slice(stop)) for start, stop in pairwise(edges)]
