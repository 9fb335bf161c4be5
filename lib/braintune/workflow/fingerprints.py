"""What makes a job stale: a fingerprint of its notebook, the code it reaches, its parameters, its data and its inputs.

The fingerprint is stamped into the executed notebook. A job whose stamp differs, or whose files are missing, is stale,
wherever the folder of the run is.
"""

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from braintune.core import base, store
from braintune.core.base import BraintuneError
from braintune.core.plugins import plugin_checksums
from braintune.core.settings import MachineSettings
from braintune.core.study import GRID, Study
from braintune.core.sweep import Sweep
from braintune.core.versions import LIBRARY, imported_modules, source_files
from braintune.datasets.brains.registry import BRAINS, data_checksums
from braintune.models import checkpoints
from braintune.workflow.jobs import (
    ALL_STEPS,
    CONTINUAL,
    NOTEBOOKS,
    Job,
    all_jobs,
    artefacts,
    executed_notebook,
    note_of,
    participants,
    stamp_of,
)

#: Modules that only draw and word results: a change in them makes only the steps that show them stale.
DRAWING = {
    *("results.figures", "results.score_figures", "results.step_figures", "results.brain_maps"),
    *("results.prose", "results.quotes", "results.answer"),
}
#: It imports the readers of all brain data; a job depends only on those of its brains.
_REGISTRY = "datasets.brains.registry"
#: Recorded results; `braintune.results.recorded` reads them, and importing it takes seconds.
_RECORDED = base.REPOSITORY / "data" / "reference"


# --- the parts of a fingerprint ----------------------------------------------------------------------------------


@cache
def code_files(step: str, brains: tuple[str, ...], unread: frozenset[str] = frozenset()) -> frozenset[Path]:
    """Return a step's notebook and the library files that its results depend on, with the readers of some brains.

    What the modules `unread` import does not count.
    """
    path = NOTEBOOKS / f"{step}.ipynb"
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    shown = {name: set[str]() for name in ("figures", "supplement", "sweep")}
    shown["tuning"] = DRAWING | {"results.tables"}  # it has its own metrics
    modules = imported_modules(code) - shown.get(step, DRAWING)
    readers = {BRAINS[name].make.__module__.removeprefix("braintune.") for name in brains if name in BRAINS}
    return source_files(*sorted(modules | readers), stop=unread | {_REGISTRY}) | {path}


def data_of(study: Study, job: Job) -> dict[str, str]:
    """Return file → SHA-256 of the data that one job reads."""
    own = dict(job.parameters)
    if job.step == "tuning":
        return checkpoints.data_checksums(study, own["task"])
    if job.step == "embeddings":  # decoding and rsa come after it
        vectors = {file: store.checksum(_vectors(name, file)) for name, file in study.vectors.items()}
        responses = data_checksums(study, own["brain"])
        return vectors | {f"{own['brain']}/{file}": sha for file, sha in responses.items()}
    if job.source:  # the pages show the recorded results beside the run's own
        files = [*_RECORDED.glob("*/*.parquet"), *_RECORDED.glob("*/provenance.json")]
        return {f"reference/{file.relative_to(_RECORDED)}": store.checksum(file) for file in files}
    return {}


def _vectors(name: str, file: str) -> Path:
    path = base.data_folder() / file
    if not path.is_file():
        raise BraintuneError(
            f"vectors: {name}: no file {path}; correct the path (paths are relative to the data folder)"
        )
    return path


def _parts(study: Study, job: Job, upstream: list[str]) -> list[Any]:
    """Everything that one job depends on, as JSON values."""
    own = dict(job.parameters)
    of_all = job.step == CONTINUAL or job.source == "run"
    brains = (own["brain"],) if "brain" in own else study.brains if of_all else ()
    if job.is_shared and (made := _RECORDED / "real" / "provenance.json").is_file():  # its job says if it is missing
        brains = store.read_json(made)["profile"]["brains"]  # their readers say who took part
    unread = checkpoints.other_sources(study) if job.step in ("tuning", CONTINUAL) else frozenset()
    files = sorted(store.checksum(file) for file in code_files(job.step, tuple(brains), unread))
    if job.is_shared:
        return [files, own, data_of(study, job)]
    if job.step == "tuning":  # the model has a fingerprint of its own, which covers the parameters
        stored = checkpoints.model_fingerprint(study, own["task"], own["method"])
        return [files, own, stored]
    settings = study.values(*ALL_STEPS[job.step].groups, MachineSettings).items()
    values = {name: value for name, value in settings if name not in GRID | {"directions"}}
    values["representations"] = [representation.name for representation in study.representations()]
    if job.step == "embeddings":  # what the controls read of the tuning
        values |= {name: getattr(study, name) for name in ("backbone", "prefix_length", "prefix_std", "prompt_layers")}
    if job.step in ("encoding", "rsa"):  # they read all of the run's own participants
        values["participants"] = participants(study, own["brain"])
    if job.step == CONTINUAL:
        values["participants"] = {name: participants(study, name) for name in study.brains}
    plugins = plugin_checksums(brain=own.get("brain", ""))
    for control in study.controls:
        plugins |= plugin_checksums(control=control)
    return [files, own, values, data_of(study, job), plugins, upstream]


def fingerprints(study: Study) -> dict[Job, str]:
    """Return, for every job of a run, 16 hex digits over everything that its results depend on.

    A job is stale when its notebook, library files, parameters, data or a job upstream changed. Adding a task, a brain
    data set or a participant to the run leaves the results of the others valid.
    """
    found: dict[Job, str] = {}
    for job in all_jobs(study):  # in the order of the chain, so what is upstream is there
        upstream = [stamp for other, stamp in found.items() if _feeds(other, job)]
        found[job] = _digest(_parts(study, job, upstream))
    return found


def _feeds(other: Job, job: Job) -> bool:
    """Whether a job reads what another one makes."""
    brains = {dict(one.parameters).get("brain") for one in (other, job)}
    return other.step in ALL_STEPS[job.step].after and (None in brains or len(brains) == 1)


def book_fingerprint(study: Study) -> str:
    """Return the fingerprint of a built book: its sources, the code that builds it, and all jobs."""
    pages = [p for p in (base.REPOSITORY / "book").rglob("*") if p.is_file() and not p.name.startswith(".")]
    sources = [*pages, *(base.REPOSITORY / name for name in ("_config.yml", "_toc.yml")), *LIBRARY.rglob("*.py")]
    stamps = {job.label: stamp for job, stamp in fingerprints(study).items()}
    return _digest([{str(p.relative_to(base.REPOSITORY)): store.checksum(p) for p in sorted(sources)}, stamps])


def comparison_fingerprint(sweep: Sweep, missing: Mapping[str, str]) -> str:
    """Return the fingerprint of the page that compares the variants of a sweep, but for those that are missing."""
    files = sorted(store.checksum(file) for file in code_files("sweep", ()))
    studies = {name: study for name, study in sweep.studies.items() if name not in missing}
    stamps = {name: {job.label: stamp for job, stamp in fingerprints(study).items()} for name, study in studies.items()}
    return _digest([files, sweep.differing, sorted(missing), stamps])


def comparison_files(sweep: Sweep) -> dict[str, str]:
    """Return the tables of a comparison and its page, relative to its folder → SHA-256."""
    files = [*sorted(sweep.folder.glob("*.parquet")), *filter(Path.is_file, [sweep.page])]
    return {file.relative_to(sweep.folder).as_posix(): store.checksum(file) for file in files}


def comparison_is_current(sweep: Sweep, missing: Mapping[str, str]) -> bool:
    """Return whether a comparison is up to date, and its tables and its page are as they were made."""
    note = note_of(sweep.notebook)
    same = note.get("outputs") == comparison_files(sweep)
    return sweep.page.is_file() and same and note.get("fingerprint") == comparison_fingerprint(sweep, missing)


def _digest(parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


# --- what is stale -----------------------------------------------------------------------------------------------


def stale_jobs(study: Study, plan: Mapping[Job, str]) -> list[Job]:
    """Return the jobs that are to be computed: by the stamp of the executed notebook, or since a file is missing."""
    return [
        job
        for job, stamp in plan.items()
        if stamp_of(executed_notebook(study, job)) != stamp or not all(p.exists() for p in artefacts(study, job))
    ]
