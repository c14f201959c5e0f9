"""Platform days in a time zone: each local date once, 23 or 25 hours long where the clocks are changed."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest

import storage
from config import PlatformConfig

HOUR = timedelta(hours=1)


def of_days(config: PlatformConfig, first: date, last: date, zone: str, **source: Any) -> PlatformConfig:
    window = {"first_day": first, "last_day": last, "bootstrap_days": 1, "time_zone": zone, "history_events": "all"}
    return config.changed(sources={"synthetic": window | source})


def platform_days(config: PlatformConfig) -> list[date]:
    first, last = config.source.bootstrap_day, config.source.last_day
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def test_a_day_begins_at_the_zones_own_midnight(tiny_config: PlatformConfig) -> None:
    config = of_days(tiny_config, date(2026, 1, 1), date(2026, 1, 9), "Asia/Shanghai")
    begins = datetime(2026, 1, 2, 16, tzinfo=UTC)
    assert storage.day_window(config, date(2026, 1, 3)) == (begins, begins + 24 * HOUR)
    config = of_days(tiny_config, date(2026, 7, 1), date(2026, 7, 9), "America/New_York")
    assert storage.day_window(config, date(2026, 7, 3))[0] == datetime(2026, 7, 3, 4, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", date(2026, 3, 29), 23),
        ("Europe/Berlin", date(2026, 10, 25), 25),
        ("America/New_York", date(2026, 3, 8), 23),
        ("Australia/Lord_Howe", date(2026, 4, 5), 24.5),
        ("America/Sao_Paulo", date(2018, 11, 4), 23),  # midnight is skipped
        ("America/Sao_Paulo", date(2018, 2, 17), 25),  # 23:00 comes twice
        ("America/Havana", date(2026, 11, 1), 25),  # midnight comes twice
        ("America/Toronto", date(1919, 3, 31), 23.5),  # skipped were 23:30 to 00:30
        ("Pacific/Apia", date(2011, 12, 30), 0),  # a date that Samoa left out
    ],
)
def test_every_local_date_is_one_day_of_its_own_length(
    tiny_config: PlatformConfig, zone: str, day: date, hours: float
) -> None:
    first, last = day - timedelta(days=3), day + timedelta(days=3)
    config = of_days(tiny_config, first, last, zone)
    days = platform_days(config)
    windows = [storage.day_window(config, one) for one in days]
    assert all(earlier[1] == later[0] for earlier, later in pairwise(windows))
    lengths = {one: (end - start) / HOUR for one, (start, end) in zip(days, windows, strict=True)}
    assert lengths.pop(day) == hours
    for one, (start, end) in zip(days, windows, strict=True):
        ours = ZoneInfo(zone)
        if start < end:
            assert start.astimezone(ours).date() == (end - timedelta(microseconds=1)).astimezone(ours).date() == one
            assert (start - timedelta(microseconds=1)).astimezone(ours).date() < one
        assert storage.day_ends(config, one) == ([end] if start < end else [])


def test_the_bootstrap_day_ends_a_day_of_the_log_at_each_midnight(tiny_config: PlatformConfig) -> None:
    config = of_days(tiny_config, date(2026, 3, 27), date(2026, 4, 9), "Europe/Berlin", bootstrap_days=4)
    day = date(2026, 3, 30)
    assert storage.calendar_days(config, day) == [date(2026, 3, n) for n in (27, 28, 29, 30)]
    ends = [datetime(2026, 3, 27, 23), datetime(2026, 3, 28, 23), datetime(2026, 3, 29, 22), datetime(2026, 3, 30, 22)]
    assert storage.day_ends(config, day) == [end.replace(tzinfo=UTC) for end in ends]
    assert storage.day_window(config, day) == (datetime(2026, 3, 26, 23, tzinfo=UTC), ends[-1].replace(tzinfo=UTC))


def test_several_days_of_the_log_share_a_platform_day_of_any_length(tiny_config: PlatformConfig) -> None:
    config = of_days(tiny_config, date(2026, 10, 20), date(2026, 10, 30), "Europe/Berlin", days_per_day=5)
    start, end = storage.day_window(config, date(2026, 10, 25))
    ends = storage.day_ends(config, date(2026, 10, 25))
    assert [later - earlier for earlier, later in pairwise([start, *ends])] == [5 * HOUR] * 5
    assert ends[-1] == end


@pytest.mark.parametrize(
    ("zone", "day", "days", "oldest"),
    [
        ("UTC", date(2026, 3, 31), 3, date(2026, 3, 28)),
        # 72 hours before the 31st begins are 23:00 of the 27th, since the 29th is an hour short.
        ("Europe/Berlin", date(2026, 3, 31), 3, date(2026, 3, 27)),
        ("Europe/Berlin", date(2026, 3, 29), 3, date(2026, 3, 26)),
        ("Europe/Berlin", date(2026, 10, 27), 3, date(2026, 10, 24)),
    ],
)
def test_a_look_back_of_days_reaches_every_day_that_its_hours_reach(
    tiny_config: PlatformConfig, zone: str, day: date, days: int, oldest: date
) -> None:
    config = of_days(tiny_config, date(2026, 1, 1), date(2026, 12, 31), zone)
    found = storage.days_back(config, day, days)
    assert found == [oldest + timedelta(days=n) for n in range((day - oldest).days + 1)]
    before = storage.day_window(config, oldest - timedelta(days=1))[1]
    assert before <= storage.day_window(config, day)[0] - timedelta(days=days)
