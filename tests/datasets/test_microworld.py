"""The microworld: same seed, same world; annotations that fit; tasks that counting words does not solve."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from braintune.core.base import BraintuneError
from braintune.core.settings import TEN_TASKS, WorldSettings
from braintune.datasets.microworld import grammar, passages
from braintune.datasets.microworld.languages import LANGUAGES
from braintune.datasets.microworld.lexicon import LEXICON
from braintune.datasets.microworld.passages import passage, stimuli
from braintune.datasets.microworld.sentences import any_sentence
from braintune.datasets.microworld.tasks import READERS, sentences_of, task_rows

FIELDS = {
    "chunking": ["tokens", "tags"],
    "ner": ["tokens", "tags"],
    "srl": ["tokens", "predicate_index", "sense", "tags"],
    "coreference": ["text", "pronoun", "pronoun_start", "a", "a_start", "b", "b_start", "label"],
    "wsd": ["word", "pos", "sentence1", "sentence2", "index1", "index2", "label"],
    "nli": ["premise", "hypothesis", "label"],
    "paraphrase": ["sentence1", "sentence2", "label"],
    "qa": ["context", "question", "answers"],
    "sentiment": ["sentence", "label"],
    "emotion": ["sentence", "label"],
}
PRONOUNS = {"he", "she", "him", "her", "his"}


@pytest.fixture(scope="module")
def world():
    return {task: task_rows(task, 800, 400, 2023) for task in TEN_TASKS}


def assert_bio(tags):
    before = "O"
    for tag in tags:
        assert tag == "O" or tag[:2] in ("B-", "I-")
        if tag.startswith("I-"):
            assert before[2:] == tag[2:], f"{tag} after {before}"
        before = tag


def assert_row(task, row, language="english"):
    """Check that spans and indices point at what they say."""
    spoken = LANGUAGES[language]
    assert list(row) == FIELDS[task]
    if "tokens" in row:
        assert len(row["tokens"]) == len(row["tags"])
        assert_bio(row["tags"])
    if task == "srl":
        assert [i for i, tag in enumerate(row["tags"]) if tag == "B-V"] == [row["predicate_index"]]
    if task == "coreference":
        assert row["pronoun"].lower() in {spoken.word(pronoun) for pronoun in PRONOUNS - {"his"}}
        assert row["a_start"] < row["b_start"] < row["pronoun_start"]
        for name in ("a", "b", "pronoun"):
            assert row["text"][row[f"{name}_start"] :].startswith(row[name])
    if task == "wsd":
        for i in "12":
            found = row[f"sentence{i}"].split()[row[f"index{i}"]]
            inflected = language == "english" and row["pos"] == "V"
            assert grammar.lemma_of(found) == row["word"] if inflected else found.startswith(row["word"])
    if task == "qa":
        (answer,) = row["answers"]
        assert row["context"][answer["answer_start"] :].startswith(answer["text"])
        assert row["context"].lower().count(answer["text"].lower()) == 1
        assert row["question"].endswith("?")


def test_every_task_of_the_study_is_read():
    assert set(READERS) == set(TEN_TASKS)


@pytest.mark.parametrize("task", TEN_TASKS)
def test_rows_have_the_layout_differ_and_share_no_sentence_with_test_rows(world, task):
    train, test = world[task]
    rows = train + test
    assert not {s for row in train for s in sentences_of(row)} & {s for row in test for s in sentences_of(row)}
    assert len({repr(row) for row in rows}) == 1200
    for row in rows:
        assert_row(task, row)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), task=st.sampled_from(TEN_TASKS), language=st.sampled_from(list(LANGUAGES)))
def test_any_seed_gives_valid_disjoint_rows(seed, task, language):
    train, test = task_rows(task, 30, 10, seed, language)
    assert (len(train), len(test)) == (30, 10)
    for row in train + test:
        assert_row(task, row, language)
    assert not {s for row in train for s in sentences_of(row)} & {s for row in test for s in sentences_of(row)}


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_any_sentence_is_annotated_consistently(seed):
    rng = grammar.Rng(seed)
    for phrase in [any_sentence(rng) for _ in range(20)]:
        n = len(phrase.tokens)
        assert n == len(phrase.chunks) == len(phrase.entities) == len(phrase.meanings)
        assert phrase.tokens[0][0].isupper() and phrase.tokens[-1] == "."
        assert "{" not in phrase.text() and "*" not in phrase.text() and "  " not in phrase.text()
        assert_bio(phrase.chunks)
        assert_bio(phrase.entities)
        for frame in phrase.frames:
            assert_bio(phrase.tags(frame))
            assert "VP" in phrase.chunks[frame.predicate]
            covered = [i for _, start, stop in frame.spans for i in range(start, stop)]
            assert len(covered) == len(set(covered)) and frame.predicate not in covered
        for word, following in zip(phrase.tokens, phrase.tokens[1:], strict=False):
            if word.lower() in ("a", "an"):
                assert word.lower() == grammar.article(following)


@pytest.mark.parametrize("task", TEN_TASKS)
def test_rows_come_again_with_the_seed(task):
    assert task_rows(task, 50, 10, 1) == task_rows(task, 50, 10, 1) != task_rows(task, 50, 10, 2)


@pytest.mark.parametrize("task", [task for task in TEN_TASKS if "label" in FIELDS[task]])
def test_labels_have_their_shares(world, task):
    for part in world[task]:
        counts = Counter(row["label"] for row in part)
        for label, share in READERS[task].shares.items():
            assert abs(counts[label] / len(part) - share) < 0.01


def bag_of_words(train, test, fields):
    """Accuracy of logistic regression on tf-idf; each field of a pair has its own bag."""
    bags = [TfidfVectorizer(token_pattern=r"\w+").fit([row[name] for row in train]) for name in fields]
    x, x_test = (
        hstack([bag.transform([row[name] for row in part]) for bag, name in zip(bags, fields, strict=True)]).tocsr()
        for part in (train, test)
    )
    model = LogisticRegression(max_iter=500).fit(x, [row["label"] for row in train])
    return np.mean(model.predict(x_test) == np.array([row["label"] for row in test]))


@pytest.mark.parametrize(
    ("task", "fields", "ceiling"),
    [
        ("wsd", ["word", "sentence1", "sentence2"], 0.60),
        ("coreference", ["text", "pronoun", "a", "b"], 0.50),
        ("paraphrase", ["sentence1", "sentence2"], 0.60),
        ("nli", ["premise", "hypothesis"], 0.60),
        ("sentiment", ["sentence"], 0.85),
        ("emotion", ["sentence"], 0.80),
    ],
)
def test_counting_words_does_not_solve_it(world, task, fields, ceiling):
    assert bag_of_words(*world[task], fields) < ceiling


def test_roles_are_not_tied_to_words(world):
    """Names are agents about as often as they are patients or recipients."""
    names = {*LEXICON.women, *LEXICON.men}
    roles = Counter(
        tag[2:]
        for row in [row for part in world["srl"] for row in part]
        for word, tag in zip(row["tokens"], row["tags"], strict=True)
        if word in names and tag[2:] in ("ARG0", "ARG1", "ARG2")
    )
    assert 0.2 < roles["ARG0"] / sum(roles.values()) < 0.8


def test_roles_of_a_relative_clause():
    head, other = grammar.build("the doctor"), grammar.build("the nurse")
    phrase = grammar.relative(head, "praised", other, subject=False)
    assert phrase.text() == "the doctor who the nurse praised"
    assert phrase.tags(phrase.frames[0]) == ["B-ARG1", "I-ARG1", "B-R-ARG1", "B-ARG0", "I-ARG0", "B-V"]


def test_voice_changes_form_not_roles():
    event = grammar.Event("teach", grammar.build("the nurse"), grammar.build("the doctor"), negated=True)
    active, passive = grammar.clause(event), grammar.clause(event, passive=True)
    assert active.text() == "the nurse did not teach the doctor"
    assert passive.text() == "the doctor was not taught by the nurse"
    tags = "B-ARG1 I-ARG1 O B-ARGM-NEG B-V B-ARG0 I-ARG0 I-ARG0"
    assert passive.tags(passive.frames[0]) == tags.split()
    assert passive.chunks == ["B-NP", "I-NP", "B-VP", "I-VP", "I-VP", "B-PP", "B-NP", "I-NP"]


@pytest.mark.parametrize(
    ("lemma", "past", "participle"),
    [
        ("carry", "carried", "carried"),
        ("draw", "drew", "drawn"),
        ("plan", "planned", "planned"),
        ("bake", "baked", "baked"),
    ],
)
def test_verb_forms(lemma, past, participle):
    assert (grammar.past(lemma), grammar.participle(lemma)) == (past, participle)
    assert grammar.lemma_of(past) == grammar.lemma_of(participle) == lemma


def test_the_lexicon_is_complete():
    """Every thing of the topics has a kind, every verb an action, every ambiguous word two senses with frames."""
    for name, topic in LEXICON.topics.items():
        for verb, objects in topic.events.items():
            assert any(verb in verbs for verbs in LEXICON.actions.values()), verb
            for noun in objects:
                assert noun.removeprefix("+").split()[-1] in grammar.KIND_OF_NOUN, (name, noun)
    assert len(LEXICON.ambiguous) >= 20
    for senses in LEXICON.ambiguous.values():
        assert len(senses) == 2
        assert all(len(frames) >= 4 and all(frame.count("*") == 1 for frame in frames) for frames in senses.values())


def test_every_word_of_the_lexicon_is_read_as_a_text():
    """YAML takes words such as "on" for truth values unless they are quoted."""
    plain = {
        name: value for name, value in vars(LEXICON).items() if name not in ("emotions", "verdicts", "plain_verdicts")
    }
    for name, value in plain.items():
        assert "True" not in str(value) and "False" not in str(value) and "None" not in str(value), name
    assert {"on", "off"} <= {*LEXICON.prepositions, *LEXICON.particles}


def test_stimuli_of_the_default_settings():
    world = stimuli(WorldSettings())
    again = stimuli(WorldSettings())
    n = 384
    assert len(set(world.sentences)) == len(world.sentences) == n and world.sentences == again.sentences
    assert world.passage.shape == world.topic.shape == world.position.shape == (n,)
    assert np.array_equal(np.bincount(world.topic), [16] * 24) and len(world.topic_names) == 24
    assert all(len(set(world.topic[world.passage == p])) == 1 for p in range(96))
    assert 24 <= len(passages.CONCEPTS) <= 40 and 8 <= len(passages.SYNTAX) <= 12
    for table, names in ((world.concepts, passages.CONCEPTS), (world.syntax, passages.SYNTAX)):
        assert table.dtype == np.float32 and table.shape == (n, len(names)) and np.isfinite(table).all()
        assert not [name for name, sd in zip(names, table.std(axis=0), strict=True) if sd == 0]
    assert np.array_equal(world.concepts, again.concepts) and np.array_equal(world.syntax, again.syntax)
    assert world.sentences != stimuli(WorldSettings(world_seed=1)).sentences


@pytest.mark.parametrize(
    "kwargs",
    [{"passages": 5, "topics": 2, "sentences_per_passage": 10}, {"passages": 500}, {"sentences_per_passage": 2}],
)
def test_stimuli_of_other_sizes(kwargs):
    chosen = WorldSettings(**kwargs)
    world = stimuli(chosen)
    assert len(set(world.sentences)) == chosen.passages * chosen.sentences_per_passage
    assert world.position.max() == chosen.sentences_per_passage - 1 and world.topic.max() == chosen.topics - 1


def test_passages_speak_of_their_hero_by_pronoun():
    for seed in range(20):
        first, *rest = passage(grammar.Rng(seed), LEXICON.topics["hospital"], 6)
        assert "B-person" in first.entities
        assert sum(bool(PRONOUNS & {w.lower() for w in phrase.tokens}) for phrase in rest) >= 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("parsing", 10, 10, 0), "parsing"),
        (("wsd", -1, 10, 0), "n_train: -1"),
        (("wsd", 10, -1, 0), "n_test: -1"),
        (("wsd", 10, 10, 0, "elvish"), "'elvish'.*english, invented"),
    ],
)
def test_impossible_requests_are_errors(arguments, words):
    with pytest.raises(BraintuneError, match=words):
        task_rows(*arguments)


def test_an_exhausted_grammar_is_an_error(monkeypatch):
    monkeypatch.setitem(
        READERS, "wsd", READERS["wsd"]._replace(read=lambda rng, label, language: {"sentence": "a", "label": label})
    )
    with pytest.raises(BraintuneError, match=r"wsd: 10 rows requested, .* request fewer rows"):
        task_rows("wsd", 10, 10, 0)
