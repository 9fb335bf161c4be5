"""Gram matrices: products of folds, and embeddings that cannot be analysed."""

import numpy as np
import pytest
import torch

from braintune.core.base import BraintuneError
from braintune.neural import grams as module
from braintune.neural.grams import gram_matrices
from braintune.neural.ridge import lower_triangle


def test_products_are_sums_over_lower_triangles(monkeypatch):
    rng = np.random.default_rng(0)
    grams, places = gram_matrices([rng.normal(size=(9, 4)) for _ in range(3)]), np.array([5, 0, 7])
    terms = torch.from_numpy(rng.normal(size=(2, 6))).float()
    rows, columns = np.tril_indices(3)
    expected = [[(gram[places[rows], places[columns]] * term).sum() for term in terms] for gram in grams.inner]
    np.testing.assert_allclose(grams.products(places, terms), expected, rtol=1e-5)
    monkeypatch.setitem(module.PRODUCT_BYTES, "cpu", 1)
    np.testing.assert_allclose(grams.products(places, terms), expected, rtol=1e-5)
    assert lower_triangle(torch.arange(2), 9).tolist() == [0, 9, 10]


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (np.ones((9, 4)), "embedding late has 0 dimensions that vary.*basis code"),
        (np.arange(9.0)[:, None], "embedding late has 1 dimensions"),
        (np.full((9, 4), np.inf), "embedding late of shape .*finite"),
        (np.ones(9), "embedding late of shape .*allowed"),
        (np.eye(8), "embedding late has 8 stimuli, those before 9"),
    ],
)
def test_faulty_embeddings_are_named(second, message):
    with pytest.raises(BraintuneError, match=message):
        gram_matrices([np.eye(9), second], names=["early", "late"])
