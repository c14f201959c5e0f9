"""Your own log: Parquet and CSV files whose columns platform.yaml maps (`columns` of the source).

`path` is a file, or a folder whose Parquet, CSV and TSV files are all read (data.raw.own_files). CSV values are read as
strings and get their types row by row, so one bad value costs one row. The features keep their names.

Which rows belong to a platform day:

- Where file or folder names carry dates (`events-2026-01-05.csv`, `ds=2026-01-05/part-0.parquet`), the day's rows are
  all the rows of the day's files; a folder `KEY=DATE` decides. A row whose timestamp says another day, or nothing, is
  so quarantined on that day.
- Otherwise the timestamp decides, and rows outside the log's first_day to last_day are left alone. A row whose
  timestamp cannot be read belongs to the day of the readable row before it in its file (at the start of a file: after
  it), so it is quarantined once, among its neighbours. A file without one readable timestamp belongs to every day.
"""

import logging
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path

import polars as pl

import storage
from config import ROOT, ColumnMapping, PlatformConfig, Source
from data.ids import one_id
from data.raw.own_files import NAMED, SUFFIXES, day_of, disagreement, find_files
from data.raw.own_rows import read_rows, refused, rows_hash, together
from data.raw.sampling import Read
from data.schema import Schema
from data.sources.data_source import DataSource, FileChange
from data.validation import TIMESTAMP, read_timestamps

LOG = logging.getLogger("headwater.sources")

EVERY_DAY = "every day"  # of a file without one readable timestamp

CORE = ("event_timestamp", "user_id", "item_id", "label")


def schema(source: Source) -> Schema:
    """Returns the features that `columns` names; the crosses are (user, item) where it names none.

    Raises:
        ValueError: `columns` is missing.
    """
    columns = _mapping(source)
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
    """Checks that there is something to read, and says what of `path` is not read.

    Raises:
        FileNotFoundError: `path` is not set or holds no Parquet or CSV file.
        ValueError: some file names carry a date and others do not.
    """
    paths, left_out = found_files(config)
    if left_out:
        LOG.warning("left out of %s: %s", _root(config), "; ".join(left_out))
    contradictions = [said for path in paths if (said := disagreement(_root(config), path))]
    if contradictions:
        LOG.warning("dates disagree in %d names: %s", len(contradictions), "; ".join(contradictions[:NAMED]))


def read(config: PlatformConfig, day: date) -> pl.DataFrame:
    """Reads the rows of a platform day, core columns renamed, in the order of file names and of the files.

    The files, and what they have of each day, are recorded for the manifest of what is made from them.

    A mapped column that a file lacks is left out, with a warning; row checks then say which rows lack it. A row that
    its file gives no values of has a reason in REFUSED.

    Raises:
        ValueError: a file cannot be read at all.
    """
    frames, outside, read_files = [], [], {}
    for path in found_files(config)[0]:
        stamp = day_of(_root(config), path)
        if stamp is not None and stamp not in storage.calendar_days(config, day):
            continue
        found = path.stat()  # before it is read: what is written to it meanwhile makes it another file
        rows = read_file(config.source, path).rows
        hashes = _hashes(config, path, rows)
        read_files[_name(config, path)] = storage.FileRead(found.st_size, found.st_mtime_ns, hashes)
        if stamp is None:
            known = instants(config.source, rows)
            outside.append(_outside(config, known))
            rows = of_day(config, path, rows, known, day)
        frames.append(rows)
    storage.record_files(read_files)
    strays = pl.concat([pl.Series(dtype=TIMESTAMP), *outside])
    if len(strays):
        LOG.warning(_strays(strays))
    if not frames:
        return pl.DataFrame(schema=dict.fromkeys(("impression_id", *_sources(config.source)), pl.String))
    return together(frames)


def changed_files(
    config: PlatformConfig, landed: Mapping[date, Mapping[str, storage.FileRead]]
) -> dict[date, list[FileChange]]:
    """Finds the files whose rows of a landed day are not those that were read.

    A file of the size and modification time that any of the days knows is not opened. Of a file that cannot be read a
    warning says so; it has changed for the day in its name, and without one it is taken to be as it was. Where the
    whole log is away, a warning says that, and nothing has changed.

    Args:
        config: the platform.
        landed: the files that each day was read from, by name.
    """
    root = _root(config)
    if config.source.path is None or not root.exists():
        LOG.warning(
            "%s is not there, so nobody can say whether files came late", config.source.path or "sources.*.path"
        )
        return {}
    known = {
        (name, read.size, read.modified_ns): read.rows for files in landed.values() for name, read in files.items()
    }
    now = {_name(config, path): path for path in find_files(root)[0]}
    return {day: _changes(config, day, files, now, known) for day, files in landed.items()}


Known = dict[tuple[str, int, int], Mapping[str, str]]  # name, size and modification time -> hashes of rows by day


def _changes(
    config: PlatformConfig, day: date, landed: Mapping[str, storage.FileRead], now: Mapping[str, Path], known: Known
) -> list[FileChange]:
    """Compares the files of a day with those there are; adds the files that it reads to `known`."""
    was = {name: rows for name, read in landed.items() if (rows := _of_day(read.rows, day))}
    changes = []
    for name, path in now.items():
        stamp = day_of(_root(config), path)
        if stamp is not None and stamp not in storage.calendar_days(config, day):
            continue
        hashes = _hashes_now(config, name, path, landed.get(name), known)
        rows = _of_day(hashes, day) if hashes is not None else was.get(name) if stamp is None else "unreadable"
        if rows != was.get(name):
            changes.append(FileChange(name, "gone" if rows is None else "changed" if name in was else "new"))
    changes += [FileChange(name, "gone") for name in was if name not in now]
    return sorted(changes, key=lambda change: change.name)


def _hashes_now(
    config: PlatformConfig, name: str, path: Path, landed: storage.FileRead | None, known: Known
) -> Mapping[str, str] | None:
    """Returns a file's hashes by day, without opening it where they are known; None where it cannot be read."""
    try:
        found = path.stat()
        if landed is not None and (landed.size, landed.modified_ns) == (found.st_size, found.st_mtime_ns):
            return landed.rows  # other days may have read it by other settings
        key = (name, found.st_size, found.st_mtime_ns)
        if key not in known:
            known[key] = _hashes(config, path, read_file(config.source, path).rows)
    except (ValueError, OSError) as error:
        LOG.warning("not compared with what was landed: %s", error)
        return None
    return known[key]


def _of_day(hashes: Mapping[str, str], day: date) -> str | None:
    return hashes.get(str(day), hashes.get(EVERY_DAY))


def _hashes(config: PlatformConfig, path: Path, rows: pl.DataFrame) -> dict[str, str]:
    """Returns a hash of the rows that a file has of each platform day, of those days that it has rows of."""
    stamp, source = day_of(_root(config), path), config.source
    if not rows.height:
        return {}
    if stamp is not None:
        return {str(max(stamp, source.bootstrap_day)): rows_hash(rows)}
    known = instants(source, rows)
    if known.null_count():  # of all rows, or of none
        return {EVERY_DAY: rows_hash(rows)}
    within = known.filter(_in_log(config, known))  # a log has instants, too, of which Python has no date
    if not len(within):
        return {}
    oldest, newest = (instant.date() for instant in (within.min(), within.max()))  # type: ignore[union-attr]
    first = max(source.bootstrap_day, oldest - timedelta(days=1))  # wherever the log's midnight lies
    last = min(source.last_day, max(first, newest + timedelta(days=1)))
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    parts = ((day, of_day(config, path, rows, known, day)) for day in days)
    return {str(day): rows_hash(part) for day, part in parts if part.height}


def why_nothing(config: PlatformConfig, day: date) -> str:
    """Says where the log's rows are instead, for a day that has none."""
    paths = found_files(config)[0]
    stamps = sorted({stamp for path in paths if (stamp := day_of(_root(config), path))})
    if stamps:
        if set(stamps).intersection(storage.calendar_days(config, day)):
            return "the files of this day hold no rows"
        named = ", ".join(str(stamp) for stamp in stamps[:NAMED]) + (f", … {stamps[-1]}" if len(stamps) > NAMED else "")
        return f"no file is of this day: the files are of {named}"
    times = [instants(config.source, read_file(config.source, path).rows) for path in paths]
    strays = pl.concat([_outside(config, found) for found in times])
    known = pl.concat(times).drop_nulls()
    if len(strays):
        return _strays(strays)
    return f"the log's rows are of {_span(known)}" if len(known) else "the files hold no rows"


def read_file(source: Source, path: Path, sample: int | None = None) -> Read:
    """Reads one file of a source; with `sample`, about so many of its rows at most, each with its place.

    Raises:
        ValueError: the file cannot be read at all.
    """
    key = _mapping(source).impression_id
    parts = {f"impression_id ({column})": column for column in key} if isinstance(key, list) else {"impression_id": key}
    wanted = parts | _sources(source)
    numbers = ("label", *schema(source).dense)
    read = read_rows(path, source.format, wanted, (*parts, "user_id", "item_id"), numbers, sample)
    rows = read.rows
    missing = [f"{column!r} (for {name})" for name, column in wanted.items() if column not in read.names]
    if missing:
        LOG.warning("%s lacks the columns %s; it has %s", path, ", ".join(missing), ", ".join(read.names))
    if "user_id" not in rows.columns:  # else its rows would pass for nobody's
        rows = refused(rows, pl.repeat(True, rows.height, eager=True), "missing column: user_id")
    if isinstance(key, list) and set(parts) <= set(rows.columns):
        rows = rows.with_columns(one_id([rows[part] for part in parts]).alias("impression_id")).drop(list(parts))
    return read._replace(rows=rows)


def of_day(config: PlatformConfig, path: Path, rows: pl.DataFrame, known: pl.Series, day: date) -> pl.DataFrame:
    """Returns which of a file's rows belong to a platform day, `known` being their `instants`."""
    stamp = day_of(_root(config), path)
    if stamp is None:
        start, end = storage.day_window(config, day)
        return rows.filter(known.is_between(start, end, "left").fill_null(True))
    return rows if stamp in storage.calendar_days(config, day) else rows.clear()


def instants(source: Source, rows: pl.DataFrame) -> pl.Series:
    """Returns the rows' timestamps; of a row whose own cannot be read, its neighbours'."""
    if "event_timestamp" not in rows.columns:
        return pl.Series([None] * rows.height, dtype=TIMESTAMP)
    own = read_timestamps(rows["event_timestamp"], source.time_zone)
    return own.fill_null(strategy="forward").fill_null(strategy="backward")


def _outside(config: PlatformConfig, known: pl.Series) -> pl.Series:
    return known.filter(~_in_log(config, known).fill_null(True))


def _in_log(config: PlatformConfig, known: pl.Series) -> pl.Series:
    """Says which instants lie between first_day and last_day; null where there is none."""
    start = storage.day_window(config, config.source.bootstrap_day)[0]
    end = storage.day_window(config, config.source.last_day)[1]
    return known.is_between(start, end, "left")


def _strays(outside: pl.Series) -> str:
    return f"{len(outside)} rows lie outside the log, from {_span(outside)}"


def _span(known: pl.Series) -> str:
    ends = pl.concat([known.bottom_k(1), known.top_k(1)])
    return " to ".join(ends.dt.strftime("%Y-%m-%d %H:%M:%S%.f%:z"))  # by polars: its years go beyond Python's


def _name(config: PlatformConfig, path: Path) -> str:
    """Names a file below `path`, wherever that lies."""
    root = _root(config)
    return path.name if path == root else str(path.relative_to(root))


def _root(config: PlatformConfig) -> Path:
    return ROOT / (config.source.path or "")


def found_files(config: PlatformConfig) -> tuple[list[Path], list[str]]:
    """Returns the log's files, by name, and what of `path` is left out, in words.

    Raises:
        FileNotFoundError: `path` is not set or holds no Parquet or CSV file.
        ValueError: some file names carry a date and others do not.
    """
    where = f"sources.{config.data_source}.path"
    if config.source.path is None:
        raise FileNotFoundError(f"platform.yaml: {where} is not set; name your Parquet or CSV file, or their folder")
    root = _root(config)
    files, left_out = find_files(root)
    if not files:
        others = f"; left out: {'; '.join(left_out)}" if left_out else ""
        raise FileNotFoundError(
            f"platform.yaml: {where} is {root}, where there is no {' or '.join(SUFFIXES)} file{others}"
        )
    undated = [path for path in files if day_of(root, path) is None]
    if undated and len(undated) < len(files):
        raise ValueError(
            f"{where} {root}: some files carry a date in their names, but {undated[0].name} and {len(undated) - 1} "
            "others do not; name all of them by date or none"
        )
    return files, left_out


def _sources(source: Source) -> dict[str, str]:
    """Maps each column of the common schema, but the impression id, to the column of the user's files."""
    columns = _mapping(source)
    features = schema(source)
    core = {name: getattr(columns, name) for name in CORE}
    return core | {name: name for name in (*features.categorical, *features.dense)}


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
    why_nothing=why_nothing,
    changed_files=changed_files,
)
