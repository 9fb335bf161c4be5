"""MATLAB files in plain Python: version 5 to 7 through scipy, version 7.3 (which is HDF5) through h5py.

A cell array becomes a list (column by column, as MATLAB counts), a text a str, a struct a dict, numbers an array of the
shape they have in MATLAB. Nothing in a file is executed. A separate process with limited memory reads it, since a
damaged file may crash scipy or HDF5, or claim more memory than the machine has. Every function raises BraintuneError
for such a file, and for one that is cut short or is no MATLAB file.
"""

import contextlib
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Collection
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from scipy import io

from braintune.core.base import BraintuneError
from braintune.core.store import DEFLATE

#: Bytes that the reading process may take: a constant, and a multiple of the size of the file.
MEMORY, TIMES = 4 * 2**30, 32
#: Values in a variable of version 7.3: cells can refer to each other without end.
MOST = 50_000
#: Voxels read at a time from a file of version 7.3.
BLOCK = 4096


def shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the variables of a file and their shapes in MATLAB; no values are read."""
    return _in_child(_shapes, path)


def read(path: Path, names: Collection[str], fields: Collection[str] | None = None) -> dict[str, Any]:
    """Read some variables; those that the file does not have are left out.

    Parameters
    ----------
    path : Path
    names : collection of str
    fields : collection of str, optional
        Of a struct, only these fields.
    """
    return _in_child(_read, path, names, fields)


def read_columns(path: Path, name: str, columns: np.ndarray) -> np.ndarray:
    """Read some columns of a matrix; of version 7.3, only blocks that contain some of them are read.

    Parameters
    ----------
    path : Path
    name : str
    columns : int array of shape (n_columns,)
        Ascending, counted from 0.

    Returns
    -------
    float32 array of shape (n_rows, n_columns)
    """
    return _in_child(_read_columns, path, name, columns)


# --- the reading process -----------------------------------------------------------------------------------------

_CODE = "import sys; from braintune.datasets.brains import matlab; matlab.serve(int(sys.argv[1]))"
_children: list[tuple[subprocess.Popen, Connection]] = []  # the one that reads, once it is started


def _child() -> tuple[subprocess.Popen, Connection]:
    """Return the process that reads; it is started when first needed, and again after a crash."""
    if not _children or _children[0][0].poll() is not None:
        ours, theirs = Pipe()
        words = [sys.executable, "-P", "-c", _CODE, str(theirs.fileno())]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # each thread claims memory
        process = subprocess.Popen(words, stderr=subprocess.DEVNULL, pass_fds=[theirs.fileno()], env=environment)
        theirs.close()
        _children[:] = [(process, ours)]
    return _children[0]


def _in_child(function: Callable[..., Any], path: Path, *arguments: Any) -> Any:
    """Call a function in the reading process; its crash, or a lack of memory, is an error like any other damage."""
    process, pipe = _child()
    try:
        pipe.send((function, path, arguments))
        value, fault = pipe.recv()
    except (EOFError, ConnectionError):
        status = process.wait()
        value, fault = None, f"reading it ended with {signal.Signals(-status).name if status < 0 else status}"
    except Exception as error:  # an answer that a damaged file has garbled
        value, fault = None, _reason(error)
        process.kill()
        process.wait()
    if fault:
        raise BraintuneError(
            f"{path} is not a whole MATLAB file ({fault}); compare its size with that at its source, and get it again"
        )
    return value


def serve(descriptor: int) -> None:
    """Read what is asked for at the other end of a pipe until that is closed."""
    pipe = Connection(descriptor)
    with contextlib.suppress(EOFError):
        while True:
            function, path, arguments = pipe.recv()
            try:
                _limit_memory(path)
                reply = function(path, *arguments), ""
            except Exception as error:  # depends on where the damage is; there is no common type
                reply = None, _reason(error)
            pipe.send(reply)


def _limit_memory(path: Path) -> None:
    """Limit the memory of this process while it reads a file, on systems that have such a limit."""
    with contextlib.suppress(OSError, ValueError):
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY + TIMES * path.stat().st_size, hard))


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


# --- what it does ------------------------------------------------------------------------------------------------


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    if not h5py.is_hdf5(path):
        return {name: tuple(shape) for name, shape, _ in io.whosmat(path)}
    with h5py.File(path) as file:
        nodes = {name: node for name, node in file.items() if not name.startswith("#")}
        return {n: node.shape[::-1] if isinstance(node, h5py.Dataset) else (1, 1) for n, node in nodes.items()}


def _read(path: Path, names: Collection[str], fields: Collection[str] | None) -> dict[str, Any]:
    if not h5py.is_hdf5(path):
        values = io.loadmat(path, variable_names=list(names))
        return {name: _plain(values[name], fields) for name in names if name in values}
    with h5py.File(path) as file:
        listed = set(file)  # in a damaged file, not everything that is listed can be opened
        return {name: _Hdf5(file).plain(file[name], fields) for name in names if name in listed}


def _read_columns(path: Path, name: str, columns: np.ndarray) -> np.ndarray:
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
    if value.dtype.kind not in "biufc":
        raise ValueError(f"it holds values that are neither numbers nor texts ({value.dtype})")
    return value


class _Hdf5:
    """The nodes of an HDF5 file that MATLAB wrote, as plain Python; MATLAB transposes every array."""

    def __init__(self, file: h5py.File) -> None:
        self.file = file
        self.count = 0
        self.known: dict[int, tuple[Any, int]] = {}  # place of a node in the file → what it holds, and how many values

    def plain(self, node: h5py.Group | h5py.Dataset, fields: Collection[str] | None = None) -> Any:
        """Turn a node, and what it refers to, into plain Python."""
        place, before = h5py.h5o.get_info(node.id).addr, self.count
        if place not in self.known:  # several cells may refer to one
            value = self._plain(node, fields)
            self.known[place] = value, self.count + 1 - before
        value, n = self.known[place]
        self.count = before + n
        if self.count > MOST:
            raise ValueError(f"it holds more than {MOST:,} values, or cells that refer to each other without end")
        return value

    def _plain(self, node: h5py.Group | h5py.Dataset, fields: Collection[str] | None) -> Any:
        if isinstance(node, h5py.Group):
            return {name: self.plain(node[name]) for name in node if fields is None or name in fields}
        kind = node.attrs.get("MATLAB_class", b"double")
        kind = kind.decode() if isinstance(kind, bytes) else str(kind)
        if node.attrs.get("MATLAB_empty", 0) or not node.size:  # an empty one holds its shape in place of values
            return {"cell": [], "char": ""}.get(kind, np.zeros((0, 0)))
        _require_stored(node)
        if kind == "cell":
            return [self.plain(self.file[reference]) for reference in node[()].ravel()]
        if kind == "char":
            lines = [line.astype("<u2").tobytes().decode("utf-16-le") for line in node[()].T]
            return lines if len(lines) > 1 else "".join(lines)
        if node.dtype.kind not in "biufc":
            raise ValueError(f"it holds values that are neither numbers nor texts ({node.dtype})")
        return node[()].T


def _require_stored(node: h5py.Dataset) -> None:
    """Refuse an array whose values the file does not hold: it would be read as zeros, however many it claims."""
    stored = node.id.get_storage_size()
    if node.nbytes > DEFLATE * stored:
        raise ValueError(f"{node.name} claims {node.nbytes:,} bytes, but {stored:,} are stored")
