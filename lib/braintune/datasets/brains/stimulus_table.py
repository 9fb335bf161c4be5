"""The columns that a table of stimuli may have, in a folder of arrays or beside region averages."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from braintune.core.base import BraintuneError
from braintune.datasets.brains.base import Stimuli
from braintune.datasets.brains.csv_file import MISSING, labels, numbers, refuse

GROUPS = ("experiment", "topic", "passage")
OTHERS = ("sentence", "dereferenced", "stimulus", "position")


def _singular(word: str) -> str:
    return re.sub(r"ies$", "y", word.casefold()).removesuffix("s")


def _word_set(words: str) -> frozenset[str]:
    return frozenset(map(_singular, words.split()))


#: Words for a group of sentences that are not valid headings; ignoring such a column would give wrong folds.
GROUP_WORDS = _word_set(
    "paragraph story text document doc article section chapter scene block item category theme genre group"
)
#: Words for numbers and names of things.
_NUMBER_WORDS = _word_set("n id nr no num number index idx name")
#: These and further words make up the usual names of design, nuisance and descriptive variables; none names a region.
DESIGN_WORDS = (
    GROUP_WORDS
    | _NUMBER_WORDS
    | _word_set(
        "run session sess ses trial condition cond order row list split fold source date unnamed level age sex "
        "participant subject subj sub sentence stimulus stim position word count length len char character letter "
        "syllable token duration dur onset offset start end time timing tr scan volume vol frequency freq surprisal "
        "perplexity logprob rt nwords wordcount nchars rating motion confound nuisance regressor mask noise ceiling "
        "event x y z coord coordinate"
    )
)
#: S1, S2, M1, V1 … and p24 are cortical areas; S01, S3, P12 and sub-1 are participants.
_PARTICIPANT = re.compile(
    r"(?i:sub|subj|subject|participant|person|reader|listener|ppt?|vp)[ _.-]?\d+|[SPM][_-]?(?:[3-9]|\d\d+)|[spm]0\d+"
)
#: Headings of tables with a row for each sentence and region, or for each sentence and participant.
_LONG = {
    "participant": _word_set("participant subject subj sub uid"),
    "region": _word_set("roi region parcel area network froi"),
    "value": _word_set("value response bold beta effect effectsize activation estimate"),
}


def _words_of(name: str) -> list[str]:
    """Return the words of a heading in lower case and without a plural s: n and word for `n_words` and `nWords`."""
    return [_singular(word) for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)]


def require_region_names(where: str, kind: str, names: Sequence[str]) -> None:
    """Raise an error for a name that cannot be a region's: columns and arrays with any other name are read as regions.

    Not called if `regions` of the profile names the wanted ones.

    Parameters
    ----------
    where : str
    kind : str
        What the names belong to, for the message.
    names : sequence of str
    """
    people = [name for name in names if _PARTICIPANT.fullmatch(name)]
    design = [name for name in names if (words := _words_of(name)) and DESIGN_WORDS.issuperset(words)]
    if not (bad := people or design):
        return
    good = [name for name in names if name not in (*people, *design)] or list(names)
    listed = ", ".join(good[:6]) + ", …" * (len(good) > 6)
    fault = "a participant" if people else "a design or nuisance variable"
    remedy = "write one file per participant, with its regions" if people else "remove it"
    raise BraintuneError(
        f"{where}: {kind} {bad[0]!r} is {fault}, judging by its name, but would be read as a region; {remedy}, or name "
        f"the wanted regions in the profile, such as `regions: [{listed}]`"
    )


def unused_columns(table: pd.DataFrame, used: Sequence[str]) -> tuple[str, ...]:
    """Return a remark that names the columns of a table that have no meaning, if there are any."""
    unused = ", ".join(repr(column) for column in table if column not in used)
    return (f"unused columns of the table of stimuli: {unused}",) if unused else ()


def check_columns(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    """Check the columns with a meaning: sentences, names of groups, and positions, which are whole numbers.

    Parameters
    ----------
    path : Path
    table : DataFrame of str
        With lines as index (:func:`braintune.datasets.brains.csv_file.read_csv`). Without a column ``stimulus`` each
        sentence must be listed once.

    Raises
    ------
    BraintuneError
        For a missing or repeated sentence, a missing name, a name written in two ways, a position that is not a whole
        number of at least 0, and a heading such as ``passage_id`` or ``paragraph``. A passage may be missing in some
        rows if there is a ``topic``.
    """
    table = table.copy()
    for name in table.columns.difference([*GROUPS, *OTHERS], sort=False):
        if meant := [known for known in (*GROUPS, *OTHERS[1:]) if known in re.split(r"[\W\d_]+", name.casefold())]:
            raise BraintuneError(
                f"{path}, line 1: heading {name!r} is unknown; rename it to {meant[0]!r} if that is meant, or remove "
                "the column"
            )
        words = [word for word in _words_of(name) if word not in _NUMBER_WORDS]
        if words and GROUP_WORDS.issuperset(words):
            raise BraintuneError(
                f"{path}, line 1: heading {name!r} is unknown; groups of sentences are named 'passage' or 'topic': "
                "rename it to one of these, or remove the column"
            )
    for name in ("sentence", "dereferenced"):
        if name in table:
            column = table[name]
            refuse(path, column, column.str.casefold().isin(MISSING), "write the sentence", "is not a sentence")
            repeated = column.duplicated() & ("stimulus" not in table)
            if repeated.any():
                fault = f"is the same as in line {column.eq(column[repeated.idxmax()]).idxmax()}"
                remedy = _long_format(table) or "average the responses to a repeated sentence, and list it once"
                refuse(path, column, repeated, remedy, fault)
    for name in ("stimulus", *GROUPS):
        if name in table:
            table[name] = labels(path, table[name], optional=name == "passage" and "topic" in table)
    if "position" in table:
        remedy = "write whole numbers from 0, or leave the column out"
        table["position"] = numbers(path, table["position"], remedy, whole=True)
    return table


def _long_format(table: pd.DataFrame) -> str:
    """Return how to convert a table in long format to one row per sentence, in pandas; empty if it is not one."""
    columns: dict[str, str] = {}
    for name in table:
        for role, words in _LONG.items():
            if len(_words_of(name)) <= 2 and not words.isdisjoint(_words_of(name)):
                columns.setdefault(role, name)
    if {"region", "value"} <= set(columns):
        index = [name for name in (*GROUPS, *OTHERS) if name in table]
        pivot = f"index={index}, columns={columns['region']!r}, values={columns['value']!r}, sort=False"
        change = f".pivot_table({pivot}).reset_index()"
    elif "participant" in columns:
        change = f".drop(columns={columns['participant']!r})"
    else:
        return ""
    line = f"table{change}.to_csv('average.csv', index=False)"
    if "participant" in columns:
        each = f"part{change}.to_csv(f'{{who}}.csv', index=False)"
        line = f"for who, part in table.groupby({columns['participant']!r}): {each}"
    return f"write one row per sentence and one column per region, for `brains: [table]`, in pandas: {line}"


def make_stimuli(path: Path, table: pd.DataFrame, sentences: Sequence[str]) -> Stimuli:
    """Return the stimuli with their groups: `topic` within `experiment`, `passage` within both.

    If a passage is missing in any row, passages are left out, so that the grouped folds keep topics together. Positions
    without passage and topic mean one story.

    Parameters
    ----------
    path : Path
    table : DataFrame
        As :func:`check_columns` returns it; rows of the same ``stimulus`` are one stimulus.
    sentences : sequence of str, length n_rows

    Raises
    ------
    BraintuneError
        If the sentences of a stimulus differ in a group, or the rows of a story are out of order.
    """
    number, names = np.arange(len(table)), [f"sentence {row + 1}" for row in range(len(table))]
    if "stimulus" in table:
        number, unique = pd.factorize(table["stimulus"])
        names = list(unique)
    for name in (*GROUPS, "position"):
        if name in table:
            _require_one(path, table[name], number)
    table = table[~pd.Series(number, table.index).duplicated()]
    within = [name for name in GROUPS[:2] if name in table]
    whole = "passage" in table and (table["passage"] != "").all()
    topic = table.groupby(within, sort=False).ngroup().to_numpy() if "topic" in table else None
    passage = table.groupby([*within, "passage"], sort=False).ngroup().to_numpy() if whole else None
    position = table["position"].to_numpy() if "position" in table else None
    story = position is not None and topic is None and passage is None
    if story and (wrong := table["position"].diff() <= 0).any():
        raise BraintuneError(
            f"{path}, line {wrong.idxmax()}, column 'position': {table['position'][wrong.idxmax()]} is out of order; "
            "sentences without passage and topic are read as one story, in order: sort the rows (and the responses "
            "with them), continue the positions from part to part, or add `passage` or `topic`"
        )
    if story:
        position = np.arange(len(names))  # positions may have gaps
    return Stimuli(names, list(sentences), number, passage, topic, position, contiguous=story)


def _require_one(path: Path, column: pd.Series, number: np.ndarray) -> None:
    """Raise an error if sentences of a stimulus differ in a column."""
    first = column.groupby(number).transform("first")
    if (differs := column != first).any():
        line = differs.idxmax()
        raise BraintuneError(
            f"{path}, line {line}, column {column.name!r}: {column[line]!r}, but another sentence of its stimulus has "
            f"{first[line]!r}; a stimulus must have one {column.name}"
        )
