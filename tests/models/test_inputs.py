import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from braintune.datasets.tasks import NO_ANSWER, TASKS
from braintune.models.backbones import adapt_tokenizer
from braintune.models.inputs import (
    IGNORED,
    UNKNOWN,
    best_span,
    best_tags,
    collate,
    encode,
    read_answers,
)
from tiny_models import TOKENIZERS

FAMILIES = {name: adapt_tokenizer(make(), name) for name, make in TOKENIZERS.items()}
family = pytest.mark.parametrize("family", FAMILIES)
anything = settings(max_examples=60, deadline=None)

odd_words = st.text(max_size=6) | st.sampled_from(
    ["", "the", "\u200d", "\x00", "\u0301", "👩‍👩‍👧", "ﬁ", "日本", "\ufeff", "don't", "\xa0", "İ"]
)
odd_texts = st.lists(odd_words, max_size=12).map(" ".join)


def answer_exactly(encoded):
    """Return the outputs of a model that makes no mistake on the labels it was given."""
    outputs = []
    for feature in encoded.features:
        size = len(feature["input_ids"])
        if encoded.task.kind == "span":
            points = np.zeros((size, 2))
            for column, place in enumerate(feature["labels"]):
                if place >= 0:
                    points[place, column] = 1
            outputs.append(points)
        elif "words" in feature:
            outputs.append(np.array([max(label, 0) for label in feature["labels"]]))
        else:
            outputs.append(np.array(max(feature["labels"], 0)))
    return outputs


def reference_row(text):
    words = {"pronoun": "she", "a": "anna", "b": "eve"}
    return {"text": text, "label": "x"} | words | {f"{part}_start": text.index(word) for part, word in words.items()}


# --- words and tokens --------------------------------------------------------------------------------------------


@family
@anything
@given(st.lists(st.tuples(odd_words, st.sampled_from(["O", "B-X", "I-X"])), min_size=1, max_size=12))
def test_tags_survive_the_round_trip(family, pairs):
    row = {"tokens": [w for w, _ in pairs], "tags": [t for _, t in pairs]}
    encoded = encode(TASKS["ner"], [row], ("B-X", "I-X", "O"), FAMILIES[family], 512)
    (feature,) = encoded.features
    assert encoded.truncated == 0
    (answer,) = read_answers(encoded, answer_exactly(encoded))
    assert len(answer) == len(pairs)
    missed = [place < 0 for place in feature["words"]]
    assert not any(gone and word.isascii() and word.isalnum() for (word, _), gone in zip(pairs, missed, strict=True))
    first = [place for place in feature["words"] if place >= 0]
    assert first == sorted(set(first))  # one token each, in order
    assert sum(label != IGNORED for label in feature["labels"]) == len(first)
    assert encoded.lost == sum(missed)
    assert all(a == "O" if gone else a == t for a, (_, t), gone in zip(answer, pairs, missed, strict=True))


@family
@pytest.mark.parametrize("tokens", [["play"], ["\x00"], [""], ["", "ox", ""], ["👩‍👩‍👧", "ox"], ["ox"] * 300])
def test_hard_token_lists(family, tokens):
    row = {"tokens": tokens, "tags": ["B-X"] * len(tokens), "predicate_index": len(tokens) - 1}
    for task in ("ner", "srl"):
        encoded = encode(TASKS[task], [row], ("B-X",), FAMILIES[family], 64)
        (feature,) = encoded.features
        assert 1 <= len(feature["input_ids"]) <= 64
        answer = read_answers(encoded, answer_exactly(encoded))[0]
        assert answer.count("B-X") == len(tokens) - encoded.lost
        assert encoded.truncated == (len(tokens) == 300)
        if len(tokens) == 300:
            assert encoded.lost == answer.count("O") > 200
            assert task == "ner" or answer[-1] == "B-X"  # cropped around the predicate


def test_a_word_of_a_tag_that_training_never_shows_is_a_word_all_the_same():
    """Gold tags say nothing about where words are: the tags of a row change no answer."""
    known, new = ({"tokens": ["an", "ox", "eats"], "tags": tags} for tags in (["O", "B-X", "O"], ["O", "I-NEW", "O"]))
    logits, answers = torch.randn(1, 7, 2, generator=torch.manual_seed(0)), []
    for row in (known, new):
        encoded = encode(TASKS["ner"], [row], ("B-X", "O"), FAMILIES["bert"], 64)
        labels = torch.tensor([encoded.features[0]["labels"]])
        tags = best_tags(logits[:, : labels.shape[1]], labels != IGNORED, encoded.labels)
        answers.append(read_answers(encoded, list(tags.numpy())))
    assert answers[0] == answers[1] and (labels == UNKNOWN).sum() == 1


def test_labels_that_training_never_shows_are_passed_over():
    encoded = encode(TASKS["sentiment"], [{"sentence": "ox", "label": "new"}], ("a", "b"), FAMILIES["bert"], 64)
    assert encoded.features[0]["labels"] == IGNORED


# --- spans -------------------------------------------------------------------------------------------------------


@family
def test_spans_are_the_words_they_should_be(family):
    tokenizer = FAMILIES[family]

    def read(feature, span):
        return tokenizer.decode(feature["input_ids"][span[0] : span[1]]).replace(" ##", "").strip()

    cases = {
        "sentiment": ({"sentence": "the river", "label": "x"}, ["the river"]),
        "nli": ({"premise": "the ox", "hypothesis": "she plays", "label": "x"}, ["the ox", "she plays"]),
        "wsd": (
            {"sentence1": "ox eats ox", "sentence2": " the  ox", "index1": 2, "index2": 1, "label": "x"},
            ["ox", "ox"],
        ),
        "srl": ({"tokens": ["ox", "eats", "ox"], "tags": ["O"] * 3, "predicate_index": 2}, ["ox"]),
        "coreference": (reference_row("anna met eve; she sat"), ["she", "anna", "eve"]),
    }
    for task, (row, wanted) in cases.items():
        (feature,) = encode(TASKS[task], [row], ("x",), tokenizer, 64).features
        assert [read(feature, span) for span in feature["spans"]] == wanted
        if task in ("wsd", "srl"):
            start = feature["spans"][0][0]
            assert start > feature["input_ids"].index(feature["input_ids"][start])  # the second "ox", not the first


@family
def test_long_texts_are_cropped_around_the_spans_and_counted(family):
    filler = "so " * 100
    text = filler + "anna met eve; she sat. " + filler
    rows = [reference_row(text), reference_row("anna " + text), reference_row(text.strip("so ")[:30])]
    encoded = encode(TASKS["coreference"], rows, ("x",), FAMILIES[family], 64)
    assert encoded.truncated == 2
    sizes = {f["row"]: [end - start for start, end in f["spans"]] for f in encoded.features}
    assert min(sizes[0]) > 0
    assert sizes[1][0] > 0  # the pronoun stays, the far candidate is lost
    assert sizes[1][1] == 0
    assert encoded.lost == 1
    assert all(len(f["input_ids"]) <= 64 for f in encoded.features)


def test_two_long_texts_share_the_room_and_a_short_one_stays_whole():
    tokenizer = FAMILIES["bert"]
    for first, second, sizes in ((100, 100, (30, 31)), (100, 5, (56, 5)), (5, 100, (5, 56)), (30, 31, (30, 31))):
        row = {"sentence1": "a " * first, "sentence2": "a " * second, "label": "x"}
        encoded = encode(TASKS["paraphrase"], [row], ("x",), tokenizer, 64)
        spans = encoded.features[0]["spans"]
        assert tuple(end - start for start, end in spans) == sizes
        assert encoded.truncated == (first + second > 61)


@family
@anything
@given(odd_texts, odd_texts)
def test_any_pair_of_texts_can_be_encoded(family, first, second):
    row = {"premise": first, "hypothesis": second, "label": "x"}
    encoded = encode(TASKS["nli"], [row], ("x",), FAMILIES[family], 32)
    batch = collate(encoded.features, fill=0)
    assert batch["input_ids"].shape[1] <= 32
    assert batch["spans"].shape == (1, 2, 2)
    assert (batch["spans"] <= batch["input_ids"].shape[1]).all()
    assert read_answers(encoded, answer_exactly(encoded)) == ["x"]


# --- answers in windows ------------------------------------------------------------------------------------------


@family
@anything
@given(st.data())
def test_any_answer_survives_the_windows(family, data):
    tokenizer = FAMILIES[family]
    words = data.draw(st.lists(st.sampled_from(["the", "ox", "river,", "42", "été", "日本"]), min_size=1, max_size=60))
    first = data.draw(st.integers(0, len(words) - 1))
    last = data.draw(st.integers(first, min(first + 3, len(words) - 1)))
    context, answer = " ".join(words), " ".join(words[first : last + 1])
    start = sum(len(w) + 1 for w in words[:first])
    row = {"context": context, "question": "who", "answers": [{"text": answer, "answer_start": start}]}
    encoded = encode(TASKS["qa"], [row], (), tokenizer, 80, stride=data.draw(st.sampled_from([32, 37])))
    assert encoded.truncated == encoded.lost == 0
    assert all(len(f["input_ids"]) <= 80 for f in encoded.features)
    assert read_answers(encoded, answer_exactly(encoded)) == [answer]
    seen = {place for f in encoded.features for start, end in f["offsets"] for place in range(start, end)}
    assert seen >= {place for place, character in enumerate(context) if character != " "}


@family
@anything
@given(odd_texts, odd_texts, st.data())
def test_any_context_and_any_characters_as_answer(family, question, context, data):
    start = data.draw(st.integers(0, len(context)))
    end = data.draw(st.integers(start, len(context)))
    row = {"context": context, "question": question, "answers": [{"text": context[start:end], "answer_start": start}]}
    encoded = encode(TASKS["qa"], [row], (), FAMILIES[family], 48, stride=8)
    (answer,) = read_answers(encoded, answer_exactly(encoded))
    assert answer in context
    assert len(encoded.features) >= 1


def test_answers_and_questions_that_are_too_long_are_counted():
    tokenizer = FAMILIES["bert"]
    context = "a " * 100
    row = {"context": context, "question": "who", "answers": [{"text": context.strip(), "answer_start": 0}]}
    encoded = encode(TASKS["qa"], [row], (), tokenizer, 64)
    assert encoded.truncated == 1
    assert all(f["labels"] == [-1, -1] for f in encoded.features)
    row = {"context": "ox", "question": "a " * 100, "answers": [{"text": "ox", "answer_start": 0}]}
    encoded = encode(TASKS["qa"], [row], (), tokenizer, 64)
    assert encoded.truncated == 1
    assert read_answers(encoded, answer_exactly(encoded)) == ["ox"]


@anything
@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=1, max_size=12), st.integers(1, 12))
def test_best_span_equals_trying_all(points, longest):
    start, end = np.array(points, dtype=float).T
    size = len(points)
    tried = max(start[i] + end[j] for i in range(size) for j in range(i, min(i + longest, size)))
    first, last, best = best_span(start, end, longest)
    assert best == tried == start[first] + end[last]
    assert 0 <= last - first < longest


def test_the_best_window_wins():
    row = {"context": "a " * 100 + "ox", "question": "who", "answers": [{"text": "ox", "answer_start": 200}]}
    encoded = encode(TASKS["qa"], [row], (), FAMILIES["bert"], 64)
    outputs = [np.full((64, 2), -5.0) for _ in encoded.features]
    held = next(i for i, f in enumerate(encoded.features) if f["labels"][0] >= 0)
    outputs[held][encoded.features[held]["labels"], [0, 1]] = 3.0
    assert len(encoded.features) > 1
    assert read_answers(encoded, outputs) == ["ox"]


@family
@anything
@given(odd_texts, st.integers(0, 80), st.booleans())
def test_questions_may_lack_an_answer(family, question, n, answered):
    """The first token of every window is then "none", also for a context without a token."""
    context = "a " * n + "ox"
    answers = [{"text": "ox", "answer_start": 2 * n}] if answered else []
    row = {"context": context, "question": question[:20], "answers": answers}
    encoded = encode(TASKS["qa"], [row], (NO_ANSWER,), FAMILIES[family], 64)
    assert all(f["spans"][1] == [0, 1] for f in encoded.features)
    assert answered or all(f["labels"] == [0, 0] for f in encoded.features)
    assert read_answers(encoded, answer_exactly(encoded)) == ["ox" if answered else ""]
    assert encoded.lost == 0 and collate(encoded.features, 0)["spans"].shape[1:] == (2, 2)


def test_none_is_answered_only_if_it_beats_the_context_in_every_window():
    row = {"context": "a " * 100 + "ox", "question": "who", "answers": []}
    encoded = encode(TASKS["qa"], [row], (NO_ANSWER,), FAMILIES["bert"], 64)
    outputs = [np.full((64, 2), -9.0) for _ in encoded.features]
    for points in outputs:
        points[0] = 1.0
    assert len(outputs) > 1 and read_answers(encoded, outputs) == [""]
    outputs[1][5:7] = 0.5  # less than "none" in this window
    outputs[0][0] = 0.4  # but more than the least certain "none"
    assert read_answers(encoded, outputs) != [""]
    plain = encode(TASKS["qa"], [row], (), FAMILIES["bert"], 64)
    assert all(len(f["spans"]) == 1 and f["labels"] == [-1, -1] for f in plain.features)


def test_padding_is_masked():
    rows = [{"tokens": ["ox"] * n, "tags": ["O"] * n} for n in (2, 5)]
    encoded = encode(TASKS["ner"], rows, ("O",), FAMILIES["bert"], 64)
    batch = collate(encoded.features, fill=7)
    sizes = [len(f["input_ids"]) for f in encoded.features]
    assert batch["attention_mask"].sum(1).tolist() == sizes == sorted(sizes, reverse=True)
    assert (batch["input_ids"][batch["attention_mask"] == 0] == 7).all()
    assert (batch["labels"][batch["attention_mask"] == 0] == IGNORED).all()
    assert batch["spans"].shape == (2, 0, 2)


# --- tags --------------------------------------------------------------------------------------------------------


def test_best_tags_equal_the_best_of_all_legal_sequences():
    labels = ["B-a", "B-b", "I-a", "I-b", "O"]
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(8, 5, 5, generator=generator)
    labelled = torch.rand(8, 5, generator=generator) > 0.3
    found = best_tags(logits, labelled, labels)
    for scores, words, tags in zip(logits, labelled, found, strict=True):
        places = words.nonzero()[:, 0].tolist()
        legal = [
            guess
            for guess in itertools.product(range(5), repeat=len(places))
            if all(
                not labels[now].startswith("I-") or (k and labels[guess[k - 1]][1:] == labels[now][1:])
                for k, now in enumerate(guess)
            )
        ]
        wanted = max(legal, key=lambda guess: sum(float(scores[p, g]) for p, g in zip(places, guess, strict=True)))
        assert tags[words].tolist() == list(wanted)


def test_tags_of_another_scheme_follow_each_other_freely():
    logits = torch.randn(3, 4, 3, generator=torch.Generator().manual_seed(1))
    found = best_tags(logits, torch.ones(3, 4, dtype=torch.bool), ["noun", "verb", "other"])
    assert torch.equal(found, logits.argmax(-1))
