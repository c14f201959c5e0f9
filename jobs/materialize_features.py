"""Puts the day's histories and activity into Feast, and reads its impressions' features back.

- **Reads:** `fm_outputs`, `user_activity`, `item_activity`; yesterday's snapshots too, where Feast serves them.
- **Writes:** `user_fm_history`, `item_fm_embedding`, `vertical_examples`, Feast's online store.

`vertical_examples` are the day's impressions with what Feast serves as of each, read back once for all verticals.
"""

import logging
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet
from feast import FeatureStore

import storage
from config import PlatformConfig
from data.batches.vertical_examples import IMPRESSION
from data.fm_history import FmLog, item_fm_embedding, user_fm_history
from data.sources import source_schema
from feature_repo.store import open_store, register
from feature_repo.training_rows import with_features
from storage.tables import VIEWS

LOG = logging.getLogger("headwater")
MAX_SERVED_DAYS = 2  # a snapshot is served no longer, see feature_repo.feature_views.snapshot_ttl


@storage.recorded_reads()
def main(config: PlatformConfig, *, day: date) -> dict[str, Any]:
    """Commits `user_fm_history`, `item_fm_embedding` and `vertical_examples`, and fills the online store."""
    store = open_store(config)  # first: where it cannot be reached, nothing else is done either
    days = storage.days_back(config, day, config.transfer.history_days)
    outputs = storage.dataset(config, "fm_outputs", days).to_table()
    items = FmLog.of(outputs, config)
    users = items
    if config.source.history_events == "clicked":
        users = FmLog.of(outputs.filter(pc.equal(outputs["label"], 1)), config)
    ends = storage.snapshot_ends(config, day)
    rows = {}
    for table, log, build in (
        ("user_fm_history", users, user_fm_history),
        ("item_fm_embedding", items, item_fm_embedding),
    ):
        snapshots = pa.concat_tables([build(log, at, config.transfer) for at in ends])
        storage.write_partition(config, table, day, snapshots)
        rows[table] = snapshots.num_rows
    register(store, config, source_schema(config))
    newest = storage.committed_days(config, "user_fm_history")[-1]
    if newest > day:
        LOG.warning("the online store holds %s, which is newer; it stays as it is", newest)
    else:
        LOG.info("materialize %s into the online store", ", ".join(VIEWS))
        # An explicit window, of the newest snapshot: the registry's own watermark is reset by every apply.
        store.materialize(ends[-1] - timedelta(microseconds=1), ends[-1], feature_views=list(VIEWS))
    rows["vertical_examples"] = _write_examples(config, day, store)
    size = storage.online_store_bytes(config)
    return {
        "day": str(day),
        "rows": rows,
        "online_day": str(newest),
        "online_store_mb": size and round(size / 1e6, 1),
        "history_bytes_per_user": _bytes_per_user(config, day),
    }


def _bytes_per_user(config: PlatformConfig, day: date) -> dict[str, float]:
    """Returns the mean bytes of a user's newest FM history, by column of the snapshot, without Feast's own keys."""
    at = storage.day_ends(config, day)[-1]
    columns = ["fm_history_codes", "fm_history_item_ids", "fm_history_labels", "fm_history_ages_h"]
    newest = storage.dataset(config, "user_fm_history", [day]).to_table(
        columns=columns, filter=pc.field("event_timestamp") == at
    )
    return {name: round(newest[name].nbytes / max(1, newest.num_rows), 1) for name in columns}


def _write_examples(config: PlatformConfig, day: date, store: FeatureStore) -> int:
    """Commits the day's impressions with Feast's features as of each; returns how many."""
    impressions = storage.read_partition(config, "fm_outputs", day, columns=IMPRESSION)
    LOG.info("read the features of %d impressions back from Feast", impressions.num_rows)
    for view in VIEWS:  # Feast reads their files by itself
        for served in storage.days_back(config, day, MAX_SERVED_DAYS):
            if storage.has_partition(config, view, served):
                storage.read_manifest(config, view, served)
    with storage.commit_partition(config, "vertical_examples", day) as folder:
        writer = None
        for rows in with_features(store, impressions):
            writer = writer or pa.parquet.ParquetWriter(folder / "part-0.parquet", rows.schema, compression="zstd")
            writer.write_table(rows.cast(writer.schema))
        if writer is not None:
            writer.close()
    return impressions.num_rows
