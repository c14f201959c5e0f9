"""Encoders of a user's history of foundation-model codes for a vertical model (LoopFM, arXiv:2605.29280, section 4).

Every encoder maps query (B, Q), tokens (B, L, K) and a boolean mask (B, L), True where a slot is filled, to
(B, output_dim). What masked slots hold does not matter; an empty history gives zeros.

B: batch, L: history slots, newest first, K: width of a history token, Q: width of the candidate, D: model width
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from models.layers.activation_unit import LocalActivationUnit
from models.layers.mlp import mlp


class HistoryEncoder(nn.Module):
    """`__init__(query_dim, token_dim, *, model_dim, num_heads)`, then `forward(query, tokens, mask)`."""

    output_dim: int

    def __init__(self, query_dim: int, token_dim: int, *, model_dim: int, num_heads: int) -> None:
        super().__init__()


class MeanPool(HistoryEncoder):
    """The mean of projected tokens; it knows nothing of the candidate."""

    def __init__(self, query_dim: int, token_dim: int, *, model_dim: int, num_heads: int) -> None:
        super().__init__(query_dim, token_dim, model_dim=model_dim, num_heads=num_heads)
        self.value = nn.Linear(token_dim, model_dim)
        self.output_dim = model_dim

    def forward(self, query: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        """Returns (B, D)."""
        return _total(self.value(_cleared(tokens, mask)), mask) / _length(mask).clamp(min=1)


class SumPool(MeanPool):
    """The sum of projected tokens, brought back to unit scale, beside log(1 + length)."""

    def __init__(self, query_dim: int, token_dim: int, *, model_dim: int, num_heads: int) -> None:
        super().__init__(query_dim, token_dim, model_dim=model_dim, num_heads=num_heads)
        self.norm = nn.LayerNorm(model_dim)
        self.output_dim = model_dim + 1

    def forward(self, query: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        """Returns (B, D + 1)."""
        total = self.norm(_total(self.value(_cleared(tokens, mask)), mask)) * mask.any(dim=1, keepdim=True)
        return torch.cat([total, torch.log1p(_length(mask))], dim=1)


class ActivationUnit(HistoryEncoder):
    """DIN's pooling: each token weighted by an MLP of it and the candidate (arXiv:1706.06978, section 4.3)."""

    def __init__(self, query_dim: int, token_dim: int, *, model_dim: int, num_heads: int) -> None:
        super().__init__(query_dim, token_dim, model_dim=model_dim, num_heads=num_heads)
        self.query = nn.Linear(query_dim, model_dim)
        self.value = nn.Linear(token_dim, model_dim)
        self.unit = LocalActivationUnit(model_dim, num_scalars=0, hidden=[model_dim, model_dim // 2])
        self.output_dim = model_dim

    def forward(self, query: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        """Returns (B, D)."""
        return self.unit(self.query(query), self.value(_cleared(tokens, mask)), mask)


class TargetAttention(HistoryEncoder):
    """Multi-head attention of the candidate over the history, beside its masked mean and length."""

    def __init__(self, query_dim: int, token_dim: int, *, model_dim: int, num_heads: int) -> None:
        """Sets up the projections.

        Raises:
            ValueError: model_dim is no multiple of num_heads.
        """
        super().__init__(query_dim, token_dim, model_dim=model_dim, num_heads=num_heads)
        _check_heads(model_dim, num_heads)
        self.num_heads = num_heads
        self.query = nn.Linear(query_dim, model_dim)
        self.key_value = nn.Linear(token_dim, 2 * model_dim)
        self.output_dim = 2 * model_dim + 1

    def forward(self, query: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        """Returns (B, 2D + 1): attended values, mean value, log(1 + length)."""
        key, value = self.key_value(_cleared(tokens, mask)).chunk(2, dim=-1)  # (B, L, D) each
        heads = (len(value), -1, self.num_heads, value.shape[-1] // self.num_heads)
        q = self.query(query).view(heads).transpose(1, 2)  # (B, heads, 1, D/heads)
        k, v = key.view(heads).transpose(1, 2), value.view(heads).transpose(1, 2)  # (B, heads, L, D/heads)
        filled = mask.any(dim=1)
        # A row without history attends to everything, then is zeroed: softmax over nothing would be NaN.
        allowed = (mask | ~filled.unsqueeze(1))[:, None, None, :]
        attended = scaled_dot_product_attention(q, k, v, attn_mask=allowed).transpose(1, 2)
        mean = _total(value, mask) / _length(mask).clamp(min=1)
        pooled = torch.cat([attended.flatten(1), mean], dim=1) * filled.unsqueeze(1)
        return torch.cat([pooled, torch.log1p(_length(mask))], dim=1)


class MultiInterest(HistoryEncoder):
    """DMIN's encoder, as LoopFM uses it: refine the history, split it into interests, weigh each for the candidate.

    A causal transformer layer refines the tokens; each head of a second self-attention is an interest, pooled by an
    activation unit of its own. The masks are boolean: a float mask would be added to the scores and forbid nothing.
    """

    def __init__(self, query_dim: int, token_dim: int, *, model_dim: int, num_heads: int) -> None:
        """Sets up the layers.

        Raises:
            ValueError: model_dim is no multiple of num_heads.
        """
        super().__init__(query_dim, token_dim, model_dim=model_dim, num_heads=num_heads)
        _check_heads(model_dim, num_heads)
        self.num_heads = num_heads
        self.query = nn.Linear(query_dim, model_dim)
        self.value = nn.Linear(token_dim, model_dim)
        self.refine = nn.Linear(model_dim, 3 * model_dim)
        self.refined = nn.Linear(model_dim, model_dim)
        self.feed_forward = mlp(model_dim, [2 * model_dim], model_dim)
        self.norms = nn.ModuleList(nn.LayerNorm(model_dim) for _ in range(2))
        self.split = nn.Linear(model_dim, 3 * model_dim)
        self.interests = nn.ModuleList(nn.Linear(model_dim // num_heads, model_dim) for _ in range(num_heads))
        self.units = nn.ModuleList(
            LocalActivationUnit(model_dim, num_scalars=0, hidden=[model_dim, model_dim // 2]) for _ in range(num_heads)
        )
        self.output_dim = num_heads * model_dim + 1

    def forward(self, query: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        """Returns (B, heads · D + 1): each interest pooled for the candidate, log(1 + length)."""
        L = tokens.shape[1]
        older = torch.ones(
            L, L, dtype=torch.bool, device=mask.device
        ).triu()  # newest first: the past has a higher slot
        itself = torch.eye(L, dtype=torch.bool, device=mask.device)  # so that no row of scores is empty
        allowed = (mask[:, None, None, :] & older) | itself  # (B, 1, L, L)
        x = self.value(_cleared(tokens, mask))
        x = self.norms[0](x + self.refined(self._attend(self.refine(x), allowed).transpose(1, 2).flatten(2)))
        x = self.norms[1](x + self.feed_forward(x))
        heads = self._attend(self.split(x), allowed).unbind(dim=1)  # (B, L, D/heads) each
        target = self.query(query)
        pooled = [
            unit(target, x + interest(head), mask)
            for head, interest, unit in zip(heads, self.interests, self.units, strict=True)
        ]
        return torch.cat([*pooled, torch.log1p(_length(mask))], dim=1)

    def _attend(self, query_key_value: Tensor, allowed: Tensor) -> Tensor:
        """Maps (B, L, 3D) to (B, heads, L, D/heads)."""
        chunks = query_key_value.chunk(3, dim=-1)
        q, k, v = (chunk.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for chunk in chunks)
        return scaled_dot_product_attention(q, k, v, attn_mask=allowed)


HISTORY_ENCODERS: dict[str, type[HistoryEncoder]] = {
    "activation_unit": ActivationUnit,
    "mean": MeanPool,
    "multi_interest": MultiInterest,
    "sum": SumPool,
    "target_attention": TargetAttention,
}


def _cleared(tokens: Tensor, mask: Tensor) -> Tensor:
    return tokens.masked_fill(~mask.unsqueeze(-1), 0.0)


def _total(values: Tensor, mask: Tensor) -> Tensor:
    return (values * mask.unsqueeze(-1)).sum(dim=1)


def _length(mask: Tensor) -> Tensor:
    return mask.sum(dim=1, keepdim=True).to(torch.get_default_dtype())


def _check_heads(model_dim: int, num_heads: int) -> None:
    if model_dim % num_heads:
        raise ValueError(f"history_dim {model_dim} is not a multiple of attention_heads {num_heads}")
