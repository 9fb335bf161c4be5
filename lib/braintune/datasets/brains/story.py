"""Listening to a story: from the scans to a response for each sentence."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from braintune.core.base import BraintuneError
from braintune.core.preprocess import detrend, zscore
from braintune.core.settings import BrainSettings
from braintune.datasets.brains.base import Stimuli, require_no_codes
from braintune.datasets.brains.csv_file import labels, numbers, read_csv, refuse

COLUMNS = ("word", "sentence", "onset_s", "offset_s")
#: Largest fraction of sentences that may begin, delayed by a lag, after the last scan (at the end of a story).
MOST_LATE = 0.1
#: Parts of contractions that a list of words separates, as in "I ve".
CLITICS = {"s", "m", "d", "t", "ve", "re", "ll"}
#: Longest time that scans may continue after the response to the last word, s, and as a fraction of the whole.
SILENCE, SILENT_PART = 60.0, 1 / 3


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
    """Join the words of a story into sentences.

    Parameters
    ----------
    path : Path
        A CSV file with one row per word, in the order in which they were spoken: ``word``, ``sentence`` (its number or
        name), ``onset_s`` and ``offset_s``, counted from scan 0.

    Raises
    ------
    BraintuneError
        As :func:`braintune.datasets.brains.csv_file.read_csv`; for a missing word or sentence, a time that is not
        a number, a word that ends before it begins or begins before the previous word, and a sentence that is
        interrupted by another one.
    """
    words = read_csv(path, COLUMNS)
    if words.empty:
        raise BraintuneError(f"{path} lists no words; write one row per word")
    refuse(path, words["word"], words["word"] == "", "write the word, or remove the row")
    sentence = labels(path, words["sentence"], "write the number of its sentence")
    remedy = "write seconds from scan 0; interpolate an unknown time between the words around it"
    onset, offset = (numbers(path, words[column], remedy) for column in COLUMNS[2:])
    refuse(path, words["offset_s"], offset < onset, "correct the times", "is before the onset of its word")
    remedy = (
        "sort the rows by time; if another run begins here, join the scans of all runs in one array, and continue "
        "times and sentence numbers"
    )
    refuse(path, words["onset_s"], onset.diff() < 0, remedy, "is before the onset of the previous word")
    begins = sentence != sentence.shift()
    refuse(
        path,
        words["sentence"],
        begins & sentence.duplicated(),
        "the words of a sentence must be adjacent: continue sentence numbers from chapter to chapter",
        "occurs again after another sentence",
    )
    table = pd.DataFrame({"word": words["word"], "sentence": sentence, "onset": onset, "offset": offset})
    return story_of(table, _spoken)


def story_of(words: pd.DataFrame, join: Callable[[list[str]], str]) -> Story:
    """Return the story of a table of words: ``word``, ``sentence`` (contiguous), ``onset`` and ``offset`` (s).

    Parameters
    ----------
    words : DataFrame
    join : callable
        Joins the words of a sentence.
    """
    grouped = words.groupby("sentence", sort=False)
    spans = grouped.agg(onset=("onset", "min"), offset=("offset", "max")).to_numpy()
    sentences = [join(list(own)) for _, own in grouped["word"]]
    order = np.arange(len(sentences))
    names = [f"sentence {label}" for label in words["sentence"].unique()]
    stimuli = Stimuli(names, sentences, order, position=order, contiguous=True, duration=spans[:, 1] - spans[:, 0])
    return Story(stimuli, spans)


def respond(story: Story, scans: np.ndarray, study: BrainSettings, seconds_per_scan: float, where: str) -> np.ndarray:
    """Turn scans into responses to sentences.

    Drift is removed, and the scans are z-scored over the story and averaged over each sentence at each lag.

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
        If there are too few scans for the detrending, they end before the last sentence begins (or before more than a
        tenth of them, delayed by a lag), a sentence begins more than one scan before the first, the scans continue for
        more than :data:`SILENCE` or :data:`SILENT_PART` after the last word and the longest lag, or they hold codes of
        missing values.
    """
    if study.detrend_order >= len(scans):
        raise BraintuneError(f"detrend_order: {study.detrend_order} must be below the {len(scans)} scans of {where}")
    end, times = seconds_per_scan * len(scans), story.times
    if (early := times[:, 0] < -seconds_per_scan).any():
        raise BraintuneError(
            f"{where}: {early.sum()} sentences begin before scan 0 (the first at {times[0, 0]:g} s); measure the "
            "times of the words from the first scan in the array"
        )
    if (late := times[:, 0] >= end).any():
        raise BraintuneError(
            f"{where}: the {len(scans)} scans end after {end:g} s, but {late.sum()} sentences begin later (the last at "
            f"{times[:, 0].max():g} s); check seconds_per_scan ({seconds_per_scan:g} s) and the times of the words"
        )
    for lag in study.lags:
        if (late := times[:, 0] + lag >= end).mean() > MOST_LATE:
            raise BraintuneError(
                f"lags: {lag:g} s after the onset of {late.sum()} of {len(times)} sentences, the {len(scans)} scans of "
                f"{where} have ended ({end:g} s); set lags that the scans cover, such as 2 … 8 s"
            )
    needed = times[:, 1].max() + max(study.lags)
    if end - needed > min(SILENCE, SILENT_PART * end):
        raise BraintuneError(
            f"{where}: the {len(scans)} scans take {end:g} s, but the last word ends at {times[:, 1].max():g} s (its "
            f"response at {needed:g} s); at most {SILENCE:g} s and a third of the scans may follow it. Check "
            f"seconds_per_scan ({seconds_per_scan:g} s; about {needed / len(scans):.2g} s would fit) and the times of "
            "the words, or remove the scans after the story"
        )
    require_no_codes(scans, where, "interpolate these scans")
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
        If no scan falls within the interval, the one nearest to its middle is used.
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
    """Join the words of a sentence; parts of contractions are attached to their words."""
    text = ""
    for word in words:
        word = word.lower() if word == "TRUE" else word  # a spreadsheet turned "true" into this
        text += f"'{word}" if word in CLITICS and text else f" {word}"
    return text.strip()
