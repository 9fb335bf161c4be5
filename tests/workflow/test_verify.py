"""A small made-up run, as its jobs would have left it, and what is said of it after each kind of damage."""

import json
import shutil

import pytest
import yaml

from braintune.core import store
from braintune.core.base import BraintuneError
from braintune.core.study import Study
from braintune.workflow import verify
from braintune.workflow.execute import keep
from braintune.workflow.fingerprints import fingerprints, notebook_files
from braintune.workflow.jobs import STEPS, all_jobs, artefacts, executed_notebook, make_job, stamp_of

VALUES = {
    "profile": "made-up",
    "tasks": ["sentiment"],
    "methods": ["fine-tuned"],
    "scored_only": [],
    "controls": ["length"],
    "topics": 4,
    "passages": 4,
    "sentences_per_passage": 2,
    "simulated_participants": 1,
    "voxels_per_region": 8,
}
TUNING = "tuning · sentiment · fine-tuned · seed 0"
DECODING = "decoding · simulated · S01"
TABLE = "decoding/simulated/S01.parquet"
PAGE = "notebooks/rsa/simulated.ipynb"
FILES = {
    "embeddings": ["untuned.safetensors", "length.safetensors"],
    "rsa": ["untuned.parquet", "brain.parquet"],
    "figures": ["layers.svg", "layers.png", "layers.json"],
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Every file of a run, each job's notebook kept as `execute` keeps it."""
    run = Study.make(VALUES | {"runs": str(tmp_path_factory.mktemp("runs"))})
    stamps = fingerprints(run)
    for job, stamp in stamps.items():
        for place in artefacts(run, job):
            files = [place] if place.suffix else [place / name for name in FILES[job.step]]
            for file in files:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(f"{job.label}: {file.name}", encoding="utf-8")
        cells = [{"cell_type": "markdown", "metadata": {}, "source": f"# {job.label}"}]
        keep(run, job, {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, stamp, 1.5)
    page = run.book_page
    page.parent.mkdir(parents=True)
    page.write_text("<h1>The book</h1>", encoding="utf-8")
    store.write_json(
        run.folder / "provenance.json", {"fingerprints": {job.label: stamp for job, stamp in stamps.items()}}
    )
    return run


@pytest.fixture
def run(whole, tmp_path):
    """A copy of it to damage."""
    copy = Study.make(VALUES | {"runs": str(tmp_path)})
    shutil.copytree(whole.folder, copy.folder)
    return copy


def faults(run):
    return [str(finding) for finding in verify.verify(run) if finding.state != "as made"]


def change(path, edit):
    content = json.loads(path.read_text(encoding="utf-8"))
    edit(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def test_what_was_left_alone_is_as_made(run):
    found = verify.verify(run)
    # 5 pages and the book; 3 + 2 + 2 + 2 + 3 files, the claims and what the pages quote
    assert [finding.state for finding in found] == ["as made"] * (6 + 14)
    assert {finding.label for finding in found} == {*(job.label for job in all_jobs(run)), "book"}
    assert verify.told(run, found) == "20 as made"


@pytest.mark.parametrize(
    "file",
    [
        "tuning/sentiment/fine-tuned/seed-0/weights.safetensors",
        "tuning/sentiment/fine-tuned/seed-0/metrics.json",
        "tuning/sentiment/fine-tuned/seed-0/history.parquet",
        "embeddings/simulated/untuned.safetensors",
        TABLE,
        "decoding/simulated/S01.null.parquet",
        "rsa/simulated/brain.parquet",
        "figures/layers.svg",
        "claims.json",
        "results.json",
    ],
)
def test_one_changed_byte_and_one_lost_file_are_seen_everywhere(run, file):
    path = run.folder / file
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)
    (altered,) = faults(run)
    assert altered.startswith("altered ") and altered.endswith(f": {file}")
    path.unlink()
    (missing,) = faults(run)
    assert missing.startswith("missing ") and missing.endswith(f": {file}")


def test_a_page_of_another_state_is_stale(run):
    change(run.folder / PAGE, lambda page: page["metadata"]["braintune"].update(fingerprint="0" * 16))
    expected = dict(zip(map(str, STEPS), fingerprints(run).values(), strict=True))["rsa"]
    assert faults(run) == [
        f"stale         rsa · simulated: {PAGE} (fingerprint {'0' * 16}; profile, data and code now give {expected})"
    ]


def test_a_changed_parameter_makes_stale_what_depends_on_it(run):
    other = Study.make(run.model_dump() | {"permutations": 7})
    stale = [finding for finding in verify.verify(other) if finding.state == "stale"]
    labels = [finding.label for finding in stale]
    assert labels == [DECODING, "rsa · simulated", "figures", "book"]
    assert stale[-1].why == f"built from another state of {DECODING}, 3 in all"


def test_an_edited_page_is_altered(run):
    change(run.folder / PAGE, lambda page: page["cells"][0].update(source="# A better result"))
    assert faults(run) == [f"altered       rsa · simulated: {PAGE} (its cells are not those that were executed)"]


def test_a_page_cut_short_is_altered_and_its_files_have_no_record(run):
    path = run.folder / PAGE
    path.write_bytes(path.read_bytes()[:100])
    assert faults(run) == [
        f"altered       rsa · simulated: {PAGE} (it is not a whole notebook)",
        "not recorded  rsa · simulated: rsa/simulated/brain.parquet",
        "not recorded  rsa · simulated: rsa/simulated/untuned.parquet",
    ]
    with pytest.raises(BraintuneError, match=r"simulated\.ipynb is not a whole notebook .*; delete it and run"):
        stamp_of(path)


def test_a_missing_page(run):
    (run.folder / PAGE).unlink()
    assert faults(run)[0] == f"missing       rsa · simulated: {PAGE}"


def test_an_old_notebook_has_no_record_and_that_is_no_fault(run, capsys):
    def forget(page):
        note = page["metadata"]["braintune"]
        del note["outputs"], note["page"]

    path = executed_notebook(run, make_job("decoding", brain="simulated", participant="S01"))
    change(path, forget)
    assert faults(run) == [
        f"not recorded  {DECODING}: notebooks/decoding/simulated_S01.ipynb",
        f"not recorded  {DECODING}: decoding/simulated/S01.null.parquet",
        f"not recorded  {DECODING}: {TABLE}",
    ]
    (run.folder / TABLE).unlink()
    assert f"missing       {DECODING}: {TABLE}" in faults(run)  # the job makes it in any case


def test_a_file_that_someone_put_there_is_told(run):
    (run.folder / "rsa" / "simulated" / "mine.parquet").write_text("mine")
    (run.folder / "rsa" / "simulated" / ".mine.parquet.4711").write_text("half")  # left by a killed process
    assert faults(run) == ["not recorded  rsa · simulated: rsa/simulated/mine.parquet"]


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("provenance.json", None, "missing       book: provenance.json"),
        ("provenance.json", '{"fingerp', "altered       book: provenance.json (it is not whole)"),
        ("book/html/index.html", None, "missing       book: book/html/index.html"),
    ],
)
def test_the_book(run, file, content, message):
    path = run.folder / file
    path.unlink() if content is None else path.write_text(content)
    assert faults(run) == [message]


class TestCommand:
    @pytest.fixture
    def profile(self, run, tmp_path):
        path = tmp_path / "made-up.yml"
        path.write_text(yaml.safe_dump(VALUES | {"runs": str(tmp_path)}), encoding="utf-8")
        return str(path)

    def test_it_ends_well_or_with_an_error_and_a_remedy(self, run, profile, capsys):
        assert verify.main([profile]) == 0
        (run.folder / TABLE).unlink()
        assert verify.main([profile]) == 1
        told = capsys.readouterr().out.splitlines()
        assert told == [
            "20 as made",
            f"missing       {DECODING}: {TABLE}",
            "19 as made, 1 missing",
            f"to mend it: delete the executed notebook of each job that is named, in {run.folder / 'notebooks'}, and run "
            "`make book PROFILE=made-up`, which computes those jobs again",
        ]

    def test_nothing_is_changed(self, run, profile):
        before = {p: p.stat().st_mtime_ns for p in run.folder.rglob("*")}
        verify.main([profile])
        assert {p: p.stat().st_mtime_ns for p in run.folder.rglob("*")} == before

    def test_no_run_and_no_profile(self, run, profile):
        shutil.rmtree(run.folder)
        with pytest.raises(BraintuneError, match=r"no run in .*made-up; `make book PROFILE=made-up` makes it"):
            verify.main([profile])
        with pytest.raises(BraintuneError, match="which run"):
            verify.main([])


def test_the_record_itself_makes_no_result_stale():
    """How a run is executed and verified is nothing that its results depend on."""
    for step in ("tuning", "embeddings", "decoding", "rsa"):
        reached = {file.stem for file in notebook_files(step)}
        assert not reached & {"workflow", "verify", "book"}, step
