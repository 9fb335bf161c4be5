"""Tag schemes: how tags mark where an entity begins and ends. They are inferred from the data and converted to IOB2.

A tag is "O" (outside every entity), or a prefix and a type, written in one of three forms: ``B-PER``; ``PER-B`` (type
first); or only one of the two, ``B`` or ``PER``. The prefixes that occur, and the order of the tags, determine the
scheme:

====== ========= ===================================================================================================
scheme prefixes  what is required
====== ========= ===================================================================================================
IO     I         nothing; adjacent words of one type are one entity (if IOB1 never needs B, the two are the same)
IOB1   I B       B only where an entity directly follows one of the same type
IOB2   B I       every entity begins with B
BIOES  B I E S   first, inner and last word of an entity; S is an entity of one word
BILOU  B I L U   the same, with L for E and U for S
====== ========= ===================================================================================================

If two schemes fit the same tags, they mark the same entities.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from braintune.core.base import BraintuneError

#: Type of the entities if tags are only prefixes.
UNTYPED = "span"

_FORMS = {
    "": re.compile(r"(?P<prefix>[BIESLU])-(?P<type>.+)"),
    "type first": re.compile(r"(?P<type>.+)-(?P<prefix>[BIESLU])"),
    "prefixes alone": re.compile(r"(?P<prefix>[BIESLU])"),
}
#: A prefix in a spelling that no scheme uses.
_ALMOST = re.compile(r"(?i)[bieslu]([\W_].+)?|.+[\W_][bieslu]")
#: Prefixes of BILOU → those of BIOES.
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
        Every tag of the data → its IOB2 spelling, except that I may still be written at the beginning of an entity.
    """

    name: str
    spelling: dict[str, str]

    def to_iob2(self, tags: Sequence[str]) -> list[str]:
        """Convert the tags of one sentence; those of IOB2 remain as they are."""
        return close_gaps([self.spelling[tag] for tag in tags])


def close_gaps(tags: Sequence[str]) -> list[str]:
    """Convert IOB tags of any kind, as CoNLL reads them, to IOB2: write B for every I that begins an entity."""
    types = [tag.partition("-")[2] for tag in tags]
    return [
        f"B-{type_}" if tag.startswith("I") and type_ != before else tag
        for tag, type_, before in zip(tags, types, ["", *types], strict=False)
    ]


def read_scheme(parts: Mapping[str, Iterable[Sequence[str]]]) -> Scheme:
    """Infer the tag scheme of a whole data set.

    Parameters
    ----------
    parts : dict of str to iterable of list of str
        Name of each part, for the message → the tags of each of its rows.

    Raises
    ------
    BraintuneError
        If the tags follow no scheme, naming the first row that breaks each candidate; and if each part follows a
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
    """Infer one scheme from all parts together."""
    rows = [(f"{part} row {number}", tags) for part, some in parts.items() for number, tags in enumerate(some, start=1)]
    parsed, form = _parse({tag for _, tags in rows for tag in tags})
    prefixes = {prefix for prefix, _ in parsed.values()} - {"O"}
    if prefixes & set("ES") and prefixes & set("LU"):
        raise BraintuneError(
            f"the prefixes {', '.join(sorted(prefixes))} mix BIOES (E, S) with BILOU (L, U); use one scheme throughout"
        )
    if prefixes & set("ESLU"):
        names = ["BILOU" if prefixes & set("LU") else "BIOES"]
    else:
        names = ["IO"] if prefixes == {"I"} else ["IOB2", "IOB1"]
    followed = {pair for _, tags in rows for pair in pairwise(["O", *tags, "O"])}
    wrong = {
        name: {(a, b) for a, b in followed if _breaks(name, parsed.get(a, ("O", "")), parsed.get(b, ("O", "")))}
        for name in names
    }
    if not (fitting := [name for name in names if not wrong[name]]):
        faults = (f"{name} does not allow {_first(rows, pairs)}" for name, pairs in wrong.items())
        raise BraintuneError(f"the tags follow no scheme: {'; '.join(faults)}; correct the rows, or use one scheme")
    spelling = {
        tag: f"{'B' if prefix in 'BSU' else 'I'}-{type_}" for tag, (prefix, type_) in parsed.items() if prefix != "O"
    }
    return Scheme(fitting[0] + (f" ({form})" if form else ""), spelling | {"O": "O"})


def _parse(tags: set[str]) -> tuple[dict[str, Parsed], str]:
    """Split tags into prefix and type; return them, and the form in which they are written."""
    marked = sorted(tags - {"O"})
    if odd := [tag for tag in marked if not tag or tag != tag.strip()]:
        raise BraintuneError(
            f"tag {odd[0]!r} is empty or has spaces around it; correct it (outside entities it is 'O')"
        )
    for form, pattern in _FORMS.items():
        if all(found := [pattern.fullmatch(tag) for tag in marked]):
            parsed = {m[0]: (m["prefix"], m.groupdict().get("type", UNTYPED)) for m in found if m}
            return parsed | {"O": ("O", "")}, form
    split = [tag for tag in marked if any(pattern.fullmatch(tag) for pattern in _FORMS.values())]
    almost = [tag for tag in marked if _ALMOST.fullmatch(tag)]
    if not split and "O" in tags and len(almost) < len(marked):
        return {tag: ("I", tag) for tag in marked} | {"O": ("O", "")}, "types alone"
    if split:
        others = [tag for tag in marked if tag not in split]
        other = others[0] if others else split[-1]
        fault = f"some have a prefix and others have none or another form ({split[0]!r}, {other!r})"
    elif almost and len(almost) == len(marked):
        fault = f"{almost[0]!r} is not spelt as in any scheme"
    else:
        fault = "none has a prefix and none is 'O'"
    raise BraintuneError(
        f"the tags {', '.join(map(repr, marked[:6]))}{', …' * (len(marked) > 6)} follow no scheme: {fault}; write 'O' "
        "outside entities and 'B-PER', 'I-PER' inside (or IOB1, IO, BIOES, BILOU). For a label on every word, such as "
        "its part of speech, set metric='accuracy' in the task (book/extend.md)"
    )


def _breaks(name: str, before: Parsed, now: Parsed) -> bool:
    """Return whether a scheme forbids a tag after another one."""
    (last, type_before), (prefix, type_) = before, now
    last, prefix = last.translate(_SAME), prefix.translate(_SAME)
    continued = last in "BI" and type_before == type_
    if name == "IOB2":
        return prefix == "I" and not continued
    if name == "IOB1":
        return prefix == "B" and not continued
    if name == "IO":
        return False
    return (last in "BI" or prefix in "IE") and not (continued and prefix in "IE")


def _first(rows: list[tuple[str, Sequence[str]]], pairs: set[tuple[str, str]]) -> str:
    """Describe the first place where one of the given pairs of adjacent tags occurs."""
    for where, tags in rows:
        for k, (a, b) in enumerate(pairwise(["O", *tags, "O"])):
            if (a, b) in pairs:
                before = f"after {a!r}" if k else "at the beginning"
                return f"{b!r} {before} ({where})" if k < len(tags) else f"{a!r} at the end ({where})"
    raise AssertionError("the pairs were counted over these rows")
