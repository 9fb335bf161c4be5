"""Build the book of one run: stage its pages and executed notebooks, and render them.

Each run has its book under `runs/<profile>/book`. It is refused if anything that it shows is not as it was made.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from datetime import datetime
from importlib import import_module
from importlib.metadata import distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from braintune.core import base, store
from braintune.core.base import BraintuneError
from braintune.core.study import SOURCES, Study
from braintune.datasets.brains import registry
from braintune.results import checks
from braintune.workflow import processes
from braintune.workflow.book import origins, reference_pages
from braintune.workflow.book.origins import PROFILE_PAGE
from braintune.workflow.jobs import CONTINUAL, STEPS, Job, all_jobs, executed_notebook, make_job
from braintune.workflow.provenance import provenance
from braintune.workflow.verify import require_unaltered

#: Most tuning notebooks that the contents list.
MOST_LISTED = 3
#: A figure that a page includes.
_INCLUDED = re.compile(r"\{include\} results/figures/([\w-]+)\.md")
_CALL = re.compile(r"\b(\w+)\.(\w+)\(")


def build(profile: str) -> Path:
    """Stage and render the book of a profile's run; return its front page.

    Raises
    ------
    BraintuneError
        If something that the run has made is stale, altered or missing, or if Jupyter Book reports a warning.
    """
    study = Study.load(profile)
    executed = collect(study)
    with processes.alone(study.folder / "book") as lock:
        facts = provenance(study)
        folder = study.folder / "book"
        shutil.rmtree(folder / "source", ignore_errors=True)
        stage(study, executed, folder / "source")
        publish(folder, lock)
        store.write_json(study.folder / "provenance.json", facts)  # last: it describes the state of the pages
    return study.book_page


def collect(study: Study) -> dict[Job, Path]:
    """Return the executed notebook of every job, after checking that pages, tables and figures are as they were made.

    Raises
    ------
    BraintuneError
        As :func:`braintune.workflow.verify.require_unaltered`.
    """
    require_unaltered(study)
    return {job: executed_notebook(study, job) for job in all_jobs(study)}


# --- what a book is made of --------------------------------------------------------------------------------------


def stage(study: Study, executed: dict[Job, Path], source: Path, with_reference: bool = True) -> None:
    """Lay out the sources of a run's book: pages, executed notebooks, figures, contents, configuration."""
    shutil.copytree(base.REPOSITORY / "book", source / "book")
    reference = reference_pages.api_pages() if with_reference else {}
    drawing = {"figures": make_job("figures", source="run"), "supplement": make_job("supplement")}
    notebooks = {step: store.read_json(executed[job]) for step, job in drawing.items()}
    made = origins.origins(study, notebooks, with_reference)
    aside = off_contents(executed)
    pages = {f"{_page(job)}.ipynb": as_page(job, store.read_json(path), job in aside) for job, path in executed.items()}
    pages |= {f"{page}.rst": text for page, text in reference.items()}
    pages["book/parameters.md"] = reference_pages.parameter_page()
    pages[f"{PROFILE_PAGE}.md"] = origins.profile_page(study)
    pages |= _figures(study, made, source / "book")
    contents = yaml.safe_load((base.REPOSITORY / "_toc.yml").read_text(encoding="utf-8"))
    listed = [job for job in executed if job not in aside]
    pages["_toc.yml"] = yaml.safe_dump(_with_generated(contents, listed, reference), sort_keys=False)
    configuration = yaml.safe_load((base.REPOSITORY / "_config.yml").read_text(encoding="utf-8"))
    configuration["html"]["announcement"] = banner(study)
    # What the pages quote, each as `{{ name }}`.
    found = {source: store.read_json(study.shown_folder(source) / "results.json") for source in SOURCES}
    configuration["parse"]["myst_substitutions"] = made.quotes(found)
    pages["_config.yml"] = yaml.safe_dump(configuration, sort_keys=False)
    write_pages(source, pages)


def _figures(study: Study, made: origins.Origins, book: Path) -> dict[str, str]:
    """Copy the figures that the pages in `book` include; return the Markdown of each, with its caption."""
    folder = book / "results" / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    text = "\n".join(page.read_text(encoding="utf-8") for page in sorted(book.glob("*.md")))
    labels, pages = _INCLUDED.findall(text), {}
    for label in labels:
        source, name = made.named(label)
        facts = store.read_json(study.figure_file(name, "json", source))
        pages[f"book/results/figures/{label}.md"] = made.figure(label, facts, labels)
        if (file := study.figure_file(name, source=source)).is_file():
            shutil.copyfile(file, folder / f"{label}.svg")
    return pages


def write_pages(source: Path, pages: dict[str, str]) -> None:
    """Write the sources of a book, beside its static files."""
    for place, text in pages.items():
        (source / place).parent.mkdir(parents=True, exist_ok=True)
        (source / place).write_text(text, encoding="utf-8")
    # Not in `_static` of the root: Jupyter Book would add every script there to every page.
    shutil.copyfile(_mathjax(), source / "book" / "_static" / "tex-svg.js")


def _page(job: Job) -> str:
    """Place of an executed notebook in the book, without suffix."""
    return f"book/results/{job.step}" if not job.parameters else f"book/results/{job.step}/{job.name}"


def off_contents(jobs: Iterable[Job]) -> set[Job]:
    """Return the jobs whose notebooks stay out of contents and search: many that are almost alike.

    The page of tuning links to them in one table (:func:`braintune.results.prose.notebook_table`).
    """
    found = {job for job in jobs if job.step == "tuning"}
    return found if len(found) > MOST_LISTED else set()


def as_page(job: Job, notebook: dict[str, Any], aside: bool = False) -> str:
    """Return a notebook as the book shows it: titled by the job, its parameters folded, its pictures described.

    One that is put `aside` is in neither contents nor search.
    """
    if aside:
        notebook["metadata"] |= {"orphan": True, "nosearch": True}
    first = notebook["cells"][0]
    text = "".join(first["source"])
    what = job.label.removeprefix(f"{job.step} · ")
    first["source"] = text if what == job.step else text.replace("\n", f": {what}\n", 1)
    if job.is_shared:
        first["source"] += "\n\n*This page shows recorded results, and nothing of the run that is named at the top.*"
    for cell in notebook["cells"]:
        if "injected-parameters" in (tags := cell["metadata"].get("tags", [])):
            cell["metadata"]["tags"] = [*tags, "hide-input"]
        if cell["cell_type"] == "code" and (shown := pictures("".join(cell["source"]))):
            cell["metadata"]["mystnb"] = {"image": {"alt": shown}}
    return json.dumps(notebook, ensure_ascii=False)


def pictures(code: str) -> str:
    """Describe the pictures that a cell draws, by the docstrings of the functions of `results` that it calls."""
    words = []
    for module, name in _CALL.findall(code):
        if find_spec(f"braintune.results.{module}"):
            function = getattr(import_module(f"braintune.results.{module}"), name, None)
            first = (function.__doc__ or "").partition("\n")[0]
            words += [first.removeprefix("Draw ")] if first.startswith("Draw ") else []
    return " ".join(f"{sentence[:1].upper()}{sentence[1:]}" for sentence in words)


def _with_generated(contents: dict[str, Any], executed: Iterable[Job], reference: Iterable[str]) -> dict[str, Any]:
    """Put the executed notebooks below the chapters of their steps, and the folders of the library below theirs."""
    below = {f"book/{step}": [_page(job) for job in executed if job.step == step] for step in STEPS}
    below["book/figures"] += [_page(job) for job in executed if job.step == "supplement"]
    below["book/questions"] = [_page(job) for job in executed if job.step == CONTINUAL]
    below["book/api"] = [page for page in reference if page != "book/api"]
    if not below["book/api"]:
        for part in contents["parts"]:
            part["chapters"] = [chapter for chapter in part["chapters"] if chapter["file"] != "book/api"]
    for chapter in (chapter for part in contents["parts"] for chapter in part["chapters"]):
        if pages := below.get(chapter["file"]):
            chapter["sections"] = [{"file": page} for page in pages]
    return contents


def banner(study: Study) -> str:
    """Return one line that names the run on every page, with a link to its profile, and says if a brain is simulated.

    `sphinx.py` makes the link one from the page.
    """
    simulated = any(registry.is_simulated(name) for name in study.brains)
    note = " · <strong>the brain is simulated</strong>: a check of the method, not a finding" if simulated else ""
    when = datetime.fromtimestamp(executed_notebook(study, make_job("figures", source="run")).stat().st_mtime)
    return (
        f"Run <a href='{PROFILE_PAGE}'><strong>{study.profile}</strong></a> · {Path(study.backbone).name} · "
        f"brain: {', '.join(study.brains)} · {when:%Y-%m-%d}{note}"
    )


def _mathjax() -> Path:
    """Return the MathJax file of the installed package, so that formulas need no network."""
    for file in distribution("sphinx-mathjax-offline").files or []:
        if file.name == "tex-svg.js":
            return Path(str(file.locate()))
    raise BraintuneError("the package sphinx-mathjax-offline holds no tex-svg.js; reinstall with `make setup`")


# --- rendering ---------------------------------------------------------------------------------------------------


def publish(folder: Path, lock: int | None) -> None:
    """Render the book in `source` of a folder, and put it in place of the one in its `html`."""
    shutil.rmtree(folder / "_build", ignore_errors=True)  # of a build that was killed
    render(folder / "source", folder, lock=lock)
    shutil.rmtree(folder / "html", ignore_errors=True)
    shutil.move(folder / "_build" / "html", folder / "html")
    shutil.rmtree(folder / "_build")


def render(source: Path, folder: Path, builder: str = "html", lock: int | None = None) -> None:
    """Run Jupyter Book with warnings as errors; the pages are written to `_build/<builder>` of a folder.

    The process inherits `lock`, a file descriptor, and so keeps the lock if this process is killed.

    Raises
    ------
    BraintuneError
        If it reports a warning, naming the log.
    """
    tool = Path(sys.executable).parent / "jupyter-book"
    command = [str(tool), "build", str(source), "--path-output", str(folder), "--builder", builder]
    done = subprocess.run(
        [*command, "-W", "-n", "--keep-going"], capture_output=True, text=True, pass_fds=[] if lock is None else [lock]
    )
    log = folder / "build.log"
    log.write_text(done.stdout + done.stderr, encoding="utf-8")
    if done.returncode or not list((folder / "_build" / builder).rglob("index.html")):
        lines = [line for line in log.read_text(encoding="utf-8").splitlines() if "WARNING" in line or "ERROR" in line]
        raise BraintuneError(
            "Jupyter Book reports:\n" + "\n".join(lines[:20] or [done.stderr[-2000:]]) + f"\nthe whole log: {log}"
        )


def main(words: list[str]) -> None:
    """Build the book of one profile; print the verdicts, failed checks, and the path of the book."""
    processes.end_with_parent()
    study = Study.load(words[0])
    page = build(words[0])
    print(f"{checks.read_summary(study)}\nthe book is built: {page}", flush=True)
