"""Passages of the microworld: short texts on one topic, whose latent features are known exactly.

The features come from the derivation of the sentences, not from a language model.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from functools import partialmethod
from typing import Any

import numpy as np

from braintune.core.settings import WorldSettings
from braintune.datasets.microworld import grammar
from braintune.datasets.microworld.grammar import FEELING_WORDS, Event, Phrase, Rng, build, clause, past, sentence
from braintune.datasets.microworld.languages import LANGUAGES
from braintune.datasets.microworld.lexicon import LEXICON, Topic


@dataclass(frozen=True)
class WorldStimuli:
    """Sentences in passages, with the latent features that a simulated brain may encode.

    Attributes
    ----------
    sentences : list of str, length n
    passage, topic, position : array of shape (n,)
        Passage of each sentence, topic of that passage (row of `topic_names`), position of the sentence in its passage.
    concepts : float32 array of shape (n, k_c)
        What a sentence is about, named by ``CONCEPTS``.
    syntax : float32 array of shape (n, k_s)
        Its syntactic form, named by ``SYNTAX``.
    """

    sentences: list[str]
    passage: np.ndarray
    topic: np.ndarray
    position: np.ndarray
    topic_names: list[str]
    concepts: np.ndarray
    syntax: np.ndarray


# --- features ----------------------------------------------------------------------------------------------------

ACTION_OF_VERB = {verb: kind for kind, verbs in reversed(LEXICON.actions.items()) for verb in verbs}
PEOPLE_NOUNS = {noun for topic in LEXICON.topics.values() for noun in topic.people} | set(LEXICON.jobs)
UNHAPPY = ("sadness", "anger", "fear", "disgust")
PLEASANT = {word for reviewed in LEXICON.reviewed for word in reviewed["good"]} | set(LEXICON.emotions["joy"]["words"])
UNPLEASANT = {word for reviewed in LEXICON.reviewed for word in reviewed["bad"]}
UNPLEASANT |= {word for name in UNHAPPY for word in LEXICON.emotions[name]["words"]}
CONCRETE = set(LEXICON.things) - {"idea", "happening", "body"}
CONCEPTS = (
    *("person", "place", *LEXICON.things, *LEXICON.actions),
    *("pleasant", "unpleasant", "feeling", "time", "animate", "concrete", *LEXICON.domains),
)
SYNTAX = (
    *("words", "clauses", "passive", "relative", "embedded", "coordinated"),
    *("pronoun", "negation", "prepositional phrases", "future"),
)


def _domains() -> dict[str, set[str]]:
    """Map each word of the topics to its domains."""
    domains: dict[str, set[str]] = {}
    for topic in LEXICON.topics.values():
        objects = [noun for nouns in topic.events.values() for noun in nouns]
        for words in (*topic.people, *topic.places, *topic.events, *objects):
            domains.setdefault(words.split()[-1].removeprefix("+"), set()).add(topic.domain)
    return domains


DOMAINS_OF_WORD = _domains()


def concepts_of(word: str, chunk: str, meaning: str) -> list[str]:
    """Return the concepts of one word: from its meaning if the derivation gives one, else from the lexicon."""
    if not meaning and chunk.endswith("VP"):
        meaning = ACTION_OF_VERB.get(grammar.lemma_of(word), "")
    elif not meaning:
        meaning = "person" if word in PEOPLE_NOUNS else grammar.KIND_OF_NOUN.get(word, "")
    holds = {
        meaning: bool(meaning),
        "pleasant": word in PLEASANT,
        "unpleasant": word in UNPLEASANT,
        "feeling": word in FEELING_WORDS,
        "animate": meaning in ("person", "animal"),
        "concrete": meaning in CONCRETE,
    }
    return [name for name, true in holds.items() if true] + ["place"] * (meaning in ("building", "landscape"))


def features(phrase: Phrase) -> tuple[np.ndarray, np.ndarray]:
    """Return the latent features of a sentence, counted in its derivation.

    Returns
    -------
    concepts : float32 array of shape (k_c,)
        Counts, named by ``CONCEPTS``; a word of several domains counts fractionally for each.
    syntax : float32 array of shape (k_s,)
        Counts, named by ``SYNTAX``.
    """
    concepts: dict[str, float] = defaultdict(float)
    next_chunks = [*phrase.chunks[1:], ""]
    words = zip(phrase.tokens, phrase.chunks, next_chunks, phrase.meanings, strict=True)
    for token, chunk, following, meaning in words:
        word, is_head = token.lower(), not following.startswith("I-")
        for name in concepts_of(word, chunk, meaning if is_head else ""):
            concepts[name] += 1
        domains = DOMAINS_OF_WORD.get(grammar.lemma_of(token) if "VP" in chunk else word, ())
        for domain in domains:
            concepts[domain] += 1 / len(domains)
    concepts["time"] = sum(role == "ARGM-TMP" for frame in phrase.frames for role, _, _ in frame.spans)
    syntax = Counter(phrase.marks)
    syntax["words"] = len(phrase.tokens) - 1
    syntax["clauses"] = syntax["verb"]
    syntax["prepositional phrases"] = phrase.chunks.count("B-PP")
    return (
        np.array([concepts[name] for name in CONCEPTS], dtype=np.float32),
        np.array([syntax[name] for name in SYNTAX], dtype=np.float32),
    )


# --- passages ----------------------------------------------------------------------------------------------------


class Scene:
    """What one passage is about: a topic, its hero and a companion, and the events that are left.

    Each public method returns one sentence.
    """

    def __init__(self, rng: Rng, topic: Topic) -> None:
        self.rng, self.topic = rng, topic
        self.job, self.companion_noun = rng.sample(topic.people, 2)
        woman = self.job in LEXICON.women_only or (self.job not in LEXICON.men_only and rng.chance(0.5))
        self.hero = grammar.people(rng, 1, [woman], full=0.7)[0]
        self.companion = build(f"the {self.companion_noun}")
        self.possible = [(verb, noun) for verb, nouns in topic.events.items() for noun in nouns]
        self.left = [self.possible[i] for i in rng.permutation(len(self.possible))]

    def _event(self, agent: Phrase, place: float = 0) -> Event:
        """Return an event of the topic, a new one while any is left; `place` is the probability of giving a place."""
        with_place = bool(place) and self.rng.chance(place)
        verb, noun = self.left.pop() if self.left else self.rng.choice(self.possible)
        where = grammar.place(self.rng, self.topic, noun) if with_place else ""
        return Event(verb, agent, grammar.thing(self.rng, noun), place=where)

    def _described(self) -> Phrase:
        """Return the companion, sometimes with a relative clause about the hero: "the nurse who helped her"."""
        if not self.rng.chance(0.25):
            return self.companion
        verb, subject = past(self.rng.choice(LEXICON.social)), self.rng.chance(0.5)
        return grammar.relative(self.companion, verb, self.hero.pronoun("object" if subject else "subject"), subject)

    def arrival(self) -> Phrase:
        """Introduce the hero by name."""
        frame = self.rng.choice(LEXICON.arrivals)
        hero = self.hero.phrase()
        if self.rng.chance(0.6):
            hero = build("{p} , the {j} ,", p=hero, j=self.job)
        companion, where = grammar.by_trade(self.rng, self.companion_noun), grammar.place(self.rng, self.topic)
        return sentence(build(frame, p=hero, c=companion, at=where, t=self.rng.choice(LEXICON.times)))

    def _hero_acts(self, place: float, passive: bool = False, **details: Any) -> Phrase:
        event = self._event(self.hero.pronoun("object" if passive else "subject"), place)
        return sentence(clause(replace(event, **details), passive))

    # The hero, now a pronoun, does something; something is done by the hero, is not done, or is planned.
    work = partialmethod(_hero_acts, 0.6)
    done_by = partialmethod(_hero_acts, 0.4, passive=True)
    refusal = partialmethod(_hero_acts, 0.3, negated=True)
    plan = partialmethod(_hero_acts, 0.4, tense="future", time="tomorrow")

    def other_work(self) -> Phrase:
        """The companion does something."""
        return sentence(clause(self._event(self._described(), place=0.3), self.rng.chance(0.3)))

    def both(self) -> Phrase:
        """The hero does one thing, the companion another."""
        first = clause(self._event(self.hero.pronoun()))
        second = clause(self._event(self._described()), self.rng.chance(0.3))
        return sentence(first, build(f", {self.rng.choice(('and', 'but'))}"), second, marks=["coordinated"])

    def noticed(self) -> Phrase:
        """The hero notices or says something."""
        verb = self.rng.choice(("noticed", "announced", "hoped", "said", "claimed"))
        inner = replace(self._event(self._described()), negated=self.rng.chance(0.3))
        said = clause(inner, self.rng.chance(0.4))
        return sentence(grammar.report(self.hero.pronoun(), verb, said), marks=["embedded"])

    def then(self) -> Phrase:
        """One thing after another."""
        word = build(self.rng.choice(("after", "before", "while")))
        first, second = clause(self._event(self.hero.pronoun())), clause(self._event(self._described()))
        return sentence(word, first, build(","), second, marks=["embedded"])

    def dealing(self) -> Phrase:
        """Something happens between the two people."""
        passive = self.rng.chance(0.5)
        hero, verb = self.hero.pronoun(), self.rng.choice(LEXICON.social)
        agent, patient = (self.companion, hero) if passive else (hero, self.companion)
        return sentence(clause(Event(verb, agent, patient, time=self.rng.choice(LEXICON.times)), passive))

    def mood(self) -> Phrase:
        """How the hero feels in the end, and why."""
        name = self.rng.choice([name for name in LEXICON.emotions if name != "neutral"])
        degree, word = self.rng.choice(LEXICON.intensifiers), self.rng.choice(LEXICON.emotions[name]["words"])
        state = build("{p} | =was | {d} {w}", p=self.hero.pronoun(), d=degree, w=word)
        reason = clause(self._event(self._described()), self.rng.chance(0.3))
        return sentence(state, build("because"), reason, marks=["embedded"])

    def judgement(self) -> Phrase:
        """What the hero thinks of the day."""
        word = self.rng.choice(LEXICON.day_words)
        frame = self.rng.choice(LEXICON.judgements)
        slots = {"p": self.hero.pronoun(), "o": self.hero.pronoun("object"), "c": self.companion, "w": word}
        return sentence(build(frame, d=self.rng.choice(LEXICON.intensifiers), **slots))


MIDDLES = (
    *(Scene.work, Scene.done_by, Scene.other_work, Scene.both, Scene.both),
    *(Scene.noticed, Scene.then, Scene.refusal, Scene.dealing),
)
ENDINGS = (Scene.mood, Scene.mood, Scene.plan, Scene.judgement)


def passage(rng: Rng, topic: Topic, length: int) -> list[Phrase]:
    """Return a short text of `length` sentences on one topic: the arrival of a hero, events, an ending."""
    scene = Scene(rng, topic)
    rounds = range(0, length, len(MIDDLES))
    middles = [MIDDLES[i] for _ in rounds for i in rng.permutation(len(MIDDLES))]
    parts = [Scene.arrival, *middles[: length - 2], rng.choice(ENDINGS)]
    return [part(scene) for part in parts[:length]]


def stimuli(settings: WorldSettings) -> WorldStimuli:
    """Generate the stimulus passages and their latent features.

    Parameters
    ----------
    settings : WorldSettings
        Seed, numbers of topics, passages and sentences per passage, and language. Passages cycle through the topics.
        The features are the same in every language.

    Returns
    -------
    WorldStimuli
        ``passages * sentences_per_passage`` sentences, all different, in reading order.
    """
    rng = Rng(settings.world_seed)
    names = list(LEXICON.topics)[: settings.topics]
    length = settings.sentences_per_passage
    phrases: list[Phrase] = []
    known: set[str] = set()
    for i in range(settings.passages):
        while True:
            made = passage(rng, LEXICON.topics[names[i % len(names)]], length)
            texts = {phrase.text() for phrase in made}
            if len(texts) == length and known.isdisjoint(texts):
                break
        known |= texts
        phrases += made
    passages = np.repeat(np.arange(settings.passages), length)
    concepts, syntax = (np.stack(rows) for rows in zip(*map(features, phrases), strict=True))
    position = np.tile(np.arange(length), settings.passages)
    sentences = [LANGUAGES[settings.language].say(phrase).text() for phrase in phrases]
    return WorldStimuli(sentences, passages, passages % len(names), position, names, concepts, syntax)
