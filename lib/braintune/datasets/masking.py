"""Masked words: which words of a sentence a language model has to predict."""

import re
from collections.abc import Sequence

import numpy as np

from braintune.datasets.rows import Row

#: Fraction of the words of a sentence that are masked (at least one word).
SHARE = 0.15
_WORD = re.compile(r"\w+(?:['’-]\w+)*")


def word_places(sentence: str) -> list[tuple[int, int]]:
    """Return the range of characters of every word, without punctuation."""
    return [word.span() for word in _WORD.finditer(sentence)]


def mask(rows: Sequence[Row], rng: np.random.Generator) -> list[Row]:
    """Choose at random the words that are masked; each row gets them as ``masked``, pairs of start and end."""
    masked = []
    for row in rows:
        places = word_places(row["sentence"])
        chosen = np.sort(rng.permutation(len(places))[: max(1, round(SHARE * len(places)))])
        masked.append(row | {"masked": [places[i] for i in chosen]})
    return masked


def masked_words(row: Row) -> list[str]:
    """Return the words that are masked, in their order."""
    return [row["sentence"][start:end] for start, end in row["masked"]]
