"""Suite of `user_activity`: one row a user and snapshot, with counts and a history of the time before it."""

import pyarrow as pa

from config import PlatformConfig
from data.schema import HISTORY_COLUMNS, TIMESTAMP, Schema
from quality.suite import Suite, right_columns
from quality.suites.counts import history_checks, window_checks
from quality.suites.snapshots import snapshot_profile, snapshot_rows


def suite(config: PlatformConfig, schema: Schema) -> Suite:
    """Builds the suite of a day's user snapshots."""
    columns: dict[str, pa.DataType] = {
        "user_id": pa.string(),
        "event_timestamp": TIMESTAMP,
        "created_timestamp": TIMESTAMP,
    }
    columns |= dict.fromkeys(schema.user_counts(config.features.windows_days), pa.float32())
    columns |= HISTORY_COLUMNS
    columns |= dict.fromkeys(schema.user_categorical, pa.string())
    columns |= dict.fromkeys(schema.user_dense, pa.float32())
    return Suite(
        table="user_activity",
        columns=pa.schema(columns),
        rows=snapshot_rows("user_id"),
        profile=[
            *right_columns(),
            *snapshot_profile(
                "user_id",
                delay_s=config.features.user_delay_s,
                history_days=config.features.history_days,
            ),
            *window_checks("user", config.features),
            *history_checks(config.features),
        ],
    )
