"""DCN-V2: its two structures and ranks against the formula."""

import pytest
import torch

from tests.models.architectures.inputs import SIZES, inputs, network

FEATURES = SIZES.features_dim
WIDTH = -(-FEATURES // 16) * 16  # zeros fill the rest


@pytest.mark.parametrize("structure", ["stacked", "parallel"])
@pytest.mark.parametrize("rank", [None, 4])
def test_equals_the_formula(structure, rank):
    model, x = network("dcnv2", structure=structure, rank=rank, num_cross_layers=2), inputs([0, 0])
    x0 = torch.cat([x.tokens.flatten(1), x.dense, torch.zeros(2, WIDTH - FEATURES)], dim=1)
    crossed = x0
    for place in range(2):
        layer = model.cross.layers[place]
        kernel, bias = (
            (layer.weight, layer.bias) if rank is None else (layer[1].weight @ layer[0].weight, layer[1].bias)
        )
        mapped = crossed @ kernel.T + bias
        crossed = x0 * mapped + crossed
    expected = model.deep(crossed) if structure == "stacked" else torch.cat([crossed, model.deep(x0)], dim=1)
    output = model(*x)
    assert torch.allclose(output, expected, rtol=1e-4, atol=1e-4)
    output.sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


def test_without_deep_layers_the_crosses_are_the_output():
    model, x = network("dcnv2", structure="stacked", deep=[]), inputs([0, 0])
    padded = torch.cat([x.tokens.flatten(1), x.dense, torch.zeros(2, WIDTH - FEATURES)], dim=1)
    assert model.output_dim == WIDTH and torch.equal(model(*x), model.cross(padded))


def test_cross_layers_have_the_configured_rank():
    assert network("dcnv2", rank=4).cross.layers[0][0].weight.shape == (4, WIDTH)
    assert network("dcnv2", rank=None).cross.layers[0].weight.shape == (WIDTH, WIDTH)
