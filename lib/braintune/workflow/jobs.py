"""The jobs of a run: what each notebook is given, reads and writes."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from braintune.core import base, settings, store
from braintune.core.base import BraintuneError, lookup
from braintune.core.study import Study
from braintune.datasets.brains import registry
from braintune.models.checkpoints import FILES, model_folder

NOTEBOOKS = base.REPOSITORY / "notebooks"


@dataclass(frozen=True)
class Step:
    """One notebook of the chain.

    Attributes
    ----------
    own : tuple of str
        The notebook's own parameters, which tell its jobs apart.
    groups : tuple of Settings classes
        The groups of parameters that it reads.
    after : tuple of str
        The steps whose artefacts it reads.
    """

    own: tuple[str, ...]
    groups: tuple[type[settings.Settings], ...]
    after: tuple[str, ...] = ()


_TUNING = (settings.WorldSettings, settings.TaskSettings, settings.TuningSettings)
_BRAINS = (settings.WorldSettings, settings.BrainSettings, settings.SimulationSettings)
_DECODING, _ANALYSIS = settings.DecodingSettings, settings.AnalysisSettings

STEPS: dict[str, Step] = {
    "tuning": Step(("task", "method", "seed"), _TUNING),
    "embeddings": Step(("brain",), (*_BRAINS, settings.EmbeddingSettings), ("tuning",)),
    "decoding": Step(("brain", "participant"), (*_BRAINS, _DECODING), ("embeddings",)),
    "encoding": Step(("brain",), (*_BRAINS, _DECODING), ("embeddings",)),
    "rsa": Step(("brain",), (*_BRAINS, _DECODING, _ANALYSIS), ("embeddings",)),
    "figures": Step(("source",), (_DECODING, _ANALYSIS), ("decoding", "encoding", "rsa")),
    "supplement": Step((), ()),
}
#: A step of runs with `orders` only. Snakemake trains its sequences before, in parallel.
CONTINUAL = "continual"
_SEQUENCES = (*_TUNING, *_BRAINS, settings.EmbeddingSettings, _DECODING, settings.ContinualSettings)
ALL_STEPS = STEPS | {CONTINUAL: Step((), _SEQUENCES, ("tuning", "embeddings"))}


@dataclass(frozen=True)
class Job:
    """One execution of a notebook: the step and the values of its own parameters."""

    step: str
    parameters: tuple[tuple[str, Any], ...] = ()

    @property
    def source(self) -> str:
        """Which of :data:`braintune.core.study.SOURCES` it shows; empty for a step that computes."""
        return "supplement" if self.step == "supplement" else dict(self.parameters).get("source", "")

    @property
    def is_shared(self) -> bool:
        """Whether it reads recorded results alone, so that all runs share what it makes."""
        return self.source not in ("", "run")

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
    return Job(step, tuple((name, parameters[name]) for name in ALL_STEPS[step].own))


def parse_job(step: str, words: Mapping[str, str]) -> Job:
    """Return a job from its parameters as text, as a rule's wildcards or the command line give them.

    Raises
    ------
    BraintuneError
        For an unknown step, a parameter that is missing or not the step's own, and a seed that is no number.
    """
    own = lookup(ALL_STEPS, step, "step").own
    wanted = " ".join(f"{name}=…" for name in own) or "none"
    if differing := [name for name in own if name not in words] + [name for name in words if name not in own]:
        fault = "missing" if differing[0] in own else "unknown"
        raise BraintuneError(f"parameter {differing[0]!r} is {fault}; {step} takes {wanted}")
    if not words.get("seed", "0").isdecimal():
        raise BraintuneError(f"seed: {words['seed']!r} must be a whole number, at least 0")
    return make_job(step, **{k: int(words[k]) if k == "seed" else words[k] for k in own})


def all_jobs(study: Study) -> list[Job]:
    """Return every job of a run, in the order of the chain."""
    tuning = [
        make_job("tuning", task=task, method=method, seed=seed)
        for task in study.tasks
        for method in study.methods
        for seed in study.seeds
    ]
    decoding = [
        make_job("decoding", brain=name, participant=participant)
        for name in study.brains
        for participant in participants(study, name)
    ]
    embeddings, encoding, rsa = (
        [make_job(step, brain=name) for name in study.brains] for step in ("embeddings", "encoding", "rsa")
    )
    if "decoding" not in study.directions:
        raise BraintuneError(
            "directions: decoding is needed, since similarity and the claims build on it; allowed are "
            "[decoding] and [decoding, encoding]"
        )
    shown = [make_job("figures", source="run"), make_job("figures", source="recorded"), make_job("supplement")]
    jobs = [*tuning, *embeddings, *decoding, *encoding, *rsa, *shown]
    jobs += [make_job(CONTINUAL)] if study.orders else []
    return [job for job in jobs if job.step in study.directions or job.step not in ("decoding", "encoding")]


def participants(study: Study, brain_name: str) -> tuple[str, ...]:
    """Return the participants of one brain data set that this run decodes."""
    return registry.load_brain(study, brain_name).participants


def executed_notebook(study: Study, job: Job) -> Path:
    """Return the path of a job's executed notebook; that of a tuning job is stored with the model."""
    if job.step == "tuning":
        return model_folder(study, **dict(job.parameters)) / "tuning.ipynb"
    if job.is_shared:
        return study.shown_folder(job.source) / f"{job.step}.ipynb"
    folder = study.folder / "notebooks"
    return folder / f"{job.step}.ipynb" if not job.parameters else folder / job.step / f"{job.name}.ipynb"


def benchmark_file(study: Study, job: Job) -> Path:
    """Return the path of the table in which Snakemake records the seconds and the memory of a job."""
    return executed_notebook(study, job).with_suffix(".benchmark.tsv")


def note_of(path: Path) -> dict[str, Any]:
    """Return what was stamped into an executed notebook; nothing where it has no stamp or is not there."""
    return read_notebook(path)["metadata"].get("braintune", {}) if path.is_file() else {}


def stamp_of(path: Path) -> str | None:
    """Return the fingerprint stamped into an executed notebook; None where it has none or is not there."""
    return note_of(path).get("fingerprint")


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
            f"{path} is not a complete notebook ({type(error).__name__}: {error}); delete it and run `make book` again"
        ) from None


def page_checksum(notebook: Mapping[str, Any]) -> str:
    """Return the SHA-256 over the cells of an executed notebook: its text, its code and what came out."""
    return hashlib.sha256(json.dumps(notebook["cells"], sort_keys=True).encode()).hexdigest()


def artefacts(study: Study, job: Job) -> list[Path]:
    """Return the files and folders that a job makes, beside its executed notebook."""
    own = dict(job.parameters)
    if job.step == "tuning":
        return [model_folder(study, **own) / name for name in FILES]
    if job.step == "decoding":
        return [file(**own) for file in (study.decoding_file, study.null_file, study.groups_file)]
    if job.step == CONTINUAL:
        return [study.folder / CONTINUAL / "tables"]
    if job.source:
        names = ("figures", "results.json") if job.step == "supplement" else ("figures", "claims.json", "results.json")
        return [study.shown_folder(job.source) / name for name in names]
    return [study.folder / job.step / own["brain"]]


def outputs(study: Study, job: Job) -> dict[str, str]:
    """Return path (relative to the folder of all runs) → SHA-256 of the existing files of a job's artefacts."""
    found: dict[str, str] = {}
    for place in artefacts(study, job):
        files = [place] if place.is_file() else [p for p in place.rglob("*") if p.is_file()]
        found |= {
            file.relative_to(study.root).as_posix(): store.checksum(file)
            for file in sorted(files)
            if not file.name.startswith(".")  # what a killed process was writing
        }
    return found
