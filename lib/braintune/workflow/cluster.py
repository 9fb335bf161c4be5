"""Where jobs run: an engine's file names Snakemake's executor and the resources of each job.

Such a file is a profile of Snakemake, a list of its options, in `notebooks/profiles` or anywhere else. The Snakefile
holds the default resources of each job.
"""

from importlib.util import find_spec
from pathlib import Path

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


def options_for(engine: str) -> list[str]:
    """Return what an engine adds to the command line of Snakemake.

    Raises
    ------
    BraintuneError
        As :func:`engine_path`; if its file is not valid YAML, or Snakemake's plugin for its executor is not installed.
    """
    path = engine_path(engine)
    executor = str(read_settings(path)["executor"])
    plugin = f"snakemake-executor-plugin-{executor.replace('_', '-')}"
    if executor not in ("local", "dryrun", "touch") and find_spec(plugin.replace("-", "_")) is None:
        raise BraintuneError(
            f"{path.name}: executor: {executor!r} needs {plugin}, which is not installed; install it: "
            f".venv/bin/pip install {plugin}"
        )
    # The executor is repeated: Snakemake might take a folder of the same name for the profile.
    return ["--profile", str(path), "--executor", executor]
