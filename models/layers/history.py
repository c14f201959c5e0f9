"""Encoders of a user's history of foundation-model codes for a vertical model (LoopFM, arXiv:2605.29280, section 4).

Every encoder maps query (B, Q), tokens (U, L, K), a boolean mask (U, L), True where a slot is filled, and what slot and
candidate share (B, L, P) to (B, output_dim). What masked slots hold does not matter; an empty history gives zeros.

A user's candidates lie side by side, so what depends on the user alone is computed once for all of them. A layer that
reads a slot reads K + P values: what it makes of the K is added to what it makes of the P.

U: users, B = U·C: candidates, C of each user (1 in training), L: history slots, newest first, K: width of a history
token, P: values that slot and candidate share, Q: width of the candidate, D: model width
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from models.layers.activation_unit import LocalActivationUnit
from models.layers.attention import attend
from models.layers.mlp import mlp


class HistoryEncoder(nn.Module):
    """`__init__(query_dim, token_dim, *, model_dim, num_heads)`, then `forward(query, tokens, mask, shared)`.

    token_dim is K + P.
    """

    output_dim: int

    def __init__(self, query_dim: int, token_dim: int, *, model_dim: int, num_heads: int) -> None:
        super().__init__()


class MeanPool(HistoryEncoder):
    """The mean of projected tokens; it knows nothing of the candidate but what is shared with it."""

    def __init__(self, query_dim: int, token_dim: int, *, model_dim: int, num_heads: int) -> None:
        super().__init__(query_dim, token_dim, model_dim=model_dim, num_heads=num_heads)
        self.value = nn.Linear(token_dim, model_dim)
        self.output_dim = model_dim

    def forward(self, query: Tensor, tokens: Tensor, mask: Tensor, shared: Tensor) -> Tensor:
        """Returns (B, D)."""
        slots = _Slots(tokens, mask, shared)
        return slots.mean(*slots.parts(self.value)).flatten(0, 1)


class SumPool(MeanPool):
    """The sum of projected tokens, brought back to unit scale, beside log(1 + length)."""

    def __init__(self, query_dim: int, token_dim: int, *, model_dim: int, num_heads: int) -> None:
        super().__init__(query_dim, token_dim, model_dim=model_dim, num_heads=num_heads)
        self.norm = nn.LayerNorm(model_dim)
        self.output_dim = model_dim + 1

    def forward(self, query: Tensor, tokens: Tensor, mask: Tensor, shared: Tensor) -> Tensor:
        """Returns (B, D + 1)."""
        slots = _Slots(tokens, mask, shared)
        return slots.with_length(self.norm(slots.total(*slots.parts(self.value))) * slots.filled)


class ActivationUnit(HistoryEncoder):
    """DIN's pooling: each token weighted by an MLP of it and the candidate (arXiv:1706.06978, section 4.3)."""

    def __init__(self, query_dim: int, token_dim: int, *, model_dim: int, num_heads: int) -> None:
        super().__init__(query_dim, token_dim, model_dim=model_dim, num_heads=num_heads)
        self.query = nn.Linear(query_dim, model_dim)
        self.value = nn.Linear(token_dim, model_dim)
        self.unit = LocalActivationUnit(model_dim, num_scalars=0, hidden=[model_dim, model_dim // 2])
        self.output_dim = model_dim

    def forward(self, query: Tensor, tokens: Tensor, mask: Tensor, shared: Tensor) -> Tensor:
        """Returns (B, D)."""
        slots = _Slots(tokens, mask, shared)
        return self.unit(self.query(query), slots.projected(self.value), slots.mask_of_candidates)


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

    def forward(self, query: Tensor, tokens: Tensor, mask: Tensor, shared: Tensor) -> Tensor:
        """Returns (B, 2D + 1): attended values, mean value, log(1 + length).

        No key or value of a pair is made: both are sums of the user's part, which is multiplied once, and of the few
        shared values, so scores and results are such sums, too.
        """
        slots = _Slots(tokens, mask, shared)
        own, of_shared = slots.parts(self.key_value)  # (U, L, 2D), (2D, P)
        k, v = (self._heads(part) for part in own.chunk(2, dim=-1))  # (U, heads, L, D/heads) each
        shared_k, shared_v = of_shared.unflatten(0, (2, self.num_heads, -1))  # (heads, D/heads, P) each
        q = self._heads(self.query(query).unflatten(0, (len(tokens), -1)))  # (U, heads, C, D/heads)
        q = q * q.shape[-1] ** -0.5
        scores = (q @ k.mT).transpose(1, 2) + (q @ shared_k).transpose(1, 2) @ slots.shared.mT  # (U, C, heads, L)
        # A row without history attends to everything, then is zeroed: softmax over nothing would be NaN.
        forbidden = ~mask & mask.any(dim=1, keepdim=True)
        weights = scores.masked_fill(forbidden[:, None, None, :], -torch.inf).softmax(dim=-1)
        attended = weights.transpose(1, 2) @ v + (weights @ slots.shared).transpose(1, 2) @ shared_v.mT
        mean = slots.mean(own.chunk(2, dim=-1)[1], of_shared.chunk(2)[1])
        return slots.with_length(torch.cat([attended.transpose(1, 2).flatten(2), mean], dim=-1) * slots.filled)

    def _heads(self, x: Tensor) -> Tensor:
        """Maps (U, n, D) to (U, heads, n, D/heads)."""
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)


class MultiInterest(HistoryEncoder):
    """DMIN's encoder, as LoopFM uses it: refine the history, split it into interests, weigh each for the candidate.

    As a slot says what it shares with the candidate, each candidate has a history of its own to refine.

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

    def forward(self, query: Tensor, tokens: Tensor, mask: Tensor, shared: Tensor) -> Tensor:
        """Returns (B, heads · D + 1): each interest pooled for the candidate, log(1 + length)."""
        slots = _Slots(tokens, mask, shared)
        x, mask = slots.projected(self.value), slots.mask_of_candidates  # (B, L, D), (B, L)
        L = x.shape[1]
        older = torch.ones(
            L, L, dtype=torch.bool, device=mask.device
        ).triu()  # newest first: the past has a higher slot
        itself = torch.eye(L, dtype=torch.bool, device=mask.device)  # so that no row of scores is empty
        allowed = (mask[:, None, None, :] & older) | itself  # (B, 1, L, L)
        x = self.norms[0](x + self.refined(self._attend(self.refine(x), allowed).transpose(1, 2).flatten(2)))
        x = self.norms[1](x + self.feed_forward(x))
        heads = self._attend(self.split(x), allowed).unbind(dim=1)  # (B, L, D/heads) each
        target = self.query(query)
        pooled = [
            unit(target, x + interest(head), mask)
            for head, interest, unit in zip(heads, self.interests, self.units, strict=True)
        ]
        return slots.with_length(torch.cat(pooled, dim=1).unflatten(0, (len(tokens), -1)))

    def _attend(self, query_key_value: Tensor, allowed: Tensor) -> Tensor:
        """Maps (B, L, 3D) to (B, heads, L, D/heads)."""
        chunks = query_key_value.chunk(3, dim=-1)
        q, k, v = (chunk.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for chunk in chunks)
        return attend(q, k, v, allowed)


HISTORY_ENCODERS: dict[str, type[HistoryEncoder]] = {
    "activation_unit": ActivationUnit,
    "mean": MeanPool,
    "multi_interest": MultiInterest,
    "sum": SumPool,
    "target_attention": TargetAttention,
}


def _check_heads(model_dim: int, num_heads: int) -> None:
    if model_dim % num_heads:
        raise ValueError(f"history_dim {model_dim} is not a multiple of attention_heads {num_heads}")


class _Slots:
    """Users' slots, those that are not filled cleared, and what a linear layer makes of them."""

    def __init__(self, tokens: Tensor, mask: Tensor, shared: Tensor) -> None:
        self.mask = mask
        self.tokens = tokens.masked_fill(~mask.unsqueeze(-1), 0.0)
        self.shared = shared.unflatten(0, (len(tokens), -1)).masked_fill(~mask[:, None, :, None], 0.0)  # (U, C, L, P)
        self.filled = mask.any(dim=1)[:, None, None]  # (U, 1, 1)
        self.length = mask.sum(dim=1).to(torch.get_default_dtype())[:, None, None]  # (U, 1, 1)

    @property
    def mask_of_candidates(self) -> Tensor:
        """Returns each candidate's mask, (B, L)."""
        return self.mask.repeat_interleave(self.shared.shape[1], dim=0)

    def parts(self, layer: nn.Linear) -> tuple[Tensor, Tensor]:
        """Returns what a layer makes of the users' tokens, (U, L, width), and its weight of the shared values."""
        of_own, of_shared = layer.weight.split([self.tokens.shape[-1], self.shared.shape[-1]], dim=1)
        return linear(self.tokens, of_own, layer.bias), of_shared

    def projected(self, layer: nn.Linear) -> Tensor:
        """Returns what a layer makes of each candidate's slots, (B, L, width)."""
        own, of_shared = self.parts(layer)
        return (own.unsqueeze(1) + linear(self.shared, of_shared)).flatten(0, 1)

    def total(self, own: Tensor, of_shared: Tensor) -> Tensor:
        """Returns the sum of `projected` over the filled slots, (U, C, width), from its parts."""
        total = (own * self.mask.unsqueeze(-1)).sum(dim=1, keepdim=True)
        return total + linear(self.shared.sum(dim=2), of_shared)

    def mean(self, own: Tensor, of_shared: Tensor) -> Tensor:
        """Returns the mean over the filled slots, (U, C, width); zeros where none is."""
        return self.total(own, of_shared) / self.length.clamp(min=1)

    def with_length(self, pooled: Tensor) -> Tensor:
        """Maps (U, C, width) to (B, width + 1): log(1 + length) beside it."""
        length = torch.log1p(self.length).expand(*pooled.shape[:2], 1)
        return torch.cat([pooled, length], dim=-1).flatten(0, 1)
