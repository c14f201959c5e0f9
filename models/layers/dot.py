"""DLRM's interaction: dot products of all pairs of tokens."""

import torch
from torch import Tensor, nn


class PairwiseDots(nn.Module):
    """Dot product of every two different tokens (DLRM, arXiv:1906.00091, section 2.1.3).

    B: batch, n: tokens, d: embedding width
    """

    above_diagonal: Tensor

    def __init__(self, num_tokens: int) -> None:
        super().__init__()
        self.output_dim = num_tokens * (num_tokens - 1) // 2
        self.register_buffer("above_diagonal", torch.triu_indices(num_tokens, num_tokens, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, n, d) to (B, n(n − 1)/2), pairs ordered by their first token, then by their second."""
        dots = x @ x.transpose(1, 2)  # (B, n, n)
        return dots[:, self.above_diagonal[0], self.above_diagonal[1]]
