"""Small, correct tables of a day, counted by brute force from the rules: what the jobs must write and tests spoil."""

from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

import storage
from config import PlatformConfig
from data.schema import HISTORY_COLUMNS, TIMESTAMP, Schema

ROWS_PER_LOG_DAY = 120
USERS, ITEMS = 9, 12


def clean_tables(config: PlatformConfig, schema: Schema, day: date) -> dict[str, pa.Table]:
    """Builds the tables events, examples, user_activity and item_activity of one platform day."""
    log = _log(config, schema, day)
    start, end = storage.day_window(config, day)
    events = [row for row in log if start <= row["event_timestamp"] < end]
    windows = config.features.windows_days
    float32 = dict.fromkeys(
        schema.user_counts(windows) + schema.item_counts(windows) + schema.cross_counts(), pa.float32()
    )
    example_fields = {field.name: field.type for field in schema.events()} | float32 | HISTORY_COLUMNS
    snapshot = {"event_timestamp": TIMESTAMP, "created_timestamp": TIMESTAMP}
    user_fields = {"user_id": pa.string()} | snapshot
    user_fields |= dict.fromkeys(schema.user_counts(windows), pa.float32()) | HISTORY_COLUMNS
    user_fields |= dict.fromkeys(schema.user_categorical, pa.string())
    user_fields |= dict.fromkeys(schema.user_dense, pa.float32())
    item_fields = {"item_id": pa.string()} | snapshot
    item_fields |= dict.fromkeys(schema.item_counts(windows), pa.float32())
    item_fields |= dict.fromkeys(schema.item_categorical, pa.string())
    item_fields |= dict.fromkeys(schema.item_dense, pa.float32())
    examples = [
        row
        | _counts(config, log, "user", row["user_id"], row["event_timestamp"])
        | _counts(config, log, "item", row["item_id"], row["event_timestamp"])
        | _crosses(config, schema, log, row)
        | _history(config, log, row["user_id"], row["event_timestamp"])
        for row in events
    ]
    users, items = [], []
    for instant in storage.day_ends(config, day):
        for user in sorted({r["user_id"] for r in _seen(config, log, "user", instant)}):
            users.append(
                {"user_id": user, "event_timestamp": instant, "created_timestamp": instant}
                | _counts(config, log, "user", user, instant)
                | _history(config, log, user, instant)
            )
        for item in sorted({r["item_id"] for r in _seen(config, log, "item", instant)}):
            items.append(
                {"item_id": item, "event_timestamp": instant, "created_timestamp": instant}
                | _counts(config, log, "item", item, instant)
            )
    return {
        "events": pa.Table.from_pylist(events, schema=schema.events()),
        "examples": pa.Table.from_pylist(examples, schema=pa.schema(example_fields)),
        "user_activity": pa.Table.from_pylist(users, schema=pa.schema(user_fields)),
        "item_activity": pa.Table.from_pylist(items, schema=pa.schema(item_fields)),
    }


def write_tables(
    config: PlatformConfig, day: date, tables: dict[str, pa.Table], *, raw_rows: int = 0, quarantined: int = 0
) -> None:
    """Commits tables as a day's partitions."""
    for name, rows in tables.items():
        extra = {"raw_rows": raw_rows or rows.num_rows + quarantined, "quarantined": {"null_user_id": quarantined}}
        storage.write_partition(config, name, day, rows, extra=extra if name == "events" else None)


def _log(config: PlatformConfig, schema: Schema, day: date) -> list[dict[str, Any]]:
    """Returns every event from the log's first day to the end of `day`, in time order."""
    start, _ = storage.day_window(config, config.source.bootstrap_day)
    _, end = storage.day_window(config, day)
    generator = np.random.default_rng(3)
    rows = []
    for n in range((end - start).days * ROWS_PER_LOG_DAY):
        row: dict[str, Any] = {
            "impression_id": f"i{n:06d}",
            "event_timestamp": start + timedelta(days=1) * (n / ROWS_PER_LOG_DAY),
            "user_id": f"u{generator.integers(USERS)}",
            "item_id": f"a{generator.integers(ITEMS)}",
            "vertical": config.verticals[n % len(config.verticals)],
            "label": int(generator.random() < 0.3),
        }
        row |= {name: f"{name}{generator.integers(3)}" for name in schema.categorical}
        row |= {name: float(generator.random()) for name in schema.dense}
        rows.append(row)
    return rows


def _seen(config: PlatformConfig, log: list[dict[str, Any]], entity: str, t: datetime) -> list[dict[str, Any]]:
    """Returns the events that a row of `entity` at t may use."""
    delay = timedelta(seconds=getattr(config.features, f"{entity}_delay_s"))
    oldest = t - timedelta(days=config.features.history_days)
    return [r for r in log if oldest <= r["event_timestamp"] < t - delay]


def _counts(
    config: PlatformConfig, log: list[dict[str, Any]], entity: str, value: str, t: datetime
) -> dict[str, float]:
    counts: dict[str, float] = {}
    mine = [r for r in _seen(config, log, entity, t) if r[f"{entity}_id"] == value]
    for window in config.features.windows_days:
        labels = [r["label"] for r in mine if r["event_timestamp"] >= t - timedelta(days=window)]
        counts[f"{entity}_impressions_{window}d"] = len(labels)
        counts[f"{entity}_clicks_{window}d"] = sum(labels)
        counts[f"{entity}_ctr_{window}d"] = sum(labels) / max(len(labels), 1)
    return counts


def _crosses(
    config: PlatformConfig, schema: Schema, log: list[dict[str, Any]], row: dict[str, Any]
) -> dict[str, float]:
    mine = [r for r in _seen(config, log, "user", row["event_timestamp"]) if r["user_id"] == row["user_id"]]
    counts: dict[str, float] = {}
    for cross in schema.crosses:
        labels = [r["label"] for r in mine if r[cross] == row[cross]]
        counts |= {f"user_{cross}_impressions": len(labels), f"user_{cross}_clicks": sum(labels)}
    return counts


def _history(config: PlatformConfig, log: list[dict[str, Any]], user: str, t: datetime) -> dict[str, list[Any]]:
    mine = [r for r in _seen(config, log, "user", t) if r["user_id"] == user][-config.features.history_length :]
    return {
        "history_item_ids": [r["item_id"] for r in mine],
        "history_labels": [r["label"] for r in mine],
        "history_timestamps": [round(r["event_timestamp"].timestamp() * 1e6) for r in mine],
    }
