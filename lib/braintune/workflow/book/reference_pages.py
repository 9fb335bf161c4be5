"""Generated pages of the book: every parameter of a profile, and the reference of the library, a page a folder.

The parameters come from the settings classes, the list of modules from the folders of the library, and the text of the
docstrings is inserted by Sphinx (autodoc, autosummary).
"""

from collections.abc import Sequence
from importlib import import_module
from pkgutil import walk_packages

import yaml
from pydantic.fields import FieldInfo

import braintune
from braintune.core.settings import Settings
from braintune.core.study import Study

PARAMETERS = """# Parameters of a run

Every key of a profile, with its default and what it means. A profile is a YAML file with these keys; a key that it \
leaves out takes the default. An unknown key is an error.
"""
LIBRARY = """The library, folder by folder
=============================

The notebooks call functions of `braintune`. Its folders follow the analysis, and a folder imports only from folders \
above it in this list.
"""


def folders() -> dict[str, list[str]]:
    """Return folder of the library → its modules, both dotted and in the order of the analysis."""
    found: dict[str, list[str]] = {}
    for module in walk_packages(braintune.__path__, "braintune."):
        if module.ispkg:
            found[module.name] = []
        elif (folder := module.name.rpartition(".")[0]) in found:
            found[folder].append(module.name)
    return dict(sorted(found.items()))


def api_pages() -> dict[str, str]:
    """Return the pages of the reference of the library: place in the book → text, the overview first.

    They are reStructuredText, as docstrings are: MyST would read the numbered sources of a docstring differently.
    """
    overview, pages = [LIBRARY], {}
    for folder, modules in folders().items():
        name = folder.removeprefix("braintune.")
        page = f"book/api/{name.replace('.', '-')}"
        purpose = (import_module(folder).__doc__ or "").strip()
        table = ["", ".. autosummary::", "", *(f"   {module}" for module in modules), ""]
        overview += [f":doc:`{name} </{page}>`: {purpose}", *table]
        pages[page] = "\n".join([*_heading(name, "="), purpose, *table, *_members(modules)])
    return {"book/api": "\n".join(overview)} | pages


def _members(modules: Sequence[str]) -> list[str]:
    lines: list[str] = []
    for module in modules:
        lines += [*_heading(module.rpartition(".")[2], "-"), f".. automodule:: {module}", "   :members:", ""]
    return lines


def _heading(text: str, line: str) -> list[str]:
    return [text, line * len(text), ""]


def parameter_page() -> str:
    """Return the parameter reference, generated from the settings classes."""
    lines = [PARAMETERS]
    groups = [base for base in Study.__bases__ if issubclass(base, Settings)]
    for group in groups:
        lines += [f"## {group.__name__.removesuffix('Settings')}", "", (group.__doc__ or "").strip(), ""]
        lines += ["| key | default | unit | meaning |", "| --- | --- | --- | --- |"]
        lines += [*(_parameter_row(name, field) for name, field in group.model_fields.items()), ""]
    return "\n".join(lines)


def _parameter_row(name: str, field: FieldInfo) -> str:
    default = yaml.safe_dump(field.get_default(call_default_factory=True), default_flow_style=True, width=1000)
    shown = default.removesuffix("\n").removesuffix("\n...").replace("|", "\\|")
    unit = (field.json_schema_extra or {}).get("unit", "")
    return f"| `{name}` | `{shown}` | {unit} | {field.description} |"
