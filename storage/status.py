"""Whether a day is done: the one answer that the daily DAG and `make run` both go by."""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Literal

from config import PlatformConfig
from storage.days import skip_reason
from storage.partitions import has_partition, peek_manifest, tables_of
from storage.places import report_dir
from storage.tables import TABLES, names

Status = Literal["missing", "partial", "done"]
SUMMARY = "summary.json"  # of a report, for programs
RAN = "ran"  # in it: the verticals that were run
NO_CANDIDATE = "no_candidate"  # in the manifest of `evaluations_V`: why the vertical has no candidate on the day
LANDED = ("quarantine", "events")  # all that a skipped day has


def day_status(config: PlatformConfig, day: date) -> Status:
    """Returns `missing` where nothing is there of a day, `done` where it is whole, else `partial`.

    It is done once its report was written from every needed table of the verticals that were run, and those tables are
    what the report was written from. A skipped day is done once its report says so.
    """
    path = report_dir(config, day) / SUMMARY
    if not path.is_file():
        return "partial" if tables_of(config, day) else "missing"
    summary = json.loads(path.read_text())
    reported: Mapping[str, str | None] = summary.get("made_from", {})  # a report of an earlier version has none
    same_decision = summary.get("skipped") == skip_reason(config, day)
    whole = bool(reported) and None not in reported.values()
    return "done" if same_decision and whole and reported == contents(config, day, list(reported)) else "partial"


def missing_for_the_next_day(config: PlatformConfig, day: date) -> list[str]:
    """Returns the tables of a day that the next one needs and that are not there.

    Verticals are not among them: a vertical that fails holds up neither the others nor the days to come.
    """
    shared = needed_tables(config, day, verticals=[])
    return [table for table, content in contents(config, day, shared).items() if content is None]


def report_status(config: PlatformConfig, day: date, verticals: Sequence[str]) -> dict[str, Any]:
    """Returns what a report records of the day's state as it is written, for `day_status` to look at later.

    Args:
        config: the platform.
        day: the day.
        verticals: those that were run.

    Returns:
        status; ran, the verticals; made_from, the content hash of each needed table, None where it is missing; skipped,
        why the day was, or None.
    """
    made_from = contents(config, day, needed_tables(config, day, verticals))
    status = "partial" if None in made_from.values() else "done"
    return {"status": status, RAN: list(verticals), "made_from": made_from, "skipped": skip_reason(config, day)}


def verticals_run(config: PlatformConfig, day: date) -> list[str]:
    """Returns the verticals that were run on a day, as its report has them; all where there is no report."""
    path = report_dir(config, day) / SUMMARY
    ran = json.loads(path.read_text()).get(RAN) if path.is_file() else None
    return config.verticals if ran is None else list(ran)


def needed_tables(config: PlatformConfig, day: date, verticals: Sequence[str]) -> list[str]:
    """Returns the tables without which a day is not whole.

    A skipped day has what was landed alone; a vertical with nothing to learn or judge has no models.
    """
    if skip_reason(config, day):
        return list(LANDED)
    needed = []
    for table in TABLES:
        if table.needed:
            models = table.name in ("candidates", "baselines")
            with_models = [v for v in verticals if not (models and no_candidate(config, v, day))]
            needed += names(table, with_models)
    return needed


def no_candidate(config: PlatformConfig, vertical: str, day: date) -> str | None:
    """Returns why distill_vertical made no candidate of a day; None where it made one, or has not run."""
    table = f"evaluations_{vertical}"
    if not has_partition(config, table, day):
        return None
    reason: str | None = peek_manifest(config, table, day)["extra"].get(NO_CANDIDATE)
    return reason


def contents(config: PlatformConfig, day: date, tables: Sequence[str]) -> dict[str, str | None]:
    """Returns the content hash of each table's partition of a day, None where there is none."""
    return {
        table: str(peek_manifest(config, table, day)["content_hash"]) if has_partition(config, table, day) else None
        for table in tables
    }
