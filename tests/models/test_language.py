"""Masked language modelling: what is masked, read and scored, and that no stimulus is among the text."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional
from transformers import AutoTokenizer

from braintune.core.base import BraintuneError
from braintune.core.study import Study
from braintune.datasets.brains.registry import load_brain
from braintune.datasets.masking import mask, masked_words, word_places
from braintune.datasets.metrics import score
from braintune.datasets.tasks import TASKS, Task, TaskData, load_task
from braintune.models.backbones import adapt_tokenizer, load_backbone
from braintune.models.baselines import bag_of_words_answers, trivial_answers
from braintune.models.checkpoints import history
from braintune.models.embeddings import embed
from braintune.models.heads import TunedModel
from braintune.models.inputs import IGNORED, collate, encode, read_answers
from braintune.models.tuning import load_tuned, tune
from braintune.workflow import execute
from tiny_models import TOKENIZERS, save_tiny_bert, tiny_encoder

LANGUAGE = Task("language", "language", "language", "", "accuracy", "Which words?", {"sentence": "text"})
PLUGIN = "notebooks/plugins/more_tasks.py"
TEXT = "The old river doesn't play; she plays."


def with_mask(family):
    tokenizer = TOKENIZERS[family]()
    tokenizer.add_special_tokens({"mask_token": "[MASK]"})
    return adapt_tokenizer(tokenizer, family)


@pytest.fixture
def make_study(tmp_path, registries):
    """A study of a tiny BERT whose tokenizer has a mask token, with the plugin of the project."""
    folder = save_tiny_bert(tmp_path / "bert")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.mask_token = "[MASK]"
    tokenizer.save_pretrained(folder)

    def make(**values):
        base = {"runs": str(tmp_path / "runs"), "plugins": [PLUGIN], "backbone": folder, "tasks": ["language"],
                "learning_rates": {"fine-tuned": [3e-3], "prompt-tuned": [3e-2]}, "epochs": [2], "batch_size": 8,
                "train_examples": 40, "test_examples": 20, "prefix_length": 3, "device": "cpu", "passages": 12,
                "topics": 4, "simulated_participants": 1, "voxels_per_region": 8, "n_folds": 3}  # fmt: skip
        return Study.make(base | values)

    return make


def test_words_are_masked_at_random_and_the_same_again():
    assert [TEXT[start:end] for start, end in word_places(TEXT)] == [
        "The",
        "old",
        "river",
        "doesn't",
        "play",
        "she",
        "plays",
    ]
    rows = [{"sentence": text} for text in (TEXT, " ".join(["word"] * 40), "One.", "…")]
    one, same, other = (mask(rows, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert one == same != other
    assert [len(row["masked"]) for row in one] == [1, 6, 1, 0]
    assert {*masked_words(one[0])} <= set(TEXT.replace(";", "").replace(".", "").split())


@pytest.mark.parametrize("family", ["bert", "roberta", "modernbert"])
def test_a_masked_word_is_hidden_whole_and_right_only_if_all_of_it_is(family):
    tokenizer = with_mask(family)
    row = {"sentence": TEXT, "masked": [word_places(TEXT)[i] for i in (2, 3)]}
    encoded = encode(LANGUAGE, [row], (), tokenizer, 128)
    (feature,) = encoded.features
    plain = tokenizer(TEXT)["input_ids"]
    ids, labels = np.array(feature["input_ids"]), np.array(feature["labels"])
    hidden = labels != IGNORED
    assert hidden.sum() == sum(map(len, feature["gaps"])) > 2 and (ids[hidden] == tokenizer.mask_token_id).all()
    assert np.array_equal(np.where(hidden, labels, ids), plain)
    assert encoded.lost == encoded.truncated == 0
    assert read_answers(encoded, [labels]) == [["river", "doesn't"]]
    labels[feature["gaps"][1][-1]] += 1
    assert read_answers(encoded, [labels]) == [["river", ""]]
    assert score(LANGUAGE, [row], [["River", ""]]) == {"accuracy": 0.5}


def test_a_sentence_that_is_cut_counts_its_lost_words():
    row = {"sentence": TEXT, "masked": [word_places(TEXT)[i] for i in (0, 6)]}
    encoded = encode(LANGUAGE, [row], (), with_mask("bert"), 16)
    assert (encoded.lost, encoded.truncated) == (1, 1)
    assert read_answers(encoded, [np.array(encoded.features[0]["labels"])]) == [["The", ""]]


def test_the_head_compares_with_the_embeddings_of_the_backbone_itself():
    tokenizer = with_mask("bert")
    rows = mask([{"sentence": text} for text in (TEXT, "She plays the river.", "…")], np.random.default_rng(0))
    batch = collate(encode(LANGUAGE, rows, (), tokenizer, 64).features, 0)
    for family in ("bert", "electra"):  # the latter's embeddings are narrower than its hidden states
        model = TunedModel(tiny_encoder(family, words=len(tokenizer)), "language", 0).eval()
        found = model(**batch)
        inputs = {name: value for name, value in batch.items() if name not in ("spans", "labels")}
        words = model.backbone.get_input_embeddings().weight
        scores = model.head(model.backbone(**inputs).last_hidden_state) @ words.T
        wanted = functional.cross_entropy(scores.transpose(1, 2), batch["labels"], ignore_index=IGNORED)
        torch.testing.assert_close(found["loss"], wanted)
        hidden = batch["labels"] != IGNORED
        assert torch.equal(found["logits"][hidden], scores.argmax(-1)[hidden])
        found["loss"].backward()
        assert all(p.grad is not None and p.grad.any() for p in (words, model.head.weight, model.token_bias))
        assert not any("embeddings" in name for name, _ in model.named_parameters() if not name.startswith("backbone."))


def test_baselines_know_words_and_neighbours_that_are_not_masked():
    train = [
        {"sentence": text, "masked": []}
        for text in ("A cat sat.", "A cat ran.", "The dog ran.", "A cow sat.", "A cow fed.")
    ]
    places = word_places("The dog ran.")
    tests = [[places[1]], [places[2]], [places[1], places[2]], [places[0], places[1], places[2]]]
    test = [{"sentence": "The dog ran.", "masked": masked} for masked in tests]
    data = TaskData(LANGUAGE, train, [], test, (), {}, {}, {})
    assert trivial_answers(data) == [["a"] * n for n in (1, 1, 2, 3)]
    # between "the" and "ran"; after "dog"; after "the", and after a word that is masked; at the beginning
    assert bag_of_words_answers(data) == [["dog"], ["ran"], ["dog", "a"], ["a", "a", "a"]]


def test_causal_models_are_refused_by_name():
    with pytest.raises(BraintuneError, match=r"'language' masks words, .* no mask token .*GPT-2.*leave 'language' out"):
        encode(LANGUAGE, [], (), adapt_tokenizer(TOKENIZERS["gpt2"](), "gpt2"), 64)


def test_only_language_modelling_may_have_no_level():
    with pytest.raises(BraintuneError, match="unknown level of task 'language' ''; known: form"):
        replace(LANGUAGE, kind="sentence", fields={"sentence": "text", "label": "text"})


def test_the_text_of_the_microworld_holds_no_stimulus(make_study):
    study = make_study(train_examples=300)
    data = load_task(study, "language")
    rows = [*data.train, *data.validation, *data.test]
    assert len(rows) == 320 and data == load_task(study, "language")
    stimuli = set(load_brain(study, "simulated").stimuli.sentences)
    assert not stimuli & {row["sentence"] for row in rows}
    other = load_task(study.model_copy(update={"world_seed": 1}), "language")
    assert other.train[0]["sentence"] != data.train[0]["sentence"]
    follows = load_task(study, "next_sentence")
    assert follows.labels == ("next", "not_next") and TASKS["next_sentence"].level == "sentence"
    words = bag_of_words_answers(follows)
    assert score(follows.task, follows.test, words)["accuracy"] < 0.8  # what comes next is not seen in words alone


def test_stimuli_among_the_training_text_are_refused_before_a_run(make_study, tmp_path, monkeypatch):
    monkeypatch.setenv("BRAINTUNE_DATA", str(tmp_path))
    study = make_study(task_source="folder")
    stimuli = load_brain(study, "simulated").stimuli.sentences
    (folder := tmp_path / "nlu" / "language").mkdir(parents=True)
    texts = [f"Text {i} of another sort." for i in range(30)]
    for part, sentences in (("train", [stimuli[3].upper(), stimuli[5], *texts]), ("test", [stimuli[0], "So it is."])):
        lines = "".join(json.dumps({"sentence": sentence}) + "\n" for sentence in sentences)
        (folder / f"{part}.jsonl").write_text(lines, encoding="utf-8")
    with pytest.raises(
        BraintuneError, match=r"2 of 32 training sentences are stimuli of 'simulated', .*nlu/language/train"
    ):
        execute.check(study)


@pytest.mark.parametrize("method", ["fine-tuned", "prompt-tuned"])
def test_both_methods_learn_and_are_saved_and_loaded(make_study, method):
    study = make_study()
    metrics = tune(study, "language", method, 0)
    assert (metrics["metric"], metrics["labels"], metrics["lost_words"]) == ("accuracy", [], 0)
    assert 0 < metrics["bag_of_words"] < 1 and 0 <= metrics["score"] <= 1
    losses = history(study, "language", method, 0)["train_loss"]
    assert losses.iloc[-1] < losses.iloc[0]
    tuned, plain = load_tuned(study, "language", method, 0), load_backbone(study.backbone)
    vectors, before = (embed(of, ["she plays", "the river"]) for of in (tuned, plain))
    assert np.array_equal(vectors, embed(load_tuned(study, "language", method, 0), ["she plays", "the river"]))
    assert abs(vectors - before)[-1].max() > 1e-4
    words = [of.model.get_input_embeddings().weight for of in (tuned, plain)]
    assert torch.equal(*words) == (method == "prompt-tuned")  # the head is tied to them, and they stay frozen
