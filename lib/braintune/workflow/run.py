"""Run all jobs of a profile that are not up to date, through Snakemake."""

import fcntl
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from braintune.core import base, store
from braintune.core.base import BraintuneError
from braintune.core.study import PLAN, Study, profile_path
from braintune.workflow import cluster
from braintune.workflow.execute import check
from braintune.workflow.fingerprints import book_fingerprint, fingerprints, stale_jobs
from braintune.workflow.jobs import Job, all_jobs, executed_notebook
from braintune.workflow.processes import make_folder
from braintune.workflow.verify import require_unaltered

#: Holds the id of the process that runs, in the folder of the run.
LOCK = ".lock"


@dataclass(frozen=True)
class Batch:
    """What one Snakemake runs: the run of a profile, or those of a sweep.

    Attributes
    ----------
    name : str
    path, folder, page : Path
        The file that describes it, where Snakemake works, and the page that is made last.
    profiles, studies : dict of str to Path, dict of str to Study
        Of each run, by a name that is empty for that of a profile.
    verb : str
        The command that makes the page.
    """

    name: str
    path: Path
    folder: Path
    page: Path
    profiles: dict[str, Path]
    studies: dict[str, Study]
    verb: str = "book"


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
    study, path = Study.load(profile), profile_path(profile)
    batch = Batch(study.profile, path, study.folder, study.book_page, {"": path}, {"": study})
    options = all_options(options, engine)
    with locked(study.folder, study.profile):
        todo = {"": stale_jobs(study, fingerprints(study))}
        if todo[""]:
            for remark in check(study):
                print(remark, flush=True)
        become_snakemake(batch, todo, book_is_current(study), options)


def all_options(options: Iterable[str], engine: str) -> list[str]:
    """Return the options of Snakemake with those of an engine, checked."""
    options = list(options)
    _check_cores(options)
    return [*(cluster.options_for(engine) if engine else []), *options]


def become_snakemake(batch: Batch, todo: Mapping[str, list[Job]], current: bool, options: list[str]) -> None:
    """Become Snakemake if a job or the page is not up to date; the folders of all runs are locked.

    `todo` holds the stale jobs of the runs that take part, and `current` says whether the page is up to date.
    """
    forced = any(option.startswith(("-R", "-f", "-F", "--force")) for option in options)
    studies = {name: batch.studies[name] for name in todo}
    # A model that several runs share is tuned once.
    jobs = {executed_notebook(studies[name], job): f"{name}: {job.label}" for name in todo for job in todo[name]}
    stale = [in_folder(batch.folder, notebook) for notebook in jobs]
    if stale or not current:
        stale.append(in_folder(batch.folder, batch.page))
    elif not forced:
        for study in studies.values():
            require_unaltered(study)
        notebooks = {executed_notebook(study, job) for study in studies.values() for job in all_jobs(study)}
        print(f"nothing to do: all {len(notebooks)} jobs and the book of {batch.name!r} are up to date", flush=True)
        return
    if not forced and {"-n", "--dry-run", "--dryrun"} & set(options):  # Snakemake lists what the user forces
        print(
            *(f"would run  {label.removeprefix(': ')}" for label in jobs.values()),
            "would build the book",
            sep="\n",
            flush=True,
        )
        return
    # with a slash at its end; that of a single run is where Snakemake works, and so empty
    folders = {name: in_folder(batch.folder, study.folder / "x")[:-1] for name, study in studies.items()}
    runs = {folders[name]: in_folder(batch.folder, batch.profiles[name]) for name in studies}
    page, profile = (in_folder(batch.folder, path) for path in (batch.page, batch.path))
    plan = {"verb": batch.verb, "profile": profile, "page": page, "runs": runs, "stale": stale}
    store.write_json(batch.folder / PLAN, plan)
    store.hand_on_checksums(batch.folder / ".checksums.json")
    command = [str(Path(sys.executable).parent / "snakemake"), "--snakefile", str(base.REPOSITORY / "Snakefile")]
    command += ["--directory", str(batch.folder), "--nolock", "--rerun-incomplete", "--keep-going"]
    command += ["--rerun-triggers", "software-env"]  # no trigger of Snakemake's own; there is no such environment
    command += [*options, "--forcerun", *stale]
    sys.stdout.flush()
    os.execv(command[0], command)


def in_folder(folder: Path, path: Path) -> str:
    """Return a path relative to the folder where Snakemake works: it takes braces in a path for wildcards."""
    return os.path.relpath(path.parent.resolve() / path.name, folder.resolve())


def _check_cores(options: list[str]) -> None:
    """Refuse a number of cores with which Snakemake would wait for ever."""
    for option, value in pairwise(options):
        if option in ("--cores", "-c") and value != "all" and not (value.isdecimal() and int(value)):
            raise BraintuneError(f"cores: {value!r} must be a positive whole number, or all; as in `make book CORES=2`")


def book_is_current(study: Study) -> bool:
    """Return whether the book is built and up to date with everything it shows."""
    try:
        built = store.read_json(study.folder / "provenance.json")["book"]
    except (BraintuneError, KeyError, TypeError):  # missing or damaged: the book writes it again
        return False
    return study.book_page.is_file() and built == book_fingerprint(study)


@contextmanager
def locked(folder: Path, name: str) -> Iterator[None]:
    """Lock the folder of a run or a sweep; where nothing is written, as after a refusal, remove what the lock made."""
    made = [one for one in (folder, *folder.parents) if not one.exists()]
    lock = None
    try:
        make_folder(folder)
        lock = _take_lock(folder, name)
        yield
    finally:
        if lock is not None:
            if [path.name for path in folder.iterdir()] == [LOCK]:
                (folder / LOCK).unlink()
            os.close(lock)
        for one in made:
            with suppress(OSError):  # it holds something
                one.rmdir()


def _take_lock(folder: Path, name: str) -> int:
    """Lock a folder for this process and for the Snakemake that it becomes."""
    lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BraintuneError(
            f"a run of profile {name!r} is in progress in {folder}; wait for it, or stop it (kill "
            f"{os.pread(lock, 20, 0).decode()}) and run the same command again: finished jobs are kept"
        ) from None
    except OSError as error:  # some shared file systems have no locks
        print(f"{folder} cannot be locked ({error.strerror}): make sure that this run is started only once")
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
    os.set_inheritable(lock, True)
    return lock


def main(words: Iterable[str]) -> None:
    """Run the command ``PROFILE [--engine ENGINE] [OPTION …]``."""
    run_chain(*read_words(words, "profile", "run PROFILE"))


def read_words(words: Iterable[str], what: str, usage: str) -> tuple[str, list[str], str]:
    """Return the profile or sweep of a command, the options of Snakemake, and the engine (empty for this machine)."""
    match list(words):
        case [name, "--engine", engine, *options]:
            return name, options, engine
        case [name, *options]:
            return name, options, ""
    raise BraintuneError(f"which {what}? python -m braintune {usage} [--engine ENGINE] [OPTION …]")
