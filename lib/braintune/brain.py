"""Brain data: the stimuli that participants were given, and their voxels' responses, one participant at a time.

Every data set is one entry of :data:`BRAINS`. A measured one is read from `brain/<folder>` in the data folder
(``$BRAINTUNE_DATA``, or `data/raw`); its participants are whichever lie there.
"""

import gzip
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.linalg import hadamard

from braintune import study
from braintune.study import BraintuneError, Study, checksum, choose

SECONDS_PER_SCAN = 2.0
#: Parts of words that the story's word list holds apart, as in "I ve".
CLITICS = {"s", "m", "d", "t", "ve", "re", "ll"}


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
    """

    names: list[str]
    sentences: list[str]
    stimulus_of: np.ndarray
    passage: np.ndarray | None = None
    topic: np.ndarray | None = None
    position: np.ndarray | None = None
    contiguous: bool = False


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
    """

    name: str
    participants: tuple[str, ...]
    regions: tuple[str, ...]
    networks: Mapping[str, str]
    stimuli: Stimuli
    simulated: bool
    load: Callable[[str], dict[str, np.ndarray]]
    coordinates: Mapping[str, np.ndarray] | None = None


@dataclass(frozen=True)
class BrainSource:
    """Where a brain data set comes from, in the words of the data page.

    Attributes
    ----------
    make : callable
        ``make(study)`` returns its BrainData.
    folder : str
        Folder under `brain` in the data folder; empty where nothing is read.
    files : str
        Glob pattern of the participants' files.
    texts : tuple of str
        The other files that are read.
    """

    title: str
    make: Callable[[Study], BrainData]
    size: str
    licence: str
    citation: str
    get: str
    simulated: bool = False
    folder: str = ""
    files: str = ""
    texts: tuple[str, ...] = ()


# --- the data sets -----------------------------------------------------------------------------------------------


def _simulated(run: Study) -> BrainData:
    from braintune import simulate  # here, because that module builds on this one

    return simulate.simulate(run)


def _pereira2018_exp1(run: Study) -> BrainData:
    """180 concepts, each presented with six sentences; whole brain, as principal components of the voxels [1]_.

    References
    ----------
    .. [1] Pereira et al. (2018). Toward a universal decoder of linguistic meaning from brain activation. Nature
       Communications 9, 963.
    """
    name = "pereira2018-exp1"
    folder = _folder(name)
    concepts = _read_text(folder / "concepts.txt").split()
    table = _read_csv(folder / "concept_sentences.csv", ("row", "concept", "sentence"))
    rows = table["row"].to_numpy()
    if set(rows) != set(range(len(concepts))) or list(table["concept"]) != [concepts[row] for row in rows]:
        raise BraintuneError(
            f"{folder / 'concept_sentences.csv'} does not go with concepts.txt: every one of its {len(concepts)} "
            "concepts needs its sentences, under its own row number (from 0)"
        )
    stimuli = Stimuli(concepts, [s.strip() for s in table["sentence"]], rows)

    def load(participant: str) -> dict[str, np.ndarray]:
        return {"whole-brain": spread_components(_read_array(folder / f"{participant}.npz", "responses"))}

    regions = ("whole-brain",)
    return BrainData(name, _participants(name), regions, {"whole-brain": "whole-brain"}, stimuli, False, load)


def _alice2016(run: Study) -> BrainData:
    """Listening to the first chapter of Alice in Wonderland: six language regions, 84 sentences [1]_.

    References
    ----------
    .. [1] Brennan et al. (2016). Abstract linguistic structure correlates with temporal activity during naturalistic
       comprehension. Brain and Language 157-158, 81-94.
    """
    name = "alice2016"
    folder = _folder(name)
    parts = _read_text(folder / "regions.txt").split()
    words = _read_csv(folder / "words.csv", ("word", "sentence", "onset_s", "offset_s"))
    told = words.groupby("sentence", sort=True)
    sentences = [_spoken(list(group["word"].astype(str))) for _, group in told]
    times = told.agg(onset=("onset_s", "min"), offset=("offset_s", "max"))
    names = [f"sentence {number}" for number in times.index]
    order = np.arange(len(names))
    stimuli = Stimuli(names, sentences, order, position=order, contiguous=True)

    def load(participant: str) -> dict[str, np.ndarray]:
        path = folder / f"{participant}.npz"
        scans = _read_array(path, "timecourses")
        if scans.shape[1] != len(parts):
            raise BraintuneError(f"{path} has {scans.shape[1]} time courses, but regions.txt names {len(parts)}")
        if run.detrend_order >= len(scans):
            raise BraintuneError(f"detrend_order: {run.detrend_order} must be below the {len(scans)} scans of {path}")
        clean = standardise(detrend(scans, run.detrend_order))
        lagged = sentence_responses(clean, times.to_numpy(), run.lags)
        each = {part: np.ascontiguousarray(lagged[:, :, i]) for i, part in enumerate(parts)}
        return {"language": np.concatenate(list(each.values()), axis=1)} | each

    regions = ("language", *parts)
    return BrainData(name, _participants(name), regions, dict.fromkeys(regions, "language"), stimuli, False, load)


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
    ),
    "pereira2018-exp1": BrainSource(
        title="Pereira et al. (2018), Experiment 1: reading 180 concepts, each with six sentences",
        make=_pereira2018_exp1,
        size="10 participants, 180 stimuli, all 179 components of the whole brain; 1.5 MB",
        licence="none stated; the original is open at osf.io/crwz7",
        citation="pereira2018",
        get=_FOLDER.format("pereira2018_exp1"),
        folder="pereira2018_exp1",
        files="M[0-9]*.npz",
        texts=("concepts.txt", "concept_sentences.csv"),
    ),
    "alice2016": BrainSource(
        title="Brennan et al. (2016): listening to chapter 1 of Alice in Wonderland",
        make=_alice2016,
        size="20 participants, 84 sentences, six language regions of 10 mm; 0.5 MB",
        licence="CC BY 4.0",
        citation="brennan2016",
        get=_FOLDER.format("alice2016"),
        folder="alice2016",
        files="s[0-9]*.npz",
        texts=("regions.txt", "words.csv"),
    ),
}


def is_simulated(name: str) -> bool:
    """Tell whether a brain data set is generated rather than measured."""
    return choose(BRAINS, name, "brain data set").simulated


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
        For an unknown data set, data that are not there, and a participant or region that it does not hold. Loading
        a participant raises it for a corrupt file, a wrong number of stimuli, and responses that are not finite or
        all constant.
    """
    data = choose(BRAINS, name, "brain data set").make(run)
    participants = _chosen(run, data, "participants")
    regions = _chosen(run, data, "regions")
    return replace(data, participants=participants, regions=regions, load=partial(_load, data, participants, regions))


def data_checksums(run: Study, name: str) -> dict[str, str]:
    """Return file name -> SHA-256 of what a study reads of one brain data set; empty for a simulated one."""
    source = choose(BRAINS, name, "brain data set")
    if source.simulated:
        return {}
    files = [*source.texts, *(f"{participant}.npz" for participant in load_brain(run, name).participants)]
    return {file: checksum(_folder(name) / file) for file in files}


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


def _load(
    data: BrainData, participants: tuple[str, ...], regions: tuple[str, ...], participant: str
) -> dict[str, np.ndarray]:
    """Read one participant's regions and check them."""
    if participant not in participants:
        raise BraintuneError(
            f"participant {participant!r} not in brain data {data.name!r}; it has {', '.join(participants)}"
        )
    everything = data.load(participant)
    return {region: _checked(data, participant, region, everything[region]) for region in regions}


def _checked(data: BrainData, participant: str, region: str, responses: np.ndarray) -> np.ndarray:
    """Return responses as float32 if they can be analysed; single constant voxels are left to the decoder."""
    where = f"{data.name}, participant {participant}, region {region}"
    if responses.ndim != 2 or len(responses) != len(data.stimuli.names):
        raise BraintuneError(
            f"{where}: responses of shape {responses.shape} do not go with {len(data.stimuli.names)} stimuli; "
            "a row per stimulus is needed, so get the responses and the stimulus files from the same release"
        )
    _require_finite(responses, where)
    if (responses == responses[:1]).all():
        raise BraintuneError(f"{where}: every voxel is constant over the stimuli, so there is nothing to decode")
    return responses.astype(np.float32, copy=False)


def _require_finite(values: np.ndarray, where: str) -> None:
    if bad := int((~np.isfinite(values)).sum()):
        raise BraintuneError(
            f"{where}: {bad} of {values.size} values are NaN or infinite; leave the participant or the region out "
            "(`participants`, `regions`), or make its file again"
        )


# --- from components to columns like voxels -----------------------------------------------------------------------


def spread_components(components: np.ndarray) -> np.ndarray:
    """Rotate principal components into columns of equal variance, as z-scored voxels have.

    Principal components hold the strength of a pattern in their variance. A decoder that z-scores its columns would
    make the weakest component as strong as the first, and find nothing; spread evenly over all columns (by a Hadamard
    matrix) the components survive that. Distances and inner products between stimuli stay as they were.

    Parameters
    ----------
    components : array of shape (n_stimuli, n_components)
        Uncorrelated over the stimuli.

    Returns
    -------
    float64 array of shape (n_stimuli, n_columns)
        As many columns as the first power of two above `n_components`. Their mean over a row is 0: the one direction
        that correlation between rows ignores is given to no component.
    """
    size = 1 << components.shape[1].bit_length()
    rotation = hadamard(size)[1 : components.shape[1] + 1] / np.sqrt(size)
    return components.astype(np.float64) @ rotation


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


# --- writing images ----------------------------------------------------------------------------------------------


def save_nifti(data: BrainData, participant: str, folder: Path) -> dict[str, Path]:
    """Write a participant's responses as NIfTI: one 4D image, a volume per stimulus, and one mask per region.

    The images cover the bounding box of the voxels. Read back by a nilearn NiftiMasker, a region's voxels come in the
    order of the image, which for a region made of others is not the order of the columns.

    Parameters
    ----------
    data : BrainData
        With coordinates on a regular grid.
    participant : str
    folder : Path
        Receives `<participant>_beta.nii.gz` and `<participant>_mask-<region>.nii.gz`.

    Returns
    -------
    dict of str to Path
        The files: ``beta`` and the regions' names.

    Raises
    ------
    BraintuneError
        If the data set has no voxel coordinates.
    """
    if data.coordinates is None:
        raise BraintuneError(f"brain data {data.name!r} have no voxel coordinates, so no image can be made of them")
    places = {region: np.asarray(data.coordinates[region]) for region in data.regions}
    index, shape, affine = voxel_grid(places)
    beta = np.zeros((*shape, len(data.stimuli.names)), dtype=np.float32)
    for region, responses in data.load(participant).items():
        beta[tuple(index[region].T)] = responses.T
    files = {"beta": folder / f"{participant}_beta.nii.gz"}
    _write_image(files["beta"], beta, affine)
    for region in data.regions:
        mask = np.zeros(shape, dtype=np.uint8)
        mask[tuple(index[region].T)] = 1
        files[region] = folder / f"{participant}_mask-{region}.nii.gz"
        _write_image(files[region], mask, affine)
    return files


def voxel_grid(places: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], tuple[int, ...], np.ndarray]:
    """Return voxel indices by region, shape and affine of the smallest image that holds all voxels.

    Parameters
    ----------
    places : mapping of region to array of shape (n_voxels, 3)
        Voxel centres, mm.

    Returns
    -------
    index : dict of region to int array of shape (n_voxels, 3)
    shape : tuple of int
    affine : array of shape (4, 4)

    Raises
    ------
    BraintuneError
        If the voxels do not lie on one regular grid.
    """
    every = np.concatenate(list(places.values()))
    origin = every.min(axis=0)
    steps = np.concatenate([np.diff(np.unique(axis)) for axis in every.T])
    spacing = steps.min() if steps.size else 1.0
    index = {region: np.rint((xyz - origin) / spacing).astype(int) for region, xyz in places.items()}
    if any(np.abs(index[r] * spacing + origin - xyz).max() > 1e-3 * spacing for r, xyz in places.items()):
        raise BraintuneError("the voxels do not lie on one regular grid, so no image can be made of them")
    affine = np.diag([spacing] * 3 + [1.0])
    affine[:3, 3] = origin
    shape = tuple(int(n) for n in np.concatenate(list(index.values())).max(axis=0) + 1)
    return index, shape, affine


def _write_image(path: Path, values: np.ndarray, affine: np.ndarray) -> None:
    import nibabel

    image = nibabel.Nifti1Image(values, affine)
    image.header.set_xyzt_units("mm")
    with study.atomic(path) as temporary:
        temporary.write_bytes(gzip.compress(image.to_bytes(), compresslevel=4, mtime=0))


# --- reading files -----------------------------------------------------------------------------------------------


def _folder(name: str) -> Path:
    """Folder of a measured data set; a missing one is an error that says how to come by it."""
    source = BRAINS[name]
    folder = study.data_folder() / "brain" / source.folder
    if not folder.is_dir():
        raise BraintuneError(
            f"brain data {name!r} are not there: no folder {folder}. Set BRAINTUNE_DATA to the folder that holds "
            f"`brain/{source.folder}`, or make it: {source.title}; `data/README.md` says how"
        )
    return folder


def _participants(name: str) -> tuple[str, ...]:
    """Names of the participants whose files lie in a data set's folder."""
    found = tuple(sorted(file.stem for file in _folder(name).glob(BRAINS[name].files)))
    if not found:
        raise BraintuneError(
            f"no participant in {_folder(name)}: no file {BRAINS[name].files!r}; `data/README.md` says how to make them"
        )
    return found


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BraintuneError(f"cannot read {path} ({error}); `data/README.md` says how to make it") from None


def _read_csv(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """Read a table that must have `columns`; words such as "null" stay words."""
    try:
        table = pd.read_csv(path, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise BraintuneError(f"cannot read {path} ({error}); `data/README.md` says how to make it") from None
    if missing := [column for column in columns if column not in table]:
        raise BraintuneError(f"{path} has no column {missing[0]!r}; it has {', '.join(map(str, table.columns))}")
    return table


def _read_array(path: Path, key: str) -> np.ndarray:
    """Read one two-dimensional array from an .npz file; nothing in it is executed."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            array = arrays[key]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise BraintuneError(
            f"{path} is not a readable .npz file with a numeric array {key!r} ({error}); make it again, as "
            "`data/README.md` says"
        ) from None
    if array.ndim != 2 or not np.issubdtype(array.dtype, np.number):
        raise BraintuneError(
            f"{path}: {key} has shape {array.shape} and type {array.dtype}; two numeric axes are needed"
        )
    _require_finite(array, f"{path}: {key}")
    return array
