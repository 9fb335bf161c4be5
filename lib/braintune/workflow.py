"""The jobs of a run: what each notebook is given, reads and writes, what makes it stale, and how it is executed.

The Snakefile asks this module for names only; Snakemake decides the order. A job's *fingerprint* covers its notebook,
the library modules that notebook reaches, the parameters that matter to it, the data, and everything upstream. It is
a parameter of the Snakemake rule, so a changed fingerprint re-runs the job; it is stamped into the executed notebook,
so the book can refuse a page of another run.
"""

import ast
import errno
import fcntl
import glob
import hashlib
import json
import logging
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from braintune import brain, engines, store, study
from braintune.processes import alone, command, end_with_parent, make_folder
from braintune.study import BraintuneError, Study, choose

NOTEBOOKS = study.REPOSITORY / "notebooks"
LIBRARY = Path(__file__).parent


@dataclass(frozen=True)
class Step:
    """One notebook of the chain.

    Attributes
    ----------
    own : tuple of str
        The notebook's own parameters, the wildcards of its rule.
    groups : tuple of Settings classes
        The groups of parameters that it reads.
    after : tuple of str
        The steps whose artefacts it reads.
    """

    own: tuple[str, ...]
    groups: tuple[type[study.Settings], ...]
    after: tuple[str, ...] = ()


_TUNING = (study.WorldSettings, study.TaskSettings, study.TuningSettings)
_BRAINS = (study.WorldSettings, study.BrainSettings, study.SimulationSettings)

STEPS: dict[str, Step] = {
    "tuning": Step(("task", "method", "seed"), _TUNING),
    "embeddings": Step(("brain",), (*_BRAINS, study.EmbeddingSettings), ("tuning",)),
    "decoding": Step(("brain", "participant"), (*_BRAINS, study.DecodingSettings), ("embeddings",)),
    "rsa": Step(("brain",), (*_BRAINS, study.DecodingSettings, study.AnalysisSettings), ("embeddings",)),
    "figures": Step((), (study.DecodingSettings, study.AnalysisSettings), ("decoding", "rsa")),
}


@dataclass(frozen=True)
class Job:
    """One execution of a notebook: the step and the values of its own parameters."""

    step: str
    parameters: tuple[tuple[str, Any], ...] = ()

    @property
    def name(self) -> str:
        """Name of the executed notebook within its step's folder."""
        return "_".join(f"seed-{v}" if k == "seed" else str(v) for k, v in self.parameters) or self.step

    @property
    def label(self) -> str:
        """The job in words."""
        return " · ".join([self.step, *(f"seed {v}" if k == "seed" else str(v) for k, v in self.parameters)])


def make_job(step: str, **parameters: Any) -> Job:
    """Return a job from its step and its own parameters, in the step's order."""
    return Job(step, tuple((name, parameters[name]) for name in STEPS[step].own))


def parse_job(step: str, words: Mapping[str, str]) -> Job:
    """Return a job from its parameters as text, as a rule's wildcards or the command line give them.

    Raises
    ------
    BraintuneError
        For an unknown step, a parameter that is missing or not the step's own, and a seed that is no number.
    """
    own = choose(STEPS, step, "step").own
    wanted = " ".join(f"{name}=…" for name in own) or "none"
    if differing := [name for name in own if name not in words] + [name for name in words if name not in own]:
        fault = "missing" if differing[0] in own else "unknown"
        raise BraintuneError(f"parameter {differing[0]!r} is {fault}; {step} takes {wanted}")
    if not words.get("seed", "0").isdecimal():
        raise BraintuneError(f"seed: {words['seed']!r} must be a whole number from 0")
    return make_job(step, **{k: int(words[k]) if k == "seed" else words[k] for k in own})


def jobs(run: Study) -> list[Job]:
    """Return every job of a run, in the order of the chain."""
    tuning = [
        make_job("tuning", task=task, method=method, seed=seed)
        for task in run.tasks
        for method in run.methods
        for seed in run.seeds
    ]
    decoding = [
        make_job("decoding", brain=name, participant=participant)
        for name in run.brains
        for participant in participants(run, name)
    ]
    embeddings = [make_job("embeddings", brain=name) for name in run.brains]
    rsa = [make_job("rsa", brain=name) for name in run.brains]
    return [*tuning, *embeddings, *decoding, *rsa, make_job("figures")]


def participants(run: Study, brain_name: str) -> tuple[str, ...]:
    """Return the participants of one brain data set that this run decodes."""
    return brain.load_brain(run, brain_name).participants


def executed_notebook(run: Study, job: Job) -> Path:
    """Return the path of a job's executed notebook."""
    folder = run.folder / "notebooks"
    return folder / f"{job.step}.ipynb" if not job.parameters else folder / job.step / f"{job.name}.ipynb"


def stamp_of(path: Path) -> str | None:
    """Return the fingerprint stamped into an executed notebook; None where it has none or is not there."""
    return read_notebook(path)["metadata"].get("braintune", {}).get("fingerprint") if path.is_file() else None


def read_notebook(path: Path) -> dict[str, Any]:
    """Read an executed notebook.

    Raises
    ------
    BraintuneError
        If it is not a whole notebook.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {"metadata": dict(content["metadata"]), "cells": list(content["cells"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BraintuneError(
            f"{path} is not a whole notebook ({type(error).__name__}: {error}); delete it and run `make book` again"
        ) from None


def page_checksum(notebook: Mapping[str, Any]) -> str:
    """Return the SHA-256 over the cells of an executed notebook: its text, its code and what came out."""
    return hashlib.sha256(json.dumps(notebook["cells"], sort_keys=True).encode()).hexdigest()


def artefacts(run: Study, job: Job) -> list[Path]:
    """Return the files and folders that a job makes, beside its executed notebook."""
    own = dict(job.parameters)
    if job.step == "tuning":
        folder = run.tuning_folder(**own)
        return [folder / name for name in ("weights.safetensors", "metrics.json", "history.parquet")]
    if job.step == "decoding":
        return [run.decoding_file(**own), run.null_file(**own)]
    if job.step == "figures":
        return [run.folder / "figures", run.folder / "claims.json"]
    return [run.folder / job.step / own["brain"]]


def outputs(run: Study, job: Job) -> dict[str, str]:
    """Return path (relative to the run's folder) → SHA-256 of the files that are there of a job's artefacts."""
    found = {}
    for place in artefacts(run, job):
        files = [place] if place.is_file() else [p for p in place.rglob("*") if p.is_file()]
        found |= {
            file.relative_to(run.folder).as_posix(): store.checksum(file)
            for file in sorted(files)
            if not file.name.startswith(".")  # what a killed process was writing
        }
    return found


# --- what makes a job stale --------------------------------------------------------------------------------------


@cache
def library_files(module: str) -> frozenset[Path]:
    """Return the source files of `braintune` that importing `module` reaches, itself included."""
    path = LIBRARY / f"{module}.py"
    if not path.is_file():
        return frozenset()
    reached = {path}
    seen = {module}
    while seen:
        source = (LIBRARY / f"{seen.pop()}.py").read_text(encoding="utf-8")
        for name in _imported(source):
            file = LIBRARY / f"{name}.py"
            if file.is_file() and file not in reached:
                reached.add(file)
                seen.add(name)
    return frozenset(reached)


def _imported(source: str) -> set[str]:
    """Names of the modules of `braintune` that a piece of code imports."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module == "braintune":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("braintune."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("braintune.")}
    return found


def notebook_files(step: str) -> list[Path]:
    """Return a step's notebook and the library files that its results depend on.

    How a page draws and words its results (`figures`, `report`) changes no result: only the figures step, which
    draws for the whole book, is stale when they change. Hours of tuning are not repeated for a colour.
    """
    path = NOTEBOOKS / f"{step}.ipynb"
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    names = _imported(code) - (set() if step == "figures" else {"figures", "report"})
    reached = {file for name in names for file in library_files(name)}
    return [path, *sorted(reached)]


def fingerprints(run: Study) -> dict[Job, str]:
    """Return, for every job of a run, 16 hex digits over everything that its results depend on.

    A job is stale when its notebook, its library files, its parameters, its own data or a job upstream changed: a
    task, a brain data set or a participant that joins the run leaves the others' results alone.
    """
    found: dict[Job, str] = {}
    files = {step: [store.checksum(file) for file in notebook_files(step)] for step in STEPS}
    for job in jobs(run):  # in the order of the chain, so what is upstream is there
        entry, own = STEPS[job.step], dict(job.parameters)
        settings = run.values(*entry.groups, study.MachineSettings).items()
        upstream = [
            stamp
            for other, stamp in found.items()
            if other.step in entry.after and (None in (_brain(job), _brain(other)) or _brain(job) == _brain(other))
        ]
        values = {name: value for name, value in settings if name not in study.GRID}
        if job.step != "tuning":
            values["representations"] = [representation.name for representation in run.representations()]
        if job.step == "rsa":  # it reads the tables of the run's own participants
            values["participants"] = participants(run, own["brain"])
        parts = [files[job.step], own, values, _job_data(run, job), upstream]
        found[job] = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
    return found


def _brain(job: Job) -> str | None:
    return dict(job.parameters).get("brain")


def _job_data(run: Study, job: Job) -> dict[str, str]:
    """File → SHA-256 of the data that one job reads."""
    own = dict(job.parameters)
    if job.step == "tuning":
        return _task_data(run, own["task"]) | _backbone_data(run)
    if job.step == "embeddings":  # decoding and rsa come after it
        vectors = {file: store.checksum(study.data_folder() / file) for file in run.vectors.values()}
        responses = brain.data_checksums(run, own["brain"])
        return vectors | {f"{own['brain']}/{file}": sha for file, sha in responses.items()}
    if job.step == "figures":  # the pages show the recorded results beside the run's own
        recorded = study.REPOSITORY / "data" / "reference"
        return {
            f"reference/{file.relative_to(recorded)}": store.checksum(file) for file in recorded.glob("*/*.parquet")
        }
    return {}


def _task_data(run: Study, task: str) -> dict[str, str]:
    if run.task_source == "folder":
        folder = study.data_folder() / "nlu" / task
        return {f"nlu/{task}/{file.name}": store.checksum(file) for file in sorted(folder.glob("*.jsonl"))}
    if run.task_source == "hub":
        from braintune import hub, hub_tasks

        return hub.checksums(hub_tasks.entry_of(task))
    return {}


def _backbone_data(run: Study) -> dict[str, str]:
    """Files of a backbone that the profile names by its folder; what a registered name stands for does not change."""
    folder = study.REPOSITORY / Path(run.backbone).expanduser()
    files = (file for kind in ("json", "safetensors") for file in sorted(folder.glob(f"*.{kind}")))
    return {f"backbone/{file.name}": store.checksum(file) for file in files}


# --- before any long work ----------------------------------------------------------------------------------------


def check(run: Study) -> None:
    """Check a profile against the registries and the data, before any long work starts.

    Raises
    ------
    BraintuneError
        For an unknown task, method, control, backbone or brain data set, and for data that are not there.
    """
    from braintune import backbones, decoding, embeddings, tasks, tuning

    for method in run.methods:
        choose(tuning.METHODS, method, "method")
    for control in run.controls:
        choose(embeddings.CONTROLS, control, "control")
    for name, file in run.vectors.items():
        if not (study.data_folder() / file).is_file():
            raise BraintuneError(f"vectors: {name}: no file {study.data_folder() / file}; the path starts there")
    for name in run.tasks:
        tasks.load_task(run, name)
    for name in run.brains:
        brain.load_brain(run, name)
    decoding.analysis_layer(backbones.load_backbone(run.backbone).layers + 1, run.layer)


# --- executing one notebook --------------------------------------------------------------------------------------


def execute(profile: str, job: Job, tell: bool = True) -> Path:
    """Execute one notebook with papermill, and keep it; a failed one is kept beside with its traceback.

    Parameters
    ----------
    profile : str
        Name or path of the profile.
    job : Job
        What to execute.
    tell : bool
        Print a line of progress at the end.

    Raises
    ------
    BraintuneError
        If a cell fails; the message names the kept notebook.
    """
    run = Study.load(profile)
    target = executed_notebook(run, job)
    make_folder(target.parent)
    with alone(run, f"{job.step}_{job.name}"):
        _sweep(run, job)
        begun = time.monotonic()
        stamp = fingerprints(run).get(job)  # None for a participant or a task that is not part of the run
        failed = target.with_suffix(".failed.ipynb")
        notebook = _execute(profile, run, job, failed)
        keep(run, job, notebook, stamp, time.monotonic() - begun)
        failed.unlink()
    if tell:
        _tell(run, job, time.monotonic() - begun)
    return target


def _sweep(run: Study, job: Job) -> None:
    """Remove what a killed process had begun to write of a job's files, under temporary names."""
    for place in (executed_notebook(run, job), *artefacts(run, job)):
        for begun in place.parent.glob(f".{glob.escape(place.name)}.*"):
            begun.unlink()


def _execute(profile: str, run: Study, job: Job, failed: Path) -> dict[str, Any]:
    """Return the notebook of a job with what came out; as long as it is not whole it is kept as `failed`."""
    import papermill
    from nbclient.exceptions import DeadKernelError

    values = study.read_settings(study.profile_path(profile))
    os.environ.update(_thread_limits(run.threads))
    logging.getLogger("papermill").setLevel(logging.ERROR)  # every key of the profile is "unknown" to the source
    try:
        return papermill.execute_notebook(
            str(NOTEBOOKS / f"{job.step}.ipynb"),
            str(failed),
            parameters=values | dict(job.parameters),
            kernel_name="python3",
            progress_bar=False,
            stdout_file=_Progress(),
            start_timeout=300,  # importing takes long where many start at once, or from a slow shared folder
            # No history: it is one database in the home folder, and many kernels at once would wait for each other.
            extra_arguments=["--IPKernelApp.log_level=CRITICAL", "--HistoryManager.enabled=False"],
        )
    except papermill.PapermillExecutionError as error:
        full = os.strerror(errno.ENOSPC) in error.evalue
        hint = "; the disk is full: make room, then run the same command" if full else ""
        raise BraintuneError(
            f"{job.label} failed in cell {error.exec_count}: {error.ename}: {error.evalue}{hint}\n"
            f"the notebook with its traceback is kept: {failed}"
        ) from None
    except DeadKernelError:
        raise BraintuneError(
            f"{job.label}: its process was killed from outside, which a system does that runs out of memory; close "
            "other programs, take fewer cores (`make book CORES=1`), or set embedding_batch and batch_size lower"
        ) from None


def keep(run: Study, job: Job, notebook: dict[str, Any], stamp: str | None, seconds: float) -> Path:
    """Write an executed notebook, stamped with its job's fingerprint and the checksums of its page and its files."""
    target = executed_notebook(run, job)
    notebook["metadata"]["braintune"] = {
        "fingerprint": stamp,
        "page": page_checksum(notebook),
        "outputs": outputs(run, job),
        "profile": run.profile,
        "simulated": any(brain.is_simulated(name) for name in run.brains),
        "seconds": round(seconds, 1),
    }
    with store.atomic(target) as temporary:
        temporary.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return target


class _Progress:
    """What a notebook prints, on the terminal: its newest line, where the last one was a while ago."""

    every = 30.0  # seconds

    def __init__(self) -> None:
        self.told = time.monotonic()

    def write(self, text: str) -> None:
        lines = text.strip().splitlines()
        if lines and time.monotonic() - self.told >= self.every:
            print(f"          {lines[-1]}", flush=True)
            self.told = time.monotonic()

    def flush(self) -> None:
        """Do nothing: what is to be told has been told."""


def _thread_limits(threads: int) -> dict[str, str]:
    """Environment that holds the numerical libraries of a kernel to `threads` threads, and off the net."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return dict.fromkeys(names, str(threads)) | {"TOKENIZERS_PARALLELISM": "false"}


def _tell(run: Study, job: Job, seconds: float) -> None:
    wanted = fingerprints(run)
    done = sum(stamp_of(executed_notebook(run, j)) == stamp for j, stamp in wanted.items())
    print(f"[{done:>3}/{len(wanted)}] {job.label:<58} {seconds:6.1f} s", flush=True)


# --- provenance --------------------------------------------------------------------------------------------------


def provenance(run: Study) -> dict[str, Any]:
    """Return what made a run: parameters, code, versions, machine, data, fingerprints, seconds per job."""
    executed = {job: executed_notebook(run, job) for job in jobs(run)}
    notes = {j: read_notebook(p)["metadata"].get("braintune", {}) for j, p in executed.items() if p.is_file()}
    return {
        "profile": run.model_dump(mode="json"),
        **code_and_versions(),
        "machine": {"system": platform.system(), "processor": platform.machine(), "cores": os.cpu_count()},
        "data": {file: sha for job in executed for file, sha in _job_data(run, job).items()},
        "fingerprints": {job.label: stamp for job, stamp in fingerprints(run).items()},
        "seconds": {job.label: note.get("seconds") for job, note in notes.items()},
    }


def job_seconds(run: Study) -> dict[str, list[float]]:
    """Return step → seconds of each of its jobs, as recorded in the executed notebooks; others are left out."""
    found: dict[str, list[float]] = {step: [] for step in STEPS}
    for job in jobs(run):
        path = executed_notebook(run, job)
        note = read_notebook(path)["metadata"].get("braintune", {}) if path.is_file() else {}
        found[job.step] += [note["seconds"]] if "seconds" in note else []
    return found


def code_and_versions() -> dict[str, Any]:
    """Return the commit, whether files were changed since, and the versions of the libraries that compute."""
    packages = (
        "torch",
        "transformers",
        "numpy",
        "scikit-learn",
        "scipy",
        "pandas",
        "nilearn",
        "papermill",
        "snakemake",
    )
    return {
        "code": {"commit": _git("rev-parse", "HEAD"), "changed": bool(_git("status", "--porcelain"))},
        "versions": {"python": platform.python_version()} | {name: version(name) for name in packages},
    }


def _git(*words: str) -> str | None:
    """Answer of git about this repository; None where it is no checkout."""
    try:
        done = subprocess.run(["git", *words], cwd=study.REPOSITORY, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


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
        Where jobs run: name or path of an engine's file, see :mod:`braintune.engines`; nothing for this machine.

    Raises
    ------
    BraintuneError
        If there is no such engine, if the same run is going on already, or as :func:`check`.
    """
    run = Study.load(profile)
    where, config = engines.options_for(engine) if engine else ([], [])
    make_folder(run.folder)
    _take_lock(run)
    if any(stamp_of(executed_notebook(run, job)) != stamp for job, stamp in fingerprints(run).items()):
        check(run)
    store.hand_on_checksums(run.folder / ".checksums.json")
    command = [str(Path(sys.executable).parent / "snakemake"), "--snakefile", str(study.REPOSITORY / "Snakefile")]
    command += ["--directory", str(run.folder), "--nolock", "--rerun-incomplete", "--keep-going"]
    command += ["--config", f"profile={study.profile_path(profile).resolve()}", *config]
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
    """Run one command: ``run PROFILE [--engine ENGINE] [OPTION …]`` or ``execute PROFILE STEP [NAME=VALUE …]``."""
    match list(words):
        case ["run", profile, "--engine", engine, *options]:
            run_chain(profile, options, engine)
        case ["run", profile, *options]:
            run_chain(profile, options)
        case ["execute", profile, step, *pairs] if all("=" in pair for pair in pairs):
            end_with_parent()
            execute(profile, parse_job(step, dict(pair.split("=", 1) for pair in pairs)))
        case _:
            raise BraintuneError(
                "give `run PROFILE [--engine ENGINE] [OPTION …]` or `execute PROFILE STEP [NAME=VALUE …]`"
            )


if __name__ == "__main__":
    command(main)
