"""Wukong against DCNv2 over a range of sizes: NE of days not yet learnt, against the operations of an example.

    python -m benchmarks.studies.scaling_law

Four sizes of each, the one's and the other's of about equal forward FLOPs, some 20 times as many in the largest as in
the smallest; tables of width 16 for all. NE falls by `ne_slope_per_log4_flops` (a negative number) each time FLOPs are
quadrupled: a line through all sizes, fitted for each seed, with a 95 % interval over seeds. Wukong's paper
(arXiv:2403.02545) claims a straight line, and that DCNv2's bends.

`--events` is the size of the generated log. Every run is one line of `runs.jsonl` in the work folder; a study that was
stopped continues where it was.
"""

import logging
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import cache
from itertools import product
from math import log
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.figure import Figure

from benchmarks.report import report
from benchmarks.studies.command_line import study_parser
from benchmarks.studies.whole_log import whole_log
from config import ROOT, load_config
from quality.metrics import evaluate
from quality.seed_intervals import interval
from search.trials import Row, execute, finished
from training.foundation.progressive_log import ProgressiveLog

EMBEDDING_DIM = 16
LADDERS: dict[str, list[dict[str, Any]]] = {
    "wukong": [
        {"num_layers": 1, "num_fmb_tokens": 4, "num_lcb_tokens": 4, "rank": 4, "mlp": [32], "head": [64, 32]},
        {"num_layers": 2, "num_fmb_tokens": 4, "num_lcb_tokens": 4, "rank": 8, "mlp": [96], "head": [128, 32]},
        {"num_layers": 2, "num_fmb_tokens": 8, "num_lcb_tokens": 8, "rank": 16, "mlp": [160], "head": [128, 64]},
        {"num_layers": 3, "num_fmb_tokens": 8, "num_lcb_tokens": 8, "rank": 16, "mlp": [320], "head": [256, 64]},
    ],
    "dcnv2": [
        {"num_cross_layers": 1, "rank": 8, "deep": [40, 32], "head": [32]},
        {"num_cross_layers": 2, "rank": 16, "deep": [96, 64], "head": [64]},
        {"num_cross_layers": 2, "rank": 48, "deep": [224, 128], "head": [128]},
        {"num_cross_layers": 3, "rank": 96, "deep": [448, 256], "head": [256]},
    ],
}
DAYS = {"synthetic": 70, "complete_journey": 24}  # of the log, from its first; a complete_journey day is a week
JUDGED_DAYS = 3
FULL_EVENTS = 5_000_000
QUICK_EVENTS, QUICK_DAYS = 6000, 3


@dataclass(frozen=True)
class Run:
    """One size of one architecture over one log."""

    data_set: str
    events: int | None  # of the generated log
    architecture: str
    size: int  # index in its ladder
    seed: int

    @property
    def key(self) -> dict[str, object]:
        """Returns what names the run in the file of results."""
        return asdict(self)


def main() -> None:
    """Makes the runs that are missing, then reports what there is."""
    parser = study_parser(__doc__, seeds=3, quick="two seeds on a small log; figures are not kept")
    parser.add_argument("--events", type=int, default=FULL_EVENTS, help=f"of the synthetic log (default {FULL_EVENTS})")
    a = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    torch.set_num_threads(1)
    work = a.work / ("scaling_law_quick" if a.quick else "scaling_law")
    if a.quick:
        shutil.rmtree(work, ignore_errors=True)  # nothing of the last look is used again
    work.mkdir(parents=True, exist_ok=True)
    days = {"synthetic": QUICK_DAYS} if a.quick else DAYS
    events, seeds = (QUICK_EVENTS, 2) if a.quick else (a.events, a.seeds)

    @cache
    def progressive_log(data_set: str) -> ProgressiveLog:
        first = load_config(ROOT / "platform.yaml").sources[data_set].first_day
        generated = data_set == "synthetic"
        config, day = whole_log(
            data_set,
            work / "logs" / (f"{data_set}_{events}" if generated else data_set),
            last_day=first + timedelta(days=days[data_set] - 1),
            events_per_day=-(-events // days[data_set]) if generated else None,
        )
        return ProgressiveLog.of(config, [day], judged_days=min(JUDGED_DAYS, days[data_set] - 1))

    def run(trial: Run) -> Row:
        log_ = progressive_log(trial.data_set)
        settings = {
            "architecture": trial.architecture,
            "hyperparameters": LADDERS[trial.architecture][trial.size],
            "embedding_dim": EMBEDDING_DIM,
        }
        foundation = log_.config.foundation_model.changed(**settings)
        return log_.run(foundation, seed=trial.seed, what=_described(trial)).figures | {
            "reachable_ne": _reachable(log_)
        }

    if not a.report:
        planned = list(runs(days, events=events, seeds=seeds))
        execute(planned, work / "runs.jsonl", run, total=len(planned), describe=_described, minutes=a.minutes)
    results = figures([row for row in finished(work / "runs.jsonl") if row["events"] in (None, events)])
    if not a.quick:
        plot(results, ROOT / "docs" / "images" / "scaling_law.svg")
    report(
        "scaling_law",
        results | {"ladders": LADDERS, "embedding_dim": EMBEDDING_DIM},
        command=f"python -m benchmarks.studies.scaling_law --events {events} --seeds {seeds}",
        packages=["torch", "torchrec"],
        keep=not a.quick,
    )


def runs(data_sets: Iterable[str], *, events: int, seeds: int) -> Iterator[Run]:
    """Yields every size on every log with the first seed, then with the next."""
    for seed, data_set, size, architecture in product(range(seeds), data_sets, range(len(LADDERS["wukong"])), LADDERS):
        yield Run(data_set, events if data_set == "synthetic" else None, architecture, size, seed)


def figures(rows: list[Row]) -> dict[str, Any]:
    """Computes slopes, and the points they are fitted to, by data set; figures whose runs are missing are left out."""
    return {
        name: _of_log([row for row in rows if row["data_set"] == name]) for name in {r["data_set"]: 0 for r in rows}
    }


def _of_log(rows: list[Row]) -> dict[str, Any]:
    slopes = {architecture: slopes_by_seed(rows, architecture) for architecture in LADDERS}
    wukong = interval(slopes["wukong"].values())
    both = sorted(slopes["wukong"].keys() & slopes["dcnv2"].keys())
    steeper = interval(slopes["wukong"][seed] - slopes["dcnv2"][seed] for seed in both)
    results: dict[str, Any] = {
        "rows_learnt": rows[0]["rows_learnt"],
        "rows_judged": rows[0]["rows"],
        "reachable_ne": rows[0]["reachable_ne"],
        "ne_slope_per_log4_flops": wukong and wukong["mean"],
        "ci": wukong and [wukong.get("low"), wukong.get("high")],
        "dcn_slope": interval(slopes["dcnv2"].values()),
        "slope_difference": steeper,
        "wukong_falls": _outcome(wukong),
        "wukong_falls_faster": _outcome(steeper),
        "seeds": len(slopes["wukong"]),
    }
    return results | {"points": [point for name in LADDERS for point in _points(rows, name)], "sizes": _by_size(rows)}


def _points(rows: list[Row], architecture: str) -> list[dict[str, Any]]:
    points = []
    for size in range(len(LADDERS[architecture])):
        of_size = [row for row in rows if (row["architecture"], row["size"]) == (architecture, size)]
        if of_size:
            points.append(
                {"architecture": architecture, "size": size}
                | {name: of_size[0][name] for name in ("flops_per_example", "dense_parameters")}
                | {name: interval(row[name] for row in of_size) for name in ("ne", "auc")}
                | {"seconds": float(np.median([row["seconds"] for row in of_size]))}
            )
    return points


def _by_size(rows: list[Row]) -> list[dict[str, Any]]:
    """Computes NE of Wukong minus that of DCNv2 of about equal FLOPs, over the seeds that both have."""
    by_run = {(row["architecture"], row["size"], row["seed"]): row["ne"] for row in rows}
    seeds = sorted({row["seed"] for row in rows})
    differences = []
    for size in range(len(LADDERS["wukong"])):
        one, other = ({s: by_run.get((name, size, s)) for s in seeds} for name in ("wukong", "dcnv2"))
        pairs = [(one[s], other[s]) for s in seeds]
        differences.append(
            {"size": size, "ne_difference": interval(a - b for a, b in pairs if a is not None and b is not None)}
        )
    return differences


def slopes_by_seed(rows: list[Row], architecture: str) -> dict[int, float]:
    """Fits the slope of NE for four times the FLOPs, of each seed that has every size."""
    by_seed: dict[int, list[tuple[float, float]]] = {}
    for row in rows:
        if row["architecture"] == architecture:
            by_seed.setdefault(row["seed"], []).append((row["flops_per_example"], row["ne"]))
    whole = {seed: points for seed, points in by_seed.items() if len(points) == len(LADDERS[architecture])}
    return {seed: slope_per_log4(*zip(*points, strict=True)) for seed, points in whole.items()}


def slope_per_log4(flops: Iterable[float], ne: Iterable[float]) -> float:
    """Fits the least-squares slope of NE against log4 FLOPs."""
    return float(np.polyfit([log(f, 4) for f in flops], list(ne), 1)[0])


def _outcome(measured: dict[str, float] | None) -> str:
    if measured is None or "low" not in measured:
        return "too few seeds"
    return "holds" if measured["high"] < 0 else "fails" if measured["low"] > 0 else "not separated"


def _reachable(log_: ProgressiveLog) -> float | None:
    return None if log_.truth is None else evaluate(log_.labels, log_.truth).ne


def _described(run: Run) -> str:
    return f"{run.data_set}: {run.architecture} of size {run.size + 1}, seed {run.seed}"


def plot(results: dict[str, Any], path: Path) -> None:
    """Writes one SVG: NE against FLOPs, with intervals over seeds, and the fitted lines."""
    with mpl.rc_context({"svg.hashsalt": "headwater", "font.size": 9, "axes.spines.top": False}):
        figure = Figure(figsize=(4.6 * len(results), 3.4), layout="constrained")
        for column, (data_set, of_log) in enumerate(results.items()):
            axes = figure.add_subplot(1, len(results), column + 1)
            for n, name in enumerate(LADDERS):
                points = [point for point in of_log["points"] if point["architecture"] == name]
                flops, ne = [p["flops_per_example"] for p in points], [p["ne"]["mean"] for p in points]
                half = [p["ne"].get("high", p["ne"]["mean"]) - p["ne"]["mean"] for p in points]
                axes.errorbar(flops, ne, yerr=half, fmt="o", capsize=2, markersize=3, color=f"C{n}", label=name)
                if len(points) > 1:
                    line = np.polyfit(np.log(flops), ne, 1)
                    axes.plot(flops, np.polyval(line, np.log(flops)), color=f"C{n}", linewidth=0.8)
            axes.set_xscale("log")
            axes.set_xlabel("FLOPs an example, forward, dense")
            axes.set_ylabel("NE, lower is better")
            axes.set_title(f"{data_set}: {of_log['rows_learnt']:,} impressions".replace(",", " "), fontsize=9)
            axes.grid(visible=True, alpha=0.3)
            axes.legend(fontsize=7)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
