"""Lands a day: reads the data source, checks every row, names its vertical; bad rows go aside with a reason.

- **Reads:** the data source's files.
- **Writes:** `events`, `quarantine`.
"""

import logging
from datetime import date
from typing import Any

import polars as pl
import pyarrow as pa

import storage
from config import PlatformConfig
from data.sources import chosen_source, source_schema
from data.validation import as_quarantine, split_rows
from data.verticals import assign_verticals

LOG = logging.getLogger("headwater.ingest")

NO_VERTICAL = "no vertical takes this row"


@storage.recorded_reads()
def main(config: PlatformConfig, *, day: date) -> dict[str, Any]:
    """Writes the day's good rows to `events`, and the others, each with a reason, to `quarantine`.

    A day without rows gets an empty `events` partition: it is the quality gate that stops the day.

    Raises:
        ValueError: the day is no platform day, or platform.yaml does not fit the source.
    """
    window = storage.day_window(config, day)
    source, schema = chosen_source(config), source_schema(config)
    source.fetch(config)
    raw = source.read(config, day)
    good, bad = split_rows(raw, schema, window)
    events = assign_verticals(good, config.source.verticals)
    homeless = events.filter(pl.col("vertical").is_null()).drop("vertical")
    if homeless.height:
        bad = pl.concat([bad, as_quarantine(homeless, NO_VERTICAL)], how="diagonal")
        events = events.filter(pl.col("vertical").is_not_null())
    events = events.sort("event_timestamp", "impression_id")

    quarantined = dict(bad["reason"].value_counts().sort("count", "reason", descending=[True, False]).iter_rows())
    extra = {"raw_rows": raw.height, "quarantined": quarantined}
    strings = pa.schema({name: pa.string() for name in bad.columns})
    # Quarantine first: whoever sees the day's events also sees what was taken out of them.
    storage.write_partition(config, "quarantine", day, bad.to_arrow().cast(strings), extra=extra)
    storage.write_partition(config, "events", day, events.to_arrow().cast(schema.events()), extra=extra)
    for reason, count in quarantined.items():
        LOG.warning("quarantined %d rows of %s: %s", count, day, reason)
    return {
        "rows": events.height,
        "raw_rows": raw.height,
        "quarantined": quarantined,
        "label_rate": round(float(events["label"].mean()), 6) if events.height else None,  # type: ignore[arg-type]
        "verticals": dict(events["vertical"].value_counts().sort("vertical").iter_rows()),
    }
