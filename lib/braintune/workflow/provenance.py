"""What made a run: parameters, code, versions, machine, data, seconds."""

import os
import platform
from typing import Any

import numpy as np
import pandas as pd

from braintune.core.study import Study
from braintune.core.versions import code_and_versions
from braintune.workflow.fingerprints import book_fingerprint, data_of, fingerprints
from braintune.workflow.jobs import all_jobs, benchmark_file, executed_notebook, note_of


def provenance(study: Study) -> dict[str, Any]:
    """Return what made a run: parameters, code, versions, machine, data, fingerprints, seconds per job."""
    stamps = fingerprints(study)
    return {
        "profile": study.model_dump(mode="json"),
        **code_and_versions(),
        "machine": {"system": platform.system(), "processor": platform.machine(), "cores": os.cpu_count()},
        "data": {file: sha for job in stamps for file, sha in data_of(study, job).items()},
        "fingerprints": {job.label: stamp for job, stamp in stamps.items()},
        "seconds": {job.label: note_of(executed_notebook(study, job)).get("seconds") for job in stamps},
        "book": book_fingerprint(study),
    }


def job_costs(study: Study) -> pd.DataFrame:
    """Return what each job took: ``step``, ``seconds`` of its notebook, ``memory_mb`` at most, all its processes.

    The memory is what Snakemake's benchmark file of the job says; NaN where a job was executed by hand. Jobs that all
    runs share are left out.
    """
    rows = []
    for job in (job for job in all_jobs(study) if not job.is_shared):
        seconds = note_of(executed_notebook(study, job)).get("seconds")
        file = benchmark_file(study, job)
        memory = pd.read_csv(file, sep="\t")["max_rss"].max() if file.is_file() else np.nan
        if seconds is not None:
            rows.append((job.step, float(seconds), float(pd.to_numeric(memory, errors="coerce"))))
    return pd.DataFrame(rows, columns=["step", "seconds", "memory_mb"])
