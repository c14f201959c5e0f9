"""Impressions of a vertical as a VM learns them: with the histories that Feast served, or with rebuilt ones."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from data.batches.impression_history import ImpressionLog, Slots
from data.batches.vertical import VerticalFeatures
from models.vertical.batch import VerticalBatch


class LearntBatch(NamedTuple):
    """B impressions with what is learnt of them."""

    batch: VerticalBatch
    labels: Tensor  # 0 or 1, (B,)
    soft_labels: Tensor  # the FM's probabilities, NaN where it gave none, (B,)


class Rows(Protocol):
    """Impressions of a vertical, in order of time."""

    @property
    def num_dense(self) -> int:
        """Returns the number of dense features."""
        ...

    @property
    def history_length(self) -> int:
        """Returns the number of slots of a history."""
        ...

    @property
    def code_dim(self) -> int:
        """Returns the width of the FM's codes in a history slot."""
        ...

    def batches(self, size: int) -> Iterator[LearntBatch]:
        """Yields the impressions in their order, `size` at a time."""
        ...

    def where(self, first: int) -> str:
        """Tells people which impressions those from number `first` on are."""
        ...


@dataclass(frozen=True)
class ServedRows:
    """Impressions with the features and histories that Feast served for them."""

    features: VerticalFeatures
    table: pa.Table  # `features.columns`, event_timestamp, label, soft_label (null where the FM gave none)

    @property
    def num_dense(self) -> int:
        """Returns the number of dense features."""
        return len(self.features.dense)

    @property
    def history_length(self) -> int:
        """Returns the number of slots of a history."""
        return self.features.history_length

    @property
    def code_dim(self) -> int:
        """Returns the width of the served codes."""
        return self.features.code_dim

    def batches(self, size: int) -> Iterator[LearntBatch]:
        """Yields the impressions in their order, `size` at a time."""
        for rows, batch in self.features.batches(self.table, size):
            labels, soft = (rows[name].to_numpy().astype(np.float32) for name in ("label", "soft_label"))
            yield LearntBatch(batch, torch.from_numpy(labels), torch.from_numpy(soft))  # null has become NaN

    def where(self, first: int) -> str:
        """Tells people which impressions those from number `first` on are."""
        return f"impressions from {self.table['event_timestamp'][first]}"


@dataclass(frozen=True)
class VerticalRows:
    """Impressions with histories rebuilt from a log.

    Q: impressions, N: impressions of the log, F: sparse features, M: dense features, d: code width
    """

    sparse: Tensor  # hashed ids, (Q, F)
    dense: Tensor  # (Q, M)
    labels: Tensor  # 0 or 1, (Q,)
    soft_labels: Tensor  # the FM's probabilities, NaN where it gave none, (Q,)
    log: ImpressionLog
    codes: Tensor  # of the log's impressions, (N, d)
    item_codes: Tensor  # mean code of each impression's item, (Q, d)
    slots: Slots  # histories

    def __len__(self) -> int:
        """Returns Q."""
        return len(self.labels)

    @property
    def num_dense(self) -> int:
        """Returns M."""
        return self.dense.shape[1]

    @property
    def history_length(self) -> int:
        """Returns the number of slots of a history."""
        return self.slots.positions.shape[1]

    @property
    def code_dim(self) -> int:
        """Returns d."""
        return self.codes.shape[1]

    def part(self, rows: slice | Tensor) -> "VerticalRows":
        """Returns some of the impressions."""
        return replace(
            self,
            sparse=self.sparse[rows],
            dense=self.dense[rows],
            labels=self.labels[rows],
            soft_labels=self.soft_labels[rows],
            item_codes=self.item_codes[rows],
            slots=self.slots.part(rows),
        )

    def batch(self) -> VerticalBatch:
        """Returns the impressions as a network reads them."""
        return VerticalBatch(self.dense, self.sparse, self.log.history(self.slots, self.codes, self.item_codes))

    def batches(self, size: int) -> Iterator[LearntBatch]:
        """Yields the impressions in their order, `size` at a time."""
        for first in range(0, len(self), size):
            part = self.part(slice(first, first + size))
            yield LearntBatch(part.batch(), part.labels, part.soft_labels)

    def where(self, first: int) -> str:
        """Tells people which impressions those from number `first` on are."""
        return f"impressions from number {first + 1} of {len(self)}"
