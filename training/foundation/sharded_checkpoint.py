"""A sharded model on disk: safetensors files that do not depend on how the tables were sharded."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.distributed._shard.sharded_tensor.api import ShardedTensor
from torchrec.distributed.model_parallel import DistributedModelParallel

from training.checkpoint import WeightsVersion, load_optimizers, save_optimizers
from training.weight_average import AVERAGE, averages

MODEL, SPARSE_OPTIMIZER = "model", "sparse_optimizer"  # how the names of their files begin
FILE_BYTES = 1 << 30  # a file is closed once it holds so much


def save_sharded(folder: Path, model: DistributedModelParallel, optimizer: torch.optim.Optimizer) -> str:
    """Writes a sharded model with its optimizer state; every rank takes part, rank 0 writes.

    Rank 0 has a file's tensors in memory at a time, never the whole model: less than FILE_BYTES and one table more.

    Returns:
        Version of the model: the first 12 hex digits of the SHA-256 of its weights, and of their averages.
    """
    weights = _save(folder, MODEL, dict(model.state_dict()))
    _save(folder, SPARSE_OPTIMIZER, _fused_state(model))
    if dist.get_rank() == 0:
        save_optimizers(folder, {"dense": optimizer})
        for index, average in averages(optimizer).items():
            weights.add(f"{AVERAGE}/{index}", average.cpu())
    version = [str(weights)]
    dist.broadcast_object_list(version)
    return version[0]


def load_sharded(folder: Path, model: DistributedModelParallel, optimizer: torch.optim.Optimizer) -> None:
    """Restores what `save_sharded` wrote, on any number of ranks; each reads its own shards.

    Raises:
        ValueError: the checkpoint is of another architecture or size; names what differs.
    """
    _load(folder, MODEL, model.state_dict())
    _load(folder, SPARSE_OPTIMIZER, _fused_state(model))
    load_optimizers(folder, {"dense": optimizer})


def sharded_state(model: DistributedModelParallel) -> dict[str, Any]:
    """Returns weights and sparse optimizer state by flat names, sharded as the model is."""
    weights = {f"model/{name}": value for name, value in model.state_dict().items()}
    return weights | {f"sparse_optimizer/{key}": value for key, value in _fused_state(model).items()}


def _save(folder: Path, stem: str, state: dict[str, Any]) -> WeightsVersion:
    """Writes tensors in the order of their names; the version of them all, on rank 0."""
    version, held, files = WeightsVersion(), dict[str, Tensor](), 0
    names = sorted(_known_to_any(state))  # a rank knows the optimizer state of its own tables only
    for name in names:
        whole = _gathered(state.get(name))
        if whole is None:
            continue
        version.add(name, whole)
        held[name] = whole
        if name == names[-1] or sum(tensor.nbytes for tensor in held.values()) >= FILE_BYTES:
            save_file(held, folder / f"{stem}-{files:05}.safetensors")
            held, files = {}, files + 1
    return version


def _known_to_any(state: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Returns the sizes of the tensors that any rank holds a shard of."""
    everyone: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(everyone, {name: tuple(value.size()) for name, value in state.items()})
    return {name: size for rank in everyone for name, size in rank.items()}


def _gathered(value: Any | None) -> Tensor | None:
    """Returns the full tensor on the CPU of rank 0; None on the other ranks.

    Args:
        value: what this rank has of it; None: nothing.
    """
    mine = None if value is None else (tuple(value.size()), _local_shards(value))
    everyone: list[Any] | None = [None] * dist.get_world_size() if dist.get_rank() == 0 else None
    dist.gather_object(mine, everyone)
    whole: Tensor | None = None
    for size, shards in filter(None, everyone or []):
        for offsets, shard in shards:
            whole = torch.empty(size, dtype=shard.dtype) if whole is None else whole
            whole[tuple(slice(o, o + n) for o, n in zip(offsets, shard.shape, strict=True))] = shard
    return whole


def _local_shards(value: Any) -> list[tuple[tuple[int, ...], Tensor]]:
    """Returns offsets and content of what this rank holds of a tensor."""
    if isinstance(value, ShardedTensor):
        return [(tuple(shard.metadata.shard_offsets), shard.tensor.detach().cpu()) for shard in value.local_shards()]
    return [((0,) * value.dim(), value.detach().cpu())]


def _fused_state(model: DistributedModelParallel) -> dict[str, Any]:
    """Returns tensors of the fused sparse optimizer by a flat name."""
    state = model.fused_optimizer.state_dict()["state"]
    return {f"{table}/{key}": value for table, values in state.items() for key, value in values.items()}


def _load(folder: Path, stem: str, targets: dict[str, Any]) -> None:
    """Copies saved tensors into (shards of) the targets."""
    with ExitStack() as stack:
        files = [stack.enter_context(safe_open(path, "pt")) for path in sorted(folder.glob(f"{stem}-*.safetensors"))]
        saved = {name: file for file in files for name in file.keys()}  # noqa: SIM118
        _check(_known_to_any(targets), {n: tuple(f.get_slice(n).get_shape()) for n, f in saved.items()}, folder)
        with torch.no_grad():
            for name, target in targets.items():
                if not isinstance(target, ShardedTensor):
                    target.copy_(saved[name].get_tensor(name))
                    continue
                for shard in target.local_shards():
                    bounds = zip(shard.metadata.shard_offsets, shard.metadata.shard_sizes, strict=True)
                    window = tuple(slice(offset, offset + size) for offset, size in bounds)
                    shard.tensor.copy_(saved[name].get_slice(name)[window])


def _check(wanted: dict[str, tuple[int, ...]], saved: dict[str, tuple[int, ...]], folder: Path) -> None:
    if wanted == saved:
        return
    differing = sorted(n for n in wanted.keys() | saved.keys() if wanted.get(n) != saved.get(n))
    name = differing[0]
    raise ValueError(
        f"checkpoint {folder} is of another model: {len(differing)} tensors differ, first {name}: "
        f"the checkpoint has {saved.get(name, 'none')}, platform.yaml describes {wanted.get(name, 'none')}. "
        "Set the model's section back, or start again from the bootstrap day with a new storage.root"
    )
