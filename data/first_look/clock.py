"""What the timestamps tell: how they are written, which days there are, how many rows each has."""

from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from data.first_look.columns import as_times
from data.first_look.zones import OFFSET, Zone, guess_zone
from data.validation import (
    FIRST_YYYYMMDD,
    LAST_YYYYMMDD,
    MAX_MICROSECONDS,
    MAX_MILLISECONDS,
    MAX_SECONDS,
    as_number,
    given,
)

PARTIAL = 0.5  # of the median day's rows: a first or last day with fewer is cut
MOST_BOOTSTRAP = 7  # days


@dataclass(frozen=True)
class Clock:
    """The days of a log, by the midnight that is taken."""

    written: str  # how
    zone: Zone
    first: str
    last: str
    instants: pl.Series  # of each row, in UTC; null where its time cannot be read
    days: pl.Series  # of each row
    rows_by_day: dict[date, int]  # about, of the files that were read
    all_days: list[date]  # from the first to the last
    missing: list[date]  # among these, without a row
    sure: bool  # that they have none, and not only none in the sample
    partial: list[date]
    unread: int  # values that are no instant
    only_midnights: bool

    @property
    def bootstrap_days(self) -> int:
        """Returns how many days the first platform day may cover: half of them, a week at most."""
        return min(MOST_BOOTSTRAP, max(1, len(self.all_days) // 2))


def read_clock(
    column: pl.Series, weights: pl.Series, stamps: pl.Series, file_days: list[date], zone: str | None, *, sure: bool
) -> Clock | None:
    """Reads the log's time; None where no value is an instant of the years that logs are of.

    Args:
        column: the timestamps as the files have them.
        weights: how many rows each row stands for.
        stamps: the day in the name of each row's file, null where there is none.
        file_days: the days of all files' names, also of those that were not read.
        zone: whose midnight parts the days; None guesses.
        sure: a day without a row here has none in the log; else it may only have been missed.
    """
    if not as_times(column).is_not_null().any():
        return None
    written, has_instants = _written(column)
    if zone:
        found = Zone(zone, "as platform.yaml says", guess=False)
    else:
        found = guess_zone(column, as_times(column), weights, stamps, has_instants=has_instants)
    instants = as_times(column, found.name)
    local = instants.dt.convert_time_zone(found.name)
    days = pl.select(pl.coalesce(stamps, local.dt.date())).to_series()
    counted = pl.DataFrame({"day": days, "rows": weights}).drop_nulls().group_by("day").agg(pl.col("rows").sum())
    rows_by_day = {day: round(rows) for day, rows in counted.sort("day").iter_rows()}
    there = sorted({*rows_by_day, *file_days})
    span = [there[0] + timedelta(days=n) for n in range((there[-1] - there[0]).days + 1)]
    usual = sorted(rows_by_day.values())[len(rows_by_day) // 2]
    edges = (span[0], span[-1]) if len(span) > 2 else ()
    return Clock(
        written=written,
        zone=found,
        first=_shown(local.min()),
        last=_shown(local.max()),
        instants=instants,
        days=days,
        rows_by_day=rows_by_day,
        all_days=span,
        missing=[day for day in span if day not in there],
        sure=sure,
        partial=[day for day in edges if rows_by_day.get(day, usual) < PARTIAL * usual],
        unread=int((given(column) & instants.is_null()).sum()),
        only_midnights=local.dt.truncate("1d").eq(local).drop_nulls().all(),
    )


def _written(column: pl.Series) -> tuple[str, bool]:
    """Says how instants are written, and whether they are instants and not the time of some clock."""
    kind = column.dtype
    if isinstance(kind, pl.Datetime):
        zone = f"in {kind.time_zone}" if kind.time_zone else "without a zone"
        return f"timestamps[{kind.time_unit}], {zone}", kind.time_zone is not None
    if kind == pl.Date:
        return "dates without a time", False
    numbers = as_number(column).drop_nulls()
    if len(numbers) > 0.5 * int(given(column).sum()):
        size = float(str(numbers.abs().median()))
        if FIRST_YYYYMMDD <= size <= LAST_YYYYMMDD:
            return "dates as YYYYMMDD", False
        limits = ((MAX_SECONDS, "seconds"), (MAX_MILLISECONDS, "milliseconds"), (MAX_MICROSECONDS, "microseconds"))
        return next((unit for most, unit in limits if size < most), "nanoseconds") + " since 1970, in UTC", True
    text = column.filter(as_times(column).is_not_null())
    with_offset = float(str(text.str.contains(OFFSET).mean())) > 0.5
    return f"text, as {text[0].strip()}, {'with' if with_offset else 'without'} an offset", with_offset


def _shown(local: object) -> str:
    return str(local)[:19]
