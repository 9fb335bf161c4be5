"""A user's own files: what they add, what is refused, and which jobs their content belongs to."""

import sys

import pytest
import yaml

from braintune.core import plugins
from braintune.core.base import BraintuneError
from braintune.core.study import Study
from braintune.workflow.fingerprints import code_files, fingerprints

TASK = """
from dataclasses import replace
from braintune.datasets.tasks import TASKS
TASKS["irony"] = replace(TASKS["sentiment"], name="irony")
"""
BRAIN = """
from braintune.datasets.brains.registry import BRAINS
BRAINS["phantom"] = BRAINS["simulated"]
"""
METHOD = """
from braintune.models.methods import METHODS
METHODS["mine"] = METHODS["bitfit"]
"""
CONTROL = """
from braintune.models.controls import CONTROLS
CONTROLS["words"] = CONTROLS["length"]
"""
BACKBONE = """
from braintune.models.backbones import BACKBONES
BACKBONES["small"] = BACKBONES["all-MiniLM-L6-v2"]
"""
#: Kind → the name that its plugin adds, and the plugin.
ADDED = {
    "task": ("irony", TASK),
    "brain": ("phantom", BRAIN),
    "method": ("mine", METHOD),
    "control": ("words", CONTROL),
    "backbone": ("small", BACKBONE),
}


@pytest.fixture(autouse=True)
def clean(registries):
    """No plugin is loaded before a test, and none after it."""
    yield
    code_files.cache_clear()


@pytest.fixture
def load(tmp_path):
    """Write a plugin and a profile that names it; return the loaded study."""

    def load(code, file="mine.py", **values):
        if code is not None:
            (tmp_path / file).write_text(code, encoding="utf-8")
        profile = tmp_path / "small.yml"
        profile.write_text(yaml.safe_dump({"plugins": [file]} | values), encoding="utf-8")
        return Study.load(profile)

    return load


@pytest.mark.parametrize("kind", ADDED)
def test_a_plugin_adds_an_entry_and_is_named_as_its_source(load, registries, kind):
    name, code = ADDED[kind]
    load(code)
    assert name in registries[kind]
    assert list(plugins.plugin_checksums(**{kind: name})) == ["mine.py"]
    others = {other: next(iter(registry)) for other, registry in registries.items()}
    assert plugins.plugin_checksums(**others) == {}


def test_a_type_of_model_belongs_to_every_method(load):
    """A profile names a backbone, and not its type."""
    load(
        'from braintune.models.families import FAMILIES, Family\nFAMILIES["llama"] = Family(lora=("q_proj", "v_proj"))\n'
    )
    assert list(plugins.plugin_checksums(task="wsd", method="lora", backbone="small")) == ["mine.py"]
    assert plugins.plugin_checksums(brain="simulated") == {}


def test_a_plugin_is_executed_once_and_may_define_classes(load, registries):
    future = "from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\nclass Size:\n    n: int = 1\n"
    load(future + TASK.replace("TASKS[", 'assert "irony" not in TASKS\nTASKS[', 1))
    load(None)
    assert "irony" in registries["task"]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (None, r"plugins: no file .*mine\.py; correct the path \(paths are relative to the profile's folder\)"),
        (
            "x = 1",
            r"plugins: mine\.py adds nothing; add an entry to one of TASKS, BRAINS, BACKBONES, METHODS, CONTROLS",
        ),
        (TASK + "1 / 0", r"plugins: mine\.py failed: ZeroDivisionError: division by zero"),
        ("TASKS[", r"plugins: mine\.py failed: SyntaxError: .*never closed"),
        (TASK.replace("irony", "nli"), r"plugins: mine\.py replaces task 'nli'; choose another name"),
        (TASK + "del TASKS['nli']", r"plugins: mine\.py replaces task 'nli'"),
    ],
    ids=["missing", "adds nothing", "fails", "no Python", "replaces", "removes"],
)
def test_a_faulty_plugin_is_refused_and_leaves_no_trace(load, registries, code, message):
    before = {kind: dict(registry) for kind, registry in registries.items()}
    with pytest.raises(BraintuneError, match=message):
        load(code)
    assert registries == before
    assert not [name for name in sys.modules if name == "braintune_plugin_mine"]


def test_a_file_that_is_no_python_file_is_refused(load):
    with pytest.raises(BraintuneError, match=r"plugins: tasks\.txt .*\.py"):
        load(TASK, file="tasks.txt")


def test_a_plugin_edited_in_the_same_process_asks_for_a_new_kernel(load):
    load(TASK)
    with pytest.raises(BraintuneError, match=r"plugins: mine\.py has changed since it was loaded; restart the kernel"):
        load(TASK + "# edited")


@pytest.mark.parametrize(
    ("kind", "values", "alike"),
    [
        ("task", {"tasks": ["irony", "nli"]}, ["tuning · nli · bitfit · seed 0"]),
        ("method", {"methods": ["mine", "bitfit"]}, ["tuning · nli · bitfit · seed 0"]),
        ("control", {"controls": ["words"]}, ["tuning · nli · bitfit · seed 0"]),
        ("backbone", {"backbone": "small"}, []),
        (
            "brain",
            {"brains": ["phantom", "simulated"]},
            [
                "tuning · nli · bitfit · seed 0",
                "embeddings · simulated",
                "decoding · simulated · S01",
                "encoding · simulated",
                "rsa · simulated",
            ],
        ),
    ],
)
def test_an_edited_plugin_moves_the_fingerprints_of_jobs_that_use_it_and_of_no_others(
    load, registries, kind, values, alike
):
    small = {"tasks": ["nli"], "methods": ["bitfit"], "controls": [], "simulated_participants": 1}
    rates = {"learning_rates": {"mine": [0.1], "bitfit": [0.1]}}
    added, code = ADDED[kind]
    before = fingerprints(load(code, **(small | rates | values)))
    del registries[kind][added]
    plugins._LOADED.clear()
    after = fingerprints(load(code + "# edited", **(small | rates | values)))
    assert [job.label for job in before if before[job] == after[job] and not job.is_shared] == alike
