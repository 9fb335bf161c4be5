"""Reading sentences in passages: Experiments 2 and 3 of Pereira et al. (2018), from the authors' MATLAB files.

The study is described in [1]_.

References
----------
.. [1] Pereira et al. (2018). Toward a universal decoder of linguistic meaning from brain activation. Nature
   Communications 9, 963.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from braintune.core.base import BraintuneError
from braintune.core.study import Study
from braintune.datasets.brains import matlab
from braintune.datasets.brains.base import (
    BrainData,
    BrainSource,
    Stimuli,
    data_set_folder,
    read_text,
    require_distinct,
)

# --- Experiments 2 and 3: sentences in passages --------------------------------------------------------------------

#: Files of an experiment in a participant's folder: the release, and an older one.
FILES = {
    2: ("data_384sentences.mat", "examples_384sentences.mat"),
    3: ("data_243sentences.mat", "examples_243sentences.mat"),
}
#: Responses, sentences x voxels, by the name they have in the release and in the older one.
RESPONSES = ("examples_passagesentences", "examples")
#: The sentences in which pronouns are replaced by what they refer to, one a line.
DEREFERENCED = {2: "stimuli_384sentences.txt", 3: "stimuli_243sentences.txt"}
#: Networks by the atlases that they are made of; the parts of the language atlases are regions too.
NETWORKS = {
    "language": ("languageLH", "languageRH"),
    "task-positive": ("MD",),
    "DMN": ("DMN",),
    "visual": ("visual",),
}
_META = ("atlases", "rois", "roiColumns", "colToCoord")
_GET = "get the file again from the page of the data (`data/README.md`)"


@dataclass(frozen=True)
class _Session:
    """What one participant's file of one experiment says about its rows and regions; no responses.

    Attributes
    ----------
    sentences : tuple of str
    passage : int array of shape (n_sentences,), from 0
    topic : tuple of str, length n_sentences
    regions : dict of region to (network, ((atlas, part), ...))
        A part of None is the whole atlas.
    responses : str
        The variable that holds them.
    shape : (n_sentences, n_voxels)
    """

    sentences: tuple[str, ...]
    passage: np.ndarray
    topic: tuple[str, ...]
    regions: dict[str, tuple[str, tuple[tuple[str, str | None], ...]]]
    responses: str
    shape: tuple[int, int]


def sentences(run: Study) -> BrainData:
    """Sentences in passages, read by participants who did every experiment of `run.experiments`; four networks.

    The experiments are joined: passages get numbers of their own, topics are known by their names. Of every file only
    the voxels of the wanted regions are kept, and of one participant at a time.

    Parameters
    ----------
    run : Study
        `experiments`, `wording` and `regions` are used.

    Raises
    ------
    BraintuneError
        If no participant has all the files, or a file is not as the release describes.
    """
    folder = data_set_folder(SOURCE)
    files = _files_of(folder, run.experiments)
    first = next(iter(files.values()))
    sessions = [_session(path) for path in first.values()]
    wordings = {DEREFERENCED[e]: folder / DEREFERENCED[e] for e in run.experiments if run.wording == "dereferenced"}
    regions = sessions[0].regions
    wanted = [region for region in regions if run.regions is None or region in run.regions]

    def load(participant: str) -> dict[str, np.ndarray]:
        parts = []
        for path, expected in zip(files[participant].values(), sessions, strict=True):
            _must_agree(path, _session(path).sentences, expected.sentences)
            parts.append(_responses(path, wanted))
        return {r: _joined([part[r] for part in parts], f"{participant}, region {r}") for r in wanted}

    return BrainData(
        SOURCE.name,
        tuple(files),
        tuple(regions),
        {region: network for region, (network, _) in regions.items()},
        _stimuli(run, sessions, [read_text(path).splitlines() for path in wordings.values()]),
        False,
        load,
        texts=wordings,
        files={who: {f"{who}/{path.name}": path for path in own.values()} for who, own in files.items()},
    )


def _files_of(folder: Path, experiments: Sequence[int]) -> dict[str, dict[int, Path]]:
    """Return participant -> experiment -> file, for those who have all the experiments."""
    found: dict[str, dict[int, Path]] = {}
    for own in sorted(path for path in folder.iterdir() if path.is_dir()):
        there = {e: own / name for e in experiments for name in reversed(FILES[e]) if (own / name).is_file()}
        if there:
            found[own.name] = there
    complete = {who: {e: own[e] for e in experiments} for who, own in found.items() if len(own) == len(experiments)}
    if not complete:
        wanted = " and ".join(f"{FILES[e][0]} (or {FILES[e][1]})" for e in experiments)
        some = ", ".join(f"{who} ({', '.join(p.name for p in own.values())})" for who, own in found.items())
        raise BraintuneError(
            f"experiments: no participant in {folder} has a folder with {wanted}; found {some or 'none of them'}. "
            "`data/README.md` says where they are to be had; or take fewer `experiments`"
        )
    return complete


def _stimuli(run: Study, sessions: Sequence[_Session], wordings: Sequence[Sequence[str]]) -> Stimuli:
    """Join the sentences of the experiments."""
    texts = [list(session.sentences) for session in sessions]
    for i, lines in enumerate(wordings):
        if len(lines) != len(texts[i]):
            raise BraintuneError(
                f"{DEREFERENCED[run.experiments[i]]} has {len(lines)} lines for {len(texts[i])} sentences; put the "
                "file of the same release there, or set wording: presented"
            )
        texts[i] = [line.strip() for line in lines]
    passages = [session.passage for session in sessions]
    before = np.cumsum([0, *(passage.max() + 1 for passage in passages)])
    topics = [topic for session in sessions for topic in session.topic]
    position = [place for passage in passages for place in _places(passage)]
    names = [
        f"experiment {e}, passage {p + 1}, sentence {i + 1}"
        for e, passage in zip(run.experiments, passages, strict=True)
        for i, p in enumerate(passage)
    ]
    return Stimuli(
        names,
        [text for own in texts for text in own],
        np.arange(len(names)),
        np.concatenate([p + start for p, start in zip(passages, before, strict=False)]),
        np.unique(topics, return_inverse=True)[1],
        np.array(position),
    )


def _places(passage: np.ndarray) -> list[int]:
    """Return each sentence's place in its passage, from 0."""
    return [int((passage[:i] == p).sum()) for i, p in enumerate(passage)]


def _session(path: Path) -> _Session:
    state = path.stat()
    return _read_session(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=64)
def _read_session(path: Path, size: int, modified: int) -> _Session:
    """Read what a file says about its rows and regions, once for each state of the file."""
    shapes = matlab.shapes(path)
    responses = next((name for name in RESPONSES if name in shapes), None)
    names = ("keySentences", "labelsPassageForEachSentence", "labelsPassageCategory", "keyPassageCategory", "meta")
    missing = [name for name in names if name not in shapes] + ([] if responses else [RESPONSES[0]])
    if missing:
        raise BraintuneError(
            f"{path} has no variable {missing[0]!r}; it has {', '.join(sorted(shapes))}; if it is cut short, {_GET}"
        )
    found = matlab.read(path, (*names, "labelsSentences"), _META)
    texts = tuple(str(text).strip() for text in found["keySentences"])
    shape = shapes[responses]
    if shape[0] != len(texts):
        raise BraintuneError(f"{path}: {responses} has {shape[0]} rows for {len(texts)} sentences; {_GET}")
    require_distinct(texts, str(path), _GET)
    rows = np.ravel(found.get("labelsSentences", np.arange(len(texts)) + 1))
    if not np.array_equal(rows, np.arange(len(texts)) + 1):
        raise BraintuneError(
            f"{path}: labelsSentences is not 1 … {len(texts)}, so the rows are in no known order; {_GET}"
        )
    passages = found["labelsPassageCategory"].size
    passage = _from_one(path, "labelsPassageForEachSentence", found["labelsPassageForEachSentence"], passages)
    topics = _listed(found["keyPassageCategory"])
    topic = _from_one(path, "labelsPassageCategory", found["labelsPassageCategory"], len(topics))
    if len(passage) != len(texts):
        raise BraintuneError(f"{path}: {len(passage)} passage labels for {len(texts)} sentences; {_GET}")
    topic_of = tuple(_text(topics[topic[p]]) for p in passage)
    return _Session(texts, passage, topic_of, _regions_of(path, found["meta"]), responses, shape)


def _from_one(path: Path, what: str, labels: np.ndarray, most: int) -> np.ndarray:
    """Turn MATLAB's numbers, which count from 1, into ours, which count from 0."""
    labels = np.asarray(labels).ravel()
    bad = labels[~((labels >= 1) & (labels <= most) & (labels == np.round(labels)))] if labels.size else labels
    if bad.size:
        raise BraintuneError(f"{path}: {what} holds {bad[0]:g}; allowed are whole numbers 1 … {most}; {_GET}")
    return labels.astype(np.int64) - 1


def _listed(value: Any) -> list[Any]:
    """Return the entries of a cell array; one that holds a single entry may come without its cell."""
    return value if isinstance(value, list) else [value]


def _text(value: Any) -> str:
    """Return a text that may lie in cells of its own."""
    while isinstance(value, list) and value:
        value = value[0]
    return str(value).strip()


# --- regions and voxels ------------------------------------------------------------------------------------------


def _regions_of(path: Path, meta: Mapping[str, Any]) -> dict[str, tuple[str, tuple[tuple[str, str | None], ...]]]:
    """Return the networks, and the parts of the language atlases under the names that the file gives them."""
    atlases = [_text(atlas) for atlas in _listed(meta["atlases"])]
    needed = [atlas for parts in NETWORKS.values() for atlas in parts]
    if absent := [atlas for atlas in needed if atlas not in atlases]:
        raise BraintuneError(f"{path}: meta.atlases has no {absent[0]!r}; it has {', '.join(atlases)}; {_GET}")
    regions: dict[str, tuple] = {n: (n, tuple((atlas, None) for atlas in parts)) for n, parts in NETWORKS.items()}
    named = [(a, _text(r)) for a in NETWORKS["language"] for r in _listed(meta["rois"][atlases.index(a)])]
    taken = [*NETWORKS, *(part for _, part in named)]
    for atlas, part in named:
        region = part if taken.count(part) == 1 else f"{atlas}-{part}"  # both hemispheres may use one name
        regions[region] = ("language", ((atlas, part),))
    return regions


def _columns(path: Path, meta: Mapping[str, Any], parts: Sequence[tuple[str, str | None]], voxels: int) -> np.ndarray:
    """Return the columns of a region's voxels: ascending, each once, counted from 0.

    A part is looked up in its own atlas: those of the two hemispheres have the same length, and the columns of one in
    place of the other would go unnoticed.
    """
    atlases = [_text(atlas) for atlas in _listed(meta["atlases"])]
    found = []
    for atlas, part in parts:
        at = atlases.index(atlas)
        names = [_text(name) for name in _listed(meta["rois"][at])]
        columns = _listed(meta["roiColumns"][at])
        if len(columns) != len(names):
            raise BraintuneError(f"{path}: atlas {atlas} has {len(names)} regions and {len(columns)} sets; {_GET}")
        for name, own in zip(names, columns, strict=True):
            if part in (None, name):
                found.append(_from_one(path, f"meta.roiColumns of {atlas}, {name},", own, voxels))
    return np.unique(np.concatenate([*found, np.zeros(0, dtype=np.int64)]))


def _responses(path: Path, wanted: Sequence[str]) -> dict[str, tuple[np.ndarray, np.ndarray | None]]:
    """Read the responses of some regions, and the places of their voxels in the participant's image, if known."""
    session = _session(path)
    if absent := [region for region in wanted if region not in session.regions]:
        raise BraintuneError(
            f"{path} has no region {absent[0]!r}; it has {', '.join(session.regions)}; leave one of the two out "
            "(`regions`, `participants`)"
        )
    meta = matlab.read(path, ["meta"], _META)["meta"]
    columns = {r: _columns(path, meta, session.regions[r][1], session.shape[1]) for r in wanted}
    needed = np.unique(np.concatenate([*columns.values(), np.zeros(0, dtype=np.int64)]))
    values = matlab.read_columns(path, session.responses, needed)
    places = meta.get("colToCoord")
    known = places is not None and np.shape(places) == (session.shape[1], 3)
    return {r: (values[:, np.searchsorted(needed, own)], places[own] if known else None) for r, own in columns.items()}


def _joined(parts: Sequence[tuple[np.ndarray, np.ndarray | None]], where: str) -> np.ndarray:
    """Stack the experiments' responses, voxel on voxel.

    The voxels of a participant should be the same in both files. Where their places say otherwise, those that both
    have are kept.
    """
    responses, places = [part[0] for part in parts], [part[1] for part in parts]
    if any(own is None for own in places) or all(np.array_equal(own, places[0]) for own in places):
        if len({own.shape[1] for own in responses}) > 1:
            counts = " and ".join(str(own.shape[1]) for own in responses)
            raise BraintuneError(
                f"pereira2018, participant {where}: the experiments have {counts} voxels, and their places are not "
                "known; take one of the `experiments`"
            )
        return np.concatenate(responses)
    at = [{tuple(xyz): column for column, xyz in enumerate(own.tolist())} for own in places]
    common = [xyz for xyz in at[0] if all(xyz in own for own in at)]
    if any(len(own) > len(common) for own in at):
        warnings.warn(
            f"pereira2018, participant {where}: the experiments' voxels differ; the {len(common)} that they share are "
            f"kept, of {' and '.join(str(len(own)) for own in at)}",
            stacklevel=2,
        )
    return np.concatenate([own[:, [index[xyz] for xyz in common]] for own, index in zip(responses, at, strict=True)])


def _must_agree(path: Path, found: Sequence[str], expected: Sequence[str]) -> None:
    """Check that a participant was given the same sentences in the same order as the first one."""
    if found == expected:
        return
    row = next((i for i, (a, b) in enumerate(zip(found, expected, strict=False)) if a != b), len(expected))
    raise BraintuneError(
        f"{path}: its sentences are not those of the first participant, from row {row + 1} on; leave the participant "
        f"out (`participants`), or {_GET}"
    )


SOURCE = BrainSource(
    name="pereira2018",
    title="Pereira et al. (2018), Experiments 2 and 3: reading 627 sentences in passages",
    make=sentences,
    size="5 participants who did both, 384 + 243 sentences, four networks and the language regions; several GB",
    licence="none stated; the original is open at osf.io/crwz7",
    citation="pereira2018",
    get="the authors' MATLAB files, in `brain/pereira2018/<participant>` of the data folder; see `data/README.md`",
    folder="pereira2018",
    people="readers of passages",
)
