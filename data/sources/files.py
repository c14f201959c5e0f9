"""Your own log: Parquet and CSV files whose columns platform.yaml maps (`columns` of the source).

`path` is a file, or a folder whose .parquet, .csv, .csv.gz and .csv.zst files are all read. CSV values are read as
strings and get their types row by row, so one bad value costs one row. The features keep their names.

Which rows belong to a platform day:

- Where file or folder names carry dates (`events-2026-01-05.csv`, `ds=2026-01-05/part-0.parquet`), the day's rows are
  all the rows of the day's files. A row whose timestamp says another day, or nothing, is so quarantined on that day.
- Otherwise the timestamp decides, and rows outside the log's first_day to last_day are left alone. A row whose
  timestamp cannot be read belongs to the day of the readable row before it in its file (at the start of a file: after
  it), so it is quarantined once, among its neighbours. A file without one readable timestamp belongs to every day.
"""

import logging
import re
from datetime import date, timedelta
from pathlib import Path

import polars as pl

import storage
from config import ROOT, ColumnMapping, PlatformConfig, Source
from data.schema import EVENT_COLUMNS, Schema
from data.sources.data_source import DataSource
from data.validation import read_timestamps

LOG = logging.getLogger("headwater.sources")

SUFFIXES = (".parquet", ".csv", ".csv.gz", ".csv.zst")
CORE = ("impression_id", "event_timestamp", "user_id", "item_id", "label")
DATE = re.compile(r"(?<!\d)(\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01]))(?!\d)")


def schema(source: Source) -> Schema:
    """Returns the features that `columns` names; the crosses are (user, item) where it names none.

    Raises:
        ValueError: `columns` is missing, or uses a name twice, or a name the platform needs for itself.
    """
    columns = _mapping(source)
    features = [
        *columns.user_categorical,
        *columns.user_dense,
        *columns.item_categorical,
        *columns.item_dense,
        *columns.context_categorical,
        *columns.context_dense,
    ]
    twice = sorted({name for name in features if features.count(name) > 1})
    if twice:
        raise ValueError(f"platform.yaml: source columns: {', '.join(twice)} is listed twice; a feature has one kind")
    taken = sorted({*EVENT_COLUMNS, "reason"}.intersection(features))
    if taken:
        raise ValueError(f"platform.yaml: source columns: a feature may not be called {', '.join(taken)}; rename it")
    allowed = ["item_id", *columns.item_categorical]
    wrong = [name for name in columns.crosses if name not in allowed]
    if wrong:
        raise ValueError(f"platform.yaml: source columns.crosses: {', '.join(wrong)} is none of {', '.join(allowed)}")
    return Schema(
        user_categorical=tuple(columns.user_categorical),
        user_dense=tuple(columns.user_dense),
        item_categorical=tuple(columns.item_categorical),
        item_dense=tuple(columns.item_dense),
        context_categorical=tuple(columns.context_categorical),
        context_dense=tuple(columns.context_dense),
        crosses=tuple(columns.crosses) or ("item_id",),
    )


def fetch(config: PlatformConfig) -> None:
    """Checks that there is something to read.

    Raises:
        FileNotFoundError: `path` is not set or holds no Parquet or CSV file.
        ValueError: some file names carry a date and others do not.
    """
    _files(config)


def read(config: PlatformConfig, day: date) -> pl.DataFrame:
    """Reads the rows of a platform day, core columns renamed, in the order of file names and of the files.

    A mapped column that a file lacks is left out, with a warning; row checks then say which rows lack it.

    Raises:
        ValueError: a file is no Parquet or CSV at all.
    """
    frames = [_read_file(config, path, day) for path in _files(config) if _may_hold(config.source, path, day)]
    if not frames:
        return pl.DataFrame(schema=dict.fromkeys(_sources(config.source), pl.String))
    return pl.concat(frames, how="diagonal_relaxed")


def _read_file(config: PlatformConfig, path: Path, day: date) -> pl.DataFrame:
    wanted = _sources(config.source)
    try:
        # CSV values stay strings until the rows are checked: else one bad value costs a file, not a row.
        scan = (
            pl.scan_parquet(path)
            if path.suffix == ".parquet"
            else pl.scan_csv(path, infer_schema=False, raise_if_empty=False)
        )
        present = scan.collect_schema().names()
        missing = [f"{source!r} (for {name})" for name, source in wanted.items() if source not in present]
        if missing:
            LOG.warning("%s lacks the columns %s; it has %s", path, ", ".join(missing), ", ".join(present))
        columns = {name: pl.col(source) for name, source in wanted.items() if source in present}
        # Without any mapped column the rows keep their own, or they would vanish instead of being quarantined.
        rows = (scan.select(**columns) if columns else scan).collect()
    except pl.exceptions.PolarsError as error:
        raise ValueError(f"{path} cannot be read: {str(error).splitlines()[0]}") from error
    return rows if _date(config.source, path) else rows.filter(_belongs(config, rows, day))


def _belongs(config: PlatformConfig, rows: pl.DataFrame, day: date) -> pl.Series:
    """Says which rows of a file without a date belong to the day, by their own or their neighbours' timestamps."""
    if "event_timestamp" not in rows.columns:
        return pl.repeat(True, rows.height, dtype=pl.Boolean, eager=True)
    start, end = storage.day_window(config, day)
    instants = read_timestamps(rows["event_timestamp"])
    neighbours = instants.fill_null(strategy="forward").fill_null(strategy="backward")
    return neighbours.is_between(start, end, "left").fill_null(True)


def _may_hold(source: Source, path: Path, day: date) -> bool:
    stamp = _date(source, path)
    if stamp is None:
        return True
    first = source.first_day if day == source.bootstrap_day else day
    return stamp in [first + timedelta(days=n) for n in range((day - first).days + 1)]


def _date(source: Source, path: Path) -> date | None:
    """Returns the date in a file's name, or in the name of a folder below `path`; None where there is none."""
    root = ROOT / (source.path or "")
    stamps = DATE.findall(path.name if path == root else str(path.relative_to(root)))
    return date.fromisoformat(stamps[-1]) if stamps else None


def _files(config: PlatformConfig) -> list[Path]:
    where = f"sources.{config.data_source}.path"
    if config.source.path is None:
        raise FileNotFoundError(f"platform.yaml: {where} is not set; name your Parquet or CSV file, or their folder")
    root = ROOT / config.source.path
    paths = [root] if root.is_file() else sorted(path for path in root.rglob("*") if path.is_file())
    files = [path for path in paths if path.name.endswith(SUFFIXES) and not path.name.startswith((".", "_"))]
    if not files:
        raise FileNotFoundError(f"platform.yaml: {where} is {root}, where there is no {' or '.join(SUFFIXES)} file")
    undated = [path for path in files if _date(config.source, path) is None]
    if undated and len(undated) < len(files):
        raise ValueError(
            f"{where} {root}: some files carry a date in their names, but {undated[0].name} and {len(undated) - 1} "
            "others do not; name all of them by date or none"
        )
    return files


def _sources(source: Source) -> dict[str, str]:
    """Maps each column of the common schema to the column of the user's files."""
    columns = _mapping(source)
    features = schema(source)
    return {name: getattr(columns, name) for name in CORE} | {n: n for n in (*features.categorical, *features.dense)}


def _mapping(source: Source) -> ColumnMapping:
    if source.columns is None:
        raise ValueError("platform.yaml: a source of your own files needs `columns`, which maps its columns")
    return source.columns


SOURCE = DataSource(
    name="files",
    about="Your own log, read from the files that platform.yaml names.",
    schema=schema,
    fetch=fetch,
    read=read,
)
