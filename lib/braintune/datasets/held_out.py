"""Folds of rows that keep groups together and labels in about equal shares."""

from collections.abc import Sequence

import numpy as np


def stratified_group_folds(labels: Sequence[str], groups: np.ndarray, n_folds: int, seed: int) -> np.ndarray:
    """Return the fold of each row: integer array of shape (n_rows,).

    The folds are those of scikit-learn's ``StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)``, which
    takes ten times as long: the check before a run cuts every task, and every tuning job cuts one. The
    groups are dealt out one by one, those with the most unequal counts of labels first, each to the fold with which
    the shares of the labels differ least over the folds.

    Parameters
    ----------
    labels : sequence of str, of length n_rows
    groups : integer array of shape (n_rows,)
        Rows of one group are in one fold.
    n_folds : int
    seed : int
        Of the order of groups whose counts are equally unequal.
    """
    _, label = np.unique(labels, return_inverse=True)
    _, group = np.unique(groups, return_inverse=True)
    counts = np.zeros((group.max() + 1, label.max() + 1))
    np.add.at(counts, (group, label), 1)
    order = np.arange(len(counts))
    np.random.RandomState(seed).shuffle(order)
    order = order[np.argsort(-np.std(counts[order], axis=1), kind="stable")]
    total, own = counts.sum(axis=0), np.eye(n_folds)[:, :, None]
    held, rows, fold_of = np.zeros((n_folds, len(total))), [0.0] * n_folds, np.zeros(len(counts), dtype=int)
    for one in order:
        shares = (held + own * counts[one]) / total  # [fold that gets the group, fold, label]
        spread = np.std(shares, axis=1).mean(axis=1).tolist()
        best = 0
        for fold in range(1, n_folds):
            close = abs(spread[fold] - spread[best]) <= 1e-8 + 1e-5 * spread[best]
            if spread[fold] < spread[best] or (close and rows[fold] < rows[best]):
                best = fold
        held[best] += counts[one]
        rows[best] += counts[one].sum()
        fold_of[one] = best
    return fold_of[group]
