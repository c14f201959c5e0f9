"""Lists as bytes: how histories travel between Spark's workers.

Spark copies an array value by value, some 30 million of them for 250 000 histories, but a byte string at once. A
list of numbers is already a run of bytes in Arrow, so packing and unpacking only rewrite offsets. A list of
strings becomes two byte strings, the text and the lengths.

Legend: R rows, V values of all rows' lists together.
"""

import numpy as np
import pyarrow as pa

LENGTHS = "_lengths"


def packed_schema(schema: pa.Schema) -> pa.Schema:
    """Returns the columns of `pack`: lists as bytes; after a list of strings, one more column for the lengths."""
    fields = []
    for field in schema:
        if not pa.types.is_list(field.type):
            fields.append(field)
            continue
        fields.append(pa.field(field.name, pa.binary()))
        if pa.types.is_string(field.type.value_type):
            fields.append(pa.field(field.name + LENGTHS, pa.binary()))
    return pa.schema(fields)


def pack(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Lists of strings or fixed-width numbers to bytes; every other column stays. Lists may not be null."""
    columns: list[pa.Array] = []
    for column in batch.columns:
        columns += _pack(column) if pa.types.is_list(column.type) else [column]
    return pa.record_batch(columns, schema=packed_schema(batch.schema))


def unpack(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Restores what `pack` was given.

    Args:
        schema: columns of the result. A schema without lists gives the batch back.
    """
    columns = [_unpack(batch, field) if pa.types.is_list(field.type) else batch.column(field.name) for field in schema]
    return pa.record_batch(columns, schema=schema)


def _pack(lists: pa.ListArray) -> list[pa.Array]:
    starts = np.asarray(lists.offsets)  # (R + 1,)
    values = lists.values
    if not pa.types.is_string(values.type):
        numbers = np.asarray(values)
        return [_bytes(starts * numbers.itemsize, numbers.tobytes())]
    text = np.frombuffer(values.buffers()[1], dtype=np.int32)[values.offset :][: len(values) + 1]  # (V + 1,)
    lengths = np.diff(text).astype(np.int32)
    return [_bytes(text[starts], values.buffers()[2] or b""), _bytes(starts * 4, lengths.tobytes())]


def _unpack(batch: pa.RecordBatch, field: pa.Field) -> pa.ListArray:
    kind = field.type.value_type
    starts, data = _content(batch.column(field.name))
    if pa.types.is_string(kind):
        starts, sizes = _content(batch.column(field.name + LENGTHS))
        lengths = np.frombuffer(sizes, dtype=np.int32)
        ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        values = pa.StringArray.from_buffers(len(lengths), pa.py_buffer(ends), pa.py_buffer(data))
        width = 4
    else:
        numbers = np.frombuffer(data, dtype=kind.to_pandas_dtype())
        values, width = pa.array(numbers, type=kind), numbers.itemsize
    return pa.ListArray.from_arrays(pa.array((starts // width).astype(np.int32)), values, type=field.type)


def _bytes(starts: np.ndarray, data: bytes | pa.Buffer) -> pa.Array:
    """Cuts `data` at `starts` (R + 1,) into one byte string a row."""
    buffers = [None, pa.py_buffer(starts.astype(np.int32)), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.binary(), len(starts) - 1, buffers)


def _content(column: pa.Array) -> tuple[np.ndarray, memoryview]:
    """Returns where each row's bytes start, from 0 (R + 1,), and all bytes."""
    _, offsets, data = column.buffers()
    if not len(column):
        return np.zeros(1, dtype=np.int32), memoryview(b"")
    starts = np.frombuffer(offsets, dtype=np.int32)[column.offset :][: len(column) + 1]
    return starts - starts[0], memoryview(data or b"")[starts[0] : starts[-1]]
