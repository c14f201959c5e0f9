"""Snapshots of what the FM logged: a user's newest codes, an item's mean code."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from config import PlatformConfig, Transfer
from data.codes import Codes, encode
from data.schema import TIMESTAMP, epoch_us

USER_FM_HISTORY = pa.schema(
    {
        "user_id": pa.string(),
        "event_timestamp": TIMESTAMP,
        "created_timestamp": TIMESTAMP,
        "fm_history_codes": pa.binary(),
        "fm_history_item_ids": pa.list_(pa.string()),
        "fm_history_labels": pa.list_(pa.int32()),
        "fm_history_ages_h": pa.list_(pa.float32()),
    }
)
ITEM_FM_EMBEDDING = pa.schema(
    {
        "item_id": pa.string(),
        "event_timestamp": TIMESTAMP,
        "created_timestamp": TIMESTAMP,
        "fm_item_code": pa.binary(),
        "fm_item_impressions": pa.int64(),
    }
)


@dataclass(frozen=True)
class FmLog:
    """Logged impressions that have a code, sorted by user, then time; n rows, d code width."""

    users: pa.Array  # null: nobody, (n,)
    items: pa.Array  # (n,)
    micros: npt.NDArray[np.int64]  # event time, (n,)
    labels: npt.NDArray[np.int32]  # (n,)
    codes: Codes  # (n, d)
    bits: int  # of a served value

    @classmethod
    def of(cls, outputs: pa.Table, config: PlatformConfig) -> "FmLog":
        """Reads rows of `fm_outputs`; rows without a code are left out, codes cut to the width that is served."""
        rows = outputs.filter(pc.is_valid(outputs["code"]))
        rows = rows.sort_by(
            [("user_id", "ascending"), ("event_timestamp", "ascending"), ("impression_id", "ascending")]
        )
        flat = rows["code"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        return cls(
            users=rows["user_id"].combine_chunks(),
            items=rows["item_id"].combine_chunks(),
            micros=rows["event_timestamp"].cast(pa.int64()).to_numpy(),
            labels=rows["label"].to_numpy(),
            codes=flat.reshape(-1, config.foundation_model.codes.dim)[:, : config.served_code_dim],
            bits=config.transfer.code_bits,
        )

    def before(self, at: datetime, transfer: Transfer) -> npt.NDArray[np.int64]:
        """Finds the positions of the impressions a snapshot at `at` may use: [at − history_days, at − delay)."""
        end = epoch_us(at - timedelta(seconds=transfer.delay_s))
        start = epoch_us(at - timedelta(days=transfer.history_days))
        return np.flatnonzero((self.micros >= start) & (self.micros < end))


def user_fm_history(log: FmLog, at: datetime, transfer: Transfer) -> pa.Table:
    """Builds each user's newest `history_length` impressions, oldest first, as of `at`; nobody's are in no history."""
    rows = log.before(at, transfer)
    rows = rows[log.users.is_valid().to_numpy(zero_copy_only=False)[rows]]
    starts, counts = _runs(log.users.take(pa.array(rows)))
    from_end = np.repeat(starts + counts, counts) - 1 - np.arange(len(rows))
    rows = rows[from_end < transfer.history_length]
    users = log.users.take(pa.array(rows))
    starts, counts = _runs(users)
    offsets = np.concatenate([starts, [len(rows)]]).astype(np.int32)
    ages_h = ((epoch_us(at) - log.micros[rows]) / 3.6e9).astype(np.float32)
    return pa.table(
        [
            users.take(pa.array(starts)),
            *_stamps(at, len(starts)),
            _binary(encode(log.codes[rows], log.bits), offsets),
            pa.ListArray.from_arrays(offsets, log.items.take(pa.array(rows))),
            pa.ListArray.from_arrays(offsets, pa.array(log.labels[rows])),
            pa.ListArray.from_arrays(offsets, pa.array(ages_h)),
        ],
        schema=USER_FM_HISTORY,
    )


def item_fm_embedding(log: FmLog, at: datetime, transfer: Transfer) -> pa.Table:
    """Computes each item's mean code as of `at`."""
    rows = log.before(at, transfer)
    encoded = log.items.take(pa.array(rows)).dictionary_encode()
    index = encoded.indices.to_numpy()
    counts = np.bincount(index, minlength=len(encoded.dictionary))
    sums = np.stack([np.bincount(index, column, minlength=len(counts)) for column in log.codes[rows].T], axis=1)
    means = encode(sums / np.maximum(counts, 1)[:, None], log.bits)
    table = pa.table(
        [
            encoded.dictionary,
            *_stamps(at, len(counts)),
            _binary(means, np.arange(len(counts) + 1, dtype=np.int32)),
            pa.array(counts, pa.int64()),
        ],
        schema=ITEM_FM_EMBEDDING,
    )
    return table.sort_by("item_id")


def _runs(sorted_values: pa.Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Returns start and length of each run of equal values."""
    if not len(sorted_values):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    runs = pc.run_end_encode(sorted_values, run_end_type=pa.int64())
    ends = runs.run_ends.to_numpy()
    starts = np.concatenate([[0], ends[:-1]])
    return starts, ends - starts


def _stamps(at: datetime, count: int) -> tuple[pa.Array, pa.Array]:
    stamps = pa.repeat(pa.scalar(at, TIMESTAMP), count)
    return stamps, stamps


def _binary(packed: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int32]) -> pa.Array:
    """Returns row ranges of encoded codes, (n, bytes), as binary values."""
    byte_offsets = (offsets * packed.shape[1]).astype(np.int32)
    buffers = [None, pa.py_buffer(byte_offsets.tobytes()), pa.py_buffer(np.ascontiguousarray(packed).tobytes())]
    return pa.BinaryArray.from_buffers(pa.binary(), len(offsets) - 1, buffers)
