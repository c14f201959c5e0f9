"""A table of ranking architectures trained on kuairand: what searchers are tried on without training anything.

    python -m benchmarks.studies.ranking_table --kuairand ~/KuaiRand-Pure/data

Every cell of a grid in the space of ranking models is trained over the whole log in time order, in one pass, and judged
on each of its last six days before it learns them: three days to choose by, three later ones to report. Cells come in
an order drawn by chance, so those of an unfinished table are a fair sample of it. `--workers 2` trains two at a time,
`--device cuda` trains on a GPU: a model starts there with the same weights and differs by rounding.

The table is `benchmarks/tables/ranking_kuairand.csv`, a line a training: a column a choice, then NE of both stretches,
the NE of every day while it was learnt (`curve`), FLOPs of an example, dense parameters, seconds on a busy machine,
the seed, and on what kind of device it was trained. What it has is not trained again, so it grows from call to call.
"""

import argparse
import csv
import logging
import multiprocessing
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import product
from pathlib import Path

import numpy as np
import torch

import storage
from benchmarks.report import report
from benchmarks.studies.command_line import study_parser
from benchmarks.studies.whole_log import whole_log
from config import ROOT, PlatformConfig, load_config
from quality.metrics import evaluate
from search.choices import Value
from search.foundation_trials import foundation_inputs
from search.space import Params, Space
from search.spaces.ranking import RankingSpace
from search.trials import Row, execute, finished, name_of
from training.foundation.progressive_log import ProgressiveLog

TABLE = Path(__file__).parents[1] / "tables" / "ranking_kuairand.csv"
HISTORY_LENGTH = 20
CHOSEN_ON, REPORTED_ON = 3, 3  # days
ORDER_SEED = 0
REPEATED, SEEDS = 30, 3  # the best so many cells are trained with so many seeds

# What the grid varies; of the space's other choices, FIXED. A second block is as the first.
GRID: dict[str, tuple[Value, ...]] = {
    "tokens": ("none", "lcb+fmb", "attention"),
    "pairs": ("none", "dot", "fm"),
    "vector": ("none", "linear", "gate", "cross"),
    "blocks": (1, 2),
    "dense_tokens": (0, 4),
    "history": (False, True),
    "embedding_learning_rate": (0.01, 0.05),
    "first_embeddings": (0.0, 0.05),
}
FIXED: dict[str, Value] = {
    "embedding_dim": 16,
    "asks": 0,
    "tokens_out": True,
    "raw_out": False,
    "head": "128-64",
    "learning_rate": 0.001,
    "warmup_steps": 0,
    "weight_decay": 0.0,
}
NAMES = ("cell", "seed")  # of a training
COUNT, WIDTH = 8, 128  # of every block
FIGURES = ("ne", "ne_later", "curve", "flops", "parameters", "seconds")


@dataclass(frozen=True)
class Cell:
    """One model of the grid."""

    cell: dict[str, Value]
    seed: int

    @property
    def key(self) -> dict[str, object]:
        """Returns what names the run in the file of results."""
        return {"cell": self.cell, "seed": self.seed}

    @property
    def params(self) -> Params:
        """Returns the cell as params of the space of ranking models with two blocks."""
        params = FIXED | {n: v for n, v in self.cell.items() if n not in ("tokens", "pairs", "vector", "blocks")}
        for block in (1, 2):
            ops = {op: self.cell[op] if block <= int(self.cell["blocks"]) else "none" for op in _OPERATIONS}
            params |= {f"{op}_{block}": kind for op, kind in ops.items()}
            params |= {f"count_{block}": COUNT, f"width_{block}": WIDTH}
        return params | {"reads_2": "previous"}


_OPERATIONS = ("tokens", "pairs", "vector")


def cells(space: Space) -> list[dict[str, Value]]:
    """Returns the grid's cells that are different models, in the order in which they are trained."""
    seen, different = set(), []
    for values in product(*GRID.values()):
        cell = dict(zip(GRID, values, strict=True))
        key = space.key(Cell(cell, 0).params)
        if key not in seen:
            seen.add(key)
            different.append(cell)
    np.random.default_rng(ORDER_SEED).shuffle(different)
    return different


def main() -> None:
    """Trains the cells that are missing, then writes the table of those there are."""
    parser = study_parser(
        __doc__, seeds=SEEDS, quick="six small models on a small log; no table is written", kuairand=True
    )
    parser.add_argument("--workers", type=int, default=1, help="processes (default 1)")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="which trains (default cpu)")
    a = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    work = a.work / ("ranking_table_quick" if a.quick else "ranking_table")
    work.mkdir(parents=True, exist_ok=True)
    if not a.report:
        if a.workers == 1:
            _work(a, work, 0)
        else:
            _log(a, work)  # made once
            context = multiprocessing.get_context("spawn")
            workers = [context.Process(target=_work, args=(a, work, n)) for n in range(a.workers)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
    rows = _rows(work, kept=not a.quick)
    if not a.quick:
        _write(rows)
    first = [row for row in rows if row["seed"] == 0]
    report(
        "ranking_table",
        {
            "cells": len(first),
            "best_ne": min(row["ne"] for row in first),
            "worst_ne": max(row["ne"] for row in first),
            "hours": round(sum(row["seconds"] for row in rows) / 3600, 2),
        },
        command="python -m benchmarks.studies.ranking_table --kuairand FOLDER",
        packages=["torch", "torchrec"],
        keep=not a.quick,
    )


def _work(a: argparse.Namespace, work: Path, worker: int) -> None:
    torch.set_num_threads(1)
    log = _log(a, work)
    space = RankingSpace.of(foundation_inputs(log.config), target="foundation", blocks=2)
    order = cells(space)
    if a.quick:
        order = order[:6]
    path = work / f"runs{worker}.jsonl"

    there = {name_of(row, NAMES) for row in _rows(work, kept=not a.quick)}

    def planned() -> Iterator[Cell]:
        yield from share([Cell(cell, 0) for cell in order])
        rows = [row for row in _rows(work, kept=not a.quick) if row["seed"] == 0]
        best = sorted(rows, key=lambda row: row["ne"])[: 0 if a.quick else REPEATED]
        again = [Cell(row["cell"], seed) for seed in range(1, a.seeds) for row in best]
        yield from share(again)

    def share(planned: list[Cell]) -> Iterator[Cell]:
        return (cell for cell in planned[worker :: a.workers] if name_of(cell.key, NAMES) not in there)

    execute(
        planned(),
        path,
        lambda cell: train(log, space, cell.params, seed=cell.seed) | {"device": a.device},
        total=len(order[worker :: a.workers]),
        describe=lambda cell: "ranking architectures",
        minutes=a.minutes,
    )


def train(log: ProgressiveLog, space: RankingSpace, params: Params, *, seed: int) -> Row:
    """Trains and judges a model of the space."""
    settings = log.config.foundation_model.changed(**space.settings(space.canonical(params)))
    judged = log.run(settings, seed=seed, what="cell")
    reported = judged.days >= judged.days.max() + 1 - REPORTED_ON
    ne, later = (evaluate(log.labels[rows], judged.probabilities[rows]).ne for rows in (~reported, reported))
    figures = judged.figures
    return {
        "ne": ne,
        "ne_later": later,
        "curve": figures["curve"],
        "flops": figures["flops_per_example"],
        "parameters": figures["dense_parameters"],
        "seconds": figures["seconds"],
    }


def ranking_log(folder: Path, *, kuairand: str | None, quick: bool) -> tuple[PlatformConfig, date]:
    """Lands the log that ranking models learn, once.

    Args:
        folder: keeps it.
        kuairand: folder of KuaiRand-Pure's files.
        quick: eight days of a small generated log in its place.

    Returns:
        The settings, and the day whose partitions hold the whole log.
    """
    if quick:
        last = load_config(ROOT / "platform.yaml").sources["synthetic"].first_day + timedelta(days=7)
        log = whole_log("synthetic", folder, last_day=last, events_per_day=1000, history_length=HISTORY_LENGTH)
    else:
        log = whole_log("kuairand", folder, path=kuairand, history_length=HISTORY_LENGTH)
    # The models that are kept were judged by the weights that learn.
    return log[0].changed(foundation_model={"optimizer": {"ema_decay": 0.0}}), log[1]


def judged_log(config: PlatformConfig, day: date) -> ProgressiveLog:
    """Returns a log of `ranking_log` with the days by which models are chosen and reported on judged."""
    return ProgressiveLog.of(config, [day], judged_days=CHOSEN_ON + REPORTED_ON)


def _log(a: argparse.Namespace, work: Path) -> ProgressiveLog:
    config, day = ranking_log(work / "log", kuairand=a.kuairand, quick=a.quick)
    return judged_log(config.changed(runtime={"device": a.device}), day)


def _rows(work: Path, *, kept: bool) -> list[Row]:
    """Returns the trainings that the work folder has, and those of the kept table beside them."""
    rows = [row for path in sorted(work.glob("runs*.jsonl")) for row in finished(path)]
    there = {name_of(row, NAMES) for row in rows}
    return rows + [row for row in (kept_table() if kept else []) if name_of(row, NAMES) not in there]


def kept_table() -> list[Row]:
    """Reads the table's trainings; none where there is no table."""
    if not TABLE.exists():
        return []
    with TABLE.open(newline="") as file:
        return [_read(line) for line in csv.DictReader(file)]


def _read(line: dict[str, str]) -> Row:
    cell = {name: next(value for value in values if str(value) == line[name]) for name, values in GRID.items()}
    curve = [float(value) for value in line["curve"].split()]
    numbers = {name: float(line[name]) for name in FIGURES if name != "curve"}
    numbers |= {name: int(numbers[name]) for name in ("flops", "parameters")}
    return {"cell": cell, "seed": int(line["seed"]), "curve": curve, "device": line["device"]} | numbers


def _write(rows: list[Row]) -> None:
    TABLE.parent.mkdir(exist_ok=True)
    with storage.replace_file(TABLE) as path, path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*GRID, *FIGURES, "seed", "device"])
        writer.writeheader()
        for row in sorted(rows, key=lambda row: name_of(row, NAMES)):
            figures = {name: round(row[name], 5) for name in FIGURES if name != "curve"}
            figures["curve"] = " ".join(f"{value:.4f}" for value in row["curve"])
            writer.writerow(row["cell"] | figures | {"seed": row["seed"], "device": row["device"]})


if __name__ == "__main__":
    main()
