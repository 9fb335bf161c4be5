"""One linear head on any encoder: it reads the hidden states of spans, or of every token.

With u1 … uk the mean last hidden states over the k spans of an input, the head sees

- a label: u1 … uk, and for k > 1 also abs(u1 - uj) and u1 * uj for every other span j,
- a tag for every token: its hidden state h; given a predicate u1 also u1 and h * u1,
- an answer span: the hidden state of every token, once for "first" and once for "last",
- a masked word: the hidden state of each of its tokens, compared with the embedding of every token of the vocabulary
  (weights are tied to those of the backbone); the linear layer before it is the identity at first.
"""

import torch
from torch import nn
from torch.nn import functional
from transformers import PreTrainedModel

from braintune.datasets.tasks import KINDS
from braintune.models.inputs import IGNORED, UNKNOWN

_N_SPANS = {"sentence": 1, "pair": 2, "sense": 2, "reference": 3, "tokens": 0, "roles": 1, "span": 1, "language": 0}
assert set(_N_SPANS) == set(KINDS)


class TunedModel(nn.Module):
    """A backbone with the head of one kind of task.

    Parameters
    ----------
    backbone : PreTrainedModel
        Any encoder of the transformers library that returns ``last_hidden_state``.
    kind : str
        A key of :data:`braintune.datasets.tasks.KINDS`.
    n_labels : int
        Labels or tags; not used for answer spans and masked words.
    dropout : float
        Dropout before the linear layer.
    """

    # one device always: the trainer would otherwise split every batch over all GPUs it sees
    is_parallelizable = True
    model_parallel = True
    # the trainer asks for it where a checkpoint does not hold everything
    _keys_to_ignore_on_save = None

    def __init__(self, backbone: PreTrainedModel, kind: str, n_labels: int, dropout: float = 0.1) -> None:
        super().__init__()
        k = _N_SPANS[kind]
        parts = {"tokens": 1, "roles": 3, "span": 1}.get(kind, k + 2 * (k - 1))
        self.backbone = backbone
        self.kind = kind
        self.dropout = nn.Dropout(dropout)
        if kind == "language":
            n_tokens, width = backbone.get_input_embeddings().weight.shape
            self.head = nn.Linear(backbone.config.hidden_size, width)
            nn.init.eye_(self.head.weight)
            self.token_bias = nn.Parameter(torch.zeros(n_tokens))
        else:
            self.head = nn.Linear(parts * backbone.config.hidden_size, 2 if kind == "span" else n_labels)

    @property
    def config(self):
        """The backbone's configuration."""
        return self.backbone.config

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        spans: torch.Tensor,
        labels: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:
        """Return ``logits`` and, given labels, ``loss``.

        Parameters
        ----------
        input_ids, attention_mask, token_type_ids : tensor of shape (b, l)
        spans : tensor of shape (b, k, 2)
            First and end position of every span.
        labels : tensor of shape (b,), (b, l) or (b, 2)
            Numbers of labels, of tags, or of the answer's first and last token (-1: the answer is not here; 0, where
            the first token is a span as well: there is none). For masked words, the tokens that were masked; they are
            needed to know which are.

        Returns
        -------
        outputs : dict
            ``logits`` of shape (b, n_labels), (b, l, n_labels) or (b, l, 2); for masked words the number of the best
            token, (b, l), since the scores of the whole vocabulary would fill the memory.
        """
        types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        hidden = self.backbone(input_ids=input_ids, attention_mask=attention_mask, **types).last_hidden_state
        if self.kind == "language":
            return self._fill(hidden, labels)
        position = torch.arange(hidden.shape[1], device=hidden.device)
        inside = (position >= spans[..., :1]) & (position < spans[..., 1:])  # [b, k, l]
        logits = self.head(self.dropout(self._features(hidden, inside))).float()
        if self.kind == "span":
            logits = logits.masked_fill(~inside.any(1)[..., None], torch.finfo(logits.dtype).min)
        outputs = {"logits": logits}
        return outputs if labels is None else {"loss": self._loss(logits, labels), **outputs}

    def _fill(self, hidden: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        masked = labels != IGNORED
        words = self.backbone.get_input_embeddings().weight
        scores = functional.linear(self.head(self.dropout(hidden[masked])), words, self.token_bias).float()
        best = labels.masked_scatter(masked, scores.argmax(-1))
        return {"loss": self._loss(scores, labels[masked]), "logits": best}

    def _features(self, hidden: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
        if self.kind in ("tokens", "span"):
            return hidden
        weights = inside.to(hidden.dtype)
        pooled = weights @ hidden / weights.sum(2, keepdim=True).clamp(min=1)  # [b, k, width]
        first, others = pooled[:, :1], pooled[:, 1:]
        if self.kind == "roles":
            return torch.cat([hidden, first.expand_as(hidden), hidden * first], 2)
        return torch.cat([pooled, (first - others).abs(), first * others], 1).flatten(1)

    def _loss(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        if self.kind == "span":
            # "not in this window" is one more class whose logit is always 0: windows of one context become comparable
            nowhere = logits.new_zeros(len(logits), 1, 2)
            logits = torch.cat([logits, nowhere], 1).transpose(1, 2)  # [b, 2, l + 1]
            labels = torch.where(labels < 0, logits.shape[2] - 1, labels)
        labels = labels.masked_fill(labels == UNKNOWN, IGNORED)
        total = functional.cross_entropy(logits.flatten(0, -2), labels.flatten(), ignore_index=IGNORED, reduction="sum")
        return total / (labels != IGNORED).sum().clamp(min=1)
