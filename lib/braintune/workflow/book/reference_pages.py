"""Pages of the book that nobody writes by hand: the reference of parameters, and that of the library.

They are made while a book is built, from the settings classes and from :data:`ROOMS`, so they cannot fall behind the
code. The text of the docstrings is put in by Sphinx (autodoc); :mod:`braintune.workflow.book.sphinx` teaches it our manner.
"""

import ast
import re
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic.fields import FieldInfo

from braintune.core.study import Study

LIBRARY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Room:
    """Modules that belong together, on one floor of the library; no module imports one of a higher floor.

    Attributes
    ----------
    floor : int
        From 0, the ground that all others stand on.
    name : str
        Of the page.
    title : str
        What the reader finds there.
    modules : tuple of str
        In the order of the page.
    """

    floor: int
    name: str
    title: str
    modules: tuple[str, ...]


def _room(floor: int, name: str, title: str, modules: str) -> Room:
    return Room(floor, name, title, tuple(modules.split()))


#: Every module of the library, from the ground up.
ROOMS = (
    _room(0, "run", "A run and the machine", "study store device processes"),
    _room(1, "tasks", "Tasks", "tasks hub hub_tasks baselines"),
    _room(1, "models", "Models and ways to tune them", "backbones methods prefix shallow heads encoding"),
    _room(
        1, "microworld", "The generated world",
        "microworld microworld_kinds microworld_grammar microworld_lexicon microworld_tasks simulate",
    ),
    _room(
        1, "brains", "Brain data",
        "brain story pereira pereira_hub own_study images matfile mattags convert convert_story download",
    ),
    _room(2, "tuning", "Tuning and embedding", "tuning training embeddings"),
    _room(3, "analysis", "Decoding, similarity, statistics", "decoding gram voxelwise rsa stats"),
    _room(4, "results", "Verdicts, tables, figures", "claims signatures verdicts report figures maps relations plots"),
    _room(
        4, "workflow", "Running, recording, checking",
        "workflow engines cost plan verify reference calibrate book pages diagram rendering pdf serve",
    ),
)  # fmt: skip


def library() -> list[Path]:
    """Return the source files that the reference of the library is made of."""
    return sorted(LIBRARY.glob("*.py"))


# --- the library -------------------------------------------------------------------------------------------------


def api_pages() -> dict[str, str]:
    """Return the pages of the reference of the library: place in the book → text, the first one above the others.

    The page of a room is reStructuredText, as docstrings are: MyST would take their numbered sources for its own.
    """
    return {"book/api.md": _overview()} | {f"book/api/{room.name}.rst": _room_page(room) for room in ROOMS}


def _overview() -> str:
    lines = [
        "# The library, module by module",
        "",
        "The notebooks call functions of `braintune`; these pages list them, from the docstrings in the code. The "
        "modules stand on floors, and none imports a module of a higher floor.",
        "",
        "| floor | page | module | what it is for |",
        "| --- | --- | --- | --- |",
    ]
    for room in ROOMS:
        begin = f"{room.floor} | [{room.title}](api/{room.name}.rst)"
        for module in room.modules:
            lines.append(f"| {begin} | {{py:mod}}`{module} <braintune.{module}>` | {_purpose(module)} |")
            begin = "|"
    return "\n".join([*lines, ""])


def _room_page(room: Room) -> str:
    lines = [room.title, "=" * len(room.title), "", f"Floor {room.floor} of :doc:`the library </book/api>`.", ""]
    for module in room.modules:
        lines += [module, "-" * len(module), "", f".. automodule:: braintune.{module}", "   :members:", ""]
        for name in _registries(module):
            lines += [f".. autodata:: braintune.{module}.{name}", ""]
    return "\n".join(lines)


def _registries(module: str) -> list[str]:
    """Return the constants that autodoc leaves out, for want of a comment, and that readers are sent to.

    They are the dictionaries with a declared type, which are registries, and what a docstring names as ``:data:``.
    """
    code = (LIBRARY / f"{module}.py").read_text(encoding="utf-8")
    lines, found = code.splitlines(), []
    for node in ast.parse(code).body:
        target = node.target if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [None])[0]
        if isinstance(target, ast.Name) and target.id.isupper() and not target.id.startswith("_"):
            registry = isinstance(node, ast.AnnAssign) and ast.unparse(node.annotation).startswith("dict[str, ")
            told = lines[node.lineno - 2].startswith("#:")
            if (registry or _named(module, target.id)) and not told:
                found.append(target.id)
    return found


def _named(module: str, constant: str) -> bool:
    """Whether a docstring sends its reader to a constant of a module."""
    for path in library():
        given = rf":data:`~?braintune\.{module}\.{constant}`" + (rf"|:data:`{constant}`" if path.stem == module else "")
        if re.search(given, path.read_text(encoding="utf-8")):
            return True
    return False


def _purpose(module: str) -> str:
    """First sentence of a module's docstring, for a cell of a table."""
    text = ast.get_docstring(ast.parse((LIBRARY / f"{module}.py").read_text(encoding="utf-8"))) or ""
    return text.split("\n", 1)[0].replace(" [1]_", "").replace("|", "\\|")


# --- the parameters ----------------------------------------------------------------------------------------------


def parameter_page() -> str:
    """Return the parameter reference, generated from the settings classes."""
    lines = [
        "# Parameters of a run",
        "",
        "Every key of a profile, with its default and what it means. A profile is a YAML file with these keys; "
        "a key that it leaves out takes the default. An unknown key is an error.",
        "",
    ]
    for group in Study.__bases__:
        title = group.__name__.removesuffix("Settings")
        lines += [
            f"## {title}",
            "",
            (group.__doc__ or "").strip(),
            "",
            "| key | default | unit | meaning |",
            "| --- | --- | --- | --- |",
        ]
        lines += [_parameter_row(name, field) for name, field in group.model_fields.items()]
        lines.append("")
    return "\n".join(lines)


def _parameter_row(name: str, field: FieldInfo) -> str:
    default = yaml.safe_dump(field.get_default(call_default_factory=True), default_flow_style=True, width=1000)
    shown = default.removesuffix("\n").removesuffix("\n...").replace("|", "\\|")
    unit = (field.json_schema_extra or {}).get("unit", "")
    return f"| `{name}` | `{shown}` | {unit} | {field.description} |"
