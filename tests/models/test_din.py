"""DIN as a foundation model: its history is read for the target, order aside."""

import torch

from tests.models.foundation_inputs import SIZES, foundation_input, network


def test_padding_changes_nothing():
    model, x = network("din"), foundation_input([2, 0, 6])
    wider = torch.nn.functional.pad(x.sequence, (0, 0, 0, 4))
    mask = torch.nn.functional.pad(x.mask, (0, 4))
    assert torch.allclose(model(x).logits, model(x._replace(sequence=wider, mask=mask)).logits, atol=1e-5)


def test_the_weight_of_a_step_depends_on_the_target():
    model, x = network("din"), foundation_input([4, 4])
    same = x._replace(sequence=x.sequence[:1].expand(2, -1, -1))
    pooled = model.attention(same.sparse[:, SIZES.target], same.sequence, same.mask)
    assert not torch.allclose(pooled[0], pooled[1])


def test_steps_are_a_set():
    model, x = network("din"), foundation_input([6, 6])
    assert torch.allclose(model(x).logits, model(x._replace(sequence=x.sequence.flip(1))).logits, atol=1e-5)
