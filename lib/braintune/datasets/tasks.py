"""The language tasks: the question of each, and where its examples come from.

A task is one entry of :data:`TASKS`. Its `kind` says what a model reads and answers; everything else in the library
depends on the kind alone, so another data set of a known kind needs only another entry.
"""

import hashlib
import json
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import StratifiedGroupKFold

from braintune.core.base import BraintuneError, data_folder, lookup, nearest_first
from braintune.core.store import checksum
from braintune.core.study import Study
from braintune.datasets import hub
from braintune.datasets.hub_tasks import entry_of
from braintune.datasets.masking import mask
from braintune.datasets.microworld.tasks import READERS, stimulus_sentences, task_rows
from braintune.datasets.rows import PARTS, Row, check_row, conversion, inputs_of, read_rows
from braintune.datasets.tags import read_scheme

#: What a model is given and what it answers.
KINDS = {
    "sentence": "one label for a sentence",
    "pair": "one label for two sentences",
    "sense": "one label for two occurrences of a word",
    "reference": "one label for a pronoun and two candidates",
    "tokens": "a tag for every word",
    "roles": "a tag for every word, given a predicate",
    "span": "the span of the context that answers a question, or nothing",
    "language": "the masked words of a sentence",
}
_LABEL_SCORES = ("accuracy", "macro F1")
_TAG_SCORES = ("span F1", "span precision", "span recall", "tag accuracy")
#: The scores that can be the main score of a task. With a label score, tags are labels of words, else spans of words.
METRICS = dict.fromkeys(KINDS, _LABEL_SCORES) | {
    "tokens": (*_TAG_SCORES, *_LABEL_SCORES),
    "roles": (*_TAG_SCORES, *_LABEL_SCORES),
    "span": ("answer F1", "exact match"),
    "language": ("accuracy",),
}
#: The label of a question whose answer is not in its context.
NO_ANSWER = "no answer"


@dataclass(frozen=True)
class Task:
    """One task.

    Attributes
    ----------
    name, title : str
        Key of the registry, and the name in prose.
    kind : str
        A key of :data:`KINDS`.
    level : {"form", "concept", "sentence", ""}
        Subject of the task: syntactic form, the meaning of concepts, or the meaning of whole sentences. Kind "language"
        may have none; it is then left out of the trend over levels.
    metric : str
        The main score, one of :data:`METRICS` for its kind.
    question : str
        The task in one line.
    fields : dict of str to str
        Fields of a row and their types, keys of :data:`.rows.CHECKS`.

    Raises
    ------
    BraintuneError
        For an unknown kind or level, a metric that does not belong to the kind, and missing fields.
    """

    name: str
    title: str
    kind: str
    level: str
    metric: str
    question: str
    fields: dict[str, str]

    def __post_init__(self) -> None:
        where = f"of task {self.name!r}"
        metrics = lookup(METRICS, self.kind, f"kind {where}")
        lookup(dict.fromkeys(metrics), self.metric, f"metric {where} (kind {self.kind})")
        if self.level or self.kind != "language":
            lookup(dict.fromkeys(("form", "concept", "sentence")), self.level, f"level {where}")
        missing = [field for field in _NEEDED[self.kind] if field not in self.fields]
        if missing or len(self.text_fields) < (2 if self.kind == "pair" else self.kind in _TEXTS):
            lack = f"the field {missing[0]!r}" if missing else "a field of type 'text'"
            raise BraintuneError(
                f"task {self.name!r} lacks {lack}; kind {self.kind} needs "
                f"{', '.join(map(repr, _NEEDED[self.kind]))}{_TEXTS.get(self.kind, '')}"
            )

    @property
    def tags_are_spans(self) -> bool:
        """Whether the tags mark spans of words, in a tag scheme."""
        return self.kind in ("tokens", "roles") and self.metric in _TAG_SCORES

    @property
    def text_fields(self) -> list[str]:
        """The fields of type 'text', in their order, without the label."""
        return [field for field, kind in self.fields.items() if kind == "text" and field != "label"]


_SENTENCE = {"sentence": "text", "label": "text"}
_PAIR = {"sentence1": "text", "sentence2": "text", "label": "text"}
_INFERENCE = {"premise": "text", "hypothesis": "text", "label": "text"}
_SENSES = {**_PAIR, "index1": "index", "index2": "index"}
_REFERENCE = {
    "text": "text",
    **dict.fromkeys(PARTS, "text"),
    **{f"{p}_start": "index" for p in PARTS},
    "label": "text",
}
_TAGS = {"tokens": "words", "tags": "words"}
_ROLES = {**_TAGS, "predicate_index": "index"}
_ANSWER = {"context": "text", "question": "text", "answers": "answers"}
#: Fields that a kind reads by name; in the first two, the fields of type 'text' may have any name.
_NEEDED: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("sentence", "pair"), ("label",)),
    "sense": tuple(_SENSES),
    "reference": tuple(_REFERENCE),
    "tokens": tuple(_TAGS),
    "roles": tuple(_ROLES),
    "span": tuple(_ANSWER),
    "language": ("sentence",),
}
_TEXTS = {"sentence": " and a field of type 'text'", "pair": " and two fields of type 'text'", "language": ""}

#: Every task by its name. A plugin of a profile adds one by ``TASKS["mine"] = Task(...)``.
TASKS: dict[str, Task] = {task.name: task for task in (
    Task("chunking", "syntactic chunking", "tokens", "form", "span F1", "Which words form a phrase?", _TAGS),
    Task("ner", "named entity recognition", "tokens", "concept", "span F1", "Which words are names, and of which type?",
         _TAGS),
    Task("srl", "semantic role labelling", "roles", "concept", "span F1", "Who did what to whom?", _ROLES),
    Task("coreference", "coreference resolution", "reference", "concept", "accuracy",
         "Whom does the pronoun refer to?", _REFERENCE),
    Task("wsd", "word sense disambiguation", "sense", "concept", "accuracy",
         "Does the word have the same sense in both sentences?", _SENSES),
    Task("nli", "natural language inference", "pair", "sentence", "accuracy",
         "Does one sentence follow from the other?", _INFERENCE),
    Task("paraphrase", "paraphrase detection", "pair", "sentence", "accuracy", "Do the two sentences mean the same?",
         _PAIR),
    Task("qa", "question answering", "span", "sentence", "answer F1", "Which words answer the question?", _ANSWER),
    Task("sentiment", "sentiment", "sentence", "sentence", "accuracy", "Is the sentence positive or negative?",
         _SENTENCE),
    Task("emotion", "emotion", "sentence", "sentence", "macro F1", "Which emotion does the sentence express?",
         _SENTENCE),
    Task("qa_squad", "answers in paragraphs", "span", "sentence", "answer F1", "Which words answer the question?",
         _ANSWER),
)}  # fmt: skip


@dataclass(frozen=True)
class TaskData:
    """The examples of one task.

    Attributes
    ----------
    task : Task
    train, validation, test : list of dict
        Rows; validation is split off the training data, and the test rows are used only for the final score.
    labels : tuple of str
        Labels (or tags, in IOB2) of the training data, sorted; for spans :data:`NO_ANSWER`, if there are such rows.
    unseen : dict of str to int
        Labels or tags that never occur in training → their number in the test rows, where they count as errors.
    checksums : dict of str to str
        Source of the rows → its SHA-256.
    left_out : dict of str to int
        For ``train`` and ``test``, the number of examples in the source that the task cannot use, such as a sentence
        with emotions of several groups; empty if the source holds only rows of the task.
    scheme : str
        The tag scheme of the source, see :mod:`braintune.datasets.tags`; empty if tags are not spans.
    shared : int
        Number of test rows whose inputs also occur in the training or validation rows.
    """

    task: Task
    train: list[Row]
    validation: list[Row]
    test: list[Row]
    labels: tuple[str, ...]
    unseen: dict[str, int]
    checksums: dict[str, str]
    left_out: dict[str, int]
    scheme: str = ""
    shared: int = 0

    @property
    def remarks(self) -> list[str]:
        """Sentences on what a reader of the scores should know about these examples."""
        sentences = []
        if self.shared:
            shared = f"{self.shared:,} of {len(self.test):,} test rows"
            sentences.append(f"Also among the training rows: {shared}; scores may be too high.")
        number = sum(self.unseen.values())
        if self.task.kind == "span":
            unanswerable = f"{number:,} of {len(self.test):,} test questions have no answer"
            return [*sentences, f"{unanswerable}, but no training question lacks one."] if number else sentences
        what = "tags" if self.task.kind in ("tokens", "roles") else "labels"
        if number:
            n = sum(len(row_labels(self.task, row)) for row in self.test)
            unseen = f"{number:,} of {n:,} test {what} never occur in training and count as errors"
            sentences.append(f"{unseen}: {_named(self.unseen)}.")
        spelt = Counter(label.strip().casefold() for label in self.labels)
        if alike := [label for label in self.labels if spelt[label.strip().casefold()] > 1]:
            sentences.append(f"Some {what} differ only in spaces or capitals: {', '.join(map(repr, alike[:6]))}.")
        if len(self.labels) == 1:
            sentences.append(f"All training {what} are {self.labels[0]!r}: there is nothing to learn.")
        return sentences


def load_task(study: Study, name: str) -> TaskData:
    """Load one task from the study's source, draw the requested numbers of examples and split off a validation part.

    Raises
    ------
    BraintuneError
        For an unknown task, missing files, rows that do not fit the task's fields, tags without a scheme, too few
        rows for a validation part, test rows whose labels never occur in training, and test rows of a folder that are
        all training rows.
    """
    task = lookup(TASKS, name, "task")
    source = lookup(SOURCES, study.task_source, "task_source")(study, task)
    source, scheme = _in_iob2(task, source) if task.tags_are_spans else (source, "")
    rng = np.random.default_rng([study.world_seed, *name.encode()])
    train = _draw(source.train, study.train_examples, rng)
    test = _draw(source.test, study.test_examples, rng)
    if task.kind == "language":
        train, test = mask(train, rng), mask(test, rng)
    labels = {label for row in train for label in row_labels(task, row)}
    unseen, shared = _unseen(task, labels, test), _shared(task, train, test)
    train, validation = _cut(task, train, study.validation_fraction, rng)
    names = tuple(sorted(labels))
    return TaskData(task, train, validation, test, names, unseen, source.checksums, source.left_out, scheme, shared)


def _shared(task: Task, train: list[Row], test: list[Row]) -> int:
    """Count the test rows with the same inputs as a training row; rows without text are not compared."""
    seen = {inputs_of(task, row) for row in train} - {""}
    return sum(inputs_of(task, row) in seen for row in test)


def _in_iob2(task: Task, source: "SourceRows") -> tuple["SourceRows", str]:
    """Return the rows with tags in IOB2, and the name of their original scheme."""
    parts = {"train": source.train, "test": source.test}
    try:
        scheme = read_scheme({part: [row["tags"] for row in rows] for part, rows in parts.items()})
    except BraintuneError as fault:
        raise BraintuneError(f"{task.name} ({', '.join(source.checksums)}): {fault}") from None
    if scheme.name == "IOB2":
        return source, scheme.name
    train, test = ([row | {"tags": scheme.to_iob2(row["tags"])} for row in rows] for rows in parts.values())
    return source._replace(train=train, test=test), scheme.name


def _unseen(task: Task, labels: set[str], test: list[Row]) -> dict[str, int]:
    """Count the labels of the test rows that never occur in training; it is an error if none occurs there."""
    wanted = Counter(label for row in test for label in row_labels(task, row))
    unseen = {label: number for label, number in sorted(wanted.items()) if label not in labels}
    known = set(wanted) - set(unseen) - ({"O"} if task.tags_are_spans else set())
    if unseen and not known and not (task.kind == "span" and any(row["answers"] for row in test)):
        raise BraintuneError(
            f"{task.name}: none of the labels of the {len(test):,} test rows occurs in training: {_named(unseen)}; "
            f"training has {', '.join(map(repr, nearest_first(next(iter(unseen)), sorted(labels))[:6])) or 'none'}; "
            "spell them alike (spaces and capitals count), or add training rows"
        )
    return unseen


def _named(labels: Mapping[str, int], most: int = 6) -> str:
    """List the most frequent labels with their counts."""
    first = sorted(labels.items(), key=lambda item: -item[1])[:most]
    rest = len(labels) - len(first)
    return ", ".join(f"{label!r} ({number:,})" for label, number in first) + (f" and {rest} others" if rest else "")


def row_labels(task: Task, row: Row) -> list[str]:
    """Return the labels of a row: one, or one per word; for a span, :data:`NO_ANSWER` or none.

    Masked words are not labels.
    """
    if task.kind == "language":
        return []
    if task.kind == "span":
        return [] if row["answers"] else [NO_ANSWER]
    return row["tags"] if task.kind in ("tokens", "roles") else [row["label"]]


def _draw(rows: list[Row], wanted: int | None, rng: np.random.Generator) -> list[Row]:
    """Draw `wanted` rows at random, in their order; the first rows of a file may all be of one kind."""
    if wanted is None or wanted >= len(rows):
        return rows
    return [rows[i] for i in np.sort(rng.permutation(len(rows))[:wanted])]


def _cut(task: Task, rows: list[Row], fraction: float, rng: np.random.Generator) -> tuple[list[Row], list[Row]]:
    """Split off a validation part by text: no text is in both parts, and each label has about equal shares in them.

    Neither part is empty, and the validation part is at most half of the rows, even if most rows share a text.
    """
    if not fraction:
        return rows, []
    texts = _text_groups(task, rows)
    labels = ["" if task.kind in ("tokens", "roles") else "".join(row_labels(task, row)) for row in rows]
    most = min(texts.max() + 1, max(Counter(labels).values()))
    folds: list[set[int]] = []
    if most > 1:
        parts = min(max(2, round(1 / fraction)), most)
        split = StratifiedGroupKFold(parts, shuffle=True, random_state=int(rng.integers(2**31)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a label with fewer rows than folds is missing from some of them
            folds = [set(fold) for _, fold in split.split(rows, labels, texts)]
    held = next((fold for fold in folds if 0 < len(fold) <= len(rows) / 2), None)
    if held is None:
        raise BraintuneError(
            f"validation_fraction: {fraction:g} of the {len(rows)} training rows of {task.name} cannot be held out: "
            "this needs two groups of rows that share no text, and two rows with the same label; add rows, or set it "
            "to 0"
        )
    return [r for i, r in enumerate(rows) if i not in held], [r for i, r in enumerate(rows) if i in held]


def _text_groups(task: Task, rows: list[Row]) -> np.ndarray:
    """Number the rows so that those that share a text, directly or through others, have the same number."""
    fields = [f for f in task.text_fields if f"{f}_start" not in task.fields and f != "question"]
    texts: dict[str, int] = {"": 0}  # an empty text is never shared
    pairs = [
        (i, texts.setdefault(text, len(texts)))
        for i, row in enumerate(rows)
        for text in (*(row[field] for field in fields), " ".join(row.get("tokens", [])))
        if text
    ]
    row, text = np.array(pairs, dtype=int).reshape(-1, 2).T
    shared = coo_array((np.ones(len(pairs)), (row, text)), shape=(len(rows), len(texts))).tocsr()
    return connected_components(shared @ shared.T)[1]


# --- sources -----------------------------------------------------------------------------------------------------


class SourceRows(NamedTuple):
    """All rows of a task in a source, before a sample is drawn; fields as in :class:`TaskData`."""

    train: list[Row]
    test: list[Row]
    checksums: dict[str, str]
    left_out: dict[str, int]


#: The generated world has no fixed size: "all" means this many training and test rows.
_WORLD_ROWS = (3000, 1000)


def _from_microworld(study: Study, task: Task) -> SourceRows:
    if task.name not in READERS:
        raise BraintuneError(
            f"the microworld has no task {task.name!r}; set task_source: folder, or use {', '.join(READERS)}"
        )
    wanted = (study.train_examples or _WORLD_ROWS[0], study.test_examples or _WORLD_ROWS[1])
    taken = stimulus_sentences(study) if task.kind == "language" else set()
    train, test = task_rows(task.name, *wanted, study.world_seed, study.language, taken)
    text = json.dumps([train, test], sort_keys=True)
    return SourceRows(train, test, {f"microworld/{task.name}": hashlib.sha256(text.encode()).hexdigest()}, {})


def _from_folder(study: Study, task: Task) -> SourceRows:
    folder = data_folder() / "nlu" / task.name
    files = [folder / f"{part}.jsonl" for part in ("train", "test")]
    if missing := [file for file in files if not file.is_file()]:
        for other in filter(Path.is_file, sorted(folder.glob(f"{missing[0].stem}*"))):
            if remedy := conversion(task, other, missing[0]):
                raise BraintuneError(f"{missing[0]} does not exist, but {other.name} does: {remedy}")
        raise BraintuneError(
            f"{missing[0]} does not exist; set BRAINTUNE_DATA to the folder that holds nlu/{task.name}/"
            f"{missing[0].name} (data/README.md says how to get it), or set task_source: hub or microworld"
        )
    train, test = (read_rows(task, file) for file in files)
    if _shared(task, train, test) == len(test):
        raise BraintuneError(
            f"{files[1]}: all {len(test):,} test rows are also in {files[0].name}, so a score would measure "
            "memorisation; use other test rows"
        )
    return SourceRows(train, test, {f"nlu/{task.name}/{file.name}": checksum(file) for file in files}, {})


def _from_hub(study: Study, task: Task) -> SourceRows:
    entry = entry_of(task.name)
    rows: dict[str, list[Row]] = {"train": [], "test": []}
    left_out = dict.fromkeys(rows, 0)
    for part, where, row in hub.read(entry):
        if row is None:
            left_out[part] += 1
        else:
            check_row(task, row, where)
            rows[part].append(row)
    if empty := [part for part in rows if not rows[part]]:
        raise BraintuneError(
            f"{entry.repository}, {entry.patterns[empty[0]]}: no example of {task.name} ({left_out[empty[0]]} left "
            f"out); a task needs at least one; download the data again with `{entry.command} --force-download`"
        )
    return SourceRows(rows["train"], rows["test"], hub.checksums(entry), left_out)


#: Where examples come from: name → function of (study, task) that returns its rows.
SOURCES: dict[str, Callable[[Study, Task], SourceRows]] = {
    "microworld": _from_microworld,
    "folder": _from_folder,
    "hub": _from_hub,
}
