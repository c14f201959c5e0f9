"""Lands a day: reads the data source, checks every row, names its vertical; bad rows go aside with a reason.

- **Reads:** the data source's files.
- **Writes:** `events`, `quarantine`; of a day that is skipped (`empty_day: skip`), its report.

The task is *skipped* itself on such a day; the log says why.
"""

import logging
from datetime import date
from typing import Any

import pyarrow as pa

import storage
from config import PlatformConfig
from data.empty_day import EMPTY, why_empty
from data.landing import land
from data.sources import chosen_source, source_schema
from data.validation import DUPLICATE, NO_USER, count_twice

LOG = logging.getLogger("headwater.ingest")

KEY_HINT = "; where one request shows several ads, put an id together: impression_id: [request_id, ad]"
KEEP_HINT = "; where that is anonymous traffic, keep it: sources.{source}.anonymous: keep"


@storage.recorded_reads()
def main(config: PlatformConfig, *, day: date) -> dict[str, Any]:
    """Writes the day's good rows to `events`, and the others, each with a reason, to `quarantine`.

    A day that teaches nothing (data.empty_day) is landed all the same, and the source's `empty_day` says what it means.
    Under `stop` the quality gate stops the day. Under `skip` the day is skipped here: the decision is recorded with
    `events`, other tables that an earlier run made of the day are removed, and its report is written. The bootstrap day
    is never skipped, nor is a day that is empty because too many of its rows are in quarantine.

    Returns:
        Counts of the day; with `skipped`, the reason, where it is skipped.

    Raises:
        ValueError: the day is no platform day, or platform.yaml does not fit the source.
    """
    window = storage.day_window(config, day)
    source, schema = chosen_source(config), source_schema(config)
    source.fetch(config)
    raw = source.read(config, day)
    zone = config.source.time_zone
    if zone != "UTC" and "event_timestamp" in raw.columns and (twice := count_twice(raw["event_timestamp"], zone)):
        LOG.warning("%d rows of %s have a time that comes twice in %s; the first is taken", twice, day, zone)
    events, bad = land(raw, schema, config.source, window)

    quarantined = dict(bad["reason"].value_counts().sort("count", "reason", descending=[True, False]).iter_rows())
    extra: dict[str, Any] = {"raw_rows": raw.height, "quarantined": quarantined}
    anonymous = events["user_id"].null_count()
    if config.source.anonymous == "keep":
        extra["anonymous"] = anonymous
        LOG.info("%d of %d rows of %s are anonymous", anonymous, events.height, day)
    reason = why_empty(events)
    if reason and not raw.height and source.why_nothing is not None:
        reason = f"{reason}: {source.why_nothing(config, day)}"
        LOG.warning("%s has %s", day, reason)
    if reason and bad.height <= config.gates.max_quarantined_fraction * raw.height:
        extra[EMPTY] = reason
        if config.source.empty_day == "skip" and day > config.source.bootstrap_day:
            extra[storage.SKIPPED] = reason
    strings = pa.schema({name: pa.string() for name in bad.columns})
    # Quarantine first: whoever sees the day's events also sees what was taken out of them.
    storage.write_partition(config, "quarantine", day, bad.to_arrow().cast(strings), extra=extra)
    storage.write_partition(config, "events", day, events.to_arrow().cast(schema.events()), extra=extra)
    for why, count in quarantined.items():
        hint = KEY_HINT if why == DUPLICATE and config.source.columns is not None else ""
        hint = KEEP_HINT.format(source=config.data_source) if why == NO_USER else hint
        LOG.warning("quarantined %d rows of %s: %s%s", count, day, why, hint)
    skipped = {}
    if storage.SKIPPED in extra:
        _leave_out(config, day)
        skipped = {"skipped": f"day {day} is skipped, as sources.{config.data_source}.empty_day says: {reason}"}
    return skipped | {
        "rows": events.height,
        "raw_rows": raw.height,
        "quarantined": quarantined,
        "anonymous": anonymous,
        "label_rate": round(float(events["label"].mean()), 6) if events.height else None,  # type: ignore[arg-type]
        "verticals": dict(events["vertical"].value_counts().sort("vertical").iter_rows()),
    }


def _leave_out(config: PlatformConfig, day: date) -> None:
    """Removes what an earlier run made of a day that is now skipped, and writes its report."""
    from jobs import write_report  # plots and templates, which other days do not need here

    for table in storage.tables_of(config, day):
        if table not in ("quarantine", "events"):
            storage.drop_partition(config, table, day)
    write_report.main(config, day=day)
