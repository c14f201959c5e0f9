"""A vertical model's input: rows of Feast's feature service as tensors, the same in training and in serving."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from config import PlatformConfig
from data.batches.encoding import dense_values, hash_ids, history_steps, ragged
from data.codes import Codes, decode
from data.schema import Schema
from models.vertical.batch import History, Items, VerticalBatch

ROWS_ENCODED = 8192  # at once: cheaper than batch by batch, and still little memory

HISTORY_IDS = ("item_id",)  # features whose ids Feast serves in a history slot


@dataclass(frozen=True)
class VerticalFeatures:
    """What a VM sees of an example: the item, and what Feast serves of user and item. No user id, no context."""

    num_embeddings: dict[str, int]  # rows of each sparse feature's table, by name
    dense: tuple[str, ...]
    code_dim: int
    code_bits: int
    history_length: int

    @classmethod
    def of(cls, schema: Schema, config: PlatformConfig) -> "VerticalFeatures":
        """Returns the features of the chosen source."""
        rows = config.vertical_model.num_embeddings
        windows = config.features.windows_days
        return cls(
            num_embeddings={"item_id": rows.item_id}
            | dict.fromkeys(schema.user_categorical + schema.item_categorical, rows.other),
            dense=schema.user_counts(windows) + schema.item_counts(windows) + schema.user_dense + schema.item_dense,
            code_dim=config.served_code_dim,
            code_bits=config.transfer.code_bits,
            history_length=config.transfer.history_length,
        )

    @property
    def columns(self) -> list[str]:
        """Returns the columns a table of rows must have."""
        history = ["fm_history_codes", "fm_history_item_ids", "fm_history_labels", "fm_history_ages_h", "fm_item_code"]
        return [*self.num_embeddings, *self.dense, *history]

    def batch(self, rows: pa.Table) -> VerticalBatch:
        """Encodes rows as one batch; nulls (an entity Feast does not know) become id 0, dense 0, an empty history."""
        return VerticalBatch(dense=self._dense(rows), sparse=self._sparse(rows), history=self._history(rows))

    def items(self, rows: pa.Table) -> Items:
        """Encodes rows of items, in which all that is the user's is null."""
        return Items(dense=self._dense(rows), sparse=self._sparse(rows), code=self._item_codes(rows))

    def batches(self, rows: pa.Table, size: int) -> Iterator[tuple[pa.Table, VerticalBatch]]:
        """Yields rows in their order, `size` at a time, each slice beside its batch."""
        at_once = max(1, ROWS_ENCODED // size) * size
        for first in range(0, rows.num_rows, at_once):
            encoded = rows.slice(first, at_once)
            batch = self.batch(encoded)
            for start in range(0, encoded.num_rows, size):
                yield encoded.slice(start, size), batch.part(start, size)

    def _dense(self, rows: pa.Table) -> torch.Tensor:
        return torch.from_numpy(dense_values(rows, self.dense))

    def _sparse(self, rows: pa.Table) -> torch.Tensor:
        columns = [hash_ids(rows[name], count) for name, count in self.num_embeddings.items()]
        return torch.from_numpy(np.stack(columns, axis=1))

    def _item_codes(self, rows: pa.Table) -> torch.Tensor:
        codes = np.zeros((rows.num_rows, self.code_dim), np.float32)
        codes[rows["fm_item_code"].is_valid().to_numpy()] = self._codes(rows["fm_item_code"])
        return torch.from_numpy(codes)

    def _history(self, rows: pa.Table) -> History:
        n, slots, width = rows.num_rows, self.history_length, self.code_dim
        items, lengths = ragged(rows["fm_history_item_ids"])
        labels, _ = ragged(rows["fm_history_labels"])
        ages, _ = ragged(rows["fm_history_ages_h"])
        row, slot = history_steps(lengths, slots)
        codes = np.zeros((n, slots, width), np.float32)
        codes[row, slot] = self._codes(rows["fm_history_codes"])

        def laid(values: npt.NDArray, dtype: type) -> torch.Tensor:
            matrix = np.zeros((n, slots), dtype)
            matrix[row, slot] = values
            return torch.from_numpy(matrix)

        return History(
            codes=torch.from_numpy(codes),
            ids=laid(hash_ids(items, self.num_embeddings["item_id"]), np.int64).unsqueeze(-1),
            labels=laid(labels.to_numpy(zero_copy_only=False), np.float32),
            ages=laid(np.log1p(ages.to_numpy(zero_copy_only=False)), np.float32),
            mask=laid(np.ones(len(row), bool), np.bool_),
            item_code=self._item_codes(rows),
        )

    def _codes(self, column: pa.ChunkedArray) -> Codes:
        """Decodes all codes of a binary column, one after the other, (codes, width)."""
        data = b"".join(value for value in column.to_pylist() if value is not None)
        return decode(data, width=self.code_dim, bits=self.code_bits)
