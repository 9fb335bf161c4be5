"""Ridge regression and the choice of its penalty against slow refits, scikit-learn and float64."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge, RidgeCV
from small_brains import ALPHAS, noisy_pair

from braintune.core.preprocess import zscore_varying
from braintune.neural import ridge
from braintune.neural.ridge import fit_ridges, lower_triangle, zscore_voxels


def quarters(n, gap=0):
    """Inner folds; with a gap, they leave out more than they test."""
    tests = np.array_split(np.arange(n), 4)
    return [(np.setdiff1d(np.arange(n), np.arange(t[0] - gap, t[-1] + gap + 1)), t) for t in tests]


def solve(voxels, cut, inner, alphas=ALPHAS, select="scale-free"):
    """Return the solved fold, and z-scored voxels of its training and test stimuli."""
    fold = np.arange(cut), np.arange(cut, len(voxels))
    (ridge,) = fit_ridges([voxels], fold, inner, torch.as_tensor(alphas), select)
    return ridge, *(x.numpy() for x in zscore_voxels(*(torch.from_numpy(voxels[i].astype(float)) for i in fold)))


def fit_of(ridge, target):
    target = torch.from_numpy(target - target.mean(0)).float()
    packed = (target @ target.T).view(-1)[lower_triangle(torch.arange(len(target)), len(target))]
    return ridge.fit((ridge.terms @ packed)[None])[0].numpy()


def slow_scale_free(voxels, target, inner, alphas):
    """Refit in every inner fold, and correlate what is predicted of the left-out stimuli with the truth."""
    found = []
    for alpha in alphas:
        shared = power = truth = 0
        for kept, tested in inner:
            predicted = Ridge(alpha, solver="svd").fit(voxels[kept], target[kept]).predict(voxels[tested])
            predicted, true = (x - x.mean(0) for x in (predicted.reshape(len(tested), -1), target[tested]))
            shared, power, truth = (
                shared + (predicted * true).sum(),
                power + (predicted**2).sum(),
                truth + (true**2).sum(),
            )
        found.append(shared / np.sqrt(power * truth))
    return np.array(found)


def slow_left_out_error(voxels, target, alpha):
    """Refit without each stimulus in turn, in float64."""
    error = 0.0
    for i in range(len(voxels)):
        rest = np.delete(np.arange(len(voxels)), i)
        x, y = voxels[rest] - voxels[rest].mean(0), target[rest] - target[rest].mean(0)
        weights = x.T @ np.linalg.solve(x @ x.T + alpha * np.eye(len(rest)), y)
        error += (((voxels[i] - voxels[rest].mean(0)) @ weights + target[rest].mean(0) - target[i]) ** 2).sum()
    return error


@pytest.mark.parametrize("gap", [0, 3])
@pytest.mark.parametrize(("n", "v"), [(60, 1), (60, 12), (60, 24), (60, 37), (60, 51), (60, 300)])
def test_scale_free_fit_equals_refits_in_every_inner_fold(n, v, gap):
    voxels, target = noisy_pair(n, v, 9)
    inner, target = quarters(50, gap), target[:50].astype(float)
    ridge, train, _ = solve(voxels, 50, inner)
    np.testing.assert_allclose(fit_of(ridge, target), slow_scale_free(train, target, inner, ALPHAS * v), atol=2e-5)


@pytest.mark.parametrize(("v", "rank"), [(125, 125), (52, 52), (70, 20), (400, 40), (400, 99), (75, 75)])
def test_scale_free_fit_is_accurate_where_kernels_are_singular(v, rank):
    """Voxels just above the number of stimuli, or of low rank; penalties from a millionth of the mean eigenvalue."""
    rng = np.random.default_rng(0)
    voxels = rng.normal(size=(110, rank)) @ rng.normal(size=(rank, v))
    target = (voxels @ rng.normal(size=(v, 20)) + 30 * rng.normal(size=(110, 20)))[:100]
    alphas, inner = np.logspace(-6, 3, 10), quarters(100)
    ridge, train, _ = solve(voxels, 100, inner, alphas)
    expected = slow_scale_free(train, target, inner, alphas * v)
    np.testing.assert_allclose(fit_of(ridge, target), expected, atol=1e-4)
    assert fit_of(ridge, target).argmax() == expected.argmax()


def test_regressions_solved_in_step_as_on_a_gpu_are_those_solved_alone():
    """Those of few and of many voxels ask for matrices of other shapes, and those with many end at the same time."""
    voxels = [noisy_pair(60, v, 9, seed=seed)[0].astype(float) for seed, v in enumerate((4, 300, 4, 80))]
    pairs = [zscore_voxels(*map(torch.from_numpy, np.split(one, [50]))) for one in voxels]
    given = quarters(50), torch.as_tensor(ALPHAS), "scale-free", None
    together = ridge._in_step([ridge._fit(*pair, *given) for pair in pairs])
    for pair, found in zip(pairs, together, strict=True):
        (alone,) = ridge._in_step([ridge._fit(*pair, *given)])
        torch.testing.assert_close(found.hat, alone.hat)
        torch.testing.assert_close(found.terms, alone.terms)
    assert len({found.hat.abs().sum().item() for found in together}) == 4


@pytest.mark.parametrize("v", [1, 10, 27, 90])
def test_squared_error_fit_is_exact_leave_one_out(v):
    voxels, target = noisy_pair(40, v, 8)
    target = target[:30].astype(float)
    ridge, train, _ = solve(voxels, 30, quarters(30), select="squared-error")
    mean = slow_left_out_error(train * 0, target, 1)
    expected = [1 - slow_left_out_error(train, target, alpha * v) / mean for alpha in ALPHAS]
    np.testing.assert_allclose(fit_of(ridge, target), expected, atol=2e-4)
    assert ALPHAS[fit_of(ridge, target).argmax()] * v == pytest.approx(RidgeCV(ALPHAS * v).fit(train, target).alpha_)


def test_tiny_penalties_keep_their_leave_one_out_error():
    voxels, target = noisy_pair(170, 400, 20)
    target = target[:160].astype(float)
    ridge, train, _ = solve(voxels, 160, quarters(160), np.array([1e-8 / 400]), "squared-error")
    mean = slow_left_out_error(train * 0, target, 1)
    assert (1 - fit_of(ridge, target)[0]) * mean == pytest.approx(slow_left_out_error(train, target, 1e-8), rel=1e-3)


@pytest.mark.parametrize(("n", "v"), [(60, 1), (60, 12), (60, 28), (40, 39), (40, 300)])
def test_predictions_are_those_of_ridge(n, v):
    voxels, embedding = noisy_pair(n, v, 9)
    cut, target = n - 10, zscore_varying(embedding)
    ridge, train, test = solve(voxels, cut, quarters(cut))
    for alpha, hat in zip(ALPHAS * v, ridge.hat, strict=True):
        expected = Ridge(alpha, solver="svd").fit(train, target[:cut]).predict(test)
        found = hat.numpy() @ target[:cut] + target[:cut].mean(0)
        assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("select", ["scale-free", "squared-error"])
def test_voxels_that_do_not_vary_fit_nothing(select):
    ridge, _, _ = solve(np.ones((40, 5)), 30, quarters(30), select=select)
    np.testing.assert_allclose(fit_of(ridge, noisy_pair(30, 2, 8)[1]), 0, atol=1e-5)
    np.testing.assert_allclose(ridge.hat, 0, atol=1e-6)
