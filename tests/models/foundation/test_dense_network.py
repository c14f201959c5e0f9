"""What holds for every architecture under the foundation model's head."""

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from models.architectures import ARCHITECTURES
from models.foundation.dense_network import DenseNetwork
from tests.models.architectures.inputs import SIZES, inputs


def dense_network(name: str, **hyperparameters) -> DenseNetwork:
    torch.manual_seed(0)
    return DenseNetwork(ARCHITECTURES[name], hyperparameters, SIZES)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_parameter_gets_gradient(name):
    model = dense_network(name, head=[12, 5])
    output = model(inputs([2, 0, 6, 3]))
    binary_cross_entropy_with_logits(output.logits, torch.ones(4)).backward()
    assert output.logits.shape == (4,) and output.hidden.shape == (4, 12) and model.hidden_dim == 12
    assert not [key for key, p in model.named_parameters() if p.grad is None or not p.grad.any()]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_overfits_a_few_rows(name):
    model, x = dense_network(name), inputs([5] * 32)
    labels = (torch.rand(32, generator=torch.Generator().manual_seed(3)) < 0.5).float()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(100):
        loss = binary_cross_entropy_with_logits(model(x).logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_head_has_the_architectures_activation(name):
    model = dense_network(name)
    assert type(model.head.hidden[1]) is type(model.head.logit[1]) is ARCHITECTURES[name].activation
