"""Tag schemes: the same entities read from every spelling, and what follows no scheme refused."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval import metrics as seqeval

from braintune.core.base import BraintuneError
from braintune.datasets.metrics import score
from braintune.datasets.tags import UNTYPED, close_gaps, read_scheme
from braintune.datasets.tasks import TASKS

anything = settings(max_examples=60, deadline=None)
#: Edges of an entity of one word, of its first, inner and last word.
EDGES = {"IOB2": "BBII", "BIOES": "SBIE", "BILOU": "UBIL", "IO": "IIII"}


def spell(entities, scheme, join="{edge}-{type}"):
    """Spell sentences of (type, length) pairs, where the type "" is outside."""
    rows = []
    for sentence in entities:
        tags, before = [], ""
        for type_, n in sentence:
            if scheme == "IOB1":
                edges = ["B" if type_ == before else "I", *"I" * (n - 1)]
            else:
                one, first, inner, last = EDGES[scheme]
                edges = [one] if n == 1 else [first, *inner * (n - 2), last]
            tags += [join.format(edge=edge, type=type_) if type_ else "O" for edge in edges]
            before = type_
        rows.append(tags)
    return rows


PIECES = st.tuples(st.sampled_from(["", "PER", "creative-work", "C-ARG1"]), st.integers(1, 3))
SENTENCES = st.lists(st.lists(PIECES, min_size=1, max_size=6), min_size=1, max_size=5)


@anything
@given(SENTENCES, st.sampled_from(["IOB2", "IOB1", "BIOES", "BILOU"]), st.booleans())
def test_every_scheme_is_recognised_and_gives_the_same_entities(entities, scheme, type_first):
    rows = spell(entities, scheme, "{type}-{edge}" if type_first else "{edge}-{type}")
    found = read_scheme({"train": rows[:1], "test": rows[1:]})
    assert [found.to_iob2(tags) for tags in rows] == spell(entities, "IOB2")
    if any(tag != "O" for tags in rows for tag in tags):
        neighbours = any(tag.startswith("B-") or tag.endswith("-B") for tags in rows for tag in tags)
        named = "IO" if scheme == "IOB1" and not neighbours else scheme
        assert found.name == named + " (type first)" * type_first


@anything
@given(SENTENCES, st.sampled_from(["{edge}-{type}", "{type}-{edge}", "{type}"]))
def test_without_b_neighbours_of_one_type_are_one_entity(entities, join):
    rows = spell(entities, "IO", join)
    if not any("O" in tags for tags in rows):
        rows.append(["O"])
    found = read_scheme({"train": rows})
    plain = [[f"I-{t}" if t else "O" for t, n in sentence for _ in range(n)] for sentence in entities]
    assert [found.to_iob2(tags) for tags in rows][: len(plain)] == [close_gaps(tags) for tags in plain]


@anything
@given(st.lists(st.sampled_from(["O", "B-X", "I-X", "B-Y", "I-Y"]), min_size=1, max_size=9))
def test_gaps_are_closed_as_conll_reads_them(tags):
    """The entities of any IOB tags, as seqeval reads them by default, are those of the tags in strict IOB2."""
    wanted = ["B-X", "I-X", "O", "B-Y", "I-Y", "B-Y", "O", "I-X", "I-X"][: len(tags)]
    strict = score(TASKS["ner"], [{"tags": close_gaps(wanted)}], [close_gaps(tags)])["span F1"]
    assert strict == pytest.approx(seqeval.f1_score([wanted], [tags], zero_division=0))


def test_strict_scores_pass_over_an_entity_that_begins_with_i():
    rows = [{"tags": ["B-X", "O", "B-Y"]}]
    assert score(TASKS["ner"], rows, [["I-X", "O", "B-Y"]])["span F1"] == pytest.approx(2 / 3)


def test_edges_alone_are_entities_of_one_type():
    found = read_scheme({"train": [["B", "I", "O", "B"]], "test": [["O"]]})
    assert (found.name, found.to_iob2(["B", "I"])) == ("IOB2 (prefixes alone)", [f"B-{UNTYPED}", f"I-{UNTYPED}"])


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ("NN VB DT", "'DT', 'NN', 'VB' follow no scheme: none has a prefix and none is 'O'.*metric='accuracy'"),
        ("B-PER I-PER 0", r"others have none or another form \('B-PER', '0'\); write 'O'"),
        ("B-PER O|PER O", r"others have none or another form \('B-PER', 'PER'\)"),
        ("B_PER I_PER O", "'B_PER' is not spelt as in any scheme; write .*'B-PER', 'I-PER'"),
        ("b-PER i-PER O", "'b-PER' is not spelt as in any scheme"),
        ("PER:B PER:I O", "'PER:B' is not spelt as in any scheme"),
        ("b i O", "'b' is not spelt as in any scheme"),
        ("B-X M-X E-X|S-X O", "follow no scheme: some have a prefix"),
        ("B-X U-X|B-X E-X", "the prefixes B, E, U mix BIOES .* with BILOU"),
        (
            "B-X I-X|O B-X|O I-X",
            r"IOB2 does not allow 'I-X' after 'O' \(train row 3\); IOB1 does not allow 'B-X' at the",
        ),
        ("B-X I-Y", "IOB2 does not allow 'I-Y' after 'B-X'"),
        ("S-X O|O B-X", r"BIOES does not allow 'B-X' at the end \(train row 2\); correct the rows"),
        ("U-X L-X", r"BILOU does not allow 'L-X' after 'U-X'"),
        ("I-X E-X", "BIOES does not allow 'I-X' at the beginning"),
        (" PER O", "tag '' is empty or has spaces around it"),
        ("B-PER O\xa0", r"tag 'O\\xa0' is empty or has spaces around it"),
    ],
)
def test_what_is_no_scheme_is_refused(rows, fault):
    with pytest.raises(BraintuneError) as error:
        read_scheme({"train": [sentence.split(" ") for sentence in rows.split("|")]})
    assert re.search(fault, str(error.value)), error.value


@pytest.mark.parametrize(
    ("train", "test", "named"),
    [
        ("B-X I-X O", "O|S-X|B-X E-X", "train IOB2, test BIOES; test row 2 "),
        ("U-X O|B-X L-X", "B-X I-X", "train BILOU, test IOB2; test row 1 "),
        ("B-X I-X O", "X O", r"train IOB2, test IO \(types alone\); test row 1 "),
        ("B-X I-X O", "B-X O|O I-X", r"IOB2 does not allow 'I-X' after 'O' \(test row 2\)"),
        ("O I-X|B-X I-X", "B-X I-X", r"IOB2 does not allow 'I-X' after 'O' \(train row 1\)"),
    ],
)
def test_the_part_with_the_fault_is_named(train, test, named):
    parts = {name: [row.split(" ") for row in rows.split("|")] for name, rows in (("train", train), ("test", test))}
    with pytest.raises(BraintuneError, match=named):
        read_scheme(parts)
