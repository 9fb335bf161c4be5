"""The examples of the page on extending, put where they say into a copy of the repository, and what they add in use."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
import yaml

from braintune.core import base
from braintune.core.base import REPOSITORY
from braintune.core.study import Study

PAGE = (REPOSITORY / "book" / "extend.md").read_text(encoding="utf-8")
BLOCKS = re.findall(
    r"^```(python|yaml)\n# (new file|at the end of):? (\S+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL
)

#: What a user of the copy does with what the examples add; prints what comes of it.
USE = """
import json, os, sys
import numpy as np
from braintune.models import backbones
from braintune.datasets.brains import registry
from braintune.neural.folds import make_folds
from braintune.neural.representations import load_embeddings
from braintune.neural import decoding
from braintune.models import embeddings
from braintune.core import store
from braintune.core.settings import TuningSettings
from braintune.core import base
from braintune.models import tuning
from braintune.workflow.execute import check
from braintune.workflow.fingerprints import _job_data, fingerprints
from braintune.workflow.jobs import make_job
from braintune.core.study import Study

profiles = {name: Study.load(name) for name in sys.argv[1:]}
for run in profiles.values():
    check(run)
os.chdir("lib")  # a job runs elsewhere than the user
brains = {name: registry.load_brain(profiles[name], *profiles[name].brains) for name in ("mine", "reading")}
values = {"backbone": "small", "train_examples": 64, "test_examples": 32, "epochs": [1], "permutations": 2}
values |= {"tasks": ["irony"], "methods": ["last-block"], "brains": ["reading"], "controls": ["passage"]}
run = Study.make(profiles["irony"].model_dump() | profiles["blocks"].values(TuningSettings) | values)
metrics = tuning.tune(run, "irony", "last-block", 0)
weights = store.read_arrays(model_folder(run, "irony", "last-block", 0) / "weights.safetensors")
table = embeddings.embed_stimuli(run, brains["reading"])
arrays = load_embeddings(run, "reading")
decoded, _ = decoding.decode_participant(run, brains["reading"], "P02", arrays)
folds = {n: make_folds(b.stimuli, "grouped", profiles[n]) for n, b in brains.items()}
passages = {n: b.stimuli.passage for n, b in brains.items()}
print("RESULT", json.dumps({
    "fingerprints": [backbones.load_backbone(n).fingerprint for n in ("small", profiles["small"].backbone)],
    "files of the backbone": [f for f in _job_data(
        profiles["small"], make_job("tuning", task="wsd", method="fine-tuned", seed=0))],
    "metrics": metrics, "weights": list(weights), "cosine": dict(zip(table["method"], table["cosine"])),
    "decoded": sorted(set(decoded["method"])), "folds": sorted(set(decoded["folds"])),
    "brains": {n: [b.participants, {r: x.shape for r, x in b.load(b.participants[-1]).items()}, b.simulated]
               for n, b in brains.items()},
    "split": [n for n in brains for train, test in folds[n] if set(passages[n][train]) & set(passages[n][test])],
    "checksums": list(registry.data_checksums(profiles["reading"], "reading")),
    "stale": sorted(fingerprints(profiles["blocks"]).values()),
}))
"""


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A copy of what a clone of the repository holds, with every example where it says."""
    folder = tmp_path_factory.mktemp("clone")
    for name in ("lib", "notebooks", "book"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "results"))
    for _, place, name, text in BLOCKS:
        path = folder / name
        assert path.exists() == (place == "at the end of"), name
        path.write_text((path.read_text(encoding="utf-8") + "\n\n" if path.exists() else "") + text, encoding="utf-8")
    return folder


def python(clone, *words):
    environment = {k: v for k, v in os.environ.items() if k != "BRAINTUNE_DATA"} | {"PYTHONPATH": str(clone / "lib")}
    done = subprocess.run([sys.executable, *words], cwd=clone, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def used(clone):
    """What comes of the examples: their programs are run, and what they add is used."""
    for _, _, name, _ in BLOCKS:
        if name.endswith(".py") and "/" not in name:
            python(clone, name)
    profiles = [name.split("/")[-1].removesuffix(".yml") for _, _, name, _ in BLOCKS if name.endswith(".yml")]
    return json.loads(python(clone, "-c", USE, *profiles).split("RESULT", 1)[1])


def test_every_example_says_where_it_belongs():
    assert len(BLOCKS) == len(re.findall(r"^```(?:python|yaml)$", PAGE, re.MULTILINE)) >= 13
    assert len({name for _, _, name, _ in BLOCKS}) == len(BLOCKS)


def test_the_registries_are_where_the_page_and_the_readme_say():
    for text in (PAGE, (REPOSITORY / "README.md").read_text(encoding="utf-8").split("## Extend")[1]):
        rows = re.findall(r"`([A-Z]+)` \| `(lib/braintune/\w+\.py)`", text)
        assert {name for name, _ in rows} == {"TASKS", "METHODS", "BACKBONES", "BRAINS"}
        for name, file in rows:
            assert re.search(rf"^{name}: dict\[", (REPOSITORY / file).read_text(encoding="utf-8"), re.MULTILINE), name


def test_profiles_are_named_as_their_files_and_hold_what_is_new(clone):
    for kind, _, name, text in BLOCKS:
        if kind == "yaml":
            values = yaml.safe_load(text)
            assert name == f"notebooks/profiles/{values['profile']}.yml"
            defaults = Study().model_dump()
            assert [k for k, v in values.items() if k != "profile" and v == defaults[k] and k != "own_study"] == []


def test_an_added_entry_looks_as_the_project_writes_code(clone):
    """Pasted into the library, the examples pass `make lint`."""
    files = sorted({name for kind, _, name, _ in BLOCKS if kind == "python"})
    for words in (["check", "--ignore", "D100"], ["format", "--diff"]):
        command = [sys.executable, "-m", "ruff", *words, "--config", str(REPOSITORY / "pyproject.toml"), *files]
        done = subprocess.run(command, cwd=clone, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_backbone(used):
    name, path = used["fingerprints"]
    assert name == path
    assert {"backbone/model.safetensors", "backbone/tokenizer.json"} <= set(used["files of the backbone"])


def test_a_task_is_learned(used):
    metrics = used["metrics"]
    assert (metrics["task"], metrics["metric"]) == ("irony", "macro F1")
    assert metrics["labels"] == ["ironic", "sincere"]
    assert (metrics["n_train"] + metrics["n_validation"], metrics["n_test"]) == (64, 24)
    assert set(metrics["data"]) == {"nlu/irony/train.jsonl", "nlu/irony/test.jsonl"}


def test_a_method_trains_what_it_says(used):
    assert used["metrics"]["method"] == "last-block"
    body = [name for name in used["weights"] if name.startswith("backbone.")]
    assert body and all(name.startswith("backbone.encoder.layer.1.") for name in body)
    assert used["cosine"]["last-block"] < 0.99999 < used["cosine"]["untuned"] + 1e-6


def test_brain_data(used):
    assert used["brains"] == {
        "mine": [["P01", "P02", "P03"], {"IFG": [24, 150], "AngG": [24, 90]}, False],
        "reading": [["P01", "P02", "P03", "P04"], {"language": [48, 200]}, False],
    }
    assert used["split"] == []  # no fold splits a passage
    assert set(used["checksums"]) == {"sentences.txt", "passages.txt", *(f"P{i:02d}.npz" for i in range(1, 5))}


def test_they_work_together(used):
    """The new method on the new task with the new backbone, decoded from the new brain."""
    assert used["decoded"] == ["control", "last-block", "untuned"]
    assert used["folds"] == ["grouped", "shuffled"]


def test_the_examples_leave_the_repository_alone(used):
    assert "irony" not in (base.REPOSITORY / "lib" / "braintune" / "tasks.py").read_text(encoding="utf-8")
