"""YAML read as it is typed: the core schema of YAML 1.2, without repeated keys.

PyYAML reads YAML 1.1, where ``yes`` is a Boolean, ``010`` is eight, ``1:30`` is ninety and ``1e-4`` is a string. Here
only ``true`` and ``false`` are Booleans, ``1e-4`` is a number, and anything ambiguous remains a string; where a
parameter needs a number, ``010`` therefore becomes ten.
"""

import re
from collections import defaultdict
from typing import Any

import yaml

_WHOLE = r"(0|[1-9][0-9]*)"
_POWER = r"[eE][-+]?[0-9]+"
_PATTERNS = {
    "bool": r"true|True|TRUE|false|False|FALSE",
    "null": r"~|null|Null|NULL|",
    "int": rf"[-+]?{_WHOLE}",
    "float": rf"[-+]?(({_WHOLE}\.[0-9]*|\.[0-9]+)({_POWER})?|{_WHOLE}{_POWER}|\.(inf|Inf|INF))|\.(nan|NaN|NAN)",
}


class _Loader(yaml.SafeLoader):
    """Safe loader with the resolvers of YAML 1.2; it rejects a mapping that repeats a key."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (as the base class declares it)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines = defaultdict(list)
        for key, _ in node.value:
            lines[str(key.value)].append(key.start_mark.line + 1)
        if twice := [key for key, at in lines.items() if len(at) > 1]:
            at = " and ".join(map(str, lines[twice[0]]))
            raise ValueError(f"key {twice[0]!r} is given on lines {at}; keep one of them")
        return super().construct_mapping(node, deep)


for _kind, _pattern in _PATTERNS.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(rf"^(?:{_pattern})$"), [None])


def load_yaml(text: str) -> Any:
    """Return the content of a YAML document.

    Raises
    ------
    ValueError
        If it is not valid YAML, or a mapping repeats a key.
    RecursionError
        If its brackets are nested too deeply.
    """
    try:
        return _Loader(text).get_single_data()
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None
