"""The microworld: a small generated world with its sentences, its ten tasks and its stimuli.

The rooms behind this door: ``microworld_lexicon`` (the words), ``microworld_grammar`` (from words to annotated
clauses), ``microworld_kinds`` (kinds of sentences), ``microworld_tasks`` (ten tasks read off those sentences). Here,
sentences become little texts on one topic whose latent features are known exactly, because they come from the
derivation and from no language model.
"""

from dataclasses import dataclass

import numpy as np

from braintune.core.base import BraintuneError
from braintune.core.settings import WorldSettings
from braintune.datasets.microworld import grammar, lexicon
from braintune.datasets.microworld.grammar import Dice, Event, Phrase, build, clause, past, plain, sentence
from braintune.datasets.microworld.sentences import any_sentence
from braintune.datasets.microworld.tasks import READERS, task_rows

__all__ = ["READERS", "WorldStimuli", "features", "passage", "sentences", "stimuli", "task_rows"]


@dataclass(frozen=True)
class WorldStimuli:
    """Sentences in passages, with the latent features that a simulated brain may know.

    Attributes
    ----------
    sentences : list of str, length n
    passage, topic, position : array of shape (n,)
        Passage of each sentence, topic of that passage (row of `topic_names`), place of the sentence in its passage.
    concepts : float32 array of shape (n, k_c)
        What a sentence is about, named by `concept_names`.
    syntax : float32 array of shape (n, k_s)
        How it is said, named by `syntax_names`.
    """

    sentences: list[str]
    passage: np.ndarray
    topic: np.ndarray
    position: np.ndarray
    topic_names: list[str]
    concepts: np.ndarray
    concept_names: list[str]
    syntax: np.ndarray
    syntax_names: list[str]


def sentences(n: int, seed: int) -> list[Phrase]:
    """Return `n` annotated sentences of all kinds and topics.

    Parameters
    ----------
    n : int
        Number of sentences; the same sentence may come twice.
    seed : int
        The same seed gives the same sentences.

    Returns
    -------
    list of Phrase
        Each with its tokens, chunk tags, entity tags and predicates with roles.
    """
    if n < 0:
        raise BraintuneError(f"n: {n} must be 0 or more")
    dice = Dice(seed)
    return [any_sentence(dice) for _ in range(n)]


# --- features ----------------------------------------------------------------------------------------------------

ACTION_OF_VERB = {verb: kind for kind, verbs in reversed(lexicon.ACTIONS.items()) for verb in verbs.split()}
PEOPLE_NOUNS = {noun for topic in lexicon.TOPICS.values() for noun in topic.people.split(", ")} | set(lexicon.JOBS)
PLEASANT = {word for good, _ in lexicon.REVIEWED.values() for word in good.split()} | set(
    lexicon.EMOTIONS["joy"][1].split()
)
UNPLEASANT = {word for _, bad in lexicon.REVIEWED.values() for word in bad.split()} | {
    word for name in ("sadness", "anger", "fear", "disgust") for word in lexicon.EMOTIONS[name][1].split()
}
CONCEPTS = (
    *("person", "place", *lexicon.THINGS, *lexicon.ACTIONS),
    *("pleasant", "unpleasant", "feeling", "time", "animate", "concrete", *lexicon.DOMAINS),
)
SYNTAX = (
    *("words", "clauses", "passive", "relative", "embedded", "coordinated"),
    *("pronoun", "negation", "prepositional phrases", "future"),
)
_CONCRETE = set(lexicon.THINGS) - {"idea", "happening", "body"}


def _domains() -> dict[str, dict[str, float]]:
    """Map a word of the topics to its domains; a word of several domains belongs to each in part."""
    found: dict[str, set[str]] = {}
    for topic in lexicon.TOPICS.values():
        listed = ", ".join([topic.people, topic.places, *topic.events]).replace("+", "").replace(":", ",")
        for word in listed.split(", "):
            found.setdefault(word.split()[-1], set()).add(topic.domain)
    return {word: {domain: 1 / len(domains) for domain in sorted(domains)} for word, domains in found.items()}


DOMAINS_OF_WORD = _domains()


def meanings(word: str, chunk: str, meaning: str) -> list[str]:
    """Return the concepts of one word: by its own meaning where the derivation gives one, else by the lexicon."""
    found = [meaning] if meaning else []
    if chunk.endswith("VP"):
        found += [
            ACTION_OF_VERB[lemma] for lemma in [grammar.lemma_of(word)] if lemma in ACTION_OF_VERB and not meaning
        ]
    elif not meaning:
        found += ["person"] if word in PEOPLE_NOUNS else [k for k in [grammar.KIND_OF_NOUN.get(word)] if k]
    found += ["pleasant"] * (word in PLEASANT) + ["unpleasant"] * (word in UNPLEASANT)
    found += ["feeling"] * (word in grammar.FEELING_WORDS)
    found += ["animate"] * ("person" in found or "animal" in found) + ["concrete"] * bool(_CONCRETE & set(found))
    return found + ["place"] * ("building" in found or "landscape" in found)


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
    for i, (word, chunk, meaning) in enumerate(zip(phrase.tokens, phrase.chunks, phrase.meanings, strict=True)):
        head = i + 1 == len(phrase.chunks) or not phrase.chunks[i + 1].startswith("I-")
        for name in meanings(word.lower(), chunk, meaning if head else ""):
            concepts[name] = concepts.get(name, 0.0) + 1
        for domain, weight in DOMAINS_OF_WORD.get(
            grammar.lemma_of(word) if "VP" in chunk else word.lower(), {}
        ).items():
            concepts[domain] += weight
    spans = [name for frame in phrase.frames for name, _, _ in frame.spans]
    concepts["time"] = float(spans.count("ARGM-TMP"))
    marks = phrase.marks
    counted = {name: float(marks.count(name)) for name in SYNTAX}
    counted |= {
        "words": float(len(phrase.tokens) - 1), "clauses": float(marks.count("verb")),
        "prepositional phrases": float(phrase.chunks.count("B-PP")),
    }  # fmt: skip
    return (
        np.array([concepts[name] for name in CONCEPTS], dtype=np.float32),
        np.array([counted[name] for name in SYNTAX], dtype=np.float32),
    )


# --- passages ----------------------------------------------------------------------------------------------------


@dataclass
class Scene:
    """What one passage is about: a topic, its hero and a companion, and the events not told yet."""

    dice: Dice
    topic: lexicon.Topic
    hero: grammar.Person
    job: str
    companion: str
    events: list[tuple[str, str]]

    def event(self, agent: Phrase, place: bool = False) -> Event:
        """Return an event of the topic that was not told yet, while there are any."""
        told = self.events.pop() if self.events else self.dice.pick(_events(self.topic))
        where = grammar.place(self.dice, self.topic, told[1]) if place else ""
        return Event(told[0], agent, grammar.thing(self.dice, told[1]), place=where)

    def other(self) -> Phrase:
        """Return the companion, "the nurse"."""
        return build("the {x}", x=self.companion)

    def described(self) -> Phrase:
        """Return the companion, sometimes with a relative clause about the hero: "the nurse who helped her"."""
        if not self.dice.chance(0.25):
            return self.other()
        verb = past(self.dice.pick(lexicon.SOCIAL))
        if self.dice.chance(0.5):
            return grammar.relative(self.other(), verb, self.hero.pro("object"))
        return grammar.relative(self.other(), verb, self.hero.pro(), subject=False)


def _events(topic: lexicon.Topic) -> list[tuple[str, str]]:
    return [(event.partition(": ")[0], noun) for event in topic.events for noun in event.partition(": ")[2].split(", ")]


def _scene(dice: Dice, topic: lexicon.Topic) -> Scene:
    hero, companion = dice.sample(topic.people.split(", "), 2)
    woman = hero in WOMEN_ONLY or (hero not in MEN_ONLY and dice.chance(0.5))
    person = grammar.people(dice, 1, [woman], full=0.7)[0]
    events = _events(topic)
    return Scene(dice, topic, person, hero, companion, [events[i] for i in dice.order(len(events))])


WOMEN_ONLY, MEN_ONLY = {"bride", "bridesmaid", "actress"}, {"groom", "priest", "headmaster"}


def _arrival(scene: Scene) -> Phrase:
    """Introduce the hero by name."""
    dice = scene.dice
    frame = dice.pick((
        "0:{p} | =arrived | LOC:{at} | TMP:{t}", "0:{p} | =met | 1:{c} | LOC:{at} | TMP:{t}",
        "0:{p} | =waited | 2:for {c} | LOC:{at} | TMP:{t}", "0:{p} | =looked | 2:for {c} | TMP:{t}"))  # fmt: skip
    hero = scene.hero.phrase()
    if dice.chance(0.6):
        hero = build("{p} , the {j} ,", p=hero, j=scene.job)
    slots = {
        "p": hero,
        "c": grammar.official(dice, scene.companion),
        "at": grammar.place(dice, scene.topic),
        "t": dice.pick(lexicon.TIMES),
    }
    return sentence(build(frame, **slots), marks=["past"])


def _work(scene: Scene) -> Phrase:
    """The hero, now a pronoun, does something."""
    return sentence(clause(scene.event(scene.hero.pro(), place=scene.dice.chance(0.6))))


def _done_by(scene: Scene) -> Phrase:
    """Something is done by the hero."""
    return sentence(clause(scene.event(scene.hero.pro("object"), place=scene.dice.chance(0.4)), passive=True))


def _other_work(scene: Scene) -> Phrase:
    """The companion does something."""
    return sentence(clause(scene.event(scene.described(), place=scene.dice.chance(0.3)), scene.dice.chance(0.3)))


def _both(scene: Scene) -> Phrase:
    """The hero does one thing, the companion another."""
    first, second = (
        clause(scene.event(scene.hero.pro())),
        clause(scene.event(scene.described()), scene.dice.chance(0.3)),
    )
    return sentence(first, plain(f", {scene.dice.pick(('and', 'but'))}"), second, marks=["coordinated"])


def _noticed(scene: Scene) -> Phrase:
    """The hero notices or says something."""
    verb = scene.dice.pick(("noticed", "announced", "hoped", "said", "claimed"))
    inner = scene.event(scene.described())
    inner.negated = scene.dice.chance(0.3)
    return sentence(grammar.report(scene.hero.pro(), verb, clause(inner, scene.dice.chance(0.4))), marks=["embedded"])


def _then(scene: Scene) -> Phrase:
    """One thing after another."""
    word = scene.dice.pick(("after", "before", "while"))
    first, second = clause(scene.event(scene.hero.pro())), clause(scene.event(scene.described()))
    return sentence(plain(word), first, plain(","), second, marks=["embedded"])


def _refusal(scene: Scene) -> Phrase:
    """The hero leaves something undone."""
    event = scene.event(scene.hero.pro(), place=scene.dice.chance(0.3))
    event.negated = True
    return sentence(clause(event))


def _dealing(scene: Scene) -> Phrase:
    """Something between the two people."""
    pair = [scene.hero.pro(), scene.other()]
    if passive := scene.dice.chance(0.5):
        pair = [scene.other(), scene.hero.pro()]
    event = grammar.encounter(scene.dice, *pair)
    event.time = scene.dice.pick(lexicon.TIMES)
    return sentence(clause(event, passive))


def _plan(scene: Scene) -> Phrase:
    """What comes next."""
    event = scene.event(scene.hero.pro(), place=scene.dice.chance(0.4))
    event.tense, event.time = "future", "tomorrow"
    return sentence(clause(event))


def _mood(scene: Scene) -> Phrase:
    """How the hero feels in the end, and why."""
    dice = scene.dice
    name = dice.pick([name for name in lexicon.EMOTIONS if name != "neutral"])
    state = build(
        "{p} | =was | {d} {w}",
        p=scene.hero.pro(),
        d=dice.pick(lexicon.INTENSIFIERS),
        w=dice.pick(lexicon.EMOTIONS[name][1].split()),
    )
    event = scene.event(scene.described())
    return sentence(state, plain("because"), clause(event, dice.chance(0.3)), marks=["past", "embedded"])


def _judgement(scene: Scene) -> Phrase:
    """What the hero thinks of the day."""
    dice = scene.dice
    word = dice.pick(tuple(sorted(grammar.VERDICT_WORDS & (PLEASANT | UNPLEASANT) & DAY_WORDS)))
    frame = dice.pick(("{p} | =found | the whole day | {d} {w}", "for {o} , | the day with {c} | =was | {d} {w}"))
    slots = {
        "p": scene.hero.pro(),
        "o": scene.hero.pro("object"),
        "c": scene.other(),
        "d": dice.pick(lexicon.INTENSIFIERS),
        "w": word,
    }
    return sentence(build(frame, **slots), marks=["past"])


DAY_WORDS = {
    *("exciting", "brilliant", "dull", "boring", "awful", "wonderful"),
    *("pleasant", "terrible", "miserable", "delightful", "dreadful", "lovely"),
}
MIDDLES = (_work, _done_by, _other_work, _both, _both, _noticed, _then, _refusal, _dealing)
ENDINGS = (_mood, _mood, _plan, _judgement)


def passage(dice: Dice, topic: lexicon.Topic, length: int) -> list[Phrase]:
    """Return a little text of `length` sentences on one topic: a hero arrives, things happen, it ends."""
    scene = _scene(dice, topic)
    middles = [MIDDLES[i % len(MIDDLES)] for start in range(0, length, len(MIDDLES)) for i in dice.order(len(MIDDLES))]
    parts = [_arrival, *middles[: length - 2], dice.pick(ENDINGS)]
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
    dice = Dice(settings.world_seed)
    names = list(lexicon.TOPICS)[: settings.topics]
    length = settings.sentences_per_passage
    phrases: list[Phrase] = []
    known: set[str] = set()
    for i in range(settings.passages):
        while True:
            made = passage(dice, lexicon.TOPICS[names[i % len(names)]], length)
            texts = {phrase.text() for phrase in made}
            if len(texts) == length and known.isdisjoint(texts):
                break
        known |= texts
        phrases += made
    passages = np.repeat(np.arange(settings.passages), length)
    measured = [features(phrase) for phrase in phrases]
    return WorldStimuli(
        sentences=[phrase.text() for phrase in phrases],
        passage=passages,
        topic=passages % len(names),
        position=np.tile(np.arange(length), settings.passages),
        topic_names=names,
        concepts=np.stack([concepts for concepts, _ in measured]),
        concept_names=list(CONCEPTS),
        syntax=np.stack([syntax for _, syntax in measured]),
        syntax_names=list(SYNTAX),
    )
