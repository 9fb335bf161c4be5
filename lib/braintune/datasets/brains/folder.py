"""A study of your own: stimuli in a table, responses as arrays or as NIfTI images, any number of participants."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from braintune.core.base import BraintuneError
from braintune.core.study import Study
from braintune.datasets.brains import nifti, story
from braintune.datasets.brains.base import (
    BrainData,
    BrainSource,
    LazyCoordinates,
    Stimuli,
    data_set_folder,
    participant_files,
    read_array,
    read_csv,
    read_keys,
    require_distinct,
)

Load = Callable[[str], dict[str, np.ndarray]]


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
    folder = data_set_folder(SOURCE, study.own_study)
    table = _table(folder)
    timed = story.read_story(table, study) if table.name == "words.csv" else None
    coordinates = None
    if not any(folder.glob("*_beta.nii*")):
        files, regions, load = _from_arrays(folder, study.regions)
    elif timed:
        raise BraintuneError(f"{folder}: words.csv needs scans as arrays ({folder}/<participant>.npz), not images")
    else:
        files, regions, load, coordinates = _from_images(folder, study.regions)

    def load_timed(participant: str) -> dict[str, np.ndarray]:
        assert timed is not None  # the only case in which it is used
        responses = {}
        for region, scans in load(participant).items():
            where = f"{folder / participant}.npz: {region}"
            lagged = story.respond(timed, scans, study, study.seconds_per_scan, where)
            responses[region] = lagged.reshape(len(timed.times), -1)
        return responses

    return BrainData(
        name=SOURCE.name,
        participants=tuple(files),
        regions=regions,
        networks={region: region for region in regions},
        stimuli=timed.stimuli if timed else stimuli_of(table),
        simulated=False,
        load=load_timed if timed else load,
        coordinates=coordinates,
        texts={table.name: table},
        files=files,
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
    table = read_csv(path, ("sentence",))
    sentences = [str(sentence).strip() for sentence in table["sentence"]]
    several = "stimulus" in table
    names = table["stimulus"].astype(str) if several else pd.Series([f"sentence {i + 1}" for i in range(len(table))])
    number, unique = pd.factorize(names)
    if len(unique) < 2:
        raise BraintuneError(f"{path} lists {len(unique)} stimuli; at least two are needed")
    if several and "" in set(sentences):
        raise BraintuneError(f"{path}: sentence of row {sentences.index('') + 1} is empty; write it there")
    if not several:
        require_distinct(sentences, str(path), "average the responses to it, and list it once")
    groups = {}
    for column in ("passage", "topic", "position"):
        if column in table:
            groups[column] = _by_stimulus(path, table[column], number)
    if "position" in groups and not pd.api.types.is_integer_dtype(groups["position"].dtype):
        raise BraintuneError(f"{path}: column 'position' must hold whole numbers from 0; leave it out, or mend it")
    coded = {column: pd.factorize(groups[column])[0] for column in ("passage", "topic") if column in groups}
    return Stimuli(
        [str(name) for name in unique],
        sentences,
        number,
        **coded,
        position=groups.get("position"),
        contiguous="position" in groups and "passage" not in groups,
    )


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


def _from_arrays(folder: Path, asked: Sequence[str] | None) -> tuple[dict[str, dict[str, Path]], tuple[str, ...], Load]:
    """Return participants, regions and loader of a folder with an .npz file for each participant.

    The loader reads the regions that are asked for (None asks for all).
    """
    files = participant_files(folder, "*.npz")
    first = next(iter(files))
    regions = read_keys(folder / f"{first}.npz")

    def load(participant: str) -> dict[str, np.ndarray]:
        path = folder / f"{participant}.npz"
        wanted = _wanted(regions, asked)
        _must_have(path, read_keys(path), wanted, first)
        return {region: read_array(path, region, finite=False) for region in wanted}

    return files, regions, load


def _from_images(
    folder: Path, asked: Sequence[str] | None
) -> tuple[dict[str, dict[str, Path]], tuple[str, ...], Load, Mapping[str, np.ndarray] | None]:
    """Return participants, regions, loader and coordinates of a folder with NIfTI images; see :func:`_from_arrays`."""
    betas = {file.name.split("_beta.nii")[0]: file for file in sorted(folder.glob("*_beta.nii*"))}
    masks = {who: nifti.masks(folder, who) for who in betas}
    first = next(iter(betas))
    regions = tuple(masks[first])
    if not regions:
        raise BraintuneError(
            f"{folder}: no mask for participant {first}; a region's mask is mask-<region>.nii.gz (of all "
            f"participants) or {first}_mask-<region>.nii.gz"
        )

    def load(participant: str) -> dict[str, np.ndarray]:
        wanted = _wanted(regions, asked)
        _must_have(betas[participant], masks[participant], wanted, first)
        return nifti.read_masked(betas[participant], {region: masks[participant][region] for region in wanted})

    files = {who: {f.name: f for f in (betas[who], *masks[who].values())} for who in betas}
    shared = all(paths.get(r, masks[first][r]) == masks[first][r] for paths in masks.values() for r in regions)
    return files, regions, load, LazyCoordinates(cache(lambda: nifti.coordinates(masks[first]))) if shared else None


def _wanted(regions: tuple[str, ...], asked: Sequence[str] | None) -> tuple[str, ...]:
    return tuple(region for region in regions if asked is None or region in asked)


def _must_have(path: Path, present: Mapping | tuple[str, ...], regions: tuple[str, ...], first: str) -> None:
    if absent := [region for region in regions if region not in present]:
        raise BraintuneError(
            f"{path} has no region {absent[0]!r}, which participant {first} has; it has {', '.join(present)}; "
            "leave one of the two out (`regions`, `participants`)"
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
