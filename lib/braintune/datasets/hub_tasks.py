"""The Hugging Face Hub data set of each task, and how its rows are converted to this project's."""

import sys
from collections.abc import Iterator
from functools import partial

from braintune.core.base import BraintuneError
from braintune.datasets.hub import HubData, Row, SchemaError

# --- from the hub's rows to this project's -----------------------------------------------------------------------


def _renamed(row: Row, entry: HubData, **columns: str) -> Iterator[Row | None]:
    """The text of some columns, under other names, and the label."""
    yield {field: row[column] for field, column in columns.items()} | {"label": entry.label(row[entry.class_column])}


def _tagged(row: Row, entry: HubData) -> Iterator[Row | None]:
    """Words with one tag each; an empty sentence is left out."""
    tags = [entry.label(number) for number in row[entry.class_column]]
    yield {"tokens": row["tokens"], "tags": tags} if row["tokens"] or tags else None


def _roles(row: Row, entry: HubData) -> Iterator[Row | None]:
    """One example for each predicate of each sentence of a document; a frame without exactly one B-V is left out."""
    for sentence in row["sentences"]:
        for frame in sentence["srl_frames"]:
            tags = [sys.intern(tag) for tag in frame["frames"]]  # millions of tags, a hundred of them distinct
            verbs = [i for i, tag in enumerate(tags) if tag == "B-V"]
            example = {"tokens": sentence["words"], "predicate_index": verbs[0] if verbs else -1, "tags": tags}
            yield example if len(verbs) == 1 else None


def _reference(row: Row, entry: HubData) -> Iterator[Row | None]:
    """A pronoun and two names."""
    if row["A-coref"] and row["B-coref"]:
        raise SchemaError("B-coref", "true, like A-coref; a pronoun refers to one of the two names or to neither")
    label = "A" if row["A-coref"] else "B" if row["B-coref"] else "NEITHER"
    parts = {"pronoun": "Pronoun", "a": "A", "b": "B"}
    words = {part: row[column] for part, column in parts.items()}
    starts = {f"{part}_start": row[f"{column}-offset"] for part, column in parts.items()}
    yield {"text": row["Text"], **words, **starts, "label": label}


def _senses(row: Row, entry: HubData) -> Iterator[Row | None]:
    """Two sentences with a marked word in each: character offsets become positions among the words."""
    example: Row = {"label": entry.label(row["label"])}
    for k in ("1", "2"):
        text, start, end = row[f"sentence{k}"], row[f"start{k}"], row[f"end{k}"]
        if not 0 <= start < end <= len(text):
            raise SchemaError(f"start{k}", f"{start} to {end} is not within the {len(text)} characters of sentence{k}")
        if text[start].isspace():
            raise SchemaError(f"start{k}", f"character {start} of sentence{k} is a space, not a word")
        example |= {f"sentence{k}": text, f"index{k}": len(text[: start + 1].split()) - 1}
    yield example


def _answered(row: Row, entry: HubData) -> Iterator[Row | None]:
    """A question and its reference answers, which the hub stores as two lists of equal length."""
    texts, starts = row["answers"]["text"], row["answers"]["answer_start"]
    if len(texts) != len(starts):
        raise SchemaError("answers", f"{len(texts)} texts, but {len(starts)} starts; each text needs one")
    answers = [{"text": text, "answer_start": start} for text, start in zip(texts, starts, strict=True)]
    yield {"context": row["context"], "question": row["question"], "answers": answers}


def _emotion(row: Row, entry: HubData) -> Iterator[Row | None]:
    """A sentence whose fine-grained labels all belong to one group; others are left out."""
    groups = {entry.label(number) for number in row["labels"]}
    yield {"sentence": row["text"], "label": groups.pop()} if len(groups) == 1 else None


# --- the data sets -----------------------------------------------------------------------------------------------


def _bio(*kinds: str) -> dict[str, str]:
    tags = ["O", *(f"{edge}-{kind}" for kind in kinds for edge in "BI")]
    return dict(zip(tags, tags, strict=True))


#: The fine-grained labels of GoEmotions in each of Ekman's groups, by the authors' table; neutral is a separate group.
_GROUPS = {
    "anger": "anger annoyance disapproval",
    "disgust": "disgust",
    "fear": "fear nervousness",
    "joy": "admiration amusement approval caring desire excitement gratitude joy love optimism pride relief",
    "neutral": "neutral",
    "sadness": "disappointment embarrassment grief remorse sadness",
    "surprise": "confusion curiosity realization surprise",
}
_EMOTIONS = {fine: group for group, members in _GROUPS.items() for fine in members.split()}

_MOVING = "refs/convert/parquet"
_GLUE = "bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c"

#: Hub data set of every task; `data/README.md` lists their licences and how each entry was checked.
HUB: dict[str, HubData] = {
    "chunking": HubData(
        repository="eriktks/conll2000",
        configuration="default",
        revision=_MOVING,
        files="default/{split}/*.parquet",
        columns={"tokens": ["text"], "chunk_tags": ["integer"]},
        convert=_tagged,
        labels=_bio("ADJP", "ADVP", "CONJP", "INTJ", "LST", "NP", "PP", "PRT", "SBAR", "UCP", "VP"),
    ),
    "ner": HubData(
        repository="eriktks/conll2003",
        configuration="conll2003",
        revision=_MOVING,
        files="conll2003/{split}/*.parquet",
        columns={"tokens": ["text"], "ner_tags": ["integer"]},
        convert=_tagged,
        labels=_bio("PER", "ORG", "LOC", "MISC"),
    ),
    "srl": HubData(
        repository="ontonotes/conll2012_ontonotesv5",
        configuration="english_v12",
        revision=_MOVING,
        files="english_v12/{split}/*.parquet",
        columns={"sentences": [{"words": ["text"], "srl_frames": [{"frames": ["text"]}]}]},
        convert=_roles,
    ),
    "coreference": HubData(
        repository="coref-data/gap_raw",
        configuration="default",
        revision="06fcd971f19dd464e8e7e2a71b1662132c699b45",
        files="data/{split}-*.parquet",
        columns={
            "Text": "text",
            **{column: "text" for column in ("Pronoun", "A", "B")},
            **{f"{column}-offset": "integer" for column in ("Pronoun", "A", "B")},
            **{f"{column}-coref": "boolean" for column in ("A", "B")},
        },
        convert=_reference,
    ),
    "wsd": HubData(
        repository="aps/super_glue",
        configuration="wic",
        revision="3de24cf8022e94f4ee4b9d55a6f539891524d646",
        files="wic/{split}-*.parquet",
        columns={
            **{f"sentence{k}": "text" for k in "12"},
            **{f"{edge}{k}": "integer" for edge in ("start", "end") for k in "12"},
            "label": "integer",
        },
        convert=_senses,
        labels={"False": "different", "True": "same"},
        test_split="validation",
    ),
    "nli": HubData(
        repository="nyu-mll/glue",
        configuration="rte",
        revision=_GLUE,
        files="rte/{split}-*.parquet",
        columns={"sentence1": "text", "sentence2": "text", "label": "integer"},
        convert=partial(_renamed, premise="sentence1", hypothesis="sentence2"),
        labels={"entailment": "entailment", "not_entailment": "not_entailment"},
        test_split="validation",
    ),
    "paraphrase": HubData(
        repository="nyu-mll/glue",
        configuration="mrpc",
        revision=_GLUE,
        files="mrpc/{split}-*.parquet",
        columns={"sentence1": "text", "sentence2": "text", "label": "integer"},
        convert=partial(_renamed, sentence1="sentence1", sentence2="sentence2"),
        labels={"not_equivalent": "not_paraphrase", "equivalent": "paraphrase"},
    ),
    "qa": HubData(
        repository="rajpurkar/squad",
        configuration="plain_text",
        revision="7b6d24c440a36b6815f21b70d25016731768db1f",
        files="plain_text/{split}-*.parquet",
        columns={"context": "text", "question": "text", "answers": {"text": ["text"], "answer_start": ["integer"]}},
        convert=_answered,
        test_split="validation",
    ),
    "sentiment": HubData(
        repository="stanfordnlp/sst2",
        configuration="default",
        revision="8d51e7e4887a4caaa95b3fbebbf53c0490b58bbb",
        files="data/{split}-*.parquet",
        columns={"sentence": "text", "label": "integer"},
        convert=partial(_renamed, sentence="sentence"),
        labels={"negative": "negative", "positive": "positive"},
        test_split="validation",
    ),
    "emotion": HubData(
        repository="google-research-datasets/go_emotions",
        configuration="simplified",
        revision="add492243ff905527e67aeb8b80c082af02207c3",
        files="simplified/{split}-*.parquet",
        columns={"text": "text", "labels": ["integer"]},
        convert=_emotion,
        labels={fine: _EMOTIONS[fine] for fine in sorted(_EMOTIONS, key=lambda fine: (fine == "neutral", fine))},
    ),
}


def entry_of(task: str) -> HubData:
    """Return the hub data set of a task.

    Raises
    ------
    BraintuneError
        If the hub source has none.
    """
    if task not in HUB:
        raise BraintuneError(f"the hub source has no task {task!r}; set task_source: folder, or use {', '.join(HUB)}")
    return HUB[task]
