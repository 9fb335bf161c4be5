"""Scores of a test fold against double loops."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from braintune.neural.matching import GROUP_SCORES, SCORES, TIE, null_scores, scores


def slow_scores(predicted, truth, group=None):
    m = len(truth)
    with np.errstate(invalid="ignore", divide="ignore"):
        r = np.nan_to_num(np.corrcoef(predicted, truth)[:m, m:])

    def won(x):
        return 1.0 if x > TIE else 0.5 if x >= -TIE else 0.0

    pairs = [(i, j) for i in range(m) for j in range(i + 1, m)]
    ordered = [(i, j) for i in range(m) for j in range(m) if i != j]
    margins = {(i, j): r[i, i] + r[j, j] - r[i, j] - r[j, i] for i, j in pairs}
    inside = [] if group is None else [won(x) for (i, j), x in margins.items() if group[i] == group[j]]
    across = [] if group is None else [won(x) for (i, j), x in margins.items() if group[i] != group[j]]
    return {
        "pairwise": np.mean([won(x) for x in margins.values()]),
        "margin": np.mean(list(margins.values())),
        "pairwise_same_group": np.mean(inside) if inside else np.nan,
        "pairwise_different_group": np.mean(across) if across else np.nan,
        "pairwise_strict": np.mean([won(r[i, i] - r[i, j]) * won(r[j, j] - r[j, i]) for i, j in pairs]),
        "rank": np.mean([1 - won(r[i, i] - r[i, j]) for i, j in ordered]),
        "mse": np.mean((predicted - truth) ** 2),
    }


@given(st.integers(2, 9), st.integers(0, 999), st.booleans())
@settings(max_examples=40, deadline=None)
def test_scores_equal_double_loop_with_ties(m, seed, coarse):
    rng = np.random.default_rng(seed)
    draw = (lambda s: rng.integers(0, 2, s).astype(float)) if coarse else (lambda s: rng.normal(size=s))
    predicted, truth, group = draw((m, 5)), draw((m, 5)), rng.integers(0, 3, m)
    expected = slow_scores(predicted, truth, group)
    with np.errstate(invalid="ignore", divide="ignore"):
        r = np.nan_to_num(np.corrcoef(predicted, truth)[:m, m:])
    found = scores(torch.from_numpy(r)[None], torch.from_numpy(group)[None])
    assert set(found) | {"mse"} == {*SCORES, *GROUP_SCORES}
    for name, values in found.items():
        assert float(values[0]) == pytest.approx(expected[name], abs=1e-6, nan_ok=True)
    for name, values in null_scores(torch.from_numpy(r)[None]).items():
        assert float(values[0]) == pytest.approx(expected[name], abs=1e-6)


def test_predictions_that_do_not_vary_are_at_chance():
    found = {name: float(value[0]) for name, value in scores(torch.zeros(1, 6, 6)).items()}
    assert found == {"pairwise": 0.5, "margin": 0, "pairwise_strict": 0.25, "rank": 0.5}


def test_a_correlation_that_is_not_a_number_makes_no_score():
    correlation = torch.eye(5).repeat(2, 1, 1)
    correlation[0, 1, 2] = torch.nan
    for values in scores(correlation, torch.tensor([[0, 0, 1, 1, 1]] * 2)).values():
        assert values.isnan().tolist() == [True, False]
