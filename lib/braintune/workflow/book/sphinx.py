"""An extension of Sphinx, named in `_config.yml`: how the docstrings of the library are rendered."""

import re
import sys
from typing import Any

from braintune.core.settings import Settings

_CITED = re.compile(r"(?<!\w)\[(\d+)\]_")
_DEFINED = re.compile(r"^(\s*)\.\. \[(\d+)\]")


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("autodoc-process-docstring", number_sources, priority=400)  # before napoleon
    app.connect("autodoc-process-signature", hide_parameters)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def number_sources(app: Any, what: str, name: str, item: Any, options: Any, lines: list[str]) -> None:
    """Give the numbered sources of a docstring names that are unique on a page, in place.

    A docstring that cites `[1]_` and lists no sources cites those of its module.
    """
    owner = name
    while owner not in sys.modules and not any(_DEFINED.match(line) for line in lines):
        owner = owner.rpartition(".")[0]
    for place, line in enumerate(lines):
        line = _DEFINED.sub(rf"\1.. [#{owner}-\2]", line)
        lines[place] = _CITED.sub(rf"[#{owner}-\1]_", line)


def hide_parameters(
    app: Any, what: str, name: str, item: Any, options: Any, signature: str | None, returned: str | None
) -> tuple[str, str | None] | None:
    """Leave out the dozens of keywords of a settings class; the page of parameters explains each."""
    return ("", None) if isinstance(item, type) and issubclass(item, Settings) else None
