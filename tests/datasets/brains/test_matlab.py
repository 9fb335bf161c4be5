"""Files of MATLAB: what scipy and h5py would not survive, or would read without end, is refused first."""

import h5py
import numpy as np
import pytest
from scipy import io, sparse

from braintune.core.base import BraintuneError
from braintune.datasets.brains import matlab

#: A variable of every kind.
KINDS = {
    "numbers": np.arange(6.0).reshape(2, 3),
    "whole numbers": np.arange(3, dtype=np.int16),
    "complex numbers": np.array([1 + 2j, 3]),
    "truth values": np.array([True, False]),
    "a text": "some words",
    "an empty text": "",
    "nothing": np.zeros((0, 3)),
    "cells": np.array(["a", np.eye(2)], dtype=object),
    "a struct": {"one": 1.0, "two": {"three": "four"}},
    "a sparse matrix": sparse.csc_array(np.eye(3)),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_variable_is_let_through(tmp_path, kind, packed):
    path = tmp_path / "a.mat"
    io.savemat(path, {"x": KINDS[kind], "after": 1.0}, do_compression=packed)
    assert list(matlab.read(path, ["x", "after"])) == ["x", "after"]


def whole(path, packed=False, **values):
    """A file of version 5 as bytes that can be changed; its first value begins at byte 128."""
    io.savemat(path, values, do_compression=packed)
    return bytearray(path.read_bytes())


def put(content, at, *numbers):
    content[at : at + 4 * len(numbers)] = np.array(numbers, dtype="<u4").tobytes()
    return content


#: What becomes of a file that holds `x`, a square of numbers → what is said of it. Bytes 176 to 184 are the tag of values.
FAULTS = {
    "values of a type that there is not": (lambda c: put(c, 176, 0), r"a matrix of class 6 .*types \[5, 1, 0\]"),
    "values that are a matrix": (lambda c: put(c, 176, 14, 0), r".*class 6 .*types \[5, 1, 14"),
    "complex numbers of which a half is missing": (
        lambda c: put(c, 144, 6 + (1 << 11)),
        r".*class 6 .*types \[5, 1, 9\]",
    ),
    "no class": (lambda c: put(c, 136, 5), "a matrix does not begin with its class"),
    "a variable that is none": (lambda c: put(c, 128, 9), "an element of type 9 stands where a matrix must"),
    "more axes than there can be": (lambda c: put(c, 156, 4096), "a matrix has 1,024 axes"),
    "values that are claimed and not there": (
        lambda c: put(c, 160, 60_000, 60_000),
        "a matrix claims 3,600,000,000 values",
    ),
    "parts that end too late": (lambda c: put(c, 180, 8000), "the parts of a matrix do not end where it does"),
    "a variable that ends too late": (lambda c: put(c, 132, 4_000_000_000), r"[\d,]+ bytes are missing at the end"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_would_end_the_process_is_an_error(tmp_path, fault):
    change, message = FAULTS[fault]
    path = tmp_path / "a.mat"
    path.write_bytes(change(whole(path, x=np.eye(4))))
    with pytest.raises(BraintuneError, match=rf"a\.mat is not a whole MATLAB file \({message}"):
        matlab.read(path, ["x"])


def test_a_compressed_variable_cut_short(tmp_path):
    path = tmp_path / "a.mat"
    content = whole(path, packed=True, x=np.random.default_rng(0).normal(size=(50, 50)))
    path.write_bytes(put(content[:-2000], 132, len(content) - 2000 - 136))
    with pytest.raises(BraintuneError, match=r"not a whole MATLAB file \([\d,]+ bytes are missing at the end"):
        matlab.read(path, ["x"])


def test_cells_within_cells_without_end(tmp_path):
    cells = "the end"
    for _ in range(60):
        cells = np.array([cells, None], dtype=object)[:1]
    io.savemat(tmp_path / "a.mat", {"x": cells})
    with pytest.raises(BraintuneError, match="51 cells deep"):
        matlab.read(tmp_path / "a.mat", ["x"])


# --- version 7.3 -------------------------------------------------------------------------------------------------


def marked(file, name, kind, values, **more):
    """Put a variable into a file of version 7.3."""
    node = file.create_dataset(name, data=values, **more)
    node.attrs["MATLAB_class"] = np.bytes_(kind)
    return node


@pytest.mark.parametrize("read", [matlab.read, lambda path, names: matlab.read_columns(path, *names, np.arange(3))])
def test_an_array_that_is_claimed_and_not_stored(tmp_path, read):
    with h5py.File(tmp_path / "a.mat", "w") as file:
        file.create_dataset("x", shape=(2**31, 90), dtype="f8", chunks=(1024, 90))
    with pytest.raises(BraintuneError, match=r"/x claims 1,546,188,226,560 bytes, but 0 are stored"):
        read(tmp_path / "a.mat", ["x"])


def test_an_array_that_compresses_as_well_as_one_can_is_read(tmp_path):
    with h5py.File(tmp_path / "a.mat", "w") as file:
        marked(file, "x", "double", np.zeros((4000, 300)), compression="gzip", compression_opts=9)
    assert matlab.read(tmp_path / "a.mat", ["x"])["x"].shape == (300, 4000)
    assert matlab.read_columns(tmp_path / "a.mat", "x", np.array([0, 3999])).shape == (300, 2)


def test_what_many_cells_refer_to_is_read_once(tmp_path):
    """Forty levels of two references each: a trillion cells, if each were read anew."""
    with h5py.File(tmp_path / "a.mat", "w") as file:
        node = marked(file, "#refs#/0", "double", np.eye(2))
        for level in range(40):
            references = np.array([node.ref, node.ref], dtype=h5py.ref_dtype)
            node = marked(file, f"#refs#/{level + 1}", "cell", references)
        file["x"] = node
    found = matlab.read(tmp_path / "a.mat", ["x"])["x"]
    assert len(found) == 2 and found[0] is found[1]


def test_a_cell_that_refers_to_itself(tmp_path):
    with h5py.File(tmp_path / "a.mat", "w") as file:
        node = file.create_dataset("x", shape=(2,), dtype=h5py.ref_dtype)
        node.attrs["MATLAB_class"] = np.bytes_("cell")
        node[:] = [node.ref, node.ref]
    with pytest.raises(BraintuneError, match="/x refers to itself"):
        matlab.read(tmp_path / "a.mat", ["x"])
