"""Listening to a story: from the scans to a response for each sentence."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from braintune.core.base import BraintuneError
from braintune.core.preprocess import detrend, zscore
from braintune.core.settings import BrainSettings
from braintune.datasets.brains.base import Stimuli, read_csv

#: Parts of contractions that a list of words separates, as in "I ve".
CLITICS = {"s", "m", "d", "t", "ve", "re", "ll"}


@dataclass(frozen=True)
class Story:
    """A story, sentence by sentence.

    Attributes
    ----------
    stimuli : Stimuli
        The sentences, contiguous, with their durations.
    times : array of shape (n_sentences, 2)
        Onset and offset, s, from scan 0.
    """

    stimuli: Stimuli
    times: np.ndarray


def read_story(path: Path) -> Story:
    """Join the words of a story to sentences.

    Parameters
    ----------
    path : Path
        A CSV file with one row a word, in the order in which they were spoken: ``word``, ``sentence`` (its number),
        ``onset_s`` and ``offset_s``, counted from scan 0.

    Raises
    ------
    BraintuneError
        If a column is missing, a time is not a number, or a sentence ends before it begins.
    """
    words = read_csv(path, ("word", "sentence", "onset_s", "offset_s"))
    grouped = words.groupby("sentence", sort=True)
    times = grouped.agg(onset=("onset_s", "min"), offset=("offset_s", "max"))
    seconds = times.apply(pd.to_numeric, errors="coerce")
    if (bad := ~(seconds["onset"] <= seconds["offset"])).any():
        first = times[bad].iloc[0]
        raise BraintuneError(
            f"{path}: sentence {times.index[bad][0]} lasts from {first['onset']!r} to {first['offset']!r}; both must "
            "be seconds, the end not before the beginning"
        )
    sentences = [_spoken(list(group["word"].astype(str))) for _, group in grouped]
    order = np.arange(len(sentences))
    names = [f"sentence {number}" for number in times.index]
    spans = seconds.to_numpy(dtype=np.float64)
    stimuli = Stimuli(names, sentences, order, position=order, contiguous=True, duration=spans[:, 1] - spans[:, 0])
    return Story(stimuli, spans)


def respond(story: Story, scans: np.ndarray, study: BrainSettings, seconds_per_scan: float, where: str) -> np.ndarray:
    """Turn scans into responses to sentences.

    Drift is removed, and the scans are z-scored over the story and averaged with each lag.

    Parameters
    ----------
    story : Story
    scans : array of shape (n_scans, n_columns)
    study : BrainSettings
        `detrend_order` and `lags` are used.
    seconds_per_scan : float
    where : str
        Name of the scans in an error.

    Returns
    -------
    float32 array of shape (n_sentences, n_lags, n_columns)

    Raises
    ------
    BraintuneError
        If there are too few scans for the detrending, or they end before the last sentence begins.
    """
    if study.detrend_order >= len(scans):
        raise BraintuneError(f"detrend_order: {study.detrend_order} must be below the {len(scans)} scans of {where}")
    end, times = seconds_per_scan * len(scans), story.times
    if (late := times[:, 0] >= end).any():
        raise BraintuneError(
            f"{where}: the {len(scans)} scans end after {end:g} s, but {late.sum()} sentences begin later (the last at "
            f"{times[:, 0].max():g} s); check seconds_per_scan ({seconds_per_scan:g} s) and the times of the words"
        )
    clean = zscore(detrend(scans, study.detrend_order), min_spread=1e-12)
    return sentence_responses(clean, times, study.lags, seconds_per_scan)


def sentence_responses(scans: np.ndarray, times: np.ndarray, lags: list[float], seconds_per_scan: float) -> np.ndarray:
    """Average the scans between a sentence's onset and offset, both delayed by each lag.

    Parameters
    ----------
    scans : array of shape (n_scans, n_regions)
        Scan i was taken i x `seconds_per_scan` after the story began.
    times : array of shape (n_sentences, 2)
        Onset and offset, s.
    lags : list of float
        Delays, s.
    seconds_per_scan : float

    Returns
    -------
    float32 array of shape (n_sentences, n_lags, n_regions)
        Where no scan falls into the interval, the one nearest to its middle is taken.
    """
    clock = seconds_per_scan * np.arange(len(scans))
    out = np.empty((len(times), len(lags), scans.shape[1]), dtype=np.float32)
    for i, (onset, offset) in enumerate(times):
        for j, lag in enumerate(lags):
            inside = (clock >= onset + lag) & (clock <= offset + lag)
            if not inside.any():
                inside = [np.abs(clock - (onset + offset) / 2 - lag).argmin()]
            out[i, j] = scans[inside].mean(axis=0)
    return out


def _spoken(words: list[str]) -> str:
    """Join the words of a sentence; parts of contractions are put back onto their words."""
    text = ""
    for word in words:
        word = word.lower() if word == "TRUE" else word  # a spreadsheet turned "true" into this
        text += f"'{word}" if word in CLITICS and text else f" {word}"
    return text.strip()
