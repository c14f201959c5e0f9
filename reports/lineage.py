"""Which partitions a day consists of, what each was made from, and what is missing."""

from dataclasses import dataclass
from datetime import date
from typing import Any

import storage
from config import PlatformConfig
from storage.status import needed_tables
from storage.tables import TABLES, Table, names


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
    files: int | None = None  # of the log that it was made from; None where they are not told apart


def day_tables(config: PlatformConfig) -> dict[str, tuple[str, str]]:
    """Returns the tables a whole day has, in the order of the day: the job that writes each, and what for.

    What for is the vertical, for jobs that run once a vertical, else the table itself.
    """
    shared, by_vertical = {}, {}
    for table in TABLES:
        if not table.needed:
            continue
        if table.per_vertical:
            for vertical, name in zip(config.verticals, names(table, config.verticals), strict=True):
                by_vertical[vertical, name] = table.writer
        else:
            shared[table.name] = (_command(table), table.name)
    of_vertical = sorted(by_vertical.items(), key=lambda entry: config.verticals.index(entry[0][0]))
    return shared | {name: (job, vertical) for (vertical, name), job in of_vertical}


def partitions(config: PlatformConfig, day: date) -> list[Partition]:
    """Returns every committed partition of the day, in the order of the day; tables of no known job come last."""
    order = {table: position for position, table in enumerate(day_tables(config))}
    tables = sorted(storage.tables_of(config, day), key=lambda table: (order.get(table, len(order)), table))
    return [_partition(config, table, day) for table in tables]


def missing(config: PlatformConfig, day: date, verticals: list[str] | None = None) -> dict[str, list[str]]:
    """Returns the jobs whose output the day lacks, with the tables, or the verticals if a job runs once a vertical.

    Args:
        config: the platform.
        day: the day.
        verticals: those that were run; None: all.
    """
    writers = day_tables(config)
    absent: dict[str, list[str]] = {}
    for table in needed_tables(config, day, config.verticals if verticals is None else verticals):
        job, what = writers[table]
        if not storage.has_partition(config, table, day) and what not in absent.setdefault(job, []):
            absent[job].append(what)
    return {job: whats for job, whats in absent.items() if whats}


def outdated(config: PlatformConfig, table: str, day: date) -> str | None:
    """Says why a partition no longer fits the others, or None if it does.

    It does not fit where it, or anything that it was made from, of its day or of an earlier one, was made from content
    that has since been replaced: some job ran again, and the jobs after it did not.
    """
    return _outdated(config, f"{table}/ds={day}", day, {})


def _outdated(config: PlatformConfig, name: str, day: date, answers: dict[str, str | None]) -> str | None:
    """Does what `outdated` does, but looks at each partition once.

    Args:
        config: the platform.
        name: the partition's, `table/ds=day`.
        day: the day asked about; other days are named in the answer.
        answers: answers so far.
    """
    if name in answers:
        return answers[name]
    answers[name] = None  # a manifest lists what was there before it, so there is no way back here
    for source, content_hash in storage.read_manifest(config, *_split(name))["inputs"].items():
        if _changed(config, source, content_hash):
            answers[name] = f"{_told(name, day)} was made from an earlier {_told(source, day)}"
        else:
            answers[name] = _outdated(config, source, day, answers)
        if answers[name] is not None:
            break
    return answers[name]


def _told(name: str, day: date) -> str:
    """Names a partition: its table, and its day where that is another."""
    table, of_day = _split(name)
    return table if of_day == day else f"{table} of {of_day}"


def _command(table: Table) -> str:
    """Names the job that writes a table, with the stage where it has one."""
    stage = table.name.removeprefix("gate_results_")
    return table.writer if stage == table.name else f"{table.writer} --stage {stage}"


def _partition(config: PlatformConfig, table: str, day: date) -> Partition:
    manifest: dict[str, Any] = storage.read_manifest(config, table, day)
    return Partition(
        table=table,
        rows=manifest["rows"] if manifest["schema"] else None,
        content_hash=manifest["content_hash"],
        code_version=manifest["code_version"],
        inputs=[Input(name, was, _changed(config, name, was)) for name, was in manifest["inputs"].items()],
        files=len(manifest["files"]) if "files" in manifest else None,
    )


def _changed(config: PlatformConfig, name: str, content_hash: str) -> bool:
    table, day = _split(name)
    if not storage.has_partition(config, table, day):
        return True
    return bool(storage.read_manifest(config, table, day)["content_hash"] != content_hash)


def _split(name: str) -> tuple[str, date]:
    table, day = name.split("/ds=")
    return table, date.fromisoformat(day)
