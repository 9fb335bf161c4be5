"""Where jobs run: an engine's file names Snakemake's executor and the resources of each job.

Such a file is a profile of Snakemake, a list of its options, in `notebooks/profiles` or anywhere else. The Snakefile
holds the default resources of each job.
"""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from braintune.core.base import BraintuneError
from braintune.core.study import PROFILES, is_engine, read_settings


def engine_path(engine: str) -> Path:
    """Return the file of an engine given by name or by path.

    Raises
    ------
    BraintuneError
        If there is none, or it names no executor.
    """
    path = Path(engine) if engine.endswith((".yml", ".yaml")) else PROFILES / f"{engine}.yml"
    known = sorted(path.stem for path in PROFILES.glob("*.yml") if is_engine(path))
    remedy = f"known: {', '.join(known)}, or give the path of a .yml file made from one of them"
    if not path.is_file():
        raise BraintuneError(f"no engine {engine!r}; {remedy}")
    if not is_engine(path):
        raise BraintuneError(f"{engine!r} is not an engine file: it has no line `executor: …`; {remedy}")
    return path.resolve()


def installed(executor: str) -> bool:
    """Return whether Snakemake has an executor, built in or as a plugin."""
    plugin = f"snakemake_executor_plugin_{executor.replace('-', '_')}"
    return executor in ("local", "dryrun", "touch") or find_spec(plugin) is not None


def read_engine(path: Path) -> dict[str, Any]:
    """Read an engine's file.

    Raises
    ------
    BraintuneError
        If it is not valid YAML, Snakemake's plugin for its executor is not installed, or a block of resources has lost
        its lines (Snakemake's message would not name it).
    """
    options = read_settings(path)
    executor = str(options["executor"])
    if not installed(executor):
        plugin = f"snakemake-executor-plugin-{executor.replace('_', '-')}"
        raise BraintuneError(
            f"{path.name}: executor: {executor!r} needs {plugin}, which is not installed; install it: "
            f".venv/bin/pip install {plugin}"
        )
    blocks: dict[str, Any] = {key: options[key] for key in ("default-resources", "set-resources") if key in options}
    blocks |= {f"set-resources: {rule}": lines for rule, lines in (options.get("set-resources") or {}).items()}
    for name, lines in blocks.items():
        if not isinstance(lines, Mapping) or not lines:
            raise BraintuneError(
                f"{path.name}: {name}: {lines!r} must hold `name: value` lines; if none are left, remove "
                f"`{name.split(': ')[-1]}:` as well"
            )
    return options


def options_for(engine: str) -> list[str]:
    """Return what an engine adds to the command line of Snakemake."""
    path = engine_path(engine)
    # The executor is repeated: Snakemake might take a folder of the same name for the profile.
    return ["--profile", str(path), "--executor", str(read_engine(path)["executor"])]
