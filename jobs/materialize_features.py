"""Builds FM-history snapshots from the logged codes, and materializes the day's snapshots into Feast's online store."""

import logging
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

import storage
from config import PlatformConfig
from data.fm_history import FmLog, item_fm_embedding, user_fm_history
from data.sources import source_schema
from feature_repo.store import open_store, register

LOG = logging.getLogger("headwater")
VIEWS = ["user_activity", "item_activity", "user_fm_history", "item_fm_embedding"]


def main(config: PlatformConfig, *, day: date) -> dict[str, Any]:
    """Commits `user_fm_history` and `item_fm_embedding`, registers the views, fills the online store."""
    days = storage.days_back(config, day, config.transfer.history_days)
    outputs = storage.dataset(config, "fm_outputs", days).to_table()
    items = FmLog.of(outputs, config.foundation_model.code_dim)
    users = items
    if config.source.history_events == "clicked":
        users = FmLog.of(outputs.filter(pc.equal(outputs["label"], 1)), config.foundation_model.code_dim)
    ends = storage.day_ends(config, day)
    rows = {}
    for table, log, build in (
        ("user_fm_history", users, user_fm_history),
        ("item_fm_embedding", items, item_fm_embedding),
    ):
        snapshots = pa.concat_tables([build(log, at, config.transfer) for at in ends])
        storage.write_partition(config, table, day, snapshots, inputs={"fm_outputs": day})
        rows[table] = snapshots.num_rows
    store = open_store(config)
    register(store, config, source_schema(config))
    newest = storage.committed_days(config, "user_fm_history")[-1]
    if newest > day:
        LOG.warning("the online store holds %s, which is newer; it stays as it is", newest)
    else:
        LOG.info("materialize %s into the online store", ", ".join(VIEWS))
        # An explicit window: the registry's own watermark is reset by every apply.
        store.materialize(ends[-1] - timedelta(days=1), ends[-1], feature_views=VIEWS)
    online = storage.feast_dir(config) / "online.db"
    return {
        "day": str(day),
        "rows": rows,
        "online_day": str(newest),
        "online_store_mb": round(online.stat().st_size / 1e6, 1),
    }
