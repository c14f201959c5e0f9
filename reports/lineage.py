"""Which partitions a day consists of, what each was made from, and what is missing."""

from dataclasses import dataclass
from datetime import date
from typing import Any

import storage
from config import PlatformConfig


@dataclass(frozen=True)
class Input:
    """A partition read by a job, as its manifest records it."""

    name: str  # table/ds=day
    content_hash: str  # of what was read
    changed: bool  # what is in storage now is not what was read


@dataclass(frozen=True)
class Partition:
    """One committed partition of the day."""

    table: str
    rows: int | None  # None for models, which are no rows
    content_hash: str
    code_version: str
    inputs: list[Input]


def day_tables(config: PlatformConfig) -> dict[str, tuple[str, str]]:
    """The tables a whole day has, in the order of the day: the job that writes each, and what for.

    What for is the vertical, for jobs that run once a vertical, else the table itself.
    """
    writers = {
        "ingest": ("quarantine", "events"),
        "check_quality --stage events": ("gate_results_events",),
        "extract_features": ("user_activity", "item_activity", "examples"),
        "check_quality --stage features": ("gate_results_features",),
        "train_foundation": ("fm_outputs", "fm_evaluations", "fm_snapshots"),
        "materialize_features": ("user_fm_history", "item_fm_embedding", "vertical_examples"),
    }
    tables = {table: (job, table) for job, written in writers.items() for table in written}
    for vertical in config.verticals:
        for table in ("candidates", "baselines", "evaluations"):
            tables[f"{table}_{vertical}"] = ("distill_vertical", vertical)
        tables[f"verdicts_{vertical}"] = ("promote_vertical", vertical)
    return tables


def partitions(config: PlatformConfig, day: date) -> list[Partition]:
    """Every committed partition of the day, in the order of the day; tables no step is known for come last."""
    order = {table: place for place, table in enumerate(day_tables(config))}
    found = sorted(storage.tables_of(config, day), key=lambda table: (order.get(table, len(order)), table))
    return [_partition(config, table, day) for table in found]


def missing(config: PlatformConfig, day: date) -> dict[str, list[str]]:
    """The jobs whose output the day lacks: which tables, or, for jobs that run once a vertical, which verticals."""
    absent: dict[str, list[str]] = {}
    for table, (job, what) in day_tables(config).items():
        if not storage.has_partition(config, table, day) and what not in absent.setdefault(job, []):
            absent[job].append(what)
    return {job: whats for job, whats in absent.items() if whats}


def outdated(config: PlatformConfig, table: str, day: date) -> str | None:
    """Why a partition no longer fits the others of its day, or None if it does.

    It does not where it, or anything of the day that it was made from, was made from content that has since been
    replaced: some job of the day ran again, and those behind it did not.
    """
    for name, content_hash in storage.read_manifest(config, table, day)["inputs"].items():
        source, of_day = _split(name)
        if of_day != day:
            continue
        if _changed(config, name, content_hash):
            return f"{table} was made from an earlier {source}"
        if (reason := outdated(config, source, day)) is not None:
            return reason
    return None


def _partition(config: PlatformConfig, table: str, day: date) -> Partition:
    manifest: dict[str, Any] = storage.read_manifest(config, table, day)
    return Partition(
        table=table,
        rows=manifest["rows"] if manifest["schema"] else None,
        content_hash=manifest["content_hash"],
        code_version=manifest["code_version"],
        inputs=[Input(name, was, _changed(config, name, was)) for name, was in manifest["inputs"].items()],
    )


def _changed(config: PlatformConfig, name: str, content_hash: str) -> bool:
    table, day = _split(name)
    if not storage.has_partition(config, table, day):
        return True
    return bool(storage.read_manifest(config, table, day)["content_hash"] != content_hash)


def _split(name: str) -> tuple[str, date]:
    table, day = name.split("/ds=")
    return table, date.fromisoformat(day)
