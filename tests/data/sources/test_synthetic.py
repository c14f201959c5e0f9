from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import storage
from config import load_config
from data.sources import synthetic

BOOTSTRAP = date(2026, 1, 2)


@pytest.fixture(scope="module")
def large():
    """The shipped size, 20 000 impressions a day."""
    return load_config().changed(data_source="synthetic")


def test_a_day_is_the_same_made_alone_or_after_others(tiny_config):
    alone = synthetic.read(tiny_config, date(2026, 1, 5))
    for day in (3, 4):
        synthetic.read(tiny_config, date(2026, 1, day))
    assert_frame_equal(synthetic.read(tiny_config, date(2026, 1, 5)), alone)


def test_the_bootstrap_day_is_the_sum_of_its_log_days(tiny_config):
    whole = synthetic.read(tiny_config, BOOTSTRAP)
    single = tiny_config.changed(sources={"synthetic": {"bootstrap_days": 1}})
    parts = pl.concat([synthetic.read(single, date(2026, 1, n)) for n in (1, 2)])
    assert_frame_equal(whole, parts)


def test_impressions_fill_days_of_23_and_25_hours_by_the_zones_clock(tiny_config):
    window = {"first_day": date(2026, 3, 1), "last_day": date(2026, 10, 31), "time_zone": "Europe/Berlin"}
    config = tiny_config.changed(sources={"synthetic": window | {"events_per_day": 2000}})
    for day, offset in ((date(2026, 3, 29), 2), (date(2026, 10, 25), 1), (date(2026, 7, 1), 2)):
        rows = synthetic.read(config, day)
        at, (start, end) = rows["event_timestamp"], storage.day_window(config, day)
        assert at.is_between(start, end, "left").all() and rows.height == 2000 and at.is_sorted()
        assert at[-1] > end - timedelta(minutes=30)
        noon = (at + timedelta(hours=offset)).dt.hour() == 12
        assert rows["hour_of_day"].filter(noon).unique().to_list() == ["12"]


def test_the_true_probability_is_calibrated_and_beats_any_constant(large):
    days = [date(2026, 1, 3) + timedelta(days=n) for n in range(5)]
    clicks = pl.concat([synthetic.read(large, day) for day in days])
    truth = pl.concat([synthetic.true_probability(large, day) for day in days])
    assert truth["impression_id"].to_list() == clicks["impression_id"].to_list()
    label, p = clicks["label"].to_numpy(), truth["probability"].to_numpy()
    spread = np.sqrt((p * (1 - p)).sum())
    assert abs(label.sum() - p.sum()) < 4 * spread
    rate = label.mean()
    entropy = -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))
    best = -(label * np.log(p) + (1 - label) * np.log(1 - p)).mean() / entropy
    assert 0.6 < best < 0.8  # there is much to learn, and the rest is chance
    by_surface = clicks.group_by("surface").agg(pl.col("label").mean())
    rates = dict(by_surface.iter_rows())
    assert 0.01 < rates["video"] < rates["feed"] < rates["search"] < 0.12


def test_users_and_ads_arrive_and_interests_drift(large):
    early, late = synthetic.read(large, date(2026, 1, 4)), synthetic.read(large, date(2026, 3, 5))
    for column in ("user_id", "item_id"):
        new = set(late[column]) - set(early[column])
        assert max(int(name.strip("uad")) for name in new) > max(int(name.strip("uad")) for name in early[column])
    first, _ = synthetic._interests(500, date(2026, 1, 4))
    later, _ = synthetic._interests(500, date(2026, 1, 24))
    next_day, _ = synthetic._interests(500, date(2026, 1, 5))
    assert np.corrcoef(first.ravel(), next_day.ravel())[0, 1] > 0.95
    assert np.corrcoef(first.ravel(), later.ravel())[0, 1] < 0.5


def test_seeing_an_advertiser_again_lowers_the_probability(tiny_config, monkeypatch):
    shown = {}
    now, probability = synthetic._day(tiny_config.source, date(2026, 1, 6), shown)
    past = [shown[date(2026, 1, n)] for n in (3, 4, 5)]
    seen = synthetic._seen_before(past, now)
    row = int(np.argmax(seen))
    same_day = (now.user[:row] == now.user[row]) & (now.advertiser[:row] == now.advertiser[row])
    days_before = [(e.user == now.user[row]) & (e.advertiser == now.advertiser[row]) for e in past]
    assert seen[row] == same_day.sum() + sum(day.sum() for day in days_before) > 0
    monkeypatch.setattr(synthetic, "FATIGUE", 0.0)
    _, fresh = synthetic._day(tiny_config.source, date(2026, 1, 6), {})
    assert (probability[seen > 0] < fresh[seen > 0]).all()
    assert (probability[seen == 0] == fresh[seen == 0]).all()


def test_no_latent_trait_is_a_feature(tiny_config):
    frame = synthetic.read(tiny_config, BOOTSTRAP)
    known = {"impression_id", "event_timestamp", "user_id", "item_id", "label"}
    assert set(frame.columns) == known | set(synthetic.SCHEMA.categorical) | set(synthetic.SCHEMA.dense)
