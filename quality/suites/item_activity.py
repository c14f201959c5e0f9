"""Suite of `item_activity`: one row an item and snapshot, with counts of the time before it."""

import pyarrow as pa

from config import PlatformConfig
from data.schema import TIMESTAMP, Schema
from quality.suite import Suite, right_columns
from quality.suites.counts import window_checks
from quality.suites.snapshots import snapshot_profile, snapshot_rows


def suite(config: PlatformConfig, schema: Schema) -> Suite:
    """Builds the suite of a day's item snapshots."""
    columns: dict[str, pa.DataType] = {
        "item_id": pa.string(),
        "event_timestamp": TIMESTAMP,
        "created_timestamp": TIMESTAMP,
    }
    columns |= dict.fromkeys(schema.item_counts(config.features.windows_days), pa.float32())
    columns |= dict.fromkeys(schema.item_categorical, pa.string())
    columns |= dict.fromkeys(schema.item_dense, pa.float32())
    return Suite(
        table="item_activity",
        columns=pa.schema(columns),
        rows=snapshot_rows("item_id"),
        profile=[
            *right_columns(),
            *snapshot_profile(
                "item_id",
                delay_s=config.features.item_delay_s,
                history_days=config.features.history_days,
            ),
            *window_checks("item", config.features),
        ],
    )
