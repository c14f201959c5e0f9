"""What becomes of a day's raw rows: events, each with its vertical, or quarantine, each with a reason."""

from datetime import datetime

import polars as pl

from config import Source
from data.schema import Schema
from data.validation import as_quarantine, split_rows
from data.verticals import assign_verticals

NO_VERTICAL = "no vertical takes this row"


def land(
    raw: pl.DataFrame, schema: Schema, source: Source, window: tuple[datetime, datetime]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Checks every row and names its vertical.

    Args:
        raw: rows as a source reads them.
        schema: the source's features.
        source: whose rows they are.
        window: [start, end) of the day.

    Returns:
        The events, by time, and the rows for quarantine as `as_quarantine` gives them.

    Raises:
        ValueError: a vertical's filter names a column that the events do not have.
    """
    good, bad = split_rows(raw, schema, window, time_zone=source.time_zone, anonymous=source.anonymous)
    events = assign_verticals(good, source.verticals)
    homeless = events.filter(pl.col("vertical").is_null()).drop("vertical")
    if homeless.height:
        bad = pl.concat([bad, as_quarantine(homeless, NO_VERTICAL)], how="diagonal")
        events = events.filter(pl.col("vertical").is_not_null())
    return events.sort("event_timestamp", "impression_id"), bad
