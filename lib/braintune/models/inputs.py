"""Turn rows into model inputs, and model outputs back into answers.

One scheme serves every task. The text stays as it is (no markers are put into it), and what the task asks about is
given as *spans* of token positions, whose hidden states the head reads (:mod:`braintune.models.heads`):

=========== ============================================ ===================================
kind        text                                         spans
=========== ============================================ ===================================
sentence    the sentence                                 its own tokens
pair        first and second sentence                    the tokens of each
sense       first and second sentence                    the target word in each
reference   the text                                     pronoun, candidate A, candidate B
tokens      the words, joined by spaces                  none: every word's first sub-token
roles       the words; the predicate as a second text    the predicate in its sentence
span        the question; a window of the context        the window (and the first token)
language    the sentence, some words masked              none: the tokens of masked words
=========== ============================================ ===================================

Where questions may have no answer, the first token of an input is the span of "none", the usual recipe for BERT [1]_.

A masked word is replaced by as many mask tokens as it has sub-tokens, and is right if all of them are.

The tokeniser cuts what is too long into overlapping windows. An answer is searched for in every window of the context;
any other row becomes the window that shows its spans best. Truncated rows are counted.

References
----------
.. [1] Devlin, Chang, Lee, Toutanova (2019), BERT, section 4.3.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from tokenizers import Encoding
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedTokenizerBase

from braintune.core.base import BraintuneError
from braintune.datasets.masking import masked_words
from braintune.datasets.tasks import NO_ANSWER, Row, Task

#: Labels that the loss ignores (torch's own convention).
IGNORED = -100
#: Label of a word whose tag the training data never show: nothing to learn from, but a word all the same.
UNKNOWN = -1
#: Longest answer that is searched for, in tokens.
LONGEST_ANSWER = 30

#: A range of characters (number of the text, first character, end character), or the number of a word.
Span = tuple[int, int, int] | int
#: One model input: ``input_ids`` (``token_type_ids``), ``spans`` (pairs of start and end position), ``labels``, the
#: number of its ``row``, and what is needed to read the answer.
Feature = dict[str, Any]


@dataclass(frozen=True)
class Encoded:
    """Model inputs of some rows.

    Attributes
    ----------
    task : Task
    rows : list of dict
    labels : tuple of str
    features : list of Feature
        One for each row, or for each window of a row, longest first.
    truncated : int
        Rows of which a model does not see everything.
    lost : int
        Words, spans and answers without a token in the input; such a word is answered "O".
    """

    task: Task
    rows: list[Row]
    labels: tuple[str, ...]
    features: list[Feature]
    truncated: int
    lost: int


def encode(
    task: Task,
    rows: list[Row],
    labels: tuple[str, ...],
    tokenizer: PreTrainedTokenizerBase,
    max_tokens: int,
    stride: int = 32,
) -> Encoded:
    """Encode rows of one task.

    Parameters
    ----------
    task : Task
    rows : list of dict
    labels : tuple of str
        Labels in the order of the model's outputs; a row's label that is not among them is ignored by the loss.
    tokenizer : fast tokeniser
        One that marks where the second of two texts begins; see :func:`braintune.models.backbones.adapt_tokenizer`.
    max_tokens : int
        Longest input, special tokens included.
    stride : int
        Overlap of the windows over a context that is too long, in tokens; at most a quarter of a window.

    Raises
    ------
    BraintuneError
        As :func:`require_mask`.
    """
    require_mask(task, tokenizer)
    number = {label: i for i, label in enumerate(labels)}
    features, truncated, lost = [], 0, 0
    for i, row in enumerate(rows):
        texts, spans = _texts_and_spans(task, row)
        windows = _windows(tokenizer, task, texts, max_tokens, stride)
        if task.kind == "span":
            made, cut, missing = _answer_features(row, windows, NO_ANSWER in labels)
        elif task.kind == "language":
            feature, missing = _masked_feature(row, windows[0], tokenizer.mask_token_id)
            made, cut = [feature], len(windows) > 1
        else:
            feature, missing = _feature(task, row, _best_window(task, windows, spans), spans, number)
            made, cut = [feature], len(windows) > 1
        features += [{"row": i, **feature} for feature in made]
        truncated += cut
        lost += missing
    features.sort(key=lambda feature: -len(feature["input_ids"]))
    return Encoded(task, rows, labels, features, truncated, lost)


def require_mask(task: Task, tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuse masked words for a tokenizer that has no mask, as those of causal models."""
    if task.kind == "language" and tokenizer.mask_token_id is None:
        raise BraintuneError(
            f"task {task.name!r} masks words, and the tokenizer of this backbone has no mask token (causal models "
            f"such as GPT-2 have none); choose an encoder such as BERT, or leave {task.name!r} out of `tasks`"
        )


def _texts_and_spans(task: Task, row: Row) -> tuple[list[Any], list[Span]]:
    """Return what the model reads of a row, one or two texts or lists of words, and the spans that its head reads."""
    if task.kind == "span":
        return [row["question"], row["context"]], []
    if task.kind == "language":
        return [row["sentence"]], []
    if task.kind in ("tokens", "roles"):
        words = [" " * (i > 0) + word for i, word in enumerate(row["tokens"])]  # as in a text
        if task.kind == "tokens":
            return [words], []
        predicate = row["predicate_index"]
        return [words, [row["tokens"][predicate]]], [predicate]
    if task.kind == "reference":
        return [row["text"]], [(0, row[f"{p}_start"], row[f"{p}_start"] + len(row[p])) for p in ("pronoun", "a", "b")]
    texts = [row[field] for field in task.text_fields[: 1 if task.kind == "sentence" else 2]]
    if task.kind == "sense":
        places = [[word.span() for word in re.finditer(r"\S+", text)] for text in texts]
        return texts, [(k, *words[row[f"index{k + 1}"]]) for k, words in enumerate(places)]
    return texts, [(k, 0, len(text)) for k, text in enumerate(texts)]


# --- windows -----------------------------------------------------------------------------------------------------


class _Window:
    """One or two tokenised texts, or a part of them.

    Attributes
    ----------
    inputs : dict of str to list of int
        ``input_ids``, and ``token_type_ids`` for a model that takes them.
    encoding : Encoding
    text : int array of shape (n_tokens,)
        Which text a token comes from; -1 for special tokens.
    offsets : int array of shape (n_tokens, 2)
        The range of characters of a token in its text.
    """

    def __init__(self, encoding: Encoding, tokenizer: PreTrainedTokenizerBase) -> None:
        # an empty text and a tokeniser without special tokens: one token of padding
        self.inputs = {"input_ids": encoding.ids or [tokenizer.pad_token_id or tokenizer.eos_token_id or 0]}
        if "token_type_ids" in tokenizer.model_input_names:
            self.inputs["token_type_ids"] = encoding.type_ids
        self.encoding = encoding
        self.text = np.array([-1 if text is None else text for text in encoding.sequence_ids], dtype=int)
        self.offsets = np.array(encoding.offsets, dtype=int).reshape(-1, 2)

    def find(self, span: Span) -> np.ndarray:
        """Return the positions of a word's tokens, or of those that share a character with a range of a text."""
        if isinstance(span, int):
            return np.arange(*self.encoding.word_to_tokens(span, 0) or (0, 0))
        (text, start, end), (first, last) = span, self.offsets.T
        return np.flatnonzero((self.text == text) & (np.maximum(first, start) < np.minimum(last, end)))

    def shown(self, text: int) -> tuple[int, int]:
        """Return the range of characters that is shown of a text."""
        offsets = self.offsets[self.text == text]
        return (int(offsets[0, 0]), int(offsets[-1, 1])) if len(offsets) else (0, 0)


def _windows(
    tokenizer: PreTrainedTokenizerBase, task: Task, texts: list[Any], max_tokens: int, stride: int
) -> list[_Window]:
    """Encode texts: whole, or in overlapping windows; of two long texts, each gets half of a window."""
    room = max_tokens - tokenizer.num_special_tokens_to_add(pair=len(texts) == 2)
    # where one window is chosen, they overlap much: one shows spans that are far apart, or a span in its middle
    many = {"reference": room - max(room // 8, 1), "roles": room // 2 - 1}
    overlap = many.get(task.kind, min(stride, room // 4))
    (encoding,) = tokenizer(
        *texts,
        is_split_into_words=isinstance(texts[0], list),
        truncation="longest_first",
        max_length=max_tokens,
        stride=overlap,
        verbose=False,
    ).encodings
    return [_Window(part, tokenizer) for part in (encoding, *encoding.overflowing)]


def _best_window(task: Task, windows: list[_Window], spans: list[Span]) -> _Window:
    """Return the window that shows most of the first span, then of all, then with most text around them."""
    if len(windows) == 1 or task.kind not in ("sense", "reference", "roles"):
        return windows[0]

    def quality(window: _Window) -> tuple[int, int, float]:
        positions = [window.find(span) for span in spans]
        shown = np.concatenate(positions)
        off_centre = abs(shown.mean() - len(window.text) / 2) if len(shown) else np.inf
        return len(positions[0]), len(shown), -off_centre

    return max(windows, key=quality)


def _bounds(positions: np.ndarray) -> list[int]:
    """Return start and end of a range of positions; [0, 0] of none."""
    return [int(positions[0]), int(positions[-1]) + 1] if len(positions) else [0, 0]


# --- features ----------------------------------------------------------------------------------------------------


def _feature(task: Task, row: Row, window: _Window, spans: list[Span], number: dict[str, int]) -> tuple[Feature, int]:
    """Encode a row that is one input; return it and the number of words or spans lost."""
    bounds = [_bounds(window.find(span)) for span in spans]
    feature: Feature = {**window.inputs, "spans": bounds}
    if task.kind not in ("tokens", "roles"):
        return feature | {"labels": number.get(row["label"], IGNORED)}, bounds.count([0, 0])
    first_tokens = [int(at[0]) if len(at := window.find(word)) else -1 for word in range(len(row["tokens"]))]
    labels = [IGNORED] * len(window.text)
    for position, tag in zip(first_tokens, row["tags"], strict=True):
        if position >= 0:
            labels[position] = number.get(tag, UNKNOWN)
    return feature | {"words": first_tokens, "labels": labels}, first_tokens.count(-1)


def _masked_feature(row: Row, window: _Window, mask: int) -> tuple[Feature, int]:
    """Encode a sentence with its masked words; return it and the number of words without a token."""
    tokens = window.inputs["input_ids"]
    gaps = [window.find((0, *place)).tolist() for place in row["masked"]]
    masked = {position for gap in gaps for position in gap}
    labels = [token if position in masked else IGNORED for position, token in enumerate(tokens)]
    tokens = [mask if position in masked else token for position, token in enumerate(tokens)]
    return {**window.inputs, "input_ids": tokens, "spans": [], "gaps": gaps, "labels": labels}, gaps.count([])


def _answer_features(row: Row, windows: list[_Window], may_lack: bool) -> tuple[list[Feature], bool, int]:
    """Encode a question with each window of its context; return them, and whether something is cut or lost.

    A window's labels are the first and last token of the (first) answer. Where it does not show all of it, or there is
    none, they are [-1, -1], or the first token of the input for data whose questions may lack an answer.
    """
    answered = bool(row["answers"])
    answer: Row = row["answers"][0] if answered else {"answer_start": 0, "text": ""}
    start, end = answer["answer_start"], answer["answer_start"] + len(answer["text"])
    question = windows[0].shown(0)  # of one that is too long, the beginning
    context = sorted((w for w in windows if w.shown(0) == question), key=lambda window: window.shown(1))
    features, seen, lost = [], False, True
    for window in context:
        own, inside = np.flatnonzero(window.text == 1), window.find((1, start, end))
        first, last = window.shown(1)
        whole = (first <= start or window is context[0]) and (end <= last or window is context[-1])
        shown = whole and len(inside) > 0
        seen, lost = seen or shown, lost and len(inside) == 0
        labels = [int(inside[0]), int(inside[-1])] if shown else [0, 0] if may_lack else [-1, -1]
        spans = [_bounds(own), *([[0, 1]] if may_lack else [])]
        features.append({**window.inputs, "spans": spans, "labels": labels, "offsets": window.offsets[own]})
    lost = lost and answered
    return features, len(context) < len(windows) or (answered and not seen and not lost), int(lost)


def pad_rows(rows: Sequence[Sequence[int]], fill: int) -> torch.Tensor:
    """Return rows of numbers as one tensor, each filled up to the longest."""
    return pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=fill)


def collate(features: list[Feature], fill: int) -> dict[str, torch.Tensor]:
    """Pad features to the longest of a batch.

    Parameters
    ----------
    features : list of Feature
    fill : int
        Token that fills up; it is masked.

    Returns
    -------
    batch : dict of str to tensor
        ``input_ids``, ``attention_mask`` (``token_type_ids``) [b, l], ``spans`` [b, k, 2] and ``labels``.
    """
    column = {name: [feature[name] for feature in features] for name in features[0]}
    batch = {
        "input_ids": pad_rows(column["input_ids"], fill),
        "attention_mask": pad_rows([[1] * len(ids) for ids in column["input_ids"]], 0),
        "spans": torch.tensor(column["spans"]).reshape(len(features), -1, 2),
        "labels": pad_rows(column["labels"], IGNORED)
        if {"words", "gaps"} & {*column}
        else torch.tensor(column["labels"]),
    }
    if "token_type_ids" in column:
        batch["token_type_ids"] = pad_rows(column["token_type_ids"], 0)
    return batch


# --- answers -----------------------------------------------------------------------------------------------------


def read_answers(encoded: Encoded, outputs: Sequence[np.ndarray]) -> list[Any]:
    """Turn outputs into answers.

    Parameters
    ----------
    encoded : Encoded
    outputs : sequence of array
        One for each feature: the number of the label (a scalar), of every token's tag [l], the start and end scores
        [l, 2], or the token for each mask [l]; arrays may be padded at their end.

    Returns
    -------
    answers : list
        A label, a list of tags, or a text for each row; an empty one if "none" has more points in every window than
        the best piece of the context. For masked words a list of words, empty where the answer is wrong.
    """
    span = encoded.task.kind == "span"
    answers: list[Any] = ["" if span else None] * len(encoded.rows)
    best, none = [-np.inf] * len(encoded.rows), [np.inf] * len(encoded.rows)
    for feature, output in zip(encoded.features, outputs, strict=True):
        row = feature["row"]
        if span:
            (begin, end), *first_token = feature["spans"]
            if first_token:
                none[row] = min(none[row], float(output[0].sum()))
            first, last, points = best_span(output[begin:end, 0], output[begin:end, 1])
            if points > best[row]:
                (start, _), (_, stop) = feature["offsets"][[first, last]]
                best[row], answers[row] = points, encoded.rows[row]["context"][start:stop].strip()
        elif "gaps" in feature:
            right = [all(output[p] == feature["labels"][p] for p in gap) and len(gap) > 0 for gap in feature["gaps"]]
            answers[row] = [w if r else "" for w, r in zip(masked_words(encoded.rows[row]), right, strict=True)]
        elif "words" in feature:
            answers[row] = [encoded.labels[int(output[p])] if p >= 0 else "O" for p in feature["words"]]
        else:
            answers[row] = encoded.labels[int(output)]
    if span and NO_ANSWER in encoded.labels:
        return [answer if best[row] >= none[row] else "" for row, answer in enumerate(answers)]
    return answers


def best_span(start: np.ndarray, end: np.ndarray, longest: int = LONGEST_ANSWER) -> tuple[int, int, float]:
    """Return first token, last token and points of the best span; points of minus infinity if there are no tokens.

    Parameters
    ----------
    start, end : array of shape (n_tokens,)
        Points of each token as the first and as the last of the answer.
    longest : int
        Longest span allowed, in tokens.
    """
    best = (0, 0, -np.inf)
    for length in range(min(longest, len(start))):
        points = start[: len(start) - length] + end[length:]
        first = int(points.argmax())
        if points[first] > best[2]:
            best = first, first + length, float(points[first])
    return best


def best_tags(logits: torch.Tensor, labelled: torch.Tensor, labels: Sequence[str]) -> torch.Tensor:
    """Return the best sequence of tags in which no entity begins in its middle (Viterbi).

    In the BIO scheme "I-x" may follow "B-x" and "I-x" only; tags of another scheme may follow each other freely.

    Parameters
    ----------
    logits : tensor of shape (b, l, n_tags)
    labelled : tensor of bool, shape (b, l)
        True at the first token of a word; the other positions take no part.
    labels : sequence of str, length n_tags

    Returns
    -------
    tags : tensor of int, shape (b, l)
        Number of the tag of every word; undefined at the other positions.
    """
    batch, length, n = logits.shape
    allowed = [
        [not label.startswith("I-") or before in (f"B-{label[2:]}", label) for label in labels]
        for before in [*labels, ""]  # the last row: before the first word
    ]
    step = torch.where(torch.tensor(allowed, device=logits.device), 0.0, -1e9)  # [n + 1, n]
    points = logits.new_full((batch, n + 1), -1e9)
    points[:, n] = 0.0
    came_from, stay = [], torch.arange(n + 1, device=logits.device)
    for t in range(length):
        best, previous = (points[:, :, None] + step).max(1)  # [b, n]
        here = labelled[:, t, None]
        points = torch.where(here, pad(best + logits[:, t], (0, 1), value=-1e9), points)
        came_from.append(torch.where(here, pad(previous, (0, 1)), stay))
    tags = torch.zeros(batch, length, dtype=torch.long, device=logits.device)
    now = points.argmax(1)
    for t in reversed(range(length)):
        tags[:, t] = now.clamp(max=n - 1)
        now = came_from[t].gather(1, now[:, None])[:, 0]
    return tags
