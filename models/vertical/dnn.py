"""A small student: embeddings and dense features into an MLP, with target attention over the FM history."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from config import Section
from models.layers.history import TargetAttention
from models.layers.mlp import mlp
from models.vertical.network import VerticalBatch, VerticalNetwork, VerticalOutput

Count = Annotated[int, Field(gt=0)]


class Dnn(VerticalNetwork):
    """Multi-layer perceptron over embeddings, dense features and, where `use_history`, the pooled FM history."""

    class Config(Section):
        """Hyperparameters."""

        hidden: list[Count] = [64, 32]
        attention_heads: Count = 2

    def __init__(
        self,
        config: Config,
        *,
        num_embeddings: dict[str, int],
        num_dense: int,
        embedding_dim: int,
        code_dim: int,
        use_history: bool,
    ) -> None:
        """Builds the network.

        Args:
            config: hyperparameters.
            num_embeddings: rows of each sparse feature's table, in the order of the batch's columns; holds item_id.
            num_dense: number of dense features.
            embedding_dim: width of every table.
            code_dim: width of the FM's codes.
            use_history: False builds the baseline, which ignores `batch.history`.
        """
        super().__init__()
        self.embeddings = nn.ModuleDict(
            {name: nn.Embedding(rows, embedding_dim) for name, rows in num_embeddings.items()}
        )
        for weight in self.embeddings.parameters():
            nn.init.normal_(weight, std=0.05)
        self.norm = nn.BatchNorm1d(num_dense)
        width = len(num_embeddings) * embedding_dim + num_dense
        self.attention: TargetAttention | None = None
        if use_history:
            self.attention = TargetAttention(
                embedding_dim + code_dim,
                embedding_dim + code_dim + 4,
                model_dim=code_dim,
                num_heads=config.attention_heads,
            )
            width += self.attention.output_dim + code_dim
        self.trunk = mlp(width, config.hidden)
        self.head = nn.Linear(config.hidden[-1], 1)
        self.hidden_dim = config.hidden[-1]

    def forward(self, batch: VerticalBatch) -> VerticalOutput:
        """Scores a batch; logits, not probabilities."""
        embedded = [table(ids) for table, ids in zip(self.embeddings.values(), batch.sparse.T, strict=True)]
        inputs = [*embedded, self.norm(batch.dense)]
        if self.attention is not None:
            tokens, query = self._history(batch, embedded)
            inputs += [self.attention(query, tokens, batch.history.mask), batch.history.item_code]
        hidden = self.trunk(torch.cat(inputs, dim=1))
        return VerticalOutput(self.head(hidden).squeeze(-1), hidden)

    def _history(self, batch: VerticalBatch, embedded: list[Tensor]) -> tuple[Tensor, Tensor]:
        """History tokens, (B, L, d + embedding_dim + 4), and the candidate as query, (B, d + embedding_dim).

        Beside code, item, label and age, a token says outright whether it is the candidate item and how close its
        code is to the candidate's: a small model cannot learn that comparison from few clicks.
        """
        names = list(self.embeddings)
        history, item = batch.history, names.index("item_id")
        same_item = (history.item_ids == batch.sparse[:, item : item + 1]).to(history.codes.dtype)  # (B, L)
        similarity = nn.functional.cosine_similarity(history.codes, history.item_code.unsqueeze(1), dim=-1)  # (B, L)
        scalars = torch.stack([history.labels, history.ages, same_item, similarity], dim=-1)
        tokens = torch.cat([history.codes, self.embeddings["item_id"](history.item_ids), scalars], dim=-1)
        return tokens, torch.cat([history.item_code, embedded[item]], dim=-1)
