"""MATLAB files in plain Python: version 5 to 7 through scipy, version 7.3 (which is HDF5) through h5py.

A cell array becomes a list (column by column, as in MATLAB), text a str, a struct a dict, and numbers an array with the
same shape as in MATLAB. Nothing in a file is executed, and a separate process reads it: a damaged file may crash scipy,
or claim more memory than the machine has. Every function raises BraintuneError for such a file, and for one that is
truncated or is not a MATLAB file.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from braintune.core.base import BraintuneError
from braintune.datasets.brains import matlab_subprocess


def shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the variables of a file and their shapes in MATLAB; no values are read."""
    return {name: tuple(shape) for name, shape in _ask(path, "shapes").items()}


def read(path: Path, names: Collection[str], fields: Collection[str] | None = None) -> dict[str, Any]:
    """Read some variables; those that the file does not have are left out.

    Parameters
    ----------
    path : Path
    names : collection of str
    fields : collection of str, optional
        The fields of a struct to read; None reads all.
    """
    return _ask(path, "read", list(names), None if fields is None else list(fields))


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
    """
    return _ask(path, "read_columns", name, np.asarray(columns).tolist())


_processes: list[subprocess.Popen] = []  # the reading process, once it is started


def _reader() -> subprocess.Popen:
    """Return the process that reads; it is started when first needed, and again after a crash."""
    if not _processes or _processes[0].poll() is not None:
        environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # each thread claims memory
        words, pipe = [sys.executable, "-P", matlab_subprocess.__file__], subprocess.PIPE
        child = subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, env=environment)
        _processes[:] = [child]
    return _processes[0]


def _ask(path: Path, *request: Any) -> Any:
    """Let the other process read the file; if it crashes or lacks memory, the error is the same as for other damage."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            child = _reader()
            child.stdin.write(json.dumps([str(path), folder, *request]) + "\n")
            child.stdin.flush()
            if not (line := child.stdout.readline()):
                raise ValueError(f"reading it ended with {signal.Signals(-child.wait()).name}")
            reply = json.loads(line)
            if "error" in reply:
                raise ValueError(reply["error"])
            with np.load(Path(folder) / "arrays.npz", allow_pickle=False) as arrays:
                return _with_arrays(reply["answer"], arrays)
        except Exception as error:  # also an answer that a damaged file has garbled
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise BraintuneError(
                f"{path} is not a complete MATLAB file ({reason}); compare its size with the original, and download "
                "it again"
            ) from None


def _with_arrays(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """Put the arrays back into an answer."""
    if isinstance(value, list):
        return [_with_arrays(entry, arrays) for entry in value]
    if isinstance(value, dict):
        if value.keys() == {"array"} and isinstance(value["array"], int):
            return arrays[f"arr_{value['array']}"]
        return {name: _with_arrays(entry, arrays) for name, entry in value.items()}
    return value
