"""Columns of a table as tensors: hashed ids and squashed dense values, the same in training and in serving."""

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

HASH_KEY = "headwater-ids-01"  # 16 bytes; another key would give every trained table other ids

Ids = npt.NDArray[np.int64]
Values = npt.NDArray[np.float32]


def hash_ids(column: pa.Array | pa.ChunkedArray, rows: int) -> Ids:
    """Computes the ids of a string column in an embedding table.

    Args:
        column: strings, (n,).
        rows: rows of the table, at least 2.

    Returns:
        (n,): 0 for null, else 1 + hash mod (rows − 1). The hash is pandas' keyed SipHash: stable across runs.
    """
    if column.null_count == len(column):  # as of users, what is the item's
        return np.zeros(len(column), np.int64)
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    encoded = array.cast(pa.string()).dictionary_encode()
    values = encoded.dictionary.to_numpy(zero_copy_only=False)
    hashed = pd.util.hash_array(values, hash_key=HASH_KEY, categorize=False) if len(values) else np.zeros(0, np.uint64)
    ids = np.concatenate([1 + (hashed % np.uint64(rows - 1)).astype(np.int64), np.zeros(1, np.int64)])
    return ids[encoded.indices.fill_null(len(values)).to_numpy(zero_copy_only=False)]


def dense_values(table: pa.Table | pa.RecordBatch, columns: tuple[str, ...]) -> Values:
    """Returns dense features as a matrix: null → 0, x → sign(x)·log(1 + |x|), taming counts, hardly changing rates.

    Returns:
        (n, len(columns)).
    """
    result = np.zeros((table.num_rows, len(columns)), np.float32)
    for n, name in enumerate(columns):
        if table.column(name).null_count == table.num_rows:
            continue
        result[:, n] = pc.fill_null(table.column(name).cast(pa.float32()), 0.0).to_numpy(zero_copy_only=False)
    return np.sign(result) * np.log1p(np.abs(result))


def history_steps(lengths: Ids, slots: int) -> tuple[Ids, Ids]:
    """Computes row and slot of every element of a ragged column laid into a (n, slots) matrix, newest first.

    Args:
        lengths: elements of each row, (n,), none above `slots`.

    Returns:
        row and slot of each element, both (sum of lengths,); a row's last element gets slot 0.
    """
    rows = np.repeat(np.arange(len(lengths)), lengths)
    ends = np.cumsum(lengths)
    return rows, ends[rows] - 1 - np.arange(len(rows))


def ragged(column: pa.Array | pa.ChunkedArray) -> tuple[pa.Array, Ids]:
    """Returns flat values and lengths of a list column; a null list is empty."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    return array.flatten(), lengths
