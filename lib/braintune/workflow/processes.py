"""Processes of a run: one writer for each job, and no process that outlives the run."""

import fcntl
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from braintune.core.base import BraintuneError


def make_folder(folder: Path) -> None:
    """Make a folder that files can be written to.

    Raises
    ------
    BraintuneError
        If it cannot be made, or nothing can be written there: a disk that is full or read-only, or a file in the way.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"-")
    except OSError as error:
        raise BraintuneError(
            f"cannot write to {folder}: {error.strerror or error}; free some space or allow writing there, or name "
            "another folder with `runs`"
        ) from None


@contextmanager
def alone(target: Path) -> Iterator[int]:
    """Hold the lock of what one job makes, so that no two processes write the same files.

    If another process holds it (two profiles share a model, or a killed Snakemake left a job running), this one waits.

    Yields
    ------
    lock : int
        A file descriptor. A process that inherits it holds the lock until it ends.
    """
    folder = target.parent / ".locks"
    make_folder(folder)
    lock = os.open(folder / target.stem, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"          {target.name}: another process is still making it; waiting for it to finish", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:  # some shared file systems have no locks; the run has warned of it
            pass
        yield lock
    finally:
        os.close(lock)


def end_with_parent(every: float = 1.0) -> None:
    """End this process, as Ctrl-C would, soon after the process whose id is in ``BRAINTUNE_PARENT``.

    A killed Snakemake leaves its jobs running, and they would compute the same as the jobs of the next run.
    """
    if not (parent := os.environ.pop("BRAINTUNE_PARENT", "")):
        return  # started by hand

    def watch() -> None:
        while str(os.getppid()) == parent:
            time.sleep(every)
        os.kill(os.getpid(), signal.SIGINT)  # ends a kernel or a build as well
        time.sleep(10 * every)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
