# ruff: noqa: SIM905
"""The grammar of the microworld: frames become annotated phrases, phrases become sentences.

Everything is a :class:`Phrase`: words with their annotation layers. :func:`build` turns a frame of the lexicon, such as
``"0:{p} | =swung | 1:the *bat"``, into a phrase; phrases fill the slots of other frames, so a relative clause is a
phrase inside a noun phrase and every layer is carried along.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple, TypeVar

import numpy as np

from braintune.datasets.microworld import lexicon

T = TypeVar("T")

AUXILIARIES = set("was were is are be been has have had did will not could hardly to".split())
PARTICLES = {"up", "out", "off", "down"}
PREPOSITIONS = set(
    "in on at of to from with by for over under behind through across along around after before during near into like "
    "above inside as against ahead without about".split()
)
CONJUNCTIONS = {"and", "but", "or", ",", ".", "?", "also"}
SUBORDINATORS = {"that", "because", "although", "when", "while", "after", "before"}
ADVERBS = {"alone", "again", "twice", "home", "also", "first", "now"}
VERDICT_WORDS = {word for sides in lexicon.REVIEWED.values() for side in sides for word in side.split()}
FEELING_WORDS = {word: emotion for emotion, (_, words, _) in lexicon.EMOTIONS.items() for word in words.split()}
ADJECTIVES = (
    VERDICT_WORDS
    | set(FEELING_WORDS)
    | set(lexicon.PERSON_ADJECTIVES)
    | set("yellow dirty missing heavy light".split())
)
ONTO = {"stage", "pitch", "playground", "beach", "mountain"}  # places that one is on, not in
UNCOUNTED = set("soup sauce cheese wheat corn cash ham champagne liquid dialogue testimony dance play".split())


class Dice:
    """A seeded source of choices; draws are made in blocks because single draws of a NumPy generator are slow."""

    def __init__(self, seed: int | Sequence[int]):
        self._generator = np.random.default_rng(seed)
        self._draws: list[float] = []

    def roll(self) -> float:
        """Return a number in [0, 1)."""
        if not self._draws:
            self._draws = self._generator.random(4096).tolist()
        return self._draws.pop()

    def chance(self, probability: float) -> bool:
        """Return True with the given probability."""
        return self.roll() < probability

    def pick(self, options: Sequence[T]) -> T:
        """Return one of `options`."""
        return options[int(self.roll() * len(options))]

    def sample(self, options: Sequence[T], k: int) -> list[T]:
        """Return `k` different ones of `options`, in random order."""
        pool = list(options)
        return [pool.pop(int(self.roll() * len(pool))) for _ in range(k)]

    def order(self, n: int) -> list[int]:
        """Return the numbers below `n` in random order."""
        return self._generator.permutation(n).tolist()


# --- phrases and frames ------------------------------------------------------------------------------------------


class Frame(NamedTuple):
    """One predicate: its place, its lemma, and the spans ``(role, start, stop)`` of its roles."""

    predicate: int
    lemma: str
    spans: tuple[tuple[str, int, int], ...]


@dataclass
class Phrase:
    """Words with their annotation: chunk tag, entity tag and meaning of each word, predicates, marks of syntax."""

    tokens: list[str] = field(default_factory=list)
    chunks: list[str] = field(default_factory=list)
    entities: list[str] = field(default_factory=list)
    meanings: list[str] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    marks: list[str] = field(default_factory=list)
    plural: bool = False

    def add(self, words: Sequence[str], chunk: str, entity: str = "", meaning: str = "") -> None:
        """Append words that form one chunk (and one entity, where named)."""
        for i, word in enumerate(words):
            starred = word.startswith("*")
            self.tokens.append(word.removeprefix("*"))
            self.chunks.append(f"{'I' if i else 'B'}-{chunk}" if chunk else "O")
            self.entities.append(f"{'I' if i else 'B'}-{entity}" if entity else "O")
            self.meanings.append("*" if starred else meaning)

    def append(self, other: "Phrase") -> None:
        """Append a phrase with all its layers."""
        shift = len(self.tokens)
        for layer in ("tokens", "chunks", "entities", "meanings", "marks"):
            getattr(self, layer).extend(getattr(other, layer))
        for frame in other.frames:
            spans = tuple((role, start + shift, stop + shift) for role, start, stop in frame.spans)
            self.frames.append(Frame(frame.predicate + shift, frame.lemma, spans))

    def text(self, spaced: bool = False) -> str:
        """Return the words as running text; `spaced` keeps a space before punctuation."""
        text = " ".join(self.tokens)
        return text if spaced else re.sub(r" ([,.?])", r"\1", text)

    def tags(self, frame: Frame) -> list[str]:
        """Return the BIO role tags of one predicate."""
        tags = ["O"] * len(self.tokens)
        for role, start, stop in (*frame.spans, ("V", frame.predicate, frame.predicate + 1)):
            tags[start:stop] = [f"B-{role}", *[f"I-{role}"] * (stop - start - 1)]
        return tags


@cache
def _segments(frame: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Split a frame into (role, items); the verb group has the role ``V``."""
    segments = []
    for text in frame.split("|"):
        role, _, rest = text.strip().rpartition(":")
        if rest.startswith("="):
            role, rest = "V", rest[1:]
        role = (
            f"ARG{role}" if role.isdigit() else f"ARGM-{role}" if role not in ("", "V") and "ARG" not in role else role
        )
        segments.append((role, tuple(rest.split())))
    return tuple(segments)


@cache
def _chunk_of(words: tuple[str, ...]) -> str:
    """Name the chunk of a run of words that holds no preposition: noun, adjective or adverb phrase."""
    if words[-1] in ADJECTIVES and words[0] not in ("the", "a"):
        return "ADJP"
    adverb = len(words) == 1 and (words[0] in ADVERBS or words[0].endswith("ly"))
    return "ADVP" if adverb else "NP"


def _add_words(phrase: Phrase, words: list[str]) -> None:
    """Append plain words, split into chunks at prepositions, subordinators and conjunctions."""
    if len(words) == 1 and words[0] in SUBORDINATORS:
        return phrase.add(words, "SBAR")
    run: list[str] = []
    for word in [*words, ""]:
        breaks = word in PREPOSITIONS or word in CONJUNCTIONS
        if run and (breaks or not word):
            phrase.add(run, _chunk_of(tuple(run)))
            run = []
        if breaks:
            phrase.add([word], "PP" if word in PREPOSITIONS else "")
        elif word:
            run.append(word)
    return None


def _add_verb(phrase: Phrase, words: list[str]) -> tuple[int, list[tuple[str, int, int]]]:
    """Append a verb group; return the place of its main verb, and the span of a negation."""
    start = len(phrase.tokens)
    particle = words[-1:] if words[-1] in PARTICLES else []
    phrase.add(words[: len(words) - len(particle)], "VP")
    phrase.add(particle, "PRT")
    main = [i for i, word in enumerate(words) if word not in AUXILIARIES and word not in PARTICLES] or [0]
    negation = [("ARGM-NEG", start + i, start + i + 1) for i, word in enumerate(words) if word == "not"]
    phrase.marks.append("verb")
    if negation:
        phrase.marks.append("negation")
    return start + main[-1], negation


def build(frame: str, **slots: str | Phrase) -> Phrase:
    """Return the phrase of a frame whose slots are filled with words or phrases.

    The roles belong to the first verb of the frame; the verbs of phrases in its slots keep their own.
    """
    phrase = Phrase()
    spans: list[tuple[str, int, int]] = []
    predicate = None
    for role, items in _segments(frame):
        start = len(phrase.tokens)
        words: list[str] = []
        for item in items:
            value = slots[item[1:-1]] if item[0] == "{" else item
            if isinstance(value, Phrase):
                if words:
                    _add_words(phrase, words)
                    words = []
                phrase.append(value)
            else:
                words.extend(value.split())
        if role == "V":
            place, negation = _add_verb(phrase, words)
            if predicate is None:
                predicate, spans = place, spans + negation
            continue
        if words:
            _add_words(phrase, words)
        if role:
            spans.append((role, start, len(phrase.tokens)))
    if predicate is not None and spans:
        phrase.frames.append(
            Frame(predicate, lemma_of(phrase.tokens[predicate]), tuple(sorted(spans, key=lambda s: s[1])))
        )
    return phrase


def sentence(*phrases: Phrase, marks: Sequence[str] = ()) -> Phrase:
    """Join phrases to one sentence: capital letter, full stop, "an" before a vowel."""
    whole = Phrase()
    for phrase in phrases:
        whole.append(phrase)
    whole.add(["."], "")
    whole.marks.extend(marks)
    for i, word in enumerate(whole.tokens[:-1]):
        if word in ("a", "an"):
            whole.tokens[i] = article(whole.tokens[i + 1])
    first = whole.tokens[0]
    whole.tokens[0] = first[0].upper() + first[1:]
    return whole


def plain(words: str) -> Phrase:
    """Return words without roles as a phrase."""
    return build(words)


# --- words -------------------------------------------------------------------------------------------------------


def article(word: str) -> str:
    """Return "a" or "an"."""
    silent_h = word.startswith(("hour", "honest"))
    return "an" if silent_h or (word[0].lower() in "aeiou" and not word.startswith(("uni", "use", "Uni"))) else "a"


@cache
def past(lemma: str) -> str:
    """Return the past tense of a verb."""
    if lemma in lexicon.IRREGULAR:
        return lexicon.IRREGULAR[lemma].split()[0]
    if lemma.endswith("e"):
        return lemma + "d"
    if lemma.endswith("y") and lemma[-2] not in "aeiou":
        return lemma[:-1] + "ied"
    return lemma + (lemma[-1] if lemma in lexicon.DOUBLING else "") + "ed"


@cache
def participle(lemma: str) -> str:
    """Return the past participle of a verb."""
    return lexicon.IRREGULAR[lemma].split()[1] if lemma in lexicon.IRREGULAR else past(lemma)


def verb_group(lemma: str, tense: str, negated: bool = False, passive: bool = False, plural: bool = False) -> str:
    """Return the verb with its auxiliaries, e.g. "did not praise", "will be praised"; tense past, future or perfect."""
    no = " not" if negated else ""
    if tense == "future":
        return f"will{no} be {participle(lemma)}" if passive else f"will{no} {lemma}"
    if tense == "perfect":
        return f"{'have' if plural else 'has'}{no} {'been ' if passive else ''}{participle(lemma)}"
    if passive:
        return f"{'were' if plural else 'was'}{no} {participle(lemma)}"
    return f"did not {lemma}" if negated else past(lemma)


def _verbs() -> dict[str, str]:
    """Map every known form of every verb to its lemma."""
    listed = {verb for verbs in lexicon.ACTIONS.values() for verb in verbs.split()}
    listed |= {event.partition(":")[0] for topic in lexicon.TOPICS.values() for event in topic.events}
    listed |= set(lexicon.SOCIAL) | set(lexicon.IRREGULAR) | set(lexicon.OTHER_VERBS.split())
    forms: dict[str, str] = {}
    for lemma in sorted(listed):
        for form in (lemma, past(lemma), participle(lemma)):
            forms.setdefault(form, lemma)
    return forms | {"was": "be", "were": "be", "is": "be", "are": "be"}


LEMMAS = _verbs()


def lemma_of(form: str) -> str:
    """Return the lemma of a verb form of the lexicon."""
    return LEMMAS.get(form, form)


# --- noun phrases ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Person:
    """Someone with a name: the full name, the first name alone, and the pronouns."""

    first: str
    surname: str
    woman: bool

    def phrase(self, full: bool = True) -> Phrase:
        """Return the name as a phrase."""
        words = [self.first, self.surname] if full and self.surname else [self.first]
        phrase = Phrase()
        phrase.add(words, "NP", "person", "person")
        return phrase

    def pronoun(self, case: str = "subject") -> str:
        """Return "she", "her" (object or possessive), "he", "him", "his"."""
        return {"subject": "he she", "object": "him her", "possessive": "his her"}[case].split()[self.woman]

    def pro(self, case: str = "subject") -> Phrase:
        """Return the pronoun as a phrase that means a person."""
        phrase = Phrase(marks=["pronoun"])
        phrase.add([self.pronoun(case)], "NP", meaning="person")
        return phrase


CLEAR_NAMES = tuple([name for name in names if name not in lexicon.CITIES] for names in (lexicon.WOMEN, lexicon.MEN))


def people(dice: Dice, count: int, genders: Sequence[bool] | None = None, full: float = 0.4) -> list[Person]:
    """Return people with different first names and surnames; `genders` says who is a woman.

    Where genders matter, names that could be places are left out, since they could also be of the other gender.
    """
    names = (lexicon.WOMEN, lexicon.MEN) if genders is None else CLEAR_NAMES
    women, men = (dice.sample(of_gender, count) for of_gender in names)
    surnames = dice.sample(lexicon.SURNAMES, count)
    wanted = genders if genders is not None else [dice.chance(0.5) for _ in range(count)]
    return [
        Person(women[i] if woman else men[i], surnames[i] if dice.chance(full) else "", bool(woman))
        for i, woman in enumerate(wanted)
    ]


def someone(dice: Dice, topic: lexicon.Topic | None = None) -> Phrase:
    """Return a person as a noun phrase: a name, or "the old doctor"."""
    if topic is None or dice.chance(0.4):
        return people(dice, 1)[0].phrase()
    return official(dice, dice.pick(topic.people.split(", ")))


def pair(dice: Dice, topic: lexicon.Topic) -> tuple[Phrase, Phrase]:
    """Return two people who are not the same, in random order."""
    one, two = people(dice, 2)
    nouns = dice.sample(topic.people.split(", "), 2)
    first = one.phrase() if dice.chance(0.5) else official(dice, nouns[0])
    second = two.phrase() if dice.chance(0.5) else official(dice, nouns[1])
    return first, second


def official(dice: Dice, noun: str) -> Phrase:
    """Return a person known by trade, "the tired doctor"."""
    words = ["the", *([dice.pick(lexicon.PERSON_ADJECTIVES)] if dice.chance(0.4) else []), *noun.split()]
    phrase = Phrase()
    phrase.add(words, "NP", meaning="person")
    return phrase


def thing(dice: Dice, noun: str, definite: float = 0.6) -> Phrase:
    """Return a thing as a noun phrase; a plural noun is written "+eggs"."""
    plural, noun = noun.startswith("+"), noun.removeprefix("+")
    kind = KIND_OF_NOUN.get(noun, "")
    the = noun in UNCOUNTED or kind in ("idea", "landscape", "happening") or dice.chance(definite)
    adjective = [dice.pick(("old", "new", "small", "large"))] if kind in DESCRIBED and dice.chance(0.3) else []
    phrase = Phrase(plural=plural)
    indefinite = "some" if phrase.plural else article((adjective or [noun])[0])
    phrase.add(["the" if the else indefinite, *adjective, *noun.split()], "NP")
    return phrase


def city(dice: Dice) -> Phrase:
    """Return the name of a city or country."""
    phrase = Phrase()
    phrase.add(dice.pick(lexicon.CITIES).split(), "NP", "location", "place")
    return phrase


def organisation(dice: Dice) -> Phrase:
    """Return the name of an organisation: "Carter Motors", "Boston University", "Novatek"."""
    if dice.chance(0.35):
        words = [dice.pick(lexicon.MADE_UP)]
    else:
        words = [
            *dice.pick((lexicon.SURNAMES, lexicon.CITIES))[int(dice.roll() * 24)].split(),
            dice.pick(lexicon.COMPANY_WORDS),
        ]
    phrase = Phrase()
    phrase.add(words, "NP", "organisation", "organisation")
    return phrase


def product(dice: Dice) -> Phrase:
    """Return the name of a product: "the Falcon"."""
    phrase = Phrase()
    phrase.add(["the"], "NP")
    phrase.add([dice.pick(lexicon.PRODUCTS)], "NP", "product", "machine")
    phrase.chunks[1] = "I-NP"
    return phrase


def place(dice: Dice, topic: lexicon.Topic, other_than: str = "") -> str:
    """Return a place with its preposition; `other_than` names a noun that it must not be."""
    noun = dice.pick([noun for noun in topic.places.split(", ") if noun != other_than])
    return f"{'on' if noun in ONTO else dice.pick(('in', 'at'))} the {noun}"


KIND_OF_NOUN = {noun: kind for kind, nouns in lexicon.BROADER.items() for noun in nouns.split()}
KIND_OF_NOUN |= {noun: kind for kind, nouns in lexicon.THINGS.items() for noun in nouns.split()}
DESCRIBED = {"tool", "vehicle", "garment", "building", "animal"}

# --- clauses -----------------------------------------------------------------------------------------------------


@dataclass
class Event:
    """Who did what to whom: the meaning of one clause, before it has a form."""

    verb: str
    agent: Phrase
    patient: Phrase
    place: str | Phrase = ""
    time: str = ""
    manner: str = ""
    tense: str = "past"
    negated: bool = False


def clause(event: Event, passive: bool = False) -> Phrase:
    """Return the event as a clause in the active or the passive voice."""
    subject = event.patient if passive else event.agent
    manner = " | MNR:{manner}" * bool(event.manner)
    frame = (
        f"1:{{patient}} | ={{verb}}{manner} | 0:by {{agent}}"
        if passive
        else f"0:{{agent}} | ={{verb}} | 1:{{patient}}{manner}"
    )
    frame += " | LOC:{place}" * bool(event.place) + " | TMP:{time}" * bool(event.time)
    verb = verb_group(event.verb, event.tense, event.negated, passive, subject.plural)
    phrase = build(
        frame,
        agent=event.agent,
        patient=event.patient,
        verb=verb,
        place=event.place,
        time=event.time,
        manner=event.manner,
    )
    phrase.marks += [event.tense, *(["passive"] if passive else [])]
    return phrase


def happening(dice: Dice, topic: lexicon.Topic, agent: Phrase | None = None, details: float = 0.35) -> Event:
    """Return a random event of a topic."""
    verb, _, objects = dice.pick(topic.events).partition(": ")
    patient = thing(dice, dice.pick(objects.split(", ")))
    return Event(
        verb, agent or someone(dice, topic), patient,
        place=place(dice, topic, patient.tokens[-1]) if dice.chance(details) else "",
        time=dice.pick(lexicon.TIMES) if dice.chance(details) else "",
        manner=dice.pick(lexicon.MANNERS) if dice.chance(details / 3) else "",
        negated=dice.chance(0.08),
    )  # fmt: skip


def happenings(dice: Dice, topic: lexicon.Topic, details: float = 0.15) -> tuple[Event, Event]:
    """Return two events of a topic, of different people with different things."""
    first, second = (happening(dice, topic, agent, details) for agent in pair(dice, topic))
    while second.patient.tokens[-1] == first.patient.tokens[-1]:
        second = happening(dice, topic, second.agent, details)
    return first, second


def encounter(dice: Dice, agent: Phrase, patient: Phrase, verb: str = "") -> Event:
    """Return an event between two people."""
    return Event(verb or dice.pick(lexicon.SOCIAL), agent, patient)


def relative(head: Phrase, verb: str, other: Phrase, subject: bool = True, pronoun: str = "who") -> Phrase:
    """Return "the doctor who praised the nurse" or "the doctor who the nurse praised".

    The inner predicate has the head as ARG0 or ARG1 and the pronoun as R-ARG0 or R-ARG1.
    """
    phrase = Phrase(plural=head.plural, marks=["relative"])
    phrase.append(head)
    width = len(phrase.tokens)
    inner = build(
        f"0:{pronoun} | =" + "{verb} | 1:{other}" if subject else f"1:{pronoun} | " + "0:{other} | ={verb}",
        verb=verb,
        other=other,
    )
    phrase.append(inner)
    frame = phrase.frames.pop()
    role = "ARG0" if subject else "ARG1"
    spans = [(f"R-{name}" if start == width else name, start, stop) for name, start, stop in frame.spans]
    phrase.frames.append(frame._replace(spans=((role, 0, width), *spans)))
    return phrase


def report(speaker: Phrase, verb: str, inner: Phrase) -> Phrase:
    """Return "Anna said that ..."; what is said is the speaker's ARG1."""
    that = Phrase()
    that.add(["that"], "SBAR")
    that.append(inner)
    return build("0:{speaker} | ={verb} | 1:{that}", speaker=speaker, verb=verb, that=that)
