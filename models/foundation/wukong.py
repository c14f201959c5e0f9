"""Wukong: stacked factorization machines with a scaling law (arXiv:2403.02545)."""

from typing import Annotated

import torch
from pydantic import Field
from torch import nn

from config import Section
from models.foundation.network import FoundationInput, FoundationNetwork, FoundationOutput, Sizes
from models.layers.interaction import WukongLayer
from models.layers.mlp import mlp

Count = Annotated[int, Field(gt=0)]


class Wukong(FoundationNetwork):
    """Interaction layers over feature tokens, then an MLP head (section 3).

    B: batch, F: sparse features, d: embedding width, N: dense features, H: first head layer
    """

    class Config(Section):
        """Hyperparameters (section 3.7 names them l, n_F, n_L, k and the FMB's MLP)."""

        num_layers: Count = 2
        num_fmb_tokens: Count = 8
        num_lcb_tokens: Count = 8
        rank: Count = 16
        mlp: list[Count] = [128]  # hidden layers of each FMB and of the bottom MLP
        head: list[Count] = [256, 64]
        num_dense_tokens: Count = 1  # tokens the dense features become

    def __init__(self, config: Config, sizes: Sizes) -> None:
        super().__init__()
        self.embedding_dim = embedding_dim = sizes.embedding_dim
        self.bottom = mlp(sizes.num_dense, config.mlp, config.num_dense_tokens * embedding_dim)
        num_tokens = sizes.num_sparse + config.num_dense_tokens
        layers = []
        for _ in range(config.num_layers):
            layers.append(
                WukongLayer(
                    num_tokens,
                    embedding_dim,
                    num_fmb=config.num_fmb_tokens,
                    num_lcb=config.num_lcb_tokens,
                    rank=config.rank,
                    hidden=config.mlp,
                )
            )
            num_tokens = config.num_fmb_tokens + config.num_lcb_tokens
        self.layers = nn.Sequential(*layers)
        self.hidden = mlp(num_tokens * embedding_dim, config.head[:1])
        self.head = mlp(config.head[0], config.head[1:], 1)
        self.hidden_dim = config.head[0]

    def forward(self, x: FoundationInput) -> FoundationOutput:
        """Scores examples; the history comes in as its pooled token."""
        tokens = torch.cat([x.sparse, self.bottom(x.dense).unflatten(1, (-1, self.embedding_dim))], dim=1)
        hidden = self.hidden(self.layers(tokens).flatten(1))  # (B, H)
        return FoundationOutput(self.head(hidden).squeeze(-1), hidden)
