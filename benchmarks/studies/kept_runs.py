"""The runs of a study that takes hours: made once, kept beside its result, and gone on from on any machine.

A run is one line of `runs.jsonl` in the work folder when it is made and, at the end, of
`benchmarks/tables/NAME_runs.jsonl`. Where a change makes a study's runs others than those that are kept, this file must
be removed with it.
"""

import argparse
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import storage
from search.trials import R, Row, execute, finished

FOLDER = Path(__file__).parents[1] / "tables"
DIGITS = 6


def make_runs(a: argparse.Namespace, name: str, planned: Sequence[R], run: Callable[[R], Row]) -> list[Row]:
    """Makes the runs of a study that are neither in the work folder nor kept, and keeps them; a quick look keeps none.

    Args:
        a: what `study_parser` has read.
        name: of the study.
        planned: its runs, in the order in which they are made.
        run: makes one, and returns its figures.

    Returns:
        All runs there are.
    """
    work, names = a.work / (f"{name}_quick" if a.quick else name), tuple(planned[0].key)
    runs, kept = work / "runs.jsonl", FOLDER / f"{name}_runs.jsonl"
    if a.quick:
        shutil.rmtree(work, ignore_errors=True)  # nothing of the last look is used again
    work.mkdir(parents=True, exist_ok=True)
    if not a.quick:
        _go_on_from(kept, runs, names)
    if not a.report:
        execute(planned, runs, run, total=len(planned), describe=str, minutes=a.minutes)
    if not a.quick:
        _keep(runs, kept, names)
    return finished(runs)


def _go_on_from(kept: Path, runs: Path, names: tuple[str, ...]) -> None:
    there = {_key(row, names) for row in finished(runs)}
    missing = [row for row in finished(kept) if _key(row, names) not in there]
    if missing:
        with runs.open("a") as file:
            file.writelines(json.dumps(row) + "\n" for row in missing)


def _keep(runs: Path, kept: Path, names: tuple[str, ...]) -> None:
    rows = sorted(finished(runs), key=lambda row: _key(row, names))
    if rows:
        kept.parent.mkdir(exist_ok=True)
        with storage.replace_file(kept) as path:
            path.write_text("".join(json.dumps(_rounded(row)) + "\n" for row in rows))


def _key(row: Row, names: tuple[str, ...]) -> str:
    return json.dumps([row[name] for name in names])


def _rounded(row: Row) -> Row:
    return {name: _short(value) for name, value in row.items()}


def _short(value: object) -> object:
    if isinstance(value, dict):
        return _rounded(value)
    return round(value, DIGITS) if isinstance(value, float) else value
