"""Writes a Spark frame as Parquet parts, each by the worker that has its rows.

Spark's own writer takes ten times as long over histories (nested columns, value by value) as Arrow's.
"""

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
from pyspark import TaskContext
from pyspark.sql import DataFrame

from data.features.packing import unpack

ROW_GROUP_ROWS = 65_536
UNFINISHED = ".unfinished"  # end of the name of a part that is being written


def write_parts(frame: DataFrame, folder: Path, schema: pa.Schema) -> None:
    """Writes each partition with rows as folder/part-NNNNN.parquet (zstd), at least one file in all.

    Args:
        frame: rows with the columns of `schema`, lists packed (data.features.packing).
        folder: exists, and every worker sees it.
        schema: the columns to write.
    """
    frame.mapInArrow(partial(_write_part, folder=folder, schema=schema), "file string").collect()
    for unfinished in folder.glob(f".*{UNFINISHED}"):  # of a task whose worker died, and which another did again
        unfinished.unlink()
    if not any(folder.glob("part-*.parquet")):
        pa.parquet.write_table(schema.empty_table(), folder / "part-00000.parquet", compression="zstd")


def _write_part(batches: Iterable[pa.RecordBatch], *, folder: Path, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    context = TaskContext.get()
    assert context is not None  # runs in a worker
    path = folder / f"part-{context.partitionId():05}.parquet"
    aside = folder / f".{path.name}.{context.taskAttemptId()}{UNFINISHED}"
    writer = None
    for rows in _row_groups(batches):
        table = pa.Table.from_batches([unpack(batch, schema) for batch in rows])
        writer = writer or pa.parquet.ParquetWriter(aside, schema, compression="zstd")
        writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
    if writer is not None:
        writer.close()
        aside.replace(path)  # two attempts of a task leave one whole part
        yield pa.record_batch([pa.array([path.name])], names=["file"])


def _row_groups(batches: Iterable[pa.RecordBatch]) -> Iterator[list[pa.RecordBatch]]:
    held: list[pa.RecordBatch] = []
    for batch in batches:
        if batch.num_rows:
            held.append(batch)
        if sum(held_batch.num_rows for held_batch in held) >= ROW_GROUP_ROWS:
            yield held
            held = []
    if held:
        yield held
