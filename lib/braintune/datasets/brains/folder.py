"""A study of your own: stimuli in a table, responses as arrays or as NIfTI images, any number of participants."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from braintune.core.base import BraintuneError
from braintune.core.study import Study
from braintune.datasets.brains import base, nifti, story
from braintune.datasets.brains.base import BrainData, BrainSource, LazyCoordinates, Stimuli


class Responses(NamedTuple):
    """How responses are read: files by participant (the responses first), regions, arrays of a participant."""

    files: dict[str, dict[str, Path]]
    regions_of: Callable[[str], tuple[str, ...]]
    read: Callable[[str, Sequence[str]], dict[str, np.ndarray]]
    coordinates: Mapping[str, np.ndarray] | None = None


def own_study(study: Study) -> BrainData:
    """Read the folder `study.own_study`; its files decide how it is read.

    ======================  ===================================================================================
    `stimuli.csv`           one row a sentence, in the order of the responses (see :func:`stimuli_of`)
    `words.csv`             instead, for a story: when each word was spoken (read by `story.read_story`)
    `<participant>.npz`     one array a region, stimuli (or scans) x voxels
    `<participant>_beta…`   instead, NIfTI: one volume a stimulus, with masks (see :mod:`.nifti`)
    ======================  ===================================================================================

    Raises
    ------
    BraintuneError
        If the folder holds neither table or no participant, or a file does not fit.
    """
    folder = base.data_set_folder(SOURCE, study.own_study)
    table = _table(folder)
    timed = story.read_story(table) if table.name == "words.csv" else None
    images = any(folder.glob("*_beta.nii*"))
    if images and timed:
        raise BraintuneError(f"{folder}: words.csv needs scans as arrays ({folder}/<participant>.npz), not images")
    responses = _images(folder) if images else _arrays(folder)
    first = next(iter(responses.files))
    regions = responses.regions_of(first)

    def load(participant: str) -> dict[str, np.ndarray]:
        wanted = [region for region in regions if study.regions is None or region in study.regions]
        present = responses.regions_of(participant)
        path = next(iter(responses.files[participant].values()))
        if absent := [region for region in wanted if region not in present]:
            raise BraintuneError(
                f"{path} has no region {absent[0]!r}, which participant {first} has; it has {', '.join(present)}; "
                "leave one of the two out (`regions`, `participants`)"
            )
        found = responses.read(participant, wanted)
        if timed is None:
            return found
        lagged = {r: story.respond(timed, x, study, study.seconds_per_scan, f"{path}: {r}") for r, x in found.items()}
        return {region: values.reshape(len(values), -1) for region, values in lagged.items()}

    return BrainData(
        name=SOURCE.name,
        participants=tuple(responses.files),
        regions=regions,
        networks={region: region for region in regions},
        stimuli=timed.stimuli if timed else stimuli_of(table),
        simulated=False,
        load=load,
        coordinates=responses.coordinates,
        texts={table.name: table},
        files=responses.files,
    )


def _table(folder: Path) -> Path:
    """Return the one table of stimuli or of words."""
    present = [folder / file for file in ("stimuli.csv", "words.csv") if (folder / file).is_file()]
    if len(present) != 1:
        raise BraintuneError(
            f"{folder} holds {'both' if present else 'neither'} stimuli.csv and words.csv; one is needed: "
            "stimuli.csv where each stimulus has a response, words.csv where scans of a story are to be divided"
        )
    return present[0]


def stimuli_of(path: Path) -> Stimuli:
    """Read a table of stimuli.

    Parameters
    ----------
    path : Path
        A CSV file with one row a sentence and these columns; only the first is needed.

        - ``sentence``;
        - ``stimulus``: a name; rows of one name are one stimulus with several sentences, whose vectors are averaged;
        - ``passage``, ``topic``: names of groups that must not be split in the grouped design;
        - ``position``: position in the passage, from 0. Without ``passage``, the stimuli are one story: the grouped
          design takes contiguous blocks.

    Raises
    ------
    BraintuneError
        For an empty table, an empty or repeated sentence, or a group that differs within a stimulus.
    """
    table = base.read_csv(path, ("sentence",))
    sentences = [str(sentence).strip() for sentence in table["sentence"]]
    several = "stimulus" in table
    names = table["stimulus"].astype(str) if several else pd.Series([f"sentence {i + 1}" for i in range(len(table))])
    number, unique = pd.factorize(names)
    if len(unique) < 2:
        raise BraintuneError(f"{path} lists {len(unique)} stimuli; at least two are needed")
    if several and "" in set(sentences):
        raise BraintuneError(f"{path}: sentence of row {sentences.index('') + 1} is empty; write it there")
    if not several:
        base.require_distinct(sentences, str(path), "average the responses to it, and list it once")
    columns = [column for column in ("passage", "topic", "position") if column in table]
    groups = {column: _by_stimulus(path, table[column], number) for column in columns}
    if "position" in groups and not pd.api.types.is_integer_dtype(groups["position"].dtype):
        raise BraintuneError(f"{path}: column 'position' must hold whole numbers from 0; leave it out, or mend it")
    coded = {column: pd.factorize(groups[column])[0] for column in ("passage", "topic") if column in groups}
    position, one_story = groups.get("position"), "position" in groups and "passage" not in groups
    return Stimuli([str(name) for name in unique], sentences, number, **coded, position=position, contiguous=one_story)


def _by_stimulus(path: Path, column: pd.Series, number: np.ndarray) -> np.ndarray:
    """Return one value for each stimulus; sentences of a stimulus must agree on it."""
    first = column.groupby(number).transform("first")
    if (differs := column.to_numpy() != first.to_numpy()).any():
        row = int(differs.argmax())
        raise BraintuneError(
            f"{path}: row {row + 1} has {column.name} {column.iloc[row]!r}, but another sentence of its stimulus has "
            f"{first.iloc[row]!r}; a stimulus is in one {column.name}"
        )
    return column.groupby(number).first().to_numpy()


# --- responses ---------------------------------------------------------------------------------------------------


def _arrays(folder: Path) -> Responses:
    """Read a folder with an .npz file for each participant, one array a region."""
    files = base.participant_files(folder, "*.npz")
    return Responses(
        files,
        regions_of=lambda participant: base.read_keys(folder / f"{participant}.npz"),
        read=lambda participant, regions: {
            region: base.read_array(folder / f"{participant}.npz", region, finite=False) for region in regions
        },
    )


def _images(folder: Path) -> Responses:
    """Read a folder with a NIfTI image for each participant, and masks of all participants or of each."""
    betas = {file.name.split("_beta.nii")[0]: file for file in sorted(folder.glob("*_beta.nii*"))}
    masks = {who: nifti.masks(folder, who) for who in betas}
    first = next(iter(masks))
    if not masks[first]:
        raise BraintuneError(
            f"{folder}: no mask for participant {first}; a region's mask is mask-<region>.nii.gz (of all "
            f"participants) or {first}_mask-<region>.nii.gz"
        )
    shared = all(own.get(region, mask) == mask for own in masks.values() for region, mask in masks[first].items())
    return Responses(
        {who: {file.name: file for file in (betas[who], *masks[who].values())} for who in betas},
        regions_of=lambda participant: tuple(masks[participant]),
        read=lambda participant, regions: nifti.read_masked(
            betas[participant], {region: masks[participant][region] for region in regions}
        ),
        coordinates=LazyCoordinates(cache(lambda: nifti.coordinates(masks[first]))) if shared else None,
    )


SOURCE = BrainSource(
    name="folder",
    title="A study of your own",
    make=own_study,
    size="yours",
    licence="yours",
    citation="",
    get="the folder `own_study` under `brain` of the data folder: a table of stimuli, and arrays or NIfTI images",
)
