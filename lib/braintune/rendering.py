"""What Sphinx is taught while it renders a book: how our docstrings are read.

An extension of Sphinx, named in `_config.yml`.
"""

import inspect
import re
from typing import Any

from sphinx.util.nodes import make_refnode

from braintune.study import Settings

#: The most letters that a list of names may have; a longer one is data and no registry.
LONGEST = 1000

_CITED = re.compile(r"(?<!\w)\[(\d+)\]_")
_DEFINED = re.compile(r"^(\s*)\.\. \[(\d+)\]")


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("autodoc-process-docstring", number_sources, priority=400)  # before napoleon
    app.connect("autodoc-process-docstring", list_names)
    app.connect("autodoc-process-signature", hide_parameters)
    app.connect("missing-reference", find_imported)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def number_sources(app: Any, what: str, name: str, item: Any, options: Any, lines: list[str]) -> None:
    """Give the numbered sources of a docstring names that are unique on a page, in place.

    A docstring that cites `[1]_` and lists no sources cites those of its module.
    """
    owner = name if any(_DEFINED.match(line) for line in lines) else ".".join(name.split(".")[:2])
    for place, line in enumerate(lines):
        line = _DEFINED.sub(rf"\1.. [#{owner}-\2]", line)
        lines[place] = _CITED.sub(rf"[#{owner}-\1]_", line)


def list_names(app: Any, what: str, name: str, item: Any, options: Any, lines: list[str]) -> None:
    """Put the names in a registry, or the words in a tuple, below what is said of it, in place."""
    if what != "data" or not isinstance(item, dict | tuple):
        return
    if lines[:1] == inspect.getdoc(type(item)).splitlines()[:1]:  # nothing is said; Sphinx tells what a dict is
        lines.clear()
    names = ", ".join(f"``{word}``" for word in item if isinstance(word, str))
    if names and len(names) < LONGEST:
        lines += ["", f"Holds {names}.", ""]


def hide_parameters(
    app: Any, what: str, name: str, item: Any, options: Any, signature: str | None, returned: str | None
) -> tuple[str, str | None] | None:
    """Leave out the dozens of keywords of a settings class; the page of parameters explains each."""
    if what == "class" and isinstance(item, type) and issubclass(item, Settings):
        return "", None
    return None


def find_imported(app: Any, environment: Any, node: Any, shown: Any) -> Any:
    """Resolve a constant that a docstring names as its module imports it, where the library has only one of the name.

    Returns
    -------
    docutils node or None
        The link; None leaves the reference unresolved, which the build reports.
    """
    if (node.get("refdomain"), node.get("reftype")) != ("py", "data"):
        return None
    domain = environment.get_domain("py")
    found = domain.find_obj(environment, None, None, node["reftarget"], "data", 1)
    if len(found) != 1:
        return None
    name, entry = found[0]
    return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, [shown], name)
