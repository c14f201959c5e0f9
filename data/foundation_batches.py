"""The foundation model's input: batches of examples, streamed from Parquet in time order."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet
import torch
from torch import Tensor
from torchrec import KeyedJaggedTensor

import storage
from config import NumEmbeddings, PlatformConfig
from data.encoding import dense_values, hash_ids, ragged
from data.schema import Schema
from data.sources import source_schema

HISTORY = "history_clicked_item_ids"
KEYS = ["impression_id", "user_id", "item_id", "event_timestamp", "vertical", "label"]
CHUNK_ROWS = 65_536  # rows decoded at once; what bounds memory, whatever the day's size


@dataclass(frozen=True)
class FoundationFeatures:
    """What the FM sees of an example: every feature, every vertical."""

    sparse: tuple[str, ...]
    dense: tuple[str, ...]
    num_embeddings: NumEmbeddings

    @classmethod
    def of(cls, schema: Schema, config: PlatformConfig) -> "FoundationFeatures":
        """The features of the chosen source."""
        windows = config.features.windows_days
        return cls(
            sparse=("user_id", "item_id", "vertical", *schema.categorical),
            dense=schema.user_counts(windows) + schema.item_counts(windows) + schema.cross_counts() + schema.dense,
            num_embeddings=config.foundation_model.num_embeddings,
        )

    def rows(self, name: str) -> int:
        """Rows of a feature's embedding table."""
        return self.num_embeddings.rows(name)


@dataclass(frozen=True)
class FoundationBatch:
    """B examples in time order."""

    sparse: KeyedJaggedTensor  # one id a feature, and the clicked items of the history
    dense: Tensor  # (B, N)
    labels: Tensor  # (B,)
    keys: pa.RecordBatch  # KEYS of the same rows

    def to(self, device: torch.device) -> "FoundationBatch":
        """The batch on a device."""
        return FoundationBatch(self.sparse.to(device), self.dense.to(device), self.labels.to(device), self.keys)


def foundation_batches(
    config: PlatformConfig,
    day: date,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
) -> Iterator[FoundationBatch]:
    """Batches of a day's examples with start <= event_timestamp < end, in time order, with constant memory.

    Raises:
        PartitionMissing: the day has no examples.
    """
    features = FoundationFeatures.of(source_schema(config), config)
    size = config.foundation_model.optimizer.batch_size
    columns = [*dict.fromkeys([*KEYS, *features.sparse, *features.dense]), "history_item_ids", "history_labels"]
    pending: list[pa.Table] = []
    for file in storage.dataset(config, "examples", [day]).files:
        for chunk in pa.parquet.ParquetFile(file).iter_batches(CHUNK_ROWS, columns=columns):
            rows = pa.Table.from_batches([chunk])
            if start is not None:
                rows = rows.filter(pc.greater_equal(rows["event_timestamp"], start))
            if end is not None:
                rows = rows.filter(pc.less(rows["event_timestamp"], end))
            pending.append(rows)
            table = pa.concat_tables(pending)
            whole = table.num_rows // size * size
            yield from _encode(table.slice(0, whole), features, size)
            pending = [table.slice(whole)]
    yield from _encode(pa.concat_tables(pending), features, size) if pending else ()


def _encode(table: pa.Table, features: FoundationFeatures, size: int) -> Iterator[FoundationBatch]:
    if not table.num_rows:
        return
    ids = torch.from_numpy(np.stack([hash_ids(table[name], features.rows(name)) for name in features.sparse]))
    dense = torch.from_numpy(dense_values(table, features.dense))
    labels = torch.from_numpy(table["label"].to_numpy().astype(np.float32))
    history, history_lengths = _clicked_history(table, features.rows("item_id"))
    offsets = np.concatenate([[0], np.cumsum(history_lengths)])
    keys = table.select(KEYS).combine_chunks()
    names = [*features.sparse, HISTORY]
    for first in range(0, table.num_rows, size):
        last = min(first + size, table.num_rows)
        sparse = KeyedJaggedTensor(
            keys=names,
            values=torch.cat([ids[:, first:last].flatten(), torch.from_numpy(history[offsets[first] : offsets[last]])]),
            lengths=torch.cat(
                [
                    torch.ones(len(features.sparse) * (last - first), dtype=torch.int64),
                    torch.from_numpy(history_lengths[first:last]),
                ]
            ),
        )
        yield FoundationBatch(
            sparse, dense[first:last], labels[first:last], keys.slice(first, last - first).to_batches()[0]
        )


def _clicked_history(table: pa.Table, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Hashed ids of the history's clicked items, flat, and how many each row has."""
    items, lengths = ragged(table["history_item_ids"])
    labels, _ = ragged(table["history_labels"])
    clicked = labels.to_numpy(zero_copy_only=False) == 1
    owners = np.repeat(np.arange(len(lengths)), lengths)
    return hash_ids(items, rows)[clicked], np.bincount(owners[clicked], minlength=len(lengths)).astype(np.int64)
