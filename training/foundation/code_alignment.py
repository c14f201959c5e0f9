"""Codes that stay comparable while the FM learns on: each day's snapshot is rotated to match what was logged.

A history holds codes of many days, each by the snapshot that scored the day, and a day of learning moves the codes of
the same impressions; MLflow shows how far. What rotating them back is worth: docs/transfer.md.
"""

from datetime import date

import numpy as np
import pyarrow.compute as pc

import storage
from config import PlatformConfig
from data.batches.foundation import foundation_batches
from training.foundation.trainer import Drift, FoundationTrainer

ALIGNED_ROWS = 65_536  # the day's newest; a rotation of 32 values needs no more


def align_codes(config: PlatformConfig, day: date, trainer: FoundationTrainer) -> Drift | None:
    """Rotates the codes of the FM that has learnt a day to match those that the day's `fm_outputs` hold.

    Returns:
        How far apart they were; None where nothing was logged with a code.
    """
    outputs, has_code = storage.dataset(config, "fm_outputs", [day]), pc.field("code").is_valid()
    times = outputs.to_table(columns=["event_timestamp"], filter=has_code)
    if not times.num_rows:
        return None
    newest = times.take(pc.select_k_unstable(times, ALIGNED_ROWS, [("event_timestamp", "descending")]))
    since = pc.min(newest["event_timestamp"])
    logged = outputs.to_table(
        columns=["impression_id", "code"], filter=has_code & (pc.field("event_timestamp") >= since)
    )
    flat = logged["code"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return trainer.align(
        foundation_batches(config, day, start=since.as_py(), end=None, **trainer.part),
        "align codes",
        ids=logged["impression_id"].combine_chunks(),
        codes=np.ascontiguousarray(flat.reshape(logged.num_rows, -1), np.float32),
    )
