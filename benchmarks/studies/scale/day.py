"""Two days of the synthetic log through the real jobs, each a process, watched from outside."""

import json
import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

import storage
from benchmarks.platform_file import platform_file
from benchmarks.studies.scale.watched import Watched, folder_bytes, watch
from config import PlatformConfig, load_config
from search.trials import Row

DAYS = (date(2026, 1, 1), date(2026, 1, 2))
TABLES = (
    "events",
    "user_activity",
    "item_activity",
    "examples",
    "fm_outputs",
    "user_fm_history",
    "item_fm_embedding",
    "vertical_examples",
)
VERTICAL = "feed"
HISTORIES = ("history_item_ids", "fm_history_item_ids")  # columns, of which a table has one or none
RANKS = 64  # of a group whose first rank only reads
PASSED = re.compile(r"(score|learn) [\w' ]+: ([\d,]+) examples in ([\d.]+) s")  # what training.progress.track says
ONLINE, READ_BACK = "into the online store", "back from Feast"  # what materialize_features says as it goes on


@dataclass(frozen=True)
class Run:
    """Two days of a log of some size."""

    events_per_day: int
    repeat: int

    @property
    def key(self) -> dict[str, object]:
        """Returns what names the run in the file of results."""
        return asdict(self)


def two_days(run: Run, folder: Path) -> Row:
    """Runs every job of two days, and removes what they wrote.

    Returns:
        `steps`: what each step cost, see `_measured`; `tables`: rows, elements of their histories and bytes, by day;
        `online_store`: entities and bytes.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    gates = {"calibration": [0.1, 10.0]}  # what a tiny log teaches must not stop the day
    path = platform_file(folder, run.events_per_day, runtime={"device": "cpu"}, gates=gates)
    config = load_config(path)
    steps = list(_steps(config, path))
    made = {
        "steps": steps,
        "tables": [_table(config, table, day) for table in TABLES for day in DAYS],
        "online_store": {"rows": _entities(config, DAYS[-1]), "bytes": storage.online_store_bytes(config)},
    }
    shutil.rmtree(folder)
    return made


def _steps(config: PlatformConfig, path: Path) -> Iterator[dict[str, Any]]:
    """Yields what each step of each day cost; some are judged on the second day only, which has one before it."""
    first, second = DAYS
    rows: dict[date, int] = {}
    coded = 0  # impressions with a code, which histories are made of
    for day in DAYS:
        past = rows.get(first, 0)
        seen = _job(path, "ingest", day)
        rows[day] = count = storage.read_manifest(config, "events", day)["rows"]
        yield _measured("ingest", day, count, seen)
        if day == second:  # which is compared with the first
            yield _measured("check_events", day, count, _job(path, "check_quality", day, "--stage", "events"))
        yield _measured("extract_features", day, count, _job(path, "extract_features", day), past=past)
        if day == second:
            yield _measured("check_features", day, count, _job(path, "check_quality", day, "--stage", "features"))
            for ranks in (1, RANKS):
                yield _reading(path, day, ranks)
        seen = _job(path, "train_foundation", day)
        yield from _of_training(day, count, seen)
        coded += storage.dataset(config, "fm_outputs", [day]).count_rows(filter=pc.is_valid(pc.field("code")))
        seen = _job(path, "materialize_features", day)
        yield from _of_materializing(day, seen, coded=coded, entities=_entities(config, day), rows=count)
    seen = _job(path, "distill_vertical", second, "--vertical", VERTICAL)
    learnt = json.loads(seen.output.splitlines()[-1])["learnt_rows"] * config.vertical_model.cold_start_epochs
    yield _measured("distill_vertical", second, learnt, seen)


def _job(path: Path, name: str, day: date, *options: str) -> Watched:
    return _python(path, "jobs", name, "--day", str(day), *options)


def _python(path: Path, *command: str) -> Watched:
    env = os.environ | {"HEADWATER_CONFIG": str(path)}
    return watch([sys.executable, "-m", *command], env=env)


def _measured(
    step: str,
    day: date,
    rows: int,
    seen: Watched,
    *,
    past: int = 0,
    stretch: tuple[float, float] | None = None,
) -> dict[str, Any]:
    """Describes what a step, or a stretch of a job, cost.

    Args:
        step: its name.
        day: that it ran for.
        rows: it worked on.
        seen: the job.
        past: rows of earlier days that it read, too.
        stretch: its start and end, in the job; None: all of it.
    """
    start, end = stretch or (0.0, seen.seconds)
    return {
        "step": step,
        "day": str(day),
        "rows": rows,
        "past": past,
        "seconds": round(end - start, 3),
        "cpu_seconds": round(seen.cpu_seconds(start, end), 3),
        "peak_bytes": seen.peak_bytes,  # of the job, whichever stretch it was in
    }


def _reading(path: Path, day: date, ranks: int) -> dict[str, Any]:
    """Describes what the batches of one rank cost, before any model: the pass alone, as the process measured itself."""
    seen = _python(path, "benchmarks.studies.scale.reading", "--day", str(day), "--ranks", str(ranks))
    passed = json.loads(seen.output.splitlines()[-1])
    return _measured("read_batches" if ranks == 1 else f"read_batches_{ranks}", day, passed["rows"], seen) | {
        name: round(passed[name], 3) for name in ("seconds", "cpu_seconds")
    }


def _of_training(day: date, rows: int, seen: Watched) -> Iterator[dict[str, Any]]:
    """Yields what scoring and learning cost, each pass of a day added up, and the whole job."""
    yield _measured("train_foundation", day, rows, seen)
    of: dict[str, dict[str, Any]] = {}
    for at, line in seen.lines:
        if found := PASSED.search(line):
            step = {"score": "foundation_scores", "learn": "foundation_learns"}[found[1]]
            count, seconds = int(found[2].replace(",", "")), float(found[3])
            one = _measured(step, day, count, seen, stretch=(at - seconds, at))
            so_far = of.setdefault(step, one | {"rows": 0, "seconds": 0.0, "cpu_seconds": 0.0})
            for name in ("rows", "seconds", "cpu_seconds"):
                so_far[name] = round(so_far[name] + one[name], 3)
    yield from of.values()


def _of_materializing(day: date, seen: Watched, *, coded: int, entities: int, rows: int) -> Iterator[dict[str, Any]]:
    """Yields what each part of materialize_features cost: snapshots, the online store, and the rows read back."""
    at = {part: next(at for at, line in seen.lines if part in line) for part in (ONLINE, READ_BACK)}
    yield _measured("snapshots", day, coded, seen, stretch=(0.0, at[ONLINE]))
    yield _measured("online_store", day, entities, seen, stretch=(at[ONLINE], at[READ_BACK]))
    yield _measured("read_back", day, rows, seen, stretch=(at[READ_BACK], seen.seconds))


def _table(config: PlatformConfig, table: str, day: date) -> dict[str, Any]:
    """Describes a partition: its rows, how many elements their histories have together, and the bytes of its files."""
    rows = storage.dataset(config, table, [day])
    lists = [name for name in HISTORIES if name in rows.schema.names]
    elements = sum(pc.sum(pc.list_value_length(rows.to_table(columns=[name])[name])).as_py() or 0 for name in lists)
    size = folder_bytes(storage.partition_folder(config, table, day))
    return {"table": table, "day": str(day), "rows": rows.count_rows(), "elements": elements, "bytes": size}


def _entities(config: PlatformConfig, day: date) -> int:
    """Counts the users and items of a day's activity, whom the online store holds."""
    return sum(int(storage.read_manifest(config, table, day)["rows"]) for table in ("user_activity", "item_activity"))


def planned(sizes: Sequence[int], repeats: int) -> list[Run]:
    """Returns all runs: every size once, then again."""
    return [Run(size, repeat) for repeat in range(repeats) for size in sizes]
