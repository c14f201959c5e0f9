"""A vertical's rows for training and judgement: impressions, soft labels, and Feast's features at their instant."""

from datetime import date, datetime

import pyarrow as pa
import pyarrow.compute as pc
from feast import FeatureStore

import storage
from config import PlatformConfig

KEYS = ["impression_id", "user_id", "item_id", "event_timestamp", "label"]


def vertical_impressions(
    config: PlatformConfig, vertical: str, days: list[date], *, start: datetime | None, end: datetime | None
) -> pa.Table:
    """Impressions of a vertical with start <= event_timestamp < end, in time order.

    Returns:
        KEYS and `soft_label` (null where the FM had none), sorted by event_timestamp, impression_id.
    """
    where = pc.field("vertical") == vertical
    if start is not None:
        where &= pc.field("event_timestamp") >= start
    if end is not None:
        where &= pc.field("event_timestamp") < end
    rows = storage.dataset(config, "fm_outputs", days).to_table(columns=[*KEYS, "soft_label"], filter=where)
    return rows.sort_by([("event_timestamp", "ascending"), ("impression_id", "ascending")])


def with_features(store: FeatureStore, service: str, impressions: pa.Table) -> pa.Table:
    """Adds the features of a Feast service as they were at each impression (point in time), rows in the same order.

    Raises:
        RuntimeError: Feast returned other rows than it was asked for.
    """
    asked = impressions.select(KEYS).append_column("row", pa.array(range(impressions.num_rows), pa.int64()))
    found = store.get_historical_features(
        entity_df=asked.to_pandas(),
        features=store.get_feature_service(service),
        filter_by_created_timestamp=True,
    ).to_arrow()
    found = found.sort_by("row").drop_columns(["row", *[k for k in KEYS if k in found.column_names]])
    if found.num_rows != impressions.num_rows:
        raise RuntimeError(
            f"Feast returned {found.num_rows} rows for {impressions.num_rows} impressions; "
            "two snapshots of one entity carry the same timestamp: run materialize_features for the day again"
        )
    for name in found.column_names:
        impressions = impressions.append_column(name, found[name])
    return impressions
