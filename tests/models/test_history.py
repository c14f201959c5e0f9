"""Target attention over a history: masks, empty histories, order."""

import pytest
import torch

from models.layers.history import TargetAttention


@pytest.fixture
def attention() -> TargetAttention:
    torch.manual_seed(0)
    return TargetAttention(6, 5, model_dim=8, num_heads=2).eval()


def test_masked_slots_change_nothing(attention):
    query, tokens = torch.randn(3, 6), torch.randn(3, 4, 5)
    mask = torch.tensor([[1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 1]], dtype=torch.bool)
    changed = tokens.clone()
    changed[~mask] = float("nan")
    assert torch.equal(attention(query, tokens, mask), attention(query, changed, mask))


def test_an_empty_history_gives_zeros_and_finite_gradients(attention):
    tokens = torch.randn(2, 4, 5, requires_grad=True)
    mask = torch.tensor([[0, 0, 0, 0], [1, 1, 0, 0]], dtype=torch.bool)
    output = attention(torch.randn(2, 6), tokens, mask)
    output.sum().backward()
    assert not output[0].any()
    assert torch.isfinite(tokens.grad).all() and not tokens.grad[0].any()


def test_equals_attention_written_out(attention):
    query, tokens = torch.randn(1, 6), torch.randn(1, 3, 5)
    output = attention(query, tokens, torch.ones(1, 3, dtype=torch.bool))[0]
    key, value = attention.key_value(tokens[0]).chunk(2, dim=-1)
    q = attention.query(query)[0]
    parts = []
    for head in (slice(0, 4), slice(4, 8)):
        weights = torch.softmax(key[:, head] @ q[head] / 2.0, dim=0)  # sqrt(4) = 2
        parts.append(weights @ value[:, head])
    expected = torch.cat([*parts, value.mean(dim=0), torch.tensor([4.0]).log()])
    assert torch.allclose(output, expected, atol=1e-5)


def test_width_must_divide_into_heads():
    with pytest.raises(ValueError, match="9 is not a multiple of attention_heads 2"):
        TargetAttention(6, 5, model_dim=9, num_heads=2)
