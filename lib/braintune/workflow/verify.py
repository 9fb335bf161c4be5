"""Is a run still what was computed? Every job's fingerprint and every file's checksum, compared with what was recorded.

A job stamps its fingerprint, the SHA-256 of what it made and that of its page into its executed notebook (see
:mod:`braintune.workflow.jobs`). ``python -m braintune verify PROFILE`` (``make verify PROFILE=…``) computes both
again, and changes nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from braintune.core import store
from braintune.core.base import BraintuneError
from braintune.core.study import Study
from braintune.workflow.fingerprints import fingerprints
from braintune.workflow.jobs import (
    Job,
    all_jobs,
    artefacts,
    executed_notebook,
    outputs,
    page_checksum,
    read_notebook,
)

#: What a file may be, the good first; the last three make a run unfit to be trusted.
STATES = ("as made", "not recorded", "stale", "altered", "missing")
FAULTS = STATES[2:]


@dataclass(frozen=True)
class Finding:
    """What was found of one file.

    Attributes
    ----------
    state : str
        One of :data:`STATES`.
    label : str
        The job that makes the file.
    file : str
        Relative to the folder of all runs.
    why : str
        What differs; empty where nothing does.
    """

    state: str
    label: str
    file: str
    why: str = ""

    def __str__(self) -> str:
        return f"{self.state:<12}  {self.label}: {self.file}" + (f" ({self.why})" if self.why else "")


def verify(study: Study) -> list[Finding]:
    """Compare every executed notebook, table, array and figure of a run with what was recorded of it.

    Parameters
    ----------
    study : Study

    Returns
    -------
    list of Finding
        One for each file, in the order of the chain; at the end one for the built book.

    Raises
    ------
    BraintuneError
        If the data are not there that the fingerprints are made of.
    """
    stamps = fingerprints(study)
    found = [finding for job, stamp in stamps.items() for finding in _job(study, job, stamp)]
    return [*found, _book(study, stamps)]


def _job(study: Study, job: Job, stamp: str) -> Iterator[Finding]:
    """Yield what is found of one job: its page first, then its files."""
    path = executed_notebook(study, job)
    page = path.relative_to(study.root).as_posix()
    note = {}
    if not path.is_file():
        yield Finding("missing", job.label, page)
    else:
        try:
            notebook = read_notebook(path)
        except BraintuneError:
            yield Finding("altered", job.label, page, "it is not a whole notebook")
        else:
            note = notebook["metadata"].get("braintune", {})
            yield _page(job, page, note, stamp, page_checksum(notebook))
    yield from _files(study, job, note.get("outputs"))


def _page(job: Job, page: str, note: dict, stamp: str, checksum: str) -> Finding:
    """Return what is found of an executed notebook; one that is altered and stale is called altered."""
    if note.get("page", checksum) != checksum:
        return Finding("altered", job.label, page, "its cells are not those that were executed")
    if note.get("fingerprint") != stamp:
        had = note.get("fingerprint") or "none"
        return Finding("stale", job.label, page, f"fingerprint {had}; profile, data and code now give {stamp}")
    return Finding("as made" if "page" in note else "not recorded", job.label, page)


def _files(study: Study, job: Job, recorded: dict[str, str] | None) -> Iterator[Finding]:
    """Yield what is found of the files of one job; `recorded` is path → SHA-256, None where there is no record."""
    there = outputs(study, job)
    for file in sorted(there.keys() | (recorded or {}).keys()):
        wanted = (recorded or {}).get(file)
        state = "missing" if file not in there else "as made" if there[file] == wanted else "altered"
        yield Finding(state if wanted else "not recorded", job.label, file)
    if recorded is None:  # what the job makes in any case
        for place in artefacts(study, job):
            if not place.exists():
                yield Finding("missing", job.label, place.relative_to(study.root).as_posix())


def _book(study: Study, stamps: dict[Job, str]) -> Finding:
    """Return whether the built book is there and was built from notebooks of the present state."""
    page = study.book_page
    name = page.relative_to(study.root).as_posix()
    facts = study.folder / "provenance.json"
    if not page.is_file() or not facts.is_file():
        gone = name if not page.is_file() else facts.name
        return Finding("missing", "book", gone)
    try:
        built = store.read_json(facts)["fingerprints"]
    except (ValueError, KeyError, TypeError, BraintuneError):
        return Finding("altered", "book", facts.name, "it is not whole")
    if differing := [job.label for job, stamp in stamps.items() if built.get(job.label) != stamp]:
        return Finding("stale", "book", name, f"built from another state of {differing[0]}, {len(differing)} in all")
    return Finding("as made", "book", name)


def report(study: Study, found: list[Finding]) -> str:
    """Return a line for each file that is not as it was made, and the count; the remedy where one is needed."""
    lines = [str(finding) for finding in found if finding.state != STATES[0]]
    counts = {state: sum(finding.state == state for finding in found) for state in STATES}
    lines.append(", ".join(f"{count} {state}" for state, count in counts.items() if count or state == STATES[0]))
    if any(counts[state] for state in FAULTS):
        damaged = {finding.label for finding in found if finding.state in ("altered", "missing")}
        pages = [executed_notebook(study, job) for job in all_jobs(study) if job.label in damaged]
        # A stored model is not tuned again, so its folder has to go with the page.
        lines += [f"delete {page.parent if page.name == 'tuning.ipynb' else page}" for page in pages]
        lines.append(f"run `make book PROFILE={study.profile}`, which computes again what is stale or deleted")
    return "\n".join(lines)


def main(words: list[str]) -> int:
    """Verify one profile's run and print what was found; return 1 where anything is stale, altered or missing."""
    if len(words) != 1:
        raise BraintuneError("which run? give one profile: make verify PROFILE=quick")
    study = Study.load(words[0])
    if not study.folder.is_dir():
        raise BraintuneError(f"no run in {study.folder}; `make book PROFILE={study.profile}` makes it")
    found = verify(study)
    print(report(study, found))
    return int(any(finding.state in FAULTS for finding in found))
