"""Platform days: their windows in time, and which lie before one."""

from datetime import UTC, date, datetime, time, timedelta

from config import PlatformConfig


def day_window(config: PlatformConfig, day: date) -> tuple[datetime, datetime]:
    """The half-open UTC window [start, end) of a platform day.

    The bootstrap day's window covers all of `bootstrap_days`; every other day's covers 24 hours.

    Raises:
        ValueError: the day is before the bootstrap day or after the log's last day.
    """
    source = config.source
    if not source.bootstrap_day <= day <= source.last_day:
        raise ValueError(
            f"day {day} is outside the log of {config.data_source}: its platform days are "
            f"{source.bootstrap_day} (bootstrap) to {source.last_day}"
        )
    first = source.first_day if day == source.bootstrap_day else day
    offset = timedelta(hours=source.utc_offset_hours)
    start = datetime.combine(first, time(), UTC) - offset
    return start, datetime.combine(day, time(), UTC) - offset + timedelta(days=1)


def day_ends(config: PlatformConfig, day: date) -> list[datetime]:
    """Ends (UTC) of every day of the log inside a platform day's window, oldest first.

    A platform day holds `days_per_day` of them, the bootstrap day `bootstrap_days` times as many. Activity and history
    snapshots are taken at these instants.
    """
    start, end = day_window(config, day)
    a_day = config.source.days_per_day
    return [start + timedelta(days=1) * n / a_day for n in range(1, (end - start).days * a_day + 1)]


def previous_day(config: PlatformConfig, day: date) -> date | None:
    """The platform day before, or None on the bootstrap day."""
    return None if day <= config.source.bootstrap_day else day - timedelta(days=1)


def days_back(config: PlatformConfig, day: date, days: int) -> list[date]:
    """The platform days whose windows reach into the `days` days before `day` ends, `day` included, oldest first."""
    first = max(config.source.bootstrap_day, day - timedelta(days=days))
    return [first + timedelta(days=n) for n in range((day - first).days + 1)]
