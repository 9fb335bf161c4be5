"""Tasks learned one after another: orders, what a stage starts from, what is scored with what, and resuming."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from transformers import TrainerCallback

from braintune.core.base import BraintuneError
from braintune.core.store import read_json, read_table, read_tensors
from braintune.core.study import Study
from braintune.datasets.brains.registry import load_brain
from braintune.models import continual, sequences, training, tuning
from braintune.models.backbones import load_backbone
from braintune.models.checkpoints import model_folder
from braintune.models.sequences import sequence_of, stage_folder, task_orders
from braintune.models.training import Conditions
from tiny_models import save_tiny_bert

SMALL = {
    "tasks": ["sentiment", "chunking", "wsd"],
    "orders": 2,
    "epochs": [2],
    "learning_rates": {"fine-tuned": [3e-3], "prompt-tuned": [3e-2]},
    "precision": "float32",
    "train_examples": 40,
    "test_examples": 20,
    "batch_size": 8,
    "prefix_length": 3,
    "device": "cpu",
    "passages": 6,
    "topics": 3,
    "sentences_per_passage": 2,
}
METHODS = ("fine-tuned", "prompt-tuned")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("continual")
    return Study.make(SMALL | {"runs": str(folder / "runs"), "backbone": save_tiny_bert(folder / "bert")})


@pytest.fixture(scope="module")
def learned(study):
    """Method → its first sequence, whose stages are learned, and what each stage says."""
    found = {method: sequence_of(study, 1, method, 0) for method in METHODS}
    return {method: (one, continual.learn(study, one)) for method, one in found.items()}


class AfterOneEpoch(TrainerCallback):
    """A kill, once the first checkpoint is written."""

    def on_save(self, *_, **__):
        raise InterruptedError


def weights(study, sequence, stage):
    return read_tensors(stage_folder(study, sequence, stage) / "weights.safetensors")[0]


def part(state, start):
    return {name: value for name, value in state.items() if name.startswith(start)}


# --- orders ------------------------------------------------------------------------------------------------------


def orders(n, number, **values):
    return task_orders(Study.make({"tasks": list("abcdefghij")[:n], "orders": number, **values}))


@pytest.mark.parametrize(("n", "number"), [(2, 2), (3, 3), (4, 2), (5, 5), (6, 3), (9, 3), (10, 10)])
def test_no_task_has_a_place_twice(n, number):
    found = orders(n, number)
    assert len(found) == number and all(sorted(one) == sorted(found[0]) for one in found)
    assert all(len(set(place)) == number for place in zip(*found, strict=True))


@pytest.mark.parametrize(("n", "number"), [(4, 4), (6, 3), (6, 6), (10, 10)])
def test_of_an_even_number_no_task_follows_another_twice(n, number):
    follows = [pair for one in orders(n, number) for pair in pairwise(one)]
    assert len(set(follows)) == len(follows) == number * (n - 1)


@pytest.mark.parametrize("n", [3, 6])
def test_in_three_orders_each_task_is_at_the_beginning_in_the_middle_and_at_the_end(n):
    found = orders(n, 3)
    for task in found[0]:
        assert sorted(one.index(task) // (n // 3) for one in found) == [0, 1, 2]


def test_orders_follow_the_seed_of_the_world():
    assert orders(6, 3) == orders(6, 3, seeds=[4]) != orders(6, 3, world_seed=1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"tasks": ["ner"]}, "tasks: 'ner' alone is not a sequence; name .*two .* orders: 0"),
        ({"orders": 4}, "orders: 4 must be between 1 and 3, .* name more tasks"),
        ({"orders": 0}, "orders: 0 must be between 1 and 3"),
        (
            {"methods": ["lora"], "learning_rates": {"lora": [1e-3]}},
            "methods: lora .* add one of fine-tuned, prompt-tuned",
        ),
    ],
)
def test_sequences_that_cannot_be_are_refused(values, message):
    with pytest.raises(BraintuneError, match=message):
        sequences.sequences(Study.make({"tasks": ["ner", "wsd", "nli"], "orders": 2} | values))


def test_an_unknown_order_or_method_is_named_with_those_there_are(study):
    with pytest.raises(BraintuneError, match=r"order: 3 is not one of 1 to 2; .* raise `orders`"):
        sequence_of(study, 3, "fine-tuned", 0)
    with pytest.raises(BraintuneError, match=r"unknown method of a sequence 'tuned'; known: .*fine-tuned"):
        sequence_of(study, 1, "tuned", 0)


# --- learning ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_the_first_stage_is_the_model_that_learned_its_task_alone(study, learned, method):
    sequence, stages = learned[method]
    assert stage_folder(study, sequence, 0) == model_folder(study, sequence.tasks[0], method, 0)
    assert stages[0] == tuning.tune(study, sequence.tasks[0], method, 0)


@pytest.mark.parametrize("method", METHODS)
def test_a_stage_starts_from_the_one_before_with_the_head_it_would_have_alone(study, learned, monkeypatch, method):
    sequence, _ = learned[method]
    started = {}

    def stop(conditions, model, *rest):
        started.update({name: value.detach().clone() for name, value in model.named_parameters()})
        raise InterruptedError

    with monkeypatch.context() as context:
        context.setattr(continual, "train", stop)
        context.setattr(continual, "FILES", ("not there",))
        with pytest.raises(InterruptedError):
            continual.learn_stage(study, sequence, 1)
    before = part(weights(study, sequence, 0), "backbone.")
    assert before and all(torch.equal(started[name], value) for name, value in before.items())
    conditions = Conditions(study, 0, torch.device("cpu"), None)
    alone = tuning.fresh_model(conditions, continual.load_task(study, sequence.tasks[1]), method)
    assert torch.equal(started["head.weight"], alone.head.weight)
    after = part(weights(study, sequence, 1), "backbone.")
    assert any(not torch.equal(after[name], value) for name, value in before.items())


@pytest.mark.parametrize("method", METHODS)
def test_earlier_tasks_are_scored_with_the_present_weights_and_their_own_heads(study, learned, tmp_path, method):
    sequence, stages = learned[method]
    first, *_ = sequence.tasks
    conditions, backbone = Conditions(study, 0, torch.device("cpu"), None), load_backbone(study.backbone)
    assert list(stages[2]["scores"]) == [sequence.tasks[2], *sequence.tasks[:2]]
    for stage in (1, 2):
        state = part(weights(study, sequence, stage), "backbone.") | part(weights(study, sequence, 0), "head.")
        again = continual.score_again(conditions, backbone, first, method, state, tmp_path)
        assert again == stages[stage]["scores"][first]
    kept = continual.score_again(conditions, backbone, first, method, weights(study, sequence, 0), tmp_path)
    assert kept == stages[0]["score"], "with what was kept, the score is that of its stage, bit for bit"


def test_the_table_has_the_lower_triangle_of_every_way(study):
    table = continual.stage_table(study)
    n, ways = len(study.tasks), list(sequences.WAYS)
    assert len(table) == len(ways) * study.orders * n * (n + 1) // 2
    wide = table.pivot_table(index=["way", "order", "position"], columns="stage", values="score")
    for order in (1, 2):
        kept = wide.loc["one prefix per task", order].to_numpy()
        learned = np.diagonal(kept)
        assert all(set(row[~np.isnan(row)]) == {score} for row, score in zip(kept, learned, strict=True))
        assert np.array_equal(learned, np.diagonal(wide.loc["one prefix", order].to_numpy()))
        for way in ("one prefix", "fine-tuned"):
            sequence = sequence_of(study, order, sequences.WAYS[way].method, 0)
            last = read_json(stage_folder(study, sequence, n - 1) / "metrics.json")["scores"]
            assert wide.loc[way, order][n - 1].tolist() == [last[task] for task in sequence.tasks]
    rows = table[(table["way"] == "fine-tuned") & (table["stage"] == 0)]
    assert (rows["score"] == rows["alone"]).all()


@pytest.mark.parametrize("method", METHODS)
def test_a_killed_sequence_gives_the_same_when_it_goes_on(study, learned, monkeypatch, method):
    sequence, stages = learned[method]
    fresh = study.model_copy(update={"profile": "killed"})
    train, make_trainer = continual.train, training.make_trainer

    def killed(conditions, *given):
        monkeypatch.setattr(training, "make_trainer", interrupted)
        train(conditions, *given)

    def interrupted(*given):
        trainer = make_trainer(*given)
        trainer.add_callback(AfterOneEpoch())
        return trainer

    monkeypatch.setattr(continual, "train", killed)
    with pytest.raises(InterruptedError):
        continual.learn(fresh, sequence)
    folder = stage_folder(fresh, sequence, 1)
    assert list(folder.glob("checkpoints/final/checkpoint-*")) and not (folder / "metrics.json").exists()
    monkeypatch.setattr(continual, "train", train)
    monkeypatch.setattr(training, "make_trainer", make_trainer)
    again = continual.learn(fresh, sequence)
    assert [one["scores"] for one in again[1:]] == [one["scores"] for one in stages[1:]]
    for stage in (1, 2):
        one, other = (weights(of, sequence, stage) for of in (study, fresh))
        assert all(torch.equal(one[name], other[name]) for name in one | other)
        curves = [read_table(stage_folder(of, sequence, stage) / "history.parquet") for of in (study, fresh)]
        assert curves[0].drop(columns="seconds").equals(curves[1].drop(columns="seconds"))


def test_what_is_stored_is_not_trained_again_unless_it_depends_on_something_else(study, learned, monkeypatch):
    sequence, stages = learned["prompt-tuned"]
    monkeypatch.setattr(continual, "train", None)
    assert continual.learn(study, sequence) == stages
    folder = sequences.sequence_folder(study, sequence)
    assert sequences.sequence_folder(study.model_copy(update={"n_alphas": 3}), sequence) == folder
    assert sequences.sequence_folder(study.model_copy(update={"batch_size": 4}), sequence) != folder
    assert sequences.sequence_folder(study, replace(sequence, tasks=sequence.tasks[::-1])) != folder


# --- representations ---------------------------------------------------------------------------------------------


def test_stimuli_are_embedded_with_the_encoder_of_every_stage(study):
    continual.stage_table(study)
    brain = load_brain(study, "simulated")
    found = continual.embed_stages(study, brain)
    assert [one.name for one in found] == ["untuned"] + [
        one.stage_name(stage) for one in sequences.sequences(study) for stage in range(3)
    ]
    untuned, *others = found.values()
    assert all(values.shape == untuned.shape == (3, 12, 16) for values in others)
    assert all(np.abs(values[-1] - untuned[-1]).max() > 1e-4 for values in others)
    one = sequence_of(study, 2, "prompt-tuned", 0)
    vectors = continual.embed(continual.load_stage(study, one, 2), brain.stimuli.sentences)
    named = {representation.name: values for representation, values in found.items()}
    np.testing.assert_allclose(named[one.stage_name(2)], vectors, atol=1e-6)
