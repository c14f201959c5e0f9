"""The last layers of an architecture: its representation and its logit."""

from torch import Tensor, nn

from models.foundation.network import FoundationOutput
from models.layers.mlp import mlp


class Head(nn.Module):
    """An MLP; the output of its first hidden layer is what codes are made of."""

    def __init__(self, width: int, hidden: list[int], *, activation: type[nn.Module] = nn.ReLU) -> None:
        super().__init__()
        self.hidden = mlp(width, hidden[:1], activation=activation)
        self.logit = mlp(hidden[0], hidden[1:], 1, activation=activation)
        self.hidden_dim = hidden[0]

    def forward(self, x: Tensor) -> FoundationOutput:
        """Scores features, (B, width)."""
        hidden = self.hidden(x)
        return FoundationOutput(self.logit(hidden).squeeze(-1), hidden)
