"""Representations as inner products between stimuli, which are all that decoding and similarity need."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from braintune.core.base import BraintuneError
from braintune.core.preprocess import confound_regression, zscore_varying
from braintune.neural.ridge import lower_triangle

#: Bytes of lower triangles multiplied at a time: the larger, the faster.
PRODUCT_BYTES = {"cpu": 2**27, "cuda": 2**31}


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
        Number of dimensions.
    """

    inner: torch.Tensor
    mean: torch.Tensor
    width: torch.Tensor

    def without(self, nuisance: np.ndarray | None, train: np.ndarray) -> "Grams":
        """Return the Gram matrices of the residuals of :func:`braintune.core.preprocess.regress_out`.

        The residuals are M Y, where M depends only on nuisance regressors and training stimuli, so their Gram matrices
        are M G Mᵀ.
        """
        if nuisance is None:
            return self
        parts = confound_regression(nuisance, train)
        design, solve = (torch.as_tensor(part, dtype=torch.float32, device=self.inner.device) for part in parts)
        places = torch.as_tensor(train, device=self.inner.device)
        inner = self.inner - design @ (solve @ self.inner[:, places])
        inner -= (inner[:, :, places] @ solve.T) @ design.T
        mean = self.mean - (self.mean[:, places] @ solve.T) @ design.T
        return Grams(inner, mean, self.width)

    def products(self, places: np.ndarray, terms: torch.Tensor) -> torch.Tensor:
        """Return the products [n_representations, n_terms] of Gram matrices of the stimuli `places` with ridge terms.

        The terms are those of :class:`braintune.neural.ridge.Ridge`, of one region or several.
        """
        step = max(1, PRODUCT_BYTES[self.inner.device.type] // (2 * 4 * len(places) * (len(places) + 1) // 2))
        parts = range(0, len(self.inner), step)
        return torch.cat([self.triangles(places, slice(start, start + step)) @ terms.T for start in parts])

    def triangles(self, places: np.ndarray, items: slice = slice(None)) -> torch.Tensor:
        """Return the lower triangles of the Gram matrices of the stimuli `places`, one row per representation."""
        device, n = self.inner.device, self.inner.shape[1]
        triangle = lower_triangle(torch.as_tensor(places, device=device), n)
        grams = self.inner[items].view(-1, n * n)
        if device.type != "cpu":
            return grams.index_select(1, triangle)
        packed = torch.empty(len(grams), len(triangle), device=device)
        for item, gram in enumerate(grams):
            torch.index_select(gram, 0, triangle, out=packed[item])
        return packed


def gram_matrices(
    embeddings: Sequence[np.ndarray],
    standardise: bool = True,
    device: str | torch.device = "cpu",
    names: Sequence[str] | None = None,
    least: int = 3,
) -> Grams:
    """Turn embeddings into Gram matrices.

    Parameters
    ----------
    embeddings : sequence of arrays of shape (n_stimuli, n_dimensions)
        The number of dimensions may differ. Give a one-dimensional property (length, position) as a basis code: one-hot
        bins or Gaussians.
    standardise : bool
        Z-score each dimension over the stimuli first; else it is only centred. Constant dimensions are left out.
    device : str or torch.device
        Device of the result.
    names : sequence of str, optional
        Names of the embeddings in errors.
    least : int
        Number of dimensions that must vary over the stimuli; correlations over fewer than three are meaningless.

    Raises
    ------
    BraintuneError
        For non-finite values, too few varying dimensions, or differing numbers of stimuli.
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
        if varying.shape[1] < least:
            raise BraintuneError(
                f"embedding {name} has {varying.shape[1]} dimensions that vary over the stimuli; at least {least} are "
                "needed to correlate over; give a single property as a basis code (one-hot or Gaussian bins)"
            )
        if not standardise:  # offsets would cost float32 its digits
            varying = embedding - embedding.mean(0, dtype=np.float64)
        values = torch.from_numpy(np.ascontiguousarray(varying, dtype=np.float32))
        inner.append(values @ values.T)
        mean.append(values.mean(1))
        width.append(values.shape[1])
    return Grams(
        torch.stack(inner).to(device), torch.stack(mean).to(device), torch.tensor(width, dtype=torch.float32).to(device)
    )
