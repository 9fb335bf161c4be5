import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import constants

from braintune.core.base import BraintuneError
from braintune.core.study import Study
from braintune.datasets.brains.pereira_hub import ENTRY
from braintune.datasets.brains.registry import data_checksums, load_brain
from braintune.neural.folds import make_folds

VOXELS = {"language_lh": 3, "language_rh": 2, "vision_body": 1, "vision": 4, "dmn": 2, "task": 5, "all": 20}
N = 12


def study(**values):
    return Study.make({"brains": ["pereira2018-hub"], "nuisance": []} | values)


def row(participant, sentences=N):
    """A participant; the value of voxel v of column c in sentence i says which it is."""
    place = {column: 100 * k for k, column in enumerate(VOXELS)}
    values = {
        column: (participant * 1000 + place[column] + np.arange(n) + np.arange(sentences)[:, None] / 64).tolist()
        for column, n in VOXELS.items()
    }
    return values | {"sentences": [f"Sentence {i}." for i in range(sentences)]}


@pytest.fixture
def publish(tmp_path, monkeypatch):
    """Put rows, one list a file, into an otherwise empty hub cache on a machine without a net."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)

    def put(*files):
        folder = tmp_path / f"datasets--{ENTRY.repository.replace('/', '--')}" / "snapshots" / ENTRY.revision / "data"
        folder.mkdir(parents=True, exist_ok=True)
        for i, rows in enumerate(files):
            matrix = pa.list_(pa.list_(pa.float64()))
            schema = pa.schema([*((c, matrix) for c in VOXELS if c in rows[0]), ("sentences", pa.list_(pa.string()))])
            pq.write_table(pa.Table.from_pylist(rows, schema), folder / f"train-{i:05d}-of-{len(files):05d}.parquet")
        return folder

    return put


def test_a_row_is_a_participant(publish):
    publish([row(1), row(2)], [row(3)])
    data = load_brain(study(), "pereira2018-hub")
    assert data.participants == ("H1", "H2", "H3")
    assert data.regions == ("language", "task-positive", "DMN", "visual")
    for i, participant in enumerate(data.participants, start=1):
        loaded = data.load(participant)
        assert loaded["language"].shape == (N, 5)  # both hemispheres, side by side
        assert loaded["language"][0].tolist() == [i * 1000 + v for v in (0, 1, 2, 100, 101)]
        assert loaded["DMN"][1].tolist() == [i * 1000 + v + 1 / 64 for v in (400, 401)]
    assert list(load_brain(study(regions=["DMN"]), "pereira2018-hub").load("H3")) == ["DMN"]


def test_passages_have_four_sentences(publish):
    publish([row(1)])
    stimuli = load_brain(study(), "pereira2018-hub").stimuli
    assert stimuli.passage.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert stimuli.position.tolist() == [0, 1, 2, 3] * 3
    for train, test, *_ in make_folds(stimuli, "grouped", study(n_folds=3, inner_folds=2)):
        assert not set(stimuli.passage[train]) & set(stimuli.passage[test])


def test_checksums_name_the_commit(publish):
    publish([row(1)], [row(2)])
    names = [f"{ENTRY.repository}@{ENTRY.revision}/data/train-{i:05d}-of-00002.parquet" for i in range(2)]
    assert list(data_checksums(study(), "pereira2018-hub")) == names


def test_a_missing_copy_is_an_error_with_the_command(publish):
    with pytest.raises(BraintuneError) as caught:
        load_brain(study(), "pereira2018-hub")
    message = str(caught.value)
    assert "not in the hub cache" in message
    assert f"hf download {ENTRY.repository} --repo-type dataset --revision {ENTRY.revision}" in message
    assert message.endswith("or use the authors' files: brains: [pereira2018]")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.pop("dmn"), r"field 'dmn': missing; the file has .*correct the entry in ENTRY \(lib"),
        (lambda r: r["sentences"].__setitem__(2, "Sentence 0."), "sentence of row 3 is the same as row 1"),
        (lambda r: r.update(row(1, 10)), r"has 10 sentences, which cannot be divided into passages of 4"),
        (lambda r: r["task"].__setitem__(1, [1.0]), "row 1, field 'task': its sentences have 1, 5 voxels"),
        (lambda r: r["task"][1].__setitem__(1, None), "region task-positive: 1 of 60 values are NaN"),
        (lambda r: r["task"].pop(), r"shape \(11, 5\) do not match 12 stimuli"),
    ],
)
def test_a_copy_that_is_not_as_its_card_says(publish, change, message):
    wrong = row(1)
    change(wrong)
    publish([wrong])
    with pytest.raises(BraintuneError, match=message):
        load_brain(study(), "pereira2018-hub").load("H1")


def test_other_sentences_and_damaged_files(publish):
    other = row(2)
    other["sentences"][0] = "Another."
    folder = publish([row(1), other])
    with pytest.raises(BraintuneError, match=r"row 2: its sentences differ from those of the first row"):
        load_brain(study(), "pereira2018-hub").load("H2")
    file = next(folder.glob("*.parquet"))
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(BraintuneError, match=r"is not a complete Parquet file .*--force-download"):
        load_brain(study(), "pereira2018-hub")
