"""The kinds of sentences of the microworld: each is a small function from dice and a topic to an annotated sentence.

``PRODUCTIONS`` lists them. Some also take the meaning to express: the sense of an ambiguous word, a verdict, a
feeling.
"""

from collections.abc import Callable

from braintune.datasets.microworld import lexicon
from braintune.datasets.microworld.grammar import (
    Dice,
    Person,
    Phrase,
    build,
    city,
    clause,
    encounter,
    happening,
    happenings,
    official,
    organisation,
    pair,
    past,
    people,
    plain,
    product,
    relative,
    report,
    sentence,
    someone,
    thing,
)


def simple(dice: Dice, topic: lexicon.Topic) -> Phrase:
    """An event of the topic: "The nurse cleaned the wound in the ward."."""
    event = happening(dice, topic)
    event.tense = dice.pick(("past", "past", "past", "future", "perfect")) if not event.time else "past"
    return sentence(clause(event, dice.chance(0.3)))


def social(dice: Dice, topic: lexicon.Topic) -> Phrase:
    """An event between people: "The nurse was praised by Anna on Monday."."""
    event = encounter(dice, *pair(dice, topic))
    event.time = dice.pick(lexicon.TIMES)
    return sentence(clause(event, dice.chance(0.5)))


def with_relative(dice: Dice, topic: lexicon.Topic) -> Phrase:
    """A relative clause inside: "The nurse who praised Anna cleaned the wound."."""
    head, other = official(dice, dice.pick(topic.people.split(", "))), someone(dice)
    agent = relative(head, past(dice.pick(lexicon.SOCIAL)), other, dice.chance(0.5))
    return sentence(clause(happening(dice, topic, agent)))


def coordinated(dice: Dice, topic: lexicon.Topic) -> Phrase:
    """Two clauses: "Anna cleaned the wound, but the doctor read the chart."."""
    first, second = happenings(dice, topic)
    link = plain(f", {dice.pick(('and', 'but'))}")
    return sentence(clause(first, dice.chance(0.3)), link, clause(second), marks=["coordinated"])


def embedded(dice: Dice, topic: lexicon.Topic) -> Phrase:
    """A report: "Anna said that the wound was cleaned by the nurse."."""
    speaker, agent = pair(dice, topic)
    inner = clause(happening(dice, topic, agent, details=0.2), dice.chance(0.35))
    verb = dice.pick(["said", "claimed", "believed", "announced", "noticed", "realised", "hoped"])
    return sentence(report(speaker, verb, inner), marks=["embedded"])


def adverbial(dice: Dice, topic: lexicon.Topic) -> Phrase:
    """A subordinate clause first: "After Anna cleaned the wound, the doctor read the chart."."""
    word = dice.pick(("after", "before", "while", "because", "although"))
    first, second = happenings(dice, topic)
    return sentence(plain(word), clause(first), plain(","), clause(second), marks=["embedded"])


def transfer(dice: Dice, topic: lexicon.Topic) -> Phrase:
    """Something changes hands: "Anna lent the doctor a drill."."""
    gives, takes = dice.pick(lexicon.CONVERSES)
    goods, time = thing(dice, dice.pick(lexicon.GOODS)), dice.pick(lexicon.TIMES)
    one, other = pair(dice, topic)
    frame = (
        "0:{a} | ={v} | 2:{b} | 1:{x} | TMP:{t}" if dice.chance(0.5) else "0:{a} | ={v} | 1:{x} | 2:to {b} | TMP:{t}"
    )
    if gives == takes or dice.chance(0.5):
        frame, gives = "0:{a} | ={v} | 1:{x} | 2:from {b} | TMP:{t}", takes
    return sentence(build(frame, a=one, b=other, v=gives, x=goods, t=time), marks=["past"])


def business(dice: Dice, topic: lexicon.Topic) -> Phrase:
    """Names of people, places, organisations and products: "Novatek launched the Falcon in Oslo."."""
    p, q = (person.phrase() for person in people(dice, 2))
    return sentence(build(
        dice.pick(lexicon.BUSINESS), p=p, q=q, o=organisation(dice), n=organisation(dice), l=city(dice),
        m=city(dice), x=product(dice), t=dice.pick(lexicon.TIMES)), marks=["past"])  # fmt: skip


def sense(dice: Dice, word: tuple[str, str], kind: str, frame: str = "") -> Phrase:
    """A sentence with an ambiguous word in the given sense; the word's meaning is the sense."""
    frame = frame or dice.pick(lexicon.AMBIGUOUS[word][kind])
    time = dice.pick(lexicon.DAYS) if "TMP" not in frame and dice.chance(0.6) else ""
    head = dice.pick(lexicon.JOB_NAMES)
    person = people(dice, 1, full=0.5)[0].phrase() if dice.chance(0.7) else official(dice, head)
    phrase = sentence(build(frame + " | TMP:{t}" * bool(time), p=person, l=city(dice), t=time), marks=["past"])
    phrase.meanings = [kind if meaning == "*" else meaning for meaning in phrase.meanings]
    return phrase


def ambiguous(dice: Dice, topic: lexicon.Topic) -> Phrase:
    """A sentence with some ambiguous word."""
    word = dice.pick(tuple(lexicon.AMBIGUOUS))
    return sense(dice, word, dice.pick(tuple(lexicon.AMBIGUOUS[word])))


def verdict(dice: Dice, positive: bool) -> Phrase:
    """A judgement of a film, a meal, a hotel ...: positive or negative on the whole."""
    nouns = dice.pick(tuple(lexicon.REVIEWED))
    one, two = (person.phrase() for person in people(dice, 2))
    frame, sign = dice.pick(lexicon.PLAIN_VERDICTS if dice.chance(0.5) else lexicon.VERDICTS)
    words = lexicon.REVIEWED[nouns] if positive == (sign > 0) else lexicon.REVIEWED[nouns][::-1]
    setting = build("in {l}", l=city(dice))
    if dice.chance(0.6):
        setting = build("1:which | 0:{p} | ={v}", p=two, v=dice.pick(("chose", "recommended", "suggested")))
    return sentence(build(
        frame, x=dice.pick(nouns.split()), w=dice.pick(words[0].split()), v=dice.pick(words[1].split()), at=setting,
        d=dice.pick(lexicon.INTENSIFIERS), p=one), marks=["past"])  # fmt: skip


def opinion(dice: Dice, topic: lexicon.Topic) -> Phrase:
    """A judgement, good or bad."""
    return verdict(dice, dice.chance(0.5))


def feeling(dice: Dice, emotion: str) -> Phrase:
    """Someone feels the emotion: in a situation, in an encounter of two, or after a change of mood."""
    one, two = people(dice, 2, full=0.2)
    shared = [encounter for encounter in lexicon.ENCOUNTERS if emotion in encounter[1:]]
    if shared and dice.chance(0.55):
        frame, p, q = dice.pick(shared)
        feeler = one if p == emotion and (q != emotion or dice.chance(0.5)) else two
        event = build(f"{frame} | TMP:{{t}}", p=one.phrase(), q=two.phrase(), t=dice.pick(lexicon.TIMES))
        after = build(dice.pick(lexicon.AFTERWARDS), f=feeler.phrase(full=False))
        return sentence(event, plain(", and"), after, marks=["past", "coordinated"])
    if emotion != "neutral" and dice.chance(0.4):
        return _change_of_mood(dice, one, emotion)
    situation = dice.pick(lexicon.EMOTIONS[emotion][2])
    return sentence(build(situation + " | TMP:{t}", f=one.phrase(), t=dice.pick(lexicon.TIMES)), marks=["past"])


def _change_of_mood(dice: Dice, person: Person, emotion: str) -> Phrase:
    """Return a sentence in which another feeling is mentioned: "Anna seemed angry, but she was really sad."."""
    other = dice.pick([name for name in lexicon.EMOTIONS if name not in (emotion, "neutral")])
    before, now = (dice.pick(lexicon.EMOTIONS[name][1].split()) for name in (other, emotion))
    frame = dice.pick((
        "{p} | =had been | {b} | {t} | , but now | {s} | =was | {d} {n}",
        "{p} | =was | {d} {n} | {t} | , not | {b}", "{p} | =seemed | {b} | {t} | , but | {s} | =was | really | {n}",
        "although | {p} | =had expected to be | {b} | {t} | , | {s} | =was | {d} {n}"))  # fmt: skip
    slots = {"p": person.phrase(), "s": person.pro(), "b": before, "n": now, "t": dice.pick(lexicon.TIMES)}
    return sentence(build(frame, d=dice.pick(lexicon.INTENSIFIERS), **slots), marks=["past", "coordinated"])


def felt(dice: Dice, topic: lexicon.Topic) -> Phrase:
    """Someone feels something."""
    return feeling(dice, dice.pick(tuple(lexicon.EMOTIONS)))


PRODUCTIONS: tuple[Callable[[Dice, lexicon.Topic], Phrase], ...] = (
    simple, simple, social, with_relative, coordinated, embedded, adverbial, transfer, business, business, ambiguous,
    opinion, felt,
)  # fmt: skip


def any_sentence(dice: Dice) -> Phrase:
    """Return a sentence of any kind on any topic."""
    return dice.pick(PRODUCTIONS)(dice, dice.pick(tuple(lexicon.TOPICS.values())))
