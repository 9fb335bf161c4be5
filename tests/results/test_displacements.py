import numpy as np
import pytest

from braintune.core.study import Representation, Study
from braintune.results import figures, style
from braintune.results.displacements import SEED, TASK, displacement_answer, displacement_means, displacement_table

N, WIDTH = 20, 6


def model(task, method, seed=0):
    return Representation(f"{task}_{method}_seed-{seed}", "tuned", method, task, seed)


@pytest.fixture
def embeddings():
    """Three layers: prompts move all stimuli alike, and each in a direction that all tasks share; fine-tuning at random."""
    rng = np.random.default_rng(0)
    untuned, common, each = rng.normal(size=(3, N, WIDTH)), np.ones(WIDTH), rng.normal(size=(N, WIDTH))
    moves = {
        model("wsd", "prompt-tuned"): each,
        model("wsd", "prompt-tuned", 1): 2 * each,
        model("ner", "prompt-tuned"): each + 3 * common,
        model("wsd", "fine-tuned"): rng.normal(size=(N, WIDTH)),
        model("ner", "fine-tuned"): rng.normal(size=(N, WIDTH)),
    }
    top = np.array([0, 0, 1.0])[:, None, None]  # nothing moves below the last layer
    tuned = {one: untuned + top * move for one, move in moves.items()}
    return {Representation("untuned", "untuned"): untuned, Representation("length", "control"): untuned[:1], **tuned}


def test_displacements_by_hand(embeddings):
    table = displacement_table(Study(), embeddings)
    assert len(table) == 25 and set(table["representation_a"]) == {one.name for one in list(embeddings)[2:]}
    untuned = embeddings[Representation("untuned", "untuned")][-1]
    for (a, x), (b, y) in [(p, q) for p in list(embeddings.items())[2:] for q in list(embeddings.items())[2:]]:
        x, y = x[-1] - untuned, y[-1] - untuned
        cosine = np.mean([np.dot(i, j) / np.linalg.norm(i) / np.linalg.norm(j) for i, j in zip(x, y, strict=True)])
        (row,) = table[(table["representation_a"] == a.name) & (table["representation_b"] == b.name)].itertuples()
        assert row.cosine == pytest.approx(cosine)
        alike = a != b and a.method == b.method
        assert (row.method, row.differs) == ((a.method, SEED if a.task == b.task else TASK) if alike else ("", ""))
    means = displacement_means(table).set_index(["method", "differs"])
    prompts = means.loc["prompt-tuned"]
    assert prompts.loc[SEED].tolist() == pytest.approx([1, 1])
    assert (
        prompts.loc[TASK, "cka"] == pytest.approx(1) and prompts.loc[TASK, "cosine"] < 0.9
    )  # one constant vector apart
    assert abs(means.loc[("fine-tuned", TASK), "cosine"]) < 0.3
    said = displacement_answer(table)
    assert said.startswith("Mean cosine of displacements") and SEED in said and "prompt-tuned 1.00 (CKA 1.00)" in said


def test_where_nothing_moves_or_nothing_is_tuned(embeddings):
    table = displacement_table(Study(layer=0), embeddings)
    assert np.isfinite(table[["cosine", "cka"]]).all(axis=None) and not table[["cosine", "cka"]].any(axis=None)
    untuned = dict(list(embeddings.items())[:2])
    empty = displacement_table(Study(), untuned)
    assert empty.empty and displacement_answer(empty) == "No method has two tuned models to compare."
    assert style.why_nothing(figures.similarity_matrix(empty, "cosine")) == "no model was tuned"
