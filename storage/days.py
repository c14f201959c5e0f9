"""Platform days: their windows in time, and which lie before one."""

from datetime import UTC, date, datetime, time, timedelta

from config import PlatformConfig
from storage.partitions import has_partition, peek_manifest, read_manifest

SKIPPED = "skipped"  # in the manifest of a skipped day's `events`: why it was skipped


def day_window(config: PlatformConfig, day: date) -> tuple[datetime, datetime]:
    """Returns the half-open UTC window [start, end) of a platform day.

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
    """Returns the ends (UTC) of every day of the log inside a platform day's window, oldest first.

    A platform day holds `days_per_day` of them, the bootstrap day `bootstrap_days` times as many.
    """
    start, end = day_window(config, day)
    a_day = config.source.days_per_day
    return [start + timedelta(days=1) * n / a_day for n in range(1, (end - start).days * a_day + 1)]


def snapshot_ends(config: PlatformConfig, day: date) -> list[datetime]:
    """Returns the instants (UTC) of a day's snapshots of activity and history, oldest first: its `day_ends`.

    After a skipped day there is one more, as the day begins: nobody else takes it, and the newest older snapshot may
    be too old to be served.
    """
    after_skipped = day > config.source.bootstrap_day and skip_reason(config, day - timedelta(days=1)) is not None
    return [day_window(config, day)[0]] * after_skipped + day_ends(config, day)


def skip_reason(config: PlatformConfig, day: date) -> str | None:
    """Returns why a day was skipped, as ingest recorded it; None for every other day.

    That a day was skipped is an input of what a job commits, so it is recorded as one.
    """
    if not has_partition(config, "events", day) or SKIPPED not in peek_manifest(config, "events", day)["extra"]:
        return None
    return str(read_manifest(config, "events", day)["extra"][SKIPPED])


def previous_day(config: PlatformConfig, day: date) -> date | None:
    """Returns the newest earlier platform day that was not skipped; None on the bootstrap day, which never is."""
    while day > config.source.bootstrap_day:
        day -= timedelta(days=1)
        if skip_reason(config, day) is None:
            return day
    return None


def days_back(config: PlatformConfig, day: date, days: int) -> list[date]:
    """Returns the platform days whose windows reach into the `days` days before `day` ends, oldest first.

    `day` is included; of the days before it, those that were skipped are not.
    """
    first = max(config.source.bootstrap_day, day - timedelta(days=days))
    before = [first + timedelta(days=n) for n in range((day - first).days)]
    return [*(earlier for earlier in before if skip_reason(config, earlier) is None), day]
