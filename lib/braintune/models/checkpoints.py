"""Where tuned models are stored: under the fingerprint of what they depend on, shared by all profiles of a checkout.

``runs/models/<task>/<method>/<fingerprint>/seed-<k>/`` holds `weights.safetensors`, `metrics.json`, `history.parquet`
and the executed notebook. A profile that changes nothing of what a model depends on finds it there and tunes nothing.
"""

import hashlib
import json
from itertools import product
from pathlib import Path

import pandas as pd

from braintune.core import base
from braintune.core.plugins import plugin_checksums, plugin_of
from braintune.core.settings import MachineSettings, TaskSettings, TuningSettings, WorldSettings
from braintune.core.store import checksum, read_json, read_table
from braintune.core.study import GRID, Study
from braintune.core.versions import source_files
from braintune.datasets import hub, hub_tasks

#: Parameters that these methods alone read; a method of a plugin may read any.
READ_BY = {
    **dict.fromkeys(("prefix_length", "prefix_init", "prefix_std"), ("prompt-tuned", "prompt-shallow")),
    **dict.fromkeys(("prefix_hidden", "prefix_dropout", "prompt_layers"), ("prompt-tuned",)),
    **dict.fromkeys(("lora_rank", "lora_alpha"), ("lora",)),
}
#: The files of a tuned model; `metrics.json` is written last.
FILES = ("weights.safetensors", "history.parquet", "metrics.json")


def model_folder(study: Study, task: str, method: str, seed: int) -> Path:
    """Return the folder of one tuned model."""
    return study.root / "models" / task / method / model_fingerprint(study, task, method) / f"seed-{seed}"


def is_tuned(study: Study, task: str, method: str, seed: int) -> bool:
    """Return whether a tuned model is stored and whole."""
    folder = model_folder(study, task, method, seed)
    return all((folder / name).is_file() for name in FILES)


def model_fingerprint(study: Study, task: str, method: str) -> str:
    """Return 16 hex digits over everything that a tuned model depends on, but for its seed.

    They cover the code that tuning reaches, the parameters, the data, the backbone where it is a folder, and plugins.
    What only other methods read does not count: another `prefix_length` leaves fine-tuned models valid.
    """
    settings = study.values(MachineSettings, WorldSettings, TaskSettings, TuningSettings).items()
    unread = {name for name, methods in READ_BY.items() if method not in methods and not plugin_of("method", method)}
    values = {name: value for name, value in settings if name not in GRID | unread}
    values["learning_rates"] = study.learning_rates.get(method)
    parts = {
        "code": sorted(checksum(file) for file in source_files("models.tuning", stop=other_sources(study))),
        "what": [task, method],
        "settings": values,
        "data": data_checksums(study, task),
        "plugins": plugin_checksums(task=task, method=method, backbone=study.backbone),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def other_sources(study: Study) -> frozenset[str]:
    """Return the modules of the task sources that a study does not use; what they import makes no model stale."""
    modules = {"microworld": "datasets.microworld.tasks", "hub": "datasets.hub_tasks"}
    return frozenset(modules.values()) - {modules.get(study.task_source, "")}


def data_checksums(study: Study, task: str) -> dict[str, str]:
    """Return file → SHA-256 of the data that tuning on a task reads, and of a backbone that is named by its folder."""
    sums = hub.checksums(hub_tasks.entry_of(task)) if study.task_source == "hub" else {}
    if study.task_source == "folder":
        folder = base.data_folder() / "nlu" / task
        sums = {f"nlu/{task}/{file.name}": checksum(file) for file in sorted(folder.glob("*.jsonl"))}
    folder = base.REPOSITORY / Path(study.backbone).expanduser()
    files = (file for kind in ("json", "safetensors") for file in sorted(folder.glob(f"*.{kind}")))
    return sums | {f"backbone/{file.name}": checksum(file) for file in files}


# --- what tuning measured ----------------------------------------------------------------------------------------


def history(study: Study, task: str, method: str, seed: int) -> pd.DataFrame:
    """Return the learning curve of one run: one row for each epoch, columns :data:`braintune.models.training.CURVE`."""
    return read_table(model_folder(study, task, method, seed) / "history.parquet")


def history_table(study: Study) -> pd.DataFrame:
    """Return the learning curves of all tuning runs of a study, one row for each epoch."""
    jobs = product(study.tasks, study.methods, study.seeds)
    curves = [history(study, *job).assign(task=job[0], method=job[1], seed=job[2]) for job in jobs]
    return pd.concat(curves, ignore_index=True)


def tuning_table(study: Study) -> pd.DataFrame:
    """Return the metrics of all tuning runs of a study, one row each, in the order of its grid."""
    rows = []
    for task, method, seed in product(study.tasks, study.methods, study.seeds):
        metrics = read_json(model_folder(study, task, method, seed) / "metrics.json")
        plain = {name: value for name, value in metrics.items() if not isinstance(value, dict | list)}
        rows.append({"task": task, "method": method, "seed": seed, **plain})
    return pd.DataFrame(rows)
