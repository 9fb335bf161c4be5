"""When two profiles share a tuned model, and when they do not."""

import json
from pathlib import Path

import pytest

from braintune.core import plugins
from braintune.core.study import Study
from braintune.models import checkpoints, tuning
from braintune.models.checkpoints import FILES, READ_BY, is_tuned, model_fingerprint, model_folder
from braintune.models.methods import METHODS
from tiny_models import save_tiny_bert, tiny_encoder

JOB = ("sentiment", "fine-tuned")
RATES = {"fine-tuned": [1e-4], "prompt-tuned": [1e-2]}


def stamp(**values):
    return model_fingerprint(Study.make(values), *JOB)


@pytest.fixture(scope="module")
def standard():
    return stamp()


@pytest.mark.parametrize(
    "values",
    [
        {"epochs": [2]},
        {"batch_size": 8},
        {"train_examples": 100},
        {"test_examples": 100},
        {"world_seed": 1},
        {"max_tokens": 64},
        {"learning_rates": RATES | {"fine-tuned": [1e-3]}},
        {"threads": 2},
        {"backbone": "bert-base-cased"},
    ],
    ids=str,
)
def test_what_training_depends_on_makes_another_model(standard, values):
    assert stamp(**values) != standard


@pytest.mark.parametrize(
    "values",
    [
        {"profile": "other", "runs": "elsewhere"},
        {"layer": 2, "n_folds": 3, "permutations": 0, "designs": ["grouped"]},
        {"bootstrap": 0, "margin": 0.02, "pooling": "cls", "controls": []},
        {"simulated_participants": 2, "regions": ["visual"]},
        {"tasks": ["sentiment"], "methods": ["fine-tuned", "head-only"], "seeds": [0, 1]},
        {"learning_rates": RATES | {"prompt-tuned": [1e-3]}},
        {"prefix_length": 5, "prefix_init": "tokens", "prompt_layers": "upper", "lora_rank": 4},
    ],
    ids=str,
)
def test_what_training_does_not_depend_on_leaves_the_model_where_it_is(standard, values):
    assert stamp(**values) == standard


@pytest.mark.parametrize(
    ("values", "methods"),
    [
        ({"prefix_length": 5}, ["prompt-tuned", "prompt-shallow"]),
        ({"prompt_layers": "upper"}, ["prompt-tuned"]),
        ({"lora_alpha": 8.0}, ["lora"]),
        ({"epochs": [2]}, list(METHODS)),
    ],
    ids=str,
)
def test_a_parameter_moves_the_models_of_the_methods_that_read_it(values, methods):
    stamps = [{m: model_fingerprint(Study.make(v), "sentiment", m) for m in METHODS} for v in ({}, values)]
    assert [m for m in METHODS if stamps[0][m] != stamps[1][m]] == methods


@pytest.mark.parametrize("method", METHODS)
def test_no_method_reads_a_parameter_that_its_fingerprint_leaves_out(method):
    unread = {name for name, methods in READ_BY.items() if method not in methods}
    read = set()

    class Watched(Study):
        def __getattribute__(self, name):
            read.add(name)
            return super().__getattribute__(name)

    METHODS[method].prepare(tiny_encoder("bert"), Watched(), 0)
    assert not read & unread


def test_a_method_of_a_plugin_may_read_any_parameter(monkeypatch):
    monkeypatch.setitem(plugins._ADDED, ("method", "mine"), Path("mine.py"))
    monkeypatch.setitem(plugins._LOADED, Path("mine.py"), "0")
    stamps = {model_fingerprint(Study.make({"lora_rank": rank}), "sentiment", "mine") for rank in (4, 8)}
    assert len(stamps) == 2


def test_the_folder_is_named_by_task_method_fingerprint_and_seed(tmp_path, standard):
    study = Study.make({"runs": str(tmp_path)})
    assert model_folder(study, *JOB, 3) == tmp_path.joinpath("models", *JOB, standard, "seed-3")


def test_the_code_of_training_counts_and_that_of_decoding_does_not(monkeypatch, standard):
    real = checkpoints.checksum
    for name, moves in (("heads.py", True), ("ridge.py", False), ("pereira.py", False), ("figures.py", False)):
        monkeypatch.setattr(checkpoints, "checksum", lambda path, name=name: real(path) + "x" * (path.name == name))
        assert (stamp() != standard) == moves, name


def test_the_files_of_its_own_task_count(tmp_path, monkeypatch):
    monkeypatch.setenv("BRAINTUNE_DATA", str(tmp_path))
    for task in ("sentiment", "ner"):
        (tmp_path / "nlu" / task).mkdir(parents=True)
        (tmp_path / "nlu" / task / "train.jsonl").write_text("{}\n")
    before = stamp(task_source="folder")
    (tmp_path / "nlu" / "ner" / "train.jsonl").write_text("{}\n{}\n")
    assert stamp(task_source="folder") == before
    (tmp_path / "nlu" / "sentiment" / "train.jsonl").write_text("{}\n{}\n")
    assert stamp(task_source="folder") != before


def test_the_weights_of_a_backbone_in_a_folder_count(tmp_path):
    save_tiny_bert(tmp_path)
    before = stamp(backbone=str(tmp_path))
    with (tmp_path / "model.safetensors").open("ab") as file:
        file.write(b"x")
    assert stamp(backbone=str(tmp_path)) != before


def test_a_stored_model_is_not_tuned_again(tmp_path, monkeypatch):
    study = Study.make({"runs": str(tmp_path)})
    folder = model_folder(study, *JOB, 0)
    folder.mkdir(parents=True)
    for name in FILES:
        assert not is_tuned(study, *JOB, 0)
        (folder / name).write_text(json.dumps({"score": 0.5}))
    assert is_tuned(study, *JOB, 0)
    monkeypatch.setattr(tuning, "load_task", lambda *_: pytest.fail("it was tuned again"))
    other = Study.make({"runs": str(tmp_path), "profile": "other", "layer": 2})
    assert tuning.tune(other, *JOB, 0) == {"score": 0.5}
