"""The code behind a result: the source files that a module imports, the commit, and the versions of libraries."""

import ast
import platform
import re
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from braintune.core import base

LIBRARY = Path(__file__).parents[1]
#: Libraries whose versions are recorded.
PACKAGES = (
    "torch", "transformers", "numpy", "scikit-learn", "scipy", "pandas", "nilearn", "papermill", "snakemake",
)  # fmt: skip


@cache
def source_files(*modules: str, stop: frozenset[str] = frozenset()) -> frozenset[Path]:
    """Return the files of the given modules and of those that they import, directly or indirectly.

    A YAML file beside a module that names it is included.

    Parameters
    ----------
    *modules : str
        Dotted, without `braintune.`: ``neural.ridge``.
    stop : frozenset of str
        Modules whose own imports are not followed.
    """
    reached: set[Path] = set()
    queue = set(modules)
    while queue:
        module = queue.pop()
        path = LIBRARY / f"{module.replace('.', '/')}.py"
        if not path.is_file() or path in reached:
            continue
        imports, beside = _reads(path)
        reached |= {path} | beside
        queue |= set() if module in stop else imports
    return frozenset(reached)


@cache
def _reads(path: Path) -> tuple[frozenset[str], frozenset[Path]]:
    """Return the modules that a file imports, and the YAML files beside it that it names."""
    code = path.read_text(encoding="utf-8")
    named = (path.with_name(name) for name in re.findall(r'"([\w-]+\.yml)"', code))
    return frozenset(imported_modules(code)), frozenset(file for file in named if file.is_file())


def imported_modules(code: str) -> set[str]:
    """Return the modules, without `braintune.`, that a piece of code may import."""
    found = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("braintune."):
            package = node.module.removeprefix("braintune.")
            found |= {package} | {f"{package}.{alias.name}" for alias in node.names}
    return found


def code_and_versions() -> dict[str, Any]:
    """Return the commit, whether files have changed since, and the versions of :data:`PACKAGES`."""
    return {
        "code": {"commit": _git("rev-parse", "HEAD"), "changed": bool(_git("status", "--porcelain"))},
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
    }


def _git(*words: str) -> str | None:
    """Return the output of git for this repository; None if it is not a checkout."""
    try:
        done = subprocess.run(["git", *words], cwd=base.REPOSITORY, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
