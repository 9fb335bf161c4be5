"""Gram matrices: blocks and products of folds, and embeddings that cannot be analysed."""

import numpy as np
import pytest
import torch

from braintune.core.base import BraintuneError
from braintune.core.preprocess import zscore
from braintune.neural import grams as module
from braintune.neural.grams import gram_matrices
from braintune.neural.ridge import lower_triangle


@pytest.mark.parametrize("standardise", [True, False])
def test_blocks_are_inner_products_of_the_stimuli(standardise):
    rng = np.random.default_rng(0)
    embeddings = [rng.normal(size=(9, d)) * 3 + 1 for d in (4, 7, 5)]
    train, test = np.array([5, 0, 7, 2]), np.array([8, 1])
    block = gram_matrices(embeddings, standardise).block(train, test, slice(1, 3))
    for item, embedding in enumerate(embeddings[1:]):
        values = zscore(embedding) if standardise else embedding - embedding.mean(0)
        np.testing.assert_allclose(block.train[item], values[train] @ values[train].T, atol=1e-4)
        truth = values[test] - values[train].mean(0)
        np.testing.assert_allclose(block.cross[item], values[train] @ truth.T, atol=1e-4)
        np.testing.assert_allclose(block.truth[item], (truth**2).sum(1), rtol=1e-5)
        np.testing.assert_allclose(block.mean_train[item], values[train].mean(1), atol=1e-5)
        np.testing.assert_allclose(block.mean_test[item], truth.mean(1), atol=1e-5)
        assert float(block.width[item, 0]) == embedding.shape[1]


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
