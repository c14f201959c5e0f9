from datetime import date, timedelta

import polars as pl
import pytest

import storage
from config import load_config
from data.sources import movielens


@pytest.fixture(scope="module")
def replay():
    """The config and every rating of the replay with its rating time, by platform day."""
    config = load_config().changed(data_source="movielens")
    try:
        movielens.fetch(config)
    except ConnectionError as error:
        pytest.skip(str(error))
    days = [config.source.bootstrap_day + timedelta(days=n) for n in range(9)]
    return config, {day: movielens.read(config, day) for day in days}


def test_every_rating_is_replayed_once(replay):
    _, days = replay
    everything = pl.concat(days.values())
    assert everything.height == 100_000
    assert everything["impression_id"].is_unique().all()
    assert everything["label"].mean() == pytest.approx(0.554, abs=0.001)  # ratings of at least 4
    genres = everything["genre"].value_counts(sort=True).head(3)
    assert genres.rows() == [("Drama", 27_050), ("Action", 25_589), ("Comedy", 22_796)]


def test_no_rating_is_lost_where_the_clocks_are_changed(replay):
    for first in (date(2026, 3, 22), date(2026, 10, 18)):  # they are on the last of eight days
        window = {"first_day": first, "last_day": first + timedelta(days=7), "bootstrap_days": 1}
        config = replay[0].changed(sources={"movielens": window | {"time_zone": "Europe/Berlin"}})
        rows = pl.concat([movielens.read(config, first + timedelta(days=n)) for n in range(8)])
        assert rows.height == rows["impression_id"].n_unique() == 100_000


def test_rows_lie_in_their_day(replay):
    config, days = replay
    for day, rows in days.items():
        start, end = storage.day_window(config, day)
        assert rows["event_timestamp"].is_between(start, end, "left").all()


def test_users_keep_their_order_and_are_spread_over_the_days(replay):
    config, _ = replay
    raw = movielens._table(movielens._folder(config) / "ml-100k.inter")
    order = movielens._replayed(config, raw).sort("user_id", "event_timestamp")
    backwards = order.filter(pl.col("timestamp").diff().over("user_id") < 0)
    assert backwards.is_empty()
    per_day = order.group_by("user_id", pl.col("event_timestamp").dt.date()).len()
    spread = per_day.group_by("user_id").agg(pl.len().alias("days"), pl.max("len") - pl.min("len"))
    assert spread["days"].unique().to_list() == [14]
    assert spread["len"].max() <= 1


def test_the_replay_does_not_depend_on_the_order_of_the_file(replay):
    config, _ = replay
    raw = movielens._table(movielens._folder(config) / "ml-100k.inter")
    columns = ["user_id", "item_id", "event_timestamp"]
    forward = movielens._replayed(config, raw).select(columns).sort(columns)
    assert movielens._replayed(config, raw.reverse()).select(columns).sort(columns).equals(forward)


def test_the_rating_is_no_feature(replay):
    _, days = replay
    assert "rating" not in days[date(1998, 1, 7)].columns
