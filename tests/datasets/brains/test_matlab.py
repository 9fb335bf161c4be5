"""MATLAB files: what crashes scipy or h5py, or claims memory without end, is an error message."""

import zlib

import h5py
import numpy as np
import pytest
from scipy import io, sparse

from braintune.core.base import BraintuneError
from braintune.datasets.brains import matlab

#: A variable of every kind.
KINDS = {
    "numbers": np.arange(6.0).reshape(2, 3),
    "whole_numbers": np.arange(3, dtype=np.int16)[None],
    "complex_numbers": np.array([[1 + 2j, 3]]),
    "truth_values": np.array([[1, 0]], dtype=np.uint8),
    "nothing": np.zeros((0, 3)),
    "a_sparse_matrix": sparse.csc_array(np.eye(3)),
    "a_text": "some words",
    "an_empty_text": "",
    "cells": np.array(["a", np.eye(2)], dtype=object),
    "a_struct": {"one": "1", "two": {"three": "four"}},
}


@pytest.mark.parametrize("packed", [False, True])
def test_every_kind_of_variable_is_read(tmp_path, packed):
    path = tmp_path / "a.mat"
    io.savemat(path, KINDS, do_compression=packed)
    values = matlab.read(path, [*KINDS, "not there"])
    assert list(values) == list(KINDS)
    for kind in list(KINDS)[:5]:
        np.testing.assert_array_equal(values[kind], KINDS[kind])
    np.testing.assert_array_equal(values["a_sparse_matrix"], np.eye(3))
    assert values["a_text"] == "some words" and values["an_empty_text"] == "" and values["cells"][0] == "a"
    assert values["a_struct"] == KINDS["a_struct"]
    assert matlab.read(path, ["a_struct"], ["one"]) == {"a_struct": {"one": "1"}}
    assert matlab.shapes(path)["numbers"] == (2, 3)


def whole(path, packed=False, **values):
    """A file of version 5 as bytes that can be changed; its first value begins at byte 128."""
    io.savemat(path, values, do_compression=packed)
    return bytearray(path.read_bytes())


def put(content, at, *numbers):
    content[at : at + 4 * len(numbers)] = np.array(numbers, dtype="<u4").tobytes()
    return content


#: Fault → change of a file that holds `x`, a square of numbers. Bytes 176 to 184 are the tag of its values.
FAULTS = {
    "values of a type that does not exist": lambda c: put(c, 176, 0),
    "values that are a matrix": lambda c: put(c, 176, 14, 0),
    "complex numbers without the imaginary half": lambda c: put(c, 144, 6 + (1 << 11)),
    "a variable that is none": lambda c: put(c, 128, 9),
    "more axes than possible": lambda c: put(c, 156, 4096),
    "values that are claimed and not there": lambda c: put(c, 160, 60_000, 60_000),
    "parts that end too late": lambda c: put(c, 180, 8000),
    "half a file": lambda c: c[:200],
    "no MATLAB file": lambda c: bytearray(b"<html>Please sign in</html>" * 20),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_damaged_file_is_an_error(tmp_path, fault):
    path = tmp_path / "a.mat"
    path.write_bytes(FAULTS[fault](whole(path, x=np.eye(4))))
    with pytest.raises(BraintuneError, match=r"a\.mat is not a complete MATLAB file \(.+\); compare its size"):
        matlab.read(path, ["x"])
    whole(path, x=np.eye(4))
    assert matlab.shapes(path) == {"x": (4, 4)}  # after a crash the next file is read


def test_a_compressed_variable_cut_short(tmp_path):
    path = tmp_path / "a.mat"
    content = whole(path, packed=True, x=np.random.default_rng(0).normal(size=(50, 50)))
    path.write_bytes(put(content[:-2000], 132, len(content) - 2000 - 136))
    with pytest.raises(BraintuneError, match="not a complete MATLAB file"):
        matlab.read(path, ["x"])


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "reading it ended with SIGSEGV"),
        ("input(); print('{')", "Expecting property name"),
        ("""input(); print('{"answer": 1}')""", "No such file"),
        ("""input(); print('{"error": "a fault"}')""", "a fault"),
    ],
)
def test_whatever_the_reading_process_does_is_an_error(tmp_path, monkeypatch, code, reason):
    (tmp_path / "child.py").write_text(code)
    monkeypatch.setattr(matlab.matlab_subprocess, "__file__", str(tmp_path / "child.py"))
    monkeypatch.setattr(matlab, "_processes", [])
    with pytest.raises(BraintuneError, match=reason):
        matlab.read(tmp_path / "a.mat", ["x"])


def test_claimed_gigabytes_are_an_error(tmp_path):
    zeros = zlib.compress(bytes(2**22))
    path = tmp_path / "a.mat"
    content = whole(path, x=np.zeros((1, 2)))
    put(content, 132, 2**31 - 1), put(content, 160, 16_000, 16_000), put(content, 180, 2**31 - 200)
    path.write_bytes(content + zeros)
    with pytest.raises(BraintuneError, match="not a complete MATLAB file"):
        matlab.read(path, ["x"])


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


def test_cells_that_refer_to_each_other_without_end(tmp_path):
    """Forty levels of two references each: a trillion cells."""
    with h5py.File(tmp_path / "a.mat", "w") as file:
        node = marked(file, "#refs#/0", "double", np.eye(2))
        for level in range(40):
            references = np.array([node.ref, node.ref], dtype=h5py.ref_dtype)
            node = marked(file, f"#refs#/{level + 1}", "cell", references)
        file["x"] = node
    with pytest.raises(BraintuneError, match="more than 50,000 arrays"):
        matlab.read(tmp_path / "a.mat", ["x"])


def test_a_cell_that_refers_to_itself(tmp_path):
    with h5py.File(tmp_path / "a.mat", "w") as file:
        node = file.create_dataset("x", shape=(2,), dtype=h5py.ref_dtype)
        node.attrs["MATLAB_class"] = np.bytes_("cell")
        node[:] = [node.ref, node.ref]
    with pytest.raises(BraintuneError, match="not a complete MATLAB file"):
        matlab.read(tmp_path / "a.mat", ["x"])


@pytest.mark.parametrize("version", [5, 7.3])
def test_columns_far_apart_are_read(tmp_path, version):
    values = np.arange(3 * 9000.0).reshape(3, 9000)
    if version == 5:
        io.savemat(tmp_path / "a.mat", {"x": values})
    else:
        with h5py.File(tmp_path / "a.mat", "w") as file:
            marked(file, "x", "double", values.T)
    columns = np.array([0, 7, 4095, 4096, 8999])
    read = matlab.read_columns(tmp_path / "a.mat", "x", columns)
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, values[:, columns])
