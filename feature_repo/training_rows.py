"""Reads features back from Feast as they were at each impression: what vertical models train on."""

from collections.abc import Iterator

import pyarrow as pa
from feast import FeatureStore

from data.schema import FEATURE_SERVICE

ROWS_AT_ONCE = 500_000  # bounds memory, whatever the day's size


def with_features(store: FeatureStore, impressions: pa.Table) -> Iterator[pa.Table]:
    """Adds the vertical models' features as they were at each impression (point in time), rows in the same order.

    Args:
        store: where the views and the feature service are registered.
        impressions: user_id, item_id, event_timestamp and any other columns.

    Yields:
        The impressions, some at a time, each with every feature; null where Feast knows nothing of an entity.

    Raises:
        RuntimeError: Feast returned other rows than it was asked for.
    """
    for start in range(0, impressions.num_rows, ROWS_AT_ONCE):
        yield _joined(store, impressions.slice(start, ROWS_AT_ONCE))


def _joined(store: FeatureStore, impressions: pa.Table) -> pa.Table:
    keys = impressions.select(["user_id", "item_id", "event_timestamp"])
    asked = keys.append_column("row", pa.array(range(impressions.num_rows), pa.int64()))
    features = store.get_historical_features(
        entity_df=asked.to_pandas(),
        features=store.get_feature_service(FEATURE_SERVICE),
        filter_by_created_timestamp=True,
    ).to_arrow()
    if features.num_rows != impressions.num_rows:
        raise RuntimeError(
            f"Feast returned {features.num_rows} rows for {impressions.num_rows} impressions; "
            "two snapshots of one entity carry the same timestamp: run materialize_features for the day again"
        )
    features = features.sort_by("row").drop_columns(asked.column_names)
    for name in features.column_names:
        impressions = impressions.append_column(features.schema.field(name), features[name])
    return impressions
