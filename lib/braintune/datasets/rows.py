"""Reading the rows of a task file, and checking them against the fields of the task."""

import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from braintune.core.base import BraintuneError, lookup

if TYPE_CHECKING:
    from braintune.datasets.tasks import Task

Row = dict[str, Any]

#: The expressions that a row of kind "reference" marks in its text.
PARTS = ("pronoun", "a", "b")


def read_rows(task: "Task", file: Path) -> list[Row]:
    """Read and check a JSONL file of one task; fields that the task does not have are ignored.

    If the labels of all rows are whole numbers (class numbers), they become strings.

    Raises
    ------
    BraintuneError
        For the first row that is not JSON or does not fit the task, naming file, line and field; and for marked words
        that are not at the given positions of their sentences.
    """
    rows = list(_objects(task, file))
    if not rows:
        raise BraintuneError(f"{file} holds no rows; write at least one")
    if task.fields.get("label") == "text" and all(type(row.get("label")) is int for _, row in rows):
        for _, row in rows:
            row["label"] = str(row["label"])
    for where, row in rows:
        if task.kind == "span" and "answers" in row:
            row["answers"] = _listed(row["answers"])
        check_row(task, row, where)
    if task.kind == "sense":
        _check_marked(rows)
    return [{field: row[field] for field in task.fields} for _, row in rows]


def _objects(task: "Task", file: Path) -> Iterator[tuple[str, Row]]:
    """Yield file and line (for messages) and the JSON object of every line that is not empty."""
    # split at line feeds only: a JSON string may hold other line separators
    for number, line in enumerate(file.read_bytes().split(b"\n"), start=1):
        if not line.strip():
            continue
        where = f"{file}, line {number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            remedy = conversion(task, file, file) or "correct or remove the line"
            raise BraintuneError(f"{where}: not a JSON object in UTF-8 ({error}); {remedy}") from None
        if not isinstance(row, dict):
            remedy = conversion(task, file, file) or 'write {"field": value, …} on each line'
            raise BraintuneError(f"{where}: a row must be a JSON object, not {type(row).__name__}; {remedy}")
        yield where, row


def conversion(task: "Task", file: Path, target: Path) -> str:
    """Return how to convert a file of another format to JSONL; an empty string if the format is not recognised."""
    with file.open("rb") as opened:
        head = opened.read(4096)
    here, there = (json.dumps(str(path), ensure_ascii=False) for path in (file, target))
    if head.startswith(b"\x1f\x8b"):
        packed = file.with_name(f"{file.name.removesuffix('.gz')}.gz")
        rename = "" if packed == file else f"mv {shlex.quote(str(file))} {shlex.quote(str(packed))} && "
        return f"it is compressed; decompress it: `{rename}gunzip {shlex.quote(str(packed))}`"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        script = f'from pathlib import Path; Path({there}).write_text(Path({here}).read_text("utf-16"), "utf-8")'
        return f"it is UTF-16; convert it: `python -c {shlex.quote(script)}`"
    text = head.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace").lstrip()
    first = text.partition("\n")[0].rstrip()
    headings = re.split(r"[,;\t]", first.replace('"', ""))
    if first.startswith("{"):
        return "" if file == target else f"rename it: `mv {shlex.quote(str(file))} {shlex.quote(str(target))}`"
    if re.match(r"\[\s*\{", text):
        what, read = "one JSON array", f"read_json({here}, dtype=False, convert_dates=False)"
    elif len(headings) > 1 and set(task.fields) & set(headings):
        what = "a table (CSV)"
        separator = next(mark for mark in "\t;," if mark in first)
        read = f"read_csv({here}, sep={json.dumps(separator)}, keep_default_na=False)"
    else:
        return ""
    script = f'import pandas; pandas.{read}.to_json({there}, orient="records", lines=True)'
    return f"it is {what}; convert it: `python -c {shlex.quote(script)}`"


def _check_marked(rows: Sequence[tuple[str, Row]]) -> None:
    """Check that the marked words are those of a field `word` or `lemma`, if there is one.

    A marked word fits if it contains the first two letters of that field. Irregular forms (go, went) do not, so it is
    an error only if more than half of the rows do not fit.
    """
    for k in ("1", "2"):
        named = []
        for where, row in rows:
            word = row.get("word", row.get("lemma"))
            if isinstance(word, str) and word.strip():
                named.append((where, row[f"sentence{k}"].casefold().split(), row[f"index{k}"], word.strip()))

        def fitting(shift: int, named: list = named) -> list[bool]:
            places = ((words, at + shift, word.casefold()[:2]) for _, words, at, word in named)
            return [start in "".join(words[max(at, 0) : at + 1]) for words, at, start in places]

        fits = fitting(0)
        if 2 * sum(fits) >= len(fits):
            continue
        where, words, at, word = named[fits.index(False)]
        shift = max((-1, 1), key=lambda shift: sum(fitting(shift)))
        n, better = len(fits), sum(fitting(shift))
        side = "before" if shift < 0 else "after"
        hint = f" (the word {side} it matches in {better})" if better > sum(fits) else ""
        raise BraintuneError(
            f"{where}, field 'index{k}': {at} is {words[at]!r} in sentence{k}, but the row is about {word!r}; the word "
            f"at index{k} matches in {sum(fits)} of {n} rows{hint}. Count words (separated by spaces) from 0, or "
            "remove the field `word` (or `lemma`) if it is not the marked word"
        )


def _listed(answers: Any) -> Any:
    """Return answers as a list of {text, answer_start}; the hub has {text: [...], answer_start: [...]}."""
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
    "text": (_is_text, "a string"),
    "words": (partial(_is_list_of, _is_text), "a non-empty list of strings"),
    "index": (_is_index, "a whole number, at least 0"),
    "answers": (
        partial(_is_list_of, _is_answer, least=0),
        "a list of {text, answer_start}, spans of the context; a question without an answer has `answers: []`",
    ),
}


def check_row(task: "Task", row: Mapping[str, Any], where: str) -> None:
    """Check that a row has the task's fields, of the right types, and that its positions fit its text."""
    for field, kind in task.fields.items():
        if field not in row:
            raise BraintuneError(f"{where}, field {field!r}: missing; {task.name} needs {', '.join(task.fields)}")
        fits, wanted = lookup(CHECKS, kind, f"type of field {field!r} of task {task.name!r}")
        if not fits(row[field]):
            raise BraintuneError(
                f"{where}, field {field!r}: {_shown(row[field])} must be {wanted}{_spelling(field, kind, row[field])}"
            )
        if odd := next((text for text in _texts(row[field]) if _NO_CHARACTER.search(text)), None):
            raise BraintuneError(
                f"{where}, field {field!r}: {_shown(odd)} holds {_NO_CHARACTER.findall(odd)[0]!r}, which is not a "
                "character (NUL, or half of a surrogate pair); write the intended character, or remove it"
            )
    if fault := next(_faults(task, row), None):
        raise BraintuneError(f"{where}, field {fault[0]!r}: {fault[1]}")


#: What tokenizers and text files cannot hold: NUL, and unpaired surrogates, which JSON can write.
_NO_CHARACTER = re.compile("[\x00\ud800-\udfff]")


def _texts(value: Any) -> Iterator[str]:
    """Yield every string of a field: the field itself, or those in a list or in a list of answers."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part)


def _shown(value: Any) -> str:
    """Return a value as a message shows it, truncated if it is long."""
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]} …"


def _spelling(field: str, kind: str, value: Any) -> str:
    """Return how to write a value of the wrong type, if that is clear; otherwise an empty string."""
    if kind == "words" and isinstance(value, list):
        odd: Any = next((part for part in value if not isinstance(part, str)), None)
        if field == "tags" and type(odd) is int:
            return f"; write the name of each tag ('O', 'B-PER'), not its number ({odd})"
        return f"; write {json.dumps(json.dumps(odd))}, not {odd!r}" if isinstance(odd, (int, float)) else ""
    if kind == "text" and value is None:
        return f"; write the {field}, or remove the row"
    if kind == "text" and isinstance(value, (int, float)):
        every = " (or whole numbers in all rows)" if field == "label" and type(value) is int else ""
        return f'; write "{field}": {json.dumps(json.dumps(value))}{every}'
    number = str(value).removesuffix(".0") if isinstance(value, (str, float)) else ""
    return f'; write "{field}": {number}' if kind == "index" and number.isascii() and number.isdigit() else ""


#: The tag of a predicate, in any scheme.
_PREDICATE = re.compile("([BIESLU]-)?V|V-[BIESLU]")


def _faults(task: "Task", row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (field, fault) for lengths and positions that do not fit together."""
    if task.kind in ("tokens", "roles"):
        n = len(row["tokens"])
        if len(row["tags"]) != n:
            yield "tags", f"{len(row['tags'])} tags for {n} tokens; there must be one for each"
        if task.kind == "roles":
            yield from _misplaced_predicate(row)
    if task.kind == "sense":
        for k in ("1", "2"):
            n = len(row[f"sentence{k}"].split())
            if row[f"index{k}"] >= n:
                fault = f"{row[f'index{k}']} is beyond the {n} words of sentence{k}"
                yield f"index{k}", f"{fault}; count words (separated by spaces) from 0"
    if task.kind == "reference":
        for part in PARTS:
            if not row["text"].startswith(row[part], row[f"{part}_start"]):
                fault = f"{row[part]!r} is not at character {row[f'{part}_start']} of the text"
                yield f"{part}_start", f"{fault}; count characters from 0, or correct {part!r}"
    if task.kind == "span":
        if row.get("is_impossible") is bool(row["answers"]):  # of SQuAD 2, beside the fields of the task
            fault = f"{row['is_impossible']}, but `answers` has {len(row['answers'])} answer(s)"
            yield "is_impossible", f"{fault}; write true with `answers: []`, or false with at least one answer"
        for answer in row["answers"]:
            if not row["context"].startswith(answer["text"], answer["answer_start"]):
                fault = f"{answer['text']!r} is not at character {answer['answer_start']} of the context"
                yield "answers", f"{fault}; count characters from 0, or correct the answer"


def _misplaced_predicate(row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield a fault if the predicate is outside the tokens, or tags mark the predicate elsewhere."""
    at, tokens, tags = row["predicate_index"], row["tokens"], row["tags"]
    if at >= len(tokens):
        yield "predicate_index", f"{at} is beyond the {len(tokens)} tokens; count them from 0"
        return
    marked = [place for place, tag in enumerate(tags) if _PREDICATE.fullmatch(tag)]
    if marked and at not in marked:
        place = marked[0]
        yield (
            "predicate_index",
            f"{at} is {tokens[at]!r}, tagged {tags[at]!r}, but {tags[place]!r} is the tag of {tokens[place]!r}; write "
            f"{place} (tokens are counted from 0), or correct the tags",
        )


def inputs_of(task: "Task", row: Mapping[str, Any]) -> str:
    """Return the inputs of a row, without the answer, as one string; empty if they hold no text."""
    given = {field: row[field] for field in task.fields if field not in ("label", "tags", "answers")}
    return json.dumps(given, sort_keys=True) if any(any(_texts(value)) for value in given.values()) else ""
