"""Reading sentences in passages: Experiments 2 and 3 of Pereira et al. (2018), from the authors' MATLAB files.

The study is described in [1]_.

References
----------
.. [1] Pereira et al. (2018). Toward a universal decoder of linguistic meaning from brain activation. Nature
   Communications 9, 963.
"""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from braintune.core.base import BraintuneError
from braintune.core.study import Study
from braintune.datasets.brains import matlab
from braintune.datasets.brains.base import BrainData, BrainSource, Stimuli, data_set_folder, read_text, require_distinct

#: Files of an experiment in a participant's folder: in the release, and in an older one.
FILES = {
    2: ("data_384sentences.mat", "examples_384sentences.mat"),
    3: ("data_243sentences.mat", "examples_243sentences.mat"),
}
#: Variable with the responses, sentences x voxels: its name in the release, and in the older one.
RESPONSES = ("examples_passagesentences", "examples")
#: The sentences in which pronouns are replaced by what they refer to, one per line.
DEREFERENCED = {2: "stimuli_384sentences.txt", 3: "stimuli_243sentences.txt"}
#: Networks → the atlases that they are made of; the parts of the language atlases are regions too.
NETWORKS = {
    "language": ("languageLH", "languageRH"),
    "task-positive": ("MD",),
    "DMN": ("DMN",),
    "visual": ("visual",),
}
_META = ("atlases", "rois", "roiColumns", "colToCoord")
_GET = "download the file again from the page of the data (`data/README.md`)"


@dataclass(frozen=True)
class _Session:
    """The rows and columns of one participant's file of one experiment, without the responses.

    Attributes
    ----------
    path : Path
    sentences : tuple of str
    passage : int array of shape (n_sentences,), from 0
    topic : tuple of str, length n_sentences
    columns : dict of region to int array of shape (n_voxels_of_region,)
        Columns of its voxels: ascending, unique, counted from 0.
    coordinates : array of shape (n_voxels, 3), or None
        Of each voxel in the participant's image.
    responses : str
        The variable that holds them.
    """

    path: Path
    sentences: tuple[str, ...]
    passage: np.ndarray
    topic: tuple[str, ...]
    columns: dict[str, np.ndarray]
    coordinates: np.ndarray | None
    responses: str


def sentences(study: Study) -> BrainData:
    """Return the responses to sentences in passages, of participants who did all of `study.experiments`.

    The experiments are joined: passages are renumbered, topics are matched by name. Only the voxels of the wanted
    regions are kept, one participant at a time; the regions are four networks and the parts of the language network.

    Parameters
    ----------
    study : Study
        `experiments`, `wording` and `regions` are used.

    Raises
    ------
    BraintuneError
        If no participant has all the files, or a file does not match the description of the release.
    """
    folder = data_set_folder(SOURCE)
    files = _files_of(folder, study.experiments)
    first = next(iter(files.values()))
    sessions = [_kept_session(p, p.stat().st_size, p.stat().st_mtime_ns) for p in first.values()]
    wordings = {DEREFERENCED[e]: folder / DEREFERENCED[e] for e in study.experiments if study.wording == "dereferenced"}
    regions = tuple(sessions[0].columns)
    wanted = [region for region in regions if study.regions is None or region in study.regions]

    def load(participant: str) -> dict[str, np.ndarray]:
        parts = []
        for path, expected in zip(files[participant].values(), sessions, strict=True):
            session = _session(path)
            if session.sentences != expected.sentences:
                pairs = zip(session.sentences, expected.sentences, strict=False)
                row = next((i for i, (a, b) in enumerate(pairs) if a != b), len(expected.sentences))
                raise BraintuneError(
                    f"{path}: its sentences differ from those of the first participant from row {row + 1} on; leave "
                    f"the participant out (`participants`), or {_GET}"
                )
            parts.append(_responses(session, wanted))
        return {r: _joined([part[r] for part in parts], f"{participant}, region {r}") for r in wanted}

    return BrainData(
        SOURCE.name,
        tuple(files),
        regions,
        _stimuli(study, sessions, [read_text(path).splitlines() for path in wordings.values()]),
        False,
        load,
        texts=wordings,
        files={who: {f"{who}/{path.name}": path for path in own.values()} for who, own in files.items()},
    )


def _files_of(folder: Path, experiments: Sequence[int]) -> dict[str, dict[int, Path]]:
    """Return participant -> experiment -> file, for those who have all the experiments."""
    present: dict[str, dict[int, Path]] = {}
    for subfolder in sorted(path for path in folder.iterdir() if path.is_dir()):
        paths = {
            e: subfolder / name for e in experiments for name in reversed(FILES[e]) if (subfolder / name).is_file()
        }
        if paths:
            present[subfolder.name] = paths
    complete = {who: paths for who, paths in present.items() if len(paths) == len(experiments)}
    if not complete:
        wanted = " and ".join(f"{FILES[e][0]} (or {FILES[e][1]})" for e in experiments)
        some = ", ".join(f"{who} ({', '.join(p.name for p in paths.values())})" for who, paths in present.items())
        raise BraintuneError(
            f"experiments: no participant in {folder} has a folder with {wanted}; it has {some or 'none of them'}. "
            "`data/README.md` says where to get them; or name fewer `experiments`"
        )
    return complete


def _stimuli(study: Study, sessions: Sequence[_Session], wordings: Sequence[Sequence[str]]) -> Stimuli:
    """Join the sentences of the experiments."""
    texts = [list(session.sentences) for session in sessions]
    for i, lines in enumerate(wordings):
        if len(lines) != len(texts[i]):
            raise BraintuneError(
                f"{DEREFERENCED[study.experiments[i]]} has {len(lines)} lines for {len(texts[i])} sentences; use the "
                "file of the same release, or set wording: presented"
            )
        texts[i] = [line.strip() for line in lines]
    passages = [session.passage for session in sessions]
    before = np.cumsum([0, *(passage.max() + 1 for passage in passages)])
    position = np.concatenate([pd.Series(passage).groupby(passage).cumcount() for passage in passages])
    names = [
        f"experiment {e}, passage {p + 1}, sentence {i + 1}"
        for e, passage in zip(study.experiments, passages, strict=True)
        for i, p in enumerate(passage)
    ]
    return Stimuli(
        names,
        [text for lines in texts for text in lines],
        np.arange(len(names)),
        passage=np.concatenate([p + start for p, start in zip(passages, before, strict=False)]),
        topic=np.unique([topic for session in sessions for topic in session.topic], return_inverse=True)[1],
        position=position,
    )


@lru_cache(maxsize=8)
def _kept_session(path: Path, *state: int) -> _Session:
    """Read the description of a file's rows and columns, once for each state of the file."""
    return _session(path)


def _session(path: Path) -> _Session:
    """Read the description of a file's rows and columns."""
    shapes = matlab.shapes(path)
    responses = next((name for name in RESPONSES if name in shapes), None)
    names = ("keySentences", "labelsPassageForEachSentence", "labelsPassageCategory", "keyPassageCategory", "meta")
    missing = [name for name in names if name not in shapes] + ([] if responses else [RESPONSES[0]])
    if missing or responses is None:
        raise BraintuneError(
            f"{path} has no variable {missing[0]!r}; it has {', '.join(sorted(shapes))}; if it is truncated, {_GET}"
        )
    held = matlab.read(path, (*names, "labelsSentences"), _META)
    texts = tuple(str(text).strip() for text in held["keySentences"])
    shape = shapes[responses]
    if shape[0] != len(texts):
        raise BraintuneError(f"{path}: {responses} has {shape[0]} rows for {len(texts)} sentences; {_GET}")
    require_distinct(texts, str(path), _GET)
    rows = np.ravel(held.get("labelsSentences", np.arange(len(texts)) + 1))
    if not np.array_equal(rows, np.arange(len(texts)) + 1):
        raise BraintuneError(
            f"{path}: labelsSentences is not 1 … {len(texts)}, so the order of the rows is unknown; {_GET}"
        )
    passages = held["labelsPassageCategory"].size
    passage = _from_one(path, "labelsPassageForEachSentence", held["labelsPassageForEachSentence"], passages)
    topics = _listed(held["keyPassageCategory"])
    topic = _from_one(path, "labelsPassageCategory", held["labelsPassageCategory"], len(topics))
    if len(passage) != len(texts):
        raise BraintuneError(f"{path}: {len(passage)} passage labels for {len(texts)} sentences; {_GET}")
    topic_of = tuple(_text(topics[topic[p]]) for p in passage)
    meta = held["meta"]
    columns = _regions_of(path, meta, shape[1])
    coordinates = meta.get("colToCoord")
    known = coordinates is not None and np.shape(coordinates) == (shape[1], 3)
    return _Session(path, texts, passage, topic_of, columns, coordinates if known else None, responses)


def _from_one(path: Path, what: str, labels: np.ndarray, most: int) -> np.ndarray:
    """Convert MATLAB's numbers, which count from 1, to numbers that count from 0."""
    labels = np.asarray(labels).ravel()
    bad = labels[~((labels >= 1) & (labels <= most) & (labels == np.round(labels)))] if labels.size else labels
    if bad.size:
        raise BraintuneError(f"{path}: {what} holds {bad[0]:g}; allowed are whole numbers 1 … {most}; {_GET}")
    return labels.astype(np.int64) - 1


def _listed(value: Any) -> list[Any]:
    """Return the entries of a cell array; a single entry may be stored without its cell."""
    return value if isinstance(value, list) else [value]


def _text(value: Any) -> str:
    """Return text that may be nested in cells."""
    while isinstance(value, list) and value:
        value = value[0]
    return str(value).strip()


# --- regions and voxels ------------------------------------------------------------------------------------------


def _regions_of(path: Path, meta: Mapping[str, Any], voxels: int) -> dict[str, np.ndarray]:
    """Return region -> columns for the networks and the parts of the language atlases.

    A part is looked up in its own atlas: the atlases of the two hemispheres have the same length, so confusing their
    columns would go unnoticed.
    """
    atlases = [_text(atlas) for atlas in _listed(meta["atlases"])]
    parts: dict[str, list[tuple[str, np.ndarray]]] = {}
    for atlas in (atlas for of_network in NETWORKS.values() for atlas in of_network):
        if atlas not in atlases:
            raise BraintuneError(f"{path}: meta.atlases has no {atlas!r}; it has {', '.join(atlases)}; {_GET}")
        at = atlases.index(atlas)
        names = [_text(name) for name in _listed(meta["rois"][at])]
        sets = _listed(meta["roiColumns"][at])
        if len(sets) != len(names):
            raise BraintuneError(f"{path}: atlas {atlas} has {len(names)} regions, but {len(sets)} sets; {_GET}")
        parts[atlas] = [
            (name, _from_one(path, f"meta.roiColumns of {atlas}, {name},", columns, voxels))
            for name, columns in zip(names, sets, strict=True)
        ]
    voxels_of = {network: [columns for atlas in of for _, columns in parts[atlas]] for network, of in NETWORKS.items()}
    named = [(atlas, name, columns) for atlas in NETWORKS["language"] for name, columns in parts[atlas]]
    taken = [*NETWORKS, *(name for _, name, _ in named)]
    for atlas, name, columns in named:
        region = name if taken.count(name) == 1 else f"{atlas}-{name}"  # both hemispheres may use one name
        voxels_of.setdefault(region, []).append(columns)
    return {region: _union(columns) for region, columns in voxels_of.items()}


def _union(sets: Iterable[np.ndarray]) -> np.ndarray:
    """Return the unique numbers of some arrays, ascending."""
    return np.unique(np.concatenate([*sets, np.zeros(0, dtype=np.int64)]))


def _responses(session: _Session, wanted: Sequence[str]) -> dict[str, tuple[np.ndarray, np.ndarray | None]]:
    """Read the responses of some regions, and the coordinates of their voxels in the participant's image, if known."""
    if absent := [region for region in wanted if region not in session.columns]:
        raise BraintuneError(
            f"{session.path} has no region {absent[0]!r}; it has {', '.join(session.columns)}; leave out "
            "the region (`regions`) or the participant (`participants`)"
        )
    columns = {region: session.columns[region] for region in wanted}
    needed = _union(columns.values())
    values, xyz = matlab.read_columns(session.path, session.responses, needed), session.coordinates
    return {
        region: (values[:, np.searchsorted(needed, own)], None if xyz is None else xyz[own])
        for region, own in columns.items()
    }


def _joined(parts: Sequence[tuple[np.ndarray, np.ndarray | None]], where: str) -> np.ndarray:
    """Stack the experiments' responses voxel by voxel.

    The voxels of a participant should be the same in both files. If their coordinates differ, only the voxels that both
    files have are kept.
    """
    responses, coordinates = zip(*parts, strict=True)
    if any(xyz is None for xyz in coordinates) or all(np.array_equal(xyz, coordinates[0]) for xyz in coordinates):
        if len({values.shape[1] for values in responses}) > 1:
            counts = " and ".join(str(values.shape[1]) for values in responses)
            raise BraintuneError(
                f"pereira2018, participant {where}: the experiments have {counts} voxels, and their coordinates are "
                "unknown; name only one of the `experiments`"
            )
        return np.concatenate(responses)
    voxels = [pd.DataFrame(values.T, index=pd.MultiIndex.from_arrays(xyz.T)) for values, xyz in parts]
    shared = pd.concat(voxels, axis=1, join="inner")
    if any(len(own) > len(shared) for own in voxels):
        warnings.warn(
            f"pereira2018, participant {where}: the experiments' voxels differ; the {len(shared)} that they share are "
            f"kept, of {' and '.join(str(len(own)) for own in voxels)}",
            stacklevel=2,
        )
    return np.ascontiguousarray(shared.to_numpy().T)


SOURCE = BrainSource(
    name="pereira2018",
    title="Pereira et al. (2018), Experiments 2 and 3: reading 627 sentences in passages",
    make=sentences,
    size="5 participants who did both, 384 + 243 sentences, four networks and the language regions; several GB",
    licence="none stated; the original is open at osf.io/crwz7",
    get="the authors' MATLAB files, in `brain/pereira2018/<participant>` of the data folder; see `data/README.md`",
    folder="pereira2018",
    people="readers of passages",
)
