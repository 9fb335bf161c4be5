"""Matching: is each prediction closer to its own stimulus than to another one of the fold?"""

import torch

#: Correlations are sums of float32 products: differences below this are ties.
TIE = 2e-6
SCORES = ("pairwise", "margin", "pairwise_strict", "mse", "rank")
#: Scores where groups of stimuli are known, else NaN.
GROUP_SCORES = ("pairwise_same_group", "pairwise_different_group")


def scores(correlation: torch.Tensor, group: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
    """Score correlations between predictions and truths of one test fold.

    Parameters
    ----------
    correlation : tensor of shape (n_representations, n_test, n_test)
        Entry ij: prediction of stimulus i with true embedding of stimulus j.
    group : tensor of shape (n_representations, n_test), optional
        Number of the group that each stimulus belongs to.

    Returns
    -------
    dict of tensors of shape (n_representations,)
        ``pairwise``: share of pairs with r_ii + r_jj > r_ij + r_ji (chance 0.5).
        ``margin``: mean of r_ii + r_jj - r_ij - r_ji over pairs (chance 0). Not comparable between representations: one
        that varies along few dimensions has larger correlations of either sign, and so larger margins.
        ``pairwise_strict``: share of pairs with r_ii > r_ij and r_jj > r_ji (chance about 0.25
        for unrelated predictions; far below where strong shrinkage makes all predictions alike).
        ``rank``: mean rank of the true stimulus among those of the fold for each prediction, normalised to 0 (first)
        … 1 (last) (chance 0.5). In all scores, a tie counts one half, so predictions that do not vary are at chance.
        ``pairwise_same_group``, ``pairwise_different_group``, only with `group`: ``pairwise`` over the pairs within
        a group and over those across groups; NaN where a fold has none.
        All are NaN where a correlation is NaN.
    """
    m = correlation.shape[1]
    margin = correlation.diagonal(dim1=1, dim2=2)[:, :, None] - correlation
    total = margin + margin.transpose(1, 2)
    pairs = m * (m - 1)
    wins, won = _sign(margin), _sign(total)
    # (1 + s_ij)/2 · (1 + s_ji)/2 over pairs, where s is 1, 0 (tie) or -1; the diagonal has s = 0 and adds m to the ones
    summed = wins.sum((1, 2))
    both = (wins * wins.transpose(1, 2)).sum((1, 2))
    result = {
        "pairwise": 0.5 + 0.5 * won.sum((1, 2)) / pairs,
        "margin": total.sum((1, 2)) / pairs,
        "pairwise_strict": 0.25 * (1 + (2 * summed + both) / pairs),
        "rank": 0.5 - 0.5 * summed / pairs,
    }
    if group is not None:
        same = group[:, :, None] == group[:, None, :]
        inside = same.sum((1, 2)) - m
        result |= {
            "pairwise_same_group": 0.5 + 0.5 * (won * same).sum((1, 2)) / inside,
            "pairwise_different_group": 0.5 + 0.5 * (won * ~same).sum((1, 2)) / (pairs - inside),
        }
    return result


def null_scores(correlation: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return ``pairwise`` and ``margin`` alone, as :func:`scores` does, but faster."""
    m, total = correlation.shape[1], _totals(correlation)
    return {
        "pairwise": 0.5 + 0.5 * _sign(total).sum((1, 2)) / (m * (m - 1)),
        "margin": total.sum((1, 2)) / (m * (m - 1)),
    }


def influence(correlation: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return each test stimulus's contribution to pairwise accuracy and margin, for inference over stimuli.

    A score is a mean over pairs, so a stimulus counts in all of its pairs: with h_i the mean over the pairs of stimulus
    i and t the score, it is 2 h_i - t (first-order Hoeffding decomposition [1]_). The mean of these values is the
    score.

    Parameters
    ----------
    correlation : tensor of shape (n_representations, n_test, n_test)

    Returns
    -------
    dict of tensors of shape (n_representations, n_test)
        ``pairwise`` and ``margin``, as in :func:`scores`.

    References
    ----------
    .. [1] Hoeffding (1948). A class of statistics with asymptotically normal distribution. Annals of Mathematical
       Statistics 19, 293-325.
    """
    total = _totals(correlation)
    means = {"pairwise": 0.5 * _sign(total), "margin": total}
    found = {name: values.sum(2) / (values.shape[1] - 1) for name, values in means.items()}
    found = {name: 2 * values - values.mean(1, keepdim=True) for name, values in found.items()}
    return found | {"pairwise": 0.5 + found["pairwise"]}


def _totals(correlation: torch.Tensor) -> torch.Tensor:
    """Return r_ii + r_jj - r_ij - r_ji of every pair."""
    margin = correlation.diagonal(dim1=1, dim2=2)[:, :, None] - correlation
    return margin + margin.transpose(1, 2)


def _sign(values: torch.Tensor) -> torch.Tensor:
    """Return 1, 0 or -1, and NaN for NaN."""
    return torch.where(values.abs() > TIE, values.sign(), values * 0)
