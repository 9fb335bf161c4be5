"""A run as one frozen object: every parameter, and the path of every artefact.

A profile (YAML, flat keys) becomes a :class:`Study`. It *is* each of the groups of parameters in
:mod:`braintune.core.settings`, so it can be passed wherever one of them is wanted.
"""

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError, model_validator

from braintune.core.base import REPOSITORY, BraintuneError
from braintune.core.settings import (
    AnalysisSettings,
    BrainSettings,
    DecodingSettings,
    EmbeddingSettings,
    MachineSettings,
    SimulationSettings,
    TaskSettings,
    TuningSettings,
    WorldSettings,
)

#: Parameters that span the grid of jobs: they decide which jobs exist, not what one job computes.
GRID = {"profile", "runs", "tasks", "methods", "scored_only", "seeds", "brains", "participants"}


@dataclass(frozen=True)
class Representation:
    """One embedding of the stimuli: untuned, tuned by a method on a task, or a control."""

    name: str
    method: str
    task: str = ""
    seed: int = -1


class Study(
    MachineSettings,
    WorldSettings,
    TaskSettings,
    TuningSettings,
    EmbeddingSettings,
    BrainSettings,
    SimulationSettings,
    DecodingSettings,
    AnalysisSettings,
):
    """Every parameter of a run, validated and frozen, and the path of every artefact."""

    @model_validator(mode="after")
    def _possible(self) -> "Study":
        rates = self.learning_rates
        if missing := [m for m in self.methods if m not in rates]:
            raise ValueError(f"learning_rates: none for method {missing[0]!r}; there are some for {', '.join(rates)}")
        if wrong := {k: v for k, v in rates.items() if not v or min(v) <= 0}:
            raise ValueError(f"learning_rates: {wrong} must be lists of numbers above 0")
        if len({len(rates[m]) for m in self.methods}) > 1:
            numbers = ", ".join(f"{m} {len(rates[m])}" for m in self.methods)
            raise ValueError(f"learning_rates: every method gets as many trials, but here they have {numbers}")
        if min(self.epochs) < 1:
            raise ValueError(f"epochs: {self.epochs} must be from 1")
        for name in ("tasks", "methods", "seeds", "epochs", "brains", "experiments", "nuisance", "controls", "designs"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise ValueError(f"{name}: {values} names something twice")
        if bad := [n for n in self.vectors if n in ("untuned", *self.controls) or not re.fullmatch(r"[\w.-]+", n)]:
            raise ValueError(f"vectors: {bad[0]!r} must be a new name of letters, digits and . _ - only")
        if self.stride >= self.max_tokens:
            raise ValueError(f"stride: {self.stride} must be below max_tokens ({self.max_tokens})")
        if self.passages < self.topics:
            raise ValueError(f"passages: {self.passages} must be at least topics ({self.topics})")
        if self.alpha_exponents[0] > self.alpha_exponents[1]:
            raise ValueError(f"alpha_exponents: {self.alpha_exponents} must run from small to large")
        return self

    # --- making one ------------------------------------------------------------------------------------------

    @classmethod
    def make(cls, values: Mapping[str, Any], source: str = "parameters") -> "Study":
        """Validate `values`; every fault is one line that names the key, the value and what is allowed.

        Raises
        ------
        BraintuneError
            For unknown keys, wrong types, values out of range and impossible combinations.
        """
        try:
            return cls(**values)
        except ValidationError as error:
            raise BraintuneError("\n".join(f"{source}: {_fault(e, cls)}" for e in error.errors())) from None

    @classmethod
    def load(cls, profile: str | Path) -> "Study":
        """Load a profile: a name among `notebooks/profiles`, or the path of a YAML file.

        Raises
        ------
        BraintuneError
            If there is no such profile, or it is not a valid one.
        """
        path = profile_path(profile)
        made = cls.make(read_settings(path), path.name)
        if made.profile != path.stem:
            raise BraintuneError(f"{path.name}: profile: {made.profile!r} must be the file's name, {path.stem!r}")
        return made

    @classmethod
    def from_notebook(cls, namespace: Mapping[str, Any], own: tuple[str, ...] = ()) -> "Study":
        """Build the study from a notebook's namespace (``globals()``), where papermill has put the parameters.

        A name under ``profile`` that stands in `notebooks/profiles` supplies what the notebook does not give. From here
        on, a warning is shown in the notebook as a sentence, without the file and the line that it comes from.

        Parameters
        ----------
        namespace : mapping
            The names defined so far; modules, classes, functions and IPython's own names are passed over.
        own : tuple of str
            Parameters of the notebook itself, such as ``task``.

        Raises
        ------
        BraintuneError
            If a name is no parameter of a study, or a value is not allowed.
        """
        ipython = {"In", "Out", "exit", "quit", "get_ipython", "open"}
        values = {
            name: value
            for name, value in namespace.items()
            if not name.startswith("_")
            and name not in ipython
            and not isinstance(value, ModuleType | type)
            and not callable(value)
        }
        warnings.formatwarning = lambda message, category, *_, **__: f"{category.__name__}: {message}\n"
        given = {k: v for k, v in values.items() if k not in own}
        named = REPOSITORY / "notebooks" / "profiles" / f"{given.get('profile')}.yml"
        base = cls.load(named).values(cls) if named.is_file() else {}
        return cls.make(base | given, "notebook parameters")

    # --- the grid --------------------------------------------------------------------------------------------

    def representations(self) -> list[Representation]:
        """Return all representations of this run: untuned, tuned, controls, in that order."""
        tuned = [
            Representation(f"{task}_{method}_seed-{seed}", method, task, seed)
            for task in self.tasks
            for method in self.methods
            if method not in self.scored_only
            for seed in self.seeds
        ]
        controls = [Representation(name, "control") for name in (*self.controls, *self.vectors)]
        return [Representation("untuned", "untuned"), *tuned, *controls]

    # --- where artefacts lie ---------------------------------------------------------------------------------

    @property
    def folder(self) -> Path:
        """Folder of this run."""
        return REPOSITORY / self.runs / self.profile

    def tuning_folder(self, task: str, method: str, seed: int) -> Path:
        """Folder with `weights.safetensors`, `metrics.json` and `history.parquet`."""
        return self.folder / "tuning" / task / method / f"seed-{seed}"

    def embedding_file(self, brain: str, representation: str) -> Path:
        """Array `embedding` [layers, stimuli, width], float32."""
        return self.folder / "embeddings" / brain / f"{representation}.safetensors"

    def decoding_file(self, brain: str, participant: str) -> Path:
        """Tidy table of decoding scores, one row per fold."""
        return self.folder / "decoding" / brain / f"{participant}.parquet"

    def null_file(self, brain: str, participant: str) -> Path:
        """Tidy table of scores under permuted labels."""
        return self.folder / "decoding" / brain / f"{participant}.null.parquet"

    def rsa_file(self, brain: str, table: str) -> Path:
        """Tidy table of the similarity analysis."""
        return self.folder / "rsa" / brain / f"{table}.parquet"

    @property
    def book_page(self) -> Path:
        """The front page of the book."""
        return self.folder / "book" / "html" / "index.html"

    def figure_file(self, name: str, suffix: str = "svg") -> Path:
        """One figure."""
        return self.folder / "figures" / f"{name}.{suffix}"


PROFILES = REPOSITORY / "notebooks" / "profiles"


def profile_path(profile: str | Path) -> Path:
    """Return the file of a profile given by name or by path.

    Raises
    ------
    BraintuneError
        If there is none, or it is an engine's file.
    """
    path = Path(profile) if str(profile).endswith((".yml", ".yaml")) else PROFILES / f"{profile}.yml"
    known = ", ".join(sorted(p.stem for p in PROFILES.glob("*.yml") if not is_engine(p)))
    if not path.is_file():
        raise BraintuneError(f"no profile {str(profile)!r}; known: {known}, or give the path of a .yml file")
    if is_engine(path):
        raise BraintuneError(
            f"{str(profile)!r} is an engine's file: it says where jobs run, not what is computed. Name a profile as "
            f"well, one of {known}: make book PROFILE=quick ENGINE={profile}"
        )
    return path


def read_settings(path: Path) -> dict[str, Any]:
    """Read the `key: value` lines of a YAML file.

    Raises
    ------
    BraintuneError
        If it is not valid YAML, or holds something else.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise BraintuneError(f"{path.name} is not valid YAML: its brackets are too deep") from None
    except (yaml.YAMLError, ValueError) as error:  # a date that there is not, for example, is no YAMLError
        raise BraintuneError(f"{path.name} is not valid YAML: {error}") from None
    if not isinstance(values, dict):
        raise BraintuneError(f"{path.name} must hold `key: value` lines, not {type(values).__name__}")
    if wrong := [key for key in values if not isinstance(key, str)]:
        raise BraintuneError(f"{path.name}: key {wrong[0]!r} must be a word, as in `key: value`")
    return values


def is_engine(path: Path) -> bool:
    """Return whether a YAML file is an engine's: options of Snakemake, of which one names the executor."""
    return any(line.startswith(b"executor:") for line in path.read_bytes().splitlines())


def _fault(error: Mapping[str, Any], cls: type[BaseModel]) -> str:
    """Put one pydantic error in the project's words."""
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"unknown parameter {key!r}; known: {', '.join(cls.model_fields)}"
    if not key:
        return error["msg"].removeprefix("Value error, ")
    meaning = cls.model_fields[str(error["loc"][0])].description
    return f"{key}: {error['msg']}; got {error['input']!r} ({meaning})"
