"""Reading concept words: Experiment 1 of Pereira et al. (2018)."""

import numpy as np
from scipy.linalg import hadamard

from braintune.core.base import BraintuneError
from braintune.core.study import Study
from braintune.datasets.brains import base
from braintune.datasets.brains.base import BrainData, BrainSource, Stimuli
from braintune.datasets.brains.csv_file import numbers, read_csv, refuse


def concepts(study: Study) -> BrainData:
    """Return the responses of the whole brain, as principal components, to 180 concepts with six sentences each [1]_.

    References
    ----------
    .. [1] Pereira et al. (2018). Toward a universal decoder of linguistic meaning from brain activation. Nature
       Communications 9, 963.
    """
    folder = base.data_set_folder(SOURCE)
    texts = {file: folder / file for file in ("concepts.txt", "concept_sentences.csv")}
    names = base.read_text(texts["concepts.txt"]).split()
    table = read_csv(texts["concept_sentences.csv"], ("row", "concept", "sentence"))
    empty = table["sentence"] == ""
    refuse(texts["concept_sentences.csv"], table["sentence"], empty, "write the sentence")
    remedy = "number the concepts from 0, in the order of concepts.txt"
    rows = numbers(texts["concept_sentences.csv"], table["row"], remedy, whole=True).to_numpy()
    if set(rows) != set(range(len(names))) or list(table["concept"]) != [names[row] for row in rows]:
        raise BraintuneError(
            f"{texts['concept_sentences.csv']} does not match concepts.txt: each of its {len(names)} concepts needs "
            "sentences with the row number of the concept (from 0)"
        )
    stimuli = Stimuli(names, list(table["sentence"]), rows)

    files = base.participant_files(folder, "[MP][0-9]*.npz")

    def load(participant: str) -> dict[str, np.ndarray]:
        (path,) = files[participant].values()
        return {"whole-brain": spread_components(base.read_array(path, "responses"))}

    return BrainData(SOURCE.name, tuple(files), ("whole-brain",), stimuli, False, load, texts=texts, files=files)


def spread_components(components: np.ndarray) -> np.ndarray:
    """Rotate principal components into columns of equal variance, as z-scored voxels have.

    The variance of a principal component is the strength of its pattern. A decoder that z-scores its columns would make
    the weakest component as strong as the first, and decode nothing. Spread evenly over all columns (by a Hadamard
    matrix), the components keep their strengths. Distances and inner products between stimuli do not change.

    Parameters
    ----------
    components : array of shape (n_stimuli, n_components)
        Uncorrelated over the stimuli.

    Returns
    -------
    float64 array of shape (n_stimuli, n_columns)
        `n_columns` is the first power of two above `n_components`. The mean of each row is 0: no component uses the one
        direction that correlations between rows ignore.
    """
    size = 1 << components.shape[1].bit_length()
    rotation = hadamard(size)[1 : components.shape[1] + 1] / np.sqrt(size)
    return components.astype(np.float64) @ rotation


SOURCE = BrainSource(
    name="pereira2018-exp1",
    title="Pereira et al. (2018), Experiment 1: reading 180 concepts, each with six sentences",
    make=concepts,
    size="10 participants, 180 stimuli, all 179 components of the whole brain; 1.5 MB",
    licence="none stated; the original is open at osf.io/crwz7",
    get="the folder `brain/pereira2018_exp1` of the data folder; `data/README.md` says how to create it",
    folder="pereira2018_exp1",
    people="readers of concept words",
)
