"""DCN-V2: explicit crosses of bounded degree beside or before a deep network (arXiv:2008.13535)."""

from typing import Literal

import torch

from config import Section
from models.foundation.head import Head
from models.foundation.network import Count, FoundationInput, FoundationNetwork, FoundationOutput, Sizes, Widths
from models.layers.cross import CrossNet
from models.layers.mlp import mlp

ALIGNMENT = 16  # matrix products on CPUs take a third less time at multiples of a vector register (448 for 445 columns)


class DCNv2(FoundationNetwork):
    """Cross layers over all features as one vector, stacked under or parallel to a deep network (section 3).

    B: batch, F: sparse features, d: embedding width, N: dense features
    """

    class Config(Section):
        """Hyperparameters."""

        num_cross_layers: Count = 3
        rank: Count | None = 64  # of each cross layer's matrix; None: full rank
        structure: Literal["stacked", "parallel"] = "parallel"
        deep: Widths = [256, 128]
        head: Widths = [128]

    def __init__(self, config: Config, sizes: Sizes) -> None:
        super().__init__()
        width = sizes.num_sparse * sizes.embedding_dim + sizes.num_dense
        self.padding = -width % ALIGNMENT
        width += self.padding
        self.stacked = config.structure == "stacked"
        self.cross = CrossNet(width, num_layers=config.num_cross_layers, rank=config.rank)
        self.deep = mlp(width, config.deep)
        self.head = Head(config.deep[-1] + (0 if self.stacked else width), config.head)
        self.hidden_dim = self.head.hidden_dim

    def forward(self, x: FoundationInput) -> FoundationOutput:
        """Scores examples; the history comes in as its pooled token."""
        padding = x.dense.new_zeros(len(x.dense), self.padding)
        features = torch.cat([x.sparse.flatten(1), x.dense, padding], dim=1)  # (B, F*d + N, rounded up)
        crossed = self.cross(features)
        return self.head(self.deep(crossed) if self.stacked else torch.cat([crossed, self.deep(features)], dim=1))
