"""The dense part of a foundation model: an architecture under a head."""

from typing import Any

from torch import nn

from models.architectures.architecture import Architecture, Inputs, Sizes
from models.architectures.hyperparameters import split_hyperparameters
from models.foundation.head import FoundationOutput, Head


class DenseNetwork(nn.Module):
    """Embedded examples -> architecture -> head."""

    def __init__(self, architecture: type[Architecture], hyperparameters: dict[str, Any], sizes: Sizes) -> None:
        """Builds both.

        Args:
            architecture: of the network.
            hyperparameters: the architecture's and the head's.
            sizes: of the input.

        Raises:
            ValueError: a hyperparameter is unknown or wrong.
        """
        super().__init__()
        config, head = split_hyperparameters(hyperparameters, architecture, Head.Config, model="foundation model")
        self.architecture = architecture(config, sizes)
        self.head = Head(head, self.architecture.output_dim, activation=architecture.activation)
        self.hidden_dim = self.head.hidden_dim

    def forward(self, x: Inputs) -> FoundationOutput:
        """Scores examples."""
        return self.head(self.architecture(*x))
