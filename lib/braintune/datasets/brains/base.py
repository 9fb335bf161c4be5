"""Brain data: the stimuli presented to participants, and their responses, one participant at a time.

Every reader of a data set builds on this module and defines a :class:`BrainSource`;
:mod:`braintune.datasets.brains.registry` lists them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

from braintune.core import base
from braintune.core.base import BraintuneError
from braintune.core.study import Study


@dataclass(frozen=True)
class Stimuli:
    """The stimuli that were presented, in the order of the rows of the responses.

    Attributes
    ----------
    names : list of str, length n_stimuli
    sentences : list of str, length n_sentences
        All sentences; a stimulus may have several.
    stimulus_of : int array of shape (n_sentences,)
        The stimulus that each sentence belongs to.
    passage, topic : int array of shape (n_stimuli,), or None
        Groups of stimuli, if known.
    position : int array of shape (n_stimuli,), or None
        Position of a stimulus in its passage or story, from 0.
    contiguous : bool
        Whether the stimuli form one story, so that neighbours share more than meaning; the grouped design then uses
        contiguous blocks with a gap.
    nuisance : float array of shape (n_stimuli, n_regressors), or None
        Regressors that decoding and encoding remove from responses and embeddings in every fold; set by
        :func:`braintune.datasets.brains.registry.load_brain`.
    duration : float array of shape (n_stimuli,), or None
        How long each stimulus was heard or seen, s, if known.
    """

    names: list[str]
    sentences: list[str]
    stimulus_of: np.ndarray
    passage: np.ndarray | None = None
    topic: np.ndarray | None = None
    position: np.ndarray | None = None
    contiguous: bool = False
    nuisance: np.ndarray | None = None
    duration: np.ndarray | None = None

    @property
    def groups(self) -> np.ndarray | None:
        """The passage of each stimulus, or its topic if passages are unknown; None if neither is known."""
        return self.topic if self.passage is None else self.passage


@dataclass(frozen=True)
class BrainData:
    """One brain data set; the responses of a participant are read on demand, and not kept.

    Attributes
    ----------
    name : str
        Its name in :data:`BRAINS`.
    participants : tuple of str
    regions : tuple of str
        Regions may overlap: a network and its parts.
    stimuli : Stimuli
    simulated : bool
        Whether the responses were generated.
    load : callable
        ``load(participant)`` returns region -> float32 array of shape (n_stimuli, n_voxels).
    coordinates : callable, or None
        ``coordinates()`` returns region -> array of shape (n_voxels, 3): voxel centres in MNI space, mm, in the order
        of the columns; None if unknown.
    texts : mapping of name to Path
        Files that are read for every participant.
    files : mapping of participant to mapping of name to Path
        Files that are read for one participant, the responses first.
    remarks : tuple of str
        What a user should know before a run, such as columns that are not used.
    """

    name: str
    participants: tuple[str, ...]
    regions: tuple[str, ...]
    stimuli: Stimuli
    simulated: bool
    load: Callable[[str], dict[str, np.ndarray]]
    coordinates: Callable[[], Mapping[str, np.ndarray]] | None = None
    texts: Mapping[str, Path] = field(default_factory=dict)
    files: Mapping[str, Mapping[str, Path]] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class BrainSource:
    """Where a brain data set comes from.

    Attributes
    ----------
    name : str
        The name used in a profile.
    make : callable
        ``make(study)`` returns its BrainData.
    folder : str
        Folder under `brain` in the data folder; empty if it has none.
    people : str
        What its participants are called in a sentence; an average begins with "average".
    """

    name: str
    title: str
    make: Callable[[Study], BrainData]
    size: str
    licence: str
    get: str
    simulated: bool = False
    folder: str = ""
    people: str = "participants"


def require_distinct(sentences: Sequence[str], where: str, remedy: str) -> None:
    """Raise an error for an empty or a repeated sentence: decoding cannot distinguish identical sentences."""
    rows: dict[str, int] = {}
    for row, sentence in enumerate(sentences, start=1):
        if not sentence or sentence in rows:
            fault = f"the same as row {rows[sentence]}" if sentence else "empty"
            raise BraintuneError(f"{where}: sentence of row {row} is {fault} ({sentence!r}); {remedy}")
        rows[sentence] = row


def require_finite(values: np.ndarray, where: str, remedy: str = "create the file again") -> None:
    """Raise an error that counts the values that are NaN or infinite, if there are any."""
    if bad := int((~np.isfinite(values)).sum()):
        raise BraintuneError(f"{where}: {bad} of {values.size} values are NaN or infinite; {remedy}")


#: What to do if two participants have the same responses.
COPIED = "a participant must not be counted twice: remove one of them, or use the correct responses"
#: Codes of missing values are whole numbers of at least this size.
SMALLEST_CODE = 99
#: If at least this many voxels are all exactly 0, the response is missing.
MANY_VOXELS = 10


def require_rows(values: np.ndarray, where: str, what: str, remedy: str) -> None:
    """Raise an error for rows without a response: no voxel is finite, or all of many voxels are 0.

    Parameters
    ----------
    values : array of shape (n_rows, n_voxels)
    where : str
    what : str
        What a row is, in the message.
    remedy : str
    """
    empty = ~np.isfinite(values).any(axis=1)
    if values.shape[1] >= MANY_VOXELS:
        empty |= (values == 0).all(axis=1)
    if values.shape[1] and empty.any() and values.any():
        rows = ", ".join(map(str, np.flatnonzero(empty)[:5] + 1)) + ", …" * int(empty.sum() > 5)
        raise BraintuneError(
            f"{where}: no response in {empty.sum()} of {len(values)} rows ({what} {rows}), where every voxel is NaN, "
            f"infinite or 0; {remedy}"
        )


def require_no_codes(values: np.ndarray, where: str, remedy: str) -> None:
    """Raise an error for codes of missing values, such as -999.

    A code is a whole number of absolute size at least 99 that occurs more than once, and whose distance from the other
    values of its column is more than twice their range. The other values are more than a tenth of the column, and not
    all whole numbers.

    Parameters
    ----------
    values : array of shape (n_rows, n_columns)
    where, remedy : str
    """
    for sign in (1, -1) if len(values) else ():
        top = values.max(axis=0) if sign > 0 else values.min(axis=0)
        with np.errstate(all="ignore"):
            suspects = np.flatnonzero((np.abs(top) >= SMALLEST_CODE) & (top % 1 == 0))
            suspects = suspects[(values[:, suspects] % 1 != 0).any(axis=0)]  # leaves few, even in data of whole numbers
            top, columns = sign * top[suspects].astype(np.float64), sign * values[:, suspects].astype(np.float64)
            coded = columns == top
            low, high = (np.where(coded, end, columns) for end in (np.inf, -np.inf))
            low, high = low.min(axis=0), high.max(axis=0)
            far = (top - high > 2 * (high - low)) & (high > low) & (coded.mean(axis=0) < 0.9)
        for code in np.unique(top[far]):
            own = coded & far & (top == code)
            if (cells := int(own.sum())) > 1:
                raise BraintuneError(
                    f"{where}: {cells} of {values.size} values are {sign * code:g}, far from all others: a code for "
                    f"missing values, in {own.any(axis=0).sum()} of {values.shape[1]} columns; {remedy}"
                )


# --- reading files -----------------------------------------------------------------------------------------------


def data_set_folder(source: BrainSource, name: str = "") -> Path:
    """Return the folder of a measured data set; a missing one is an error that says how to get it.

    `name` replaces the folder of the source.
    """
    folder = base.data_folder() / "brain" / (name or source.folder)
    if not folder.is_dir():
        raise BraintuneError(
            f"brain data {source.name!r}: no folder {folder}. Set BRAINTUNE_DATA to the folder that holds "
            f"`brain/{folder.name}`, or create it ({source.title}); `data/README.md` says how"
        )
    return folder


def matching_files(folder: Path, pattern: str) -> list[Path]:
    """Return the files in a folder that match `pattern`, ignoring case, sorted; hidden files are left out."""
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    return [folder / name for name in names if fnmatchcase(name.lower(), pattern.lower())]


def listing(folder: Path) -> str:
    """Return the names of the first files in a folder, for a message."""
    names = sorted(path.name for path in folder.iterdir())
    return ", ".join(names[:8]) + ", …" * (len(names) > 8) or "nothing"


#: Pattern of the files that are read → endings of other files that are often written instead, and how to convert them.
_UNREAD = {
    "*.csv": (
        (".csv.gz", ".csv.zip", ".tsv", ".xlsx", ".xls", ".ods", ".parquet"),
        "decompress it, or save it as CSV in UTF-8 with commas (in pandas: read_csv, read_excel …, then "
        "to_csv(…, index=False))",
    ),
    "*.npz": ((".npy", ".npz.gz", ".pkl", ".h5", ".hdf5"), "save one array per region with numpy.savez(…, IFG=…)"),
}


def require_all_read(folder: Path, pattern: str) -> None:
    """Raise an error for a file that looks like data, but is not read: a participant would be left out."""
    endings, remedy = _UNREAD.get(pattern, ((), ""))
    for file in matching_files(folder, "*"):
        if file.name.lower().endswith(endings):
            raise BraintuneError(f"{file} is not read, only {pattern} is; {remedy}, or move it out of the folder")


def participant_files(folder: Path, pattern: str) -> dict[str, dict[str, Path]]:
    """Return participant -> name -> path of the files in a folder that match `pattern`, one for each participant."""
    files: dict[str, dict[str, Path]] = {}
    for file in matching_files(folder, pattern):
        if file.stem in files:
            raise BraintuneError(
                f"{file} and {next(iter(files[file.stem]))} belong to the same participant; remove one"
            )
        files[file.stem] = {file.name: file}
    require_all_read(folder, pattern)
    if not files:
        raise BraintuneError(
            f"no participant in {folder}: no file {pattern!r}; it has {listing(folder)}; `data/README.md` says how to "
            "create them"
        )
    return files


def read_text(path: Path) -> str:
    """Read a text file."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BraintuneError(f"cannot read {path} ({error}); `data/README.md` says how to create it") from None


def _read_npz(path: Path, read: Callable[[Mapping[str, np.ndarray]], Any], what: str = "") -> Any:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return read(arrays)
    except Exception as error:  # a damaged file may fail in zipfile, in a decompressor, in NumPy or in its parser
        remedy = "`data/README.md` says how to create it; write it with numpy.savez"
        if "Object arrays" in str(error):  # NumPy's message advises allow_pickle
            remedy = (
                "it holds Python objects, such as lists of different lengths or numbers beside text or None: save one "
                "numeric array per region, with numpy.savez(…, IFG=numpy.array(rows, dtype='float32'))"
            )
        raise BraintuneError(f"{path} is not a readable .npz file{what} ({error}); {remedy}") from None


def read_keys(path: Path) -> tuple[str, ...]:
    """Return the names of the arrays in an .npz file."""
    return _read_npz(path, lambda arrays: tuple(arrays))


def read_array(path: Path, key: str, finite: bool = True) -> np.ndarray:
    """Read one two-dimensional numeric array from an .npz file; nothing in it is executed.

    Parameters
    ----------
    path : Path
    key : str
    finite : bool
        Whether NaN and infinite values are an error.
    """
    array = _read_npz(path, lambda arrays: np.asarray(arrays[key]), f" with a numeric array {key!r}")
    if array.ndim != 2 or array.dtype.kind not in "iuf":
        raise BraintuneError(
            f"{path}: {key} has shape {array.shape} and type {array.dtype}; a numeric array with two axes is needed"
        )
    if finite:
        require_finite(array, f"{path}: {key}")
    return array


def varying_regressors(stimuli: Stimuli) -> dict[str, np.ndarray]:
    """Return the formal properties in which the sentences differ, as nuisance regressors.

    Parameters
    ----------
    stimuli : Stimuli

    Returns
    -------
    dict of name to float array of shape (n_stimuli,)
        Those of ``length`` (words with a letter or a digit), ``log-length``, ``characters`` and ``duration`` (s) that
        vary; none if a stimulus has several sentences.
    """
    if len(stimuli.sentences) != len(stimuli.names):
        return {}
    sentences = [stimuli.sentences[i] for i in np.argsort(stimuli.stimulus_of)]
    words = np.array([sum(any(c.isalnum() for c in word) for word in text.split()) for text in sentences], dtype=float)
    known = {
        "length": words,
        "log-length": np.log(np.maximum(words, 1)),
        "characters": np.array(list(map(len, sentences))),
    }
    if stimuli.duration is not None:
        known["duration"] = stimuli.duration
    return {name: values.astype(np.float64) for name, values in known.items() if np.ptp(values) > 0}


def stimulus_means(vectors: np.ndarray, stimuli: Stimuli) -> np.ndarray:
    """Average over the sentences of each stimulus.

    Parameters
    ----------
    vectors : array of shape (layers, n_sentences, width)
    stimuli : Stimuli

    Returns
    -------
    array of shape (layers, n_stimuli, width), of the type of `vectors`

    Raises
    ------
    BraintuneError
        If a stimulus has no sentence.
    """
    n = np.bincount(stimuli.stimulus_of, minlength=len(stimuli.names))
    if (n == 0).any() or len(n) > len(stimuli.names):
        raise BraintuneError(
            f"{len(stimuli.names)} stimuli, but the sentences belong to {np.count_nonzero(n)} of {len(n)}; every "
            "stimulus needs a sentence, and every sentence a stimulus"
        )
    sums = np.zeros((len(vectors), len(n), vectors.shape[2]))
    np.add.at(sums.swapaxes(0, 1), stimuli.stimulus_of, vectors.swapaxes(0, 1))
    return (sums / n[:, None]).astype(vectors.dtype)
