"""The finished trials of a study, one line of JSON each, and the loop that makes the missing ones."""

import json
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

import storage

Row = dict[str, Any]


class Planned(Protocol):
    """A trial to be made."""

    @property
    def key(self) -> dict[str, object]:
        """What names the trial in the file; the same names for every trial of a study."""
        ...


R = TypeVar("R", bound=Planned)


def finished(path: Path) -> list[Row]:
    """Reads the trials of a file; none where there is no file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def execute(
    planned: Iterable[R],
    path: Path,
    run: Callable[[R], Row],
    *,
    total: int,
    describe: Callable[[R], str],
    minutes: float = float("inf"),
) -> None:
    """Makes the trials that a file lacks, in their order; each is a line of it when it is done.

    Args:
        planned: may depend on the trials made so far.
        path: of the file.
        run: gives a trial's figures.
        total: how many are planned, for the progress bar.
        describe: a trial, for people.
        minutes: no trial begins later.
    """
    deadline = time.monotonic() + minutes * 60
    done: set[str] | None = None
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(path.parent.name, total=total)
        for one in planned:
            if time.monotonic() > deadline:
                break
            if done is None:
                done = {json.dumps({name: row[name] for name in one.key}) for row in finished(path)}
            if json.dumps(one.key) not in done:
                done.add(json.dumps(one.key))
                bar.update(task, description=describe(one))
                figures = storage.finite(run(one))
                with path.open("a") as file:
                    file.write(json.dumps(one.key | figures) + "\n")
            bar.advance(task)
