"""A table's day as Great Expectations sees it: the rows of a few columns, and one row of aggregates, both by DuckDB.

Views that a measure's SQL may use: `rows` (the table's partition of the day), `previous` (its partition of the newest
platform day before that was not skipped; empty if there is none) and `events` (the day's events). In each, every column
of the suite is there with its type: a column the files lack is null, one of another type is cast, null where that
fails; the measures `missing_columns` and `wrong_types` report it.

Variables (`getvariable('…')`): missing_columns, wrong_types (names, or `none`); window_start_us, window_end_us,
snapshot_ends_us (microseconds since 1970); log_days, previous_log_days (log days in the window); and for `events`
raw_rows, quarantined.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from glob import escape
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

import storage
from config import PlatformConfig
from data.schema import EVENT_COLUMNS, epoch_us
from quality.suite import Suite

DUCKDB_TYPES = {
    pa.string(): "VARCHAR",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.float32(): "FLOAT",
    pa.timestamp("us", tz="UTC"): "TIMESTAMPTZ",
}


@dataclass(frozen=True)
class Frames:
    """What a suite judges.

    Attributes:
        rows: the suite's row columns, one row per row of the table, in its order.
        profile: one row, one column per measure.
    """

    rows: pd.DataFrame
    profile: pd.DataFrame


def profile(config: PlatformConfig, day: date, suite: Suite) -> Frames:
    """Reads a day of the suite's table.

    Raises:
        PartitionMissing: the table or the day's events have no committed partition.
        ValueError: the manifest of the events does not say how many raw rows there were.
    """
    with _database(config) as database:
        actual = _create_view(database, "rows", config, suite.table, day, suite.columns)
        before = storage.previous_day(config, day)
        has_before = before is not None and storage.has_partition(config, suite.table, before)
        _create_view(database, "previous", config, suite.table, before if has_before else None, suite.columns)
        _create_view(database, "events", config, "events", day, pa.schema(EVENT_COLUMNS))
        variables = _window(config, day, before if has_before else None) | _differences(suite.columns, actual)
        if suite.table == "events":
            variables |= _quarantine(config, day)
        for name, value in variables.items():
            database.execute(f"SET VARIABLE {name} = {_literal(value)}")
        columns = ", ".join(f'"{name}"' for name in suite.row_columns)
        measures = ", ".join(f'{measure.sql} AS "{measure.name}"' for measure in suite.profile)
        return Frames(
            rows=_frame(database, f"SELECT {columns} FROM rows"),
            profile=_frame(database, f"SELECT {measures} FROM rows"),
        )


@contextmanager
def _database(config: PlatformConfig) -> Iterator[duckdb.DuckDBPyConnection]:
    spill = storage.source_root(config) / "tmp"
    # Without extensions, of which it would fetch some from the network, DuckDB's only time zone is UTC.
    settings = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
    database = duckdb.connect(config={"temp_directory": str(spill), **settings})
    try:
        yield database
    finally:
        database.close()


def _frame(database: duckdb.DuckDBPyConnection, query: str) -> pd.DataFrame:
    """Returns the answer in pandas, backed by Arrow: strings stay compact, integers stay integers beside nulls."""
    table: pa.Table = database.sql(query).to_arrow_table()
    return table.to_pandas(types_mapper=pd.ArrowDtype)


def _create_view(
    database: duckdb.DuckDBPyConnection,
    view: str,
    config: PlatformConfig,
    table: str,
    day: date | None,
    columns: pa.Schema,
) -> pa.Schema:
    """Creates a view with exactly `columns`, empty if day is None; returns the schema that the files really have."""
    files: list[Path] = []
    if day is not None:
        files = storage.parquet_files(config, table, day, storage.read_manifest(config, table, day))
    actual = pq.read_schema(files[0]) if files else pa.schema([])
    selected = []
    for field in columns:
        kind = _duckdb_type(field.type)
        if field.name not in actual.names:
            selected.append(f'NULL::{kind} AS "{field.name}"')
        elif _same_type(field.type, actual.field(field.name).type):
            selected.append(f'"{field.name}"')
        else:  # by way of text, which every type can be cast to
            selected.append(f'TRY_CAST("{field.name}"::VARCHAR AS {kind}) AS "{field.name}"')
    readable = files and actual.names  # DuckDB refuses a file without columns
    source = f"read_parquet({_literal([escape(str(f)) for f in files])})" if readable else "range(0)"
    database.execute(f"CREATE VIEW {view} AS SELECT {', '.join(selected)} FROM {source}")
    return actual


def _duckdb_type(kind: pa.DataType) -> str:
    return f"{DUCKDB_TYPES[kind.value_type]}[]" if pa.types.is_list(kind) else DUCKDB_TYPES[kind]


def _same_type(expected: pa.DataType, actual: pa.DataType) -> bool:
    """Says whether Parquet holds the same, whatever the width of Arrow's string offsets and the names inside lists."""
    if pa.types.is_list(expected):
        lists = pa.types.is_list(actual) or pa.types.is_large_list(actual)
        return lists and _same_type(expected.value_type, actual.value_type)
    if pa.types.is_string(expected):
        return pa.types.is_string(actual) or pa.types.is_large_string(actual) or pa.types.is_string_view(actual)
    return bool(expected == actual)


def _differences(expected: pa.Schema, actual: pa.Schema) -> dict[str, str]:
    missing = [name for name in expected.names if name not in actual.names]
    wrong = [
        f"{field.name} is {actual.field(field.name).type}, not {field.type}"
        for field in expected
        if field.name in actual.names and not _same_type(field.type, actual.field(field.name).type)
    ]
    return {
        "missing_columns": ", ".join(missing) or "none",
        "wrong_types": "; ".join(wrong) or "none",
    }


def _window(config: PlatformConfig, day: date, before: date | None) -> dict[str, Any]:
    start, end = storage.day_window(config, day)
    return {
        "window_start_us": epoch_us(start),
        "window_end_us": epoch_us(end),
        "snapshot_ends_us": [epoch_us(instant) for instant in storage.snapshot_ends(config, day)],
        "log_days": len(storage.day_ends(config, day)),
        "previous_log_days": len(storage.day_ends(config, before)) if before else 1,
    }


def _quarantine(config: PlatformConfig, day: date) -> dict[str, int]:
    extra = storage.read_manifest(config, "events", day)["extra"]
    if "raw_rows" not in extra or "quarantined" not in extra:
        raise ValueError(
            f"the manifest of events/ds={day} lacks raw_rows or quarantined, so nobody knows how many rows were "
            f"rejected; run ingest for {day} again"
        )
    return {"raw_rows": int(extra["raw_rows"]), "quarantined": sum(extra["quarantined"].values())}


def _literal(value: Any) -> str:
    """Writes a value as SQL text."""
    if isinstance(value, list):
        return f"[{', '.join(_literal(v) for v in value)}]"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return f"{value}::BIGINT"
