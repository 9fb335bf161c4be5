"""Nothing that is read can run: no unsafe call in the project, and text from data reaches a page as text only."""

import ast
import html.parser
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from braintune.core import base
from braintune.datasets import tasks
from braintune.datasets.brains.base import Stimuli, read_array, read_keys
from braintune.results import prose, quotes

# --- the scan ----------------------------------------------------------------------------------------------------

#: Modules whose readers run what they read.
PICKLERS = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "shelve", "marshal", "joblib"}
#: Names that run text or unpickle, wherever they are called.
UNSAFE_NAMES = {"eval", "exec", "compile", "__import__"}
#: Functions that do, or that leave a way out of a folder.
UNSAFE_CALLS = {
    "yaml.unsafe_load": "builds any object that a file names",
    "yaml.full_load": "builds objects that a file names",
    "os.system": "runs a shell",
    "os.popen": "runs a shell",
    "subprocess.getoutput": "runs a shell",
    "tempfile.mktemp": "names a file that another may make first",
    "shutil.unpack_archive": "does not check where members of an archive go",
}
#: The same of methods, by their own name.
UNSAFE_METHODS = {"read_pickle": "reads pickle", "to_pickle": "writes pickle"}
#: What listens; each must be bound to this machine alone.
SERVERS = {"HTTPServer", "ThreadingHTTPServer", "TCPServer", "ThreadingTCPServer", "UDPServer"}
LOOPBACK = {"127.0.0.1", "localhost", "::1"}


def unsafe(source: str) -> list[str]:
    """Return `line: what` for each unsafe call or import in a piece of Python."""
    return [f"{node.lineno}: {why}" for node in ast.walk(ast.parse(source)) for why in _faults(node)]


def _faults(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
        yield from (f"imports {name}" for name in names if name.split(".")[0] in PICKLERS)
    if not isinstance(node, ast.Call):
        return
    called = ast.unparse(node.func)
    last = called.split(".")[-1]
    given = {word.arg: word.value for word in node.keywords if word.arg}
    if called in UNSAFE_NAMES:
        yield f"{called} runs text"
    if why := UNSAFE_CALLS.get(called) or UNSAFE_METHODS.get(last):
        yield f"{called} {why}"
    for name in ("allow_pickle", "trust_remote_code", "shell"):
        if name in given and not _is(given[name], False):
            yield f"{called} with {name}"
    if called == "torch.load" and not _is(given.get("weights_only"), True):
        yield "torch.load without weights_only=True"
    if called == "yaml.load" and not _safe_loader(node, given):
        yield "yaml.load without a safe loader"
    if last in ("extractall", "extract") and not _filtered(given.get("filter")):
        yield f"{called} without filter='data'"
    if last in SERVERS and not _loopback(node):
        yield f"{called} is not bound to this machine alone"


def _is(value: ast.expr | None, wanted: bool) -> bool:
    return isinstance(value, ast.Constant) and value.value is wanted


def _safe_loader(node: ast.Call, given: dict[str, ast.expr]) -> bool:
    loader = given.get("Loader") or (node.args[1] if len(node.args) > 1 else None)
    return loader is not None and ast.unparse(loader).split(".")[-1] in ("SafeLoader", "CSafeLoader")


def _filtered(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Constant) and value.value == "data"


def _loopback(node: ast.Call) -> bool:
    address = node.args[0] if node.args else None
    host = address.elts[0] if isinstance(address, ast.Tuple) and address.elts else None
    return isinstance(host, ast.Constant) and host.value in LOOPBACK


def pieces() -> Iterator[tuple[str, str]]:
    """Yield name and source of all Python of the project: library, tests, scripts for data, notebooks."""
    for path in sorted(
        path for folder in ("lib", "tests", "data/get") for path in (base.REPOSITORY / folder).rglob("*.py")
    ):
        yield path.relative_to(base.REPOSITORY).as_posix(), path.read_text(encoding="utf-8")
    for path in sorted((base.REPOSITORY / "notebooks").glob("*.ipynb")):
        for i, cell in enumerate(nbformat.read(path, as_version=4).cells):
            if cell.cell_type == "code":
                yield f"notebooks/{path.name}, cell {i}", cell.source


#: What the scan finds and is safe: code of this repository itself, a loader that is yaml's safe one or its form in C, and
#: commands that messages of the library advise, which tests try on files of their making.
ALLOWED = {
    "tests/datasets/brains/test_misreadings.py: exec runs text",
    "tests/datasets/test_tasks.py: subprocess.run with shell",
    "tests/workflow/test_notebooks.py: exec runs text",
    "lib/braintune/datasets/microworld/lexicon.py: yaml.load without a safe loader",
}


def test_nothing_in_the_project_runs_what_it_reads():
    found = {f"{name}: {fault.split(': ', 1)[1]}" for name, source in pieces() for fault in unsafe(source)}
    assert found == ALLOWED


def test_the_scan_sees_the_whole_project():
    names = [name for name, _ in pieces()]
    assert sum(name.startswith("lib/") for name in names) == len(list((base.REPOSITORY / "lib").rglob("*.py"))) > 40
    assert sum(name.startswith("notebooks/") for name in names) > 40


BAD = [
    "import pickle",
    "from pickle import loads",
    "import joblib",
    "from cloudpickle import dump",
    "np.load(path, allow_pickle=True)",
    "np.load(path, allow_pickle=anything)",
    "pd.read_pickle(path)",
    "table.to_pickle(path)",
    "torch.load(path)",
    "torch.load(path, weights_only=False)",
    "import joblib.numpy_pickle",
    "AutoModel.from_pretrained(name, trust_remote_code=True)",
    "yaml.load(text)",
    "yaml.load(text, Loader=yaml.Loader)",
    "yaml.load(text, yaml.FullLoader)",
    "yaml.unsafe_load(text)",
    "subprocess.run(words, shell=True)",
    "os.system(words)",
    "os.popen(words)",
    "eval(text)",
    "exec(text)",
    "archive.extractall(folder)",
    "archive.extractall(folder, filter='fully_trusted')",
    "shutil.unpack_archive(path)",
    "HTTPServer(('', 8000), handler)",
    "http.server.ThreadingHTTPServer(('0.0.0.0', 0), handler)",
    "def f():\n    class A:\n        x = lambda: eval('1')",
]
GOOD = [
    "np.load(path, allow_pickle=False)",
    "torch.load(path, weights_only=True)",
    "AutoModel.from_pretrained(name, trust_remote_code=False)",
    "yaml.safe_load(text)",
    "yaml.load(text, Loader=yaml.SafeLoader)",
    "subprocess.run(words)",
    "subprocess.run(words, shell=False)",
    "model.eval()",
    "archive.extractall(folder, filter='data')",
    "http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)",
    "re.compile(text)",
]


@pytest.mark.parametrize(
    ("source", "faulty"), [(source, True) for source in BAD] + [(source, False) for source in GOOD]
)
def test_the_scan_finds_what_is_unsafe_and_nothing_else(source, faulty):
    assert bool(unsafe(source)) == faulty


# --- what listens ------------------------------------------------------------------------------------------------

#: What starts a server → the words that bind it to this machine alone.
BOUND = {"jupyter lab": r"--ip 127\.0\.0\.1\b"}


def open_to_all(recipe: str) -> list[str]:
    """Return the lines of a Makefile that start a server for other machines too."""
    lines = [line for line in recipe.splitlines() if line.startswith("\t") and not line.startswith("\t@echo")]
    return [line for line in lines for start, bound in BOUND.items() if start in line and not re.search(bound, line)]


def test_commands_that_serve_are_bound_to_this_machine():
    recipe = (base.REPOSITORY / "Makefile").read_text(encoding="utf-8")
    assert all(start in recipe for start in BOUND)
    assert open_to_all(recipe) == []
    assert len(open_to_all(recipe.replace(" --ip 127.0.0.1", ""))) == 1


# --- hostile text ------------------------------------------------------------------------------------------------

HOSTILE = [
    "<script>document.title = 'taken'</script>",
    "<img src=x onerror=\"document.title='taken'\">",
    "</td></table><svg onload=alert(1)>",
    "[a link](javascript:alert(1))",
    "<a href='javascript:alert(1)'>a link</a>",
    "{glue:text}`standing` and {eval}`1`",
    "```{code-cell}\nraise SystemExit\n```",
    "```{raw} html\n<script>alert(1)</script>\n```",
    "<!-- --><iframe srcdoc='<script>alert(1)</script>'>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "--><style>body{display:none}</style>",
    "$\\href{javascript:alert(1)}{x}$",
]
#: Tags that the project's own tables and paragraphs are made of.
HARMLESS = {"table", "thead", "tbody", "tr", "th", "td", "p", "strong"}


class Tags(html.parser.HTMLParser):
    """Collect the tags of a piece of HTML, their attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.attributes, self.text = [], [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attributes]

    def handle_data(self, data):
        self.text += data


def hostile_task(text):
    row = {"sentence": text, "label": text, text: text}
    task = tasks.TASKS["sentiment"]
    return tasks.TaskData(task, [row], [], [row], (text,), {}, {}, {})


def shown(text):
    """Everything that puts a text from data on a page as HTML."""
    data = SimpleNamespace(name=text, simulated=False, participants=(text,), regions=(text,), stimuli=None)
    data.stimuli = Stimuli([text], [text], np.zeros(1, dtype=int))
    words = tasks.TaskData(tasks.TASKS["ner"], [{"tokens": [text], "tags": [text]}], [], [], (), {}, {}, {})
    return {
        "example": prose.example(hostile_task(text)).data,
        "example of words": prose.example(words).data,
        "facts": prose.facts({text: text}).data,
        "show": prose.show(pd.DataFrame({text: [text]})).data,
        "brain facts": prose.brain_facts(data).data,
    }


@pytest.mark.parametrize("text", HOSTILE)
def test_text_from_data_is_text_in_every_table(text):
    for what, content in shown(text).items():
        found = Tags(content)
        assert set(found.tags) <= HARMLESS, what
        assert {name for _, name, _ in found.attributes} <= {"class", "scope", "style", "border"}, what
        assert text in found.text, what  # whole, and as it was written


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """A notebook and a page that quotes results, both of hostile text, as the book renders them; no kernel is started."""
    folder = tmp_path_factory.mktemp("hostile")
    cells = [new_markdown_cell("# Hostile text")]
    for text in HOSTILE:
        for content in shown(text).values():
            output = new_output("execute_result", {"text/html": content, "text/plain": "a table"}, execution_count=1)
            cells.append(new_code_cell("prose.show(table)", outputs=[output], execution_count=1))
        said = prose.say(f"The region {text} comes first.").data
        output = new_output("execute_result", {"text/markdown": said, "text/plain": "a text"}, execution_count=1)
        cells.append(new_code_cell("prose.say(text)", outputs=[output], execution_count=1))
    nbformat.write(new_notebook(cells=cells), folder / "index.ipynb")
    quoted = {f"said_{i}": f"The region {text} comes first." for i, text in enumerate(HOSTILE)}
    quoted |= {f"table_{i}": pd.DataFrame({text: [text]}) for i, text in enumerate(HOSTILE)}
    quotes.write(SimpleNamespace(shown_folder=lambda source: folder), quoted)
    lines = [f"{{{{ {name} }}}}\n" for name in quoted]
    lines += [f"In a sentence: {{{{ {name} }}}}\n" for name in quoted if name.startswith("said")]
    (folder / "quoted.md").write_text("\n".join(["---\norphan: true\n---\n# Hostile text\n", *lines]))
    (folder / "conf.py").write_text(
        'import json, pathlib\nmyst_substitutions = json.loads(pathlib.Path("results.json").read_text())\n'
        'smartquotes = False\nextensions = ["myst_nb"]\nnb_execution_mode = "off"\nhtml_theme = "basic"\n'
        'myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath", "substitution", "tasklist"]\n'
    )
    words = [sys.executable, "-m", "sphinx", "-q", "-b", "html", str(folder), str(folder / "html")]
    done = subprocess.run(words, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "html"


@pytest.mark.parametrize(("name", "times"), [("index", 7), ("quoted", 3)])
def test_a_page_holds_no_markup_and_no_script_from_data(rendered, name, times):
    page = rendered / f"{name}.html"
    body = Tags(page.read_text(encoding="utf-8").split('id="hostile-text">')[1].split("</section>")[0])
    assert not {"script", "img", "svg", "iframe", "style"} & set(body.tags)
    assert {value for tag, name, value in body.attributes if (tag, name) == ("a", "href")} == {"#hostile-text"}
    assert not [a for a in body.attributes if a[1].startswith("on") or "javascript:" in a[2]]
    plain = " ".join(body.text.split())
    for text in HOSTILE:
        assert plain.count(" ".join(text.split())) >= times, text  # in each of the tables


def test_the_pages_test_would_see_it():
    open_page = Tags("".join(HOSTILE))
    assert {"script", "img", "svg", "iframe", "style", "a"} <= set(open_page.tags)
    assert [a for a in open_page.attributes if a[1].startswith("on")]


def looked_at(browser, page):
    """What a browser makes of a page: an alert, or its title, how its body is displayed, and its links to scripts."""
    from selenium.common.exceptions import NoAlertPresentException

    browser.get(page.as_uri())
    try:
        browser.switch_to.alert.accept()
        return "an alert"
    except NoAlertPresentException:
        return browser.execute_script(
            "return [document.title, getComputedStyle(document.body).display,"
            " [...document.links].map(link => link.href).filter(href => href.startsWith('javascript'))]"
        )


def test_a_browser_runs_nothing_of_the_data(rendered, browser, tmp_path):
    for name in ("index", "quoted"):
        title, display, links = looked_at(browser, rendered / f"{name}.html")
        assert title.startswith("Hostile text") and display == "block" and links == []
    for text, seen in ((HOSTILE[0], "taken"), (HOSTILE[2], "an alert"), (HOSTILE[10], "none")):  # as it would be
        bare = tmp_path / "bare.html"
        bare.write_text(f"<title>Bare</title><table><tr><td>{text}", encoding="utf-8")
        assert seen in looked_at(browser, bare)


# --- archives ----------------------------------------------------------------------------------------------------


def test_members_of_an_archive_cannot_leave_their_folder(tmp_path):
    """An .npz file is a zip file; it is read in place and nothing of it is written."""
    import zipfile

    path = tmp_path / "data" / "P01.npz"
    path.parent.mkdir()
    np.savez(path, IFG=np.eye(3))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../../outside.npy", b"x")
        archive.writestr("/outside.npy", b"x")
    before = sorted(tmp_path.rglob("*"))
    assert read_keys(path)[0] == "IFG"
    assert read_array(path, "IFG").shape == (3, 3)
    assert sorted(tmp_path.rglob("*")) == before
    shutil.rmtree(path.parent)


def test_an_array_of_objects_is_refused(tmp_path):
    path = tmp_path / "P01.npz"
    np.savez(path, IFG=np.array([[Path("x")], [None]], dtype=object))
    with pytest.raises(base.BraintuneError, match=r"numeric array 'IFG' .*allow_pickle=False"):
        read_array(path, "IFG")
