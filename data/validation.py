"""Parts a day's raw rows into good ones, in the types of the common schema, and bad ones, each with a reason."""

from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

import polars as pl

import storage
from data.ids import INEXACT, as_ids, as_text
from data.raw.csv_rows import REFUSED, empty_notes
from data.schema import Schema

TIMESTAMP = pl.Datetime("us", "UTC")
IDS = ("impression_id", "user_id", "item_id")
DUPLICATE = "duplicate impression_id"  # the reason
NO_USER = "null user_id"  # the reason
# Largest seconds, milliseconds and microseconds since 1970 that a number is taken for; all lie beyond the year 5000.
MAX_SECONDS, MAX_MILLISECONDS, MAX_MICROSECONDS = 10**11, 10**14, 10**17
# Numbers between these that are a date when read as YYYYMMDD are that date, not seconds of the year 1970.
FIRST_YYYYMMDD, LAST_YYYYMMDD = 1970_01_01, 2100_12_31
OFFSET_FORMATS = ("%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%d %H:%M%#z")
CLOCK_FORMATS = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M")
UTC_SUFFIX = r"(Z|\s*UTC)$"


def split_rows(
    raw: pl.DataFrame,
    schema: Schema,
    window: tuple[datetime, datetime],
    *,
    time_zone: str = "UTC",
    anonymous: Literal["quarantine", "keep"] = "quarantine",
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Checks every row; never raises on a bad one.

    The rules, of which a row gets the first that it breaks: its file could tell its values (REFUSED is null); every
    column is there; the timestamp is no local time that the clocks skip; every value can be read as its column's type;
    ids and timestamp are not null or empty; no earlier row that passed the rules so far has the same impression id; the
    label is 0 or 1; the timestamp lies in the day's window; dense values are finite. Features may be null.

    Args:
        raw: rows under the names of the common schema, in any type; more columns are allowed.
        schema: the source's features.
        window: [start, end) of the day.
        time_zone: of timestamps without an offset.
        anonymous: `keep` takes a row without a user id for a good one, whose user is null.

    Returns:
        The good rows with the columns of `schema.events()` but `vertical`, and the bad rows as `as_quarantine`
        gives them; both in the order of `raw`.
    """
    names = [name for name in schema.events().names if name != "vertical"]
    missing = [name for name in names if name not in raw.columns]
    if missing:
        nothing = {name: _type_of(name, schema) for name in names}
        lacking = pl.Series("reason", [f"missing column: {', '.join(missing)}"] * raw.height, dtype=pl.String)
        if REFUSED in raw.columns:
            lacking = raw[REFUSED].fill_null(lacking).alias("reason")
        return pl.DataFrame(schema=nothing), as_quarantine(raw, lacking)

    typed = pl.DataFrame([_read(raw[name], name, schema, time_zone) for name in names])
    reason = raw[REFUSED] if REFUSED in raw.columns else pl.Series([None] * raw.height, dtype=pl.String)
    reason = reason.alias("reason")

    def refuse(rows: pl.Series, why: str) -> None:
        nonlocal reason
        first = reason.is_null() & rows.fill_null(False)
        reason = pl.select(pl.when(first).then(pl.lit(why)).otherwise(reason)).to_series().alias("reason")

    for name in IDS:
        if raw[name].dtype.is_float():
            refuse(as_ids(raw[name])[1], f"{name} is {INEXACT}")
    unread = typed["event_timestamp"].is_null()
    if unread.any():
        skipped = unread & read_timestamps(raw["event_timestamp"]).is_not_null()
        refuse(skipped, f"event_timestamp does not exist in {time_zone}")
    for name in names:
        refuse(given(raw[name]) & typed[name].is_null(), f"wrong type: {name}")
    for name in (*IDS, "event_timestamp"):
        if name != "user_id" or anonymous == "quarantine":
            refuse(typed[name].is_null(), f"null {name}")
    passed = typed.select("impression_id").with_row_index("row").filter(reason.is_null())
    repeated = passed.filter(~pl.col("impression_id").is_first_distinct())["row"]
    refuse(pl.int_range(raw.height, eager=True).is_in(repeated.implode()), DUPLICATE)
    refuse(~typed["label"].is_in([0.0, 1.0]).fill_null(False), "label is not 0 or 1")
    start, end = window
    refuse(~typed["event_timestamp"].is_between(start, end, "left"), "timestamp outside the day")
    for name in schema.dense:
        refuse(~typed[name].is_finite(), f"not finite: {name}")

    good = typed.filter(reason.is_null()).with_columns(pl.col("label").cast(pl.Int32))
    bad = reason.is_not_null()
    return good, as_quarantine(raw.filter(bad), reason.filter(bad))


def as_quarantine(rows: pl.DataFrame, reason: str | pl.Series) -> pl.DataFrame:
    """Returns rows for the quarantine table: every column as a string, and `reason`; empty columns of NOTES go."""
    silent = {REFUSED} | empty_notes(rows)
    columns = [_as_text(rows[name]) for name in rows.columns if name not in silent]
    if isinstance(reason, str):
        reason = pl.Series("reason", [reason] * rows.height, dtype=pl.String)
    return pl.DataFrame([*columns, reason])


def read_timestamps(
    column: pl.Series, time_zone: str = "UTC", *, twice: Literal["earliest", "latest"] = "earliest"
) -> pl.Series:
    """Reads instants, as microseconds in UTC; null where a value is none.

    Taken are: timestamps with a zone, or without one; dates (the first instant of the day); ISO 8601 strings, with an
    offset or without one; numbers since 1970, in seconds, milliseconds, microseconds or nanoseconds by their size; and
    dates as YYYYMMDD, number or text.

    Args:
        column: the values.
        time_zone: what dates and times without an offset are local to. A time that the clocks skip as they go forward
            is null.
        twice: which instant a time is that comes twice as they go back.
    """
    kind = column.dtype
    if isinstance(kind, pl.Datetime):
        if kind.time_zone is None:
            return _local(column, time_zone, twice)
        return column.dt.convert_time_zone("UTC").cast(TIMESTAMP)
    if kind == pl.Date:
        return _midnights(column, time_zone)
    if kind.is_numeric():
        return _since_1970(column, time_zone)
    if kind in (pl.String, pl.Categorical, pl.Enum):
        return _clock(column.cast(pl.String), time_zone, twice)
    return pl.Series(column.name, [None] * len(column), dtype=TIMESTAMP)


def count_twice(column: pl.Series, time_zone: str) -> int:
    """Counts the times without an offset that come twice in a zone, as its clocks go back."""
    first, last = (read_timestamps(column, time_zone, twice=which) for which in ("earliest", "latest"))
    return int((first < last).sum())


def _local(column: pl.Series, time_zone: str, twice: Literal["earliest", "latest"] = "earliest") -> pl.Series:
    """Returns the instants of local times; those of a time that no zone's rules reach, as of UTC."""
    clock = column.cast(pl.Datetime("us"), strict=False)
    in_utc = clock.dt.replace_time_zone("UTC")
    within = in_utc.to_physical().is_between(-MAX_MICROSECONDS, MAX_MICROSECONDS)
    if time_zone == "UTC" or not within.any():
        return in_utc
    near = pl.select(pl.when(within).then(clock)).to_series()
    zoned = near.dt.replace_time_zone(time_zone, ambiguous=twice, non_existent="null").dt.convert_time_zone("UTC")
    return zoned.zip_with(within.fill_null(True), in_utc).alias(column.name)


def _midnights(column: pl.Series, time_zone: str) -> pl.Series:
    """Returns the first instants of dates, which are no midnight where the clocks skip it."""
    clock = column.cast(pl.Datetime("us"), strict=False)
    instants = _local(clock, time_zone)
    later = column.filter(clock.is_not_null() & instants.is_null()).unique()
    first = pl.Series([storage.first_instant(day, ZoneInfo(time_zone)) for day in later], dtype=TIMESTAMP)
    return instants.fill_null(column.replace_strict(later, first, default=None, return_dtype=TIMESTAMP))


def _clock(column: pl.Series, time_zone: str, twice: Literal["earliest", "latest"]) -> pl.Series:
    stripped = pl.col("text").str.strip_chars()
    text = stripped.str.replace(UTC_SUFFIX, "").str.replace("T", " ", literal=True)
    clocks = [text.str.to_datetime(format, strict=False, time_unit="us") for format in CLOCK_FORMATS]
    offsets = [text.str.to_datetime(format, strict=False, time_unit="us", time_zone="UTC") for format in OFFSET_FORMATS]
    read = pl.DataFrame({"text": column}).select(
        offset=pl.coalesce(offsets),
        in_utc=stripped.str.contains(UTC_SUFFIX),
        clock=pl.coalesce(clocks),
        day=text.str.to_date("%Y-%m-%d", strict=False),
        whole=pl.when(text.str.contains(r"^\d{8,19}$")).then(text).cast(pl.Int64, strict=False),
        broken=pl.when(text.str.contains(r"^(\d{9,19}\.\d+|\d(\.\d+)?[eE]\+?\d+)$"))
        .then(text)
        .cast(pl.Float64, strict=False),
    )

    def instants(zone: str) -> pl.Series:
        return _local(read["clock"], zone, twice).fill_null(_midnights(read["day"], zone))

    here = instants(time_zone)
    if time_zone != "UTC":
        here = here.zip_with(~read["in_utc"].fill_null(False), instants("UTC"))
    numbers = _since_1970(read["whole"], time_zone).fill_null(_since_1970(read["broken"], time_zone))
    return read["offset"].fill_null(here).fill_null(numbers).alias(column.name)


def _since_1970(column: pl.Series, time_zone: str) -> pl.Series:
    whole = column.dtype.is_integer()  # in whole numbers throughout: a float does not hold nanoseconds
    number = pl.col("number").cast(pl.Int64 if whole else pl.Float64, strict=False)
    number = number if whole else pl.when(number.is_finite()).then(number)
    size = number.abs()
    micros = (
        pl.when(size < MAX_SECONDS)
        .then(number * 10**6)
        .when(size < MAX_MILLISECONDS)
        .then(number * 10**3)
        .when(size < MAX_MICROSECONDS)
        .then(number)
        .otherwise(number // 1000)
    )
    dated = number.is_between(FIRST_YYYYMMDD, LAST_YYYYMMDD) & (number == number.floor())
    day = pl.when(dated).then(number).cast(pl.Int64, strict=False).cast(pl.String).str.to_date("%Y%m%d", strict=False)
    micros = micros if whole else micros.round()
    read = pl.DataFrame({"number": column}).select(
        day=day, instant=micros.cast(pl.Int64, strict=False).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    )
    return _midnights(read["day"], time_zone).fill_null(read["instant"]).alias(column.name)


def _type_of(name: str, schema: Schema) -> pl.DataType | type[pl.DataType]:
    if name == "event_timestamp":
        return TIMESTAMP
    if name == "label":
        return pl.Int32
    return pl.Float32 if name in schema.dense else pl.String


def _read(column: pl.Series, name: str, schema: Schema, time_zone: str) -> pl.Series:
    """Reads a raw column in the type of the common schema (the label still as a float); null where it is none."""
    if name == "event_timestamp":
        return read_timestamps(column, time_zone)
    if name == "label":
        return as_number(column)
    return as_number(column).cast(pl.Float32) if name in schema.dense else as_text(column)


def given(column: pl.Series) -> pl.Series:
    """Says whether there is a value at all: not null, an empty string or, in a number, NaN."""
    if column.dtype in (pl.String, pl.Categorical, pl.Enum):
        return column.cast(pl.String).str.strip_chars().fill_null("") != ""
    if column.dtype.is_float():
        return column.is_not_nan().fill_null(False)
    return column.is_not_null()


def as_number(column: pl.Series) -> pl.Series:
    """Reads numbers, true and false as 1 and 0; null where a value is none."""
    kind = column.dtype
    if kind in (pl.String, pl.Categorical, pl.Enum):
        text = column.cast(pl.String).str.strip_chars().str.to_lowercase()
        return text.replace({"true": "1", "false": "0"}).cast(pl.Float64, strict=False)
    if kind.is_numeric() or kind in (pl.Boolean, pl.Null):
        return column.cast(pl.Float64)
    return pl.Series(column.name, [None] * len(column), dtype=pl.Float64)


def _as_text(column: pl.Series) -> pl.Series:
    if column.dtype.is_nested() or column.dtype in (pl.Binary, pl.Object):
        return pl.Series(column.name, [None if v is None else str(v) for v in column.to_list()], dtype=pl.String)
    return column.cast(pl.String)
