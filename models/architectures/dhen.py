"""DHEN: layers that are each an ensemble of interaction modules (arXiv:2203.11014)."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from config import Section
from models.architectures.architecture import Architecture, Count, Sizes
from models.layers.ensemble import EnsembleLayer


class DHEN(Architecture):
    """Ensemble layers over feature tokens, one of them for all dense features.

    B: batch, F: sparse features, e: embedding width, N: dense features, n: tokens of the last layer
    """

    activation = nn.SiLU

    class Config(Section):
        """Hyperparameters."""

        num_layers: Count = 2
        num_tokens: Count = 16  # that each layer puts out
        rank: Count = 32  # of the cross branch

    def __init__(self, config: Config, sizes: Sizes) -> None:
        super().__init__()
        self.dense = nn.Linear(sizes.num_dense, sizes.embedding_dim)
        num_tokens = [sizes.num_sparse + 1] + config.num_layers * [config.num_tokens]
        self.layers = nn.Sequential(
            *(
                EnsembleLayer(before, sizes.embedding_dim, num_outputs=after, branches=("dot", "dcn"), rank=config.rank)
                for before, after in pairwise(num_tokens)
            )
        )
        self.output_dim = config.num_tokens * sizes.embedding_dim

    def forward(self, tokens: Tensor, dense: Tensor, sequence: Tensor, mask: Tensor) -> Tensor:
        """Returns (B, n·e), the last layer's tokens side by side; the history is not read."""
        tokens = torch.cat([tokens, self.dense(dense).unsqueeze(1)], dim=1)  # (B, F + 1, e)
        return self.layers(tokens).flatten(1)
