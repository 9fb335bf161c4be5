"""A copy of Pereira et al. (2018), Experiment 2, on the Hugging Face Hub: eight participants, networks, Parquet."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from braintune.core.base import BraintuneError
from braintune.core.study import Study
from braintune.datasets import hub
from braintune.datasets.brains.base import BrainData, BrainSource, Stimuli, require_distinct

#: Networks → the columns that they are made of.
NETWORKS = {
    "language": ("language_lh", "language_rh"),
    "task-positive": ("task",),
    "DMN": ("dmn",),
    "visual": ("vision",),
}
#: Sentences of a passage in Experiment 2; they follow each other in the order of the rows.
PASSAGE = 4

ENTRY = hub.HubData(
    repository="helena-balabin/pereira_fMRI_sentences",
    configuration="default",
    revision="38ecb87f301650f2c0bac5ffca47bf6c137398d3",
    files="data/{split}-*.parquet",
    columns={column: [["number"]] for columns in NETWORKS.values() for column in columns} | {"sentences": ["text"]},
    convert=lambda row, entry: iter([row]),
    test_split="train",
    location="ENTRY (lib/braintune/datasets/brains/pereira_hub.py)",
    alternative="use the authors' files: brains: [pereira2018]",
)


def sentences(study: Study) -> BrainData:
    """Read the copy from the hub, one participant at a time; each row is a participant.

    The copy does not identify the participants (here H1 to H8, in its order) or label the passages, which are four
    consecutive sentences each. Topics are unknown.

    Raises
    ------
    BraintuneError
        If it is not cached and not downloadable, or does not match its entry.
    """
    folder, parts = hub.fetch(ENTRY)
    files = parts["train"]
    rows = [(file, row) for file in files for row in range(_count(file))]
    names = tuple(f"H{i + 1}" for i in range(len(rows)))
    texts = _texts(*rows[0])
    require_distinct(texts, str(files[0]), ENTRY.remedy)
    if len(texts) % PASSAGE:
        raise BraintuneError(
            f"{files[0]} has {len(texts)} sentences, which cannot be divided into passages of {PASSAGE}; {ENTRY.remedy}"
        )
    order = np.arange(len(texts))
    labels = [f"passage {i // PASSAGE + 1}, sentence {i % PASSAGE + 1}" for i in order]

    def load(participant: str) -> dict[str, np.ndarray]:
        file, row = rows[names.index(participant)]
        if _texts(file, row) != texts:
            raise BraintuneError(
                f"{file}, row {row + 1}: its sentences differ from those of the first row; {ENTRY.remedy}"
            )
        wanted = {r: columns for r, columns in NETWORKS.items() if study.regions is None or r in study.regions}
        return {r: np.hstack([_matrix(file, row, column) for column in columns]) for r, columns in wanted.items()}

    return BrainData(
        "pereira2018-hub",
        names,
        tuple(NETWORKS),
        Stimuli(labels, texts, order, order // PASSAGE, None, order % PASSAGE),
        False,
        load,
        texts={f"{ENTRY.repository}@{folder.name}/{f.relative_to(folder).as_posix()}": f for f in files},
    )


def _count(file: Path) -> int:
    with hub.opened(ENTRY, file) as parquet:
        return parquet.metadata.num_rows


def _texts(file: Path, row: int) -> list[str]:
    return [str(text).strip() for text in _cell(file, row, "sentences").to_pylist()]


def _matrix(file: Path, row: int, column: str) -> np.ndarray:
    """Return one participant's responses: float32 array of shape (n_sentences, n_voxels)."""
    lists = _cell(file, row, column)
    lengths = set(np.diff(lists.offsets.to_numpy()).tolist())
    if len(lengths) != 1 or lists.null_count:
        raise BraintuneError(
            f"{file}, row {row + 1}, field {column!r}: its sentences have {', '.join(map(str, sorted(lengths)))} "
            f"voxels; each needs the same number; {ENTRY.remedy}"
        )
    values = lists.flatten().to_numpy(zero_copy_only=False)  # null becomes NaN
    return values.astype(np.float32).reshape(len(lists), -1)


def _cell(file: Path, row: int, column: str) -> pa.ListArray:
    """Return one participant's value of a column, reading no other column and no row after it."""
    with hub.opened(ENTRY, file) as parquet:
        for number, batch in enumerate(parquet.iter_batches(batch_size=1, columns=[column])):
            if number == row:
                return batch.column(0).flatten()
    raise BraintuneError(f"{file} has no row {row + 1}; {ENTRY.remedy}")


SOURCE = BrainSource(
    name="pereira2018-hub",
    title="Pereira et al. (2018), Experiment 2: reading 384 sentences in passages; a copy on the Hugging Face Hub",
    make=sentences,
    size="8 participants, 384 sentences, four networks; 6.6 GB",
    licence="none stated",
    get="from huggingface.co (helena-balabin/pereira_fMRI_sentences), fetched when a run first needs it",
    people="readers of passages",
)
