"""Parts as a worker leaves them that dies, and as another finds them."""

from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet
import pytest
from pyspark.sql import SparkSession

from data.features import parquet_parts
from data.features.parquet_parts import UNFINISHED, write_parts

SCHEMA = pa.schema([("user_id", pa.string()), ("clicks", pa.int64())])


def batches(*, dies: bool) -> "list[pa.RecordBatch] | object":
    def rows():  # type: ignore[no-untyped-def]
        yield pa.record_batch([pa.array(["anna", "bert"]), pa.array([1, 2])], schema=SCHEMA)
        if dies:
            raise MemoryError

    return rows()


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    attempt = SimpleNamespace(partitionId=lambda: 3, taskAttemptId=lambda: 70)
    monkeypatch.setattr(parquet_parts, "TaskContext", SimpleNamespace(get=lambda: attempt))
    monkeypatch.setattr(parquet_parts, "unpack", lambda batch, _: batch)
    monkeypatch.setattr(parquet_parts, "ROW_GROUP_ROWS", 1)
    return attempt


def test_a_part_is_there_only_when_it_is_whole(tmp_path: Path, task: SimpleNamespace):
    with pytest.raises(MemoryError):
        list(parquet_parts._write_part(batches(dies=True), folder=tmp_path, schema=SCHEMA))  # type: ignore[arg-type]
    (left,) = tmp_path.iterdir()
    assert left.name.endswith(UNFINISHED)
    task.taskAttemptId = lambda: 71
    list(parquet_parts._write_part(batches(dies=False), folder=tmp_path, schema=SCHEMA))  # type: ignore[arg-type]
    assert pa.parquet.read_table(tmp_path / "part-00003.parquet").num_rows == 2
    assert {path.name for path in tmp_path.iterdir()} == {"part-00003.parquet", left.name}


def test_what_dead_tasks_left_is_removed_and_no_rows_are_one_empty_part(tmp_path: Path, spark: SparkSession):
    left = tmp_path / f".part-00003.parquet.70{UNFINISHED}"
    left.write_text("half a part")
    write_parts(spark.createDataFrame([], "user_id string, clicks bigint"), tmp_path, SCHEMA)
    assert [path.name for path in tmp_path.iterdir()] == ["part-00000.parquet"]
