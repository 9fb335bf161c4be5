"""Run all jobs of a profile that are not up to date, through Snakemake."""

import fcntl
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path

from braintune.core import base, store
from braintune.core.base import BraintuneError
from braintune.core.study import PLAN, Study, profile_path
from braintune.workflow import cluster
from braintune.workflow.execute import check
from braintune.workflow.fingerprints import book_fingerprint, fingerprints, stale_jobs
from braintune.workflow.jobs import executed_notebook
from braintune.workflow.processes import make_folder
from braintune.workflow.verify import require_unaltered

#: Holds the id of the process that runs, in the folder of the run.
LOCK = ".lock"


def run_chain(profile: str, options: Iterable[str] = (), engine: str = "") -> None:
    """Check a profile, then become Snakemake and run every job that is not up to date.

    The stamped fingerprints alone decide which jobs are stale, and Snakemake gets the list: its own records are lost
    when a folder is copied or moved. The lock of a run's folder lasts exactly as long as Snakemake, even if that is
    killed; Snakemake's own lock would remain and have to be removed by hand.

    Parameters
    ----------
    profile : str
        Name or path.
    options : iterable of str
        Further options of Snakemake, such as ``--cores 2`` or ``--dry-run``.
    engine : str
        Where jobs run: name or path of an engine's file, see :mod:`braintune.workflow.cluster`; empty for this machine.

    Raises
    ------
    BraintuneError
        If there is no such engine, if `cores` is no number above 0, if the same run is in progress, if results of a run
        that is up to date were altered, or as :func:`braintune.workflow.execute.check`.
    """
    study, options = Study.load(profile), list(options)
    _check_cores(options)
    where = cluster.options_for(engine) if engine else []
    with _locked(study):
        _run_locked(study, profile_path(profile), [*where, *options])


def _run_locked(study: Study, profile: Path, options: list[str]) -> None:
    """Become Snakemake if a job is not up to date, the lock of the run's folder held."""
    plan = fingerprints(study)
    todo = stale_jobs(study, plan)
    forced = any(option.startswith(("-R", "-f", "-F", "--force")) for option in options)
    if todo:
        check(study)
    stale = [in_folder(study, executed_notebook(study, job)) for job in todo]
    if stale or not book_is_current(study):
        stale.append(in_folder(study, study.book_page))
    elif not forced:
        require_unaltered(study)
        print(f"nothing to do: all {len(plan)} jobs and the book of {study.profile!r} are up to date", flush=True)
        return
    if not forced and {"-n", "--dry-run", "--dryrun"} & set(options):  # Snakemake lists what the user forces
        print(*(f"would run  {job.label}" for job in todo), "would build the book", sep="\n", flush=True)
        return
    store.write_json(study.folder / PLAN, {"profile": os.path.relpath(profile, study.folder.resolve()), "stale": stale})
    store.hand_on_checksums(study.folder / ".checksums.json")
    command = [str(Path(sys.executable).parent / "snakemake"), "--snakefile", str(base.REPOSITORY / "Snakefile")]
    command += ["--directory", str(study.folder), "--nolock", "--rerun-incomplete", "--keep-going"]
    command += ["--rerun-triggers", "software-env"]  # no trigger of Snakemake's own; there is no such environment
    command += [*options, "--forcerun", *stale]
    sys.stdout.flush()
    os.execv(command[0], command)


def in_folder(study: Study, path: Path) -> str:
    """Return a path relative to a run's folder, where Snakemake works: it takes braces in a path for wildcards."""
    return os.path.relpath(path.resolve(), study.folder.resolve())


def _check_cores(options: list[str]) -> None:
    """Refuse a number of cores with which Snakemake would wait for ever."""
    for option, value in pairwise(options):
        if option in ("--cores", "-c") and value != "all" and not (value.isdecimal() and int(value)):
            raise BraintuneError(f"cores: {value!r} must be a whole number from 1, or all; as in `make book CORES=2`")


def book_is_current(study: Study) -> bool:
    """Return whether the book is built and up to date with everything it shows."""
    try:
        built = store.read_json(study.folder / "provenance.json")["book"]
    except (BraintuneError, KeyError, TypeError):  # missing or damaged: the book writes it again
        return False
    return study.book_page.is_file() and built == book_fingerprint(study)


@contextmanager
def _locked(study: Study) -> Iterator[None]:
    """Lock a run's folder; where nothing was written, as after a refusal, remove what was made for the lock."""
    made = [folder for folder in (study.folder, *study.folder.parents) if not folder.exists()]
    lock = None
    try:
        make_folder(study.folder)
        lock = _take_lock(study)
        yield
    finally:
        if lock is not None:
            if [path.name for path in study.folder.iterdir()] == [LOCK]:
                (study.folder / LOCK).unlink()
            os.close(lock)
        for folder in made:
            with suppress(OSError):  # it holds something
                folder.rmdir()


def _take_lock(study: Study) -> int:
    """Lock a run's folder for this process and for the Snakemake that it becomes."""
    lock = os.open(study.folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BraintuneError(
            f"a run of profile {study.profile!r} is in progress in {study.folder}; wait for it, or stop it (kill "
            f"{os.pread(lock, 20, 0).decode()}) and run the same command again: finished jobs are kept"
        ) from None
    except OSError as error:  # some shared file systems have no locks
        print(f"{study.folder} cannot be locked ({error.strerror}): make sure that this run is started only once")
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
    os.set_inheritable(lock, True)
    return lock


def main(words: Iterable[str]) -> None:
    """Run the command ``PROFILE [--engine ENGINE] [OPTION …]``."""
    match list(words):
        case [profile, "--engine", engine, *options]:
            run_chain(profile, options, engine)
        case [profile, *options]:
            run_chain(profile, options)
        case _:
            raise BraintuneError("which profile? python -m braintune run PROFILE [--engine ENGINE] [OPTION …]")
