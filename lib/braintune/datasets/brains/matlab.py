"""MATLAB files in plain Python: version 5 to 7 through scipy, version 7.3 (which is HDF5) through h5py.

A cell array becomes a list (column by column, as MATLAB counts), a text a str, a struct a dict, numbers an array of the
shape they have in MATLAB. Nothing in a file is executed.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from scipy import io

from braintune.core.base import BraintuneError
from braintune.core.store import DEFLATE
from braintune.datasets.brains import mattags

#: Voxels read at a time from a file of version 7.3.
BLOCK = 4096


def shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the variables of a file and their shapes in MATLAB; no values are read.

    Raises
    ------
    BraintuneError
        If the file is cut short, damaged, or no MATLAB file.
    """
    with _readable(path):
        if not h5py.is_hdf5(path):
            return {name: shape for name, shape, _ in io.whosmat(path)}
        with h5py.File(path) as file:
            nodes = {name: node for name, node in file.items() if not name.startswith("#")}
            return {n: node.shape[::-1] if isinstance(node, h5py.Dataset) else (1, 1) for n, node in nodes.items()}


def read(path: Path, names: Collection[str], fields: Collection[str] | None = None) -> dict[str, Any]:
    """Read some variables; those that the file does not have are left out.

    Parameters
    ----------
    path : Path
    names : collection of str
    fields : collection of str, optional
        Of a struct, only these fields.

    Raises
    ------
    BraintuneError
        If the file is cut short, damaged, or no MATLAB file.
    """
    with _readable(path):
        if not h5py.is_hdf5(path):
            found = io.loadmat(path, variable_names=list(names))
            return {name: _plain(found[name], fields) for name in names if name in found}
        with h5py.File(path) as file:
            read: dict[int, Any] = {}
            there = set(file)  # what is listed; in a damaged file not all of it is found
            return {name: _plain_hdf5(file, file[name], read, fields) for name in names if name in there}


def read_columns(path: Path, name: str, columns: np.ndarray) -> np.ndarray:
    """Read some columns of a matrix.

    Parameters
    ----------
    path : Path
    name : str
    columns : int array of shape (n_columns,)
        Ascending, counted from 0.

    Returns
    -------
    float32 array of shape (n_rows, n_columns)
        From version 7.3 only what lies near the columns is read; from older versions the whole matrix, which is
        forgotten again.

    Raises
    ------
    BraintuneError
        If the file is cut short, damaged, or no MATLAB file.
    """
    with _readable(path):
        if not h5py.is_hdf5(path):
            return io.loadmat(path, variable_names=[name])[name][:, columns].astype(np.float32)
        with h5py.File(path) as file:
            matrix = file[name]  # transposed: a voxel is a row
            _require_stored(matrix)
            out = np.empty((matrix.shape[1], len(columns)), dtype=np.float32)
            for start in np.unique(columns // BLOCK) * BLOCK:
                inside = slice(*np.searchsorted(columns, [start, start + BLOCK]))
                out[:, inside] = matrix[start : start + BLOCK][columns[inside] - start].T
            return out


@cache
def _look_through(path: Path, *_state: int) -> None:
    mattags.require_whole(path)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Look through a file of versions 5 to 7, once for each state of it; tell in our words what is wrong with any."""
    try:
        stat = path.stat()
        if not h5py.is_hdf5(path):
            _look_through(path, stat.st_size, stat.st_mtime_ns)
        yield
    except Exception as error:  # what a damaged file raises depends on where the damage is; there is no common type
        told = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BraintuneError(
            f"{path} is not a whole MATLAB file ({told}); compare its size with that at its source, and get it again"
        ) from None


def _plain(value: np.ndarray, fields: Collection[str] | None = None) -> Any:
    """Turn what scipy returns into plain Python."""
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


def _plain_hdf5(
    file: h5py.File, node: h5py.Group | h5py.Dataset, read: dict[int, Any], fields: Collection[str] | None = None
) -> Any:
    """Turn a node of an HDF5 file that MATLAB wrote into plain Python; MATLAB transposes every array.

    What several cells refer to is read once, and kept in `read` by its place in the file: a small file could else hold
    cells of cells without end.
    """
    place = h5py.h5o.get_info(node.id).addr
    if place not in read:
        read[place] = None
        if isinstance(node, h5py.Group):
            read[place] = {
                name: _plain_hdf5(file, node[name], read) for name in node if fields is None or name in fields
            }
        else:
            read[place] = _plain_dataset(file, node, read)
    if read[place] is None:
        raise ValueError(f"{node.name} refers to itself")
    return read[place]


def _plain_dataset(file: h5py.File, node: h5py.Dataset, read: dict[int, Any]) -> Any:
    kind = node.attrs.get("MATLAB_class", b"double")
    kind = kind.decode() if isinstance(kind, bytes) else str(kind)
    if node.attrs.get("MATLAB_empty", 0) or not node.size:  # an empty one holds its shape in place of values
        return {"cell": [], "char": ""}.get(kind, np.zeros((0, 0)))
    _require_stored(node)
    if kind == "cell":
        return [_plain_hdf5(file, file[reference], read) for reference in node[()].ravel()]
    if kind == "char":
        lines = [line.astype("<u2").tobytes().decode("utf-16-le") for line in node[()].T]
        return lines if len(lines) > 1 else "".join(lines)
    return node[()].T


def _require_stored(node: h5py.Dataset) -> None:
    """Refuse an array whose values the file does not hold: it would be read as zeros, however many it claims."""
    stored = node.id.get_storage_size()
    if node.nbytes > DEFLATE * stored:
        raise ValueError(f"{node.name} claims {node.nbytes:,} bytes, but {stored:,} are stored")
