"""What the terminal shows: the tasks of a running day, and the results of finished days."""

from datetime import date, datetime
from typing import Any

from rich.box import HORIZONTALS
from rich.markup import escape
from rich.table import Table

SYMBOLS = {
    "success": ("✓", "green"),
    "running": ("▶", "cyan"),
    "failed": ("✗", "red"),
    "upstream_failed": ("–", "red"),
    "skipped": ("–", "magenta"),
    "up_for_retry": ("↻", "yellow"),
    "queued": ("·", "white"),
    "scheduled": ("·", "white"),
}
MODELS = ("baseline", "candidate", "champion", "fm")


def tasks_table(title: str, instances: list[dict[str, Any]], *, now: datetime) -> Table:
    """Builds the table of a day's tasks: one row a task, one column a vertical where a task is mapped over them.

    Args:
        title: shown above.
        instances: Airflow's task instances, in the order to show.
        now: the present, for the time a running task has taken.
    """
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0), show_header=False)
    rows: dict[str, list[str]] = {}
    for instance in instances:
        rows.setdefault(instance["task_id"], []).append(_cell(instance, now))
    for task_id, cells in rows.items():
        table.add_row(f"  {task_id.replace('.', ' › ')}", "  ".join(cells))
    return table


def instance_name(instance: dict[str, Any]) -> str:
    """Names a task instance: its task, and its vertical where it has one."""
    vertical = instance["rendered_map_index"] or (instance["map_index"] if instance["map_index"] >= 0 else "")
    return f"{instance['task_id']} [{vertical}]" if vertical != "" else instance["task_id"]


def seconds(instance: dict[str, Any], now: datetime) -> float:
    """Returns how many seconds a task instance ran, or has been running."""
    if not instance["start_date"]:
        return 0.0
    end = datetime.fromisoformat(instance["end_date"]) if instance["end_date"] else now
    return (end - datetime.fromisoformat(instance["start_date"])).total_seconds()


def _cell(instance: dict[str, Any], now: datetime) -> str:
    symbol, color = SYMBOLS.get(instance["state"] or "", ("·", "dim"))
    mapped = instance["map_index"] >= 0
    name = f"{instance['rendered_map_index'] or instance['map_index']} " if mapped else ""
    took = f" {seconds(instance, now):.0f}s" if instance["state"] in ("success", "running", "failed") else ""
    return f"[{color}]{symbol} {name}[/]{took.strip()}".rstrip()


def results_table(day: date, verticals: list[dict[str, Any]]) -> Table:
    """Builds the table of held-out metrics and verdict of every vertical of a day.

    Args:
        day: the day.
        verticals: what promote_vertical returned, one entry a vertical.
    """
    title = f"{day}: held-out impressions of the day, the same for all models"
    table = Table(title=title, title_justify="left", show_lines=True, box=HORIZONTALS)
    table.add_column("vertical", no_wrap=True)
    table.add_column("model", no_wrap=True)
    for name in ("NE", "AUC", "calibration"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", min_width=24)
    for entry in verticals:
        metrics = [entry["metrics"].get(model) for model in MODELS]
        table.add_row(
            f"{entry['vertical']}\n[dim]{_rows(metrics)} rows[/]",
            "\n".join("FM" if model == "fm" else model for model in MODELS),
            _numbers(metrics, "ne", digits=4),
            _numbers(metrics, "auc", digits=4),
            _numbers(metrics, "calibration", digits=3),
            _verdict(entry),
        )
    return table


def _verdict(entry: dict[str, Any]) -> str:
    if not entry["metrics"]:
        return "\n".join(["[yellow]nothing judged[/]", *map(escape, entry["reasons"])])
    head = "[yellow]refused[/]"
    if winner := entry["winner"]:
        head = f"[green]promoted[/] {winner}, version {entry['versions'][winner]}"
    headroom = f"headroom ratio {_number(entry['headroom_ratio'], 2)}"
    interval = entry["intervals"].get("headroom_ratio")
    if interval and interval["low"] is not None:
        headroom += f" (95 %: {_number(interval['low'], 2)} to {_number(interval['high'], 2)})"
    warnings = [f"[yellow]⚠ {escape(warning)}[/]" for warning in entry["warnings"]]
    return "\n".join([head, headroom, *warnings, *map(escape, entry["reasons"])])


def _rows(metrics: list[dict[str, Any] | None]) -> str:
    return next((f"{m['rows']:,}" for m in metrics if m and "rows" in m), "?")


def _numbers(metrics: list[dict[str, Any] | None], key: str, *, digits: int) -> str:
    return "\n".join(_number(m.get(key) if m else None, digits) for m in metrics)


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
