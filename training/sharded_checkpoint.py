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
