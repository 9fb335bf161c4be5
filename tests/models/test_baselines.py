from dataclasses import replace

import numpy as np
import pytest

from braintune.core.base import BraintuneError
from braintune.core.study import Study
from braintune.datasets.metrics import score
from braintune.datasets.tasks import TASKS, TaskData, check_row, load_task, row_labels
from braintune.models.baselines import bag_of_words_answers, trivial_answers

#: One task of every kind.
EXAMPLES = {
    "sentence": "sentiment",
    "pair": "nli",
    "sense": "wsd",
    "reference": "coreference",
    "tokens": "chunking",
    "roles": "srl",
    "span": "qa",
}
FILLERS = np.array(["the", "ox", "is", "in", "a", "new", "river", "and", "plays", "with", "old", "hats"])


def make_data(kind, train, test=(), validation=()):
    task = TASKS[EXAMPLES[kind]]
    for row in [*train, *test, *validation]:
        check_row(task, row, "a planted row")
    labels = {label for row in train for label in row_labels(task, row)}
    return TaskData(task, list(train), list(validation), list(test), tuple(sorted(labels)), {}, {}, {})


def planted(kind, rule, n_train=300, n_test=400):
    random = np.random.default_rng(3)
    return make_data(*([kind] + [[rule(random) for _ in range(n)] for n in (n_train, n_test)]))


def points(data, answers):
    return score(data.task, data.test, answers)[data.task.metric]


def fill(random, n=3):
    return list(random.choice(FILLERS, n))


def reference_row(words, label):
    """A pronoun and two candidates around some words."""
    text = f"Ann met Eve {' '.join(words)} she left"
    places = {"a": ("Ann", 0), "b": ("Eve", 8), "pronoun": ("she", text.index(" she left") + 1)}
    facts = {key: value for name, (word, at) in places.items() for key, value in ((name, word), (f"{name}_start", at))}
    return {"text": text, "label": label, **facts}


def sense_row(first, second, label):
    sentences = {"sentence1": " ".join([*first, "bank"]), "sentence2": " ".join(["bank", *second])}
    return {**sentences, "index1": len(first), "index2": 0, "label": label}


# --- rules that words give away ----------------------------------------------------------------------------------


def word_sentence(random):
    label = str(random.choice(["good", "bad"]))
    return {"sentence": " ".join(random.permutation([label, *fill(random)])), "label": label}


def word_pair(random):
    """The second text says the same, or something else."""
    first, other = fill(random, 4), fill(random, 4)
    same = random.random() < 0.5
    return {"premise": " ".join(first), "hypothesis": " ".join(first if same else other), "label": str(same)}


def word_sense(random):
    money, same = random.random() < 0.5, random.random() < 0.5
    first, second = ("pays" if side else "water" for side in (money, money == same))
    return sense_row([*fill(random), first], [second, *fill(random)], str(same))


def word_reference(random):
    label = str(random.choice(["A", "B"]))
    return reference_row([*fill(random), {"A": "because", "B": "so"}[label], *fill(random)], label)


def word_tags(random):
    """A name has capitals; what kind of name it is, the word before says."""
    words, tags = fill(random, 8), ["O"] * 8
    for i in (2, 5):
        kind = str(random.choice(["in", "by"]))
        words[i - 1], words[i], tags[i] = kind, f"{random.choice(list('QRST'))}{random.integers(99)}", f"B-{kind}"
    return {"tokens": words, "tags": tags}


def word_roles(random):
    """Who acts stands before the predicate, and whoever else is there stands after it."""
    names = [f"{word}-Name" for word in fill(random, 3)]
    place = int(random.integers(1, 3))
    tokens = [*names[:place], "sees", *names[place:]]
    return {"tokens": tokens, "tags": [*["B-A0"] * place, "B-V", *["B-A1"] * (3 - place)], "predicate_index": place}


def word_span(random):
    words = random.permutation([*fill(random), "Ann Lee", "1984 07"])
    who = random.random() < 0.5
    context, answer = " ".join(words), "Ann Lee" if who else "1984 07"
    question = f"{'who' if who else 'when'} plays ?"
    return {
        "context": context,
        "question": question,
        "answers": [{"text": answer, "answer_start": context.index(answer)}],
    }


BY_WORDS = [word_sentence, word_pair, word_sense, word_reference, word_tags, word_roles, word_span]


@pytest.mark.parametrize(("kind", "rule"), list(zip(EXAMPLES, BY_WORDS, strict=True)), ids=EXAMPLES)
def test_a_rule_about_words_is_learned(kind, rule):
    data = planted(kind, rule)
    trivial, bags = points(data, trivial_answers(data)), points(data, bag_of_words_answers(data))
    assert trivial < 0.75
    assert bags > 0.9


# --- rules about the order of words ------------------------------------------------------------------------------


def in_order(random):
    """Two words somewhere among others, and which of them comes first."""
    names = list(random.permutation(["black", "white"]))
    return [*fill(random), names[0], *fill(random), names[1], *fill(random)], str(names[0])


def order_sentence(random):
    words, label = in_order(random)
    return {"sentence": " ".join(words), "label": label}


def order_pair(random):
    first, one = in_order(random)
    second, two = in_order(random)
    return {"premise": " ".join(first), "hypothesis": " ".join(second), "label": str(one == two)}


def order_sense(random):
    first, one = in_order(random)
    second, two = in_order(random)
    return sense_row(first, second, str(one == two))


def order_reference(random):
    words, first = in_order(random)
    return reference_row(words, {"black": "A", "white": "B"}[first])


def order_tags(random):
    words, first = in_order(random)
    return {"tokens": [*words, "target"], "tags": ["O"] * len(words) + [f"B-{first}"]}


def order_roles(random):
    return order_tags(random) | {"predicate_index": 5}


def order_span(random):
    words, first = in_order(random)
    context, answer = " ".join([*words, *random.permutation(["Ann", "Eve"]), "in"]), ["Ann", "Eve"][first == "black"]
    return {
        "context": context,
        "question": "who ?",
        "answers": [{"text": answer, "answer_start": context.index(answer)}],
    }


BY_ORDER = [order_sentence, order_pair, order_sense, order_reference, order_tags, order_roles, order_span]


@pytest.mark.parametrize(("kind", "rule"), list(zip(EXAMPLES, BY_ORDER, strict=True)), ids=EXAMPLES)
def test_a_rule_about_order_is_not(kind, rule):
    data = planted(kind, rule, 400, 1000)
    assert points(data, bag_of_words_answers(data)) == pytest.approx(0.5, abs=0.08)


# --- what is read, and how often it says the same ----------------------------------------------------------------


@pytest.mark.parametrize(("kind", "rule"), list(zip(EXAMPLES, BY_WORDS, strict=True)), ids=EXAMPLES)
def test_answers_are_repeatable_and_need_no_test_labels(kind, rule):
    data = planted(kind, rule, 60, 30)
    answers = bag_of_words_answers(data)
    assert answers == bag_of_words_answers(data)
    for row in data.test:
        row.update({"label": "?", "tags": ["?"] * len(row.get("tags", [])), "answers": []})
    assert answers == bag_of_words_answers(data)


def test_validation_rows_are_training_rows():
    rows = [{"sentence": word, "label": word} for word in ("good", "bad") for _ in range(9)]
    data = make_data("sentence", rows[:9], [{"sentence": "bad", "label": "bad"}], rows[9:])
    assert bag_of_words_answers(data) == ["bad"]


# --- degenerate data ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "rule"), list(zip(EXAMPLES, BY_WORDS, strict=True)), ids=EXAMPLES)
def test_one_training_row_gives_its_label(kind, rule):
    data = planted(kind, rule, 1, 3)
    answers = bag_of_words_answers(data)
    assert len(answers) == 3
    if "label" in data.train[0]:
        assert answers == [data.train[0]["label"]] * 3
    assert bag_of_words_answers(make_data(kind, data.train)) == []


def test_one_tag_only():
    rows = [{"tokens": ["a", "b"], "tags": ["O", "O"]}]
    assert bag_of_words_answers(make_data("tokens", rows, rows)) == [["O", "O"]]


def test_texts_without_words():
    rows = [{"sentence": text, "label": label} for text, label in (("", "none"), ("good", "some")) for _ in range(5)]
    assert bag_of_words_answers(make_data("sentence", rows, rows[4:6])) == ["none", "some"]
    empty = [{"sentence": "", "label": label} for label in "aab"]
    assert bag_of_words_answers(make_data("sentence", empty, empty[:1])) == ["a"]
    pairs = [{"premise": "", "hypothesis": text, "label": label} for text, label in (("", "a"), ("x", "b"))] * 4
    assert bag_of_words_answers(make_data("pair", pairs, pairs[:2])) == ["a", "b"]


def test_sentences_of_one_word():
    rows = [{"tokens": [word], "tags": [tag]} for word, tag in (("Ann", "B-X"), ("ox", "O"), ("", "O"))] * 5
    assert bag_of_words_answers(make_data("tokens", rows, rows[:3])) == [["B-X"], ["O"], ["O"]]
    roles = [row | {"predicate_index": 0} for row in rows]
    assert bag_of_words_answers(make_data("roles", roles, roles[:3])) == [["B-X"], ["O"], ["O"]]


def test_contexts_of_nothing_and_of_the_answer_alone():
    def row(context, answer):
        return {"context": context, "question": "", "answers": [{"text": answer, "answer_start": 0}]}

    nothing = row("", "") | {"answers": []}
    assert bag_of_words_answers(make_data("span", [row("Ann", "Ann")], [row(" Eve ", " Eve")])) == ["Eve"]
    train = [row("Ann met", "Ann")] * 4
    assert bag_of_words_answers(make_data("span", train, [nothing, row("Ann met", "Ann")])) == ["", "Ann"]
    assert bag_of_words_answers(make_data("span", train, [nothing])) == [""]
    for answers in (bag_of_words_answers, trivial_answers):
        assert answers(make_data("span", [nothing] * 3, [row("Eve", "Eve")])) == [""]


def test_baselines_may_answer_nothing():
    """The trivial one where most questions have no answer, the bag of words where their words say so."""

    def row(word, answered):
        context = f"Ann met {word}"
        answers = [{"text": word, "answer_start": 8}] if answered else []
        return {"context": context, "question": f"who met {'Ann' if answered else 'Zoe'}", "answers": answers}

    names = ("Bo", "Eve", "Lu", "Tom")
    train = [row(name, answered) for name in names for answered in (True, False, False, False)]
    test = [row("Eve", True), row("Lu", False)]
    data = make_data("span", train, test)
    assert trivial_answers(data) == ["", ""]
    assert bag_of_words_answers(data) == ["Eve", ""]
    answered = make_data("span", [one for one in train if one["answers"]], test)
    assert "" not in trivial_answers(answered) + bag_of_words_answers(answered)


def test_tags_of_baselines_are_iob2_where_they_are_spans():
    rows = [{"tokens": ["Ann", "Lee"], "tags": ["B-X", "I-X"]}] * 6
    data = make_data("tokens", rows, [{"tokens": ["Lee"], "tags": ["B-X"]}])
    assert trivial_answers(data) == bag_of_words_answers(data) == [["B-X"]]
    labels = replace(data, task=replace(data.task, metric="accuracy"))
    assert trivial_answers(labels) == bag_of_words_answers(labels) == [["I-X"]]


def test_no_training_rows_are_refused():
    with pytest.raises(BraintuneError, match="sentiment has 0 training rows"):
        bag_of_words_answers(make_data("sentence", []))


# --- real data ---------------------------------------------------------------------------------------------------

#: Accuracy of tf-idf and logistic regression in an independent script.
FIGURES = {"sentiment": 0.763, "wsd": 0.507, "nli": 0.546, "paraphrase": 0.686}


@pytest.mark.parametrize("task", FIGURES)
def test_bags_reach_the_independent_figures(task, shared_data, monkeypatch):
    monkeypatch.setenv("BRAINTUNE_DATA", str(shared_data))
    data = load_task(Study.make({"task_source": "folder", "train_examples": None, "test_examples": None}), task)
    found = points(data, bag_of_words_answers(data))
    assert FIGURES[task] - 0.015 < found < FIGURES[task] + 0.08


# --- answers without words ---------------------------------------------------------------------------------------


def test_trivial_answers():
    rows = [
        {"tokens": ["The", "ox", "."], "tags": ["B-NP", "I-NP", "O"]},
        {"tokens": ["the", "oxen"], "tags": ["B-NP", "I-NP"]},
        {"tokens": ["ox"], "tags": ["B-NP"]},
    ]
    new = {"tokens": ["THE", "new", "."], "tags": ["B-NP", "I-NP", "O"]}
    assert trivial_answers(make_data("tokens", rows, [new])) == [["B-NP", "B-NP", "O"]]
    asked = [
        {"context": f"{name} met Eve", "question": "Who?", "answers": [{"text": name, "answer_start": 0}]}
        for name in ("Ann", "Bo")
    ]
    assert trivial_answers(make_data("span", asked[:1] * 3, asked[1:])) == ["Bo"]
    rows = [{"sentence": "a dull film", "label": label} for label in ("negative", "negative", "positive")]
    assert trivial_answers(make_data("sentence", rows, rows[1:])) == ["negative"] * 2
