"""Train one model on one task: the trainer of the transformers library, set up once for all methods.

Batches group examples of similar length. After every epoch the model is scored on the validation part and a checkpoint
is kept, so that a killed run resumes after its last epoch, with the same result. At the end the best epoch's weights
are loaded.
"""

import json
import math
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.utils import deterministic
from torch.utils.data import DataLoader, Sampler
from transformers import (
    EarlyStoppingCallback,
    EvalPrediction,
    PreTrainedModel,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from braintune.core.base import BraintuneError
from braintune.core.study import Study
from braintune.datasets.metrics import score
from braintune.models.families import runs_in_bfloat16
from braintune.models.heads import TunedModel
from braintune.models.inputs import IGNORED, Encoded, best_tags, collate, read_answers
from braintune.models.methods import trained_state

#: Columns of a learning curve.
CURVE = ("epoch", "step", "train_loss", "validation_loss", "score", "seconds")


class Diverged(BraintuneError):
    """The loss, or a weight, is not finite any more."""


@dataclass(frozen=True)
class Recipe:
    """What the search chooses: peak learning rate (linear rise, then linear decay to zero) and number of epochs."""

    learning_rate: float
    epochs: int

    def __str__(self) -> str:
        return f"learning rate {self.learning_rate:g}, {self.epochs} epoch{'s' * (self.epochs != 1)}"


@dataclass(frozen=True)
class Conditions:
    """What all trainings of one (task, method, seed) share; a validation part may be empty."""

    study: Study
    seed: int
    device: torch.device
    validation: Encoded


class LengthGroupedSampler(Sampler[list[int]]):
    """Batches of examples of similar length, in random order.

    Lengths are varied at random by up to a tenth before they are sorted, so that batches differ between epochs. (The
    trainer's grouping sorts only within a few chunks, and pads more.)

    Parameters
    ----------
    lengths : sequence of int
    size : int
        Examples of a batch; one batch of an epoch may have fewer.
    """

    def __init__(self, lengths: Sequence[int], size: int) -> None:
        self.lengths, self.size = torch.tensor(lengths, dtype=torch.float32), size

    def __len__(self) -> int:
        return math.ceil(len(self.lengths) / self.size)

    def __iter__(self) -> Iterator[list[int]]:
        order = (self.lengths * (0.9 + 0.2 * torch.rand(len(self.lengths)))).argsort(stable=True)
        batches = order.split(self.size)
        return iter([batches[i].tolist() for i in torch.randperm(len(batches))])


class _Tuner(Trainer):
    """A trainer that groups training examples by length and saves only trained parameters."""

    def get_train_dataloader(self) -> DataLoader:
        lengths = [len(feature["input_ids"]) for feature in self.train_dataset]
        batches = LengthGroupedSampler(lengths, self.args.per_device_train_batch_size)
        loader = DataLoader(self.train_dataset, batch_sampler=batches, collate_fn=self.data_collator)
        return self.accelerator.prepare(loader)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader:
        # the trainer's own imports `datasets`, which may be any folder of that name
        features = self.eval_dataset if eval_dataset is None else eval_dataset
        loader = DataLoader(features, batch_size=self.args.eval_batch_size, collate_fn=self.data_collator)
        return self.accelerator.prepare(loader)

    get_test_dataloader = get_eval_dataloader

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        folder = Path(output_dir or self.args.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        trained = {name: value.detach().contiguous() for name, value in trained_state(self.model).items()}
        save_file(trained, folder / "model.safetensors", metadata={"format": "pt"})


class _Reporter(TrainerCallback):
    """Log the seconds spent on training, and print a line after each epoch."""

    def __init__(self, label: str, metric: str) -> None:
        self.label, self.metric, self.begun, self.seconds = label, metric, 0.0, 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        self.seconds = max((entry.get("seconds", 0.0) for entry in state.log_history), default=0.0)

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        self.begun = time.perf_counter()

    def on_epoch_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        self.seconds += time.perf_counter() - self.begun

    def on_log(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        entry = state.log_history[-1]
        if "loss" in entry:
            entry["seconds"] = self.seconds
            epoch = f"epoch {round(entry['epoch'])} of {args.num_train_epochs}"
            end = "\n" if args.eval_strategy == "no" else ""
            print(f"{self.label}, {epoch}: loss {entry['loss']:.3f}", end=end, flush=True)
        elif "eval_score" in entry:
            print(f", validation {self.metric} {entry['eval_score']:.3f}", flush=True)


def train(
    conditions: Conditions, model: TunedModel, examples: Encoded, recipe: Recipe, folder: Path, label: str
) -> tuple[Trainer, pd.DataFrame]:
    """Train a model; it ends with the weights of the best epoch.

    Parameters
    ----------
    conditions : Conditions
    model : TunedModel
        The parameters to train require gradients.
    examples : Encoded
    recipe : Recipe
    folder : Path
        For checkpoints; training resumes from the last one there.
    label : str
        Beginning of the lines of progress.

    Returns
    -------
    trainer : Trainer
        With the trained model, for :func:`predict`.
    curve : DataFrame
        One row per epoch, columns :data:`CURVE`; ``seconds`` counts training only.

    Raises
    ------
    Diverged
        If a loss or a weight is not finite.
    """
    trainer = make_trainer(conditions, model, examples, recipe, folder, label)
    validation = conditions.validation
    if validation.rows and conditions.study.patience:
        trainer.add_callback(EarlyStoppingCallback(conditions.study.patience))
    set_seed(conditions.seed)
    trainer.train(resume_from_checkpoint=_last_checkpoint(folder))
    curve = _curve(trainer.state.log_history)
    losses = curve[["train_loss", "validation_loss"] if validation.rows else ["train_loss"]]
    if not (
        np.isfinite(losses).all(axis=None) and all(value.isfinite().all() for value in trained_state(model).values())
    ):
        raise Diverged(f"{label} diverged with {recipe}; try smaller learning_rates")
    trainer.compute_metrics = None  # only the validation part is scored here
    return trainer, curve


def make_trainer(
    conditions: Conditions, model: TunedModel, examples: Encoded, recipe: Recipe, folder: Path, label: str
) -> Trainer:
    """Return a trainer of a model that is scored on the validation part; parameters as in :func:`train`."""
    validation = conditions.validation

    def scored(given: EvalPrediction) -> dict[str, float]:
        answers = read_answers(validation, given.predictions)
        return {"score": score(validation.task, validation.rows, answers)[validation.task.metric]}

    def chosen(logits: Tensor, truth: Tensor) -> Tensor:
        """Reduce logits to what answers are read from: scores of a span's ends, numbers of labels or tags."""
        if model.kind in ("tokens", "roles"):
            if not validation.task.tags_are_spans:
                return logits.argmax(-1)
            return best_tags(logits, truth != IGNORED, validation.labels)  # words, whatever their gold tags
        return logits if model.kind in ("span", "language") else logits.argmax(-1)

    trainer = _Tuner(
        model,
        _arguments(conditions, recipe, folder, half_precision(conditions.study, conditions.device, model.backbone)),
        data_collator=partial(collate, fill=model.config.pad_token_id or 0),
        train_dataset=examples.features,
        eval_dataset=validation.features,
        compute_metrics=scored,
        preprocess_logits_for_metrics=chosen,
        callbacks=[_Reporter(label, validation.task.metric)],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def predict(trainer: Trainer, encoded: Encoded) -> list[Any]:
    """Return the trained model's answer to every row."""
    return read_answers(encoded, trainer.predict(encoded.features).predictions)


def half_precision(study: Study, device: torch.device, model: PreTrainedModel) -> bool:
    """Return whether training a model multiplies in bfloat16 (the weights stay float32).

    Raises
    ------
    BraintuneError
        If the profile asks for it, and the device or the model cannot do it.
    """
    if study.precision == "float32":
        return False
    if device.type == "cuda":
        can = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        features = torch.cpu.get_capabilities() if device.type == "cpu" else {}
        can = any(features.get(name) for name in ("amx_bf16", "avx512_bf16"))  # others are slower with it
    if study.precision == "bfloat16" and not can and device.type != "cpu":
        raise BraintuneError(f"precision: {device.type} has no bfloat16 here; set float32 or auto")
    if study.precision == "auto" and not can:
        return False
    runs = runs_in_bfloat16(model)
    if study.precision == "bfloat16" and not runs:
        kind = model.config.model_type
        raise BraintuneError(f"precision: models of type {kind!r} do not run in bfloat16; set float32 or auto")
    return runs


@contextmanager
def reproducible(study: Study, seed: int, device: torch.device) -> Iterator[None]:
    """Seed every generator and fix the number of threads; on a CPU only deterministic operations are allowed."""
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    fills = deterministic.fill_uninitialized_memory
    torch.set_num_threads(study.threads)
    torch.use_deterministic_algorithms(device.type == "cpu")
    deterministic.fill_uninitialized_memory = False  # nothing reads what it has not written; filling it costs a tenth
    set_seed(seed)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict)
        deterministic.fill_uninitialized_memory = fills


def _arguments(conditions: Conditions, recipe: Recipe, folder: Path, half: bool) -> TrainingArguments:
    study, validated = conditions.study, bool(conditions.validation.rows)
    return TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=recipe.epochs,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=study.warmup_fraction,
        weight_decay=study.weight_decay,
        per_device_train_batch_size=study.batch_size,
        per_device_eval_batch_size=4 * study.batch_size,
        gradient_accumulation_steps=study.accumulate,
        max_grad_norm=1.0,
        eval_strategy="epoch" if validated else "no",
        metric_for_best_model="score" if validated else None,
        load_best_model_at_end=validated,
        logging_strategy="epoch",
        logging_nan_inf_filter=False,
        save_strategy="epoch",
        save_total_limit=1,  # the best one is kept as well
        restore_callback_states_from_checkpoint=True,
        report_to="none",
        disable_tqdm=True,
        log_level="error",
        label_names=["labels"],
        remove_unused_columns=False,
        dataloader_pin_memory=conditions.device.type == "cuda",
        use_cpu=conditions.device.type == "cpu",
        bf16=half,
        seed=conditions.seed,
    )


def _last_checkpoint(folder: Path) -> str | None:
    """Return the newest complete checkpoint, and remove newer ones that a kill left half written."""
    for checkpoint in sorted(folder.glob("checkpoint-*"), key=lambda path: -int(path.name.rsplit("-", 1)[1])):
        try:
            json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))  # it is written last
        except (OSError, ValueError):
            shutil.rmtree(checkpoint)
        else:
            return str(checkpoint)
    return None


def _curve(log: list[dict[str, float]]) -> pd.DataFrame:
    """Return one row for each epoch from the trainer's log."""
    entries = pd.DataFrame(log).drop(columns="train_loss", errors="ignore")  # the mean of all epochs
    entries = entries.rename(columns={"loss": "train_loss", "eval_loss": "validation_loss", "eval_score": "score"})
    epochs = entries.groupby(entries.pop("epoch").round().astype(int)).first().reset_index()
    return epochs.reindex(columns=CURVE)


def best_epoch(curve: pd.DataFrame) -> int:
    """Return the epoch with the best validation score (the first of equal ones); without scores the last."""
    scores = curve["score"]
    return int(curve["epoch"].iloc[-1] if scores.isna().all() else curve.loc[scores.idxmax(), "epoch"])
