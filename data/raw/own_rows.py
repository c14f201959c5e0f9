"""Reads one file of a user's own log, each column in a form that does not depend on which other files lie beside it."""

import hashlib
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from config import Format
from data.ids import INEXACT, as_ids
from data.raw.csv_rows import RAW_PLACE, REFUSED, empty_notes, read_csv
from data.raw.own_files import TABLES
from data.raw.sampling import Read, slices

LAST_DAY = 90_000_000  # of polars' calendar, some 246 thousand years from 1970
A_DAY = {"ms": 86_400 * 10**3, "us": 86_400 * 10**6, "ns": 86_400 * 10**9}
UUID_DIGITS = "^(.{8})(.{4})(.{4})(.{4})(.{12})$"


def read_rows(
    path: Path,
    form: Format,
    wanted: dict[str, str],
    ids: tuple[str, ...],
    numbers: tuple[str, ...],
    sample: int | None = None,
) -> Read:
    """Reads the wanted columns of a Parquet or CSV file, ids as text; rows that cannot be used say why in REFUSED.

    Args:
        path: the file.
        form: how CSV files are written.
        wanted: the name that each column gets -> its name in the file.
        ids: the columns, by the names that they get, that are ids.
        numbers: the columns whose decimal point is `form.decimal` in CSV files.
        sample: None reads every row; else about so many at most, spread over the file, each with its place.

    Returns:
        The rows, all column names of the file, and how many rows it has.

    Raises:
        ValueError: the file cannot be read; the message says what to do.
    """
    if not path.stat().st_size:
        raise ValueError(f"{path} is empty (0 bytes): write it again, or take it away")
    if path.suffix.lower() in TABLES:
        read = _read_parquet(path, wanted, sample)
        rows = read.rows
    else:
        read = read_csv(path, form, wanted, sample)
        rows = read.rows
        if form.decimal == ",":
            rows = rows.with_columns(pl.col(name).str.replace(",", ".") for name in numbers if name in rows.columns)
    for name in ids:
        if name in rows.columns:
            rows = _with_ids(rows, name)
    return read._replace(rows=rows)


def _read_parquet(path: Path, wanted: dict[str, str], sample: int | None) -> Read:
    try:
        scan = pl.scan_parquet(path, glob=False, hive_partitioning=False)
        names = scan.collect_schema().names()
        columns = {name: pl.col(source) for name, source in wanted.items() if source in names}
        # Without any mapped column the rows keep their own, or they would vanish instead of being quarantined.
        chosen = scan.select(**columns) if columns else scan
        total = pq.read_metadata(path).num_rows
        if sample is None:
            rows = chosen.collect()
        else:
            rows = pl.concat([_placed(path, chosen, *stretch) for stretch in slices(total, sample)])
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, pa.ArrowException, OSError) as error:
        if isinstance(error, FileNotFoundError | PermissionError):
            raise
        why = (str(error).splitlines() or ["no reason given"])[0]
        raise ValueError(f"{path} cannot be read as Parquet ({why}): write it again, or take it away") from error
    return Read(_within_calendar(_without_bytes(path, rows, wanted)), names, total)


def _placed(path: Path, scan: pl.LazyFrame, offset: int, length: int) -> pl.DataFrame:
    rows = scan.slice(offset, length).collect()
    numbers = range(offset + 1, offset + 1 + rows.height)
    return rows.with_columns(pl.Series(RAW_PLACE, [f"{path}, row {number}" for number in numbers], pl.String))


def _within_calendar(rows: pl.DataFrame) -> pl.DataFrame:
    """Refuses rows with an instant or a date that no calendar has, and takes it away: polars stops at it."""
    for name, kind in rows.schema.items():
        if isinstance(kind, pl.Datetime | pl.Date):
            a_day = A_DAY[kind.time_unit] if isinstance(kind, pl.Datetime) else 1
            most = min(LAST_DAY * a_day, 2**63 - 1)
            within = rows[name].to_physical().is_between(-most, most)
            if not within.all():
                rows = refused(rows, ~within.fill_null(True), f"wrong type: {name}")
                rows = rows.with_columns(pl.when(within).then(pl.col(name)).alias(name))
    return rows


def _without_bytes(path: Path, rows: pl.DataFrame, wanted: dict[str, str]) -> pl.DataFrame:
    """Makes text of bytes: of UUIDs as they are written, of others of a fixed size in hexadecimal, else as UTF-8."""
    for name in [name for name, kind in rows.schema.items() if kind == pl.Binary]:
        kind = pq.read_schema(path).field(wanted.get(name, name)).type
        digits = rows[name].bin.encode("hex")
        if str(kind) == "extension<arrow.uuid>":
            text = digits.str.replace(UUID_DIGITS, "$1-$2-$3-$4-$5")
        elif pa.types.is_fixed_size_binary(kind):
            text = digits
        else:
            text = _utf8(rows[name])
            rows = refused(rows, rows[name].is_not_null() & text.is_null(), f"wrong type: {name}")
            text = text.fill_null(digits)
        rows = rows.with_columns(text)
    return rows


def _utf8(column: pl.Series) -> pl.Series:
    """Returns bytes as the text they are; null where they are none."""
    try:
        return column.cast(pl.String)
    except pl.exceptions.ComputeError:
        texts = [None if value is None else value.decode(errors="replace") for value in column]
        return pl.Series(column.name, [None if text is None or "\ufffd" in text else text for text in texts], pl.String)


def _with_ids(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    if _unreadable(rows[name].dtype):
        return rows  # no id at all; the checks of the rows say so
    text, inexact = as_ids(rows[name])
    return refused(rows, inexact, f"{name} is {INEXACT}").with_columns(text.alias(name))


def together(frames: list[pl.DataFrame]) -> pl.DataFrame:
    """Joins the rows of several files; a column whose type is not the same in all of them becomes text.

    The text of a number, a truth value, a date or an instant is one that the checks read as the same value.
    """
    kinds: dict[str, set[pl.DataType]] = {}
    for frame in frames:
        for name, kind in frame.schema.items():
            kinds.setdefault(name, set()).add(kind)
    mixed = {name for name, found in kinds.items() if len(found - {pl.Null()}) > 1}
    return pl.concat([_as_texts(frame, mixed) for frame in frames], how="diagonal_relaxed")


def _as_texts(rows: pl.DataFrame, mixed: set[str]) -> pl.DataFrame:
    for name in [name for name in rows.columns if name in mixed]:
        if _unreadable(rows[name].dtype):
            rows = refused(rows, rows[name].is_not_null(), f"wrong type: {name}")
        rows = rows.with_columns(_text(rows[name]))
    return rows


def _unreadable(kind: pl.DataType) -> bool:
    return kind.is_nested() or kind in (pl.Binary, pl.Object)


def rows_hash(rows: pl.DataFrame) -> str:
    """Returns a hash of rows, their columns and their order: equal in every run of one version of polars.

    It is the same whatever else the file holds: where a row lies does not count, nor what only other rows tell.
    """
    rows = rows.drop(RAW_PLACE, *empty_notes(rows) - {RAW_PLACE}, strict=False)
    texts = [_text(rows[name]) if not _hashed_as_it_is(kind) else rows[name] for name, kind in rows.schema.items()]
    digest = hashlib.sha256(str(rows.schema).encode())
    digest.update(pl.DataFrame(texts).hash_rows().to_numpy().tobytes())
    return digest.hexdigest()


def _hashed_as_it_is(kind: pl.DataType) -> bool:
    return not (_unreadable(kind) or kind in (pl.Categorical, pl.Enum))


def refused(rows: pl.DataFrame, which: pl.Series, reason: str) -> pl.DataFrame:
    """Returns rows with a reason in REFUSED, of those that have none yet."""
    if not which.any():
        return rows
    earlier = rows[REFUSED] if REFUSED in rows.columns else pl.Series([None] * rows.height, dtype=pl.String)
    why = pl.when(earlier.is_null() & which).then(pl.lit(reason)).otherwise(earlier)
    return rows.with_columns(pl.select(why.alias(REFUSED)).to_series())


def _text(column: pl.Series) -> pl.Series:
    kind = column.dtype
    if isinstance(kind, pl.Datetime):
        if kind.time_zone is None:
            return column.dt.strftime("%Y-%m-%dT%H:%M:%S%.6f")
        return column.dt.convert_time_zone("UTC").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
    if kind.is_float():
        return as_ids(column)[0]
    if _unreadable(kind):
        return pl.Series(column.name, [None if v is None else str(v) for v in column.to_list()], dtype=pl.String)
    return column.cast(pl.String)
