"""Build the book of one run: stage its pages and executed notebooks, refuse a mixture of runs, render them.

Each run has a book of its own under `runs/<profile>/book`, staged from the repository's pages and that run's
executed notebooks alone, so two profiles can never mix on a page.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable
from datetime import datetime
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import yaml

from braintune.core import base, store
from braintune.core.base import BraintuneError
from braintune.core.study import Study
from braintune.datasets.brains import registry
from braintune.workflow import plan, processes
from braintune.workflow.book import diagram, reference_pages
from braintune.workflow.fingerprints import fingerprints
from braintune.workflow.jobs import Job, executed_notebook, make_job, stamp_of
from braintune.workflow.provenance import provenance

#: Chapter page → the step whose executed notebooks stand below it in the table of contents.
CHAPTERS = {
    "book/tuning": "tuning",
    "book/embeddings": "embeddings",
    "book/decoding": "decoding",
    "book/rsa": "rsa",
    "book/figures": "figures",
}


def sources() -> list[str]:
    """Return the files of the repository that the pages are made of; the library's are its reference."""
    prose = [p for p in (base.REPOSITORY / "book").rglob("*") if p.is_file() and not p.name.startswith(".")]
    root = [base.REPOSITORY / name for name in ("_config.yml", "_toc.yml", "Snakefile")]
    return [str(p) for p in sorted([*prose, *root, *reference_pages.library()])]


def build(profile: str) -> Path:
    """Stage and render the book of a profile's run; return its front page.

    Raises
    ------
    BraintuneError
        If an executed notebook is missing or belongs to another state of the profile, the data or the code, or if
        Jupyter Book reports a warning.
    """
    run = Study.load(profile)
    executed = collect(run)
    with processes.alone(run, "book") as lock:
        store.write_json(run.folder / "provenance.json", provenance(run))
        folder = run.folder / "book"
        source = folder / "source"
        shutil.rmtree(source, ignore_errors=True)
        shutil.rmtree(folder / "_build", ignore_errors=True)  # of a build that was killed
        stage(run, executed, source)
        draw_workflow(profile, source)
        render(source, folder, lock=lock)
        html = run.book_page.parent
        shutil.rmtree(html, ignore_errors=True)
        shutil.move(folder / "_build" / "html", html)
        shutil.rmtree(folder / "_build")
    return run.book_page


def collect(run: Study) -> dict[Job, Path]:
    """Return the executed notebook of every job, after checking that all belong to the present state of the run.

    Raises
    ------
    BraintuneError
        Naming the page that is missing or stale.
    """
    executed = {}
    for job, expected in fingerprints(run).items():
        path = executed_notebook(run, job)
        remedy = f"`make book PROFILE={run.profile}` makes it"
        if not path.is_file():
            raise BraintuneError(f"the page of {job.label} is not there ({path.name}); {remedy}")
        stamp = stamp_of(path)
        if stamp != expected:
            raise BraintuneError(
                f"the page of {job.label} has fingerprint {stamp}, but profile, data and code now give "
                f"{expected}: it belongs to another run; {remedy}"
            )
        executed[job] = path
    return executed


def stage(run: Study, executed: dict[Job, Path], source: Path) -> None:
    """Lay out the sources of a run's book: pages, executed notebooks, figures, contents, configuration."""
    shutil.copytree(base.REPOSITORY / "book", source / "book")
    results = source / "book" / "results"
    for job, path in executed.items():
        page = source / f"{_page(job)}.ipynb"
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(_as_page(job, store.read_json(path)), encoding="utf-8")
    shutil.copytree(run.folder / "figures", results / "figures")
    for facts in sorted((results / "figures").glob("*.json")):
        facts.with_suffix(".md").write_text(_figure_block(facts.stem, store.read_json(facts)), encoding="utf-8")
    for page, text in ({"book/parameters.md": reference_pages.parameter_page()} | reference_pages.api_pages()).items():
        _write(source / page, text)
    (results / "size").mkdir()
    for name, table in plan.pages().items():
        (results / "size" / f"{name}.md").write_text(table, encoding="utf-8")
    # Not under `_static`: Jupyter Book would add every script there to every page.
    shutil.copyfile(_mathjax(), source / "book" / "_static" / "tex-svg.js")
    contents = yaml.safe_load((base.REPOSITORY / "_toc.yml").read_text(encoding="utf-8"))
    configuration = yaml.safe_load((base.REPOSITORY / "_config.yml").read_text(encoding="utf-8"))
    configuration["html"]["announcement"] = banner(run)
    configuration["parse"]["myst_substitutions"] = store.read_json(run.folder / "results.json")  # {{ name }}
    (source / "_toc.yml").write_text(yaml.safe_dump(_with_made(contents, executed), sort_keys=False), encoding="utf-8")
    (source / "_config.yml").write_text(yaml.safe_dump(configuration, sort_keys=False), encoding="utf-8")


def draw_workflow(profile: str, source: Path) -> None:
    """Put the picture of the workflow into the sources of a book, for `{include} results/figures/workflow.md`."""
    folder = source / "book" / "results" / "figures"
    facts = diagram.write(diagram.workflow_of(profile), "workflow", folder)
    _write(folder / "workflow.md", _figure_block("workflow", facts))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _page(job: Job) -> str:
    """Place of an executed notebook in the book, without suffix."""
    return f"book/results/{job.step}" if not job.parameters else f"book/results/{job.step}/{job.name}"


def _figure_block(name: str, facts: dict[str, Any]) -> str:
    """Return a figure with its caption as the pages include it (`{include} results/figures/<name>.md`).

    Where there was nothing to draw, a sentence says so.
    """
    if reason := facts.get("nothing"):
        return f"*Left out in this run, since {reason}: {facts['alt'][:1].lower()}{facts['alt'][1:]}*\n"
    head = f"```{{figure}} results/figures/{name}.svg\n:name: fig-{name}\n:alt: {facts['alt']}"
    return f"{head}\n\n{facts['caption']}\n```\n"


def _as_page(job: Job, notebook: dict[str, Any]) -> str:
    """Return a notebook as the book shows it: titled by what was executed, the profile's parameters folded."""
    first = notebook["cells"][0]
    text = "".join(first["source"])
    what = job.label.removeprefix(f"{job.step} · ")
    first["source"] = text if what == job.step else text.replace("\n", f": {what}\n", 1)
    for cell in notebook["cells"]:
        if "injected-parameters" in (tags := cell["metadata"].get("tags", [])):
            cell["metadata"]["tags"] = [*tags, "hide-input"]
    return json.dumps(notebook, ensure_ascii=False)


def _with_made(contents: dict[str, Any], executed: Iterable[Job]) -> dict[str, Any]:
    """Put the executed notebooks below the chapters of their steps, and the library's pages below theirs."""
    below = {chapter: [_page(job) for job in executed if job.step == step] for chapter, step in CHAPTERS.items()}
    below["book/api"] = [f"book/api/{room.name}" for room in reference_pages.ROOMS]
    for part in contents["parts"]:
        for chapter in part["chapters"]:
            if below.get(chapter["file"]):
                chapter["sections"] = [{"file": page} for page in below[chapter["file"]]]
    return contents


def banner(run: Study) -> str:
    """Return one line that names the run on every page, and says so when a brain is simulated."""
    simulated = any(registry.is_simulated(name) for name in run.brains)
    note = " · <strong>the brain is simulated</strong>: a check of the method, not a finding" if simulated else ""
    when = datetime.fromtimestamp(executed_notebook(run, make_job("figures")).stat().st_mtime)
    return (
        f"Run <strong>{run.profile}</strong> · {Path(run.backbone).name} · brain: {', '.join(run.brains)} · "
        f"{when:%Y-%m-%d}{note}"
    )


def _mathjax() -> Path:
    """Return MathJax as it comes with its package, so that formulas need no other host."""
    files = distribution("sphinx-mathjax-offline").files or []
    found = [f for f in files if f.name == "tex-svg.js"]
    if not found:
        raise BraintuneError("the package sphinx-mathjax-offline holds no tex-svg.js; reinstall with `make setup`")
    return Path(str(found[0].locate()))


def render(source: Path, folder: Path, builder: str = "html", lock: int | None = None) -> None:
    """Run Jupyter Book with warnings as errors; the pages come to lie in `_build/<builder>` of a folder.

    It inherits a `lock`, so it keeps that also where it is left alone.

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
        told = [line for line in log.read_text(encoding="utf-8").splitlines() if "WARNING" in line or "ERROR" in line]
        raise BraintuneError(
            "Jupyter Book reports:\n" + "\n".join(told[:20] or [done.stderr[-2000:]]) + f"\nthe whole log: {log}"
        )


def main(words: list[str]) -> None:
    """Build the book of one profile; say which claims hold, what looks like a failure, and where the book is."""
    from braintune.results import checks  # here, since Snakemake imports this module for every job

    processes.end_with_parent()
    run = Study.load(words[0])
    page = build(words[0])
    print(f"{checks.read_summary(run)}\nthe book is built: {page}", flush=True)
