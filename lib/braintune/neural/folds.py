"""Fold designs, and the label permutations that go with them."""

import numpy as np

from braintune.core.base import BraintuneError
from braintune.core.settings import DecodingSettings
from braintune.datasets.brains.base import Stimuli

Folds = list[tuple[np.ndarray, np.ndarray]]

#: Streams of random numbers drawn from `fold_seed`.
_SHUFFLE, _GROUP, _PERMUTE = range(3)


# --- folds -------------------------------------------------------------------------------------------------------


def make_folds(stimuli: Stimuli, design: str, settings: DecodingSettings) -> Folds | None:
    """Divide stimuli into folds.

    Parameters
    ----------
    stimuli : Stimuli
    design : {"shuffled", "grouped"}
        ``shuffled`` draws stimuli at random. ``grouped`` never splits a passage (or topic, see :func:`passages`); of a
        story it tests contiguous blocks, and trains on none of the `settings.gap` stimuli on each side.
    settings : DecodingSettings

    Returns
    -------
    list of (train, test) sorted index arrays, or None
        Every stimulus is tested once. None if stimuli without groups and order allow no grouped design.

    Raises
    ------
    BraintuneError
        If there are too few stimuli or groups for the number of folds.
    """
    n = len(stimuli.names)
    groups = passages(stimuli)
    if design == "shuffled":
        tests = np.array_split(_rng(settings, _SHUFFLE).permutation(n), settings.n_folds)
    elif stimuli.contiguous:
        tests = np.array_split(np.arange(n), settings.blocks)
    elif groups is None:
        return None
    else:
        tests = _balanced(groups, settings)
    gap = settings.gap if design == "grouped" and stimuli.contiguous else 0
    folds = [_fold(np.sort(test), n, gap) for test in tests]
    smallest = min(min(len(test) for _, test in folds), min(len(train) for train, _ in folds) - 1)
    if smallest < 2:
        raise BraintuneError(
            f"{n} stimuli are too few for {len(tests)} {design} folds: a fold needs 2 stimuli to test and 3 to train "
            "on; lower n_folds, blocks or gap"
        )
    return folds


def _fold(test: np.ndarray, n: int, gap: int) -> tuple[np.ndarray, np.ndarray]:
    near = (test[:, None] + np.arange(-gap, gap + 1)).ravel()
    return np.setdiff1d(np.arange(n), near), test


def passages(stimuli: Stimuli) -> np.ndarray | None:
    """Return the passage of each stimulus, or its topic where there are no passages; None where there are neither."""
    groups = stimuli.topic if stimuli.passage is None else stimuli.passage
    return None if groups is None else np.asarray(groups)


def topics(stimuli: Stimuli) -> np.ndarray | None:
    """Return numbers of the groups whose pairs are scored separately: topics, or passages where there are no topics."""
    groups = stimuli.passage if stimuli.topic is None else stimuli.topic
    return None if groups is None else np.unique(groups, return_inverse=True)[1]


def _balanced(groups: np.ndarray, settings: DecodingSettings) -> list[np.ndarray]:
    """Give whole groups, in random order but larger ones first, each to the smallest fold so far."""
    names, sizes = np.unique(groups, return_counts=True)
    if len(names) < settings.n_folds:
        raise BraintuneError(
            f"n_folds: {settings.n_folds} grouped folds need as many passages, and there are {len(names)}; "
            f"allowed are 2 … {len(names)}"
        )
    order = _rng(settings, _GROUP).permutation(len(names))
    members: list[list] = [[] for _ in range(settings.n_folds)]
    filled = np.zeros(settings.n_folds, dtype=int)
    for group in order[np.argsort(-sizes[order], kind="stable")]:
        smallest = int(filled.argmin())
        members[smallest].append(names[group])
        filled[smallest] += sizes[group]
    return [np.flatnonzero(np.isin(groups, fold)) for fold in members]


def _rng(settings: DecodingSettings, stream: int) -> np.random.Generator:
    return np.random.default_rng([settings.fold_seed, stream])


# --- permutations ------------------------------------------------------------------------------------------------


def permutations(stimuli: Stimuli, design: str, settings: DecodingSettings) -> np.ndarray:
    """Draw orders of the stimulus labels under which brain and content are unrelated.

    What the test folds keep together is moved together, since exchanging single stimuli would also destroy dependence
    that the null hypothesis allows:

    - ``shuffled``: single stimuli are permuted;
    - ``grouped`` by passage: whole passages are permuted, in their inner order (labels slide over the edges of
      passages of unequal size);
    - ``grouped`` story: labels are shifted in a circle by more than the gap, half of them reversed, which keeps the
      autocorrelation. There are fewer than two such orders per stimulus; if more are wanted, all are returned.

    Returns
    -------
    array of shape (n_permutations, n_stimuli)
        The same for every participant, so that a null can be averaged over participants.
    """
    n, count = len(stimuli.names), settings.permutations
    rng = _rng(settings, _PERMUTE)
    if design == "shuffled":
        drawn = [rng.permutation(n) for _ in range(count)]
    elif stimuli.contiguous:
        forward = [np.roll(np.arange(n), shift) for shift in range(settings.gap + 1, n - settings.gap)]
        backward = [np.roll(np.arange(n)[::-1], shift) for shift in range(n)]
        circle = forward + backward
        drawn = [circle[i] for i in rng.permutation(len(circle))[:count]]
    else:
        groups = np.asarray(passages(stimuli))
        members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
        place = np.concatenate(members)
        drawn = []
        for _ in range(count):
            order = np.empty(n, dtype=int)
            order[place] = np.concatenate([members[i] for i in rng.permutation(len(members))])
            drawn.append(order)
    return np.array(drawn, dtype=int).reshape(-1, n)
