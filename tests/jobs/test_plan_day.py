import shutil
from datetime import UTC, date, datetime, tzinfo

import pytest

import storage
from config import PlatformConfig
from jobs import plan_day
from local.run import next_days
from tests.done_days import finish


def test_without_a_day_the_next_one_not_done_is_run(tiny_config: PlatformConfig) -> None:
    assert plan_day.main(tiny_config) == {"day": "2026-01-02"}  # bootstrap_days is 2
    finish(tiny_config, "2026-01-02", "2026-01-03")
    assert plan_day.main(tiny_config, logical_day="2031-05-05") == {"day": "2026-01-04"}


def test_the_day_asked_for_comes_before_the_logical_date(tiny_config: PlatformConfig) -> None:
    finish(tiny_config, "2026-01-02", "2026-01-03")
    assert plan_day.main(tiny_config, logical_day="2026-01-03", force=True) == {"day": "2026-01-03"}
    assert plan_day.main(tiny_config, day="2026-01-04", logical_day="2026-01-03") == {"day": "2026-01-04"}


def test_a_done_day_is_skipped_unless_forced(tiny_config: PlatformConfig) -> None:
    finish(tiny_config, "2026-01-02")
    assert plan_day.main(tiny_config, day="2026-01-02") == {
        "skipped": "day 2026-01-02 is done; set force to run it again"
    }
    assert plan_day.main(tiny_config, day="2026-01-02", force=True) == {"day": "2026-01-02"}


def test_a_day_waits_for_the_day_before(tiny_config: PlatformConfig) -> None:
    with pytest.raises(ValueError, match=r"day 2026-01-03 is not done.*run day 2026-01-02 next"):
        plan_day.main(tiny_config, day="2026-01-04")


def test_a_vertical_that_failed_does_not_hold_up_the_next_day(tiny_config: PlatformConfig) -> None:
    finish(tiny_config, "2026-01-02", "2026-01-03")
    third = date(2026, 1, 3)
    shutil.rmtree(storage.partition_dir(tiny_config, "candidates_feed", third))
    assert storage.day_status(tiny_config, third) == "partial"
    assert plan_day.main(tiny_config) == {"day": "2026-01-03"}  # the oldest that is not done
    assert plan_day.main(tiny_config, logical_day="2026-01-04") == {"day": "2026-01-04"}
    shutil.rmtree(storage.partition_dir(tiny_config, "fm_snapshots", third))
    with pytest.raises(ValueError, match=r"2026-01-03 is not done.* lacks fm_snapshots; run day 2026-01-03 next"):
        plan_day.main(tiny_config, logical_day="2026-01-04")


def test_a_day_outside_the_log_is_refused(tiny_config: PlatformConfig) -> None:
    with pytest.raises(ValueError, match="outside the log of synthetic"):
        plan_day.main(tiny_config, day="2025-12-31")


def test_at_the_end_of_the_log_there_is_nothing_to_do(tiny_config: PlatformConfig) -> None:
    config = tiny_config.changed(sources={"synthetic": {"last_day": date(2026, 1, 2)}})
    finish(config, "2026-01-02")
    assert "every day of synthetic is done" in plan_day.main(config)["skipped"]


@pytest.fixture
def live(tiny_config: PlatformConfig, monkeypatch: pytest.MonkeyPatch) -> PlatformConfig:
    """A live log of Berlin, whose day 2026-01-04 has begun and ends in four hours."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Clock":
            return cls(2026, 1, 4, 19, tzinfo=UTC).astimezone(tz)

    monkeypatch.setattr("storage.days.datetime", Clock)
    return tiny_config.changed(sources={"synthetic": {"live": True, "time_zone": "Europe/Berlin"}})


def test_a_live_day_that_has_not_ended_is_refused(live: PlatformConfig) -> None:
    finish(live, "2026-01-02", "2026-01-03")
    told = "day 2026-01-04 ends at 2026-01-04 23:00 UTC, and what comes until then would not be learnt"
    with pytest.raises(ValueError, match=told):
        plan_day.main(live, day="2026-01-04", logical_day="2026-01-04", force=True)
    closed = live.changed(sources={"synthetic": {"live": False}})
    assert plan_day.main(closed, day="2026-01-04") == {"day": "2026-01-04"}


def test_a_live_days_logical_date_gives_way_to_the_next_day_that_has_ended(live: PlatformConfig) -> None:
    finish(live, "2026-01-02")
    assert plan_day.main(live, logical_day="2026-01-04") == {"day": "2026-01-03"}
    assert plan_day.main(live, logical_day="2026-01-03") == {"day": "2026-01-03"}


def test_where_every_live_day_that_has_ended_is_done_it_is_said_when_the_next_one_ends(live: PlatformConfig) -> None:
    finish(live, "2026-01-02", "2026-01-03")
    skipped = "every day of synthetic that has ended is done; day 2026-01-04 ends at 2026-01-04 23:00 UTC"
    for logical_day in ("", "2026-01-04", "2026-01-05"):
        assert plan_day.main(live, logical_day=logical_day) == {"skipped": skipped}


def test_make_run_stops_at_the_last_live_day_that_has_ended(live: PlatformConfig) -> None:
    assert next_days(live, done=set(), days=9) == [date(2026, 1, 2), date(2026, 1, 3)]
