"""Where jobs run: an engine's file gives Snakemake its executor and what to ask of a cluster for each job.

Such a file is a profile in Snakemake's sense, a list of its options, which lies beside the profiles of this project in
`notebooks/profiles`, or anywhere else. This module finds it and reads which steps it gives a GPU, since a job with one
needs fewer minutes. What a job asks for is worked out in :mod:`braintune.workflow.cost`; the rest is up to Snakemake.
"""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from braintune.core.base import BraintuneError
from braintune.core.study import PROFILES, is_engine, read_settings

#: Steps that compute with torch and are faster on a GPU.
GPU_STEPS = ("tuning", "embeddings", "decoding", "rsa")


def known() -> list[str]:
    """Return the names of the engines that have a file in `notebooks/profiles`."""
    return sorted(path.stem for path in PROFILES.glob("*.yml") if is_engine(path))


def engine_path(engine: str) -> Path:
    """Return the file of an engine given by name or by path.

    Raises
    ------
    BraintuneError
        If there is none, or it names no executor.
    """
    path = Path(engine) if engine.endswith((".yml", ".yaml")) else PROFILES / f"{engine}.yml"
    remedy = f"known: {', '.join(known())}, or give the path of a .yml file made from one of them"
    if not path.is_file():
        raise BraintuneError(f"no engine {engine!r}; {remedy}")
    if not is_engine(path):
        raise BraintuneError(f"{engine!r} is no engine's file: it has no line `executor: …`; {remedy}")
    return path.resolve()


def installed(executor: str) -> bool:
    """Return whether Snakemake has an executor: of itself, or by its plugin."""
    return executor in ("local", "dryrun", "touch") or find_spec(_plugin(executor)) is not None


def _plugin(executor: str) -> str:
    return f"snakemake_executor_plugin_{executor.replace('-', '_')}"


def read_engine(path: Path, must_run: bool = True) -> dict[str, Any]:
    """Read an engine's file.

    Parameters
    ----------
    path : Path
    must_run : bool
        Whether its executor must be installed.

    Raises
    ------
    BraintuneError
        If it is not valid YAML, or Snakemake's plugin for its executor is not installed.
    """
    options = read_settings(path)
    executor = str(options["executor"])
    if must_run and not installed(executor):
        raise BraintuneError(
            f"{path.name}: executor: {executor!r} needs {_plugin(executor).replace('_', '-')}, which is not installed; "
            f"install it: .venv/bin/pip install {_plugin(executor).replace('_', '-')}"
        )
    _require_resources(path, options)
    return options


def _require_resources(path: Path, options: Mapping[str, Any]) -> None:
    """Refuse a block of resources that has lost its lines: Snakemake's message would not name it."""
    blocks = {key: options[key] for key in ("default-resources", "set-resources") if key in options}
    blocks |= {f"set-resources: {rule}": lines for rule, lines in (options.get("set-resources") or {}).items()}
    for name, lines in blocks.items():
        if not isinstance(lines, Mapping) or not lines:
            raise BraintuneError(
                f"{path.name}: {name}: {lines!r} must hold `name: value` lines; where there are none left, remove "
                f"`{name.split(': ')[-1]}:` as well"
            )


def gpu_steps(options: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the steps whose jobs an engine's file gives a GPU: by `gpu`, or by `gres` or `slurm_extra` that name one.

    Parameters
    ----------
    options : mapping
        What :func:`read_engine` returns; resources of a rule come before those of all rules.
    """
    everywhere = options.get("default-resources") or {}
    by_rule = options.get("set-resources") or {}
    return tuple(step for step in GPU_STEPS if _has_gpu({**everywhere, **(by_rule.get(step) or {})}))


def _has_gpu(resources: Mapping[str, Any]) -> bool:
    words = f"{resources.get('gres', '')} {resources.get('slurm_extra', '')}"
    return str(resources.get("gpu", 0)) != "0" or "gpu" in words


def options_for(engine: str) -> tuple[list[str], list[str]]:
    """Return what an engine adds to the command line of Snakemake: its options, and its entries of ``--config``."""
    path = engine_path(engine)
    options = read_engine(path)
    steps = gpu_steps(options)
    # The executor once more: Snakemake would take a folder of that name beside the file for what is meant.
    return ["--profile", str(path), "--executor", str(options["executor"])], [
        f"gpu_steps={','.join(steps)}"
    ] if steps else []
