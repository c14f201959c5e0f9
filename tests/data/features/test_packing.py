"""Lists come back from bytes as they went in."""

import pyarrow as pa
import pytest

from data.features.packing import pack, packed_schema, unpack

SCHEMA = pa.schema(
    {
        "id": pa.string(),
        "words": pa.list_(pa.string()),
        "labels": pa.list_(pa.int32()),
        "times": pa.list_(pa.int64()),
    }
)
ROWS = [
    {"id": "a", "words": ["x", "", "zażółć"], "labels": [1, 0, 1], "times": [2**60, -1, 0]},
    {"id": None, "words": [], "labels": [], "times": []},
    {"id": "c", "words": ["y"], "labels": [7], "times": [5]},
]


@pytest.mark.parametrize("rows", [ROWS, ROWS[1:2], []])
def test_lists_come_back(rows: list[dict]) -> None:
    batch = pa.RecordBatch.from_pylist(rows, schema=SCHEMA)
    packed = pack(batch)
    assert packed.schema == packed_schema(SCHEMA)
    assert unpack(packed, SCHEMA).to_pylist() == rows


def test_slices_come_back() -> None:
    batch = pa.RecordBatch.from_pylist(ROWS, schema=SCHEMA)
    assert unpack(pack(batch.slice(1)), SCHEMA).to_pylist() == ROWS[1:]
    assert unpack(pack(batch).slice(1, 2), SCHEMA).to_pylist() == ROWS[1:]


def test_a_row_of_four_and_a_row_of_eight_bytes_a_value() -> None:
    packed = pack(pa.RecordBatch.from_pylist(ROWS, schema=SCHEMA)).to_pylist()
    assert [len(row["labels"]) for row in packed] == [12, 0, 4]
    assert [len(row["times"]) for row in packed] == [24, 0, 8]
    assert packed[0]["words"] == "xzażółć".encode()
