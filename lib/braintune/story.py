"""Listening to a story: from the scans to a response for each sentence."""

import numpy as np

from braintune.brain import BrainData, Stimuli, data_set_folder, participant_files, read_array, read_csv, read_text
from braintune.study import BraintuneError, Study

SECONDS_PER_SCAN = 2.0
#: Parts of words that the story's word list holds apart, as in "I ve".
CLITICS = {"s", "m", "d", "t", "ve", "re", "ll"}


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
    words = read_csv(texts["words.csv"], ("word", "sentence", "onset_s", "offset_s"))
    told = words.groupby("sentence", sort=True)
    sentences = [_spoken(list(group["word"].astype(str))) for _, group in told]
    times = told.agg(onset=("onset_s", "min"), offset=("offset_s", "max"))
    names = [f"sentence {number}" for number in times.index]
    order = np.arange(len(names))
    stimuli = Stimuli(names, sentences, order, position=order, contiguous=True)

    def load(participant: str) -> dict[str, np.ndarray]:
        path = folder / f"{participant}.npz"
        scans = read_array(path, "timecourses")
        if scans.shape[1] != len(parts):
            raise BraintuneError(f"{path} has {scans.shape[1]} time courses, but regions.txt names {len(parts)}")
        if run.detrend_order >= len(scans):
            raise BraintuneError(f"detrend_order: {run.detrend_order} must be below the {len(scans)} scans of {path}")
        clean = standardise(detrend(scans, run.detrend_order))
        lagged = sentence_responses(clean, times.to_numpy(), run.lags)
        each = {part: np.ascontiguousarray(lagged[:, :, i]) for i, part in enumerate(parts)}
        return {"language": np.concatenate(list(each.values()), axis=1)} | each

    networks = dict.fromkeys(("language", *parts), "language")
    files = participant_files(folder, "s[0-9]*.npz")
    return BrainData(name, tuple(files), tuple(networks), networks, stimuli, False, load, texts=texts, files=files)


# --- from scans to sentences -------------------------------------------------------------------------------------


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


def sentence_responses(scans: np.ndarray, times: np.ndarray, lags: list[float]) -> np.ndarray:
    """Average the scans between a sentence's onset and offset, both delayed by each lag.

    Parameters
    ----------
    scans : array of shape (n_scans, n_regions)
        Scan i was taken i x 2 s after the story began.
    times : array of shape (n_sentences, 2)
        Onset and offset, s.
    lags : list of float
        Delays, s.

    Returns
    -------
    float32 array of shape (n_sentences, n_lags, n_regions)
        Where no scan falls into the interval, the one nearest to its middle is taken.
    """
    clock = SECONDS_PER_SCAN * np.arange(len(scans))
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
