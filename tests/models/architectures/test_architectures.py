"""What holds for every architecture: shapes, gradients, empty histories; and how a wrong name is answered."""

import subprocess
import sys

import pytest
import torch

from config import ROOT
from models.architectures import ARCHITECTURES, architecture_named
from tests.models.architectures.inputs import SIZES, inputs, network

READERS = [name for name, architecture in ARCHITECTURES.items() if architecture.reads_sequence]


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("lengths", [[6], [2, 0, 6, 3]], ids=["one row", "rows"])
def test_the_output_has_its_width_and_every_parameter_gets_gradient(name, lengths):
    model, x = network(name), inputs(lengths)
    for values in (x.tokens, x.dense):
        values.requires_grad_()
    output = model(*x)
    assert output.shape == (len(lengths), model.output_dim)
    (output * torch.randn(output.shape)).sum().backward()
    read = {"tokens": x.tokens, "dense": x.dense, **dict(model.named_parameters())}
    assert not [key for key, p in read.items() if p.grad is None or not p.grad.any()]


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("lengths", [[0], [0, 0, 0]])
def test_an_empty_history_gives_finite_output_and_gradients(name, lengths):
    model, x = network(name), inputs(lengths)
    x.tokens.requires_grad_()
    output = model(*x)
    output.square().sum().backward()
    assert torch.isfinite(output).all() and torch.isfinite(x.tokens.grad).all()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


@pytest.mark.parametrize("name", READERS)
def test_what_masked_steps_hold_does_not_matter(name):
    model, x = network(name), inputs([2, 0, 6, 3])
    garbage = x.sequence.masked_fill(~x.mask.unsqueeze(-1), float("nan"))
    assert torch.equal(model(*x), model(*x._replace(sequence=garbage)))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_sequence_is_read_by_those_that_say_so(name):
    model, x = network(name), inputs([2, 6, 6, 3])
    assert torch.equal(model(*x), model(*x._replace(sequence=x.sequence + 1))) != (name in READERS)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_examples_do_not_touch_each_other(name):
    model, x = network(name), inputs([2, 0, 6, 3])
    alone = type(x)(*(values[2:3] for values in x))
    assert torch.allclose(model(*x)[2:3], model(*alone), atol=1e-5)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_same_seed_gives_the_same_network(name):
    x = inputs([2, 0, 6])
    assert torch.equal(network(name)(*x), network(name)(*x))


def test_sizes_count_what_they_say():
    assert SIZES.step_dim == SIZES.embedding_dim + 2  # label and age
    assert SIZES.features_dim == 5 * 8 + 3


def test_an_unknown_name_is_answered_with_the_known_ones():
    assert architecture_named("dlrm", key="vertical_model.architecture") is ARCHITECTURES["dlrm"]
    known = ", ".join(sorted([*ARCHITECTURES, "cetnet"]))
    with pytest.raises(ValueError, match=f"^Unknown architecture 'drlm' in here.architecture. Known: {known}.$"):
        architecture_named("drlm", key="here.architecture", others=["cetnet"])


def test_vertical_models_need_nothing_of_the_foundation_models_libraries():
    script = (
        "import sys, models.vertical, data.batches.vertical; "
        "print([m for m in sys.modules if m.startswith(('models.foundation', 'torchrec', 'fbgemm'))])"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
