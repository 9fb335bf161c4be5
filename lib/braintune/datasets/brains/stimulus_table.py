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


def check_columns(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    """Check the columns with a meaning: sentences as they are, names of groups, positions as whole numbers.

    Parameters
    ----------
    path : Path
    table : DataFrame of str
        With lines as index (:func:`braintune.datasets.brains.csv_file.read_csv`). Without a column ``stimulus`` each
        sentence must be listed once.

    Raises
    ------
    BraintuneError
        For a missing or repeated sentence, a missing name, a name written in two ways, a position that is no whole
        number from 0, and a heading such as ``passage_id``. A passage may be missing in some rows if there is a
        ``topic``.
    """
    table = table.copy()
    for name in set(table) - {*GROUPS, *OTHERS}:
        if meant := [known for known in (*GROUPS, *OTHERS[1:]) if known in re.split(r"[\W\d_]+", name.casefold())]:
            raise BraintuneError(
                f"{path}, line 1: heading {name!r} has no meaning; is it {meant[0]!r}? Name it so, or remove the column"
            )
    for name in ("sentence", "dereferenced"):
        if name in table:
            column = table[name]
            refuse(path, column, column.str.casefold().isin(MISSING), "write the sentence there", "is no sentence")
            repeated = column.duplicated() & ("stimulus" not in table)
            if repeated.any():
                fault = f"is the same as in line {column.eq(column[repeated.idxmax()]).idxmax()}"
                refuse(path, column, repeated, "average the responses to a repeated sentence, and list it once", fault)
    for name in ("stimulus", *GROUPS):
        if name in table:
            table[name] = labels(path, table[name], optional=name == "passage" and "topic" in table)
    if "position" in table:
        remedy = "write whole numbers from 0, or leave the column out"
        table["position"] = numbers(path, table["position"], remedy, whole=True)
    return table


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
            "sentences without passage and topic are read as one story, in its order: sort the rows (and the responses "
            "with them), let positions count on from part to part, or add `passage` or `topic`"
        )
    if story:
        position = np.arange(len(names))  # positions may leave out some
    return Stimuli(names, list(sentences), number, passage, topic, position, contiguous=story)


def _require_one(path: Path, column: pd.Series, number: np.ndarray) -> None:
    """Raise an error if sentences of a stimulus differ in a column."""
    first = column.groupby(number).transform("first")
    if (differs := column != first).any():
        line = differs.idxmax()
        raise BraintuneError(
            f"{path}, line {line}, column {column.name!r}: {column[line]!r}, but another sentence of its stimulus has "
            f"{first[line]!r}; a stimulus is in one {column.name}"
        )
