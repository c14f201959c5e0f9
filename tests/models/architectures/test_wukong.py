"""Wukong's choices of interaction, and that order matters to it."""

import pytest
import torch
from pydantic import ValidationError

from models.architectures.wukong import Wukong
from models.layers.interaction import AttentiveMachine, FactorizationMachine, NaiveMachine
from tests.models.architectures.inputs import SIZES, inputs, network


@pytest.mark.parametrize(
    ("hyperparameters", "machine"),
    [
        ({}, FactorizationMachine),
        ({"interaction": "naive"}, NaiveMachine),
        ({"attentive_projection": True}, AttentiveMachine),
    ],
    ids=["optimised", "naive", "attentive"],
)
def test_each_interaction_trains_all_its_parameters(hyperparameters, machine):
    model = network("wukong", **hyperparameters)
    assert all(isinstance(layer.fmb.machine, machine) for layer in model.layers)
    (output := model(*inputs([1, 2, 3]))).backward(torch.randn(output.shape))
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


def test_naive_interaction_has_no_projection_to_attend_with():
    with pytest.raises(ValidationError, match="attentive_projection needs interaction: optimised"):
        Wukong.Config(interaction="naive", attentive_projection=True)


def test_swapped_tokens_give_another_output():
    model, x = network("wukong"), inputs([0])
    assert not torch.allclose(model(*x), model(*x._replace(tokens=x.tokens.flip(1))))


def test_layers_have_the_configured_tokens():
    model = network("wukong", num_layers=3, num_fmb_tokens=3, num_lcb_tokens=4, num_dense_tokens=2)
    tokens = torch.randn(2, SIZES.num_sparse + 2, SIZES.embedding_dim)
    for layer in model.layers:
        tokens = layer(tokens)
        assert tokens.shape == (2, 7, SIZES.embedding_dim)
