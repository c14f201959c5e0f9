"""Point-in-time features as Spark frames: events in; `examples`, `user_activity` and `item_activity` out.

Spark brings each entity's events together in order of time; point_in_time computes on their Arrow batches.
The frames that come out hold their lists packed (packing.py): `unpacked` shows them as lists, and
parquet_parts.py writes them as lists.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql.functions import coalesce, col, lit, when
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import StructType

from config import Features
from data.features.packing import packed_schema, unpack
from data.features.point_in_time import (
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
from data.schema import Schema, epoch_us

ORDER = ("event_timestamp", "impression_id")


def examples(
    day_events: DataFrame,
    past_events: DataFrame,
    *,
    schema: Schema,
    features: Features,
    cuts: Sequence[datetime] = (),
) -> DataFrame:
    """Builds one row an impression of the day: the event, user, item and cross counts, and the user's history.

    A window of W days at impression time t counts events with t - W days <= event_timestamp < t - delay, of the
    day as of the past. The history and the crosses reach history_days back.

    Args:
        day_events: events of the platform day, columns of Schema.events().
        past_events: events of the platform days before, as far back as history_days.
        cuts: times that cut the day into partitions of about the same size; none, one partition.

    Returns:
        Columns of `examples_columns`, packed; sorted by event_timestamp, impression_id, partition after partition.
    """
    user, item = _lookback(features, "user"), _lookback(features, "item")
    by_item = _union(day_events, past_events, ("item_id", *ORDER, "label"))
    counted = _ordered(by_item, "item_id").mapInArrow(
        partial(with_item_counts, schema=schema, lookback=item), _spark(item_counted_schema(schema, item))
    )
    seen = ("user_id", *ORDER, "item_id", "label", *schema.crosses)
    by_user = _union(counted, past_events.where(col("user_id").isNotNull()), tuple(dict.fromkeys(seen)))
    described = _ordered(by_user, "user_id").mapInArrow(
        partial(with_user_features, schema=schema, lookback=user),
        _spark(packed_schema(examples_columns(schema, features))),
    )
    # Cuts known beforehand save the second computation that Spark's sort by range takes to find them.
    partition = sum((when(col("event_timestamp") >= cut, 1).otherwise(0) for cut in cuts), start=lit(0))
    return described.repartitionById(len(cuts) + 1, partition).sortWithinPartitions(*ORDER)


def activity(
    entity: str, events: DataFrame, instants: Sequence[datetime], *, schema: Schema, features: Features
) -> DataFrame:
    """Builds `user_activity` or `item_activity`: what was known of every user or item at every instant.

    Args:
        entity: "user" or "item".
        events: all events up to the newest instant, as far back as history_days before the oldest.
        instants: when to look. An entity without an event in [instant - history_days, instant - delay) has no row, nor
            has nobody, whose user_id is null.

    Returns:
        Columns of `activity_columns`, packed: counts, the newest attribute values that are not null, and of users
        the history. An impression at time t of `examples` and a snapshot at t see the same events.
    """
    key = f"{entity}_id"
    lookback = _lookback(features, entity)
    item = ("item_id",) if entity == "user" else ()  # a history names items
    narrow = events.where(col(key).isNotNull()).select(key, *ORDER, *item, "label", *attribute_columns(entity, schema))
    computed = partial(
        snapshots,
        entity=entity,
        instants=[epoch_us(instant) for instant in sorted(instants)],
        schema=schema,
        lookback=lookback,
    )
    columns = activity_columns(entity, schema, features)
    return _ordered(narrow, key).mapInArrow(computed, _spark(packed_schema(columns)))


def examples_columns(schema: Schema, features: Features) -> pa.Schema:
    """Returns the columns of `examples`."""
    return examples_schema(schema, _lookback(features, "user"))


def activity_columns(entity: str, schema: Schema, features: Features) -> pa.Schema:
    """Returns the columns of `user_activity` or `item_activity`; entity: "user" or "item"."""
    return activity_schema(entity, schema, _lookback(features, entity))


def events_columns(schema: Schema) -> StructType:
    """Returns the columns of `events`, as Spark reads them."""
    return _spark(schema.events())


def unpacked(frame: DataFrame, columns: pa.Schema) -> DataFrame:
    """Restores the lists of a frame of this module as arrays."""
    return frame.mapInArrow(partial(_unpacked, columns=columns), _spark(columns))


def _unpacked(batches: Iterable[pa.RecordBatch], *, columns: pa.Schema) -> Iterator[pa.RecordBatch]:
    return (unpack(batch, columns) for batch in batches)


def _lookback(features: Features, entity: str) -> Lookback:
    delay_s = features.user_delay_s if entity == "user" else features.item_delay_s
    return Lookback(
        windows_days=tuple(features.windows_days),
        history_days=features.history_days,
        history_length=features.history_length,
        delay_us=delay_s * 1_000_000,
    )


def _union(day: DataFrame, past: DataFrame, seen: Sequence[str]) -> DataFrame:
    """Joins the day's impressions, whole, and past events, of which only the columns looked at are not null."""
    return day.withColumn(IN_DAY, lit(True)).unionByName(
        past.select(*seen).withColumn(IN_DAY, lit(False)), allowMissingColumns=True
    )


def _ordered(frame: DataFrame, key: str) -> DataFrame:
    """Puts each entity's rows into one partition, side by side, in order of time; nobody's rows anywhere.

    The number of partitions is given, so that adaptive execution neither merges nor splits them.
    """
    partitions = int(str(frame.sparkSession.conf.get("spark.sql.shuffle.partitions")))
    return frame.repartition(partitions, coalesce(col(key), col("impression_id"))).sortWithinPartitions(key, *ORDER)


def _spark(columns: pa.Schema) -> StructType:
    return from_arrow_schema(columns)
