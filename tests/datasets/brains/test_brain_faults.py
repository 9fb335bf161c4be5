"""What is told when brain data are not as they should be: one fault a row, with the whole message."""

import numpy as np
import pytest

from braintune.core.base import BraintuneError
from braintune.core.study import Study
from braintune.datasets.brains.registry import load_brain
from pereira_files import ATLASES, NAMES, content, write

AGAIN = "get the file again from the page of the data (`data/README.md`)"
HAS = "language, task-positive, DMN, visual, LMidPost, LAntTemp, languageLH-AngG, RMidPost, RAntTemp, languageRH-AngG"
HOLES = (
    "leave the participant or the region out (`participants`, `regions`), make its file again, or set non_finite: "
    "zero, which leaves out such voxels"
)
DMN = "pereira2018, participant P01, region DMN"
FILE = "{folder}/P01/data_384sentences.mat"


def with_values(*values):
    """Put values into the responses of the first rows of the voxels of DMN (columns 16 to 18)."""

    def change(held):
        for row, value in enumerate(values):
            held["responses"][row, 15 + row % 3] = value

    return change


def with_texts(*texts):
    return lambda held: held.update(keySentences=[*texts, *held["keySentences"][len(texts) :]])


def with_columns(*columns):
    return lambda held: held["atlases"].update(DMN={"L_PCC": list(columns)})


def constant(held):
    held["responses"][:, 15:18] = 2.5


def fewer_sentences(held):
    held["keySentences"] = held["keySentences"][:-1]


def fewer_rows(held):
    held["responses"] = held["responses"][:-1]


# fault -> (change of what a file holds, parameters, the message)
FAULTS = {
    "NaN": (with_values(np.nan), {}, f"{DMN}: 1 of 36 values are NaN or infinite; {HOLES}"),
    "infinite": (with_values(np.inf, -np.inf), {}, f"{DMN}: 2 of 36 values are NaN or infinite; {HOLES}"),
    "constant region": (
        constant,
        {},
        f"{DMN}: every voxel is constant over the stimuli, so there is nothing to decode",
    ),
    "too few sentences": (
        fewer_sentences,
        {},
        f"{FILE}: examples_passagesentences has 12 rows for 11 sentences; {AGAIN}",
    ),
    "too few responses": (
        fewer_rows,
        {},
        f"{FILE}: examples_passagesentences has 11 rows for 12 sentences; {AGAIN}",
    ),
    "sentence twice": (
        with_texts("A castle.", "A bee.", "A castle."),
        {},
        f"{FILE}: sentence of row 3 is the same as row 1 ('A castle.'); {AGAIN}",
    ),
    "sentence empty": (with_texts(" "), {}, f"{FILE}: sentence of row 1 is empty (''); {AGAIN}"),
    "region empty": (
        with_columns(),
        {},
        f"{DMN}: no voxels; leave the region or the participant out (`regions`, `participants`)",
    ),
    "column 0": (
        with_columns(16, 0),
        {},
        f"{FILE}: meta.roiColumns of DMN, L_PCC, holds 0; allowed are whole numbers 1 … 90; {AGAIN}",
    ),
    "column beyond the voxels": (
        with_columns(16, 91),
        {},
        f"{FILE}: meta.roiColumns of DMN, L_PCC, holds 91; allowed are whole numbers 1 … 90; {AGAIN}",
    ),
    "unknown region": (
        None,
        {"regions": ["DMN", "Broca"]},
        f"regions: 'Broca' not in brain data 'pereira2018'; it has {HAS}",
    ),
    "unknown participant": (
        None,
        {"participants": ["P01", "M16"]},
        "participants: 'M16' not in brain data 'pereira2018'; it has M02, P01",
    ),
    "unknown data set": (
        None,
        {"brains": ["pereira"]},
        "unknown brain data set 'pereira'; known: simulated, pereira2018-exp1, pereira2018, pereira2018-hub, alice2016, folder",
    ),
}
WHOLE = "compare its size with that at its source, and get it again"
# damage -> (what becomes of the bytes, the messages for version 5 and for version 7.3)
DAMAGES = {
    "empty file": (
        lambda content: b"",
        f"{FILE} is not a whole MATLAB file (Mat file appears to be truncated); {WHOLE}",
        f"{FILE} is not a whole MATLAB file (Mat file appears to be truncated); {WHOLE}",
    ),
    "cut short": (
        lambda content: content[: len(content) // 2],
        f"{FILE} is not a whole MATLAB file (279 bytes are missing at the end); {WHOLE}",
        f"{FILE} is not a whole MATLAB file (Unable to synchronously open file (truncated file: eof = ",
    ),
    "another kind of file": (
        lambda content: b"<html>Not found</html>" * 50,
        f"{FILE} is not a whole MATLAB file (Unknown mat file type, version ",
        f"{FILE} is not a whole MATLAB file (Unknown mat file type, version ",
    ),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("BRAINTUNE_DATA", str(tmp_path))
    found = tmp_path / "brain" / "pereira2018"
    for participant in ("M02", "P01"):
        write(found / participant / NAMES[2], content(2))
    return found


def load(**values):
    run = Study.make({"brains": ["pereira2018"], "experiments": [2], "regions": ["DMN"]} | values)
    return load_brain(run, run.brains[0]).load("P01")


@pytest.mark.parametrize("version", [5, 7.3])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_and_its_message(folder, fault, version):
    change, values, message = FAULTS[fault]
    held = content(2)
    held["atlases"] = {atlas: dict(parts) for atlas, parts in ATLASES.items()}
    if change:
        change(held)
    write(folder / "P01" / NAMES[2], held, version)
    with pytest.raises(BraintuneError) as caught:
        load(**values)
    assert str(caught.value) == message.format(folder=folder)


@pytest.mark.parametrize("version", [5, 7.3])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_and_its_message(folder, damage, version):
    path = folder / "P01" / NAMES[2]
    write(path, content(2), version)
    change, *messages = DAMAGES[damage]
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(BraintuneError) as caught:
        load()
    assert str(caught.value).startswith(messages[version != 5].format(folder=folder))
    assert str(caught.value).endswith((WHOLE, AGAIN))


def test_holes_can_be_left_out_and_are_told(folder):
    held = content(2)
    with_values(np.nan)(held)
    write(folder / "P01" / NAMES[2], held)
    with pytest.warns(UserWarning) as caught:
        found = load(non_finite="zero")["DMN"]
    assert [str(w.message) for w in caught] == [f"{DMN}: 1 of 3 voxels hold NaN or infinite values and are not used"]
    assert (found[:, 0] == 0).all()
    assert (found[:, 1:] != 0).all()
