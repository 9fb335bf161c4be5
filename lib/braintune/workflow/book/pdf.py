"""The book of one run as a PDF: one page of all chapters, rendered by Jupyter Book, printed by Chromium.

A run has dozens of executed notebooks; the PDF holds one of each step, and all that show results; its cover says so.
The reference of the library is left out too. `print.css` hides menus and buttons.
"""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from braintune.core import base
from braintune.core.base import BraintuneError
from braintune.core.study import Study
from braintune.workflow.book import build
from braintune.workflow.jobs import Job

#: Programs that can print a page, in the order in which they are looked for.
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
#: Style of the printed page, beside the style of the book.
STYLE = base.REPOSITORY / "book" / "_static" / "print.css"


def make_pdf(profile: str) -> Path:
    """Make the PDF of a profile's run; return its path.

    Raises
    ------
    BraintuneError
        If there is no Chromium, or as :func:`braintune.workflow.book.build.collect` and
        :func:`braintune.workflow.book.build.render`.
    """
    browser = find_browser()
    study = Study.load(profile)
    executed = build.collect(study)
    chosen = examples(executed)
    target = study.folder / "book" / f"braintune-{study.profile.replace('/', '-')}.pdf"
    with tempfile.TemporaryDirectory(prefix=".pdf-", dir=study.folder / "book") as name:
        folder = Path(name)
        build.stage(study, chosen, folder / "source", with_reference=False)
        build.render(folder / "source", folder, "singlehtml")
        root = folder / "_build" / "singlehtml"
        html = max((path.read_text(encoding="utf-8") for path in root.rglob("index.html")), key=len)  # no redirection
        page = root / "print.html"  # its styles and pictures are named from here
        page.write_text(printable(html, cover(study, len(executed) - len(chosen))), encoding="utf-8")
        print_page(browser, page, folder / target.name)
        (folder / target.name).replace(target)
    return target


def find_browser() -> str:
    """Return the path of a Chromium.

    Raises
    ------
    BraintuneError
        If there is none.
    """
    for name in BROWSERS:
        if path := shutil.which(name):
            return path
    raise BraintuneError(
        f"no browser can print the PDF: none of {', '.join(BROWSERS)} is installed; on Debian or Ubuntu, "
        "`apt install chromium`, then run `make pdf` again"
    )


def examples(executed: Mapping[Job, Path]) -> dict[Job, Path]:
    """Return the first executed notebook of each step that computes, and all that show results: pages link to them."""
    first = {job.step: job for job in reversed(list(executed))}
    return {job: path for job, path in executed.items() if job.source or job in first.values()}


def cover(study: Study, left_out: int) -> str:
    """Return the cover: the question, the run, and how many executed notebooks are in the web edition alone."""
    run = re.sub(r"</?a\b[^>]*>", "", build.banner(study))
    return (
        "<header class='cover'><p class='cover-title'>Fine-tuned or prompt-tuned?</p>"
        "<p class='cover-subtitle'>Which tuning of a language model better accounts for language "
        f"representations in the brain?</p><p class='cover-run'>{run}</p>"
        f"<p>One executed notebook of each step of the analysis is in this PDF; the other {left_out} are pages of the "
        f"web edition, runs/{study.profile}/book/html, and can be downloaded there. "
        "So is the reference of the library.</p></header>"
    )


def printable(html: str, cover: str) -> str:
    """Return all chapters on one page as they are printed: behind a cover, in the style of print, answers unfolded."""
    html = html.replace("</head>", f"<style>{STYLE.read_text(encoding='utf-8')}</style></head>", 1)
    html = html.replace("<body", f"<body>{cover}<div", 1).replace("</body>", "</div></body>", 1)
    return re.sub(r"<details class=(['\"](?:sd-|ledger))", r"<details open class=\1", html)


def print_page(browser: str, page: Path, target: Path) -> None:
    """Print a page as a PDF.

    Raises
    ------
    BraintuneError
        If the browser fails.
    """
    words = [browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]
    words += ["--disable-background-networking", "--virtual-time-budget=60000", "--no-pdf-header-footer"]
    words += ["--generate-pdf-document-outline", f"--user-data-dir={target.parent / 'browser'}"]
    done = subprocess.run([*words, f"--print-to-pdf={target}", page.as_uri()], capture_output=True, text=True)
    if done.returncode or not target.is_file():
        raise BraintuneError(f"{browser} could not print the book:\n{done.stderr[-2000:]}")


def main(words: list[str]) -> None:
    """Make the PDF of one profile, and print where it is."""
    if len(words) != 1:
        raise BraintuneError("which run? give one profile: make pdf PROFILE=quick")
    target = make_pdf(words[0])
    print(f"the book as a PDF: {target} ({target.stat().st_size / 1e6:.1f} MB)", flush=True)
