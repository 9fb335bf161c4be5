r"""Deep prompts: trainable key and value vectors that every layer's attention sees before its own (P-tuning v2).

A registered attention function puts each layer's prefix in front of its keys and values. It needs no cache, shifts no
position, leaves the length of the output alone, and serves every model whose attention goes through the registry of
the transformers library: BERT, RoBERTa, ELECTRA, ALBERT, DistilBERT, ModernBERT and GPT-2 alike. DeBERTa and MPNet
compute attention outside it, with terms for relative positions, and are refused. A layer is a call of the attention:
ALBERT calls one module for all its layers, and each call has a prefix.

For a query :math:`q` of one head, with prefix keys :math:`K_P` and values :math:`V_P`,

.. math:: \mathrm{softmax}(q [K_P; K]^\top / \sqrt{d})\,[V_P; V] .

Even a prefix of zeros takes a share of the softmax and so changes the output: a comparison with the untuned model
needs the controls with a prefix of zeros and an untrained one (:mod:`braintune.models.controls`).

All layers carry a prefix, or one half of them; in ALBERT too, whose layers differ in their prefix alone. A prefix
starts from random numbers, or from the keys and values that the model itself computes for words of its
vocabulary [2]_. In training, the frozen backbone keeps its dropout, as in full fine-tuning.

References
----------
.. [1] Liu et al. (2022). P-Tuning: Prompt Tuning Can Be Comparable to Fine-tuning Across Scales and Tasks. ACL.
.. [2] Li and Liang (2021). Prefix-Tuning: Optimizing Continuous Prompts for Generation. ACL.
"""

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from braintune.core.base import BraintuneError
from braintune.models.families import FAMILIES, alternatives, family_of, gradients

ATTENTION = "braintune_prefix"
_RECORDED = "braintune_recorded"
#: Random tokens are read in rows of this length: about a sentence, and every model can read that many.
_ROW = 32

#: While a model is traced: each call of the attention function, as (module, keys and values).
_calls: list[tuple[nn.Module, Tensor]] = []


class Prefix(nn.Module):
    """One layer's prefix, trained directly or through a two-layer network (reparameterisation [2]_).

    Parameters
    ----------
    heads, head_dim, length : int
        Attention heads, dimensions of a head, and prefix vectors.
    std : float
        Standard deviation of the initial values.
    hidden : int
        Width of the reparameterisation network; 0 trains keys and values directly.
    dropout : float
        Dropout on keys and values while training.
    """

    def __init__(self, heads: int, head_dim: int, length: int, std: float, hidden: int = 0, dropout: float = 0.0):
        super().__init__()
        width = heads * head_dim
        self.shape = (length, 2, heads, head_dim)
        self.vectors = nn.Parameter(torch.randn(length, width if hidden else 2 * width) * std)
        layers = (nn.Linear(width, hidden), nn.Tanh(), nn.Linear(hidden, 2 * width)) if hidden else ()
        self.network = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)

    def forward(self) -> Tensor:
        """Return keys and values, shape (2, heads, length, head_dim)."""
        return self.dropout(self.network(self.vectors)).view(self.shape).permute(1, 2, 0, 3)


def _attend(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> tuple[Tensor, None]:
    """Scaled dot-product attention with the module's prefix before its keys and values, if it has one."""
    prefixes = module.__dict__.get("deep_prompts")
    if not prefixes:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    call = module.__dict__["call"]
    prefix, module.__dict__["call"] = prefixes[call], (call + 1) % len(prefixes)
    if not isinstance(prefix, Prefix):  # this layer carries none
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    causal = options.pop("is_causal", None)
    if attention_mask is None and (module.is_causal if causal is None else causal):
        # A causal model has no mask when nothing is padded. "The lower triangle" would then begin at the prefix
        # instead of the first token, so the mask is made here.
        shape = query.shape[2], key.shape[2]
        attention_mask = torch.ones(shape, dtype=torch.bool, device=query.device).tril(shape[1] - shape[0])[None, None]
    keys, values = prefix().to(key.dtype)  # [heads, length, head_dim] each
    batch, length = key.shape[0], keys.shape[1]
    key = torch.cat([keys.expand(batch, -1, -1, -1), key], dim=2)
    value = torch.cat([values.expand(batch, -1, -1, -1), value], dim=2)
    if attention_mask is not None:  # every token sees the whole prefix: True in a boolean mask, 0 in an additive one
        attention_mask = nn.functional.pad(attention_mask, (length, 0), value=attention_mask.dtype == torch.bool)
    return sdpa_attention_forward(module, query, key, value, attention_mask, is_causal=False, **options)


def _record(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> tuple[Tensor, None]:
    """Scaled dot-product attention that keeps its keys and values in :data:`_calls`."""
    _calls.append((module, torch.stack([key, value])))  # [2, batch, heads, tokens, head_dim]
    return sdpa_attention_forward(module, query, key, value, attention_mask, **options)


for _name, _function in ((ATTENTION, _attend), (_RECORDED, _record)):
    AttentionInterface.register(_name, _function)
    AttentionMaskInterface.register(_name, sdpa_mask)


@torch.no_grad()
def _trace(model: PreTrainedModel, ids: Tensor) -> list[tuple[nn.Module, Tensor]]:
    """Read some tokens; return every call of the attention function: module, and keys and values of its layer."""
    before, mode = model.config._attn_implementation, model.training
    model.set_attn_implementation(_RECORDED)
    model.eval()
    _calls.clear()
    try:
        model(input_ids=ids[None])
        return list(_calls)
    finally:
        _calls.clear()
        model.train(mode)
        model.set_attn_implementation(before)


def attention_calls(model: PreTrainedModel) -> list[tuple[nn.Module, Tensor]]:
    """Return the calls of the attention function in one forward pass, first layer first.

    Returns
    -------
    list of (nn.Module, tensor of shape (2, 1, heads, n_tokens, head_dim))
        The module that computes the attention, and keys and values of some tokens.

    Raises
    ------
    BraintuneError
        If the type of the model is not known, or not every layer's attention goes through the registry.
    """
    family, layers = family_of(model, "prompt-tuned"), model.config.num_hidden_layers
    calls = _trace(model, torch.arange(2, device=model.device)) if family.deep else []
    if not calls or len(calls) % layers:
        deep = ", ".join(kind for kind, other in FAMILIES.items() if other.deep)
        raise BraintuneError(
            f"prompt-tuned cannot give a prefix to models of type {model.config.model_type!r}: the attention of "
            f"{layers - len(calls) if len(calls) < layers else 'some'} of {layers} layers does not go through the "
            f"attention registry of the transformers library. Choose a backbone of type {deep}; or "
            f"{alternatives(model, 'prompt-tuned')}"
        )
    return calls


def vocabulary_tokens(model: PreTrainedModel, n: int) -> Tensor:
    """Draw tokens of a model's vocabulary by torch's global random state, with replacement.

    Tokens that the configuration names as special (padding, begin, end and so on) are left out.

    Returns
    -------
    int64 tensor of shape (n,), on the model's device
    """
    names = ("pad", "bos", "eos", "cls", "sep", "unk", "mask")
    special = {getattr(model.config, f"{name}_token_id", None) for name in names}
    words = torch.tensor([token for token in range(model.config.vocab_size) if token not in special])
    return words[torch.randint(len(words), (n,))].to(model.device)


def attach_prefix(
    model: PreTrainedModel,
    length: int,
    *,
    std: float = 0.02,
    layers: str = "all",
    tokens: bool = False,
    hidden: int = 0,
    dropout: float = 0.0,
    seed: int = 0,
) -> nn.ModuleList:
    """Freeze a model and give its layers trainable prefixes.

    Parameters
    ----------
    model : PreTrainedModel
        A bare encoder. Its own parameters stop requiring gradients; its dropout stays on in training mode.
    length : int
        Prefix vectors per layer.
    std, hidden, dropout
        See :class:`Prefix`; a `std` of 0 gives a prefix of zeros.
    layers : {"all", "upper", "lower"}
        Which layers carry a prefix: all of them, or the upper or the lower half.
    tokens : bool
        Start from the keys and values that the model computes for random words, instead of random numbers.
    seed : int
        Seed of the initial values; the global random state does not change.

    Returns
    -------
    nn.ModuleList
        The prefixes, first layer first, an identity for a layer without one; also ``model.deep_prompts``, so they are
        among the model's parameters.

    Raises
    ------
    BraintuneError
        If the model has a prefix already, is of an unknown type, or its output does not depend on every prefix; and
        for `tokens` with a reparameterisation network, which makes keys and values itself; and if no layer is left
        to carry a prefix.
    """
    if hasattr(model, "deep_prompts"):
        raise BraintuneError("this model already has a prefix; load the backbone again to give it another")
    if tokens and hidden:
        raise BraintuneError(
            f"prefix_init 'tokens' sets keys and values, but a network of width {hidden} would compute them; set "
            "`prefix_hidden: 0` or `prefix_init: normal`"
        )
    shared, own = model.config, deepcopy(model.config)  # it names the attention function, and two models may share it
    for module in model.modules():
        if getattr(module, "config", None) is shared:
            module.config = own
    calls = attention_calls(model)
    _, _, heads, _, head_dim = calls[0][1].shape
    shape = heads, head_dim, length, std, hidden, dropout
    carrying = carrying_layers(layers, len(calls))
    if not carrying:
        raise BraintuneError(f"prompt_layers: {layers!r} selects none of {len(calls)} layer; set it to all or upper")
    model.requires_grad_(False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        words = vocabulary_tokens(model, length) if tokens else None
        prompts = nn.ModuleList(Prefix(*shape) if n in carrying else nn.Identity() for n in range(len(calls)))
    prompts.to(device=model.device, dtype=model.dtype).train(model.training)
    if words is not None:
        for prompt, vectors in zip(prompts, _keys_and_values(model, words), strict=True):
            if isinstance(prompt, Prefix):
                prompt.vectors.data.copy_(vectors)
    model.set_attn_implementation(ATTENTION)
    for (module, _), prompt in zip(calls, prompts, strict=True):
        # Not registered with nn.Module: the parameters belong to the model once, under `deep_prompts`.
        module.__dict__.setdefault("deep_prompts", []).append(prompt)
        module.__dict__["call"] = 0
    model.deep_prompts = prompts
    model.register_forward_pre_hook(_first_call)
    _check_reach(model)
    return prompts


def carrying_layers(layers: str, n: int) -> range:
    """Return which of `n` layers carry a prefix, counted from 0; the two halves have no layer in common."""
    return {"all": range(n), "upper": range(n // 2, n), "lower": range(n // 2)}[layers]


def _first_call(model: PreTrainedModel, given: tuple[Any, ...]) -> None:
    """Begin with the first prefix again, also after a forward pass that an error has ended."""
    for module in model.modules():
        if "deep_prompts" in module.__dict__:
            module.__dict__["call"] = 0


def _check_reach(model: PreTrainedModel) -> None:
    """Check that the output depends on the prefix of every layer that carries one."""
    vectors = {n: prompt.vectors for n, prompt in enumerate(model.deep_prompts, 1) if isinstance(prompt, Prefix)}
    if model.device.type == "meta" or not all(v.numel() for v in vectors.values()):
        return
    found = zip(vectors, gradients(model, list(vectors.values())), strict=True)
    if without := [layer for layer, gradient in found if gradient is None or not gradient.any()]:
        raise BraintuneError(
            f"the prefix of layer {without[0]} of {len(model.deep_prompts)} has no effect on the output of this model "
            f"of type {model.config.model_type!r}, so it cannot be prompt-tuned; choose another backbone, or "
            f"{alternatives(model, 'prompt-tuned')}"
        )


def _keys_and_values(model: PreTrainedModel, words: Tensor) -> list[Tensor]:
    """Return the keys and values of some tokens in every layer, shape (n_words, 2 * width) each."""
    rows = [[vectors[:, 0] for _, vectors in _trace(model, row)] for row in words.split(_ROW)]
    layers = (torch.cat(parts, dim=2) for parts in zip(*rows, strict=True))  # [2, heads, n_words, head_dim] each
    return [layer.permute(2, 0, 1, 3).flatten(1) for layer in layers]
