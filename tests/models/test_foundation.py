"""What holds for every foundation architecture: shapes, gradients, empty histories, learning."""

import pytest
import torch

from models.foundation import FOUNDATION_MODELS
from models.foundation.foundation_model import FoundationModel
from tests.models.foundation_inputs import SIZES, foundation_batch, foundation_input, foundation_model, network

PAIR = [{"architecture": "interformer"}, {"architecture": "dhen", "embedding_dim": 16}]
MODELS = [*((name, {}) for name in FOUNDATION_MODELS), ("cetnet", {"members": PAIR})]


def model_of(name: str, hyperparameters: dict) -> FoundationModel:
    return foundation_model(name, **hyperparameters)


@pytest.mark.parametrize("name", FOUNDATION_MODELS)
@pytest.mark.parametrize("lengths", [[6], [2, 0, 6, 3]], ids=["one row", "rows"])
def test_every_parameter_gets_gradient(name, lengths):
    model = network(name)
    output = model(foundation_input(lengths))
    model.loss(output, torch.ones(len(lengths))).sum().backward()
    assert output.logits.shape == (len(lengths),) and output.hidden.shape == (len(lengths), model.hidden_dim)
    dead = [key for key, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not dead


@pytest.mark.parametrize("name", FOUNDATION_MODELS)
@pytest.mark.parametrize("lengths", [[0], [0, 0, 0]])
def test_an_empty_history_gives_finite_output_and_gradients(name, lengths):
    model = network(name)
    output = model(foundation_input(lengths))
    model.loss(output, torch.ones(len(lengths))).sum().backward()
    assert torch.isfinite(output.logits).all() and torch.isfinite(output.hidden).all()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


@pytest.mark.parametrize("name", [name for name, a in FOUNDATION_MODELS.items() if a.reads_sequence])
def test_what_masked_steps_hold_does_not_matter(name):
    model, x = network(name), foundation_input([2, 0, 6, 3])
    garbage = x.sequence.masked_fill(~x.mask.unsqueeze(-1), float("nan"))
    assert torch.equal(model(x).logits, model(x._replace(sequence=garbage)).logits)


@pytest.mark.parametrize("name", FOUNDATION_MODELS)
def test_overfits_a_few_rows(name):
    model, x = network(name), foundation_input([5] * 32)
    labels = (torch.rand(32, generator=torch.Generator().manual_seed(3)) < 0.5).float()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(100):
        loss = model.loss(model(x), labels).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05


@pytest.mark.parametrize("name", FOUNDATION_MODELS)
def test_examples_do_not_touch_each_other(name):
    model, x = network(name), foundation_input([2, 0, 6, 3])
    alone = type(x)(*(values[2:3] for values in x))
    assert torch.allclose(model(x).logits[2:3], model(alone).logits, atol=1e-5)


@pytest.mark.parametrize(("name", "hyperparameters"), MODELS, ids=[name for name, _ in MODELS])
@pytest.mark.parametrize("lengths", [[6], [0], [3, 0, 6]], ids=str)
def test_a_foundation_model_scores_and_learns_from_ids(name, hyperparameters, lengths):
    model, batch = model_of(name, hyperparameters), foundation_batch(lengths)
    coded = model(batch)
    loss = model.loss(coded.output, torch.ones(len(lengths))) + coded.reconstruction_loss
    loss.sum().backward()
    assert loss.shape == coded.output.logits.shape == (len(lengths),) and coded.code.shape == (len(lengths), 4)
    assert torch.isfinite(loss).all()
    without = [key for key, p in model.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
    assert not without
    if min(lengths):
        assert not [key for key, p in model.named_parameters() if not p.grad.any()]


def test_sizes_of_a_step_count_label_and_age():
    assert SIZES.step_dim == SIZES.embedding_dim + 2
