"""DIN: the history weighted by how each step goes with the target item (arXiv:1706.06978)."""

import torch
from torch import Tensor, nn

from config import Section
from models.architectures.architecture import STEP_SCALARS, Architecture, Sizes, Widths
from models.layers.activation_unit import LocalActivationUnit


class DIN(Architecture):
    """A local activation unit over the history, beside all features (section 4).

    B: batch, F: sparse features, e: embedding width, N: dense features
    """

    reads_sequence = True
    activation = nn.PReLU

    class Config(Section):
        """Hyperparameters."""

        attention: Widths = [64, 32]  # hidden layers of the activation unit

    def __init__(self, config: Config, sizes: Sizes) -> None:
        super().__init__()
        self.target = sizes.target
        self.attention = LocalActivationUnit(sizes.embedding_dim, num_scalars=STEP_SCALARS, hidden=config.attention)
        self.output_dim = sizes.features_dim + self.attention.output_dim

    def forward(self, tokens: Tensor, dense: Tensor, sequence: Tensor, mask: Tensor) -> Tensor:
        """Returns (B, F·e + N + e + 2)."""
        interest = self.attention(tokens[:, self.target], sequence, mask)  # (B, e + 2)
        return torch.cat([tokens.flatten(1), dense, interest], dim=1)
