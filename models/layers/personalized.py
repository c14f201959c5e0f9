"""InterFormer's personalised feed-forward: a matrix of each example's own, applied to its history."""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from models.layers.mlp import mlp


class PersonalizedFeedForward(nn.Module):
    """PFFN(X_sum, S) = f(X_sum) S (InterFormer, arXiv:2411.09852, eq. 8).

    `lowrank` is the appendix's f(X_sum) = X_sumᵀ W, of rank n at most (A.2.2); `full` is an MLP of all of X_sum.
    With the residual, S is added and f starts near 0, so that the block starts near the identity.

    B: batch, n: tokens of the summary, d: width, L: rows of the history
    """

    def __init__(
        self, width: int, *, num_summary: int, kind: Literal["lowrank", "full"], hidden: int, residual: bool
    ) -> None:
        super().__init__()
        self.width, self.kind, self.residual = width, kind, residual
        if kind == "lowrank":
            self.mlp: nn.Module = nn.Identity()
            self.projection = nn.Parameter(torch.empty(num_summary, width))
        else:
            self.mlp = mlp(num_summary * width, [hidden], activation=nn.SiLU)
            self.projection = nn.Parameter(torch.empty(hidden, width * width))
        nn.init.normal_(self.projection, std=0.01 if residual else 1 / math.sqrt(len(self.projection)))

    def weight(self, summary: Tensor) -> Tensor:
        """Maps (B, n, d) to (B, d, d)."""
        if self.kind == "lowrank":
            return summary.transpose(1, 2) @ self.projection
        return (self.mlp(summary.flatten(1)) @ self.projection).unflatten(1, (self.width, self.width))

    def forward(self, summary: Tensor, history: Tensor) -> Tensor:
        """Maps (B, n, d) and (B, L, d) to (B, L, d)."""
        transformed = history @ self.weight(summary).transpose(1, 2)
        return history + transformed if self.residual else transformed
