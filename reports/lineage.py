"""Which partitions a day consists of, what each was made from, and what is missing."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

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


class Made(NamedTuple):
    """What the manifest of a partition says of its making."""

    content_hash: str
    inputs: dict[str, str]  # partition, table/ds=day -> hash of the content that was read


class Lineage:
    """What partitions were made from: for the pages of a report, which ask about the same ones again and again.

    Reads each manifest once, so what is committed meanwhile is not seen.
    """

    def __init__(self, config: PlatformConfig) -> None:
        """Reads nothing yet."""
        self.config = config
        self._made: dict[str, Made | None] = {}  # by partition; None: there is none
        self._replaced: dict[str, tuple[str, str] | None] = {}  # by partition, as `replaced` answers

    def outdated(self, table: str, day: date) -> str | None:
        """Says why a partition no longer fits the others, or None if it does.

        It does not fit where it, or anything that it was made from, of its day or of an earlier one, was made from
        content that has since been replaced: some job ran again, and the jobs after it did not.
        """
        found = self.replaced(f"{table}/ds={day}")
        if found is None:
            return None
        partition, source = found
        return f"{_told(partition, day)} was made from an earlier {_told(source, day)}"

    def replaced(self, name: str) -> tuple[str, str] | None:
        """Returns a partition among all that one goes back to, and the source of it that has been replaced, or None.

        Goes back step by step and not by recursion, which years of days are too deep for.
        """
        answers = self._replaced
        if name in answers:
            return answers[name]
        # From the partition back, each with its inputs that are yet to be looked at.
        path = [(name, self._inputs(name))]
        answers[name] = None  # a manifest lists what was there before it, so there is no way back here
        while path:
            partition, inputs = path[-1]
            source, content_hash = next(inputs, (None, ""))
            if source is None:
                path.pop()
                continue
            found = (partition, source) if self.changed(source, content_hash) else answers.get(source)
            if found is not None:
                answers |= {of_path: found for of_path, _ in path}
                break
            if source not in answers:
                answers[source] = None
                path.append((source, self._inputs(source)))
        return answers[name]

    def changed(self, name: str, content_hash: str) -> bool:
        """Says whether a partition has other content now, or none."""
        made = self._of(name)
        return made is None or made.content_hash != content_hash

    def _inputs(self, name: str) -> Iterator[tuple[str, str]]:
        made = self._of(name)
        assert made is not None, f"{name} is not committed"
        return iter(made.inputs.items())

    def _of(self, name: str) -> Made | None:
        if name not in self._made:
            table, day = _split(name)
            self._made[name] = None
            if storage.has_partition(self.config, table, day):
                manifest = storage.read_manifest(self.config, table, day)
                self._made[name] = Made(manifest["content_hash"], manifest["inputs"])
        return self._made[name]


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


def partitions(lineage: Lineage, day: date) -> list[Partition]:
    """Returns every committed partition of the day, in the order of the day; tables of no known job come last."""
    config = lineage.config
    order = {table: position for position, table in enumerate(day_tables(config))}
    tables = sorted(storage.tables_of(config, day), key=lambda table: (order.get(table, len(order)), table))
    return [_partition(lineage, table, day) for table in tables]


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


def _told(name: str, day: date) -> str:
    """Names a partition: its table, and its day where that is another."""
    table, of_day = _split(name)
    return table if of_day == day else f"{table} of {of_day}"


def _command(table: Table) -> str:
    """Names the job that writes a table, with the stage where it has one."""
    stage = table.name.removeprefix("gate_results_")
    return table.writer if stage == table.name else f"{table.writer} --stage {stage}"


def _partition(lineage: Lineage, table: str, day: date) -> Partition:
    manifest: dict[str, Any] = storage.read_manifest(lineage.config, table, day)
    return Partition(
        table=table,
        rows=manifest["rows"] if manifest["schema"] else None,
        content_hash=manifest["content_hash"],
        code_version=manifest["code_version"],
        inputs=[Input(name, was, lineage.changed(name, was)) for name, was in manifest["inputs"].items()],
        files=len(manifest["files"]) if "files" in manifest else None,
    )


def _split(name: str) -> tuple[str, date]:
    table, day = name.split("/ds=")
    return table, date.fromisoformat(day)
