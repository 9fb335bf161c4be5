"""Tune one backbone on one task by one method, and load the result.

The trainer of the transformers library does the training; after every epoch the model is scored on the validation
part, the best epoch's weights are kept in memory, and the test score is theirs. Only what was trained is saved.
"""

import json
import math
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors import safe_open
from torch import Tensor
from torch.utils.data import DataLoader
from transformers import (
    EvalPrediction,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    get_linear_schedule_with_warmup,
    set_seed,
)
from transformers.trainer_callback import PrinterCallback
from transformers.utils import is_in_notebook

from braintune.backbones import Backbone, load_backbone, pick_device
from braintune.encoding import Collator, Encoded, encode, read_answers
from braintune.heads import TunedModel
from braintune.methods import METHODS
from braintune.study import (
    BraintuneError,
    Study,
    choose,
    read_json,
    read_table,
    write_arrays,
    write_json,
    write_table,
)
from braintune.tasks import TASKS, TaskData, load_task, score, trivial_answers

# --- training ----------------------------------------------------------------------------------------------------


class _Tuner(Trainer):
    """The library's trainer, scoring in the order of the features (its own way would shuffle them by length)."""

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader:
        features = self.eval_dataset if eval_dataset is None else eval_dataset
        loader = DataLoader(features, batch_size=self.args.eval_batch_size, collate_fn=self.data_collator)
        return self.accelerator.prepare(loader)

    get_test_dataloader = get_eval_dataloader


class _KeepBest(TrainerCallback):
    """Keep the trained weights of the epoch with the best validation score; of equal ones, the first."""

    def __init__(self) -> None:
        self.score, self.epoch, self.weights = -math.inf, 0, {}

    def on_evaluate(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        if given["metrics"]["eval_score"] > self.score:
            self.score, self.epoch = given["metrics"]["eval_score"], round(state.epoch)
            self.weights = {n: p.detach().clone() for n, p in given["model"].named_parameters() if p.requires_grad}


def tune(study: Study, task: str, method: str, seed: int) -> dict[str, Any]:
    """Tune the study's backbone on one task by one method and write the three files of its folder.

    Parameters
    ----------
    study : Study
    task, method : str
        Keys of :data:`braintune.tasks.TASKS` and :data:`METHODS`.
    seed : int
        Seed of initial values, order of examples and dropout. The data do not depend on it.

    Returns
    -------
    metrics : dict
        What `metrics.json` holds: ``score`` (test, by the task's ``metric``), ``baseline``, ``scores`` (all metrics),
        ``parameters`` (trained) and so on.

    Raises
    ------
    BraintuneError
        For unknown names, data that do not fit, and training that diverges.
    """
    started = time.perf_counter()
    choose(METHODS, method, "method")
    for name in ("epochs", "learning_rate"):
        if method not in getattr(study, name):
            raise BraintuneError(f"{name}: no value for method {method!r}; add one to the profile")
    data = load_task(study, task)
    device = pick_device(study.device)
    with reproducible(study, seed, device):
        backbone = load_backbone(study.backbone, device=device)
        METHODS[method].prepare(backbone.model, study, seed)
        set_seed(seed)
        model = TunedModel(backbone.model, data.task.kind, len(data.labels)).to(device)
        parts = _encode_parts(study, data, backbone)
        trainer, best = _train(study, model, parts, method, seed, device)
        output = trainer.predict(parts["test"].features, metric_key_prefix="test")
        answers = read_answers(parts["test"], _per_feature(parts["test"], output.predictions))
    scores = score(data.task, data.test, answers)
    if not math.isfinite(output.metrics["test_loss"]):
        raise BraintuneError(
            f"{method} on {task} diverged (loss {output.metrics['test_loss']}); lower its learning_rate"
        )
    curve = _history(trainer.state.log_history)
    metrics = _facts(study, data, parts, model, scores) | {
        "method": method,
        "seed": seed,
        "seconds": time.perf_counter() - started,
        "best_epoch": best.epoch or study.epochs[method],
        "epochs": study.epochs[method],
        "learning_rate": study.learning_rate[method],
        "device": str(device.type),
        "peak_memory_mb": _peak_memory(device),
    }
    _write(study, model, backbone, metrics, curve)
    return metrics


@contextmanager
def reproducible(study: Study, seed: int, device: torch.device) -> Iterator[None]:
    """Seed every generator and fix the number of threads; on a CPU only deterministic operations are allowed."""
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(study.threads)
    torch.use_deterministic_algorithms(device.type == "cpu")
    set_seed(seed)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict)


def _encode_parts(study: Study, data: TaskData, backbone: Backbone) -> dict[str, Encoded]:
    """Encode training, validation and test rows, once."""
    limit = min(study.max_tokens, longest_input(backbone))
    rows = {"train": data.train, "validation": data.validation, "test": data.test}
    return {part: encode(data.task, rows[part], data.labels, backbone.tokenizer, limit, study.stride) for part in rows}


def longest_input(backbone: Backbone) -> int:
    """Return how many tokens a backbone can read."""
    positions = getattr(backbone.model.config, "max_position_embeddings", None) or sys.maxsize
    if backbone.tokenizer.model_max_length <= positions:
        return backbone.tokenizer.model_max_length
    return positions - 2  # RoBERTa's positions begin at 2, and its tokeniser does not always know its length


def _train(
    study: Study,
    model: TunedModel,
    parts: dict[str, Encoded],
    method: str,
    seed: int,
    device: torch.device,
) -> tuple[Trainer, _KeepBest]:
    """Train, score every epoch on the validation part, and leave the best epoch's weights in `model`."""
    validation = parts["validation"]
    steps = math.ceil(len(parts["train"].features) / study.batch_size) * study.epochs[method]
    optimizer = _optimizer(study, model, method)
    best = _KeepBest()

    def scored(given: EvalPrediction) -> dict[str, float]:
        answers = read_answers(validation, _per_feature(validation, given.predictions))
        return {"score": score(validation.task, validation.rows, answers)[validation.task.metric]}

    with tempfile.TemporaryDirectory() as scratch:
        trainer = _Tuner(
            model,
            _arguments(study, method, seed, device, scratch, bool(validation.rows)),
            data_collator=Collator(pad=model.config.pad_token_id or 0),
            train_dataset=parts["train"].features,
            eval_dataset=validation.features,
            compute_metrics=scored,
            optimizers=(
                optimizer,
                get_linear_schedule_with_warmup(optimizer, math.ceil(study.warmup_fraction * steps), steps),
            ),
            preprocess_logits_for_metrics=None if model.kind == "span" else lambda logits, labels: logits.argmax(-1),
            callbacks=[best],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    trainer.compute_metrics = None  # the test rows are scored once, by the caller
    model.load_state_dict(best.weights, strict=False)
    return trainer, best


def _optimizer(study: Study, model: TunedModel, method: str) -> torch.optim.Optimizer:
    """Return AdamW over what is trained; weights decay, biases and normalisation scales do not."""
    rate = study.learning_rate[method]
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for _name, parameter in model.named_parameters():
        if parameter.requires_grad:
            decay = study.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((rate, decay), []).append(parameter)
    return torch.optim.AdamW(
        [{"params": p, "lr": lr, "weight_decay": decay} for (lr, decay), p in groups.items()], fused=True
    )


def _arguments(
    study: Study, method: str, seed: int, device: torch.device, scratch: str, validated: bool
) -> TrainingArguments:
    return TrainingArguments(
        output_dir=scratch,
        num_train_epochs=study.epochs[method],
        per_device_train_batch_size=study.batch_size,
        per_device_eval_batch_size=4 * study.batch_size,
        train_sampling_strategy="group_by_length",
        max_grad_norm=1.0,
        eval_strategy="epoch" if validated else "no",
        logging_strategy="epoch",
        save_strategy="no",
        report_to="none",
        disable_tqdm=not is_in_notebook(),
        log_level="error",
        label_names=["labels"],
        remove_unused_columns=False,
        dataloader_pin_memory=device.type == "cuda",
        use_cpu=device.type == "cpu",
        bf16=device.type == "cuda" and torch.cuda.is_bf16_supported(),
        seed=seed,
    )


def _per_feature(encoded: Encoded, outputs: np.ndarray) -> list[np.ndarray]:
    """Cut the padding off the trainer's outputs."""
    return [
        output[: len(feature["input_ids"])] if output.ndim else output
        for feature, output in zip(encoded.features, outputs, strict=True)
    ]


# --- what is written ---------------------------------------------------------------------------------------------


def _facts(
    study: Study, data: TaskData, parts: dict[str, Encoded], model: TunedModel, scores: Mapping[str, float]
) -> dict[str, Any]:
    """Return what there is to know about the data, the scores and the size of a run."""
    metric = data.task.metric
    baseline = score(data.task, data.test, trivial_answers(data))[metric]
    return {
        "task": data.task.name,
        "metric": metric,
        "score": scores[metric],
        "scores": dict(scores),
        "baseline": baseline,
        "beats_baseline": scores[metric] > baseline,
        "labels": list(data.labels),
        "unseen_labels": data.unseen,
        **{f"n_{part}": len(encoded.rows) for part, encoded in parts.items()},
        "truncated": sum(encoded.truncated for encoded in parts.values()),
        "truncated_test": parts["test"].truncated,
        "lost_words": sum(encoded.lost for encoded in parts.values()),
        "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "total_parameters": sum(p.numel() for p in model.parameters()),
        "backbone": study.backbone,
        "data": data.checksums,
    }


def _history(log: list[dict[str, float]]) -> pd.DataFrame:
    """Return one row for each epoch from the trainer's log."""
    epochs: dict[int, dict[str, float]] = {}
    names = {"loss": "train_loss", "eval_loss": "validation_loss", "eval_score": "score"}
    for entry in log:
        found = {new: float(entry[old]) for old, new in names.items() if old in entry}
        if found:
            row = epochs.setdefault(round(entry["epoch"]), {"epoch": round(entry["epoch"]), "step": int(entry["step"])})
            row |= found
    return pd.DataFrame(list(epochs.values()), columns=["epoch", "step", *names.values()])


def _peak_memory(device: torch.device) -> float:
    """Return the most memory used so far, in MB: of the GPU, or of the whole process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    kilobytes = 1 if sys.platform != "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 / kilobytes


def _write(study: Study, model: TunedModel, backbone: Backbone, metrics: dict[str, Any], history: pd.DataFrame) -> None:
    """Write weights, history and metrics; the metrics come last and say that the run is whole."""
    folder = study.tuning_folder(metrics["task"], metrics["method"], metrics["seed"])
    state = {f"backbone.{k}": v for k, v in METHODS[metrics["method"]].state(model.backbone).items()}
    state |= {f"head.{k}": v for k, v in model.head.named_parameters()}
    arrays = {k: v.detach().float().cpu().numpy() for k, v in state.items()}
    facts = {
        "backbone": study.backbone,
        "fingerprint": backbone.fingerprint,
        "task": metrics["task"],
        "method": metrics["method"],
        "seed": str(metrics["seed"]),
        "labels": json.dumps(metrics["labels"]),
    }
    write_arrays(folder / "weights.safetensors", arrays, facts)
    write_table(folder / "history.parquet", history)
    write_json(folder / "metrics.json", metrics)


# --- what is read ------------------------------------------------------------------------------------------------


def load_tuned(study: Study, task: str, method: str, seed: int) -> Backbone:
    """Load the study's backbone with a tuning applied, ready to embed sentences (the head is left out).

    Raises
    ------
    BraintuneError
        If the tuning has not been run, or was run on other weights than the study's backbone has.
    """
    entry = choose(METHODS, method, "method")
    file = study.tuning_folder(task, method, seed) / "weights.safetensors"
    if not file.is_file():
        raise BraintuneError(f"{file} is not there; `make book` makes it, or tune(study, {task!r}, {method!r}, {seed})")
    device = pick_device(study.device)
    backbone = load_backbone(study.backbone, device=device)
    with safe_open(file, framework="pt") as weights:
        facts = weights.metadata()
        state = {
            name.removeprefix("backbone."): weights.get_tensor(name)
            for name in weights.keys()  # noqa: SIM118 (a handle, not a dictionary)
            if name.startswith("backbone.")
        }
    if facts["fingerprint"] != backbone.fingerprint:
        raise BraintuneError(
            f"{file} was tuned on {facts['backbone']} ({facts['fingerprint'][:12]}), but the study's backbone is "
            f"{study.backbone} ({backbone.fingerprint[:12]}); set `backbone` to the former or tune again"
        )
    entry.prepare(backbone.model, study, seed)
    entry.restore(backbone.model, state)
    backbone.model.requires_grad_(False).to(device).eval()
    return replace(backbone, name=f"{study.backbone}, {method} on {task} (seed {seed})")


def history(study: Study, task: str, method: str, seed: int) -> pd.DataFrame:
    """Return ``epoch``, ``step``, ``train_loss``, ``validation_loss`` and ``score`` (validation) of one run."""
    return read_table(study.tuning_folder(task, method, seed) / "history.parquet")


def tuning_table(study: Study) -> pd.DataFrame:
    """Return the metrics of all tuning runs of a study, one row each, in the order of its grid."""
    rows = []
    for task, method, seed in _grid(study):
        metrics = read_json(study.tuning_folder(task, method, seed) / "metrics.json")
        plain = {k: v for k, v in metrics.items() if not isinstance(v, dict | list)}
        rows.append({"task": task, "method": method, "seed": seed, "level": TASKS[task].level, **plain})
    return pd.DataFrame(rows)


def history_table(study: Study) -> pd.DataFrame:
    """Return the learning curves of all tuning runs of a study, one row for each epoch."""
    return pd.concat(
        [
            history(study, task, method, seed).assign(task=task, method=method, seed=seed)
            for task, method, seed in _grid(study)
        ],
        ignore_index=True,
    )


def _grid(study: Study) -> list[tuple[str, str, int]]:
    return [(task, method, seed) for task in study.tasks for method in study.methods for seed in study.seeds]
