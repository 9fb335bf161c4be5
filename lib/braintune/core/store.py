"""Files of a run: checksums, and tables, JSON and arrays, each written completely or not at all."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd

from braintune.core.base import BraintuneError

if TYPE_CHECKING:
    import torch

Read = TypeVar("Read")

#: Highest compression ratio that gzip and zlib reach.
DEFLATE = 1032

# --- checksums ---------------------------------------------------------------------------------------------------

#: State of a file (path, size, time of change) → its SHA-256.
_CHECKSUMS: dict[str, str] = {}


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file, computed once per state of the file by this process or the run that started it."""
    stat = path.stat()
    state = f"{path}, {stat.st_size} bytes, {stat.st_mtime_ns}"
    if state not in _CHECKSUMS:
        _CHECKSUMS[state] = _handed_on().get(state) or _sha256(path)
    return _CHECKSUMS[state]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:  # some are larger than memory
        return hashlib.file_digest(file, "sha256").hexdigest()


def hand_on_checksums(file: Path, least: int = 2**20) -> None:
    """Write the checksums of large files to `file` for the processes that this one starts.

    Every job computes its fingerprint; with this file no job reads gigabytes of data just to checksum them.
    """
    large = {state: sha for state, sha in _CHECKSUMS.items() if int(state.rsplit(", ", 2)[1].split()[0]) >= least}
    write_json(file, large)
    os.environ["BRAINTUNE_CHECKSUMS"] = str(file)


@cache
def _handed_on() -> dict[str, str]:
    file = Path(os.environ.get("BRAINTUNE_CHECKSUMS", ""))
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


# --- reading and writing -----------------------------------------------------------------------------------------


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, and rename it when the block ends without an error."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise BraintuneError(
            f"cannot write {path}: {error.strerror or error}; earlier results are untouched; check the free space and "
            "the permissions of the folder, and run again"
        ) from error
    finally:
        if temporary.exists():
            temporary.unlink()


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a tidy table as Parquet."""
    with atomic(path) as temporary:
        table.to_parquet(temporary, index=False, compression="zstd")


def read_table(path: Path) -> pd.DataFrame:
    """Read a Parquet table; a missing or damaged one is an error that names the remedy."""
    return _read(path, pd.read_parquet)


def write_json(path: Path, content: Any) -> None:
    """Write a small result as JSON."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a small result from JSON."""
    return _read(path, lambda path: json.loads(path.read_text(encoding="utf-8")))


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None) -> None:
    """Write named arrays as safetensors, with text metadata."""
    from safetensors.numpy import save_file

    with atomic(path) as temporary:
        save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, temporary, dict(metadata or {}))


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read named arrays from safetensors."""
    from safetensors.numpy import load_file

    return _read(path, load_file)


def read_tensors(path: Path) -> tuple[dict[str, "torch.Tensor"], dict[str, str]]:
    """Read named tensors from safetensors, and their metadata."""
    from safetensors import safe_open

    def read(path: Path) -> tuple[dict[str, "torch.Tensor"], dict[str, str]]:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118

    return _read(path, read)


def _read(path: Path, reader: Callable[[Path], Read]) -> Read:
    """Read a result; a missing or damaged one is an error that names the remedy."""
    if not path.is_file():
        raise BraintuneError(f"{path} does not exist; `make book` creates it, or run the notebook of its step by hand")
    try:
        return reader(path)
    except Exception as error:  # every format raises different errors for a damaged file
        raise BraintuneError(
            f"{path} is damaged ({type(error).__name__}: {error}); `make verify PROFILE=…` shows which job "
            "creates it and how to run it again"
        ) from error
