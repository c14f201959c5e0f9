"""The runs of a study that takes hours: made once, kept beside its result, and gone on from on any machine."""

import argparse
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import storage
from search.trials import R, Row, execute, finished, name_of

FOLDER = Path(__file__).parents[1] / "tables"
DIGITS = 6


@contextmanager
def kept_runs(a: argparse.Namespace, name: str, of_run: Sequence[str]) -> Iterator[Path]:
    """Yields the file of a study's runs, one line each, with those that are kept in it; keeps all when it is left.

    They are kept as `benchmarks/tables/NAME_runs.jsonl`. Where a change makes a study's runs others than those, this
    file must be removed with it. A quick look begins with none, and keeps none.

    Args:
        a: what `study_parser` has read.
        name: of the study.
        of_run: what names a run in its line.
    """
    work = a.work / (f"{name}_quick" if a.quick else name)
    if a.quick:
        shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True, exist_ok=True)
    runs, kept = work / "runs.jsonl", FOLDER / f"{name}_runs.jsonl"
    if a.quick:
        yield runs
        return
    there = {name_of(row, of_run) for row in finished(runs)}
    with runs.open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in finished(kept) if name_of(row, of_run) not in there)
    try:
        yield runs
    finally:
        _keep(sorted(finished(runs), key=lambda row: name_of(row, of_run)), kept)


def make_runs(a: argparse.Namespace, name: str, planned: Sequence[R], run: Callable[[R], Row]) -> list[Row]:
    """Makes the planned runs of a study that are missing, unless it shall only report; returns all there are.

    Numbers are as short as they are kept, so figures are those of the kept runs, and no last bit makes a difference.
    """
    with kept_runs(a, name, tuple(planned[0].key)) as path:
        if not a.report:
            execute(planned, path, run, total=len(planned), describe=str, minutes=a.minutes)
    return [_short(row) for row in finished(path)]


def _keep(rows: list[Row], kept: Path) -> None:
    if rows:
        kept.parent.mkdir(exist_ok=True)
        with storage.replace_file(kept) as path:
            path.write_text("".join(json.dumps(_short(row)) + "\n" for row in rows))


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _short(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_short(one) for one in value]
    return round(value, DIGITS) if isinstance(value, float) else value
