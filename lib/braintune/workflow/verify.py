"""Is a run still what was computed? Every job's fingerprint and every file's checksum, compared with what was recorded.

A job stamps its fingerprint, the SHA-256 of what it made and that of its page into its executed notebook.
``make verify PROFILE=…`` computes both again, and changes nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from braintune.core import store
from braintune.core.base import BraintuneError
from braintune.core.study import Study
from braintune.workflow.fingerprints import fingerprints
from braintune.workflow.jobs import Job, all_jobs, executed_notebook, outputs, page_checksum, read_notebook

#: States of a file; with any of the last three a run cannot be trusted. A sweep builds no book of its runs.
STATES = ("as made", "not recorded", "not built", "stale", "altered", "missing")
FAULTS = STATES[3:]


@dataclass(frozen=True)
class Finding:
    """The state of one file.

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

    Returns
    -------
    list of Finding
        One for each file, in the order of the chain; at the end one for the built book.

    Raises
    ------
    BraintuneError
        If data are missing that the fingerprints are made of.
    """
    stamps = fingerprints(study)
    found = [finding for job, stamp in stamps.items() for finding in _job(study, job, stamp)]
    return [*found, _book(study, stamps)]


def _job(study: Study, job: Job, stamp: str) -> Iterator[Finding]:
    """Yield the state of one job's page, then of its files; a page that is altered and stale is called altered."""
    path = executed_notebook(study, job)
    page = path.relative_to(study.root).as_posix()
    recorded: dict[str, str] = {}
    try:
        notebook = read_notebook(path)
    except BraintuneError:
        damaged = "it is not a complete notebook"
        yield Finding("altered", job.label, page, damaged) if path.is_file() else Finding("missing", job.label, page)
    else:
        note = notebook["metadata"].get("braintune", {})
        recorded = note.get("outputs", {})
        had = note.get("fingerprint") or "none"
        if note.get("page") != page_checksum(notebook):
            yield Finding("altered", job.label, page, "its cells are not those that were executed")
        elif had != stamp:
            yield Finding("stale", job.label, page, f"fingerprint {had}; profile, data and code now give {stamp}")
        else:
            yield Finding("as made", job.label, page)
    there = outputs(study, job)
    for file in sorted(there.keys() | recorded.keys()):
        state = "missing" if file not in there else "as made" if there[file] == recorded.get(file) else "altered"
        yield Finding(state if file in recorded else "not recorded", job.label, file)


def _book(study: Study, stamps: dict[Job, str]) -> Finding:
    """Return the state of the built book: whether it exists and shows the present state of every job."""
    name, facts = study.book_page.relative_to(study.root).as_posix(), study.folder / "provenance.json"
    if not study.book_page.is_file() and not facts.is_file():
        return Finding("not built", "book", name, f"`make book PROFILE={study.profile}` builds it")
    if not study.book_page.is_file() or not facts.is_file():
        return Finding("missing", "book", facts.name if study.book_page.is_file() else name)
    try:
        built = store.read_json(facts)["fingerprints"]
    except (ValueError, KeyError, TypeError, BraintuneError):
        return Finding("altered", "book", facts.name, "it is not complete")
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
        lines.append(f"run `make book PROFILE={study.profile}`, which recomputes what is stale or deleted")
    return "\n".join(lines)


def require_unaltered(study: Study) -> None:
    """Raise an error if a page or file of a run is stale, altered or missing, as :func:`verify` says it."""
    found = verify(study)[:-1]  # all but the book itself
    if any(finding.state in FAULTS for finding in found):
        raise BraintuneError(f"the book is built only from files as its jobs made them:\n{report(study, found)}")


def main(words: list[str]) -> int:
    """Verify one profile's run and print the result; return 1 where anything is stale, altered or missing."""
    if len(words) != 1:
        raise BraintuneError("which run? give one profile: make verify PROFILE=quick")
    study = Study.load(words[0])
    if not study.folder.is_dir():
        raise BraintuneError(f"no run in {study.folder}; `make book PROFILE={study.profile}` makes it")
    found = verify(study)
    print(report(study, found))
    return int(any(finding.state in FAULTS for finding in found))
