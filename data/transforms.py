"""Point-in-time features as Spark frames: events in; `examples`, `user_activity` and `item_activity` out.

Spark brings each entity's events together in order of time; data.point_in_time computes on their Arrow batches.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import StructType

from config import Features
from data.point_in_time import (
    IN_DAY,
    Lookback,
    activity_schema,
    attribute_columns,
    examples_schema,
    item_counted_schema,
    snapshots,
    with_item_counts,
    with_user_features,
)
from data.schema import Schema

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ORDER = ("event_timestamp", "impression_id")


def examples(day_events: DataFrame, past_events: DataFrame, *, schema: Schema, features: Features) -> DataFrame:
    """One row an impression of the day: the event, user, item and cross counts, and the user's history.

    A window of W days at impression time t counts events with t - W days <= event_timestamp < t - delay, of the
    day as of the past. The history and the crosses reach history_days back.

    Args:
        day_events: events of the platform day, columns of Schema.events().
        past_events: events of the platform days before, as far back as history_days.

    Returns:
        Columns of point_in_time.examples_schema, in no order: sort by `ORDER` when writing.
    """
    user, item = _lookback(features, "user"), _lookback(features, "item")
    by_item = _union(day_events, past_events, ("item_id", *ORDER, "label"))
    counted = _ordered(by_item, "item_id").mapInArrow(
        partial(with_item_counts, schema=schema, lookback=item), _spark(item_counted_schema(schema, item))
    )
    seen = ("user_id", *ORDER, "item_id", "label", *schema.crosses)
    by_user = _union(counted, past_events, tuple(dict.fromkeys(seen)))
    return _ordered(by_user, "user_id").mapInArrow(
        partial(with_user_features, schema=schema, lookback=user), _spark(examples_schema(schema, user))
    )


def user_activity(
    events: DataFrame, instants: Sequence[datetime], *, schema: Schema, features: Features
) -> DataFrame:
    """Snapshots of every user at every instant: counts, history and newest known attributes.

    Args:
        events: all events up to the newest instant, as far back as history_days before the oldest.
        instants: when to look; a user without an event in [instant - history_days, instant - delay) has no row.
    """
    return _activity("user", events, instants, schema, features)


def item_activity(
    events: DataFrame, instants: Sequence[datetime], *, schema: Schema, features: Features
) -> DataFrame:
    """Snapshots of every item at every instant: counts and newest known attributes; see `user_activity`."""
    return _activity("item", events, instants, schema, features)


def events_schema(schema: Schema) -> StructType:
    """The Spark schema of `events`."""
    return _spark(schema.events())


def _activity(
    entity: str, events: DataFrame, instants: Sequence[datetime], schema: Schema, features: Features
) -> DataFrame:
    key = f"{entity}_id"
    item = ("item_id",) if entity == "user" else ()  # a history names items
    narrow = events.select(key, *ORDER, *item, "label", *attribute_columns(entity, schema))
    lookback = _lookback(features, entity)
    computed = partial(
        snapshots,
        entity=entity,
        instants=[(instant - EPOCH) // timedelta(microseconds=1) for instant in sorted(instants)],
        schema=schema,
        lookback=lookback,
    )
    return _ordered(narrow, key).mapInArrow(computed, _spark(activity_schema(entity, schema, lookback)))


def _lookback(features: Features, entity: str) -> Lookback:
    delay_s = features.user_delay_s if entity == "user" else features.item_delay_s
    return Lookback(
        windows_days=tuple(features.windows_days),
        history_days=features.history_days,
        history_length=features.history_length,
        delay_us=delay_s * 1_000_000,
    )


def _union(day: DataFrame, past: DataFrame, seen: Sequence[str]) -> DataFrame:
    """The day's impressions whole, and of past events only the columns that are looked at (others null)."""
    return day.withColumn(IN_DAY, F.lit(True)).unionByName(
        past.select(*seen).withColumn(IN_DAY, F.lit(False)), allowMissingColumns=True
    )


def _ordered(frame: DataFrame, key: str) -> DataFrame:
    """Each entity's rows in one partition, side by side, in order of time.

    The number of partitions is given, so that adaptive execution neither merges nor splits them.
    """
    partitions = int(str(frame.sparkSession.conf.get("spark.sql.shuffle.partitions")))
    return frame.repartition(partitions, key).sortWithinPartitions(key, *ORDER)


def _spark(columns: pa.Schema) -> StructType:
    return from_arrow_schema(columns)
