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
from braintune.workflow.fingerprints import fingerprints
from braintune.workflow.jobs import executed_notebook, stamp_of
from braintune.workflow.processes import make_folder

# --- command line ------------------------------------------------------------------------------------------------


def run_chain(profile: str, options: Iterable[str] = (), engine: str = "") -> None:
    """Check a profile where something is to be done, then become Snakemake and run every job that is not up to date.

    The lock of a run's folder lasts exactly as long as Snakemake does, also where that is killed. (Snakemake's own
    lock would stay behind, and the next run would ask for it to be removed by hand.)

    Parameters
    ----------
    profile : str
        Name or path.
    options : iterable of str
        Further options of Snakemake, such as ``--cores 2`` or ``--dry-run``.
    engine : str
        Where jobs run: name or path of an engine's file, see :mod:`braintune.workflow.cluster`; nothing for this machine.

    Raises
    ------
    BraintuneError
        If there is no such engine, if the same run is going on already, or as :func:`braintune.workflow.execute.check`.
    """
    run = Study.load(profile)
    where, config = cluster.options_for(engine) if engine else ([], [])
    make_folder(run.folder)
    _take_lock(run)
    if any(stamp_of(executed_notebook(run, job)) != stamp for job, stamp in fingerprints(run).items()):
        check(run)
    store.hand_on_checksums(run.folder / ".checksums.json")
    command = [str(Path(sys.executable).parent / "snakemake"), "--snakefile", str(base.REPOSITORY / "Snakefile")]
    command += ["--directory", str(run.folder), "--nolock", "--rerun-incomplete", "--keep-going"]
    command += ["--config", f"profile={profile_path(profile).resolve()}", *config]
    sys.stdout.flush()
    os.execv(command[0], [*command, *where, *options])


def _take_lock(run: Study) -> None:
    """Lock a run's folder for this process and for the Snakemake that it becomes."""
    lock = os.open(run.folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BraintuneError(
            f"a run of profile {run.profile!r} is going on in {run.folder}; wait for it, or stop it (kill "
            f"{os.pread(lock, 20, 0).decode()}) and run the same command again: what is done is kept"
        ) from None
    except OSError as error:  # some shared file systems know no locks
        print(f"{run.folder} cannot be locked ({error.strerror}): see to it that this run is started only once")
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
