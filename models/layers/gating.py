"""InterFormer's gates: what of a summary passes."""

from typing import Literal

import torch
from torch import Tensor, nn

from models.layers.mlp import mlp

Gate = Literal["standard", "identity", "literal_sigmoid", "literal_tanh", "none"]


class Gating(nn.Module):
    """σ(Z ⊙ MLP(Z)), token by token, σ sigmoid, tanh or identity (InterFormer, arXiv:2411.09852, eq. 10).

    Read literally, σ is applied to the product; `standard` is Z ⊙ sigmoid(MLP(Z)), `none` lets all pass.
    """

    def __init__(self, width: int, kind: Gate) -> None:
        super().__init__()
        self.kind = kind
        self.mlp = nn.Identity() if kind == "none" else mlp(width, [width], width, activation=nn.SiLU)

    def forward(self, z: Tensor) -> Tensor:
        """Maps (…, d) to (…, d)."""
        if self.kind == "none":
            return z
        if self.kind == "standard":
            return z * torch.sigmoid(self.mlp(z))
        product = z * self.mlp(z)
        if self.kind == "identity":
            return product
        return torch.sigmoid(product) if self.kind == "literal_sigmoid" else torch.tanh(product)
