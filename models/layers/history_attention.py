"""Attention of an example's tokens over the user's history.

B = U·C: examples of U users, C of each side by side, F: tokens, n: queries, e: embedding width, T: history steps,
E: scalars of a step, D: width of a head
"""

import torch
from torch import Tensor, nn

from models.layers.attention import attend, check_heads, rotate, split_heads
from models.layers.interaction import LinearCompression


class HistoryAttention(nn.Module):
    """Queries, linear maps over the tokens, attend over the history's steps: what each becomes knows both.

    As InterFormer's CLS rows do (arXiv:2411.09852, eqs 8 to 10), beside a residual connection and behind a norm. Unlike
    there, steps do not attend to each other: the cost is linear in their number, and keys and values are computed once
    for all candidates of a user. Rotary: the queries lie at position 0, the newest step at 1. A key and a value of
    zeros let a query find nothing, and keep the softmax of an empty history finite.
    """

    def __init__(self, num_tokens: int, width: int, *, step_dim: int, num_queries: int, num_heads: int) -> None:
        """Sets up the maps.

        Args:
            num_tokens: F.
            width: e.
            step_dim: e + E.
            num_queries: n.
            num_heads: of the attention.

        Raises:
            ValueError: width is no multiple of 2 · num_heads, so that a head could not be rotated.
        """
        super().__init__()
        check_heads(width, num_heads)
        self.num_heads = num_heads
        self.queries = LinearCompression(num_tokens, num_queries)
        self.steps = nn.Linear(step_dim, width)
        self.query_norm, self.step_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query = nn.Linear(width, width, bias=False)
        self.key_value = nn.Linear(width, 2 * width, bias=False)
        self.output = nn.Linear(width, width)

    def forward(self, tokens: Tensor, steps: Tensor, mask: Tensor) -> Tensor:
        """Asks the history.

        Args:
            tokens: (B, F, e).
            steps: newest first, (U, T, e + E); what masked steps hold does not matter.
            mask: True where a step is filled, (U, T).

        Returns:
            (B, n, e).
        """
        history = self.step_norm(self.steps(steps.masked_fill(~mask.unsqueeze(-1), 0.0)))
        key, value = (split_heads(part, self.num_heads) for part in self.key_value(history).chunk(2, dim=-1))
        key = rotate(key, torch.arange(1, steps.shape[1] + 1, device=steps.device))  # (U, heads, T, D)
        nothing = key.new_zeros(*key.shape[:2], 1, key.shape[3])
        key, value = torch.cat([nothing, key], dim=2), torch.cat([nothing, value], dim=2)
        allowed = torch.cat([mask.new_ones(len(mask), 1), mask], dim=1)[:, None, None, :]
        queries = self.queries(tokens)  # (B, n, e)
        asked = self.query(self.query_norm(queries)).unflatten(0, (len(steps), -1)).flatten(1, 2)  # (U, C·n, e)
        found = attend(split_heads(asked, self.num_heads), key, value, allowed)  # (U, heads, C·n, D)
        return queries + self.output(found.transpose(1, 2).flatten(2)).view_as(queries)
