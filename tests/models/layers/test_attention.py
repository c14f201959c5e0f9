"""Attention is softmax(q k / sqrt(D)) v over the allowed keys, whichever kernel computes it."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from models.layers.attention import SHORT, attend


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    precision = torch.get_float32_matmul_precision()
    yield
    torch.set_float32_matmul_precision(precision)


def naive(query: Tensor, key: Tensor, value: Tensor, allowed: Tensor) -> Tensor:
    scores = torch.einsum("bhnd,bhld->bhnl", query, key) / query.shape[-1] ** 0.5
    return torch.einsum("bhnl,bhld->bhnd", scores.masked_fill(~allowed, -1e30).softmax(-1), value)


@pytest.mark.parametrize("precision", ["highest", "medium"])
@pytest.mark.parametrize("length", [5, SHORT])
def test_attention_and_its_gradients_are_those_of_the_formula(precision: str, length: int):
    torch.set_float32_matmul_precision(precision)
    torch.manual_seed(0)
    inputs = [torch.randn(3, 2, n, 8, requires_grad=True) for n in (4, length, length)]
    allowed = torch.rand(3, 1, 1, length) < 0.6
    allowed[..., 0] = True
    weight = torch.randn(3, 2, 4, 8)
    found, expected = attend(*inputs, allowed), naive(*inputs, allowed)
    assert torch.allclose(found, expected, atol=1e-5)
    gradients = [torch.autograd.grad((out * weight).sum(), inputs) for out in (found, expected)]
    assert all(torch.allclose(one, other, atol=1e-5) for one, other in zip(*gradients, strict=True))


@pytest.mark.parametrize(
    ("precision", "length", "fused"), [("highest", 5, True), ("medium", 5, False), ("medium", SHORT, True)]
)
def test_only_short_sequences_with_onednn_take_plain_products(precision: str, length: int, fused: bool):
    torch.set_float32_matmul_precision(precision)
    x = torch.randn(2, 1, length, 8)
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        attend(x, x, x, torch.ones(2, 1, 1, length, dtype=torch.bool))
    assert any("flash_attention" in event.key for event in profiled.key_averages()) == fused
