import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from braintune.core import base, store
from braintune.core.base import BraintuneError
from braintune.core.study import PROFILES, Study, is_engine

PROFILES = sorted(path for path in PROFILES.glob("*.yml") if not is_engine(path))


@pytest.mark.parametrize("path", PROFILES, ids=lambda p: p.stem)
def test_every_profile_is_valid_and_named_after_its_file(path):
    assert Study.load(path.stem).profile == path.stem


def test_quick_lists_every_parameter_with_its_default():
    quick = yaml.safe_load((base.REPOSITORY / "notebooks" / "profiles" / "quick.yml").read_text(encoding="utf-8"))
    assert set(quick) == set(Study.model_fields)
    assert Study.make(quick) == Study()


def test_every_parameter_says_what_it_means():
    assert all(field.description for field in Study.model_fields.values())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"n_fold": 3}, "unknown parameter 'n_fold'.*n_folds"),
        ({"n_folds": 1}, "n_folds.*greater than or equal to 2.*got 1"),
        ({"n_folds": "many"}, "n_folds.*valid integer.*'many'"),
        ({"device": "tpu"}, "device.*'auto', 'cpu', 'cuda' or 'mps'.*'tpu'"),
        ({"designs": ["random"]}, "designs.*'shuffled' or 'grouped'"),
        (
            {"learning_rates": {"fine-tuned": [1]}},
            "learning_rates: none for method 'prompt-tuned'; there are some for fine-",
        ),
        ({"learning_rates": {"fine-tuned": [1, 2], "prompt-tuned": [1]}}, "as many trials, .* fine-tuned 2, prompt-t"),
        ({"epochs": [0]}, r"epochs: \[0\] must be from 1"),
        ({"epochs": [2, 2]}, "epochs.*twice"),
        ({"learning_rates": {"fine-tuned": [0.0], "prompt-tuned": [1.0]}}, "learning_rates.*above 0"),
        ({"tasks": []}, "tasks.*at least 1"),
        ({"tasks": ["ner", "ner"]}, "tasks.*twice"),
        ({"vectors": {"passage": "x.npz"}}, "vectors: 'passage' must be a new name"),
        ({"vectors": {"a/b": "x.npz"}}, "vectors: 'a/b' must be a new name of letters"),
        ({"stride": 128}, r"stride: 128 must be below max_tokens \(128\)"),
        ({"alpha_exponents": [3, 1]}, "alpha_exponents.*small to large"),
        ({"passages": 10}, r"passages: 10 must be at least topics \(24\)"),
        ({"profile": "../elsewhere"}, "profile.*pattern"),
        ({"margin": float("nan")}, "margin.*finite"),
    ],
)
def test_a_bad_parameter_is_named_with_what_is_allowed(values, message):
    with pytest.raises(BraintuneError, match=message):
        Study.make(values)


def test_several_faults_are_told_at_once():
    with pytest.raises(BraintuneError) as caught:
        Study.make({"n_folds": 1, "nonsense": 2})
    assert len(str(caught.value).splitlines()) == 2


def test_unknown_profile_lists_the_known():
    with pytest.raises(BraintuneError, match="no profile 'slow'; known: paper, quick, real"):
        Study.load("slow")


def test_an_engine_is_no_profile():
    message = "'slurm' is an engine's file: .* one of paper, quick, .*: make book PROFILE=quick ENGINE=slurm"
    with pytest.raises(BraintuneError, match=message):
        Study.load("slurm")


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [1", "\x00", ""])
def test_a_broken_profile_is_an_error_of_ours(tmp_path, text):
    path = tmp_path / "bad.yml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BraintuneError, match=r"bad\.yml"):
        Study.load(path)


def test_a_study_is_frozen():
    with pytest.raises(Exception, match="frozen"):
        Study().n_folds = 3


class TestFromNotebook:
    def test_takes_parameters_and_passes_over_the_rest(self):
        namespace = {"In": [], "_i1": "", "np": np, "Study": Study, "print": print, "task": "ner", "n_folds": 3}
        assert Study.from_notebook(namespace, own=("task",)).n_folds == 3

    def test_an_unknown_parameter_is_an_error(self):
        with pytest.raises(BraintuneError, match="unknown parameter 'n_fold'"):
            Study.from_notebook({"n_fold": 3})

    def test_a_named_profile_supplies_the_rest(self):
        made = Study.from_notebook({"profile": "real", "n_folds": 3})
        assert (made.task_source, made.n_folds) == ("folder", 3)


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

    def test_a_read_only_folder_is_told(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(BraintuneError, match="cannot write"):
            store.write_json(tmp_path / "file" / "facts.json", {})

    def test_a_missing_artefact_names_the_remedy(self, tmp_path):
        with pytest.raises(BraintuneError, match="make book"):
            store.read_table(tmp_path / "none.parquet")

    @given(st.lists(st.floats(width=32), max_size=20))
    def test_arrays_survive_bit_for_bit(self, values):
        import tempfile
        from pathlib import Path

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
    monkeypatch.setenv("BRAINTUNE_DATA", "../elsewhere")
    monkeypatch.chdir(tmp_path)
    assert base.data_folder() == base.REPOSITORY.parent / "elsewhere"
    monkeypatch.delenv("BRAINTUNE_DATA")
    assert base.data_folder() == base.REPOSITORY / "data" / "raw"
