"""Scores of a task: span F1 of tags, exact match and F1 of answers, accuracy and macro F1 of labels."""

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from seqeval.metrics.v1 import precision_recall_fscore_support
from seqeval.scheme import IOB2
from sklearn.metrics import accuracy_score, f1_score

from braintune.datasets.masking import masked_words
from braintune.datasets.tasks import Row, Task


def score(task: Task, rows: Sequence[Row], answers: Sequence[Any]) -> dict[str, float]:
    """Score answers with the standard metrics of the task's kind.

    Tags: span F1, precision and recall of strict IOB2 (seqeval): an entity that begins with I does not count, nor does
    a predicate's tag. Spans: exact match and token F1 as in SQuAD [1]_, the best over the reference answers. For a
    question without an answer, only an empty answer is correct; if there are such questions, the scores of both groups
    are also given, ``HasAns …`` and ``NoAns …``, as in SQuAD 2 [2]_. Labels, also one per word: accuracy and macro F1.
    Masked words: accuracy, ignoring case.

    Parameters
    ----------
    task : Task
    rows : sequence of dict, length n
    answers : sequence of length n
        A label, a list of tags (one per token), a string, or a list of words (one per masked word), depending on the
        task's kind.

    Returns
    -------
    scores : dict of str to float
        Each from 0 to 1; ``scores[task.metric]`` is the main one.

    References
    ----------
    .. [1] Rajpurkar, Zhang, Lopyrev, Liang (2016), SQuAD: 100,000+ questions for machine comprehension of text.
    .. [2] Rajpurkar, Jia, Liang (2018), Know what you don't know: unanswerable questions for SQuAD.
    """
    if task.kind == "span":
        return _score_answers(rows, answers)
    if task.kind == "language":
        truth = [masked_words(row) for row in rows]
        right = [a.lower() == b.lower() for x, y in zip(truth, answers, strict=True) for a, b in zip(x, y, strict=True)]
        return {"accuracy": sum(right) / max(len(right), 1)}
    if task.tags_are_spans:
        return _score_tags([row["tags"] for row in rows], answers, ("B-V", "I-V") if task.kind == "roles" else ())
    if task.kind in ("tokens", "roles"):
        truth, answers = ([label for tags in part for label in tags] for part in ((r["tags"] for r in rows), answers))
    else:
        truth = [row["label"] for row in rows]
    return {
        "accuracy": float(accuracy_score(truth, answers)),
        "macro F1": float(f1_score(truth, answers, average="macro", zero_division=0)),
    }


def _score_answers(rows: Sequence[Row], answers: Sequence[str]) -> dict[str, float]:
    wanted = [[answer["text"] for answer in row["answers"]] or [""] for row in rows]
    answered = np.array([bool(row["answers"]) for row in rows])
    points = {
        name: np.array([max(compare(a, text) for text in texts) for a, texts in zip(answers, wanted, strict=True)])
        for name, compare in (("answer F1", token_f1), ("exact match", exact_match))
    }
    scores = {name: float(values.mean()) for name, values in points.items()}
    if not answered.any() or answered.all():
        return scores
    sorts = {"HasAns": answered, "NoAns": ~answered}
    return scores | {
        f"{sort} {name.removeprefix('answer ')}": float(values[of].mean())
        for sort, of in sorts.items()
        for name, values in points.items()
    }


def _score_tags(truth: list[list[str]], given: Sequence[list[str]], left_out: tuple[str, ...]) -> dict[str, float]:
    truth, given = ([["O" if tag in left_out else tag for tag in tags] for tags in part] for part in (truth, given))
    equal = [t == g for tags, guess in zip(truth, given, strict=True) for t, g in zip(tags, guess, strict=True)]
    precision, recall, f1, _ = precision_recall_fscore_support(
        truth, given, average="micro", zero_division=0, scheme=IOB2
    )
    return {
        "span F1": float(f1),
        "span precision": float(precision),
        "span recall": float(recall),
        "tag accuracy": sum(equal) / max(len(equal), 1),
    }


_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalised_words(text: str) -> list[str]:
    """Return the words of an answer that SQuAD compares: lower case, no ASCII punctuation, no articles."""
    return _ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split()


def exact_match(given: str, wanted: str) -> float:
    """Return 1.0 if two answers have the same words, as SQuAD compares them, else 0.0."""
    return float(normalised_words(given) == normalised_words(wanted))


def token_f1(given: str, wanted: str) -> float:
    """Return the harmonic mean of precision and recall over the words of two answers."""
    left, right = normalised_words(given), normalised_words(wanted)
    if not left or not right:  # right only if neither has a word
        return float(left == right)
    return 2 * sum((Counter(left) & Counter(right)).values()) / (len(left) + len(right))
