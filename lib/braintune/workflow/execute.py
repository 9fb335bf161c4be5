"""Check a profile, and execute one notebook of it with papermill."""

import errno
import glob
import json
import logging
import os
import time
from pathlib import Path
from typing import Any

from braintune.core import base, store
from braintune.core.base import BraintuneError, lookup
from braintune.core.study import Study, profile_path, read_settings
from braintune.datasets.brains import registry
from braintune.workflow.fingerprints import fingerprints
from braintune.workflow.jobs import (
    NOTEBOOKS,
    Job,
    artefacts,
    executed_notebook,
    outputs,
    page_checksum,
    parse_job,
    stamp_of,
)
from braintune.workflow.processes import alone, end_with_parent, make_folder

# --- before any long work ----------------------------------------------------------------------------------------


def check(run: Study) -> None:
    """Check a profile against the registries and the data, before any long work starts.

    Raises
    ------
    BraintuneError
        For an unknown task, method, control, backbone or brain data set, and for data that are not there.
    """
    from braintune.datasets import tasks
    from braintune.models import backbones, controls, tuning
    from braintune.neural.representations import analysis_layer

    for method in run.methods:
        lookup(tuning.METHODS, method, "method")
    for control in run.controls:
        lookup(controls.CONTROLS, control, "control")
    for name, file in run.vectors.items():
        if not (base.data_folder() / file).is_file():
            raise BraintuneError(f"vectors: {name}: no file {base.data_folder() / file}; the path starts there")
    for name in run.tasks:
        tasks.load_task(run, name)
    for name in run.brains:
        registry.load_brain(run, name)
    analysis_layer(backbones.load_backbone(run.backbone).layers + 1, run.layer)


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

    values = read_settings(profile_path(profile))
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
        "simulated": any(registry.is_simulated(name) for name in run.brains),
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


def main(words: list[str]) -> None:
    """Run the command ``PROFILE STEP [NAME=VALUE …]``: execute one notebook."""
    match words:
        case [profile, step, *pairs] if all("=" in pair for pair in pairs):
            end_with_parent()
            execute(profile, parse_job(step, dict(pair.split("=", 1) for pair in pairs)))
        case _:
            raise BraintuneError("which job? python -m braintune execute PROFILE STEP [NAME=VALUE …]")
