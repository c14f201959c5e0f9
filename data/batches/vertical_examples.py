"""A vertical's rows for training and judgement: impressions, soft labels, and Feast's features at their instant."""

from datetime import date, datetime

import pyarrow as pa
import pyarrow.compute as pc

import storage
from config import PlatformConfig

IMPRESSION = ["impression_id", "user_id", "item_id", "event_timestamp", "vertical", "label", "soft_label"]


def vertical_examples(
    config: PlatformConfig, vertical: str, days: list[date], *, start: datetime | None = None
) -> pa.Table:
    """Reads the `vertical_examples` of one vertical from an instant on, in time order.

    Returns:
        IMPRESSION (soft_label is null where the FM had none) and the features of Feast's service, sorted by
        event_timestamp, impression_id.
    """
    where = pc.field("vertical") == vertical
    if start is not None:
        where &= pc.field("event_timestamp") >= start
    rows = storage.dataset(config, "vertical_examples", days).to_table(filter=where)
    return rows.sort_by([("event_timestamp", "ascending"), ("impression_id", "ascending")])
