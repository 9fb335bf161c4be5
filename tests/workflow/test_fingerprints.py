"""What makes a job stale, what does not, and that only the stamps decide it."""

import numpy as np
import pytest

from braintune.core import store
from braintune.core.study import Study
from braintune.core.versions import LIBRARY
from braintune.models import checkpoints
from braintune.workflow import provenance
from braintune.workflow.fingerprints import book_fingerprint, code_files, fingerprints, stale_jobs
from braintune.workflow.jobs import STEPS, all_jobs, artefacts, benchmark_file, executed_notebook, make_job
from made_up import VALUES

#: Step → its job in the made-up run.
LABELS = {
    "tuning": "tuning · sentiment · fine-tuned · seed 0",
    "embeddings": "embeddings · simulated",
    "decoding": "decoding · simulated · S01",
    "encoding": "encoding · simulated",
    "rsa": "rsa · simulated",
    "figures": "figures · run",
    "recorded": "figures · recorded",
    "supplement": "supplement",
}
#: What shows recorded results alone.
SHARED = ("recorded", "supplement")


def changed(before, after):
    """Labels of the jobs of the first run whose fingerprints the second does not have."""
    return [job.label for job in before if before[job] != after.get(job)]


def of_steps(*steps):
    return [LABELS[step] for step in steps]


def edit(monkeypatch, name):
    """Let every file of a name have another checksum."""
    real = store.checksum

    def checksum(path):
        return real(path) + "x" * (path.name == name)

    monkeypatch.setattr(store, "checksum", checksum)
    monkeypatch.setattr(checkpoints, "checksum", checksum)


class TestParameters:
    @pytest.mark.parametrize(
        ("values", "steps"),
        [
            ({"permutations": 7}, ("decoding", "encoding", "rsa", "figures")),
            ({"bootstrap": 7}, ("rsa", "figures")),
            ({"margin": 0.02}, ("rsa", "figures")),
            ({"pooling": "cls"}, ("embeddings", "decoding", "encoding", "rsa", "figures")),
            ({"controls": []}, ("embeddings", "decoding", "encoding", "rsa", "figures")),
            ({"simulation_seed": 1}, ("embeddings", "decoding", "encoding", "rsa", "figures")),
            ({"batch_size": 8}, tuple(step for step in LABELS if step not in SHARED)),
            ({"profile": "other", "runs": "elsewhere"}, ()),
        ],
        ids=str,
    )
    def test_a_fingerprint_moves_with_what_its_step_and_those_before_it_read(self, values, steps):
        before, after = (fingerprints(Study.make(VALUES | more)) for more in ({}, values))
        assert changed(before, after) == of_steps(*steps)

    def test_what_joins_a_run_leaves_the_others_alone(self):
        small = VALUES | {"simulated_participants": 2}
        before = fingerprints(Study.make(small))
        with_task = fingerprints(Study.make(small | {"tasks": ["sentiment", "wsd"]}))
        assert [job.step for job in before if before[job] == with_task[job] and not job.is_shared] == ["tuning"]
        fewer = fingerprints(Study.make(small | {"participants": ["S01"]}))
        assert changed(fewer, before) == of_steps("encoding", "rsa", "figures")

    def test_jobs_follow_the_grid(self):
        steps = [job.step for job in all_jobs(Study.make({"seeds": [0, 1], "tasks": ["ner", "wsd"]}))]
        assert [steps.count(step) for step in STEPS] == [8, 1, 5, 1, 1, 2, 1]


class TestCode:
    @pytest.mark.parametrize(
        ("file", "steps"),
        [
            ("heads.py", tuple(step for step in LABELS if step not in SHARED)),
            ("embeddings.ipynb", ("embeddings", "decoding", "encoding", "rsa", "figures")),
            ("decoding.py", ("decoding", "encoding", "figures", *SHARED)),
            ("rsa.ipynb", ("rsa", "figures")),
            ("statistics.py", ("figures", *SHARED)),
            ("claims.py", ("figures", *SHARED)),
            ("claims.yml", ("figures", *SHARED)),
            ("checks.yml", ("figures", *SHARED)),
            ("prose.yml", ("figures", *SHARED)),
            ("quotes.py", ("figures", *SHARED)),
            ("figures.py", ("figures", *SHARED)),
            ("score_figures.py", ("figures", "recorded")),
            ("simulated.py", ("embeddings", "decoding", "encoding", "rsa", "figures")),
            ("pereira.py", ()),
            ("alice.py", SHARED),  # it names the participants of recorded results
            ("verify.py", ()),
            ("run.py", ()),
        ],
    )
    def test_an_edited_file_makes_stale_what_its_code_computes(self, monkeypatch, file, steps):
        study = Study.make(VALUES)
        before = fingerprints(study)
        edit(monkeypatch, file)
        assert changed(before, fingerprints(study)) == of_steps(*steps)

    def test_an_edited_page_makes_the_book_stale_and_no_job(self, monkeypatch):
        study = Study.make(VALUES)
        before, book = fingerprints(study), book_fingerprint(study)
        edit(monkeypatch, "extend.md")
        assert fingerprints(study) == before and book_fingerprint(study) != book

    def test_a_reader_is_part_of_the_jobs_of_its_brain(self, tmp_path, monkeypatch):
        monkeypatch.setenv("BRAINTUNE_DATA", str(tmp_path))
        own = tmp_path / "brain" / "own"
        own.mkdir(parents=True)
        (own / "stimuli.csv").write_text("sentence\nOne.\nTwo.\nThree.\n", encoding="utf-8")
        np.savez(own / "P01.npz", IFG=np.eye(3))
        study = Study.make(VALUES | {"brains": ["simulated", "folder"], "nuisance": []})
        before = fingerprints(study)
        edit(monkeypatch, "folder.py")
        stale = ["embeddings · folder", "decoding · folder · P01", "encoding · folder", "rsa · folder", "figures · run"]
        assert changed(before, fingerprints(study)) == stale
        monkeypatch.undo()
        monkeypatch.setenv("BRAINTUNE_DATA", str(tmp_path))
        np.savez(own / "P01.npz", IFG=2 * np.eye(3))
        assert changed(before, fingerprints(study)) == stale  # so are its data

    def test_each_reader_enters_with_what_it_imports(self):
        without, with_pereira = (code_files("decoding", (brain,)) for brain in ("simulated", "pereira2018"))
        assert {"pereira.py", "matlab.py"} <= {path.name for path in with_pereira - without}

    @pytest.mark.parametrize("step", STEPS)
    def test_what_only_draws_belongs_to_the_figures_and_how_a_run_is_executed_to_none(self, step):
        files = {p.relative_to(LIBRARY).as_posix() for p in code_files(step, ("simulated",)) if LIBRARY in p.parents}
        drawing = {f"results/{name}.py" for name in ("figures", "prose", "quotes")}
        assert drawing <= files if step in ("figures", "supplement") else not drawing & files
        assert not files & {f"workflow/{name}.py" for name in ("execute", "chain", "verify", "cli", "cluster")}
        assert "core/study.py" in files


class TestStale:
    def stale(self, study):
        return [job.label for job in stale_jobs(study, fingerprints(study))]

    def test_a_copied_and_a_moved_folder_have_nothing_stale(self, study, tmp_path):
        assert self.stale(study) == []
        assert book_fingerprint(study) == store.read_json(study.folder / "provenance.json")["book"]
        study.root.rename(tmp_path / "moved")
        moved = Study.make(study.model_dump() | {"runs": str(tmp_path / "moved")})
        assert self.stale(moved) == []

    def test_a_copied_profile_with_other_decoding_has_no_stale_tuning_job(self, study):
        copied = Study.make(study.model_dump() | {"profile": "copied", "layer": 2, "n_folds": 2})
        assert self.stale(copied) == of_steps(
            "embeddings", "decoding", "encoding", "rsa", "figures"
        )  # it has none of them yet
        in_place = Study.make(study.model_dump() | {"layer": 2, "n_folds": 2})
        assert self.stale(in_place) == of_steps("decoding", "encoding", "rsa", "figures")

    @pytest.mark.parametrize("step", STEPS)
    def test_a_job_without_its_page_or_one_of_its_files_is_stale(self, study, step):
        job = next(job for job in all_jobs(study) if job.step == step)
        for path in (executed_notebook(study, job), artefacts(study, job)[-1]):
            kept = path.with_name("kept")
            path.rename(kept)
            assert self.stale(study) == [job.label]
            kept.rename(path)
        assert self.stale(study) == []

    def test_costs_are_those_recorded_and_the_memory_what_snakemake_measured(self, study):
        file = benchmark_file(study, make_job("rsa", brain="simulated"))
        file.write_text("s\th:m:s\tmax_rss\n2.0\t0:00:02\t750.5\n", encoding="utf-8")
        costs = provenance.job_costs(study).set_index("step")
        assert list(costs.index) == [step for step in STEPS if step != "supplement"] and (costs["seconds"] == 1.5).all()
        assert costs["memory_mb"].dropna().to_dict() == {"rsa": 750.5}
