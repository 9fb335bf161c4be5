"""Z-scoring, detrending, regressing out."""

import numpy as np


def regress_out(values: np.ndarray, nuisance: np.ndarray) -> np.ndarray:
    """Take regressors, and the mean, out of responses or embeddings by least squares over all stimuli.

    What is left is uncorrelated with the regressors over the stimulus set, so no linear decoder of it can use them.

    Parameters
    ----------
    values : array of shape (n_stimuli, ...)
    nuisance : array of shape (n_stimuli, n_regressors)

    Returns
    -------
    array of the shape and type of `values`
    """
    design = np.column_stack([np.ones(len(nuisance)), standardise(nuisance)])
    basis = np.linalg.svd(design, full_matrices=False)
    basis = basis.U[:, 1e-10 * basis.S[0] < basis.S]  # regressors may be copies of each other
    flat = values.reshape(len(values), -1).astype(np.float64)
    return (flat - basis @ (basis.T @ flat)).reshape(values.shape).astype(values.dtype)


def detrend(scans: np.ndarray, order: int) -> np.ndarray:
    """Remove slow drift: regress out the first `order` cosines (of the discrete cosine transform), constant included.

    Parameters
    ----------
    scans : array of shape (n_scans, n_regions)
    order : int
        Number of regressors.

    Returns
    -------
    array of shape (n_scans, n_regions)
        The residuals, float64.
    """
    n = len(scans)
    drift = np.cos(np.pi / n * np.outer(np.arange(n) + 0.5, np.arange(order)))
    drift /= np.linalg.norm(drift, axis=0)  # the columns are orthogonal, so this makes them an orthonormal basis
    return scans - drift @ (drift.T @ scans.astype(np.float64))


def standardise(scans: np.ndarray) -> np.ndarray:
    """Give every column mean 0 and standard deviation 1; a constant column becomes 0."""
    centred = scans - scans.mean(axis=0, dtype=np.float64)
    spread = centred.std(axis=0)
    return centred / np.where(spread > 1e-12, spread, np.inf)


def zscored(values: np.ndarray) -> np.ndarray:
    """Z-score each column over the rows, in float64; constant columns become 0.

    Parameters
    ----------
    values : array of shape (n_stimuli, n_columns)
    """
    values = np.array(values, dtype=np.float64)
    mean = values.mean(0)
    values -= mean
    spread = np.sqrt(np.einsum("nd,nd->d", values, values) / len(values))
    return values / np.where(spread > 1e-7 * np.abs(mean), spread, np.inf)


def standardised(embedding: np.ndarray) -> np.ndarray:
    """Z-score each dimension over the stimuli and leave out the constant ones.

    Parameters
    ----------
    embedding : array of shape (n_stimuli, n_dimensions)

    Returns
    -------
    array of shape (n_stimuli, n_varying_dimensions), float64
    """
    values = zscored(embedding)
    varying = values.any(0)
    return values if varying.all() else values[:, varying]
