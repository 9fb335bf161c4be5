"""What `make verify` says of a small made-up run after each kind of damage."""

import json
import shutil

import pytest

from braintune.core.base import BraintuneError
from braintune.core.study import Study
from braintune.workflow import verify
from braintune.workflow.fingerprints import fingerprints
from braintune.workflow.jobs import all_jobs, executed_notebook, make_job, stamp_of

DECODING = "decoding · simulated · S01"
TABLE = "made-up/decoding/simulated/S01.parquet"
PAGE = "made-up/notebooks/rsa/simulated.ipynb"


def faults(study):
    return [str(finding) for finding in verify.verify(study) if finding.state != "as made"]


def change(path, edit):
    content = json.loads(path.read_text(encoding="utf-8"))
    edit(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def test_what_was_left_alone_is_as_made(study):
    found = verify.verify(study)
    # 8 pages and the book; 3 + 2 + 3 + 3 + 2 files; 2 · (3 + 2) of the figures, with the claims and what the pages
    # quote, and 2 of the supplement
    assert [finding.state for finding in found] == ["as made"] * (9 + 13 + 12)
    assert {finding.label for finding in found} == {*(job.label for job in all_jobs(study)), "book"}
    assert verify.report(study, found) == "34 as made"


@pytest.mark.parametrize(
    "file",
    [
        "models/sentiment/fine-tuned/*/seed-0/weights.safetensors",
        "models/sentiment/fine-tuned/*/seed-0/metrics.json",
        "models/sentiment/fine-tuned/*/seed-0/history.parquet",
        "made-up/embeddings/simulated/untuned.safetensors",
        TABLE,
        "made-up/decoding/simulated/S01.null.parquet",
        "made-up/rsa/simulated/brain.parquet",
        "made-up/figures/layers.svg",
        "made-up/claims.json",
        "shared/recorded/figures/layers.svg",
        "shared/supplement/results.json",
    ],
)
def test_one_changed_byte_and_one_lost_file_are_seen_everywhere(study, file):
    (path,) = study.root.glob(file)
    file = path.relative_to(study.root).as_posix()
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)
    (altered,) = faults(study)
    assert altered.startswith("altered ") and altered.endswith(f": {file}")
    path.unlink()
    (missing,) = faults(study)
    assert missing.startswith("missing ") and missing.endswith(f": {file}")


def test_a_page_of_another_state_is_stale(study):
    change(study.root / PAGE, lambda page: page["metadata"]["braintune"].update(fingerprint="0" * 16))
    expected = fingerprints(study)[make_job("rsa", brain="simulated")]
    assert faults(study) == [
        f"stale         rsa · simulated: {PAGE} (fingerprint {'0' * 16}; profile, data and code now give {expected})"
    ]


def test_a_changed_parameter_makes_stale_what_depends_on_it(study):
    other = Study.make(study.model_dump() | {"permutations": 7})
    stale = [finding for finding in verify.verify(other) if finding.state == "stale"]
    labels = [finding.label for finding in stale]
    assert labels == [DECODING, "encoding · simulated", "rsa · simulated", "figures · run", "book"]
    assert stale[-1].why == f"built from another state of {DECODING}, 4 in all"


def test_an_edited_page_is_altered(study):
    change(study.root / PAGE, lambda page: page["cells"][0].update(source="# A better result"))
    assert faults(study) == [f"altered       rsa · simulated: {PAGE} (its cells are not those that were executed)"]


def test_a_page_cut_short_is_altered_and_its_files_have_no_record(study):
    path = study.root / PAGE
    path.write_bytes(path.read_bytes()[:100])
    assert faults(study) == [
        f"altered       rsa · simulated: {PAGE} (it is not a complete notebook)",
        "not recorded  rsa · simulated: made-up/rsa/simulated/brain.parquet",
        "not recorded  rsa · simulated: made-up/rsa/simulated/untuned.parquet",
    ]
    with pytest.raises(BraintuneError, match=r"simulated\.ipynb is not a complete notebook .*; delete it and run"):
        stamp_of(path)


def test_a_missing_page(study):
    (study.root / PAGE).unlink()
    assert faults(study)[0] == f"missing       rsa · simulated: {PAGE}"


def test_a_file_that_someone_put_there_is_listed(study):
    (study.folder / "rsa" / "simulated" / "mine.parquet").write_text("mine")
    (study.folder / "rsa" / "simulated" / ".mine.parquet.4711").write_text("half")  # left by a killed process
    assert faults(study) == ["not recorded  rsa · simulated: made-up/rsa/simulated/mine.parquet"]


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("provenance.json", None, "missing       book: provenance.json"),
        ("provenance.json", '{"fingerp', "altered       book: provenance.json (it is not complete)"),
        ("book/html/index.html", None, "missing       book: made-up/book/html/index.html"),
    ],
)
def test_the_book(study, file, content, message):
    path = study.folder / file
    path.unlink() if content is None else path.write_text(content)
    assert faults(study) == [message]


class TestCommand:
    @pytest.fixture
    def profile(self, study):
        return str(study.root / "made-up.yml")

    def test_it_ends_well_or_with_an_error_and_a_remedy(self, study, profile, capsys):
        assert verify.main([profile]) == 0
        assert capsys.readouterr().out == "34 as made\n"
        (weights,) = study.root.glob("models/*/*/*/*/weights.safetensors")
        weights.write_text("other")
        (study.root / TABLE).unlink()
        assert verify.main([profile]) == 1
        page = executed_notebook(study, make_job("decoding", brain="simulated", participant="S01"))
        assert capsys.readouterr().out.splitlines()[2:] == [
            "32 as made, 1 altered, 1 missing",
            f"delete {weights.parent}",
            f"delete {page}",
            "run `make book PROFILE=made-up`, which recomputes what is stale or deleted",
        ]

    def test_nothing_is_changed(self, study, profile):
        before = {p: p.stat().st_mtime_ns for p in study.root.rglob("*")}
        verify.main([profile])
        assert {p: p.stat().st_mtime_ns for p in study.root.rglob("*")} == before

    def test_no_run_and_no_profile(self, study, profile):
        shutil.rmtree(study.folder)
        with pytest.raises(BraintuneError, match=r"no run in .*made-up; `make book PROFILE=made-up` makes it"):
            verify.main([profile])
        with pytest.raises(BraintuneError, match="which run"):
            verify.main([])


def test_a_run_without_a_book_is_no_fault_as_the_runs_of_a_sweep_have_none(tmp_path):
    study = Study.make({"runs": str(tmp_path)})
    found = verify._book(study, {})
    assert found.state == "not built" and found.state not in verify.FAULTS
    assert found.why == f"`make book PROFILE={study.profile}` builds it"
    study.book_page.parent.mkdir(parents=True)
    study.book_page.write_text("half")
    assert verify._book(study, {}).state == "missing"
