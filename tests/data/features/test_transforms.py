"""Spark frames in, Spark frames out: literal numbers, the naive computation, and no look into the future."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession

from config import Features
from data.features import transforms
from data.schema import Schema
from tests.naive_features import (
    SCHEMA,
    Event,
    events_table,
    naive_activity,
    naive_example,
    plain,
    random_events,
)

MIDNIGHT = datetime(2026, 1, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)


def microseconds(time: datetime) -> int:
    return int(time.timestamp()) * 1_000_000


def frame(spark: SparkSession, events: list[Event], schema: Schema = SCHEMA) -> DataFrame:
    return spark.createDataFrame(events_table(events, schema), transforms.events_columns(schema))


def examples(
    spark: SparkSession, day: list[Event], past: list[Event], features: Features, schema: Schema = SCHEMA
) -> dict[str, Event]:
    rows = transforms.examples(frame(spark, day, schema), frame(spark, past, schema), schema=schema, features=features)
    table = transforms.unpacked(rows, transforms.examples_columns(schema, features)).toArrow()
    return {row["impression_id"]: row for row in plain(table)}


@pytest.fixture(scope="module")
def five() -> list[Event]:
    """A past click of user a and, at the same time, of user b; a day later, to the microsecond, two ties; one more."""
    rows = [
        ("i0", MIDNIGHT - 12 * HOUR, "a", "x", 1),
        ("i1", MIDNIGHT - 12 * HOUR, "b", "x", 0),
        ("i2", MIDNIGHT + 12 * HOUR, "a", "y", 0),
        ("i3", MIDNIGHT + 12 * HOUR, "a", "x", 1),
        ("i4", MIDNIGHT + 13 * HOUR, "a", "x", 0),
    ]
    names = ("impression_id", "event_timestamp", "user_id", "item_id", "label")
    return [{**dict(zip(names, row, strict=True)), "vertical": "feed"} for row in rows]


def test_five_rows(spark: SparkSession, five: list[Event]) -> None:
    found = examples(spark, five[2:], five[:2], Features(), Schema())
    assert list(found) == ["i2", "i3", "i4"], "sorted by time, then impression"
    noon = microseconds(MIDNIGHT + 12 * HOUR)

    i2 = found["i2"]  # i0 lies exactly one day before: inside; its tie i3 is not before it
    assert (i2["user_impressions_1d"], i2["user_clicks_1d"], i2["user_ctr_1d"]) == (1, 1, 1)
    assert (i2["item_impressions_30d"], i2["item_ctr_30d"]) == (0, 0)
    assert (i2["user_item_id_impressions"], i2["user_item_id_clicks"]) == (0, 0)
    assert (i2["history_item_ids"], i2["history_labels"]) == (["x"], [1])
    assert i2["history_timestamps"] == [microseconds(MIDNIGHT - 12 * HOUR)]

    i3 = found["i3"]  # the item was shown to a and b
    assert (i3["item_impressions_1d"], i3["item_clicks_1d"], i3["item_ctr_1d"]) == (2, 1, 0.5)
    assert (i3["user_item_id_impressions"], i3["user_item_id_clicks"]) == (1, 1)

    i4 = found["i4"]  # i0 and i1 are now 25 hours old
    assert (i4["user_impressions_1d"], i4["user_clicks_1d"], i4["user_ctr_1d"]) == (2, 1, 0.5)
    assert (i4["user_impressions_7d"], i4["user_clicks_7d"]) == (3, 2)
    assert i4["user_ctr_7d"] == np.float32(2 / 3)
    assert (i4["item_impressions_1d"], i4["item_impressions_7d"], i4["item_clicks_7d"]) == (1, 3, 2)
    assert (i4["user_item_id_impressions"], i4["user_item_id_clicks"]) == (2, 2)
    assert (i4["history_item_ids"], i4["history_labels"]) == (["x", "y", "x"], [1, 0, 1])
    assert i4["history_timestamps"][1:] == [noon, noon]


def test_five_rows_an_hour_late(spark: SparkSession, five: list[Event]) -> None:
    late = Features(user_delay_s=3600, history_length=1)
    found = examples(spark, five[2:], five[:2], late, Schema())
    i4 = found["i4"]  # i2 and i3 lie exactly one hour before: not yet known
    assert (i4["user_impressions_1d"], i4["user_impressions_7d"], i4["user_clicks_7d"]) == (0, 1, 1)
    assert (i4["user_item_id_impressions"], i4["history_item_ids"]) == (1, ["x"])
    assert i4["item_impressions_7d"] == 3, "items have a delay of their own"


def test_five_rows_on_the_first_day(spark: SparkSession, five: list[Event]) -> None:
    found = examples(spark, five, [], Features(), Schema())
    assert found["i0"]["history_item_ids"] == [] and found["i1"]["item_impressions_30d"] == 0
    assert found["i4"]["user_impressions_7d"] == 3, "events of the first day see each other"


@pytest.mark.parametrize("delays_s", [(0, 0), (6 * 3600, 24 * 3600)])
def test_equals_the_naive_computation(spark: SparkSession, delays_s: tuple[int, int]) -> None:
    features = Features(
        windows_days=[1, 2],
        history_days=3,
        history_length=4,
        user_delay_s=delays_s[0],
        item_delay_s=delays_s[1],
    )
    events = random_events(np.random.default_rng(7), 300, MIDNIGHT - timedelta(days=4), 6, known_users=0.7)
    day = [e for e in events if e["event_timestamp"] >= MIDNIGHT]
    past = [e for e in events if e["event_timestamp"] < MIDNIGHT]
    instants = [MIDNIGHT + timedelta(days=n) for n in (-1, 1, 2)]

    cuts = [MIDNIGHT + 12 * HOUR, MIDNIGHT + 30 * HOUR]
    rows = transforms.examples(frame(spark, day), frame(spark, past), schema=SCHEMA, features=features, cuts=cuts)
    assert rows.rdd.getNumPartitions() == 3
    found = transforms.unpacked(rows, transforms.examples_columns(SCHEMA, features)).toArrow()
    in_order = sorted(day, key=lambda e: (e["event_timestamp"], e["impression_id"]))
    assert plain(found) == plain([naive_example(e, events, SCHEMA, features) for e in in_order])

    every = frame(spark, events)
    for entity in ("user", "item"):
        snapshot = transforms.activity(entity, every, instants, schema=SCHEMA, features=features)
        columns = transforms.activity_columns(entity, SCHEMA, features)
        found = transforms.unpacked(snapshot, columns).toArrow()
        assert found.schema.names == columns.names
        expected = naive_activity(entity, instants, events, SCHEMA, features)
        found = found.sort_by([(f"{entity}_id", "ascending"), ("event_timestamp", "ascending")])
        assert plain(found) == plain(expected)


@pytest.mark.parametrize("delay_s", [0, 12 * 3600])
def test_no_event_at_or_after_the_delayed_time_changes_a_row(spark: SparkSession, delay_s: int) -> None:
    """Many logs in one frame, each with users and items of its own: the first is as it was, the others are changed."""
    features = Features(
        windows_days=[1, 2], history_days=3, history_length=4, user_delay_s=delay_s, item_delay_s=delay_s
    )
    rng = np.random.default_rng(11)
    events = random_events(rng, 60, MIDNIGHT - timedelta(days=2), 4, users=2, items=3)
    targets = [e for e in events if e["event_timestamp"] >= MIDNIGHT]
    logs = {"same": events}
    for target in targets:
        newest = target["event_timestamp"] - timedelta(seconds=delay_s)
        known = [e for e in events if e["event_timestamp"] < newest]
        unknown = [e for e in events if e["event_timestamp"] >= newest and e is not target]
        flipped = [{**e, "label": 1 - e["label"], "category": "other"} for e in unknown if rng.random() < 0.6]
        invented = {**target, "impression_id": "new", "event_timestamp": newest}
        logs[target["impression_id"]] = [*known, target, *flipped, invented]
    told_apart = [
        {**e, **{key: f"{log}/{e[key]}" for key in ("impression_id", "user_id", "item_id")}}
        for log, rows in logs.items()
        for e in rows
    ]
    day = [e for e in told_apart if e["event_timestamp"] >= MIDNIGHT]
    past = [e for e in told_apart if e["event_timestamp"] < MIDNIGHT]
    found = examples(spark, day, past, features)

    def without_log(row: Event) -> Event:
        row = {**row, "history_item_ids": [item.split("/")[1] for item in row["history_item_ids"]]}
        return {key: v for key, v in row.items() if key not in ("impression_id", "user_id", "item_id")}

    assert len(targets) > 20
    for target in targets:
        name = target["impression_id"]
        row = found[f"same/{name}"]
        assert without_log(found[f"{name}/{name}"]) == without_log(row)
        newest = microseconds(target["event_timestamp"]) - delay_s * 1_000_000
        assert all(time < newest for time in row["history_timestamps"])
