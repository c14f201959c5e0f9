"""Sharded training: two ranks learn what one learns, and how torchrec's planner places 1e9 rows on many GPUs.

`two_ranks_ok`: one and two gloo ranks train on the same global batches from the same weights; both hold tables, and
their losses agree to 1e-4. `simulated`: plans for 8, 64 and 128 GPUs, made without any; step_ms is the planner's
estimate of the slowest rank's embedding work at an H100's bandwidths, without the dense network and latencies; and
imbalance is that rank's time over the mean.
"""

import argparse
import json
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from rich.console import Console
from torch import nn
from torch.distributed._shard.sharded_tensor.api import ShardedTensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torchrec.distributed.model_parallel import DistributedModelParallel

from benchmarks.placement import assumptions, plan
from benchmarks.report import report
from benchmarks.speed.fm_training_contestants import task as sizes
from benchmarks.speed.fm_training_contestants.platform_network import DCNV2, feature_names, foundation_batch
from benchmarks.speed.fm_training_contestants.task import Batch, Task, make_batch
from config import FoundationTraining, NumEmbeddings, Runtime
from models.architectures import ARCHITECTURES
from models.foundation.embedded_network import EmbeddedNetwork
from training.foundation.launcher import run_in_group
from training.foundation.parallel import dense_parameters, process_group, shard

CONSOLE = Console(stderr=True)
TOLERANCE = 1e-4  # between the two loss curves
GPUS = (8, 64, 128)

Result = dict[str, Any]


def main() -> None:
    """Trains on one and two ranks in turn, then plans."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few steps, 8 GPUs only; figures are not kept")
    parser.add_argument("--repeats", type=int, default=5, help="of the training, for its speed (default 5)")
    parser.add_argument("--rank-to", type=Path, help="train as one rank of a group; rank 0 writes its curve here")
    parser.add_argument("--steps", type=int, default=50, help="of the training (default 50)")
    parser.add_argument("--rows", type=int, default=100_000, help="of every table of the training (default 100000)")
    a = parser.parse_args()
    warnings.filterwarnings("ignore", module="torch")
    if a.rank_to:
        _train(Task(rows=a.rows, fields=8, dim=16), steps=a.steps, path=a.rank_to)
        return
    steps, rows, repeats, gpus = (5, 1000, 1, GPUS[:1]) if a.quick else (a.steps, a.rows, a.repeats, GPUS)
    figures = _two_ranks(steps=steps, rows=rows, repeats=repeats) | {"simulated": {}, "simulated_on": assumptions()}
    for count in gpus:
        figures["simulated"][str(count)] = result = plan(count)
        CONSOLE.print(f"{count} GPUs: {result}")
    command = f"python -m benchmarks.speed.sharding --repeats {repeats} --steps {steps} --rows {rows}"
    report("sharding", figures, command=command, packages=["torch", "torchrec", "fbgemm-gpu-cpu"], keep=not a.quick)


def _two_ranks(*, steps: int, rows: int, repeats: int) -> Result:
    runs: dict[int, list[Result]] = {1: [], 2: []}
    for repeat in range(repeats):
        for ranks, results in runs.items():
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "curve.json"
                run_in_group(
                    ["benchmarks.speed.sharding", "--rank-to", str(path), "--steps", str(steps), "--rows", str(rows)],
                    FoundationTraining(processes=ranks, restarts=0),
                    name=f"{ranks} ranks",
                )
                results.append(json.loads(path.read_text()))
            speed, shares = results[-1]["examples_per_s"], results[-1]["tables_by_rank"]
            CONSOLE.print(f"repeat {repeat + 1}/{repeats}: {ranks} ranks: {speed:,.0f} examples/s, tables {shares}")
    difference = float(np.abs(np.subtract(runs[1][0]["losses"], runs[2][0]["losses"])).max())
    both_hold_tables = all(runs[2][0]["tables_by_rank"])
    return {
        "two_ranks_ok": difference <= TOLERANCE and both_hold_tables,
        "largest_loss_difference": difference,
        "first_and_last_loss": [round(runs[1][0]["losses"][step], 4) for step in (0, -1)],
        "tables_by_rank": runs[2][0]["tables_by_rank"],
        "examples_per_s": {
            str(ranks): {
                "median": round(float(np.median(speeds))),
                "min": round(min(speeds)),
                "max": round(max(speeds)),
            }
            for ranks, speeds in ((ranks, [r["examples_per_s"] for r in results]) for ranks, results in runs.items())
        },
    }


def _train(task: Task, *, steps: int, path: Path) -> None:
    """Trains as one rank, which learns its share of each global batch."""
    with process_group(Runtime(device="cpu", torch_threads=1)) as device:
        rank, ranks = dist.get_rank(), dist.get_world_size()
        model = _model(task, device)
        optimizer = torch.optim.Adam(dense_parameters(model), lr=sizes.LEARNING_RATE, fused=True)
        names = feature_names(task)
        losses, seconds, warmup = [], 0.0, min(3, steps - 1)
        for number in range(steps):
            mine = _share(make_batch(task, number), rank, ranks)
            batch, labels = foundation_batch(mine, names), torch.from_numpy(mine.labels)
            dist.barrier()
            before = time.perf_counter()
            loss = binary_cross_entropy_with_logits(model(batch).logits, labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            seconds += time.perf_counter() - before if number >= warmup else 0.0
            everywhere = loss.detach().clone()
            dist.all_reduce(everywhere)
            losses.append(everywhere.item() / ranks)
        tables = [len(placed) for placed in _placed(model, ranks)]
        if rank == 0:
            speed = (steps - warmup) * task.batch / seconds
            path.write_text(json.dumps({"losses": losses, "examples_per_s": speed, "tables_by_rank": tables}))


def _model(task: Task, device: torch.device) -> DistributedModelParallel:
    """Builds a DCNv2 whose weights do not depend on how it is sharded."""
    torch.manual_seed(task.seed)
    network = EmbeddedNetwork(
        ARCHITECTURES["dcnv2"],
        DCNV2 | {"rank": sizes.CROSS_RANK},
        sparse=feature_names(task),
        num_dense=task.dense,
        num_embeddings=NumEmbeddings(user_id=task.rows, item_id=task.rows, other=task.rows),
        embedding_dim=task.dim,
        sequence_length=0,
    )
    model = shard(network, device, embedding_learning_rate=sizes.EMBEDDING_LEARNING_RATE)
    for number, (_, table) in enumerate(_tables(model)):
        whole = torch.from_numpy(np.random.default_rng([task.seed, number]).normal(0, 0.01, tuple(table.size())))
        for piece in table.local_shards():
            (row, column), (height, width) = piece.metadata.shard_offsets, piece.metadata.shard_sizes
            piece.tensor.detach().copy_(whole[row : row + height, column : column + width])
    return model


def _tables(model: nn.Module) -> list[tuple[str, ShardedTensor]]:
    return [(name, value) for name, value in sorted(model.state_dict().items()) if isinstance(value, ShardedTensor)]


def _placed(model: nn.Module, ranks: int) -> list[set[str]]:
    """Returns the names of the tables that each rank holds, or holds a part of."""
    placed: list[set[str]] = [set() for _ in range(ranks)]
    for name, table in _tables(model):
        for piece in table.metadata().shards_metadata:
            rank = getattr(piece.placement, "rank", lambda: None)()
            assert isinstance(rank, int), f"{name}: no rank in {piece.placement}"
            placed[rank].add(name)
    return placed


def _share(batch: Batch, rank: int, ranks: int) -> Batch:
    mine = slice(rank * len(batch.labels) // ranks, (rank + 1) * len(batch.labels) // ranks)
    return Batch(batch.ids[mine], batch.dense[mine], batch.labels[mine], batch.chances[mine])


if __name__ == "__main__":
    main()
