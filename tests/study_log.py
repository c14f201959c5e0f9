"""A few days of a small log in one partition, its features computed literally from the rules: what a study reads."""

from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

import storage
from config import ROOT, PlatformConfig, load_config
from data.schema import HISTORY_COLUMNS, TIMESTAMP, Schema
from data.sources import source_schema, synthetic
from data.verticals import assign_verticals
from tests.naive_features import Event, naive_activity, naive_example

DAYS, EVENTS_PER_DAY = 6, 200
DAY = date(2026, 1, DAYS)
CLICK_RATE = (0.1, 0.35, 0.6)  # by category; the source's own clicks are too few for so small a log


def study_config(folder: Path) -> PlatformConfig:
    """Returns the shipped platform on the small log, with small tables; one partition holds all days."""
    config = load_config(ROOT / "platform.yaml")
    rows = {"user_id": 128, "item_id": 128, "other": 64}
    return config.changed(
        data_source="synthetic",
        sources={"synthetic": {"events_per_day": EVENTS_PER_DAY, "bootstrap_days": DAYS}},
        storage={"root": str(folder)},
        features={"history_length": 5},
        foundation_model={"num_embeddings": rows, "optimizer": {"batch_size": 64}},
        vertical_model={"num_embeddings": rows, "optimizer": {"batch_size": 16, "learning_rate": 0.01}},
        runtime={"device": "cpu"},
    )


def write_log(config: PlatformConfig, *, otherwise_from: datetime | None = None) -> list[Event]:
    """Commits `examples`, `user_activity` and `item_activity`.

    Args:
        config: what `study_config` returns.
        otherwise_from: from this instant on, clicks are inverted and other items are shown.

    Returns:
        The events, in order of time.
    """
    schema = source_schema(config)
    events = _events(config, schema, otherwise_from)
    windows, snapshot = config.features.windows_days, {"event_timestamp": TIMESTAMP, "created_timestamp": TIMESTAMP}
    counts = {"user": schema.user_counts(windows), "item": schema.item_counts(windows)}
    of_examples = {field.name: field.type for field in schema.events()} | HISTORY_COLUMNS
    of_examples |= dict.fromkeys((*counts["user"], *counts["item"], *schema.cross_counts()), pa.float32())
    examples = [naive_example(row, events, schema, config.features) for row in events]
    tables = {"examples": pa.Table.from_pylist(examples, schema=pa.schema(of_examples))}
    for entity in ("user", "item"):
        columns = {f"{entity}_id": pa.string()} | snapshot | dict.fromkeys(counts[entity], pa.float32())
        columns |= dict.fromkeys(getattr(schema, f"{entity}_categorical"), pa.string())
        columns |= dict.fromkeys(getattr(schema, f"{entity}_dense"), pa.float32())
        rows = naive_activity(entity, storage.day_ends(config, DAY), events, schema, config.features)
        tables[f"{entity}_activity"] = pa.Table.from_pylist(rows, schema=pa.schema(columns))
    for name, table in tables.items():
        storage.write_partition(config, name, DAY, table)
    return events


def midnight(config: PlatformConfig, number: int) -> datetime:
    """Returns the start of a day of the log, counted from 0."""
    return storage.day_window(config, DAY)[0] + timedelta(days=number)


def _events(config: PlatformConfig, schema: Schema, otherwise_from: datetime | None) -> list[Event]:
    raw = assign_verticals(synthetic.read(config, DAY), config.source.verticals)
    events = raw.sort("event_timestamp", "impression_id").to_dicts()
    chance = np.random.default_rng(0).random(len(events))
    for row, drawn in zip(events, chance, strict=True):
        row["label"] = int(drawn < CLICK_RATE[int(row["category"].removeprefix("cat")) % 3])
    if otherwise_from is None:
        return events
    later = [row for row in events if row["event_timestamp"] >= otherwise_from]
    of_item = ("item_id", *schema.item_categorical, *schema.item_dense)
    shown = [{name: row[name] for name in of_item} for row in reversed(later)]
    for row, other in zip(later, shown, strict=True):
        row |= other | {"label": 1 - row["label"]}
    return events
