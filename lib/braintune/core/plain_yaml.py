"""YAML read as it is typed: the core schema of YAML 1.2, and no key twice.

PyYAML reads YAML 1.1, where ``yes`` is a truth value, ``010`` is eight, ``1:30`` is ninety and ``1e-4`` is a text. Here
``true`` and ``false`` are the truth values, ``1e-4`` is a number, and what may be read in two ways stays a text; where
a parameter needs a number, ``010`` is then ten.
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
    """Safe loader with the resolvers of YAML 1.2 that refuses a key which is given twice."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (as the base class declares it)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines = defaultdict(list)
        for key, _ in node.value:
            lines[str(key.value)].append(key.start_mark.line + 1)
        if twice := [key for key, at in lines.items() if len(at) > 1]:
            at = " and ".join(map(str, lines[twice[0]]))
            raise ValueError(f"key {twice[0]!r} is given in lines {at}; keep one of them")
        return super().construct_mapping(node, deep)


for _kind, _pattern in _PATTERNS.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(rf"^(?:{_pattern})$"), [None])


def load_yaml(text: str) -> Any:
    """Return the content of a YAML document.

    Raises
    ------
    ValueError
        If it is not valid YAML, or a mapping has a key twice.
    RecursionError
        If its brackets are too deep.
    """
    try:
        return _Loader(text).get_single_data()
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None
