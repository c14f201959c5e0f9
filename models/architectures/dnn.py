"""A plain network: no interaction but that of the hidden layers behind it."""

import torch
from torch import Tensor

from config import Section
from models.architectures.architecture import Architecture, Sizes


class DNN(Architecture):
    """All features side by side.

    B: batch, F: sparse features, e: embedding width, N: dense features
    """

    class Config(Section):
        """It has no hyperparameters."""

    def __init__(self, config: Config, sizes: Sizes) -> None:
        super().__init__()
        self.output_dim = sizes.features_dim

    def forward(self, tokens: Tensor, dense: Tensor, sequence: Tensor, mask: Tensor) -> Tensor:
        """Returns (B, F·e + N); the history is not read."""
        return torch.cat([tokens.flatten(1), dense], dim=1)
