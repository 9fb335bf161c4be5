"""A study of your own: stimuli in a table, responses as arrays or as NIfTI images, any number of participants."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from braintune.core.base import BraintuneError
from braintune.core.study import Study
from braintune.datasets.brains import base, nifti, story
from braintune.datasets.brains.base import BrainData, BrainSource, Stimuli
from braintune.datasets.brains.csv_file import read_csv
from braintune.datasets.brains.stimulus_table import (
    GROUPS,
    check_columns,
    make_stimuli,
    require_region_names,
    unused_columns,
)

COLUMNS = ("sentence", "stimulus", *GROUPS, "position")


class Responses(NamedTuple):
    """How responses are read: files by participant (the responses first), regions and arrays of a participant."""

    files: dict[str, dict[str, Path]]
    regions_of: Callable[[str], tuple[str, ...]]
    read: Callable[[str, Sequence[str]], dict[str, np.ndarray]]
    coordinates: Callable[[], Mapping[str, np.ndarray]] | None = None


def own_study(study: Study) -> BrainData:
    """Read the folder `study.own_study`; its files decide how it is read.

    ======================  ===================================================================================
    `stimuli.csv`           one row per sentence, in the order of the responses (see :func:`stimuli_of`)
    `words.csv`             instead, for a story: when each word was spoken (read by `story.read_story`)
    `<participant>.npz`     one array per region, stimuli (or scans) x voxels
    `<participant>_beta…`   instead, images: one volume per stimulus, with masks (see :mod:`.nifti`)
    ======================  ===================================================================================

    Raises
    ------
    BraintuneError
        If the folder holds neither table or both, no participant, or both arrays and images, or a file does not fit.
    """
    folder = base.data_set_folder(SOURCE, study.own_study)
    table = _table(folder)
    timed = story.read_story(table) if table.name == "words.csv" else None
    responses = _responses(folder, bool(timed))
    regions = _regions(study, responses)

    def load(participant: str) -> dict[str, np.ndarray]:
        path = next(iter(responses.files[participant].values()))
        found = responses.read(participant, [r for r in regions if study.regions is None or r in study.regions])
        if timed is None:
            return found
        for region, scans in found.items():
            base.require_rows(scans, f"{path}: {region}", "scan", "interpolate these scans")
        lagged = {r: story.respond(timed, x, study, study.seconds_per_scan, f"{path}: {r}") for r, x in found.items()}
        return {region: values.reshape(len(values), -1) for region, values in lagged.items()}

    return BrainData(
        name=SOURCE.name,
        participants=tuple(responses.files),
        regions=regions,
        stimuli=timed.stimuli if timed else stimuli_of(table),
        simulated=False,
        load=load,
        coordinates=responses.coordinates,
        texts={table.name: table},
        files=responses.files,
        remarks=() if timed else unused_columns(read_csv(table, ["sentence"], COLUMNS), COLUMNS),
    )


def _regions(study: Study, responses: Responses) -> tuple[str, ...]:
    """Return the regions of the participants; each participant must have those that the study names, else all."""
    people = [who for who in responses.files if study.participants is None or who in study.participants]
    present = {who: responses.regions_of(who) for who in people or responses.files}
    path_of = {who: next(iter(responses.files[who].values())) for who in present}
    regions = tuple(dict.fromkeys(region for own in present.values() for region in own))
    for who in present:
        if not present[who]:
            raise BraintuneError(f"{path_of[who]} holds no array; write one array per region")
    if study.regions is None:
        require_region_names(str(next(iter(path_of.values())).parent), "array or mask", regions)
    for region in regions:
        lacking = [who for who, own in present.items() if region not in own]
        if lacking and (study.regions is None or region in study.regions):
            has = next(who for who, own in present.items() if region in own)
            common = [r for r in regions if all(r in own for own in present.values())]
            raise BraintuneError(
                f"{path_of[lacking[0]]} has no region {region!r}, which participant {has} has (missing for: "
                f"{', '.join(lacking[:8])}{', …' * (len(lacking) > 8)}); all participants have "
                f"{', '.join(common) or 'none'}: name regions that all participants have (`regions`), or participants "
                "who have all regions (`participants`)"
            )
    return regions


def _table(folder: Path) -> Path:
    """Return the one table of stimuli or of words."""
    present = [folder / file for file in ("stimuli.csv", "words.csv") if (folder / file).is_file()]
    if len(present) != 1:
        averages = ""
        if not present and base.matching_files(folder, "*.csv"):
            averages = "; if a CSV file there has one row per sentence and one column per region, set `brains: [table]`"
        raise BraintuneError(
            f"{folder} holds {'both stimuli.csv and' if present else 'neither stimuli.csv nor'} words.csv; exactly one "
            "is needed: stimuli.csv if each stimulus has a response, words.csv if the scans of a story are to be "
            f"divided into sentences; the folder has {base.listing(folder)}{averages}"
        )
    return present[0]


def stimuli_of(path: Path) -> Stimuli:
    """Read a table of stimuli.

    Parameters
    ----------
    path : Path
        A CSV file with one row per sentence and these columns; only the first is required.

        - ``sentence``;
        - ``stimulus``: a name; rows with one name are one stimulus with several sentences, whose vectors are averaged;
        - ``passage``, ``topic``: names of groups, within ``experiment``, that the grouped design must not split;
        - ``position``: position in the passage, from 0. Without ``passage`` and ``topic``, the rows are one story, in
          order, and the grouped design uses contiguous blocks.

        Other columns are not used (:func:`braintune.datasets.brains.stimulus_table.unused_columns` names them).

    Raises
    ------
    BraintuneError
        As :func:`braintune.datasets.brains.csv_file.read_csv`, and as the functions of
        :mod:`braintune.datasets.brains.stimulus_table`; for fewer than two stimuli.
    """
    table = check_columns(path, read_csv(path, ["sentence"], COLUMNS))
    stimuli = make_stimuli(path, table, table["sentence"])
    if len(stimuli.names) < 2:
        raise BraintuneError(f"{path} lists {len(stimuli.names)} stimuli; at least two are needed")
    return stimuli


# --- responses ---------------------------------------------------------------------------------------------------


def _responses(folder: Path, timed: bool) -> Responses:
    """Find the arrays or the images of a folder."""
    betas, masks = nifti.find_images(folder)
    arrays = base.matching_files(folder, "*.npz")
    if arrays and betas:
        raise BraintuneError(
            f"{folder} holds arrays ({arrays[0].name}) and images ({next(iter(betas.values())).name}); only one "
            "kind is read: move the others out of the folder"
        )
    if betas and timed:
        raise BraintuneError(
            f"{folder}: a story (words.csv) needs scans as arrays ({folder}/<participant>.npz), not images"
        )
    if not (arrays or betas):
        inside = " (subfolders are not read)" * any(path.is_dir() for path in folder.iterdir())
        raise BraintuneError(
            f"no participant in {folder}: neither <participant>.npz nor <participant>_beta.nii.gz; it has "
            f"{base.listing(folder)}{inside}; the page *How do I add something of my own?* (book/extend.md) says how "
            "to create them"
        )
    return _images(folder, betas, masks) if betas else _arrays(folder)


def _arrays(folder: Path) -> Responses:
    """Read a folder with an .npz file for each participant, one array per region."""
    files = base.participant_files(folder, "*.npz")
    paths = {who: next(iter(own.values())) for who, own in files.items()}
    return Responses(
        files,
        regions_of=lambda participant: base.read_keys(paths[participant]),
        read=lambda participant, regions: {
            region: base.read_array(paths[participant], region, finite=False) for region in regions
        },
    )


def _images(folder: Path, betas: Mapping[str, Path], every: Mapping[str, Mapping[str, Path]]) -> Responses:
    """Read an image for each participant, with masks for all participants or for each."""
    masks = {who: nifti.masks_of(every, who) for who in betas}
    first = next(iter(masks))
    if not masks[first]:
        named = ", ".join(file.name for own in every.values() for file in own.values())
        raise BraintuneError(
            f"{folder}: no mask for participant {first}; a region's mask is mask-<region>.nii.gz (for all "
            f"participants) or {first}_mask-<region>.nii.gz; the folder has {named or 'none'}"
        )
    shared = all(own.get(region, mask) == mask for own in masks.values() for region, mask in masks[first].items())
    return Responses(
        {
            who: {
                name: path
                for image in (betas[who], *masks[who].values())
                for name, path in nifti.files_of(image).items()
            }
            for who in betas
        },
        regions_of=lambda participant: tuple(masks[participant]),
        read=lambda participant, regions: nifti.read_masked(
            betas[participant], {region: masks[participant][region] for region in regions}
        ),
        coordinates=cache(lambda: nifti.coordinates(masks[first])) if shared else None,
    )


SOURCE = BrainSource(
    name="folder",
    title="A study of your own",
    make=own_study,
    size="yours",
    licence="yours",
    get="the folder `own_study` under `brain` of the data folder: a table of stimuli, and arrays or NIfTI images",
)
