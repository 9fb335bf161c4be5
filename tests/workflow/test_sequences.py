"""Tasks learned one after another in a run: its jobs, what makes them stale, and the command of one sequence."""

import re

import pytest

from braintune.core import store
from braintune.core.base import BraintuneError
from braintune.core.study import Study
from braintune.models import checkpoints, continual, sequences
from braintune.workflow import execute, learn
from braintune.workflow.book import build
from braintune.workflow.fingerprints import fingerprints
from braintune.workflow.jobs import all_jobs, artefacts, make_job, parse_job
from chain import run_chain
from made_up import VALUES, write_profile

TWO = VALUES | {"tasks": ["sentiment", "wsd"], "orders": 2}
JOB = make_job("continual")


def test_only_a_run_with_orders_has_the_job():
    study = Study.make(TWO)
    assert JOB == parse_job("continual", {}) == all_jobs(study)[-1]
    assert JOB not in all_jobs(Study.make(TWO | {"orders": 0}))
    assert artefacts(study, JOB) == [study.folder / "continual" / "tables"]


@pytest.mark.parametrize(
    ("values", "stale"),
    [
        ({"orders": 1}, True),
        ({"n_alphas": 3}, True),
        ({"batch_size": 4}, True),
        ({"tasks": ["wsd", "sentiment"]}, True),
        ({"bootstrap": 5}, False),
        ({"margin": 0.3}, False),
    ],
    ids=str,
)
def test_its_fingerprint_moves_with_what_it_reads(values, stale):
    before, after = (fingerprints(Study.make(TWO | more)) for more in ({}, values))
    assert (before[JOB] != after[JOB]) is stale
    kept = [job for job in before if job.step != "continual" and before[job] == after.get(job)]
    assert "orders" not in values or len(kept) == len(before) - 1, "orders change no other job"


@pytest.mark.parametrize(
    ("file", "steps"),
    [
        ("stages.py", {"continual", "figures", "supplement"}),
        ("continual.py", {"continual"}),
        ("prose.py", {"figures", "supplement"}),
    ],
)
def test_an_edited_file_makes_the_job_stale_if_it_computes_there(monkeypatch, file, steps):
    before, real = fingerprints(Study.make(TWO)), store.checksum
    for module in (store, checkpoints, sequences):
        monkeypatch.setattr(module, "checksum", lambda path: real(path) + "x" * (path.name == file))
    after = fingerprints(Study.make(TWO))
    assert {job.step for job in before if before[job] != after[job]} == steps


def test_a_run_that_cannot_have_sequences_does_not_start():
    with pytest.raises(BraintuneError, match="orders: 3 must be between 1 and 2"):
        execute.check(Study.make(TWO | {"orders": 3}))


def test_the_page_is_below_the_open_questions():
    contents = {"parts": [{"chapters": [{"file": "book/questions"}, {"file": "book/rsa"}]}]}
    found = build._with_generated(contents, [JOB], ())["parts"][0]["chapters"]
    assert found == [{"file": "book/questions", "sections": [{"file": "book/results/continual"}]}, {"file": "book/rsa"}]


def test_the_command_learns_one_sequence(tmp_path, monkeypatch, capsys):
    profile, learned = write_profile(tmp_path, tasks=["sentiment", "wsd"], orders=2), []
    monkeypatch.setattr(continual, "learn", lambda study, sequence: learned.append(sequence))
    monkeypatch.setattr(learn, "end_with_parent", lambda: None)
    learn.main([str(profile), "2", "fine-tuned", "0"])
    assert learned == [sequences.sequence_of(Study.load(profile), 2, "fine-tuned", 0)]
    assert "order-2_fine-tuned_seed-0: all 2 stages are stored" in capsys.readouterr().out
    for words in ([], [str(profile), "one", "fine-tuned", "0"]):
        with pytest.raises(
            BraintuneError, match=r"which sequence. python -m braintune learn PROFILE ORDER METHOD SEED"
        ):
            learn.main(words)


@pytest.mark.slow
def test_snakemake_trains_each_sequence_as_a_job(tmp_path):
    profile = write_profile(tmp_path, tasks=["sentiment", "wsd"], orders=2, seeds=[0, 1], passages=12, n_folds=3)
    done = run_chain(profile, "--dry-run", "--forceall")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    counts = dict(re.findall(r"^(\w+) +(\d+)$", done.stdout, flags=re.MULTILINE))
    assert {rule: int(counts[rule]) for rule in ("tuning", "sequence", "continual", "figures", "book")} == {
        "tuning": 4, "sequence": 4, "continual": 1, "figures": 1, "book": 1,
    }  # fmt: skip
