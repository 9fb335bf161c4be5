"""What the methods have to know about a type of model, and whether what they train reaches its output."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from braintune.core.base import BraintuneError


@dataclass(frozen=True)
class Family:
    """A type of model that the methods serve.

    Attributes
    ----------
    lora : tuple of str
        Names of the attention's projections that LoRA updates: query and value, or where one matrix makes query, key
        and value, that one.
    deep : bool
        Whether every layer's attention goes through the attention registry of the transformers library, so that it can
        be given a prefix.
    """

    lora: tuple[str, ...]
    deep: bool = True


_BERT = Family(("query", "value"))

#: ``model_type`` in config.json → what the methods have to know.
FAMILIES: dict[str, Family] = {
    "bert": _BERT,
    "roberta": _BERT,
    "xlm-roberta": _BERT,
    "camembert": _BERT,
    "electra": _BERT,
    "albert": _BERT,  # its layers share one module, and LoRA one update; deep prompts differ between layers
    "distilbert": Family(("q_lin", "v_lin")),
    "modernbert": Family(("Wqkv",)),
    "gpt2": Family(("c_attn",)),
    "mpnet": Family(("q", "v"), deep=False),
    "deberta": Family(("in_proj",), deep=False),
    "deberta-v2": Family(("query_proj", "value_proj"), deep=False),  # DeBERTa-v3 as well
}


def family_of(model: PreTrainedModel, method: str) -> Family:
    """Return the family of a model.

    Raises
    ------
    BraintuneError
        If it is not known; `method` is who asks.
    """
    kind = model.config.model_type
    if kind not in FAMILIES:
        known = ", ".join(name for name, family in FAMILIES.items() if family.deep or method != "prompt-tuned")
        layers = {name.rpartition(".")[2] for name, module in model.named_modules() if isinstance(module, nn.Linear)}
        raise BraintuneError(
            f"{method} does not know models of type {kind!r}; known: {known}. Choose a backbone of a known type; or "
            f"{alternatives(model, method)}; or add the type to FAMILIES (braintune.models.families) in a plugin: "
            f"FAMILIES[{kind!r}] = Family(lora=(…)), with the names of its query and value projections (its linear "
            f"layers are {', '.join(sorted(layers)) or 'none'})"
        )
    return FAMILIES[kind]


def alternatives(model: PreTrainedModel, refused: str) -> str:
    """Say which settings of a profile serve a model that one method does not serve.

    Parameters
    ----------
    model : PreTrainedModel
    refused : str
        The method.
    """
    family = FAMILIES.get(model.config.model_type)
    served = {
        "fine-tuned": True,
        "prompt-tuned": family and family.deep,
        "prompt-shallow": family,
        "lora": family,
        "bitfit": any(name.endswith("bias") for name, _ in model.named_parameters()),
        "upper-half": layer_list(model),
        "head-only": True,
    }
    text = f"set `methods` to some of {', '.join(name for name, fits in served.items() if fits and name != refused)}"
    if refused == "prompt-tuned" or not served["prompt-tuned"]:
        text += ", and leave zero-prefix and random-prefix out of `controls`"
    return text


def position_table(model: PreTrainedModel) -> nn.Embedding | None:
    """Return the learned (or sinusoidal) positions of a model; None if it has none, as with rotary positions.

    Where the table has a ``padding_idx`` (RoBERTa, MPNet), the first word has the position after it.
    """
    for name, module in model.named_modules():
        if name.endswith(("position_embeddings", "wpe")) and isinstance(module, nn.Embedding):
            return module
    return None


def layer_list(model: PreTrainedModel) -> nn.ModuleList | None:
    """Return the layers of a model, the first one first; None where they share their weights, as in ALBERT."""
    n = model.config.num_hidden_layers
    lists = (module for module in model.modules() if isinstance(module, nn.ModuleList) and len(module) == n)
    return next((found for found in lists if len(set(found)) == n), None)


def tiny_input(model: PreTrainedModel) -> dict[str, Tensor]:
    """Return some tokens of a model's vocabulary, the last ones, as its input."""
    rows = model.get_input_embeddings().weight.shape[0]
    ids = torch.arange(max(rows - 6, 0), rows, device=model.device)[None]
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def runs_in_bfloat16(model: PreTrainedModel) -> bool:
    """Return whether a model computes its output where torch multiplies in bfloat16; DeBERTa does not."""
    mode = model.training
    model.eval()
    try:
        with torch.no_grad(), torch.autocast(model.device.type, torch.bfloat16):
            model(**tiny_input(model))
    except RuntimeError:
        return False
    finally:
        model.train(mode)
    return True


def gradients(model: PreTrainedModel, parameters: Sequence[Tensor]) -> list[Tensor | None]:
    """Return the gradients of a model's output for a tiny input; None for what the output does not depend on.

    Nothing changes, neither the model nor the global random state.
    """
    mode = model.training
    model.eval()
    with torch.enable_grad():
        hidden = model(**tiny_input(model)).last_hidden_state
        weights = torch.linspace(-1, 1, hidden.shape[-1], device=model.device)  # a plain sum is constant after a norm
        known = hidden.requires_grad and len(parameters) > 0
        found = torch.autograd.grad((hidden * weights).sum(), parameters, allow_unused=True) if known else ()
    model.train(mode)
    return list(found) or [None] * len(parameters)
