"""The finished trials of a study, one line of JSON each, and the loop that makes the missing ones."""

import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

import storage

Row = dict[str, Any]


class Planned(Protocol):
    """A trial to be made."""

    @property
    def key(self) -> dict[str, object]:
        """Returns what names the trial in the file; the same names for every trial of a study."""
        ...


R = TypeVar("R", bound=Planned)


def finished(path: Path) -> list[Row]:
    """Reads the trials of a file; none where there is no file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def name_of(row: Mapping[str, Any], of_trial: Iterable[str]) -> str:
    """Returns what names a trial, as one text.

    Args:
        row: of a file, or a trial's key.
        of_trial: names of the key.
    """
    return json.dumps([row[name] for name in of_trial])


def finished_of(planned: Sequence[Planned], path: Path) -> list[Row]:
    """Reads those of a file's trials that are planned: it may have others, of a call with other settings."""
    wanted = {name_of(trial.key, trial.key) for trial in planned}
    return [row for row in finished(path) if name_of(row, planned[0].key) in wanted]


def execute(
    planned: Iterable[R],
    path: Path,
    run: Callable[[R], Row],
    *,
    total: int,
    describe: Callable[[R], str],
    minutes: float = float("inf"),
) -> None:
    """Makes the trials that a file lacks, in their order; appends each to the file as one line when it is done.

    Args:
        planned: all trials; may depend on those made so far.
        path: file of the finished trials.
        run: makes a trial and returns its figures.
        total: how many are planned, for the progress bar.
        describe: says in words which trial it is.
        minutes: no trial begins after so many.
    """
    deadline = time.monotonic() + minutes * 60
    done: set[str] | None = None
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(path.parent.name, total=total)
        for trial in planned:
            if time.monotonic() > deadline:
                break
            if done is None:
                done = {name_of(row, trial.key) for row in finished(path)}
            if (name := name_of(trial.key, trial.key)) not in done:
                done.add(name)
                bar.update(task, description=describe(trial))
                figures = storage.finite(run(trial))
                with path.open("a") as file:
                    file.write(json.dumps(trial.key | figures) + "\n")
            bar.advance(task)
