"""Continual learning: tasks learned one after another, and what is left of the earlier ones.

A sequence begins with the model that learned its first task alone. At each further stage training starts from the
weights of the stage before, with a new head, a new optimiser, and the recipe that the search chose for the task alone:
what differs from learning alone is the start. Heads of earlier tasks are kept, and their test scores measured again.

A first stage is the tuned model of its task (:mod:`braintune.models.tuning`); the other stages are stored in the folder
of the run (:mod:`braintune.models.sequences`).
"""

import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from braintune.core.device import pick_device
from braintune.core.store import read_json, read_tensors
from braintune.core.study import Representation, Study
from braintune.datasets.brains.base import BrainData, stimulus_means
from braintune.datasets.tasks import load_task
from braintune.models import tuning
from braintune.models.backbones import Backbone, load_backbone
from braintune.models.checkpoints import FILES
from braintune.models.embeddings import embed
from braintune.models.methods import restore, trained_state
from braintune.models.sequences import TaskSequence, sequences, stage_folder, ways_of
from braintune.models.training import Conditions, Recipe, best_epoch, make_trainer, reproducible, train

# --- learning ----------------------------------------------------------------------------------------------------


def learn(study: Study, sequence: TaskSequence) -> list[dict[str, Any]]:
    """Learn the tasks of a sequence, and return what :func:`learn_stage` returns of each stage."""
    return [learn_stage(study, sequence, stage) for stage in range(len(sequence.tasks))]


def learn_stage(study: Study, sequence: TaskSequence, stage: int) -> dict[str, Any]:
    """Learn the task of one stage from where the stage before has ended.

    A stage that is stored is not trained again, and one that was interrupted goes on after its last epoch. Stages
    before it are learned first if they are missing.

    Returns
    -------
    metrics : dict
        What `metrics.json` of the stage holds: ``score``, on the test rows of its task; ``scores``, by task, of this
        and all earlier tasks, answered with the weights of this stage and the head of each; ``best_epoch`` and so on.
        Of the first stage, those of :func:`braintune.models.tuning.tune`.
    """
    task, method, seed = sequence.tasks[stage], sequence.method, sequence.seed
    alone = tuning.tune(study, task, method, seed)
    if stage == 0:
        return alone
    folder = stage_folder(study, sequence, stage)
    if all((folder / name).is_file() for name in FILES):
        return read_json(folder / "metrics.json")
    learn_stage(study, sequence, stage - 1)
    started, device = time.perf_counter(), pick_device(study.device)
    data, backbone = load_task(study, task), load_backbone(study.backbone)
    parts = tuning.encode_parts(study, data, backbone)
    recipe, label = Recipe(alone["learning_rate"], alone["epochs"]), f"{sequence.name}, stage {stage + 1}, {task}"
    key = tuning.scratch_key(study, backbone, device, data)
    with reproducible(study, seed, device), tuning.scratch_folder(folder, key) as scratch:
        conditions = Conditions(study, seed, device, parts["validation"])
        model = tuning.fresh_model(conditions, data, method)
        restore(model.backbone, _part(_weights(study, sequence, stage - 1), "backbone.", ""))
        trainer, curve = train(conditions, model, parts["train"], recipe, scratch / "final", label)
        scores = {task: tuning.main_score(trainer, data, parts["test"])}
        now = _part(trained_state(model), "backbone.")
        for earlier, name in enumerate(sequence.tasks[:stage]):
            state = now | _part(_weights(study, sequence, earlier), "head.")
            scores[name] = score_again(conditions, backbone, name, method, state, scratch / name)
        metrics = {
            **{"task": task, "method": method, "seed": seed, "order": sequence.order, "stage": stage},
            **{"backbone": study.backbone, "labels": list(data.labels), "metric": data.task.metric},
            **{"score": scores[task], "scores": scores, "best_epoch": best_epoch(curve), **asdict(recipe)},
            "examples_seen": len(data.train) * len(curve),
            "seconds": time.perf_counter() - started,
        }
        tuning.write_model(folder, model, backbone, metrics, curve)
    return metrics


def score_again(
    conditions: Conditions, backbone: Backbone, task: str, method: str, state: Mapping[str, Tensor], folder: Path
) -> float:
    """Return the score on the test rows of a task, by its metric, with the weights and the head in `state`.

    `state` is named as in :class:`braintune.models.heads.TunedModel`; `folder` is the trainer's, for nothing lasting.
    """
    data = load_task(conditions.study, task)
    test = tuning.encode_rows(conditions.study, data, backbone, data.test)
    conditions = replace(conditions, validation=test)
    model = tuning.fresh_model(conditions, data, method)
    restore(model, state)
    trainer = make_trainer(conditions, model, test, Recipe(1.0, 1), folder, task)
    trainer.compute_metrics = None  # the answers are scored here
    return tuning.main_score(trainer, data, test)


def _weights(study: Study, sequence: TaskSequence, stage: int) -> dict[str, Tensor]:
    return read_tensors(stage_folder(study, sequence, stage) / "weights.safetensors")[0]


def _part(state: Mapping[str, Tensor], start: str, new: str | None = None) -> dict[str, Tensor]:
    """Return the entries whose names begin with `start`, which `new` replaces if it is given."""
    renamed = start if new is None else new
    return {renamed + name.removeprefix(start): value for name, value in state.items() if name.startswith(start)}


# --- what is read ------------------------------------------------------------------------------------------------


def stage_table(study: Study) -> pd.DataFrame:
    """Return the test scores of all stages, after learning what is not stored.

    Returns
    -------
    DataFrame
        One row per way, order, seed, `stage` and `task` learned so far, whose place in the order is `position`:
        `score`, the `baseline` of trivial answers, that of a `bag_of_words`, and `alone`, the score of the model
        that learned this task only.
    """
    ways, rows = ways_of(study), []
    for sequence in sequences(study):
        stages = learn(study, sequence)
        models = {task: tuning.tune(study, task, sequence.method, sequence.seed) for task in sequence.tasks}
        for stage, metrics in enumerate(stages):
            for position, task in enumerate(sequence.tasks[: stage + 1]):
                now = metrics["score"] if position == stage else metrics["scores"][task]
                alone = models[task]
                facts = {"alone": alone["score"]} | {name: alone[name] for name in ("baseline", "bag_of_words")}
                where = {"order": sequence.order, "seed": sequence.seed, "stage": stage, "position": position}
                for name in (name for name, way in ways.items() if way.method == sequence.method):
                    found = stages[position]["score"] if ways[name].keeps else now
                    rows.append({"way": name, **where, "task": task, "score": found, **facts})
    return pd.DataFrame(rows)


def load_stage(study: Study, sequence: TaskSequence, stage: int) -> Backbone:
    """Load the encoder as a stage has left it, ready to embed sentences; faults as `load_tuned` of tuning."""
    file = stage_folder(study, sequence, stage) / "weights.safetensors"
    return tuning.load_weights(study, sequence.method, sequence.seed, file, f"{sequence.name}, stage {stage + 1}")


def embed_stages(study: Study, brain: BrainData) -> dict[Representation, np.ndarray]:
    """Embed the stimuli of a brain data set with the untuned encoder and with that of every stage.

    Returns
    -------
    dict of Representation to array of shape (n_layers, n_stimuli, width)
        The untuned one first; a stage is named by :meth:`braintune.models.sequences.TaskSequence.stage_name`.
    """
    device = pick_device(study.device)
    found: dict[Representation, np.ndarray] = {}

    def add(representation: Representation, backbone: Backbone) -> None:
        sentences, batch = brain.stimuli.sentences, study.embedding_batch
        vectors = embed(backbone, sentences, pooling=study.pooling, batch=batch, max_tokens=study.max_tokens)
        found[representation] = stimulus_means(vectors, brain.stimuli)

    with reproducible(study, study.world_seed, device):
        add(Representation("untuned", "untuned"), load_backbone(study.backbone, device=device))
        for sequence in sequences(study):
            for stage, task in enumerate(sequence.tasks):
                name = sequence.stage_name(stage)
                tuned = Representation(name, "tuned", sequence.method, task, sequence.seed)
                add(tuned, load_stage(study, sequence, stage))
    return found
