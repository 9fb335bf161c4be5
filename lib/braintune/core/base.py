"""Shared basics: the project's exception, look-up in registries, and the folders of repository and data."""

import os
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[3]


class BraintuneError(Exception):
    """An error that the user can fix: the message names the value, what is allowed, and the remedy."""


def lookup(registry: Mapping[str, Any], name: str, kind: str) -> Any:
    """Return ``registry[name]``; an unknown name is an error that lists the known ones, the nearest first.

    Raises
    ------
    BraintuneError
        If `name` is not in `registry`.
    """
    if name not in registry:
        raise BraintuneError(f"unknown {kind} {name!r}; known: {', '.join(nearest_first(name, registry))}")
    return registry[name]


def nearest_first(name: str, known: Iterable[str]) -> list[str]:
    """Return the known names in their order, with those that resemble `name` moved to the front."""
    known = list(known)
    near = get_close_matches(name, known)
    return near + [other for other in known if other not in near]


def data_folder() -> Path:
    """Return the folder of downloaded data: ``$BRAINTUNE_DATA``, or `data/raw` in the repository.

    Raises
    ------
    BraintuneError
        If the variable holds a relative path: notebooks and jobs run in different folders.
    """
    named = os.environ.get("BRAINTUNE_DATA") or str(REPOSITORY / "data" / "raw")
    folder = Path(os.path.expanduser(named))  # noqa: PTH111 (it keeps the name of an unknown user)
    if not folder.is_absolute():
        raise BraintuneError(
            f"BRAINTUNE_DATA: {named!r} must be an absolute path, since notebooks and jobs run in different folders; "
            f"relative to the current folder, it is {str(Path.cwd() / folder)!r}; in a shell, set "
            f'BRAINTUNE_DATA="$PWD/{named}"'
        )
    return folder.resolve()
