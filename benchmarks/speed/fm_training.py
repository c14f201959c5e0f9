"""Training of foundation models: examples a second and peak memory, ours beside other libraries on the same data.

Every contestant first shows on held-out rows what it has learnt (normalized entropy, NE). Then all take the same steps
in turn, A B C A B C, each time in a process of its own with one thread. Ratios are of examples per CPU-second, ours
over theirs of the same shape, the median over the repeats; the best peer is the one with the least ratio. Every peer
takes part twice: with torch's default matrix products, and, in the ratios with `onednn` in their names, with ours
(`use_cpu`). `ratio_bf16` is ours in half precision over ours in full. A ratio without a size in its name is the one
of the size that is worse for us; `ratio_peak_memory` is ours over the least of the other DCNv2 models at the largest
tables that one of them could train.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

from benchmarks.report import report
from benchmarks.speed.fm_training_contestants import ENTRIES
from benchmarks.speed.peer_environment import NotInstalled, peer_python
from config import ROOT

CONSOLE = Console(stderr=True)
OURS, OUR_WUKONG = "dcnv2", "wukong"
HALVES = {"dcnv2": "dcnv2_bf16", "dcnv2_full_rank": "dcnv2_full_rank_bf16"}
TORCHREC, FUXICTR = "torchrec_dlrm_dcn", "fuxictr_wukong"
PRODUCTS = ("", "_onednn")  # ends of a peer's name, by who computes its matrix products: torch's default, or oneDNN
# Each with ours of the same shape: low-rank crosses or full matrices.
PEERS = {"deepctr_dcn": "dcnv2_full_rank", "deepctr_dcnmix": OURS, "rechub_dcnv2": OURS}
FIELDS, DIM = 26, 16
SIZES = {"1e4": 10_000, "1e6": 1_000_000}
TIMEOUT_S = 1800
GB = 1e9

Result = dict[str, Any]


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    sizes: dict[str, int]  # rows of every table
    batch: int
    repeats: int
    steps: dict[str, int]  # on the clock
    steps_dense: dict[str, int]  # the same for those that update whole tables: at 1e6 rows a step takes seconds
    learning_steps: int
    learning_rows: int
    held_out: int  # batches


FULL = Scale(SIZES, 4096, 5, {"1e4": 30, "1e6": 30}, {"1e4": 30, "1e6": 4}, 100, 10_000, 25)
QUICK_CONTESTANTS = (OURS, TORCHREC, "deepctr_dcnmix")
QUICK = Scale({"1e4": 1000}, 256, 1, {"1e4": 5}, {"1e4": 5}, 5, 1000, 2)


def main() -> None:
    """Runs all contestants that can run here."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, three contestants; figures are not kept")
    parser.add_argument("--batch", type=int, default=FULL.batch, help=f"examples (default {FULL.batch})")
    parser.add_argument("--repeats", type=int, default=FULL.repeats, help=f"(default {FULL.repeats})")
    parser.add_argument("--only", nargs="+", choices=ENTRIES, help="contestants (default all); figures are not kept")
    a = parser.parse_args()
    scale = QUICK if a.quick else Scale(**(vars(FULL) | {"batch": a.batch, "repeats": a.repeats}))
    pythons, skipped = _pythons(a.only or (QUICK_CONTESTANTS if a.quick else ENTRIES))
    quality = {name: _learn(name, python, scale) for name, python in pythons.items()}
    runs: dict[str, dict[str, list[Result]]] = {size: {name: [] for name in pythons} for size in scale.sizes}
    for repeat in range(scale.repeats):
        for size, rows in scale.sizes.items():
            for name, python in pythons.items():
                if reason := _too_large(name, rows):
                    skipped[f"{name} at {size}"] = reason
                    continue
                own = ENTRIES[name].own_tables
                result = _run(
                    name, python, rows=rows, batch=scale.batch, steps=(scale.steps if own else scale.steps_dense)[size],
                    warmup=3 if own or size == "1e4" else 1, seed=repeat,
                )  # fmt: skip
                if "error" in result:
                    skipped[f"{name} at {size}"] = result["error"]
                    continue
                runs[size][name].append(result)
                _say(f"repeat {repeat + 1}/{scale.repeats}, {size} rows", name, result)
    figures = _ratios(runs, skipped) | {
        "batch": scale.batch,
        "repeats": scale.repeats,
        "examples_per_s": {size: {n: _summary(r) for n, r in by_name.items() if r} for size, by_name in runs.items()},
        "quality": quality,
        "skipped": skipped,
    }
    command = f"python -m benchmarks.speed.fm_training --batch {scale.batch} --repeats {scale.repeats}"
    report("fm_training", figures, command=command, packages=["torch", "torchrec"], keep=not a.quick and not a.only)


def _pythons(names: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Returns the contestants that can run here with their Python, and the others with the reason."""
    pythons: dict[str, str] = {}
    skipped: dict[str, str] = {}
    for name in names:
        if name.startswith(FUXICTR) and not (Path(os.environ.get("FUXICTR_HOME", "")) / "model_zoo/WuKong").is_dir():
            skipped[name] = "FUXICTR_HOME names no checkout of FuxiCTR; its package has no WuKong"
            continue
        try:
            pythons[name] = sys.executable if ENTRIES[name].environment == "jobs" else peer_python()
        except NotInstalled as error:
            skipped[name] = f"the benchmarks environment cannot be installed here: {error}"
    for name, reason in skipped.items():
        CONSOLE.print(f"skipped: {name}: {reason}")
    return pythons, skipped


def _learn(name: str, python: str, scale: Scale) -> Result:
    """Measures what a contestant has learnt after `learning_steps`."""
    result = _run(
        name,
        python,
        rows=scale.learning_rows,
        batch=scale.batch,
        steps=scale.learning_steps,
        warmup=0,
        held_out=scale.held_out,
    )
    if "error" in result:
        CONSOLE.print(f"learning: {name}: {result['error']}")
        return {"error": result["error"]}
    CONSOLE.print(f"learning: {name}: NE {result['ne']:.4f}, of the hidden model {result['ne_of_hidden_model']:.4f}")
    keys = ("ne", "ne_of_hidden_model", "dense_parameters")
    return {key: round(result[key], 5) for key in keys} | {"examples": result["examples"]}


def _run(name: str, python: str, **options: int) -> Result:
    """Runs one process; returns its figures, or the last line of its error."""
    command = [python, "-m", "benchmarks.speed.fm_training_contestants", name]
    for option, value in options.items():
        command += [f"--{option.replace('_', '-')}", str(value)]
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"} | {"OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return {"error": f"not done after {TIMEOUT_S} s"}
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]}
    result: Result = json.loads(done.stdout.strip().splitlines()[-1])
    return result | {
        "per_cpu_s": result["examples"] / result["cpu_s"],
        "per_wall_s": result["examples"] / result["wall_s"],
    }


def _too_large(name: str, rows: int) -> str | None:
    """Says why a contestant cannot train such tables here; None if it can."""
    copies = 1.1 if ENTRIES[name].own_tables else 5  # dense Adam: weights, gradients, two moments; and headroom
    wanted, free = copies * FIELDS * rows * DIM * 4 / GB + 1, psutil.virtual_memory().available / GB
    return f"needs {wanted:.1f} GB, {free:.1f} GB are free" if wanted > free else None


def _say(what: str, name: str, result: Result) -> None:
    CONSOLE.print(
        f"{what}: {name}: {result['per_cpu_s']:,.0f} examples per CPU-second, {result['per_wall_s']:,.0f} per second, "
        f"peak {result['peak_gb']:.2f} GB"
    )


def _summary(results: list[Result]) -> Result:
    summary: Result = {"repeats": len(results)}
    for key, digits in (("per_cpu_s", 0), ("per_wall_s", 0), ("peak_gb", 3)):
        values = [r[key] for r in results]
        summary[key] = {
            "median": round(statistics.median(values), digits),
            "min": round(min(values), digits),
            "max": round(max(values), digits),
        }
    return summary


def _ratios(runs: dict[str, dict[str, list[Result]]], skipped: dict[str, str]) -> Result:
    figures: Result = {}
    for size, results in runs.items():
        halves = {ours: _ratio(results.get(half, []), results.get(ours, [])) for ours, half in HALVES.items()}
        figures[f"ratio_bf16_{size}"] = halves
        for end in PRODUCTS:
            peers = {peer: _ratio(results.get(ours, []), results.get(peer + end, [])) for peer, ours in PEERS.items()}
            figures[f"ratio_torchrec{end}_{size}"] = _ratio(results.get(OURS, []), results.get(TORCHREC + end, []))
            figures[f"ratio_best_peer{end}_{size}"] = _least(peers.values())
            figures[f"ratio_peers{end}_{size}"] = peers
            figures[f"ratio_fuxictr_wukong{end}_{size}"] = _ratio(
                results.get(OUR_WUKONG, []), results.get(FUXICTR + end, [])
            )
        if peaks := [_median(results[n], "peak_gb") for n in (TORCHREC, *PEERS) if results.get(n)]:
            ours = results.get(OURS)
            figures["ratio_peak_memory"] = round(_median(ours, "peak_gb") / min(peaks), 3) if ours else None
    for name in [f"{peer}{end}" for peer in ("ratio_torchrec", "ratio_fuxictr_wukong") for end in PRODUCTS]:
        figures[name] = _least(figures[f"{name}_{size}"] for size in runs)
    if figures["ratio_fuxictr_wukong"] is None:
        figures["ratio_fuxictr_wukong_reason"] = skipped.get(FUXICTR, "it did not run; see `skipped`")
    return figures


def _ratio(ours: list[Result], theirs: list[Result]) -> dict[str, float] | None:
    """Computes the ratio over the repeats, each against its own neighbour in time."""
    ratios = [a["per_cpu_s"] / b["per_cpu_s"] for a, b in zip(ours, theirs, strict=False)]
    if not ratios:
        return None
    return {
        "median": round(statistics.median(ratios), 3),
        "min": round(min(ratios), 3),
        "max": round(max(ratios), 3),
    }


def _least(ratios: Iterable[dict[str, float] | None]) -> dict[str, float] | None:
    return min((r for r in ratios if r), key=lambda r: r["median"], default=None)


def _median(results: list[Result], key: str) -> float:
    return statistics.median(r[key] for r in results)


if __name__ == "__main__":
    main()
