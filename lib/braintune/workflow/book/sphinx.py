"""An extension of Sphinx, named in `_config.yml`: docstrings of the library, terms of the glossary, links of a page."""

import re
import sys
from typing import Any
from urllib.parse import quote

from docutils import nodes
from sphinx import addnodes

from braintune.core.settings import Settings
from braintune.workflow.book.origins import PROFILE_PAGE
from braintune.workflow.jobs import STEPS

#: The page that defines the terms.
GLOSSARY = "book/glossary"

_CITED = re.compile(r"(?<!\w)\[(\d+)\]_")
_DEFINED = re.compile(r"^(\s*)\.\. \[(\d+)\]")


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("autodoc-process-docstring", number_sources, priority=400)  # before napoleon
    app.connect("autodoc-process-signature", hide_parameters)
    app.connect("doctree-resolved", define_terms)
    app.connect("html-page-context", link_profile)
    app.connect("html-page-context", add_launch_button, priority=502)  # after the theme has made its buttons
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


def define_terms(app: Any, page: nodes.document, name: str) -> None:
    """Give each link to a term its definition as a title, in place; `pages.js` shows it beside the link."""
    if GLOSSARY not in app.env.found_docs or name == GLOSSARY:
        return
    definitions = read_definitions(app.env.get_doctree(GLOSSARY))
    for link in page.findall(nodes.reference):
        if definition := definitions.get(link.get("refuri", "").partition("#")[2]):
            link["reftitle"] = definition


def read_definitions(glossary: nodes.document) -> dict[str, str]:
    """Return anchor of a term → its definition as plain text, without citations."""
    for citation in list(glossary.findall(addnodes.pending_xref)):
        if citation.get("refdomain") == "cite":
            citation.parent.remove(citation)
    return {
        anchor: re.sub(r"\s+(?=[.,;]|$)|(?<=\s)\s+", "", item.children[-1].astext())
        for item in glossary.findall(nodes.definition_list_item)
        for term in item.findall(nodes.term)
        for anchor in term["ids"]
    }


def link_profile(app: Any, name: str, template: str, context: dict[str, Any], page: Any) -> None:
    """Let the banner of a page lead to the profile of the run."""
    if PROFILE_PAGE in app.env.found_docs:
        place = context["pathto"](PROFILE_PAGE)
        context["theme_announcement"] = context["theme_announcement"].replace(f"'{PROFILE_PAGE}'", f"'{place}'")


def add_launch_button(app: Any, name: str, template: str, context: dict[str, Any], page: Any) -> None:
    """Add a button that opens the notebook of a step on Binder, if `_config.yml` names a public `repository`."""
    options = app.config.html_theme_options
    step = name.removeprefix("book/").removeprefix("results/").partition("/")[0]
    if options.get("repository_url") and step in STEPS:
        address = binder_address(options["repository_url"], options["repository_branch"], f"notebooks/{step}.ipynb")
        button = {"type": "link", "text": "", "tooltip": "Open this notebook on Binder", "url": address}
        context["header_buttons"].append(button | {"icon": "fas fa-rocket", "label": "launch-button"})


def binder_address(repository: str, branch: str, notebook: str) -> str:
    """Return the address at which Binder opens a notebook of a public repository in JupyterLab."""
    name = repository.rstrip("/").removesuffix(".git").removeprefix("https://github.com/")
    place = f"git/{quote(repository, safe='')}" if "://" in name else f"gh/{name}"
    return f"https://mybinder.org/v2/{place}/{quote(branch, safe='')}?urlpath=lab/tree/{notebook}"
