"""The notebooks: clean sources, cells that can be run twice, and what a job gives and records."""

import ast
import os
import time
from contextlib import contextmanager, nullcontext
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pandas as pd
import papermill
import pytest

from braintune.core import base
from braintune.core.base import BraintuneError
from braintune.core.store import read_arrays, write_arrays
from braintune.core.study import Study
from braintune.core.sweep import Sweep
from braintune.models import tuning
from braintune.workflow import execute
from braintune.workflow.execute import keep
from braintune.workflow.jobs import (
    ALL_STEPS,
    STEPS,
    all_jobs,
    artefacts,
    executed_notebook,
    make_job,
    read_notebook,
)
from made_up import write_profile
from tiny_models import save_tiny_bert

NOTEBOOKS = sorted((base.REPOSITORY / "notebooks").glob("*.ipynb"))
by_name = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
#: What each notebook can be given by hand beside the parameters of its job.
BY_HAND = {
    "tuning": ["learning_rate", "epochs", "train_examples", "prefix_length", "example"],
    "embeddings": ["pooling", "save", "sentence", "layer", "task"],
    "decoding": ["layer", "n_folds", "permutations", "save", "region", "fold", "pair"],
    "encoding": ["layer", "n_folds", "permutations", "save", "participant", "region", "fold"],
    "rsa": ["layer", "bootstrap", "save", "participant", "region", "other"],
    "figures": ["margin", "fdr", "save"],
    "supplement": ["save"],
}


def code_cells(path):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def test_there_is_one_notebook_a_step_and_one_for_sweeps():
    assert {p.stem for p in NOTEBOOKS} == {*ALL_STEPS, "sweep"}


@by_name
def test_sources_are_valid_and_hold_no_output(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code_cells(path))


def test_the_comparison_of_a_sweep_takes_its_name():
    first = code_cells(base.REPOSITORY / "notebooks" / "sweep.ipynb")[0]
    exec(first.source, given := {})
    assert first.metadata["tags"] == ["parameters"] and (given["sweep"], given["save"]) == ("ablation", False)
    assert Sweep.load(given["sweep"]).name == "ablation"


@pytest.mark.parametrize("path", [p for p in NOTEBOOKS if p.stem in STEPS], ids=lambda p: p.stem)
def test_parameters_come_first_each_with_a_comment_and_a_default_of_the_quick_profile(path):
    first = code_cells(path)[0]
    assert first.metadata["tags"] == ["parameters"]
    assert all("  # " in line for line in first.source.splitlines())
    exec(first.source, given := {})
    del given["__builtins__"]
    own = STEPS[path.stem].own
    assert list(given) == ["profile", *own, *BY_HAND[path.stem]]
    assert make_job(path.stem, **{name: given[name] for name in own}) in all_jobs(Study.load(given["profile"]))
    assert {given[name] for name in BY_HAND[path.stem]} <= {None, False, -1}


@by_name
def test_cells_are_short_and_define_nothing(path):
    for cell in code_cells(path):
        assert max(map(len, cell.source.splitlines())) <= 88
        assert len(cell.source.splitlines()) <= 15
        tree = ast.parse(cell.source)
        assert not [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.ClassDef | ast.While)]


def test_decoding_takes_a_participant_whose_name_papermill_took_for_a_number(tmp_path, monkeypatch):
    monkeypatch.setenv("BRAINTUNE_DATA", str(tmp_path))
    (folder := tmp_path / "brain" / "own").mkdir(parents=True)
    (folder / "stimuli.csv").write_text("sentence\nOne.\nTwo.\nThree.\nFour.\nFive.\n", encoding="utf-8")
    for name in ("007", "12"):
        np.savez(folder / f"{name}.npz", IFG=int(name) * np.eye(5))
    monkeypatch.setattr("braintune.neural.representations.load_embeddings", lambda study, brain: {})
    parameters, start, read, *_ = (cell.source for cell in code_cells(base.REPOSITORY / "notebooks" / "decoding.ipynb"))
    for given, name in ((7, "007"), (12, "12"), ("007", "007")):
        exec(parameters, values := {})
        exec(start, values)
        values |= {"brain": "folder", "participant": given}
        exec(read, values)
        assert values["participant"] == name


# --- the steps by hand -------------------------------------------------------------------------------------------

STEPWISE = [step for step in STEPS if step not in ("figures", "supplement")]
SMALL = {
    "passages": 12,
    "sentences_per_passage": 3,
    "regions": ["language", "IFG"],
    "n_folds": 3,
    "n_alphas": 5,
    "permutations": 4,
    "bootstrap": 4,
    "voxels_per_region": 12,
    "train_examples": 20,
    "test_examples": 10,
    "epochs": [1],
    "learning_rates": {"fine-tuned": [1e-4]},
}


@pytest.fixture
def small(tmp_path):
    """The profile of a small run with random embeddings; the encoder is tiny."""
    changes = SMALL | {"backbone": str(save_tiny_bert(tmp_path / "bert")), "controls": ["length", "zero-prefix"]}
    profile = write_profile(tmp_path, **changes)
    study, rng = Study.load(profile), np.random.default_rng(0)
    for one in study.representations():
        shape = (1 if one.name == "length" else 3, 36, 8)
        values = {"embedding": rng.normal(size=shape).astype(np.float32)}
        write_arrays(study.embedding_file("simulated", one.name), values)
    return profile


def run_cells(step, times=1, **given):
    """Run all cells in one namespace, in their order, and return it."""
    first, *cells = (cell.source for cell in code_cells(base.REPOSITORY / "notebooks" / f"{step}.ipynb"))
    values = {}
    for source in [first, *cells] * times:
        exec(source, values)
        if source is first:
            assert set(given) <= set(values)
            values |= given
        plt.close("all")
    return values


def files_of(study):
    return {path: path.stat().st_mtime_ns for path in study.root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("step", ["decoding", "encoding", "rsa"])
def test_cells_run_twice_and_tables_are_written_only_when_saved(small, step):
    study = Study.load(small)
    job = next(job for job in all_jobs(study) if job.step == step)
    given = {"profile": str(small), **dict(job.parameters)}
    before = files_of(study)
    run_cells(step, times=2, **given)
    assert files_of(study) == before
    run_cells(step, save=True, **given)
    assert all(place.exists() for place in artefacts(study, job))


def test_sequences_by_hand_are_scored_and_tables_are_written_only_when_saved(tmp_path):
    changes = SMALL | {"backbone": str(save_tiny_bert(tmp_path / "bert")), "tasks": ["sentiment", "wsd"], "orders": 2}
    profile = write_profile(tmp_path, **changes)
    values = run_cells("continual", profile=str(profile))
    before = files_of(Study.load(profile))
    again = run_cells("continual", profile=str(profile), stage=0)
    assert files_of(Study.load(profile)) == before and not (values["study"].folder / "continual" / "tables").exists()
    pd.testing.assert_frame_equal(values["scored"], again["scored"])
    first, second = values["table"].itertuples(index=False)
    assert (first[1], second[1], second[2]) == (*(one["score"] for one in values["then"]), values["metrics"]["score"])
    run_cells("continual", profile=str(profile), save=True)
    assert all(place.exists() for place in artefacts(values["study"], make_job("continual")))


CHANGED = {"layer": 0, "region": "IFG", "fold": 1, "n_folds": 4, "permutations": 3}


@pytest.mark.parametrize("changes", [{}, CHANGED], ids=["defaults", "changed"])
class TestOneFold:
    """What a single step computes is what the table of the whole analysis holds."""

    def row(self, values, changes, region):
        table, expected = values["table"], {"layer": changes.get("layer", 2), "fold": changes.get("fold", 0)}
        keys = {"representation": "untuned", "region": region, "folds": "grouped", **expected}
        (row,) = table[(table[list(keys)] == pd.Series(keys)).all(axis=1)].itertuples()
        return row

    def test_decoding(self, small, changes):
        values = run_cells("decoding", profile=str(small), **changes)
        region = changes.get("region", "language")
        row, found = self.row(values, changes, region), values["fold_scores"]
        assert float(found["pairwise"]) == pytest.approx(row.pairwise)
        assert float(found["margin"]) == pytest.approx(row.margin, abs=1e-4)
        assert float(values["penalties"][values["chosen"]]) == pytest.approx(row.alpha)
        null = values["null"]
        null = null[
            (null["region"] == region) & (null["representation"] == "untuned") & (null["readout"] == "analysis")
        ]
        assert len(null) == changes.get("permutations", 4)
        assert values["permuted"] == pytest.approx(null["pairwise"].to_numpy(), abs=1e-4)

    def test_encoding(self, small, changes):
        values = run_cells("encoding", profile=str(small), **changes)
        row = self.row(values, changes, changes.get("region", "language"))
        assert float(values["correlation"]) == pytest.approx(row.correlation, abs=1e-4)
        assert float(values["penalties"][int(values["fit"].argmax())]) == pytest.approx(row.alpha)


@pytest.mark.parametrize(("layer", "region", "other"), [(None, None, None), (0, "IFG", "length")])
def test_one_similarity_is_that_of_the_table(small, layer, region, other):
    values = run_cells("rsa", profile=str(small), layer=layer, region=region, other=other)
    spearman = {name: value for _, name, value, _ in values["rows"]}
    at = 2 if layer is None else layer
    pairs, brain = (values["similarity"][name] for name in ("representations", "brain"))
    name = other or "sentiment_fine-tuned_seed-0"
    pair = pairs[(pairs["representation_a"] == "untuned") & (pairs["representation_b"] == name)]
    assert spearman[name] == pytest.approx(pair["spearman"].item(), abs=1e-5)
    here = brain[(brain["region"] == (region or "language")) & (brain["representation"] == "untuned")]
    expected = here.loc[here["layer"] == at, "spearman"].item()
    assert spearman[f"{region or 'language'}, S01"] == pytest.approx(expected, abs=1e-5)


def test_one_sentence_gets_the_vector_that_the_file_holds(small):
    study = Study.load(small)
    tuning.tune(study, "sentiment", "fine-tuned", 0)
    before = files_of(study)
    values = run_cells("embeddings", times=2, profile=str(small), sentence=38, layer=1)  # of 36
    assert files_of(study) == before
    assert set(values["cosines"]) == {"fine-tuned", "zero-prefix"}
    run_cells("embeddings", profile=str(small), save=True)
    saved = read_arrays(study.embedding_file("simulated", "untuned"))["embedding"]
    assert values["untuned"][:, 0] == pytest.approx(saved[:, 2], abs=1e-5)
    with pytest.raises(BraintuneError, match="unknown task 'sentimental'; known: sentiment"):
        run_cells("embeddings", profile=str(small), task="sentimental")


def test_tuning_by_hand_takes_other_values_and_leaves_the_model_of_the_run(small):
    study = Study.load(small)
    given = {"profile": str(small), "method": "fine-tuned"}
    values = run_cells("tuning", times=2, **given)
    metrics = values["metrics"]
    assert values["guessed"][metrics["metric"]] == metrics["baseline"]
    assert sum(values["trained"]) + values["whole"] > metrics["parameters"] >= sum(values["trained"])
    before = files_of(study)
    changed = run_cells("tuning", learning_rate=0.002, epochs=2, train_examples=14, example=20, **given)
    assert [(one.learning_rate, one.epochs) for one in changed["recipes"]] == [(0.002, 2)]
    assert changed["metrics"]["n_train"] + changed["metrics"]["n_validation"] == 14
    assert before.items() <= files_of(study).items()


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPWISE)
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
        given = execute._given(str(tmp_path / "mine.yml"), make_job("supplement"), {"profile": None})
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
        page = keep(study, make_job("figures", source="run"), {"cells": cells, "metadata": {}}, "0" * 16, 1.0)
        shown = [output["text"] for output in read_notebook(page)["cells"][0]["outputs"]]
        assert shown == ["UserWarning: few voxels\nand more\n", text]

    def test_a_kernel_that_dies_while_it_starts_is_said_with_its_remedy(self, tmp_path, monkeypatch):
        def die(*_, **__):
            raise RuntimeError("Kernel died before replying to kernel_info")

        monkeypatch.setattr(papermill, "execute_notebook", die)
        study, job = Study.make({"runs": str(tmp_path)}), make_job("figures", source="run")
        with pytest.raises(BraintuneError, match=r"figures · run: its process was killed .*CORES=1"):
            execute._execute("quick", study, job, tmp_path / "figures.failed.ipynb")

    def test_what_another_run_made_while_this_one_waited_is_not_made_again(self, tmp_path, monkeypatch):
        study, job = Study.load(write_profile(tmp_path)), make_job("supplement")
        page, stamp, made = executed_notebook(study, job), execute.fingerprints(study)[job], []

        @contextmanager
        def waiting(target):
            keep(study, job, {"cells": [], "metadata": {}}, stamp, 1.0)
            os.utime(page, (time.time() + 1,) * 2)
            yield 0

        monkeypatch.setattr(execute, "_execute", lambda *_: made.append(job) or {"cells": [], "metadata": {}})
        monkeypatch.setattr(execute, "alone", waiting)
        assert execute.execute(str(tmp_path / "made-up.yml"), job) == page and not made
        old = study.figure_file("gone", source="supplement")
        old.parent.mkdir(parents=True)
        old.write_text("old", encoding="utf-8")
        for path in (old, page):
            os.utime(path, (0, 0))
        page.with_suffix(".failed.ipynb").touch()
        monkeypatch.setattr(execute, "alone", lambda target: nullcontext(0))
        execute.execute(str(tmp_path / "made-up.yml"), job)
        assert made == [job] and not old.exists(), "a figure that is no longer drawn goes"

    def test_a_long_notebook_prints_its_newest_line_now_and_then(self, capsys):
        progress = execute._Progress()
        progress.write("epoch 1\n")
        progress.printed -= 2 * progress.every
        progress.write("epoch 2\nepoch 3\n")
        progress.write("epoch 4\n")
        assert capsys.readouterr().out.strip() == "epoch 3"
