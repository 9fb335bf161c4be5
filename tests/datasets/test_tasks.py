import gzip
import json
import re
import string
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from braintune.core.base import BraintuneError
from braintune.core.settings import TEN_TASKS
from braintune.core.study import Study
from braintune.datasets.metrics import exact_match, score, token_f1
from braintune.datasets.tasks import KINDS, NO_ANSWER, TASKS, Task, check_row, load_task, read_rows
from braintune.models.baselines import trivial_answers

anything = settings(max_examples=50, deadline=None)  # a busy machine is no fault

ROWS = {
    "chunking": {"tokens": ["She", "plays", "."], "tags": ["B-NP", "B-VP", "O"]},
    "srl": {"tokens": ["She", "plays"], "tags": ["B-ARG0", "B-V"], "predicate_index": 1},
    "coreference": {
        "text": "Ann met Eve and she left",
        "pronoun": "she",
        "pronoun_start": 16,
        "a": "Ann",
        "a_start": 0,
        "b": "Eve",
        "b_start": 8,
        "label": "A",
    },
    "wsd": {"sentence1": "a river bank", "sentence2": "the bank pays", "index1": 2, "index2": 1, "label": "different"},
    "nli": {"premise": "She plays", "hypothesis": "She rests", "label": "not_entailment"},
    "qa": {"context": "Ann met Eve", "question": "Who met Eve?", "answers": [{"text": "Ann", "answer_start": 0}]},
    "sentiment": {"sentence": "a dull film", "label": "negative"},
}


def write_rows(folder, task, train, test):
    (folder / "nlu" / task).mkdir(parents=True, exist_ok=True)
    for part, rows in (("train", train), ("test", test)):
        file = folder / "nlu" / task / f"{part}.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def others(rows):
    """Return the rows with a further word or letter, so that no test row is a training row."""
    texts = ("sentence", "sentence1", "premise", "context", "text")
    changed = [row | {f: f"{row[f]} too" for f in texts if row.get(f) and isinstance(row[f], str)} for row in rows]
    for row in changed:
        if isinstance(row.get("tokens"), list) and isinstance(row["tokens"][-1], str):
            row["tokens"] = [*row["tokens"][:-1], f"{row['tokens'][-1]}x"]
    return changed


@pytest.fixture
def folder_study(tmp_path, monkeypatch):
    monkeypatch.setenv("BRAINTUNE_DATA", str(tmp_path))

    def make(**values):
        return Study.make({"task_source": "folder", "train_examples": 40, "test_examples": 10} | values)

    return tmp_path, make


# --- the registry ------------------------------------------------------------------------------------------------


def test_the_ten_tasks_are_registered():
    assert set(TEN_TASKS) <= set(TASKS)
    for name, task in TASKS.items():
        assert task.name == name
        assert task.kind in KINDS
        assert task.level in ("form", "concept", "sentence")
    assert TASKS["chunking"].level == "form"
    assert {TASKS["wsd"].level, TASKS["coreference"].level} == {"concept"}


@pytest.mark.parametrize("name", TEN_TASKS)
def test_the_microworld_makes_every_task(name):
    data = load_task(Study.make({"train_examples": 60, "test_examples": 20}), name)
    for row in [*data.train, *data.validation, *data.test]:
        check_row(data.task, row, "microworld")
    assert len(data.train) + len(data.validation) == 60
    assert len(data.validation) >= 1
    assert len(data.test) == 20


# --- loading -----------------------------------------------------------------------------------------------------


def test_folder_rows_are_drawn_cut_and_counted(folder_study):
    folder, make = folder_study
    train = [{"sentence": f"s{i}", "label": "abc"[min(i // 50, 2)]} for i in range(110)]
    test = [{"sentence": f"t{i}", "label": "abcz"[i % 4]} for i in range(20)]
    write_rows(folder, "sentiment", train, test)
    data = load_task(make(validation_fraction=0.2), "sentiment")
    assert len(data.train) + len(data.validation) == 40
    assert {r["label"] for r in data.train} == {"a", "b", "c"}  # not the head of the file
    names = [{r["sentence"] for r in part} for part in (data.train, data.validation, data.test)]
    assert not names[0] & names[1]
    assert len(names[2]) == 10
    assert data.labels == ("a", "b", "c")
    n_unseen = sum(r["label"] == "z" for r in data.test)
    assert data.unseen == {"z": n_unseen}
    assert data.remarks == [
        f"{n_unseen} of 10 test labels never occur in training and count as errors: 'z' ({n_unseen})."
    ]
    for label in "ab":
        share = [sum(r["label"] == label for r in part) / len(part) for part in (data.train, data.validation)]
        assert abs(share[0] - share[1]) < 0.1
    assert data == load_task(make(validation_fraction=0.2), "sentiment")
    assert data.train != load_task(make(validation_fraction=0.2, world_seed=1), "sentiment").train
    assert set(data.checksums) == {"nlu/sentiment/train.jsonl", "nlu/sentiment/test.jsonl"}


def test_the_validation_part_shares_no_text_with_the_rest(folder_study):
    folder, make = folder_study
    rows = [
        {"context": f"It is {i // 6}.", "question": "What is it?", "answers": [{"text": "It", "answer_start": 0}]}
        for i in range(60)
    ]
    write_rows(folder, "qa", rows, others(rows[:10]))
    pairs = [{"sentence1": f"a{i // 3}", "sentence2": f"b{i // 2}", "label": "xy"[i % 2]} for i in range(60)]
    write_rows(folder, "paraphrase", pairs, others(pairs[:10]))
    for task, fields in (("qa", ["context"]), ("paraphrase", ["sentence1", "sentence2"])):
        data = load_task(make(train_examples=None), task)
        train, validation = ({row[f] for row in part for f in fields} for part in (data.train, data.validation))
        assert len(data.validation) in range(3, 13) and not train & validation
    write_rows(folder, "qa", rows[:6] * 5, others(rows[:5]))
    with pytest.raises(BraintuneError, match=r"validation_fraction: 0\.1 of the 30 training rows of qa"):
        load_task(make(), "qa")


def test_a_task_can_be_added_at_run_time(folder_study, monkeypatch):
    folder, make = folder_study
    mine = Task("mine", "irony", "sentence", "sentence", "macro F1", "Ironic?", {"sentence": "text", "label": "text"})
    monkeypatch.setitem(TASKS, "mine", mine)
    rows = [{"sentence": f"s{i}", "label": "ab"[i % 2]} for i in range(40)]
    write_rows(folder, "mine", rows, others(rows[:5]))
    data = load_task(make(), "mine")
    assert (data.task, data.labels, len(data.test)) == (mine, ("a", "b"), 5)
    assert score(mine, data.test, [row["label"] for row in data.test])["macro F1"] == 1


def test_all_rows_and_no_validation_part(folder_study):
    folder, make = folder_study
    rows = [ROWS["sentiment"] | {"sentence": f"s{i}"} for i in range(12)]
    write_rows(folder, "sentiment", rows, others(rows[:3]))
    data = load_task(make(train_examples=None, test_examples=None, validation_fraction=0), "sentiment")
    assert (len(data.train), len(data.validation), len(data.test)) == (12, 0, 3)
    assert len(load_task(make(validation_fraction=0.01), "sentiment").validation) == 1


def test_a_missing_folder_says_how_to_get_the_data(folder_study):
    _, make = folder_study
    with pytest.raises(BraintuneError, match=r"train\.jsonl does not exist; set BRAINTUNE_DATA"):
        load_task(make(), "sentiment")
    with pytest.raises(BraintuneError, match="unknown task 'chess'; known: chunking"):
        load_task(make(), "chess")
    with pytest.raises(BraintuneError, match="the microworld has no task 'qa_squad'"):
        load_task(Study.make({}), "qa_squad")


FAULTS = [
    ("chunking", {"tags": ["O"]}, "tags", "1 tags for 3 tokens"),
    ("chunking", {"tokens": "She plays"}, "tokens", "must be a non-empty list of strings"),
    ("chunking", {"tokens": [], "tags": []}, "tokens", "must be a non-empty list"),
    ("srl", {"predicate_index": 2}, "predicate_index", "beyond the 2 tokens"),
    ("srl", {"predicate_index": True}, "predicate_index", "a whole number"),
    ("coreference", {"a_start": 1}, "a_start", "'Ann' is not at character 1"),
    ("wsd", {"index2": 3}, "index2", "beyond the 3 words"),
    ("wsd", {"index2": -1}, "index2", "a whole number, at least 0"),
    ("qa", {"answers": [{"text": "", "answer_start": 0}]}, "answers", "without an answer has `answers: []`"),
    ("qa", {"answers": [{"text": " ", "answer_start": 3}]}, "answers", "without an answer has `answers: []`"),
    ("qa", {"answers": [{"text": "Ann", "answer_start": -1}]}, "answers", "without an answer has `answers: []`"),
    ("qa", {"answers": None}, "answers", "without an answer has `answers: []`"),
    ("qa", {"answers": ""}, "answers", "without an answer has `answers: []`"),
    ("qa", {"answers": {"text": ["Ann"], "answer_start": []}}, "answers", "must be a list of {text, answer_start}"),
    (
        "qa",
        {"is_impossible": True},
        "is_impossible",
        "True, but `answers` has 1 answer(s); write true with `answers: []`",
    ),
    ("qa", {"answers": [], "is_impossible": False}, "is_impossible", "False, but `answers` has 0"),
    ("qa", {"answers": [{"text": "Ann", "answer_start": 2}]}, "answers", "not at character 2"),
    ("sentiment", {"label": 1}, "label", '1 must be a string; write "label": "1" (or whole numbers in all rows)'),
    ("sentiment", {"label": True}, "label", 'True must be a string; write "label": "true"'),
    ("sentiment", {"label": 1.5}, "label", '1.5 must be a string; write "label": "1.5"'),
    ("sentiment", {"label": None}, "label", "None must be a string; write the label, or remove the row"),
    ("sentiment", {"sentence": 7}, "sentence", 'write "sentence": "7"'),
    ("chunking", {"tags": [3, 0, 0]}, "tags", "write the name of each tag ('O', 'B-PER'), not its number (3)"),
    ("chunking", {"tokens": ["She", 12.5, "."]}, "tokens", 'write "12.5", not 12.5'),
    ("wsd", {"index1": "2"}, "index1", "'2' must be a whole number, at least 0; write \"index1\": 2"),
    ("wsd", {"index1": 2.0}, "index1", '2.0 must be a whole number, at least 0; write "index1": 2'),
    ("sentiment", {"sentence": "a \ud800 film"}, "sentence", "holds '\\ud800', which is not a character"),
    ("sentiment", {"label": "good\0"}, "label", "holds '\\x00', which is not a character"),
    ("chunking", {"tokens": ["She", "\udfff", "."]}, "tokens", "holds '\\udfff', which is not a character"),
    (
        "srl",
        {"predicate_index": 0},
        "predicate_index",
        "0 is 'She', tagged 'B-ARG0', but 'B-V' is the tag of 'plays'; wr",
    ),
]


@pytest.mark.parametrize(("task", "change", "field", "fault"), FAULTS)
def test_faulty_rows_name_file_line_and_field(tmp_path, task, change, field, fault):
    file = tmp_path / "train.jsonl"
    file.write_text(json.dumps(ROWS[task]) + "\n\n" + json.dumps(ROWS[task] | change) + "\n", encoding="utf-8")
    with pytest.raises(BraintuneError, match=re.escape(f"line 3, field '{field}'")) as error:
        read_rows(TASKS[task], file)
    assert fault in str(error.value)
    assert str(file) in str(error.value)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "holds no rows"),
        (b"{]", "line 1: not a JSON object"),
        (b"\xff\xfe", "it is UTF-16; convert it: `python -c"),
        (b"\x80", "line 1: not a JSON object in UTF-8 ('utf-8' codec can't decode byte 0x80 in position 0"),
        (b"[1]", "line 1: a row must be a JSON object, not list"),
        (b'{"label": "x"}', "field 'sentence': missing; sentiment needs sentence, label"),
    ],
)
def test_faulty_files(tmp_path, content, fault):
    file = tmp_path / "train.jsonl"
    file.write_bytes(content)
    with pytest.raises(BraintuneError, match=re.escape(fault)):
        read_rows(TASKS["sentiment"], file)


def test_class_numbers_become_texts_if_all_rows_have_them(tmp_path):
    file = tmp_path / "train.jsonl"
    file.write_text('{"sentence": "a", "label": 0}\n{"sentence": "b", "label": 12}\n', encoding="utf-8-sig")
    assert [row["label"] for row in read_rows(TASKS["sentiment"], file)] == ["0", "12"]


def table(separator):
    return f'"sentence"{separator}"label"\n"Ann, met; Eve"{separator}"NA"\n"b"{separator}"1"\n'


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        (
            "train.jsonl",
            json.dumps([{"sentence": "é 1/2", "label": "NA"}, {"sentence": "2", "label": "1"}]),
            "JSON array",
        ),
        ("train.json", json.dumps([{"sentence": "2001-01-01", "label": "1"}], indent=1), "JSON array"),
        ("train.json", '{"sentence": "a", "label": "1"}\n', "rename it"),
        *(
            (name, table(mark), "a table")
            for name, mark in (("train.csv", ","), ("train.tsv", "\t"), ("train.jsonl", ";"))
        ),
        ("train.jsonl", gzip.compress(b'{"sentence": "a", "label": "1"}\n', mtime=0), "decompress it"),
        ("train.jsonl.gz", gzip.compress(b'{"sentence": "a", "label": "1"}\n', mtime=0), "decompress it"),
        ("train.jsonl", '{"sentence": "é", "label": "1"}\n'.encode("utf-16"), "UTF-16"),
    ],
    ids=["array", "lines of an array", "suffix", "csv", "tsv", "semicolons", "gzip", "gzip by name", "utf-16"],
)
def test_the_command_that_converts_another_format_works(folder_study, name, content, what):
    folder, make = folder_study
    write_rows(folder, "sentiment", [], [{"sentence": f"t{i}", "label": "1"} for i in range(3)])
    place = folder / "nlu" / "sentiment"
    (place / "train.jsonl").unlink()
    (place / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    study = make(validation_fraction=0)
    with pytest.raises(BraintuneError, match=what) as error:
        load_task(study, "sentiment")
    command = str(error.value).split("`")[1].replace("python", sys.executable, 1)
    subprocess.run(command, shell=True, check=True)
    rows = read_rows(TASKS["sentiment"], place / "train.jsonl")
    assert all(row["label"] in ("1", "NA") for row in rows)
    if what in ("JSON array", "UTF-16"):
        text = content.decode("utf-16") if isinstance(content, bytes) else content
        assert rows == (json.loads(text) if what == "JSON array" else [json.loads(text)])
    if what == "a table":
        assert rows[0] == {"sentence": "Ann, met; Eve", "label": "NA"}


def test_marked_words_are_those_of_the_field_word(tmp_path):
    """Irregular forms are allowed; positions counted from 1 are not."""
    file = tmp_path / "train.jsonl"
    words = [("go", "went"), ("bank", "Banks"), ("play", "played"), ("bank", '"bank"')]
    rows = [
        {
            "word": word,
            "sentence1": f"she {form} out",
            "sentence2": f"{word} it so",
            "index1": 1,
            "index2": 0,
            "label": "x",
        }
        for word, form in words
    ]
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert len(read_rows(TASKS["wsd"], file)) == 4
    shifted = [row | {"index1": 2} for row in rows]
    file.write_text("\n".join(map(json.dumps, shifted)), encoding="utf-8")
    message = (
        r"line 1, field 'index1': 2 is 'out' in sentence1, but the row is about 'go'; the word at index1 matches in 0 of 4 "
        r"rows \(the word before it matches in 3\)\. Count words \(separated by spaces\) from 0, or remove the field `word`"
    )
    with pytest.raises(BraintuneError, match=message):
        read_rows(TASKS["wsd"], file)
    shifted = [{key: value for key, value in row.items() if key != "word"} for row in shifted]
    file.write_text("\n".join(map(json.dumps, shifted)), encoding="utf-8")
    assert read_rows(TASKS["wsd"], file)[0]["index1"] == 2


@pytest.mark.parametrize("task", ROWS)
def test_test_rows_that_are_training_rows(folder_study, task):
    """All of them are an error, some are remarked on; the answer makes no difference."""
    folder, make = folder_study
    row = ROWS[task]
    train = [row, *others([row] * 4), *others(others([row] * 3))]
    write_rows(folder, task, train, train[:2])
    study = make(validation_fraction=0)
    with pytest.raises(BraintuneError, match=rf"nlu/{task}/test.jsonl: all 2 test rows are also in train.jsonl"):
        load_task(study, task)
    new = others(others(others([row] * 2)))
    write_rows(folder, task, train, [*train[:1], *new])
    data = load_task(study, task)
    assert data.shared == 1
    assert data.remarks[0] == "Also among the training rows: 1 of 3 test rows; scores may be too high."
    write_rows(folder, task, train, new)
    assert not any("training rows" in remark for remark in load_task(study, task).remarks)


def test_line_separators_inside_a_text_do_not_break_a_row(tmp_path):
    file = tmp_path / "train.jsonl"
    row = {"sentence": "a\u2028b\u0085c", "label": "x"}
    file.write_text(json.dumps(row, ensure_ascii=False) + "\r\n", encoding="utf-8", newline="")
    assert read_rows(TASKS["sentiment"], file) == [row]


def test_answers_may_be_none_or_written_as_the_hub_does(tmp_path):
    file = tmp_path / "train.jsonl"
    both = ({"answers": []}, {"answers": {"text": [], "answer_start": []}, "is_impossible": True})
    one = {"answers": {"text": ["Ann", "met"], "answer_start": [0, 4]}, "is_impossible": False}
    file.write_text("".join(json.dumps(ROWS["qa"] | more) + "\n" for more in (*both, one)), encoding="utf-8")
    rows = read_rows(TASKS["qa"], file)
    assert [[a["text"] for a in row["answers"]] for row in rows] == [[], [], ["Ann", "met"]]


@pytest.mark.parametrize("task", ROWS)
@pytest.mark.parametrize("extra", [[[0, 4, "PER"]], {"a": 1}, None, 3, "x"], ids=repr)
def test_fields_that_a_task_does_not_have_are_passed_over(folder_study, task, extra):
    """Annotation tools keep more fields, and other tasks use the same names."""
    folder, make = folder_study
    names = {"label", "tokens", "tags", "predicate_index", "text", "answers", "index1", "id"} - set(ROWS[task])
    rows = [ROWS[task] | dict.fromkeys(names, extra) for _ in range(20)]
    texts = [field for field in TASKS[task].text_fields if f"{field}_start" not in TASKS[task].fields]
    for i, row in enumerate(rows):  # different texts
        row |= {field: f"{row[field]} {i}" for field in texts}
        row |= {} if texts else {"tokens": [*row["tokens"], str(i)], "tags": [*row["tags"], "O"]}
    write_rows(folder, task, rows, others(rows[:5]))
    data = load_task(make(), task)
    assert len(data.train) + len(data.validation) == 20
    assert all(set(row) == set(TASKS[task].fields) for row in data.train)
    assert score(data.task, data.test, trivial_answers(data))


# --- parts and labels --------------------------------------------------------------------------------------------


def test_neither_part_of_a_cut_is_empty_or_more_than_half(folder_study):
    """Also where nearly all rows share a text, or where there are few."""
    folder, make = folder_study
    for sizes in ((19, 1), (1, 19), (30, 1, 1), (2, 1), (5, 5)):
        rows = [{"sentence": f"s{k}", "label": "a"} for k, n in enumerate(sizes) for _ in range(n)]
        write_rows(folder, "sentiment", rows, others(rows[:2]))
        for fraction in (0.01, 0.1, 0.5):
            for seed in range(3):
                data = load_task(make(validation_fraction=fraction, world_seed=seed), "sentiment")
                assert 1 <= len(data.validation) <= len(rows) / 2
                assert len(data.train) + len(data.validation) == len(rows)


@pytest.mark.parametrize(
    ("task", "row", "n"),
    [
        ("sentiment", {"sentence": "a", "label": "x"}, 1),
        ("sentiment", {"sentence": "a", "label": "x"}, 9),
        ("ner", {"tokens": ["a"], "tags": ["O"]}, 9),
        ("qa", ROWS["qa"], 9),
    ],
)
def test_rows_that_cannot_be_cut_are_refused(folder_study, task, row, n):
    folder, make = folder_study
    write_rows(folder, task, [row] * n, others([row]))
    with pytest.raises(BraintuneError, match=rf"validation_fraction: 0\.1 of the {n} training rows .* or set it to 0"):
        load_task(make(), task)
    assert len(load_task(make(validation_fraction=0), task).train) == n


def test_rows_without_any_text_share_none(folder_study):
    folder, make = folder_study
    write_rows(folder, "sentiment", [{"sentence": "", "label": "x"}] * 20, [{"sentence": "", "label": "x"}])
    assert len(load_task(make(), "sentiment").validation) == 2


@pytest.mark.parametrize(
    ("task", "train", "test", "named"),
    [
        ("sentiment", {"label": "a"}, {"label": "A"}, "'A' (5)"),
        ("sentiment", {"label": "a"}, {"label": "a "}, "'a ' (5)"),
        ("sentiment", {"label": "entailment"}, {"label": "1"}, "'1' (5)"),
        ("ner", {"tags": ["B-PER", "O"]}, {"tags": ["B-person", "O"]}, "'B-person' (5)"),
        ("qa", {}, {"answers": []}, "'no answer' (5)"),
    ],
)
def test_test_labels_of_which_training_has_none_are_refused(folder_study, task, train, test, named):
    folder, make = folder_study
    plain = {"sentence": "", "tokens": ["Ann", "sat"], "context": "Ann sat", "question": "Who?", "label": ""}
    plain |= {"answers": [{"text": "Ann", "answer_start": 0}]}
    fields = TASKS[task].fields
    rows = {part: [{f: (plain | change)[f] for f in fields}] * 5 for part, change in (("train", train), ("test", test))}
    write_rows(folder, task, rows["train"], others(rows["test"]))
    with pytest.raises(
        BraintuneError, match=re.escape(f"of the 5 test rows occurs in training: {named}; training has")
    ):
        load_task(make(validation_fraction=0), task)


def test_what_is_unknown_in_training_is_remarked_on(folder_study):
    folder, make = folder_study
    tagged = [{"tokens": ["Ann", str(i)], "tags": ["B-PER", "O"]} for i in range(20)]
    write_rows(folder, "ner", tagged, [*others(tagged[:4]), {"tokens": ["Ox"], "tags": ["B-ANIMAL"]}])
    (remark,) = load_task(make(), "ner").remarks
    assert remark == "1 of 9 test tags never occur in training and count as errors: 'B-ANIMAL' (1)."
    alike = [{"sentence": f"s{i}", "label": ("good", "Good", "bad")[i % 3]} for i in range(21)]
    write_rows(folder, "sentiment", alike, others(alike[:3]))
    assert load_task(make(), "sentiment").remarks == ["Some labels differ only in spaces or capitals: 'Good', 'good'."]
    write_rows(folder, "sentiment", alike[::3], others(alike[:1]))
    assert load_task(make(), "sentiment").remarks == ["All training labels are 'good': there is nothing to learn."]
    asked = [ROWS["qa"] | {"context": f"Ann met Eve {i}"} for i in range(20)]
    write_rows(folder, "qa", asked, others([*asked[:3], asked[3] | {"answers": []}]))
    assert load_task(make(), "qa").remarks == [
        "1 of 4 test questions have no answer, but no training question lacks one."
    ]
    write_rows(folder, "qa", [*asked, asked[0] | {"answers": []}], others([*asked[:3], asked[3] | {"answers": []}]))
    data = load_task(make(), "qa")
    assert (data.remarks, data.labels) == ([], (NO_ANSWER,))


# --- tags --------------------------------------------------------------------------------------------------------


def test_the_scheme_is_that_of_both_parts_and_training_gets_iob2(folder_study):
    folder, make = folder_study
    train = [{"tokens": ["Bo", "Lu", str(i)], "tags": ["I-PER", "I-PER", "O"]} for i in range(20)]
    write_rows(folder, "ner", train, [{"tokens": ["Bo", "Lu"], "tags": ["I-PER", "B-PER"]}])
    data = load_task(make(), "ner")
    assert (data.scheme, data.labels) == ("IOB1", ("B-PER", "I-PER", "O"))
    assert (data.train[0]["tags"], data.test[0]["tags"]) == (["B-PER", "I-PER", "O"], ["B-PER", "B-PER"])
    write_rows(folder, "ner", train, [{"tokens": ["Bo", "sat"], "tags": ["I-PER", "VERB"]}])
    with pytest.raises(
        BraintuneError, match=r"ner \(nlu/ner/train.jsonl, nlu/ner/test.jsonl\): the tags 'I-PER', 'VERB'"
    ):
        load_task(make(), "ner")
    plain = [{"tokens": ["Eva"], "tags": ["O"]}] * 2
    write_rows(folder, "ner", train, [*plain, {"tokens": ["Bo", "Lu"], "tags": ["B-PER", "E-PER"]}, *plain])
    message = r"the parts use two tag schemes: train IO, test BIOES; test row 3 is the first that does not fit train"
    with pytest.raises(BraintuneError, match=message):
        load_task(make(), "ner")


def test_roles_may_have_another_scheme(folder_study):
    folder, make = folder_study
    rows = [
        {"tokens": ["the", "ox", "eats", str(i)], "tags": ["B-A0", "E-A0", "S-V", "O"], "predicate_index": 2}
        for i in range(20)
    ]
    write_rows(folder, "srl", rows, others(rows[:3]))
    data = load_task(make(), "srl")
    assert (data.scheme, data.train[0]["tags"]) == ("BIOES", ["B-A0", "I-A0", "B-V", "O"])
    assert score(data.task, data.test, [["B-A0", "I-A0", "O", "O"]] * 3)["span F1"] == 1


def test_one_label_for_every_word_is_scored_by_accuracy(folder_study, monkeypatch, recwarn):
    folder, make = folder_study
    pos = Task("pos", "word classes", "tokens", "form", "accuracy", "Which class has a word?", TASKS["ner"].fields)
    monkeypatch.setitem(TASKS, "pos", pos)
    rows = [{"tokens": ["She", "plays", str(i)], "tags": ["PRON", "B-VERB", "NUM"]} for i in range(20)]
    write_rows(folder, "pos", rows, others(rows[:3]))
    data = load_task(make(), "pos")
    assert (data.scheme, data.labels) == ("", ("B-VERB", "NUM", "PRON"))
    scores = score(pos, data.test, [["PRON", "B-VERB", "PRON"]] * 3)
    assert scores == {"accuracy": pytest.approx(2 / 3), "macro F1": pytest.approx((2 / 3 + 1 + 0) / 3)}
    assert trivial_answers(data)[0][:2] == ["PRON", "B-VERB"] and not recwarn.list
    write_rows(folder, "ner", [row | {"tags": ["PRON", "VERB", "NUM"]} for row in rows], others(rows[:1]))
    with pytest.raises(BraintuneError, match=r"follow no scheme: .*set metric='accuracy'"):
        load_task(make(), "ner")


def test_an_unknown_type_of_a_field_lists_the_known_ones():
    mine = Task(
        "mine", "mine", "sentence", "form", "accuracy", "?", {"sentence": "text", "score": "float", "label": "text"}
    )
    with pytest.raises(
        BraintuneError, match="unknown type of field 'score' of task 'mine' 'float'; known: text, words"
    ):
        check_row(mine, {"sentence": "a", "score": 1.0, "label": "b"}, "a row")


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"metric": "F1"}, r"unknown metric of task 'mine' \(kind tokens\) 'F1'; known: .*span F1.*accuracy"),
        ({"kind": "words"}, "unknown kind of task 'mine' 'words'; known: .*tokens"),
        ({"level": "words"}, "unknown level of task 'mine' 'words'; known: .*concept"),
        (
            {"kind": "roles"},
            "task 'mine' lacks the field 'predicate_index'; kind roles needs 'tokens', 'tags', 'pred",
        ),
        (
            {"kind": "sentence"},
            "task 'mine' lacks the field 'label'; kind sentence needs 'label' and a field of type",
        ),
        (
            {"kind": "pair", "fields": {"a": "text", "label": "text"}},
            "task 'mine' lacks a field of type 'text'; kind pair needs 'label' and two fields of type 'text'",
        ),
    ],
)
def test_an_impossible_task_is_refused_where_it_is_made(changed, fault):
    values = {"name": "mine", "title": "mine", "kind": "tokens", "level": "form", "metric": "accuracy", "question": "?"}
    with pytest.raises(BraintuneError, match=fault):
        Task(**{**values, "fields": TASKS["ner"].fields, **changed})


@pytest.mark.parametrize("name", TASKS)
def test_the_real_data_fit_and_guessing_is_poor(name, shared_data, monkeypatch):
    monkeypatch.setenv("BRAINTUNE_DATA", str(shared_data))
    data = load_task(Study.make({"task_source": "folder", "train_examples": None}), name)
    assert data.scheme == ("IOB2" if data.task.tags_are_spans else "")
    scores = score(data.task, data.test, trivial_answers(data))
    assert 0 <= scores[data.task.metric] < 0.75
    truth = [r["tags"] if "tags" in r else r.get("label") or r["answers"][0]["text"] for r in data.test]
    assert score(data.task, data.test, truth)[data.task.metric] == 1


# --- scores ------------------------------------------------------------------------------------------------------


def naive_answer_words(text):
    kept = "".join(c for c in text.lower() if c not in string.punctuation)
    return [w for w in re.sub(r"\b(a|an|the)\b", " ", kept).split() if w]


words = st.lists(st.sampled_from(["the", "a", "river", "River.", "an", "ox", "42", "!", "é"]), max_size=6).map(" ".join)


@anything
@given(words | st.text(max_size=12), words | st.text(max_size=12))
def test_answer_scores_equal_the_slow_way(left, right):
    a, b = naive_answer_words(left), naive_answer_words(right)
    shared = 0
    rest = list(b)
    for word in a:
        if word in rest:
            rest.remove(word)
            shared += 1
    wanted = float(a == b) if not a or not b else 0.0
    if shared:
        precision, recall = shared / len(a), shared / len(b)
        wanted = 2 * precision * recall / (precision + recall)
    assert token_f1(left, right) == pytest.approx(wanted)
    assert exact_match(left, right) == float(a == b)


def test_answer_scores_known_values():
    assert exact_match("The  River!", "river") == 1
    assert token_f1("the big river", "a river") == pytest.approx(2 / 3)
    assert token_f1("", "the") == 1
    rows = [{"answers": [{"text": "ox"}, {"text": "big ox"}]}]
    assert score(TASKS["qa"], rows, ["the big ox"]) == {"answer F1": 1.0, "exact match": 1.0}


def test_a_question_without_an_answer_is_right_only_if_nothing_is_said():
    """As the official script of SQuAD 2 counts: each question, then those with and without an answer."""
    row = {"context": "the big ox", "question": "who?"}
    ox = [{"text": "big ox", "answer_start": 4}]
    rows = [row | {"answers": answers} for answers in (ox, ox, [], [], [])]
    scores = score(TASKS["qa"], rows, ["ox", "", "", "ox", "the"])
    assert scores == {
        "answer F1": pytest.approx((2 / 3 + 0 + 1 + 0 + 1) / 5),
        "exact match": pytest.approx(2 / 5),
        "HasAns F1": pytest.approx(1 / 3),
        "HasAns exact match": 0,
        "NoAns F1": pytest.approx(2 / 3),
        "NoAns exact match": pytest.approx(2 / 3),
    }
    assert score(TASKS["qa"], rows[2:], ["", "", "ox"]) == {"answer F1": 2 / 3, "exact match": 2 / 3}


def naive_spans(tags):
    """Spans of a well-formed BIO sequence."""
    spans, start = set(), None
    for i, tag in enumerate([*tags, "O"]):
        if start is not None and not tag.startswith("I-"):
            spans.add((start, i, tags[start][2:]))
            start = None
        if tag.startswith("B-"):
            start = i
    return spans


@st.composite
def bio(draw, size):
    tags, open_type = [], None
    for _ in range(size):
        choices = ["O", "B-X", "B-C-Y", *([f"I-{open_type}"] if open_type else [])]
        tags.append(draw(st.sampled_from(choices)))
        open_type = tags[-1][2:] or None
    return tags


@anything
@given(st.data())
def test_span_f1_equals_counting_spans(data):
    sizes = data.draw(st.lists(st.integers(1, 8), min_size=1, max_size=4))
    truth, guess = ([data.draw(bio(n)) for n in sizes] for _ in range(2))
    right = made = wanted = 0
    for t, g in zip(truth, guess, strict=True):
        t, g = naive_spans(t), naive_spans(g)
        right, made, wanted = right + len(t & g), made + len(g), wanted + len(t)
    expected = 2 * right / (made + wanted) if made + wanted else 0.0
    rows = [{"tags": t} for t in truth]
    assert score(TASKS["chunking"], rows, guess)["span F1"] == pytest.approx(expected)


def test_the_given_predicate_does_not_count():
    rows = [{"tags": ["B-ARG0", "B-V", "O"]}]
    scores = score(TASKS["srl"], rows, [["O", "B-V", "O"]])
    assert scores["span F1"] == 0
    assert scores["tag accuracy"] == pytest.approx(2 / 3)
    assert score(TASKS["srl"], rows, [["B-ARG0", "O", "O"]])["span F1"] == 1


@anything
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=1, max_size=20))
def test_label_scores_equal_the_slow_way(pairs):
    truth, guess = zip(*pairs, strict=True)
    scores = score(TASKS["emotion"], [{"label": t} for t in truth], list(guess))
    assert scores["accuracy"] == pytest.approx(np.mean([t == g for t, g in pairs]))
    f1 = []
    for label in set(truth) | set(guess):
        right = sum(t == g == label for t, g in pairs)
        f1.append(2 * right / (Counter(truth)[label] + Counter(guess)[label]))
    assert scores["macro F1"] == pytest.approx(np.mean(f1))
