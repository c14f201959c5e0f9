"""Tokens that ask the history: the formula written out, candidates side by side, empty histories."""

import pytest
import torch
from torch import Tensor, nn

from models.layers.attention import rotate
from models.layers.history_attention import HistoryAttention

F, E, STEP, T = 3, 8, 10, 4


def layer() -> HistoryAttention:
    torch.manual_seed(0)
    made = HistoryAttention(F, E, step_dim=STEP, num_queries=2, num_heads=2)
    for norm in (made.query_norm, made.step_norm):
        nn.init.normal_(norm.weight), nn.init.normal_(norm.bias)
    return made


def inputs(users: int) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.randn(users, F, E), torch.randn(users, T, STEP)


def test_it_is_attention_written_out():
    ask, (tokens, steps) = layer(), inputs(1)
    mask = torch.tensor([[True, True, True, False]])
    queries = ask.queries.weight @ tokens[0]  # (2, E)
    q = ask.query(ask.query_norm(queries))
    k, v = ask.key_value(ask.step_norm(ask.steps(steps[0, :3]))).chunk(2, dim=1)  # the newest three, (3, E)
    found = []
    for head in (slice(0, 4), slice(4, 8)):
        turned = rotate(k[:, head], torch.tensor([1, 2, 3]))
        scores = torch.cat([torch.zeros(2, 1), q[:, head] @ turned.T / 2.0], dim=1)  # sqrt(4) = 2; 0: finds nothing
        found.append(scores.softmax(dim=1)[:, 1:] @ v[:, head])
    assert torch.allclose(ask(tokens, steps, mask)[0], queries + ask.output(torch.cat(found, dim=1)), atol=1e-5)


def test_candidates_of_a_user_are_answered_as_if_alone():
    ask, (tokens, steps) = layer(), inputs(2)
    mask = torch.tensor([[True] * 4, [True, False, False, False]])
    many = torch.stack([tokens, tokens + 1, tokens - 2], dim=1).flatten(0, 1)  # three of each, side by side
    alone = torch.stack([ask(tokens + shift, steps, mask) for shift in (0, 1, -2)], dim=1).flatten(0, 1)
    assert torch.allclose(ask(many, steps, mask), alone, atol=1e-6)


def test_what_masked_steps_hold_does_not_matter_and_an_empty_history_says_nothing():
    ask, (tokens, steps) = layer(), inputs(2)
    mask = torch.tensor([[True, True, False, False], [False] * 4])
    other = torch.where(mask.unsqueeze(-1), steps, torch.full_like(steps, torch.nan))
    found = ask(tokens, other, mask)
    assert torch.equal(found, ask(tokens, steps, mask)) and found.isfinite().all()
    assert torch.allclose(found[1], ask.queries.weight @ tokens[1] + ask.output.bias, atol=1e-6)
    assert not torch.allclose(found, ask(tokens, steps.flip(1), mask), atol=1e-3)


def test_heads_must_be_of_even_width():
    with pytest.raises(ValueError, match="2 heads need an embedding width that 4 divides, not 6"):
        HistoryAttention(F, 6, step_dim=8, num_queries=2, num_heads=2)
