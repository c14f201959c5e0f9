"""Each public data set, from files of its own form, through the platform's jobs."""

from datetime import timedelta

import polars as pl
import pytest
from pyspark.sql import SparkSession

import storage
from config import ROOT, PlatformConfig, load_config
from data.sources import chosen_source, source_schema
from jobs import extract_features, ingest
from tests.original_files import WRITERS

HISTORY_LENGTH = 5


@pytest.fixture(scope="module", params=WRITERS)
def landed(request, tmp_path_factory, spark: SparkSession) -> PlatformConfig:
    """A log with its bootstrap day and the day after, ingested and with features."""
    folder = tmp_path_factory.mktemp(request.param)
    WRITERS[request.param](folder / "files", users=60)
    config = load_config(ROOT / "platform.yaml").changed(
        data_source=request.param,
        sources={request.param: {"path": str(folder / "files")}},
        storage={"root": str(folder / "state"), "cache": str(folder / "cache")},
        features={"history_length": HISTORY_LENGTH},
    )
    for day in _days(config):
        result = ingest.main(config, day=day)
        assert result["rows"] == result["raw_rows"] > 100 and result["quarantined"] == {}
        assert set(result["verticals"]) == set(config.verticals)
        extract_features.main(config, day=day)
    return config


def _days(config):
    return [config.source.bootstrap_day, config.source.bootstrap_day + timedelta(days=1)]


def _read(config, table, day):
    return pl.from_arrow(storage.read_partition(config, table, day))


def test_the_days_have_every_feature_of_the_schema(landed):
    days = [_read(landed, "examples", day) for day in _days(landed)]
    assert pl.concat([day["impression_id"] for day in days]).is_unique().all()
    schema = source_schema(landed)
    for day in days:
        missing = [name for name in (*schema.categorical, *schema.dense) if day[name].null_count() == day.height]
        assert missing == []
        assert 0.05 < day["label"].mean() < 0.6
    assert chosen_source(landed).about


def test_histories_are_the_newest_strictly_earlier_impressions(landed):
    """What an impression sees of its user: nothing of its own instant, and the newest of what came before."""
    events = pl.concat([_read(landed, "events", day) for day in _days(landed)])
    examples = _read(landed, "examples", _days(landed)[1])
    shared = events.group_by("user_id", "event_timestamp").agg(pl.len()).filter(pl.col("len") > 1)
    if landed.data_source == "amazon_electronics":  # a review and its negative, at least
        assert len(shared) == events.select("user_id", "event_timestamp").n_unique()
    full = 0
    for row in examples.sample(100, seed=0).iter_rows(named=True):
        past = events.filter(
            pl.col("user_id") == row["user_id"], pl.col("event_timestamp") < row["event_timestamp"]
        ).sort("event_timestamp", "impression_id")
        newest = past.tail(HISTORY_LENGTH)
        full += past.height > HISTORY_LENGTH
        times = newest["event_timestamp"].dt.epoch("us").to_list()
        assert row["history_timestamps"] == times
        assert row["history_item_ids"] == newest["item_id"].to_list()
        assert row["history_labels"] == newest["label"].to_list()
        assert row["user_impressions_30d"] == past.height
    assert full > 20
