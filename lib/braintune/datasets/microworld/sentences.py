"""The kinds of sentences of the microworld: each is a small function of a random generator and a topic.

``KINDS`` lists them. Some also take the meaning to express: the sense of an ambiguous word, a verdict, a feeling.
"""

from collections.abc import Callable

from braintune.datasets.microworld import grammar
from braintune.datasets.microworld.grammar import Event, Phrase, Rng, build, clause, happening, past, sentence
from braintune.datasets.microworld.lexicon import LEXICON, Topic


def simple(rng: Rng, topic: Topic) -> Phrase:
    """An event of the topic: "The nurse cleaned the wound in the ward."."""
    event = happening(rng, topic)
    event.tense = rng.choice(("past", "past", "past", "future", "perfect")) if not event.time else "past"
    return sentence(clause(event, rng.chance(0.3)))


def social(rng: Rng, topic: Topic) -> Phrase:
    """An event between people: "The nurse was praised by Anna on Monday."."""
    agent, patient = grammar.pair(rng, topic)
    event = Event(rng.choice(LEXICON.social), agent, patient, time=rng.choice(LEXICON.times))
    return sentence(clause(event, rng.chance(0.5)))


def with_relative(rng: Rng, topic: Topic) -> Phrase:
    """An event with a relative clause: "The nurse who praised Anna cleaned the wound."."""
    head, other = grammar.by_trade(rng, rng.choice(topic.people)), grammar.named(rng)
    agent = grammar.relative(head, past(rng.choice(LEXICON.social)), other, rng.chance(0.5))
    return sentence(clause(happening(rng, topic, agent)))


def coordinated(rng: Rng, topic: Topic) -> Phrase:
    """Two clauses: "Anna cleaned the wound, but the doctor read the chart."."""
    first, second = grammar.happenings(rng, topic)
    link = build(f", {rng.choice(('and', 'but'))}")
    return sentence(clause(first, rng.chance(0.3)), link, clause(second))


def embedded(rng: Rng, topic: Topic) -> Phrase:
    """A report: "Anna said that the wound was cleaned by the nurse."."""
    speaker, agent = grammar.pair(rng, topic)
    inner = clause(happening(rng, topic, agent, details=0.2), rng.chance(0.35))
    verb = rng.choice(("said", "claimed", "believed", "announced", "noticed", "realised", "hoped"))
    return sentence(grammar.report(speaker, verb, inner))


def adverbial(rng: Rng, topic: Topic) -> Phrase:
    """A subordinate clause first: "After Anna cleaned the wound, the doctor read the chart."."""
    word = rng.choice(("after", "before", "while", "because", "although"))
    first, second = grammar.happenings(rng, topic)
    return sentence(build(word), clause(first), build(","), clause(second))


def transfer(rng: Rng, topic: Topic) -> Phrase:
    """Something changes hands: "Anna lent the doctor a drill."."""
    gives, takes = rng.choice(LEXICON.converses)
    goods, time = grammar.thing(rng, rng.choice(LEXICON.goods)), rng.choice(LEXICON.times)
    one, other = grammar.pair(rng, topic)
    objects = "2:{b} | 1:{x}" if rng.chance(0.5) else "1:{x} | 2:to {b}"
    if gives == takes or rng.chance(0.5):
        objects, gives = "1:{x} | 2:from {b}", takes
    return sentence(build(f"0:{{a}} | ={{v}} | {objects} | TMP:{{t}}", a=one, b=other, v=gives, x=goods, t=time))


def business(rng: Rng, topic: Topic) -> Phrase:
    """Names of people, places, organisations and products: "Novatek launched the Falcon in Oslo."."""
    p, q = grammar.two_named(rng)
    frame, firm, other_firm = rng.choice(LEXICON.business), grammar.organisation(rng), grammar.organisation(rng)
    city, other_city, product = grammar.city(rng), grammar.city(rng), grammar.product(rng)
    slots = {"o": firm, "n": other_firm, "l": city, "m": other_city, "x": product, "t": rng.choice(LEXICON.times)}
    return sentence(build(frame, p=p, q=q, **slots))


def ambiguous(rng: Rng, topic: Topic) -> Phrase:
    """A sentence with an ambiguous word in one of its senses: "Anna swung the wooden bat at the ball."."""
    senses = rng.choice(list(LEXICON.ambiguous.values()))
    kind = rng.choice(list(senses))
    return sense(rng, kind, rng.choice(senses[kind]))


def sense(rng: Rng, kind: str, frame: str) -> Phrase:
    """The sentence of a frame with an ambiguous word; the word's meaning is the sense, `kind`."""
    time = rng.choice(LEXICON.days) if "TMP" not in frame and rng.chance(0.6) else ""
    job = rng.choice(LEXICON.job_names)
    person = grammar.named(rng, full=0.5) if rng.chance(0.7) else grammar.by_trade(rng, job)
    phrase = sentence(build(frame + " | TMP:{t}" * bool(time), p=person, l=grammar.city(rng), t=time))
    phrase.meanings = [kind if meaning == "*" else meaning for meaning in phrase.meanings]
    return phrase


def verdict(rng: Rng, positive: bool) -> Phrase:
    """A judgement of a film, a meal, a hotel ...: positive or negative on the whole."""
    reviewed = rng.choice(LEXICON.reviewed)
    one, two = grammar.two_named(rng)
    form = rng.choice(LEXICON.plain_verdicts if rng.chance(0.5) else LEXICON.verdicts)
    words, others = reviewed["good"], reviewed["bad"]
    if positive != form["holds"]:
        words, others = others, words
    setting = build("in {l}", l=grammar.city(rng))
    if rng.chance(0.6):
        setting = build("1:which | 0:{p} | ={v}", p=two, v=rng.choice(("chose", "recommended", "suggested")))
    slots = {"x": rng.choice(reviewed["nouns"]), "w": rng.choice(words), "v": rng.choice(others)}
    return sentence(build(form["frame"], p=one, at=setting, **slots, d=rng.choice(LEXICON.intensifiers)))


def feeling(rng: Rng, emotion: str) -> Phrase:
    """Someone feels the emotion: in a situation, in an encounter of two, or after a change of mood."""
    one, two = grammar.people(rng, 2, full=0.2)
    shared = [encounter for encounter in LEXICON.encounters if emotion in encounter[1:]]
    if shared and rng.chance(0.55):
        frame, p, q = rng.choice(shared)
        feeler = one if p == emotion and (q != emotion or rng.chance(0.5)) else two
        event = build(f"{frame} | TMP:{{t}}", p=one.phrase(), q=two.phrase(), t=rng.choice(LEXICON.times))
        after = build(rng.choice(LEXICON.afterwards), f=feeler.phrase(full=False))
        return sentence(event, build(", and"), after)
    if emotion != "neutral" and rng.chance(0.4):
        return _change_of_mood(rng, one, emotion)
    situation = rng.choice(LEXICON.emotions[emotion]["situations"])
    return sentence(build(situation + " | TMP:{t}", f=one.phrase(), t=rng.choice(LEXICON.times)))


def _change_of_mood(rng: Rng, person: grammar.Person, emotion: str) -> Phrase:
    """Return a sentence in which another feeling is mentioned: "Anna seemed angry, but she was really sad."."""
    other = rng.choice([name for name in LEXICON.emotions if name not in (emotion, "neutral")])
    before, now = (rng.choice(LEXICON.emotions[name]["words"]) for name in (other, emotion))
    frame = rng.choice(LEXICON.changes_of_mood)
    time, degree = rng.choice(LEXICON.times), rng.choice(LEXICON.intensifiers)
    slots = {"p": person.phrase(), "s": person.pronoun(), "b": before, "n": now, "t": time, "d": degree}
    return sentence(build(frame, **slots))


KINDS: tuple[Callable[[Rng, Topic], Phrase], ...] = (
    simple, simple, social, with_relative, coordinated, embedded, adverbial, transfer, business, business,
    ambiguous, lambda rng, topic: verdict(rng, rng.chance(0.5)),
    lambda rng, topic: feeling(rng, rng.choice(list(LEXICON.emotions))),
)  # fmt: skip


def any_sentence(rng: Rng) -> Phrase:
    """Return a sentence of any kind on any topic."""
    return rng.choice(KINDS)(rng, rng.choice(list(LEXICON.topics.values())))
