"""The whole chain on a tiny profile: Snakemake, papermill, Jupyter Book, and a look at the pages in a browser."""

import functools
import http.server
import json
import re
import shutil
import threading
from html import unescape
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pytest
import yaml

import kill_runs
from braintune.core import base, store
from braintune.core.base import BraintuneError
from braintune.core.study import Study
from braintune.results import checks, claims, prose
from braintune.workflow import verify
from braintune.workflow.book import build, pdf, reference_pages
from braintune.workflow.execute import execute
from braintune.workflow.jobs import all_jobs, executed_notebook, make_job, read_notebook
from chain import run_chain

SIMULATED = "simulated"


class TestRun:
    def test_every_job_leaves_its_notebook_and_a_line_of_progress(self, built):
        jobs = all_jobs(built.run)
        assert len(jobs) == 4 + 1 + 2 + 1 + 1
        for job in jobs:
            assert executed_notebook(built.run, job).is_file()
            assert job.label in built.told
        assert not list(built.run.folder.rglob("*.failed.ipynb"))

    def test_decoding_tables_are_tidy_and_complete(self, built):
        table = store.read_table(built.run.decoding_file("simulated", "S01"))
        assert {"brain", "participant", "region", "representation", "task", "method", "seed", "layer", "folds",
                "fold", "alpha", "pairwise", "pairwise_strict", "mse", "rank"} <= set(table.columns)  # fmt: skip
        assert set(table["representation"]) == {r.name for r in built.run.representations()}
        assert set(table["folds"]) == {"shuffled", "grouped"}
        assert set(table.loc[table["method"] == "untuned", "layer"]) == set(range(7))
        assert not table.duplicated(["region", "representation", "layer", "folds", "fold"]).any()
        assert table[["pairwise", "mse"]].notna().all().all()

    def test_the_ledger_is_kept_and_told(self, built):
        kept = store.read_json(claims.ledger_file(built.run))
        assert set(kept["brains"]["simulated"]["claims"]) == set(claims.CLAIMS)
        assert len(kept["signatures"]) == len(checks.SIGNATURES)
        assert "claims: simulated (simulated): C1 " in built.told and "failure signatures found" in built.told

    def test_provenance_is_complete(self, built):
        facts = store.read_json(built.run.folder / "provenance.json")
        assert set(facts) == {"profile", "code", "versions", "machine", "data", "fingerprints", "seconds"}
        assert all(facts["seconds"].values())

    def test_every_file_is_recorded_and_as_it_was_made(self, built):
        found = verify.verify(built.run)
        assert [str(finding) for finding in found if finding.state != "as made"] == []
        made = {finding.file for finding in found}
        kept = [p for suffix in ("parquet", "safetensors", "svg", "png") for p in built.run.folder.rglob(f"*.{suffix}")]
        kept = {p.relative_to(built.run.folder).as_posix() for p in kept}
        assert {name for name in kept if not name.startswith("book/")} <= made

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
        assert "Nothing to be done" in done.stdout + done.stderr

    def test_a_changed_parameter_reruns_what_depends_on_it_and_nothing_else(self, built):
        values = yaml.safe_load(built.profile.read_text(encoding="utf-8")) | {"permutations": 6}
        whole = built.profile.read_text(encoding="utf-8")
        built.profile.write_text(yaml.safe_dump(values), encoding="utf-8")
        done = run_chain(built.profile, "--dry-run")
        built.profile.write_text(whole, encoding="utf-8")
        rerun = set(re.findall(r"^(?:local)?rule (\w+):", done.stdout, flags=re.MULTILINE))
        assert rerun == {"decoding", "rsa", "figures", "book", "all"}

    def test_the_same_profile_gives_the_same_tables_bit_for_bit(self, built, tmp_path):
        values = yaml.safe_load(built.profile.read_text(encoding="utf-8")) | {"runs": str(tmp_path / "runs")}
        again = tmp_path / "tiny.yml"
        again.write_text(yaml.safe_dump(values), encoding="utf-8")
        target = Study.load(again)
        figures = executed_notebook(target, make_job("rsa", brain="simulated"))
        decoded = [target.decoding_file("simulated", p) for p in ("S01", "S02")]
        done = run_chain(again, "--quiet", "all", "--", str(figures), *map(str, decoded))
        assert done.returncode == 0, done.stderr[-3000:]
        assert kill_runs.faults(built.run.folder, target) == []
        assert len(kill_runs.kept(target.folder)) > 15

    def test_a_failed_notebook_is_kept_and_named(self, built, monkeypatch):
        job = make_job("decoding", brain="simulated", participant="S99")
        with pytest.raises(BraintuneError, match=r"S99.*failed in cell \d.*\n.*S99\.failed\.ipynb"):
            execute(str(built.profile), job)
        kept = executed_notebook(built.run, job).with_suffix(".failed.ipynb")
        assert "S99" in kept.read_text(encoding="utf-8")
        kept.unlink()


class TestMixture:
    def test_a_page_of_another_run_is_refused(self, built):
        page = executed_notebook(built.run, make_job("rsa", brain="simulated"))
        whole = page.read_text(encoding="utf-8")
        content = json.loads(whole)
        content["metadata"]["braintune"]["fingerprint"] = "0" * 16
        page.write_text(json.dumps(content), encoding="utf-8")
        try:
            with pytest.raises(BraintuneError, match="rsa · simulated has fingerprint 0000"):
                build.collect(built.run)
        finally:
            page.write_text(whole, encoding="utf-8")

    def test_a_missing_page_is_named(self, built):
        page = executed_notebook(built.run, make_job("rsa", brain="simulated"))
        aside = page.rename(page.with_suffix(".aside"))
        try:
            with pytest.raises(BraintuneError, match=r"rsa · simulated is not there.*make book PROFILE=tiny"):
                build.collect(built.run)
        finally:
            aside.rename(page)


# --- in a browser ------------------------------------------------------------------------------------------------


def pages_of(run):
    html = run.book_page.parent
    found = [p.relative_to(html).as_posix() for p in sorted(html.rglob("*.html"))]
    other = ("index.html", "genindex.html", "py-modindex.html", "search.html")  # the first one leads to book/index.html
    return [p for p in found if not p.startswith("_") and p not in other]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words):
        pass


@pytest.fixture(scope="module")
def served(built):
    handler = functools.partial(Quiet, directory=built.run.book_page.parent)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_every_page_in_the_browser(built, served, browser):
    every = pages_of(built.run)
    assert len(every) >= 24
    faults = []
    for page in every:
        browser.set_window_size(1280, 900)
        browser.get(f"{served}/{page}")
        faults += [f"{page}: {line['message']}" for line in browser.get_log("browser") if line["level"] == "SEVERE"]
        requests = [json.loads(e["message"])["message"] for e in browser.get_log("performance")]
        asked = [r["params"]["request"]["url"] for r in requests if r["method"] == "Network.requestWillBeSent"]
        faults += [
            f"{page} asks for {url}" for url in asked if not url.startswith((served, "data:", "blob:", "chrome"))
        ]
        look = browser.execute_script(
            "return {h1: document.querySelectorAll('article h1').length, title: document.title,"
            " images: [...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src),"
            " banner: document.querySelector('.bd-header-announcement')?.innerText || ''}"
        )
        if look["h1"] != 1 or not look["title"]:
            faults.append(f"{page}: {look['h1']} headings of the first order, title {look['title']!r}")
        if SIMULATED not in look["banner"]:
            faults.append(f"{page}: the banner does not say that the brain is simulated: {look['banner']!r}")
        faults += [f"{page}: broken image {source}" for source in look["images"]]
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride", {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
        )
        width = browser.execute_script("return document.documentElement.scrollWidth")
        if width > 390:
            faults.append(f"{page}: scrolls sideways at 390 px ({width} px wide)")
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert not faults, "\n".join(faults)


#: What axe is not asked, and why.
NOT_ASKED = {
    "iframes": False,  # the brain view is nilearn's own document, a canvas; its frame has a title, which is checked
    "resultTypes": ["violations"],
}


@pytest.fixture(scope="module")
def axe():
    """The source of axe-core; its package is installed without what it wants, a browser of another make."""
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        files = distribution("axe-playwright-python").files
    except PackageNotFoundError:
        pytest.skip("axe-core is not there: pip install --no-deps axe-playwright-python, as `make setup` does")
    return next(f for f in files if f.name == "axe.min.js").locate().read_text(encoding="utf-8")


#: Colours that are on their way from one mode to the other are nobody's.
STILL = "document.head.insertAdjacentHTML('beforeend', '<style>* { transition: none !important; }</style>')"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_shuts_anyone_out(built, served, browser, axe, scheme):
    """No violation that axe calls serious or critical, on any page; in dark mode colours are what differs."""
    asked = NOT_ASKED | ({"runOnly": ["color-contrast"]} if scheme == "dark" else {})
    look = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.set_window_size(1280, 900)
    browser.set_script_timeout(120)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", look)
    faults = []
    try:
        for page in pages_of(built.run):
            browser.get(f"{served}/{page}")
            assert browser.execute_script("return document.documentElement.dataset.theme") in (scheme, None)
            browser.execute_script(STILL)
            browser.execute_script(axe)
            found = browser.execute_async_script(
                "const done = arguments[1]; axe.run(arguments[0]).then(r => done(r.violations.map(v =>"
                " [v.id, v.impact, v.nodes.length, v.nodes[0].html.slice(0, 150)])), e => done([['failed', 'critical', 1, `${e}`]]))",
                asked,
            )
            faults += [f"{page}: {v}" for v in found if v[1] in ("serious", "critical")]
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert not faults, "\n".join(faults)


def test_every_picture_says_what_it_shows(built):
    html = built.run.book_page.parent
    seen, silent = 0, []
    for page in pages_of(built.run):
        for tag, given in _Tags((html / page).read_text(encoding="utf-8")).found:
            if tag in ("img", "object", "iframe"):
                words = given.get("title" if tag == "iframe" else "alt") or ""
                seen += 1
                if len(words.split()) < 3 or "_images" in words:
                    silent.append(f"{page}: {tag} says {words!r}")
    assert seen > 20
    assert not silent, "\n".join(silent)


def test_no_file_of_the_book_names_another_host(built):
    """What a page loads by itself; a link that a reader may follow is another matter."""
    html = built.run.book_page.parent
    loads = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href", "object": "data"}
    abroad, seen = [], 0
    for page in html.rglob("*.html"):
        for tag, given in _Tags(page.read_text(encoding="utf-8")).found:
            place = given.get(loads.get(tag, "")) or ""
            seen += bool(place)
            if place.startswith(("http:", "https:", "//")) and given.get("rel") != "canonical":
                abroad.append(f"{page.relative_to(html)}: {tag} {place}")
    for style in html.rglob("*.css"):
        abroad += [
            f"{style.relative_to(html)}: {place}"
            for place in re.findall(
                r"(?:url\(|@import)\s*[\"']?((?:https?:)?//[^\"')]+)", style.read_text(encoding="utf-8")
            )
        ]
    assert seen > 200
    assert not abroad, "\n".join(abroad)


def test_the_front_door_leads_to_the_front_page(built):
    door = built.run.book_page.read_text(encoding="utf-8")
    assert "url=book/index.html" in door
    assert "book/index.html" in pages_of(built.run)  # where headings and banner are looked at


def test_the_reference_holds_every_public_function_once(built):
    import ast

    html = built.run.book_page.parent
    pages_there = [p for p in (html / "book" / "api").glob("*.html")]
    assert {p.stem for p in pages_there} == {room.name for room in reference_pages.ROOMS}
    ids = [given.get("id") for p in pages_there for _, given in _Tags(p.read_text(encoding="utf-8")).found]
    for path in reference_pages.library():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for item in tree.body:
            if isinstance(item, ast.FunctionDef | ast.ClassDef) and path.stem != "__init__":
                public = not item.name.startswith("_") and ast.get_docstring(item) is not None
                assert ids.count(f"braintune.{path.stem}.{item.name}") == public, (path.stem, item.name)


def test_the_workflow_is_drawn_as_snakemake_tells_it(built):
    page = (built.run.book_page.parent / "book" / "run.html").read_text(encoding="utf-8")
    shown = next(given["alt"] for tag, given in _Tags(page).found if tag == "img" and "workflow" in given["src"])
    assert "tuning (4 jobs)" in shown and "decoding (2 jobs) after embeddings" in shown
    assert "figures (1 job) after decoding and rsa" in shown


def test_the_book_is_built_again_when_what_it_shows_changes(built):
    from_these = set(build.sources())
    assert {str(path) for path in reference_pages.library()} <= from_these
    assert {str(base.REPOSITORY / name) for name in ("Snakefile", "_toc.yml", "_config.yml")} <= from_these


def words_of(sheet):
    """What a page of a PDF says; a picture of very many strokes is more than pypdf is willing to read, and says none."""
    from pypdf.errors import LimitReachedError

    try:
        return sheet.extract_text()
    except LimitReachedError:
        return ""


def test_the_book_is_printed(built):
    if not any(shutil.which(name) for name in pdf.BROWSERS):
        pytest.skip("no Chromium: on Debian, apt install chromium")
    from pypdf import PdfReader

    reader = PdfReader(pdf.build(str(built.profile)))
    sheets = [words_of(sheet) for sheet in reader.pages]
    assert "simulated" in sheets[0] and "the other 4" in sheets[0]  # 9 notebooks, 5 steps
    contents = " ".join(" ".join(sheets[1:5]).split())
    for title in ("What does fMRI measure?", "How do I run it?", "Parameters of a run", "Bibliography"):
        number = re.search(rf"{re.escape(title)}\s*(\d+)", contents)
        assert number, title
        assert title in " ".join(sheets[int(number[1]) - 1].split())  # it stands where the contents say
    assert len(reader.outline) > 0
    assert "about two to four millimetres a voxel" in " ".join(" ".join(sheets).split())  # hidden answers are shown


def test_every_quoted_number_reaches_its_page(built):
    kept = store.read_json(prose.results_file(built.run))

    def words(markup):
        return re.sub(r"\W+", "", unescape(re.sub(r"<[^>]*>", "", markup)))

    asked = 0
    for page in sorted((base.REPOSITORY / "book").glob("*.md")):
        html = (built.run.book_page.parent / "book" / f"{page.stem}.html").read_text(encoding="utf-8")
        names = re.findall(r"{{ (\w+) }}", page.read_text(encoding="utf-8"))
        assert not [name for name in names if words(kept[name]) not in words(html)], page.name
        asked += len(names)
    assert asked > 30


def test_pages_stay_below_their_budget(built):
    html = built.run.book_page.parent
    sizes = {page: (html / page).stat().st_size for page in pages_of(built.run)}
    assert max(sizes.values()) < 5e6, max(sizes, key=sizes.get)


def test_every_executed_notebook_can_be_downloaded(built):
    html = built.run.book_page.parent
    for job in all_jobs(built.run):
        assert (html / "_sources" / f"{build._page(job)}.ipynb").is_file()


def test_an_executed_notebook_downloads_from_its_page(built, served, browser, tmp_path):
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    browser.get(f"{served}/{A_NOTEBOOK}")
    link = browser.find_element("css selector", "article .notebook-download a")
    assert link.is_displayed()
    link.click()
    from selenium.webdriver.support.ui import WebDriverWait

    kept = WebDriverWait(browser, 20).until(lambda _: list(tmp_path.glob("*.ipynb")))
    cells = json.loads(kept[0].read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert any("S01" in "".join(cell["source"]) for cell in code)  # with the parameters of this execution
    assert all(cell["execution_count"] for cell in code) and any(cell["outputs"] for cell in code)


# --- what a reader does ------------------------------------------------------------------------------------------

A_NOTEBOOK = "book/results/decoding/simulated_S01.html"


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


def test_a_table_sorts_by_number_and_by_word(built, served, browser):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    browser.get(f"{served}/{A_NOTEBOOK}")
    table = max(browser.find_elements(By.CSS_SELECTOR, "table.results"), key=lambda t: len(column(browser, t, 0)))
    headings = table.find_elements(By.TAG_NAME, "th")
    number = [h.text.strip() for h in headings].index("all pairs")
    before = sorted(column(browser, table, number))
    for direction, sign in (("ascending", 1), ("descending", -1)):
        headings[number].find_element(By.TAG_NAME, "button").send_keys(Keys.ENTER)  # by the keyboard
        assert headings[number].get_attribute("aria-sort") == direction
        shown = [sign * float(text) for text in column(browser, table, number) if text != "–"]
        assert shown == sorted(shown) and len(set(shown)) > 5
    assert sorted(column(browser, table, number)) == before  # no row is lost
    headings[0].find_element(By.TAG_NAME, "button").send_keys(Keys.SPACE)
    assert headings[number].get_attribute("aria-sort") is None
    assert column(browser, table, 0) == sorted(column(browser, table, 0), key=str.lower)


@pytest.fixture
def telephone(browser):
    """The browser, as narrow as a telephone."""
    narrow = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", narrow)
    yield browser
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


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


def test_a_wide_page_has_tables_and_figures_as_they_are(served, browser):
    browser.set_window_size(1280, 900)
    browser.get(f"{served}/book/index.html")
    frame = wait_for(browser, "document.querySelector('figure .figure-frame')")
    assert browser.execute_script("return arguments[0].scrollWidth <= arguments[0].clientWidth", frame)
    cell = "return getComputedStyle(document.querySelector('table.stackable td')).display"
    assert browser.execute_script(cell) == "table-cell"


def test_numbers_sort_by_value_and_empty_cells_come_last(built, served, browser):
    browser.get(f"{served}/{A_NOTEBOOK}")
    cells = ["12 %", "–", "1,234", "word", "-0.5", "9", ""]
    for sign, expected in (
        (1, ["-0.5", "9", "12 %", "1,234", "word", "–", ""]),
        (-1, ["1,234", "12 %", "9", "-0.5", "word", "–", ""]),
    ):
        script = "return arguments[0].sort((a, b) => compareCells(a, b, arguments[1]))"
        assert browser.execute_script(script, cells, sign) == expected


def test_a_long_table_filters(built, served, browser):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    browser.get(f"{served}/{A_NOTEBOOK}")
    bar = browser.find_element(By.CSS_SELECTOR, ".table-filter")
    table = bar.find_element(By.XPATH, "following-sibling::table")
    every = len(column(browser, table, 0))
    assert every > 15
    field = bar.find_element(By.TAG_NAME, "input")
    field.send_keys("VISUAL grouped")
    assert set(column(browser, table, 0)) == {"visual"}
    left = len(column(browser, table, 0))
    assert 0 < left < every and bar.text == f"{left} of {every} rows"
    field.send_keys(Keys.CONTROL, "a", Keys.BACKSPACE)
    assert len(column(browser, table, 0)) == every


def test_a_hidden_answer_opens(built, served, browser):
    for page in ("fmri", "tasks", "rsa"):
        browser.get(f"{served}/book/foundations-{page}.html")
        answer = "document.querySelector('details.sd-dropdown .sd-card-text').checkVisibility()"
        assert browser.execute_script(f"return {answer}") is False
        click(browser, "details.sd-dropdown summary")
        assert wait_for(browser, answer)


def test_code_of_a_picture_is_hidden_until_asked_for(built, served, browser):
    browser.get(f"{served}/{A_NOTEBOOK}")
    code = "document.querySelector('.tag_hide-input details .highlight').checkVisibility()"
    assert browser.execute_script(f"return {code}") is False
    click(browser, ".tag_hide-input details summary")
    assert wait_for(browser, code)


def test_the_parameters_of_the_profile_are_folded_away(built, served, browser):
    browser.get(f"{served}/{A_NOTEBOOK}")
    cells = "[...document.querySelectorAll('.tag_injected-parameters')].map(c => [c.textContent.includes('S01'),"
    shown = browser.execute_script(f"return {cells} c.querySelector('.highlight').checkVisibility()])")
    assert shown == [[True, False]]


def test_dark_mode_switches(built, served, browser):
    browser.get(f"{served}/book/trust.html")
    seen = set()
    for _ in range(3):  # light, dark, as the system has it
        click(browser, ".theme-switch-button")
        seen.add(browser.execute_script("return getComputedStyle(document.body).backgroundColor"))
    assert len(seen) == 2


def test_the_search_finds_a_term(built, served, browser):
    browser.get(f"{served}/search.html?q=haemodynamic")
    found = wait_for(browser, "[...document.querySelectorAll('#search-results li a')].map(a => a.pathname)")
    assert any("foundations-fmri" in path for path in found)


class _Tags(HTMLParser):
    """The elements of a page, each with its attributes."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


class _Links(HTMLParser):
    """The targets and the anchors of a page."""

    def __init__(self, text):
        super().__init__()
        self.targets, self.anchors = [], {"", "top"}
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.anchors.add(given.get("id") or given.get("name") or "")
        self.targets += [given[k] for k in ("href", "src") if given.get(k)]


def test_every_internal_link_leads_somewhere(built):
    html = built.run.book_page.parent
    read = {path.resolve(): _Links(path.read_text(encoding="utf-8")) for path in html.rglob("*.html")}
    followed, dead = 0, []
    for path, links in read.items():
        if "_static" in path.parts:
            continue
        for target in links.targets:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            to = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            known = read[to].anchors if to in read else {unquote(parts.fragment)}
            if not to.exists() or unquote(parts.fragment) not in known:
                dead.append(f"{path.relative_to(html.resolve())} → {target}")
            followed += 1
    assert followed > 500
    assert not dead, "\n".join(sorted(set(dead)))
