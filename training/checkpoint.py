"""Model and optimizer state as safetensors files: no pickle, and independent of how the tables were sharded."""

import hashlib
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.distributed._shard.sharded_tensor import ShardedTensor
from torchrec.distributed.model_parallel import DistributedModelParallel

MODEL_FILE = "model.safetensors"
SPARSE_OPTIMIZER_FILE = "sparse_optimizer.safetensors"


def save_sharded(folder: Path, model: DistributedModelParallel, optimizer: torch.optim.Optimizer) -> str:
    """Writes a sharded model with its optimizer state; every rank takes part, rank 0 writes.

    Returns:
        Version of the model: the first 12 hex digits of the SHA-256 of its weights.
    """
    weights = {name: _whole(value) for name, value in model.state_dict().items()}
    sparse = {key: _whole(value) for key, value in _fused_state(model).items()}
    if dist.get_rank() == 0:
        save_file(weights, folder / MODEL_FILE)
        save_file(sparse, folder / SPARSE_OPTIMIZER_FILE)
        save_optimizers(folder, {"dense": optimizer})
    return weights_version(weights)


def load_sharded(folder: Path, model: DistributedModelParallel, optimizer: torch.optim.Optimizer) -> None:
    """Restores what `save_sharded` wrote, on any number of ranks.

    Raises:
        ValueError: the checkpoint is of another architecture or size; names what differs.
    """
    _fill(model.state_dict(), load_file(folder / MODEL_FILE), folder)
    _fill(_fused_state(model), load_file(folder / SPARSE_OPTIMIZER_FILE), folder)
    load_optimizers(folder, {"dense": optimizer})


def save_optimizers(folder: Path, optimizers: dict[str, torch.optim.Optimizer]) -> None:
    """Writes the state of named optimizers, one file each."""
    for name, optimizer in optimizers.items():
        save_file(_optimizer_state(optimizer), folder / f"{name}_optimizer.safetensors")


def load_optimizers(folder: Path, optimizers: dict[str, torch.optim.Optimizer]) -> None:
    """Restores what `save_optimizers` wrote.

    Raises:
        ValueError: a state does not fit its parameter; names both.
    """
    for name, optimizer in optimizers.items():
        path = folder / f"{name}_optimizer.safetensors"
        saved = load_file(path)
        for index, parameter in enumerate(p for group in optimizer.param_groups for p in group["params"]):
            prefix = f"{index}."
            state = {k.removeprefix(prefix): v for k, v in saved.items() if k.startswith(prefix)}
            wrong = [k for k, v in state.items() if v.ndim and v.shape != parameter.shape]
            if wrong:
                raise ValueError(
                    f"{path}: {wrong[0]} of parameter {index} is {tuple(state[wrong[0]].shape)}, the parameter "
                    f"{tuple(parameter.shape)}; the model's section in platform.yaml has changed since"
                )
            optimizer.state[parameter] = state


def weights_version(weights: dict[str, Tensor]) -> str:
    """The first 12 hex digits of the SHA-256 of named weights."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode())
        digest.update(weights[name].contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


def _whole(value: Any) -> Tensor:
    """The full tensor on the CPU of rank 0 (on other ranks its content is undefined)."""
    if not isinstance(value, ShardedTensor):
        return value.detach().cpu().contiguous()
    whole = torch.zeros(value.size(), dtype=value.dtype)
    value.gather(0, whole if dist.get_rank() == 0 else None)
    return whole


def _fused_state(model: DistributedModelParallel) -> dict[str, Any]:
    """Tensors of the fused sparse optimizer by a flat name."""
    state = model.fused_optimizer.state_dict()["state"]
    return {f"{table}/{key}": value for table, values in state.items() for key, value in values.items()}


def _optimizer_state(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    state = optimizer.state_dict()["state"]
    return {f"{index}.{key}": v.cpu().contiguous() for index, values in state.items() for key, v in values.items()}


def _fill(targets: dict[str, Any], saved: dict[str, Tensor], folder: Path) -> None:
    """Copies saved tensors into (shards of) the targets."""
    shapes = {name: tuple(t.size()) for name, t in targets.items()}
    found = {name: tuple(t.shape) for name, t in saved.items()}
    if shapes != found:
        differing = sorted(n for n in shapes.keys() | found.keys() if shapes.get(n) != found.get(n))
        name = differing[0]
        raise ValueError(
            f"checkpoint {folder} is of another model: {len(differing)} tensors differ, first {name}: "
            f"the checkpoint has {found.get(name, 'none')}, platform.yaml describes {shapes.get(name, 'none')}. "
            "Set the model's section back, or start again from the bootstrap day with a new storage.root"
        )
    with torch.no_grad():
        for name, target in targets.items():
            if not isinstance(target, ShardedTensor):
                target.copy_(saved[name])
                continue
            for part in target.local_shards():
                window = tuple(
                    slice(o, o + s) for o, s in zip(part.metadata.shard_offsets, part.metadata.shard_sizes, strict=True)
                )
                part.tensor.copy_(saved[name][window])
