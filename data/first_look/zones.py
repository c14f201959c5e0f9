"""Guesses the time zone whose midnight parts the days of a log."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl

OFFSET = r"\d:\d{2}(?::\d{2})?(?:\.\d+)?\s*(Z|UTC|[+-]\d{2}(?::?\d{2})?)\s*$"
# Of the zones that have the same offsets at the same times, these are named.
# fmt: off
LIKELY = (
    "UTC", "Europe/London", "Europe/Berlin", "Europe/Athens", "Europe/Istanbul", "America/New_York",
    "America/Chicago", "America/Denver", "America/Los_Angeles", "America/Phoenix", "America/Halifax",
    "America/Sao_Paulo", "Asia/Dubai", "Asia/Karachi", "Asia/Kolkata", "Asia/Dhaka", "Asia/Bangkok",
    "Asia/Shanghai", "Asia/Tokyo", "Australia/Sydney", "Australia/Brisbane", "Pacific/Auckland",
)
# fmt: on
FEW_OFFSETS = 3  # more are those of many users, and of no zone
QUIET_HOUR = 4  # by local time; most logs are quietest between three and five
QUIET = 0.5  # of the mean: an hour less quiet than this says nothing
LOCAL = "time_zone to theirs, such as Europe/Berlin"
INSIDE = 0.995  # of the rows: where so many lie in the days of their files' names, the names are understood


@dataclass(frozen=True)
class Zone:
    """The zone that is taken, and why; `guess` says that the log does not tell it."""

    name: str
    why: str
    guess: bool


def guess_zone(
    column: pl.Series, instants: pl.Series, weights: pl.Series, stamps: pl.Series, *, has_instants: bool
) -> Zone:
    """Looks at the zone that is written, the offsets, the days in the files' names, and the hours of little activity.

    Args:
        column: the timestamps as the files have them.
        instants: the same, read; without an offset as UTC.
        weights: how many rows each row stands for.
        stamps: the day in the name of each row's file, null where there is none.
        has_instants: the timestamps are instants (with an offset, or numbers), not the time of some clock.
    """
    kind = column.dtype
    if isinstance(kind, pl.Datetime) and kind.time_zone not in (None, "UTC"):
        return Zone(str(kind.time_zone), "the column's own zone", guess=False)
    offsets = _offsets(column)
    if (offsets != timedelta()).any() and 1 <= offsets.n_unique() <= FEW_OFFSETS:
        return _zone_of(offsets, instants)
    quiet = _quiet_hour(instants, weights)
    about = "" if quiet is None else f"fewest rows around {quiet:02}:00"
    if not has_instants:
        if quiet is None:
            return Zone("UTC", "no zone is written", guess=True)
        if abs(_hours_from_utc(quiet)) > 2:
            return Zone("UTC", f"no zone is written; {about}, so hardly the users' own clock", guess=True)
        return Zone("UTC", f"no zone is written; {about}, so perhaps the users' own clock: set {LOCAL}", guess=True)
    if (hours := _of_names(instants, stamps)) is not None:
        return Zone(_fixed(hours), "the dates in the files' names fit the times so", guess=hours != 0)
    if quiet is None:
        return Zone("UTC", "nothing tells the users' own", guess=True)
    away = _hours_from_utc(quiet)
    likely = f", so the users may be {away:+d} h from UTC: if so, set time_zone: {_example(away, instants)}"
    return Zone("UTC", f"{about} UTC{likely if abs(away) > 2 else ''}", guess=True)


def _hours_from_utc(quiet: int) -> int:
    """Returns how far a clock is from UTC on which the quiet hour would be the usual one."""
    return (QUIET_HOUR - quiet + 11) % 24 - 11


def _offsets(column: pl.Series) -> pl.Series:
    """Returns the offset that each instant's text carries; null where it carries none."""
    if column.dtype != pl.String:
        return pl.Series([None] * len(column), dtype=pl.Duration("us"))
    text = column.str.extract(OFFSET).replace({"Z": "+00", "UTC": "+00"}).str.replace(":", "")
    hours, minutes = text.str.slice(1, 2).cast(pl.Int64), text.str.slice(3, 2).cast(pl.Int64, strict=False)
    size = hours * 60 + minutes.fill_null(0)
    signed = pl.select(pl.when(text.str.starts_with("-")).then(-size).otherwise(size)).to_series()
    return (signed * 60_000_000).cast(pl.Duration("us"))


def _zone_of(offsets: pl.Series, instants: pl.Series) -> Zone:
    pairs = pl.DataFrame({"offset": offsets, "at": instants}).drop_nulls().unique(["offset", pl.col("at").dt.date()])
    written = ", ".join(sorted({_hours(offset) for offset in pairs["offset"].unique()}))
    known = list(pairs.select("at", "offset").iter_rows())
    for name in LIKELY:
        zone = ZoneInfo(name)
        if all(at.astimezone(zone).utcoffset() == offset for at, offset in known):
            return Zone(name, f"has the offsets that are written ({written})", guess=True)
    usual = offsets.drop_nulls().mode()[0]
    hours = round(usual / timedelta(hours=1))
    return Zone(_fixed(hours), f"the offset that most rows have, of {written}", guess=True)


def _hours(offset: timedelta) -> str:
    minutes = offset // timedelta(minutes=1)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


def _fixed(hours: int) -> str:
    """Returns the IANA name of a fixed offset; their signs are the other way round."""
    return "UTC" if not hours else f"Etc/GMT{-hours:+d}"


def _of_names(instants: pl.Series, stamps: pl.Series) -> int | None:
    """Returns the offset by which the rows lie in the days of their files' names; None where none fits."""
    both = pl.DataFrame({"at": instants, "day": stamps}).drop_nulls()
    if not both.height:
        return None
    fits = {
        hours: ((both["at"] + timedelta(hours=hours)).dt.date() == both["day"]).mean() or 0.0
        for hours in sorted(range(-12, 15), key=abs)
    }
    best = max(fits, key=lambda hours: float(str(fits[hours])))
    return best if float(str(fits[best])) >= INSIDE else None


def _quiet_hour(instants: pl.Series, weights: pl.Series) -> int | None:
    """Returns the middle of the three hours with the fewest rows; None where these are hardly fewer than others."""
    hours = pl.DataFrame({"hour": instants.dt.hour(), "rows": weights}).drop_nulls().group_by("hour").sum()
    count = dict(hours.iter_rows())
    if len(count) < 12:
        return None
    around = {h: sum(count.get((h + d) % 24, 0.0) for d in (-1, 0, 1)) / 3 for h in range(24)}
    quiet = min(around, key=lambda h: around[h])
    return quiet if around[quiet] < QUIET * sum(count.values()) / 24 else None


def _example(away: int, instants: pl.Series) -> str:
    at = instants.drop_nulls()[0]
    assert isinstance(at, datetime)
    fitting = [name for name in LIKELY if at.astimezone(ZoneInfo(name)).utcoffset() == timedelta(hours=away)]
    return fitting[0] if fitting else _fixed(away)
