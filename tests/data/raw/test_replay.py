from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

import storage
from config import load_config
from data.raw.replay import Replay

FIRST, DAYS = date(2020, 1, 1), 4


@pytest.fixture
def config():
    last = FIRST + timedelta(days=DAYS - 1)
    window = {"first_day": FIRST, "last_day": last, "bootstrap_days": 2, "time_zone": "Asia/Shanghai"}
    return load_config().changed(data_source="kuaivideo", sources={"kuaivideo": window})


def test_platform_days_hold_equal_numbers_of_impressions_in_their_order(config):
    rng = np.random.default_rng(0)
    times = rng.permutation(10**12 + (rng.random(4000) ** 3 * 1.3e8).astype(np.int64))  # unevenly spread milliseconds
    replay = Replay.of(config, times)
    instants = replay.instants(pl.Series(times))
    order = np.argsort(times, kind="stable")
    assert instants.gather(order).is_sorted()
    assert (times[order][1:] > times[order][:-1]).tolist() == (
        instants.gather(order).diff()[1:] > timedelta(0)
    ).to_list()
    days = (instants + timedelta(hours=8)).dt.date()
    assert days.value_counts().sort(days.name)["count"].to_list() == pytest.approx([1000] * DAYS, abs=3)  # ties stay


def test_a_days_log_times_are_those_that_happen_in_its_window(config):
    times = np.arange(100, 500)
    replay = Replay.of(config, times)
    instants = replay.instants(pl.Series(times))
    assert replay.window(config, date(2020, 1, 2)) == (100, 300)  # the bootstrap day holds two stretches
    assert replay.window(config, date(2020, 1, 4)) == (400, 500)
    for day in (date(2020, 1, 2), date(2020, 1, 3), date(2020, 1, 4)):
        start, end = replay.window(config, day)
        inside = instants.is_between(*storage.day_window(config, day), "left").to_list()
        assert inside == [start <= time < end for time in times]


def test_days_of_23_and_25_hours_hold_as_much_as_others(config):
    window = {"first_day": date(2026, 3, 27), "last_day": date(2026, 11, 1), "time_zone": "Europe/Berlin"}
    config = config.changed(sources={"kuaivideo": window | {"bootstrap_days": 1}})
    times = np.arange(220 * 100)
    replay = Replay.of(config, times)
    instants = replay.instants(pl.Series(times))
    for n in range(220):
        day = date(2026, 3, 27) + timedelta(days=n)
        assert replay.window(config, day) == (n * 100, n * 100 + 100)
        of_day = instants.gather(times[n * 100 : n * 100 + 100])
        assert of_day.is_between(*storage.day_window(config, day), "left").all()


def test_time_runs_evenly_inside_a_day(config):
    replay = Replay.of(config, np.array([0, 10, 20, 30, 1030, 2030, 2040, 2050]))
    assert replay.bounds.tolist() == [0, 20, 1030, 2040, 2051]
    found = replay.instants(pl.Series([0, 5, 20, 525])).to_list()
    start = datetime(2019, 12, 31, 16, tzinfo=UTC)
    assert found == [start + timedelta(hours=hours) for hours in (0, 6, 24, 36)]


def test_a_log_of_few_instants_is_refused(config):
    with pytest.raises(ValueError, match=r"sources.kuaivideo: 9 impressions at 2 instants cannot be cut into 4"):
        Replay.of(config, np.array([1] * 8 + [2]))
    with pytest.raises(ValueError, match="0 impressions"):
        Replay.of(config, np.array([], dtype=np.int64))
