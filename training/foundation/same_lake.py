"""Whether all processes that train together work on the same data, asked before any of them works."""

import socket
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch.distributed as dist

from storage import PartitionMissing


def check_same_lake(folder: Path, inputs: Callable[[], Mapping[str, Any]]) -> None:
    """Compares what the processes of the group read, and whether they share the folder they write to.

    Args:
        folder: that each of them must see, with what the others put there; made where it is missing.
        inputs: computes what this process reads, comparable, by what it is called.

    Raises:
        ValueError: on every rank, where one differs from rank 0; says which, on which machine, and in what.
        PartitionMissing: where all of them miss the same.
    """
    if dist.get_world_size() == 1:
        return
    try:
        mine, missing = dict(inputs()), None
    except PartitionMissing as error:
        mine, missing = {}, error
    seen: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(seen, (mine, missing and str(missing), _mark_seen(folder), socket.gethostname()))
    expected, missed, _, first = seen[0]
    for rank, (read, lacks, shares, host) in enumerate(seen):
        other = f"rank {rank} on {host}"
        if lacks != missed:
            who, what = (other, lacks) if lacks else (f"rank 0 on {first}", missed)
            raise ValueError(f"{who} does not see the lake that others do: {what}. {_WHAT_TO_DO}")
        if read != expected:
            differing = sorted(n for n in read.keys() | expected.keys() if read.get(n) != expected.get(n))
            raise ValueError(f"{other} has another {differing[0]} than rank 0 on {first}. {_WHAT_TO_DO}")
        if not shares:
            raise ValueError(f"{other} does not see what rank 0 on {first} writes to {folder}. {_WHAT_TO_DO}")
    if missing:
        raise missing


_WHAT_TO_DO = "Every machine needs the same platform.yaml, and the same folder mounted as storage.root"


def _mark_seen(folder: Path) -> bool:
    """Says whether this rank sees a file that rank 0 puts into the folder."""
    names: list[Any] = [f".seen-by-all.{uuid.uuid4().hex}"]
    dist.broadcast_object_list(names)
    mark = folder / names[0]
    if dist.get_rank() == 0:
        folder.mkdir(parents=True, exist_ok=True)
        mark.touch()
    dist.barrier()
    seen = mark.exists()
    dist.barrier()
    if dist.get_rank() == 0:
        mark.unlink()
    return seen
