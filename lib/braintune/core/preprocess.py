"""Z-scoring, detrending, regressing out."""

import numpy as np


def regress_out(values: np.ndarray, nuisance: np.ndarray) -> np.ndarray:
    """Regress nuisance regressors, and the mean, out of responses or embeddings by least squares over all stimuli.

    The residuals are uncorrelated with the regressors over the stimulus set, so no linear decoder can use them.

    Parameters
    ----------
    values : array of shape (n_stimuli, ...)
    nuisance : array of shape (n_stimuli, n_regressors)

    Returns
    -------
    array of the shape and type of `values`
    """
    design = np.column_stack([np.ones(len(nuisance)), zscore(nuisance)])
    parts = np.linalg.svd(design, full_matrices=False)
    basis = parts.U[:, 1e-10 * parts.S[0] < parts.S]  # regressors may be copies of each other
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


def zscore(values: np.ndarray, min_spread: float = 0.0) -> np.ndarray:
    """Give each column mean 0 and standard deviation 1 over the rows, in float64; constant columns become 0.

    Parameters
    ----------
    values : array of shape (n_rows, n_columns)
    min_spread : float
        A column with a smaller standard deviation counts as constant: what :func:`detrend` leaves of a constant column
        is rounding error.
    """
    values = np.array(values, dtype=np.float64)
    mean = values.mean(0)
    values -= mean
    spread = np.sqrt(np.einsum("nd,nd->d", values, values) / len(values))
    constant = spread <= np.maximum(1e-7 * np.abs(mean), min_spread)
    return values / np.where(constant, np.inf, spread)


def zscore_varying(values: np.ndarray) -> np.ndarray:
    """Z-score each column over the rows and leave out the constant ones.

    Parameters
    ----------
    values : array of shape (n_rows, n_columns)

    Returns
    -------
    array of shape (n_rows, n_varying_columns), float64
    """
    values = zscore(values)
    varying = values.any(0)
    return values if varying.all() else values[:, varying]
