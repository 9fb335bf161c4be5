import json
import os
import re
import subprocess
import sys
from pathlib import Path

import huggingface_hub
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import constants
from hypothesis import given, settings
from hypothesis import strategies as st

from braintune.core import base
from braintune.core.base import BraintuneError
from braintune.core.settings import TEN_TASKS
from braintune.core.study import Study
from braintune.datasets import hub
from braintune.datasets.hub_tasks import HUB
from braintune.datasets.tasks import NO_ANSWER, TASKS, load_task
from braintune.workflow.fingerprints import fingerprints
from braintune.workflow.jobs import make_job

COMMIT = "c0ffee" * 6 + "cafe"

STRINGS, NUMBERS = pa.list_(pa.string()), pa.list_(pa.int64())
FRAME = pa.struct([("verb", pa.string()), ("frames", STRINGS)])
SENTENCE = pa.struct(
    [("part_id", pa.int32()), ("words", STRINGS), ("pos_tags", NUMBERS), ("srl_frames", pa.list_(FRAME))]
)
PAIR = [("sentence1", pa.string()), ("sentence2", pa.string()), ("label", pa.int64()), ("idx", pa.int32())]

#: The columns of the hub's files, those that are not read included.
SCHEMAS = {
    "chunking": [("id", pa.string()), ("tokens", STRINGS), ("pos_tags", NUMBERS), ("chunk_tags", NUMBERS)],
    "ner": [("id", pa.string()), ("tokens", STRINGS), ("chunk_tags", NUMBERS), ("ner_tags", NUMBERS)],
    "srl": [("document_id", pa.string()), ("sentences", pa.list_(SENTENCE))],
    "coreference": [
        ("ID", pa.string()),
        ("Text", pa.string()),
        ("Pronoun", pa.string()),
        ("Pronoun-offset", pa.int32()),
        ("A", pa.string()),
        ("A-offset", pa.int32()),
        ("A-coref", pa.bool_()),
        ("B", pa.string()),
        ("B-offset", pa.int32()),
        ("B-coref", pa.bool_()),
        ("URL", pa.string()),
    ],
    "wsd": [
        ("word", pa.string()),
        ("sentence1", pa.string()),
        ("sentence2", pa.string()),
        *[(f"{edge}{k}", pa.int32()) for edge in ("start", "end") for k in "12"],
        ("idx", pa.int32()),
        ("label", pa.int64()),
    ],
    "nli": PAIR,
    "paraphrase": PAIR,
    "qa": [
        ("id", pa.string()),
        ("title", pa.string()),
        ("context", pa.string()),
        ("question", pa.string()),
        ("answers", pa.struct([("text", STRINGS), ("answer_start", pa.list_(pa.int32()))])),
    ],
    "sentiment": [("idx", pa.int32()), ("sentence", pa.string()), ("label", pa.int64())],
    "emotion": [("text", pa.string()), ("labels", NUMBERS), ("id", pa.string())],
}

#: For each task a row as the hub has it, and the examples that it must become.
GAP = {"Text": "Ann met Eve and she left", "Pronoun": "she", "Pronoun-offset": 16}
GAP |= {"A": "Ann", "A-offset": 0, "A-coref": False, "B": "Eve", "B-offset": 8, "B-coref": True}
ROWS = {
    "chunking": (
        {"tokens": ["She", "plays", "."], "chunk_tags": [11, 21, 0]},
        [{"tokens": ["She", "plays", "."], "tags": ["B-NP", "B-VP", "O"]}],
    ),
    "ner": (
        {"tokens": ["Ann", "Ash", "sails"], "ner_tags": [1, 2, 0]},
        [{"tokens": ["Ann", "Ash", "sails"], "tags": ["B-PER", "I-PER", "O"]}],
    ),
    "srl": (
        {
            "sentences": [
                {
                    "words": ["She", "sails", "to", "win"],
                    "srl_frames": [
                        {"verb": "sails", "frames": ["B-ARG0", "B-V", "B-ARGM-PRP", "I-ARGM-PRP"]},
                        {"verb": "win", "frames": ["B-ARG0", "O", "O", "B-V"]},
                    ],
                },
                {"words": ["Yes", "."], "srl_frames": []},
            ]
        },
        [
            {
                "tokens": ["She", "sails", "to", "win"],
                "tags": ["B-ARG0", "B-V", "B-ARGM-PRP", "I-ARGM-PRP"],
                "predicate_index": 1,
            },
            {"tokens": ["She", "sails", "to", "win"], "tags": ["B-ARG0", "O", "O", "B-V"], "predicate_index": 3},
        ],
    ),
    "coreference": (
        GAP,
        [
            {
                "text": "Ann met Eve and she left",
                **{"pronoun": "she", "pronoun_start": 16, "a": "Ann", "a_start": 0, "b": "Eve", "b_start": 8},
                "label": "B",
            }
        ],
    ),
    "wsd": (
        {
            "sentence1": "On the “bank”, mud.",
            "sentence2": "Banks pay",
            **{"start1": 8, "end1": 12, "start2": 0, "end2": 5},
            "label": 0,
        },
        [
            {
                "sentence1": "On the “bank”, mud.",
                "sentence2": "Banks pay",
                "index1": 2,
                "index2": 0,
                "label": "different",
            }
        ],
    ),
    "nli": (
        {"sentence1": "She sails", "sentence2": "She moves", "label": 0},
        [{"premise": "She sails", "hypothesis": "She moves", "label": "entailment"}],
    ),
    "paraphrase": (
        {"sentence1": "She sails", "sentence2": "She sails a boat", "label": 1},
        [{"sentence1": "She sails", "sentence2": "She sails a boat", "label": "paraphrase"}],
    ),
    "qa": (
        {
            "context": "In Łódź 🚣 Ann met Zoë",
            "question": "Who met Zoë?",
            "answers": {"text": ["Ann", "Ann met"], "answer_start": [10, 10]},
        },
        [
            {
                "context": "In Łódź 🚣 Ann met Zoë",
                "question": "Who met Zoë?",
                "answers": [{"text": "Ann", "answer_start": 10}, {"text": "Ann met", "answer_start": 10}],
            }
        ],
    ),
    "sentiment": ({"sentence": "a dull film", "label": 0}, [{"sentence": "a dull film", "label": "negative"}]),
    "emotion": ({"text": "What a day!", "labels": [17, 1]}, [{"sentence": "What a day!", "label": "joy"}]),
}


def hub_table(task, rows, names=None, schema=None):
    """A table with the columns and the description that the hub's own files have."""
    schema = pa.schema(schema or SCHEMAS[task])
    if names:
        label = {"names": list(names), "_type": "ClassLabel"}
        lists = task in ("chunking", "ner", "emotion")
        described = {HUB[task].class_column: {"feature": label, "_type": "Sequence"} if lists else label}
        schema = schema.with_metadata({"huggingface": json.dumps({"info": {"features": described}})})
    return pa.Table.from_pylist(rows, schema)


def publish(cache, task, commit=COMMIT, **parts):
    """Lay tables out as the hub's client does after a download; a part is a table or a list of them."""
    entry = HUB[task]
    commit = commit if entry.revision.startswith("refs/") else entry.revision
    folder = cache / f"datasets--{entry.repository.replace('/', '--')}"
    ref = folder / "refs" / entry.revision
    ref.parent.mkdir(parents=True, exist_ok=True)
    ref.write_text(commit)
    for part, tables in parts.items():
        for i, table in enumerate(tables if isinstance(tables, list) else [tables]):
            file = folder / "snapshots" / commit / entry.patterns[part].replace("*", f"{i:04d}")
            file.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(table, file)
    return folder / "snapshots" / commit


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty hub cache on a machine without a connection."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path


def load(task, **values):
    wanted = {"task_source": "hub", "train_examples": None, "test_examples": None, "validation_fraction": 0}
    return load_task(Study.make(wanted | values), task)


def broken(cache, task, change, **options):
    """The error for a repository whose second training row is not as it should be."""
    good, _ = ROWS[task]
    bad = hub_table(task, [good, good | change], **options)
    publish(cache, task, train=bad, test=hub_table(task, [good]))
    with pytest.raises(BraintuneError) as error:
        load(task)
    return str(error.value)


# --- the entries -------------------------------------------------------------------------------------------------


def test_every_task_has_an_entry():
    assert set(HUB) == set(TEN_TASKS) == set(ROWS)
    for task, entry in HUB.items():
        assert re.fullmatch(r"[\w-]+/[\w-]+", entry.repository)
        assert re.fullmatch(r"[0-9a-f]{40}|refs/convert/parquet", entry.revision)
        assert entry.configuration
        assert entry.test_split in ("test", "validation")
        assert set(entry.columns) <= {name for name, _ in SCHEMAS[task]}


def test_labels_are_in_the_order_of_the_hub():
    assert list(HUB["chunking"].labels)[:3] == ["O", "B-ADJP", "I-ADJP"]
    assert list(HUB["chunking"].labels)[-2:] == ["B-VP", "I-VP"]
    assert len(HUB["chunking"].labels) == 23
    assert list(HUB["ner"].labels) == ["O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC", "B-MISC", "I-MISC"]
    emotions = list(HUB["emotion"].labels)
    assert (len(emotions), emotions[0], emotions[17]) == (28, "admiration", "joy")
    assert emotions[26:] == ["surprise", "neutral"]
    groups = {"anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise"}
    assert set(HUB["emotion"].labels.values()) == groups


def test_the_data_page_lists_every_entry():
    page = (base.REPOSITORY / "data" / "README.md").read_text(encoding="utf-8")
    for task, entry in HUB.items():
        cells = [f"`{task}`", f"`{entry.repository}`", f"`{entry.configuration}`", f"`{entry.revision}`"]
        row = next(
            line for line in page.splitlines() if line.startswith(f"| {' | '.join(cells)} | {entry.test_split} |")
        )
        assert all(len(cell.strip()) > 3 for cell in row.strip("| ").split(" | "))  # licence, and how it was checked


# --- loading -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("described", [True, False])
@pytest.mark.parametrize("task", HUB)
def test_a_repository_becomes_rows_of_the_task(cache, task, described):
    row, wanted = ROWS[task]
    names = HUB[task].labels if described else None
    publish(cache, task, train=hub_table(task, [row, row], names), test=hub_table(task, [row], names))
    data = load(task)
    assert data.train == wanted * 2
    assert data.test == wanted
    assert data.left_out == {"train": 0, "test": 0}
    assert data.task == TASKS[task]
    entry = HUB[task]
    commit = COMMIT if entry.revision.startswith("refs/") else entry.revision
    assert set(data.checksums) == {
        f"{entry.repository}@{commit}/{pattern.replace('*', '0000')}" for pattern in entry.patterns.values()
    }
    assert all(re.fullmatch("[0-9a-f]{64}", sha) for sha in data.checksums.values())


def test_questions_without_an_answer_have_two_empty_lists(cache):
    row, (wanted,) = ROWS["qa"]
    rows = [row, row | {"answers": {"text": [], "answer_start": []}}]
    publish(cache, "qa", train=hub_table("qa", rows), test=hub_table("qa", rows))
    data = load("qa")
    assert data.train == data.test == [wanted, wanted | {"answers": []}]
    assert data.labels == (NO_ANSWER,)


def test_rows_are_drawn_and_cut_as_from_any_source(cache):
    rows = [{"sentence": f"s{i}", "label": i % 2} for i in range(60)]
    publish(cache, "sentiment", train=hub_table("sentiment", rows), test=hub_table("sentiment", rows[:20]))
    data = load("sentiment", train_examples=40, test_examples=10, validation_fraction=0.2)
    assert (len(data.train), len(data.validation), len(data.test)) == (32, 8, 10)
    assert data.labels == ("negative", "positive")


def test_shards_are_read_in_order_and_wider_types_too(cache):
    wide = [("idx", pa.int32()), ("sentence", pa.large_string()), ("label", pa.int8())]
    shards = [hub_table("sentiment", [{"sentence": f"s{i}", "label": 1}], schema=wide) for i in range(3)]
    publish(cache, "sentiment", train=shards, test=shards[0])
    data = load("sentiment")
    assert [row["sentence"] for row in data.train] == ["s0", "s1", "s2"]
    assert len(data.checksums) == 4


def test_examples_that_a_task_cannot_use_are_counted(cache):
    emotions = [{"text": f"t{i}", "labels": labels} for i, labels in enumerate([[2, 3], [2, 17], [], [27]])]
    publish(cache, "emotion", train=hub_table("emotion", emotions), test=hub_table("emotion", emotions[1:]))
    data = load("emotion")
    assert [(row["sentence"], row["label"]) for row in data.train] == [("t0", "anger"), ("t3", "neutral")]
    assert data.left_out == {"train": 2, "test": 2}
    good, _ = ROWS["chunking"]
    words = hub_table("chunking", [good, {"tokens": [], "chunk_tags": []}])
    publish(cache, "chunking", train=words, test=words)
    assert load("chunking").left_out == {"train": 1, "test": 1}
    nominal = {"words": ["Her", "win"], "srl_frames": [{"verb": "win", "frames": ["B-ARG0", "O"]}]}
    roles = hub_table("srl", [ROWS["srl"][0], {"sentences": [nominal]}])
    publish(cache, "srl", train=roles, test=hub_table("srl", [ROWS["srl"][0]]))
    assert load("srl").left_out == {"train": 1, "test": 0}


def test_a_part_without_examples_is_an_error(cache):
    none = hub_table("emotion", [{"text": "t", "labels": []}])
    publish(cache, "emotion", train=hub_table("emotion", [ROWS["emotion"][0]]), test=none)
    with pytest.raises(BraintuneError, match=r"simplified/test-\*\.parquet: no example of emotion \(1 left out\)"):
        load("emotion")


def test_gap_labels(cache):
    rows = [GAP | {"A-coref": a, "B-coref": b} for a, b in ((True, False), (False, True), (False, False))]
    publish(cache, "coreference", train=hub_table("coreference", rows), test=hub_table("coreference", rows))
    assert [row["label"] for row in load("coreference").train] == ["A", "B", "NEITHER"]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(["ox", "“ox”,", "ż", "🚣x", "a-b"]), min_size=1, max_size=6), st.data())
def test_a_character_lies_in_the_word_that_counting_finds(words, data):
    spaces = [data.draw(st.sampled_from([" ", "  ", "\u00a0", "\t"])) for _ in words]
    text = "".join(space + word for space, word in zip(spaces, words, strict=True))
    start = data.draw(st.sampled_from([i for i, character in enumerate(text) if not character.isspace()]))
    row = {"sentence1": text, "start1": start, "end1": start + 1, "sentence2": "ox", "start2": 0, "end2": 2, "label": 1}
    found = next(HUB["wsd"].convert(row, HUB["wsd"]))
    assert found["index1"] == len((text[:start] + "x").split()) - 1
    assert text[start] in text.split()[found["index1"]]


# --- faults ------------------------------------------------------------------------------------------------------


FAULTS = [
    ("sentiment", {"label": -1}, "label", "-1 is not a label; known: 0 (negative), 1 (positive)"),
    ("chunking", {"chunk_tags": [11, 23, 0]}, "chunk_tags", "23 is not a label"),
    ("chunking", {"chunk_tags": [11]}, "tags", "1 tags for 3 tokens"),
    ("ner", {"tokens": ["Ann", None, "sails"]}, "tokens", "null; expected list of text"),
    ("sentiment", {"sentence": None}, "sentence", "null; expected text"),
    ("qa", {"answers": {"text": ["Ann"], "answer_start": []}}, "answers", "1 texts, but 0 starts"),
    ("qa", {"answers": {"text": ["Ann"], "answer_start": [9]}}, "answers", "'Ann' is not at character 9"),
    ("qa", {"answers": {"text": [""], "answer_start": [0]}}, "answers", "without an answer has `answers: []`"),
    ("coreference", {"A-offset": 1}, "a_start", "'Ann' is not at character 1"),
    ("coreference", {"A-coref": True}, "B-coref", "true, like A-coref"),
    ("wsd", {"end1": 40}, "start1", "8 to 40 is not within the 19 characters of sentence1"),
    ("wsd", {"start2": 5, "end2": 6}, "start2", "character 5 of sentence2 is a space"),
    ("srl", {"sentences": [{"words": ["a"], "srl_frames": [{"frames": ["B-V", "O"]}]}]}, "tags", "2 tags for 1 tokens"),
    ("srl", {"sentences": [{"words": ["a"], "srl_frames": [{"frames": None}]}]}, "sentences", "null; expected list of"),
]


@pytest.mark.parametrize(("task", "change", "field", "fault"), FAULTS)
def test_a_faulty_row_names_file_row_and_field(cache, task, change, field, fault):
    message = broken(cache, task, change)
    file = HUB[task].patterns["train"].replace("*", "0000")
    assert f"{file}, row 2, field {field!r}: " in message
    assert fault in message


def test_a_missing_column_is_named_with_the_present_ones(cache):
    message = broken(cache, "sentiment", {}, schema=[("idx", pa.int32()), ("sentence", pa.string())])
    assert "data/train-0000.parquet, field 'label': missing; the file has idx, sentence; " in message
    assert "correct the entry in HUB (lib/braintune/datasets/hub_tasks.py)" in message


@pytest.mark.parametrize(
    ("task", "column", "kind", "wanted"),
    [
        ("sentiment", "label", pa.string(), "its type is string; expected integer"),
        ("ner", "ner_tags", STRINGS, "expected list of integer"),
        ("coreference", "A-coref", pa.string(), "its type is string; expected boolean"),
        ("qa", "answers", STRINGS, "expected record of text (list of text) and answer_start (list of integer)"),
    ],
)
def test_a_column_of_another_type_is_named(cache, task, column, kind, wanted):
    schema = [(name, kind if name == column else known) for name, known in SCHEMAS[task]]
    table = pa.Table.from_pylist([{}], pa.schema(schema))
    publish(cache, task, train=table, test=table)
    with pytest.raises(BraintuneError, match=re.escape(f"field {column!r}: ")) as error:
        load(task)
    assert wanted in str(error.value)


@pytest.mark.parametrize("task", ["nli", "ner"])
def test_other_label_names_are_an_error(cache, task):
    names = list(HUB[task].labels)[::-1]
    message = broken(cache, task, {}, names=names)
    assert f"field {HUB[task].class_column!r}: its labels are {', '.join(names)}; expected " in message


def test_label_names_are_read_however_the_hub_writes_them(cache):
    good, wanted = ROWS["ner"]
    label = {"names": list(HUB["ner"].labels), "_type": "ClassLabel"}
    for feature in (
        [label],
        {"feature": label, "_type": "List"},
        {"feature": label, "length": -1, "_type": "Sequence"},
    ):
        table = hub_table("ner", [good]).replace_schema_metadata(
            {"huggingface": json.dumps({"info": {"features": {"ner_tags": feature}}})}
        )
        publish(cache, "ner", train=table, test=table)
        assert load("ner").test == wanted
        label["names"] = label["names"][::-1]
        publish(cache, "ner", train=table, test=hub_table("ner", [good], label["names"]))
        with pytest.raises(BraintuneError, match="its labels are"):
            load("ner")
        label["names"] = label["names"][::-1]


def test_a_torn_file_says_how_to_fetch_it_again(cache):
    table = hub_table("nli", [ROWS["nli"][0]])
    folder = publish(cache, "nli", train=table, test=table)
    file = folder / "rte" / "train-0000.parquet"
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(BraintuneError, match=r"train-0000\.parquet is not a complete Parquet file .*--force-download`"):
        load("nli")


@pytest.mark.parametrize("partly", [False, True])
def test_a_missing_repository_says_what_to_run(cache, partly):
    if partly:
        publish(cache, "chunking", train=hub_table("chunking", [ROWS["chunking"][0]]))
    with pytest.raises(BraintuneError) as error:
        load("chunking")
    for piece in (
        "'eriktks/conll2000' (configuration 'default', revision 'refs/convert/parquet') is not in the hub cache",
        "`hf download eriktks/conll2000 --repo-type dataset --revision refs/convert/parquet --include 'default/*'`",
        "or set task_source: folder or microworld",
    ):
        assert piece in str(error.value)


def test_a_task_without_a_hub_data_set():
    with pytest.raises(BraintuneError, match=r"no task 'qa_squad'; set task_source: folder, or use chunking, ner"):
        load("qa_squad")


# --- cache, download, provenance ---------------------------------------------------------------------------------


def test_only_what_is_not_cached_is_downloaded(cache, monkeypatch):
    table = hub_table("sentiment", [ROWS["sentiment"][0]])
    asked, download = [], huggingface_hub.snapshot_download

    def client(repository, **options):
        asked.append((repository, options))
        if not options["local_files_only"]:
            publish(cache, "sentiment", train=table, test=table)
        return download(repository, **options | {"local_files_only": True})

    monkeypatch.setattr(huggingface_hub, "snapshot_download", client)
    assert len(load("sentiment").test) == 1
    assert [options.pop("local_files_only") for _, options in asked[:2]] == [True, False]
    assert all(options.pop("local_files_only") for _, options in asked[2:])
    entry = HUB["sentiment"]
    wanted = {"repo_type": "dataset", "revision": entry.revision, "allow_patterns": list(entry.patterns.values())}
    assert all(call == (entry.repository, wanted) for call in asked)


def test_a_moved_revision_is_another_state_of_the_data(cache):
    good, _ = ROWS["chunking"]
    table, other = hub_table("chunking", [good]), hub_table("chunking", [good, good])
    run = Study.make({"task_source": "hub", "tasks": ["chunking"]})
    job = make_job("tuning", task="chunking", method="fine-tuned", seed=0)
    publish(cache, "chunking", train=table, test=table)
    before, sums = fingerprints(run)[job], load("chunking").checksums
    assert fingerprints(run)[job] == before
    publish(cache, "chunking", commit="d" * 40, train=other, test=table)
    moved = load("chunking").checksums
    assert all(COMMIT in name for name in sums)
    assert all("d" * 40 in name for name in moved)
    assert fingerprints(run)[job] != before


def test_a_user_needs_nothing_but_the_cache(tmp_path):
    row, wanted = ROWS["wsd"]
    publish(tmp_path / "hub", "wsd", train=hub_table("wsd", [row]), test=hub_table("wsd", [row]))
    code = (
        "from braintune.core.study import Study; from braintune.datasets.tasks import load_task; "
        "import json; study = Study.make({'task_source': 'hub', 'validation_fraction': 0}); "
        "print(json.dumps(load_task(study, 'wsd').test))"
    )
    lib = Path(hub.__file__).parents[2]
    names = ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE")
    environment = {k: v for k, v in os.environ.items() if k not in names}
    environment |= {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(lib)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == wanted
