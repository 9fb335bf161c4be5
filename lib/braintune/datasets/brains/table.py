"""Region averages: a CSV file with a row a sentence and a column a region, the simplest form of a study."""

import csv
import io
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from braintune.core.base import BraintuneError
from braintune.core.preprocess import zscore
from braintune.core.study import Study
from braintune.datasets.brains import base
from braintune.datasets.brains.base import BrainData, BrainSource, Stimuli

#: Columns with a meaning; every other column is a region.
MEANINGS = ("sentence", "dereferenced", "experiment", "topic", "passage", "position")
#: Networks that are no part of the language network; any other region is one.
OTHER_NETWORKS = ("DMN", "task-positive", "visual", "whole-brain")
MIN_ROWS = 10


def pereira2018_average(study: Study) -> BrainData:
    """Return the average response of the language network to the 627 sentences of Experiments 2 and 3 [1]_.

    The passages of Experiment 3 are not given, so its groups, and those of Experiment 2, are the topics.

    References
    ----------
    .. [1] Pereira et al. (2018). Toward a universal decoder of linguistic meaning from brain activation. Nature
       Communications 9, 963.
    """
    path = base.data_set_folder(PEREIRA) / "sentences.csv"
    if study.wording == "dereferenced" and "dereferenced" not in _kept(path):
        raise BraintuneError(f"{path} has no column 'dereferenced'; add it, or set wording: presented")
    return _averages(study, PEREIRA, {"average": path})


def tuckute2024_average(study: Study) -> BrainData:
    """Return the average responses of five language regions and their network to 1,000 six-word sentences [1]_.

    References
    ----------
    .. [1] Tuckute et al. (2024). Driving and suppressing the human language network using large language models.
       Nature Human Behaviour 8, 544-561.
    """
    return _averages(study, TUCKUTE, {"average": base.data_set_folder(TUCKUTE) / "sentences.csv"})


def own_table(study: Study) -> BrainData:
    """Read every CSV file of the folder `study.own_study`, one for an average or one for each participant."""
    files = base.participant_files(base.data_set_folder(OWN, study.own_study), "*.csv")
    return _averages(study, OWN, {who: next(iter(own.values())) for who, own in files.items()})


def _averages(study: Study, source: BrainSource, paths: dict[str, Path]) -> BrainData:
    """Return the brain data of one table for each participant.

    Every region is z-scored over the sentences, within each `experiment` where that column exists.

    Raises
    ------
    BraintuneError
        If a table is not as :func:`read_table` says, two tables differ in sentences or columns, or a region is constant
        within an experiment.
    """
    first, *others = paths
    table = _kept(paths[first])
    for other in others:
        _require_same(paths[first], table, paths[other], _kept(paths[other]))
    regions = [column for column in table if column not in MEANINGS]
    parts = [region for region in regions if region not in (*OTHER_NETWORKS, "language")]

    def load(participant: str) -> dict[str, np.ndarray]:
        responses = _standardised(paths[participant], regions)
        found = {region: responses[:, i : i + 1] for i, region in enumerate(regions)}
        if "language" in regions and len(parts) > 1:  # the network: all of its regions together
            found["language"] = np.hstack([found[part] for part in parts])
        return found

    return BrainData(
        name=source.name,
        participants=tuple(paths),
        regions=tuple(regions),
        networks={region: region if region in OTHER_NETWORKS else "language" for region in regions},
        stimuli=_stimuli(paths[first], table, study.wording),
        simulated=False,
        load=load,
        files={who: {path.name: path} for who, path in paths.items()},
    )


def _stimuli(path: Path, table: pd.DataFrame, wording: str) -> Stimuli:
    """Return the sentences with their groups: `topic` within `experiment`, `passage` within both.

    If a passage is missing in any row, passages are left out, so that the grouped folds keep topics together.
    """
    sentences = list(table["dereferenced" if wording == "dereferenced" and "dereferenced" in table else "sentence"])
    within = [column for column in ("experiment", "topic") if column in table]
    whole = "passage" in table and (table["passage"] != "").all()
    topic = table.groupby(within, sort=False).ngroup().to_numpy() if "topic" in table else None
    passage = table.groupby([*within, "passage"], sort=False).ngroup().to_numpy() if whole else None
    position = table["position"].to_numpy() if "position" in table else None
    order = np.arange(len(table))
    story = position is not None and topic is None and passage is None
    if story and (wrong := table["position"] != order).any():
        line = wrong.idxmax()
        raise BraintuneError(
            f"{path}, line {line}, column 'position': {table['position'][line]} is out of order; sentences without "
            "passage and topic are read as one story, in order from 0: sort the rows, or add `passage` or `topic`"
        )
    names = [f"sentence {row + 1}" for row in order]
    return Stimuli(names, sentences, order, passage, topic, position, contiguous=story)


def _standardised(path: Path, regions: list[str]) -> np.ndarray:
    """Return the regions of a table, each z-scored within every experiment: array of shape (n_sentences, n_regions)."""
    table = _kept(path)
    experiments = table["experiment"].to_numpy() if "experiment" in table else np.zeros(len(table))
    responses = table[regions].to_numpy(dtype=np.float64, copy=True)
    for experiment in np.unique(experiments):
        rows = experiments == experiment
        responses[rows] = zscore(responses[rows])
        if constant := [
            region for region, varies in zip(regions, responses[rows].any(axis=0), strict=True) if not varies
        ]:
            where = f" in experiment {experiment!r}" if "experiment" in table else ""
            raise BraintuneError(
                f"{path}, column {constant[0]!r}: every value is the same{where}, so there is nothing to decode; "
                "remove the column" + " or the experiment" * bool(where)
            )
    return responses


def _require_same(path: Path, table: pd.DataFrame, other_path: Path, other: pd.DataFrame) -> None:
    """Raise an error if two participants' tables differ in columns or in what is known of the sentences."""
    remedy = "all participants need the same columns, and the same sentences in the same order"
    if differing := sorted(set(table) ^ set(other)):
        has, lacks = (path, other_path) if differing[0] in table else (other_path, path)
        raise BraintuneError(f"{lacks}, line 1: no column {differing[0]!r}, which {has.name} has; {remedy}")
    if len(table) != len(other):
        raise BraintuneError(f"{other_path} has {len(other)} sentences, and {path.name} has {len(table)}; {remedy}")
    for column in table.columns.intersection(MEANINGS):
        if (differs := table[column].to_numpy() != other[column].to_numpy()).any():
            row = int(differs.argmax())
            raise BraintuneError(
                f"{other_path}, line {other.index[row]}, column {column!r}: {other[column].iloc[row]!r}, but "
                f"{path.name} has {table[column].iloc[row]!r} in line {table.index[row]}; {remedy}"
            )


# --- reading a table ---------------------------------------------------------------------------------------------


def _kept(path: Path) -> pd.DataFrame:
    """Return a table, read once for each state of its file."""
    try:
        state = path.stat()
    except OSError as error:
        raise BraintuneError(f"cannot read {path} ({error}); `data/README.md` says how to make it") from None
    return _read_once(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=64)
def _read_once(path: Path, *state: int) -> pd.DataFrame:
    return read_table(path)


def read_table(path: Path) -> pd.DataFrame:
    """Read a table of region averages.

    Parameters
    ----------
    path : Path
        A CSV file in UTF-8, separated by commas, with a row a sentence. Columns with a meaning; only the first is
        needed:

        - ``sentence``, as presented;
        - ``dereferenced``: the same with pronouns replaced, read instead by ``wording: dereferenced``;
        - ``experiment``: responses are z-scored within it;
        - ``topic``, ``passage``: groups that the grouped folds never split. A passage may be missing in some rows if
          there is a ``topic``: the topics are the groups then;
        - ``position``: position in the passage, from 0. Without ``passage`` and ``topic``, the rows are one story, in
          its order, and the grouped folds take contiguous blocks.

        Every other column is a region, with a number in every row. A column ``language`` beside several regions of the
        language network makes them that network, decoded from all of them together; its own numbers are not used then.

    Returns
    -------
    DataFrame
        A row a sentence, with its line in the file as index; regions are float64.

    Raises
    ------
    BraintuneError
        For another encoding, faulty or repeated headings, an index column, no region, rows of another length than the
        heading, missing or repeated sentences, values that are missing or no finite numbers, and fewer than ten rows.
    """
    (_, heading), *records = _records(path) or [(1, [])]
    _check_heading(path, heading, [fields[0] for _, fields in records])
    for line, fields in records:
        if len(fields) != len(heading):
            raise BraintuneError(
                f"{path}, line {line}: {len(fields)} fields ({', '.join(map(repr, fields[:3]))}, …) for "
                f"{len(heading)} headings; put a sentence with a comma in double quotes, and leave no field out"
            )
    if len(records) < MIN_ROWS:
        raise BraintuneError(
            f"{path}: {len(records)} sentences; at least {MIN_ROWS} are needed to decode them in folds"
        )
    lines = [line for line, _ in records]
    table = pd.DataFrame([fields for _, fields in records], columns=heading, index=lines, dtype=object)
    table = table.map(str.strip)
    for column in heading:
        table[column] = _checked(path, table[column], optional="passage" if "topic" in table else "")
    return table


def _records(path: Path) -> list[tuple[int, list[str]]]:
    """Return line and fields of each record; blank lines are left out."""
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise BraintuneError(
            f"{path}, line {line}: byte {content[error.start : error.start + 1]!r} is no UTF-8; save the table as CSV "
            "in UTF-8"
        ) from None
    reader, records, line = csv.reader(io.StringIO(text, newline=""), strict=True), [], 1
    try:
        for fields in reader:
            if fields:
                records.append((line, fields))
            line = reader.line_num + 1
    except csv.Error as error:
        raise BraintuneError(
            f"{path}, line {line}: {error}; close every double quote, and write one inside a field twice"
        ) from None
    return records


def _check_heading(path: Path, heading: list[str], first: list[str]) -> None:
    """Raise an error for a heading that is faulty or lacks a column; `first` holds the first field of each row."""
    known = {name.casefold(): name for name in (*MEANINGS, "language")}
    index = [str(row) for row in range(len(first) + 1)]
    if heading and (
        not heading[0].strip() or (heading[0] not in MEANINGS and first and first in (index[:-1], index[1:]))
    ):
        raise BraintuneError(
            f"{path}, line 1, column 1: {heading[0]!r} is an index and no region; remove it (in pandas: "
            "to_csv(…, index=False))"
        )
    for number, name in enumerate(heading, start=1):
        right = known.get(name.strip().casefold(), name.strip())
        if name != right or not name or name in heading[: number - 1]:
            fault = f"must be written {right!r}" if name != right else "is repeated" if name else "is empty"
            raise BraintuneError(f"{path}, line 1, column {number}: heading {name!r} {fault}; name each column once")
    if "sentence" not in heading:
        raise BraintuneError(
            f"{path}, line 1: no column 'sentence'; it has {', '.join(map(repr, heading)) or 'nothing'}; separate "
            "columns by commas, with the names in the first line"
        )
    if set(heading) <= set(MEANINGS):
        raise BraintuneError(
            f"{path}, line 1: no region; beside {', '.join(heading)} it needs a column of responses for each region, "
            "such as 'language' (responses as arrays or images are read by `brains: [folder]`)"
        )


def _checked(path: Path, column: pd.Series, optional: str) -> pd.Series:
    """Return a column if its values are right: text as it is, positions as int, regions as float64."""
    name, remedy, numeric = column.name, "", pd.to_numeric(column, errors="coerce")
    bad = pd.Series(False, index=column.index)
    if name in ("sentence", "dereferenced"):
        bad = (column == "") | column.duplicated()
        remedy = "average the responses to a repeated sentence, and list it once"
    elif name == "position":
        bad = ~(numeric >= 0) | (numeric % 1 != 0)
        remedy = "write whole numbers from 0, or leave the column out"
    elif name in MEANINGS:
        bad = (column == "") & (name != optional)
        remedy = "fill it in, or leave the column out"
    else:
        bad = ~np.isfinite(numeric)
        remedy = (
            f"a region needs a finite number in every row; what is no region is named {', '.join(MEANINGS)}, or removed"
        )
    if bad.any():
        line, value = bad.idxmax(), column[bad.idxmax()]
        fault = "is missing" if not value else "is not allowed"
        if name in ("sentence", "dereferenced") and value:
            fault = f"is the same as in line {column.eq(value).idxmax()}"
        raise BraintuneError(f"{path}, line {line}, column {name!r}: {value!r} {fault}; {remedy}")
    if name == "position":
        return numeric.astype(int)
    return column if name in MEANINGS else numeric.astype(np.float64)


PEREIRA = BrainSource(
    name="pereira2018-average",
    title="Pereira et al. (2018), Experiments 2 and 3: an average response to each of 627 sentences",
    make=pereira2018_average,
    size="an average over participants, 627 sentences, the left language network; 0.1 MB",
    licence="none stated",
    citation="pereira2018",
    get="in the folder `brain/pereira2018_average` of the data folder; `data/README.md` says how to make it",
    folder="pereira2018_average",
    people="average reader of 627 sentences in passages",
)
TUCKUTE = BrainSource(
    name="tuckute2024-average",
    title="Tuckute et al. (2024): an average response to each of 1,000 unrelated sentences",
    make=tuckute2024_average,
    size="an average over participants, 1,000 sentences, five left language regions and their network; 0.1 MB",
    licence="none stated",
    citation="tuckute2024",
    get="in the folder `brain/tuckute2024_average` of the data folder; `data/README.md` says how to make it",
    folder="tuckute2024_average",
    people="average reader of 1,000 sentences",
)
OWN = BrainSource(
    name="table",
    title="Your own region averages: one CSV file for an average, or one for each participant",
    make=own_table,
    size="yours",
    licence="yours",
    citation="",
    get="the folder `own_study` under `brain` of the data folder: a CSV file with a row a sentence, a column a region",
)
SOURCES = (PEREIRA, TUCKUTE, OWN)
