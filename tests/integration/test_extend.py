"""The examples of the page on extending, written where they say in a copy of the repository, and what they add in use."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
import yaml

from braintune.core.base import REPOSITORY
from braintune.core.study import Study

pytestmark = pytest.mark.slow

PAGE = (REPOSITORY / "book" / "extend.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(python|yaml)\n# new file: (\S+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
FILES = {name: text for _, name, text in BLOCKS}
PROFILES = {name: yaml.safe_load(text) for kind, name, text in BLOCKS if kind == "yaml"}
PLUGINS = ["irony.py", "blocks.py", "backbones.py", "letters.py", "reading.py"]
#: Everything that the examples add, in one small profile.
TOGETHER = {
    "profile": "together",
    "plugins": PLUGINS,
    "backbone": "small",
    "tasks": ["irony"],
    "task_source": "folder",
    "methods": ["last-block"],
    "learning_rates": {"last-block": [0.001]},
    "brains": ["reading"],
    "controls": ["passage", "letters"],
    "train_examples": 64,
    "test_examples": 32,
    "epochs": [1],
    "permutations": 2,
}

#: What a user of the copy does with what the examples add; prints what comes of it.
USE = """
import json, os, sys
from braintune.core import store
from braintune.core.study import Study
from braintune.datasets.brains import registry
from braintune.models import backbones, embeddings, tuning
from braintune.neural import decoding
from braintune.neural.folds import make_folds
from braintune.neural.representations import load_embeddings
from braintune.workflow.execute import check
from braintune.workflow.fingerprints import data_of, fingerprints
from braintune.workflow.jobs import make_job

profiles = {study.profile: study for study in map(Study.load, sys.argv[1:])}
for study in profiles.values():
    check(study)
os.chdir("lib")  # a job runs elsewhere than the user
brains = {name: registry.load_brain(profiles[name], *profiles[name].brains) for name in ("own", "reading")}
study = profiles["together"]
metrics = tuning.tune(study, "irony", "last-block", 0)
weights = store.read_arrays(next(study.folder.parent.rglob("weights.safetensors")))
table = embeddings.embed_stimuli(study, brains["reading"])
arrays = load_embeddings(study, "reading")
decoded, *_ = decoding.decode_participant(study, brains["reading"], "P02", arrays)
folds = {n: make_folds(b.stimuli, "grouped", profiles[n]) for n, b in brains.items()}
passages = {n: b.stimuli.passage for n, b in brains.items()}
print("RESULT", json.dumps({
    "fingerprints": [backbones.load_backbone(n).fingerprint for n in ("small", profiles["small"].backbone)],
    "files of the backbone": [f for f in data_of(
        profiles["small"], make_job("tuning", task="wsd", method="fine-tuned", seed=0))],
    "metrics": metrics, "weights": list(weights),
    "cosine": dict(zip(table["representation"], table["cosine"])) if "representation" in table else
              dict(zip(table["method"], table["cosine"])),
    "decoded": sorted(set(decoded["representation"])), "folds": sorted(set(decoded["folds"])),
    "brains": {n: [b.participants, {r: x.shape for r, x in b.load(b.participants[-1]).items()}, b.simulated]
               for n, b in brains.items()},
    "split": [n for n in brains for train, test, *_ in folds[n] if set(passages[n][train]) & set(passages[n][test])],
    "checksums": list(registry.data_checksums(profiles["reading"], "reading")),
}))
"""

#: Prints the fingerprint of every job of a profile.
STAMPS = """
import json, sys
from braintune.core.study import Study
from braintune.workflow.fingerprints import fingerprints
print(json.dumps({job.label: stamp for job, stamp in fingerprints(Study.load(sys.argv[1])).items()}))
"""


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A copy of the library and the notebooks, with every example beside it; the programs that write data have run."""
    folder = tmp_path_factory.mktemp("clone")
    for name in ("lib", "notebooks"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "results"))
    together = yaml.safe_dump(TOGETHER)
    for name, text in (FILES | {"mine/together.yml": together}).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    for name in FILES:
        if name.endswith(".py") and name.removeprefix("mine/") not in PLUGINS:
            python(folder, name)
    return folder


def python(clone, *words):
    environment = {k: v for k, v in os.environ.items() if k != "BRAINTUNE_DATA"} | {"PYTHONPATH": str(clone / "lib")}
    done = subprocess.run([sys.executable, *words], cwd=clone, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def used(clone):
    """What comes of the examples when they are used."""
    return json.loads(python(clone, "-c", USE, *PROFILES, "mine/together.yml").split("RESULT", 1)[1])


def test_every_example_says_where_it_belongs():
    assert len(FILES) == len(re.findall(r"^```(?:python|yaml)$", PAGE, re.MULTILINE)) >= 13
    named = {plugin for values in PROFILES.values() for plugin in values.get("plugins", [])}
    assert named | {"backbones.py"} == set(PLUGINS) <= {name.removeprefix("mine/") for name in FILES}


def test_the_registries_are_where_the_page_says():
    rows = re.findall(r"`([A-Z]+)`[^|]*\| `braintune\.([a-z._]+)`", PAGE)
    assert {name for name, _ in rows} == {"TASKS", "METHODS", "BACKBONES", "BRAINS", "CONTROLS"}
    for name, module in rows:
        text = (REPOSITORY / "lib" / "braintune" / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
        assert re.search(rf"^{name}: dict\[", text, re.MULTILINE), name


def test_profiles_are_named_as_their_files_and_hold_what_is_new():
    defaults = Study().model_dump()
    for name, values in PROFILES.items():
        assert name == f"mine/{values['profile']}.yml"
        assert [k for k, v in values.items() if k not in ("profile", "own_study") and v == defaults[k]] == []


def test_the_examples_look_as_the_project_writes_code(clone):
    files = [name for name in FILES if name.endswith(".py")]
    for words in (["check"], ["format", "--diff"]):
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
    assert {"nlu/irony/train.jsonl", "nlu/irony/test.jsonl"} <= set(metrics["data"])


def test_a_method_trains_what_it_says(used):
    assert used["metrics"]["method"] == "last-block"
    body = [name for name in used["weights"] if name.startswith("backbone.")]
    assert body and all(name.startswith("backbone.encoder.layer.1.") for name in body)
    (tuned,) = [cosine for name, cosine in used["cosine"].items() if "last-block" in name]
    assert tuned < 0.99999 < used["cosine"]["untuned"] + 1e-6


def test_brain_data(used):
    assert used["brains"] == {
        "own": [["P01", "P02", "P03"], {"IFG": [24, 150], "AngG": [24, 90]}, False],
        "reading": [["P01", "P02", "P03", "P04"], {"language": [48, 200]}, False],
    }
    assert used["split"] == []  # no fold splits a passage
    assert set(used["checksums"]) == {"sentences.txt", "passages.txt", *(f"P{i:02d}.npz" for i in range(1, 5))}


def test_they_work_together(used):
    """The new method on the new task with the new backbone, decoded beside the new control from the new brain."""
    assert used["decoded"] == ["irony_last-block_seed-0", "letters", "passage", "untuned"]
    assert used["folds"] == ["grouped", "shuffled"]


def test_a_changed_plugin_makes_stale_what_uses_it_and_nothing_else(clone):
    before = json.loads(python(clone, "-c", STAMPS, "mine/irony.yml"))
    file = clone / "mine" / "irony.py"
    file.write_text(file.read_text(encoding="utf-8") + "# another version\n", encoding="utf-8")
    after = json.loads(python(clone, "-c", STAMPS, "mine/irony.yml"))
    changed = {label for label in before if before[label] != after[label]}
    assert {label for label in changed if label.startswith("tuning")} == {x for x in before if "tuning · irony" in x}
    assert any(label.startswith("embeddings") for label in changed)
