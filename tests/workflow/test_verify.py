"""What `make verify` says of a small made-up run after each kind of damage."""

import json
import shutil

import pytest

from braintune.core.base import BraintuneError
from braintune.core.study import Study
from braintune.workflow import verify
from braintune.workflow.fingerprints import fingerprints
from braintune.workflow.jobs import all_jobs, executed_notebook, make_job, stamp_of
from made_up import VALUES, make_run, write_profile

DECODING = "decoding · simulated · S01"
TABLE = "made-up/decoding/simulated/S01.parquet"
PAGE = "made-up/notebooks/rsa/simulated.ipynb"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def run(whole, tmp_path):
    """A copy of it to damage."""
    copy = Study.make(VALUES | {"runs": str(tmp_path)})
    shutil.copytree(whole.root, copy.root, dirs_exist_ok=True)
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
    assert verify.report(run, found) == "20 as made"


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
    ],
)
def test_one_changed_byte_and_one_lost_file_are_seen_everywhere(run, file):
    (path,) = run.root.glob(file)
    file = path.relative_to(run.root).as_posix()
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)
    (altered,) = faults(run)
    assert altered.startswith("altered ") and altered.endswith(f": {file}")
    path.unlink()
    (missing,) = faults(run)
    assert missing.startswith("missing ") and missing.endswith(f": {file}")


def test_a_page_of_another_state_is_stale(run):
    change(run.root / PAGE, lambda page: page["metadata"]["braintune"].update(fingerprint="0" * 16))
    expected = fingerprints(run)[make_job("rsa", brain="simulated")]
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
    change(run.root / PAGE, lambda page: page["cells"][0].update(source="# A better result"))
    assert faults(run) == [f"altered       rsa · simulated: {PAGE} (its cells are not those that were executed)"]


def test_a_page_cut_short_is_altered_and_its_files_have_no_record(run):
    path = run.root / PAGE
    path.write_bytes(path.read_bytes()[:100])
    assert faults(run) == [
        f"altered       rsa · simulated: {PAGE} (it is not a whole notebook)",
        "not recorded  rsa · simulated: made-up/rsa/simulated/brain.parquet",
        "not recorded  rsa · simulated: made-up/rsa/simulated/untuned.parquet",
    ]
    with pytest.raises(BraintuneError, match=r"simulated\.ipynb is not a whole notebook .*; delete it and run"):
        stamp_of(path)


def test_a_missing_page(run):
    (run.root / PAGE).unlink()
    assert faults(run)[0] == f"missing       rsa · simulated: {PAGE}"


def test_an_old_notebook_has_no_record_and_that_is_no_fault(run, capsys):
    def forget(page):
        note = page["metadata"]["braintune"]
        del note["outputs"], note["page"]

    path = executed_notebook(run, make_job("decoding", brain="simulated", participant="S01"))
    change(path, forget)
    assert faults(run) == [
        f"not recorded  {DECODING}: made-up/notebooks/decoding/simulated_S01.ipynb",
        f"not recorded  {DECODING}: made-up/decoding/simulated/S01.null.parquet",
        f"not recorded  {DECODING}: {TABLE}",
    ]
    (run.root / TABLE).unlink()
    assert f"missing       {DECODING}: {TABLE}" in faults(run)  # the job makes it in any case


def test_a_file_that_someone_put_there_is_listed(run):
    (run.folder / "rsa" / "simulated" / "mine.parquet").write_text("mine")
    (run.folder / "rsa" / "simulated" / ".mine.parquet.4711").write_text("half")  # left by a killed process
    assert faults(run) == ["not recorded  rsa · simulated: made-up/rsa/simulated/mine.parquet"]


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("provenance.json", None, "missing       book: provenance.json"),
        ("provenance.json", '{"fingerp', "altered       book: provenance.json (it is not whole)"),
        ("book/html/index.html", None, "missing       book: made-up/book/html/index.html"),
    ],
)
def test_the_book(run, file, content, message):
    path = run.folder / file
    path.unlink() if content is None else path.write_text(content)
    assert faults(run) == [message]


class TestCommand:
    @pytest.fixture
    def profile(self, run):
        return str(write_profile(run.root))

    def test_it_ends_well_or_with_an_error_and_a_remedy(self, run, profile, capsys):
        assert verify.main([profile]) == 0
        assert capsys.readouterr().out == "20 as made\n"
        (weights,) = run.root.glob("models/*/*/*/*/weights.safetensors")
        weights.write_text("other")
        (run.root / TABLE).unlink()
        assert verify.main([profile]) == 1
        page = executed_notebook(run, make_job("decoding", brain="simulated", participant="S01"))
        assert capsys.readouterr().out.splitlines()[2:] == [
            "18 as made, 1 altered, 1 missing",
            f"delete {weights.parent}",
            f"delete {page}",
            "run `make book PROFILE=made-up`, which computes again what is stale or deleted",
        ]

    def test_nothing_is_changed(self, run, profile):
        before = {p: p.stat().st_mtime_ns for p in run.root.rglob("*")}
        verify.main([profile])
        assert {p: p.stat().st_mtime_ns for p in run.root.rglob("*")} == before

    def test_no_run_and_no_profile(self, run, profile):
        shutil.rmtree(run.folder)
        with pytest.raises(BraintuneError, match=r"no run in .*made-up; `make book PROFILE=made-up` makes it"):
            verify.main([profile])
        with pytest.raises(BraintuneError, match="which run"):
            verify.main([])
