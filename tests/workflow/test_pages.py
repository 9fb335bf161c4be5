"""What is generated while a book is built: reference, descriptions of pictures, the printed page."""

import pytest
import yaml

from braintune.core import base
from braintune.core.base import BraintuneError
from braintune.core.study import Study
from braintune.results import figures
from braintune.workflow.book import build, pdf, reference_pages, sphinx
from braintune.workflow.jobs import STEPS, all_jobs


class TestReference:
    def test_every_module_is_on_the_page_of_its_folder_alone(self):
        pages = reference_pages.api_pages()
        text = "\n".join(pages.values())
        for path in (base.REPOSITORY / "lib" / "braintune").glob("*/**/*.py"):
            module = ".".join(path.relative_to(base.REPOSITORY / "lib").with_suffix("").parts)
            assert text.count(f".. automodule:: {module}\n") == (path.stem != "__init__"), module
        assert ".. automodule:: braintune.neural.ridge\n" in pages["book/api/neural"]
        assert ".. automodule:: braintune.workflow.book.pdf\n" in pages["book/api/workflow-book"]

    def test_folders_are_in_the_order_of_the_analysis_and_say_what_they_are_for(self):
        overview, *pages = reference_pages.api_pages().items()
        names = [page.removeprefix("book/api/") for page, _ in pages]
        assert names[0] == "core" and names.index("models") < names.index("results") < names.index("workflow")
        assert all(f"</{page}>`: " in overview[1] for page, _ in pages)
        assert "How the book of a run is built." in overview[1]

    def test_every_parameter_is_explained(self):
        page = reference_pages.parameter_page()
        assert all(f"| `{name}` |" in page for name in Study.model_fields)


class TestDocstrings:
    @pytest.mark.parametrize(
        ("name", "lines", "expected"),
        [
            (
                "braintune.workflow.book.pdf.cover",
                ["Ridge [1]_ of x[0].", ".. [1] Hoerl"],
                [
                    "Ridge [#braintune.workflow.book.pdf.cover-1]_ of x[0].",
                    ".. [#braintune.workflow.book.pdf.cover-1] Hoerl",
                ],
            ),
            (  # a source that is not listed is the module's
                "braintune.workflow.book.pdf.Printer.start",
                ["As in [2]_."],
                ["As in [#braintune.workflow.book.pdf-2]_."],
            ),
        ],
    )
    def test_numbered_sources_get_names_of_their_own(self, name, lines, expected):
        sphinx.number_sources(None, "function", name, None, None, lines)
        assert lines == expected

    def test_settings_show_no_signature(self):
        assert sphinx.hide_parameters(None, "class", "", Study, None, "(*, profile)", None) == ("", None)
        assert sphinx.hide_parameters(None, "class", "", dict, None, "(x)", None) is None


class TestPages:
    def test_pictures_of_a_cell_are_described_by_the_functions_that_draw_them(self):
        code = 'figures.draw(study, "leakage", figures.leakage(rows))\nx = np.sum(rsa)\nfigures.similarity_matrix(t);'
        drawn = [figures.leakage, figures.similarity_matrix]
        first, second, end = build.pictures(code).split(".")
        for sentence, function in ((first, drawn[0]), (second, drawn[1])):
            assert function.__doc__.splitlines()[0].lower().endswith(f"{sentence.strip().lower()}.")
        assert end == ""
        assert build.pictures("tables.collect(study)") == ""

    def test_a_notebook_is_titled_by_what_was_executed_and_its_parameters_are_folded(self):
        job = next(job for job in all_jobs(Study()) if job.step == "tuning")
        cells = [
            {"cell_type": "markdown", "source": ["# Tuning\n", "text"], "metadata": {}},
            {"cell_type": "code", "source": ["seed = 0"], "metadata": {"tags": ["injected-parameters"]}},
            {"cell_type": "code", "source": ["figures.leakage(rows)"], "metadata": {}},
        ]
        first, second, third = yaml.safe_load(build.as_page(job, {"cells": cells}))["cells"]
        assert first["source"].splitlines()[0] == f"# Tuning: {job.label.removeprefix('tuning · ')}"
        assert "hide-input" in second["metadata"]["tags"] and "mystnb" not in second["metadata"]
        assert third["metadata"]["mystnb"]["image"]["alt"] == build.pictures("figures.leakage(rows)") != ""

    def test_the_contents_name_each_page_once(self):
        contents = yaml.safe_load((base.REPOSITORY / "_toc.yml").read_text(encoding="utf-8"))
        files = [chapter["file"] for part in contents["parts"] for chapter in part["chapters"]]
        generated = {"book/api", "book/parameters"}
        pages = {f"book/{p.stem}" for p in (base.REPOSITORY / "book").glob("*.md")} - {"book/index"}
        assert len(set(files)) == len(files) and set(files) == pages | generated

    def test_the_picture_of_the_workflow_names_every_step(self):
        picture = (base.REPOSITORY / "book" / "_static" / "workflow.svg").read_text(encoding="utf-8")
        page = (base.REPOSITORY / "book" / "run.md").read_text(encoding="utf-8")
        alt = next(line for line in page.splitlines() if line.startswith(":alt:") and "tuning" in line)
        assert all(f">{step}<" in picture and step in alt for step in (*STEPS, "book"))


class TestPdf:
    def test_without_a_browser_the_remedy_is_named(self, monkeypatch, tiny_profile):
        monkeypatch.setattr(pdf.shutil, "which", lambda name: None)
        with pytest.raises(BraintuneError, match=r"none of chromium, .* is installed; .*apt install chromium"):
            pdf.make_pdf(str(tiny_profile))

    def test_one_notebook_of_each_step_is_printed(self):
        jobs = all_jobs(Study.make({"tasks": ["ner", "wsd"], "simulated_participants": 2}))
        chosen = pdf.examples({job: base.REPOSITORY for job in jobs})
        assert [job.step for job in chosen] == list(STEPS)

    def test_the_cover_comes_first_and_hidden_answers_are_unfolded(self):
        html = '<html><head></head><body class="a"><details class="sd-card">answer</details></body></html>'
        printed = pdf.printable(html, "<header>the run</header>")
        assert printed.index("the run") < printed.index("answer")
        assert "<details open" in printed and "@page" in printed
        assert '<div class="a">' in printed and "</div></body>" in printed
