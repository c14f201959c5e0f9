"""A study's command line, its finished runs, one line of JSON each, and the loop that makes the missing ones."""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

import storage
from config import ROOT

Row = dict[str, Any]


class Planned(Protocol):
    """A run to be made."""

    @property
    def key(self) -> dict[str, object]:
        """What names the run in the file; the same names for every run of a study."""
        ...


R = TypeVar("R", bound=Planned)


def study_parser(description: str | None, *, seeds: int, quick: str) -> argparse.ArgumentParser:
    """The options that every study has; it adds its own.

    Args:
        description: of the study.
        seeds: how many by default.
        quick: what `--quick` does.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=ROOT / ".headwater" / "studies", help="keeps logs, FMs and runs")
    parser.add_argument("--seeds", type=int, default=seeds, help=f"(default {seeds})")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop before a run that would begin later")
    parser.add_argument("--report", action="store_true", help="only report the runs there are")
    parser.add_argument("--quick", action="store_true", help=quick)
    return parser


def finished(path: Path) -> list[Row]:
    """The runs of a file; none where there is no file."""
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
    """Makes the runs that a file lacks, in their order; each is a line of it when it is done.

    Args:
        planned: may depend on the runs made so far.
        path: of the file.
        run: gives a run's figures.
        total: how many are planned, for the progress bar.
        describe: a run, for people.
        minutes: no run begins later.
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
