"""What a kill leaves behind, and how the run continues; `studies/kill_campaign.py` kills at random, many times."""

import json
import random
import shutil
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pandas as pd
import psutil
import pytest
import yaml

import kill_runs
from braintune.core import store
from braintune.core.base import BraintuneError
from braintune.core.study import Study
from braintune.workflow import execute as execution
from braintune.workflow import fingerprints, processes
from braintune.workflow.jobs import all_jobs, executed_notebook, make_job


def when(root, step, seconds=600):
    """Wait until a run has a kernel for a step."""
    until = time.monotonic() + seconds
    while not any(part.kind == "kernel" and part.job.startswith(step) for part in kill_runs.parts(root.pid)):
        assert root.poll() is None and time.monotonic() < until, f"no kernel for {step}"
        time.sleep(0.1)


@pytest.mark.slow
def test_a_run_killed_twice_equals_one_that_nobody_disturbed(built, tmp_path):
    """All models of the finished run but one are given, so that little is left to compute."""
    rng = random.Random(0)
    profile = kill_runs.copy_of(str(built.profile), tmp_path / "runs")
    run, log = Study.load(profile), tmp_path / "log.txt"
    assert fingerprints.fingerprints(run) == fingerprints.fingerprints(built.run)
    shutil.copytree(built.run.root / "models", run.root / "models")
    shutil.rmtree(run.root / "models" / "sentiment" / "fine-tuned")
    options = ("--cores", "2", "--until", "decoding")
    for way, step in (("one kernel alone", "tuning"), ("everything", "embeddings")):
        root = kill_runs.start(profile, log, *options)
        when(root, step)
        before, found, fault = kill_runs.disturb(root, way, rng)
        assert step in before and fault == "", log.read_text()
        assert kill_runs.gone(found, kill_runs.PATIENCE) == []
        assert kill_runs.faults(built.run.folder, run) == []
    assert kill_runs.start(profile, log, *options).wait() == 0, log.read_text()
    assert kill_runs.faults(built.run.folder, run) == []
    done = kill_runs.done(run)
    assert {job for job in all_jobs(run) if job.step in ("tuning", "embeddings", "decoding")} == done
    assert len(kill_runs.kept(run.folder)) > 15
    assert not [path for path in run.root.rglob(".*.[0-9]*") if path.name.split(".")[-2] in ("parquet", "ipynb")]


# --- the comparison sees a difference -------------------------------------------------------------------------------


class TestComparing:
    @pytest.fixture
    def files(self, tmp_path):
        """Two runs of the same, seconds aside."""
        for name, seconds in (("first", 1.0), ("second", 2.0)):
            folder = tmp_path / name / "run" / "rsa"
            store.write_table(folder / "a.parquet", pd.DataFrame({"x": [1.0, np.nan], "n": "ab", "seconds": seconds}))
            store.write_json(folder / "a.json", {"score": 0.5, "seconds": seconds, "trials": [{"seconds": seconds}]})
            store.write_arrays(folder / "a.safetensors", {"w": np.eye(3)})
            (folder / ".a.parquet.4711").write_text("half")
            (folder / "a.failed.ipynb").write_text("half")
        return tmp_path / "first" / "run", tmp_path / "second" / "run"

    def test_seconds_make_no_difference(self, files):
        first, second = map(kill_runs.kept, files)
        assert list(first) == list(second) == ["run/rsa/a.json", "run/rsa/a.parquet", "run/rsa/a.safetensors"]
        assert [kill_runs.difference(first[name], second[name]) for name in first] == ["", "", ""]

    @pytest.mark.parametrize("name", ["a.parquet", "a.json", "a.safetensors"])
    def test_a_file_cut_short_is_seen(self, files, name):
        first, second = (folder / "rsa" / name for folder in files)
        second.write_bytes(second.read_bytes()[:-8])
        assert kill_runs.difference(first, second).startswith("cannot be read")

    def test_the_smallest_difference_is_seen(self, files):
        first, second = (folder / "rsa" for folder in files)
        store.write_table(second / "a.parquet", pd.DataFrame({"x": [np.nextafter(1, 2), np.nan], "n": "ab"}))
        store.write_json(second / "a.json", {"score": 0.5, "trials": [{"score": 1}]})
        store.write_arrays(second / "a.safetensors", {"w": np.eye(3) * np.nextafter(1, 2)})
        for name in ("a.parquet", "a.json", "a.safetensors"):
            assert kill_runs.difference(first / name, second / name) == "differs"


# --- one job at a time -------------------------------------------------------------------------------------------


def test_a_job_waits_for_another_process_that_makes_the_same(tmp_path, capfd):
    code = (
        "import sys, pathlib; from braintune.workflow import processes\n"
        "with processes.alone(pathlib.Path(sys.argv[1])):\n"
        "    print('has it', flush=True); sys.stdin.read()"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "rsa.ipynb")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(words, **pipes, text=True) as first:
        assert first.stdout.readline() == "has it\n"
        with processes.alone(tmp_path / "decoding.ipynb"):  # another job need not wait
            assert capfd.readouterr().out == ""
        second = subprocess.Popen(words, **pipes)
        assert b"rsa.ipynb: another process is still making it" in second.stdout.readline()
        first.kill()
        assert second.stdout.readline() == b"has it\n"  # the lock ends with its holder
        second.communicate()


@pytest.mark.parametrize("deaf", [False, True])
def test_a_job_ends_with_the_run_that_started_it(deaf):
    ears = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN);" if deaf else ""
    code = f"{ears}import time; from braintune.workflow import processes; processes.end_with_parent(0.1); print(1); time.sleep(99)"
    shell = f"export BRAINTUNE_PARENT=$$; '{sys.executable}' -u -c '{code}' & echo $!; wait"
    with subprocess.Popen(["bash", "-c", shell], stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL) as root:
        job = psutil.Process(int(root.stdout.readline()))
        assert root.stdout.readline() == "1\n"
        time.sleep(0.5)
        assert job.is_running()
        root.kill()
        left = kill_runs.gone([kill_runs.Part(job, "job", "")], 30)
        assert left == []


def test_a_job_that_is_started_by_hand_watches_no_parent(monkeypatch):
    monkeypatch.delenv("BRAINTUNE_PARENT", raising=False)
    before = {thread.ident for thread in threading.enumerate()}
    processes.end_with_parent()
    assert {thread.ident for thread in threading.enumerate()} == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cell", "message"),
    [
        # as a system does that runs out of memory
        (f"import os; os.kill(os.getpid(), {int(signal.SIGKILL)})", "its process was killed .*CORES=1"),
        (
            "raise OSError(28, 'No space left on device')",
            r"failed in cell \d+: OSError: .*No space left on device; the disk is full: free some space.*\n.*kept: .*failed.ipynb",
        ),
    ],
    ids=["killed", "disk full"],
)
def test_what_ends_a_notebook_is_said_with_its_remedy(tmp_path, monkeypatch, cell, message):
    profile = tmp_path / "killed.yml"
    profile.write_text(yaml.safe_dump({"runs": str(tmp_path), "tasks": ["wsd"]}), encoding="utf-8")
    job = make_job("tuning", task="wsd", method="fine-tuned", seed=0)
    page = executed_notebook(Study.load(profile), job)
    page.parent.mkdir(parents=True)
    (left := page.with_name(f".{page.name}.4711")).write_text("half")
    notebook = json.loads((execution.NOTEBOOKS / "tuning.ipynb").read_text(encoding="utf-8"))
    code = {"cell_type": "code", "execution_count": None, "id": "x", "metadata": {}, "outputs": [], "source": cell}
    notebook["cells"].insert(2, code)
    (tmp_path / "tuning.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    monkeypatch.setattr(execution, "NOTEBOOKS", tmp_path)
    monkeypatch.setattr(execution, "fingerprints", lambda study: {})
    with pytest.raises(BraintuneError, match=f"wsd · fine-tuned · seed 0:? {message}"):
        execution.execute(str(profile), job)
    assert not page.exists() and not left.exists()
    assert page.with_suffix(".failed.ipynb").is_file()
