"""A table's dated partitions: committed by one rename with a manifest, read back, and where they came from."""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date
from functools import cache
from math import isfinite
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet

from config import ROOT, PlatformConfig
from storage.places import partition_dir, table_dir
from storage.reads import Reads, reads_so_far, record
from storage.replace import replace_folder

MANIFEST = "_SUCCESS.json"


class PartitionMissing(FileNotFoundError):
    """A partition has no manifest: it was never committed."""


@contextmanager
def commit_partition(
    config: PlatformConfig,
    table: str,
    day: date,
    *,
    extra: Mapping[str, Any] | None = None,
) -> Iterator[Path]:
    """Yields an empty folder to write Parquet (and other) files into, and commits it when the block ends well.

    The folder lies beside the table; a manifest is written into it and one rename puts it in place of the
    partition, replacing the old one. If the block raises or the process dies, the old partition is untouched.
    The manifest's inputs are the partitions that the job has read so far, its files those of the log
    (`recorded_reads`).

    Args:
        config: the platform.
        table: name of the table.
        day: of the partition.
        extra: more entries for the manifest. May be filled inside the block.
    """
    target = partition_dir(config, table, day)
    staging_root = table_dir(config, "_staging")
    with replace_folder(target, staging_root=staging_root, name=f"{table}.ds={day}") as staging:
        yield staging
        reads = reads_so_far()
        reads.partitions.pop(f"{table}/ds={day}", None)  # an earlier attempt's output is no input
        manifest = _manifest(staging, reads, extra or {})
        (staging / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True))


def write_partition(
    config: PlatformConfig,
    table: str,
    day: date,
    rows: pa.Table,
    *,
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Commits one Arrow table as a partition (one Parquet file, zstd, microsecond timestamps)."""
    with commit_partition(config, table, day, extra=extra) as folder:
        pa.parquet.write_table(rows, folder / "part-0.parquet", compression="zstd", coerce_timestamps="us")


def drop_partition(config: PlatformConfig, table: str, day: date) -> None:
    """Removes a partition, if there is one, that an earlier run of the day made and this one does not."""
    folder = partition_dir(config, table, day)
    if not folder.exists():
        return
    aside = table_dir(config, "_staging") / f"{table}.ds={day}.{os.getpid()}.dropped"
    aside.parent.mkdir(parents=True, exist_ok=True)
    folder.rename(aside)
    shutil.rmtree(aside)


def finite(value: Any) -> Any:
    """Makes a result fit strict JSON: numbers that are not finite become null, in mappings and lists too."""
    if isinstance(value, Mapping):
        return {key: finite(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [finite(entry) for entry in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def read_manifest(config: PlatformConfig, table: str, day: date) -> dict[str, Any]:
    """Reads a committed partition's manifest: rows, schema, schema_hash, content_hash, code_version, inputs, extra.

    And files, where it was made from files of a log.

    Every read of a partition begins here, and is recorded here as an input of what the job commits.

    Raises:
        PartitionMissing: there is no committed partition.
    """
    manifest = peek_manifest(config, table, day)
    record(f"{table}/ds={day}", manifest["content_hash"])
    return manifest


def peek_manifest(config: PlatformConfig, table: str, day: date) -> dict[str, Any]:
    """Reads a manifest as `read_manifest` does, for those who make nothing of the partition: it is no input.

    Raises:
        PartitionMissing: there is no committed partition.
    """
    path = partition_dir(config, table, day) / MANIFEST
    if not path.is_file():
        raise PartitionMissing(
            f"table {table} has no committed partition ds={day} ({path.parent}); run the job that writes it first"
        )
    manifest: dict[str, Any] = json.loads(path.read_text())
    return manifest


def has_partition(config: PlatformConfig, table: str, day: date) -> bool:
    """Says whether a partition is committed."""
    return (partition_dir(config, table, day) / MANIFEST).is_file()


def committed_days(config: PlatformConfig, table: str) -> list[date]:
    """Returns the days of a table's committed partitions, oldest first."""
    manifests = table_dir(config, table).glob(f"ds=*/{MANIFEST}")
    return sorted(date.fromisoformat(path.parent.name.removeprefix("ds=")) for path in manifests)


def tables_of(config: PlatformConfig, day: date) -> list[str]:
    """Returns the names of all tables that have a committed partition of a day, sorted."""
    return sorted(p.parent.parent.name for p in table_dir(config, "").glob(f"*/ds={day}/{MANIFEST}"))


def dataset(config: PlatformConfig, table: str, days: list[date]) -> pyarrow.dataset.Dataset:
    """Opens committed partitions as one Arrow dataset, in the order of `days` and of the file names.

    Raises:
        PartitionMissing: one of them is not committed.
    """
    files = [str(path) for day in days for path in sorted(partition_folder(config, table, day).glob("*.parquet"))]
    return pa.dataset.dataset(files, format="parquet")


def partition_folder(config: PlatformConfig, table: str, day: date) -> Path:
    """Returns the folder of a committed partition, for those who read its files by themselves.

    Raises:
        PartitionMissing: it is not committed.
    """
    read_manifest(config, table, day)
    return partition_dir(config, table, day)


def read_partition(config: PlatformConfig, table: str, day: date, *, columns: list[str] | None = None) -> pa.Table:
    """Reads all rows of one committed partition."""
    return dataset(config, table, [day]).to_table(columns=columns)


def _manifest(folder: Path, reads: Reads, extra: Mapping[str, Any]) -> dict[str, Any]:
    files = sorted(folder.glob("*.parquet"))
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith((".", "_")):  # Spark's checksums and markers are no content
            with path.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    schema = {f.name: str(f.type) for f in pa.parquet.read_schema(files[0])} if files else {}
    files_read = {} if reads.files is None else {"files": {name: asdict(read) for name, read in reads.files.items()}}
    return files_read | {
        "rows": sum(pa.parquet.read_metadata(f).num_rows for f in files),
        "schema": schema,
        "schema_hash": hashlib.sha256(json.dumps(schema).encode()).hexdigest(),
        "content_hash": digest.hexdigest(),
        "code_version": code_version(),
        "inputs": reads.partitions,
        "extra": finite(extra),
    }


@cache
def code_version() -> str:
    """Returns $HEADWATER_CODE_VERSION, which images set, else the checkout's commit, or "unknown" outside git."""
    if given := os.environ.get("HEADWATER_CODE_VERSION"):
        return given
    result = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return result.stdout.strip() if result.returncode == 0 else "unknown"
