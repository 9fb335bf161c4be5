"""Passages of the microworld: short texts on one topic, whose latent features are known exactly.

The features come from the derivation of the sentences and from no language model. The parts of the microworld:
``lexicon`` (the words), ``grammar`` (from words to annotated clauses), ``sentences`` (kinds of sentences), ``tasks``
(ten tasks read off those sentences).
"""

from dataclasses import dataclass, replace

import numpy as np

from braintune.core.settings import WorldSettings
from braintune.datasets.microworld import grammar
from braintune.datasets.microworld.grammar import Event, Phrase, Rng, build, clause, past, sentence
from braintune.datasets.microworld.lexicon import LEXICON, Topic


@dataclass(frozen=True)
class WorldStimuli:
    """Sentences in passages, with the latent features that a simulated brain may code.

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
PLEASANT = {word for reviewed in LEXICON.reviewed for word in reviewed["good"]} | set(LEXICON.emotions["joy"].words)
UNPLEASANT = {word for reviewed in LEXICON.reviewed for word in reviewed["bad"]} | {
    word for name in ("sadness", "anger", "fear", "disgust") for word in LEXICON.emotions[name].words
}
CONCRETE = set(LEXICON.things) - {"idea", "happening", "body"}
CONCEPTS = (
    *("person", "place", *LEXICON.things, *LEXICON.actions),
    *("pleasant", "unpleasant", "feeling", "time", "animate", "concrete", *LEXICON.domains),
)
SYNTAX = (
    *("words", "clauses", "passive", "relative", "embedded", "coordinated"),
    *("pronoun", "negation", "prepositional phrases", "future"),
)


def _domains() -> dict[str, dict[str, float]]:
    """Map a word of the topics to its domains; a word of several domains belongs to each in part."""
    domains: dict[str, set[str]] = {}
    for topic in LEXICON.topics.values():
        objects = [noun for nouns in topic.events.values() for noun in nouns]
        for words in (*topic.people, *topic.places, *topic.events, *objects):
            domains.setdefault(words.split()[-1].removeprefix("+"), set()).add(topic.domain)
    return {word: {domain: 1 / len(names) for domain in sorted(names)} for word, names in domains.items()}


DOMAINS_OF_WORD = _domains()


def concepts_of(word: str, chunk: str, meaning: str) -> list[str]:
    """Return the concepts of one word: by its own meaning where the derivation gives one, else by the lexicon."""
    names = [meaning] if meaning else []
    if not meaning and chunk.endswith("VP"):
        names += [kind for kind in [ACTION_OF_VERB.get(grammar.lemma_of(word))] if kind]
    elif not meaning:
        names += ["person"] if word in PEOPLE_NOUNS else [k for k in [grammar.KIND_OF_NOUN.get(word)] if k]
    added = {
        "pleasant": word in PLEASANT,
        "unpleasant": word in UNPLEASANT,
        "feeling": word in grammar.FEELING_WORDS,
        "animate": not {"person", "animal"}.isdisjoint(names),
        "concrete": not CONCRETE.isdisjoint(names),
        "place": not {"building", "landscape"}.isdisjoint(names),
    }
    return names + [name for name, holds in added.items() if holds]


def features(phrase: Phrase) -> tuple[np.ndarray, np.ndarray]:
    """Return the latent features of a sentence, counted on its derivation.

    Returns
    -------
    concepts : float32 array of shape (k_c,)
        Counts, named by ``CONCEPTS``.
    syntax : float32 array of shape (k_s,)
        Counts, named by ``SYNTAX``.
    """
    concepts = dict.fromkeys(CONCEPTS, 0.0)
    next_chunks = [*phrase.chunks[1:], ""]
    for token, chunk, following, meaning in zip(
        phrase.tokens, phrase.chunks, next_chunks, phrase.meanings, strict=True
    ):
        word, head = token.lower(), not following.startswith("I-")
        for name in concepts_of(word, chunk, meaning if head else ""):
            concepts[name] = concepts.get(name, 0.0) + 1
        lemma = grammar.lemma_of(token) if "VP" in chunk else word
        for domain, weight in DOMAINS_OF_WORD.get(lemma, {}).items():
            concepts[domain] += weight
    concepts["time"] = sum(role == "ARGM-TMP" for frame in phrase.frames for role, _, _ in frame.spans)
    syntax = {name: phrase.marks.count(name) for name in SYNTAX} | {
        "words": len(phrase.tokens) - 1,
        "clauses": phrase.marks.count("verb"),
        "prepositional phrases": phrase.chunks.count("B-PP"),
    }
    return (
        np.array([concepts[name] for name in CONCEPTS], dtype=np.float32),
        np.array([syntax[name] for name in SYNTAX], dtype=np.float32),
    )


# --- passages ----------------------------------------------------------------------------------------------------


class Scene:
    """What one passage is about: a topic, its hero and a companion, and the events that are left.

    Its methods return a sentence each.
    """

    def __init__(self, rng: Rng, topic: Topic) -> None:
        self.rng, self.topic = rng, topic
        self.job, companion = rng.sample(topic.people, 2)
        woman = self.job in LEXICON.women_only or (self.job not in LEXICON.men_only and rng.chance(0.5))
        self.hero = grammar.people(rng, 1, [woman], full=0.7)[0]
        self.companion_noun, self.companion = companion, build(f"the {companion}")
        self.possible = [(verb, noun) for verb, nouns in topic.events.items() for noun in nouns]
        self.left = [self.possible[i] for i in rng.permutation(len(self.possible))]

    def event(self, agent: Phrase, place: float = 0) -> Event:
        """Return an event of the topic, a new one while any is left; `place` is the probability that it has a place."""
        with_place = bool(place) and self.rng.chance(place)
        verb, noun = self.left.pop() if self.left else self.rng.choice(self.possible)
        where = grammar.place(self.rng, self.topic, noun) if with_place else ""
        return Event(verb, agent, grammar.thing(self.rng, noun), place=where)

    def described(self) -> Phrase:
        """Return the companion, sometimes with a relative clause about the hero: "the nurse who helped her"."""
        if not self.rng.chance(0.25):
            return self.companion
        verb, subject = past(self.rng.choice(LEXICON.social)), self.rng.chance(0.5)
        return grammar.relative(
            self.companion, verb, self.hero.pronoun_phrase("object" if subject else "subject"), subject
        )

    def arrival(self) -> Phrase:
        """Introduce the hero by name."""
        frame = self.rng.choice((
            "0:{p} | =arrived | LOC:{at} | TMP:{t}", "0:{p} | =met | 1:{c} | LOC:{at} | TMP:{t}",
            "0:{p} | =waited | 2:for {c} | LOC:{at} | TMP:{t}", "0:{p} | =looked | 2:for {c} | TMP:{t}"))  # fmt: skip
        hero = self.hero.phrase()
        if self.rng.chance(0.6):
            hero = build("{p} , the {j} ,", p=hero, j=self.job)
        companion, where = grammar.by_trade(self.rng, self.companion_noun), grammar.place(self.rng, self.topic)
        return sentence(build(frame, p=hero, c=companion, at=where, t=self.rng.choice(LEXICON.times)), marks=["past"])

    def work(self) -> Phrase:
        """The hero, now a pronoun, does something."""
        return sentence(clause(self.event(self.hero.pronoun_phrase(), place=0.6)))

    def done_by(self) -> Phrase:
        """Something is done by the hero."""
        return sentence(clause(self.event(self.hero.pronoun_phrase("object"), place=0.4), passive=True))

    def other_work(self) -> Phrase:
        """The companion does something."""
        return sentence(clause(self.event(self.described(), place=0.3), self.rng.chance(0.3)))

    def both(self) -> Phrase:
        """The hero does one thing, the companion another."""
        first = clause(self.event(self.hero.pronoun_phrase()))
        second = clause(self.event(self.described()), self.rng.chance(0.3))
        return sentence(first, build(f", {self.rng.choice(('and', 'but'))}"), second, marks=["coordinated"])

    def noticed(self) -> Phrase:
        """The hero notices or says something."""
        verb = self.rng.choice(("noticed", "announced", "hoped", "said", "claimed"))
        inner = self.event(self.described())
        inner.negated = self.rng.chance(0.3)
        said = clause(inner, self.rng.chance(0.4))
        return sentence(grammar.report(self.hero.pronoun_phrase(), verb, said), marks=["embedded"])

    def then(self) -> Phrase:
        """One thing after another."""
        word = self.rng.choice(("after", "before", "while"))
        first, second = clause(self.event(self.hero.pronoun_phrase())), clause(self.event(self.described()))
        return sentence(build(word), first, build(","), second, marks=["embedded"])

    def refusal(self) -> Phrase:
        """The hero leaves something undone."""
        return sentence(clause(replace(self.event(self.hero.pronoun_phrase(), place=0.3), negated=True)))

    def dealing(self) -> Phrase:
        """Something between the two people."""
        pair = [self.hero.pronoun_phrase(), self.companion]
        passive = self.rng.chance(0.5)
        event = grammar.encounter(self.rng, *(reversed(pair) if passive else pair))
        return sentence(clause(replace(event, time=self.rng.choice(LEXICON.times)), passive))

    def plan(self) -> Phrase:
        """What comes next."""
        event = self.event(self.hero.pronoun_phrase(), place=0.4)
        return sentence(clause(replace(event, tense="future", time="tomorrow")))

    def mood(self) -> Phrase:
        """How the hero feels in the end, and why."""
        name = self.rng.choice([name for name in LEXICON.emotions if name != "neutral"])
        degree, word = self.rng.choice(LEXICON.intensifiers), self.rng.choice(LEXICON.emotions[name].words)
        state = build("{p} | =was | {d} {w}", p=self.hero.pronoun_phrase(), d=degree, w=word)
        event = self.event(self.described())
        reason = clause(event, self.rng.chance(0.3))
        return sentence(state, build("because"), reason, marks=["past", "embedded"])

    def judgement(self) -> Phrase:
        """What the hero thinks of the day."""
        words = sorted(grammar.VERDICT_WORDS & (PLEASANT | UNPLEASANT) & set(LEXICON.day_words))
        word = self.rng.choice(words)
        frame = self.rng.choice(
            ("{p} | =found | the whole day | {d} {w}", "for {o} , | the day with {c} | =was | {d} {w}")
        )
        subject, other = self.hero.pronoun_phrase(), self.hero.pronoun_phrase("object")
        degree = self.rng.choice(LEXICON.intensifiers)
        return sentence(build(frame, p=subject, o=other, c=self.companion, d=degree, w=word), marks=["past"])


MIDDLES = (
    *(Scene.work, Scene.done_by, Scene.other_work, Scene.both, Scene.both),
    *(Scene.noticed, Scene.then, Scene.refusal, Scene.dealing),
)
ENDINGS = (Scene.mood, Scene.mood, Scene.plan, Scene.judgement)


def passage(rng: Rng, topic: Topic, length: int) -> list[Phrase]:
    """Return a short text of `length` sentences on one topic: a hero arrives, things happen, it ends."""
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
        Seed, numbers of topics, passages and sentences per passage. Passages take the topics in turn.

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
    sentences = [phrase.text() for phrase in phrases]
    return WorldStimuli(sentences, passages, passages % len(names), position, names, concepts, syntax)
