"""The chain does not depend on the language: its parts run on the invented one for every kind of task."""

import numpy as np
import pytest

from braintune.core.settings import TEN_TASKS
from braintune.core.study import Study
from braintune.datasets.brains.registry import load_brain
from braintune.datasets.microworld import languages
from braintune.datasets.tasks import TASKS
from braintune.models.embeddings import embed_stimuli
from braintune.models.tuning import tune
from braintune.neural.decoding import decode_participant
from braintune.neural.representations import load_embeddings
from tiny_models import save_tiny_bert

#: A task of every kind.
TASK_OF = {TASKS[name].kind: name for name in TEN_TASKS}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("invented")
    letters = "".join(sorted({letter for form in languages._forms().values() for letter in form})) + ".,?"
    return Study.make(
        {
            "runs": str(folder / "runs"),
            "backbone": save_tiny_bert(folder / "bert", letters=letters),
            "language": "invented",
            "tasks": list(TASK_OF.values()),
            "methods": ["prompt-tuned"],
            "scored_only": [],
            "controls": ["length"],
            "learning_rates": {"prompt-tuned": [1e-2]},
            "epochs": [1],
            "train_examples": 24,
            "test_examples": 10,
            "prefix_length": 3,
            "topics": 4,
            "passages": 12,
            "simulated_participants": 1,
            "voxels_per_region": 24,
            "regions": ["language"],
            "signal": {"language": 2.0},
            "designs": ["grouped"],
            "permutations": 3,
            "device": "cpu",
        }
    )


@pytest.mark.slow
def test_every_kind_of_task_is_tuned_embedded_and_decoded(study):
    assert set(TASK_OF) == {task.kind for task in TASKS.values()}
    for task in study.tasks:
        metrics = tune(study, task, "prompt-tuned", 0)
        assert np.isfinite(metrics["score"]) and metrics["truncated"] == 0
    brain = load_brain(study, "simulated")
    embedded = embed_stimuli(study, brain)
    assert not embedded["truncated"].any() and not embedded["skipped"].any()
    scores, null, _ = decode_participant(study, brain, "S01", load_embeddings(study, "simulated"))
    assert set(scores["task"]) >= set(study.tasks)
    assert np.isfinite(scores["margin"]).all()
    margin = scores[scores["layer"] == 2].groupby("representation")["margin"].mean()
    chance = null[null["readout"] == "analysis"].groupby("representation")["margin"].mean()
    assert (margin - chance)["untuned"] > 0.1  # sentences with the same words are alike, in any script
