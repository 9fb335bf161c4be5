"""The notebooks: clean sources, cells that can be run twice, and what a job gives and records."""

import ast
from pathlib import Path

import nbformat
import numpy as np
import papermill
import pytest

from braintune.core import base
from braintune.core.base import BraintuneError
from braintune.core.study import Study
from braintune.workflow import execute
from braintune.workflow.execute import keep
from braintune.workflow.jobs import STEPS, all_jobs, make_job, read_notebook

NOTEBOOKS = sorted((base.REPOSITORY / "notebooks").glob("*.ipynb"))
by_name = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
#: What each notebook can be given by hand beside the parameters of its job.
BY_HAND = {
    "tuning": ["learning_rate", "epochs", "train_examples", "prefix_length"],
    "embeddings": ["pooling", "save"],
    "decoding": ["layer", "n_folds", "permutations", "save"],
    "encoding": ["layer", "n_folds", "permutations", "save"],
    "rsa": ["layer", "bootstrap", "save"],
    "figures": [],
}


def code_cells(path):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def test_there_is_one_notebook_a_step():
    assert {p.stem for p in NOTEBOOKS} == set(STEPS)


@by_name
def test_sources_are_valid_and_hold_no_output(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code_cells(path))


@by_name
def test_parameters_come_first_each_with_a_comment_and_a_default_of_the_quick_profile(path):
    first = code_cells(path)[0]
    assert first.metadata["tags"] == ["parameters"]
    assert all("  # " in line for line in first.source.splitlines())
    exec(first.source, given := {})
    del given["__builtins__"]
    own = STEPS[path.stem].own
    assert list(given) == ["profile", *own, *BY_HAND[path.stem]]
    assert make_job(path.stem, **{name: given[name] for name in own}) in all_jobs(Study.load(given["profile"]))
    assert {given[name] for name in BY_HAND[path.stem]} <= {None, False}


@by_name
def test_cells_are_short_and_define_nothing(path):
    for cell in code_cells(path):
        assert len(cell.source.splitlines()) <= 15
        tree = ast.parse(cell.source)
        assert not [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.ClassDef | ast.While)]


def test_decoding_takes_a_participant_whose_name_papermill_took_for_a_number(tmp_path, monkeypatch):
    monkeypatch.setenv("BRAINTUNE_DATA", str(tmp_path))
    (folder := tmp_path / "brain" / "own").mkdir(parents=True)
    (folder / "stimuli.csv").write_text("sentence\nOne.\nTwo.\nThree.\nFour.\nFive.\n", encoding="utf-8")
    for name in ("007", "12"):
        np.savez(folder / f"{name}.npz", IFG=np.eye(5))
    parameters, start, read, *_ = (cell.source for cell in code_cells(base.REPOSITORY / "notebooks" / "decoding.ipynb"))
    for given, name in ((7, "007"), (12, "12"), ("007", "007")):
        exec(parameters, values := {})
        exec(start, values)
        values |= {"brain": "folder", "participant": given, "load_embeddings": lambda study, brain: {}}
        exec(read, values)
        assert values["participant"] == name


@pytest.mark.slow
@pytest.mark.parametrize("step", [step for step in STEPS if step != "figures"])
def test_all_cells_run_twice_by_hand_and_change_no_file_of_the_run(built, step):
    """In one kernel, every cell in its order, and all of them again."""
    from nbclient import NotebookClient

    study = built.run
    before = {path: path.stat().st_mtime_ns for path in study.root.rglob("*") if path.is_file()}
    notebook = nbformat.read(base.REPOSITORY / "notebooks" / f"{step}.ipynb", as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    job = next(job for job in all_jobs(study) if job.step == step)
    given = {"profile": str(built.profile), **dict(job.parameters)}
    cells[0].source += "".join(f"\n{name} = {value!r}" for name, value in given.items())
    notebook.cells = [*cells, *(nbformat.v4.new_code_cell(cell.source) for cell in cells)]
    NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
    half = len(cells)
    assert all(cell.execution_count for cell in notebook.cells)
    shown = [[kind(output) for output in cell.outputs] for cell in notebook.cells]
    assert shown[:half] == shown[half:]
    after = {path: path.stat().st_mtime_ns for path in study.root.rglob("*") if path.is_file()}
    assert after == before


def kind(output):
    """What kind of output a cell has; progress that is printed counts as none."""
    return output.output_type, sorted(output.get("data", ()))


class TestExecution:
    def test_a_notebook_is_given_what_it_declares(self):
        declared = dict.fromkeys(("profile", "task", "method", "seed", "epochs"))
        job = make_job("tuning", task="ner", method="lora", seed=1)
        given = {"profile": "quick", "task": "ner", "method": "lora", "seed": 1}
        assert execute._given("quick", job, declared) == given
        assert execute._given("quick", job, declared | {"save": None}) == given | {"save": True}

    def test_a_profile_elsewhere_is_given_by_its_path_from_the_repository(self, tmp_path):
        (tmp_path / "mine.yml").write_text("n_folds: 4\n", encoding="utf-8")
        given = execute._given(str(tmp_path / "mine.yml"), make_job("figures"), {"profile": None})
        assert not Path(given["profile"]).is_absolute() and Study.load(given["profile"]).n_folds == 4

    def test_a_parameter_that_a_notebook_lacks_is_named_with_those_it_has(self):
        job = make_job("rsa", brain="simulated")
        message = r"rsa.ipynb declares no parameter 'brain' .*; it has brains, profile"
        with pytest.raises(BraintuneError, match=message):
            execute._given("quick", job, {"profile": None, "brains": None})

    def test_warnings_are_kept_without_the_place_of_their_file(self, tmp_path):
        study = Study.make({"runs": str(tmp_path)})
        text = "some/folder/x.py:12: UserWarning: few voxels\n  warn('few voxels')\nand more\n"
        cells = [
            {"cell_type": "code", "metadata": {}, "source": "", "execution_count": 1, "outputs": [
                {"output_type": "stream", "name": name, "text": text} for name in ("stderr", "stdout")
            ]}
        ]  # fmt: skip
        page = keep(study, make_job("figures"), {"cells": cells, "metadata": {}}, "0" * 16, 1.0)
        shown = [output["text"] for output in read_notebook(page)["cells"][0]["outputs"]]
        assert shown == ["UserWarning: few voxels\nand more\n", text]

    def test_a_kernel_that_dies_while_it_starts_is_said_with_its_remedy(self, tmp_path, monkeypatch):
        def die(*_, **__):
            raise RuntimeError("Kernel died before replying to kernel_info")

        monkeypatch.setattr(papermill, "execute_notebook", die)
        study, job = Study.make({"runs": str(tmp_path)}), make_job("figures")
        with pytest.raises(BraintuneError, match=r"figures: its process was killed .*CORES=1"):
            execute._execute("quick", study, job, tmp_path / "figures.failed.ipynb")

    def test_a_long_notebook_prints_its_newest_line_now_and_then(self, capsys):
        progress = execute._Progress()
        progress.write("epoch 1\n")
        progress.printed -= 2 * progress.every
        progress.write("epoch 2\nepoch 3\n")
        progress.write("epoch 4\n")
        assert capsys.readouterr().out.strip() == "epoch 3"
