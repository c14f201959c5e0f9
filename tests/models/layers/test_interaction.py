"""Layers of feature interaction against naive computations."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from torchrec.models.dlrm import InteractionArch
from torchrec.modules import crossnet

from models.layers.activation_unit import LocalActivationUnit
from models.layers.cross import CrossNet
from models.layers.dot import PairwiseDots
from models.layers.interaction import (
    AttentiveMachine,
    FactorizationMachine,
    FactorizationMachineBlock,
    LinearCompression,
    NaiveMachine,
    WukongLayer,
)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_optimised_machine_equals_the_naive_one(dtype, tolerance):
    torch.manual_seed(0)
    machine = FactorizationMachine(7, 3).to(dtype)
    x = torch.randn(5, 7, 4, dtype=dtype)
    assert (machine(x) - NaiveMachine()(x) @ machine.projection).abs().max() < tolerance


def test_identity_projection_gives_all_pairwise_dot_products():
    machine = FactorizationMachine(6, 6)
    machine.projection.data = torch.eye(6)
    x = torch.randn(2, 6, 4)
    assert torch.allclose(machine(x), torch.einsum("bnd,bmd->bnm", x, x), atol=1e-5)
    assert torch.allclose(machine(x), NaiveMachine()(x), atol=1e-5)


def test_attentive_machine_projects_each_example_by_itself():
    torch.manual_seed(0)
    machine = AttentiveMachine(6, 4, 3, hidden=8)
    x = torch.randn(2, 6, 4)
    projection = machine.projection(x)
    expected = torch.stack([(row @ row.T) @ y for row, y in zip(x, projection, strict=True)])
    assert torch.allclose(machine(x), expected, atol=1e-5)
    assert not torch.allclose(projection[0], projection[1])


def test_optimised_machine_is_linear_in_the_tokens_and_the_naive_one_quadratic():
    def flops(machine: nn.Module, num_tokens: int) -> int:
        with FlopCounterMode(display=False) as counter:
            machine(torch.zeros(1, num_tokens, 8))
        return counter.get_total_flops()

    optimised = [flops(FactorizationMachine(n, 8), n) for n in (256, 2048)]
    naive = [flops(NaiveMachine(), n) for n in (256, 2048)]
    assert optimised[1] <= 10 * optimised[0] and naive[1] >= 40 * naive[0]


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


@pytest.mark.parametrize("num_layers", [1, 2, 3])
def test_machine_blocks_double_the_order_with_each_layer(num_layers):
    torch.manual_seed(0)
    blocks = nn.Sequential()
    for place in range(num_layers):
        block = FactorizationMachineBlock(2 if place else 6, 4, num_outputs=2, rank=3, hidden=[]).double()
        block.norm = nn.Identity()
        block.mlp = nn.Linear(6 if place else 18, 8, bias=False).double()
        blocks.append(block)
    x = torch.randn(3, 6, 4, dtype=torch.float64)
    assert torch.allclose(blocks(1.5 * x), 1.5 ** (2**num_layers) * blocks(x), rtol=1e-4)


@pytest.mark.parametrize("num_tokens", [9, 5])
def test_parameter_count_is_the_formulas(num_tokens):
    n, d, n_fmb, n_lcb, k, h = num_tokens, 8, 2, 3, 4, 16
    layer = WukongLayer(n, d, num_fmb=n_fmb, num_lcb=n_lcb, rank=k, hidden=[h])
    perceptron = n * k * h + h + h * n_fmb * d + n_fmb * d
    residual = 0 if n == n_fmb + n_lcb else (n_fmb + n_lcb) * n
    expected = n * k + 2 * n * k + perceptron + n_lcb * n + residual + 2 * d
    assert sum(p.numel() for p in layer.parameters()) == expected


def test_pairwise_dots_equal_a_loop_and_torchrecs():
    x = torch.randn(3, 5, 4)
    loop = torch.tensor([[float(row[i] @ row[j]) for i in range(5) for j in range(i + 1, 5)] for row in x])
    dots = PairwiseDots(5)
    assert dots.output_dim == 10
    assert torch.allclose(dots(x), loop, atol=1e-5)
    assert torch.allclose(InteractionArch(4)(x[:, 0], x[:, 1:])[:, 4:], loop, atol=1e-5)


@pytest.mark.parametrize("rank", [None, 3])
def test_cross_net_equals_the_formula(rank):
    torch.manual_seed(0)
    net, x0 = CrossNet(7, num_layers=2, rank=rank), torch.randn(5, 7)
    x = x0
    for layer in net.layers:
        weight = layer.weight if rank is None else layer[1].weight @ layer[0].weight
        bias = layer.bias if rank is None else layer[1].bias
        x = x0 * (x @ weight.T + bias) + x
    assert torch.allclose(net(x0), x, atol=1e-5)


def test_cross_net_equals_torchrecs():
    torch.manual_seed(0)
    x, full, low = torch.randn(5, 7), CrossNet(7, num_layers=2), CrossNet(7, num_layers=2, rank=3)
    their_full, their_low = crossnet.CrossNet(7, 2), crossnet.LowRankCrossNet(7, 2, 3)
    for place in range(2):
        their_full.kernels[place].data = full.layers[place].weight.data
        their_full.bias[place].data = full.layers[place].bias.data.unsqueeze(1)
        their_low.V_kernels[place].data = low.layers[place][0].weight.data
        their_low.W_kernels[place].data = low.layers[place][1].weight.data
        their_low.bias[place].data = low.layers[place][1].bias.data
    assert torch.allclose(full(x), their_full(x), atol=1e-5)
    assert torch.allclose(low(x), their_low(x), atol=1e-5)


def test_activation_unit_equals_a_loop_and_masks_padding():
    torch.manual_seed(0)
    unit = LocalActivationUnit(4, num_scalars=2, hidden=[8])
    target, steps = torch.randn(3, 4), torch.randn(3, 5, 6)
    mask = torch.tensor([[1, 1, 0, 0, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]], dtype=torch.bool)
    expected = torch.zeros(3, 6)
    for row in range(3):
        for step in steps[row][mask[row]]:
            item, q = step[:4], target[row]
            weight = unit.weight(torch.cat([item, q, item - q, item * q, step[4:]]))
            expected[row] += (weight * step).detach()
    steps[~mask] = float("nan")
    assert torch.allclose(unit(target, steps, mask), expected, atol=1e-5)
    assert not unit(target, steps, mask)[1].any()
