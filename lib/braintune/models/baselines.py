"""Baselines of a task: answers from counts of labels, and from bags of words.

A tuned model has learned more than words only where it beats both. Both ignore the order of words beyond neighbours.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from itertools import groupby, pairwise
from typing import Any

import numpy as np
from scipy.special import logit
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder

from braintune.core.base import BraintuneError
from braintune.datasets.masking import word_places
from braintune.datasets.metrics import score
from braintune.datasets.tags import close_gaps
from braintune.datasets.tasks import NO_ANSWER, Row, TaskData
from braintune.models.inputs import best_span

# --- counts of labels --------------------------------------------------------------------------------------------


def trivial_answers(data: TaskData) -> list[Any]:
    """Answer the test rows without a model.

    The most frequent training label; for tags, every word's most frequent tag in the training rows (for an unknown word
    the most frequent of all tags), an I that begins an entity read as B; for spans, the whole context, its first words
    (the median number of an answer) or, where some have none, nothing, whichever scores best on the training rows;
    for masked words the most frequent word.
    """
    task, train = data.task, data.train
    if task.kind == "language":
        usual = Counter(word for row in train for _, word, _ in _with_neighbours(row)).most_common(1)
        return [[word for word, _ in usual] * len(row["masked"]) for row in data.test]
    if task.kind == "span":
        sizes = [len(row["answers"][0]["text"].split()) for row in train if row["answers"]]
        lengths = [max(int(np.median(sizes)), 1), None] if sizes else []
        guesses = {n: [_first_words(row, n) for row in train] for n in lengths + [0] * (NO_ANSWER in data.labels)}
        best = max(guesses, key=lambda n: score(task, train, guesses[n])[task.metric])
        return [_first_words(row, best) for row in data.test]
    if task.kind in ("tokens", "roles"):
        counts: dict[str, Counter] = defaultdict(Counter)
        for row in train:
            for word, tag in zip(row["tokens"], row["tags"], strict=True):
                counts[word.lower()][tag] += 1
        usual = sum(counts.values(), Counter()).most_common(1)[0][0]
        tag_of = {word: tags.most_common(1)[0][0] for word, tags in counts.items()}
        answers = [[tag_of.get(word.lower(), usual) for word in row["tokens"]] for row in data.test]
        return [close_gaps(tags) for tags in answers] if task.tags_are_spans else answers
    most = Counter(row["label"] for row in train).most_common(1)[0][0]
    return [most] * len(data.test)


def _first_words(row: Row, n: int | None) -> str:
    return " ".join(row["context"].split()[:n])


# --- bags of words -----------------------------------------------------------------------------------------------


def bag_of_words_answers(data: TaskData) -> list[Any]:
    """Answer the test rows with a logistic regression on bags of words, fitted on the training and validation rows.

    A label: tf-idf [1]_ of words and bigrams, for two texts also of shared and unshared words. A tag: from the word and
    its two neighbours, for roles also from the predicate and its side. A span: every word of the context is classified
    by the word, the beginning of the question, and which words occur in it; the answer is the run of words with the
    highest sum of log odds, relative to those of any word. Where questions may lack an answer, the words of both texts
    decide first whether there is one, as for a label. A masked word: the most frequent word between the same two words,
    else after the same word, else of all; a neighbour that is masked too is not known.

    Returns
    -------
    answers : list
        An answer for each test row, as :func:`braintune.datasets.metrics.score` takes them.

    Raises
    ------
    BraintuneError
        If there are no training rows.

    References
    ----------
    .. [1] Manning, Raghavan, Schütze (2008), Introduction to information retrieval, chapter 6.
    """
    task, train = data.task, [*data.train, *data.validation]
    if not train:
        raise BraintuneError(f"{task.name} has 0 training rows; a baseline needs at least one: add some")
    if not data.test:
        return []
    if task.kind == "language":
        return _fill_gaps(train, data.test)
    if task.kind == "span":
        answered = [row for row in train if row["answers"]]
        found = _answer_spans(answered, data.test) if answered else [""] * len(data.test)
        asked = _answer_labels(
            _pair_bag, ["question", "context"], train, [bool(r["answers"]) for r in train], data.test
        )
        return [text if has_answer else "" for text, has_answer in zip(found, asked, strict=True)]
    if task.kind in ("tokens", "roles"):
        answers = _answer_tags(train, data.test, task.kind == "roles")
        return [close_gaps(tags) for tags in answers] if task.tags_are_spans else answers
    return _answer_labels(_BAGS[task.kind], task.text_fields, train, [row["label"] for row in train], data.test)


def _answer_labels(
    bag: Callable[[Row, list[str]], Iterator[str]], fields: list[str], train: list[Row], labels: list, test: list[Row]
) -> list[Any]:
    if len(set(labels)) == 1:  # nothing to tell apart
        return labels[:1] * len(test)
    model = make_pipeline(
        TfidfVectorizer(analyzer=lambda row: list(bag(row, fields)) or ["nothing"], sublinear_tf=True),
        LogisticRegression(C=10, max_iter=1000),
    )
    return model.fit(train, labels).predict(test).tolist()


_WORD = re.compile(r"\w+(?:[.,'’-]\w+)*|[^\w\s]")


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _words_and_bigrams(words: list[str], name: str) -> Iterator[str]:
    yield from (f"{name}: {word}" for word in words)
    yield from (f"{name}: {a} {b}" for a, b in pairwise(words))


def _sentence_bag(row: Row, texts: list[str]) -> Iterator[str]:
    yield from _words_and_bigrams(_words(row[texts[0]]), "text")


def _pair_bag(row: Row, texts: list[str]) -> Iterator[str]:
    words = {name: _words(row[field]) for name, field in zip(("first", "second"), texts, strict=False)}
    shared = {*words["first"]} & {*words["second"]}
    yield from (f"shared: {word}" for word in sorted(shared))
    for name, own in words.items():
        yield from _words_and_bigrams(own, name)
        yield from (f"{name} alone: {word}" for word in sorted({*own} - shared))
        if own:  # tf-idf sees only the direction of a vector, so the share is a feature
            yield f"shared of {name}: {round(10 * len(shared) / len({*own}))} tenths"


def _sense_bag(row: Row, texts: list[str]) -> Iterator[str]:
    yield from _pair_bag(row, texts)
    for number, field in enumerate(texts[:2], start=1):
        yield f"target: {row[field].split()[row[f'index{number}']].lower()}"


def _reference_bag(row: Row, texts: list[str]) -> Iterator[str]:
    text = row["text"]
    yield from _words_and_bigrams(_words(text), "text")
    yield f"pronoun: {row['pronoun'].lower()}"
    for name in ("a", "b"):
        (_, end), (start, _) = sorted((at := row[f"{part}_start"], at + len(row[part])) for part in ("pronoun", name))
        order = "before" if row[f"{name}_start"] < row["pronoun_start"] else "after"
        yield from _words_and_bigrams(_words(text[end:start]) or ["nothing"], f"from {name} {order}")


#: Kinds that have one label → function of (row, text fields), which yields the items of its bag.
_BAGS: dict[str, Callable[[Row, list[str]], Iterator[str]]] = {
    "sentence": _sentence_bag,
    "pair": _pair_bag,
    "sense": _sense_bag,
    "reference": _reference_bag,
}

# --- one answer for each word ------------------------------------------------------------------------------------


@cache
def _shape(word: str) -> str:
    """Return the sorts of characters in a word, each run once: ``Xx`` for ``River``, ``d,d`` for ``10,000``."""
    sorts = ("X" if c.isupper() else "x" if c.isalpha() else "d" if c.isdigit() else c for c in word)
    return "".join(sort for sort, _ in groupby(sorts))


def _fit_words(columns: list[tuple], labels: list[Any], **settings: Any) -> Pipeline:
    """Fit a logistic regression on categorical columns; unknown values are ignored."""
    model = make_pipeline(
        OneHotEncoder(handle_unknown="ignore"),
        SGDClassifier(loss="log_loss", max_iter=5, tol=None, random_state=0, **settings),
    )
    return model.fit(np.array(columns, dtype=object), labels)


def _tag_columns(row: Row, roles: bool) -> Iterator[tuple[str, ...]]:
    """Yield, for each word: lower case, suffixes, shape, neighbours; for roles, word and predicate with the side."""
    lower = ["<begin>", *(word.lower() for word in row["tokens"]), "<end>"]
    for i, word in enumerate(row["tokens"]):
        before, own, after = lower[i : i + 3]
        columns: tuple[str, ...] = (own, own[-3:], own[-2:], _shape(word), before, after)
        if roles:
            predicate = row["predicate_index"]
            side = f"{(i > predicate) - (i < predicate):+d}"
            columns += (f"{side} {own}", f"{side} {lower[predicate + 1]}")
        yield columns


def _answer_tags(train: list[Row], test: list[Row], roles: bool) -> list[list[str]]:
    tags = [tag for row in train for tag in row["tags"]]
    if len(set(tags)) == 1:
        return [tags[:1] * len(row["tokens"]) for row in test]
    model = _fit_words([word for row in train for word in _tag_columns(row, roles)], tags, alpha=1e-5)
    words = np.array([word for row in test for word in _tag_columns(row, roles)], dtype=object)
    answers = iter(model.predict(words).tolist())
    return [[next(answers) for _ in row["tokens"]] for row in test]


def _span_columns(row: Row) -> Iterator[tuple[str, ...]]:
    """Yield, for each word of the context: it and its neighbours, which of them the question has, its first words."""
    question = _words(row["question"])
    first, two = " ".join(question[:1]), " ".join(question[:2])
    texts = _WORD.findall(row["context"])
    lower = ["", *(text.lower() for text in texts), ""]
    asked = [word in {*question} for word in lower]
    for i, text in enumerate(texts):
        shape, near = _shape(text), "".join(f"{a:d}" for a in asked[i : i + 3])
        yield (*lower[i : i + 3], near, *(f"{first} {x}" for x in (shape, lower[i + 1], near)), f"{two} {shape}")


def _answer_spans(train: list[Row], test: list[Row]) -> list[str]:
    inside: list[list[bool]] = []  # for each context, whether its words lie in the answer
    for row in train:
        answer = row["answers"][0]
        begin, end = answer["answer_start"], answer["answer_start"] + len(answer["text"])
        inside.append([max(w.start(), begin) < min(w.end(), end) for w in _WORD.finditer(row["context"])])
    labels = [label for words in inside for label in words]
    if len(set(labels)) < 2:  # every word is in an answer, or none is
        return [row["context"].strip() if any(labels) else "" for row in test]
    model = _fit_words([word for row in train for word in _span_columns(row)], labels, alpha=1e-4, average=True)
    usual, longest = logit(np.mean(labels)), max(int(np.percentile([sum(words) for words in inside], 95)), 1)
    answers = []
    for row in test:
        words = [word.span() for word in _WORD.finditer(row["context"])]
        if not words:
            answers.append("")
            continue
        points = model.decision_function(np.array(list(_span_columns(row)), dtype=object)) - usual
        running = np.concatenate([[0], np.cumsum(points)])
        first, last, _ = best_span(-running[:-1], running[1:], longest)  # of the highest sum
        answers.append(row["context"][words[first][0] : words[last][1]])
    return answers


# --- masked words ------------------------------------------------------------------------------------------------


def _with_neighbours(row: Row) -> Iterator[tuple[str, str, str]]:
    """Yield every word of a sentence between its neighbours, in lower case; an edge of the sentence is empty."""
    words = ["", *(row["sentence"][start:end].lower() for start, end in word_places(row["sentence"])), ""]
    yield from zip(words, words[1:], words[2:], strict=False)


def _fill_gaps(train: list[Row], test: list[Row]) -> list[list[str]]:
    counts: dict[tuple[str, ...], Counter] = defaultdict(Counter)
    for row in train:
        for before, word, after in _with_neighbours(row):
            for known in ((before, after), (before,), ()):
                counts[known][word] += 1
    answers = []
    for row in test:
        masked = [place in row["masked"] for place in word_places(row["sentence"])]
        hidden = [False, *masked, False]
        filled = []
        for i, (before, _, after) in enumerate(_with_neighbours(row)):
            if masked[i]:
                contexts = [(before, after)] * (not (hidden[i] or hidden[i + 2])) + [(before,)] * (not hidden[i]) + [()]
                known = next((context for context in contexts if context in counts), ())
                filled.append(counts[known].most_common(1)[0][0] if counts else "")
        answers.append(filled)
    return answers
