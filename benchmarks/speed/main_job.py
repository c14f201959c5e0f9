"""The main job: minutes of a platform day, the first ones and one at steady state, Airflow's share, peak memory.

A day is at steady state once the training window is full (`vertical_model.max_training_days`): the eighth, as shipped.
A day is compared with two limits: the longest chain of its tasks, which is what enough cores would need, and what the
`parallel_tasks` slots of this machine need for the same tasks, if no slot were ever idle. What lies above is Airflow's.
`track_transfer`, which follows a day in a DAG of its own, runs beside the next one.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from benchmarks.platform_file import forget_settings, platform_file
from benchmarks.report import report
from config import ROOT, PlatformConfig, load_config
from local import services
from local.airflow_api import Airflow
from local.ports import free_ports
from local.run import DAG_ID

SAMPLE_SECONDS = 1.0
QUICK_EVENTS = 1000
SPINE = "verticals."  # tasks before the fan-out, and the report, run one after another


class PeakMemory(threading.Thread):
    """Samples the proportional memory (PSS) of all processes that know the platform file."""

    def __init__(self, config_path: Path) -> None:
        super().__init__(daemon=True)
        self.config_path = str(config_path)
        self.samples: list[tuple[datetime, int]] = []
        self.ended = threading.Event()

    def run(self) -> None:
        """Samples until `ended` is set."""
        while not self.ended.wait(SAMPLE_SECONDS):
            total = sum(self._pss(p) for p in psutil.process_iter())
            self.samples.append((datetime.now(UTC), total))

    def peak_gb(self, tasks: list[dict[str, Any]]) -> float:
        """Returns the highest sample while a day's tasks ran."""
        start, end = _span(tasks)
        return round(max((size for at, size in self.samples if start <= at <= end), default=0) / 1e9, 2)

    def _pss(self, process: psutil.Process) -> int:
        try:
            if process.environ().get("HEADWATER_CONFIG") != self.config_path:
                return 0
            return int(process.memory_full_info().pss)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            return 0  # it ended between two looks, or is another user's


def main() -> None:
    """Runs the days in a state folder of their own, beside whatever else runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one tiny synthetic day; figures are not kept")
    parser.add_argument("--source", default="complete_journey", help="data source (default complete_journey)")
    parser.add_argument("--days", type=int, default=8, help="after the bootstrap day; the last is reported (default 8)")
    arguments = parser.parse_args()
    source, days = ("synthetic", 1) if arguments.quick else (arguments.source, arguments.days)
    forget_settings()
    with tempfile.TemporaryDirectory() as folder:
        airflow, mlflow, docs = free_ports(3)
        ports = {"airflow_port": airflow, "mlflow_port": mlflow, "docs_port": docs}
        events = QUICK_EVENTS if arguments.quick else None
        path = platform_file(Path(folder), events, data_source=source, runtime=ports)
        config = load_config(path)
        figures = _measure(config, path, days=days)
    command = f"python -m benchmarks.speed.main_job --source {source} --days {days}"
    packages = ["torch", "torchrec", "pyspark", "mlflow", "feast", "great-expectations"]
    report("main_job", figures, command=command, packages=packages, keep=not arguments.quick)


def _measure(config: PlatformConfig, path: Path, *, days: int) -> dict[str, Any]:
    env = os.environ | {"HEADWATER_CONFIG": str(path)}
    memory = PeakMemory(path)
    memory.start()
    try:
        subprocess.run([sys.executable, "-m", "local", "run", "--days", str(days)], cwd=ROOT, env=env, check=True)
        airflow = Airflow(
            services.airflow_url(config), dag_id=DAG_ID, user=services.ADMIN, password=services.admin_password(config)
        )
        runs = sorted(airflow.runs(), key=lambda r: r["run_after"])
        measured = [airflow.task_instances(r["dag_run_id"]) for r in runs[-days:]]
        bootstrap = airflow.task_instances(runs[0]["dag_run_id"])
    finally:
        memory.ended.set()
        subprocess.run([sys.executable, "-m", "local", "down"], cwd=ROOT, env=env, check=True)
    walls = [_wall(tasks) for tasks in measured]
    slots = config.runtime.parallel_tasks
    return {
        "source": config.data_source,
        "minutes_bootstrap": round(_wall(bootstrap) / 60, 2),
        "minutes_by_day": [round(wall / 60, 2) for wall in walls],
        "minutes_3_days": round(sum(walls[:3]) / 60, 2),
        "minutes_last_day": round(walls[-1] / 60, 2),
        "dag_over_critical_path": round(sum(walls) / sum(_limit(tasks, None) for tasks in measured), 3),
        "dag_over_full_slots": round(sum(walls) / sum(_limit(tasks, slots) for tasks in measured), 3),
        "peak_gb": max(memory.peak_gb(tasks) for tasks in measured),
        "peak_gb_last_day": memory.peak_gb(measured[-1]),
        "seconds_by_task": _seconds_by_task(measured[:3]),
        "seconds_by_task_last_day": _seconds_by_task(measured[-1:]),
    }


def _wall(tasks: list[dict[str, Any]]) -> float:
    """Computes the seconds from the first task's start to the last one's end."""
    start, end = _span(tasks)
    return (end - start).total_seconds()


def _span(tasks: list[dict[str, Any]]) -> tuple[datetime, datetime]:
    times = [(_time(t["start_date"]), _time(t["end_date"])) for t in tasks if t["start_date"] and t["end_date"]]
    return min(start for start, _ in times), max(end for _, end in times)


def _limit(tasks: list[dict[str, Any]], slots: int | None) -> float:
    """Computes the seconds that a scheduler without overhead would need for a day's tasks.

    Args:
        tasks: of a day.
        slots: how many tasks may run at once; None: any number, so that the longest chain decides.
    """
    spine = sum(_seconds(t) for t in tasks if not t["task_id"].startswith(SPINE))
    chains: dict[int, float] = {}
    for task in tasks:
        if task["task_id"].startswith(SPINE):
            chains[task["map_index"]] = chains.get(task["map_index"], 0.0) + _seconds(task)
    longest = max(chains.values(), default=0.0)
    return spine + (longest if slots is None else max(longest, sum(chains.values()) / slots))


def _seconds_by_task(days: list[list[dict[str, Any]]]) -> dict[str, float]:
    """Computes the mean seconds of a task a day; a mapped task's instances are added up."""
    totals: dict[str, float] = {}
    for task in (task for tasks in days for task in tasks):
        totals[task["task_id"]] = totals.get(task["task_id"], 0.0) + _seconds(task)
    return {name: round(total / len(days), 1) for name, total in totals.items()}


def _seconds(task: dict[str, Any]) -> float:
    return float(task["duration"] or 0.0)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


if __name__ == "__main__":
    main()
