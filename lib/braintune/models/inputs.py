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

Characters and tokens are matched through the tokeniser's offsets, so any fast tokeniser will do. What does not fit is
cropped around the spans and counted.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from braintune.core.base import BraintuneError
from braintune.datasets.tasks import Row, Task

#: Labels that the loss passes over (torch's own convention).
IGNORED = -100
#: Longest answer that is searched for, in tokens.
LONGEST_ANSWER = 30

Offsets = list[tuple[int, int]]


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
        Words that have no token of their own in the input; they are answered "O".
    """

    task: Task
    rows: list[Row]
    labels: tuple[str, ...]
    features: list[dict[str, Any]]
    truncated: int
    lost: int


@dataclass(frozen=True)
class Frame:
    """What a tokeniser puts before, between and after its texts.

    Attributes
    ----------
    around : list of list of int
        Special tokens before the first text, after the first, and (for two texts) after the second.
    types : list of list of int or None
        Token types of `around`, if the model takes any.
    """

    around: list[list[int]]
    types: list[list[int]] | None

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase, n_texts: int) -> "Frame":
        """Find the frame by encoding one-letter texts."""
        if not tokenizer.is_fast:
            raise BraintuneError(
                f"{type(tokenizer).__name__} gives no character offsets; choose a backbone with a fast tokeniser"
            )
        probe = tokenizer(*["a", "b"][:n_texts])
        texts = probe.sequence_ids(0)
        types = probe.get("token_type_ids")
        around: list[list[int]] = [[] for _ in range(n_texts + 1)]
        kinds: list[list[int]] = [[] for _ in range(n_texts + 1)]
        place = 0
        for i, text in enumerate(texts):
            if text is not None:
                place = text + 1
                continue
            around[place].append(probe["input_ids"][i])
            kinds[place].append(types[i] if types else 0)
        if n_texts == 2 and not around[1] and tokenizer.eos_token_id is not None:
            # GPT-2 puts nothing between two texts, which would glue their words together
            around[1], kinds[1] = [tokenizer.eos_token_id], [0]
        return cls(around, kinds if types else None)

    @property
    def cost(self) -> int:
        """Number of special tokens."""
        return sum(map(len, self.around))

    def wrap(self, texts: Sequence[list[int]]) -> tuple[dict[str, list[int]], list[int]]:
        """Return the model inputs of some texts' tokens, and the position where each text begins."""
        ids, starts = list(self.around[0]), []
        kinds = list(self.types[0]) if self.types else []
        for k, text in enumerate(texts):
            starts.append(len(ids))
            ids += [*text, *self.around[k + 1]]
            if self.types:
                kinds += [k] * len(text) + self.types[k + 1]
        return {"input_ids": ids} | ({"token_type_ids": kinds} if self.types else {}), starts


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
        Labels in the order of the model's outputs; a row's label that is not among them is passed over by the loss.
    tokenizer : fast tokeniser
    max_tokens : int
        Longest input, special tokens included.
    stride : int
        Overlap of the windows over a context that is too long, in tokens.
    """
    texts = [_texts(task, row) for row in rows]
    n_texts = len(texts[0]) if texts else 1
    frame = Frame.of(tokenizer, n_texts)
    pieces = [_tokenise(tokenizer, [t[k] for t in texts]) for k in range(n_texts)]
    number = {label: i for i, label in enumerate(labels)}
    features, truncated, lost = [], 0, 0
    for i, row in enumerate(rows):
        parts = [piece[i] for piece in pieces]
        if task.kind == "span":
            made, cut, missing = _windows(frame, row, parts, max_tokens, stride)
        else:
            made, cut, missing = _feature(frame, task, row, texts[i], parts, number, max_tokens)
        for feature in made:
            if not feature["input_ids"]:  # an empty text and a tokeniser without special tokens
                feature["input_ids"] = [tokenizer.pad_token_id or tokenizer.eos_token_id or 0]
            features.append({"row": i, **feature})
        truncated += cut
        lost += missing
    features.sort(key=lambda f: -len(f["input_ids"]))
    return Encoded(task, rows, labels, features, truncated, lost)


def _tokenise(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> list[tuple[list[int], Offsets]]:
    """Return token ids and character offsets of each text, without special tokens."""
    if not texts:
        return []
    batch = tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True, truncation=False, verbose=False)
    return list(zip(batch["input_ids"], batch["offset_mapping"], strict=True))


def _texts(task: Task, row: Row) -> list[str]:
    """Return the one or two texts that a row of this kind puts before the model."""
    if task.kind in ("tokens", "roles"):
        words = " ".join(row["tokens"])
        return [words] if task.kind == "tokens" else [words, row["tokens"][row["predicate_index"]]]
    if task.kind == "span":
        return [row["question"], row["context"]]
    fields = [field for field, kind in task.fields.items() if kind == "text" and field != "label"]
    return [row[field] for field in fields[: 2 if task.kind in ("pair", "sense") else 1]]


def _spans(task: Task, row: Row, texts: list[str]) -> list[tuple[int, int, int]]:
    """Return the spans of a row as (text, first character, end character)."""
    if task.kind in ("sentence", "pair"):
        return [(k, 0, len(text)) for k, text in enumerate(texts)]
    if task.kind == "sense":
        return [(k, *_word_places(text.split(), text)[row[f"index{k + 1}"]]) for k, text in enumerate(texts)]
    if task.kind == "reference":
        return [(0, row[f"{p}_start"], row[f"{p}_start"] + len(row[p])) for p in ("pronoun", "a", "b")]
    if task.kind == "roles":
        return [(0, *_word_places(row["tokens"], texts[0])[row["predicate_index"]])]
    return []


def _word_places(words: list[str], text: str) -> list[tuple[int, int]]:
    """Return where each word lies in a text that holds them in this order with white space between."""
    places, at = [], 0
    for word in words:
        at = text.index(word, at)
        places.append((at, at + len(word)))
        at += len(word)
    return places


def _joined_places(words: list[str]) -> list[tuple[int, int]]:
    """Return where each word lies once the words are joined by single spaces; words may be empty."""
    ends = np.cumsum([len(word) + 1 for word in words]) - 1
    return [(int(end) - len(word), int(end)) for word, end in zip(words, ends, strict=True)]


def first_tokens(words: list[str], offsets: Offsets) -> list[int]:
    """Return the first token of each word, or -1 for a word that the tokeniser drops or merges into the one before.

    Parameters
    ----------
    words : list of str
        Words that were joined by single spaces and tokenised as one text.
    offsets : list of (int, int)
        Character range of each token in that text; a range may begin with the space before the word.
    """
    places = _joined_places(words)
    starts = [start for start, _ in places]
    found = [-1] * len(words)
    for token, (start, end) in enumerate(offsets):
        for character in range(start, end):
            word = bisect_right(starts, character) - 1
            if word >= 0 and character < places[word][1]:
                if found[word] < 0:
                    found[word] = token
                break
    return found


def token_range(offsets: Offsets, start: int, end: int) -> tuple[int, int]:
    """Return first and end token of those that share a character with a range; (0, 0) if none does."""
    inside = [i for i, (s, e) in enumerate(offsets) if max(s, start) < min(e, end)]
    return (inside[0], inside[-1] + 1) if inside else (0, 0)


def _shares(lengths: list[int], room: int) -> list[int]:
    """Share `room` tokens among one or two texts: a short one is kept whole, two long ones get half each."""
    if sum(lengths) <= room:
        return lengths
    if len(lengths) == 1:
        return [room]
    first, second = lengths
    half = room // 2
    if first <= half:
        return [first, room - first]
    if second <= room - half:
        return [room - second, second]
    return [half, room - half]


def _crop(length: int, keep: int, focus: list[tuple[int, int]]) -> int:
    """Return where a crop of `keep` tokens begins so that it holds the focus, or at least its first span."""
    if not focus or keep >= length:
        return 0
    low, high = min(start for start, _ in focus), max(end for _, end in focus)
    if high - low > keep:
        low, high = focus[0]
    return int(np.clip((low + high - keep) // 2, 0, length - keep))


def _feature(
    frame: Frame,
    task: Task,
    row: Row,
    texts: list[str],
    parts: list[tuple[list[int], Offsets]],
    number: dict[str, int],
    max_tokens: int,
) -> tuple[list[dict[str, Any]], bool, int]:
    """Encode a row that is one input; return it, whether it was cropped, and the number of words lost."""
    whole = task.kind in ("sentence", "pair")
    spans = [(k, token_range(parts[k][1], start, end)) for k, start, end in _spans(task, row, texts)]
    lengths = [len(ids) for ids, _ in parts]
    keep = _shares(lengths, max_tokens - frame.cost)
    begins = [
        _crop(lengths[k], keep[k], [] if whole else [place for text, place in spans if text == k and place[1]])
        for k in range(len(parts))
    ]
    inputs, starts = frame.wrap([ids[b : b + n] for (ids, _), b, n in zip(parts, begins, keep, strict=True)])

    def moved(text: int, token: int) -> int:
        return starts[text] + min(max(token - begins[text], 0), keep[text])

    feature = {**inputs, "spans": [[moved(k, start), moved(k, end)] for k, (start, end) in spans]}
    cut, lost = keep != lengths, 0
    if task.kind in ("tokens", "roles"):
        first = first_tokens(row["tokens"], parts[0][1])
        places = [starts[0] + t - begins[0] if 0 <= t - begins[0] < keep[0] else -1 for t in first]
        feature["words"], lost = places, places.count(-1)
        feature["labels"] = [IGNORED] * len(inputs["input_ids"])
        for place, tag in zip(places, row["tags"], strict=True):
            if place >= 0:
                feature["labels"][place] = number.get(tag, IGNORED)
    else:
        feature["labels"] = number.get(row["label"], IGNORED)
        lost = sum(start == end for start, end in feature["spans"])
    return [feature], cut, lost


def _windows(
    frame: Frame, row: Row, parts: list[tuple[list[int], Offsets]], max_tokens: int, stride: int
) -> tuple[list[dict[str, Any]], bool, int]:
    """Encode a question with overlapping windows of its context; return them, whether something is never seen whole.

    A window's labels are the first and last token of the (first) answer, or [-1, -1] where it does not hold it.
    """
    (question, _), (context, offsets) = parts
    answer = row["answers"][0]
    wanted = token_range(offsets, answer["answer_start"], answer["answer_start"] + len(answer["text"]))
    kept = question[: (max_tokens - frame.cost) // 2]
    room = max_tokens - frame.cost - len(kept)
    step = room - min(stride, room // 2)
    features, seen = [], False
    for begin in range(0, max(len(context) - room, 0) + step, step):
        piece = context[begin : begin + room]
        inputs, starts = frame.wrap([kept, piece])
        shift = starts[1] - begin
        held = wanted[1] > wanted[0] >= begin and wanted[1] <= begin + len(piece)
        seen |= held
        features.append(
            {
                **inputs,
                "spans": [[starts[1], starts[1] + len(piece)]],
                "labels": [wanted[0] + shift, wanted[1] - 1 + shift] if held else [-1, -1],
                "offsets": offsets[begin : begin + room],
            }
        )
        if begin + room >= len(context):
            break
    lost = wanted[0] == wanted[1]
    return features, len(kept) < len(question) or not (seen or lost), int(lost)


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
        lengths = [len(f["input_ids"]) for f in features]
        longest = max(lengths)

        def padded(name: str, fill: int) -> torch.Tensor:
            return torch.tensor([f[name] + [fill] * (longest - len(f[name])) for f in features])

        batch = {"input_ids": padded("input_ids", self.pad)}
        batch["attention_mask"] = (torch.arange(longest) < torch.tensor(lengths)[:, None]).long()
        if "token_type_ids" in features[0]:
            batch["token_type_ids"] = padded("token_type_ids", 0)
        batch["spans"] = torch.tensor([f["spans"] for f in features]).reshape(len(features), -1, 2)
        by_token = "words" in features[0]
        batch["labels"] = padded("labels", IGNORED) if by_token else torch.tensor([f["labels"] for f in features])
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
