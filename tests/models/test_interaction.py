"""Wukong's layers against its formulas (arXiv:2403.02545; sections 3.3 to 3.5)."""

import pytest
import torch
from torch import nn

from models.foundation import FOUNDATION_MODELS
from models.foundation.wukong import Wukong
from models.layers.interaction import FactorizationMachine, FactorizationMachineBlock, LinearCompression, WukongLayer


def test_optimised_machine_equals_the_naive_one():
    torch.manual_seed(0)
    machine = FactorizationMachine(7, 3).double()
    x = torch.randn(5, 7, 4, dtype=torch.float64)
    naive = (x @ x.transpose(1, 2)) @ machine.projection
    assert torch.allclose(machine(x), naive, atol=1e-12)


def test_identity_projection_gives_all_pairwise_dot_products():
    machine = FactorizationMachine(6, 6)
    machine.projection.data = torch.eye(6)
    x = torch.randn(2, 6, 4)
    assert torch.allclose(machine(x), torch.einsum("bnd,bmd->bnm", x, x), atol=1e-5)


def test_layer_maps_tokens_and_keeps_an_identity_residual_where_it_can():
    first = WukongLayer(9, 8, num_fmb=2, num_lcb=3, rank=4, hidden=[16])
    second = WukongLayer(5, 8, num_fmb=2, num_lcb=3, rank=4, hidden=[16])
    assert second(first(torch.randn(4, 9, 8))).shape == (4, 5, 8)
    assert isinstance(second.residual, nn.Identity) and isinstance(first.residual, LinearCompression)


def test_linear_compression_is_linear():
    compress = LinearCompression(6, 3)
    x, z = torch.randn(2, 6, 4), torch.randn(2, 6, 4)
    assert torch.allclose(compress(2 * x - 3 * z), 2 * compress(x) - 3 * compress(z), atol=1e-5)
    assert not compress(torch.zeros(2, 6, 4)).any()


def test_machine_block_squares_the_scale_of_its_input():
    block = FactorizationMachineBlock(6, 4, num_outputs=2, rank=3, hidden=[])
    block.norm = nn.Identity()
    block.mlp = nn.Linear(18, 8, bias=False)
    x = torch.randn(3, 6, 4)
    assert torch.allclose(block(3.0 * x), 9.0 * block(x), rtol=1e-4, atol=1e-5)
    stacked = FactorizationMachineBlock(2, 4, num_outputs=2, rank=3, hidden=[])
    stacked.norm, stacked.mlp = nn.Identity(), nn.Linear(6, 8, bias=False)
    assert torch.allclose(stacked(block(2.0 * x)), 2.0**4 * stacked(block(x)), rtol=1e-4, atol=1e-4)


def test_parameter_count_is_the_formulas():
    n, d, n_fmb, n_lcb, k, h = 9, 8, 2, 3, 4, 16
    layer = WukongLayer(n, d, num_fmb=n_fmb, num_lcb=n_lcb, rank=k, hidden=[h])
    perceptron = n * k * h + h + h * n_fmb * d + n_fmb * d
    expected = n * k + 2 * n * k + perceptron + n_lcb * n + (n_fmb + n_lcb) * n + 2 * d
    assert sum(p.numel() for p in layer.parameters()) == expected


@pytest.mark.parametrize("name", FOUNDATION_MODELS)
def test_every_architecture_gives_gradient_to_every_parameter_and_overfits(name):
    torch.manual_seed(0)
    architecture = FOUNDATION_MODELS[name]
    model = architecture(architecture.Config(), Sizes(num_sparse=5, num_dense=3, embedding_dim=8, sequence_length=4, target=1))
    sparse, dense = torch.randn(32, 5, 8), torch.randn(32, 3)
    labels = (torch.rand(32) < 0.5).float()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(120):
        logits, hidden = model(sparse, dense)
        loss = nn.functional.binary_cross_entropy_with_logits(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert logits.shape == (32,) and hidden.shape == (32, model.hidden_dim)
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
    assert loss.item() < 0.05


def test_wukong_tells_two_inputs_apart_that_differ_in_one_interaction():
    torch.manual_seed(0)
    model = Wukong(Wukong.Config(), Sizes(num_sparse=3, num_dense=1, embedding_dim=4, sequence_length=0, target=1))
    x = torch.randn(1, 3, 4)
    swapped = x[:, [1, 0, 2]]
    dense = torch.zeros(1, 1)
    assert not torch.allclose(model(x, dense)[0], model(swapped, dense)[0])
