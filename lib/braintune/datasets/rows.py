"""The rows of a task file: read, and checked against the fields of the task."""

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from braintune.core.base import BraintuneError, lookup

if TYPE_CHECKING:
    from braintune.datasets.tasks import Task

Row = dict[str, Any]

#: What a row of kind "reference" names in its text.
PARTS = ("pronoun", "a", "b")


def read_rows(task: "Task", file: Path) -> list[Row]:
    """Read and check a JSONL file of one task; fields that the task does not have are passed over.

    Raises
    ------
    BraintuneError
        For the first row that is not JSON or does not fit, naming file, line and field.
    """
    rows = []
    # split at line feeds only: a JSON string may hold other line separators
    for number, line in enumerate(file.read_bytes().split(b"\n"), start=1):
        if not line.strip():
            continue
        where = f"{file}, line {number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise BraintuneError(f"{where}: not a JSON object in UTF-8 ({error}); correct or remove the line") from None
        if not isinstance(row, dict):
            raise BraintuneError(f"{where}: a row must be a JSON object, not {type(row).__name__}")
        if task.kind == "span" and "answers" in row:
            row["answers"] = _listed(row["answers"])
        check_row(task, row, where)
        rows.append({field: row[field] for field in task.fields})
    if not rows:
        raise BraintuneError(f"{file} holds no rows; a task needs at least one")
    return rows


def _listed(answers: Any) -> Any:
    """Return answers as a list of {text, answer_start}, also from the hub's {text: [...], answer_start: [...]}."""
    if not isinstance(answers, dict) or set(answers) != {"text", "answer_start"}:
        return answers
    texts, starts = answers["text"], answers["answer_start"]
    if not (isinstance(texts, list) and isinstance(starts, list) and len(texts) == len(starts)):
        return answers
    return [{"text": text, "answer_start": start} for text, start in zip(texts, starts, strict=True)]


def _is_index(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_list_of(fits: Callable[[Any], bool], value: Any, least: int = 1) -> bool:
    return isinstance(value, list) and len(value) >= least and all(map(fits, value))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_answer(value: Any) -> bool:
    if not (isinstance(value, dict) and _is_text(text := value.get("text")) and _is_index(value.get("answer_start"))):
        return False
    return bool(text.strip())


#: Type of a field → whether a value fits, and what it must be.
CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "text": (_is_text, "a text"),
    "words": (partial(_is_list_of, _is_text), "a list of texts, not empty"),
    "index": (_is_index, "a whole number, at least 0"),
    "answers": (
        partial(_is_list_of, _is_answer, least=0),
        "a list of {text, answer_start}, pieces of the context; a question without an answer has `answers: []`",
    ),
}


def check_row(task: "Task", row: Mapping[str, Any], where: str) -> None:
    """Check that a row has the task's fields, of the right types, and that its positions fit its text."""
    for field, kind in task.fields.items():
        if field not in row:
            raise BraintuneError(f"{where}, field {field!r}: missing; {task.name} needs {', '.join(task.fields)}")
        fits, wanted = lookup(CHECKS, kind, f"type of field {field!r} of task {task.name!r}")
        if not fits(row[field]):
            raise BraintuneError(f"{where}, field {field!r}: {row[field]!r} must be {wanted}")
    if fault := next(_faults(task, row), None):
        raise BraintuneError(f"{where}, field {fault[0]!r}: {fault[1]}")


def _faults(task: "Task", row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (field, fault) for lengths and positions that do not fit together."""
    if task.kind in ("tokens", "roles"):
        n = len(row["tokens"])
        if len(row["tags"]) != n:
            yield "tags", f"{len(row['tags'])} tags for {n} tokens; there must be one for each"
        if task.kind == "roles" and row["predicate_index"] >= n:
            yield "predicate_index", f"{row['predicate_index']} is beyond the {n} tokens"
    if task.kind == "sense":
        for k in ("1", "2"):
            n = len(row[f"sentence{k}"].split())
            if row[f"index{k}"] >= n:
                yield f"index{k}", f"{row[f'index{k}']} is beyond the {n} words of sentence{k}"
    if task.kind == "reference":
        for part in PARTS:
            if not row["text"].startswith(row[part], row[f"{part}_start"]):
                yield f"{part}_start", f"{row[part]!r} is not at character {row[f'{part}_start']} of the text"
    if task.kind == "span":
        if row.get("is_impossible") is bool(row["answers"]):  # of SQuAD 2, beside the fields of the task
            yield "is_impossible", f"{row['is_impossible']}, but `answers` has {len(row['answers'])}; empty it if true"
        for answer in row["answers"]:
            if not row["context"].startswith(answer["text"], answer["answer_start"]):
                yield "answers", f"{answer['text']!r} is not at character {answer['answer_start']} of the context"
