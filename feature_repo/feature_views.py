"""Activity of users and items: daily snapshots of counts, click rates, attributes and raw history."""

from datetime import timedelta
from pathlib import Path

from feast import FeatureView, Field, FileSource
from feast.data_format import ParquetFormat
from feast.types import Array, Float32, Int32, Int64, PrimitiveFeastType, String

from config import PlatformConfig
from data.schema import Schema
from feature_repo.entities import item, user
from feature_repo.offline import files_of


def snapshot_ttl(config: PlatformConfig) -> timedelta:
    """Returns how long a snapshot holds: each day of the log has one; two days forgive one that came late."""
    return 2 * timedelta(days=1) / config.source.days_per_day


def snapshot_source(files: Path, table: str) -> FileSource:
    """Returns a snapshot table as a Feast source: its part of a set of files (feature_repo.offline)."""
    return FileSource(
        name=table,
        path=files_of(files, table),
        file_format=ParquetFormat(),
        timestamp_field="event_timestamp",
        created_timestamp_column="created_timestamp",
    )


def activity_views(config: PlatformConfig, schema: Schema, files: Path) -> list[FeatureView]:
    """Returns the views `user_activity` and `item_activity` of a set of files."""
    windows = config.features.windows_days
    user_fields = _fields(schema.user_counts(windows) + schema.user_dense, Float32)
    user_fields += _fields(schema.user_categorical, String)
    user_fields += [
        Field(name="history_item_ids", dtype=Array(String), description="Newest impressions, oldest first."),
        Field(name="history_labels", dtype=Array(Int32), description="1 where it was clicked."),
        Field(name="history_timestamps", dtype=Array(Int64), description="Microseconds since 1970, UTC."),
    ]
    item_fields = _fields(schema.item_counts(windows) + schema.item_dense, Float32)
    item_fields += _fields(schema.item_categorical, String)
    return [
        FeatureView(
            name="user_activity",
            entities=[user],
            schema=[Field(name="user_id", dtype=String), *user_fields],
            source=snapshot_source(files, "user_activity"),
            ttl=snapshot_ttl(config),
            description="Counts, click rates, attributes and history of a user at the end of a day.",
        ),
        FeatureView(
            name="item_activity",
            entities=[item],
            schema=[Field(name="item_id", dtype=String), *item_fields],
            source=snapshot_source(files, "item_activity"),
            ttl=snapshot_ttl(config),
            description="Counts, click rates and attributes of an item at the end of a day.",
        ),
    ]


def _fields(names: tuple[str, ...], dtype: PrimitiveFeastType) -> list[Field]:
    return [Field(name=name, dtype=dtype) for name in names]
