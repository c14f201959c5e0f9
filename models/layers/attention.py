"""Attention over padded sequences with a boolean mask.

B: batch, L: positions, d: width, D: width of a head, n: learned queries
"""

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

SHORT = 128  # keys; with more, torch's fused attention is as fast even where oneDNN multiplies, and needs less memory


def attend(query: Tensor, key: Tensor, value: Tensor, allowed: Tensor) -> Tensor:
    """Computes scaled dot-product attention.

    On CPUs torch's fused attention multiplies many blocks of a few rows, for which oneDNN (see
    `training.foundation.cpu`) is slow: over short sequences plain products take a fraction of its time
    (`benchmarks.speed.attention`).

    Args:
        query: (B, heads, n, D).
        key: (B, heads, L, D).
        value: (B, heads, L, D).
        allowed: True where a query may read a key, one at least for each query; broadcasts to (B, heads, n, L).

    Returns:
        (B, heads, n, D).
    """
    onednn = query.device.type == "cpu" and torch.get_float32_matmul_precision() == "medium"
    if onednn and key.shape[-2] < SHORT:
        with sdpa_kernel(SDPBackend.MATH):
            return scaled_dot_product_attention(query, key, value, attn_mask=allowed)
    return scaled_dot_product_attention(query, key, value, attn_mask=allowed)


def rotate(x: Tensor, positions: Tensor) -> Tensor:
    """Applies rotary position embedding: dot products then depend on the distance only (arXiv:2104.09864).

    Args:
        x: queries or keys, (B, heads, L, D), D even.
        positions: of the L vectors, (L,).
    """
    half = x.shape[-1] // 2
    frequency = 10_000.0 ** (-torch.arange(half, device=x.device, dtype=torch.float32) / half)  # (D/2,)
    angle = positions.to(torch.float32).unsqueeze(-1) * frequency  # (L, D/2)
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    first, second = x.split(half, dim=-1)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)


def check_heads(width: int, num_heads: int) -> None:
    """Checks that heads can be rotated.

    Raises:
        ValueError: width is no multiple of 2 · num_heads.
    """
    if width % (2 * num_heads):
        raise ValueError(f"{num_heads} heads need an embedding width that {2 * num_heads} divides, not {width}")


def split_heads(x: Tensor, num_heads: int) -> Tensor:
    """Maps (B, L, d) to (B, heads, L, D)."""
    return x.unflatten(-1, (num_heads, -1)).transpose(1, 2)


class SelfAttention(nn.Module):
    """Multi-head self-attention, rotary where positions are given.

    Queries and keys have no bias: softmax ignores a key's.
    """

    def __init__(self, width: int, *, num_heads: int) -> None:
        """Sets up the projections.

        Raises:
            ValueError: width is no multiple of 2 · num_heads, so that a head could not be rotated.
        """
        super().__init__()
        check_heads(width, num_heads)
        self.num_heads = num_heads
        self.query_key_value = nn.Linear(width, 3 * width, bias=False)
        self.output = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor, positions: Tensor | None = None) -> Tensor:
        """Maps (B, L, d) to (B, L, d); mask: True where a key may be read, (B, L), one at least in each row."""
        query, key, value = (split_heads(chunk, self.num_heads) for chunk in self.query_key_value(x).chunk(3, dim=-1))
        if positions is not None:
            query, key = rotate(query, positions), rotate(key, positions)
        attended = attend(query, key, value, mask[:, None, None, :])
        return self.output(attended.transpose(1, 2).flatten(2))


class AttentionPooling(nn.Module):
    """PMA: n learned queries attend over a set (Set Transformer, arXiv:1810.00825, section 3.2)."""

    def __init__(self, width: int, *, num_queries: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.queries = nn.Parameter(torch.randn(1, num_queries, width))
        self.key_value = nn.Linear(width, 2 * width, bias=False)
        self.output = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Maps (B, L, d) to (B, n, d); mask: True where a key may be read, (B, L), one at least in each row."""
        key, value = (split_heads(chunk, self.num_heads) for chunk in self.key_value(x).chunk(2, dim=-1))
        query = split_heads(self.queries, self.num_heads).expand(x.shape[0], -1, -1, -1)  # (B, heads, n, D)
        attended = attend(query, key, value, mask[:, None, None, :])
        return self.output(attended.transpose(1, 2).flatten(2))
