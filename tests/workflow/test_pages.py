"""What is made while a book is built: reference, picture of the workflow, mended pages, the PDF."""

from collections import Counter
from types import SimpleNamespace

import pytest
import yaml

from braintune.core import base
from braintune.core.base import BraintuneError
from braintune.core.study import Study
from braintune.workflow.book import diagram, pdf, reference_pages, sphinx
from braintune.workflow.jobs import STEPS, all_jobs

DAG = """digraph snakemake_dag {
	0[label = "all", color = "0.00 0.6 0.85", style="rounded"];
	1[label = "book", color = "0.10 0.6 0.85", style="rounded"];
	2[label = "cook\\npot: 1", color = "0.38 0.6 0.85", style="rounded"];
	3[label = "cook\\npot: 2", color = "0.38 0.6 0.85", style="rounded,dashed"];
	4[label = "shop", color = "0.38 0.6 0.85", style="rounded"];
	1 -> 0
	2 -> 1
	3 -> 1
	4 -> 2
	4 -> 3
	4 -> 1
}"""


class TestWorkflow:
    def test_jobs_are_counted_and_edges_are_those_of_rules(self):
        read = diagram.parse(DAG)
        assert read.jobs == {"book": 1, "cook": 2, "shop": 1}
        assert read.edges == {("cook", "book"), ("shop", "cook"), ("shop", "book")}
        assert read.depth == {"shop": 0, "cook": 1, "book": 2}
        assert read.direct == {("cook", "book"), ("shop", "cook")}
        assert read.words() == "shop (1 job); cook (2 jobs) after shop; book (1 job) after cook"

    def test_the_picture_holds_every_rule(self, tmp_path):
        facts = diagram.write(diagram.parse(DAG), "workflow", tmp_path)
        picture = (tmp_path / "workflow.svg").read_text(encoding="utf-8")
        assert all(f">{word}<" in picture for word in ("shop", "cook", "book", "2 jobs"))
        assert "cook (2 jobs) after shop" in facts["alt"]

    def test_it_follows_the_snakefile(self, tiny_profile, tmp_path):
        counted = Counter(job.step for job in all_jobs(Study.load(tiny_profile))) | {"book": 1}
        own = diagram.workflow_of(tiny_profile)
        assert own.jobs == counted
        assert {("tuning", "embeddings"), ("embeddings", "decoding"), ("rsa", "figures")} <= own.direct
        text = diagram.SNAKEFILE.read_text(encoding="utf-8")
        (tmp_path / "Snakefile").write_text(text.replace("rule rsa:", "rule similarity:"), encoding="utf-8")
        changed = diagram.workflow_of(tiny_profile, tmp_path / "Snakefile")
        assert set(own.jobs) - set(changed.jobs) == {"rsa"} and set(changed.jobs) - set(own.jobs) == {"similarity"}

    def test_a_broken_snakefile_is_named(self, tiny_profile, tmp_path):
        (tmp_path / "Snakefile").write_text("rule:\n  nonsense", encoding="utf-8")
        with pytest.raises(BraintuneError, match=r"cannot read .*Snakefile"):
            diagram.workflow_of(tiny_profile, tmp_path / "Snakefile")


class TestReference:
    def test_every_module_stands_on_one_page(self):
        text = "\n".join(reference_pages.api_pages().values())
        for path in reference_pages.library():
            assert text.count(f".. automodule:: braintune.{path.stem}\n") == (path.stem != "__init__")

    def test_registries_without_a_comment_are_there_and_none_twice(self):
        text = "\n".join(reference_pages.api_pages().values())
        assert ".. autodata:: braintune.models.methods.METHODS" in text
        assert ".. autodata:: braintune.datasets.tasks.TASKS" not in text  # it has a comment, so autodoc finds it

    def test_every_parameter_is_explained(self):
        page = reference_pages.parameter_page()
        assert all(f"| `{name}` |" in page for name in Study.model_fields)


class TestDocstrings:
    def test_numbered_sources_get_names_of_their_own(self):
        lines = ["Ridge [1]_ of x[0].", "", "References", "----------", ".. [1] Hoerl"]
        sphinx.number_sources(None, "function", "braintune.neural.ridge.decode", None, None, lines)
        assert lines[0] == "Ridge [#braintune.neural.ridge.decode-1]_ of x[0]."
        assert lines[-1] == ".. [#braintune.neural.ridge.decode-1] Hoerl"

    def test_a_source_that_is_not_listed_is_the_modules(self):
        lines = ["As in [2]_."]
        sphinx.number_sources(None, "method", "braintune.models.prefix.Prefix.forward", None, None, lines)
        assert lines == ["As in [#braintune.models.prefix-2]_."]

    def test_a_registry_tells_its_names_and_nothing_of_dictionaries(self):
        lines = (dict.__doc__ or "").splitlines()
        sphinx.list_names(None, "data", "braintune.x.X", {"one": 1, "two": 2}, None, lines)
        assert [line for line in lines if line] == ["Holds ``one``, ``two``."]

    def test_settings_show_no_signature(self):
        assert sphinx.hide_parameters(None, "class", "", Study, None, "(*, profile)", None) == ("", None)
        assert sphinx.hide_parameters(None, "class", "", dict, None, "(x)", None) is None


class TestPages:
    def test_pictures_of_a_cell_are_told_in_order(self):
        code = 'figures.draw(study, "leakage", figures.leakage(rows))\nrsa = 1\nfigures.similarity_matrix(t);'
        assert sphinx.alternatives(code) == [
            "Decoding accuracy of the controls and the untuned model under shuffled and grouped folds.",
            "The Spearman similarity of every pair of representations.",
        ]

    def test_arrows_get_the_names_of_their_chapters(self):
        toggle = '<span class="toctree-toggle"></span>'
        link = '<a class="current reference internal" href="#">Tuning <code>x</code> now</a>'
        html = f'<div class="bd-sidebar-primary bd">{link}<details open="open"><summary>{toggle}</summary>'
        mended = sphinx.mend(html)
        assert '<summary aria-label="Pages below: now">' in mended
        assert '<div role="region" aria-label="Title, search and contents" class="bd-sidebar-primary bd">' in mended
        assert sphinx.mend(mended) == mended

    def test_only_executed_notebooks_are_offered(self):
        def pathto(place, resource):
            return f"../{place}"

        context = {"page_source_suffix": ".ipynb", "sourcename": "book/results/rsa/x.ipynb", "pathto": pathto}
        for suffix, offered in ((".ipynb", True), (".md", False)):
            told = context | {"page_source_suffix": suffix, "body": "<h1>A</h1><p>b</p>"}
            sphinx.offer_download(None, "", "", told, None)
            assert ("href='../_sources/book/results/rsa/x.ipynb' download" in told["body"]) is offered


class TestPdf:
    def test_without_a_browser_the_remedy_is_named(self, monkeypatch, tiny_profile):
        monkeypatch.setattr(pdf.shutil, "which", lambda name: None)
        with pytest.raises(BraintuneError, match=r"none of chromium, .* is there; .*apt install chromium"):
            pdf.build(str(tiny_profile))

    def test_one_notebook_of_each_step_is_printed(self):
        jobs = all_jobs(Study.make({"tasks": ["ner", "wsd"], "simulated_participants": 2}))
        chosen = pdf.examples({job: base.REPOSITORY for job in jobs})
        assert [job.step for job in chosen] == list(STEPS)

    def test_what_a_page_hides_is_printed_and_what_only_a_screen_can_do_is_not(self, monkeypatch):
        monkeypatch.setattr(pdf.book, "banner", lambda run: "the run")
        html = (
            "<html><head><title>Book</title><script src='theme.js'></script></head><body><div>menu</div><article>"
            "<span id='document-book/a'></span><section><h1>A<a class='headerlink'>#</a></h1>"
            "<details class='sd-dropdown'><p>answer</p></details><iframe></iframe><button>copy</button></section>"
            "</article></body></html>"
        )
        whole = pdf.assemble(html, SimpleNamespace(profile="quick"), left_out=3)
        text = whole.get_text(" ", strip=True)
        assert "menu" not in text and "copy" not in text and "theme.js" not in str(whole)
        assert "the other 3 are pages of the web edition" in text and "on the web page" in text
        assert whole.select_one("details.sd-dropdown").has_attr("open")
        pdf._number(whole, {"document-book/a": 7})
        assert whole.select_one("nav.contents li a[href='#document-book/a']").get_text(" ", strip=True) == "A 7"


def test_the_contents_of_the_book_name_each_page_once():
    contents = yaml.safe_load((base.REPOSITORY / "_toc.yml").read_text(encoding="utf-8"))
    files = [chapter["file"] for part in contents["parts"] for chapter in part["chapters"]]
    assert len(set(files)) == len(files) and "book/api" in files
