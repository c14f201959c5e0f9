"""DCN-V2: its two structures and ranks against the formula."""

import pytest
import torch

from tests.models.foundation_inputs import SIZES, foundation_input, network

FEATURES = SIZES.num_sparse * SIZES.embedding_dim + SIZES.num_dense
WIDTH = -(-FEATURES // 16) * 16  # zeros fill the rest


@pytest.mark.parametrize("structure", ["stacked", "parallel"])
@pytest.mark.parametrize("rank", [None, 4])
def test_equals_the_formula(structure, rank):
    model, x = network("dcnv2", structure=structure, rank=rank, num_cross_layers=2), foundation_input([0, 0])
    x0 = torch.cat([x.sparse.flatten(1), x.dense, torch.zeros(2, WIDTH - FEATURES)], dim=1)
    crossed = x0
    for place in range(2):
        layer = model.cross.layers[place]
        kernel, bias = (
            (layer.weight, layer.bias) if rank is None else (layer[1].weight @ layer[0].weight, layer[1].bias)
        )
        mapped = crossed @ kernel.T + bias
        crossed = x0 * mapped + crossed
    top = model.deep(crossed) if structure == "stacked" else torch.cat([crossed, model.deep(x0)], dim=1)
    output = model(x)
    assert torch.allclose(output.logits, model.head(top).logits, rtol=1e-4, atol=1e-4)
    output.logits.sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


def test_cross_layers_have_the_configured_rank():
    assert network("dcnv2", rank=4).cross.layers[0][0].weight.shape == (4, WIDTH)
    assert network("dcnv2", rank=None).cross.layers[0].weight.shape == (WIDTH, WIDTH)
