import warnings

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold

from braintune.datasets.held_out import stratified_group_folds


def folds_of_sklearn(labels, groups, n_folds, seed):
    found = np.full(len(labels), -1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # labels rarer than the folds
        split = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
        for fold, (_, held) in enumerate(split.split(labels, labels, groups)):
            found[held] = fold
    return found


@settings(deadline=None)
@given(
    st.integers(0, 2**31 - 1), st.integers(2, 10), st.integers(1, 7), st.integers(12, 80), st.floats(0.05, 2.0)
)  # fmt: skip
def test_the_folds_are_those_of_scikit_learn(seed, n_folds, n_labels, n_rows, many):
    rng = np.random.default_rng(seed)
    labels = [f"l{k}" for k in rng.integers(n_labels, size=n_rows) ** 2 // n_labels]
    groups = rng.integers(max(n_folds, int(n_rows * many)), size=n_rows)
    assume(n_folds <= min(len(set(groups)), max(map(labels.count, labels))))  # otherwise scikit-learn refuses
    np.testing.assert_array_equal(
        stratified_group_folds(labels, groups, n_folds, seed), folds_of_sklearn(labels, groups, n_folds, seed)
    )


@pytest.mark.parametrize("n_labels", [1, 2, 7])
def test_single_rows_as_groups(n_labels):
    """Most data sets are like that; all their groups but for the label are alike."""
    labels = [f"l{k}" for k in np.random.default_rng(n_labels).integers(n_labels, size=500)]
    ours = stratified_group_folds(labels, np.arange(500), 10, 3)
    np.testing.assert_array_equal(ours, folds_of_sklearn(labels, np.arange(500), 10, 3))
    assert np.abs(np.bincount(ours, minlength=10) - 50).max() <= 1
