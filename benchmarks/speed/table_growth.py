"""Training speed as tables grow: examples a second of our training step at 1e5, 1e6 and 1e7 rows a table.

Ids are uniform, the worst case for caches. Beside each speed stands what the machine can do at that size, the bandwidth
of gathering the same rows from tables of that size, and the share of it that the bytes of a training step reach. A
size's runs take turns with the other sizes', each in a process of its own with one thread.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from typing import Any

import torch
from rich.console import Console
from torch import Tensor
from torch.nn.functional import embedding_bag

from benchmarks.report import report
from benchmarks.speed.fm_training_contestants.__main__ import clock
from benchmarks.speed.fm_training_contestants.platform_network import build
from benchmarks.speed.fm_training_contestants.task import Task, make_batch
from config import ROOT

CONSOLE = Console(stderr=True)
SIZES = {"1e5": 100_000, "1e6": 1_000_000, "1e7": 10_000_000}
QUICK_SIZES = {"1e5": 1000, "1e6": 10_000, "1e7": 100_000}
TABLES = 4
DIM = 16
ARCHITECTURE = "dcnv2"
WARMUP = 12  # steps; after them nearly every page of Adagrad's state has been touched, also at 1e7 rows
# Of one looked-up row: read forward; read and written backward; Adagrad's one state, read and written.
TRAINED_BYTES = 3 * DIM * 4 + 2 * 4

Result = dict[str, Any]


def main() -> None:
    """Measures all sizes in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tables a hundredth as large; figures are not kept")
    parser.add_argument("--repeats", type=int, default=5, help="(default 5)")
    parser.add_argument("--measure", type=int, metavar="ROWS", help="measure this size in this process")
    parser.add_argument("--seed", type=int, default=0, help="of --measure")
    a = parser.parse_args()
    if a.measure:
        print(json.dumps(_measure(a.measure, seed=a.seed, steps=5 if a.quick else 60)), flush=True)
        return
    sizes, repeats = (QUICK_SIZES, 1) if a.quick else (SIZES, a.repeats)
    runs: dict[str, list[Result]] = {size: [] for size in sizes}
    for repeat in range(repeats):
        for size, rows in sizes.items():
            result = _in_a_process(rows, seed=repeat, quick=a.quick)
            runs[size].append(result)
            CONSOLE.print(
                f"repeat {repeat + 1}/{repeats}, {size} rows: {result['per_cpu_s']:,.0f} examples per CPU-second, "
                f"gather {result['gather_gb_per_s']:.2f} GB/s, step reaches {result['share_of_gather']:.0%} of it"
            )
    figures: Result = {"tables": TABLES, "dim": DIM, "repeats": repeats}
    small, *_, large = runs.values()
    for name, key in (("ratio_1e7_over_1e5", "per_cpu_s"), ("gather_ratio_1e7_over_1e5", "gather_gb_per_s")):
        figures[name] = _summary([b[key] / a[key] for a, b in zip(small, large, strict=True)])
    figures["by_rows"] = {
        size: {key: _summary([r[key] for r in results]) for key in results[0]} for size, results in runs.items()
    }
    command = f"python -m benchmarks.speed.table_growth --repeats {repeats}"
    report("table_growth", figures, command=command, packages=["torch", "torchrec", "fbgemm-gpu-cpu"], keep=not a.quick)


def _in_a_process(rows: int, *, seed: int, quick: bool) -> Result:
    command = [sys.executable, "-m", "benchmarks.speed.table_growth", "--measure", str(rows), "--seed", str(seed)]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command + ["--quick"] * quick, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True, check=True
    )
    result: Result = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def _measure(rows: int, *, seed: int, steps: int) -> Result:
    torch.set_num_threads(1)
    task = Task(rows=rows, batch=4096, fields=TABLES, dim=DIM, ids="uniform", seed=seed)
    with ExitStack() as stack:
        trained = clock(build(task, ARCHITECTURE, stack), task, steps=steps, warmup=WARMUP)
    gathered = _gather_bytes_per_s(task, steps=steps)
    speed = trained["examples"] / trained["cpu_s"]
    return {
        "per_cpu_s": speed,
        "per_wall_s": trained["examples"] / trained["wall_s"],
        "gather_gb_per_s": gathered / 1e9,
        "share_of_gather": speed * TABLES * TRAINED_BYTES / gathered,
    }


def _gather_bytes_per_s(task: Task, *, steps: int) -> float:
    """Measures the bytes of rows a CPU-second that a lookup of the same ids reads, from tables of the same size."""
    tables = [torch.zeros(task.rows, task.dim).fill_(1.0) for _ in range(task.fields)]
    offsets = torch.arange(task.batch)
    cpu = 0.0
    for number in range(WARMUP + steps):
        ids = torch.from_numpy(make_batch(task, number).ids.T.copy())  # (fields, B)
        before = time.process_time()
        _gather(tables, ids, offsets)
        cpu += time.process_time() - before if number >= WARMUP else 0.0
    return steps * task.batch * task.fields * task.dim * 4 / cpu


def _gather(tables: list[Tensor], ids: Tensor, offsets: Tensor) -> None:
    for table, of_table in zip(tables, ids, strict=True):
        embedding_bag(of_table, table, offsets, mode="sum")


def _summary(values: list[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), 4),
        "min": round(min(values), 4),
        "max": round(max(values), 4),
    }


if __name__ == "__main__":
    main()
