"""DLRM against its definition."""

import torch

from tests.models.foundation_inputs import foundation_input, network


def test_equals_dots_computed_in_a_loop():
    model, x = network("dlrm"), foundation_input([0, 0, 0])
    for row in range(3):
        dense = model.bottom(x.dense[row])
        tokens = [dense, *x.sparse[row]]
        dots = torch.stack([tokens[i] @ tokens[j] for i in range(6) for j in range(i + 1, 6)])
        expected = model.head(torch.cat([dense, dots]).unsqueeze(0)).logits
        assert torch.allclose(model(x).logits[row : row + 1], expected, atol=1e-5)
