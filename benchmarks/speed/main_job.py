"""The main job: minutes for three platform days after the bootstrap day, Airflow's share of them, peak memory."""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
import yaml

from benchmarks.report import report
from config import ROOT, PlatformConfig, load_config
from local import services
from local.airflow_api import Airflow
from local.ports import free_ports
from local.run import DAG_ID

SAMPLE_SECONDS = 1.0
SPINE = "verticals."  # tasks before the fan-out, and the report, run one after another


class PeakMemory(threading.Thread):
    """Highest proportional memory (PSS) of all processes that know the platform file."""

    def __init__(self, config_path: Path) -> None:
        super().__init__(daemon=True)
        self.config_path = str(config_path)
        self.peak_bytes = 0
        self.ended = threading.Event()

    def run(self) -> None:
        """Samples until `ended` is set."""
        while not self.ended.wait(SAMPLE_SECONDS):
            total = sum(self._pss(p) for p in psutil.process_iter())
            self.peak_bytes = max(self.peak_bytes, total)

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
    arguments = parser.parse_args()
    source, days = ("synthetic", 0) if arguments.quick else (arguments.source, 3)
    with tempfile.TemporaryDirectory() as folder:
        path = _write_config(Path(folder), source, quick=arguments.quick)
        config = load_config(path)
        figures = _measure(config, path, days=days)
    command = "python -m benchmarks.speed.main_job" + (f" --source {source}" if source != "complete_journey" else "")
    packages = ["torch", "torchrec", "pyspark", "mlflow", "feast", "great-expectations"]
    report("main_job", figures, command=command, packages=packages, keep=not arguments.quick)


def _write_config(folder: Path, source: str, *, quick: bool) -> Path:
    tree = yaml.safe_load((ROOT / "platform.yaml").read_text())
    tree["data_source"] = source
    tree["storage"] |= {"root": str(folder / "state"), "feature_repo": str(folder / "feature_repo")}
    airflow, mlflow, docs = free_ports(3)
    tree["runtime"] |= {"airflow_port": airflow, "mlflow_port": mlflow, "docs_port": docs}
    if quick:
        tree["sources"]["synthetic"] |= {"events_per_day": 1000, "bootstrap_days": 1}
        tree["sources"]["synthetic"]["verticals"] = {"all": {}}
    path = folder / "platform.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


def _measure(config: PlatformConfig, path: Path, *, days: int) -> dict[str, Any]:
    env = {k: v for k, v in os.environ.items() if not k.startswith("HEADWATER_")} | {"HEADWATER_CONFIG": str(path)}
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
    paths = [_critical_path(tasks) for tasks in measured]
    return {
        "source": config.data_source,
        "days": [r["dag_run_id"].split("_")[1] for r in runs[-days:]],
        "minutes_3_days": round(sum(walls) / 60, 2),
        "minutes_bootstrap": round(_wall(bootstrap) / 60, 2),
        "dag_over_critical_path": round(sum(walls) / sum(paths), 3),
        "peak_gb": round(memory.peak_bytes / 1e9, 2),
        "seconds_by_task": _seconds_by_task(measured),
    }


def _wall(tasks: list[dict[str, Any]]) -> float:
    """Seconds from the first task's start to the last one's end."""
    times = [(_time(t["start_date"]), _time(t["end_date"])) for t in tasks if t["start_date"] and t["end_date"]]
    return (max(end for _, end in times) - min(start for start, _ in times)).total_seconds()


def _critical_path(tasks: list[dict[str, Any]]) -> float:
    """Seconds of the longest chain of tasks: what a scheduler without overhead and with enough cores would need."""
    spine = sum(_seconds(t) for t in tasks if not t["task_id"].startswith(SPINE))
    chains: dict[int, float] = {}
    for task in tasks:
        if task["task_id"].startswith(SPINE):
            chains[task["map_index"]] = chains.get(task["map_index"], 0.0) + _seconds(task)
    return spine + max(chains.values(), default=0.0)


def _seconds_by_task(days: list[list[dict[str, Any]]]) -> dict[str, float]:
    """Mean seconds of a task a day; a mapped task's instances are added up."""
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
