"""What makes a job stale: a fingerprint of its notebook, the code it reaches, its parameters, its data and its inputs."""

import ast
import hashlib
import json
from functools import cache
from pathlib import Path

from braintune.core import base, store
from braintune.core.settings import MachineSettings
from braintune.core.study import GRID, Study
from braintune.datasets.brains import registry
from braintune.workflow.jobs import (
    NOTEBOOKS,
    STEPS,
    Job,
    _brain,
    all_jobs,
    participants,
)

LIBRARY = Path(__file__).parents[1]


# --- what makes a job stale --------------------------------------------------------------------------------------


@cache
def library_files(module: str) -> frozenset[Path]:
    """Return the source files of `braintune` that importing a module reaches, itself included.

    Parameters
    ----------
    module : str
        Dotted, without `braintune.`: ``neural.ridge``.
    """
    reached: set[Path] = set()
    queue = {module}
    while queue:
        path = LIBRARY / f"{queue.pop().replace('.', '/')}.py"
        if path.is_file() and path not in reached:
            reached.add(path)
            queue |= _imported(path.read_text(encoding="utf-8"))
    return frozenset(reached)


def _imported(source: str) -> set[str]:
    """Names, without `braintune.`, of the modules that a piece of code may import."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("braintune."):
            package = node.module.removeprefix("braintune.")
            found |= {package} | {f"{package}.{alias.name}" for alias in node.names}
    return found


def notebook_files(step: str) -> list[Path]:
    """Return a step's notebook and the library files that its results depend on.

    How a page draws and words its results (`figures`, `report`) changes no result: only the figures step, which
    draws for the whole book, is stale when they change. Hours of tuning are not repeated for a colour.
    """
    path = NOTEBOOKS / f"{step}.ipynb"
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    names = _imported(code) - (set() if step == "figures" else {"results.figures", "results.prose"})
    reached = {file for name in names for file in library_files(name)}
    return [path, *sorted(reached)]


def fingerprints(run: Study) -> dict[Job, str]:
    """Return, for every job of a run, 16 hex digits over everything that its results depend on.

    A job is stale when its notebook, its library files, its parameters, its own data or a job upstream changed: a
    task, a brain data set or a participant that joins the run leaves the others' results alone.
    """
    found: dict[Job, str] = {}
    files = {step: [store.checksum(file) for file in notebook_files(step)] for step in STEPS}
    for job in all_jobs(run):  # in the order of the chain, so what is upstream is there
        entry, own = STEPS[job.step], dict(job.parameters)
        settings = run.values(*entry.groups, MachineSettings).items()
        upstream = [
            stamp
            for other, stamp in found.items()
            if other.step in entry.after and (None in (_brain(job), _brain(other)) or _brain(job) == _brain(other))
        ]
        values = {name: value for name, value in settings if name not in GRID}
        if job.step != "tuning":
            values["representations"] = [representation.name for representation in run.representations()]
        if job.step == "rsa":  # it reads the tables of the run's own participants
            values["participants"] = participants(run, own["brain"])
        parts = [files[job.step], own, values, _job_data(run, job), upstream]
        found[job] = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
    return found


def _job_data(run: Study, job: Job) -> dict[str, str]:
    """File → SHA-256 of the data that one job reads."""
    own = dict(job.parameters)
    if job.step == "tuning":
        return _task_data(run, own["task"]) | _backbone_data(run)
    if job.step == "embeddings":  # decoding and rsa come after it
        vectors = {file: store.checksum(base.data_folder() / file) for file in run.vectors.values()}
        responses = registry.data_checksums(run, own["brain"])
        return vectors | {f"{own['brain']}/{file}": sha for file, sha in responses.items()}
    if job.step == "figures":  # the pages show the recorded results beside the run's own
        recorded = base.REPOSITORY / "data" / "reference"
        return {
            f"reference/{file.relative_to(recorded)}": store.checksum(file) for file in recorded.glob("*/*.parquet")
        }
    return {}


def _task_data(run: Study, task: str) -> dict[str, str]:
    if run.task_source == "folder":
        folder = base.data_folder() / "nlu" / task
        return {f"nlu/{task}/{file.name}": store.checksum(file) for file in sorted(folder.glob("*.jsonl"))}
    if run.task_source == "hub":
        from braintune.datasets import hub, hub_tasks

        return hub.checksums(hub_tasks.entry_of(task))
    return {}


def _backbone_data(run: Study) -> dict[str, str]:
    """Files of a backbone that the profile names by its folder; what a registered name stands for does not change."""
    folder = base.REPOSITORY / Path(run.backbone).expanduser()
    files = (file for kind in ("json", "safetensors") for file in sorted(folder.glob(f"*.{kind}")))
    return {f"backbone/{file.name}": store.checksum(file) for file in files}
