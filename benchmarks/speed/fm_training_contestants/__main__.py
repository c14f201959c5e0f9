"""Runs one contestant in this process and prints what it took, one line of JSON.

`python -m benchmarks.speed.fm_training_contestants NAME --rows N --steps N [--warmup N] [--windows N] [--held-out N]`
"""

import argparse
import json
import time
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.speed.fm_training_contestants import ENTRIES
from benchmarks.speed.fm_training_contestants.contestant import Contestant
from benchmarks.speed.fm_training_contestants.task import HELD_OUT, Task, make_batch, normalized_entropy
from training.foundation.cpu import use_cpu


def main() -> None:
    """Learns, on the clock; then, where asked, scores rows it has not seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=ENTRIES)
    parser.add_argument("--rows", type=int, required=True, help="of every table")
    parser.add_argument("--batch", type=int, default=4096, help="examples")
    parser.add_argument("--fields", type=int, default=26, help="categorical fields")
    parser.add_argument("--ids", choices=["zipf", "uniform"], default="zipf")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, required=True, help="on the clock")
    parser.add_argument("--warmup", type=int, default=3, help="steps before the clock starts")
    parser.add_argument("--windows", type=int, default=1, help="times the clock measures so many steps")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--dim", type=int, default=16, help="of an embedding")
    parser.add_argument("--held-out", type=int, default=0, help="batches to score after learning")
    a = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    task = Task(rows=a.rows, batch=a.batch, fields=a.fields, ids=a.ids, seed=a.seed, device=a.device, dim=a.dim)
    entry = ENTRIES[a.name]
    if entry.onednn:
        use_cpu(threads=1)
    with ExitStack() as stack:
        contestant = import_module(f"{__package__}.{entry.module}").build(task, entry.variant, stack)
        windows = [clock(contestant, task, steps=a.steps, warmup=0 if n else a.warmup) for n in range(a.windows)]
        result: dict[str, Any] = windows[0] | {"windows_s": [window["wall_s"] for window in windows]}
        result |= {"dense_parameters": contestant.dense_parameters, "peak_gb": _peak_bytes(a.device) / 1e9}
        if a.held_out:
            result |= _quality(contestant, task, a.held_out)
    print(json.dumps(result), flush=True)


def clock(contestant: Contestant, task: Task, *, steps: int, warmup: int) -> dict[str, float]:
    """Measures the seconds of the steps alone; each batch is made and laid out off the clock."""
    cpu = wall = 0.0
    for number in range(warmup + steps):
        prepared = contestant.prepare(make_batch(task, number))
        cpu_before, wall_before = time.process_time(), time.perf_counter()
        contestant.step(prepared)
        if number >= warmup:
            cpu += time.process_time() - cpu_before
            wall += time.perf_counter() - wall_before
    return {"examples": steps * task.batch, "cpu_s": cpu, "wall_s": wall}


def _quality(contestant: Contestant, task: Task, batches: int) -> dict[str, float]:
    held_out = [make_batch(task, HELD_OUT + number) for number in range(batches)]
    with torch.no_grad():
        scores = np.concatenate([contestant.score(contestant.prepare(batch)).numpy() for batch in held_out])
    labels = np.concatenate([batch.labels for batch in held_out])
    best = np.concatenate([batch.chances for batch in held_out])
    return {"ne": normalized_entropy(labels, scores), "ne_of_hidden_model": normalized_entropy(labels, best)}


def _peak_bytes(device: str) -> int:
    """Reads the most memory this process has had: VmHWM (getrusage counts its parent's memory too), or the GPU's."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


if __name__ == "__main__":
    main()
