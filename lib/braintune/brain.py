"""Brain data: the stimuli that participants were given, and their voxels' responses, one participant at a time.

Every data set is one entry of :data:`BRAINS`. A measured one is read from `brain/<folder>` in the data folder
(``$BRAINTUNE_DATA``, or `data/raw`); its participants are whichever lie there. The loaders are in rooms of their own:
:mod:`braintune.simulate`, :mod:`braintune.pereira`, :mod:`braintune.pereira_hub`, :mod:`braintune.story`,
:mod:`braintune.own_study`.
"""

import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from braintune import study
from braintune.store import checksum
from braintune.study import BraintuneError, Study, choose


@dataclass(frozen=True)
class Stimuli:
    """What was presented, in the order of the responses' rows.

    Attributes
    ----------
    names : list of str, length n_stimuli
    sentences : list of str, length n_sentences
        All sentences; a stimulus may have several.
    stimulus_of : int array of shape (n_sentences,)
        The stimulus that each sentence belongs to.
    passage, topic : int array of shape (n_stimuli,), or None
        Groups of stimuli, where there are any.
    position : int array of shape (n_stimuli,), or None
        Place of a stimulus in its passage or story, from 0.
    contiguous : bool
        The stimuli follow each other as one story, so neighbours share more than meaning: the grouped design takes
        contiguous blocks with a gap.
    nuisance : float array of shape (n_stimuli, n_regressors), or None
        What was regressed out of the responses, and is to be out of the embeddings.
    """

    names: list[str]
    sentences: list[str]
    stimulus_of: np.ndarray
    passage: np.ndarray | None = None
    topic: np.ndarray | None = None
    position: np.ndarray | None = None
    contiguous: bool = False
    nuisance: np.ndarray | None = None


class Places(Mapping):
    """Voxel coordinates by region, worked out when first asked for: decoding never needs them."""

    def __init__(self, make: Callable[[], dict[str, np.ndarray]]) -> None:
        self._make = make

    def __getitem__(self, region: str) -> np.ndarray:
        return self._make()[region]

    def __iter__(self) -> Iterator[str]:
        return iter(self._make())

    def __len__(self) -> int:
        return len(self._make())


@dataclass(frozen=True)
class BrainData:
    """One brain data set; the responses of a participant are read when asked for, and not kept.

    Attributes
    ----------
    name : str
        Its name in :data:`BRAINS`.
    participants : tuple of str
    regions : tuple of str
        Regions may overlap: a network and its parts.
    networks : mapping of region to network
    stimuli : Stimuli
    simulated : bool
        True where the responses were generated.
    load : callable
        ``load(participant)`` returns region -> float32 array of shape (n_stimuli, n_voxels).
    coordinates : mapping of region to array of shape (n_voxels, 3), or None
        Voxel centres in MNI space, mm, in the order of the columns; None where they are not known.
    texts : mapping of name to Path
        Files that are read whoever takes part.
    files : mapping of participant to mapping of name to Path
        Files that are read for one participant.
    """

    name: str
    participants: tuple[str, ...]
    regions: tuple[str, ...]
    networks: Mapping[str, str]
    stimuli: Stimuli
    simulated: bool
    load: Callable[[str], dict[str, np.ndarray]]
    coordinates: Mapping[str, np.ndarray] | None = None
    texts: Mapping[str, Path] = field(default_factory=dict)
    files: Mapping[str, Mapping[str, Path]] = field(default_factory=dict)


@dataclass(frozen=True)
class BrainSource:
    """Where a brain data set comes from, in the words of the data page.

    Attributes
    ----------
    make : callable
        ``make(study)`` returns its BrainData.
    folder : str
        Folder under `brain` in the data folder; empty where there is none.
    people : str
        Who its participants are, as a sentence names them.
    """

    title: str
    make: Callable[[Study], BrainData]
    size: str
    licence: str
    citation: str
    get: str
    simulated: bool = False
    folder: str = ""
    people: str = "participants"


# --- the data sets -----------------------------------------------------------------------------------------------


def _simulated(run: Study) -> BrainData:  # the loaders build on this module, so they are imported when wanted
    from braintune.simulate import simulate

    return simulate(run)


def _pereira2018_exp1(run: Study) -> BrainData:
    from braintune.pereira import concepts

    return concepts(run)


def _pereira2018(run: Study) -> BrainData:
    from braintune.pereira import sentences

    return sentences(run)


def _folder(run: Study) -> BrainData:
    from braintune.own_study import own_study

    return own_study(run)


def _pereira2018_hub(run: Study) -> BrainData:
    from braintune.pereira_hub import sentences

    return sentences(run)


def _alice2016(run: Study) -> BrainData:
    from braintune.story import alice2016

    return alice2016(run)


_FOLDER = "in the folder `brain/{}` of the data folder; `data/README.md` says how to make it from the originals"

#: Every brain data set by name. Adding one is adding an entry and the function that makes its BrainData.
BRAINS: dict[str, BrainSource] = {
    "simulated": BrainSource(
        title="Simulated participants whose voxels carry a known code of the generated sentences",
        make=_simulated,
        size="generated: 4 networks and 8 language regions",
        licence="MIT, as this project",
        citation="",
        get="nothing to get: generated from `simulation_seed`",
        simulated=True,
        people="simulated participants",
    ),
    "pereira2018-exp1": BrainSource(
        title="Pereira et al. (2018), Experiment 1: reading 180 concepts, each with six sentences",
        make=_pereira2018_exp1,
        size="10 participants, 180 stimuli, all 179 components of the whole brain; 1.5 MB",
        licence="none stated; the original is open at osf.io/crwz7",
        citation="pereira2018",
        get=_FOLDER.format("pereira2018_exp1"),
        folder="pereira2018_exp1",
        people="readers of word concepts",
    ),
    "pereira2018": BrainSource(
        title="Pereira et al. (2018), Experiments 2 and 3: reading 627 sentences in passages",
        make=_pereira2018,
        size="5 participants who did both, 384 + 243 sentences, four networks and the language regions; several GB",
        licence="none stated; the original is open at osf.io/crwz7",
        citation="pereira2018",
        get="the authors' MATLAB files, in `brain/pereira2018/<participant>` of the data folder; see `data/README.md`",
        folder="pereira2018",
        people="readers of passages",
    ),
    "pereira2018-hub": BrainSource(
        title="Pereira et al. (2018), Experiment 2: reading 384 sentences in passages; a copy on the hub",
        make=_pereira2018_hub,
        size="8 participants, 384 sentences, four networks; 6.6 GB",
        licence="none stated",
        citation="pereira2018",
        get="from huggingface.co (helena-balabin/pereira_fMRI_sentences), fetched when a run first needs it",
        people="readers of passages",
    ),
    "alice2016": BrainSource(
        title="Brennan et al. (2016): listening to chapter 1 of Alice in Wonderland",
        make=_alice2016,
        size="20 participants, 84 sentences, six language regions of 10 mm; 0.5 MB",
        licence="CC BY 4.0",
        citation="brennan2016",
        get=_FOLDER.format("alice2016"),
        folder="alice2016",
        people="listeners to a story",
    ),
    "folder": BrainSource(
        title="A study of your own",
        make=_folder,
        size="yours",
        licence="yours",
        citation="",
        get="the folder `own_study` under `brain` of the data folder: a table of stimuli, and arrays or NIfTI images",
    ),
}


def is_simulated(name: str) -> bool:
    """Tell whether a brain data set is generated rather than measured."""
    return choose(BRAINS, name, "brain data set").simulated


def people_of(name: str) -> str:
    """Return who the participants of a brain data set are, in words."""
    return choose(BRAINS, name, "brain data set").people


def sources_table() -> pd.DataFrame:
    """Return one row per brain data set: name, title, size, licence, citation key, how to get it."""
    rows = [(n, s.title, s.simulated, s.size, s.licence, s.citation, s.get) for n, s in BRAINS.items()]
    return pd.DataFrame(rows, columns=["name", "title", "simulated", "size", "licence", "citation", "how to get it"])


# --- loading -----------------------------------------------------------------------------------------------------


def load_brain(run: Study, name: str) -> BrainData:
    """Return a brain data set, limited to the participants and regions that the study names.

    Raises
    ------
    BraintuneError
        For an unknown data set, data that are not there, a participant whose name can name no file, and a participant
        or region that it does not hold. Loading a participant raises it for a corrupt file, a wrong number of stimuli,
        and responses that are not finite or all constant.
    """
    data = choose(BRAINS, name, "brain data set").make(run)
    for participant in data.participants:
        if not re.fullmatch(r"\w[\w .+-]*", participant):
            raise BraintuneError(
                f"brain data {name!r}: participant {participant!r} must be named by letters, digits, spaces and "
                "`_ . + -` alone, since files are named by it; rename the participant's files"
            )
    participants = _chosen(run, data, "participants")
    regions = _chosen(run, data, "regions")
    chosen = replace(data, participants=participants, regions=regions)
    return replace(chosen, load=partial(_load, chosen, run.non_finite))


def data_checksums(run: Study, name: str) -> dict[str, str]:
    """Return file name -> SHA-256 of what a study reads of one brain data set; empty for a simulated one."""
    if is_simulated(name):
        return {}
    data = load_brain(run, name)
    own = [data.files.get(participant, {}) for participant in data.participants]
    return {file: checksum(path) for files in (data.texts, *own) for file, path in files.items()}


def _chosen(run: Study, data: BrainData, kind: str) -> tuple[str, ...]:
    """Those of `data.participants` or `data.regions` that the study asks for, in the order of the data."""
    present, wanted = getattr(data, kind), getattr(run, kind)
    if wanted is None:
        return present
    unknown = set(wanted) - set(present)
    for other in set(run.brains) - {data.name} if unknown else ():  # a name may be meant for another data set
        unknown -= set(getattr(choose(BRAINS, other, "brain data set").make(run), kind))
    chosen = tuple(entry for entry in present if entry in wanted)
    if unknown or not chosen:
        bad = ", ".join(repr(entry) for entry in wanted if entry in (unknown or wanted))
        raise BraintuneError(f"{kind}: {bad} not in brain data {data.name!r}; it has {', '.join(present)}")
    return chosen


def _load(data: BrainData, non_finite: str, participant: str) -> dict[str, np.ndarray]:
    """Read one participant's regions and check them."""
    if participant not in data.participants:
        raise BraintuneError(
            f"participant {participant!r} not in brain data {data.name!r}; it has {', '.join(data.participants)}"
        )
    found = data.load(participant)
    return {region: _checked(data, participant, region, found[region], non_finite) for region in data.regions}


def _checked(data: BrainData, participant: str, region: str, responses: np.ndarray, non_finite: str) -> np.ndarray:
    """Return responses as float32 if they can be analysed; single constant voxels are left to the decoder."""
    where = f"{data.name}, participant {participant}, region {region}"
    if responses.ndim != 2 or len(responses) != len(data.stimuli.names):
        raise BraintuneError(
            f"{where}: responses of shape {responses.shape} do not go with {len(data.stimuli.names)} stimuli; "
            "a row per stimulus is needed, so get the responses and the stimulus files from the same release"
        )
    if responses.shape[1] == 0:
        raise BraintuneError(f"{where}: no voxels; leave the region or the participant out (`regions`, `participants`)")
    if non_finite == "zero":
        responses = _without_holes(responses, where)
    require_finite(responses, where)
    if (responses == responses[:1]).all():
        raise BraintuneError(f"{where}: every voxel is constant over the stimuli, so there is nothing to decode")
    return responses.astype(np.float32, copy=False)


def require_distinct(sentences: Sequence[str], where: str, remedy: str) -> None:
    """Raise an error for an empty sentence, and for one that is there twice: the two could not be told apart."""
    rows: dict[str, int] = {}
    for row, sentence in enumerate(sentences, start=1):
        if not sentence or sentence in rows:
            fault = f"the same as row {rows[sentence]}" if sentence else "empty"
            raise BraintuneError(f"{where}: sentence of row {row} is {fault} ({sentence!r}); {remedy}")
        rows[sentence] = row


def _without_holes(responses: np.ndarray, where: str) -> np.ndarray:
    """Set the voxels that hold NaN or infinite values to 0 throughout, and say how many."""
    bad = ~np.isfinite(responses).all(axis=0)
    if not bad.any():
        return responses
    warnings.warn(
        f"{where}: {bad.sum()} of {bad.size} voxels hold NaN or infinite values and are not used", stacklevel=2
    )
    return np.where(bad, 0, responses)


def require_finite(values: np.ndarray, where: str) -> None:
    """Raise an error that counts the values that are NaN or infinite, if there are any."""
    if bad := int((~np.isfinite(values)).sum()):
        raise BraintuneError(
            f"{where}: {bad} of {values.size} values are NaN or infinite; leave the participant or the region out "
            "(`participants`, `regions`), make its file again, or set non_finite: zero, which leaves out such voxels"
        )


# --- reading files -----------------------------------------------------------------------------------------------


def data_set_folder(name: str, own: str = "") -> Path:
    """Return the folder of a measured data set; a missing one is an error that says how to come by it."""
    source = BRAINS[name]
    folder = study.data_folder() / "brain" / (own or source.folder)
    if not folder.is_dir():
        raise BraintuneError(
            f"brain data {name!r} are not there: no folder {folder}. Set BRAINTUNE_DATA to the folder that holds "
            f"`brain/{folder.name}`, or make it: {source.title}; `data/README.md` says how"
        )
    return folder


def participant_files(folder: Path, pattern: str) -> dict[str, dict[str, Path]]:
    """Return participant -> name -> path of the files in a folder that go by `pattern`, one for each participant."""
    found = {file.stem: {file.name: file} for file in sorted(folder.glob(pattern))}
    if not found:
        raise BraintuneError(f"no participant in {folder}: no file {pattern!r}; `data/README.md` says how to make them")
    return found


def read_text(path: Path) -> str:
    """Read a text file."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BraintuneError(f"cannot read {path} ({error}); `data/README.md` says how to make it") from None


def read_csv(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """Read a table that must have `columns`; words such as "null" stay words."""
    try:
        table = pd.read_csv(path, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise BraintuneError(f"cannot read {path} ({error}); `data/README.md` says how to make it") from None
    if missing := [column for column in columns if column not in table]:
        raise BraintuneError(f"{path} has no column {missing[0]!r}; it has {', '.join(map(str, table.columns))}")
    return table


def read_keys(path: Path) -> tuple[str, ...]:
    """Return the names of the arrays in an .npz file."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return tuple(arrays.files)
    except Exception as error:  # a damaged file may fail in zipfile, in a decompressor, in NumPy or in its parser
        raise BraintuneError(f"{path} is not a readable .npz file ({error}); write it again with numpy.savez") from None


def read_array(path: Path, key: str, finite: bool = True) -> np.ndarray:
    """Read one two-dimensional array from an .npz file; nothing in it is executed.

    Parameters
    ----------
    path : Path
    key : str
    finite : bool
        Values that are NaN or infinite are an error.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            array = arrays[key]
    except Exception as error:  # as in `read_keys`
        raise BraintuneError(
            f"{path} is not a readable .npz file with a numeric array {key!r} ({error}); make it again, as "
            "`data/README.md` says"
        ) from None
    if not isinstance(array, np.ndarray):
        raise BraintuneError(f"{path}: {key} is no array; write it again with numpy.savez")
    if array.ndim != 2 or not np.issubdtype(array.dtype, np.number):
        raise BraintuneError(
            f"{path}: {key} has shape {array.shape} and type {array.dtype}; two numeric axes are needed"
        )
    if finite:
        require_finite(array, f"{path}: {key}")
    return array
