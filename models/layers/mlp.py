"""Multi-layer perceptron."""

from itertools import pairwise

from torch import nn


def mlp(
    input_dim: int, hidden: list[int], output_dim: int | None = None, *, activation: type[nn.Module] = nn.ReLU
) -> nn.Sequential:
    """Builds linear layers with an activation between them.

    Args:
        input_dim: width of the input, (B, input_dim).
        hidden: widths of the hidden layers, each followed by the activation.
        output_dim: width of a last linear layer without activation; None: the last hidden layer is the output.
        activation: class of the activation.
    """
    layers: list[nn.Module] = []
    for before, after in pairwise([input_dim, *hidden]):
        layers += [nn.Linear(before, after), activation()]
    if output_dim is not None:
        layers.append(nn.Linear([input_dim, *hidden][-1], output_dim))
    return nn.Sequential(*layers)
