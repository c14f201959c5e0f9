"""Training of foundation models on one GPU: examples a second, ours beside torchrec's own DLRM_DCN.

    python -m benchmarks.speed.gpu_training

Bare steps: a batch lies on the GPU before the clock starts, so that neither the reading of a day nor its encoding
counts. Each contestant runs in a process of its own, which
measures several windows of steps one after another. `ratio_torchrec` is our DCNv2, of the same shape, over theirs.
"""

import argparse
import json
import statistics
import subprocess
import sys
from typing import Any

import torch

from benchmarks.report import report
from config import ROOT

OURS, OURS_HALF, WUKONG, TORCHREC = "dcnv2", "dcnv2_bf16", "wukong", "torchrec_dlrm_dcn"
CONTESTANTS = (OURS, TORCHREC, WUKONG, OURS_HALF)
ROWS = 1_000_000  # of each of 26 tables
SIZES = ((16, 4096), (16, 32_768), (128, 32_768))  # width of an embedding, examples of a batch
STEPS, WARMUP, WINDOWS = 12, 8, 3

Result = dict[str, Any]


def main() -> None:
    """Measures every contestant at every size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small tables, few steps; figures are not kept")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda", help="cpu: only with --quick, to try it")
    a = parser.parse_args()
    if a.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch finds no CUDA device")
    if a.device == "cpu" and not a.quick:
        parser.error("--device cpu is for --quick alone: benchmarks.speed.fm_training measures CPUs")
    found: dict[str, Result] = {}
    for dim, batch in SIZES[:1] if a.quick else SIZES:
        size = f"dim {dim}, batch {batch}"
        found[size] = {name: _measure(name, batch, dim, a.device, quick=a.quick) for name in CONTESTANTS}
        print(size, found[size], file=sys.stderr, flush=True)
    report(
        "gpu_training",
        {
            "gpu": torch.cuda.get_device_name() if a.device == "cuda" else None,
            "examples_per_s": found,
            "ratio_torchrec": {size: ratio(of[OURS], of[TORCHREC]) for size, of in found.items()},
        },
        command="python -m benchmarks.speed.gpu_training",
        packages=["torch", "torchrec"],
        keep=not a.quick,
    )


def ratio(ours: Result, theirs: Result) -> float:
    """Computes how many times the examples of theirs ours learns in a second."""
    return round(float(ours["median"] / theirs["median"]), 3)


def _measure(name: str, batch: int, dim: int, device: str, *, quick: bool) -> Result:
    rows, steps, windows = (1000, 2, 2) if quick else (ROWS, STEPS, WINDOWS)
    options = {"rows": rows, "batch": batch, "dim": dim, "device": device, "steps": steps, "windows": windows}
    options["warmup"] = 1 if quick else WARMUP
    command = [sys.executable, "-m", "benchmarks.speed.fm_training_contestants", name]
    command += [text for option, value in options.items() for text in (f"--{option}", str(value))]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    measured = json.loads(done.stdout.splitlines()[-1])
    speeds = [measured["examples"] / seconds for seconds in measured["windows_s"]]
    return {
        "median": round(statistics.median(speeds)),
        "min": round(min(speeds)),
        "max": round(max(speeds)),
        "peak_gb": round(measured["peak_gb"], 2),
    }


if __name__ == "__main__":
    main()
