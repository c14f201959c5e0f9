"""The form every benchmark keeps: one JSON object, printed as the last line and kept in benchmarks/results/."""

import json
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

RESULTS = Path(__file__).parent / "results"


def report(name: str, figures: Mapping[str, Any], *, command: str, packages: list[str], keep: bool) -> None:
    """Prints the result, and keeps it unless it was a quick look.

    Args:
        name: of the benchmark.
        figures: by name; numbers, or lists and mappings of numbers.
        command: that made the figures.
        packages: whose versions matter.
        keep: False for --quick.
    """
    result = {
        "name": name,
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": {
            "processor": _processor(),
            "cores": psutil.cpu_count(),
            "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        },
        "versions": {"python": platform.python_version()} | {p: version(p) for p in packages},
        "command": command,
        "figures": dict(figures),
    }
    if keep:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result), flush=True)


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
