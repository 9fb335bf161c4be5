"""The registry of brain data sets, and loading one of them with checks of participants, regions and responses."""

import re
import warnings
import zipfile
from collections.abc import Hashable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from braintune.core.base import BraintuneError, data_folder, lookup
from braintune.core.store import checksum
from braintune.core.study import Study
from braintune.datasets.brains import alice, base, concepts, devarda, folder, pereira, pereira_hub, simulated, table
from braintune.datasets.brains.base import BrainData, BrainSource, varying_regressors

#: Every brain data set by name. A plugin of a profile adds one by ``BRAINS["mine"] = BrainSource(...)``.
BRAINS: dict[str, BrainSource] = {
    source.name: source
    for source in (
        *(module.SOURCE for module in (simulated, concepts, pereira, pereira_hub, alice)),
        *devarda.SOURCES,
        *table.SOURCES,
        folder.SOURCE,
    )
}
#: Names of the data sets that the data page describes; the others are the user's own.
DESCRIBED = frozenset(BRAINS) - {folder.SOURCE.name, table.OWN.name}
#: Names in `regions` that mean several regions: the two sets of eight language regions used in the literature on
#: Pereira et al. (2018).
REGION_SETS = {
    "language-left-8": (
        *("LIFGorb", "LIFG", "LMFG", "LAntTemp"),
        *("LMidAntTemp", "LMidPostTemp", "LPostTemp", "LAngG"),
    ),
    "language-8": ("PostTemp", "AntTemp", "AngG", "IFG", "MFG", "IFGorb", "pCingulate", "dmPFC"),
}


def is_simulated(name: str) -> bool:
    """Return whether a brain data set is generated rather than measured."""
    return lookup(BRAINS, name, "brain data set").simulated


def participants_label(name: str, count: int | None) -> str:
    """Return the number of participants of a brain data set in words; an average over people has no number."""
    people = lookup(BRAINS, name, "brain data set").people
    if name == table.OWN.name and count == 1:
        return "an average, or one participant"
    if count is None or people.startswith("average"):
        return people
    return f"{count} {people}" if count != 1 else "1 " + re.sub(r"^(\w+)s\b", r"\1", people)


# --- loading -----------------------------------------------------------------------------------------------------


def load_brain(study: Study, name: str) -> BrainData:
    """Return a brain data set, limited to the participants and regions that the study names.

    A name of :data:`REGION_SETS` among the regions is replaced by its members.

    Raises
    ------
    BraintuneError
        For an unknown data set, missing data, a participant whose name cannot be a file name, several files of one
        participant, two participants with the same responses, a participant or region that it does not hold, and
        nuisance regressors that are unknown or too many. Loading a participant raises it for a corrupt file, a wrong
        number of stimuli, and responses that are missing, coded as missing (-999), not finite or all constant.
    """
    if study.regions is not None:
        members = [member for region in study.regions for member in REGION_SETS.get(region, (region,))]
        study = study.model_copy(update={"regions": members})
    if name not in BRAINS and (data_folder() / "brain" / name).is_dir():
        raise BraintuneError(
            f"brain data set {name!r} is unknown, but there is a folder brain/{name} in the data folder. To read it as "
            f"your own study, set `brains: [{table.OWN.name}]` (CSV files of region averages) or "
            f"`brains: [{folder.SOURCE.name}]` (arrays or images), and `own_study: {name}`"
        )
    data = lookup(BRAINS, name, "brain data set").make(study)
    for participant in data.participants:
        if not re.fullmatch(r"\w[\w .+-]*", participant):
            raise BraintuneError(
                f"brain data {name!r}: the name of participant {participant!r} may hold only letters, digits, spaces "
                "and `_ . + -`, since files are named after it; rename the participant's files"
            )
    participants = _chosen(study, data, "participants")
    _require_distinct_people(name, participants)
    regions = _chosen(study, data, "regions")
    _require_different_responses(data, participants, regions)
    stimuli = replace(data.stimuli, nuisance=_nuisance(study, data))
    chosen = replace(data, participants=participants, regions=regions, stimuli=stimuli)
    return replace(chosen, load=partial(_load, chosen, study.non_finite))


def find_participant(data: BrainData, given: object) -> str:
    """Return the participant for a name as papermill passes it: the number 101 for "101", and 1 for "01".

    Raises
    ------
    BraintuneError
        If there is none, or several are possible.
    """
    if isinstance(given, str):
        fitting = [given] if given in data.participants else []
    else:
        fitting = [name for name in data.participants if name == str(given) or _number(name) == given]
    if len(fitting) == 1:
        return fitting[0]
    remedy = "" if isinstance(given, str) else "; pass a name of digits as a string: `papermill -r participant NAME`"
    fault = f"may be {' or '.join(fitting)}" if fitting else "is unknown"
    known = ", ".join(data.participants)
    raise BraintuneError(f"participant {given!r} {fault}; brain data {data.name!r} has {known}{remedy}")


def _number(name: str) -> float | None:
    try:
        return float(name)
    except ValueError:
        return None


def data_checksums(study: Study, name: str) -> dict[str, str]:
    """Return file name -> SHA-256 of the files that a study reads of a brain data set; empty for a simulated one."""
    if is_simulated(name):
        return {}
    data = load_brain(study, name)
    files = [data.texts, *(data.files.get(participant, {}) for participant in data.participants)]
    return {name: checksum(path) for group in files for name, path in group.items()}


def _chosen(study: Study, data: BrainData, kind: str) -> tuple[str, ...]:
    """Return those of `data.participants` or `data.regions` that the study names, in the order of the data."""
    present, wanted = getattr(data, kind), getattr(study, kind)
    if wanted is None:
        return present
    unknown = set(wanted) - set(present)
    for other in set(study.brains) - {data.name} if unknown else ():  # a name may be meant for another data set
        unknown -= set(getattr(lookup(BRAINS, other, "brain data set").make(study), kind))
    chosen = tuple(entry for entry in present if entry in wanted)
    if unknown or not chosen:
        bad = ", ".join(repr(entry) for entry in wanted if entry in (unknown or wanted))
        sets = f"; sets of regions are {', '.join(REGION_SETS)}" if kind == "regions" else ""
        raise BraintuneError(f"{kind}: {bad} not in brain data {data.name!r}; it has {', '.join(present)}{sets}")
    return chosen


#: What follows the participant in the name of a file of one session or run.
_SESSION = re.compile(r"[ _.-](?:ses|sess|session|run|visit|day)[ _.-]?\d.*$", re.IGNORECASE)
_BIDS = re.compile(r"(sub-[A-Za-z0-9]+)_.*", re.IGNORECASE)
_SIDE = re.compile(
    r"^(?:lh|rh)[ _.-]|[ _.-](?:hemi[ _.-]?)?(?:l|r|lh|rh|left|right)(?:[ _.-]hemi\w*)?(?=[ _.-]|$)", re.I
)


def _require_distinct_people(name: str, participants: tuple[str, ...]) -> None:
    """Raise an error for two files of one participant: tests over participants would count the person twice."""
    people: dict[str, str] = {}
    for participant in participants:
        person = _BIDS.sub(r"\1", _SESSION.sub("", _SIDE.sub("", participant))).casefold()
        person = re.sub(r"\d+", lambda digits: str(int(digits[0])), person)  # sub-1 is sub-01
        if person in people:
            sides = all(_SIDE.search(who) for who in (people[person], participant))
            how = "with the voxels of both hemispheres side by side" if sides else "e.g. averaged over sessions"
            if "trial" in participant.lower():
                how = "with the trials in the order of stimuli.csv (images: nilearn.image.concat_imgs)"
            raise BraintuneError(
                f"brain data {name!r}: {people[person]!r} and {participant!r} are one participant, judging by their "
                f"names, but would be counted as two; put the responses of a participant into one file, {how}, or name "
                "one file per participant in `participants`; if they are different people, rename the files"
            )
        people[person] = participant


def _require_different_responses(data: BrainData, participants: tuple[str, ...], regions: tuple[str, ...]) -> None:
    """Raise an error if files of two participants hold the same responses."""
    paths = [next(iter(data.files.get(participant, {}).values()), None) for participant in participants]
    sizes = [path.stat().st_size for path in paths if path]
    seen: dict[Hashable, Path] = {}
    for path in filter(None, paths):
        packed = path.suffix.lower() == ".npz"
        alone = not packed and sizes.count(path.stat().st_size) == 1  # avoids reading large files
        for content in () if alone else _packed(path, regions) if packed else (checksum(path),):
            if (other := seen.setdefault(content, path)) is not path:
                raise BraintuneError(f"{path} holds the same responses as {other.name}; {base.COPIED}")


def _packed(path: Path, regions: tuple[str, ...]) -> list[Hashable]:
    """Return name, checksum and size of each region in an .npz file; of all arrays if none has a region's name."""
    try:
        with zipfile.ZipFile(path) as archive:
            arrays = [(file.filename.removesuffix(".npy"), file.CRC, file.file_size) for file in archive.infolist()]
    except Exception:  # a damaged file is rejected when it is read
        return []
    return [array for array in arrays if array[0] in regions] or [frozenset(arrays)]


def _nuisance(study: Study, data: BrainData) -> np.ndarray | None:
    """Return what is regressed out: float array of shape (n_stimuli, n_regressors), or None for nothing."""
    known = varying_regressors(data.stimuli)
    wanted: list[str] = [name for name in known if name != "characters" or "length" not in known]
    if study.nuisance is not None:
        wanted = list(study.nuisance)
    unknown = set(wanted) - set(known)
    for other in set(study.brains) - {data.name} if unknown else ():  # a name may be meant for another data set
        unknown -= set(varying_regressors(lookup(BRAINS, other, "brain data set").make(study).stimuli))
    if unknown:
        bad = ", ".join(name for name in wanted if name in unknown)
        raise BraintuneError(
            f"nuisance: {bad}: unknown, or constant over the sentences of brain data {data.name!r}; allowed are "
            f"{', '.join(known) or 'none'}; null uses the default set, [] uses none"
        )
    chosen = [known[name] for name in wanted if name in known]
    if chosen and len(data.stimuli.names) < len(chosen) + 3:
        raise BraintuneError(
            f"nuisance: {len(chosen)} regressors are too many for {len(data.stimuli.names)} sentences of brain data "
            f"{data.name!r}; name fewer, or set nuisance: []"
        )
    return np.column_stack(chosen) if chosen else None


def _load(data: BrainData, non_finite: str, participant: str) -> dict[str, np.ndarray]:
    """Read one participant's regions, and check them."""
    participant = find_participant(data, participant)
    loaded = data.load(participant)
    return {region: _checked(data, participant, region, loaded[region], non_finite) for region in data.regions}


def _checked(data: BrainData, participant: str, region: str, responses: np.ndarray, non_finite: str) -> np.ndarray:
    """Return responses as float32 if they can be analysed; single constant voxels are left to the decoder."""
    where = f"{data.name}, participant {participant}, region {region}"
    if responses.ndim != 2 or len(responses) != len(data.stimuli.names):
        raise BraintuneError(
            f"{where}: responses of shape {responses.shape} do not match {len(data.stimuli.names)} stimuli; "
            "one row per stimulus is needed: use responses and stimulus files of the same release"
        )
    if responses.shape[1] == 0:
        raise BraintuneError(f"{where}: no voxels; leave the region or the participant out (`regions`, `participants`)")
    with np.errstate(over="ignore"):
        responses = responses.astype(np.float32, copy=False)
    remedy = "remove these stimuli from the table and from all responses, or leave the participant out (`participants`)"
    base.require_rows(responses, where, "stimulus", remedy)
    base.require_no_codes(
        responses, where, "remove these stimuli everywhere, or write NaN there and set non_finite: zero for such voxels"
    )
    bad = ~np.isfinite(responses).all(axis=0)
    if non_finite == "zero" and bad.any() and not bad.all():  # such voxels then count as constant
        message = f"{where}: {bad.sum()} of {bad.size} voxels hold NaN or infinite values and are not used"
        warnings.warn(message, stacklevel=2)
        responses = np.where(bad, 0, responses)
    remedy = "leave the participant or the region out (`participants`, `regions`), or create its file again"
    some = "" if bad.all() else "; non_finite: zero leaves out such voxels"
    base.require_finite(responses, where, remedy + some)
    if (responses == responses[:1]).all():
        raise BraintuneError(
            f"{where}: every voxel is constant over the stimuli, so there is nothing to decode; leave the participant "
            "or the region out (`participants`, `regions`), or create its file again"
        )
    return responses
