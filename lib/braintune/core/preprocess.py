"""Z-scoring, detrending, and regressing out nuisance variables."""

import numpy as np


def confound_regression(nuisance: np.ndarray, train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the matrices that predict values from nuisance regressors: ``design @ (solve @ values[train])``.

    The regression, which includes a constant, is fitted on the training stimuli alone [1]_. Fitted on all stimuli, it
    would leak information about the test stimuli into the residuals, and representations without any content could be
    decoded.

    Parameters
    ----------
    nuisance : array of shape (n_stimuli, n_regressors)
        Regressors may be duplicates of each other.
    train : int array of shape (n_train,)

    Returns
    -------
    design : array of shape (n_stimuli, n_regressors + 1)
    solve : array of shape (n_regressors + 1, n_train)

    References
    ----------
    .. [1] Snoek, Miletić & Scholte (2019). How to control for confounds in decoding analyses of neuroimaging data.
       NeuroImage 184, 741-760.
    """
    design = np.column_stack([np.ones(len(nuisance)), zscore(nuisance)])
    return design, np.linalg.pinv(design[train], rcond=1e-10)


def regress_out(values: np.ndarray, nuisance: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Subtract the prediction of :func:`confound_regression` from values; columns that it predicts fully become 0.

    Parameters
    ----------
    values : array of shape (n_stimuli, n_columns)
    nuisance : array of shape (n_stimuli, n_regressors)
    train : int array of shape (n_train,)

    Returns
    -------
    array of the shape of `values`, float64
    """
    design, solve = confound_regression(nuisance, train)
    left = values - design @ (solve @ values[train].astype(np.float64))
    lengths = [np.linalg.norm(part[train], axis=0) for part in (left, values)]
    return np.where(lengths[0] > 1e-6 * lengths[1], left, 0)


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
        A column with a smaller standard deviation counts as constant: after :func:`detrend`, only rounding error is
        left of a constant column.
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
