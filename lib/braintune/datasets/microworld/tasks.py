"""The ten tasks, read off the sentences of the microworld.

A reader takes the dice and the wanted label and returns one row. Whatever it chooses besides the label it chooses
without regard to the label, so that counting words says little: the label lies in who does what to whom, in which
sense, under which negation.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from braintune.core.base import BraintuneError, lookup
from braintune.datasets.microworld import grammar, lexicon
from braintune.datasets.microworld import sentences as kinds
from braintune.datasets.microworld.grammar import Dice, Event, Phrase, build, clause, past, people, plain, sentence

Row = dict[str, Any]
#: attempts at one new row before the grammar counts as exhausted
ATTEMPTS = 400

# --- word tags ---------------------------------------------------------------------------------------------------


def chunking(dice: Dice, label: str) -> Row:
    """Phrases of a sentence."""
    phrase = kinds.any_sentence(dice)
    return {"tokens": phrase.tokens, "tags": phrase.chunks}


def ner(dice: Dice, label: str) -> Row:
    """Names in a sentence; two sentences of three are about business and travel."""
    phrase = kinds.business(dice, lexicon.TOPICS["bank"]) if dice.chance(0.65) else kinds.any_sentence(dice)
    return {"tokens": phrase.tokens, "tags": phrase.entities}


def srl(dice: Dice, label: str) -> Row | None:
    """Roles of one predicate."""
    phrase = kinds.any_sentence(dice)
    if not phrase.frames:
        return None
    frame = dice.pick(phrase.frames)
    meaning = phrase.meanings[frame.predicate]
    senses = tuple(lexicon.AMBIGUOUS.get((frame.lemma, "V"), ()))
    number = senses.index(meaning) + 1 if meaning in senses else 1
    return {
        "tokens": phrase.tokens, "predicate_index": frame.predicate, "sense": f"{frame.lemma}.{number:02d}",
        "tags": phrase.tags(frame),
    }  # fmt: skip


# --- reference and sense -----------------------------------------------------------------------------------------


def coreference(dice: Dice, label: str) -> Row:
    """Three people, two candidates, one pronoun: who is it?"""
    return dice.pick((_by_gender, _by_gender, _by_gender, _by_work, _by_cause))(dice, label)


def _pronoun_row(text: str, pronoun: str, candidates: Sequence[grammar.Person], label: str) -> Row:
    """Lay out a row; the candidates come in the order of the text, the pronoun is the last one in it."""
    names = [person.phrase().text() for person in candidates]
    (a_start, a), (b_start, b) = sorted((re.search(rf"\b{name}\b", text).start(), name) for name in names)
    found = list(re.finditer(rf"\b{pronoun}\b", text, re.IGNORECASE))[-1]
    return {
        "text": text, "pronoun": found[0], "pronoun_start": found.start(),
        "a": a, "a_start": a_start, "b": b, "b_start": b_start, "label": label,
    }  # fmt: skip


def _cast(dice: Dice, label: str) -> tuple[int, tuple[int, int]]:
    """Choose the places (among three, in the order of the text) of the referent and of the candidates."""
    first, second = candidates = tuple(sorted(dice.sample(range(3), 2)))
    return {"A": first, "B": second, "NEITHER": 3 - first - second}[label], candidates


def _by_gender(dice: Dice, label: str) -> Row:
    """One woman and two men, or one man and two women."""
    referent, candidates = _cast(dice, label)
    woman = dice.chance(0.5)
    cast = people(dice, 3, [woman == (i == referent) for i in range(3)])
    frame = dice.pick((
        "0:{p} and {q} | =met | 1:{r} | LOC:{at}", "0:{p} | =introduced | 1:{q} | 2:to {r} | LOC:{at}",
        "1:{p} | =was invited | 0:by {q} and {r}", "0:{p} | =told | 2:{q} | 1:a story about {r}",
        "0:{p} | =saw | 1:{q} | LOC:with {r} | LOC:{at}"))  # fmt: skip
    topic = dice.pick(tuple(lexicon.TOPICS.values()))
    p, q, r = (person.phrase() for person in cast)
    first = build(frame, p=p, q=q, r=r, at=grammar.place(dice, topic))
    second = clause(grammar.happening(dice, topic, cast[referent].pro()))
    text = f"{sentence(first).text()} {sentence(second).text()}"
    return _pronoun_row(text, cast[referent].pronoun(), [cast[i] for i in candidates], label)


def _by_cause(dice: Dice, label: str) -> Row:
    """The verb says whom the reason is about: "Anna thanked Maria because she had been so helpful."."""
    referent, candidates = _cast(dice, label) if label != "NEITHER" else (dice.pick((1, 2)), (0, 0))
    if referent == 0:  # the first of the three only reports
        referent, candidates = 1, (1, 2)
    if label == "NEITHER":
        candidates = (0, 3 - referent)
    cast = people(dice, 3, [dice.chance(0.5)] * 3)
    about_patient = dice.chance(0.5)
    causes = lexicon.CAUSED_BY_PATIENT if about_patient else lexicon.CAUSED_BY_AGENT
    verb = dice.pick(tuple(causes))
    passive = (referent == 1) == about_patient
    subject, other = cast[1].phrase(), cast[2].phrase()
    event = Event(verb, other if passive else subject, subject if passive else other)
    reason = f"because {cast[referent].pronoun()} {causes[verb]}"
    opening = build(
        dice.pick(("to the surprise of {r}", "in the story of {r}", "in front of {r}", "in the diary of {r}")),
        r=cast[0].phrase(),
    )
    text = sentence(opening, plain(","), clause(event, passive)).text()[:-1] + f" {reason}."
    return _pronoun_row(text, cast[referent].pronoun(), [cast[i] for i in candidates], label)


def _by_work(dice: Dice, label: str) -> Row:
    """Everyone does their own work: the pilot lands the plane."""
    referent, candidates = _cast(dice, label)
    cast = people(dice, 3, [dice.chance(0.5)] * 3)
    jobs = dice.sample(lexicon.JOB_NAMES, 3)
    frame = dice.pick((
        "{p} | =is | {a} | , | {q} | =is | {b} | , and | {r} | =is | {c}",
        "{p} | =works | as {a} | , | {q} | =works | as {b} | , and | {r} | =works | as {c}"))  # fmt: skip
    slots = {k: person.phrase() for k, person in zip("pqr", cast, strict=True)}
    slots |= {k: f"a {job}" for k, job in zip("abc", jobs, strict=True)}
    work = dice.pick(lexicon.JOBS[jobs[referent]].split(", "))
    time = _capital(dice.pick(lexicon.TIMES))
    text = f"{sentence(build(frame, **slots)).text()} {time}, {cast[referent].pronoun()} {work}."
    return _pronoun_row(text, cast[referent].pronoun(), [cast[i] for i in candidates], label)


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def wsd(dice: Dice, label: str) -> Row:
    """One word in two sentences of different wording: the same sense or not?"""
    word = dice.pick(tuple(lexicon.AMBIGUOUS))
    senses = dice.sample(tuple(lexicon.AMBIGUOUS[word]), 2)
    if label == "same":
        frames = dice.sample(lexicon.AMBIGUOUS[word][senses[0]], 2)
        senses = [senses[0]] * 2
    else:
        frames = [dice.pick(lexicon.AMBIGUOUS[word][kind]) for kind in senses]
    one, two = (kinds.sense(dice, word, kind, frame) for kind, frame in zip(senses, frames, strict=True))
    indices = [_target_index(frame, phrase) for frame, phrase in zip(frames, (one, two), strict=True)]
    return {
        "word": word[0], "pos": word[1], "sentence1": one.text(spaced=True), "sentence2": two.text(spaced=True),
        "index1": indices[0], "index2": indices[1], "label": label,
    }  # fmt: skip


def _target_index(frame: str, phrase: Phrase) -> int:
    """Return the place of the starred word of a frame in the phrase made from it."""
    target = re.search(r"\*(\w+)", frame)[1]
    return phrase.tokens.index(target)


# --- pairs of sentences ------------------------------------------------------------------------------------------


def nli(dice: Dice, label: str) -> Row:
    """Does the hypothesis follow from the premise?"""
    change = dice.pick(
        (_broader_word, _broader_word, _implied_deed, _implied_deed, _conjunct, _who_did, _relative_who, _reported)
    )
    premise, hypothesis = change(dice, label == "entailment")
    return {"premise": premise.text(), "hypothesis": hypothesis.text(), "label": label}


def _pair_of_people(dice: Dice) -> tuple[Phrase, Phrase]:
    one, two = people(dice, 2)
    return one.phrase(), two.phrase()


def _broader_word(dice: Dice, holds: bool) -> tuple[Phrase, Phrase]:
    """A hammer is a tool, not a fruit."""
    kind, other = dice.sample(tuple(lexicon.BROADER), 2)
    noun, verb, who = dice.pick(lexicon.BROADER[kind].split()), dice.pick(lexicon.EVERYDAY), people(dice, 1)[0].phrase()
    time = dice.pick(lexicon.TIMES)
    passive = dice.chance(0.5)
    premise = "1:the {x} | =was {v} | 0:by {p} | TMP:{t}" if passive else "0:{p} | ={f} | 1:a {x} | TMP:{t}"
    return (
        sentence(build(premise, x=noun, v=grammar.participle(grammar.lemma_of(verb)), f=verb, p=who, t=time)),
        sentence(build("0:{p} | ={f} | 1:a {x} | TMP:{t}", x=kind if holds else other, f=verb, p=who, t=time)),
    )


def _implied_deed(dice: Dice, holds: bool) -> tuple[Phrase, Phrase]:
    """Who managed to do it did it; who failed to did not."""
    verb, noun = dice.pick(lexicon.DEEDS).split(":")
    happens = dice.chance(0.5)
    said = happens == holds
    who, time = people(dice, 1)[0].phrase(), dice.pick(lexicon.TIMES)
    group = f"{dice.pick(lexicon.HAPPENS if happens else lexicon.HAPPENS_NOT)} {verb}"
    frame = "0:{p} | ={v} | 1:the {x} | TMP:{t}"
    hypothesis = grammar.verb_group(verb, "past", negated=not said)
    return sentence(build(frame, p=who, v=group, x=noun, t=time)), sentence(
        build(frame, p=who, v=hypothesis, x=noun, t=time)
    )


def _conjunct(dice: Dice, holds: bool) -> tuple[Phrase, Phrase]:
    """Each subject goes with its own verb phrase."""
    (p, q), (one, two) = _pair_of_people(dice), dice.sample(lexicon.STEPS, 2)
    link = dice.pick((", and", ", but", "while"))
    premise = sentence(_step(p, one), plain(link), _step(q, two))
    who, what = dice.pick(((p, one), (q, two))) if holds else dice.pick(((p, two), (q, one)))
    return premise, sentence(_step(who, what))


def _step(who: Phrase, words: str) -> Phrase:
    """Return a clause of a person and a verb phrase in the past, "called a taxi"."""
    verb, _, rest = words.partition(" ")
    if rest.startswith("off "):
        verb, rest = f"{verb} off", rest[4:]
    return build("0:{p} | ={v} | 1:{x}", p=who, v=verb, x=rest)


def _social_event(dice: Dice) -> tuple[Event, Event]:
    """Return an event between two people, and the same with the roles exchanged."""
    p, q = _pair_of_people(dice)
    verb = dice.pick(lexicon.SOCIAL)
    return Event(verb, p, q), Event(verb, q, p)


def _who_did(dice: Dice, holds: bool) -> tuple[Phrase, Phrase]:
    """The passive turns subject and object round, not who did it."""
    event, exchanged = _social_event(dice)
    voices = dice.chance(0.5), dice.chance(0.5)
    event.time = dice.pick(lexicon.TIMES)
    hypothesis = Event(event.verb, event.agent, event.patient) if holds else exchanged
    return sentence(clause(event, voices[0])), sentence(clause(hypothesis, voices[1]))


def _relative_who(dice: Dice, holds: bool) -> tuple[Phrase, Phrase]:
    """The head of the relative clause is the subject, whoever stands next to the verb."""
    one, two = dice.sample(lexicon.JOB_NAMES, 2)
    step = dice.pick(lexicon.STEPS)
    other = build("the {x}", x=two)
    head = grammar.relative(build("the {x}", x=one), past(dice.pick(lexicon.SOCIAL)), other, dice.chance(0.5))
    name = people(dice, 1)[0].phrase()
    opening = build("in the story of {p} ,", p=name)
    return (
        sentence(opening, _step(head, step)),
        sentence(opening, _step(build("the {x}", x=one if holds else two), step)),
    )


def _reported(dice: Dice, holds: bool) -> tuple[Phrase, Phrase]:
    """What is known is so; what is wrongly believed is not."""
    verb, noun = dice.pick(lexicon.DEEDS).split(":")
    true = dice.chance(0.5)
    p, q = _pair_of_people(dice)
    frame = "0:{p} | ={v} | 1:the {x}"
    inner = build(frame, p=q, v=f"had {grammar.participle(verb)}", x=noun)
    premise = grammar.report(p, dice.pick(lexicon.TRUE_REPORTS if true else lexicon.FALSE_REPORTS), inner)
    hypothesis = grammar.verb_group(verb, "past", negated=true != holds)
    return sentence(premise), sentence(build(frame, p=q, v=hypothesis, x=noun))


def paraphrase(dice: Dice, label: str) -> Row:
    """Do the two sentences say the same?"""
    in_form = dice.pick((_same_roles, _converse, _same_order))
    change = dice.pick((_same_act, _same_topic)) if dice.chance(0.75) else in_form
    one, two = change(dice, label == "paraphrase")
    if dice.chance(0.5):
        one, two = two, one
    return {"sentence1": one.text(), "sentence2": two.text(), "label": label}


def _two_of(dice: Dice, sides: Sequence[str], same: bool, separator: str = " ") -> tuple[str, str]:
    """Return two words of one side of a contrast, or one word of each side; each word is as likely in either case."""
    first, second = (side.split(separator) for side in dice.sample(sides, 2))
    one, two = dice.sample(first, 2) if same else (dice.pick(first), dice.pick(second))
    return one, two


def _same_act(dice: Dice, same: bool) -> tuple[Phrase, Phrase]:
    """Two verbs of one meaning, or two that exclude each other, with a time of one or two names."""
    if dice.chance(0.4):
        verbs = dice.pick(lexicon.SOCIAL_CONTRASTS)
        agent, patient = grammar.official(dice, dice.pick(lexicon.JOB_NAMES)), people(dice, 1)[0].phrase()
    else:
        *verbs, nouns = dice.pick(lexicon.THING_CONTRASTS)
        agent, patient = people(dice, 1)[0].phrase(), grammar.thing(dice, dice.pick(nouns.split()), definite=1)
    times = _two_of(dice, dice.pick(lexicon.TIME_CONTRASTS), same or dice.chance(0.4), ", ")
    passive = dice.chance(0.3)
    one, two = (
        sentence(clause(Event(grammar.lemma_of(verb), agent, patient, time=time), passive))
        for verb, time in zip(_two_of(dice, verbs, same), times, strict=True)
    )
    return one, two


def _same_topic(dice: Dice, same: bool) -> tuple[Phrase, Phrase]:
    """Two nouns and two verbs of one meaning, or of two."""
    verbs = _two_of(dice, dice.pick(lexicon.ATTITUDE_CONTRASTS), same or dice.chance(0.4))
    nouns = _two_of(dice, dice.pick(lexicon.NOUN_CONTRASTS), same, ", ")
    who, time = people(dice, 1)[0].phrase(), dice.pick(lexicon.TIMES)
    frame = "0:{p} | ={v} | 1:{x} | TMP:{t}"
    one, two = (sentence(build(frame, p=who, v=v, x=x, t=time)) for v, x in zip(verbs, nouns, strict=True))
    return one, two


def _same_roles(dice: Dice, same: bool) -> tuple[Phrase, Phrase]:
    """The same event in active and passive voice, or with the roles exchanged; the words are the same."""
    event, exchanged = _social_event(dice)
    event.time = exchanged.time = dice.pick(lexicon.TIMES)
    passive = dice.chance(0.5)
    return sentence(clause(event, passive)), sentence(clause(event if same else exchanged, not passive))


def _converse(dice: Dice, same: bool) -> tuple[Phrase, Phrase]:
    """What Anna lent to Tom, Tom borrowed from Anna."""
    p, q = _pair_of_people(dice)
    gives, takes = dice.pick(lexicon.CONVERSES)
    goods, time = build("the {x}", x=dice.pick(lexicon.GOODS)), dice.pick(lexicon.TIMES)
    giving = build("0:{p} | ={v} | 1:{x} | 2:to {q} | TMP:{t}", p=p, q=q, v=gives, x=goods, t=time)
    p, q = (p, q) if same else (q, p)
    return sentence(giving), sentence(
        build("0:{q} | ={v} | 1:{x} | 2:from {p} | TMP:{t}", p=p, q=q, v=takes, x=goods, t=time)
    )


def _same_order(dice: Dice, same: bool) -> tuple[Phrase, Phrase]:
    """What happened before and what after."""
    p, q = _pair_of_people(dice)
    one, two = (_step(who, step) for who, step in zip((p, q), dice.sample(lexicon.STEPS, 2), strict=True))
    first, second = sentence(one, plain("before"), two), sentence(two, plain("after"), one)
    return first, second if same else sentence(one, plain("after"), two)


# --- questions ---------------------------------------------------------------------------------------------------


def qa(dice: Dice, label: str) -> Row | None:
    """A question about one of two alike events; the answer is a span of the text."""
    topic = dice.pick(tuple(lexicon.TOPICS.values()))
    event, other = _asked(dice, topic), _asked(dice, topic)
    parties = {phrase.tokens[-1] for e in (event, other) for phrase in (e.agent, e.patient)}
    if len(parties) < 4 or event.time == other.time:  # the question must have one answer
        return None
    first, second = dice.sample((event, other), 2)
    link = plain(", and") if dice.chance(0.5) else None
    parts = [clause(e, dice.chance(0.5)) for e in (first, second)]
    context = (
        sentence(parts[0], link, parts[1]).text()
        if link
        else f"{sentence(parts[0]).text()} {sentence(parts[1]).text()}"
    )
    question, answer = dice.pick((_who, _what, _where, _when))(dice, event)
    start = context.lower().find(answer.lower())
    if context.lower().count(answer.lower()) != 1:
        return None
    return {
        "context": context, "question": question,
        "answers": [{"text": context[start : start + len(answer)], "answer_start": start}],
    }  # fmt: skip


def _asked(dice: Dice, topic: lexicon.Topic) -> Event:
    """Return an event with place and time, of a person with a thing or with a person."""
    event = grammar.happening(dice, topic)
    if dice.chance(0.4):
        event = Event(dice.pick(lexicon.SOCIAL), *grammar.pair(dice, topic))
    event.negated, event.manner = False, ""
    event.place = grammar.place(dice, topic, event.patient.tokens[-1])
    event.time = dice.pick(lexicon.TIMES)
    return event


def _who(dice: Dice, event: Event) -> tuple[str, str]:
    detail = dice.pick((event.time, event.place))
    return f"Who {past(event.verb)} {event.patient.text()} {detail}?", event.agent.text()


def _what(dice: Dice, event: Event) -> tuple[str, str]:
    thing = event.patient.entities[0] == "O" and event.patient.meanings[0] != "person"
    detail = dice.pick((event.time, event.place))
    if dice.chance(0.5):
        group = grammar.verb_group(event.verb, "past", passive=True)
        return f"{'What' if thing else 'Who'} {group} by {event.agent.text()} {detail}?", event.patient.text()
    return f"{'What' if thing else 'Whom'} did {event.agent.text()} {event.verb} {detail}?", event.patient.text()


def _where(dice: Dice, event: Event) -> tuple[str, str]:
    return f"Where did {event.agent.text()} {event.verb} {event.patient.text()} {event.time}?", str(event.place)


def _when(dice: Dice, event: Event) -> tuple[str, str]:
    return f"When did {event.agent.text()} {event.verb} {event.patient.text()} {event.place}?", event.time


# --- verdicts and feelings ---------------------------------------------------------------------------------------


def sentiment(dice: Dice, label: str) -> Row:
    """Is the verdict good or bad on the whole?"""
    return {"sentence": kinds.verdict(dice, label == "positive").text(), "label": label}


def emotion(dice: Dice, label: str) -> Row:
    """What does the one who is talked about feel?"""
    return {"sentence": kinds.feeling(dice, label).text(), "label": label}


# --- rows --------------------------------------------------------------------------------------------------------


class Reader(NamedTuple):
    """How the rows of one task are made: one row at a time, and the share of each label."""

    read: Callable[[Dice, str], Row | None]
    shares: dict[str, float]


READERS = {
    "chunking": Reader(chunking, {"": 1}),
    "ner": Reader(ner, {"": 1}),
    "srl": Reader(srl, {"": 1}),
    "coreference": Reader(coreference, {"A": 0.42, "B": 0.42, "NEITHER": 0.16}),
    "wsd": Reader(wsd, {"same": 0.5, "different": 0.5}),
    "nli": Reader(nli, {"entailment": 0.5, "not_entailment": 0.5}),
    "paraphrase": Reader(paraphrase, {"paraphrase": 0.5, "not_paraphrase": 0.5}),
    "qa": Reader(qa, {"": 1}),
    "sentiment": Reader(sentiment, {"positive": 0.5, "negative": 0.5}),
    "emotion": Reader(emotion, {name: share for name, (share, _, _) in lexicon.EMOTIONS.items()}),
}
#: fields of a row that hold text
TEXTS = ("text", "sentence", "sentence1", "sentence2", "premise", "hypothesis", "context", "question")


def sentences_of(row: Row) -> list[str]:
    """Return every sentence of a row, whatever its task."""
    texts = [row[name] for name in TEXTS if name in row] or [" ".join(row["tokens"])]
    return [part for text in texts for part in re.split(r"(?<=[^ ][.?]) ", text)]


def task_rows(task: str, n_train: int, n_test: int, seed: int) -> tuple[list[Row], list[Row]]:
    """Return generated training and test rows of a task; they have no sentence in common.

    Parameters
    ----------
    task : str
        One of ``READERS``.
    n_train, n_test : int
        Numbers of rows.
    seed : int
        The same seed and numbers give the same rows.

    Returns
    -------
    train, test : list of dict
        Rows in the layout of the task's JSON lines; labels have fixed shares, the order is random.

    Raises
    ------
    BraintuneError
        For an unknown task, a negative number, or more rows than the grammar gives.
    """
    reader = lookup(READERS, task, "task")
    for name, n in (("n_train", n_train), ("n_test", n_test)):
        if n < 0:
            raise BraintuneError(f"{name}: {n} must be 0 or more")
    dice = Dice([seed, list(READERS).index(task)])
    train = list(_new_rows(reader, dice, n_train, set(), task))
    taken = {text for row in train for text in sentences_of(row)}
    return train, list(_new_rows(reader, dice, n_test, taken, task))


def _new_rows(reader: Reader, dice: Dice, n: int, taken: set[str], task: str) -> Iterator[Row]:
    """Yield `n` different rows of which no sentence is in `taken`."""
    seen: set[str] = set()
    for made, label in enumerate(_labels(reader.shares, n, dice)):
        for _ in range(ATTEMPTS):
            row = reader.read(dice, label)
            if row is None or (key := repr(row)) in seen or not taken.isdisjoint(sentences_of(row)):
                continue
            seen.add(key)
            yield row
            break
        else:
            raise BraintuneError(
                f"{task}: {n} rows asked for, but the microworld gives no new one after {made}; ask for fewer rows"
            )


def _labels(shares: dict[str, float], n: int, dice: Dice) -> list[str]:
    """Return `n` labels with the given shares, in random order."""
    bounds, total = [], 0.0
    for share in shares.values():
        total += share
        bounds.append(round(n * total))
    labels = [
        label for label, stop, start in zip(shares, bounds, [0, *bounds], strict=False) for _ in range(stop - start)
    ]
    return [labels[i] for i in dice.order(n)]
