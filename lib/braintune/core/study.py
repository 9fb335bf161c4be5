"""A run as one frozen object: every parameter, and the path of every artefact.

A profile (YAML, flat keys) becomes a :class:`Study`, a subclass of every group of parameters in
:mod:`braintune.core.settings`: pass it wherever one of them is expected.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError, model_validator

from braintune.core import base, settings, store
from braintune.core.base import BraintuneError, lookup, nearest_first
from braintune.core.plain_yaml import load_yaml
from braintune.core.plugins import load_plugin

#: File that the Snakefile reads in the folder of a run or a sweep. It holds the relative path of the profile or sweep,
#: the profiles by the folders of their runs, and the pages to be rebuilt.
PLAN = ".plan.json"
#: Parameters that span the grid of jobs: they decide which jobs exist, not what one job computes.
GRID = {"profile", "runs", "plugins", "tasks", "methods", "scored_only", "seeds", "brains", "participants"}
#: Folders beside those of the runs, and what is in them.
SHARED = {"models": "tuned models", "shared": "what all runs show of the recorded results"}
#: Where results that pages show come from.
SOURCES = {
    "run": "the tables of the run",
    "recorded": "the recorded tables of the real run",
    "supplement": "the recorded tables of smaller runs, and of the calibration",
}


@dataclass(frozen=True)
class Representation:
    """One embedding of the stimuli.

    Attributes
    ----------
    name : str
    kind : {"untuned", "tuned", "control"}
    method, task, seed : str, str, int
        Method, task and seed of a tuned representation; for the other kinds, empty strings and -1.
    """

    name: str
    kind: str
    method: str = ""
    task: str = ""
    seed: int = -1


class Study(
    settings.MachineSettings,
    settings.WorldSettings,
    settings.TaskSettings,
    settings.TuningSettings,
    settings.EmbeddingSettings,
    settings.BrainSettings,
    settings.SimulationSettings,
    settings.DecodingSettings,
    settings.AnalysisSettings,
    settings.ContinualSettings,
):
    """Every parameter of a run, validated and frozen, and the path of every artefact."""

    @model_validator(mode="after")
    def _possible(self) -> "Study":
        rates = self.learning_rates
        if missing := [m for m in self.methods if m not in rates]:
            raise ValueError(
                f"learning_rates: none for method {missing[0]!r}; given for {', '.join(rates)}; add rates for it, "
                "correct its name, or remove it from `methods`"
            )
        if len({len(rates[m]) for m in self.methods}) > 1:
            numbers = ", ".join(f"{m} {len(rates[m])}" for m in self.methods)
            raise ValueError(
                f"learning_rates: every method needs the same number of rates, not {numbers}; add or remove rates"
            )
        for name in (
            "tasks", "methods", "seeds", "epochs", "brains", "experiments", "nuisance", "controls", "designs",
            "directions",
        ):  # fmt: skip
            values = getattr(self, name) or []
            if twice := [value for i, value in enumerate(values) if value in values[:i]]:
                raise ValueError(f"{name}: {twice[0]!r} is listed twice in {values}; remove one of them")
        if bad := [n for n in self.vectors if n in ("untuned", *self.controls) or not re.fullmatch(r"[\w.-]+", n)]:
            raise ValueError(f"vectors: {bad[0]!r} must be a new name that consists of letters, digits and . _ - only")
        if self.profile in SHARED:
            raise ValueError(
                f"profile: {self.profile!r} is the folder of {SHARED[self.profile]} in `runs`; choose another name"
            )
        try:
            Path(self.runs).expanduser()
        except RuntimeError:
            raise ValueError(f"runs: the home folder in {self.runs!r} is unknown; write the full path") from None
        if not self.runs.strip() or self.runs.startswith("$"):
            raise ValueError(f"runs: {self.runs!r} must be a path; ~ is expanded in it, shell variables are not")
        if self.stride >= self.max_tokens:
            raise ValueError(f"stride: {self.stride} must be below max_tokens ({self.max_tokens}); change one of them")
        if self.passages < self.topics:
            raise ValueError(f"passages: {self.passages} must be at least topics ({self.topics}); change one of them")
        if self.alpha_exponents[0] > self.alpha_exponents[1]:
            raise ValueError(f"alpha_exponents: {self.alpha_exponents} must run from small to large; swap them")
        return self

    # --- making one ------------------------------------------------------------------------------------------

    @classmethod
    def make(cls, values: Mapping[str, Any], source: str = "parameters") -> "Study":
        """Validate `values`; every error is one line that names the key, the value and what is allowed.

        Raises
        ------
        BraintuneError
            For unknown keys, wrong types, values out of range, impossible combinations, and faulty plugins.
        """
        try:
            made = cls(**values)
        except ValidationError as error:
            raise BraintuneError("\n".join(f"{source}: {_fault(e, cls)}" for e in error.errors())) from None
        for plugin in made.plugins:
            load_plugin(base.REPOSITORY / plugin)
        return made

    @classmethod
    def load(cls, profile: str | Path, **changes: Any) -> "Study":
        """Load a profile, by its name in `notebooks/profiles` or the path of a YAML file, or a variant of a sweep.

        Parameters
        ----------
        profile : str or Path
            A variant is named `<sweep>/<variant>`, where the sweep is also given by its name or path.
        **changes
            Parameters that replace those of the profile; None keeps the value of the profile.

        Raises
        ------
        BraintuneError
            If the profile does not exist or is not valid, or the folder of its run belongs to another file.
        """
        path = profile_path(profile)
        file, own, source = path, {"profile": path.stem}, path.name
        if path.parent.is_file():
            sweep, name = path.parent, path.name
            file, variants = read_sweep(sweep)
            own = lookup(variants, name, f"variant of {sweep.name}") | {"profile": f"{sweep.stem}/{name}"}
            source = f"{sweep.name}: {name}"
        given = {name: value for name, value in changes.items() if value is not None}
        made = cls.make(_profile_values(file) | own | given, source)
        require_same_file(made.folder, path)
        return made

    # --- the grid --------------------------------------------------------------------------------------------

    def representations(self) -> list[Representation]:
        """Return all representations of this run: untuned, tuned, controls, in that order."""
        tuned = [
            Representation(f"{task}_{method}_seed-{seed}", "tuned", method, task, seed)
            for task in self.tasks
            for method in self.methods
            if method not in self.scored_only
            for seed in self.seeds
        ]
        controls = [Representation(name, "control") for name in (*self.controls, *self.vectors)]
        return [Representation("untuned", "untuned"), *tuned, *controls]

    # --- paths of artefacts ----------------------------------------------------------------------------------

    @property
    def root(self) -> Path:
        """Folder of all runs; tuned models are in its folder `models`, see :mod:`braintune.models.checkpoints`."""
        return base.REPOSITORY / Path(self.runs).expanduser()

    @property
    def folder(self) -> Path:
        """Folder of this run."""
        return self.root / self.profile

    def embedding_file(self, brain: str, representation: str) -> Path:
        """Array `embedding` [layers, stimuli, width], float32."""
        return self.folder / "embeddings" / brain / f"{representation}.safetensors"

    def decoding_file(self, brain: str, participant: str) -> Path:
        """Tidy table of decoding scores, one row per fold."""
        return self.folder / "decoding" / brain / f"{participant}.parquet"

    def null_file(self, brain: str, participant: str) -> Path:
        """Tidy table of decoding scores under permuted labels."""
        return self.folder / "decoding" / brain / f"{participant}.null.parquet"

    def groups_file(self, brain: str, participant: str) -> Path:
        """Tidy table of what each group of stimuli contributes to the decoding scores."""
        return self.folder / "decoding" / brain / f"{participant}.groups.parquet"

    def encoding_file(self, brain: str, table: str) -> Path:
        """Tidy table of the encoding direction, all participants: scores, null or groups."""
        return self.folder / "encoding" / brain / f"{table}.parquet"

    def rsa_file(self, brain: str, table: str) -> Path:
        """Tidy table of the similarity analysis."""
        return self.folder / "rsa" / brain / f"{table}.parquet"

    @property
    def book_page(self) -> Path:
        """The front page of the book."""
        return self.folder / "book" / "html" / "index.html"

    def shown_folder(self, source: str = "run") -> Path:
        """Folder of the figures and numbers that pages show of one of :data:`SOURCES`; all runs share the recorded."""
        lookup(SOURCES, source, "source")
        return self.folder if source == "run" else self.root / "shared" / source

    def figure_file(self, name: str, suffix: str = "svg", source: str = "run") -> Path:
        """One figure of one of :data:`SOURCES`."""
        return self.shown_folder(source) / "figures" / f"{name}.{suffix}"


PROFILES, SWEEPS = (base.REPOSITORY / "notebooks" / folder for folder in ("profiles", "sweeps"))
#: What a variant of a sweep cannot change.
FIXED = ("profile", "runs")


def profile_path(profile: str | Path) -> Path:
    """Return the file of a profile given by name or by path, relative to the current folder or to the repository.

    For a variant, it is the file of its sweep, followed by the name of the variant.

    Raises
    ------
    BraintuneError
        If there is none, or it is the file of an engine.
    """
    path = _find(profile, PROFILES)
    names = sorted(p.stem for p in PROFILES.glob("*.yml") if not is_engine(p))
    known = ", ".join(nearest_first(str(profile), names))
    sweep, _, variant = str(profile).rpartition("/")
    if not path.is_file() and sweep and (file := _find(sweep, SWEEPS)).is_file():
        return file.parent.resolve() / file.name / variant
    if not path.is_file():
        remedy = "give the path of a .yml file"
        if _find(profile, SWEEPS).is_file():
            remedy = f"run the sweep of this name with `make sweep SWEEP={profile}`; a variant is {profile}/<variant>"
        raise BraintuneError(f"no profile {str(profile)!r}; known: {known}, or {remedy}")
    if is_engine(path):
        raise BraintuneError(
            f"{str(profile)!r} is an engine file: it says where jobs run, not what is computed. Also name a "
            f"profile, one of {known}: make book PROFILE=quick ENGINE={profile}"
        )
    return path.parent.resolve() / path.name  # a link keeps its name


def sweep_path(sweep: str | Path) -> Path:
    """Return the file of a sweep given by name or by path, relative to the current folder or to the repository.

    Raises
    ------
    BraintuneError
        If there is none.
    """
    path = _find(sweep, SWEEPS)
    if not path.is_file():
        known = ", ".join(nearest_first(str(sweep), sorted(p.stem for p in SWEEPS.glob("*.yml"))))
        remedy = "give the path of a .yml file"
        if _find(sweep, PROFILES).is_file():
            remedy = f"run the profile of this name with `make book PROFILE={sweep}`"
        raise BraintuneError(f"no sweep {str(sweep)!r}; known: {known}, or {remedy}")
    return path.parent.resolve() / path.name


def _find(name: str | Path, folder: Path) -> Path:
    path = Path(name) if str(name).endswith((".yml", ".yaml")) else folder / f"{name}.yml"
    return path if path.is_file() else base.REPOSITORY / path


def read_sweep(path: Path) -> tuple[Path, dict[str, dict[str, Any]]]:
    """Read a sweep; return the file of its base profile, and variant → the parameters that differ.

    Raises
    ------
    BraintuneError
        If it does not hold `base` (a profile's name, or a path relative to the folder of the sweep) and `variants`,
        the base is unknown, or a variant has an invalid name, an invalid parameter or no parameters.
    """
    values = read_settings(path)
    name, variants = values.get("base"), values.get("variants")
    if set(values) != {"base", "variants"} or not (isinstance(name, str) and isinstance(variants, dict) and variants):
        held = [f"{key}: {values[key]!r}" if key in ("base", "variants") else str(key) for key in list(values)[:5]]
        raise BraintuneError(
            f"{path.name} must hold two keys, `base: quick` (a profile) and `variants:` with lines `short: "
            f"{{prefix_length: 5}}`; it holds {', '.join(held) or 'none'}{' …' if len(values) > 5 else ''}"
        )
    file = profile_path(path.parent / name if name.endswith((".yml", ".yaml")) else name)
    taken = {"book", file.stem}
    for variant, differing in variants.items():
        if not isinstance(variant, str) or not re.fullmatch(r"[A-Za-z0-9_-]{1,100}", variant) or variant in taken:
            raise BraintuneError(
                f"{path.name}: variant {variant!r} must be a name of at most 100 letters, digits, _ "
                f"and - (a number in quotes), other than {' and '.join(sorted(taken))}"
            )
        if not isinstance(differing, dict) or not differing or not all(map(_is_free, differing)):
            raise BraintuneError(
                f"{path.name}: {variant}: {differing!r} must hold the parameters that differ, as in "
                f"{{prefix_length: 5}}, without {', '.join(FIXED)}"
            )
    return file, {variant: differing | _plugins(differing, path) for variant, differing in variants.items()}


def _is_free(key: Any) -> bool:
    return isinstance(key, str) and key not in FIXED


def _profile_values(path: Path) -> dict[str, Any]:
    """Read the parameters of a profile, with the paths of plugins relative to the repository."""
    if not path.is_file():
        raise BraintuneError(f"base: {path.parent.name}/{path.name} is a variant of a sweep; name a profile")
    values = read_settings(path)
    if values.get("profile", path.stem) != path.stem:
        raise BraintuneError(
            f"{path.name}: profile: {values['profile']!r} must be the file's name, {path.stem!r}; change one of "
            "them, or leave the line out"
        )
    return values | _plugins(values, path)


def _plugins(values: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return the `plugins` of a profile or a variant, if any, with paths relative to the repository."""
    if not isinstance(values.get("plugins"), list):
        return {}
    here = path.parent.resolve()
    return {"plugins": [os.path.relpath(here / Path(str(p)).expanduser(), base.REPOSITORY) for p in values["plugins"]]}


def read_settings(path: Path) -> dict[str, Any]:
    """Read the `key: value` lines of a YAML file.

    Raises
    ------
    BraintuneError
        If it is not valid YAML, repeats a key, or does not hold `key: value` lines.
    """
    try:
        values = load_yaml(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise BraintuneError(
            f"{path.name} is not valid YAML: its brackets are nested too deeply; correct the file"
        ) from None
    except ValueError as error:  # also bytes that are not UTF-8
        raise BraintuneError(f"{path.name} is not valid YAML: {error}") from None
    if not isinstance(values, dict):
        raise BraintuneError(f"{path.name} must hold `key: value` lines, not {type(values).__name__}")
    if wrong := [key for key in values if not isinstance(key, str)]:
        raise BraintuneError(f"{path.name}: key {wrong[0]!r} must be a word, as in `key: value`")
    return values


def is_engine(path: Path) -> bool:
    """Return whether a YAML file configures an engine: options of Snakemake, one of which names the executor."""
    return any(line.startswith(b"executor:") for line in path.read_bytes().splitlines())


def require_same_file(folder: Path, path: Path) -> None:
    """Raise an error if a folder holds the results of another profile or sweep whose file still exists.

    Moving a profile, or moving or copying the repository, keeps the results.
    """
    try:
        other = folder / store.read_json(folder / PLAN)["profile"]
        others = other.is_file() and not other.samefile(path)
    except (BraintuneError, OSError, KeyError, TypeError):  # no run yet, or its plan is damaged
        return
    if others:
        raise BraintuneError(
            f"{folder} holds the results of {other.resolve()}, and {path.resolve()} has the same name, "
            f"{path.stem!r}; rename one of the files (and its `profile`), or set another `runs` in it"
        )


#: Kind of pydantic error → what is needed; the others are in pydantic's words.
_NEEDED = {"list_type": "list", "dict_type": "mapping"}


def _fault(error: Mapping[str, Any], cls: type[BaseModel]) -> str:
    """Describe one pydantic error in this project's words."""
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"unknown parameter {key!r}; known: {', '.join(nearest_first(key, cls.model_fields))}"
    message = error["msg"].removeprefix("Value error, ")
    if not key:
        return message
    field, given = cls.model_fields[str(error["loc"][0])], error["input"]
    remedy = ""
    if error["type"] == "string_type" and isinstance(given, int | float):
        remedy = "; put it in quotes"
    if error["type"] == "string_pattern_mismatch":
        marks = "_ . and -" if key == "own_study" else "_ and -"
        remedy = f"; use only letters, digits, {marks}" + ", also in the name of the file" * (key == "profile")
    if error["type"] in _NEEDED:
        example = field.get_default(call_default_factory=True) if len(error["loc"]) == 1 else None
        example = example or ([given] if _NEEDED[error["type"]] == "list" else {"name": given})
        shown = yaml.safe_dump(example, default_flow_style=True, width=1000, sort_keys=False).strip()
        message = f"a {_NEEDED[error['type']]} is needed, as in {error['loc'][-1]}: {shown}"
    return f"{key}: {message}; got {given!r} ({field.description}){remedy}"
