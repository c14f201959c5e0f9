"""DIN: the history is read for the target, order aside."""

import torch

from tests.models.architectures.inputs import SIZES, inputs, network


def test_padding_changes_nothing():
    model, x = network("din"), inputs([2, 0, 6])
    wider = torch.nn.functional.pad(x.sequence, (0, 0, 0, 4))
    mask = torch.nn.functional.pad(x.mask, (0, 4))
    assert torch.allclose(model(*x), model(*x._replace(sequence=wider, mask=mask)), atol=1e-5)


def test_the_weight_of_a_step_depends_on_the_target():
    model, x = network("din"), inputs([4, 4])
    same = x._replace(sequence=x.sequence[:1].expand(2, -1, -1))
    interest = model(*same)[:, SIZES.features_dim :]
    assert not torch.allclose(interest[0], interest[1])
    as_first = x.tokens.clone()
    as_first[1, SIZES.target] = as_first[0, SIZES.target]
    interest = model(*same._replace(tokens=as_first))[:, SIZES.features_dim :]
    assert torch.allclose(interest[0], interest[1], atol=1e-6)  # and on nothing else of the example


def test_steps_are_a_set():
    model, x = network("din"), inputs([6, 6])
    assert torch.allclose(model(*x), model(*x._replace(sequence=x.sequence.flip(1))), atol=1e-5)
