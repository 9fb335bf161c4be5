"""Engines: what their files may say, what is handed to Snakemake, and the image of the environment."""

import re
import shlex
import shutil
import subprocess
import sys
import tomllib

import pytest
import yaml
from test_commands import make

from braintune.core import base, store
from braintune.core.base import BraintuneError
from braintune.core.study import PROFILES
from braintune.workflow import cluster
from braintune.workflow import run as runner
from braintune.workflow.jobs import STEPS
from chain import run_chain

SLURM = PROFILES / "slurm.yml"


def engine(folder, **options):
    """An engine's file: that of the project with some options changed."""
    path = folder / "mine.yml"
    path.write_text(yaml.safe_dump(yaml.safe_load(SLURM.read_text(encoding="utf-8")) | options), encoding="utf-8")
    return path


class TestFile:
    def test_an_unknown_engine_lists_the_known(self):
        with pytest.raises(BraintuneError, match=r"no engine 'slrm'; known: slurm, or give the path of a .yml file"):
            cluster.engine_path("slrm")

    def test_a_profile_is_no_engine(self):
        with pytest.raises(
            BraintuneError, match="'quick' is not an engine file: it has no line `executor: …`; known: sl"
        ):
            cluster.engine_path("quick")

    def test_a_copy_elsewhere_will_do(self, tmp_path):
        assert cluster.engine_path(str(engine(tmp_path))) == tmp_path / "mine.yml"
        assert cluster.engine_path("slurm") == SLURM

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("executor: slurm\njobs: [1", "mine.yml is not valid YAML"),
            ("executor: flux\n", "executor: 'flux' needs snakemake-executor-plugin-flux, which is not installed"),
        ],
    )
    def test_a_broken_one_is_an_error_of_ours(self, tmp_path, text, message):
        path = tmp_path / "mine.yml"
        path.write_text(text, encoding="utf-8")
        with pytest.raises(BraintuneError, match=message):
            cluster.options_for(str(path))

    def test_nodes_have_the_pinned_plugin(self):
        pins = (base.REPOSITORY / "constraints.txt").read_text(encoding="utf-8")
        project = tomllib.loads((base.REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        (plugin,) = (name for name in project["dependencies"] if "slurm" in name)
        assert re.search(rf"^{plugin}==", pins, flags=re.MULTILINE)


class TestHandedToSnakemake:
    def test_the_run_takes_its_options_from_the_engine(self, tmp_path, monkeypatch):
        profile = tmp_path / "alone.yml"
        profile.write_text(f"profile: alone\nruns: {tmp_path}\n", encoding="utf-8")
        monkeypatch.setenv("BRAINTUNE_CHECKSUMS", "")
        called = []
        monkeypatch.setattr(runner.os, "execv", lambda program, words: called.extend(words))
        monkeypatch.setattr(runner, "check", lambda study: [])
        runner.main([str(profile), "--engine", "slurm", "--notemp"])
        assert called[called.index("--profile") + 1] == str(SLURM)
        assert called[called.index("--executor") + 1] == "slurm"
        assert called.index("--notemp") < called.index("--forcerun")

    def test_a_run_on_an_unknown_engine_does_not_start(self):
        with pytest.raises(BraintuneError, match="no engine 'slrm'"):
            runner.main(["quick", "--engine", "slrm"])

    @pytest.mark.slow
    def test_each_job_asks_for_memory_minutes_and_where_the_engine_says_so_a_gpu(self, tiny_profile):
        done = run_chain(tiny_profile, "--dry-run", "--forceall", engine=SLURM)
        assert done.returncode == 0, done.stderr[-3000:]
        jobs = dict(re.findall(r"^rule (\w+):\n((?:    .*\n)+)", done.stdout, flags=re.MULTILINE))
        asked = {step: re.findall(r"(?:mem_mb|runtime|gpu)=\d+", jobs[step]) for step in STEPS}
        assert all({word.split("=")[0] for word in words} >= {"mem_mb", "runtime"} for words in asked.values())
        assert [step for step in STEPS if "gpu=1" in asked[step]] == ["tuning", "embeddings"]


class TestChecksums:
    def test_a_job_does_not_read_again_what_its_run_has_read(self, tmp_path, monkeypatch):
        data, kept = tmp_path / "large.npz", tmp_path / "kept.json"
        data.write_bytes(b"x" * 2000)
        monkeypatch.setattr(store, "_CHECKSUMS", {})
        monkeypatch.setenv("BRAINTUNE_CHECKSUMS", "")
        true = store.checksum(data)
        store.hand_on_checksums(kept, least=1000)
        (state,) = store.read_json(kept)
        store.write_json(kept, {state: "known"})
        code = "from braintune.core import store; from pathlib import Path; import sys; print(store.checksum(Path(sys.argv[1])))"

        def in_a_job():
            words = [sys.executable, "-c", code]
            return subprocess.run([*words, str(data)], capture_output=True, text=True, check=True).stdout.strip()

        assert in_a_job() == "known"
        data.write_bytes(b"y" * 2000)
        assert in_a_job() not in ("known", true)

    def test_small_files_are_left_out(self, tmp_path, monkeypatch):
        monkeypatch.setattr(store, "_CHECKSUMS", {})
        monkeypatch.setenv("BRAINTUNE_CHECKSUMS", "")
        (tmp_path / "small").write_bytes(b"x")
        store.checksum(tmp_path / "small")
        store.hand_on_checksums(tmp_path / "kept.json")
        assert store.read_json(tmp_path / "kept.json") == {}


class TestImage:
    """No Docker is needed for these: they hold the recipe to the files and the commands that it names."""

    @pytest.fixture(scope="class")
    def steps(self):
        text = (base.REPOSITORY / "Dockerfile").read_text(encoding="utf-8")
        lines = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
        return [line.split(None, 1) for line in lines if line.strip()]

    def test_what_is_copied_is_there(self, steps):
        copied = [word for name, words in steps if name == "COPY" for word in shlex.split(words)[:-1]]
        assert {"Makefile", "pyproject.toml", "constraints.txt", "lib"} <= set(copied)
        assert all((base.REPOSITORY / name).exists() for name in copied)

    def test_the_environment_is_made_as_make_makes_it_from_what_was_copied(self, steps, tmp_path):
        for name, words in steps:
            if name == "COPY" and words != ". .":
                for source in shlex.split(words)[:-1]:
                    path = base.REPOSITORY / source
                    (shutil.copytree if path.is_dir() else shutil.copy)(path, tmp_path / source)
            if name == "RUN" and words.startswith("make"):
                break
        code, output = make(tmp_path, "-n", *shlex.split(words)[1:])
        assert code == 0, output
        assert "-c constraints.txt" in output and "-e '.[test]'" in output
        project = tomllib.loads((tmp_path / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        assert (tmp_path / project["readme"]).is_file()

    def test_its_python_is_one_that_the_project_takes(self, steps):
        version = dict(steps)["FROM"].removeprefix("python:").removesuffix("-slim")
        project = tomllib.loads((base.REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        least = project["requires-python"].removeprefix(">=")
        assert tuple(map(int, version.split("."))) >= tuple(map(int, least.split(".")))

    def test_the_environment_of_this_machine_stays_out(self):
        ignored = (base.REPOSITORY / ".dockerignore").read_text(encoding="utf-8").split()
        assert {".venv", "runs", "data/raw"} <= set(ignored)
