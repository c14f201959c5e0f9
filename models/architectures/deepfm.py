"""DeepFM: a factorization machine beside an MLP, on the same embeddings (arXiv:1703.04247)."""

import torch
from torch import Tensor

from config import Section
from models.architectures.architecture import Architecture, Sizes, Widths
from models.architectures.fm import FM
from models.layers.mlp import mlp


class DeepFM(Architecture):
    """The deep part's last layer, then the terms of the factorization machine (section 2.1).

    The paper's has no hidden layer behind it: `hidden: []` of a vertical model.

    B: batch, F: sparse features, e: embedding width, N: dense features
    """

    class Config(Section):
        """Hyperparameters."""

        deep: Widths = [64, 32]  # layers of the deep part

    def __init__(self, config: Config, sizes: Sizes) -> None:
        super().__init__()
        self.deep = mlp(sizes.features_dim, config.deep)
        self.machine = FM(FM.Config(), sizes)
        self.output_dim = config.deep[-1] + self.machine.output_dim

    def forward(self, tokens: Tensor, dense: Tensor, sequence: Tensor, mask: Tensor) -> Tensor:
        """Returns (B, last of deep + (F + 2)·e); the history is not read."""
        deep = self.deep(torch.cat([tokens.flatten(1), dense], dim=1))
        return torch.cat([deep, self.machine(tokens, dense, sequence, mask)], dim=1)
