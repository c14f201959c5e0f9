"""What the vertical models share: embeddings, an encoder of the FM history, trunk and head."""

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from config import Section
from models.layers.history import HISTORY_ENCODERS, HistoryEncoder
from models.layers.mlp import mlp
from models.vertical.network import Count, Sizes, VerticalBatch, VerticalNetwork, VerticalOutput, Widths


class HistoryConfig(Section):
    """Hyperparameters that every architecture has."""

    history_encoder: Literal["activation_unit", "mean", "multi_interest", "sum", "target_attention"] = (
        "target_attention"
    )
    history_dim: Count = 32  # width of the encoder
    attention_heads: Count = 2


class TrunkConfig(HistoryConfig):
    """Hyperparameters of those with an MLP."""

    hidden: Widths = [64, 32]


class TrunkNetwork(VerticalNetwork):
    """`interact` makes one vector of an example's features; an MLP reads it beside the encoded FM history.

    B: batch, F: sparse features, e: embedding width, N: dense features, d: code width, L: history slots, A: ids a slot
    """

    Config: ClassVar[Any]  # a HistoryConfig

    def __init__(self, config: HistoryConfig, sizes: Sizes) -> None:
        """Builds what reads the batch; a subclass then calls `build_trunk`."""
        super().__init__()
        self.sizes = sizes
        self.item = sizes.item
        self.embeddings = nn.ModuleDict(
            {name: nn.Embedding(rows, sizes.embedding_dim) for name, rows in sizes.num_embeddings.items()}
        )
        for weight in self.embeddings.parameters():
            nn.init.normal_(weight, std=0.05)
        self.norm = nn.BatchNorm1d(sizes.num_dense) if sizes.num_dense else nn.Identity()
        self.history: HistoryEncoder | None = None
        self.history_dim = 0
        if sizes.use_history:
            ids = len(sizes.history_ids)
            self.history = HISTORY_ENCODERS[config.history_encoder](
                sizes.code_dim + max(1, ids) * sizes.embedding_dim,
                sizes.code_dim + ids * (sizes.embedding_dim + 1) + (3 if sizes.code_dim else 2),
                model_dim=config.history_dim,
                num_heads=config.attention_heads,
            )
            self.history_dim = self.history.output_dim + sizes.code_dim

    def build_trunk(self, width: int, hidden: list[int], *, wide: int = 0) -> None:
        """Builds trunk and head.

        Args:
            width: of what `interact` returns.
            hidden: layers of the trunk; none: the head reads the features themselves.
            wide: width of what `wide` returns.
        """
        self.trunk = mlp(width + self.history_dim, hidden)
        self.hidden_dim = [width + self.history_dim, *hidden][-1] + wide
        self.head = nn.Linear(self.hidden_dim, 1)

    def interact(self, tokens: Tensor, dense: Tensor, batch: VerticalBatch) -> Tensor:
        """Embeddings (B, F, e) and normalised dense features (B, N) -> (B, width)."""
        raise NotImplementedError

    def wide(self, tokens: Tensor, dense: Tensor) -> Tensor | None:
        """What the head reads beside the trunk, (B, wide); None: nothing."""
        return None

    def forward(self, batch: VerticalBatch) -> VerticalOutput:
        """Scores a batch; logits, not probabilities."""
        embedded = [table(ids) for table, ids in zip(self.embeddings.values(), batch.sparse.T, strict=True)]
        tokens = torch.stack(embedded, dim=1)  # (B, F, e)
        dense = self.norm(batch.dense)
        inputs = [self.interact(tokens, dense, batch)]
        if self.history is not None:
            inputs.append(self.history(self._candidate(batch, tokens), self._steps(batch), batch.history.mask))
            if self.sizes.code_dim:
                inputs.append(batch.history.item_code)
        hidden = self.trunk(torch.cat(inputs, dim=1))
        if (wide := self.wide(tokens, dense)) is not None:
            hidden = torch.cat([hidden, wide], dim=1)
        return VerticalOutput(self.head(hidden).squeeze(-1), hidden)

    def _candidate(self, batch: VerticalBatch, tokens: Tensor) -> Tensor:
        """What the history is asked about, (B, d + max(1, A)·e): the item's mean code and its embeddings."""
        names = list(self.sizes.num_embeddings)
        parts = [tokens[:, names.index(name)] for name in self.sizes.history_ids or ("item_id",)]
        return torch.cat([batch.history.item_code, *parts] if self.sizes.code_dim else parts, dim=-1)

    def _steps(self, batch: VerticalBatch) -> Tensor:
        """History tokens, (B, L, K): code, embeddings of the ids, label, age.

        Beside them a token says outright which of its ids are the candidate's and how close its code is to the
        candidate's: a small model cannot learn that comparison from few clicks.
        """
        history, names = batch.history, list(self.sizes.num_embeddings)
        parts, scalars = [], [history.labels, history.ages]
        if self.sizes.code_dim:
            parts.append(history.codes)
            scalars.append(cosine_similarity(history.codes, history.item_code.unsqueeze(1), dim=-1))
        for place, name in enumerate(self.sizes.history_ids):
            ids = history.ids[..., place]  # (B, L)
            parts.append(self.embeddings[name](ids))
            scalars.append((ids == batch.sparse[:, names.index(name)].unsqueeze(1)).to(history.labels.dtype))
        return torch.cat([*parts, torch.stack(scalars, dim=-1)], dim=-1)
