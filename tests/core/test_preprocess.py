"""Regressing nuisance out: fitted on training stimuli, against scikit-learn."""

import numpy as np
from sklearn.linear_model import LinearRegression

from braintune.core.preprocess import regress_out


def test_equals_a_linear_regression_of_the_training_stimuli():
    rng = np.random.default_rng(0)
    nuisance, values, train = rng.normal(size=(30, 2)) * [1, 50], rng.normal(size=(30, 7)) + 4, np.arange(5, 25)
    expected = values - LinearRegression().fit(nuisance[train], values[train]).predict(nuisance)
    np.testing.assert_allclose(regress_out(values, nuisance, train), expected)


def test_copies_and_constants_among_the_regressors_change_nothing():
    rng = np.random.default_rng(1)
    values, one, train = rng.normal(size=(9, 3)), np.arange(9.0)[:, None] ** 2, np.arange(6)
    copies = np.hstack([one, one, one * 0 + 4])
    np.testing.assert_allclose(regress_out(values, one, train), regress_out(values, copies, train))


def test_what_is_explained_wholly_becomes_zero():
    """Rounding errors would be scaled up by z-scoring."""
    nuisance = np.arange(8.0)[:, None]
    values = np.column_stack([3 * nuisance[:, 0] + 1e4, np.full(8, 5.0), np.zeros(8), nuisance[:, 0] ** 2])
    left = regress_out(values.astype(np.float32), nuisance, np.arange(5))
    assert not left[:, :3].any()
    assert left[:, 3].any()
