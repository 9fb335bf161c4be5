"""The notebooks tell and the library computes: what a clean notebook source is."""

import ast
import fcntl
import subprocess
import sys

import nbformat
import pytest

from braintune.core import base
from braintune.core.base import BraintuneError
from braintune.core.study import Study
from braintune.workflow import chain
from braintune.workflow.book import reference_pages
from braintune.workflow.chain import run_chain
from braintune.workflow.execute import _Progress, check
from braintune.workflow.fingerprints import LIBRARY, _imported, fingerprints, library_files, notebook_files
from braintune.workflow.jobs import STEPS, all_jobs, make_job

NOTEBOOKS = sorted((base.REPOSITORY / "notebooks").glob("*.ipynb"))
by_name = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)


def code_cells(path):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def test_there_is_one_notebook_a_step():
    assert {p.stem for p in NOTEBOOKS} == set(STEPS)


@by_name
def test_sources_are_valid_and_hold_no_output(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    for cell in code_cells(path):
        assert cell.outputs == [] and cell.execution_count is None


@by_name
def test_parameters_come_first_each_with_a_comment(path):
    first = code_cells(path)[0]
    assert first.metadata["tags"] == ["parameters"]
    lines = first.source.splitlines()
    assert all("  # " in line for line in lines)
    names = [line.split(" = ")[0] for line in lines]
    assert names == ["profile", *STEPS[path.stem].own]


@by_name
def test_cells_are_short_and_define_nothing(path):
    for cell in code_cells(path):
        assert len(cell.source.splitlines()) <= 15
        tree = ast.parse(cell.source)
        assert not [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.ClassDef | ast.While)]


@by_name
def test_defaults_of_the_parameters_stand_in_the_quick_profile(path):
    namespace = {}
    exec(code_cells(path)[0].source, namespace)
    own = STEPS[path.stem].own
    given = {name: namespace[name] for name in ("profile", *own)}
    run = Study.load(given["profile"])
    assert make_job(path.stem, **{name: given[name] for name in own}) in all_jobs(run)


def test_an_unknown_parameter_stops_a_notebook(tiny_profile):
    import papermill
    import yaml

    values = yaml.safe_load(tiny_profile.read_text(encoding="utf-8"))
    with pytest.raises(papermill.PapermillExecutionError, match="unknown parameter 'n_fold'"):
        papermill.execute_notebook(
            str(base.REPOSITORY / "notebooks" / "rsa.ipynb"), None, values | {"n_fold": 3},
            kernel_name="python3", progress_bar=False,
        )  # fmt: skip


class TestWorkflow:
    def test_library_files_follow_imports(self):
        names = {p.stem for p in library_files("brain")}
        assert {"brain", "study", "simulate", "microworld"} <= names
        assert "figures" not in names and "tuning" not in names

    def test_a_fingerprint_moves_with_its_own_parameters_only(self):
        before, after = (fingerprints(Study.make({"permutations": n})) for n in (100, 7))
        assert {job.step for job in before if before[job] == after[job]} == {"tuning", "embeddings"}
        assert {job.step for job in before if before[job] != after[job]} == {"decoding", "rsa", "figures"}

    def test_what_joins_a_run_leaves_the_others_alone(self):
        small = {"tasks": ["ner"], "simulated_participants": 2}
        before, tasks = (fingerprints(Study.make(v)) for v in (small, small | {"tasks": ["ner", "wsd"]}))
        assert {job.step for job in before if before[job] == tasks[job]} == {"tuning"}
        chosen = fingerprints(Study.make(small | {"participants": ["S01"]}))
        assert {job.step for job in chosen if before[job] != chosen[job]} == {"rsa", "figures"}

    def test_a_task_reads_its_own_files_only(self, shared_data, monkeypatch):
        monkeypatch.setenv("BRAINTUNE_DATA", str(shared_data))
        one, two = (fingerprints(Study.make({"task_source": "folder", "tasks": t})) for t in (["ner"], ["ner", "wsd"]))
        job = make_job("tuning", task="ner", method="fine-tuned", seed=0)
        assert one[job] == two[job]

    def test_drawing_makes_only_the_figures_stale(self):
        drawn = [s for s in STEPS if LIBRARY / "figures.py" in notebook_files(s)]
        assert drawn == ["figures"]
        assert all(LIBRARY / "study.py" in notebook_files(step) for step in STEPS)

    def test_jobs_follow_the_grid(self):
        run = Study.make({"seeds": [0, 1], "tasks": ["ner", "wsd"]})
        steps = [job.step for job in all_jobs(run)]
        assert [steps.count(s) for s in STEPS] == [8, 1, 5, 1, 1]

    def test_lower_rooms_never_import_higher_ones(self):
        floor_of = {module: room.floor for room in reference_pages.ROOMS for module in room.modules}
        assert sum(len(room.modules) for room in reference_pages.ROOMS) == len(floor_of)  # each stands once
        assert [room.floor for room in reference_pages.ROOMS] == sorted(
            floor_of[room.modules[0]] for room in reference_pages.ROOMS
        )
        assert set(floor_of) | {"__init__"} == {path.stem for path in LIBRARY.glob("*.py")}
        for path in LIBRARY.glob("*.py"):
            for name in _imported(path.read_text(encoding="utf-8")) & set(floor_of):
                assert floor_of[name] <= floor_of.get(path.stem, 99), f"{path.stem} imports {name}"

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({"tasks": ["sentiments"]}, "unknown task 'sentiments'; known: .*sentiment"),
            (
                {"methods": ["magic"], "learning_rates": {"magic": [1]}},
                "unknown method 'magic'; known: ",
            ),
            ({"controls": ["nothing"]}, "unknown control 'nothing'; known: "),
            ({"vectors": {"GloVe": "no.npz"}}, "vectors: GloVe: no file .*no.npz"),
            ({"brains": ["mouse"]}, "unknown brain.*'mouse'.*known: .*simulated"),
            ({"layer": 9}, "layer: 9 is not among 0 … 6, nor -1 … -7 from the last"),
            ({"participants": ["S99"]}, "S99.*S01"),
            ({"regions": ["Broca"]}, "Broca.*language"),
        ],
    )
    def test_the_check_speaks_before_any_long_work(self, values, message):
        with pytest.raises(BraintuneError, match=message):
            check(Study.make(values))


class TestRunningTheChain:
    @pytest.fixture
    def alone(self, tmp_path):
        """A profile that nothing else runs."""
        path = tmp_path / "alone.yml"
        path.write_text(f"profile: alone\nruns: {tmp_path}\n", encoding="utf-8")
        return path

    def test_a_second_run_of_a_profile_is_refused_while_the_first_goes_on(self, alone):
        run = Study.load(alone)
        run.folder.mkdir(parents=True, exist_ok=True)
        with (run.folder / ".lock").open("w") as lock:
            lock.write("4711")
            lock.flush()
            fcntl.flock(lock, fcntl.LOCK_EX)
            with pytest.raises(
                BraintuneError, match=r"'alone' is going on in .*alone; wait for it, or stop it \(kill 4711\)"
            ):
                run_chain(str(alone))

    def test_the_lock_goes_to_snakemake_and_ends_with_it(self, alone, monkeypatch):
        """What a kill leaves behind must not keep the next run from starting."""
        run, called = Study.load(alone), []
        monkeypatch.setattr(chain.os, "execv", lambda program, words: called.append(words))
        for _ in range(2):  # the process that held the lock is gone each time
            code = (
                "import os, sys; from braintune.workflow.chain import run_chain; from braintune.workflow.execute import _Progress, check; from braintune.workflow.fingerprints import LIBRARY, _imported, fingerprints, library_files, notebook_files; from braintune.workflow.jobs import STEPS, all_jobs, make_job;"
                "os.execv = lambda *_: (print(open(sys.argv[2]).read()), os.kill(os.getpid(), 9));"
                "run_chain(sys.argv[1])"
            )
            words = [sys.executable, "-c", code, str(alone), str(run.folder / ".lock")]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            assert done.returncode == -9, done.stderr
        run_chain(str(alone), ["--cores", "1"])
        assert "--nolock" in called[0] and f"profile={alone}" in called[0]
        assert called[0][called[0].index("--cores") + 1] == "1"

    def test_a_long_notebook_is_heard_of_now_and_then(self, capsys):
        progress = _Progress()
        progress.write("epoch 1\n")
        progress.told -= 2 * progress.every
        progress.write("epoch 2\nepoch 3\n")
        progress.write("epoch 4\n")
        assert capsys.readouterr().out.strip() == "epoch 3"
