"""Feature interaction of Wukong (arXiv:2403.02545, section 3): stacked factorization machines.

B: batch, n: tokens in, d: embedding width, k: rank, m: compressed tokens, n_F: FMB tokens out, n_L: LCB tokens out.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from models.layers.mlp import mlp

Machine = Literal["naive", "optimised", "attentive"]


class NaiveMachine(nn.Module):
    """Basic FM: X Xᵀ, all pairwise dot products, O(n²d) (section 3.4)."""

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, n, d) to (B, n, n)."""
        return x @ x.transpose(1, 2)


class FactorizationMachine(nn.Module):
    """Optimised FM: X (XᵀY) with a learned Y, all pairwise dot products compressed to rank k (section 3.4).

    Associativity makes it O(nkd) instead of the O(n²d) of XXᵀ.
    """

    def __init__(self, num_tokens: int, rank: int) -> None:
        super().__init__()
        # N(0, 1/n) keeps the variance of XᵀY independent of the number of tokens.
        self.projection = nn.Parameter(torch.randn(num_tokens, rank) / math.sqrt(num_tokens))

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, n, d) to (B, n, k)."""
        return x @ (x.transpose(1, 2) @ self.projection)


class AttentiveMachine(nn.Module):
    """X (XᵀY) with a Y for each example: the linearly compressed tokens through an MLP (section 3.4).

    The paper gives no sizes: m = 4, one hidden layer.
    """

    def __init__(self, num_tokens: int, embedding_dim: int, rank: int, *, hidden: int, num_compressed: int = 4) -> None:
        super().__init__()
        self.rank = rank
        self.compress = LinearCompression(num_tokens, num_compressed)
        self.mlp = mlp(num_compressed * embedding_dim, [hidden], num_tokens * rank)

    def projection(self, x: Tensor) -> Tensor:
        """Computes Y of each example, (B, n, k), from (B, n, d)."""
        return self.mlp(self.compress(x).flatten(1)).unflatten(1, (-1, self.rank))

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, n, d) to (B, n, k)."""
        return x @ (x.transpose(1, 2) @ self.projection(x))


class FactorizationMachineBlock(nn.Module):
    """FMB: reshape(MLP(LN(flatten(FM(X))))), linear in its last layer (section 3.4)."""

    def __init__(
        self,
        num_tokens: int,
        embedding_dim: int,
        *,
        num_outputs: int,
        rank: int,
        hidden: list[int],
        machine: Machine = "optimised",
    ) -> None:
        super().__init__()
        self.embedding_dim = embedding_dim
        self.machine: nn.Module
        if machine == "naive":
            self.machine, rank = NaiveMachine(), num_tokens
        elif machine == "optimised":
            self.machine = FactorizationMachine(num_tokens, rank)
        else:
            self.machine = AttentiveMachine(num_tokens, embedding_dim, rank, hidden=[*hidden, rank][0])
        self.norm = nn.LayerNorm(num_tokens * rank)
        self.mlp = mlp(num_tokens * rank, hidden, num_outputs * embedding_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, n, d) to (B, n_F, d)."""
        flat = self.machine(x).flatten(1)  # (B, n*k)
        return self.mlp(self.norm(flat)).unflatten(1, (-1, self.embedding_dim))


class LinearCompression(nn.Module):
    """LCB: W X, a linear map over the token axis, no bias, no activation (section 3.5)."""

    def __init__(self, num_tokens: int, num_outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_outputs, num_tokens))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, n, d) to (B, n_L, d)."""
        return self.weight @ x


class WukongLayer(nn.Module):
    """One interaction layer: LN(concat(FMB(X), LCB(X)) + R(X)) (section 3.3).

    R is the identity where the number of tokens stays the same, else a linear map over tokens.
    """

    def __init__(
        self,
        num_tokens: int,
        embedding_dim: int,
        *,
        num_fmb: int,
        num_lcb: int,
        rank: int,
        hidden: list[int],
        machine: Machine = "optimised",
    ) -> None:
        super().__init__()
        num_outputs = num_fmb + num_lcb
        self.fmb = FactorizationMachineBlock(
            num_tokens, embedding_dim, num_outputs=num_fmb, rank=rank, hidden=hidden, machine=machine
        )
        self.lcb = LinearCompression(num_tokens, num_lcb)
        self.residual = nn.Identity() if num_tokens == num_outputs else LinearCompression(num_tokens, num_outputs)
        self.norm = nn.LayerNorm(embedding_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, n, d) to (B, n_F + n_L, d)."""
        x = x.transpose(1, 2).contiguous().transpose(1, 2)  # laid out once as each product over tokens wants it
        return self.norm(torch.cat([self.fmb(x), self.lcb(x)], dim=1) + self.residual(x))
