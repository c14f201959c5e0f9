"""Processes that train one model together, and the placement of its tables by torchrec's planner.

A single process is the same code path: a group of one.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.optim.apply_optimizer_in_backward import (
    _apply_optimizer_in_backward as apply_optimizer_in_backward,
)
from torchrec import EmbeddingBagCollection, EmbeddingCollection
from torchrec.distributed.embedding import EmbeddingCollectionSharder
from torchrec.distributed.embeddingbag import EmbeddingBagCollectionSharder
from torchrec.distributed.model_parallel import DistributedModelParallel
from torchrec.distributed.planner import EmbeddingShardingPlanner, Topology
from torchrec.distributed.types import ShardedModule, ShardingType
from torchrec.optim.rowwise_adagrad import RowWiseAdagrad

from config import Runtime
from models.foundation.tables import FirstWeights
from training.foundation.cpu import use_cpu
from training.foundation.managed_collision import ManagedBagsSharder, ManagedStepsSharder


def in_group() -> bool:
    """Says whether torchrun started this process."""
    return "RANK" in os.environ


def leads() -> bool:
    """Says whether this process is the group's first, which logs and commits."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def process_group(runtime: Runtime) -> Iterator[torch.device]:
    """Joins the group torchrun made, else makes a group of this one process; yields the process's device.

    Within another it is that other group.

    Raises:
        RuntimeError: runtime.device is cuda and there is no CUDA device, or fewer than processes.
    """
    device = _device(runtime)
    if device.type == "cpu":
        use_cpu(threads=1 if in_group() else runtime.torch_threads)
    else:
        torch.cuda.set_device(device)
    if dist.is_initialized():
        yield device
        return
    backend = "cuda:nccl,cpu:gloo" if device.type == "cuda" else "gloo"
    if in_group():
        dist.init_process_group(backend)
    else:
        # Port 0: the store itself takes a free one, so that processes which start at once do not ask for the same.
        store = dist.TCPStore("127.0.0.1", 0, world_size=1, is_master=True)  # type: ignore[attr-defined]
        dist.init_process_group(backend, store=store, rank=0, world_size=1)
    try:
        yield device
    finally:
        dist.destroy_process_group()


def _learnt(sharding_types: list[str]) -> list[str]:
    """Returns those whose tables the fused optimizer updates: one that every rank has whole would never learn."""
    return [kind for kind in sharding_types if kind != ShardingType.DATA_PARALLEL.value]


class _BagsSharder(EmbeddingBagCollectionSharder):
    def sharding_types(self, compute_device_type: str) -> list[str]:
        return _learnt(super().sharding_types(compute_device_type))


class _StepsSharder(EmbeddingCollectionSharder):
    def sharding_types(self, compute_device_type: str) -> list[str]:
        return _learnt(super().sharding_types(compute_device_type))


def shard(model: nn.Module, device: torch.device, *, embedding_learning_rate: float) -> DistributedModelParallel:
    """Places the tables where torchrec's planner says; a step updates only the rows it looked up.

    First weights depend neither on the device nor on the number of processes.

    Args:
        model: holds its embedding collections on the meta device.
        device: this rank's.
        embedding_learning_rate: of row-wise Adagrad, fused into the backward pass.
    """
    for module in model.modules():
        if isinstance(module, EmbeddingBagCollection | EmbeddingCollection):
            apply_optimizer_in_backward(RowWiseAdagrad, module.parameters(), {"lr": embedding_learning_rate})
    topology = Topology(world_size=dist.get_world_size(), compute_device=device.type)
    sharders = [_BagsSharder(), _StepsSharder()]
    sharders += [ManagedBagsSharder(), ManagedStepsSharder()]
    planner = EmbeddingShardingPlanner(topology=topology)
    plan = planner.collective_plan(model, sharders, dist.group.WORLD)
    drawn = _first_weights(model)
    placed = DistributedModelParallel(model, device=device, plan=plan, sharders=sharders)
    state = placed.state_dict()
    for name, first in drawn.items():
        for part in state[name].local_shards():
            first.fill(part.tensor, *part.metadata.shard_offsets)
    return placed


def _first_weights(model: nn.Module) -> dict[str, FirstWeights]:
    """Returns what each table of `models.foundation.tables` starts with, by the name of its parameter."""
    starts: dict[str, Any] = {}
    for name, module in model.named_modules():
        if isinstance(module, EmbeddingBagCollection):
            kind, configs = "embedding_bags", module.embedding_bag_configs()
        elif isinstance(module, EmbeddingCollection):
            kind, configs = "embeddings", module.embedding_configs()
        else:
            continue
        starts |= {f"{name}.{kind}.{config.name}.weight": config.init_fn for config in configs}
    return {name: first for name, first in starts.items() if isinstance(first, FirstWeights)}


def dense_parameters(model: DistributedModelParallel) -> list[nn.Parameter]:
    """Returns the parameters that no fused optimizer updates; the same on every rank, wherever the tables lie."""
    sharded = {id(p) for module in model.modules() if isinstance(module, ShardedModule) for p in module.parameters()}
    return [p for p in model.parameters() if id(p) not in sharded]


def any_rank(flag: bool, device: torch.device) -> bool:
    """Says whether the flag is set on any rank; every rank gets the same answer."""
    if dist.get_world_size() == 1:
        return flag
    value = torch.tensor([float(flag)], device=device)
    dist.all_reduce(value, op=dist.ReduceOp.MAX)
    return bool(value.item())


def summed(values: Sequence[float], device: torch.device) -> list[float]:
    """Returns sums over all ranks."""
    total = torch.tensor(values, dtype=torch.float64, device=device)
    if dist.get_world_size() > 1:
        dist.all_reduce(total)
    return [float(v) for v in total]


def _device(runtime: Runtime) -> torch.device:
    if runtime.device == "cuda" and not torch.cuda.is_available():
        raise RuntimeError("runtime.device is cuda, but torch finds no CUDA device here; set it to auto or cpu")
    if runtime.device == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    local_rank, devices = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if local_rank >= devices:
        raise RuntimeError(
            f"process {local_rank + 1} of this machine has no GPU to itself: torch finds {devices} CUDA devices here; "
            "lower the number of processes under foundation_model in platform.yaml"
        )
    return torch.device("cuda", local_rank)
