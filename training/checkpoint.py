"""Weights and optimizer state as safetensors files: no pickle."""

import hashlib
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor


def save_optimizers(folder: Path, optimizers: dict[str, torch.optim.Optimizer]) -> None:
    """Writes the state of named optimizers, one file each."""
    for name, optimizer in optimizers.items():
        save_file(_optimizer_state(optimizer), folder / f"{name}_optimizer.safetensors")


def load_optimizers(folder: Path, optimizers: dict[str, torch.optim.Optimizer]) -> None:
    """Restores what `save_optimizers` wrote, each state on its parameter's device.

    Raises:
        ValueError: a state does not fit its parameter; names both.
    """
    for name, optimizer in optimizers.items():
        path = folder / f"{name}_optimizer.safetensors"
        saved, states = load_file(path), {}
        for index, parameter in enumerate(p for group in optimizer.param_groups for p in group["params"]):
            prefix = f"{index}."
            state = {k.removeprefix(prefix): v for k, v in saved.items() if k.startswith(prefix)}
            wrong = [k for k, v in state.items() if v.ndim and v.shape != parameter.shape]
            if wrong:
                raise ValueError(
                    f"{path}: {wrong[0]} of parameter {index} is {tuple(state[wrong[0]].shape)}, the parameter "
                    f"{tuple(parameter.shape)}; the model's section in platform.yaml has changed since"
                )
            states[index] = state
        # torch's own way in: it knows which state an optimizer wants on the parameter's device (a fused one, all).
        optimizer.load_state_dict({"state": states, "param_groups": optimizer.state_dict()["param_groups"]})


class WeightsVersion:
    """The first 12 hex digits of the SHA-256 of named weights, which need not be in memory together."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, name: str, weight: Tensor) -> None:
        """Counts the next one; names come in alphabetical order."""
        self._digest.update(name.encode())
        self._digest.update(weight.contiguous().numpy().data)

    def __str__(self) -> str:
        """Returns the version of the weights added so far."""
        return self._digest.hexdigest()[:12]


def weights_version(weights: dict[str, Tensor]) -> str:
    """Returns the first 12 hex digits of the SHA-256 of named weights."""
    version = WeightsVersion()
    for name in sorted(weights):
        version.add(name, weights[name])
    return str(version)


def _optimizer_state(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    state = optimizer.state_dict()["state"]
    return {f"{index}.{key}": v.cpu().contiguous() for index, values in state.items() for key, v in values.items()}
