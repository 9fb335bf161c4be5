"""Download and convert Pereira et al. (2018), Experiment 1: ``python data/get/pereira2018_exp1.py``.

``--fetch yes`` downloads the authors' files and converts them; ``--from FOLDER`` converts existing files. The list of
stimuli (`concepts.txt`, `concept_sentences.csv`) is made by hand; `data/README.md` says how.
"""

from collections.abc import Iterator
from pathlib import Path

import fetching
import numpy as np

from braintune.core import base, store
from braintune.core.base import BraintuneError
from braintune.datasets.brains import matlab

#: The three presentations of a concept.
PARADIGMS = ("sentences", "pictures", "wordclouds")
MEMBERS = tuple(f"data_180concepts_{paradigm}.mat" for paradigm in PARADIGMS)
ADDRESSES = {address: f"{who}.tar, several hundred MB" for who, address in fetching.PEREIRA.items()} | {
    fetching.PEREIRA_MATERIALS: "by hand: Pereira_Materials.zip, 290 MB: stimuli, for concepts.txt and "
    "concept_sentences.csv"
}


def fetch() -> Iterator[str]:
    """Download the participants' archives, and unpack their files beside them."""
    folder = fetching.downloads("pereira2018")
    return fetching.fetch_archives(fetching.PEREIRA, MEMBERS, folder, folder)


def convert(source: Path) -> Iterator[str]:
    """Make the participants' files from the authors' MATLAB files, one at a time.

    The responses to the three paradigms are averaged, z-scored for each voxel over the concepts, and rotated onto
    their principal components. Voxels that are constant or not finite are left out.

    Parameters
    ----------
    source : Path
        Holds `<participant>/data_180concepts_{sentences,pictures,wordclouds}.mat`.

    Yields
    ------
    str
        What was written.

    Raises
    ------
    BraintuneError
        If no participant has all three files, or a file is not as described.
    """
    folders = sorted(path for path in source.iterdir() if path.is_dir()) if source.is_dir() else []
    files = {folder.name: [folder / member for member in MEMBERS] for folder in folders}
    complete = {who: paths for who, paths in files.items() if all(path.is_file() for path in paths)}
    if not complete:
        raise BraintuneError(
            f"no participant's folder in {source} has data_180concepts_{{{','.join(PARADIGMS)}}}.mat; found "
            f"{', '.join(files) or 'no folder'}; FROM is the folder that holds the participants' folders"
        )
    for who, paths in complete.items():
        responses = principal_components([_examples(path) for path in paths], who)
        path = base.data_folder() / "brain" / "pereira2018_exp1" / f"{who}.npz"
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
        Number of voxels processed at a time.

    Returns
    -------
    float64 array of shape (n_concepts, n_concepts - 1)
        Distances between concepts are the same as those of the z-scored voxels.

    Raises
    ------
    BraintuneError
        If the paradigms' shapes differ, or no voxel varies.
    """
    if len({array.shape for array in paradigms}) > 1:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in zip(PARADIGMS, paradigms, strict=True))
        raise BraintuneError(f"participant {who}: the paradigms have different shapes ({shapes}); get the files again")
    n, voxels = paradigms[0].shape
    inner = np.zeros((n, n))
    for start in range(0, voxels, block):
        mean = sum(array[:, start : start + block].astype(np.float64) for array in paradigms) / len(paradigms)
        mean = mean[:, np.isfinite(mean).all(axis=0)]
        spread = mean.std(axis=0)
        z = (mean - mean.mean(axis=0))[:, spread > 0] / spread[spread > 0]
        inner += z @ z.T
    if not inner.any():
        raise BraintuneError(f"participant {who}: no voxel varies over the concepts; get the files again")
    values, vectors = np.linalg.eigh(inner)  # ascending; the smallest is 0, since the means are gone
    vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(n)])
    return (vectors * np.sqrt(np.maximum(values, 0)))[:, :0:-1]


def main(words: list[str] | None = None) -> None:
    """Run the command line."""
    folder = fetching.downloads("pereira2018")
    fetching.command("pereira2018-exp1", ADDRESSES, words, fetch, convert, folder)


if __name__ == "__main__":
    main()
