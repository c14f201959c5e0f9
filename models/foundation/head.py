"""The last layers of a foundation model: its representation and its logit."""

from typing import NamedTuple

from torch import Tensor, nn

from config import Section
from models.architectures.architecture import Widths
from models.layers.mlp import mlp


class FoundationOutput(NamedTuple):
    """A network's predictions for B examples; H: width of the representation."""

    logits: Tensor  # (B,)
    hidden: Tensor  # the representation that codes are made of, (B, H)
    members: tuple[Tensor, ...] = ()  # an ensemble's logits, (B,) each


class Head(nn.Module):
    """An MLP; the output of its first hidden layer is what codes are made of."""

    class Config(Section):
        """Hyperparameters."""

        head: Widths = [256, 64]  # hidden layers

    def __init__(self, config: Config, width: int, *, activation: type[nn.Module] = nn.ReLU) -> None:
        super().__init__()
        self.hidden = mlp(width, config.head[:1], activation=activation)
        self.logit = mlp(config.head[0], config.head[1:], 1, activation=activation)
        self.hidden_dim = config.head[0]

    def forward(self, x: Tensor) -> FoundationOutput:
        """Scores features, (B, width)."""
        hidden = self.hidden(x)
        return FoundationOutput(self.logit(hidden).squeeze(-1), hidden)
