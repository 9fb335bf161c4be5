"""What Sphinx is taught while it renders a book: how our docstrings are read, and what the theme's pages lack.

An extension of Sphinx, named in `_config.yml`.
"""

import inspect
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.util.nodes import make_refnode

from braintune.core.settings import Settings

#: The most letters that a list of names may have; a longer one is data and no registry.
LONGEST = 1000

_CITED = re.compile(r"(?<!\w)\[(\d+)\]_")
_SIDE_BAR = 'role="region" aria-label="Title, search and contents"'
#: The arrow that unfolds the pages below a chapter, in the contents at the side; before it, the chapter's link.
_ARROW = re.compile(r'>([^<>]*)(</a>\s*<details[^>]*>)<summary>(?=<span class="toctree-toggle")')
_KEPT = re.compile(r'figures\.draw\(\w+, "([\w-]+)"')
_DRAWN = re.compile(r"\b(figures|brain_maps)\.(?!draw\b)(\w+)\(")
_DEFINED = re.compile(r"^(\s*)\.\. \[(\d+)\]")


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("autodoc-process-docstring", number_sources, priority=400)  # before napoleon
    app.connect("autodoc-process-docstring", list_names)
    app.connect("autodoc-process-signature", hide_parameters)
    app.connect("missing-reference", find_imported)
    app.connect("doctree-read", describe_pictures)
    app.connect("html-page-context", offer_download)
    app.connect("build-finished", mend_pages)
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


# --- pages -------------------------------------------------------------------------------------------------------


def describe_pictures(app: Any, document: Any) -> None:
    """Give the pictures that a notebook's cells draw an alternative text, in place of the name of a file."""
    for cell in document.findall(nodes.container):
        pictures = list(cell.findall(nodes.image)) if "cell" in cell.get("classes", ()) else []
        code = next(iter(cell.findall(nodes.literal_block)), None) if pictures else None
        words = alternatives(code.astext()) if code is not None else []
        for place, picture in enumerate(pictures):
            picture["alt"] = words[min(place, len(words) - 1)] if words else "A picture drawn by the code of this cell."


def alternatives(code: str) -> list[str]:
    """Return what the pictures show that a cell draws, in order: a figure's own words, or its function's."""
    from braintune.results import brain_maps, figures

    rooms = {"figures": figures, "brain_maps": brain_maps}
    words = []
    for line in code.splitlines():
        if kept := _KEPT.search(line):
            words.append(figures.CAPTIONS[kept[1]].alt)
        elif drawn := _DRAWN.search(line):
            said = inspect.getdoc(getattr(rooms[drawn[1]], drawn[2])).splitlines()[0].removeprefix("Draw ")
            words.append(said[:1].upper() + said[1:])
    return words


def offer_download(app: Any, page: str, template: str, context: dict[str, Any], tree: Any) -> None:
    """Put a link below the title of an executed notebook that downloads it as it was executed."""
    if context.get("page_source_suffix") == ".ipynb":
        place = context["pathto"](f"_sources/{context['sourcename']}", 1)
        link = f"<p class='notebook-download'><a href='{place}' download>Download this notebook</a>, as executed</p>"
        context["body"] = context["body"].replace("</h1>", f"</h1>\n{link}", 1)


def mend_pages(app: Any, fault: Exception | None) -> None:
    """Name what the theme leaves without a name, for those who cannot see it, in every page that was built."""
    if fault is None and app.builder.format == "html":
        for page in Path(app.outdir).rglob("*.html"):
            html = page.read_text(encoding="utf-8")
            mended = mend(html)
            if mended != html:
                page.write_text(mended, encoding="utf-8")


def mend(html: str) -> str:
    """Return a page in which the arrows of the contents have names, and the side bar is a region with a name.

    The bibliography is no list to those who hear it: docutils calls it one and its entries something else.
    """
    html = _ARROW.sub(
        lambda found: f'>{found[1]}{found[2]}<summary aria-label="Pages below: {found[1].strip()}">', html
    )
    html = html.replace('<div role="list" class="citation-list">', '<div class="citation-list">')
    return html.replace('<div class="bd-sidebar-primary', f'<div {_SIDE_BAR} class="bd-sidebar-primary')
