"""A user's own tasks, methods, controls, backbones and brain data: Python files that a profile names as `plugins`.

A plugin imports a registry and adds entries to it (``TASKS["irony"] = Task(...)``). The fingerprint of a job covers the
plugins whose entries it uses, and no others.
"""

import sys
from importlib import import_module
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec
from pathlib import Path

from braintune.core.base import BraintuneError
from braintune.core.store import checksum

#: Kind of entry → module and name of its registry.
REGISTRIES = {
    "task": ("braintune.datasets.tasks", "TASKS"),
    "brain": ("braintune.datasets.brains.registry", "BRAINS"),
    "backbone": ("braintune.models.backbones", "BACKBONES"),
    "method": ("braintune.models.methods", "METHODS"),
    "control": ("braintune.models.controls", "CONTROLS"),
    "family": ("braintune.models.families", "FAMILIES"),
    "reader": ("braintune.datasets.microworld.tasks", "READERS"),
}

#: (kind, name) → the plugin that added it.
_ADDED: dict[tuple[str, str], Path] = {}
#: Plugin → SHA-256 of the executed file.
_LOADED: dict[Path, str] = {}


def load_plugin(path: Path) -> None:
    """Execute a plugin once, and record which names it added to which registry.

    Raises
    ------
    BraintuneError
        If the file does not exist or is not a Python file, if it fails, adds nothing or replaces an entry, or if it
        has changed since this process loaded it.
    """
    path = path.resolve()
    if not path.is_file():
        raise BraintuneError(f"plugins: no file {path}; correct the path (paths are relative to the profile's folder)")
    if path.suffix != ".py":
        raise BraintuneError(f"plugins: {path.name} must be a Python file, named *.py")
    sha = checksum(path)
    if path in _LOADED:
        if _LOADED[path] != sha:
            raise BraintuneError(f"plugins: {path.name} has changed since it was loaded; restart the kernel")
        return
    registries = {kind: getattr(import_module(module), name) for kind, (module, name) in REGISTRIES.items()}
    before = {kind: dict(registry) for kind, registry in registries.items()}
    loader = SourceFileLoader(f"braintune_plugin_{path.stem}", str(path))
    module = module_from_spec(ModuleSpec(loader.name, loader, origin=str(path)))
    sys.modules[loader.name] = module  # dataclasses look up their module here
    try:
        loader.exec_module(module)
        added = _added(path, registries, before)
    except Exception as error:  # whatever a user's file may raise
        del sys.modules[loader.name]
        for kind, registry in registries.items():
            registry.clear()
            registry.update(before[kind])
        if isinstance(error, BraintuneError):
            raise
        raise BraintuneError(
            f"plugins: {path.name} failed: {type(error).__name__}: {error}; correct the file"
        ) from error
    _ADDED.update(dict.fromkeys(added, path))
    _LOADED[path] = sha


def _added(path: Path, registries: dict[str, dict], before: dict[str, dict]) -> list[tuple[str, str]]:
    """Return (kind, name) of the entries that a plugin added; to add none or to replace one is an error."""
    entries = [(kind, name, entry) for kind, old in before.items() for name, entry in old.items()]
    if replaced := [f"{kind} {name!r}" for kind, name, entry in entries if registries[kind].get(name) is not entry]:
        raise BraintuneError(f"plugins: {path.name} replaces {', '.join(replaced)}; choose another name")
    added = [(kind, name) for kind, registry in registries.items() for name in registry if name not in before[kind]]
    if not added:
        names = ", ".join(name for _, name in REGISTRIES.values())
        raise BraintuneError(f"plugins: {path.name} adds nothing; add an entry to one of {names}")
    return added


def plugin_of(kind: str, name: str) -> Path | None:
    """Return the plugin that added an entry; None for an entry of the library."""
    return _ADDED.get((kind, name))


def plugin_checksums(**names: str) -> dict[str, str]:
    """Return plugin → SHA-256 for the plugins that added the given entries, such as ``task="irony"``.

    Every model family that a plugin added counts for every method, since the profile does not name the family of its
    backbone.
    """
    files = {
        path
        for (kind, name), path in _ADDED.items()
        if names.get(kind) == name or (kind == "family" and "method" in names)
    }
    return {path.name: _LOADED[path] for path in sorted(files)}
