"""Encoders of a user's history of foundation-model codes for a vertical model (LoopFM, arXiv:2605.29280, section 4)."""

import torch
from torch import Tensor, nn


class TargetAttention(nn.Module):
    """Multi-head attention of the candidate over the history, beside its masked mean and length.

    B: batch, L: history slots, K: width of a history token, Q: width of the candidate, D: model width
    """

    def __init__(self, query_dim: int, token_dim: int, *, model_dim: int, num_heads: int) -> None:
        """Sets up the projections.

        Raises:
            ValueError: model_dim is no multiple of num_heads.
        """
        super().__init__()
        if model_dim % num_heads:
            raise ValueError(f"attention width {model_dim} is not a multiple of attention_heads {num_heads}")
        self.num_heads = num_heads
        self.query = nn.Linear(query_dim, model_dim)
        self.key_value = nn.Linear(token_dim, 2 * model_dim)
        self.output_dim = 2 * model_dim + 1

    def forward(self, query: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        """Pools the history for each candidate.

        Args:
            query: the candidate item, (B, Q).
            tokens: history, (B, L, K); what masked slots hold does not matter.
            mask: True where a slot is filled, (B, L), boolean: a float mask would be added to the scores.

        Returns:
            (B, 2D + 1): attended values, mean value, log(1 + length). Zeros for an empty history.
        """
        B, L, _ = tokens.shape
        tokens = tokens.masked_fill(~mask.unsqueeze(-1), 0.0)
        key, value = self.key_value(tokens).chunk(2, dim=-1)  # (B, L, D) each
        heads = (B, -1, self.num_heads, value.shape[-1] // self.num_heads)
        q = self.query(query).view(heads).transpose(1, 2)  # (B, heads, 1, D/heads)
        k, v = key.view(heads).transpose(1, 2), value.view(heads).transpose(1, 2)  # (B, heads, L, D/heads)
        filled = mask.any(dim=1)
        # A row without history attends to everything, then is zeroed: softmax over nothing would be NaN.
        allowed = (mask | ~filled.unsqueeze(1)).view(B, 1, 1, L)
        attended = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=allowed).transpose(1, 2)
        length = mask.sum(dim=1, keepdim=True).to(value.dtype)  # (B, 1)
        mean = (value * mask.unsqueeze(-1)).sum(dim=1) / length.clamp(min=1)
        pooled = torch.cat([attended.reshape(B, -1), mean], dim=1) * filled.unsqueeze(1)
        return torch.cat([pooled, torch.log1p(length)], dim=1)
