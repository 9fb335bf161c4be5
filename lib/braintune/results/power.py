"""Power of a verdict: how often its complete rule gives `supported` when the truth is known."""

import numpy as np
from scipy import stats

DRAWS = 4000


def no_worse(values: np.ndarray, margin: float, alpha: float, seed: int = 0) -> dict[str, float]:
    """Simulate the rule "no worse in every cell" from the observed variation over participants.

    Every cell (task or region) is tested for a loss below the margin by a one-sided t test over participants, and all
    tests have to be significant, so the power of a single t test says nothing about the rule.

    Parameters
    ----------
    values : array of shape (n_participants, n_cells)
        Observed differences; their covariance over participants is that of the simulation.
    margin, alpha : float
    seed : int

    Returns
    -------
    dict of str to float
        Probability of `supported` if there is ``no difference``, and if fine-tuning is ``better by the margin`` in
        every cell. Empty with fewer than two participants.
    """
    n = len(values)
    if n < 2 or not np.isfinite(values).all():
        return {}
    rng = np.random.default_rng(seed)
    centred = values - values.mean(0)
    root = centred / np.sqrt(n - 1)  # rows times normal numbers have the covariance of the sample
    noise = rng.standard_normal((DRAWS, n, n)) @ root
    error = np.maximum(noise.std(1, ddof=1) / np.sqrt(n), 1e-12)
    limit = stats.t.ppf(1 - alpha, n - 1)
    truths = {"no difference": 0.0, "better by the margin": -margin}
    return {
        name: float(((noise.mean(1) + true + margin) / error > limit).all(1).mean()) for name, true in truths.items()
    }
