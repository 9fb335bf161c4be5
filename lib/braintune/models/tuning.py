"""Tune one backbone on one task by one method, and load the result.

A small search chooses learning rate and number of epochs on the validation part, with equal numbers of trials and
examples for every method; the best recipe is then run on all training examples. Only trained parameters are saved.
"""

import json
import math
import resource
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from transformers import Trainer

from braintune.core.base import BraintuneError, lookup
from braintune.core.device import pick_device
from braintune.core.store import read_json, read_tensors, write_arrays, write_json, write_table
from braintune.core.study import Study
from braintune.datasets.metrics import score
from braintune.datasets.tasks import Row, TaskData, load_task
from braintune.models.backbones import Backbone, load_backbone
from braintune.models.baselines import bag_of_words_answers, trivial_answers
from braintune.models.checkpoints import is_tuned, model_folder
from braintune.models.heads import TunedModel
from braintune.models.inputs import Encoded, encode
from braintune.models.methods import METHODS, prepare, restore, trained_state
from braintune.models.training import (
    Conditions,
    Diverged,
    Recipe,
    best_epoch,
    half_precision,
    predict,
    reproducible,
    train,
)


def tune(study: Study, task: str, method: str, seed: int) -> dict[str, Any]:
    """Tune the study's backbone on one task by one method and write the three files of its folder.

    A model that is stored already is not tuned again. A killed run resumes: finished trials and epochs are not
    computed again.

    Parameters
    ----------
    study : Study
    task, method : str
        Keys of :data:`braintune.datasets.tasks.TASKS` and :data:`METHODS`.
    seed : int
        Seed of initial values, order of examples and dropout. The data do not depend on it.

    Returns
    -------
    metrics : dict
        What `metrics.json` holds: ``score`` (test, by the task's ``metric``), ``baseline``, ``scores`` (all metrics),
        ``parameters`` (trained), ``trials`` (the search) and so on.

    Raises
    ------
    BraintuneError
        For unknown names, data that do not fit, and training that diverges.
    """
    started = time.perf_counter()
    lookup(METHODS, method, "method")
    if is_tuned(study, task, method, seed):
        return read_json(model_folder(study, task, method, seed) / "metrics.json")
    recipes = recipes_of(study, method)
    data = load_task(study, task)
    device = pick_device(study.device)
    backbone = load_backbone(study.backbone)
    parts = encode_parts(study, data, backbone)
    key = scratch_key(study, backbone, device, data)
    with reproducible(study, seed, device), scratch_folder(model_folder(study, task, method, seed), key) as scratch:
        conditions = Conditions(study, seed, device, parts["validation"])
        trials = _search(conditions, data, method, recipes, parts["search"], scratch)
        recipe = recipes[_winner(trials, len(data.validation), _guessing(data)) if len(recipes) > 1 else 0]
        model = fresh_model(conditions, data, method)
        trainer, curve = train(conditions, model, parts["train"], recipe, scratch / "final", f"{task} {method}")
        metrics = {
            **_data_facts(data, parts),
            **_scores(data, predict(trainer, parts["test"])),
            **_training_facts(conditions, recipe, trials, curve, len(data.train)),
            "precision": "bfloat16" if trainer.args.bf16 else "float32",
            "method": method,
            "seed": seed,
            "backbone": study.backbone,
            "parameters": sum(value.numel() for value in trained_state(model).values()),
            "seconds": time.perf_counter() - started,
        }
        write_model(model_folder(study, task, method, seed), model, backbone, metrics, curve)
    return metrics


def recipes_of(study: Study, method: str) -> list[Recipe]:
    """Return the recipes that the search tries.

    Raises
    ------
    BraintuneError
        If there are several and no validation part to choose by.
    """
    rates = lookup(study.learning_rates, method, "key of learning_rates")
    recipes = [Recipe(*values) for values in product(rates, study.epochs)]
    if len(recipes) > 1 and not study.validation_fraction:
        raise BraintuneError(
            "validation_fraction: 0 leaves no examples to choose a recipe with; raise it, or give only one recipe"
        )
    return recipes


def encode_parts(study: Study, data: TaskData, backbone: Backbone) -> dict[str, Encoded]:
    """Encode training, validation and test rows, and the training rows of a trial."""
    rng = np.random.default_rng([study.world_seed, *data.task.name.encode()])
    drawn = np.sort(rng.permutation(len(data.train))[: study.search_examples])
    rows = {part: getattr(data, part) for part in ("train", "validation", "test")}
    rows["search"] = [data.train[i] for i in drawn]
    return {part: encode_rows(study, data, backbone, some) for part, some in rows.items()}


def encode_rows(study: Study, data: TaskData, backbone: Backbone, rows: list[Row]) -> Encoded:
    """Encode some rows of a task for a backbone."""
    limit = min(study.max_tokens, backbone.longest)
    return encode(data.task, rows, data.labels, backbone.tokenizer, limit, study.stride)


def main_score(trainer: Trainer, data: TaskData, test: Encoded) -> float:
    """Return the main score of a trained model on the test rows."""
    return score(data.task, data.test, predict(trainer, test))[data.task.metric]


def fresh_model(conditions: Conditions, data: TaskData, method: str) -> TunedModel:
    """Return the pre-trained backbone, prepared for a method, with a new head; the same for equal seeds."""
    study, seed = conditions.study, conditions.seed
    backbone = load_backbone(study.backbone, device=conditions.device)
    prepare(backbone.model, method, study, seed)
    torch.manual_seed(seed)
    return TunedModel(backbone.model, data.task.kind, len(data.labels)).to(conditions.device)


# --- the search --------------------------------------------------------------------------------------------------


def _search(
    conditions: Conditions, data: TaskData, method: str, recipes: list[Recipe], examples: Encoded, scratch: Path
) -> list[dict[str, Any]]:
    """Try every recipe on a part of the training data; a single recipe is not tried.

    Returns
    -------
    trials : list of dict
        For each recipe its values, the best validation ``score`` (None if it diverged or was not tried),
        ``examples_seen`` and ``seconds``.
    """
    untried = {"score": None, "examples_seen": 0, "seconds": 0.0}
    if len(recipes) == 1:
        return [asdict(recipes[0]) | untried]
    done = scratch / "trials.json"
    trials = read_json(done) if done.is_file() else []
    for number, recipe in enumerate(recipes[len(trials) :], start=len(trials)):
        label = f"{data.task.name} {method}, trial {number + 1} of {len(recipes)} ({recipe})"
        folder = scratch / f"trial-{number}"
        trial = asdict(recipe) | untried
        try:
            _, curve = train(conditions, fresh_model(conditions, data, method), examples, recipe, folder, label)
        except Diverged as fault:
            print(fault)
        else:
            trial["examples_seen"] = len(examples.rows) * len(curve)
            trial |= {"score": curve["score"].max(), "seconds": curve["seconds"].iloc[-1]}
        trials.append(trial)
        write_json(done, trials)
        shutil.rmtree(folder, ignore_errors=True)
    return trials


def _guessing(data: TaskData) -> float:
    """Return what answers without a model score on the validation part."""
    answers = trivial_answers(replace(data, test=data.validation))
    return score(data.task, data.validation, answers)[data.task.metric]


def _winner(trials: list[dict[str, Any]], n_validation: int, guessing: float) -> int:
    """Return the number of the first trial within one standard error of the best.

    A smaller difference on a few hundred examples is chance, so the recipe that is named first is kept; likewise where
    no trial does better than `guessing`, for then none has learned anything that tells recipes apart. The standard
    error is that of a proportion of the validation examples, an approximation for F1.
    """
    scores = np.array([-math.inf if trial["score"] is None else trial["score"] for trial in trials])
    best = scores.max()
    if best <= guessing:
        return int(np.argmax(np.isfinite(scores)))  # the first one that did not diverge
    error = math.sqrt(max(0.0, best * (1 - best)) / n_validation) if n_validation and np.isfinite(best) else 0.0
    return int(np.argmax(scores >= best - error))


def scratch_key(study: Study, backbone: Backbone, device: torch.device, data: TaskData) -> list[Any]:
    """Return what a training depends on that the fingerprint in its folder's path leaves out."""
    half = half_precision(study, device, backbone.model)
    return [backbone.fingerprint, device.type, half, torch.__version__, data.checksums]


@contextmanager
def scratch_folder(folder: Path, key: list[Any]) -> Iterator[Path]:
    """Yield a folder for checkpoints that survives a kill, but neither a finished run nor a change of `key`."""
    scratch = folder / "checkpoints"
    file = scratch / "key.json"
    if scratch.is_dir() and not (file.is_file() and read_json(file) == key):
        shutil.rmtree(scratch)
    write_json(file, key)
    try:
        yield scratch
    except Diverged:  # resuming would only diverge again
        shutil.rmtree(scratch)
        raise
    shutil.rmtree(scratch)


# --- what is written ---------------------------------------------------------------------------------------------


def _data_facts(data: TaskData, parts: Mapping[str, Encoded]) -> dict[str, Any]:
    """Return facts about the data of a run."""
    once = [parts[part] for part in ("train", "validation", "test")]  # rows of a trial are training rows
    spans = ("train", "validation", "test") if data.task.kind == "span" else ()
    return {
        "task": data.task.name,
        "labels": list(data.labels),
        "unseen_labels": sum(data.unseen.values()),
        "tag_scheme": data.scheme,
        "unanswerable": {part: sum(not row["answers"] for row in getattr(data, part)) for part in spans},
        "left_out": data.left_out,
        **{f"n_{part}": len(encoded.rows) for part, encoded in parts.items()},
        "truncated": sum(encoded.truncated for encoded in once),
        "lost_words": sum(encoded.lost for encoded in once),
        "data": data.checksums,
    }


def _scores(data: TaskData, answers: list[Any]) -> dict[str, Any]:
    """Return the test scores of the model's answers, and those of the baselines."""
    metric = data.task.metric
    scores = score(data.task, data.test, answers)
    return {
        "metric": metric,
        "score": scores[metric],
        "scores": scores,
        "baseline": score(data.task, data.test, trivial_answers(data))[metric],
        "bag_of_words": score(data.task, data.test, bag_of_words_answers(data))[metric],
    }


def _training_facts(
    conditions: Conditions, recipe: Recipe, trials: list[dict[str, Any]], curve: pd.DataFrame, n_train: int
) -> dict[str, Any]:
    """Return facts about the search and the final training."""
    device = conditions.device
    return {
        "examples_per_s": n_train * len(curve) / curve["seconds"].iloc[-1],
        "peak_memory_mb": _peak_memory(device),
        "device": str(device.type),
        "best_epoch": best_epoch(curve),
        "epochs_run": len(curve),
        **asdict(recipe),
        "examples_seen": n_train * len(curve),
        "search_examples_seen": sum(trial["examples_seen"] for trial in trials),
        "n_trials": len(trials),
        "trials": trials,
    }


def _peak_memory(device: torch.device) -> float:
    """Return the most memory used so far, in MB: of the GPU, or of the whole process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    unit = 1 if sys.platform == "darwin" else 2**10  # bytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def write_model(
    folder: Path, model: TunedModel, backbone: Backbone, metrics: dict[str, Any], curve: pd.DataFrame
) -> None:
    """Write weights, history and metrics; the metrics come last and mark the run as complete."""
    state = trained_state(model)  # named as in the model: backbone.…, head.…
    arrays = {name: value.detach().float().cpu().numpy() for name, value in state.items()}
    facts = {
        "fingerprint": backbone.fingerprint,
        **{name: str(metrics[name]) for name in ("backbone", "task", "method", "seed")},
        "labels": json.dumps(metrics["labels"]),
    }
    write_arrays(folder / "weights.safetensors", arrays, facts)
    write_table(folder / "history.parquet", curve)
    write_json(folder / "metrics.json", metrics)


# --- what is read ------------------------------------------------------------------------------------------------


def load_tuned(study: Study, task: str, method: str, seed: int) -> Backbone:
    """Load the study's backbone with a tuning applied, ready to embed sentences (without the head).

    Raises
    ------
    BraintuneError
        If the tuning has not been run, its file is damaged, or it was run on weights other than the backbone's.
    """
    file = model_folder(study, task, method, seed) / "weights.safetensors"
    return load_weights(study, method, seed, file, f"{method} on {task} (seed {seed})")


def load_weights(study: Study, method: str, seed: int, file: Path, label: str) -> Backbone:
    """Load the study's backbone with the trained weights in a file applied; faults as in :func:`load_tuned`."""
    lookup(METHODS, method, "method")
    tensors, facts = read_tensors(file)
    state = {name.removeprefix("backbone."): of for name, of in tensors.items() if name.startswith("backbone.")}
    device = pick_device(study.device)
    backbone = load_backbone(study.backbone, device=device)
    if facts["fingerprint"] != backbone.fingerprint:
        raise BraintuneError(
            f"{file} was tuned on {facts['backbone']} ({facts['fingerprint'][:12]}), but the study's backbone is "
            f"{study.backbone} ({backbone.fingerprint[:12]}); set `backbone` to the former or tune again"
        )
    prepare(backbone.model, method, study, seed)
    restore(backbone.model, state)
    backbone.model.requires_grad_(False).to(device).eval()
    return replace(backbone, name=f"{study.backbone}, {label}")
