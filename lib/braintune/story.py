"""Listening to a story: from the scans to a response for each sentence."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from braintune.brain import BrainData, Stimuli, data_set_folder, participant_files, read_array, read_csv, read_text
from braintune.study import BrainSettings, BraintuneError, Study

#: Of the study alice2016.
SECONDS_PER_SCAN = 2.0
#: Parts of words that the story's word list holds apart, as in "I ve".
CLITICS = {"s", "m", "d", "t", "ve", "re", "ll"}


@dataclass(frozen=True)
class Story:
    """A story told sentence by sentence.

    Attributes
    ----------
    stimuli : Stimuli
        The sentences, contiguous, with the nuisance regressors that the study names.
    times : array of shape (n_sentences, 2)
        Onset and offset, s, from scan 0.
    """

    stimuli: Stimuli
    times: np.ndarray


def alice2016(run: Study) -> BrainData:
    """Listening to the first chapter of Alice in Wonderland: six language regions, 84 sentences [1]_.

    References
    ----------
    .. [1] Brennan et al. (2016). Abstract linguistic structure correlates with temporal activity during naturalistic
       comprehension. Brain and Language 157-158, 81-94.
    """
    name = "alice2016"
    folder = data_set_folder(name)
    texts = {file: folder / file for file in ("regions.txt", "words.csv")}
    parts = read_text(texts["regions.txt"]).split()
    story = told_sentences(texts["words.csv"], run)

    def load(participant: str) -> dict[str, np.ndarray]:
        path = folder / f"{participant}.npz"
        scans = read_array(path, "timecourses")
        if scans.shape[1] != len(parts):
            raise BraintuneError(f"{path} has {scans.shape[1]} time courses, but regions.txt names {len(parts)}")
        lagged = respond(story, scans, run, SECONDS_PER_SCAN, str(path))
        each = {part: np.ascontiguousarray(lagged[:, :, i]) for i, part in enumerate(parts)}
        return {"language": np.concatenate(list(each.values()), axis=1)} | each

    networks = dict.fromkeys(("language", *parts), "language")
    files = participant_files(folder, "s[0-9]*.npz")
    return BrainData(
        name, tuple(files), tuple(networks), networks, story.stimuli, False, load, texts=texts, files=files
    )


# --- from scans to sentences -------------------------------------------------------------------------------------


def told_sentences(path: Path, run: BrainSettings) -> Story:
    """Put the sentences of a story together from its words.

    Parameters
    ----------
    path : Path
        A CSV file with one row a word, in the order in which they were spoken: ``word``, ``sentence`` (its number),
        ``onset_s`` and ``offset_s``, counted from scan 0.
    run : BrainSettings
        `nuisance` is used.

    Raises
    ------
    BraintuneError
        If a column is missing, a time is none, a sentence ends before it begins, or there are too few sentences for
        the nuisance regressors.
    """
    words = read_csv(path, ("word", "sentence", "onset_s", "offset_s"))
    told = words.groupby("sentence", sort=True)
    times = told.agg(onset=("onset_s", "min"), offset=("offset_s", "max"))
    seconds = times.apply(pd.to_numeric, errors="coerce")
    if (bad := ~(seconds["onset"] <= seconds["offset"])).any():
        first = times[bad].iloc[0]
        raise BraintuneError(
            f"{path}: sentence {times.index[bad][0]} lasts from {first['onset']!r} to {first['offset']!r}; both must "
            "be seconds, the end not before the beginning"
        )
    sentences = [_spoken(list(group["word"].astype(str))) for _, group in told]
    order = np.arange(len(sentences))
    names = [f"sentence {number}" for number in times.index]
    spans = seconds.to_numpy(dtype=np.float64)
    words_of = np.array([len(sentence.split()) for sentence in sentences], dtype=np.float64)
    known = {"length": words_of, "log-length": np.log(words_of), "duration": spans[:, 1] - spans[:, 0]}
    if run.nuisance and len(sentences) < len(run.nuisance) + 3:
        raise BraintuneError(f"nuisance: {len(run.nuisance)} regressors leave nothing of {len(sentences)} sentences")
    nuisance = np.column_stack([known[name] for name in run.nuisance]) if run.nuisance else None
    return Story(Stimuli(names, sentences, order, position=order, contiguous=True, nuisance=nuisance), spans)


def respond(story: Story, scans: np.ndarray, run: BrainSettings, seconds_per_scan: float, where: str) -> np.ndarray:
    """Turn scans into responses to sentences.

    Drift is removed, the scans are z-scored over the story and averaged with each lag; then the nuisance regressors,
    if there are any, are taken out.

    Parameters
    ----------
    story : Story
    scans : array of shape (n_scans, n_columns)
    run : BrainSettings
        `detrend_order` and `lags` are used.
    seconds_per_scan : float
    where : str
        What the scans are, for an error.

    Returns
    -------
    float32 array of shape (n_sentences, n_lags, n_columns)

    Raises
    ------
    BraintuneError
        If there are too few scans for the detrending, or they end before the last sentence begins.
    """
    if run.detrend_order >= len(scans):
        raise BraintuneError(f"detrend_order: {run.detrend_order} must be below the {len(scans)} scans of {where}")
    end, times = seconds_per_scan * len(scans), story.times
    if (late := times[:, 0] >= end).any():
        raise BraintuneError(
            f"{where}: the {len(scans)} scans end after {end:g} s, but {late.sum()} sentences begin later (the last at "
            f"{times[:, 0].max():g} s); check seconds_per_scan ({seconds_per_scan:g} s) and the times of the words"
        )
    found = sentence_responses(standardise(detrend(scans, run.detrend_order)), times, run.lags, seconds_per_scan)
    return found if story.stimuli.nuisance is None else regress_out(found, story.stimuli.nuisance)


def regress_out(values: np.ndarray, nuisance: np.ndarray) -> np.ndarray:
    """Take regressors, and the mean, out of responses or embeddings by least squares over all stimuli.

    What is left is uncorrelated with the regressors over the stimulus set, so no linear decoder of it can use them.

    Parameters
    ----------
    values : array of shape (n_stimuli, ...)
    nuisance : array of shape (n_stimuli, n_regressors)

    Returns
    -------
    array of the shape and type of `values`
    """
    design = np.column_stack([np.ones(len(nuisance)), standardise(nuisance)])
    basis = np.linalg.svd(design, full_matrices=False)
    basis = basis.U[:, 1e-10 * basis.S[0] < basis.S]  # regressors may be copies of each other
    flat = values.reshape(len(values), -1).astype(np.float64)
    return (flat - basis @ (basis.T @ flat)).reshape(values.shape).astype(values.dtype)


def detrend(scans: np.ndarray, order: int) -> np.ndarray:
    """Remove slow drift: regress out the first `order` cosines (of the discrete cosine transform), constant included.

    Parameters
    ----------
    scans : array of shape (n_scans, n_regions)
    order : int
        Number of regressors.

    Returns
    -------
    array of shape (n_scans, n_regions)
        The residuals, float64.
    """
    n = len(scans)
    drift = np.cos(np.pi / n * np.outer(np.arange(n) + 0.5, np.arange(order)))
    drift /= np.linalg.norm(drift, axis=0)  # the columns are orthogonal, so this makes them an orthonormal basis
    return scans - drift @ (drift.T @ scans.astype(np.float64))


def standardise(scans: np.ndarray) -> np.ndarray:
    """Give every column mean 0 and standard deviation 1; a constant column becomes 0."""
    centred = scans - scans.mean(axis=0, dtype=np.float64)
    spread = centred.std(axis=0)
    return centred / np.where(spread > 1e-12, spread, np.inf)


def sentence_responses(
    scans: np.ndarray, times: np.ndarray, lags: list[float], seconds_per_scan: float = SECONDS_PER_SCAN
) -> np.ndarray:
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
        word = word.lower() if word == "TRUE" else word  # a spreadsheet's idea of the word
        text += f"'{word}" if word in CLITICS and text else f" {word}"
    return text.strip()
