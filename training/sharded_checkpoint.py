"""A sharded model on disk: safetensors files that do not depend on how the tables were sharded."""

from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.distributed._shard.sharded_tensor.api import ShardedTensor
from torchrec.distributed.model_parallel import DistributedModelParallel

from training.checkpoint import load_optimizers, save_optimizers, weights_version

MODEL_FILE = "model.safetensors"
SPARSE_OPTIMIZER_FILE = "sparse_optimizer.safetensors"


def save_sharded(folder: Path, model: DistributedModelParallel, optimizer: torch.optim.Optimizer) -> str:
    """Writes a sharded model with its optimizer state; every rank takes part, rank 0 writes.

    Returns:
        Version of the model: the first 12 hex digits of the SHA-256 of its weights.
    """
    weights, sparse = _gathered(dict(model.state_dict())), _gathered(_fused_state(model))
    if dist.get_rank() == 0:
        save_file(weights, folder / MODEL_FILE)
        save_file(sparse, folder / SPARSE_OPTIMIZER_FILE)
        save_optimizers(folder, {"dense": optimizer})
    version = [weights_version(weights) if dist.get_rank() == 0 else ""]
    dist.broadcast_object_list(version)
    return version[0]


def load_sharded(folder: Path, model: DistributedModelParallel, optimizer: torch.optim.Optimizer) -> None:
    """Restores what `save_sharded` wrote, on any number of ranks.

    Raises:
        ValueError: the checkpoint is of another architecture or size; names what differs.
    """
    _fill(model.state_dict(), load_file(folder / MODEL_FILE), folder)
    _fill(_fused_state(model), load_file(folder / SPARSE_OPTIMIZER_FILE), folder)
    load_optimizers(folder, {"dense": optimizer})


def sharded_state(model: DistributedModelParallel) -> dict[str, Any]:
    """Weights and sparse optimizer state by flat names, sharded as the model is."""
    weights = {f"model/{name}": value for name, value in model.state_dict().items()}
    return weights | {f"sparse_optimizer/{key}": value for key, value in _fused_state(model).items()}


def _gathered(state: dict[str, Any]) -> dict[str, Tensor]:
    """The full tensors on the CPU of rank 0; empty on the other ranks."""
    mine = {name: (tuple(value.size()), _local_parts(value)) for name, value in state.items()}
    everyone: list[Any] | None = [None] * dist.get_world_size() if dist.get_rank() == 0 else None
    dist.gather_object(mine, everyone)
    whole: dict[str, Tensor] = {}
    for rank in everyone or []:  # a rank knows the optimizer state of its own tables only
        for name, (size, parts) in rank.items():
            for offsets, part in parts:
                target = whole.setdefault(name, torch.empty(size, dtype=part.dtype))
                target[tuple(slice(o, o + n) for o, n in zip(offsets, part.shape, strict=True))] = part
    return {name: whole[name] for name in sorted(whole)}


def _local_parts(value: Any) -> list[tuple[tuple[int, ...], Tensor]]:
    """Offsets and content of what this rank holds of a tensor."""
    if isinstance(value, ShardedTensor):
        return [(tuple(part.metadata.shard_offsets), part.tensor.detach().cpu()) for part in value.local_shards()]
    return [((0,) * value.dim(), value.detach().cpu())]


def _fused_state(model: DistributedModelParallel) -> dict[str, Any]:
    """Tensors of the fused sparse optimizer by a flat name."""
    state = model.fused_optimizer.state_dict()["state"]
    return {f"{table}/{key}": value for table, values in state.items() for key, value in values.items()}


def _fill(targets: dict[str, Any], saved: dict[str, Tensor], folder: Path) -> None:
    """Copies saved tensors into (shards of) the targets."""
    everyone: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(everyone, {name: tuple(t.size()) for name, t in targets.items()})
    shapes = {name: shape for rank in everyone for name, shape in rank.items()}
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
