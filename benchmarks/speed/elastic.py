"""Elastic restart: a day learnt by two processes undisturbed, and with one of them killed in the middle.

`elastic_resume_equal`: the runs end with the same weights, to the bit; else `largest_weight_difference` says how far
they are apart. The killed run goes on from its last checkpoint; what it loses is the steps since then, and the time in
which the processes start again. An undisturbed run comes before and after it. All run the job as a scheduler would, on
a synthetic day, on the CPU.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from rich.console import Console
from safetensors.numpy import load_file

import storage
from benchmarks.platform_file import forget_settings, platform_file
from benchmarks.report import report
from config import ROOT, PlatformConfig, load_config

CONSOLE = Console(stderr=True)
DAY = date(2026, 1, 1)  # the bootstrap day
CHECKPOINT_MINUTES = 0.05
BATCH = 64
POLL_S = 0.02

Result = dict[str, Any]


def main() -> None:
    """Makes the day and trains it three times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small day; figures are not kept")
    parser.add_argument("--events", type=int, default=40_000, help="of a day (default 40000)")
    a = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        config = _in_use(Path(folder), events=20_000 if a.quick else a.events)
        for job in ("ingest", "extract_features"):
            _start(job).wait()
        kept = {name: Path(folder) / name for name in ("before", "killed", "after")}
        runs = {name: _trained(config, path, kill=name == "killed") for name, path in kept.items()}
        difference = _largest_difference(kept["before"], kept["killed"])
    killed, undisturbed = runs.pop("killed"), [run["seconds"] for run in runs.values()]
    figures: Result = {
        "elastic_resume_equal": int(difference == 0 and killed["version"] == runs["before"]["version"]),
        "largest_weight_difference": difference,
        "seconds_undisturbed": [round(seconds, 1) for seconds in undisturbed],
        "seconds_killed": round(killed["seconds"], 1),
        "seconds_lost": round(killed["seconds"] - statistics.mean(undisturbed), 1),
        "seconds_before_the_kill": round(killed["killed_after"], 1),
        "seconds_from_the_kill_to_the_next_checkpoint": round(killed["recovered_in"], 1),
        "checkpoint_seconds": CHECKPOINT_MINUTES * 60,
        "examples": killed["examples"],
        "ranks": 2,
    }
    command = f"python -m benchmarks.speed.elastic --events {a.events}"
    report("elastic", figures, command=command, packages=["torch", "torchrec", "fbgemm-gpu-cpu"], keep=not a.quick)


def _in_use(work: Path, *, events: int) -> PlatformConfig:
    """Puts a platform whose foundation model trains in two processes in use, here and in the jobs."""
    forget_settings()
    model = {
        "optimizer": {"batch_size": BATCH},
        "training": {"processes": 2, "checkpoint_minutes": CHECKPOINT_MINUTES},
    }
    path = platform_file(work, events, runtime={"device": "cpu"}, foundation_model=model)
    os.environ |= {"HEADWATER_CONFIG": str(path), "OMP_NUM_THREADS": "1"}
    return load_config()


def _start(job: str) -> subprocess.Popen[bytes]:
    CONSOLE.print(job)
    command = [sys.executable, "-m", "jobs", job, "--day", str(DAY)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=sys.stderr)


def _trained(config: PlatformConfig, kept: Path, *, kill: bool) -> Result:
    """Trains the day as a process of its own and moves the snapshot away; the second rank is killed if so wanted."""
    started = time.monotonic()
    job = _start("train_foundation")
    killed_after, recovered_in = _kill_in_the_middle(config, job, started) if kill else (0.0, 0.0)
    if job.wait():
        raise RuntimeError(f"train_foundation failed (exit {job.returncode}); its error is above")
    seconds = time.monotonic() - started
    version = storage.read_manifest(config, "fm_snapshots", DAY)["extra"]["fm_version"]
    examples = storage.dataset(config, "examples", [DAY]).count_rows()
    storage.partition_folder(config, "fm_snapshots", DAY).rename(kept)
    storage.drop_partition(config, "fm_snapshots", DAY)
    CONSOLE.print(f"{kept.name}: {seconds:.1f} s")
    times = {"seconds": seconds, "killed_after": killed_after, "recovered_in": recovered_in}
    return times | {"version": version, "examples": examples}


def _kill_in_the_middle(config: PlatformConfig, job: subprocess.Popen[bytes], started: float) -> tuple[float, float]:
    """Kills the second rank half the time between checkpoints after the first past the middle.

    Returns:
        Seconds until then, and from then to the next checkpoint.
    """
    progress = storage.checkpoint_dir(config, "train_foundation", DAY) / "progress.json"
    learnt = storage.dataset(config, "examples", [DAY]).count_rows() * (1 - config.foundation_model.eval_fraction)
    steps = 0
    while steps * BATCH < learnt / 2:
        if job.poll() is not None:
            raise RuntimeError(f"the run ended {steps} steps after its start, before it was killed; give more --events")
        with suppress(FileNotFoundError):  # no checkpoint yet
            steps = json.loads(progress.read_text())["ranks"][0]["total_steps"]
        time.sleep(POLL_S)
    time.sleep(CHECKPOINT_MINUTES * 60 / 2)
    for process in psutil.Process(job.pid).children(recursive=True):
        if process.environ().get("RANK") == "1":
            process.kill()
            break
    else:
        raise RuntimeError("no second rank was found to kill")
    killed, before = time.monotonic(), progress.stat().st_mtime_ns
    while job.poll() is None and progress.exists() and progress.stat().st_mtime_ns == before:
        time.sleep(POLL_S)
    return killed - started, time.monotonic() - killed


def _largest_difference(*folders: Path) -> float:
    """Returns the largest absolute difference of two snapshots' weights."""
    first, second = (
        {
            name: values
            for file in sorted(folder.glob("model-*.safetensors"))
            for name, values in load_file(file).items()
        }
        for folder in folders
    )
    assert first.keys() == second.keys()
    return max(float(np.abs(first[name].astype(float) - second[name].astype(float)).max()) for name in first)


if __name__ == "__main__":
    main()
