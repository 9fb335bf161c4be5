"""Tag schemes: how tags mark where an entity begins and ends. They are read off the data and converted to IOB2.

A tag is "O" (outside every entity), or an edge and a type. Three ways to write the latter are known: ``B-PER``;
``PER-B`` (type first); one of the two alone, ``B`` or ``PER``. The edges that occur, and what follows what, name the
scheme:

====== ========= ===================================================================================================
scheme edges     what is required
====== ========= ===================================================================================================
IO     I         nothing; neighbours of one type are one entity (where IOB1 never needs B, the two are the same)
IOB1   I B       B only where an entity follows one of the same type
IOB2   B I       every entity begins with B
BIOES  B I E S   first, inner and last word of an entity; S is an entity of one word
BILOU  B I L U   the same, with L for E and U for S
====== ========= ===================================================================================================

No two of them fit the same tags, unless they mean the same entities.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from braintune.core.base import BraintuneError

#: Type of the entities where tags are edges alone.
UNTYPED = "span"

_FORMS = {
    "": re.compile(r"(?P<edge>[BIESLU])-(?P<type>.+)"),
    "type first": re.compile(r"(?P<type>.+)-(?P<edge>[BIESLU])"),
    "edges alone": re.compile(r"(?P<edge>[BIESLU])"),
}
#: An edge that is written in another way.
_ALMOST = re.compile(r"(?i)[bieslu]([\W_].+)?|.+[\W_][bieslu]")
#: BILOU's edges by the names of BIOES.
_SAME = str.maketrans("LU", "ES")

Parsed = tuple[str, str]


@dataclass(frozen=True)
class Scheme:
    """The scheme of a data set.

    Attributes
    ----------
    name : str
        Such as ``IOB1`` or ``BIOES (type first)``.
    spelling : dict of str to str
        Every tag of the data → how IOB2 writes it, but for B at the beginning of an entity.
    """

    name: str
    spelling: dict[str, str]

    def to_iob2(self, tags: Sequence[str]) -> list[str]:
        """Convert the tags of one sentence; those of IOB2 remain as they are."""
        return close_gaps([self.spelling[tag] for tag in tags])


def close_gaps(tags: Sequence[str]) -> list[str]:
    """Write B for every I that begins an entity: IOB tags of any kind, as CoNLL reads them, in IOB2."""
    types = [tag.partition("-")[2] for tag in tags]
    return [
        f"B-{type_}" if tag.startswith("I") and type_ != before else tag
        for tag, type_, before in zip(tags, types, ["", *types], strict=False)
    ]


def read_scheme(parts: Mapping[str, Iterable[Sequence[str]]]) -> Scheme:
    """Read the tag scheme off a whole data set.

    Parameters
    ----------
    parts : dict of str to iterable of list of str
        Name of each part, for the message → the tags of each of its rows.

    Raises
    ------
    BraintuneError
        If the tags follow no scheme, naming the row that breaks the one that fits best; and if each part follows a
        scheme, but not the same one.
    """
    try:
        return _read_scheme(parts)
    except BraintuneError:
        if len(parts) == 1:
            raise
    given = {part: list(rows) for part, rows in parts.items()}
    schemes = {part: _read_scheme({part: rows}).name for part, rows in given.items()}  # or the fault of one part
    (first, rows), (other, more), *_ = given.items()

    def conflicts(n: int) -> bool:
        try:
            return not _read_scheme({first: rows, other: more[:n]})
        except BraintuneError:
            return True

    row = bisect_left(range(len(more) + 1), True, lo=1, key=conflicts)
    raise BraintuneError(
        f"the parts use two tag schemes: {', '.join(f'{part} {name}' for part, name in schemes.items())}; {other} row "
        f"{row} is the first that does not fit {first}; write both in one scheme, such as IOB2"
    )


def _read_scheme(parts: Mapping[str, Iterable[Sequence[str]]]) -> Scheme:
    """Read one scheme off all parts together."""
    rows = [(f"{part} row {number}", tags) for part, some in parts.items() for number, tags in enumerate(some, start=1)]
    parsed, form = _parse({tag for _, tags in rows for tag in tags})
    edges = {edge for edge, _ in parsed.values()} - {"O"}
    if edges & set("ES") and edges & set("LU"):
        raise BraintuneError(
            f"the edges {', '.join(sorted(edges))} mix BIOES (E, S) with BILOU (L, U); write one scheme throughout"
        )
    if edges & set("ESLU"):
        names = ["BILOU" if edges & set("LU") else "BIOES"]
    else:
        names = ["IO"] if edges == {"I"} else ["IOB2", "IOB1"]
    followed = {pair for _, tags in rows for pair in pairwise(["O", *tags, "O"])}
    wrong = {
        name: {(a, b) for a, b in followed if _breaks(name, parsed.get(a, ("O", "")), parsed.get(b, ("O", "")))}
        for name in names
    }
    if not (fitting := [name for name in names if not wrong[name]]):
        faults = (f"{name} does not allow {_first(rows, pairs)}" for name, pairs in wrong.items())
        raise BraintuneError(f"the tags follow no scheme: {'; '.join(faults)}; correct the rows, or use one scheme")
    spelling = {tag: f"{'B' if edge in 'BSU' else 'I'}-{type_}" for tag, (edge, type_) in parsed.items() if edge != "O"}
    return Scheme(fitting[0] + (f" ({form})" if form else ""), spelling | {"O": "O"})


def _parse(tags: set[str]) -> tuple[dict[str, Parsed], str]:
    """Split tags into edge and type; return them and the way in which they are written."""
    marked = sorted(tags - {"O"})
    if odd := [tag for tag in marked if not tag or tag != tag.strip()]:
        raise BraintuneError(
            f"tag {odd[0]!r} is empty or has blanks around it; correct it (outside entities it is 'O')"
        )
    for form, pattern in _FORMS.items():
        if all(found := [pattern.fullmatch(tag) for tag in marked]):
            parsed = {m[0]: (m["edge"], m.groupdict().get("type", UNTYPED)) for m in found if m}
            return parsed | {"O": ("O", "")}, form
    split = [tag for tag in marked if any(pattern.fullmatch(tag) for pattern in _FORMS.values())]
    almost = [tag for tag in marked if _ALMOST.fullmatch(tag)]
    if not split and "O" in tags and len(almost) < len(marked):
        return {tag: ("I", tag) for tag in marked} | {"O": ("O", "")}, "types alone"
    if split:
        others = [tag for tag in marked if tag not in split]
        fault = f"some have an edge and others none, or another ({split[0]!r}, {others[0] if others else split[-1]!r})"
    elif almost and len(almost) == len(marked):
        fault = f"{almost[0]!r} is spelt as no scheme does"
    else:
        fault = "none has an edge and none is 'O'"
    raise BraintuneError(
        f"the tags {', '.join(map(repr, marked[:6]))}{', …' * (len(marked) > 6)} follow no scheme: {fault}; write 'O' "
        "outside entities and 'B-PER', 'I-PER' inside (or IOB1, IO, BIOES, BILOU). A label for every word, such as its "
        "part of speech, is a task with metric='accuracy' (book/extend.md)"
    )


def _breaks(name: str, before: Parsed, now: Parsed) -> bool:
    """Whether a scheme does not allow a tag after another."""
    (last, type_before), (edge, type_) = before, now
    last, edge = last.translate(_SAME), edge.translate(_SAME)
    continued = last in "BI" and type_before == type_
    if name == "IOB2":
        return edge == "I" and not continued
    if name == "IOB1":
        return edge == "B" and not continued
    if name == "IO":
        return False
    return (last in "BI" or edge in "IE") and not (continued and edge in "IE")


def _first(rows: list[tuple[str, Sequence[str]]], pairs: set[tuple[str, str]]) -> str:
    """Name the first place where one of some pairs of neighbours occurs."""
    for where, tags in rows:
        for k, (a, b) in enumerate(pairwise(["O", *tags, "O"])):
            if (a, b) in pairs:
                before = f"after {a!r}" if k else "at the beginning"
                return f"{b!r} {before} ({where})" if k < len(tags) else f"{a!r} at the end ({where})"
    raise AssertionError("the pairs were counted over these rows")
