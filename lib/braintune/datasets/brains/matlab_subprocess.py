"""Reading MATLAB files, in a separate process that :mod:`braintune.datasets.brains.matlab` starts and asks.

A damaged file may crash scipy or HDF5, or claim more memory than the machine has; this ends only this process, and the
other one reports an error. Each line of the input is a request as JSON; each line of the output is its answer or an
error. In an answer, ``{"array": n}`` is array n of ``arrays.npz`` in the folder that the request names. This file
imports no other file of the library.
"""

import contextlib
import json
import resource
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from scipy import io

#: Memory limit of the process: a number of bytes, plus this many times the size of the file.
MEMORY, TIMES = 4 * 2**30, 32
#: Largest number of arrays in an answer: cells can refer to each other endlessly.
MOST = 50_000
#: Voxels read at a time from a file of version 7.3.
BLOCK = 4096
#: Highest compression ratio that gzip and zlib reach.
DEFLATE = 1032


def shapes(path: Path) -> dict[str, Any]:
    """Return the variables of a file and their shapes in MATLAB."""
    if not h5py.is_hdf5(path):
        return {name: shape for name, shape, _ in io.whosmat(path)}
    with h5py.File(path) as file:
        nodes = {name: node for name, node in file.items() if not name.startswith("#")}
        return {n: node.shape[::-1] if isinstance(node, h5py.Dataset) else (1, 1) for n, node in nodes.items()}


def read(path: Path, names: Collection[str], fields: Collection[str] | None) -> dict[str, Any]:
    """Return those variables that the file has; of a struct, only `fields`."""
    if not h5py.is_hdf5(path):
        values = io.loadmat(path, variable_names=list(names))
        return {name: _plain(values[name], fields) for name in names if name in values}
    with h5py.File(path) as file:
        listed = set(file)  # in a damaged file, not everything that is listed can be opened
        reader = _Hdf5(file)
        return {name: reader.plain(file[name], fields) for name in names if name in listed}


def read_columns(path: Path, name: str, columns: list[int]) -> np.ndarray:
    """Return some columns of a matrix as float32; from version 7.3, only blocks that contain them are read."""
    wanted = np.array(columns, dtype=int)
    if not h5py.is_hdf5(path):
        return io.loadmat(path, variable_names=[name])[name][:, wanted].astype(np.float32)
    with h5py.File(path) as file:
        matrix = file[name]  # transposed: a voxel is a row
        _require_stored(matrix)
        out = np.empty((matrix.shape[1], len(wanted)), dtype=np.float32)
        for start in np.unique(wanted // BLOCK) * BLOCK:
            inside = slice(*np.searchsorted(wanted, [start, start + BLOCK]))
            out[:, inside] = matrix[start : start + BLOCK][wanted[inside] - start].T
        return out


def _plain(value: Any, fields: Collection[str] | None = None) -> Any:
    """Turn what scipy returns into plain Python."""
    if not isinstance(value, np.ndarray):  # a sparse matrix
        return value.toarray()
    if value.dtype.names:
        names = [name for name in value.dtype.names if fields is None or name in fields]
        records = [{name: _plain(record[name]) for name in names} for record in value.ravel(order="F")]
        return records[0] if len(records) == 1 else records
    if value.dtype == object:
        return [_plain(entry) for entry in value.ravel(order="F")]
    if value.dtype.kind == "U":
        lines = [str(line) for line in value.ravel()]
        return lines if len(lines) > 1 else "".join(lines)
    return value


class _Hdf5:
    """The nodes of an HDF5 file that MATLAB wrote, as plain Python; MATLAB transposes every array."""

    def __init__(self, file: h5py.File) -> None:
        self.file = file
        self.values: dict[int, Any] = {}  # by address in the file: several cells may refer to one node

    def plain(self, node: h5py.Group | h5py.Dataset, fields: Collection[str] | None = None) -> Any:
        """Turn a node, and what it refers to, into plain Python."""
        place = h5py.h5o.get_info(node.id).addr
        if place not in self.values:
            if isinstance(node, h5py.Group):
                names = [name for name in node if fields is None or name in fields]
                self.values[place] = {name: self.plain(node[name]) for name in names}
            else:
                self.values[place] = self._plain_dataset(node)
        return self.values[place]

    def _plain_dataset(self, node: h5py.Dataset) -> Any:
        kind = node.attrs.get("MATLAB_class", b"double")
        kind = kind.decode() if isinstance(kind, bytes) else str(kind)
        if node.attrs.get("MATLAB_empty", 0) or not node.size:  # an empty array stores its shape instead of values
            return {"cell": [], "char": ""}.get(kind, np.zeros((0, 0)))
        _require_stored(node)
        if kind == "cell":
            return [self.plain(self.file[reference]) for reference in node[()].ravel()]
        if kind == "char":
            lines = [line.astype("<u2").tobytes().decode("utf-16-le") for line in node[()].T]
            return lines if len(lines) > 1 else "".join(lines)
        return node[()].T


def _require_stored(node: h5py.Dataset) -> None:
    """Reject an array whose values are not in the file: it would be read as zeros, whatever size it claims."""
    stored = node.id.get_storage_size()
    if node.nbytes > DEFLATE * stored:
        raise ValueError(f"{node.name} claims {node.nbytes:,} bytes, but {stored:,} are stored")


def answer(path: Path, folder: Path, what: str, *request: Any) -> str:
    """Answer a request: write the arrays to the folder, and return everything else as JSON."""
    arrays: list[np.ndarray] = []

    def keep(value: Any) -> dict[str, int]:
        if not isinstance(value, np.ndarray) or value.dtype.hasobject or value.dtype.kind == "V":
            raise ValueError(f"it holds values that are neither numbers nor text ({type(value).__name__})")
        if len(arrays) == MOST:
            raise ValueError(f"it holds more than {MOST:,} arrays, or cells that refer to each other without end")
        arrays.append(value)
        return {"array": len(arrays) - 1}

    readers: dict[str, Callable[..., Any]] = {"shapes": shapes, "read": read, "read_columns": read_columns}
    text = json.dumps(readers[what](path, *request), default=keep)
    np.savez(folder / "arrays.npz", *arrays)
    return f'{{"answer": {text}}}'


def limit_memory(path: Path) -> None:
    """Limit the memory of the process while it reads a file, on systems that support such a limit."""
    with contextlib.suppress(OSError, ValueError):
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY + TIMES * path.stat().st_size, hard))


if __name__ == "__main__":
    for line in sys.stdin:
        name, place, *asked = json.loads(line)
        try:
            limit_memory(Path(name))
            reply = answer(Path(name), Path(place), *asked)
        except Exception as error:  # a damaged file can raise almost any error, depending on the damage
            reply = json.dumps({"error": (str(error).strip() or type(error).__name__).splitlines()[0]})
        print(reply, flush=True)
