"""Make the page that compares the variants of a sweep: execute its notebook, and render it as a book of one page."""

import os
import shutil

import yaml

from braintune.core import base
from braintune.core.base import BraintuneError
from braintune.core.study import SWEEPS
from braintune.core.sweep import Sweep
from braintune.datasets.brains import registry
from braintune.workflow import processes
from braintune.workflow.book.build import as_page, publish, write_pages
from braintune.workflow.execute import run_notebook, write_notebook
from braintune.workflow.fingerprints import comparison_files, comparison_fingerprint
from braintune.workflow.jobs import NOTEBOOKS, Job


def compare(name: str) -> Sweep:
    """Execute the comparison of the finished variants of a sweep, and render its page.

    Raises
    ------
    BraintuneError
        If no variant is finished, a cell fails, or Jupyter Book reports a warning.
    """
    sweep = Sweep.load(name)
    job, failed = Job("sweep", (("sweep", sweep.name),)), sweep.notebook.with_suffix(".failed.ipynb")
    with processes.alone(sweep.folder / "book") as lock:
        stamp = comparison_fingerprint(sweep, sweep.missing)
        threads = next(iter(sweep.studies.values())).threads
        named = sweep.name if sweep.path.parent == SWEEPS else os.path.relpath(sweep.path, base.REPOSITORY)
        given = {"sweep": named, "save": True}
        before = {file: file.stat().st_mtime_ns for file in sweep.folder.glob("*.parquet")}
        notebook = run_notebook(NOTEBOOKS / "sweep.ipynb", given, threads, failed, job.label)
        for file, made in before.items():
            if file.stat().st_mtime_ns == made:  # of another version, and not made again
                file.unlink()
        _stage(sweep, as_page(job, notebook))
        publish(sweep.folder / "book", lock)
        write_notebook(sweep.notebook, notebook, {"fingerprint": stamp, "outputs": comparison_files(sweep)})
        failed.unlink()
    return sweep


def _stage(sweep: Sweep, page: str) -> None:
    """Lay out the sources of the page: as those of a run's book, without its other pages."""
    source = sweep.folder / "book" / "source"
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(base.REPOSITORY / "book" / "_static", source / "book" / "_static")
    shutil.copy(base.REPOSITORY / "book" / "references.bib", source / "book")  # its extension of Sphinx asks for one
    configuration = yaml.safe_load((base.REPOSITORY / "_config.yml").read_text(encoding="utf-8"))
    brains = sorted({brain for study in sweep.studies.values() for brain in study.brains})
    simulated = " (simulated: a check of the method, not a finding)" if any(map(registry.is_simulated, brains)) else ""
    configuration["html"]["announcement"] = (
        f"Sweep <strong>{sweep.name}</strong> · brain: {', '.join(brains)}{simulated}"
    )
    contents = {"format": "jb-book", "root": "index"}
    texts = {"_config.yml": configuration, "_toc.yml": contents}
    write_pages(source, {"index.ipynb": page, **{file: yaml.safe_dump(text) for file, text in texts.items()}})


def main(words: list[str]) -> None:
    """Make the page of one sweep; print where it is, and which variants are not in it."""
    processes.end_with_parent()
    if len(words) != 1:
        raise BraintuneError("which sweep? python -m braintune compare SWEEP")
    sweep = compare(words[0])
    for name, reason in sweep.missing.items():
        print(f"left out  {name}: {reason}")
    print(f"the comparison is built: {sweep.page}", flush=True)
