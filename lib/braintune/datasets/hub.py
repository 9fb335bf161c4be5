"""Data sets of the Hugging Face Hub: how they are described, fetched and read.

Only Parquet files are fetched and only pyarrow reads them: no loading script of a data set ever runs. A
:class:`HubData` says what a repository must look like; any difference is an error that names file, row and field.
:mod:`braintune.datasets.hub_tasks` lists the data set of each task.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from braintune.core.base import BraintuneError
from braintune.core.store import checksum

Row = dict[str, Any]

#: Type of a column: "text", "integer", "number" or "boolean"; a list of one of these; or the fields of a record.
Spec = str | list[Any] | dict[str, Any]


class Unreachable(BraintuneError):
    """A repository that is neither in the hub cache nor downloadable."""


class SchemaError(Exception):
    """A value that cannot be converted: (field, fault)."""


@dataclass(frozen=True)
class HubData:
    """One data set of the hub.

    Attributes
    ----------
    repository, configuration, revision : str
        Where the data are. A revision of 40 hex digits is a commit, which does not change; ``refs/convert/parquet`` is
        the hub's own conversion, which may change, so its commit is recorded with the checksums.
    files : str
        Pattern of the Parquet files of one split, within the repository.
    columns : dict of str to Spec
        The columns that are read, and their types; class labels, if any, come last.
    convert : callable
        ``convert(row, entry)`` yields the examples of one row of the repository, or None in place of an example that
        the task cannot use; those are counted.
    labels : dict of str to str
        The class labels of the repository, in the order of its integers → this project's labels.
    test_split : str
        The split that serves as test part: validation, if the test labels are hidden.
    location, alternative : str
        For messages: where the entry is in the code, and what to use instead of the data set.
    """

    repository: str
    configuration: str
    revision: str
    files: str
    columns: Mapping[str, Spec]
    convert: Callable[[Row, "HubData"], Iterator[Row | None]]
    labels: dict[str, str] = field(default_factory=dict)
    test_split: str = "test"
    location: str = "HUB (lib/braintune/datasets/hub_tasks.py)"
    alternative: str = "set task_source: folder or microworld"

    @property
    def patterns(self) -> dict[str, str]:
        """Pattern of the files of the training and the test part."""
        return {part: self.files.format(split=split) for part, split in (("train", "train"), ("test", self.test_split))}

    @property
    def class_column(self) -> str:
        """Name of the column of class labels."""
        return list(self.columns)[-1]

    @property
    def remedy(self) -> str:
        """What to do if the data set does not match this entry."""
        return f"the data set does not match its entry: correct the entry in {self.location}, or {self.alternative}"

    @property
    def command(self) -> str:
        """The command that brings the files into the hub cache."""
        include = self.files.split("/")[0] + "/*"
        return f"hf download {self.repository} --repo-type dataset --revision {self.revision} --include '{include}'"

    def label(self, number: int) -> str:
        """Return this project's label for a class label of the repository."""
        if not 0 <= number < len(self.labels):
            known = ", ".join(f"{i} ({name})" for i, name in enumerate(self.labels))
            raise SchemaError(
                self.class_column, f"{number} is not a label; known: {known} (the hub hides test labels as -1)"
            )
        return tuple(self.labels.values())[number]


def first_line(error: Exception) -> str:
    """Return the first line of the message of an error, or its type."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def snapshot(repository: str, missing: Callable[[Path], str], **wanted: Any) -> Path:
    """Return the folder of a hub repository: from the hub cache if complete there, otherwise downloaded into it.

    The cache comes first, so that a run keeps its files, even if a revision has moved since, and needs no network.

    Parameters
    ----------
    repository : str
    missing : callable
        ``missing(folder)`` says what an incomplete folder lacks; it returns "" for a complete one.
    **wanted
        Options of ``huggingface_hub.snapshot_download``.

    Raises
    ------
    Unreachable
        If it is neither cached nor downloadable; the caller adds the remedy.
    """
    from huggingface_hub import snapshot_download  # here, since every job imports this module, and few need the client

    reason = ""
    for offline in (True, False):
        try:
            folder = Path(snapshot_download(repository, local_files_only=offline, **wanted))
        except Exception as error:  # besides system errors, the client raises those of its HTTP library
            reason = first_line(error)
        else:
            if not (reason := missing(folder)):
                return folder
    raise Unreachable(f"not in the hub cache ($HF_HOME) and not downloadable ({reason})")


def fetch(entry: HubData) -> tuple[Path, dict[str, list[Path]]]:
    """Return the folder of a snapshot, named after its commit, and the files of each part.

    They are taken from the hub cache, or else downloaded into it.

    Raises
    ------
    BraintuneError
        If they are not cached and not downloadable.
    """
    patterns = entry.patterns

    def missing(folder: Path) -> str:
        return " and ".join(f"it has no {pattern}" for pattern in patterns.values() if not any(folder.glob(pattern)))

    options = {"repo_type": "dataset", "revision": entry.revision, "allow_patterns": list(patterns.values())}
    try:
        folder = snapshot(entry.repository, missing, **options)
    except BraintuneError as reason:
        raise BraintuneError(
            f"the data set {entry.repository!r} (configuration {entry.configuration!r}, revision {entry.revision!r}) "
            f"is {reason}; run `{entry.command}` where the hub is reachable, or {entry.alternative}"
        ) from None
    return folder, {part: sorted(folder.glob(pattern)) for part, pattern in patterns.items()}


def checksums(entry: HubData) -> dict[str, str]:
    """Return repository@commit/file → SHA-256 of the files of a data set that are read.

    Raises
    ------
    BraintuneError
        As :func:`fetch`.
    """
    folder, files = fetch(entry)
    source = f"{entry.repository}@{folder.name}"
    return {f"{source}/{f.relative_to(folder).as_posix()}": checksum(f) for part in files.values() for f in part}


def read(entry: HubData) -> Iterator[tuple[str, str, Row | None]]:
    """Yield the examples of a data set.

    Yields
    ------
    part : {"train", "test"}
    where : str
        File and row (counted from 1) that an example comes from.
    example : dict or None
        Fields as in the folder source, not yet checked; None for one that the task cannot use.

    Raises
    ------
    BraintuneError
        As :func:`fetch`; for a file that does not match its entry, naming file, row and field.
    """
    for part, files in fetch(entry)[1].items():
        for file in files:
            with opened(entry, file) as parquet:
                batches = parquet.iter_batches(batch_size=256, columns=list(entry.columns))
                for number, row in enumerate((row for batch in batches for row in batch.to_pylist()), start=1):
                    where = f"{file}, row {number}"
                    yield from ((part, where, example) for example in _examples(entry, row, where))


def _examples(entry: HubData, row: Row, where: str) -> Iterator[Row | None]:
    """Yield the examples of one row, or raise an error that names the field."""
    try:
        for column, spec in entry.columns.items():
            if not _whole(row[column], spec):
                raise SchemaError(column, f"null; expected {_spell(spec)}")
        yield from entry.convert(row, entry)
    except SchemaError as error:
        column, fault = error.args
        raise BraintuneError(f"{where}, field {column!r}: {fault}; {entry.remedy}") from None


@contextmanager
def opened(entry: HubData, file: Path) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file and check its columns against its entry.

    Raises
    ------
    BraintuneError
        If they do not match, or if the file turns out to be damaged while it is open.
    """
    try:
        with pq.ParquetFile(file) as parquet:
            _check_columns(entry, file, parquet.schema_arrow)
            yield parquet
    except (pa.ArrowException, OSError, ValueError) as error:
        raise BraintuneError(
            f"{file} is not a complete Parquet file ({first_line(error)}); download it again with `{entry.command} "
            "--force-download`"
        ) from None


def _check_columns(entry: HubData, file: Path, schema: pa.Schema) -> None:
    """Check that the columns exist and have the types and label names of the entry."""
    for column, spec in entry.columns.items():
        where = f"{file}, field {column!r}"
        if column not in schema.names:
            raise BraintuneError(f"{where}: missing; the file has {', '.join(schema.names)}; {entry.remedy}")
        kind = schema.field(column).type
        if not _fits(kind, spec):
            raise BraintuneError(f"{where}: its type is {kind}; expected {_spell(spec)}; {entry.remedy}")
    stored = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    feature = stored.get("info", {}).get("features", {}).get(entry.class_column, {})
    while "names" not in feature and (inner := feature[0] if isinstance(feature, list) else feature.get("feature")):
        feature = inner  # the hub writes a list of labels in several ways
    names = feature.get("names") if entry.labels else None
    if names is not None and names != list(entry.labels):
        raise BraintuneError(
            f"{file}, field {entry.class_column!r}: its labels are {', '.join(names)}; expected "
            f"{', '.join(entry.labels)}; {entry.remedy}"
        )


_TYPES: dict[str, Callable[[pa.DataType], bool]] = {
    "text": lambda t: pa.types.is_string(t) or pa.types.is_large_string(t),
    "integer": pa.types.is_integer,
    "number": lambda t: pa.types.is_integer(t) or pa.types.is_floating(t),
    "boolean": pa.types.is_boolean,
}


def _fits(kind: pa.DataType, spec: Spec) -> bool:
    if isinstance(spec, list):
        return (pa.types.is_list(kind) or pa.types.is_large_list(kind)) and _fits(kind.value_type, spec[0])
    if isinstance(spec, dict):
        fields = {f.name: f.type for f in kind} if pa.types.is_struct(kind) else {}
        return all(name in fields and _fits(fields[name], inner) for name, inner in spec.items())
    return _TYPES[spec](kind)


def _spell(spec: Spec) -> str:
    if isinstance(spec, list):
        return f"list of {_spell(spec[0])}"
    if isinstance(spec, dict):
        return "record of " + " and ".join(f"{name} ({_spell(inner)})" for name, inner in spec.items())
    return spec


def _whole(value: Any, spec: Spec) -> bool:
    """Return whether a value holds no null."""
    if value is None or isinstance(spec, str):
        return value is not None
    if isinstance(spec, list):
        return None not in value if isinstance(spec[0], str) else all(_whole(inner, spec[0]) for inner in value)
    return all(_whole(value[name], inner) for name, inner in spec.items())
