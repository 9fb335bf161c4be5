"""Ways to tune an encoder: what each trains, and how what was trained is taken out and put back.

A method is one entry of :data:`METHODS`; training, scoring, saving and loading are the same for all of them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from braintune.prefix import attach_prefix, load_prefix_state, prefix_state
from braintune.study import BraintuneError, TuningSettings

State = dict[str, Tensor]


@dataclass(frozen=True)
class Method:
    """A way to tune.

    Attributes
    ----------
    title : str
        What is trained, in one line.
    prepare : function of (model, settings, seed)
        Freezes what is not trained and adds what is new; the head is trained always.
    state : function of model
        Returns what training changed in the backbone, as named tensors.
    restore : function of (model, state)
        Puts it back into a prepared model.
    """

    title: str
    prepare: Callable[[PreTrainedModel, TuningSettings, int], None]
    state: Callable[[PreTrainedModel], State]
    restore: Callable[[PreTrainedModel, State], None]


def _train_all(model: PreTrainedModel, settings: TuningSettings, seed: int) -> None:
    model.requires_grad_(True)
    if isinstance(pooler := getattr(model, "pooler", None), torch.nn.Module):
        pooler.requires_grad_(False)  # it is behind the hidden states that the heads read


def _freeze(model: PreTrainedModel, settings: TuningSettings, seed: int) -> None:
    model.requires_grad_(False)


def _add_prompts(model: PreTrainedModel, settings: TuningSettings, seed: int) -> None:
    attach_prefix(
        model,
        settings.prefix_length,
        std=settings.prefix_std,
        hidden=settings.prefix_hidden,
        seed=seed,
    )


def _trained(model: PreTrainedModel) -> State:
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def _put_back(model: PreTrainedModel, state: State) -> None:
    if wrong := set(state) ^ set(_trained(model)):
        raise BraintuneError(
            f"the saved weights do not fit the backbone: {sorted(wrong)[0]!r} is on one side only; tune again"
        )
    model.load_state_dict(state, strict=False)


METHODS: dict[str, Method] = {
    "fine-tuned": Method("all weights of the encoder", _train_all, _trained, _put_back),
    "prompt-tuned": Method("deep prompts at every layer", _add_prompts, prefix_state, load_prefix_state),
    "head-only": Method("nothing but the head", _freeze, _trained, _put_back),
}
