"""Optimizer state comes back as it was, on the device of its parameter."""

from pathlib import Path

import pytest
import torch

from training.checkpoint import load_optimizers, save_optimizers

SHAPES = [(3, 2), (2,), (4,)]


def optimizer(kind: str, device: str) -> torch.optim.Optimizer:
    parameters = [torch.nn.Parameter(torch.zeros(shape, device=device)) for shape in SHAPES]
    if kind == "adam":
        return torch.optim.Adam(parameters, lr=0.1, fused=True)
    return torch.optim.Adagrad(parameters, lr=0.1, fused=device != "meta")  # that one asks for a real device at once


def learnt(kind: str) -> torch.optim.Optimizer:
    """On the CPU, two steps; the last parameter took no part."""
    made = optimizer(kind, "cpu")
    for _ in range(2):
        for number, parameter in enumerate(made.param_groups[0]["params"][:-1]):
            parameter.grad = torch.full_like(parameter, number + 0.5)
        made.step()
    return made


@pytest.mark.parametrize("kind", ["adam", "adagrad"])
def test_an_optimizer_goes_on_as_if_it_had_not_stopped(kind: str, tmp_path: Path):
    before, after = learnt(kind), optimizer(kind, "cpu")
    save_optimizers(tmp_path, {"dense": before})
    load_optimizers(tmp_path, {"dense": after})
    for of in (before, after):
        for parameter in of.param_groups[0]["params"]:
            parameter.data.zero_()
            parameter.grad = torch.ones_like(parameter)
        of.step()
    pairs = zip(before.param_groups[0]["params"], after.param_groups[0]["params"], strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_state_comes_to_its_parameters_device(tmp_path: Path):
    """A GPU's fused Adam takes no state from the CPU, its count of steps included."""
    save_optimizers(tmp_path, {"dense": learnt("adam")})
    after = optimizer("adam", "meta")
    load_optimizers(tmp_path, {"dense": after})
    found = {key: value.device.type for state in after.state.values() for key, value in state.items()}
    assert found == {"step": "meta", "exp_avg": "meta", "exp_avg_sq": "meta"}


def test_state_of_another_shape_is_refused(tmp_path: Path):
    save_optimizers(tmp_path, {"dense": learnt("adam")})
    other = torch.optim.Adam([torch.nn.Parameter(torch.zeros(5, 2))], fused=True)
    with pytest.raises(ValueError, match=r"exp_avg.* of parameter 0 is \(3, 2\), the parameter \(5, 2\)"):
        load_optimizers(tmp_path, {"dense": other})
