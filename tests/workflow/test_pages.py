"""What is generated while a book is built: reference, descriptions of pictures, the printed page."""

from importlib import import_module
from types import SimpleNamespace

import pytest
import yaml
from docutils import nodes
from sphinx import addnodes

from braintune.core import base, store
from braintune.core.base import BraintuneError
from braintune.core.study import SOURCES, Study
from braintune.results import figures, score_figures
from braintune.workflow.book import build, origins, pdf, reference_pages, sphinx
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


class TestGlossary:
    def test_definitions_are_plain_text_without_citations(self):
        cited = addnodes.pending_xref("", nodes.inline(text="author1999"), refdomain="cite", reftype="p")
        words = nodes.paragraph("", "", nodes.Text("What is "), nodes.emphasis(text="read"), nodes.Text(" "), cited)
        words += nodes.Text(".")
        terms = [nodes.term("", name, ids=[f"term-{name}"]) for name in ("Layer", "Depth")]
        item = nodes.definition_list_item("", *terms, nodes.definition("", words))
        found = sphinx.read_definitions(nodes.section("", item))
        assert found == {"term-Layer": "What is read.", "term-Depth": "What is read."}


class TestOrigins:
    """A simulated run: what answers the question comes from the recorded one."""

    @pytest.fixture
    def made(self):
        return self.origins_of("simulated")

    def origins_of(self, brain):
        code = ['draw("layers", score_figures.layer_curves(decoded))\n', "draw(\n    "]
        code[1] += '"forest", score_figures.forest(effects)\n)'
        notebooks = {
            "figures": {
                "cells": [{"cell_type": "code", "source": code}, {"cell_type": "markdown", "source": ["text"]}]
            },
            "supplement": {"cells": [{"cell_type": "code", "source": ['draw("power", figures.power_curves(table))']}]},
        }
        return origins.origins(Study.make({"profile": "mine", "brains": [brain]}), notebooks)

    def test_a_figure_names_its_function_notebook_and_profile(self, made):
        words = {"alt": "Curves.", "caption": "By layer."}
        block = made.figure("layers", words)
        assert "By layer. Drawn by {py:func}`score_figures.layer_curves <braintune.results.score_figures." in block
        assert "(results/figures/run.ipynb)" in block and "[mine](run-profile)" in block
        block = made.figure("answer-forest", words)
        assert block.startswith("```{figure} results/figures/answer-forest.svg\n:name: fig-answer-forest")
        assert "(results/figures/recorded.ipynb)" in block and "[reference](recorded-profile)" in block
        assert "(results/supplement.ipynb)" in (block := made.figure("power", words)) and "profile" not in block
        with pytest.raises(BraintuneError, match="unknown figure 'forests'; known: forest, layers, power"):
            made.figure("answer-forests", words)

    def test_the_answer_is_that_of_real_brains(self, made):
        assert made.named("answer-forest") == made.named("recorded-forest") == ("recorded", "forest")
        real = self.origins_of("alice2016")
        assert real.named("answer-forest") == real.named("forest") == ("run", "forest")
        found = {source: {"said": source} for source in SOURCES} | {"supplement": {"power": "x"}}
        quoted = {"said": "run", "recorded_said": "recorded", "power": "x"}
        assert made.quotes(found) == quoted | {"answer_said": "recorded"}
        assert real.quotes(found) == quoted | {"answer_said": "run"}

    def test_a_figure_that_is_shown_elsewhere_is_referred_to(self, made):
        labels, words = ["answer-forest", "recorded-forest", "forest"], {"alt": "x", "caption": "x"}
        referring = [label for label in labels if "<fig-answer-forest>" in made.figure(label, words, labels)]
        assert referring == ["recorded-forest"]
        assert "<fig-answer-forest>" in self.origins_of("alice2016").figure("forest", words, labels)
        assert "fig-recorded-forest" in made.figure("recorded-forest", words, labels[1:]), "it is shown only here"
        empty = words | {"nothing": "nothing was decoded"}
        assert not [label for label in labels if "{ref}" in made.figure(label, empty, labels)], "there is no target"

    @pytest.mark.parametrize(
        ("source", "name", "maker", "profile"),
        [
            ("run", "null", "of_results", "#run-profile'>mine"),
            ("run", "tuning_costs", "of_run", "#run-profile'>mine"),
            ("recorded", "tuning", "of_results", "#recorded-profile'>reference"),
            ("recorded", "seeds", "of_results", "#recorded-profile'>reference"),
            ("supplement", "calibration_rates", "of_calibration", ""),
        ],
    )
    def test_a_table_names_its_function_notebook_and_profile(self, made, source, name, maker, profile):
        below = made.table(source, name, "<table class='results'></table>").partition("</table>")[2]
        page = {"run": "figures/run", "recorded": "figures/recorded"}.get(source, source)
        assert f"api/results.html#braintune.results.quotes.{maker}'" in below and f"results/{page}.html" in below
        assert (profile in below) if profile else ("profile" not in below)
        assert made.table(source, name, "A sentence.") == "A sentence."

    def test_the_matrix_names_both_profiles_where_recorded_verdicts_are_in_it(self, made):
        below = made.table("run", "matrix", "<table></table>")
        assert "#run-profile'>mine</a> and <a href='profile.html#recorded-profile'>reference" in below
        assert "recorded" not in self.origins_of("alice2016").table("run", "matrix", "<table></table>")

    def test_the_page_of_the_profile_holds_what_differs_from_the_defaults(self):
        given = {"profile": "mine", "runs": "/elsewhere", "layer": 3, "fdr": 0.1, "seeds": [0, 1]}
        page = origins.profile_page(Study.make(given))
        shown = [yaml.safe_load(text.partition("```")[0]) for text in page.split("```yaml")[1:]]
        assert shown[0] == {"layer": 3, "fdr": 0.1, "seeds": [0, 1]}
        assert {"layer: 3", "fdr: 0.1", "seeds: [0, 1]"} < set(page.splitlines()), "a line each, ready to be edited"
        assert "tuckute2024-average" in shown[1]["brains"] and "/elsewhere" not in page

    def test_every_figure_of_the_notebook_has_a_function(self):
        folder = base.REPOSITORY / "notebooks"
        made = origins.origins(Study(), {n: store.read_json(folder / f"{n}.ipynb") for n in ("figures", "supplement")})
        assert set(made.drawn_by) == set(figures.CAPTIONS)
        for notebook, maker in made.drawn_by.values():
            module, function = maker.split(".")
            assert notebook in ("figures", "supplement")
            assert callable(getattr(import_module(f"braintune.results.{module}"), function))


class TestLaunch:
    @pytest.mark.parametrize(
        ("repository", "place"),
        [
            ("https://github.com/owner/name.git", "gh/owner/name"),
            ("https://gitlab.com/owner/name", "git/https%3A%2F%2Fgitlab.com%2Fowner%2Fname"),
        ],
    )
    def test_binder_opens_the_notebook_of_a_public_repository(self, repository, place):
        found = sphinx.binder_address(repository, "a/b", "notebooks/rsa.ipynb")
        assert found == f"https://mybinder.org/v2/{place}/a%2Fb?urlpath=lab/tree/notebooks/rsa.ipynb"

    @pytest.mark.parametrize(
        ("address", "page", "count"),
        [
            ("https://github.com/o/n", "book/results/decoding/simulated_S01", 1),
            ("https://github.com/o/n", "book/decoding", 1),
            ("https://github.com/o/n", "book/trust", 0),
            ("", "book/decoding", 0),
        ],
    )
    def test_there_is_a_button_where_a_public_address_is_given(self, address, page, count):
        options = {"repository_url": address, "repository_branch": "main"}
        app = SimpleNamespace(config=SimpleNamespace(html_theme_options=options))
        sphinx.add_launch_button(app, page, "", context := {"header_buttons": []}, None)
        assert len(context["header_buttons"]) == count

    def test_binder_installs_what_conda_installs(self):
        """Its packages are those of `environment.yml` but for the extra of the tests, and both name the same Python."""
        own, binder = (
            yaml.safe_load((base.REPOSITORY / place).read_text(encoding="utf-8"))["dependencies"]
            for place in ("environment.yml", ".binder/environment.yml")
        )
        assert own[:-1] == binder[:-1] and "torch" in binder[-1]["pip"]
        assert "-e ..[lab]" in binder[-1]["pip"] and "-c ../constraints.txt" in binder[-1]["pip"]


class TestPages:
    def test_pictures_of_a_cell_are_described_by_the_functions_that_draw_them(self):
        code = 'draw("leakage", score_figures.leakage(rows))\nx = np.sum(rsa)\nfigures.similarity_matrix(t);'
        drawn = [score_figures.leakage, figures.similarity_matrix]
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
            {"cell_type": "code", "source": ["score_figures.leakage(rows)"], "metadata": {}},
        ]
        first, second, third = yaml.safe_load(build.as_page(job, {"cells": cells}))["cells"]
        assert first["source"].splitlines()[0] == f"# Tuning: {job.label.removeprefix('tuning · ')}"
        assert "hide-input" in second["metadata"]["tags"] and "mystnb" not in second["metadata"]
        assert third["metadata"]["mystnb"]["image"]["alt"] == build.pictures("score_figures.leakage(rows)") != ""

    def test_the_contents_name_each_page_once(self):
        contents = yaml.safe_load((base.REPOSITORY / "_toc.yml").read_text(encoding="utf-8"))
        files = [chapter["file"] for part in contents["parts"] for chapter in part["chapters"]]
        generated = {"book/api", "book/parameters", "book/profile"}
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

    def test_one_notebook_of_each_step_is_printed_and_all_that_show_results(self):
        jobs = all_jobs(Study.make({"tasks": ["ner", "wsd"], "simulated_participants": 2}))
        chosen = pdf.examples({job: base.REPOSITORY for job in jobs})
        assert list(dict.fromkeys(job.step for job in chosen)) == list(STEPS)
        assert [job.source for job in chosen if job.source] == list(SOURCES) and len(chosen) == len(STEPS) + 1

    def test_the_cover_comes_first_and_hidden_answers_are_unfolded(self):
        html = '<html><head></head><body class="a"><details class="sd-card">answer</details></body></html>'
        printed = pdf.printable(html, "<header>the run</header>")
        assert printed.index("the run") < printed.index("answer")
        assert "<details open" in printed and "@page" in printed
        assert '<div class="a">' in printed and "</div></body>" in printed
