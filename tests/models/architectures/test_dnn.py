"""A plain network has no parameter of its own: what is learnt lies behind it."""

import torch

from tests.models.architectures.inputs import inputs, network


def test_features_come_out_side_by_side():
    model, x = network("dnn"), inputs([0, 2])
    assert not list(model.parameters())
    assert torch.equal(model(*x), torch.cat([x.tokens.flatten(1), x.dense], dim=1))
