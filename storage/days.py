"""Platform days: their windows in time, and which lie before one."""

from bisect import bisect_left
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from config import PlatformConfig
from storage.partitions import has_partition, peek_manifest, read_manifest

SKIPPED = "skipped"  # in the manifest of a skipped day's `events`: why it was skipped


def day_window(config: PlatformConfig, day: date) -> tuple[datetime, datetime]:
    """Returns the half-open UTC window [start, end) of a platform day.

    It holds the dates of `calendar_days`, by the midnights of the log's time zone.

    Raises:
        ValueError: the day is before the bootstrap day or after the log's last day.
    """
    start, *_, end = midnights(config, calendar_days(config, day))
    return start, end


def calendar_days(config: PlatformConfig, day: date) -> list[date]:
    """Returns the dates that a platform day covers: itself, the bootstrap day all of `bootstrap_days`; oldest first.

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
    return [first + timedelta(days=n) for n in range((day - first).days + 1)]


def midnights(config: PlatformConfig, days: Sequence[date]) -> list[datetime]:
    """Returns the instants (UTC) at which consecutive dates begin in the log's time zone, and the end of the last.

    Between two of them lie 24 hours, or 23 or 25 where the clocks are changed.
    """
    zone = ZoneInfo(config.source.time_zone)
    return [first_instant(day, zone) for day in (*days, days[-1] + timedelta(days=1))]


def date_starts(config: PlatformConfig, days: Sequence[date]) -> list[datetime]:
    """Returns the instants (UTC) at which the dates begin that some platform days cover, in their order."""
    return [start for day in days for start in midnights(config, calendar_days(config, day))[:-1]]


def first_instant(day: date, zone: ZoneInfo) -> datetime:
    """Returns the first instant (UTC) of a date in a zone: where its clocks skip midnight, when they go forward."""
    midnight = datetime.combine(day, time(), zone)
    # A skipped midnight, read by the offset before the change (fold 0), lies after the change; by the other, before it.
    last, other = (int(of.timestamp()) for of in (midnight, midnight.replace(fold=1)))
    seconds = range(min(last, other), last + 1)
    begins = bisect_left(seconds, day, key=lambda second: datetime.fromtimestamp(second, zone).date())
    return datetime.fromtimestamp(seconds[begins], UTC)


def open_until(config: PlatformConfig, day: date) -> datetime | None:
    """Returns the instant (UTC) at which a day of a live log ends, while that is to come; None of every other day."""
    if not config.source.live:
        return None
    end = day_window(config, day)[1]
    return end if end > datetime.now(UTC) else None


def platform_days(config: PlatformConfig) -> list[date]:
    """Returns every platform day of the log, the bootstrap day first."""
    first = config.source.bootstrap_day
    return [first + timedelta(days=n) for n in range((config.source.last_day - first).days + 1)]


def day_ends(config: PlatformConfig, day: date) -> list[datetime]:
    """Returns the ends (UTC) of every day of the log inside a platform day's window, oldest first.

    A platform day holds `days_per_day` of them, equally long, the bootstrap day `bootstrap_days` times as many. A date
    that a zone's calendar leaves out has none.
    """
    a_day = config.source.days_per_day
    return [
        start + (end - start) * n / a_day
        for start, end in pairwise(midnights(config, calendar_days(config, day)))
        for n in range(1, a_day + 1)
        if start < end
    ]


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
    """Returns the platform days whose windows reach into the `days` times 24 hours before `day` begins, oldest first.

    `day` is included; of the days before it, those that were skipped are not.
    """
    start = day_window(config, day)[0]
    # A day more than the dates tell, as the change to summer time moves what lies before it by an hour.
    first = max(config.source.bootstrap_day, day - timedelta(days=days + 1))
    before = [first + timedelta(days=n) for n in range((day - first).days)]
    reached = [earlier for earlier in before if day_window(config, earlier)[1] > start - timedelta(days=days)]
    return [*(earlier for earlier in reached if skip_reason(config, earlier) is None), day]
