"""Check a profile, and execute one notebook of it with papermill."""

import errno
import glob
import json
import os
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from braintune.core import base, store
from braintune.core.base import BraintuneError, lookup, nearest_first
from braintune.core.study import PROFILES, Study, profile_path
from braintune.datasets.brains import registry
from braintune.datasets.brains.base import BrainData
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
from braintune.workflow.processes import alone, end_with_parent

if TYPE_CHECKING:
    from braintune.datasets.tasks import TaskData

#: Reading a participant that takes longer, s, is reported.
SLOW = 5.0

# --- before any long work ----------------------------------------------------------------------------------------


def check(study: Study) -> list[str]:
    """Check a profile against the registries and the data, before any long work starts.

    Returns
    -------
    list of str
        Remarks on the data, which are no faults.

    Raises
    ------
    BraintuneError
        For an unknown task, method, control, backbone or brain data set, for a backbone that its tokenizer does not
        fit, that a method does not serve or that does not run in the precision asked for; for data that are not there,
        or not as they should be: every participant is read; for task data that cannot be cut into training, validation
        and test examples; for training sentences of kind "language" that are stimuli; and for too few stimuli or groups
        for the folds.
    """
    from braintune.datasets import tasks
    from braintune.models import backbones, controls, inputs, sequences, training, tuning
    from braintune.models.methods import METHODS, check_methods
    from braintune.neural.representations import analysis_layer

    for method in study.methods:
        lookup(METHODS, method, "method")
        tuning.recipes_of(study, method)
    for control in study.controls:
        lookup(controls.CONTROLS, control, "control")
    if study.orders:
        sequences.sequences(study)
    backbone = backbones.load_backbone(study.backbone)  # also checks that its tokenizer fits
    analysis_layer(backbone.layers + 1, study.layer)
    check_methods(backbone.model, study)
    training.half_precision(study, backbone.model.device, backbone.model)  # refuses what the model does not run in
    brains = [registry.load_brain(study, name) for name in study.brains]
    remarks = []
    for name in study.tasks:
        examples = tasks.load_task(study, name)
        inputs.require_mask(examples.task, backbone.tokenizer)
        remarks += [f"{name}: {remark}" for remark in examples.remarks]
        if examples.task.kind == "language":
            _check_text(examples, brains)
    for data in brains:
        remarks += [f"{data.name}: {remark}" for remark in data.remarks]
        _check_brain(study, data)
    for name, file in study.vectors.items():
        _check_vectors(name, file, brains)
    return remarks


def _check_text(examples: "TaskData", brains: Sequence[BrainData]) -> None:
    """Refuse training text that holds stimuli: it is the control for tuning on their domain, and not on them."""
    from braintune.neural.folds import letters_of

    train = [*examples.train, *examples.validation]
    texts = {letters_of(row["sentence"]): row["sentence"] for row in train}
    for data in brains:
        stimuli = set(map(letters_of, data.stimuli.sentences))
        if both := [sentence for letters, sentence in texts.items() if letters in stimuli]:
            raise BraintuneError(
                f"task {examples.task.name!r}: {len(both):,} of {len(texts):,} training sentences are stimuli of "
                f"{data.name!r}, such as {both[0]!r}; remove them from {next(iter(examples.checksums))}"
            )


def _check_brain(study: Study, data: BrainData) -> None:
    """Read all responses that a run will read, one participant at a time, and divide the stimuli into folds."""
    from braintune.neural.folds import judged_design

    try:
        judged_design(data.stimuli, study)  # makes the folds of every design
    except BraintuneError as error:
        raise BraintuneError(f"brain data {data.name!r}: {error}") from None
    if data.simulated:
        return
    for number, participant in enumerate(data.participants, start=1):
        begun = time.monotonic()
        data.load(participant)
        if time.monotonic() - begun > SLOW:
            print(f"checked {data.name}: participant {number} of {len(data.participants)}", flush=True)


def _check_vectors(name: str, file: str, brains: Sequence[BrainData]) -> None:
    """Read a control of the user's vectors; it must fit the stimuli of one brain data set at least."""
    from braintune.models.controls import NotAvailable, user_vectors

    reasons = []
    for data in brains:
        try:
            user_vectors(file, data.stimuli)
        except NotAvailable as reason:
            reasons.append(f"{reason} ({data.name})")
    if len(reasons) == len(brains):
        raise BraintuneError(
            f"vectors: {name}: {'; '.join(reasons)}; one row per stimulus is needed, in the order of the stimuli"
        )


# --- executing one notebook --------------------------------------------------------------------------------------


def execute(profile: str, job: Job) -> Path:
    """Execute one notebook with papermill, and keep it; a failed one is kept with its traceback, as `….failed.ipynb`.

    Parameters
    ----------
    profile : str
        Name or path of the profile.
    job : Job
        What to execute.

    Raises
    ------
    BraintuneError
        If a cell fails; the message names the kept notebook.
    """
    study = Study.load(profile)
    target = executed_notebook(study, job)
    plan = fingerprints(study)
    asked = time.time()
    with alone(target):
        if job.is_shared and stamp_of(target) == plan.get(job) and target.stat().st_mtime > asked:
            return target  # another run has just made it
        _sweep(study, job)
        begun = time.monotonic()
        failed = target.with_suffix(".failed.ipynb")
        notebook = _execute(profile, study, job, failed)
        stamp = plan.get(job)  # None for a participant or a task that is not part of the run
        if job.is_shared:
            _drop_old_figures(study, job, asked)
        keep(study, job, notebook, stamp, time.monotonic() - begun)
        failed.unlink()
    done = sum(stamp_of(executed_notebook(study, other)) == stamp for other, stamp in plan.items())
    label = f"{study.profile}: {job.label}" if "/" in study.profile else job.label  # a variant of a sweep
    print(f"[{done:>3}/{len(plan)}] {label:<58} {time.monotonic() - begun:6.1f} s", flush=True)
    return target


def _sweep(study: Study, job: Job) -> None:
    """Remove temporary files that a killed process of this job left behind."""
    for place in (executed_notebook(study, job), *artefacts(study, job)):
        for begun in place.parent.glob(f".{glob.escape(place.name)}.*"):
            begun.unlink()


def _drop_old_figures(study: Study, job: Job, asked: float) -> None:
    """Remove figures that a job drew before and no longer draws; Snakemake removes those of a run."""
    for file in (study.shown_folder(job.source) / "figures").glob("*.*"):
        if file.stat().st_mtime < asked:
            file.unlink()


def _execute(profile: str, study: Study, job: Job, failed: Path) -> dict[str, Any]:
    """Return the executed notebook of a job; until it is complete its cells are saved as `failed`."""
    import papermill

    source = NOTEBOOKS / f"{job.step}.ipynb"
    given = _given(profile, job, papermill.inspect_notebook(str(source)))
    return run_notebook(source, given, study.threads, failed, job.label)


def run_notebook(source: Path, given: Mapping[str, Any], n_threads: int, failed: Path, label: str) -> dict[str, Any]:
    """Return a notebook executed with some parameters; until it is complete its cells are saved as `failed`.

    Raises
    ------
    BraintuneError
        If a cell fails, the disk is full, or its process is killed; `label` names it in the message.
    """
    import papermill
    from nbclient.exceptions import DeadKernelError

    threads = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    os.environ.update(dict.fromkeys(threads, str(n_threads)) | {"TOKENIZERS_PARALLELISM": "false"})
    try:
        return papermill.execute_notebook(
            str(source),
            str(failed),
            parameters=given,
            kernel_name="python3",
            progress_bar=False,
            stdout_file=_Progress(),
            start_timeout=300,  # importing takes long where many start at once, or from a slow shared folder
            # No history: it is one database in the home folder, and many kernels at once would wait for each other.
            extra_arguments=["--IPKernelApp.log_level=CRITICAL", "--HistoryManager.enabled=False"],
        )
    except papermill.PapermillExecutionError as error:
        full = os.strerror(errno.ENOSPC) in error.evalue
        hint = "; the disk is full: free some space, then run the same command" if full else ""
        raise BraintuneError(
            f"{label} failed in cell {error.exec_count}: {error.ename}: {error.evalue}{hint}\n"
            f"the notebook with its traceback is kept: {failed}"
        ) from None
    except OSError as error:  # papermill cannot save the notebook
        raise BraintuneError(
            f"{label}: cannot write {failed}: {error.strerror or error}; free some space or allow writing there, then "
            "run the same command"
        ) from None
    except RuntimeError as error:
        if not (isinstance(error, DeadKernelError) or "Kernel died" in str(error)):  # the latter while it starts
            raise
        raise BraintuneError(
            f"{label}: its process was killed from outside, probably because memory ran out; close "
            "other programs, use fewer cores (`make book CORES=1`), or set embedding_batch and batch_size lower"
        ) from None


def _given(profile: str, job: Job, declared: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a notebook: the profile, those of the job, and `save` where it is declared."""
    path = profile_path(profile)
    named = path.stem if path.parent == PROFILES else os.path.relpath(path, base.REPOSITORY)
    given = {"profile": named, **dict(job.parameters)} | ({"save": True} if "save" in declared else {})
    if unknown := [name for name in given if name not in declared]:
        raise BraintuneError(
            f"{job.step}.ipynb declares no parameter {unknown[0]!r} in its cell tagged `parameters`; it has "
            f"{', '.join(nearest_first(unknown[0], declared))}"
        )
    return given


def keep(study: Study, job: Job, notebook: dict[str, Any], stamp: str | None, seconds: float) -> Path:
    """Write an executed notebook, stamped with its job's fingerprint and the checksums of its page and its files."""
    facts = {
        "outputs": outputs(study, job),
        "seconds": round(seconds, 1),
    }
    if not job.is_shared:
        facts |= {"profile": study.profile, "simulated": any(registry.is_simulated(name) for name in study.brains)}
    return write_notebook(executed_notebook(study, job), notebook, {"fingerprint": stamp} | facts)


def write_notebook(target: Path, notebook: dict[str, Any], facts: Mapping[str, Any]) -> Path:
    """Write an executed notebook, stamped with `facts` and the checksum of its page."""
    for cell in notebook["cells"]:
        for output in cell.get("outputs", ()):
            if output.get("name") == "stderr":  # drop paths of this machine from warnings
                output["text"] = _WARNING.sub(r"\1\n", output["text"])
    notebook["metadata"]["braintune"] = dict(facts) | {"page": page_checksum(notebook)}
    with store.atomic(target) as temporary:
        temporary.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return target


#: A warning as Python prints it: file, line, category and message, and below it the line of code.
_WARNING = re.compile(r"^\S[^\n]*?:\d+: (\w+: [^\n]*)\n(?:  [^\n]*\n)?", re.M)


class _Progress:
    """Prints the newest line of a notebook's output on the terminal, at most every half minute."""

    every = 30.0  # seconds

    def __init__(self) -> None:
        self.printed = time.monotonic()

    def write(self, text: str) -> None:
        lines = text.strip().splitlines()
        if lines and time.monotonic() - self.printed >= self.every:
            print(f"          {lines[-1]}", flush=True)
            self.printed = time.monotonic()

    def flush(self) -> None:
        """Do nothing: every line is printed at once."""


def main(words: list[str]) -> None:
    """Run the command ``PROFILE STEP [NAME=VALUE …]``: execute one notebook."""
    match words:
        case [profile, step, *pairs] if all("=" in pair for pair in pairs):
            end_with_parent()
            execute(profile, parse_job(step, dict(pair.split("=", 1) for pair in pairs)))
        case _:
            raise BraintuneError("which job? python -m braintune execute PROFILE STEP [NAME=VALUE …]")
