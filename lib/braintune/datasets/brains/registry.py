"""Every brain data set by name, and loading one of them with checks of participants, regions and responses."""

import re
import warnings
from dataclasses import replace
from functools import partial

import numpy as np

from braintune.core.base import BraintuneError, lookup
from braintune.core.store import checksum
from braintune.core.study import Study
from braintune.datasets.brains import alice, concepts, folder, pereira, pereira_hub, simulated
from braintune.datasets.brains.base import BrainData, BrainSource, require_finite

#: Every brain data set by name. A module with a reader and a SOURCE adds one, a plugin of a profile by
#: ``BRAINS["mine"] = BrainSource(...)``.
BRAINS: dict[str, BrainSource] = {
    module.SOURCE.name: module.SOURCE for module in (simulated, concepts, pereira, pereira_hub, alice, folder)
}


def is_simulated(name: str) -> bool:
    """Return whether a brain data set is generated rather than measured."""
    return lookup(BRAINS, name, "brain data set").simulated


def participants_label(name: str, count: int) -> str:
    """Return how many participants of a brain data set there are, in words; an average of people has no number."""
    people = lookup(BRAINS, name, "brain data set").people
    return people if people.startswith("average") else f"{count} {people}"


# --- loading -----------------------------------------------------------------------------------------------------


def load_brain(study: Study, name: str) -> BrainData:
    """Return a brain data set, limited to the participants and regions that the study names.

    Raises
    ------
    BraintuneError
        For an unknown data set, missing data, a participant whose name cannot be a file name, and a participant or
        region that it does not hold. Loading a participant raises it for a corrupt file, a wrong number of stimuli,
        and responses that are not finite or all constant.
    """
    data = lookup(BRAINS, name, "brain data set").make(study)
    for participant in data.participants:
        if not re.fullmatch(r"\w[\w .+-]*", participant):
            raise BraintuneError(
                f"brain data {name!r}: participant {participant!r} must be named by letters, digits, spaces and "
                "`_ . + -` alone, since files are named by it; rename the participant's files"
            )
    participants = _chosen(study, data, "participants")
    regions = _chosen(study, data, "regions")
    chosen = replace(data, participants=participants, regions=regions)
    return replace(chosen, load=partial(_load, chosen, study.non_finite))


def data_checksums(study: Study, name: str) -> dict[str, str]:
    """Return file name -> SHA-256 of what a study reads of one brain data set; empty for a simulated one."""
    if is_simulated(name):
        return {}
    data = load_brain(study, name)
    files = [data.texts, *(data.files.get(participant, {}) for participant in data.participants)]
    return {name: checksum(path) for group in files for name, path in group.items()}


def _chosen(study: Study, data: BrainData, kind: str) -> tuple[str, ...]:
    """Those of `data.participants` or `data.regions` that the study asks for, in the order of the data."""
    present, wanted = getattr(data, kind), getattr(study, kind)
    if wanted is None:
        return present
    unknown = set(wanted) - set(present)
    for other in set(study.brains) - {data.name} if unknown else ():  # a name may be meant for another data set
        unknown -= set(getattr(lookup(BRAINS, other, "brain data set").make(study), kind))
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
    responses = data.load(participant)
    return {region: _checked(data, participant, region, responses[region], non_finite) for region in data.regions}


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
    bad = ~np.isfinite(responses).all(axis=0)
    if non_finite == "zero" and bad.any():  # such voxels carry nothing then
        message = f"{where}: {bad.sum()} of {bad.size} voxels hold NaN or infinite values and are not used"
        warnings.warn(message, stacklevel=2)
        responses = np.where(bad, 0, responses)
    require_finite(responses, where)
    if (responses == responses[:1]).all():
        raise BraintuneError(f"{where}: every voxel is constant over the stimuli, so there is nothing to decode")
    return responses.astype(np.float32, copy=False)
