"""The book of one run as a PDF: one page of all chapters, rendered by Jupyter Book, printed by Chromium.

Of the executed notebooks, of which a run has dozens, one of each step is in it; the cover says so. The contents are
printed with their page numbers: the first print tells where each chapter has come to stand, the second is kept.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from html import escape
from pathlib import Path

from bs4 import BeautifulSoup, Tag

from braintune.core import base
from braintune.core.base import BraintuneError
from braintune.core.study import Study
from braintune.workflow.book import build
from braintune.workflow.jobs import Job

#: Programs that can print a page, in the order in which they are looked for.
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
#: Style of the printed page, beside the style of the book.
STYLE = base.REPOSITORY / "book" / "_static" / "print.css"


def file_of(run: Study) -> Path:
    """Return the path of a run's book as a PDF."""
    return run.folder / "book" / f"braintune-{run.profile}.pdf"


def make_pdf(profile: str) -> Path:
    """Make the PDF of a profile's run; return its path.

    Raises
    ------
    BraintuneError
        If there is no Chromium, or as :func:`braintune.workflow.book.build.build`.
    """
    browser = find_browser()
    run = Study.load(profile)
    executed = build.collect(run)
    chosen = examples(executed)
    target = file_of(run)
    with tempfile.TemporaryDirectory(prefix=".pdf-", dir=run.folder / "book") as folder:
        source = Path(folder) / "source"
        build.stage(run, chosen, source)
        build.draw_workflow(profile, source)
        build.render(source, Path(folder), "singlehtml")
        root = Path(folder) / "_build" / "singlehtml"
        page = max(root.rglob("index.html"), key=lambda path: path.stat().st_size)  # the other one only leads to it
        whole = assemble(page.read_text(encoding="utf-8"), run, len(executed) - len(chosen))
        printed = Path(folder) / target.name
        _print(browser, whole, root, printed)
        _number(whole, _pages_of_chapters(printed))
        _print(browser, whole, root, printed)
        printed.replace(target)
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
        f"no browser that could print the PDF: none of {', '.join(BROWSERS)} is there; on Debian or Ubuntu, "
        "`apt install chromium`, then run `make pdf` again"
    )


def examples(executed: Mapping[Job, Path]) -> dict[Job, Path]:
    """Return the first executed notebook of each step."""
    first: dict[str, Job] = {}
    for job in executed:
        first.setdefault(job.step, job)
    return {job: executed[job] for job in first.values()}


def assemble(html: str, run: Study, left_out: int) -> BeautifulSoup:
    """Return the page to print: cover, contents and chapters, without the frame of the web page.

    Parameters
    ----------
    html : str
        All chapters on one page, as Sphinx renders them.
    run : Study
    left_out : int
        Number of executed notebooks that are not in it.
    """
    page = BeautifulSoup(html, "html.parser")
    article = page.find("article")
    for answer in article.select("details.sd-dropdown"):
        answer["open"] = ""
    for gone in article.select("details.hide > summary, .headerlink, button, script, details.above-input"):
        gone.decompose()
    for view in article.select("iframe"):
        view.replace_with(BeautifulSoup("<p>(A view to move through; it is on the web page.)</p>", "html.parser"))
    for element in page.select("head script:not([src*='tex-svg']):not([type='text/x-mathjax-config'])"):
        if "MathJax" not in (element.string or ""):
            element.decompose()
    style = page.new_tag("style")
    style.string = STYLE.read_text(encoding="utf-8")
    page.head.append(style)
    page.html["data-theme"] = "light"
    page.body.clear()
    page.body.attrs = {}
    page.body.append(BeautifulSoup(_cover(page.title.get_text(), run, left_out), "html.parser"))
    page.body.append(BeautifulSoup(_contents(article), "html.parser"))
    page.body.append(article)
    return page


def _cover(title: str, run: Study, left_out: int) -> str:
    left = (
        f"Of the executed notebooks, one of each step is in this PDF; the other {left_out} are pages of the web "
        f"edition, runs/{run.profile}/book/html, and can be downloaded there."
        if left_out
        else "All executed notebooks are in this PDF."
    )
    return (
        f"<header class='cover'><p class='cover-title'>{escape(title)}</p>"
        "<p class='cover-subtitle'>Which tuning of a language model accounts better for the brain’s language "
        f"representations?</p><p class='cover-run'>{build.banner(run)}</p><p>{escape(left)}</p></header>"
    )


def _contents(article: Tag) -> str:
    """List the chapters, each linked and with room for its page.

    The mark of a chapter is put into its heading: before it, it would stand at the end of the page before.
    """
    lines = []
    for mark in article.select("span[id^='document-']"):
        heading = mark.find_next(["h1", "h2", "h3", "h4"])
        depth = len(mark.find_parents("section"))
        heading.insert(0, mark)
        lines.append(
            f"<li class='depth-{depth}'><a href='#{escape(mark['id'])}'>{escape(heading.get_text(strip=True))}"
            f"<span class='page' data-of='{escape(mark['id'])}'></span></a></li>"
        )
    return f"<nav class='contents'><p class='contents-title'>Contents</p><ol>{''.join(lines)}</ol></nav>"


def _print(browser: str, whole: BeautifulSoup, root: Path, target: Path) -> None:
    """Let the browser print a page from the folder that its pictures and styles are named from."""
    beside = root / "print.html"
    beside.write_text(str(whole), encoding="utf-8")
    words = [browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]
    words += ["--disable-background-networking", "--virtual-time-budget=60000", "--no-pdf-header-footer"]
    words += ["--generate-pdf-document-outline", f"--user-data-dir={target.parent / 'browser'}"]
    done = subprocess.run([*words, f"--print-to-pdf={target}", beside.as_uri()], capture_output=True, text=True)
    if done.returncode or not target.is_file():
        raise BraintuneError(f"{browser} could not print the book:\n{done.stderr[-2000:]}")


def _pages_of_chapters(printed: Path) -> dict[str, int]:
    """Return the place of each chapter (its mark in the page) → number of its page, from 1."""
    from pypdf import PdfReader

    reader = PdfReader(printed)
    marks = reader.named_destinations
    return {name.removeprefix("/"): reader.get_destination_page_number(mark) + 1 for name, mark in marks.items()}


def _number(whole: BeautifulSoup, pages: Mapping[str, int]) -> None:
    """Write the numbers of the pages into the contents."""
    for place in whole.select("nav.contents .page"):
        place.string = str(pages.get(place["data-of"], ""))


def main(words: list[str]) -> None:
    """Make the PDF of one profile, and say where it is."""
    if len(words) != 1:
        raise BraintuneError("which run? give one profile: make pdf PROFILE=quick")
    target = make_pdf(words[0])
    print(f"the book as a PDF: {target} ({target.stat().st_size / 1e6:.1f} MB)", flush=True)
