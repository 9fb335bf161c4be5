"""The whole chain on a tiny profile: Snakemake, papermill, Jupyter Book, and a look at the pages in a browser."""

import functools
import http.server
import json
import re
import shutil
import threading
import urllib.request
from collections import defaultdict
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pytest
import yaml

import kill_runs
from braintune.core import base, store
from braintune.core.base import BraintuneError
from braintune.core.study import Study
from braintune.results import checks, claims
from braintune.workflow import verify
from braintune.workflow.book import build, pdf, reference_pages
from braintune.workflow.execute import execute
from braintune.workflow.jobs import all_jobs, artefacts, executed_notebook, make_job, read_notebook
from chain import run_chain

pytestmark = pytest.mark.slow

NOTEBOOK = "book/results/decoding/simulated_S01.html"


def profile_with(built, path, **changes):
    """Write a copy of the tiny profile with other values."""
    values = yaml.safe_load(built.profile.read_text(encoding="utf-8")) | changes
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


class TestRun:
    def test_every_job_leaves_its_notebook_and_a_line_of_progress(self, built):
        jobs = all_jobs(built.run)
        assert len(jobs) == 4 + 1 + 2 + 1 + 1 + 2 + 1
        for job in jobs:
            assert executed_notebook(built.run, job).is_file()
            assert job.label in built.told
        assert not list(built.run.root.rglob("*.failed.ipynb"))

    def test_decoding_tables_are_tidy_and_complete(self, built):
        table = store.read_table(built.run.decoding_file("simulated", "S01"))
        assert {"brain", "participant", "region", "representation", "kind", "task", "method", "seed", "layer", "folds",
                "fold", "alpha", "fit", "pairwise", "margin", "pairwise_strict", "mse", "rank"} <= set(table.columns)  # fmt: skip
        assert set(table["representation"]) == {r.name for r in built.run.representations()}
        assert set(table["folds"]) == {"shuffled", "grouped"}
        assert set(table.loc[table["representation"] == "untuned", "layer"]) == set(range(7))
        assert not table.duplicated(["region", "representation", "layer", "folds", "fold"]).any()
        assert table[["fit", "pairwise", "margin", "mse"]].notna().all().all()

    def test_labels_are_permuted_for_every_representation_in_the_main_design(self, built):
        null = store.read_table(built.run.null_file("simulated", "S01"))
        keys = ["brain", "participant", "region", "folds", "representation", "readout", "permutation"]
        assert list(null) == [*keys, "pairwise", "margin"] and not null.duplicated(keys).any()
        assert set(null["representation"]) == {r.name for r in built.run.representations()}
        assert set(null["folds"]) == {"grouped"} and set(null["permutation"]) == set(range(5))

    def test_the_verdicts_are_stored_and_printed(self, built):
        stored = store.read_json(built.run.folder / "claims.json")
        assert set(stored["brains"]["simulated"]["claims"]) == set(claims.CLAIMS)
        assert len(stored["signatures"]) == len(checks.SIGNATURES)
        assert "claims: simulated (simulated): C1 " in built.told and "checks found a sign of failure" in built.told

    def test_provenance_is_complete(self, built):
        facts = store.read_json(built.run.folder / "provenance.json")
        assert {"profile", "code", "versions", "machine", "data", "fingerprints", "seconds"} <= set(facts)
        assert all(facts["seconds"].values())

    def test_every_file_is_recorded_and_as_it_was_made(self, built):
        found = verify.verify(built.run)
        assert [str(finding) for finding in found if finding.state != "as made"] == []
        recorded = {finding.file.removeprefix(f"{built.run.profile}/") for finding in found}
        for suffix in ("parquet", "safetensors", "svg", "png"):
            files = {p.relative_to(built.run.folder).as_posix() for p in built.run.folder.rglob(f"*.{suffix}")}
            assert {name for name in files if not name.startswith("book/")} <= recorded

    def test_no_page_shows_a_warning(self, built):
        shown = [
            f"{job.label}: {''.join(output['text'])}"
            for job in all_jobs(built.run)
            for cell in read_notebook(executed_notebook(built.run, job))["cells"]
            for output in cell.get("outputs", [])
            if output.get("name") == "stderr"
        ]
        assert not shown, "\n".join(shown)

    def test_nothing_is_computed_twice(self, built):
        done = run_chain(built.profile, "--dry-run")
        assert "nothing to do: all 12 jobs and the book of 'tiny' are up to date" in done.stdout

    def test_a_changed_parameter_reruns_what_depends_on_it_and_nothing_else(self, built):
        whole = built.profile.read_text(encoding="utf-8")
        done = run_chain(profile_with(built, built.profile, permutations=6), "--dry-run")
        built.profile.write_text(whole, encoding="utf-8")
        rerun = set(re.findall(r"^would run  (.*)", done.stdout, flags=re.MULTILINE))
        assert {label.partition(" · ")[0] for label in rerun} == {"decoding", "encoding", "rsa", "figures"}
        assert "figures · run" in rerun and "figures · recorded" not in rerun
        assert done.stdout.rstrip().endswith("would build the book")

    def test_the_same_profile_gives_the_same_tables_bit_for_bit(self, built, tmp_path):
        """One job of each computing step is executed once more, in a copy of the run."""
        root, copy = built.run.folder.parent, tmp_path / "runs"
        shutil.copytree(root, copy, ignore=shutil.ignore_patterns("book", "checkpoints", ".snakemake"))
        again = Study.load(profile_with(built, tmp_path / "tiny.yml", runs=str(copy)))
        first = {job.step: job for job in reversed(all_jobs(again))}
        for step in ("tuning", "embeddings", "decoding", "encoding", "rsa"):
            for made in (*artefacts(again, first[step]), executed_notebook(again, first[step])):
                shutil.rmtree(made) if made.is_dir() else made.unlink()
            execute(str(tmp_path / "tiny.yml"), first[step])
            places = artefacts(again, first[step])
            made = [p for place in places for p in (place.rglob("*.*") if place.is_dir() else [place])]
            assert made
            for file in made:
                assert kill_runs.difference(root / file.relative_to(copy), file) == "", file.name

    def test_a_failed_notebook_is_kept_and_named(self, built):
        job = make_job("decoding", brain="simulated", participant="S99")
        with pytest.raises(BraintuneError, match=r"S99.*failed in cell \d.*\n.*S99\.failed\.ipynb"):
            execute(str(built.profile), job)
        kept = executed_notebook(built.run, job).with_suffix(".failed.ipynb")
        assert "S99" in kept.read_text(encoding="utf-8")
        kept.unlink()

    def test_a_page_of_another_run_is_refused_and_a_missing_one_is_named(self, built):
        page = executed_notebook(built.run, make_job("rsa", brain="simulated"))
        whole = page.read_text(encoding="utf-8")
        content = json.loads(whole)
        content["metadata"]["braintune"]["fingerprint"] = "0" * 16
        try:
            page.write_text(json.dumps(content), encoding="utf-8")
            with pytest.raises(BraintuneError, match=r"stale +rsa · simulated: .*fingerprint 0000"):
                build.collect(built.run)
            page.unlink()
            with pytest.raises(BraintuneError, match=r"missing +rsa · simulated: [^$]*make book PROFILE=tiny"):
                build.collect(built.run)
        finally:
            page.write_text(whole, encoding="utf-8")

    def test_a_table_that_was_written_by_hand_is_refused(self, built):
        """For example by papermill with other parameters: `make verify` says the same."""
        table = built.run.rsa_file("simulated", "untuned")
        whole = table.read_bytes()
        try:
            table.write_bytes(whole + b" ")
            with pytest.raises(BraintuneError, match=r"altered +rsa · simulated: .*untuned.parquet"):
                build.collect(built.run)
        finally:
            table.write_bytes(whole)


# --- the files of the book ---------------------------------------------------------------------------------------


class Tags(HTMLParser):
    """The elements of a page, each with its attributes."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


@pytest.fixture(scope="module")
def html(built):
    """The folder of the built pages."""
    return built.run.book_page.parent.resolve()


@pytest.fixture(scope="module")
def tags(html):
    """Every page of the built book → its elements."""
    pages = [path for path in html.rglob("*.html") if "_static" not in path.parts]
    return {path: Tags(path.read_text(encoding="utf-8")).found for path in pages}


@pytest.fixture(scope="module")
def pages(tags, html):
    """The pages that a reader sees, as paths in the book; of the source of the library, which is all alike, one."""
    found = sorted(path.relative_to(html).as_posix() for path in tags)
    other = ("index.html", "genindex.html", "py-modindex.html", "search.html")  # the first one leads to book/index.html
    source = "_modules/braintune/neural/ridge.html"
    return [page for page in found if page not in other and (not page.startswith("_modules") or page == source)]


def test_the_front_door_leads_to_the_front_page(built, pages):
    assert "url=book/index.html" in built.run.book_page.read_text(encoding="utf-8")
    assert "book/index.html" in pages


def test_every_picture_says_what_it_shows(html, tags, pages):
    seen, silent = 0, []
    for page in pages:
        for tag, given in tags[html / page]:
            if tag in ("img", "object", "iframe"):
                words = given.get("title" if tag == "iframe" else "alt") or ""
                seen += 1
                if len(words.split()) < 3 or "_images" in words:
                    silent.append(f"{page}: {tag} says {words!r}")
    assert seen > 20
    assert not silent, "\n".join(silent)


def test_no_file_of_the_book_names_another_host(html, tags):
    """What a page loads by itself; a link that a reader may follow is another matter."""
    loads = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href", "object": "data"}
    abroad = [
        f"{page.relative_to(html)}: {tag} {place}"
        for page, found in tags.items()
        for tag, given in found
        if (place := given.get(loads.get(tag, "")) or "").startswith(("http:", "https:", "//"))
        and given.get("rel") != "canonical"
    ]
    outside = re.compile(r"(?:url\(|@import)\s*[\"']?((?:https?:)?//[^\"')]+)")
    for style in html.rglob("*.css"):
        abroad += [f"{style.name}: {place}" for place in outside.findall(style.read_text(encoding="utf-8"))]
    assert not abroad, "\n".join(abroad)


def test_every_internal_link_leads_somewhere(html, tags):
    anchors = {p: {"", "top"} | {g.get("id") or g.get("name") for _, g in found} for p, found in tags.items()}
    followed, dead = 0, set()
    for path, found in tags.items():
        for target in (given[k] for _, given in found for k in ("href", "src") if given.get(k)):
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            to = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchor = unquote(parts.fragment)
            if not to.exists() or anchor not in anchors.get(to, {anchor}):
                dead.add(f"{path.relative_to(html)} → {target}")
            followed += 1
    assert followed > 500
    assert not dead, "\n".join(sorted(dead))


def test_the_reference_holds_every_public_function_once(html, tags):
    import ast

    folders = reference_pages.folders()
    pages = [html / "book" / "api" / f"{f.removeprefix('braintune.').replace('.', '-')}.html" for f in folders]
    ids = [given.get("id") for page in pages for _, given in tags[page]]
    for module in (module for modules in folders.values() for module in modules):
        path = base.REPOSITORY / "lib" / f"{module.replace('.', '/')}.py"
        for item in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(item, ast.FunctionDef | ast.ClassDef):
                public = not item.name.startswith("_") and ast.get_docstring(item) is not None
                assert ids.count(f"{module}.{item.name}") == public, (module, item.name)


def test_a_figure_leads_to_its_source_and_to_the_profile(html):
    """By two clicks to the code: the reference of the function, and its source beside it."""
    page = (html / "book" / "decoding.html").read_text(encoding="utf-8")
    assert (
        "api/results.html#braintune.results.score_figures.layer_curves" in page and "profile.html#run-profile" in page
    )
    reference = (html / "book" / "api" / "results.html").read_text(encoding="utf-8")
    assert "_modules/braintune/results/score_figures.html#layer_curves" in reference
    profile = (html / "book" / "profile.html").read_text(encoding="utf-8")
    assert "sentences_per_passage" in profile and str(html.parent) not in profile


def test_every_quoted_number_reaches_its_page(html):
    for page in (html / "book").glob("*.html"):
        left = re.findall(r"\{\{\s*\w+\s*\}\}|\{glue:?\w*\}", page.read_text(encoding="utf-8"))
        assert not left, page.name


def test_pages_stay_below_their_budget(html, pages):
    sizes = {page: (html / page).stat().st_size for page in pages}
    assert max(sizes.values()) < 5e6, max(sizes, key=sizes.get)


def test_the_book_is_printed(built, monkeypatch):
    """A book of two chapters, of which the second folds an answer away."""
    if not any(shutil.which(name) for name in pdf.BROWSERS):
        pytest.skip("no Chromium: on Debian, apt install chromium")
    from pypdf import PdfReader

    whole = build.stage

    def small(run, executed, source, with_reference):
        assert len(executed) == 8 and not with_reference  # one notebook of each step, and all that show results
        whole(run, executed, source, with_reference)
        shutil.rmtree(source / "book" / "results")
        for page in (source / "book").rglob("*.*"):
            if page.suffix in (".md", ".rst"):
                page.unlink()
        (source / "book" / "index.md").write_text("# The question\n\nIs it read?\n", encoding="utf-8")
        answer = ":::{dropdown} Answer\nIt is the hidden answer.\n:::\n"
        (source / "book" / "second.md").write_text(f"# What follows\n\n{answer}", encoding="utf-8")
        contents = {"format": "jb-book", "root": "book/index", "chapters": [{"file": "book/second"}]}
        (source / "_toc.yml").write_text(yaml.safe_dump(contents), encoding="utf-8")

    monkeypatch.setattr(build, "stage", small)
    reader = PdfReader(pdf.make_pdf(str(built.profile)))
    sheets = [" ".join(sheet.extract_text().split()) for sheet in reader.pages]
    assert "Run tiny" in sheets[0] and "simulated" in sheets[0] and "the other 4" in sheets[0]  # of 12 notebooks
    assert "The question" in sheets[1] and "What follows" in sheets[2] and "It is the hidden answer." in sheets[2]
    assert not [sheet for sheet in sheets[1:] if "Search" in sheet or "Run tiny" in sheet]  # no menu, no banner
    assert len(reader.outline) > 0


# --- in a browser ------------------------------------------------------------------------------------------------


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words):
        pass


@pytest.fixture(scope="module")
def served(html):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=html))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture
def desk(browser):
    """The browser with a window as wide as on a desk."""
    browser.set_window_size(1280, 900)
    return browser


NARROW = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}


@pytest.fixture
def telephone(browser):
    """The browser, as narrow as a telephone."""
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", NARROW)
    yield browser
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


#: What a look at a page finds out at once; colours that are on their way from one mode to the other are nobody's.
LOOK = """
document.head.insertAdjacentHTML('beforeend', '<style>* { transition: none !important; }</style>');
return {headings: document.querySelectorAll('article h1').length, title: document.title,
  images: [...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src),
  banner: document.querySelector('.bd-header-announcement')?.innerText || ''}
"""
#: axe is not asked about frames: the brain view is nilearn's own document, a canvas; its title is checked.
AXE = """
const [rules, theme, done] = arguments; document.documentElement.dataset.theme = theme;
const asked = {iframes: false, preload: false, resultTypes: ['violations'], ...(rules ? {runOnly: rules} : {})};
axe.run(asked).then(r => done(r.violations.filter(v => ['serious', 'critical'].includes(v.impact)).map(v =>
  `${v.id} (${v.impact}) of ${v.nodes.length}: ${v.nodes[0].html.slice(0, 150)}`)), e => done([`axe failed: ${e}`]))
"""


@pytest.fixture(scope="module")
def axe():
    """The source of axe-core; its package is installed without what it wants, a browser of another make."""
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        files = distribution("axe-playwright-python").files
    except PackageNotFoundError:
        return None
    return next(f for f in files if f.name == "axe.min.js").locate().read_text(encoding="utf-8")


#: Folders of pages that are all alike: axe, which takes up to a minute a page, looks at the shortest of each.
ALIKE = ("book/api", "book/results/tuning", "book/results/decoding")


@pytest.fixture(scope="module")
def examined(html, pages):
    """The pages that axe looks at."""
    alike = [[page for page in pages if page.startswith(f"{folder}/")] for folder in ALIKE]
    shortest = {min(group, key=lambda page: (html / page).stat().st_size) for group in alike}
    return shortest | set(pages).difference(*alike)


@pytest.fixture(scope="module")
def faults(pages, examined, served, browser, axe):
    """Kind of fault → what was seen; every page is opened once."""
    found = defaultdict(list)
    browser.set_window_size(1280, 900)
    browser.set_script_timeout(120)
    for log in ("browser", "performance"):
        browser.get_log(log)  # what other tests opened in this browser is not looked at
    for page in pages:
        browser.get(f"{served}/{page}")
        logged = [line["message"] for line in browser.get_log("browser") if line["level"] == "SEVERE"]
        events = [json.loads(line["message"])["message"] for line in browser.get_log("performance")]
        asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
        look = browser.execute_script(LOOK)
        seen = {
            "error": logged,
            "request": [url for url in asked if not url.startswith((served, "data:", "blob:", "chrome"))],
            "heading": [] if look["headings"] == 1 and look["title"] else [f"{look['headings']}, {look['title']!r}"],
            "banner": [] if "simulated" in look["banner"] else [repr(look["banner"])],
            "image": look["images"],
        }
        if axe and page in examined:
            browser.execute_script(axe)
            seen["light"] = browser.execute_async_script(AXE, None, "light")
            seen["dark"] = browser.execute_async_script(AXE, ["color-contrast"], "dark")
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", NARROW)
        width = browser.execute_script("return document.documentElement.scrollWidth")
        seen["telephone"] = [f"{width} px wide"] if width > 390 else []
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        for kind, lines in seen.items():
            found[kind] += [f"{page}: {line}" for line in lines]
    return found


#: Kinds of faults: an error in the console, a request to another host, not one heading of the first order, a banner
#: that does not say that the brain is simulated, a broken image, scrolling sideways, and what axe calls serious or
#: critical in light mode, and of colours in dark mode.
@pytest.mark.parametrize("kind", ["error", "request", "heading", "banner", "image", "telephone", "light", "dark"])
def test_no_page_has_a_fault(faults, pages, axe, kind):
    if kind in ("light", "dark") and not axe:
        pytest.skip("axe-core is not there: pip install --no-deps axe-playwright-python, as `make setup` does")
    assert len(pages) >= 24
    assert not faults[kind], "\n".join(faults[kind])


# --- what a reader does ------------------------------------------------------------------------------------------


def wait_for(browser, script, *words):
    """The first true value that a script gives within ten seconds."""
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, 10).until(lambda b: b.execute_script(f"return {script}", *words), script)


def click(browser, selector):
    browser.execute_script("document.querySelector(arguments[0]).click()", selector)


def column(browser, table, index):
    """What the visible rows of a table show in one column."""
    script = (
        "return [...arguments[0].tBodies[0].rows].filter(r => !r.hidden).map(r => r.cells[arguments[1]].textContent)"
    )
    return browser.execute_script(script, table, index)


def test_an_executed_notebook_downloads_from_its_page(served, desk):
    desk.get(f"{served}/{NOTEBOOK}")
    link = desk.find_element("css selector", "a.btn-download-source-button").get_attribute("href")
    with urllib.request.urlopen(link) as answer:
        cells = json.loads(answer.read())["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert any("S01" in "".join(cell["source"]) for cell in code)  # with the parameters of this execution
    assert all(cell["execution_count"] for cell in code) and any(cell["outputs"] for cell in code)


def test_a_table_sorts_by_number_and_by_word(served, desk):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    desk.get(f"{served}/{NOTEBOOK}")
    table = max(desk.find_elements(By.CSS_SELECTOR, "table.results"), key=lambda t: len(column(desk, t, 0)))
    headings = table.find_elements(By.TAG_NAME, "th")
    number = [h.text.strip() for h in headings].index("all pairs")
    before = sorted(column(desk, table, number))
    for direction, sign in (("ascending", 1), ("descending", -1)):
        headings[number].find_element(By.TAG_NAME, "button").send_keys(Keys.ENTER)  # by the keyboard
        assert headings[number].get_attribute("aria-sort") == direction
        shown = [sign * float(text) for text in column(desk, table, number) if text != "–"]
        assert shown == sorted(shown) and len(set(shown)) > 5
    assert sorted(column(desk, table, number)) == before  # no row is lost
    headings[0].find_element(By.TAG_NAME, "button").send_keys(Keys.SPACE)
    assert headings[number].get_attribute("aria-sort") is None
    assert column(desk, table, 0) == sorted(column(desk, table, 0), key=str.lower)
    cells = ["12 %", "–", "1,234", "word", "-0.5", "9", ""]  # numbers by value, then words, then what is empty
    for sign, expected in (
        (1, ["-0.5", "9", "12 %", "1,234", "word", "–", ""]),
        (-1, ["1,234", "12 %", "9", "-0.5", "word", "–", ""]),
    ):
        script = "return arguments[0].sort((a, b) => compareCells(a, b, arguments[1]))"
        assert desk.execute_script(script, cells, sign) == expected


def test_a_long_table_filters(served, desk):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    desk.get(f"{served}/{NOTEBOOK}")
    bar = desk.find_element(By.CSS_SELECTOR, ".table-filter")
    table = bar.find_element(By.XPATH, "following-sibling::table")
    every = len(column(desk, table, 0))
    assert every > 15
    field = bar.find_element(By.TAG_NAME, "input")
    field.send_keys("VISUAL grouped")
    assert set(column(desk, table, 0)) == {"visual"}
    left = len(column(desk, table, 0))
    assert 0 < left < every and bar.text == f"{left} of {every} rows"
    field.send_keys(Keys.CONTROL, "a", Keys.BACKSPACE)
    assert len(column(desk, table, 0)) == every


def test_a_table_of_words_is_stacked_on_a_telephone(served, telephone):
    telephone.get(f"{served}/book/parameters.html")
    look = telephone.execute_script(
        "return [...document.querySelectorAll('table.stackable tbody td')].map(cell => { const box ="
        " cell.getBoundingClientRect(); return [box.left, box.right, cell.textContent.trim(),"
        " getComputedStyle(cell, '::before').content, cell.getAttribute('role')]; })"
    )
    seen = [cell for cell in look if cell[1] > cell[0]]
    assert len(seen) > 100 and all(left >= 0 and right <= 390 for left, right, *_ in seen)
    assert all(text and role == "cell" for *_, text, _, role in seen)  # what is empty is left out
    assert {heading for *_, heading, _ in seen} >= {'"default: "', '"unit: "', '"meaning: "'}


def test_a_wide_figure_keeps_its_size_on_a_telephone_and_moves_by_the_keyboard(served, telephone):
    telephone.get(f"{served}/book/index.html")
    frame = wait_for(telephone, "document.querySelector('figure .figure-frame')")
    width, inside, index = telephone.execute_script(
        "const f = arguments[0]; return [f.clientWidth, f.querySelector('img').clientWidth, f.tabIndex]", frame
    )
    assert width < 390 < 600 < inside and index == 0


def test_a_wide_page_has_tables_and_figures_as_they_are(served, desk):
    desk.get(f"{served}/book/index.html")
    frame = wait_for(desk, "document.querySelector('figure .figure-frame')")
    assert desk.execute_script("return arguments[0].scrollWidth <= arguments[0].clientWidth", frame)
    cell = "return getComputedStyle(document.querySelector('table.stackable td')).display"
    assert desk.execute_script(cell) == "table-cell"


@pytest.mark.parametrize(
    ("page", "folded", "content"),
    [(f"book/foundations-{name}.html", "details.sd-dropdown", ".sd-card-text") for name in ("fmri", "tasks", "rsa")]
    + [
        (NOTEBOOK, ".tag_hide-input details", ".highlight"),  # the code of a picture
        (NOTEBOOK, ".tag_injected-parameters details", ".highlight"),  # the parameters of the profile
    ],
)
def test_what_is_folded_away_opens(served, desk, page, folded, content):
    desk.get(f"{served}/{page}")
    visible = f"document.querySelector('{folded} {content}').checkVisibility()"
    assert desk.execute_script(f"return {visible}") is False
    click(desk, f"{folded} summary")
    assert wait_for(desk, visible)


def test_a_term_shows_its_definition_to_pointer_and_keyboard(served, desk):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    away = ActionChains(desk)
    away.w3c_actions.pointer_action.move_to_location(1, 1)  # the corner of the window: no term is there
    desk.get(f"{served}/book/decoding.html")
    box = desk.find_element(By.ID, "definition")
    first, second = desk.find_elements(By.CSS_SELECTOR, ".bd-article a:has(> .std-term)")[:2]
    assert not box.is_displayed() and not first.get_attribute("title")
    still = "arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})"  # else pages scroll smoothly
    desk.execute_script(f"{still}; arguments[0].focus({{preventScroll: true}})", first)
    assert "simulated" in box.text and first.get_attribute("aria-describedby") == box.get_attribute("id")
    desk.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert not box.is_displayed() and first.get_attribute("aria-describedby") is None
    ActionChains(desk).move_to_element(second).perform()
    assert "Regions may overlap" in box.text
    ActionChains(desk).move_to_element(box).pause(0.5).perform()
    assert box.is_displayed()  # it can be reached
    away.perform()
    assert wait_for(desk, "document.getElementById('definition').hidden")


def test_a_first_touch_shows_a_definition_and_a_second_follows_the_link(served, telephone):
    telephone.get(f"{served}/book/decoding.html")
    at = "document.querySelector('.bd-article a:has(> .std-term)')"
    touch = f"const a = {at}; for (const kind of ['pointerdown', 'click'])"
    touch += " a.dispatchEvent(new PointerEvent(kind, {pointerType: 'touch', bubbles: true, cancelable: true}))"
    telephone.execute_script(touch)
    assert wait_for(telephone, "!document.getElementById('definition').hidden")
    right = "document.getElementById('definition').getBoundingClientRect().right"
    assert telephone.execute_script(f"return {right}") <= 390
    assert telephone.current_url.endswith("decoding.html")
    telephone.execute_script(touch)
    assert wait_for(telephone, "location.hash") == "#term-Participant"


def test_dark_mode_switches(served, desk):
    desk.get(f"{served}/book/trust.html")
    seen = set()
    for _ in range(3):  # light, dark, as the system has it
        click(desk, ".theme-switch-button")
        seen.add(desk.execute_script("return getComputedStyle(document.body).backgroundColor"))
    assert len(seen) == 2


def test_the_search_finds_a_term(served, desk):
    desk.get(f"{served}/search.html?q=haemodynamic")
    found = wait_for(desk, "[...document.querySelectorAll('#search-results li a')].map(a => a.pathname)")
    assert any("foundations-fmri" in path for path in found)
