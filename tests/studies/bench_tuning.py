"""Speed and memory of tuning and embedding beside the plain way of doing either: `make bench-tuning`, or for example

python tests/studies/bench_tuning.py --data folder --task paraphrase --examples 700 --threads 2

Every arm runs in a process of its own, so its peak memory is its own; the arms take turns, and the best of all rounds
counts. Training is timed from optimiser step to optimiser step over whole epochs after the first, in the library's
`tune` and in the plain way alike: loading, encoding and scoring do not enter, and in the library's arms the checkpoint
after each epoch does. "Plain" is the trainer of the transformers library on `AutoModelForSequenceClassification`, in
float32, padded to the longest of a randomly drawn batch. The library's arms use the precision that `auto` takes here.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from braintune.core.base import REPOSITORY
from braintune.core.store import write_json
from braintune.core.study import Study

# The arms import torch by themselves: on Linux a process inherits the peak memory of the one that starts it, so that
# one stays small.

KINDS = ("sentence", "pair")
#: What `--clock` measures with: seconds on the wall, or seconds of computing (for one thread on a busy machine).
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def make_study(options, runs, precision):
    return Study.make(
        {
            "runs": runs,
            "backbone": options.backbone,
            "task_source": options.data,
            "tasks": [options.task],
            "train_examples": options.examples,
            "test_examples": 10,
            "validation_fraction": 0,  # nothing is scored between the epochs
            "epochs": [options.epochs],
            "precision": precision,
            "batch_size": options.batch,
            "threads": options.threads,
            "device": "cpu",
        }
    )


def examples(study):
    """Return the training rows as (texts, number of the label), and the number of labels."""
    from braintune.datasets.tasks import load_task

    data = load_task(study, study.tasks[0])
    if data.task.kind not in KINDS:
        raise SystemExit(
            f"--task {data.task.name}: the plain way needs a task with one label, such as nli or sentiment"
        )
    fields = [field for field, kind in data.task.fields.items() if kind == "text" and field != "label"]
    return [([row[f] for f in fields], data.labels.index(row["label"])) for row in data.train], len(data.labels)


def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


# --- training ----------------------------------------------------------------------------------------------------


def timed_training(train, n_examples, epochs, clock):
    """Run `train()` and return the speed of its best whole epoch after the first, and milliseconds for each step."""
    from torch.optim.optimizer import register_optimizer_step_post_hook

    moments = []
    hook = register_optimizer_step_post_hook(lambda *_: moments.append(clock()))
    try:
        train()
    finally:
        hook.remove()
    n = len(moments) // epochs  # steps of an epoch
    seconds = min(moments[i + n] - moments[i] for i in range(n - 1, len(moments) - n, n))
    return {"examples_per_s": n_examples / seconds, "ms_per_step": 1000 * seconds / n}


def library(method):
    def arm(study, clock):
        from braintune.models.tuning import tune

        rows, _ = examples(study)
        return timed_training(lambda: tune(study, study.tasks[0], method, 0), len(rows), study.epochs[0], clock)

    return arm


def plain(method, padding="longest"):
    def arm(study, clock):
        from transformers import (
            AutoModelForSequenceClassification,
            AutoTokenizer,
            DataCollatorWithPadding,
            Trainer,
            TrainingArguments,
        )

        from braintune.models.backbones import locate

        rows, n_labels = examples(study)
        tokenizer = AutoTokenizer.from_pretrained(locate(study.backbone))
        model = AutoModelForSequenceClassification.from_pretrained(locate(study.backbone), num_labels=n_labels)
        if method == "prompt-tuned":
            from peft import PrefixTuningConfig, get_peft_model

            model = get_peft_model(
                model, PrefixTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=study.prefix_length)
            )
        features = [
            {**tokenizer(*texts, truncation=True, max_length=study.max_tokens), "labels": label}
            for texts, label in rows
        ]
        with tempfile.TemporaryDirectory() as scratch:
            trainer = Trainer(
                model,
                TrainingArguments(
                    output_dir=scratch,
                    num_train_epochs=study.epochs[0],
                    per_device_train_batch_size=study.batch_size,
                    learning_rate=study.learning_rates[method][0],
                    save_strategy="no",
                    report_to="none",
                    disable_tqdm=True,
                    use_cpu=True,
                    seed=0,
                ),
                train_dataset=features,
                data_collator=DataCollatorWithPadding(tokenizer, padding, max_length=study.max_tokens),
            )
            return timed_training(trainer.train, len(features), study.epochs[0], clock)

    return arm


# --- embedding ---------------------------------------------------------------------------------------------------


def timed_sentences(run, n, clock):
    """Return sentences per second: the best of three passes after one that does not count."""
    seconds = []
    for _ in range(4):
        started = clock()
        run()
        seconds.append(clock() - started)
    return {"sentences_per_s": n / min(seconds[1:])}


def sentences_of(study):
    rows, _ = examples(study)
    return sorted({text for texts, _ in rows for text in texts if text.strip()})  # each once, in no order of length


def embed_arm(study, clock):
    from braintune.models.backbones import load_backbone
    from braintune.models.embeddings import embed

    backbone, sentences = load_backbone(study.backbone), sentences_of(study)
    options = {"batch": study.embedding_batch, "max_tokens": study.max_tokens}
    return timed_sentences(lambda: embed(backbone, sentences, **options), len(sentences), clock)


def forward_arm(study, clock):
    """The model alone on batches that are ready: every hidden state is computed and none is kept."""
    import torch

    from braintune.models.backbones import load_backbone

    backbone, sentences = load_backbone(study.backbone), sentences_of(study)
    cut = {"truncation": True, "max_length": study.max_tokens}
    ids = sorted(backbone.tokenizer(sentences, **cut)["input_ids"], key=len, reverse=True)
    step = study.embedding_batch
    batches = [
        backbone.tokenizer.pad({"input_ids": ids[i : i + step]}, return_tensors="pt") for i in range(0, len(ids), step)
    ]

    @torch.inference_mode()
    def forward():
        for batch in batches:
            backbone.model(**batch, output_hidden_states=True)

    return timed_sentences(forward, len(sentences), clock)


# --- all arms ----------------------------------------------------------------------------------------------------

#: Name → (function of the study and a clock, what it is).
ARMS = {
    "fine_tuned": (library("fine-tuned"), "fine-tuning"),
    "fine_tuned_float32": (library("fine-tuned"), "fine-tuning in float32"),
    "plain_fine_tuned": (plain("fine-tuned"), "plain fine-tuning"),
    "prompt_tuned": (library("prompt-tuned"), "prompt-tuning"),
    "peft_prefix": (plain("prompt-tuned"), "PEFT prefix tuning"),
    "embed": (embed_arm, "embedding, all layers kept"),
    "bare_forward": (forward_arm, "bare forward pass"),
}
#: Measured only when asked for (`--max-length`): slow, and few do it.
SLOW = {"max_length_fine_tuned": (plain("fine-tuned", "max_length"), "plain, padded to the limit")}
#: What is compared: (name, arm, arm that it is divided by, quantity, sense of the goal, goal).
GOALS = [
    (
        "grouping by length: fine-tuning in float32 ÷ plain",
        "fine_tuned_float32",
        "plain_fine_tuned",
        "examples_per_s",
        "at least",
        1.3,
    ),
    ("a step: prompt-tuning ÷ fine-tuning", "prompt_tuned", "fine_tuned", "ms_per_step", "at most", 1.0),
    ("peak memory: prompt-tuning ÷ fine-tuning", "prompt_tuned", "fine_tuned", "peak_mb", "at most", 1.0),
    ("embedding ÷ bare forward pass", "embed", "bare_forward", "sentences_per_s", "at least", 0.85),
]


def run_arm(name, options):
    """Run one arm in this process and print what it found as one line of JSON."""
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    torch.set_num_threads(options.threads)
    arm, _ = (ARMS | SLOW)[name]
    precision = "float32" if name.endswith("float32") else "auto"
    with tempfile.TemporaryDirectory() as runs:
        try:
            found = arm(make_study(options, runs, precision), CLOCKS[options.clock])
        except Exception as fault:
            if name != "peft_prefix":
                raise
            found = {"reason": f"{type(fault).__name__}: {fault}"}  # it has broken with other versions before
    print(json.dumps(found | {"peak_mb": peak_mb()}), flush=True)


def measure(name, options):
    """Run one arm in a process of its own."""
    given = [f"--{key}={value}" for key, value in vars(options).items() if key not in ("arm", "max_length", "out")]
    environment = os.environ | {"OMP_NUM_THREADS": str(options.threads), "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(
        [sys.executable, __file__, *given, f"--arm={name}"], env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"arm {name} failed; its last words:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def best(rounds):
    """Return the best of several rounds: the highest speed, and the least time and memory."""
    keys = sorted({key for found in rounds for key in found})
    return {
        key: (max if key.endswith("_per_s") else min)(found[key] for found in rounds if key in found) for key in keys
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=("microworld", "folder"), default="microworld")
    parser.add_argument("--task", default="nli", help="a task with one label for one or two sentences")
    parser.add_argument("--backbone", default="all-MiniLM-L6-v2")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "runs" / "bench" / "tuning.json")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: for one thread on a busy machine")
    parser.add_argument("--max-length", action="store_true", help="also train with every input padded to the limit")
    parser.add_argument("--arm", choices=[*ARMS, *SLOW], help="run this one arm in this process")
    for name, default in (("examples", 512), ("epochs", 2), ("batch", 32), ("threads", 1), ("rounds", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    if options.epochs < 2:
        parser.error(f"--epochs {options.epochs}: the first epoch is not timed, so there must be at least 2")
    if options.arm:
        return run_arm(options.arm, options)
    arms = ARMS | (SLOW if options.max_length else {})
    rounds = {name: [] for name in arms}
    for number in range(options.rounds):
        for name in arms:
            print(f"round {number + 1} of {options.rounds}: {name} …", file=sys.stderr, flush=True)
            rounds[name].append(measure(name, options))
    return report({name: best(found) for name, found in rounds.items()}, arms, options)


def report(found, arms, options):
    """Print the table and the comparisons, and write everything."""
    print(
        f"{options.backbone}, {options.task} ({options.data}), {options.examples} examples, batches of {options.batch}, "
        f"{options.threads} thread(s), {options.clock} clock, best of {options.rounds} rounds"
    )
    print(f"{'':30s}{'per second':>12s}{'ms a step':>12s}{'peak MB':>10s}")
    for name, (_, title) in arms.items():
        one = found[name]
        speed = next((value for key, value in one.items() if key.endswith("_per_s")), None)
        cells = [(speed, 12), (one.get("ms_per_step"), 12), (one["peak_mb"], 10)]
        print(f"{title:30s}" + "".join(f"{'–' if value is None else f'{value:.1f}':>{w}s}" for value, w in cells))
        if "reason" in one:
            print(f"  {one['reason']}")
    ratios = {}
    for name, over, under, quantity, sense, goal in GOALS:
        ratios[name] = ratio = found[over][quantity] / found[under][quantity]
        held = ratio >= goal if sense == "at least" else ratio <= goal
        print(f"{name}: {ratio:.2f} ({sense} {goal}: {'yes' if held else 'NO'})")
    facts = {f"{name}_{key}": value for name, one in found.items() for key, value in one.items()}
    facts.setdefault("peft_prefix_examples_per_s", None)
    settings = {key: value for key, value in vars(options).items() if key not in ("arm", "out")}
    packages = ("torch", "transformers", "peft", "accelerate")
    facts |= {"ratios": ratios, "settings": settings, "versions": {name: version(name) for name in packages}}
    write_json(options.out, facts | {"threads": options.threads, "python": sys.version.split()[0]})
    print(f"written: {options.out}")


if __name__ == "__main__":
    main()
