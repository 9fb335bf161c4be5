"""Recorded results: small tables of long runs that come with the repository, each set with its provenance.

`real` is the run of the profile `reference` on real tasks and real fMRI, `continual` the task sequences of the profile
`continual-real`, `ablation` the variants of the sweep `ablation-real`; `calibration` holds the error rates of the
verdicts where the truth is known. The tables hold numbers that this project computed, and no text of any data set.
:data:`MADE_BY` gives the command that regenerates each set.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from braintune.core import base, store
from braintune.core.base import BraintuneError
from braintune.core.study import Study
from braintune.neural.decoding import NULL_SCORES
from braintune.results.tables import REPRESENTATION, SCORE, Results

FOLDER = base.REPOSITORY / "data" / "reference"
#: Largest size of a recorded set.
LIMIT_BYTES = 2 * 2**20
#: What is computed with permuted labels too.
NULL_VALUES = (*NULL_SCORES, SCORE["encoding"])
#: Which command makes which set.
MADE_BY = {
    "real": "make reference",
    "continual": "make reference-continual",
    "ablation": "make reference-ablation",
    "calibration": "make calibrate",
}


def keep(name: str, tables: Mapping[str, pd.DataFrame], facts: Mapping[str, Any]) -> Path:
    """Write the tables of a set (a key of :data:`MADE_BY`) and its provenance: `facts`, and a checksum of every table.

    Returns
    -------
    Path
        Folder of the set.

    Raises
    ------
    BraintuneError
        If the set is larger than :data:`LIMIT_BYTES`.
    """
    folder = FOLDER / name
    files = {folder / f"{table}.parquet": rows for table, rows in tables.items()}
    for file, rows in files.items():
        store.write_table(file, rows)
    size = sum(file.stat().st_size for file in files) / 2**20
    if size > LIMIT_BYTES / 2**20:
        raise BraintuneError(f"{folder}: {size:.1f} MiB, allowed are {LIMIT_BYTES / 2**20:.0f}; keep fewer rows")
    checksums = {file.name: store.checksum(file) for file in files}
    store.write_json(folder / "provenance.json", dict(facts) | {"tables": checksums})
    return folder


def facts_of(name: str) -> dict[str, Any]:
    """Return the facts on how a recorded set was made."""
    file = FOLDER / name / "provenance.json"
    if not file.is_file():
        raise BraintuneError(f"no recorded results {file.parent}; `{MADE_BY[name]}` makes them")
    return store.read_json(file)


def read_tables(name: str) -> dict[str, pd.DataFrame]:
    """Read the tables of a recorded set.

    Raises
    ------
    BraintuneError
        If the set is missing, or a table differs from its provenance.
    """
    found = {}
    for file, checksum in facts_of(name)["tables"].items():
        path = FOLDER / name / file
        if not path.is_file() or store.checksum(path) != checksum:
            raise BraintuneError(f"{path} is not the table that was recorded; `{MADE_BY[name]}` makes it again")
        found[path.stem] = store.read_table(path)
    return found


def sequences() -> tuple[Study, pd.DataFrame, pd.DataFrame]:
    """Read the recorded task sequences: the run, scores of the tasks, and scores of the representations.

    For the tables see :func:`braintune.models.continual.stage_table` and :func:`braintune.results.stages.brain_scores`;
    for the errors see :func:`read_tables`.
    """
    found = read_tables("continual")
    return Study.make(facts_of("continual")["profile"]), found["scores"], found["representations"]


def variants() -> tuple[Study, dict[str, dict[str, Any]], dict[str, pd.DataFrame]]:
    """Read the recorded variants: the base, variant → the parameters that differ, and the tables of their comparison.

    For the tables (``effects``, ``against``, ``methods``, ``costs``) see :mod:`braintune.results.variants`; for the
    errors see :func:`read_tables`.
    """
    facts = facts_of("ablation")
    return Study.make(facts["profile"]), facts["variants"], read_tables("ablation")


def mean_over_seeds(null: pd.DataFrame, representations: pd.DataFrame) -> pd.DataFrame:
    """Average the scores of each permutation over the tuning seeds, under the name of the first seed.

    A contrast also averages them over seeds (:class:`braintune.results.contrasts.Contrast`), so nothing that is judged
    is lost. The rows of a participant, which are means over permutations, are not changed.

    Parameters
    ----------
    null : DataFrame
        From :func:`braintune.results.tables.null_means`.
    representations : DataFrame
        Columns :data:`braintune.results.tables.REPRESENTATION`.
    """
    drawn = null[null["permutation"] >= 0].merge(_first_seeds(representations)).drop(columns="representation")
    drawn = drawn.rename(columns={"first": "representation"})
    values = [name for name in NULL_VALUES if name in null]
    means = drawn.groupby([name for name in drawn if name not in values], sort=False)[values].mean().reset_index()
    return pd.concat([means, null[null["permutation"] < 0]], ignore_index=True)[list(null)]


def for_every_seed(null: pd.DataFrame, representations: pd.DataFrame) -> pd.DataFrame:
    """Assign the means of :func:`mean_over_seeds` to every tuning seed; for the parameters see there."""
    drawn = null[null["permutation"] >= 0].rename(columns={"representation": "first"})
    drawn = drawn.merge(_first_seeds(representations)).drop(columns="first")
    return pd.concat([drawn, null[null["permutation"] < 0]], ignore_index=True)[list(null)]


def _first_seeds(representations: pd.DataFrame) -> pd.DataFrame:
    """Return each `representation` and, as `first`, that of the first seed of the same tuning."""
    named = representations[REPRESENTATION].drop_duplicates("representation")
    tuned = named["kind"] == "tuned"
    first = named.groupby(["kind", "task", "method"], sort=False)["representation"].transform("first")
    return pd.DataFrame(
        {"representation": named["representation"], "first": first.where(tuned, named["representation"])}
    )


def recorded(**changes: Any) -> Results:
    """Read the recorded ``real`` run; for the errors see :func:`read_tables`.

    Parameters
    ----------
    **changes
        Parameters of the profile, such as `margin`, with which the results are judged; None keeps the value recorded.
    """
    found = read_tables("real")
    null = for_every_seed(found["null"], found["scores"])
    given = {parameter: value for parameter, value in changes.items() if value is not None}
    study = Study.make(facts_of("real")["profile"] | given)
    return Results(study, found["scores"], null, found["closeness"], found["tuned"], found["groups"])
