"""Encoders of a history: masks, empty histories, order, and each against its definition written out."""

import pytest
import torch

from models.layers.history import HISTORY_ENCODERS, HistoryEncoder


def encoder(name: str) -> HistoryEncoder:
    torch.manual_seed(0)
    return HISTORY_ENCODERS[name](6, 5, model_dim=8, num_heads=2).eval()


def pooled(encoder: HistoryEncoder, query: torch.Tensor, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Encodes histories that share nothing with the candidates."""
    return encoder(query, tokens, mask, tokens.new_zeros(*mask.shape, 0))


@pytest.mark.parametrize("name", HISTORY_ENCODERS)
def test_masked_slots_change_nothing(name):
    query, tokens = torch.randn(3, 6), torch.randn(3, 4, 5)
    mask = torch.tensor([[1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 1]], dtype=torch.bool)
    changed = tokens.clone()
    changed[~mask] = float("nan")
    output = pooled(encoder(name), query, tokens, mask)
    assert output.shape == (3, encoder(name).output_dim)
    assert torch.equal(output, pooled(encoder(name), query, changed, mask))


@pytest.mark.parametrize("name", HISTORY_ENCODERS)
def test_padding_changes_nothing(name):
    query, tokens = torch.randn(1, 6), torch.randn(1, 7, 5)
    mask = torch.tensor([[1, 1, 1, 0, 0, 0, 0]], dtype=torch.bool)
    assert torch.allclose(
        pooled(encoder(name), query, tokens, mask), pooled(encoder(name), query, tokens[:, :3], mask[:, :3]), atol=1e-6
    )


@pytest.mark.parametrize("name", HISTORY_ENCODERS)
def test_an_empty_history_gives_zeros_and_finite_gradients(name):
    tokens = torch.randn(2, 4, 5, requires_grad=True)
    mask = torch.tensor([[0, 0, 0, 0], [1, 1, 0, 0]], dtype=torch.bool)
    output = pooled(encoder(name), torch.randn(2, 6), tokens, mask)
    output.square().sum().backward()
    assert not output[0].any()
    assert torch.isfinite(tokens.grad).all() and not tokens.grad[0].any() and tokens.grad[1, :2].any()


@pytest.mark.parametrize("name", HISTORY_ENCODERS)
def test_order_matters_to_the_multi_interest_encoder_only(name):
    query, tokens, mask = torch.randn(1, 6), torch.randn(1, 4, 5), torch.ones(1, 4, dtype=torch.bool)
    turned = pooled(encoder(name), query, tokens.flip(1), mask)
    same = torch.allclose(pooled(encoder(name), query, tokens, mask), turned, atol=1e-6)
    assert same == (name != "multi_interest")


def test_a_step_of_the_multi_interest_encoder_is_refined_by_the_past_only():
    multi = encoder("multi_interest")
    allowed = []
    multi._attend = lambda qkv, mask: allowed.append(mask) or type(multi)._attend(multi, qkv, mask)
    pooled(multi, torch.randn(1, 6), torch.randn(1, 3, 5), torch.tensor([[1, 1, 0]], dtype=torch.bool))
    # Slot 0 is the newest: it may look at slot 1; slot 1 not at slot 0; the padded slot 2 only at itself.
    assert allowed[0].squeeze().tolist() == [[True, True, False], [False, True, False], [False, False, True]]


def test_mean_and_sum_are_what_they_say():
    query, tokens, mask = torch.randn(1, 6), torch.randn(1, 4, 5), torch.tensor([[True, True, True, False]])
    mean, total = encoder("mean"), encoder("sum")
    assert torch.allclose(pooled(mean, query, tokens, mask)[0], mean.value(tokens[0, :3]).mean(dim=0), atol=1e-6)
    expected = total.norm(total.value(tokens[0, :3]).sum(dim=0))
    expected = torch.cat([expected, torch.tensor([4.0]).log()])
    assert torch.allclose(pooled(total, query, tokens, mask)[0], expected, atol=1e-6)


def test_target_attention_equals_attention_written_out():
    attention = encoder("target_attention")
    query, tokens = torch.randn(1, 6), torch.randn(1, 3, 5)
    output = pooled(attention, query, tokens, torch.ones(1, 3, dtype=torch.bool))[0]
    key, value = attention.key_value(tokens[0]).chunk(2, dim=-1)
    q = attention.query(query)[0]
    parts = []
    for head in (slice(0, 4), slice(4, 8)):
        weights = torch.softmax(key[:, head] @ q[head] / 2.0, dim=0)  # sqrt(4) = 2
        parts.append(weights @ value[:, head])
    expected = torch.cat([*parts, value.mean(dim=0), torch.tensor([4.0]).log()])
    assert torch.allclose(output, expected, atol=1e-5)


@pytest.mark.parametrize("name", ["multi_interest", "target_attention"])
def test_width_must_divide_into_heads(name):
    with pytest.raises(ValueError, match="9 is not a multiple of attention_heads 2"):
        HISTORY_ENCODERS[name](6, 5, model_dim=9, num_heads=2)


@pytest.mark.parametrize("name", HISTORY_ENCODERS)
def test_a_user_with_many_candidates_is_as_many_users_with_one(name):
    mask = torch.tensor([[1, 1, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]], dtype=torch.bool)
    query, tokens, shared = torch.randn(6, 6), torch.randn(3, 4, 3), torch.randn(6, 4, 2)
    shared[:2, 2:] = float("nan")  # of slots that are not filled
    together = encoder(name)(query, tokens, mask, shared)
    apart = encoder(name)(query, tokens.repeat_interleave(2, dim=0), mask.repeat_interleave(2, dim=0), shared)
    slots = torch.cat([tokens.repeat_interleave(2, dim=0), shared], dim=-1)  # as one token, none of it shared
    whole = pooled(encoder(name), query, slots, mask.repeat_interleave(2, dim=0))
    assert torch.allclose(together, apart, atol=1e-6) and torch.allclose(together, whole, atol=1e-6)
