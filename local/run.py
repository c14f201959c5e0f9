"""Runs the next days of the log through Airflow, one after another, and shows what came out."""

import json
import time
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, date, datetime
from typing import Any

from rich.console import Console
from rich.live import Live

import storage
from config import PlatformConfig
from local import servers, services
from local.airflow_api import Airflow
from local.tables import instance_name, results_table, seconds, tasks_table

DAG_ID = "daily_transfer"
POLL_SECONDS = 1.0
DAG_SECONDS = 120  # a DAG file is read well within this time
LOG_LINES = 30


def run(config: PlatformConfig, *, days: int, console: Console) -> int:
    """Runs the bootstrap day, if it is not done, and the next `days` days.

    A day whose run failed before continues from its failed tasks.

    Args:
        config: the platform.
        days: how many days after the bootstrap day, or after the last day done.
        console: where to show progress and results.

    Returns:
        0; 1 if a day failed.
    """
    watch = servers.Watch(config, say=lambda text: console.print(text, markup=False, highlight=False, soft_wrap=True))
    airflow = _connect(config, watch, console)
    done = days_done(config)
    todo = next_days(config, done=done, days=days)
    if not todo:
        console.print(f"{_end_of_log(config)} Nothing is left to run.")
    for number, day in enumerate(todo, start=1):
        title = f"{config.data_source} · day {day} ({number} of {len(todo)})"
        if not _run_day(airflow, watch, day, title=title, console=console):
            return 1
    for day in todo or sorted(done)[-1:]:
        _show_results(config, day, console)
    if len(todo) < days and todo:
        console.print(_end_of_log(config))
    show_addresses(config, console, day=max([*todo, *done], default=None))
    return 0


def next_days(config: PlatformConfig, *, done: set[date], days: int) -> list[date]:
    """Returns the days to run: the `days` oldest that are not done, and the bootstrap day besides if none is done.

    A day of a live log that has not ended is none of them.
    """
    todo = [day for day in storage.platform_days(config) if day not in done and not storage.open_until(config, day)]
    return todo[: days if done else days + 1]


def days_done(config: PlatformConfig) -> set[date]:
    """Returns the days that are done, as plan_day defines it too."""
    return {day for day in storage.platform_days(config) if storage.day_status(config, day) == "done"}


def show_addresses(config: PlatformConfig, console: Console, *, day: date | None = None) -> None:
    """Prints where the results can be looked at."""
    password = services.admin_password(config)
    console.print(f"Airflow    {services.airflow_url(config)}   user {services.ADMIN}, password {password}")
    console.print(f"MLflow     {services.mlflow_url(config)}/#/models")
    console.print(f"Data Docs  {services.docs_url(config)}/data_docs/")
    if day is not None:
        path = storage.report_dir(config, day).relative_to(storage.docs_dir(config))
        console.print(f"Report     {services.docs_url(config)}/{path}/")


def _end_of_log(config: PlatformConfig) -> str:
    """Says why there are no more days to run."""
    if storage.open_until(config, config.source.last_day):
        return f"The log of {config.data_source} is live, and no other day of it has ended."
    return f"The log of {config.data_source} ends on {config.source.last_day}."


def _connect(config: PlatformConfig, watch: servers.Watch, console: Console) -> Airflow:
    """Returns Airflow's API once the DAG has been read; while it does not answer, the servers are watched.

    Raises:
        ServerError: the DAG file cannot be read.
    """

    def while_away() -> None:
        watch.check()
        time.sleep(POLL_SECONDS)

    airflow = Airflow(
        services.airflow_url(config),
        dag_id=DAG_ID,
        user=services.ADMIN,
        password=services.admin_password(config),
        while_away=while_away,
    )
    deadline = time.monotonic() + DAG_SECONDS
    with console.status("Airflow reads the DAGs"):
        while not airflow.is_known():
            if errors := airflow.import_errors():
                raise servers.ServerError("a DAG file cannot be read:\n" + "\n".join(errors))
            if time.monotonic() > deadline:
                logs = services.logs_dir(config) / "airflow-dag-processor.log"
                raise servers.ServerError(f"{DAG_ID} did not appear within {DAG_SECONDS} s; see {logs}")
            while_away()
    airflow.unpause()
    return airflow


def _day_of(airflow: Airflow, dag_run: dict[str, Any]) -> date | None:
    """Returns the day a run is about: given with it, or found by its first task; None if that decided on none."""
    day = (dag_run["conf"] or {}).get("day")
    if not day:
        plan = airflow.result(dag_run["dag_run_id"], "plan_day")
        day = plan and plan["day"]
    return date.fromisoformat(day) if day else None


def _run_day(airflow: Airflow, watch: servers.Watch, day: date, *, title: str, console: Console) -> bool:
    """Runs one day to its end; shows the log of what failed. Returns whether it succeeded."""
    earlier = next((r for r in airflow.runs() if _day_of(airflow, r) == day), None)
    if earlier is None or earlier["state"] == "success":  # the success of a day that is not done any more
        run_id = airflow.trigger(day, dated=earlier is None)["dag_run_id"]
    else:
        run_id = earlier["dag_run_id"]
        if earlier["state"] == "failed":
            console.print(f"{day} failed before; continuing from its failed tasks")
            airflow.clear_failed(run_id)
    instances = _follow(airflow, watch, run_id, title=title, console=console)
    failed = [i for i in instances if i["state"] == "failed"]
    for instance in failed:
        console.print(f"\n{instance_name(instance)} failed; the end of its log:", markup=False, style="red")
        for line in airflow.log(instance)[-LOG_LINES:]:
            console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
    return airflow.run(run_id)["state"] == "success"


def _follow(
    airflow: Airflow, watch: servers.Watch, run_id: str, *, title: str, console: Console
) -> list[dict[str, Any]]:
    """Shows a run until it ends, and keeps the servers up: a live table on a terminal, else a line for each change."""
    order = {task_id: position for position, task_id in enumerate(airflow.task_order())}
    live = Live(console=console, refresh_per_second=2) if console.is_terminal else None
    shown: dict[str, str] = {}
    context: AbstractContextManager = live or nullcontext()
    with context:
        while True:
            watch.check()
            ended = airflow.run(run_id)["state"] in ("success", "failed")
            now = datetime.now(UTC)
            instances = airflow.task_instances(run_id)
            instances.sort(key=lambda i: (order[i["task_id"]], i["map_index"]))
            if live:
                live.update(tasks_table(title, instances, now=now))
            else:
                _print_changes(title, instances, shown, now=now, console=console)
            if ended:
                return instances
            time.sleep(POLL_SECONDS)


def _print_changes(
    title: str, instances: list[dict[str, Any]], shown: dict[str, str], *, now: datetime, console: Console
) -> None:
    for instance in instances:
        name, state = instance_name(instance), instance["state"]
        key = f"{instance['task_id']}[{instance['map_index']}]"
        if state in (None, "queued", "scheduled", "none", "removed") or shown.get(key) == state:
            continue
        unnamed = instance["rendered_map_index"] in (None, str(instance["map_index"]))
        if state == "running" and instance["map_index"] >= 0 and unnamed:
            continue  # Airflow does not know its vertical yet
        shown[key] = state
        took = f" {seconds(instance, now):.1f} s" if state in ("success", "failed") else ""
        console.print(f"{title}: {name} {state}{took}", markup=False, highlight=False, soft_wrap=True)


def _show_results(config: PlatformConfig, day: date, console: Console) -> None:
    summary = json.loads((storage.report_dir(config, day) / storage.SUMMARY).read_text())
    console.print()
    if summary["skipped"]:
        console.print(f"{day}: day skipped: {summary['skipped']}", markup=False, highlight=False)
    else:
        console.print(results_table(day, summary["verticals"]))
