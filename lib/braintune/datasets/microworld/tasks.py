"""The ten tasks, each derived from the annotated sentences of the microworld.

A reader takes a random generator and the wanted label and returns one row. Its other choices do not depend on the
label, so that word counts carry little information: what matters is who does what to whom, in which sense, negated or
not.
"""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any, NamedTuple

from braintune.core.base import BraintuneError, lookup
from braintune.core.settings import TEN_TASKS, WorldSettings
from braintune.datasets.microworld import grammar, passages
from braintune.datasets.microworld import sentences as kinds
from braintune.datasets.microworld.grammar import (
    Event,
    Person,
    Phrase,
    Rng,
    build,
    clause,
    join,
    past,
    people,
    sentence,
)
from braintune.datasets.microworld.languages import LANGUAGES, Language
from braintune.datasets.microworld.lexicon import LEXICON, Topic

Row = dict[str, Any]
Pair = tuple[Phrase, Phrase]
#: Sentences, the people in the order of the text, and the positions of the referent and of the two candidates.
Puzzle = tuple[list[Phrase], list[Person], int, tuple[int, int]]
#: Attempts at one new row before the grammar counts as exhausted.
ATTEMPTS = 400

# --- word tags ---------------------------------------------------------------------------------------------------


def chunking(rng: Rng, label: str, language: Language) -> Row:
    """Phrases of a sentence."""
    phrase = language.say(kinds.any_sentence(rng))
    return {"tokens": phrase.tokens, "tags": phrase.chunks}


def ner(rng: Rng, label: str, language: Language) -> Row:
    """Names in a sentence; about two thirds of the sentences are about business."""
    phrase = kinds.business(rng, LEXICON.topics["bank"]) if rng.chance(0.65) else kinds.any_sentence(rng)
    phrase = language.say(phrase)
    return {"tokens": phrase.tokens, "tags": phrase.entities}


def srl(rng: Rng, label: str, language: Language) -> Row | None:
    """Roles of one predicate."""
    phrase = kinds.any_sentence(rng)
    if not phrase.frames:
        return None
    frame = rng.choice(phrase.frames)
    lemma, meaning = grammar.lemma_of(phrase.tokens[frame.predicate]), phrase.meanings[frame.predicate]
    senses = list(LEXICON.ambiguous.get((lemma, "V"), ()))
    sense = f"{language.word(lemma)}.{senses.index(meaning) + 1 if meaning in senses else 1:02d}"
    said = language.say(phrase)
    frame = said.frames[phrase.frames.index(frame)]
    return {"tokens": said.tokens, "predicate_index": frame.predicate, "sense": sense, "tags": said.tags(frame)}


# --- reference and sense -----------------------------------------------------------------------------------------


def coreference(rng: Rng, label: str, language: Language) -> Row:
    """Three people, two candidates, one pronoun: whom does it refer to?"""
    task = rng.choice((_by_gender, _by_gender, _by_gender, _by_work, _by_cause))
    sentences, cast, referent, candidates = task(rng, label)
    text = _text(language, *sentences)
    names = [language.say(cast[i].phrase()).text() for i in candidates]
    (a_start, a), (b_start, b) = sorted((re.search(rf"\b{name}\b", text).start(), name) for name in names)
    word = language.say(cast[referent].pronoun()).text()
    pronoun = list(re.finditer(rf"\b{word}\b", text, re.IGNORECASE))[-1]
    return {
        "text": text, "pronoun": pronoun[0], "pronoun_start": pronoun.start(),
        "a": a, "a_start": a_start, "b": b, "b_start": b_start, "label": label,
    }  # fmt: skip


def _roles(rng: Rng, label: str) -> tuple[int, tuple[int, int]]:
    """Choose the positions (among three, in the order of the text) of the referent and of the candidates."""
    first, second = sorted(rng.sample(range(3), 2))
    return {"A": first, "B": second, "NEITHER": 3 - first - second}[label], (first, second)


def _by_gender(rng: Rng, label: str) -> Puzzle:
    """One woman and two men, or one man and two women."""
    referent, candidates = _roles(rng, label)
    woman = rng.chance(0.5)
    cast = people(rng, 3, [woman == (i == referent) for i in range(3)])
    frame, topic = rng.choice(LEXICON.meetings), rng.choice(list(LEXICON.topics.values()))
    p, q, r = (person.phrase() for person in cast)
    first = build(frame, p=p, q=q, r=r, at=grammar.place(rng, topic))
    second = clause(grammar.happening(rng, topic, cast[referent].pronoun()))
    return [first, second], cast, referent, candidates


def _by_cause(rng: Rng, label: str) -> Puzzle:
    """The verb determines whom the reason is about: "Anna thanked Maria because she had been so helpful."."""
    if label == "NEITHER":
        referent = rng.choice((1, 2))
        candidates = (0, 3 - referent)
    else:
        referent, candidates = _roles(rng, label)
    if referent == 0:  # the first of the three only reports
        referent, candidates = 1, (1, 2)
    cast = people(rng, 3, [rng.chance(0.5)] * 3)
    about_patient = rng.chance(0.5)
    causes = LEXICON.caused_by_patient if about_patient else LEXICON.caused_by_agent
    verb = rng.choice(list(causes))
    passive = (referent == 1) == about_patient
    reporter, subject, other = (person.phrase() for person in cast)
    event = Event(verb, other, subject) if passive else Event(verb, subject, other)
    where = rng.choice(("to the surprise of", "in the story of", "in front of", "in the diary of"))
    opening, reason = (
        build(f"{where} {{p}} | ,", p=reporter),
        build(f"{{p}} | {causes[verb]}", p=cast[referent].pronoun()),
    )
    return [join(opening, clause(event, passive), build("because"), reason)], cast, referent, candidates


def _by_work(rng: Rng, label: str) -> Puzzle:
    """Each person does the work of their job: the pilot lands the plane."""
    referent, candidates = _roles(rng, label)
    cast = people(rng, 3, [rng.chance(0.5)] * 3)
    jobs = rng.sample(LEXICON.job_names, 3)
    frame = rng.choice(("{p} | =is | a {j}", "{p} | =works | as a {j}"))
    one, two, three = (build(frame, p=who.phrase(), j=job) for who, job in zip(cast, jobs, strict=True))
    work, time = rng.choice(LEXICON.jobs[jobs[referent]]), rng.choice(LEXICON.times)
    second = build(f"{{t}} | , | {{p}} | {work}", t=time, p=cast[referent].pronoun())
    return [join(one, build(","), two, build(", and"), three), second], cast, referent, candidates


def wsd(rng: Rng, label: str, language: Language) -> Row:
    """One word in two sentences of different wording: the same sense or not?"""
    (word, part), frames_of = rng.choice(list(LEXICON.ambiguous.items()))
    senses = rng.sample(list(frames_of), 2)
    if label == "same":
        senses = [senses[0]] * 2
        frames = rng.sample(frames_of[senses[0]], 2)
    else:
        frames = [rng.choice(frames_of[kind]) for kind in senses]
    one, two = (language.say(kinds.sense(rng, kind, frame)) for kind, frame in zip(senses, frames, strict=True))
    targets = [language.word(re.findall(r"\*(\w+)", frame)[0], is_verb=part == "V") for frame in frames]
    return {
        "word": language.word(word), "pos": part,
        "sentence1": one.text(spaced=True), "sentence2": two.text(spaced=True),
        "index1": one.tokens.index(targets[0]), "index2": two.tokens.index(targets[1]), "label": label,
    }  # fmt: skip


# --- pairs of sentences ------------------------------------------------------------------------------------------


def nli(rng: Rng, label: str, language: Language) -> Row:
    """Does the hypothesis follow from the premise?"""
    change = rng.choice(
        (_broader_word, _broader_word, _implied_deed, _implied_deed, _conjunct, _who_did, _relative_who, _reported)
    )
    premise, hypothesis = change(rng, label == "entailment")
    return {"premise": _text(language, premise), "hypothesis": _text(language, hypothesis), "label": label}


def _broader_word(rng: Rng, holds: bool) -> Pair:
    """A noun becomes its category, or another one: a hammer is a tool, not a fruit."""
    kind, other = rng.sample(list(LEXICON.broader), 2)
    noun, verb, who = rng.choice(LEXICON.broader[kind]), rng.choice(LEXICON.everyday), grammar.named(rng)
    slots = {"w": who, "v": verb, "t": rng.choice(LEXICON.times), "d": grammar.participle(grammar.lemma_of(verb))}
    active = "{w} | ={v} | a {n} | {t}"
    premise = build("the {n} | =was {d} | by {w} | {t}" if rng.chance(0.5) else active, n=noun, **slots)
    return premise, build(active, n=kind if holds else other, **slots)


def _implied_deed(rng: Rng, holds: bool) -> Pair:
    """Someone who managed to do something did it; someone who failed to do it did not."""
    verb, noun = rng.choice(list(LEXICON.deeds.items()))
    happens, who, time = rng.chance(0.5), grammar.named(rng), rng.choice(LEXICON.times)
    managed = rng.choice(LEXICON.happens if happens else LEXICON.happens_not)
    did = grammar.verb_group(verb, "past", negated=happens != holds)
    one, two = (build("{w} | ={v} | the {n} | {t}", w=who, v=v, n=noun, t=time) for v in (f"{managed} {verb}", did))
    return one, two


def _two_steps(rng: Rng) -> list[list[Phrase]]:
    """Return, for each of two people, one clause for each of two steps."""
    names, steps = grammar.two_named(rng), rng.sample(LEXICON.steps, 2)
    return [[build(f"{{p}} | {step}", p=name) for step in steps] for name in names]


def _conjunct(rng: Rng, holds: bool) -> Pair:
    """Each subject goes with its own verb phrase."""
    (p_one, p_two), (q_one, q_two) = _two_steps(rng)
    premise = join(p_one, build(rng.choice((", and", ", but", "while"))), q_two)
    return premise, rng.choice((p_one, q_two) if holds else (p_two, q_one))


def _social_event(rng: Rng) -> tuple[Event, Event]:
    """Return an event between two people, and the same with the roles exchanged."""
    p, q = grammar.two_named(rng)
    verb = rng.choice(LEXICON.social)
    return Event(verb, p, q), Event(verb, q, p)


def _who_did(rng: Rng, holds: bool) -> Pair:
    """The passive exchanges subject and object, but not agent and patient."""
    event, exchanged = _social_event(rng)
    voices = rng.chance(0.5), rng.chance(0.5)
    premise = replace(event, time=rng.choice(LEXICON.times))
    return clause(premise, voices[0]), clause(event if holds else exchanged, voices[1])


def _relative_who(rng: Rng, holds: bool) -> Pair:
    """The head of the relative clause is the subject, even if someone else is next to the verb."""
    one, two = (build(f"the {job}") for job in rng.sample(LEXICON.job_names, 2))
    step, verb = rng.choice(LEXICON.steps), past(rng.choice(LEXICON.social))
    head = grammar.relative(one, verb, two, rng.chance(0.5))
    opening = build("in the story of {w} | ,", w=grammar.named(rng))
    premise, hypothesis = (join(opening, build(f"{{p}} | {step}", p=who)) for who in (head, one if holds else two))
    return premise, hypothesis


def _reported(rng: Rng, holds: bool) -> Pair:
    """What is known is true; what is wrongly believed is not."""
    verb, noun = rng.choice(list(LEXICON.deeds.items()))
    true, (p, q) = rng.chance(0.5), grammar.two_named(rng)
    knew = rng.choice(LEXICON.true_reports if true else LEXICON.false_reports)
    did = grammar.verb_group(verb, "past", negated=true != holds)
    had, said = (build("{q} | ={v} | the {n}", q=q, v=v, n=noun) for v in (f"had {grammar.participle(verb)}", did))
    return grammar.report(p, knew, had), said


def paraphrase(rng: Rng, label: str, language: Language) -> Row:
    """Do the two sentences mean the same?"""
    in_form = rng.choice((_same_roles, _converse, _same_order))
    change = rng.choice((_same_act, _same_topic)) if rng.chance(0.75) else in_form
    one, two = change(rng, label == "paraphrase")
    if rng.chance(0.5):
        one, two = two, one
    return {"sentence1": _text(language, one), "sentence2": _text(language, two), "label": label}


def _two_of(rng: Rng, sides: Sequence[list[str]], same: bool) -> tuple[str, str]:
    """Return two words of one side of a contrast, or one word of each side; each word is as likely in either case."""
    first, second = rng.sample(sides, 2)
    one, two = rng.sample(first, 2) if same else (rng.choice(first), rng.choice(second))
    return one, two


def _same_act(rng: Rng, same: bool) -> Pair:
    """Two verbs with the same or with incompatible meanings, and two expressions of the same or of different times."""
    if rng.chance(0.4):
        verbs = rng.choice(LEXICON.social_contrasts)
        agent, patient = grammar.by_trade(rng, rng.choice(LEXICON.job_names)), grammar.named(rng)
    else:
        *verbs, nouns = rng.choice(LEXICON.thing_contrasts)
        agent, patient = grammar.named(rng), grammar.thing(rng, rng.choice(nouns), definite=1)
    times = _two_of(rng, rng.choice(LEXICON.time_contrasts), same or rng.chance(0.4))
    passive = rng.chance(0.3)
    one, two = (
        clause(Event(grammar.lemma_of(verb), agent, patient, time=time), passive)
        for verb, time in zip(_two_of(rng, verbs, same), times, strict=True)
    )
    return one, two


def _same_topic(rng: Rng, same: bool) -> Pair:
    """Two nouns, and two verbs, with the same meaning or with different ones."""
    verbs = _two_of(rng, rng.choice(LEXICON.attitude_contrasts), same or rng.chance(0.4))
    nouns = _two_of(rng, rng.choice(LEXICON.noun_contrasts), same)
    slots = {"w": grammar.named(rng), "t": rng.choice(LEXICON.times)}
    one, two = (build("{w} | ={v} | {n} | {t}", v=v, n=n, **slots) for v, n in zip(verbs, nouns, strict=True))
    return one, two


def _same_roles(rng: Rng, same: bool) -> Pair:
    """The same event in active and passive voice, or with the roles exchanged; the words are the same."""
    event, exchanged = _social_event(rng)
    event.time = exchanged.time = rng.choice(LEXICON.times)
    passive = rng.chance(0.5)
    return clause(event, passive), clause(event if same else exchanged, not passive)


def _converse(rng: Rng, same: bool) -> Pair:
    """What Anna lent to Tom, Tom borrowed from Anna."""
    (p, q), (gives, takes) = grammar.two_named(rng), rng.choice(LEXICON.converses)
    goods, time = rng.choice(LEXICON.goods), rng.choice(LEXICON.times)
    taker, giver = (q, p) if same else (p, q)
    given = build("{p} | ={v} | the {x} | to {q} | {t}", p=p, v=gives, x=goods, q=q, t=time)
    return given, build("{p} | ={v} | the {x} | from {q} | {t}", p=taker, v=takes, x=goods, q=giver, t=time)


def _same_order(rng: Rng, same: bool) -> Pair:
    """The same or the opposite order of two events."""
    (first, _), (_, second) = _two_steps(rng)
    before, after = build("before"), build("after")
    return join(first, before, second), join(second, after, first) if same else join(first, after, second)


# --- questions ---------------------------------------------------------------------------------------------------


def qa(rng: Rng, label: str, language: Language) -> Row | None:
    """A question about one of two similar events; the answer is a span of the text."""
    topic = rng.choice(list(LEXICON.topics.values()))
    event, other = _event_to_ask(rng, topic), _event_to_ask(rng, topic)
    parties = {phrase.tokens[-1] for e in (event, other) for phrase in (e.agent, e.patient)}
    if len(parties) < 4 or event.time == other.time:  # the question must have one answer
        return None
    both = rng.sample((event, other), 2)
    one_sentence = rng.chance(0.5)
    first, second = (clause(e, rng.chance(0.5)) for e in both)
    context = _text(language, *([join(first, build(", and"), second)] if one_sentence else [first, second]))
    asked, wanted = _question(rng, event)
    question, answer = language.say(sentence(asked, end="?")).text(), language.say(wanted).text()
    start = context.lower().find(answer.lower())
    if context.lower().count(answer.lower()) != 1:
        return None
    text = context[start : start + len(answer)]
    return {"context": context, "question": question, "answers": [{"text": text, "answer_start": start}]}


def _event_to_ask(rng: Rng, topic: Topic) -> Event:
    """Return an event with place and time, between a person and a thing or another person."""
    event = grammar.happening(rng, topic)
    if rng.chance(0.4):
        event = Event(rng.choice(LEXICON.social), *grammar.pair(rng, topic))
    event.negated, event.manner = False, ""
    event.place = grammar.place(rng, topic, event.patient.tokens[-1])
    event.time = rng.choice(LEXICON.times)
    return event


def _question(rng: Rng, event: Event) -> tuple[Phrase, Phrase]:
    """Return a question about one part of an event, and its answer."""
    asked = rng.choice(("agent", "patient", "place", "time"))
    if asked in ("place", "time"):
        word, known = ("where", event.time) if asked == "place" else ("when", event.place)
        question = build(f"{word} | did | {{agent}} | ={{verb}} | {{patient}} | {{known}}", known=known, **vars(event))
        return question, build(event.place if asked == "place" else event.time)
    detail = rng.choice((event.time, event.place))
    if asked == "agent":
        return build("who | ={v} | {patient} | {d}", v=past(event.verb), d=detail, **vars(event)), event.agent
    is_thing = event.patient.entities[0] == "O" and event.patient.meanings[0] != "person"
    if rng.chance(0.5):
        group = grammar.verb_group(event.verb, "past", passive=True)
        who = "what" if is_thing else "who"
        return build(f"{who} | ={{v}} | by {{agent}} | {{d}}", v=group, d=detail, **vars(event)), event.patient
    whom = "what" if is_thing else "whom"
    return build(f"{whom} | did | {{agent}} | ={{verb}} | {{d}}", d=detail, **vars(event)), event.patient


def _text(language: Language, *sentences: Phrase) -> str:
    """Return running text: each sentence gets a capital letter, a full stop, and "an" before a vowel."""
    return " ".join(language.say(sentence(phrase)).text() for phrase in sentences)


# --- rows --------------------------------------------------------------------------------------------------------


class Reader(NamedTuple):
    """How the rows of one task are generated: a function that returns one row, and the share of each label."""

    read: Callable[[Rng, str, Language], Row | None]
    shares: dict[str, float]


#: A plugin may add one for a task that it adds.
READERS = {
    "chunking": Reader(chunking, {"": 1}),
    "ner": Reader(ner, {"": 1}),
    "srl": Reader(srl, {"": 1}),
    "coreference": Reader(coreference, {"A": 0.42, "B": 0.42, "NEITHER": 0.16}),
    "wsd": Reader(wsd, {"same": 0.5, "different": 0.5}),
    "nli": Reader(nli, {"entailment": 0.5, "not_entailment": 0.5}),
    "paraphrase": Reader(paraphrase, {"paraphrase": 0.5, "not_paraphrase": 0.5}),
    "qa": Reader(qa, {"": 1}),
    "sentiment": Reader(
        lambda rng, label, language: {
            "sentence": language.say(kinds.verdict(rng, label == "positive")).text(),
            "label": label,
        },
        {"positive": 0.5, "negative": 0.5},
    ),
    "emotion": Reader(
        lambda rng, label, language: {"sentence": language.say(kinds.feeling(rng, label)).text(), "label": label},
        {name: emotion["share"] for name, emotion in LEXICON.emotions.items()},
    ),
}
#: Fields of a row that hold text.
TEXTS = ("text", "sentence", "sentence1", "sentence2", "premise", "hypothesis", "context", "question")


def sentences_of(row: Row) -> list[str]:
    """Return every sentence of a row, whatever its task."""
    texts = [row[name] for name in TEXTS if name in row] or [" ".join(row["tokens"])]
    return [part for text in texts for part in re.split(r"(?<=[^ ][.?]) ", text)]


def stimulus_sentences(settings: WorldSettings) -> set[str]:
    """Return the sentences that simulated participants read."""
    return set(passages.stimuli(settings).sentences)


def task_rows(
    task: str, n_train: int, n_test: int, seed: int, language: str = "english", taken: Collection[str] = ()
) -> tuple[list[Row], list[Row]]:
    """Return generated training and test rows of a task; they have no sentence in common.

    Parameters
    ----------
    task : str
        One of ``READERS``.
    n_train, n_test : int
        Numbers of rows.
    seed : int
        The same seed and numbers give the same rows.
    language : str
        One of :data:`.languages.LANGUAGES`.
    taken : collection of str
        Sentences that no row may have.

    Returns
    -------
    train, test : list of dict
        Rows in the layout of the task's JSON lines; labels have fixed shares, the order is random.

    Raises
    ------
    BraintuneError
        For an unknown task or language, a negative number, or more rows than the grammar can make.
    """
    reader, spoken = lookup(READERS, task, "task"), lookup(LANGUAGES, language, "language")
    for name, n in (("n_train", n_train), ("n_test", n_test)):
        if n < 0:
            raise BraintuneError(f"{name}: {n} must be at least 0")
    # the random stream of a plugin's task depends only on its name, not on other plugins
    rng = Rng([seed, *([TEN_TASKS.index(task)] if task in TEN_TASKS else task.encode())])
    train = list(_new_rows(reader, rng, n_train, set(taken), task, spoken))
    seen = {text for row in train for text in sentences_of(row)}
    return train, list(_new_rows(reader, rng, n_test, seen.union(taken), task, spoken))


def _new_rows(reader: Reader, rng: Rng, n: int, taken: set[str], task: str, language: Language) -> Iterator[Row]:
    """Yield `n` different rows of which no sentence is in `taken`."""
    seen: set[str] = set()
    for made, label in enumerate(_labels(reader.shares, n, rng)):
        for _ in range(ATTEMPTS):
            row = reader.read(rng, label, language)
            if row is None or (key := repr(row)) in seen or not taken.isdisjoint(sentences_of(row)):
                continue
            seen.add(key)
            yield row
            break
        else:
            raise BraintuneError(
                f"{task}: {n} rows requested, but the microworld cannot make a new one after {made}; request fewer rows"
            )


def _labels(shares: dict[str, float], n: int, rng: Rng) -> list[str]:
    """Return `n` labels with the given shares, in random order."""
    labels: list[str] = []
    for label, total in zip(shares, accumulate(shares.values()), strict=True):
        labels += [label] * (round(n * total) - len(labels))
    return [labels[i] for i in rng.permutation(n)]
