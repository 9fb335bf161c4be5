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
span        the question; a window of the context        the window
=========== ============================================ ===================================

The tokeniser cuts what is too long into overlapping windows. An answer is searched for in every window of the context;
any other row becomes the window that shows its spans best. Truncated rows are counted.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from tokenizers import Encoding
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedTokenizerBase

from braintune.datasets.tasks import Row, Task

#: Labels that the loss ignores (torch's own convention).
IGNORED = -100
#: Longest answer that is searched for, in tokens.
LONGEST_ANSWER = 30

#: A range of characters: number of the text, first character, end character.
Span = tuple[int, int, int]


@dataclass(frozen=True)
class Encoded:
    """Model inputs of some rows, longest first.

    Attributes
    ----------
    task : Task
    rows : list of dict
    labels : tuple of str
    features : list of dict
        One for each row, or for each window of a row: ``row`` (its number), ``input_ids``, ``spans`` (pairs of start
        and end position), ``labels``, and what is needed to read the answer.
    truncated : int
        Rows of which a model does not see everything.
    lost : int
        Words, spans and answers without a token in the input; such a word is answered "O".
    """

    task: Task
    rows: list[Row]
    labels: tuple[str, ...]
    features: list[dict[str, Any]]
    truncated: int
    lost: int


class _Window:
    """What the tokeniser made of one or two texts, or of a part of them.

    Attributes
    ----------
    encoding : Encoding
    text : int array of shape (n_tokens,)
        Which text a token comes from; -1 for special tokens.
    offsets : int array of shape (n_tokens, 2)
        The range of characters of a token in its text.
    """

    def __init__(self, encoding: Encoding) -> None:
        self.encoding = encoding
        self.text = np.array([-1 if text is None else text for text in encoding.sequence_ids], dtype=int)
        self.offsets = np.array(encoding.offsets, dtype=int).reshape(-1, 2)

    def find(self, text: int, start: int, end: int) -> np.ndarray:
        """Return the positions of the tokens that share a character with a range of a text."""
        first, last = self.offsets.T
        return np.flatnonzero((self.text == text) & (np.maximum(first, start) < np.minimum(last, end)))

    def shown(self, text: int) -> tuple[int, int]:
        """Return the range of characters that is shown of a text."""
        offsets = self.offsets[self.text == text]
        return (int(offsets[0, 0]), int(offsets[-1, 1])) if len(offsets) else (0, 0)


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
    """
    number = {label: i for i, label in enumerate(labels)}
    with_types = "token_type_ids" in tokenizer.model_input_names
    features, truncated, lost = [], 0, 0
    for i, row in enumerate(rows):
        texts = _texts(task, row)
        encodings = _windows(tokenizer, task, texts, max_tokens, stride)
        if task.kind == "span":
            made, cut, missing = _answer(row, encodings)
        else:
            made, cut, missing = _feature(task, row, texts, encodings, number)
        for window, feature in made:
            # an empty text and a tokeniser without special tokens: one token of padding
            inputs = {"input_ids": window.encoding.ids or [tokenizer.pad_token_id or tokenizer.eos_token_id or 0]}
            if with_types:
                inputs["token_type_ids"] = window.encoding.type_ids
            features.append({"row": i, **inputs, **feature})
        truncated += cut
        lost += missing
    features.sort(key=lambda f: -len(f["input_ids"]))
    return Encoded(task, rows, labels, features, truncated, lost)


def _windows(
    tokenizer: PreTrainedTokenizerBase, task: Task, texts: list[str], max_tokens: int, stride: int
) -> list[Encoding]:
    """Encode texts: whole, or in overlapping windows; of two long texts, each gets half of a window."""
    room = max_tokens - tokenizer.num_special_tokens_to_add(pair=len(texts) == 2)
    # where one window is chosen, they overlap much: one shows spans that lie far apart, or a span in its middle
    many = {"reference": room - max(room // 8, 1), "roles": room // 2 - 1}
    overlap = many.get(task.kind, min(stride, room // 4))
    inputs = tokenizer(*texts, truncation="longest_first", max_length=max_tokens, stride=overlap, verbose=False)
    return [inputs.encodings[0], *inputs.encodings[0].overflowing]


def _texts(task: Task, row: Row) -> list[str]:
    """Return the one or two texts of a row that the model reads."""
    if task.kind in ("tokens", "roles"):
        words = " ".join(row["tokens"])
        return [words] if task.kind == "tokens" else [words, row["tokens"][row["predicate_index"]]]
    if task.kind == "span":
        return [row["question"], row["context"]]
    fields = [field for field, kind in task.fields.items() if kind == "text" and field != "label"]
    return [row[field] for field in fields[: 2 if task.kind in ("pair", "sense") else 1]]


def _spans(task: Task, row: Row, texts: list[str]) -> list[Span]:
    """Return the spans of a row."""
    if task.kind in ("sentence", "pair"):
        return [(k, 0, len(text)) for k, text in enumerate(texts)]
    if task.kind == "sense":
        places = [[word.span() for word in re.finditer(r"\S+", text)] for text in texts]
        return [(k, *words[row[f"index{k + 1}"]]) for k, words in enumerate(places)]
    if task.kind == "reference":
        return [(0, row[f"{p}_start"], row[f"{p}_start"] + len(row[p])) for p in ("pronoun", "a", "b")]
    return [_word_spans(row["tokens"])[row["predicate_index"]]] if task.kind == "roles" else []


def _word_spans(words: list[str]) -> list[Span]:
    """Return where each word lies once the words are joined by single spaces; words may be empty."""
    ends = np.cumsum([len(word) + 1 for word in words]) - 1
    return [(0, int(end) - len(word), int(end)) for word, end in zip(words, ends, strict=True)]


def _feature(
    task: Task, row: Row, texts: list[str], encodings: list[Encoding], number: dict[str, int]
) -> tuple[list[tuple[_Window, dict[str, Any]]], bool, int]:
    """Encode a row that is one input; return it, whether it is cut, and the number of words or spans lost."""
    spans = _spans(task, row, texts)
    chosen = encodings if task.kind in ("sense", "reference", "roles") else encodings[:1]
    window = _best_window([_Window(encoding) for encoding in chosen], spans)
    found = [window.find(*span) for span in spans]
    feature: dict[str, Any] = {"spans": [[int(at[0]), int(at[-1]) + 1] if len(at) else [0, 0] for at in found]}
    if task.kind in ("tokens", "roles"):
        feature["words"] = _first_tokens(window, row["tokens"])
        feature["labels"] = [IGNORED] * len(window.text)
        for place, tag in zip(feature["words"], row["tags"], strict=True):
            if place >= 0:
                feature["labels"][place] = number.get(tag, IGNORED)
        lost = feature["words"].count(-1)
    else:
        feature["labels"] = number.get(row["label"], IGNORED)
        lost = sum(len(at) == 0 for at in found)
    return [(window, feature)], len(encodings) > 1, lost


def _best_window(windows: list[_Window], spans: list[Span]) -> _Window:
    """Return the window that shows most of the first span, then of all, then with most text around them."""

    def quality(window: _Window) -> tuple[int, int, float]:
        found = [window.find(*span) for span in spans]
        places = np.concatenate(found)
        off_centre = abs(places.mean() - len(window.text) / 2) if len(places) else np.inf
        return len(found[0]), len(places), -off_centre

    return windows[0] if len(windows) == 1 else max(windows, key=quality)


def _first_tokens(window: _Window, words: list[str]) -> list[int]:
    """Return the first token of each word, or -1 for a word that is cut, dropped or merged into the one before."""
    first, last = [], -1
    for span in _word_spans(words):
        own = window.find(*span)
        own = own[own > last]
        last = int(own[0]) if len(own) else last
        first.append(last if len(own) else -1)
    return first


def _answer(row: Row, encodings: list[Encoding]) -> tuple[list[tuple[_Window, dict[str, Any]]], bool, int]:
    """Encode a question with each window of its context; return them, whether something is never seen whole.

    A window's labels are the first and last token of the (first) answer, or [-1, -1] where it does not show all of it.
    """
    answer = row["answers"][0]
    start, end = answer["answer_start"], answer["answer_start"] + len(answer["text"])
    windows = [_Window(encoding) for encoding in encodings]
    asked = windows[0].shown(0)  # of a question that is too long, the beginning
    cut = any(window.shown(0) != asked for window in windows)
    windows = sorted((window for window in windows if window.shown(0) == asked), key=lambda window: window.shown(1))
    made, seen, lost = [], False, True
    for window in windows:
        own, at = np.flatnonzero(window.text == 1), window.find(1, start, end)
        first, last = window.shown(1)
        whole = (first <= start or window is windows[0]) and (end <= last or window is windows[-1])
        lost &= len(at) == 0
        held = whole and len(at) > 0
        seen |= held
        feature = {
            "spans": [[int(own[0]), int(own[-1]) + 1] if len(own) else [0, 0]],
            "labels": [int(at[0]), int(at[-1])] if held else [-1, -1],
            "offsets": [window.encoding.offsets[i] for i in own],
        }
        made.append((window, feature))
    return made, cut or not (seen or lost), int(lost)


# --- batches and answers -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Collator:
    """Pad features to the longest of a batch.

    Attributes
    ----------
    pad : int
        Token that fills up; it is masked.
    """

    pad: int

    def __call__(self, features: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Return ``input_ids``, ``attention_mask`` (``token_type_ids``) [b, l], ``spans`` [b, k, 2] and ``labels``."""

        def padded(rows: list[list[int]], fill: int) -> torch.Tensor:
            return pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=fill)

        column = {name: [f[name] for f in features] for name in features[0]}
        by_token = "words" in column
        batch = {
            "input_ids": padded(column["input_ids"], self.pad),
            "attention_mask": padded([[1] * len(ids) for ids in column["input_ids"]], 0),
            "spans": torch.tensor(column["spans"]).reshape(len(features), -1, 2),
            "labels": padded(column["labels"], IGNORED) if by_token else torch.tensor(column["labels"]),
        }
        if "token_type_ids" in column:
            batch["token_type_ids"] = padded(column["token_type_ids"], 0)
        return batch


def read_answers(encoded: Encoded, outputs: Sequence[np.ndarray]) -> list[Any]:
    """Turn outputs into answers, one for each row.

    Parameters
    ----------
    encoded : Encoded
    outputs : sequence of array
        One for each feature: the number of the label (a scalar), of every token's tag [l], or the start and end
        scores [l, 2]; arrays may be padded at their end.

    Returns
    -------
    answers : list
        A label, a list of tags, or a text for each row.
    """
    if encoded.task.kind == "span":
        return _read_spans(encoded, outputs)
    answers: list[Any] = [None] * len(encoded.rows)
    for feature, output in zip(encoded.features, outputs, strict=True):
        if "words" in feature:
            answers[feature["row"]] = [encoded.labels[int(output[p])] if p >= 0 else "O" for p in feature["words"]]
        else:
            answers[feature["row"]] = encoded.labels[int(output)]
    return answers


def _read_spans(encoded: Encoded, outputs: Sequence[np.ndarray]) -> list[str]:
    best = [(-np.inf, "")] * len(encoded.rows)
    for feature, output in zip(encoded.features, outputs, strict=True):
        begin, end = feature["spans"][0]
        if begin == end:
            continue
        first, last, points = best_span(output[begin:end, 0], output[begin:end, 1])
        row, offsets = feature["row"], feature["offsets"]
        if points > best[row][0]:
            best[row] = points, encoded.rows[row]["context"][offsets[first][0] : offsets[last][1]].strip()
    return [text for _, text in best]


def best_span(start: np.ndarray, end: np.ndarray, longest: int = LONGEST_ANSWER) -> tuple[int, int, float]:
    """Return first token, last token and points of the best span.

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
        Where a word begins; positions between words take no part.
    labels : sequence of str, length n_tags

    Returns
    -------
    tags : tensor of int, shape (b, l)
        Number of the tag of every word; what stands between words means nothing.
    """
    batch, length, n = logits.shape
    inside = [label[2:] if label.startswith("I-") else None for label in labels]
    allowed = [
        [kind is None or before in (f"B-{kind}", f"I-{kind}") for kind in inside]
        for before in [*labels, ""]  # the last row: before the first word
    ]
    step = torch.where(torch.tensor(allowed, device=logits.device), 0.0, -1e9)  # [n + 1, n]
    points = logits.new_full((batch, n + 1), -1e9)
    points[:, n] = 0.0
    came_from, stay = [], torch.arange(n + 1, device=logits.device)
    for t in range(length):
        best, previous = (points[:, :, None] + step).max(1)  # [b, n]
        reached = torch.nn.functional.pad(best + logits[:, t], (0, 1), value=-1e9)
        here = labelled[:, t, None]
        points = torch.where(here, reached, points)
        came_from.append(torch.where(here, torch.nn.functional.pad(previous, (0, 1)), stay))
    tags = torch.zeros(batch, length, dtype=torch.long, device=logits.device)
    now = points.argmax(1)
    for t in reversed(range(length)):
        tags[:, t] = now.clamp(max=n - 1)
        now = came_from[t].gather(1, now[:, None])[:, 0]
    return tags
