"""Places a model's embedding tables with torchrec's planner, on the process group of this machine."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.optim.apply_optimizer_in_backward import (
    _apply_optimizer_in_backward as apply_optimizer_in_backward,
)
from torchrec import EmbeddingBagCollection
from torchrec.distributed.embeddingbag import EmbeddingBagCollectionSharder
from torchrec.distributed.model_parallel import DistributedModelParallel
from torchrec.distributed.planner import EmbeddingShardingPlanner, Topology
from torchrec.optim.rowwise_adagrad import RowWiseAdagrad

from config import Runtime


@contextmanager
def process_group(runtime: Runtime) -> Iterator[torch.device]:
    """Makes a process group of this one process, which torchrec's sharding needs; yields its device.

    Raises:
        RuntimeError: runtime.device is cuda and there is no CUDA device.
    """
    device = _device(runtime)
    if device.type == "cpu":
        torch.set_num_threads(runtime.torch_threads)
    dist.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        init_method=f"tcp://127.0.0.1:{_free_port()}",
        rank=0,
        world_size=1,
    )
    try:
        yield device
    finally:
        dist.destroy_process_group()


def shard(model: nn.Module, device: torch.device, *, embedding_learning_rate: float) -> DistributedModelParallel:
    """Places the tables where torchrec's planner says; a step updates only the rows it looked up.

    Args:
        model: holds EmbeddingBagCollections on the meta device.
        device: this rank's.
        embedding_learning_rate: of row-wise Adagrad, fused into the backward pass.
    """
    for module in model.modules():
        if isinstance(module, EmbeddingBagCollection):
            apply_optimizer_in_backward(RowWiseAdagrad, module.parameters(), {"lr": embedding_learning_rate})
    topology = Topology(world_size=dist.get_world_size(), compute_device=device.type)
    sharders = [EmbeddingBagCollectionSharder()]
    planner = EmbeddingShardingPlanner(topology=topology)
    plan = planner.collective_plan(model, sharders, dist.group.WORLD)
    return DistributedModelParallel(model, device=device, plan=plan, sharders=sharders)


def dense_parameters(model: DistributedModelParallel) -> list[nn.Parameter]:
    """Parameters that the fused optimizer does not update."""
    fused = set(model.fused_optimizer.params)
    return [p for name, p in model.named_parameters() if name not in fused]


def _device(runtime: Runtime) -> torch.device:
    if runtime.device == "cuda" and not torch.cuda.is_available():
        raise RuntimeError("runtime.device is cuda, but torch finds no CUDA device here; set it to auto or cpu")
    if runtime.device == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", 0)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
