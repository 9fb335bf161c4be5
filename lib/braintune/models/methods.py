"""Ways to tune an encoder: which parameters each trains.

A method is one entry of :data:`METHODS`; training, scoring, saving and loading are the same for all of them.

References
----------
.. [1] Hu et al. (2022). LoRA: Low-Rank Adaptation of Large Language Models. ICLR.
.. [2] Ben Zaken et al. (2022). BitFit: Simple Parameter-efficient Fine-tuning for Transformer-based Masked
   Language-models. ACL.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor
from transformers import PreTrainedModel

from braintune.core.base import BraintuneError, lookup
from braintune.core.settings import TuningSettings
from braintune.core.study import Study
from braintune.datasets.hub import first_line
from braintune.models.families import alternatives, family_of, gradients, layer_list
from braintune.models.prefix import attach_prefix
from braintune.models.soft_prompt import attach_prompt


@dataclass(frozen=True)
class Method:
    """A way to tune.

    Attributes
    ----------
    title : str
        What is trained, in one line.
    prepare : function of (model, settings, seed)
        Adds what is new, and sets ``requires_grad`` of what is trained, and of nothing else; the head is always
        trained. These parameters are what is saved.
    """

    title: str
    prepare: Callable[[PreTrainedModel, TuningSettings, int], None]


def _train_all(model: PreTrainedModel, settings: TuningSettings, seed: int) -> None:
    model.requires_grad_(True)
    _freeze_pooler(model)


def _freeze_pooler(model: PreTrainedModel) -> None:
    if isinstance(pooler := getattr(model, "pooler", None), torch.nn.Module):
        pooler.requires_grad_(False)  # the heads read the hidden states before it


def _train_biases(model: PreTrainedModel, settings: TuningSettings, seed: int) -> None:
    """Train every bias vector, those of the normalisation layers included [2]_."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.endswith("bias"))
    _freeze_pooler(model)
    if not trained_state(model):
        raise BraintuneError(
            f"bitfit trains bias vectors, but this model of type {model.config.model_type!r} has none; choose a "
            f"backbone with biases, such as BERT or RoBERTa, or {alternatives(model, 'bitfit')}"
        )


def _train_upper_half(model: PreTrainedModel, settings: TuningSettings, seed: int) -> None:
    """Train the upper half of the layers; embeddings, lower layers and what follows the last layer are frozen."""
    if (layers := layer_list(model)) is None:
        raise BraintuneError(
            f"upper-half trains the upper half of the layers, but those of this model of type "
            f"{model.config.model_type!r} share their weights; choose a backbone whose layers have separate weights, "
            f"such as BERT or RoBERTa, or {alternatives(model, 'upper-half')}"
        )
    model.requires_grad_(False)
    layers[len(layers) // 2 :].requires_grad_(True)


def _first_vectors(settings: TuningSettings, seed: int) -> dict[str, Any]:
    """Return how prompt vectors start, as the functions that attach them take it."""
    return {"std": settings.prefix_std, "tokens": settings.prefix_init == "tokens", "seed": seed}


def _add_deep_prompts(model: PreTrainedModel, settings: TuningSettings, seed: int) -> None:
    length, layers, first = settings.prefix_length, settings.prompt_layers, _first_vectors(settings, seed)
    hidden, dropout = settings.prefix_hidden, settings.prefix_dropout
    attach_prefix(model, length, layers=layers, hidden=hidden, dropout=dropout, **first)


def _add_shallow_prompt(model: PreTrainedModel, settings: TuningSettings, seed: int) -> None:
    attach_prompt(model, settings.prefix_length, **_first_vectors(settings, seed))


def _add_lora(model: PreTrainedModel, settings: TuningSettings, seed: int) -> None:
    """Add a trainable product of two thin matrices to the attention's projections, zero at first [1]_."""
    family = family_of(model, "lora")
    config = LoraConfig(
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha,  # type: ignore[arg-type]  # a float will do
        target_modules=list(family.lora),
        fan_in_fan_out=model.config.model_type == "gpt2",  # GPT-2 keeps its matrices transposed
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            inject_adapter_in_model(config, model)
        except ValueError as error:  # the names are wrong
            raise BraintuneError(
                f"lora cannot update {', '.join(family.lora)} in models of type {model.config.model_type!r}: "
                f"{first_line(error)}; correct their entry in FAMILIES"
            ) from error


#: Method → what it trains. All of them are trained, scored, saved and loaded in the same way.
METHODS: dict[str, Method] = {
    "fine-tuned": Method("all weights of the encoder", _train_all),
    "prompt-tuned": Method("deep prompts at every layer, or at those of `prompt_layers`", _add_deep_prompts),
    "prompt-shallow": Method("prompt vectors before the words, at the input", _add_shallow_prompt),
    "lora": Method("low-rank updates of the attention's projections", _add_lora),
    "bitfit": Method("the bias vectors of the encoder", _train_biases),
    "upper-half": Method("the upper half of the encoder's layers", _train_upper_half),
    "head-only": Method("nothing but the head", lambda model, settings, seed: model.requires_grad_(False)),
}


def prepare(model: PreTrainedModel, method: str, settings: TuningSettings, seed: int) -> None:
    """Prepare a model for a method, and check that the output depends on what is trained.

    Raises
    ------
    BraintuneError
        For an unknown method, a model that the method does not serve, and parameters without effect.
    """
    old = {id(parameter) for parameter in model.parameters()}
    lookup(METHODS, method, "method").prepare(model, settings, seed)
    trained = trained_state(model)
    added = {name: parameter for name, parameter in trained.items() if id(parameter) not in old}
    # of pre-trained weights, the vectors (biases and norms) will do, and one effect of all
    asked = added or {name: p for name, p in trained.items() if p.ndim < 2} or trained
    if not asked or model.device.type == "meta":
        return
    found = dict(zip(asked, gradients(model, list(asked.values())), strict=True))
    without = [name for name, gradient in found.items() if gradient is None]
    if (added and without) or not any(g is not None and g.any() for g in found.values()):
        raise BraintuneError(
            f"{method} trains {(without or list(asked))[0]!r}, but the output of this model of type "
            f"{model.config.model_type!r} does not depend on it; choose another backbone, or "
            f"{alternatives(model, method)}"
        )


def trained_state(model: PreTrainedModel) -> dict[str, Tensor]:
    """Return the trained parameters of a prepared model by name."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def check_methods(model: PreTrainedModel, study: Study) -> None:
    """Check that a study's methods, and its controls with a prefix, serve a backbone; faults as in :func:`prepare`."""
    for method in study.methods:
        prepare(deepcopy(model), method, study, 0)
    if controls := [name for name in study.controls if name in ("zero-prefix", "random-prefix")]:
        try:
            attach_prefix(deepcopy(model), study.prefix_length, layers=study.prompt_layers)
        except BraintuneError as fault:
            raise BraintuneError(f"controls {', '.join(controls)}: {fault}") from None


def restore(model: PreTrainedModel, state: Mapping[str, Tensor]) -> None:
    """Put saved parameters back into a model that was prepared by the same method.

    Raises
    ------
    BraintuneError
        If names or shapes differ; the message names the first difference.
    """
    saved, wanted = ({n: tuple(value.shape) for n, value in part.items()} for part in (state, trained_state(model)))
    if wrong := sorted(name for name in saved | wanted if saved.get(name) != wanted.get(name)):
        shapes = [f"of shape {part[wrong[0]]}" if wrong[0] in part else "missing" for part in (saved, wanted)]
        raise BraintuneError(
            f"the saved weights do not fit: {wrong[0]!r} is {shapes[0]} in the file and {shapes[1]} in the model; use "
            "the method and the settings (prefix_length, prefix_hidden, prompt_layers, lora_rank) they were made with, "
            "or tune again"
        )
    model.load_state_dict(dict(state), strict=False)
