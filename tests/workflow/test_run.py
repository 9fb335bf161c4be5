"""What a run executes: only what is stale, one run at a time, wherever its folder is."""

import fcntl
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from braintune.core import store
from braintune.core.base import BraintuneError
from braintune.core.study import Study
from braintune.workflow import run as runner
from braintune.workflow.execute import check
from braintune.workflow.fingerprints import fingerprints
from braintune.workflow.jobs import executed_notebook, make_job
from braintune.workflow.run import run_chain
from made_up import write_profile

RSA = make_job("rsa", brain="simulated")


@pytest.fixture
def called(monkeypatch):
    """The command lines of Snakemake that would be executed."""
    monkeypatch.setenv("BRAINTUNE_CHECKSUMS", "")
    words = []
    monkeypatch.setattr(runner.os, "execv", lambda program, command: words.append(command))
    monkeypatch.setattr(runner, "check", lambda study: [])  # tested below
    return words


def forced(command):
    """What Snakemake is made to run, as absolute paths."""
    folder = Path(command[command.index("--directory") + 1])
    return [str((folder / file).resolve()) for file in command[command.index("--forcerun") + 1 :]]


class TestWhatIsExecuted:
    def test_nothing_of_a_whole_run_also_where_it_was_copied_to(self, study, called, capsys):
        assert not (study.folder / ".snakemake").exists()
        run_chain(str(study.root / "made-up.yml"), ["--cores", "1"])
        assert called == [] and capsys.readouterr().out.startswith(
            "nothing to do: all 8 jobs and the book of 'made-up'"
        )

    def test_what_the_user_forces(self, study, called):
        run_chain(str(study.root / "made-up.yml"), ["--cores", "1", "--forcerun", "rsa"])
        assert "rsa" in called[0]

    def test_a_lost_table_and_the_book(self, study, called):
        study.rsa_file("simulated", "brain").parent.rename(study.folder / "elsewhere")
        run_chain(str(study.root / "made-up.yml"), ["--cores", "1"])
        assert forced(called[0]) == [str(executed_notebook(study, RSA)), str(study.book_page)]

    def test_a_changed_parameter_and_what_comes_after_it(self, study, called):
        profile = write_profile(study.root, bootstrap=7)
        run_chain(str(profile), ["--cores", "1"])
        pages = [executed_notebook(study, job) for job in (RSA, make_job("figures", source="run"))]
        assert forced(called[0]) == [*map(str, pages), str(study.book_page)]

    @pytest.mark.parametrize("content", [None, "[]", '{"book": "0123456789abcdef"}', '{"fing'])
    def test_a_book_of_another_state(self, study, called, content):
        facts = study.folder / "provenance.json"
        facts.unlink() if content is None else facts.write_text(content, encoding="utf-8")
        run_chain(str(study.root / "made-up.yml"))
        assert forced(called[0]) == [str(study.book_page)]

    def test_a_damaged_page_names_the_remedy(self, study, called):
        executed_notebook(study, RSA).write_text("{", encoding="utf-8")
        with pytest.raises(BraintuneError, match=r"simulated\.ipynb is not a complete notebook .*; delete it and run"):
            run_chain(str(study.root / "made-up.yml"))

    def test_options_and_profile_are_handed_on_and_no_date_decides(self, study, called):
        profile = write_profile(study.root, bootstrap=7)
        runner.main([str(profile), "--cores", "1"])
        (command,) = called
        assert "--nolock" in command
        assert store.read_json(study.folder / runner.PLAN)["profile"] == "../made-up.yml"  # also in a copy
        assert command[command.index("--cores") + 1] == "1"
        assert command[command.index("--rerun-triggers") + 1] == "software-env"

    def test_a_dry_run_names_the_jobs_and_runs_none(self, study, called, capsys):
        profile = write_profile(study.root, bootstrap=7)
        run_chain(str(profile), ["--cores", "1", "--dry-run"])
        assert called == []
        assert capsys.readouterr().out.splitlines() == [
            "would run  rsa · simulated", "would run  figures · run", "would build the book",
        ]  # fmt: skip

    @pytest.mark.parametrize("cores", ["0", "-1", "two", "1.5"])
    def test_cores_that_cannot_be(self, study, called, cores):
        with pytest.raises(BraintuneError, match=f"cores: '{cores}' must be a positive whole number, or all"):
            run_chain(str(study.root / "made-up.yml"), ["--cores", cores])

    def test_a_whole_run_with_an_altered_table_is_not_up_to_date(self, study, called):
        table = study.rsa_file("simulated", "brain")
        table.write_bytes(table.read_bytes() + b" ")
        with pytest.raises(BraintuneError, match=r"only from files as its jobs made them:\naltered +rsa · simulated"):
            run_chain(str(study.root / "made-up.yml"), ["--cores", "1"])

    @pytest.mark.parametrize("name", ["hash #1", "curly {x}", "colon: x", "50% & $HOME's"])
    def test_signs_in_a_path_mean_nothing(self, tmp_path, called, name):
        """A real Snakemake reads the command and the Snakefile, and finds the jobs."""
        folder = tmp_path / name
        folder.mkdir()
        profile = write_profile(folder, runs=str(folder))
        run_chain(str(profile), ["--cores", "1"])
        done = subprocess.run([*called[0], "--dry-run"], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "rule decoding" in done.stdout + done.stderr


class TestOneRunAtATime:
    def test_a_second_run_of_a_profile_is_refused_while_the_first_is_in_progress(self, tmp_path, called):
        profile = write_profile(tmp_path)
        study = Study.load(profile)
        study.folder.mkdir()
        with (study.folder / ".lock").open("w") as lock:
            lock.write("4711")
            lock.flush()
            fcntl.flock(lock, fcntl.LOCK_EX)
            with pytest.raises(BraintuneError, match=r"'made-up' is in progress in .*made-up; wait .* \(kill 4711\)"):
                run_chain(str(profile))

    @pytest.mark.parametrize("there", [False, True])
    def test_a_refused_run_leaves_nothing_behind(self, tmp_path, called, monkeypatch, there):
        runs = tmp_path / "a" / "b"
        profile = write_profile(tmp_path, runs=str(runs))
        if there:
            (runs / "made-up").mkdir(parents=True)
        before = sorted(tmp_path.rglob("*"))

        def refuse(study):
            assert (study.folder / ".lock").is_file()
            raise BraintuneError("refused")

        monkeypatch.setattr(runner, "check", refuse)
        with pytest.raises(BraintuneError, match="refused"):
            run_chain(str(profile))
        assert sorted(tmp_path.rglob("*")) == before
        (runs / "models").mkdir(parents=True)  # of another profile
        with pytest.raises(BraintuneError, match="refused"):
            run_chain(str(profile))
        assert (runs / "models").is_dir()

    def test_a_dry_run_leaves_nothing_behind(self, tmp_path, called):
        profile = write_profile(tmp_path, runs=str(tmp_path / "runs"))
        run_chain(str(profile), ["--dry-run"])
        assert [path.name for path in tmp_path.iterdir()] == [profile.name] and called == []

    def test_the_lock_goes_to_snakemake_and_ends_with_it(self, tmp_path, called):
        """What a kill leaves behind must not keep the next run from starting."""
        profile = write_profile(tmp_path)
        lock = Study.load(profile).folder / ".lock"
        code = (
            "import os, sys; from braintune.workflow import run; run.check = lambda study: [];"
            "os.execv = lambda *_: (print(open(sys.argv[2]).read()), os.kill(os.getpid(), 9));"
            "run.run_chain(sys.argv[1])"
        )
        done = subprocess.run([sys.executable, "-c", code, str(profile), str(lock)], capture_output=True, text=True)
        assert done.returncode == -9, done.stderr
        run_chain(str(profile), ["--cores", "1"])
        assert len(called) == 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"tasks": ["sentiments"]}, "unknown task 'sentiments'; known: sentiment"),
        ({"methods": ["magic"], "learning_rates": {"magic": [1]}}, "unknown method 'magic'; known: "),
        ({"controls": ["lenght"]}, "unknown control 'lenght'; known: length"),
        ({"vectors": {"GloVe": "no.npz"}}, "vectors: GloVe: no file .*no.npz"),
        ({"brains": ["mouse"]}, "unknown brain.*'mouse'; known: .*simulated"),
        ({"layer": 9}, "layer: 9 is not among 0 … 6, nor -1 … -7 from the last"),
        ({"participants": ["S99"]}, "S99.*S01"),
        ({"regions": ["Broca"]}, "Broca.*language"),
    ],
    ids=str,
)
def test_a_profile_is_checked_before_any_long_work(values, message):
    study = Study.make({"passages": 24, "tasks": ["sentiment"]} | values)
    with pytest.raises(BraintuneError, match=message):
        fingerprints(study)  # as a run does
        check(study)


@pytest.fixture
def sentiment(tmp_path, monkeypatch):
    """Write task data whose labels repeat; return a study of them."""
    monkeypatch.setenv("BRAINTUNE_DATA", str(tmp_path))

    def write(n, train, test, **values):
        (tmp_path / "nlu" / "sentiment").mkdir(parents=True)
        for part, labels in (("train", train), ("test", test)):
            rows = [{"sentence": f"{part} {i}", "label": labels[i % 2]} for i in range(n)]
            text = "".join(json.dumps(row) + "\n" for row in rows)
            (tmp_path / "nlu" / "sentiment" / f"{part}.jsonl").write_text(text, encoding="utf-8")
        return Study.make({"passages": 24, "tasks": ["sentiment"], "task_source": "folder"} | values)

    return write


def test_task_data_are_cut_by_the_check(sentiment):
    with pytest.raises(
        BraintuneError, match=r"validation_fraction: 0\.1 of the 1 training rows of sentiment cannot be"
    ):
        check(sentiment(1, "ab", "ab"))


def test_several_recipes_without_a_validation_part_are_refused_by_the_check(sentiment):
    with pytest.raises(BraintuneError, match="validation_fraction: 0 leaves no examples to choose a recipe with"):
        check(sentiment(20, "ab", "ab", validation_fraction=0, epochs=[1, 2]))


def test_the_check_says_what_is_unknown_in_training(sentiment):
    assert check(sentiment(10, "ab", "aB")) == [
        "sentiment: 5 of 10 test labels never occur in training and count as errors: 'B' (5)."
    ]


def own_study(tmp_path, **arrays):
    """Write twelve sentences in four passages, and the responses of participants."""
    folder = tmp_path / "brain" / "own"
    folder.mkdir(parents=True)
    rows = "".join(f"Lamp {n} is on.,{n // 3}\n" for n in range(12))
    (folder / "stimuli.csv").write_text(f"sentence,passage\n{rows}", encoding="utf-8")
    for name, values in arrays.items():
        np.savez(folder / f"{name}.npz", IFG=values)
    return folder


RESPONSES = np.random.default_rng(0).normal(size=(12, 15))


@pytest.mark.parametrize(
    ("last", "values", "message"),
    [
        (RESPONSES[:11], {}, r"participant P03, region IFG: responses of shape \(11, 15\) do not match 12"),
        (np.where(np.arange(12)[:, None] == 5, np.nan, RESPONSES), {}, r"P03, .*no response in 1 of 12 .*stimulus 6\)"),
        (np.where(RESPONSES > 2, np.inf, RESPONSES), {}, "P03, .*NaN or infinite; .*non_finite: zero"),
        (np.ones((12, 15)), {}, "P03, region IFG: every voxel is constant"),
        (b"PK", {}, r"P03\.npz is not a readable \.npz file"),
        (RESPONSES, {"n_folds": 5}, "brain data 'folder': 5 folds of whole groups .* there are 4; allowed for n_folds are 2 … 4"),
        (RESPONSES, {"n_folds": 2}, "3 inner folds of whole groups .* there are 2; allowed for inner_folds are 2 … 2"),
        (RESPONSES, {"vectors": {"GloVe": "short.npz"}}, r"GloVe: short\.npz has 11 rows, and there are 12 stimuli \(folder\)"),
        (RESPONSES, {"vectors": {"GloVe": "brain/own/torn.np"}}, r"torn\.np is not a readable \.npz file"),
        (RESPONSES, {}, None),
    ],
)  # fmt: skip
def test_all_data_of_a_run_are_read_before_any_long_work(tmp_path, monkeypatch, last, values, message):
    """Faults of the last participant are found too."""
    monkeypatch.setenv("BRAINTUNE_DATA", str(tmp_path))
    folder = own_study(tmp_path, P01=-RESPONSES, P02=2 * RESPONSES, P03=RESPONSES)
    if isinstance(last, bytes):
        (folder / "P03.npz").write_bytes(last)
    else:
        np.savez(folder / "P03.npz", IFG=last)
    np.savez(tmp_path / "short.npz", vectors=RESPONSES[:11])
    (folder / "torn.np").write_bytes(b"PK")
    run = Study.make({"brains": ["folder"], "tasks": ["sentiment"], "n_folds": 4, "inner_folds": 3} | values)
    if message is None:
        check(run)
        return
    with pytest.raises(BraintuneError, match=message):
        check(run)


def test_the_check_says_what_is_not_used_of_a_table(tmp_path, monkeypatch):
    monkeypatch.setenv("BRAINTUNE_DATA", str(tmp_path))
    table = own_study(tmp_path, P01=RESPONSES) / "stimuli.csv"
    table.write_text(table.read_text(encoding="utf-8").replace(",passage", ",run"), encoding="utf-8")
    remarks = check(Study.make({"brains": ["folder"], "tasks": ["sentiment"], "n_folds": 4, "inner_folds": 3}))
    assert "folder: unused columns of the table of stimuli: 'run'" in remarks


@pytest.mark.slow
class TestAfterTheTinyChain:
    """The real chain: its folder copied elsewhere, with new dates and without Snakemake's records."""

    @pytest.fixture
    def copied(self, built, tmp_path):
        ignore = shutil.ignore_patterns(".snakemake")
        shutil.copytree(built.run.root, tmp_path / "runs", copy_function=shutil.copyfile, ignore=ignore)
        text = built.profile.read_text(encoding="utf-8").replace(str(built.run.root), str(tmp_path / "runs"))
        (tmp_path / "tiny.yml").write_text(text, encoding="utf-8")
        return tmp_path / "tiny.yml"

    def test_nothing_is_left_to_do_here_or_in_a_copy(self, built, copied, called, capsys):
        for profile in (built.profile, copied):
            run_chain(str(profile), ["--cores", "1"])
            assert called == [] and "nothing to do" in capsys.readouterr().out

    def test_a_stale_page_of_a_stored_model_is_executed_without_tuning_again(self, built, copied):
        study = Study.load(copied)
        job = make_job("tuning", task="wsd", method="fine-tuned", seed=0)
        page = executed_notebook(study, job)
        page.unlink()
        weights = page.with_name("weights.safetensors")
        made = weights.stat().st_mtime_ns
        words = ["run", str(copied), "--cores", "1", "--until", "tuning", "--quiet", "all"]
        done = subprocess.run([sys.executable, "-m", "braintune", *words], capture_output=True, text=True)
        assert done.returncode == 0 and page.is_file(), done.stderr[-2000:]
        assert "tuning · wsd · fine-tuned" in done.stdout and "embeddings ·" not in done.stdout
        assert weights.stat().st_mtime_ns == made
        assert store.checksum(weights) == store.checksum(executed_notebook(built.run, job).with_name(weights.name))
