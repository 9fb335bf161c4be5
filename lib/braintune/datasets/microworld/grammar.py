"""The grammar of the microworld: frames become annotated phrases, phrases become sentences.

Everything is a :class:`Phrase`: words with their annotation layers. :func:`build` turns a frame of the lexicon, such as
``"0:{p} | =swung | 1:the *bat"``, into a phrase. Phrases fill the slots of other frames and keep their annotation.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import groupby
from typing import NamedTuple, TypeVar

import numpy as np

from braintune.datasets.microworld.lexicon import LEXICON, Topic

T = TypeVar("T")

VERDICT_WORDS = {word for reviewed in LEXICON.reviewed for word in (*reviewed["good"], *reviewed["bad"])}
FEELING_WORDS = {word for emotion in LEXICON.emotions.values() for word in emotion["words"]}
ADJECTIVES = VERDICT_WORDS | FEELING_WORDS | {*LEXICON.person_adjectives, *LEXICON.other_adjectives}
KIND_OF_NOUN = {noun: kind for table in (LEXICON.broader, LEXICON.things) for kind in table for noun in table[kind]}


class Rng:
    """A seeded source of choices; draws are made in blocks because single draws of a NumPy generator are slow."""

    def __init__(self, seed: int | Sequence[int]):
        self._generator = np.random.default_rng(seed)
        self._draws: list[float] = []

    def random(self) -> float:
        """Return a number in [0, 1)."""
        if not self._draws:
            self._draws = self._generator.random(4096).tolist()
        return self._draws.pop()

    def chance(self, probability: float) -> bool:
        """Return True with the given probability."""
        return self.random() < probability

    def choice(self, options: Sequence[T]) -> T:
        """Return one of `options`."""
        return options[int(self.random() * len(options))]

    def sample(self, options: Sequence[T], k: int) -> list[T]:
        """Return `k` different elements of `options`, in random order."""
        pool = list(options)
        return [pool.pop(int(self.random() * len(pool))) for _ in range(k)]

    def permutation(self, n: int) -> list[int]:
        """Return the numbers below `n` in random order."""
        return self._generator.permutation(n).tolist()


# --- phrases and frames ------------------------------------------------------------------------------------------


class Frame(NamedTuple):
    """One predicate: its position, and the spans ``(role, start, stop)`` of its roles."""

    predicate: int
    spans: tuple[tuple[str, int, int], ...]


@dataclass
class Phrase:
    """Words with their annotation: chunk tag, entity tag and meaning of each word, predicates, and marks of syntax.

    The words are English and in English order; `order` lists their positions in the order of a verb-final language.
    """

    tokens: list[str] = field(default_factory=list)
    chunks: list[str] = field(default_factory=list)
    entities: list[str] = field(default_factory=list)
    meanings: list[str] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    marks: list[str] = field(default_factory=list)
    plural: bool = False
    order: list[int] = field(default_factory=list)

    def add(self, words: Sequence[str], chunk: str, entity: str = "", meaning: str = "") -> "Phrase":
        """Append words that form one chunk (and one entity, if named), and return the phrase."""
        for i, word in enumerate(words):
            self.tokens.append(word.removeprefix("*"))
            self.chunks.append(f"{'I' if i else 'B'}-{chunk}" if chunk else "O")
            self.entities.append(f"{'I' if i else 'B'}-{entity}" if entity else "O")
            self.meanings.append("*" if word.startswith("*") else meaning)
            self.order.append(len(self.order))
        return self

    def append(self, other: "Phrase") -> None:
        """Append a phrase with all its layers."""
        shift = len(self.tokens)
        for layer in ("tokens", "chunks", "entities", "meanings", "marks"):
            getattr(self, layer).extend(getattr(other, layer))
        self.order.extend(position + shift for position in other.order)
        for frame in other.frames:
            spans = tuple((role, start + shift, stop + shift) for role, start, stop in frame.spans)
            self.frames.append(Frame(frame.predicate + shift, spans))

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
def _segments(frame: str) -> list[tuple[str, list[str]]]:
    """Split a frame into (role, items): ``0:`` is ARG0, ``R-0:`` R-ARG0, ``LOC:`` ARGM-LOC, ``=`` V."""
    segments = []
    for text in frame.split("|"):
        name, _, rest = text.strip().rpartition(":")
        role = f"{name[:-1]}ARG{name[-1]}" if name[-1:].isdigit() else f"ARGM-{name}" * bool(name)
        role = "V" if rest.startswith("=") else role
        segments.append((role, rest.removeprefix("=").split()))
    return segments


def _chunk_of(words: list[str]) -> str:
    """Return the type of a chunk without a preposition: noun, adjective or adverb phrase."""
    if words[-1] in ADJECTIVES and words[0] not in ("the", "a"):
        return "ADJP"
    adverb = len(words) == 1 and (words[0] in LEXICON.adverbs or words[0].endswith("ly"))
    return "ADVP" if adverb else "NP"


def _chunks(words: list[str]) -> list[Phrase]:
    """Split plain words into chunks at prepositions, subordinators and conjunctions."""
    if len(words) == 1 and words[0] in LEXICON.subordinators:
        return [Phrase().add(words, "SBAR")]
    chunks = []
    for breaks, group in groupby(words, lambda word: word in LEXICON.prepositions or word in LEXICON.conjunctions):
        run = list(group)
        for chunk in [[word] for word in run] if breaks else [run]:
            name = _chunk_of(run) if not breaks else "PP" if chunk[0] in LEXICON.prepositions else ""
            chunks.append(Phrase().add(chunk, name))
    return chunks


def _add_verb(phrase: Phrase, words: list[str]) -> tuple[int, list[tuple[str, int, int]]]:
    """Append a verb group; return the position of its main verb, and the span of a negation."""
    start = len(phrase.tokens)
    particle = words[-1:] if words[-1] in LEXICON.particles else []
    phrase.add(words[: len(words) - len(particle)], "VP").add(particle, "PRT")
    main = [i for i, word in enumerate(words) if word not in LEXICON.auxiliaries + LEXICON.particles]
    negation = [("ARGM-NEG", start + i, start + i + 1) for i, word in enumerate(words) if word == "not"]
    phrase.marks += ["verb", *["negation"] * bool(negation)]
    return start + max(main, default=0), negation


def _begins_clause(role: str, items: list[str]) -> bool:
    """Whether a segment begins another clause: with a conjunction, a comma, or as a subordinator."""
    return (not role and items[0] in LEXICON.conjunctions) or (len(items) == 1 and items[0] in LEXICON.subordinators)


def _head_last(parts: list[Phrase], start: int) -> list[int]:
    """Return the positions of the words of a segment, with prepositions and subordinators after what they govern."""
    for i, part in enumerate(parts):
        if len(part.tokens) == 1 and part.chunks[0] in ("B-PP", "B-SBAR"):
            before = sum(len(other.tokens) for other in parts[:i])
            rest = _head_last(parts[i + 1 :], start + before + 1)
            return [*rest, start + before, *_head_last(parts[:i], start)]
    order: list[int] = []
    for part in parts:
        order += [start + len(order) + position for position in part.order]
    return order


def build(frame: str, **slots: str | Phrase) -> Phrase:
    """Return the phrase of a frame whose slots are filled with words or phrases.

    The roles belong to the first verb of the frame; the verbs of phrases in its slots keep their own. In the order of a
    verb-final language, the verb groups of a clause follow its other segments.
    """
    phrase = Phrase()
    spans: list[tuple[str, int, int]] = []
    predicate = None
    order: list[int] = []
    verbs: list[int] = []
    for role, items in _segments(frame):
        start = len(phrase.tokens)
        parts: list[Phrase] = []
        words: list[str] = []
        for item in items:
            value = slots[item[1:-1]] if item[0] == "{" else item
            if isinstance(value, Phrase):
                parts += [*_chunks(words), value]
                words = []
            else:
                words.extend(value.split())
        if role == "V":
            position, negation = _add_verb(phrase, words)
            verbs += range(start, len(phrase.tokens))
            if predicate is None:
                predicate, spans = position, spans + negation
            continue
        if _begins_clause(role, items):
            order, verbs = order + verbs, []
        parts += _chunks(words)
        for part in parts:
            phrase.append(part)
        order += _head_last(parts, start)
        if role:
            spans.append((role, start, len(phrase.tokens)))
    phrase.order = order + verbs
    if predicate is not None and spans:
        phrase.frames.append(Frame(predicate, tuple(sorted(spans, key=lambda span: span[1]))))
    return phrase


def join(*phrases: Phrase) -> Phrase:
    """Concatenate phrases into one phrase."""
    whole = Phrase()
    for phrase in phrases:
        whole.append(phrase)
    return whole


def sentence(*phrases: Phrase, marks: Sequence[str] = (), end: str = ".") -> Phrase:
    """Join phrases into one sentence: capital letter, full stop or another `end`, "an" before a vowel."""
    whole = join(*phrases).add([end], "")
    whole.marks.extend(marks)
    for i, word in enumerate(whole.tokens[:-1]):
        if word in ("a", "an"):
            whole.tokens[i] = article(whole.tokens[i + 1])
    whole.tokens[0] = whole.tokens[0][0].upper() + whole.tokens[0][1:]
    return whole


# --- words -------------------------------------------------------------------------------------------------------


def article(word: str) -> str:
    """Return "a" or "an"."""
    silent_h = word.startswith(("hour", "honest"))
    return "an" if silent_h or (word[0].lower() in "aeiou" and not word.startswith(("uni", "use", "Uni"))) else "a"


@cache
def past(lemma: str) -> str:
    """Return the past tense of a verb."""
    if lemma in LEXICON.irregular:
        return LEXICON.irregular[lemma][0]
    if lemma.endswith("e"):
        return lemma + "d"
    if lemma.endswith("y") and lemma[-2] not in "aeiou":
        return lemma[:-1] + "ied"
    return lemma + (lemma[-1] if lemma in LEXICON.doubling else "") + "ed"


def participle(lemma: str) -> str:
    """Return the past participle of a verb."""
    return LEXICON.irregular[lemma][1] if lemma in LEXICON.irregular else past(lemma)


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


@cache
def _lemmas() -> dict[str, str]:
    """Map every known form of every verb to its lemma."""
    listed = {verb for verbs in LEXICON.actions.values() for verb in verbs}
    listed |= {verb for topic in LEXICON.topics.values() for verb in topic.events}
    listed |= {*LEXICON.social, *LEXICON.irregular, *LEXICON.other_verbs}
    forms: dict[str, str] = {}
    for lemma in sorted(listed):
        for form in (lemma, past(lemma), participle(lemma)):
            forms.setdefault(form, lemma)
    return forms | dict.fromkeys(("was", "were", "is", "are"), "be")


def lemma_of(form: str) -> str:
    """Return the lemma of a verb form of the lexicon; any other word is returned unchanged."""
    return _lemmas().get(form, form)


# --- noun phrases ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Person:
    """A named person: first name, perhaps a surname, and whether the person is a woman."""

    names: tuple[str, ...]
    woman: bool

    def phrase(self, full: bool = True) -> Phrase:
        """Return the name as a phrase."""
        return Phrase().add(self.names if full else self.names[:1], "NP", "person", "person")

    def pronoun(self, case: str = "subject") -> Phrase:
        """Return "she" or "he", or with case "object" "her" or "him", as a phrase."""
        word = {"subject": ("he", "she"), "object": ("him", "her")}[case][self.woman]
        return Phrase(marks=["pronoun"]).add([word], "NP", meaning="person")


def people(rng: Rng, count: int, genders: Sequence[bool] | None = None, full: float = 0.4) -> list[Person]:
    """Return people with different names, a surname with probability `full`; `genders` says who is a woman.

    If genders are given, names that are also places are left out, since they could be of either gender.
    """
    ambiguous = LEXICON.cities if genders is not None else []
    women, men = (
        rng.sample([name for name in names if name not in ambiguous], count) for names in (LEXICON.women, LEXICON.men)
    )
    surnames = rng.sample(LEXICON.surnames, count)
    genders = [rng.chance(0.5) for _ in range(count)] if genders is None else genders
    return [
        Person((women[i] if woman else men[i], *([surnames[i]] if rng.chance(full) else [])), bool(woman))
        for i, woman in enumerate(genders)
    ]


def named(rng: Rng, full: float = 0.4) -> Phrase:
    """Return a person known by name."""
    return people(rng, 1, full=full)[0].phrase()


def two_named(rng: Rng) -> tuple[Phrase, Phrase]:
    """Return two people known by name."""
    one, two = people(rng, 2)
    return one.phrase(), two.phrase()


def by_trade(rng: Rng, noun: str) -> Phrase:
    """Return a person known by trade, "the tired doctor"."""
    adjective = [rng.choice(LEXICON.person_adjectives)] if rng.chance(0.4) else []
    return Phrase().add(["the", *adjective, *noun.split()], "NP", meaning="person")


def someone(rng: Rng, topic: Topic) -> Phrase:
    """Return a person, by name or by a trade of the topic."""
    return named(rng) if rng.chance(0.4) else by_trade(rng, rng.choice(topic.people))


def pair(rng: Rng, topic: Topic) -> tuple[Phrase, Phrase]:
    """Return two different people, each by name or by trade."""
    names, nouns = two_named(rng), rng.sample(topic.people, 2)
    first, second = (name if rng.chance(0.5) else by_trade(rng, noun) for name, noun in zip(names, nouns, strict=True))
    return first, second


def thing(rng: Rng, noun: str, definite: float = 0.6) -> Phrase:
    """Return a thing as a noun phrase; a plural noun is written "+eggs"."""
    plural, noun = noun.startswith("+"), noun.removeprefix("+")
    kind = KIND_OF_NOUN.get(noun, "")
    the = noun in LEXICON.uncounted or kind in LEXICON.definite or rng.chance(definite)
    adjective = [rng.choice(("old", "new", "small", "large"))] if kind in LEXICON.described and rng.chance(0.3) else []
    determiner = "the" if the else "some" if plural else article((adjective or [noun])[0])
    return Phrase(plural=plural).add([determiner, *adjective, *noun.split()], "NP")


def city(rng: Rng) -> Phrase:
    """Return the name of a city or country."""
    return Phrase().add(rng.choice(LEXICON.cities).split(), "NP", "location", "place")


def organisation(rng: Rng) -> Phrase:
    """Return the name of an organisation: "Carter Motors", "Boston University", "Novatek"."""
    if rng.chance(0.35):
        words = [rng.choice(LEXICON.made_up)]
    else:
        owner = rng.choice((LEXICON.surnames, LEXICON.cities))[int(rng.random() * 24)]
        words = [*owner.split(), rng.choice(LEXICON.company_words)]
    return Phrase().add(words, "NP", "organisation", "organisation")


def product(rng: Rng) -> Phrase:
    """Return the name of a product: "the Falcon"."""
    phrase = Phrase().add(["the", rng.choice(LEXICON.products)], "NP")
    phrase.entities[1], phrase.meanings[1] = "B-product", "machine"
    return phrase


def place(rng: Rng, topic: Topic, other_than: str = "") -> str:
    """Return a place with its preposition; `other_than` is a noun that it must not be."""
    noun = rng.choice([noun for noun in topic.places if noun != other_than])
    return f"{'on' if noun in LEXICON.on_places else rng.choice(('in', 'at'))} the {noun}"


# --- clauses -----------------------------------------------------------------------------------------------------


@dataclass
class Event:
    """Who did what to whom: the meaning of one clause, before it has a form."""

    verb: str
    agent: Phrase
    patient: Phrase
    place: str = ""
    time: str = ""
    manner: str = ""
    tense: str = "past"
    negated: bool = False


def clause(event: Event, passive: bool = False) -> Phrase:
    """Return the event as a clause in the active or the passive voice."""
    subject = event.patient if passive else event.agent
    verb = verb_group(event.verb, event.tense, event.negated, passive, subject.plural)
    frame = "1:{patient} | ={verb}" if passive else "0:{agent} | ={verb} | 1:{patient}"
    frame += " | MNR:{manner}" * bool(event.manner) + " | 0:by {agent}" * passive
    frame += " | LOC:{place}" * bool(event.place) + " | TMP:{time}" * bool(event.time)
    phrase = build(frame, **vars(event) | {"verb": verb})
    phrase.marks += [event.tense, *["passive"] * passive]
    return phrase


def happening(rng: Rng, topic: Topic, agent: Phrase | None = None, details: float = 0.35) -> Event:
    """Return a random event of a topic."""
    verb, objects = rng.choice(list(topic.events.items()))
    patient = thing(rng, rng.choice(objects))
    return Event(
        verb, agent or someone(rng, topic), patient,
        place=place(rng, topic, patient.tokens[-1]) if rng.chance(details) else "",
        time=rng.choice(LEXICON.times) if rng.chance(details) else "",
        manner=rng.choice(LEXICON.manners) if rng.chance(details / 3) else "",
        negated=rng.chance(0.08),
    )  # fmt: skip


def happenings(rng: Rng, topic: Topic, details: float = 0.15) -> tuple[Event, Event]:
    """Return two events of a topic, of different people with different things."""
    first, second = (happening(rng, topic, agent, details) for agent in pair(rng, topic))
    while second.patient.tokens[-1] == first.patient.tokens[-1]:
        second = happening(rng, topic, second.agent, details)
    return first, second


def relative(head: Phrase, verb: str, other: Phrase, subject: bool = True) -> Phrase:
    """Return "the doctor who praised the nurse" or, if not `subject`, "the doctor who the nurse praised"."""
    frame = "0:{head} | R-0:who | ={verb} | 1:{other}" if subject else "1:{head} | R-1:who | 0:{other} | ={verb}"
    phrase = build(frame, head=head, verb=verb, other=other)
    phrase.plural = head.plural
    phrase.marks.append("relative")
    return phrase


def report(speaker: Phrase, verb: str, inner: Phrase) -> Phrase:
    """Return "Anna said that ..."; what is said is the speaker's ARG1."""
    return build("0:{speaker} | ={verb} | 1:that {inner}", speaker=speaker, verb=verb, inner=inner)
