"""A small made-up run: every file as its jobs would have left it, and no job executed."""

import yaml

from braintune.core import store
from braintune.core.study import Study
from braintune.workflow.execute import keep
from braintune.workflow.fingerprints import book_fingerprint, fingerprints
from braintune.workflow.jobs import artefacts

VALUES = {
    "profile": "made-up",
    "tasks": ["sentiment"],
    "methods": ["fine-tuned"],
    "scored_only": [],
    "controls": ["length"],
    "topics": 4,
    "passages": 4,
    "sentences_per_passage": 2,
    "simulated_participants": 1,
    "voxels_per_region": 8,
}
FILES = {
    "embeddings": ["untuned.safetensors", "length.safetensors"],
    "encoding": ["scores.parquet", "null.parquet", "groups.parquet"],
    "rsa": ["untuned.parquet", "brain.parquet"],
    "figures": ["layers.svg", "layers.png", "layers.json"],
    "supplement": ["power.svg"],
}


def write_profile(folder, **changes):
    """Write a profile whose runs are in `folder`; return its path."""
    values = VALUES | {"runs": str(folder)} | changes
    path = folder / f"{values['profile']}.yml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def make_run(folder):
    """Make a whole run in a folder, with the file of its profile, and return it."""
    study = Study.load(write_profile(folder))
    stamps = fingerprints(study)
    for job, stamp in stamps.items():
        for place in artefacts(study, job):
            for file in [place] if place.suffix else [place / name for name in FILES[job.step]]:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(f"{job.label}: {file.name}", encoding="utf-8")
        cells = [{"cell_type": "markdown", "metadata": {}, "source": f"# {job.label}"}]
        keep(study, job, {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, stamp, 1.5)
    study.book_page.parent.mkdir(parents=True)
    study.book_page.write_text("<h1>The book</h1>", encoding="utf-8")
    facts = {"fingerprints": {job.label: stamp for job, stamp in stamps.items()}, "book": book_fingerprint(study)}
    store.write_json(study.folder / "provenance.json", facts)
    return study
