"""Shallow prompts: trainable vectors before the words, at the input layer only.

The encoder reads P prompt vectors and then the words; the prompt's hidden states are removed again, at every layer. So
heads, spans, tags and poolings see the words alone. (PEFT's prompt tuning returns longer sequences instead, which
shifts every position of a span or a tag by P.)

The words keep their position ids, so nothing but the prompt changes for them. With learned positions all prompt vectors
have the position of the first word; training can absorb its constant vector. With rotary positions (ModernBERT) they
have positions -P … -1, and layers that attend within a window see them from the first words only. With relative
positions (MPNet, DeBERTa) distances between words stay what they are, and the prompt is as far away as it lies.

References
----------
.. [1] Lester et al. (2021). The Power of Scale for Parameter-Efficient Prompt Tuning. EMNLP.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from braintune.core.base import BraintuneError
from braintune.datasets.hub import first_line
from braintune.models.families import alternatives, family_of, position_table, tiny_input
from braintune.models.prefix import vocabulary_tokens


def attach_prompt(
    model: PreTrainedModel, length: int, *, std: float = 0.02, tokens: bool = False, seed: int = 0
) -> nn.Parameter:
    """Freeze a model and put trainable vectors before its words.

    The model then takes its inputs by name, and returns ``last_hidden_state`` and ``hidden_states`` alone.

    Parameters
    ----------
    model : PreTrainedModel
        A bare encoder. Its own parameters stop requiring gradients; its dropout stays on in training mode.
    length : int
        Prompt vectors.
    std : float
        Standard deviation of the initial values.
    tokens : bool
        Start from the embeddings of random words of the vocabulary instead [1]_.
    seed : int
        Seed of the initial values; the global random state does not change.

    Returns
    -------
    nn.Parameter of shape (length, width of the embeddings)
        The prompt; also ``model.shallow_prompt``.

    Raises
    ------
    BraintuneError
        If the model has a prompt already, is of an unknown type, or counts the positions of its words in another way
        than expected, so that the prompt would change the words themselves.
    """
    family_of(model, "prompt-shallow")
    if hasattr(model, "shallow_prompt"):
        raise BraintuneError("this model already has a shallow prompt; load the backbone again to give it another")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if tokens:
            vectors = model.get_input_embeddings().weight[vocabulary_tokens(model, length)].detach().clone()
        else:
            vectors = torch.randn(length, model.get_input_embeddings().weight.shape[1]) * std
    model.requires_grad_(False)
    words = None if model.device.type == "meta" else _words(model)
    model.shallow_prompt = nn.Parameter(vectors.to(device=model.device, dtype=model.dtype))
    model.register_forward_pre_hook(_add_prompt, with_kwargs=True)
    model.register_forward_hook(_remove_prompt)
    if words is not None:
        _check_words(model, words)
    return model.shallow_prompt


def _check_words(model: PreTrainedModel, wanted: Tensor) -> None:
    """Check that the embedding layer makes of the words what it made of them without the prompt."""
    refused = f"prompt-shallow cannot put vectors before the words of models of type {model.config.model_type!r}"
    remedy = f"choose another backbone, or {alternatives(model, 'prompt-shallow')}"
    try:
        found = _words(model)
    except (IndexError, RuntimeError, TypeError) as error:
        raise BraintuneError(f"{refused}: {first_line(error)}; {remedy}") from error
    if not torch.allclose(found, wanted, atol=1e-4):
        raise BraintuneError(f"{refused}: it changes the embeddings of the words; {remedy}")


@torch.no_grad()
def _words(model: PreTrainedModel) -> Tensor:
    """Return what the embedding layer makes of some words, shape (1, n_words, width)."""
    mode = model.training
    states = model.eval()(**tiny_input(model), output_hidden_states=True).hidden_states
    model.train(mode)
    return states[0]


def _add_prompt(model: PreTrainedModel, unnamed: tuple[Any, ...], given: dict[str, Any]) -> tuple[tuple, dict]:
    """Replace a model's inputs by the prompt and the words' embeddings, and lengthen the rest to match."""
    ids, mask = given.pop("input_ids", None), given.pop("attention_mask", None)
    if unnamed or ids is None or (mask is not None and mask.shape != ids.shape):
        raise BraintuneError(
            "a model with a shallow prompt takes `input_ids` and `attention_mask`, both of shape (b, l), by name"
        )
    length = len(model.shallow_prompt)
    words = model.get_input_embeddings()(ids)
    prompt = model.shallow_prompt.to(words.dtype).expand(len(ids), -1, -1)
    before, positions = _positions(model, ids, length)
    if (wanted := given.pop("position_ids", None)) is not None:
        positions = wanted.expand_as(ids)
    # Always a mask: without one the library reads positions that do not rise by one as several texts in one row.
    mask = torch.ones_like(ids) if mask is None else mask
    if given.get("token_type_ids") is not None:
        given["token_type_ids"] = nn.functional.pad(given["token_type_ids"], (length, 0))
    given["inputs_embeds"] = torch.cat([prompt, words], dim=1)
    given["attention_mask"] = nn.functional.pad(mask, (length, 0), value=1)
    given["position_ids"] = torch.cat([before.expand(len(ids), -1), positions], dim=1)
    return (), given


def _positions(model: PreTrainedModel, ids: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Return the positions of the prompt, shape (length,), and of the words, shape (b, l)."""
    positions, table = torch.arange(ids.shape[1], device=ids.device).expand_as(ids), position_table(model)
    if table is None:  # only distances count
        return torch.arange(-length, 0, device=ids.device), positions
    first, padding = 0, table.padding_idx
    if padding is not None:  # RoBERTa and MPNet count the words, and begin after the padding's id
        real = (ids != padding).long()
        first, positions = padding + 1, real.cumsum(1) * real + padding
    return torch.full((length,), first, device=ids.device), positions


def _remove_prompt(model: PreTrainedModel, given: tuple[Any, ...], outputs: Any) -> BaseModelOutput:
    """Return the hidden states of the words alone."""
    length = len(model.shallow_prompt)
    states = outputs.hidden_states
    return BaseModelOutput(
        last_hidden_state=outputs.last_hidden_state[:, length:],
        hidden_states=None if states is None else tuple(state[:, length:] for state in states),
    )
