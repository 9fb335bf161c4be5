"""Groups of stimuli as the units of inference, where there is one participant or an average of participants.

The score of a test fold is the mean over its stimuli of how much each of them contributes (its influence). The
influences of the stimuli that belong together are summed to one value per group, and the mean over groups is the score.
The variance of these values is what a bootstrap over groups measures, with both methods on the same resample, to the
extent that a score is linear in its stimuli (the infinitesimal jackknife [1]_).

References
----------
.. [1] Efron (1982). The Jackknife, the Bootstrap and Other Resampling Plans. SIAM.
"""

from collections.abc import Sequence

import numpy as np

from braintune.core.settings import DecodingSettings
from braintune.datasets.brains.base import Stimuli
from braintune.neural.folds import Fold

#: Unrelated stimuli are dealt into at most this many groups: few enough for a table, enough for a t interval.
MOST = 50


def sampling_units(stimuli: Stimuli, gap: int) -> np.ndarray:
    """Return the number of the group, int array of shape (n_stimuli,), that each stimulus belongs to.

    Groups are passages (or topics); in a story, runs of 2 * `gap` + 1 sentences; unrelated stimuli are assigned in turn
    to at most :data:`MOST` groups.
    """
    n, groups = len(stimuli.names), stimuli.groups
    if stimuli.contiguous:
        return np.arange(n) // (2 * gap + 1)
    return np.arange(n) % MOST if groups is None else np.unique(groups, return_inverse=True)[1]


def by_group(influence: np.ndarray, folds: Sequence[Fold], stimuli: Stimuli, settings: DecodingSettings) -> np.ndarray:
    """Sum the influence of stimuli over the groups that they belong to (:func:`sampling_units`).

    Parameters
    ----------
    influence : array of shape (..., n_stimuli)
        Its mean over the stimuli of a test fold is the score of the fold. If the last axis is empty, there are no
        groups.
    folds : sequence of Fold
        Every stimulus is tested once.
    stimuli : Stimuli
    settings : DecodingSettings

    Returns
    -------
    array of shape (n_groups, ...)
        The mean over groups is the score, averaged over folds.
    """
    if not influence.shape[-1]:
        return np.empty((0, *influence.shape[:-1]))
    units = sampling_units(stimuli, settings.gap)
    weights = np.zeros(len(units))
    for fold in folds:
        weights[fold.test] = 1 / (len(folds) * len(fold.test))
    score = influence @ weights
    member = (units[:, None] == np.arange(units.max() + 1)).astype(float)
    centred = (influence - score[..., None]) * weights
    return np.moveaxis(score[..., None] + member.shape[1] * (centred @ member), -1, 0)
