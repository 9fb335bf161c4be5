"""Scores of a task: span F1 of tags, exact match and F1 of answers, accuracy and macro F1 of labels."""

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from seqeval import metrics as seqeval
from sklearn.metrics import accuracy_score, f1_score

from braintune.datasets.tasks import Row, Task


def score(task: Task, rows: Sequence[Row], answers: Sequence[Any]) -> dict[str, float]:
    """Score answers with the standard metrics of the task's kind.

    Tags: span F1, precision and recall as in CoNLL (seqeval); a predicate's own tag does not count. Spans: exact
    match and token F1 as in SQuAD [1]_, the best over the reference answers. Labels: accuracy and macro F1.

    Parameters
    ----------
    task : Task
    rows : sequence of dict, length n
    answers : sequence of length n
        A label, a list of tags (one for each token), or a text, by the task's kind.

    Returns
    -------
    scores : dict of str to float
        Each from 0 to 1; ``scores[task.metric]`` is the main one.

    References
    ----------
    .. [1] Rajpurkar, Zhang, Lopyrev, Liang (2016), SQuAD: 100,000+ questions for machine comprehension of text.
    """
    if task.kind == "span":
        wanted = [[answer["text"] for answer in row["answers"]] for row in rows]
        return {
            name: float(
                np.mean([max(compare(a, text) for text in texts) for a, texts in zip(answers, wanted, strict=True)])
            )
            for name, compare in (("answer F1", token_f1), ("exact match", exact_match))
        }
    if task.kind in ("tokens", "roles"):
        return _score_tags([row["tags"] for row in rows], answers, ("B-V", "I-V") if task.kind == "roles" else ())
    truth = [row["label"] for row in rows]
    return {
        "accuracy": float(accuracy_score(truth, answers)),
        "macro F1": float(f1_score(truth, answers, average="macro", zero_division=0)),
    }


def _score_tags(truth: list[list[str]], given: Sequence[list[str]], left_out: tuple[str, ...]) -> dict[str, float]:
    truth, given = ([["O" if tag in left_out else tag for tag in tags] for tags in part] for part in (truth, given))
    equal = [t == g for tags, guess in zip(truth, given, strict=True) for t, g in zip(tags, guess, strict=True)]
    return {
        "span F1": float(seqeval.f1_score(truth, given, zero_division=0)),
        "span precision": float(seqeval.precision_score(truth, given, zero_division=0)),
        "span recall": float(seqeval.recall_score(truth, given, zero_division=0)),
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
