"""What made a run: parameters, code, versions, machine, data, seconds."""

import os
import platform
from typing import Any

from braintune.core.study import Study
from braintune.core.versions import code_and_versions
from braintune.workflow.fingerprints import _job_data, fingerprints
from braintune.workflow.jobs import STEPS, all_jobs, executed_notebook, read_notebook

# --- provenance --------------------------------------------------------------------------------------------------


def provenance(run: Study) -> dict[str, Any]:
    """Return what made a run: parameters, code, versions, machine, data, fingerprints, seconds per job."""
    executed = {job: executed_notebook(run, job) for job in all_jobs(run)}
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
    for job in all_jobs(run):
        path = executed_notebook(run, job)
        note = read_notebook(path)["metadata"].get("braintune", {}) if path.is_file() else {}
        found[job.step] += [note["seconds"]] if "seconds" in note else []
    return found
