"""What a sweep executes: every variant in one graph, common models once, and missing backbones named."""

import subprocess

import pytest
import yaml

from braintune.core import store
from braintune.core.base import BraintuneError
from braintune.core.study import PLAN
from braintune.core.sweep import Sweep
from braintune.datasets.hub import Unreachable
from braintune.workflow import run as runner
from braintune.workflow import sweep as sweeps
from braintune.workflow.jobs import executed_notebook, make_job
from braintune.workflow.sweep import run_sweep
from made_up import write_profile

VARIANTS = {
    "short": {"methods": ["fine-tuned", "prompt-tuned"], "prefix_length": 5},
    "upper": {"methods": ["fine-tuned", "prompt-tuned"], "prompt_layers": "upper"},
    "gone": {"backbone": "nobody/nothing"},
}


@pytest.fixture
def path(tmp_path, monkeypatch):
    """A sweep whose variant `gone` has a backbone that is not there; nothing else is checked."""
    monkeypatch.setenv("BRAINTUNE_CHECKSUMS", "")

    def check(study):
        if study.backbone == "nobody/nothing":
            raise Unreachable("the weights are not there")
        return ["sentiment: some remark"]

    monkeypatch.setattr(sweeps, "check", check)
    write_profile(tmp_path, runs=str(tmp_path / "runs"))
    path = tmp_path / "lengths.yml"
    path.write_text(yaml.safe_dump({"base": "made-up.yml", "variants": VARIANTS}, sort_keys=False), encoding="utf-8")
    return path


@pytest.fixture
def called(monkeypatch):
    words = []
    monkeypatch.setattr(runner.os, "execv", lambda program, command: words.append(command))
    return words


def test_a_dry_run_names_jobs_and_missing_variants_and_leaves_nothing_behind(path, called, capsys):
    before = sorted(path.parent.rglob("*"))
    run_sweep(str(path), ["--cores", "1", "--dry-run"])
    lines = capsys.readouterr().out.splitlines()
    remark = "sentiment: some remark"  # of every run, but printed once
    checked = ["checking  made-up", remark, "checking  short", "checking  upper", "checking  gone"]
    assert lines[:6] == [*checked, "left out  gone: the weights are not there"]
    tuning = [line for line in lines if "tuning" in line]
    assert [line.count("fine-tuned") for line in tuning] == [1, 0, 0]  # the model that all share, once
    assert [line.split()[2] for line in tuning[1:]] == ["short:", "upper:"]
    assert sum("decoding" in line for line in lines) == 3 and not any("gone" in line for line in lines[6:])
    assert called == [] and sorted(path.parent.rglob("*")) == before


def test_snakemake_reads_all_runs_of_a_sweep(path, called):
    run_sweep(str(path), ["--cores", "1"])
    (command,) = called
    sweep = Sweep.load(path)
    plan = store.read_json(sweep.folder / PLAN)
    assert plan["verb"] == "compare" and plan["profile"] == "../../lengths.yml"
    assert list(plan["runs"]) == ["../made-up/", "short/", "upper/"] and list(sweep.missing) == ["gone"]
    done = subprocess.run([*command, "--dry-run"], capture_output=True, text=True)
    text = done.stdout + done.stderr
    assert done.returncode == 0, text
    counts = {words[0]: words[1] for line in text.splitlines() if len(words := line.split()) == 2}
    wanted = {"tuning": 3, "embeddings": 3, "decoding": 3, "encoding": 3, "rsa": 3, "figures": 3, "book": 1}
    wanted |= {"recorded": 1, "supplement": 1}  # shared, as the models are
    assert {rule: int(counts[rule]) for rule in wanted} == wanted


def test_a_fault_names_the_variant_and_nothing_starts(path, called, monkeypatch):
    def refuse(study):
        if study.prefix_length == 5:
            raise BraintuneError("no such thing")
        return []

    monkeypatch.setattr(sweeps, "check", refuse)
    before = sorted(path.parent.rglob("*"))
    with pytest.raises(BraintuneError, match=r"lengths\.yml: short: no such thing"):
        run_sweep(str(path), ["--cores", "1"])
    assert called == [] and sorted(path.parent.rglob("*")) == before


def test_a_sweep_without_its_base_is_refused(path, called, monkeypatch):
    def refuse(study):
        raise Unreachable("the weights are not there")

    monkeypatch.setattr(sweeps, "check", refuse)
    with pytest.raises(
        BraintuneError, match="compared with the base, 'made-up', which cannot be run: the weights are not"
    ):
        run_sweep(str(path), ["--cores", "1"])


def test_runs_of_a_sweep_that_are_in_progress_are_not_started_again(path, called):
    study = Sweep.load(path).studies["short"]
    with (
        runner.locked(study.folder, study.profile),
        pytest.raises(BraintuneError, match="'lengths/short' is in progress"),
    ):
        run_sweep(str(path), ["--cores", "1"])


def test_an_engine_and_options_are_handed_on(path, called):
    sweeps.main([str(path), "--cores", "2", "--until", "tuning"])
    assert called[0][called[0].index("--until") + 1] == "tuning"
    with pytest.raises(BraintuneError, match="no engine 'slrm'"):
        sweeps.main([str(path), "--engine", "slrm"])
    with pytest.raises(BraintuneError, match="cores: '0'"):
        sweeps.main([str(path), "--cores", "0"])
    with pytest.raises(BraintuneError, match="which sweep"):
        sweeps.main([])


def test_models_are_shared_where_nothing_that_a_method_reads_differs(path):
    studies = Sweep.load(path).studies
    job = make_job("tuning", task="sentiment", method="fine-tuned", seed=0)
    assert len({executed_notebook(studies[name], job) for name in ("made-up", "short", "upper")}) == 1
    assert executed_notebook(studies["gone"], job) != executed_notebook(studies["short"], job)
