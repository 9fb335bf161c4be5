"""The languages of the microworld: every sentence has the same meaning, roles and features in each of them."""

import hashlib
import re
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import yaml

from braintune.datasets.microworld import lexicon
from braintune.datasets.microworld.grammar import Frame, Phrase, lemma_of
from braintune.datasets.microworld.lexicon import LEXICON

#: Syllables, frequent words and endings of the invented language.
DATA = Path(__file__).with_name("invented.yml")


class Language:
    """English, in which the phrases of the microworld are written."""

    def say(self, phrase: Phrase) -> Phrase:
        """Return a phrase in the words and the word order of the language, with all annotation."""
        return phrase

    def word(self, english: str, is_verb: bool = False) -> str:
        """Return the form of an English word in the language; a verb may be inflected."""
        return english


class Invented(Language):
    """A verb-final language of made-up words: see ``invented.yml``."""

    def say(self, phrase: Phrase) -> Phrase:
        """Return a phrase in the words and the word order of the language, with all annotation."""
        words = list(phrase.tokens)
        place = {position: i for i, position in enumerate(phrase.order)}
        frames = []
        for frame in phrase.frames:
            spans = []
            for role, start, stop in frame.spans:
                if role == "R-ARG1" and words[start] == "who":  # with the verb last, only this form shows the role
                    words[start] = "whom"
                first = min(place[i] for i in range(start, stop))
                spans.append((role, first, first + stop - start))
            frames.append(Frame(place[frame.predicate], tuple(sorted(spans, key=lambda span: span[1]))))
        said = [self.word(words[i], is_verb="VP" in phrase.chunks[i]) for i in phrase.order]
        chunks, entities, meanings = (
            [layer[i] for i in phrase.order] for layer in (phrase.chunks, phrase.entities, phrase.meanings)
        )
        marks, order = list(phrase.marks), list(range(len(said)))
        return Phrase(said, chunks, entities, meanings, frames, marks, phrase.plural, order)

    def word(self, english: str, is_verb: bool = False) -> str:
        """Return the form of an English word in the language; a verb may be inflected."""
        english = "a" if english.lower() == "an" else english.lower()
        if not english.isalpha():
            return english
        lemma = lemma_of(english) if is_verb and english not in LEXICON.auxiliaries else english
        return _forms()[lemma] + _sounds().inflected * (lemma != english)


@cache
def _sounds() -> SimpleNamespace:
    return SimpleNamespace(**yaml.safe_load(DATA.read_text(encoding="utf-8")))


@cache
def _forms() -> dict[str, str]:
    """Return English word → its form; no two words have the same form."""
    sounds = _sounds()
    syllables = [consonant + vowel for vowel in sounds.vowels for consonant in sounds.consonants]
    forms = dict(zip(sounds.frequent, syllables, strict=False))
    taken: set[str] = set()
    words = {*re.findall(r"[a-z]+", lexicon.DATA.read_text(encoding="utf-8").lower()), *sounds.other}
    for word in sorted(words - set(forms)):
        attempt = 0
        while (form := _coin(f"{word} {attempt}", syllables)) in taken:
            attempt += 1
        taken.add(form)
        forms[word] = form
    return forms


def _coin(seed: str, syllables: list[str]) -> str:
    """Return two syllables and a last letter, derived from a seed."""
    number = int.from_bytes(hashlib.sha256(seed.encode()).digest())
    number, first = divmod(number, len(syllables))
    number, second = divmod(number, len(syllables))
    return syllables[first] + syllables[second] + _sounds().last[number % len(_sounds().last)]


#: Every language by its name; ``language`` of a profile names one.
LANGUAGES: dict[str, Language] = {"english": Language(), "invented": Invented()}
