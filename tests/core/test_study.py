import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from braintune.core import base, store
from braintune.core.base import BraintuneError
from braintune.core.study import PLAN, PROFILES, Study, is_engine

NAMES = sorted(path for path in PROFILES.glob("*.yml") if not is_engine(path))


@pytest.mark.parametrize("path", NAMES, ids=lambda p: p.stem)
def test_every_profile_is_valid_and_named_after_its_file(path):
    assert Study.load(path.stem).profile == path.stem


def test_quick_lists_every_parameter_with_its_default_but_for_two_that_keep_it_fast():
    quick = yaml.safe_load((base.REPOSITORY / "notebooks" / "profiles" / "quick.yml").read_text(encoding="utf-8"))
    assert set(quick) == set(Study.model_fields)
    assert Study.make(quick) == Study.make({"n_alphas": 9, "passages": 72, "permutations": 40})


def test_every_parameter_says_what_it_means():
    assert all(field.description for field in Study.model_fields.values())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"n_fold": 3}, "unknown parameter 'n_fold'; known: n_folds, "),
        ({"n_folds": 1}, "n_folds: .*equal to 2; got 1"),
        ({"device": "tpu"}, "device: .*'auto', 'cpu', 'cuda' or 'mps'; got 'tpu'"),
        ({"designs": ["random"]}, "designs.0: .*'shuffled' or 'grouped'; got 'random'"),
        ({"learning_rates": {"fine-tuned": [1]}}, "learning_rates: none for method 'prompt-tuned'; .* fine-tuned"),
        ({"learning_rates": {"fine-tuned": [1, 2], "prompt-tuned": [1]}}, "learning_rates: .*fine-tuned 2, prompt-t"),
        (
            {"learning_rates": {"fine-tuned": [0.0], "prompt-tuned": [1.0]}},
            r"learning_rates.fine-tuned.0: .*greater than 0; got 0\.0",
        ),
        ({"epochs": [0]}, "epochs.0: .*greater than 0; got 0"),
        ({"tasks": []}, "tasks: .*at least 1"),
        ({"tasks": ["ner", "ner"]}, "tasks: .*'ner'.* twice"),
        ({"vectors": {"passage": "x.npz"}}, "vectors: 'passage' must be a new name"),
        ({"vectors": {"a/b": "x.npz"}}, "vectors: 'a/b' must be a new name that consists of letters"),
        ({"stride": 128}, r"stride: 128 must be below max_tokens \(128\)"),
        ({"alpha_exponents": [3, 1]}, "alpha_exponents: .*3.*1.* small to large"),
        ({"passages": 10}, r"passages: 10 must be at least topics \(24\)"),
        ({"profile": "a/b/c"}, "profile: .*pattern .*'a/b/c'"),
        ({"profile": "../elsewhere"}, "profile: .*pattern .*'../elsewhere'"),
        ({"profile": "models"}, "profile: 'models' is the folder of tuned models .* choose another name"),
        ({"margin": float("nan")}, "margin: .*finite.*nan"),
        ({"plugins": "mine.py"}, r"plugins: a list .* as in plugins: \[mine.py\]; got 'mine.py'"),
        ({"method": ["fine-tuned"]}, "unknown parameter 'method'; known: methods, "),
        ({"seed": 1}, "unknown parameter 'seed'; known: seeds, "),
        ({"seeds": 1}, r"seeds: a list is needed, as in seeds: \[0\]; got 1"),
        ({"brains": "simulated"}, r"brains: a list is needed, as in brains: \[simulated\]; got 'simulated'"),
        ({"tasks": "all"}, r"tasks: a list is needed, as in tasks: \[chunking, ner, .*emotion\]; got 'all'"),
        ({"learning_rates": 1e-4}, r"learning_rates: a mapping .*: {fine-tuned: \[0.0001\], .*; got 0.0001"),
        ({"learning_rates": {"lora": 1e-4}}, r"learning_rates.lora: a list .* lora: \[0.0001\]; got 0.0001"),
        ({"vectors": "glove.npz"}, "vectors: a mapping is needed, as in vectors: {name: glove.npz}; got 'glove.npz'"),
        ({"seeds": [True]}, r"seeds: true and false are not values .*; got \[True\]"),
        ({"signal": {"language": False}}, "signal: true and false are not values .*False"),
        ({"layer": True}, "layer: true and false are not values .* write a number.*; got True"),
    ],
    ids=str,
)
def test_a_bad_parameter_is_named_with_its_value_and_what_is_allowed(values, message):
    with pytest.raises(BraintuneError, match=message):
        Study.make(values)


def test_all_faults_are_listed_at_once():
    with pytest.raises(BraintuneError) as caught:
        Study.make({"n_folds": 1, "nonsense": 2})
    assert len(str(caught.value).splitlines()) == 2


class TestLoad:
    def test_a_name_and_a_path_give_the_same(self):
        path = PROFILES / "real.yml"
        assert Study.load("real") == Study.load(path) == Study.load(str(path))
        assert Study.load("real").task_source == "folder"

    def test_a_path_may_start_at_the_repository(self, monkeypatch, tmp_path):
        monkeypatch.chdir(tmp_path)
        assert Study.load("notebooks/profiles/real.yml") == Study.load("real")

    def test_changes_replace_the_profile_and_none_keeps_it(self):
        profile = Study.load("reference")
        assert Study.load("reference", layer=None, bootstrap=None) == profile
        changed = Study.load("reference", layer=2, bootstrap=0)
        assert (changed.layer, changed.bootstrap) == (2, 0)
        assert changed.model_copy(update={"layer": -1, "bootstrap": 1000}) == profile

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"n_fold": 3}, r"quick\.yml: unknown parameter 'n_fold'; known: n_folds, "),
            ({"permutation": 3}, "unknown parameter 'permutation'; known: permutations, "),
            ({"participant": "S01"}, "unknown parameter 'participant'; known: participants, simulated_participants, "),
            ({"n_folds": 1}, "n_folds: .*2; got 1 .folds of the shuffled design"),
            ({"permutations": "few"}, "permutations: .*valid integer.*'few'"),
        ],
    )
    def test_a_wrong_change_names_the_nearest_parameter_or_what_is_allowed(self, changes, message):
        with pytest.raises(BraintuneError, match=message):
            Study.load("quick", **changes)

    @pytest.mark.parametrize(
        ("profile", "message"),
        [
            (
                "slow",
                "no profile 'slow'; known: compact, continual, continual-real, paper, quick, real, reference, or give the path of a .yml file",
            ),
            ("refrence", "no profile 'refrence'; known: reference, compact"),
            (
                "slurm",
                "'slurm' is an engine file: .* one of compact, continual, .*: make book PROFILE=quick ENGINE=slurm",
            ),
        ],
    )
    def test_an_unknown_profile_lists_the_known_the_nearest_first(self, profile, message):
        with pytest.raises(BraintuneError, match=message):
            Study.load(profile)

    def test_a_profile_without_a_name_has_that_of_its_file(self, tmp_path):
        path = tmp_path / "mine.yml"
        path.write_text("n_folds: 4\n", encoding="utf-8")
        assert (Study.load(path).profile, Study.load(path).n_folds) == ("mine", 4)

    def test_plugins_are_relative_to_the_profile(self, tmp_path):
        path = tmp_path / "mine.yml"
        path.write_text("plugins: [here/none.py]\n", encoding="utf-8")
        with pytest.raises(BraintuneError, match=rf"plugins: no file {tmp_path}/here/none\.py"):
            Study.load(path)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("seeds: [010, 07]", {"seeds": [10, 7]}),
        ("participants: [07, no, 1:30]", {"participants": ["07", "no", "1:30"]}),
        ("learning_rates: {fine-tuned: [1e-4, 2E-5], prompt-tuned: [1, .5]}",
         {"learning_rates": {"fine-tuned": [1e-4, 2e-5], "prompt-tuned": [1.0, 0.5]}}),
        ("standardise: false\nlags: [+2, 1.5]\nlayer: -2", {"standardise": False, "lags": [2, 1.5], "layer": -2}),
        ("participants: null\nregions: ~\nown_study: 2001-01-01", {"participants": None, "regions": None, "own_study": "2001-01-01"}),
    ],
)  # fmt: skip
def test_values_are_read_as_they_are_typed(tmp_path, text, values):
    path = tmp_path / "mine.yml"
    path.write_text(text, encoding="utf-8")
    study = Study.load(path)
    assert {name: getattr(study, name) for name in values} == values


class TestTwoFilesWithOneName:
    """The folder of a run belongs to the profile whose results it holds."""

    @pytest.fixture
    def profiles(self, tmp_path):
        """Two files with one name and one folder of runs; that of the first has results."""
        for folder in ("here", "there"):
            (tmp_path / folder).mkdir()
            (tmp_path / folder / "mine.yml").write_text(f"runs: {tmp_path / 'runs'}\n", encoding="utf-8")
        store.write_json(tmp_path / "runs" / "mine" / PLAN, {"profile": "../../here/mine.yml", "stale": []})
        return tmp_path

    def test_the_second_is_refused_and_both_are_named(self, profiles):
        first, second = (profiles / folder / "mine.yml" for folder in ("here", "there"))
        assert Study.load(first).profile == "mine"
        message = f"mine holds the results of {first}, and {second} has the same name, 'mine'; rename .* another `runs`"
        with pytest.raises(BraintuneError, match=message):
            Study.load(second)
        assert Study.load(second, runs=str(profiles / "others")).profile == "mine"

    def test_a_profile_that_was_moved_keeps_its_results(self, profiles):
        (profiles / "here" / "mine.yml").rename(profiles / "there" / "mine.yml")
        assert Study.load(profiles / "there" / "mine.yml").profile == "mine"

    def test_folders_that_were_copied_together_know_each_other(self, profiles, tmp_path_factory):
        copy = shutil.copytree(profiles, tmp_path_factory.mktemp("elsewhere") / "copy")
        profile = copy / "here" / "mine.yml"
        profile.write_text(f"runs: {copy / 'runs'}\n", encoding="utf-8")
        assert Study.load(profile).folder == copy / "runs" / "mine"

    @pytest.mark.parametrize("content", ["[]", "{", '{"profile": 1}', "{}"])
    def test_a_damaged_plan_names_nobody(self, profiles, content):
        (profiles / "runs" / "mine" / PLAN).write_text(content, encoding="utf-8")
        assert Study.load(profiles / "there" / "mine.yml").profile == "mine"


def test_a_study_is_frozen():
    with pytest.raises(Exception, match="frozen"):
        Study().n_folds = 3


def test_representations_name_every_member_of_the_grid_once():
    run = Study.make({"seeds": [0, 1]})
    names = [r.name for r in run.representations()]
    assert names[0] == "untuned"
    assert len(names) == len(set(names)) == 1 + 10 * 2 * 2 + len(run.controls)


class TestFiles:
    def test_a_failed_write_leaves_the_earlier_file_whole(self, tmp_path):
        path = tmp_path / "facts.json"
        store.write_json(path, {"a": 1})
        with pytest.raises(RuntimeError), store.atomic(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError
        assert store.read_json(path) == {"a": 1}
        assert list(tmp_path.iterdir()) == [path]

    def test_a_folder_that_cannot_be_made(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(BraintuneError, match="cannot write"):
            store.write_json(tmp_path / "file" / "facts.json", {})

    def test_a_missing_artefact_names_the_remedy(self, tmp_path):
        with pytest.raises(BraintuneError, match="make book"):
            store.read_table(tmp_path / "none.parquet")

    @given(st.lists(st.floats(width=32), max_size=20))
    def test_arrays_survive_bit_for_bit(self, values):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "a.safetensors"
            array = np.array(values, dtype=np.float32)
            store.write_arrays(path, {"x": array}, {"note": "n"})
            assert store.read_arrays(path)["x"].tobytes() == array.tobytes()

    def test_tables_survive(self, tmp_path):
        table = pd.DataFrame({"a": ["x", "ü"], "b": [1.5, np.nan]})
        store.write_table(tmp_path / "t.parquet", table)
        pd.testing.assert_frame_equal(store.read_table(tmp_path / "t.parquet"), table)


def test_the_data_folder_is_named_by_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("BRAINTUNE_DATA", str(tmp_path))
    assert base.data_folder() == tmp_path
    monkeypatch.chdir(tmp_path)
    for relative in ("../elsewhere", "data", "~nobody-here/data"):
        monkeypatch.setenv("BRAINTUNE_DATA", relative)
        with pytest.raises(
            BraintuneError,
            match=f"BRAINTUNE_DATA: '{relative}' must be an absolute path.* relative to the current folder",
        ):
            base.data_folder()
    monkeypatch.setenv("BRAINTUNE_DATA", "~/data")
    assert base.data_folder() == (Path.home() / "data").resolve()
    monkeypatch.delenv("BRAINTUNE_DATA")
    assert base.data_folder() == base.REPOSITORY / "data" / "raw"
