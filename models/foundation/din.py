"""DIN: the history weighted by how each step goes with the target item (arXiv:1706.06978)."""

import torch
from torch import nn

from config import Section
from models.foundation.head import Head
from models.foundation.network import (
    SEQUENCE_EXTRAS,
    FoundationInput,
    FoundationNetwork,
    FoundationOutput,
    Sizes,
    Widths,
)
from models.layers.activation_unit import LocalActivationUnit


class DIN(FoundationNetwork):
    """A local activation unit over the history, then an MLP over it and all features (section 4).

    B: batch, F: sparse features, d: embedding width, N: dense features
    """

    reads_sequence = True

    class Config(Section):
        """Hyperparameters."""

        attention: Widths = [64, 32]  # hidden layers of the activation unit
        head: Widths = [256, 128]

    def __init__(self, config: Config, sizes: Sizes) -> None:
        super().__init__()
        self.target = sizes.target
        self.attention = LocalActivationUnit(sizes.embedding_dim, num_scalars=SEQUENCE_EXTRAS, hidden=config.attention)
        width = sizes.num_sparse * sizes.embedding_dim + sizes.num_dense + self.attention.output_dim
        self.head = Head(width, config.head, activation=nn.PReLU)
        self.hidden_dim = self.head.hidden_dim

    def forward(self, x: FoundationInput) -> FoundationOutput:
        """Scores examples."""
        interest = self.attention(x.sparse[:, self.target], x.sequence, x.mask)  # (B, d + 2)
        return self.head(torch.cat([x.sparse.flatten(1), x.dense, interest], dim=1))
