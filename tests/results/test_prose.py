"""What notebooks and pages say: sentences and tables of made-up results, and how a page takes them."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from html import escape, unescape

import numpy as np
import pandas as pd
import pytest

from braintune.core import base
from braintune.core.study import SOURCES, Study
from braintune.results import answer, checks, claims, prose, quotes, tables
from braintune.workflow.book import origins
from made_up_results import made_up, of_several

# --- display -----------------------------------------------------------------------------------------------------


def test_what_is_not_there_is_a_dash():
    table = pd.DataFrame(
        {"a": [None, "x"], "b": [np.nan, 0.5], "c": pd.array([1234, None], "Int64"), "d": [None, None]}
    )
    cells = re.findall("<td>(.*?)</td>", prose.show(table).data)
    assert cells == ["–", "–", "1,234", "–", "x", "0.500", "–", "–"]


def test_text_from_data_is_escaped():
    assert "<script>" not in prose.facts({"<script>": "<script>alert(1)</script>"}).data
    assert "<script>" not in prose.show(pd.DataFrame({"a": ["<script>"]})).data


def test_what_a_step_took_is_said():
    jobs = [("tuning", 60.0), ("tuning", 120.0), ("tuning", 30.0), ("rsa", 42.0)]
    said = quotes.of_costs(pd.DataFrame(jobs, columns=["step", "seconds"]).assign(memory_mb=900.0))
    assert said["took_tuning"] == "3.5 minutes" and said["took_rsa"] == "0.7 minutes"
    assert "900.0" in said["costs"].data and "took_figures" not in said


def test_further_results_that_all_brains_share_are_said_once(monkeypatch):
    ledger = claims.judge(of_several(made_up(brain="alice2016"), made_up(brain="pereira2018-exp1")))
    said = {"alice2016": ["a", "both"], "pereira2018-exp1": ["both"]}
    monkeypatch.setattr(claims, "background", lambda e: said[e.brain])
    assert prose.background_table(ledger).to_numpy().tolist() == [["alice2016", "a"], ["all", "both"]]


def test_a_run_no_better_than_guessing_is_named_once():
    rows = [(m, t, s) for m in ("fine-tuned", "head-only") for t, s in (("wsd", 0.5), ("wsd", 0.5), ("ner", 0.6))]
    runs = pd.DataFrame(rows, columns=["method", "task", "score"]).assign(baseline=0.5, bag_of_words=0.55)
    assert prose.tuning_warnings(runs).count("fine-tuned on wsd, head-only on wsd.") == 2
    said = prose.tuning_warnings(runs[runs["task"] == "ner"])
    assert said == "Every run beats guessing. Every run beats a bag of words."


# --- claims ------------------------------------------------------------------------------------------------------


def ledger_of(gain, brain="alice2016", **more):
    study = Study.make({"brains": [brain]})
    return claims.judge(made_up({(None, None): gain}, brain=brain, study=study, **{"noise": 0.02} | more))


def test_the_verdicts_name_a_simulated_brain():
    ledger = claims.judge(made_up())
    assert prose.verdicts(ledger).startswith("simulated (8 simulated participants, region language, grouped folds)")
    html = prose.ledger_list(ledger).data
    assert "a check of the method, not a finding" in html and html.count("<dt>") == len(claims.CLAIMS)
    for verdict in ledger.verdicts:
        mark = f"<span class='verdict {verdict.verdict.replace(' ', '-')}'>{verdict.verdict}</span></dt>"
        assert f"{claims.WORDS[verdict.claim]['paper']} {mark}<dd><p>{escape(verdict.sentence)}</p>" in html
    assert "simulated" not in prose.ledger_list(ledger_of(0.0)).data
    assert prose.rule_table().map(bool).all(axis=None) and len(prose.rule_table()) == len(claims.CLAIMS)


def test_a_verdict_has_its_power_its_readout_and_its_effect_in_its_own_unit():
    entries = dict(zip(claims.CLAIMS, prose.ledger_list(ledger_of(0.5)).data.split("<dt>")[1:], strict=True))
    assert "probability of the verdict “supported” under this rule: " in entries["C1"]
    assert "% if there is no difference, " in entries["C1"]
    assert re.search(r"effect \+\d+\.\d% \(\+\d+\.\d% to \+\d+\.\d%\), prompt-tuned minus", entries["C2"])
    assert "decoding at the best layer; decoding at the analysis layer: supported" in entries["C2"]
    assert re.search(r"effect [+−]0\.\d{3} \(", entries["C4"]) and "at the best layer" not in entries["C4"]
    both = prose.ledger_list(ledger_of(0.5, encoding=True)).data
    assert "encoding at the best layer: supported; encoding at the analysis layer: supported" in both
    closed = prose.ledger_list(ledger_of(0.5, controls={"length": 1.0})).data
    assert closed.count("no-evidence-possible") == 7 and "nan" not in closed.replace("inan", "")


class TestBrief:
    def test_every_sentence_says_what_its_verdict_is(self):
        ledger = ledger_of(0.5)
        said = prose.brief(ledger)
        assert said["methods"].startswith("Prompt-tuned representations are decoded better than fine-tuned ones: +")
        for verdict in (v for v in ledger.verdicts if v.claim in said):
            words = claims.WORDS[verdict.claim]
            assert said[verdict.claim].startswith(f"{words['about']} {words['brief'][verdict.verdict]}: ")
            unit = claims.UNITS.get(verdict.claim, claims.SIGNAL).form
            assert f"{verdict.finding.estimate:{unit}} (".replace("-", "−") in said[verdict.claim]
            where = "for the stimuli of" if verdict.claim == "C4" else "in"  # closeness needs no brain
            assert said[verdict.claim].endswith(f" {where} 8 listeners to a story.")

    @pytest.mark.parametrize(("gain", "better", "worse"), [(-0.5, 1, 1), (0.6, 1, 0)])
    def test_brains_with_the_same_answer_share_its_words_and_others_do_not(self, gain, better, worse):
        one, two = ledger_of(0.5), ledger_of(gain, brain="pereira2018-exp1")
        both = claims.Ledger((*one.verdicts, *two.verdicts), (*one.everything, *two.everything))
        said = prose.brief(both)["methods"]
        assert (said.count("decoded better"), said.count("decoded worse")) == (better, worse)
        assert said.count(" in 8 ") == 2

    def test_a_closed_gate_and_one_participant_are_named(self):
        closed = prose.brief(ledger_of(0.5, controls={"length": 1.0}))
        assert closed["methods"].startswith(
            "In 8 listeners to a story, no conclusion about the tuning methods is possible, since in the region language"
        )
        said = "representations tuned on tasks about meaning cannot be compared with those tuned on tasks about form"
        assert closed["C3"] == f"In 8 listeners to a story, {said}."
        alone = prose.brief(ledger_of(0.0, participants=1, signal=0.5))["methods"]
        assert "not shown to be decoded better than permuted labels" in alone and "nan" not in alone

    def test_a_simulated_run_leaves_the_answer_to_the_recorded_one(self):
        own, real = claims.judge(made_up()), ledger_of(0.5, brain="pereira2018-exp1")
        assert answer.answering(own, real) is real
        assert answer.answering(ledger_of(0.0), real) is not real


@pytest.mark.parametrize(
    ("gain", "noise", "words"),
    [
        (0.5, 0.05, "prompt-tuned representations are decoded better than fine-tuned ones."),
        (-0.5, 0.05, "prompt-tuned representations are decoded worse"),
        (0.0, 0.02, "decoded equally well, to within 10% of the signal"),
        (0.07, 0.01, "decoded better than fine-tuned ones, but by less than 10% of the signal"),
        (0.0, 0.6, "neither a difference nor equivalence between"),
    ],
)
def test_the_headline_says_what_was_planted(gain, noise, words):
    found = made_up({(None, None): gain}, noise=noise, permutations=99)
    said = prose.headline(found.primary, claims.judge(found).evidence["simulated"])
    means = tables.in_main_region(found.primary).groupby("method")["pairwise"].mean()
    assert words in said and "8 simulated participants, region language, grouped folds" in said
    assert f"prompt-tuned {means['prompt-tuned']:.3f}" in said and "fraction of the untuned model's signal" in said


# --- what the pages quote ----------------------------------------------------------------------------------------

PAGES = sorted((base.REPOSITORY / "book").glob("*.md"))
NAME = re.compile(r"{{ (\w+) }}")


@pytest.fixture(scope="module")
def collected():
    """What the pages may quote, by source and all together, of a made-up run; the recorded one is made up too."""
    run, real = (
        made_up(
            {(None, None): 0.5},
            brain=brain,
            study=Study.make({"brains": [brain]}),
            tasks=("ner", "wsd", "nli", "qa"),
            encoding=brain == "simulated",
        )
        for brain in ("simulated", "alice2016")
    )
    costs = {"metric": "accuracy", "learning_rate": 0.1, "epochs": 2, "n_trials": 1, "search_examples_seen": 0}
    costs |= dict.fromkeys(["parameters", "examples_seen", "examples_per_s", "seconds", "peak_memory_mb"], 1.0)
    groups = {"pairwise_same_group": 0.6, "pairwise_different_group": 0.7}
    run, real = (replace(r, scores=r.scores.assign(**groups), tuned=r.tuned.assign(**costs)) for r in (run, real))
    run = replace(run, decoded=run.primary.assign(alpha_edge=False))
    own, other = claims.judge(run), claims.judge(real)
    steps = {step: [60.0] for step in ("tuning", "embeddings", "decoding", "encoding", "rsa", "figures")}
    costs = pd.DataFrame({"step": list(steps), "seconds": 1.0, "memory_mb": 1.0})
    found = {
        "run": quotes.of_results(run, own, checks.check(run)) | quotes.of_run(run, own, other) | quotes.of_costs(costs),
        "recorded": quotes.of_results(real, other, checks.check(real)) | quotes.of_recorded(real),
        "supplement": quotes.of_continual() | quotes.of_ablation() | quotes.of_calibration(),
    }
    assert not set(found["run"]) & set(found["supplement"])
    profiles = {"real": "reference"} | {name: name for name in origins.SMALL}
    made = origins.Origins("made-up", profiles, True, {})
    return found, made.quotes({source: {n: quotes._markup(v) for n, v in of.items()} for source, of in found.items()})


def test_the_other_direction_is_quoted_with_its_correlations_or_said_to_be_left_out(collected):
    found = made_up({(None, None): 0.5}, noise=0.02, encoding=True)
    ledger = claims.judge(found)
    said, encoded = quotes.of_encoding(found, ledger), found.scores[found.scores["direction"] == "encoding"]
    means = tables.judged(tables.first_readout(encoded)).groupby("method")["correlation"].mean()
    assert said["encoding"].startswith("Prompt-tuned representations predict the responses better than fine-")
    row = said["encoding_headline"].iloc[0]
    assert row["prompt-tuned (r)"] == pytest.approx(means["prompt-tuned"]) and row["region"] == "language"
    assert re.fullmatch(r"\+\d\d\.\d% \(\+\d\d\.\d% to \+\d\d\.\d%\)", row["prompt-tuned minus fine-tuned"])
    assert "in 2 of 2 regions" in said["encoding_above_null"]
    bare = made_up()
    assert set(quotes.of_encoding(bare, claims.judge(bare)).values()) == {"These results do not include encoding."}
    assert set(said) <= set(collected[1])


def test_every_name_on_a_page_is_quoted(collected):
    _, quoted = collected
    asked = {name: page.name for page in PAGES for name in NAME.findall(page.read_text(encoding="utf-8"))}
    assert len(asked) > 30 and not {name: page for name, page in asked.items() if name not in quoted}
    assert not [page.name for page in PAGES if "{glue" in page.read_text(encoding="utf-8")]


@pytest.mark.parametrize("source", SOURCES)
def test_what_is_quoted_of_a_source_is_one_json_of_texts_and_tables(collected, tmp_path, source):
    run, quoted = Study.make({"runs": str(tmp_path)}), collected[0][source]
    quotes.write(run, quoted, source)
    kept = json.loads(quotes.results_file(run, source).read_text(encoding="utf-8"))
    assert set(kept) == set(quoted) and not [name for name, value in kept.items() if not value or "\n" in value]
    if source != "supplement":
        assert kept["tuning"].startswith("<table") and kept["tuning_runs"] == "8"
        assert kept["passage_shuffled"] == "(not computed in this run)" != kept["passage_grouped"]


def test_a_simulated_run_leaves_the_answer_to_the_recorded_one(collected):
    _, quoted = collected
    assert quoted["answer_methods"] == quoted["recorded_methods"] != quoted["methods"]


HOSTILE = [
    "<script>alert(1)</script>",
    "[a link](javascript:alert(1)) **bold** `code`",
    "{{ env.config }} {% for %} {eval}`1` $x^2$ &lt; ~~~",
    "```{raw} html",
    "a_b*c | d # e ! f",
]


def build(folder, pages, values):
    """Render pages as the book does, with warnings as errors."""
    for name, content in pages.items():
        (folder / f"{name}.md").write_text(content, encoding="utf-8")
    (folder / "conf.py").write_text(
        f'extensions = ["myst_nb"]\nnb_execution_mode = "off"\nhtml_theme = "basic"\nsmartquotes = False\n'
        f'myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath", "substitution", "tasklist"]\n'
        f"myst_substitutions = {values!r}\n",
        encoding="utf-8",
    )
    words = [
        sys.executable,
        "-m",
        "sphinx",
        "-q",
        "-W",
        "--keep-going",
        "-b",
        "html",
        str(folder),
        str(folder / "html"),
    ]
    return subprocess.run(words, capture_output=True, text=True)


def test_a_page_shows_text_from_data_as_it_is(tmp_path):
    values = {f"said{i}": prose.text(f"Region {text} is first.") for i, text in enumerate(HOSTILE)}
    values |= {
        f"table{i}": quotes._markup(pd.DataFrame({text: [f"{text}\n\n{text}"]})) for i, text in enumerate(HOSTILE)
    }
    page = "# Hostile\n\n" + "\n\n".join(f"**In** {{{{ {name} }}}}\n\n{{{{ {name} }}}}" for name in values)
    done = build(tmp_path, {"index": page}, values)
    assert done.returncode == 0, done.stderr
    html = (tmp_path / "html" / "index.html").read_text(encoding="utf-8")
    body = html.split('id="hostile">')[1].split("</section>")[0]
    assert not re.search(r"<(script|code|pre|em|del)\b|href=.java", body) and body.count("<strong>") == 2 * len(HOSTILE)
    shown = unescape(re.sub(r"<[^>]*>", "", body))
    for text in HOSTILE:
        assert shown.count(f"Region {text} is first.") == 2, text
        assert shown.count(text) == 8, text  # and three times in each table


def test_a_name_that_is_missing_stops_the_build_with_page_and_name(tmp_path):
    done = build(tmp_path, {"index": "# Page\n\nIt is {{ no_such_number }} today.\n"}, {"other": "1"})
    assert done.returncode and "index.md:3" in done.stderr and "'no_such_number' is undefined" in done.stderr


@pytest.mark.parametrize(
    ("brains", "said"),
    [
        (["simulated", "folder"], "The brain data of this run are simulated"),
        (["alice2016"], "real fMRI data; the data sets are named above and described on the data page"),
        (
            ["alice2016", "table"],
            "The responses of table were supplied by the user; this book has no information on what they measure",
        ),
    ],
    ids=str,
)
def test_what_the_responses_are_is_said_only_of_what_is_known(brains, said):
    assert said in quotes.standing(Study.make({"brains": brains}))


@pytest.mark.parametrize(
    ("score", "said"),
    [(0.7, "has learned the task"), (0.58, "beats guessing but not a bag of words"), (0.5, "does not beat guessing")],
)
def test_a_model_has_learned_its_task_if_it_beats_both_baselines(score, said):
    metrics = {"method": "lora", "task": "nli", "metric": "accuracy", "score": score}
    answer = prose.tuning_answer(metrics | {"baseline": 0.5, "bag_of_words": 0.6})
    assert said in answer and "a bag-of-words model reaches 0.600" in answer
