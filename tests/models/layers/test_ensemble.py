"""The ensemble layer of DHEN against its formula, branch by branch."""

import pytest
import torch
from torch import nn
from torch.nn.functional import layer_norm, linear, silu

from models.layers.ensemble import EnsembleLayer


@pytest.mark.parametrize("num_outputs", [5, 3])
def test_layer_equals_the_formula(num_outputs):
    torch.manual_seed(0)
    layer = EnsembleLayer(5, 4, num_outputs=num_outputs, branches=("dot", "dcn"), rank=3)
    x = torch.randn(2, 5, 4)
    dots = torch.tensor([[float(row[i] @ row[j]) for i in range(5) for j in range(i + 1, 5)] for row in x])
    dot = linear(dots, layer.branches["dot"][1].weight, layer.branches["dot"][1].bias)
    cross, last = layer.branches["dcn"][1], layer.branches["dcn"][2]
    flat = x.flatten(1)
    down, up = cross.layers[0]
    kernel = up.weight @ down.weight
    dcn = linear(flat * (flat @ kernel.T + up.bias) + flat, last.weight, last.bias)
    shortcut = x if num_outputs == 5 else layer.shortcut.weight @ x
    total = (dot + dcn).unflatten(1, (num_outputs, 4)) + shortcut
    assert torch.allclose(layer(x), silu(layer_norm(total, (4,))), atol=1e-4)
    assert isinstance(layer.shortcut, nn.Identity) == (num_outputs == 5)


@pytest.mark.parametrize("branches", [("dot",), ("dcn",)])
def test_layer_has_only_the_branches_it_is_given(branches):
    assert tuple(EnsembleLayer(5, 4, num_outputs=3, branches=branches, rank=2).branches) == branches
