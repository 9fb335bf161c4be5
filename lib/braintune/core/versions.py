"""The commit and the versions of the libraries that compute."""

import platform
import subprocess
from importlib.metadata import version
from typing import Any

from braintune.core import base


def code_and_versions() -> dict[str, Any]:
    """Return the commit, whether files were changed since, and the versions of the libraries that compute."""
    packages = (
        "torch",
        "transformers",
        "numpy",
        "scikit-learn",
        "scipy",
        "pandas",
        "nilearn",
        "papermill",
        "snakemake",
    )
    return {
        "code": {"commit": _git("rev-parse", "HEAD"), "changed": bool(_git("status", "--porcelain"))},
        "versions": {"python": platform.python_version()} | {name: version(name) for name in packages},
    }


def _git(*words: str) -> str | None:
    """Answer of git about this repository; None where it is no checkout."""
    try:
        done = subprocess.run(["git", *words], cwd=base.REPOSITORY, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
