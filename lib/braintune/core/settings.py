"""The parameters of a profile, in small groups that the modules take as arguments."""

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    ValidationInfo,
    field_validator,
)

TEN_TASKS = ("chunking", "ner", "srl", "coreference", "wsd", "nli", "paraphrase", "qa", "sentiment", "emotion")


def _parameter(default: Any, meaning: str, unit: str = "", **limits: Any) -> Any:
    """One profile parameter: default, one-line meaning, unit and range."""
    return Field(default, description=meaning, json_schema_extra={"unit": unit}, **limits)


class Settings(BaseModel):
    """Base of all groups of parameters: frozen, without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_value(cls, value: Any, info: ValidationInfo) -> Any:
        """Reject true and false for numbers and strings: pydantic would read them as 1 and 0."""
        wanted = cls.model_fields[str(info.field_name)].annotation is bool
        members = value.values() if isinstance(value, dict) else [value]
        if not wanted and any(isinstance(v, bool) for m in members for v in (m if isinstance(m, list) else [m])):
            raise ValueError("true and false are not values of this parameter; write a number, or a string in quotes")
        return value

    def values(self, *groups: type["Settings"]) -> dict[str, Any]:
        """Return the parameters that belong to `groups`, as plain values."""
        names = [name for group in groups for name in group.model_fields]
        return self.model_dump(mode="json", include=set(names))


Fraction = Annotated[float, Field(ge=0, lt=1)]
Layer = Annotated[int, Field(ge=-64, le=64)]


class MachineSettings(Settings):
    """Where and how a run is computed."""

    profile: str = _parameter(
        "quick", "name of the run; results go to `runs/<profile>`", pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)?$"
    )
    runs: str = _parameter("runs", "folder of all runs: absolute, starting with ~, or relative to the repository")
    plugins: list[str] = _parameter(
        [], "Python files that add your own tasks, methods or brain data; paths relative to the profile's folder"
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = _parameter(
        "auto", "device that torch uses; `auto` uses a GPU if there is one"
    )
    threads: int = _parameter(
        1, "CPU threads per job (results are bit-identical for the same number)", "threads", ge=1, le=256
    )


class WorldSettings(Settings):
    """The generated world: sentences, tasks and stimuli."""

    world_seed: int = _parameter(2023, "seed of the generated world", ge=0)
    language: Literal["english", "invented"] = _parameter(
        "english", "language of generated tasks and stimuli; `invented` has made-up words, and verbs come last"
    )
    topics: int = _parameter(24, "topics of the generated stimuli", "topics", ge=2, le=24)
    passages: int = _parameter(96, "passages of the generated stimuli", "passages", ge=4, le=2000)
    sentences_per_passage: int = _parameter(4, "sentences in each passage", "sentences", ge=2, le=10)


class TaskSettings(Settings):
    """The tasks that are learned, and their examples."""

    tasks: list[str] = _parameter(list(TEN_TASKS), "tasks to tune on", min_length=1)
    task_source: Literal["microworld", "folder", "hub"] = _parameter(
        "microworld", "`microworld` generates the tasks; `folder` reads $BRAINTUNE_DATA/nlu; `hub` downloads them"
    )
    train_examples: int | None = _parameter(700, "training examples per task; null uses all", "examples", ge=10)
    test_examples: int | None = _parameter(300, "test examples per task; null uses all", "examples", ge=10)
    validation_fraction: Annotated[float, Field(ge=0, le=0.5)] = _parameter(
        0.1,
        "fraction of the training data held out to choose the best epoch and learning rate; rows that share a text "
        "stay together",
    )
    max_tokens: int = _parameter(128, "maximum length of a model's input", "tokens", ge=16, le=8192)
    stride: int = _parameter(
        32, "overlap of the windows if the context of a question is longer than the input", "tokens", ge=0
    )


class TuningSettings(Settings):
    """How a backbone is tuned. Only the learning rates differ between methods; the search budget is the same."""

    backbone: str = _parameter(
        "all-MiniLM-L6-v2", "pre-trained encoder: a registered name, a folder, or a Hugging Face Hub id"
    )
    methods: list[str] = _parameter(["fine-tuned", "prompt-tuned"], "tuning methods to compare", min_length=1)
    scored_only: list[str] = _parameter(
        ["head-only"], "methods for which only task scores are computed: they do not change the encoder"
    )
    seeds: list[Annotated[int, Field(ge=0, lt=2**32)]] = _parameter(
        [0], "one tuning run per seed, task and method", min_length=1
    )
    learning_rates: dict[str, Annotated[list[PositiveFloat], Field(min_length=1)]] = _parameter(
        {"fine-tuned": [1e-4], "prompt-tuned": [1e-2], "prompt-shallow": [1e-2], "lora": [1e-3], "bitfit": [1e-3],
         "upper-half": [1e-4], "head-only": [1e-2]},
        "peak learning rates to try, by method; the same number for each method",
    )  # fmt: skip
    epochs: list[PositiveInt] = _parameter(
        [3], "lengths of training to try, the same for each method", "epochs", min_length=1
    )
    search_examples: int = _parameter(
        500,
        "training examples per search trial; the first recipe within one standard error of the best is then run on all",
        "examples",
        ge=10,
    )
    patience: int | None = _parameter(
        3, "epochs without a better validation score before training stops; null never stops early", "epochs", ge=1
    )
    batch_size: int = _parameter(16, "examples per batch", "examples", ge=1)
    accumulate: int = _parameter(1, "batches per optimiser step", "batches", ge=1)
    precision: Literal["auto", "float32", "bfloat16"] = _parameter(
        "auto", "floating-point precision of training; `auto` uses bfloat16 if the hardware has it"
    )
    weight_decay: float = _parameter(0.01, "AdamW weight decay", ge=0, le=1)
    warmup_fraction: Fraction = _parameter(0.1, "fraction of the training steps used for learning-rate warm-up")
    prefix_length: int = _parameter(
        20, "prompt vectors, in every layer (prompt-tuned) or at the input (prompt-shallow)", "vectors", ge=1, le=512
    )
    prompt_layers: Literal["all", "upper", "lower"] = _parameter(
        "all", "layers with deep prompts: all, or the upper or lower half (a middle layer belongs to the upper half)"
    )
    prefix_init: Literal["normal", "tokens"] = _parameter(
        "normal",
        "initial prompt vectors: `normal` draws random numbers, `tokens` uses the model's representations of random "
        "words",
    )
    prefix_std: float = _parameter(0.02, "standard deviation of the prompt vectors drawn by `normal`", ge=0, le=2)
    prefix_hidden: int = _parameter(
        0, "width of the reparameterisation network; 0 trains keys and values directly", "units", ge=0
    )
    prefix_dropout: Fraction = _parameter(0.0, "dropout on the deep prompts' keys and values during training")
    lora_rank: int = _parameter(8, "rank of the LoRA update of an attention projection", "dimensions", ge=1, le=256)
    lora_alpha: float = _parameter(16.0, "LoRA scale: the update is scaled by lora_alpha / lora_rank", gt=0, le=1024)


class EmbeddingSettings(Settings):
    """How sentences become vectors."""

    pooling: Literal["mean", "cls"] = _parameter(
        "mean",
        "sentence vector: `mean` over the sentence's tokens without special tokens, or `cls`, the first special token",
    )
    controls: list[str] = _parameter(
        ["passage", "length", "position", "random-weights", "zero-prefix", "random-prefix"], "control representations"
    )
    vectors: dict[str, str] = _parameter(
        {}, "your own vectors as controls: name → .npz file in the data folder with an array `vectors` [stimuli, width]"
    )
    embedding_batch: int = _parameter(64, "sentences per forward pass", "sentences", ge=1)


class BrainSettings(Settings):
    """Which brains are decoded."""

    brains: list[str] = _parameter(["simulated"], "brain data sets", min_length=1)
    participants: list[str] | None = _parameter(None, "participants; null uses all in the data")
    regions: list[str] | None = _parameter(None, "regions; null uses all in the data")
    experiments: list[Literal[2, 3]] = _parameter(
        [2, 3], "pereira2018: experiments to combine, for the participants who took part in all of them", min_length=1
    )
    wording: Literal["presented", "dereferenced"] = _parameter(
        "presented",
        "pereira2018 and its average: sentences as `presented`, or `dereferenced` (with pronouns replaced)",
    )
    non_finite: Literal["error", "zero"] = _parameter(
        "error", "voxels with NaN or infinite values: `error` stops the run, `zero` excludes these voxels"
    )
    own_study: str = _parameter(
        "own",
        "brain data `folder` and `table`: the folder of your own study, under `brain` in the data folder",
        pattern=r"^[A-Za-z0-9_.-]+$",
    )
    seconds_per_scan: float = _parameter(
        2.0, "brain data `folder`: repetition time (TR), for a story with timed words", "s", gt=0, le=60
    )
    lags: list[NonNegativeFloat] = _parameter(
        [2.0, 4.0, 6.0, 8.0],
        "story listening: delays of the response; for each delay, the scans of a sentence, shifted by it, are averaged",
        "s",
        min_length=1,
    )
    nuisance: list[Literal["length", "log-length", "characters", "duration"]] | None = _parameter(
        None,
        "properties of a sentence regressed out of responses and embeddings in every fold: number of words (length), "
        "its logarithm (log-length), number of characters, duration in seconds; null uses those that vary (characters "
        "only if the number of words does not), [] uses none",
    )
    detrend_order: int = _parameter(
        12,
        "story listening: cosine regressors (including the constant) removed from the time courses",
        "regressors",
        ge=1,
    )


class SimulationSettings(Settings):
    """The simulated participants: what their voxels encode."""

    simulation_seed: int = _parameter(7, "seed of the simulated participants", ge=0)
    simulated_participants: int = _parameter(5, "participants to simulate", "participants", ge=1, le=500)
    voxels_per_region: int = _parameter(120, "voxels in each region", "voxels", ge=8, le=20000)
    signal: dict[str, NonNegativeFloat] = _parameter(
        {"language": 0.12, "DMN": 0.12, "task-positive": 0.1, "visual": 0.0},
        "standard deviation of the signal relative to the noise, by network; 0 means no signal",
    )
    syntax_share: float = _parameter(
        0.2, "fraction of the signal variance that encodes syntax; the rest encodes concepts", ge=0, le=1
    )
    passage_drift: float = _parameter(
        0.0, "standard deviation of a content-free passage effect relative to the noise", ge=0, le=10
    )


class DecodingSettings(Settings):
    """Ridge regression between brain and embedding."""

    directions: list[Literal["decoding", "encoding"]] = _parameter(
        ["decoding", "encoding"],
        "decoding predicts embeddings from the brain, encoding predicts brain responses from embeddings",
        min_length=1,
    )
    designs: list[Literal["shuffled", "grouped"]] = _parameter(["shuffled", "grouped"], "fold designs", min_length=1)
    n_folds: int = _parameter(
        5, "folds of the shuffled design, and of the grouped design over passages", "folds", ge=2, le=50
    )
    fold_seed: int = _parameter(0, "seed of the fold assignment", ge=0)
    blocks: int = _parameter(6, "contiguous blocks of a story in the grouped design", "blocks", ge=2, le=50)
    gap: int = _parameter(2, "sentences dropped on each side of a test block", "sentences", ge=0, le=50)
    inner_folds: int = _parameter(
        4,
        "inner folds within the training data, to choose penalty and layer; they respect groups and gaps",
        "folds",
        ge=2,
        le=20,
    )
    select: Literal["scale-free", "squared-error"] = _parameter(
        "scale-free",
        "how penalty and layer are chosen: `scale-free`, by the correlation of predictions over inner folds, or "
        "`squared-error`, by the exact leave-one-out error (requires nuisance: [])",
    )
    alpha_exponents: tuple[Annotated[float, Field(ge=-6, le=6)], Annotated[float, Field(ge=-6, le=6)]] = _parameter(
        (-3.0, 3.0),
        "smallest and largest ridge penalty, as powers of ten, relative to the mean eigenvalue of a region's kernel",
    )
    n_alphas: int = _parameter(13, "ridge penalties, evenly spaced on a log scale", "penalties", ge=1, le=200)
    standardise: bool = _parameter(True, "z-score each embedding dimension over the stimuli")
    layer: Layer = _parameter(-1, "analysis layer: 0 embeddings, 1 … n the hidden layers, -1 the last")
    permutations: int = _parameter(
        100, "label permutations per representation and region", "permutations", ge=0, le=100_000
    )


class AnalysisSettings(Settings):
    """Representational similarity and statistics."""

    bootstrap: int = _parameter(200, "bootstrap samples over passages (or stimuli)", "samples", ge=0, le=100_000)
    fdr: float = _parameter(0.05, "false-discovery rate within a family of tests", gt=0, lt=1)
    margin: float = _parameter(
        0.1,
        "non-inferiority margin: the largest loss considered too small to matter, as a fraction of the untuned model's "
        "signal in that region",
        ge=0,
        le=1,
    )
    absolute_margin: float | None = _parameter(
        None, "the same margin, as an absolute difference in accuracy or correlation; null uses `margin`", ge=0, le=1
    )


class ContinualSettings(Settings):
    """Tasks learned one after another."""

    orders: int = _parameter(
        0, "number of task orders for learning one task after another, at most the number of tasks; 0 skips this "
        "analysis",
        "orders", ge=0,
    )  # fmt: skip
