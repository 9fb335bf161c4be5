"""Region averages: a CSV file with one row per sentence and one column per region, the simplest form of a study."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from braintune.core.base import BraintuneError
from braintune.core.preprocess import zscore
from braintune.core.study import Study
from braintune.datasets.brains import base
from braintune.datasets.brains.base import BrainData, BrainSource
from braintune.datasets.brains.csv_file import numbers, read_csv
from braintune.datasets.brains.stimulus_table import check_columns, make_stimuli, require_region_names

#: Columns with a meaning; every other column is a region, unless `regions` names others.
MEANINGS = ("sentence", "dereferenced", "experiment", "topic", "passage", "position")
#: Networks outside the language network; any other region is part of it.
OTHER_NETWORKS = ("DMN", "task-positive", "visual", "whole-brain")
#: Name of the region that this module forms from all regions of the language network.
NETWORK = "language"
MIN_ROWS = 10


def pereira2018_average(study: Study) -> BrainData:
    """Return the average response of the language network to the 627 sentences of Experiments 2 and 3 [1]_.

    The passages of Experiment 3 are not given, so the topics are the groups in both experiments.

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
    return _averages(study, TUCKUTE, {"average": base.data_set_folder(TUCKUTE) / "sentences.csv"}, network=True)


def own_table(study: Study) -> BrainData:
    """Read every CSV file of the folder `study.own_study`, one for an average or one for each participant."""
    files = base.participant_files(base.data_set_folder(OWN, study.own_study), "*.csv")
    paths = {who: next(iter(own.values())) for who, own in files.items()}
    return _averages(study, OWN, paths, None if study.regions is None else tuple(study.regions))


def _averages(
    study: Study,
    source: BrainSource,
    paths: dict[str, Path],
    wanted: tuple[str, ...] | None = None,
    network: bool = False,
) -> BrainData:
    """Return the brain data of one table for each participant; `wanted` and `network` as in :func:`_parts`.

    Every region is z-scored over the sentences, within each `experiment` where that column exists.

    Raises
    ------
    BraintuneError
        If a table is not as :func:`read_table` says, two tables differ in sentences or columns or have the same
        numbers, a region is constant within an experiment, or ``language`` is a column beside its regions.
    """
    first, *others = paths
    table = _kept(paths[first], wanted)
    for other in others:
        _require_same(paths[first], table, paths[other], _kept(paths[other], wanted), wanted)
    columns = [column for column in table if column not in MEANINGS]
    parts = _parts(paths[first], columns, wanted, network)
    read = [column for column in columns if wanted is None or column in wanted]
    _require_different(paths, read, wanted)

    def load(participant: str) -> dict[str, np.ndarray]:
        responses = _standardised(paths[participant], _kept(paths[participant], wanted), read)
        found = {region: responses[:, i : i + 1] for i, region in enumerate(read)}
        return found | ({NETWORK: np.hstack([found[part] for part in parts])} if parts else {})

    regions = tuple(dict.fromkeys([*columns, *([NETWORK] if parts else [])]))
    return BrainData(
        name=source.name,
        participants=tuple(paths),
        regions=regions,
        stimuli=make_stimuli(paths[first], table, table[_wording(study, table)]),
        simulated=False,
        load=load,
        files={who: {path.name: path} for who, path in paths.items()},
        remarks=_as_read(paths, table, regions) if source is OWN else (),
    )


def _as_read(paths: dict[str, Path], table: pd.DataFrame, regions: tuple[str, ...]) -> tuple[str]:
    """Say what was read of a user's own tables, so that a column that is taken for a region is noticed."""
    files = ", ".join(path.name for path in list(paths.values())[:3]) + ", …" * (len(paths) > 3)
    groups = [f"{table[name].nunique()} {name}s" for name in ("experiment", "topic", "passage") if name in table]
    return (f"{', '.join([f'{files}: {len(table)} sentences', *groups])}; regions {', '.join(regions)}",)


def _parts(path: Path, columns: list[str], wanted: tuple[str, ...] | None, network: bool) -> list[str]:
    """Return the columns that form ``language`` together; none if it is a column itself or was not requested.

    Parameters
    ----------
    path : Path
    columns : list of str
        The table's columns of responses.
    wanted : tuple of str, or None
        The regions that a profile names; None reads all.
    network : bool
        Whether the published column of this name is replaced, as `data/README.md` says.

    Raises
    ------
    BraintuneError
        If there is a column ``language`` beside its regions, and `wanted` is None.
    """
    parts = [column for column in columns if column not in (*OTHER_NETWORKS, NETWORK)]
    if network:
        return parts
    if wanted is None and parts and NETWORK in columns:
        named = ", ".join(parts)
        raise BraintuneError(
            f"{path}, line 1: column {NETWORK!r} beside {named} is ambiguous: region {NETWORK!r} could be this column, "
            f"or the other columns together. Name the regions in the profile: `regions: [{NETWORK}, {named}]` uses the "
            "column as it is; if the column is renamed or removed, it joins the other regions named"
        )
    parts = [part for part in parts if part in (wanted or ())]
    return parts if len(parts) > 1 and NETWORK in (wanted or ()) and NETWORK not in columns else []


def _wording(study: Study, table: pd.DataFrame) -> str:
    return "dereferenced" if study.wording == "dereferenced" and "dereferenced" in table else "sentence"


def _standardised(path: Path, table: pd.DataFrame, regions: list[str]) -> np.ndarray:
    """Return the regions of a table, each z-scored within every experiment: array of shape (n_sentences, n_regions)."""
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


def _require_same(
    path: Path, table: pd.DataFrame, other_path: Path, other: pd.DataFrame, wanted: tuple[str, ...] | None
) -> None:
    """Raise an error if two participants' tables differ in columns or in the facts about the sentences."""
    remedy = "all participants need the same columns, and the same sentences in the same order"
    if differing := sorted(c for c in set(table) ^ set(other) if wanted is None or c in (*MEANINGS, *wanted)):
        has, lacks = (path, other_path) if differing[0] in table else (other_path, path)
        raise BraintuneError(f"{lacks}, line 1: no column {differing[0]!r}, which {has.name} has; {remedy}")
    if len(table) != len(other):
        raise BraintuneError(f"{other_path} has {len(other)} sentences, but {path.name} has {len(table)}; {remedy}")
    for column in table.columns.intersection(MEANINGS):
        if (differs := table[column].to_numpy() != other[column].to_numpy()).any():
            row = int(differs.argmax())
            raise BraintuneError(
                f"{other_path}, line {other.index[row]}, column {column!r}: {other[column].iloc[row]!r}, but "
                f"{path.name} has {table[column].iloc[row]!r} in line {table.index[row]}; {remedy}"
            )


def _require_different(paths: dict[str, Path], regions: list[str], wanted: tuple[str, ...] | None) -> None:
    """Raise an error if two participants have the same numbers in a region."""
    seen: dict[tuple[str, bytes], Path] = {}
    for path in paths.values():
        for region in regions:
            other = seen.setdefault((region, _kept(path, wanted)[region].to_numpy().tobytes()), path)
            if other is not path:
                raise BraintuneError(f"{path}, column {region!r}: the same numbers as in {other.name}; {base.COPIED}")


# --- reading a table ---------------------------------------------------------------------------------------------


def _kept(path: Path, wanted: tuple[str, ...] | None = None) -> pd.DataFrame:
    """Return a table, read once for each state of its file."""
    try:
        state = path.stat()
    except OSError as error:
        raise BraintuneError(f"cannot read {path} ({error}); `data/README.md` says how to create it") from None
    return _read_once(path, wanted, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=64)
def _read_once(path: Path, wanted: tuple[str, ...] | None, *state: int) -> pd.DataFrame:
    return read_table(path, wanted)


def read_table(path: Path, wanted: Sequence[str] | None = None) -> pd.DataFrame:
    """Read a table of region averages.

    Parameters
    ----------
    path : Path
        A CSV file in UTF-8, separated by commas, with one row per sentence. Columns with a meaning, of which only the
        first is required:

        - ``sentence``, as presented;
        - ``dereferenced``: the same with pronouns replaced, read instead if ``wording: dereferenced``;
        - ``experiment``: responses are z-scored within it;
        - ``topic``, ``passage``: groups that the grouped folds never split. A passage may be missing in some rows if
          there is a ``topic``: the topics are then the groups;
        - ``position``: position in the passage, from 0. Without ``passage`` and ``topic``, the rows are one story, in
          order (positions increase from row to row), and the grouped folds use contiguous blocks.

        Every other column is a region, with a number in every row. If a name cannot be a region's, such as ``run`` or
        ``S01``, the profile must name the regions.
    wanted : sequence of str, or None
        The regions that the profile names; other columns are then not read.

    Returns
    -------
    DataFrame
        One row per sentence, with its line in the file as index; regions that are read are float64.

    Raises
    ------
    BraintuneError
        As :func:`braintune.datasets.brains.csv_file.read_csv` and
        :func:`braintune.datasets.brains.stimulus_table.check_columns`; for an index column, no region, a name that
        cannot be a region's, values that are missing, codes of missing values or not finite numbers, and fewer than ten
        rows.
    """
    table = read_csv(path, ["sentence"], [*MEANINGS, "language"])
    regions = [column for column in table if column not in MEANINGS]
    if "stimulus" in table:
        raise BraintuneError(
            f"{path}, line 1: column 'stimulus' is not allowed here, since each row is a stimulus; average the "
            "responses to repeated sentences and remove the column, or provide arrays (`brains: [folder]`)"
        )
    read = [region for region in regions if wanted is None or region in wanted]
    _require_no_index(path, table[read])
    if not regions:
        raise BraintuneError(
            f"{path}, line 1: no region; besides {', '.join(table)} it needs a column of responses for each region, "
            "such as 'language' (responses as arrays or images are read by `brains: [folder]`)"
        )
    if len(table) < MIN_ROWS:
        raise BraintuneError(f"{path}: {len(table)} sentences; at least {MIN_ROWS} are needed to decode them in folds")
    table = check_columns(path, table)
    if wanted is None:
        require_region_names(f"{path}, line 1", "column", regions)
    remedy = (
        "a region needs a finite number in every row, with a decimal point: remove the rows of sentences without a "
        f"response, for every participant; a column that is not a region must be named {', '.join(MEANINGS)}, or be "
        "removed, or left out by naming the regions in the profile (`regions`)"
    )
    for region in read:
        table[region] = numbers(path, table[region], remedy)
        where = f"{path}, column {region!r}"
        base.require_no_codes(table[[region]].to_numpy(), where, "remove these rows, for every participant")
    return table


def _require_no_index(path: Path, table: pd.DataFrame) -> None:
    """Raise an error if a column numbers the rows: it would be read as a region."""
    rows = [str(row) for row in range(len(table) + 1)]
    for name in table if len(table) else ():
        if list(table[name]) in (rows[:-1], rows[1:]):
            raise BraintuneError(
                f"{path}, line 1: column {name!r} is an index, not a region; remove it (in pandas: "
                "to_csv(…, index=False))"
            )


PEREIRA = BrainSource(
    name="pereira2018-average",
    title="Pereira et al. (2018), Experiments 2 and 3: an average response to each of 627 sentences",
    make=pereira2018_average,
    size="an average over participants, 627 sentences, the left language network; 0.1 MB",
    licence="none stated",
    get="in the folder `brain/pereira2018_average` of the data folder; `data/README.md` says how to create it",
    folder="pereira2018_average",
    people="average over readers of 627 sentences in passages",
)
TUCKUTE = BrainSource(
    name="tuckute2024-average",
    title="Tuckute et al. (2024): an average response to each of 1,000 unrelated sentences",
    make=tuckute2024_average,
    size="an average over participants, 1,000 sentences, five left language regions and their network; 0.1 MB",
    licence="none stated",
    get="in the folder `brain/tuckute2024_average` of the data folder; `data/README.md` says how to create it",
    folder="tuckute2024_average",
    people="average over readers of 1,000 sentences",
)
OWN = BrainSource(
    name="table",
    title="Your own region averages: one CSV file for an average, or one for each participant",
    make=own_table,
    size="yours",
    licence="yours",
    get="the folder `own_study` under `brain` of the data folder: a CSV file with one row per sentence and "
    "one column per region",
)
SOURCES = (PEREIRA, TUCKUTE, OWN)
