"""What the vertical models share: embeddings, target attention over the FM history, trunk and head."""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from config import Section
from models.layers.history import TargetAttention
from models.layers.mlp import mlp
from models.vertical.network import Count, Sizes, VerticalBatch, VerticalNetwork, VerticalOutput, Widths


class TrunkConfig(Section):
    """Hyperparameters that every architecture has."""

    hidden: Widths = [64, 32]  # of the trunk
    attention_heads: Count = 2


class TrunkNetwork(VerticalNetwork):
    """`interact` makes one vector of an example's features; an MLP reads it beside the pooled FM history.

    B: batch, F: sparse features, e: embedding width, N: dense features, d: code width, L: history slots
    """

    Config: ClassVar[Any]  # a TrunkConfig

    def __init__(self, config: TrunkConfig, sizes: Sizes) -> None:
        """Builds what reads the batch; a subclass then calls `build_trunk`."""
        super().__init__()
        self.item = sizes.item
        self.embeddings = nn.ModuleDict(
            {name: nn.Embedding(rows, sizes.embedding_dim) for name, rows in sizes.num_embeddings.items()}
        )
        for weight in self.embeddings.parameters():
            nn.init.normal_(weight, std=0.05)
        self.norm = nn.BatchNorm1d(sizes.num_dense)
        self.attention: TargetAttention | None = None
        self.history_dim = 0
        if sizes.use_history:
            self.attention = TargetAttention(
                sizes.embedding_dim + sizes.code_dim,
                sizes.embedding_dim + sizes.code_dim + 4,
                model_dim=sizes.code_dim,
                num_heads=config.attention_heads,
            )
            self.history_dim = self.attention.output_dim + sizes.code_dim

    def build_trunk(self, width: int, hidden: list[int]) -> None:
        """Builds trunk and head over the vector that `interact` returns, (B, width)."""
        self.trunk = mlp(width + self.history_dim, hidden)
        self.head = nn.Linear(hidden[-1], 1)
        self.hidden_dim = hidden[-1]

    def interact(self, tokens: Tensor, dense: Tensor, batch: VerticalBatch) -> Tensor:
        """Embeddings (B, F, e) and normalised dense features (B, N) -> (B, width)."""
        raise NotImplementedError

    def forward(self, batch: VerticalBatch) -> VerticalOutput:
        """Scores a batch; logits, not probabilities."""
        embedded = [table(ids) for table, ids in zip(self.embeddings.values(), batch.sparse.T, strict=True)]
        tokens = torch.stack(embedded, dim=1)  # (B, F, e)
        inputs = [self.interact(tokens, self.norm(batch.dense), batch)]
        if self.attention is not None:
            history, query = self._history(batch, tokens)
            inputs += [self.attention(query, history, batch.history.mask), batch.history.item_code]
        hidden = self.trunk(torch.cat(inputs, dim=1))
        return VerticalOutput(self.head(hidden).squeeze(-1), hidden)

    def _history(self, batch: VerticalBatch, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """History tokens, (B, L, d + e + 4), and the candidate as query, (B, d + e).

        Beside code, item, label and age, a token says outright whether it is the candidate item and how close its
        code is to the candidate's: a small model cannot learn that comparison from few clicks.
        """
        history, item = batch.history, self.item
        same_item = (history.item_ids == batch.sparse[:, item : item + 1]).to(history.codes.dtype)  # (B, L)
        similarity = nn.functional.cosine_similarity(history.codes, history.item_code.unsqueeze(1), dim=-1)  # (B, L)
        scalars = torch.stack([history.labels, history.ages, same_item, similarity], dim=-1)
        steps = torch.cat([history.codes, self.embeddings["item_id"](history.item_ids), scalars], dim=-1)
        return steps, torch.cat([history.item_code, tokens[:, item]], dim=-1)
