"""Fold designs, and the label permutations that go with them."""

import re
import unicodedata
from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import pandas as pd

from braintune.core.base import BraintuneError
from braintune.core.preprocess import regress_out
from braintune.core.settings import DecodingSettings
from braintune.datasets.brains.base import Stimuli

#: Streams of random numbers drawn from `fold_seed`; inner folds have one each, by the number of their outer fold.
_SHUFFLE, _GROUP, _PERMUTE, _INNER = range(4)


class Fold(NamedTuple):
    """One fold: sorted indices of stimuli to train on and to test.

    Attributes
    ----------
    train, test : int arrays
    inner : list of (train, test) arrays of places in `train`
        The inner folds, in which penalty and layer are chosen; they test every training stimulus once.
    nuisance : array of shape (n_stimuli, n_regressors), or None
        What is regressed out of responses and representations, by a regression fitted on `train`.
    """

    train: np.ndarray
    test: np.ndarray
    inner: list[tuple[np.ndarray, np.ndarray]]
    nuisance: np.ndarray | None = None

    @property
    def known_nuisance(self) -> np.ndarray | None:
        """The regressors of the training stimuli."""
        return None if self.nuisance is None else self.nuisance[self.train]

    def clean(self, values: np.ndarray) -> np.ndarray:
        """Regress the nuisance regressors out of values of shape (n_stimuli, n_columns)."""
        return values if self.nuisance is None else regress_out(values, self.nuisance, self.train)


# --- folds -------------------------------------------------------------------------------------------------------


def make_folds(stimuli: Stimuli, design: str, settings: DecodingSettings) -> list[Fold] | None:
    """Divide stimuli into folds, and the training stimuli of each into inner folds in the same way.

    Stimuli with the same text (ignoring case, white space and punctuation) are never on both sides of a fold.

    Parameters
    ----------
    stimuli : Stimuli
    design : {"shuffled", "grouped"}
        ``shuffled`` assigns stimuli to folds at random. ``grouped`` never splits a passage (or topic, see
        :class:`Stimuli`); for a story, it tests contiguous blocks and excludes the `settings.gap` stimuli on each side
        from training.
    settings : DecodingSettings

    Returns
    -------
    list of Fold, or None
        Every stimulus is tested once. None if stimuli without groups and order allow no grouped design.

    Raises
    ------
    BraintuneError
        If there are too few stimuli or groups for the number of folds, or nuisance is to be regressed out where
        penalties are chosen by the leave-one-out error.
    """
    if settings.select == "squared-error" and stimuli.nuisance is not None:
        raise BraintuneError(
            "select: squared-error is for data from which nothing is regressed out, since what is left of one stimulus "
            "then depends on the others, and leaving it out leaves it in; set `nuisance: []` too, or select: scale-free"
        )
    texts = _texts(stimuli)
    if design == "grouped" and stimuli.contiguous:
        groups, count = None, settings.blocks
    else:
        groups, count = (texts if design == "shuffled" else stimuli.groups), settings.n_folds
        if groups is None:
            return None
    everything = np.arange(len(texts))
    stream = _SHUFFLE if design == "shuffled" else _GROUP
    outer = _divide(everything, texts, groups, count, settings, [stream])
    folds = []
    for number, (train, test) in enumerate(outer):
        inner = _divide(train, texts, groups, settings.inner_folds, settings, [_INNER, stream, number])
        places = [(np.searchsorted(train, kept), np.searchsorted(train, tested)) for kept, tested in inner]
        folds.append(Fold(train, test, places, stimuli.nuisance))
    return folds


def _divide(
    among: np.ndarray,
    texts: np.ndarray,
    groups: np.ndarray | None,
    count: int,
    settings: DecodingSettings,
    stream: list[int],
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Divide some stimuli into (train, test) folds: of whole groups, or into blocks with a gap where there are none."""
    gap = settings.gap if groups is None else 0
    if groups is None:
        tests = np.array_split(among, count)
    else:
        tests = _whole_groups(among, groups, count, np.random.default_rng([settings.fold_seed, *stream]))
        if len(tests) < count:
            raise BraintuneError(_too_few(len(tests), count, groups is texts, stream[0] == _INNER))
    folds = []
    for test in tests:
        near = (test[:, None] + np.arange(-gap, gap + 1)).ravel()
        train = np.setdiff1d(among, near)
        folds.append((train[~np.isin(texts[train], texts[test])], test))
    smallest = min(min(len(test), len(train) - 1) for train, test in folds)
    if smallest < 2:
        raise BraintuneError(
            f"{len(among)} stimuli are too few for {len(tests)} folds: a fold needs 2 stimuli to test and 3 to train "
            "on, other than those to test; lower n_folds, inner_folds, blocks or gap"
        )
    return folds


def _too_few(present: int, count: int, of_texts: bool, inner: bool) -> str:
    """Return the message for fewer groups than folds."""
    kind, folds = ("different texts" if of_texts else "passages or topics"), "inner folds" if inner else "folds"
    allowed = f"allowed for {'inner_folds' if inner else 'n_folds'} are 2 … {present}"
    if present < 3 - inner:  # an outer fold leaves two groups at least for its inner folds
        remedy = "add stimuli" if of_texts else "set designs: [shuffled], or name smaller groups"
        allowed = f"too few for any: {remedy}"
    return f"{count} {folds} of whole groups need as many {kind}, and there are {present}; {allowed}"


def _whole_groups(among: np.ndarray, groups: np.ndarray, count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Give whole groups, in random order but larger ones first, each to the smallest fold so far.

    If there are fewer groups than folds, each is a fold.
    """
    names, sizes = np.unique(groups[among], return_counts=True)
    count = min(count, len(names))
    order = rng.permutation(len(names))
    members: list[list] = [[] for _ in range(count)]
    filled = np.zeros(count, dtype=int)
    for group in order[np.argsort(-sizes[order], kind="stable")]:
        smallest = int(filled.argmin())
        members[smallest].append(names[group])
        filled[smallest] += sizes[group]
    return [among[np.isin(groups[among], fold)] for fold in members]


def _texts(stimuli: Stimuli) -> np.ndarray:
    """Return numbers of the stimuli's texts: equal where the sentences are, in any order, but for what does not matter.

    Case, white space and punctuation do not.
    """
    words: list[list[str]] = [[] for _ in stimuli.names]
    for sentence, stimulus in zip(stimuli.sentences, stimuli.stimulus_of, strict=True):
        words[stimulus].append(" ".join(sentence.casefold().split()))
    number = np.unique(["\n".join(lines) for lines in words], return_inverse=True)[1]
    same = [" / ".join(sorted({letters_of(line) for line in lines})) for lines in words]
    return pd.Series(number).groupby(same).transform("min").to_numpy()


def letters_of(sentence: str) -> str:
    """Return the letters and digits of a sentence in normalised form; a sentence without any is returned unchanged."""
    return " ".join(re.findall(r"\w+", unicodedata.normalize("NFKC", sentence).casefold())) or sentence


def main_design(designs: Collection[str]) -> str:
    """Return the fold design that claims are judged on: grouped where groups exist."""
    return "grouped" if "grouped" in designs else "shuffled"


def judged_design(stimuli: Stimuli, settings: DecodingSettings) -> tuple[str, list[Fold]]:
    """Return the design that claims are judged on, of those that the profile names, and its folds.

    Raises
    ------
    BraintuneError
        If none of the designs exists for these stimuli, or as :func:`make_folds`.
    """
    found: dict[str, list[Fold] | None] = {design: make_folds(stimuli, design, settings) for design in settings.designs}
    present = {design: folds for design, folds in found.items() if folds is not None}
    if not present:
        raise BraintuneError(
            f"designs: stimuli without passages, topics and order have no {' or '.join(found)} design; allowed here: "
            "shuffled"
        )
    design = main_design(present)
    return design, present[design]


def topics(stimuli: Stimuli) -> np.ndarray | None:
    """Return numbers of the groups whose pairs are scored separately: topics, or passages where there are no topics."""
    groups = stimuli.passage if stimuli.topic is None else stimuli.topic
    return None if groups is None else np.unique(groups, return_inverse=True)[1]


# --- permutations ------------------------------------------------------------------------------------------------


def permutations(stimuli: Stimuli, design: str, settings: DecodingSettings) -> np.ndarray:
    """Draw orders of the stimulus labels under which brain and content are unrelated.

    Stimuli that the test folds keep together are moved together, since exchanging single stimuli would also destroy
    dependence that the null hypothesis allows:

    - ``shuffled``: single stimuli are permuted; stimuli with the same text are permuted together;
    - ``grouped`` by passage: whole passages are permuted, in their inner order (labels slide over the edges of
      passages of unequal size);
    - ``grouped`` story: labels are shifted circularly by more than the gap, and half of the orders are reversed; this
      preserves the autocorrelation. There are fewer than two such orders per stimulus; if more are requested, all are
      returned.

    Returns
    -------
    array of shape (n_permutations, n_stimuli)
        The same for every participant, so that a null can be averaged over participants.
    """
    n, count = len(stimuli.names), settings.permutations
    rng = np.random.default_rng([settings.fold_seed, _PERMUTE])
    texts = _texts(stimuli)
    if design == "shuffled" and len(np.unique(texts)) == n:
        drawn = [rng.permutation(n) for _ in range(count)]
    elif design == "grouped" and stimuli.contiguous:
        forward = [np.roll(np.arange(n), shift) for shift in range(settings.gap + 1, n - settings.gap)]
        backward = [np.roll(np.arange(n)[::-1], shift) for shift in range(n)]
        circle = forward + backward
        drawn = [circle[i] for i in rng.permutation(len(circle))[:count]]
    else:
        groups = texts if design == "shuffled" else np.asarray(stimuli.groups)
        members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
        place = np.concatenate(members)
        drawn = []
        for _ in range(count):
            order = np.empty(n, dtype=int)
            order[place] = np.concatenate([members[i] for i in rng.permutation(len(members))])
            drawn.append(order)
    return np.array(drawn, dtype=int).reshape(-1, n)
