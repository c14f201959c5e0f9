"""Factorization machine (Rendle, ICDM 2010): first- and second-order terms, whose sum is a linear layer's to take."""

import torch
from torch import Tensor, nn

from config import Section
from models.architectures.architecture import Architecture, Sizes
from models.layers.factorization import bi_interaction


class FM(Architecture):
    """All vectors, one of them for the dense features, beside the sum of their pairwise products.

    A feature's first-order weight is a linear map of its embedding, so it needs no table of its own. With no hidden
    layer behind it (`hidden: []` of a vertical model) it is Rendle's; with some, a neural one.

    B: batch, F: sparse features, e: embedding width, N: dense features
    """

    class Config(Section):
        """It has no hyperparameters."""

    def __init__(self, config: Config, sizes: Sizes) -> None:
        super().__init__()
        self.dense = nn.Linear(sizes.num_dense, sizes.embedding_dim)
        self.output_dim = (sizes.num_sparse + 2) * sizes.embedding_dim

    def forward(self, tokens: Tensor, dense: Tensor, sequence: Tensor, mask: Tensor) -> Tensor:
        """Returns (B, (F + 2)·e); the history is not read."""
        vectors = torch.cat([tokens, self.dense(dense).unsqueeze(1)], dim=1)  # (B, F + 1, e)
        return torch.cat([vectors.flatten(1), bi_interaction(vectors)], dim=1)
