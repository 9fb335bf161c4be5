import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from safetensors import safe_open

from braintune.core.base import BraintuneError
from braintune.core.store import read_json
from braintune.core.study import Study
from braintune.datasets.tasks import TASKS, load_task
from braintune.models import tuning
from braintune.models.backbones import load_backbone
from braintune.models.checkpoints import history, history_table, model_folder, tuning_table
from braintune.models.heads import TunedModel
from braintune.models.inputs import collate, encode
from braintune.models.training import LengthGroupedSampler, half_precision
from braintune.models.tuning import load_tuned, tune
from braintune.results.prose import tuning_facts
from braintune.workflow.execute import check
from tiny_models import save_tiny_encoder

RATES = {"fine-tuned": [3e-3], "prompt-tuned": [3e-2], "head-only": [1e-2]}
SENTENCES = ["the play is good", "she is sad", "a river"]


@pytest.fixture
def make_study(tmp_path, tiny_bert):
    def make(**values):
        base = {
            "runs": str(tmp_path / "runs"),
            "backbone": tiny_bert,
            "tasks": ["sentiment"],
            "methods": list(RATES),
            "epochs": [2],
            "learning_rates": RATES,
            "precision": "float32",
            "train_examples": 40,
            "test_examples": 20,
            "batch_size": 8,
            "prefix_length": 3,
            "device": "cpu",
        }
        return Study.make(base | values)

    return make


def hidden_states(backbone):
    batch = backbone.tokenizer(SENTENCES, padding=True, return_tensors="pt")
    with torch.inference_mode():
        return torch.stack(backbone.model(**batch, output_hidden_states=True).hidden_states)


def saved(study, task, method, seed=0):
    with safe_open(model_folder(study, task, method, seed) / "weights.safetensors", "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118


# --- the head ----------------------------------------------------------------------------------------------------


def test_features_are_means_over_the_spans(tiny_bert):
    backbone = load_backbone(tiny_bert)
    rows = [{"sentence1": "the ox", "sentence2": "she plays", "label": "a"}]
    feature = encode(TASKS["paraphrase"], rows, ("a", "b"), backbone.tokenizer, 64).features[0]
    model = TunedModel(backbone.model, "pair", 2).eval()
    batch = collate([feature], 0)
    with torch.inference_mode():
        inputs = (batch[name] for name in ("input_ids", "attention_mask", "token_type_ids"))
        hidden = backbone.model(*inputs).last_hidden_state[0]
        u, v = (hidden[start:end].mean(0) for start, end in feature["spans"])
        wanted = model.head(torch.cat([u, v, (u - v).abs(), u * v]))
        torch.testing.assert_close(model(**batch)["logits"][0], wanted)


def test_answer_loss_has_a_class_for_nowhere(tiny_bert):
    model = TunedModel(load_backbone(tiny_bert).model, "span", 0)
    logits = torch.tensor([[[-9e9, -9e9], [1.0, 2.0], [3.0, 0.0]]])
    for labels in ([1, 2], [-1, -1]):
        wanted = 0.0
        for column, place in enumerate(labels):
            points = np.append(logits[0, :, column].double().numpy(), 0.0)
            wanted -= points[place] - np.log(np.exp(points).sum())
        found = model._loss(logits, torch.tensor([labels]))
        assert found.item() == pytest.approx(wanted / 2, rel=1e-5)


def test_a_batch_without_any_known_label_costs_nothing(tiny_bert):
    model = TunedModel(load_backbone(tiny_bert).model, "sentence", 2)
    assert model._loss(torch.zeros(3, 2), torch.full((3,), -100)).item() == 0
    tags = TunedModel(load_backbone(tiny_bert).model, "tokens", 2)
    logits = torch.tensor([[[0.0, 1.0], [9.0, 0.0], [5.0, 5.0]]])
    one, other = (tags._loss(logits, torch.tensor([[1, unseen, -100]])).item() for unseen in (-1, -100))
    assert one == other > 0, "nothing is learned from a word whose tag is unknown"


# --- tuning from end to end --------------------------------------------------------------------------------------


def test_tuning_writes_loads_and_leaves_what_it_must(make_study, tiny_bert):
    study = make_study()
    untuned = load_backbone(tiny_bert)
    before = {name: value.clone() for name, value in untuned.model.state_dict().items()}
    head = 2 * 16 + 2
    trained = {
        "fine-tuned": sum(v.numel() for v in untuned.model.parameters()),
        "prompt-tuned": 2 * 3 * 2 * 16,
        "head-only": 0,
    }
    for method in RATES:
        metrics = tune(study, "sentiment", method, 0)
        folder = model_folder(study, "sentiment", method, 0)
        assert sorted(f.name for f in folder.iterdir()) == ["history.parquet", "metrics.json", "weights.safetensors"]
        assert metrics == read_json(folder / "metrics.json")
        assert metrics["parameters"] == trained[method] + head
        assert (metrics["n_train"], metrics["n_validation"], metrics["n_test"]) == (36, 4, 20)
        weights, facts = saved(study, "sentiment", method)
        assert sum(v.numel() for v in weights.values()) == metrics["parameters"]
        assert json.loads(facts["labels"]) == metrics["labels"]

        loaded = load_tuned(study, "sentiment", method, 0)
        assert loaded.fingerprint == untuned.fingerprint == facts["fingerprint"]
        assert not loaded.model.training
        same = {n: torch.equal(v, before[n]) for n, v in loaded.model.state_dict().items() if n in before}
        assert set(same) == set(before)
        assert all(same.values()) == (method != "fine-tuned")
        assert torch.equal(hidden_states(loaded), hidden_states(untuned)) == (method == "head-only")
        assert torch.equal(hidden_states(loaded), hidden_states(load_tuned(study, "sentiment", method, 0)))

        curve = history(study, "sentiment", method, 0)
        assert list(curve.columns) == ["epoch", "step", "train_loss", "validation_loss", "score", "seconds"]
        assert curve["epoch"].tolist() == [1, 2]
        assert curve["step"].tolist() == [5, 10]
        assert np.isfinite(curve.to_numpy(float)).all()
        assert curve["score"].idxmax() + 1 == metrics["best_epoch"]  # of equal epochs, the first
    table, curves = tuning_table(study), history_table(study)
    assert table["method"].tolist() == list(RATES)
    assert curves.groupby("method")["epoch"].count().tolist() == [2, 2, 2]
    wanted = {"task", "method", "seed", "metric", "score", "baseline", "parameters", "seconds", "best_epoch"}
    assert wanted <= set(table)


def test_the_tuned_model_is_the_one_that_was_scored(make_study):
    """The saved head on the loaded encoder gives the test score again."""
    study = make_study(epochs=[4], train_examples=80)
    for method in ("fine-tuned", "prompt-tuned"):
        metrics = tune(study, "sentiment", method, 0)
        data, backbone = load_task(study, "sentiment"), load_tuned(study, "sentiment", method, 0)
        model = TunedModel(backbone.model, "sentence", 2).eval()
        weights, _ = saved(study, "sentiment", method)
        model.head.load_state_dict({k.removeprefix("head."): v for k, v in weights.items() if k.startswith("head.")})
        encoded = encode(data.task, data.test, data.labels, backbone.tokenizer, backbone.longest)
        with torch.inference_mode():
            guess = model(**collate(encoded.features, 0))["logits"].argmax(1)
        right = [data.labels[g] == data.test[f["row"]]["label"] for g, f in zip(guess, encoded.features, strict=True)]
        assert np.mean(right) == pytest.approx(metrics["score"])


@pytest.mark.parametrize("method", ["fine-tuned", "prompt-tuned"])
def test_equal_seeds_give_equal_bits(make_study, tmp_path, method):
    runs = [make_study(runs=str(tmp_path / name)) for name in "ab"]
    metrics = [tune(run, "wsd", method, 0) for run in runs]
    weights = [saved(run, "wsd", method)[0] for run in runs]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert metrics[0]["scores"] == metrics[1]["scores"]
    tune(runs[0], "wsd", method, 1)
    other = saved(runs[0], "wsd", method, 1)[0]
    assert not all(torch.equal(weights[0][name], other[name]) for name in other)


@pytest.mark.parametrize("task", ["ner", "srl", "coreference", "qa"])
def test_every_kind_can_be_tuned(make_study, task):
    metrics = tune(make_study(max_tokens=48), task, "prompt-tuned", 0)
    assert 0 <= metrics["score"] <= 1
    assert metrics["metric"] == TASKS[task].metric


def test_reparameterised_prefixes_are_saved_too(make_study):
    study = make_study(prefix_hidden=4)
    tune(study, "sentiment", "prompt-tuned", 0)
    first, second = (load_tuned(study, "sentiment", "prompt-tuned", 0) for _ in range(2))
    assert torch.equal(hidden_states(first), hidden_states(second))


def test_no_validation_part_keeps_the_last_epoch(make_study):
    metrics = tune(make_study(validation_fraction=0), "sentiment", "head-only", 0)
    assert metrics["best_epoch"] == metrics["epochs"] == metrics["epochs_run"] == 2
    assert metrics["n_validation"] == 0


@pytest.mark.parametrize("method", ["fine-tuned", "prompt-tuned"])
def test_a_word_that_gives_the_label_away_is_learned(make_study, tmp_path, monkeypatch, method):
    generator = np.random.default_rng(0)
    words = np.array(["she", "ox", "the", "is", "in"])  # the first in test rows only: not all are training rows
    folder = tmp_path / "nlu" / "sentiment"
    folder.mkdir(parents=True)
    for part, n in (("train", 160), ("test", 60)):
        rows = []
        for _ in range(n):
            label = str(generator.choice(["river", "play"]))
            sentence = " ".join(generator.permutation([label, *generator.choice(words[part == "train" :], 2)]))
            rows.append(json.dumps({"sentence": sentence, "label": label}))
        (folder / f"{part}.jsonl").write_text("\n".join(rows), encoding="utf-8")
    monkeypatch.setenv("BRAINTUNE_DATA", str(tmp_path))
    study = make_study(task_source="folder", train_examples=160, test_examples=60, epochs=[5])
    assert tune(study, "sentiment", method, 0)["score"] > 0.9


def test_a_word_that_says_that_there_is_no_answer_is_learned(make_study, tmp_path, monkeypatch):
    generator = np.random.default_rng(0)
    folder = tmp_path / "nlu" / "qa"
    folder.mkdir(parents=True)
    for part, n in (("train", 160), ("test", 60)):
        rows = []
        for k in range(n):
            words = [*generator.choice(["the", "is", "in"], 3), "river"]
            context, answered = " ".join([*generator.permutation(words), str(k)]), bool(generator.integers(2))
            found = [{"text": "river", "answer_start": context.index("river")}] if answered else []
            rows.append(json.dumps({"context": context, "question": "ox" if answered else "play", "answers": found}))
        (folder / f"{part}.jsonl").write_text("\n".join(rows), encoding="utf-8")
    monkeypatch.setenv("BRAINTUNE_DATA", str(tmp_path))
    study = make_study(task_source="folder", train_examples=None, test_examples=None, tasks=["qa"], epochs=[6])
    metrics = tune(study, "qa", "fine-tuned", 0)
    assert metrics["scores"]["HasAns F1"] > 0.9 and metrics["scores"]["NoAns exact match"] > 0.9
    assert metrics["labels"] == ["no answer"] and metrics["unanswerable"]["test"] in range(20, 41)
    for row in ("questions without an answer", "score on questions with / without"):
        assert row in tuning_facts(metrics).data


def test_several_recipes_need_a_validation_part(make_study):
    study = make_study(validation_fraction=0, epochs=[1, 2])
    with pytest.raises(
        BraintuneError, match="validation_fraction: 0 leaves no examples to choose a recipe with; raise it"
    ):
        tuning.recipes_of(study, "fine-tuned")


# --- batches ----------------------------------------------------------------------------------------------------------


def test_batches_hold_every_example_once_and_pad_little():
    random = np.random.default_rng(0)
    lengths = random.integers(5, 120, 1003)
    sampler = LengthGroupedSampler(lengths.tolist(), 16)
    torch.manual_seed(0)
    first, second = list(sampler), list(sampler)
    assert len(first) == len(sampler) == 63
    assert sorted(i for batch in first for i in batch) == list(range(1003))
    assert sorted(map(len, first))[:2] == [1003 % 16, 16]
    padded = sum(len(batch) * lengths[batch].max() for batch in first)
    assert padded < 1.15 * lengths.sum()
    assert {frozenset(batch) for batch in first} != {frozenset(batch) for batch in second}
    longest = [lengths[batch].max() for batch in first]
    assert abs(np.corrcoef(np.arange(63), longest)[0, 1]) < 0.4  # long ones do not come last


# --- the search --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scores", "n", "guessing", "winner"),
    [
        ([0.55, 0.57], 176, 0.5, 0),  # within one standard error, so the first is kept
        ([0.55, 0.65], 176, 0.5, 1),
        ([0.55, 0.57], 10_000, 0.5, 1),
        ([0.0, 0.0], 300, 0.0, 0),
        ([None, 0.4, 0.41], 300, 0.3, 1),  # what diverged is never kept
        ([None, None], 300, 0.3, 0),
        ([0.9, 1.0], 300, 0.5, 1),
        ([0.0, 0.0, 0.0043], 300, 0.012, 0),  # no trial has learned anything
        ([None, 0.0, 0.0043], 300, 0.012, 1),
        ([0.0, 0.0, 0.0043], 300, 0.004, 2),
    ],
)
def test_the_first_trial_within_one_standard_error_of_the_best_is_kept(scores, n, guessing, winner):
    assert tuning._winner([{"score": score} for score in scores], n, guessing) == winner


def test_guessing_is_scored_on_the_validation_part():
    data = load_task(Study.make({"train_examples": 200, "test_examples": 20}), "sentiment")
    usual = Counter(row["label"] for row in data.train).most_common(1)[0][0]
    share = np.mean([row["label"] == usual for row in data.validation])
    assert tuning._guessing(data) == pytest.approx(share) and 0 < share < 1


@pytest.mark.slow
def test_every_method_gets_the_same_trials_and_the_best_is_run_on_everything(make_study):
    rates = {"fine-tuned": [3e-3, 1e38], "prompt-tuned": [1e-3, 3e-2]}
    study = make_study(methods=list(rates), learning_rates=rates, epochs=[1, 2], search_examples=16, patience=None)
    for method in rates:
        metrics = tune(study, "sentiment", method, 0)
        trials = metrics["trials"]
        recipes = [(rate, epochs) for rate in rates[method] for epochs in (1, 2)]
        assert [(t["learning_rate"], t["epochs"]) for t in trials] == recipes
        seen = [t["examples_seen"] for t in trials]
        assert seen == ([16, 32, 0, 0] if method == "fine-tuned" else [16, 32, 16, 32])
        best = trials[tuning._winner(trials, metrics["n_validation"], tuning._guessing(load_task(study, "sentiment")))]
        assert (metrics["learning_rate"], metrics["epochs"]) == (best["learning_rate"], best["epochs"])
        assert history(study, "sentiment", method, 0)["step"].iloc[-1] == 5 * best["epochs"]
        if method == "fine-tuned":  # a trial that diverges loses, and ends nothing
            assert [t["score"] is None for t in trials] == [False, False, True, True]


def test_a_single_recipe_is_not_tried(make_study):
    trials = tune(make_study(), "sentiment", "head-only", 0)["trials"]
    assert trials == [{"learning_rate": 1e-2, "epochs": 2, "score": None, "examples_seen": 0, "seconds": 0.0}]


def test_a_search_needs_a_validation_part(make_study):
    study = make_study(epochs=[1, 2], validation_fraction=0)
    with pytest.raises(BraintuneError, match="validation_fraction: 0 leaves no examples to choose a recipe with"):
        tune(study, "sentiment", "head-only", 0)


def test_training_stops_where_it_no_longer_improves(make_study):
    study = make_study(epochs=[12], patience=2, learning_rates=RATES | {"head-only": [1e-12]})
    metrics = tune(study, "sentiment", "head-only", 0)
    assert (metrics["best_epoch"], metrics["epochs_run"], metrics["epochs"]) == (1, 3, 12)


def test_accumulated_batches_make_one_step(make_study):
    whole = tune(make_study(batch_size=8), "sentiment", "head-only", 0)
    steps = history(make_study(), "sentiment", "head-only", 0)["step"].tolist()
    halves = tune(make_study(batch_size=4, accumulate=2), "sentiment", "head-only", 0)
    assert history(make_study(), "sentiment", "head-only", 0)["step"].tolist() == steps == [5, 10]
    assert whole["n_train"] == halves["n_train"]


def test_bfloat16_is_close_to_float32(make_study):
    found = {}
    for precision in ("float32", "bfloat16"):
        study = make_study(precision=precision)
        assert tune(study, "sentiment", "fine-tuned", 0)["precision"] == precision
        found[precision] = saved(study, "sentiment", "fine-tuned")[0]
    for name, value in found["float32"].items():
        assert value.dtype == found["bfloat16"][name].dtype == torch.float32
        torch.testing.assert_close(found["bfloat16"][name], value, atol=0.05, rtol=0)


@pytest.mark.parametrize("feature", ["avx512_bf16", "amx_bf16", ""])
def test_a_processor_trains_in_bfloat16_where_it_multiplies_it(monkeypatch, tiny_bert, feature):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, **({feature: True} if feature else {})})
    model = load_backbone(tiny_bert).model
    for precision, half in {"auto": bool(feature), "float32": False, "bfloat16": True}.items():
        assert half_precision(Study.make({"precision": precision}), torch.device("cpu"), model) is half


def test_a_model_that_does_not_run_in_bfloat16_is_trained_in_float32(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    model = load_backbone(save_tiny_encoder(tmp_path / "deberta", "deberta")).model
    model.train()
    assert half_precision(Study.make({}), torch.device("cpu"), model) is False and model.training
    asked = {
        "precision": "bfloat16",
        "backbone": str(tmp_path / "deberta"),
        "methods": ["fine-tuned"],
        "tasks": ["nli"],
    }
    with pytest.raises(BraintuneError, match="models of type 'deberta' do not run in bfloat16; set float32 or auto"):
        check(Study.make(asked | {"controls": ["length"]}))


def test_bfloat16_gives_the_same_bits_again(make_study, tmp_path):
    found = []
    for name in ("first", "second"):
        study = make_study(precision="bfloat16", runs=str(tmp_path / name))
        tune(study, "sentiment", "prompt-tuned", 0)
        found.append(saved(study, "sentiment", "prompt-tuned")[0])
    assert found[0].keys() == found[1].keys() and all(torch.equal(found[1][key], of) for key, of in found[0].items())


# --- going on after a kill ---------------------------------------------------------------------------------------

KILLED = """
import os, sys
from transformers import TrainerCallback
from braintune.models import training
from braintune.models import tuning
from braintune.core.study import Study

class Kill(training._Reporter):
    def on_step_begin(self, args, state, control, **given):
        if "trial" not in self.label and state.global_step == int(sys.argv[4]):
            os.kill(os.getpid(), 9)

training._Reporter = Kill
tuning.tune(Study.load(sys.argv[1]), sys.argv[2], sys.argv[3], 0)
"""


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fine-tuned", "prompt-tuned"])
def test_a_killed_run_goes_on_to_the_same_result(make_study, tmp_path, method):
    """Kill -9 in the third epoch; what is done is not done again, and not a bit of the result differs."""
    rates = {"fine-tuned": [3e-3, 1e-3], "prompt-tuned": [3e-2, 1e-2]}
    values = {"epochs": [4], "learning_rates": rates, "methods": list(rates), "search_examples": 16}
    undisturbed = make_study(runs=str(tmp_path / "undisturbed"), **values)
    wanted = tune(undisturbed, "sentiment", method, 0)
    study = make_study(runs=str(tmp_path / "killed"), profile="killed", **values)
    profile = tmp_path / "killed.yml"
    profile.write_text(yaml.safe_dump(study.values(Study)), encoding="utf-8")
    command = [sys.executable, "-c", KILLED, str(profile), "sentiment", method, "12"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == -9
    scratch = model_folder(study, "sentiment", method, 0) / "checkpoints"
    assert len(read_json(scratch / "trials.json")) == 2
    (scratch / "final" / "checkpoint-99").mkdir()  # a kill may also come while one is being written

    steps = []
    features = TunedModel._features

    def counted(self, hidden, inside):
        steps.append(self.training)
        return features(self, hidden, inside)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TunedModel, "_features", counted)
        found = tune(study, "sentiment", method, 0)
    assert sum(steps) == 10  # epochs 3 and 4, five steps each
    changing = dict.fromkeys(("seconds", "examples_per_s", "peak_memory_mb", "trials"))
    assert found | changing == wanted | changing
    assert [t["score"] for t in found["trials"]] == [t["score"] for t in wanted["trials"]]
    one, two = (saved(run, "sentiment", method)[0] for run in (undisturbed, study))
    assert all(torch.equal(one[name], two[name]) for name in one)
    curves = [history(run, "sentiment", method, 0).drop(columns="seconds") for run in (undisturbed, study)]
    assert curves[0].equals(curves[1])
    assert not scratch.exists()


def test_checkpoints_of_another_setting_are_not_used(make_study):
    study = make_study()
    scratch = model_folder(study, "sentiment", "head-only", 0) / "checkpoints"
    (scratch / "final" / "checkpoint-5").mkdir(parents=True)
    (scratch / "key.json").write_text('{"settings": {}}', encoding="utf-8")
    (scratch / "final" / "checkpoint-5" / "trainer_state.json").write_text("{}", encoding="utf-8")
    assert tune(study, "sentiment", "head-only", 0)["epochs_run"] == 2
    assert not scratch.exists()


def test_three_labels_need_no_change_of_code(make_study, tmp_path, monkeypatch):
    labels = ["entailment", "neutral", "contradiction"]
    folder = tmp_path / "nlu" / "nli"
    folder.mkdir(parents=True)
    for part, n in (("train", 60), ("test", 30)):
        rows = [
            {
                "premise": f"{part}: the ox" + i // 3 * " plays",
                "hypothesis": f"she is {label}" + i // 3 * " now",
                "label": label,
            }
            for i, label in enumerate(labels * (n // 3))
        ]
        (folder / f"{part}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    monkeypatch.setenv("BRAINTUNE_DATA", str(tmp_path))
    study = make_study(task_source="folder", tasks=["nli"], train_examples=None, test_examples=None, epochs=[8])
    metrics = tune(study, "nli", "fine-tuned", 0)
    assert metrics["labels"] == sorted(labels)
    assert metrics["score"] > 0.9 > metrics["baseline"] == pytest.approx(1 / 3)


# --- faults ------------------------------------------------------------------------------------------------------


def test_weights_tuned_on_another_backbone_are_refused(make_study, monkeypatch):
    """A registered backbone may change its weights, which the fingerprint of a tuned model does not cover."""
    study, load = make_study(), load_backbone
    tune(study, "sentiment", "head-only", 0)
    monkeypatch.setattr(
        tuning, "load_backbone", lambda name, **where: replace(load(name, **where), fingerprint="0" * 64)
    )
    with pytest.raises(BraintuneError, match=r"was tuned on .*, but the study's backbone is .*; set `backbone`"):
        load_tuned(study, "sentiment", "head-only", 0)


def test_faults_name_the_remedy(make_study):
    study = make_study()
    with pytest.raises(BraintuneError, match=r"weights\.safetensors does not exist; `make book` creates it"):
        load_tuned(study, "sentiment", "fine-tuned", 3)
    with pytest.raises(BraintuneError, match="unknown method 'magic'; known: fine-tuned, prompt-tuned"):
        tune(study, "sentiment", "magic", 0)
    with pytest.raises(BraintuneError, match="unknown task 'chess'"):
        tune(study, "chess", "fine-tuned", 0)
    with pytest.raises(BraintuneError, match="unknown key of learning_rates 'head-only'; known: fine-tuned"):
        tune(make_study(methods=["fine-tuned"], learning_rates={"fine-tuned": [1]}), "sentiment", "head-only", 0)
    with pytest.raises(BraintuneError, match=r"metrics\.json does not exist"):
        tuning_table(study)


def test_divergence_is_an_error_and_writes_nothing(make_study):
    study = make_study(learning_rates=RATES | {"head-only": [1e38]})
    with pytest.raises(
        BraintuneError, match=r"diverged with learning rate 1e\+38, 2 epochs; try smaller learning_rates"
    ):
        tune(study, "sentiment", "head-only", 0)
    assert not list(model_folder(study, "sentiment", "head-only", 0).iterdir())
