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
from config import Features, FoundationSettings, ManagedCollision, NumEmbeddings, PlatformConfig
from data.batches.encoding import Ids, dense_values, hash_ids, ragged
from data.schema import HISTORY_COLUMNS, Schema
from data.sources import source_schema
from models.foundation.embedded_network import CLICKED, SEQUENCE, FoundationBatch
from models.foundation.foundation_model import reads_sequence
from models.foundation.tables import ID_RANGE

KEYS = ["impression_id", "user_id", "item_id", "event_timestamp", "vertical", "label"]
CHUNK_ROWS = 16_384  # rows read and encoded at once; what bounds memory, whatever the day's size
HOUR_US = 3_600_000_000


@dataclass(frozen=True)
class FoundationFeatures:
    """What the FM sees of an example: every feature, every vertical."""

    sparse: tuple[str, ...]
    dense: tuple[str, ...]
    num_embeddings: NumEmbeddings
    managed: ManagedCollision | None
    sequence_length: int  # most history steps of a row; 0: the architecture reads none

    @classmethod
    def of(cls, schema: Schema, foundation: FoundationSettings, features: Features) -> "FoundationFeatures":
        """Returns the features of a source."""
        windows = features.windows_days
        return cls(
            sparse=("user_id", "item_id", "vertical", *schema.categorical),
            dense=schema.user_counts(windows) + schema.item_counts(windows) + schema.cross_counts() + schema.dense,
            num_embeddings=foundation.num_embeddings,
            managed=foundation.managed_collision,
            sequence_length=features.history_length if reads_sequence(foundation) else 0,
        )

    @property
    def columns(self) -> list[str]:
        """Returns the columns of `examples` to read."""
        return list(dict.fromkeys([*KEYS, *self.sparse, *self.dense, *HISTORY_COLUMNS]))

    def ids(self, name: str, column: pa.Array | pa.ChunkedArray) -> Ids:
        """Computes the ids of a feature in its table."""
        assigned = self.managed is not None and name in self.managed.tables
        return hash_ids(column, ID_RANGE if assigned else self.num_embeddings.rows(name))


@dataclass(frozen=True)
class Examples:
    """B examples in time order, of which this process holds a slice."""

    batch: FoundationBatch
    labels: Tensor  # (b,), b of the B examples
    keys: pa.RecordBatch  # KEYS of the same b rows
    size: int  # B

    def to(self, device: torch.device) -> "Examples":
        """Returns the batch on a device."""
        return Examples(
            FoundationBatch(*(t.to(device) for t in self.batch)), self.labels.to(device), self.keys, self.size
        )


def foundation_batches(
    config: PlatformConfig,
    day: date,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    rank: int = 0,
    world_size: int = 1,
) -> Iterator[Examples]:
    """Yields batches of a day's examples with start <= event_timestamp < end, in time order, with constant memory.

    Args:
        config: the platform.
        day: of the partition.
        start: None: from the day's first example.
        end: None: to the day's last example.
        rank: of this process; of each batch it gets one of `world_size` neighbouring slices, as equal as can be. All
            processes get the same number of batches, though a slice of the last one may be empty.
        world_size: how many processes share a batch.

    Raises:
        PartitionMissing: the day has no examples.
    """
    features = FoundationFeatures.of(source_schema(config), config.foundation_model, config.features)
    size = config.foundation_model.optimizer.batch_size
    pending: list[pa.Table] = []
    examples = storage.dataset(config, "examples", [day])
    for name in examples.files:
        file = pa.parquet.ParquetFile(name, filesystem=examples.filesystem)
        for chunk in _chunks(file, features.columns, start, end):
            rows = _between(pa.Table.from_batches([chunk]), start, end)
            pending.append(rows)
            table = pa.concat_tables(pending)
            whole = table.num_rows // size * size
            yield from _encode(table.slice(0, whole), features, size, rank, world_size)
            pending = [table.slice(whole)]
    yield from _encode(pa.concat_tables(pending), features, size, rank, world_size) if pending else ()


def count_examples(config: PlatformConfig, day: date, *, start: datetime | None, end: datetime | None) -> int:
    """Counts the examples that `foundation_batches` yields, for all processes together."""
    where = pc.scalar(True)
    if start is not None:
        where &= pc.field("event_timestamp") >= start
    if end is not None:
        where &= pc.field("event_timestamp") < end
    return int(storage.dataset(config, "examples", [day]).count_rows(filter=where))


def _chunks(
    file: pa.parquet.ParquetFile, columns: list[str], start: datetime | None, end: datetime | None
) -> Iterator[pa.RecordBatch]:
    """Reads the rows of a file; row groups that lie wholly outside [start, end) are skipped."""
    leaf = file.schema.names.index("event_timestamp")
    groups = []
    for number in range(file.num_row_groups):
        times = file.metadata.row_group(number).column(leaf).statistics
        outside = times is not None and ((start and times.max < start) or (end and times.min >= end))
        if not outside:
            groups.append(number)
    return file.iter_batches(CHUNK_ROWS, row_groups=groups, columns=columns)


def _between(rows: pa.Table, start: datetime | None, end: datetime | None) -> pa.Table:
    if start is not None:
        rows = rows.filter(pc.greater_equal(rows["event_timestamp"], start))
    if end is not None:
        rows = rows.filter(pc.less(rows["event_timestamp"], end))
    return rows


def _encode(table: pa.Table, features: FoundationFeatures, size: int, rank: int, world_size: int) -> Iterator[Examples]:
    if not table.num_rows:
        return
    ids = torch.from_numpy(np.stack([features.ids(name, table[name]) for name in features.sparse]))
    dense = torch.from_numpy(dense_values(table, features.dense))
    labels = torch.from_numpy(table["label"].to_numpy().astype(np.float32))
    history = _History.of(table, features)
    keys = table.select(KEYS).combine_chunks()
    for batch_first in range(0, table.num_rows, size):
        count = min(size, table.num_rows - batch_first)
        first, last = (batch_first + count * number // world_size for number in (rank, rank + 1))
        names, values = list(features.sparse), [ids[:, first:last].flatten()]
        lengths = [torch.ones(len(names) * (last - first), dtype=torch.int64)]
        histories = {CLICKED: history.clicked} | ({SEQUENCE: history.items} if features.sequence_length else {})
        for name, ids_of_rows in histories.items():
            names.append(name)
            values.append(ids_of_rows.values[ids_of_rows.offsets[first] : ids_of_rows.offsets[last]])
            lengths.append(ids_of_rows.lengths[first:last])
        sparse = KeyedJaggedTensor(keys=names, values=torch.cat(values), lengths=torch.cat(lengths))
        extras = history.extras[history.items.offsets[first] : history.items.offsets[last]]
        slice_keys = keys.slice(first, last - first).combine_chunks()
        yield Examples(
            FoundationBatch(sparse, dense[first:last], extras),
            labels[first:last],
            slice_keys.to_batches()[0] if len(slice_keys) else pa.RecordBatch.from_pylist([], schema=keys.schema),
            count,
        )


class _Ragged:
    """Ids of n rows, any number each."""

    def __init__(self, values: Ids, lengths: Ids) -> None:
        self.values = torch.from_numpy(values)
        self.lengths = torch.from_numpy(lengths)
        self.offsets = np.concatenate([[0], np.cumsum(lengths)])


@dataclass(frozen=True)
class _History:
    """The histories of n rows."""

    clicked: _Ragged  # the clicked items
    items: _Ragged  # all items, newest first
    extras: Tensor  # label and log(1 + age in hours) of each element of `items`, (elements, 2)

    @classmethod
    def of(cls, table: pa.Table, features: FoundationFeatures) -> "_History":
        items, lengths = ragged(table["history_item_ids"])
        labels = ragged(table["history_labels"])[0].to_numpy(zero_copy_only=False)
        ids, clicked = features.ids("item_id", items), labels == 1
        owners = np.repeat(np.arange(len(lengths)), lengths)
        of_clicked = _Ragged(ids[clicked], np.bincount(owners[clicked], minlength=len(lengths)).astype(np.int64))
        if not features.sequence_length:
            nothing = np.zeros(0, np.int64)
            return cls(of_clicked, _Ragged(nothing, np.zeros_like(lengths)), torch.zeros(0, 2))
        times = ragged(table["history_timestamps"])[0].to_numpy(zero_copy_only=False)
        now = table["event_timestamp"].cast(pa.int64()).to_numpy()
        ages = np.log1p((now[owners] - times) / HOUR_US)
        ends = np.cumsum(lengths)
        newest_first = (ends - lengths)[owners] + ends[owners] - 1 - np.arange(len(owners))
        extras = np.stack([labels, ages], axis=1).astype(np.float32)[newest_first]
        return cls(of_clicked, _Ragged(ids[newest_first], lengths), torch.from_numpy(extras))
