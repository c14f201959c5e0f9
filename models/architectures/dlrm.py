"""DLRM: bottom MLP, pairwise dot products; the hidden layers behind are the top MLP (arXiv:1906.00091)."""

import torch
from torch import Tensor

from config import Section
from models.architectures.architecture import Architecture, Count, Sizes
from models.layers.dot import PairwiseDots
from models.layers.mlp import mlp


class DLRM(Architecture):
    """Dot products of all pairs of feature vectors, beside the dense vector (section 2.1).

    B: batch, F: sparse features, e: embedding width, N: dense features
    """

    class Config(Section):
        """Hyperparameters."""

        bottom: list[Count] = [128]  # hidden layers between the dense features and their vector

    def __init__(self, config: Config, sizes: Sizes) -> None:
        super().__init__()
        self.bottom = mlp(sizes.num_dense, [*config.bottom, sizes.embedding_dim])
        self.dots = PairwiseDots(sizes.num_sparse + 1)
        self.output_dim = sizes.embedding_dim + self.dots.output_dim

    def forward(self, tokens: Tensor, dense: Tensor, sequence: Tensor, mask: Tensor) -> Tensor:
        """Returns (B, e + (F + 1)F/2); the history is not read."""
        vector = self.bottom(dense)  # (B, e)
        return torch.cat([vector, self.dots(torch.cat([vector.unsqueeze(1), tokens], dim=1))], dim=1)
