"""DCN-V2: explicit crosses of bounded degree beside or before a deep network (arXiv:2008.13535)."""

from typing import Literal

import torch
from torch import Tensor

from config import Section
from models.architectures.architecture import Architecture, Count, Sizes
from models.layers.cross import CrossNet
from models.layers.mlp import mlp

ALIGNMENT = 16  # matrix products on CPUs take a third less time at multiples of a vector register (448 for 445 columns)


class DCNv2(Architecture):
    """Cross layers over all features as one vector, stacked under or parallel to a deep network (section 3).

    B: batch, F: sparse features, e: embedding width, N: dense features
    """

    class Config(Section):
        """Hyperparameters."""

        num_cross_layers: Count = 3
        rank: Count | None = 64  # of each cross layer's matrix; None: full rank
        structure: Literal["stacked", "parallel"] = "parallel"
        deep: list[Count] = [256, 128]  # stacked and []: the hidden layers behind are the deep network

    def __init__(self, config: Config, sizes: Sizes) -> None:
        super().__init__()
        width = sizes.features_dim
        self.padding = -width % ALIGNMENT
        width += self.padding
        self.stacked = config.structure == "stacked"
        self.cross = CrossNet(width, num_layers=config.num_cross_layers, rank=config.rank)
        self.deep = mlp(width, config.deep)
        self.output_dim = [width, *config.deep][-1] + (0 if self.stacked else width)

    def forward(self, tokens: Tensor, dense: Tensor, sequence: Tensor, mask: Tensor) -> Tensor:
        """Returns (B, output_dim); the history is not read."""
        padding = dense.new_zeros(len(dense), self.padding)
        features = torch.cat([tokens.flatten(1), dense, padding], dim=1)  # (B, F·e + N, rounded up)
        crossed = self.cross(features)
        return self.deep(crossed) if self.stacked else torch.cat([crossed, self.deep(features)], dim=1)
