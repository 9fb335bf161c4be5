"""Run all jobs of a profile that are not up to date, through Snakemake."""

import fcntl
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from braintune.core import base, store
from braintune.core.base import BraintuneError
from braintune.core.study import Study, profile_path
from braintune.workflow import cluster
from braintune.workflow.execute import check
from braintune.workflow.fingerprints import book_fingerprint, fingerprints, stale_jobs
from braintune.workflow.jobs import executed_notebook
from braintune.workflow.processes import make_folder


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
        If there is no such engine, if the same run is in progress, or as :func:`braintune.workflow.execute.check`.
    """
    study, options = Study.load(profile), list(options)
    where = cluster.options_for(engine) if engine else []
    make_folder(study.folder)
    _take_lock(study)
    plan = fingerprints(study)
    stale = [str(executed_notebook(study, job)) for job in stale_jobs(study, plan)]
    if stale:
        check(study)
    if stale or not book_is_current(study):
        stale.append(str(study.book_page))
    elif not any(option.startswith(("-R", "-f", "-F", "--force")) for option in options):
        print(f"nothing to do: all {len(plan)} jobs and the book of {study.profile!r} are up to date", flush=True)
        return
    store.write_json(stale_file(study), stale)
    store.hand_on_checksums(study.folder / ".checksums.json")
    command = [str(Path(sys.executable).parent / "snakemake"), "--snakefile", str(base.REPOSITORY / "Snakefile")]
    command += ["--directory", str(study.folder), "--nolock", "--rerun-incomplete", "--keep-going"]
    command += ["--rerun-triggers", "software-env"]  # no trigger of Snakemake's own; there is no such environment
    command += ["--config", f"profile={profile_path(profile).resolve()}"]
    command += [*where, *options, "--forcerun", *stale]
    sys.stdout.flush()
    os.execv(command[0], command)


def stale_file(study: Study) -> Path:
    """Return the path of the list of pages to be made again, which the Snakefile reads."""
    return study.folder / ".stale.json"


def book_is_current(study: Study) -> bool:
    """Return whether the book is built and up to date with everything it shows."""
    try:
        built = store.read_json(study.folder / "provenance.json")["book"]
    except (BraintuneError, KeyError, TypeError):  # missing or damaged: the book writes it again
        return False
    return study.book_page.is_file() and built == book_fingerprint(study)


def _take_lock(study: Study) -> None:
    """Lock a run's folder for this process and for the Snakemake that it becomes."""
    lock = os.open(study.folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
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


def main(words: Iterable[str]) -> None:
    """Run the command ``PROFILE [--engine ENGINE] [OPTION …]``."""
    match list(words):
        case [profile, "--engine", engine, *options]:
            run_chain(profile, options, engine)
        case [profile, *options]:
            run_chain(profile, options)
        case _:
            raise BraintuneError("which profile? python -m braintune run PROFILE [--engine ENGINE] [OPTION …]")
