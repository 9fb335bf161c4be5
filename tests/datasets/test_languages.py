"""The languages of the microworld: English as it was, and an invented one with the same meaning."""

import hashlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from braintune.core.settings import TEN_TASKS, WorldSettings
from braintune.core.study import Study
from braintune.datasets.brains.simulated import simulate
from braintune.datasets.microworld import grammar, languages
from braintune.datasets.microworld.languages import LANGUAGES
from braintune.datasets.microworld.lexicon import LEXICON
from braintune.datasets.microworld.passages import stimuli
from braintune.datasets.microworld.sentences import any_sentence, simple
from braintune.datasets.microworld.tasks import READERS, task_rows
from braintune.models.backbones import load_backbone

INVENTED = LANGUAGES["invented"]
LETTERS = {letter for form in languages._forms().values() for letter in form}
#: First digits of SHA-256 of 200 + 80 English rows (seed 2023), as they were before there was another language.
RECORDED = {
    **{"chunking": "a6d8f5de4941ed06", "ner": "1d7626dce0226c47", "srl": "e25d7151efdf390a"},
    **{"coreference": "af4b0be64401e0ac", "wsd": "b953b65db022dfb8", "nli": "13ff50a1165303e7"},
    **{"paraphrase": "2070f516302e6ab1", "qa": "65b15334dc877ed2", "sentiment": "ef815a4646d54432"},
    "emotion": "6f12d81e59f7385b",
}


def digest(value):
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def said(frame, **slots):
    return INVENTED.say(grammar.build(frame, **slots)).tokens


def forms(english):
    """The forms of words; a verb that is not in its plain form is written with + behind its plain form."""
    ending = languages._sounds().inflected
    return [INVENTED.word(word.removesuffix("+")) + ending * word.endswith("+") for word in english.split()]


# --- English -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TEN_TASKS)
def test_english_tasks_are_what_they_were(task):
    assert digest(task_rows(task, 200, 80, 2023)) == RECORDED[task]
    assert digest(task_rows(task, 200, 80, 2023, "english")) == RECORDED[task]


def test_english_stimuli_are_what_they_were():
    world = stimuli(WorldSettings())
    assert digest([world.sentences, world.concepts.tolist(), world.syntax.tolist()]) == "429460dc403589be"


# --- the invented language ---------------------------------------------------------------------------------------


def test_the_same_meaning_features_and_brains_in_other_words():
    english, invented = (stimuli(WorldSettings(language=name)) for name in LANGUAGES)
    assert len(set(invented.sentences)) == len(invented.sentences)
    for one, other in zip(english.sentences, invented.sentences, strict=True):
        assert len(one.split()) == len(other.split())
        assert set(other) <= LETTERS | set(" .,")
    for layer in ("concepts", "syntax", "passage", "topic", "position"):
        np.testing.assert_array_equal(getattr(english, layer), getattr(invented, layer))
    brains = [simulate(Study.make({"language": name, "voxels_per_region": 8})).load("S01") for name in LANGUAGES]
    for region, responses in brains[0].items():
        np.testing.assert_array_equal(responses, brains[1][region])


@pytest.mark.parametrize("task", READERS)
def test_every_task_is_said_without_a_latin_letter(task):
    train, test = task_rows(task, 150, 30, 7, "invented")
    assert train != task_rows(task, 150, 30, 7)[0]
    for row in train + test:
        texts = [
            row[name] for name in ("text", "sentence", "sentence1", "sentence2", "premise", "hypothesis") if name in row
        ]
        texts += [row[name] for name in ("context", "question", "a", "b", "pronoun", "word") if name in row]
        assert set("".join([*texts, *row.get("tokens", [])])) <= LETTERS | set(" .,?")


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_annotation_goes_with_the_words(seed):
    """Words, roles, chunks and entities are the same; only their order and form differ."""
    rng = grammar.Rng(seed)
    for phrase in [any_sentence(rng) for _ in range(20)]:
        other = INVENTED.say(phrase)
        assert sorted(phrase.order) == list(range(len(phrase.tokens)))
        assert other.tokens[-1] == "."
        for layer in ("chunks", "entities", "meanings"):
            assert sorted(getattr(phrase, layer)) == sorted(getattr(other, layer))
            before = "O"
            for tag in getattr(other, layer) if layer != "meanings" else ():
                assert not tag.startswith("I-") or before[2:] == tag[2:]
                before = tag
        for frame, moved in zip(phrase.frames, other.frames, strict=True):
            assert phrase.order[moved.predicate] == frame.predicate
            spans = [(role, sorted(phrase.order[start:stop])) for role, start, stop in moved.spans]
            assert sorted(spans) == sorted((role, list(range(start, stop))) for role, start, stop in frame.spans)


def test_the_verb_ends_its_clause():
    rng = grammar.Rng(3)
    for name in LEXICON.topics:
        phrase = INVENTED.say(simple(rng, LEXICON.topics[name]))
        assert phrase.frames[0].predicate == len(phrase.tokens) - 2
    event = grammar.Event("teach", grammar.build("the nurse"), grammar.build("the doctor"), place="in the ward")
    active, passive = (INVENTED.say(grammar.clause(event, passive)) for passive in (False, True))
    assert active.tokens == forms("the nurse the doctor the ward in teach+")
    assert passive.tokens == forms("the doctor the nurse by the ward in was teach+")
    assert [role for role, _, _ in passive.frames[0].spans] == ["ARG1", "ARG0", "ARGM-LOC"]
    reported = grammar.report(grammar.build("the doctor"), "said", grammar.clause(event))
    assert INVENTED.say(reported).tokens == forms("the doctor the nurse the doctor the ward in teach+ that say+")


def test_order_of_segments():
    assert said("an office of the bank") == forms("the bank of a office")
    assert said("0:Anna | =swam | , but | it | =was not | cold") == forms("anna swim+ , but it cold was not")
    assert said("Anna | =was invited | by Tom and Eva") == forms("anna tom and eva by was invite+")


def test_relative_clauses_are_not_ambiguous():
    head, other = grammar.build("the doctor"), grammar.build("the nurse")
    subject, patient = (INVENTED.say(grammar.relative(head, "praised", other, form)) for form in (True, False))
    assert subject.tokens == forms("the doctor who the nurse praise+")
    assert patient.tokens == forms("the doctor whom the nurse praise+")


def test_no_two_words_sound_alike():
    found = languages._forms()
    assert len(found) > 2000 and len(set(found.values())) == len(found)
    ending = languages._sounds().inflected
    assert not {form + ending for form in found.values()} & set(found.values())
    assert len({len(found[word]) for word in languages._sounds().frequent}) == 1


def test_the_default_backbone_reads_every_letter():
    tokenizer = load_backbone("all-MiniLM-L6-v2").tokenizer
    ids = tokenizer(" ".join(languages._forms().values()))["input_ids"]
    assert tokenizer.unk_token_id not in ids
