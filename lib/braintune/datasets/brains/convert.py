"""Make a brain data set's folder from the files that its authors publish.

``python -m braintune data SET FROM`` (``make data SET=… FROM=…``) tells what a data set is, its size and licence,
and where it is published, and converts it where it has to be converted. ``--fetch yes`` (``FETCH=yes``) fetches it
first; without it, nothing is downloaded.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from braintune.core import base, store
from braintune.core.base import BraintuneError, lookup
from braintune.datasets.brains import download, matlab
from braintune.datasets.brains.convert_story import story
from braintune.datasets.brains.registry import BRAINS

#: The three ways in which a concept was shown in Experiment 1 of Pereira et al. (2018).
PARADIGMS = ("sentences", "pictures", "wordclouds")


def concepts(source: Path, target: Path) -> Iterator[str]:
    """Make the participants' files of `pereira2018-exp1` from the authors' MATLAB files, one at a time.

    The responses to the three paradigms are averaged, z-scored for each voxel over the concepts, and rotated onto
    their principal components. Voxels that are constant or not finite are left out.

    Parameters
    ----------
    source : Path
        Holds `<participant>/data_180concepts_{sentences,pictures,wordclouds}.mat`.
    target : Path
        Receives `<participant>.npz`.

    Yields
    ------
    str
        What was written.

    Raises
    ------
    BraintuneError
        If no participant has all three files, or a file is not as described.
    """
    files = {
        own.name: [own / f"data_180concepts_{paradigm}.mat" for paradigm in PARADIGMS]
        for own in (sorted(path for path in source.iterdir() if path.is_dir()) if source.is_dir() else [])
    }
    complete = {who: own for who, own in files.items() if all(file.is_file() for file in own)}
    if not complete:
        raise BraintuneError(
            f"no participant's folder in {source} has data_180concepts_{{{','.join(PARADIGMS)}}}.mat; found "
            f"{', '.join(files) or 'no folder'}; FROM is the folder that holds the participants' folders"
        )
    for who, own in complete.items():
        responses = principal_components([_examples(file) for file in own], who)
        path = target / f"{who}.npz"
        with store.atomic(path) as temporary, temporary.open("wb") as file:
            np.savez(file, responses=responses.astype(np.float32))
        yield f"wrote {path}"


def _examples(path: Path) -> np.ndarray:
    """Read the responses of one paradigm, concepts in the order of their numbers."""
    shape = matlab.shapes(path).get("examples", ())
    if len(shape) != 2:
        raise BraintuneError(f"{path} has no matrix 'examples'; get the file again")
    labels = np.ravel(matlab.read(path, ["labelsConcept"]).get("labelsConcept", np.arange(shape[0]) + 1))
    order = np.argsort(labels)
    if not np.array_equal(labels[order], np.arange(shape[0]) + 1):
        raise BraintuneError(f"{path}: labelsConcept must hold each of 1 … {shape[0]} once; get the file again")
    return matlab.read_columns(path, "examples", np.arange(shape[1]))[order]


def principal_components(paradigms: list[np.ndarray], who: str, block: int = 4096) -> np.ndarray:
    """Average, z-score over the concepts, and rotate onto the principal components.

    Parameters
    ----------
    paradigms : list of array of shape (n_concepts, n_voxels)
    who : str
        Whose responses they are, for an error.
    block : int
        Voxels taken at a time.

    Returns
    -------
    float64 array of shape (n_concepts, n_concepts - 1)
        The same distances between concepts as the z-scored voxels have.

    Raises
    ------
    BraintuneError
        If the paradigms' shapes differ, or no voxel varies.
    """
    if len({own.shape for own in paradigms}) > 1:
        shapes = ", ".join(f"{name} {own.shape}" for name, own in zip(PARADIGMS, paradigms, strict=True))
        raise BraintuneError(f"participant {who}: the paradigms have different shapes ({shapes}); get the files again")
    n, voxels = paradigms[0].shape
    inner = np.zeros((n, n))
    for start in range(0, voxels, block):
        mean = sum(own[:, start : start + block].astype(np.float64) for own in paradigms) / len(paradigms)
        mean = mean[:, np.isfinite(mean).all(axis=0)]
        spread = mean.std(axis=0)
        z = (mean - mean.mean(axis=0))[:, spread > 0] / spread[spread > 0]
        inner += z @ z.T
    if not inner.any():
        raise BraintuneError(f"participant {who}: no voxel varies over the concepts; get the files again")
    values, vectors = np.linalg.eigh(inner)  # ascending; the smallest is 0, since the means are gone
    vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(n)])
    return (vectors * np.sqrt(np.maximum(values, 0)))[:, :0:-1]


#: Data sets that have to be converted; the others are read as they are published, or told of in `data/README.md`.
CONVERSIONS: dict[str, Callable[[Path, Path], Iterator[str]]] = {"pereira2018-exp1": concepts, "alice2016": story}


def main(words: list[str]) -> None:
    """Tell what a data set is; fetch it if that is asked for; convert it if its files are there."""
    parser = argparse.ArgumentParser(prog="python -m braintune data", description=main.__doc__)
    parser.add_argument("name", nargs="?", help="name of the data set")
    parser.add_argument("source", nargs="?", help="folder of the authors' files")
    parser.add_argument("--fetch", default="", help="yes: download it from its official addresses")
    asked = parser.parse_args(words)
    if not asked.name:
        raise BraintuneError(f"which data set? SET=<name>; known: {', '.join(BRAINS)}")
    source = lookup(BRAINS, asked.name, "brain data set")
    if asked.fetch not in ("", "yes"):
        raise BraintuneError(f"FETCH={asked.fetch}: only FETCH=yes downloads; leave it out to download nothing")
    if asked.fetch and asked.source:
        raise BraintuneError("give FETCH=yes, which downloads, or FROM=<folder> for files that are there, not both")
    print(f"{source.title}\n  size: {source.size}\n  licence: {source.licence}\n  to be had: {source.get}")
    for line in () if asked.source else download.addresses(asked.name):
        print(line, flush=True)
    folder = asked.source
    if asked.fetch:
        for line in download.fetch(asked.name):
            print(line, flush=True)
        folder = download.place(asked.name)
    if asked.name not in CONVERSIONS:
        print("nothing to convert here; data/README.md says what goes where")
    elif not folder:
        print("FROM=<folder of the authors' files> converts them; data/README.md says what goes where")
    else:
        target = base.data_folder() / "brain" / source.folder
        for line in CONVERSIONS[asked.name](Path(folder).expanduser(), target):
            print(line, flush=True)
