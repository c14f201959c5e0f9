"""DLRM against its definition."""

import torch

from tests.models.architectures.inputs import inputs, network


def test_equals_dots_computed_in_a_loop():
    model, x = network("dlrm"), inputs([0, 0, 0])
    for row in range(3):
        dense = model.bottom(x.dense[row])
        tokens = [dense, *x.tokens[row]]
        dots = torch.stack([tokens[i] @ tokens[j] for i in range(6) for j in range(i + 1, 6)])
        assert torch.allclose(model(*x)[row], torch.cat([dense, dots]), atol=1e-5)
