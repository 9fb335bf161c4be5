"""Convert Brennan et al. (2016), listening to Alice in Wonderland: ``python data/get/alice2016.py --from FOLDER``.

It creates the folder `alice2016` from the authors' files: the scans, and the words with times relative to the scans.

The word times are relative to twelve audio segments, and no publication says when each segment began in the scanner.
But the data set contains the word rate convolved with a haemodynamic response by the authors. So the segments are
placed where the word rate, convolved in the same way, correlates best with that predictor.
"""

import warnings
from collections.abc import Iterator
from pathlib import Path

import fetching
import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist

from braintune.core import base, store
from braintune.core.base import BraintuneError
from braintune.datasets.brains.alice import SECONDS_PER_SCAN
from braintune.datasets.brains.csv_file import numbers, read_csv, refuse

WORD_FILE = "AliceChapterOne-EEG.csv"
PREDICTOR_FILE = "sept18-generic-predictors-under-hrf-with-logfrqhal.txt"
ADDRESSES = {
    "https://sites.lsa.umich.edu/cnllab/2016/06/11/data-sharing-fmri-timecourses-story-listening/": "by hand: 10mm, "
    "s##-sndpwr.txt, s##-rp_*.txt, sept18-generic-predictors-….txt; a few MB",
    "https://doi.org/10.7302/Z29C6VNH": "by hand: AliceChapterOne-EEG.csv, to be put beside them; 0.2 MB",
}
#: The columns of the time courses, as the authors' description orders them.
REGIONS = ("LATL", "RATL", "LPTL", "LIPL", "LPreM", "LIFG")
#: The columns of the predictors, in the authors' order; the first is the rate of the words.
PREDICTORS = (
    *("rate", "log_frequency", "break", "top_down", "top_down_x", "bottom_up", "bottom_up_x", "cfg_surprisal"),
    *("lexical_bigram", "lexical_trigram", "pos_bigram", "pos_trigram"),
)
#: Columns of the words' table by the names that they get.
COLUMNS = {
    **{"word": "Word", "segment": "Segment", "sentence": "Sentence", "position": "Position"},
    **{"onset": "onset", "offset": "offset"},
}
#: Volumes at the beginning that the predictors have and the time courses have not.
DROPPED = 10
#: The rate of the words must follow the predictor this closely (correlation); the authors' files give 0.99.
CLOSE = 0.95
AGAIN = "get the file again"
#: Distance of the beginnings that are tried, s, and how many at each side of the last one.
STEP, REACH = 0.1, 50
#: Values of the haemodynamic response for each scan.
OVERSAMPLING = 40


def convert(source: Path) -> Iterator[str]:
    """Write `s##.npz`, `regions.txt`, `words.csv` and `predictors.csv`, but only if all files are as described.

    Parameters
    ----------
    source : Path
        Holds `10mm/s##-timecourses.txt`, `s##-sndpwr.txt`, `s##-rp_*.txt`, the predictors, and the table of words.

    Yields
    ------
    str
        What was fitted, left out or written.

    Raises
    ------
    BraintuneError
        If a file is missing or not as described, or the word rate does not match the predictors.
    """
    target = base.data_folder() / "brain" / "alice2016"
    predictors = read_numbers(source / PREDICTOR_FILE, len(PREDICTORS))
    n_scans = len(predictors) - DROPPED
    if n_scans < 2:
        raise BraintuneError(
            f"{source / PREDICTOR_FILE} has {len(predictors)} rows; the first {DROPPED} precede the scans, so more are "
            "needed; get the file again"
        )
    words = read_words(source / WORD_FILE)
    people, short = read_participants(source, n_scans)
    starts, fit = fit_starts(words, predictors[:, 0])
    if not fit >= CLOSE:
        raise BraintuneError(
            f"the rate of the words of {source / WORD_FILE} follows the first column of {PREDICTOR_FILE} with r = "
            f"{fit:.3f}, and at least {CLOSE} is needed; they are not of the same recording, or their columns are in "
            "another order: get both files again"
        )
    yield f"the rate of {len(words):,} words follows the authors' predictor with r = {fit:.3f}"
    yield f"the {len(starts)} pieces of audio begin at {', '.join(f'{s:.1f}' for s in starts)} s of the predictors"
    yield from (f"left out {who}: {rows} of {n_scans} scans" for who, rows in short.items())
    for name, text in _texts(words, starts, predictors).items():
        with store.atomic(target / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
        yield f"wrote {target / name}"
    for who, arrays in people.items():
        path = target / f"{who}.npz"
        with store.atomic(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)
        yield f"wrote {path}"


def _texts(words: pd.DataFrame, starts: pd.Series, predictors: np.ndarray) -> dict[str, str]:
    """Return the content of the folder's text files by their names."""
    shift = words["segment"].map(starts) - DROPPED * SECONDS_PER_SCAN
    table = words[["word", "sentence", "position"]].assign(
        onset_s=(words["onset"] + shift).round(3), offset_s=(words["offset"] + shift).round(3)
    )
    scans = pd.DataFrame(predictors[DROPPED:], columns=list(PREDICTORS))
    return {
        "regions.txt": "\n".join(REGIONS) + "\n",
        "words.csv": table.to_csv(index=False, lineterminator="\n"),
        "predictors.csv": scans.to_csv(index=False, float_format="%.6g", lineterminator="\n"),
    }


# --- reading the authors' files ----------------------------------------------------------------------------------


def read_numbers(path: Path, columns: int) -> np.ndarray:
    """Read a text file of numbers separated by spaces.

    Parameters
    ----------
    path : Path
    columns : int
        Number of columns that it must have.

    Returns
    -------
    float64 array of shape (n_rows, columns)

    Raises
    ------
    BraintuneError
        If it cannot be read, contains anything other than finite numbers, or has another number of columns.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of an empty file; it has no columns, which is told below
            table = np.loadtxt(path, ndmin=2, encoding="utf-8")
    except (OSError, ValueError) as error:
        raise BraintuneError(
            f"cannot read {path} ({error}); rows of {columns} numbers are needed: get the file again, or check FROM"
        ) from None
    if not table.size or table.shape[1] != columns:
        found = f"{table.shape[1]} columns" if table.size else "no numbers"
        raise BraintuneError(f"{path} has {found}, and must have {columns} columns; get the file again")
    if bad := int((~np.isfinite(table)).sum()):
        raise BraintuneError(f"{path}: {bad} of {table.size} values are NaN or infinite; get the file again")
    return table


def read_words(path: Path) -> pd.DataFrame:
    """Read the words with their times within an audio segment.

    Returns
    -------
    DataFrame
        `word`, `segment`, `sentence`, `position`, `onset`, `offset` (s), in the order of the file.

    Raises
    ------
    BraintuneError
        If a column is missing, a value is not a number, or there are no words.
    """
    table = read_csv(path, tuple(COLUMNS.values()))
    words = table[list(COLUMNS.values())].set_axis(list(COLUMNS), axis=1)
    if words.empty:
        raise BraintuneError(f"{path} has no words; get the file again")
    refuse(path, table["Word"], table["Word"] == "", AGAIN)
    for name in list(COLUMNS)[1:]:
        words[name] = numbers(path, table[COLUMNS[name]], AGAIN)
    for name in ("segment", "sentence", "position"):
        refuse(path, table[COLUMNS[name]], words[name] % 1 != 0, f"a whole number is needed; {AGAIN}")
    refuse(path, table["offset"], words["offset"] < words["onset"], AGAIN, "is before the onset")
    return words.astype({"segment": int, "sentence": int, "position": int})


def read_participants(source: Path, n_scans: int) -> tuple[dict[str, dict[str, np.ndarray]], dict[str, int]]:
    """Read the time courses of the 10 mm regions, and sound power and motion where available.

    Returns
    -------
    people : dict
        Participant → name → float32 array: `timecourses` of shape (n_scans, 6), `sound_power` of shape (n_scans,),
        `motion` of shape (n_scans, 6).
    short : dict
        Participant → number of scans, for those who have too few scans and are left out.

    Raises
    ------
    BraintuneError
        If no participant is left, or a file is not as described.
    """
    people, short = {}, {}
    for path in sorted((source / "10mm").glob("s[0-9]*-timecourses.txt")):
        who = path.name.removesuffix("-timecourses.txt")
        scans = read_numbers(path, len(REGIONS))
        if len(scans) < n_scans:
            short[who] = len(scans)
            continue
        own = {"timecourses": _exactly(path, scans, n_scans)}
        for file in _at_most_one(source, f"{who}-sndpwr.txt"):
            own["sound_power"] = _exactly(file, read_numbers(file, 1), n_scans)[:, 0]
        for file in _at_most_one(source, f"{who}-rp_*.txt"):
            motion = read_numbers(file, 6)
            whole = len(motion) == n_scans + DROPPED
            own["motion"] = _exactly(file, motion[DROPPED:] if whole else motion, n_scans)
        people[who] = {name: array.astype(np.float32) for name, array in own.items()}
    if not people:
        found = f"; too short: {', '.join(short)}" if short else ""
        raise BraintuneError(
            f"no participant in {source / '10mm'}: a file s##-timecourses.txt of {n_scans} scans is needed{found}; "
            "FROM is the folder of the authors' files, in which 10mm lies"
        )
    return people, short


def _at_most_one(folder: Path, pattern: str) -> list[Path]:
    found = sorted(folder.glob(pattern))
    if len(found) > 1:
        raise BraintuneError(f"{folder} has {' and '.join(path.name for path in found)}; leave the right one there")
    return found


def _exactly(path: Path, table: np.ndarray, n_rows: int) -> np.ndarray:
    if len(table) != n_rows:
        raise BraintuneError(
            f"{path} has {len(table)} rows, and the predictors go with {n_rows} scans; get the files from one release"
        )
    return table


# --- when the pieces of audio began ------------------------------------------------------------------------------


def fit_starts(
    words: pd.DataFrame, rate: np.ndarray, seconds_per_scan: float = SECONDS_PER_SCAN
) -> tuple[pd.Series, float]:
    """Find when each audio segment began, by coordinate ascent on the correlation with a predictor.

    The segments are first placed one after the other, each where it best fits the scans up to its end. Then they are
    moved one at a time, by up to 5 s in steps of 0.1 s, until no move increases the correlation. A word counts at its
    offset, and the haemodynamic response is SPM's canonical one.

    Parameters
    ----------
    words : DataFrame
        `segment`, and `onset` and `offset` in s within the segment.
    rate : array of shape (n_scans,)
        Rate of the words, convolved with a haemodynamic response; row i was scanned at i x `seconds_per_scan`.
    seconds_per_scan : float

    Returns
    -------
    starts : Series
        Segment → its start, s from row 0.
    fit : float
        Correlation of the resulting word rate with `rate`.

    Raises
    ------
    BraintuneError
        If `rate` is constant, or the segments last longer than the scans.
    """
    ends = words.groupby("segment")["offset"].max()
    clock = seconds_per_scan * np.arange(len(rate))
    spare = len(rate) * seconds_per_scan - ends.sum()
    if np.ptp(rate) == 0:
        raise BraintuneError("the predictor of the rate of the words is constant; get the predictors again")
    if spare < -seconds_per_scan:
        raise BraintuneError(
            f"the {len(ends)} pieces of audio last {ends.sum():.0f} s, but the predictors only "
            f"{len(rate) * seconds_per_scan:.0f} s; get words and predictors of the same recording"
        )
    rates = [convolved_rate(own["offset"], seconds_per_scan) for _, own in words.groupby("segment")]
    laid = np.zeros((len(ends), len(rate)))  # each piece's part of the rate
    starts = np.zeros(len(ends))

    def move(piece: int, candidates: np.ndarray, until: float = np.inf) -> None:
        """Lay a piece at that candidate which fits best what was scanned before `until`."""
        parts = np.interp(clock - candidates[:, None], *rates[piece], left=0, right=0)
        others = laid.sum(axis=0) - laid[piece]
        seen = clock < until
        found = _correlations(others[seen] + parts[:, seen], rate[seen]).argmax()
        starts[piece], laid[piece] = candidates[found], parts[found]

    free = 0.0
    for piece, end in enumerate(ends):
        room = max(spare, 0) + seconds_per_scan
        move(piece, np.arange(free - seconds_per_scan, free + room, STEP), free + end)
        spare -= starts[piece] - free
        free = starts[piece] + end
    before = None
    while not np.array_equal(before, starts):
        before = starts.copy()
        for piece in range(len(starts)):
            move(piece, starts[piece] + STEP * np.arange(-REACH, REACH + 1))
    return pd.Series(starts, ends.index), float(_correlations(laid.sum(axis=0)[None], rate)[0])


def convolved_rate(offsets: pd.Series, seconds_per_scan: float) -> tuple[np.ndarray, np.ndarray]:
    """Return times (s), and the number of words that end at each time, convolved with a haemodynamic response."""
    from nilearn.glm.first_level import spm_hrf  # takes seconds to import

    response = spm_hrf(seconds_per_scan, oversampling=OVERSAMPLING)
    step = seconds_per_scan / OVERSAMPLING
    counts = np.bincount(np.round(offsets / step).astype(int)).astype(np.float64)
    rate = np.convolve(counts, response)
    return step * np.arange(len(rate)), rate


def _correlations(candidates: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Correlate each row with the target; where one of them is constant there is no correlation, and -1 stands."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.nan_to_num(1 - cdist(candidates, target[None], "correlation")[:, 0], nan=-1)


def main(words: list[str] | None = None) -> None:
    """Run the command line."""
    fetching.command("alice2016", ADDRESSES, words, convert=convert)


if __name__ == "__main__":
    main()
