"""A table's dated partitions: committed by a manifest, read back, and where they came from.

A partition is `<table>/ds=<day>/`: folders of versions, and the manifest, one file, which names the version that is
the partition. A commit writes a new version, then puts the manifest in place, which is atomic on local and on shared
file systems (a file is renamed) and on S3 (an object is put). So whoever reads sees one whole version: nobody writes
to a version once a manifest names it.

The version before is kept until the next commit, for those who still read it. So a reader may miss one commit, not two:
its files are gone then, which is an error and never a wrong row.
"""

import hashlib
import json
import os
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
from storage.lake import Lake, lake_of
from storage.owners import abandoned, new_name
from storage.places import partition_path
from storage.reads import Reads, reads_so_far, record

MANIFEST = "_SUCCESS.json"
VERSION, PREVIOUS = "version", "previous"  # in it: the folder that is the partition, and the one that was it before
PARTS = "parts"  # in it: the files of that folder, so that one which is gone is missed, and not read around


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

    The folder is that of a new version; a manifest that names it is put in place of the old one. If the block raises or
    the process dies, the old partition is untouched. The manifest's inputs are the partitions that the job has read so
    far, its files those of the log (`recorded_reads`).

    Args:
        config: the platform.
        table: name of the table.
        day: of the partition.
        extra: more entries for the manifest. May be filled inside the block.

    Raises:
        ValueError: there is a partition of an earlier version of the platform.
    """
    lake, place, version = lake_of(config), partition_path(table, day), new_name()
    _remove_abandoned(lake, place)
    with lake.writing(f"{place}/{version}") as folder:
        yield folder
        reads = reads_so_far()
        reads.partitions.pop(place, None)  # an earlier attempt's output is no input
        manifest = _manifest(folder, reads, extra or {})
    before = _found(lake, place) or {VERSION: None, PREVIOUS: None}
    named = manifest | {VERSION: version, PREVIOUS: before[VERSION]}
    lake.put(f"{place}/{MANIFEST}", json.dumps(named, indent=1, sort_keys=True).encode())
    if before[PREVIOUS]:
        lake.remove(f"{place}/{before[PREVIOUS]}")


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
    """Removes a partition, if there is one, that an earlier run of the day made and this one does not.

    The manifest goes first: there is no instant at which a partition lacks files.
    """
    lake, place = lake_of(config), partition_path(table, day)
    manifest = _found(lake, place)
    if manifest is None:
        return
    lake.remove(f"{place}/{MANIFEST}")
    for version in (manifest[VERSION], manifest[PREVIOUS]):
        if version:
            lake.remove(f"{place}/{version}")
    _remove_abandoned(lake, place)


def finite(value: Any) -> Any:
    """Makes a result fit strict JSON: numbers that are not finite become null, in mappings and lists too."""
    if isinstance(value, Mapping):
        return {key: finite(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [finite(entry) for entry in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def read_manifest(config: PlatformConfig, table: str, day: date) -> dict[str, Any]:
    """Reads a committed partition's manifest: rows, schema, schema_hash, content_hash, code_version, inputs, extra.

    And version and previous, the folders of this version and the one before; parts, the files in its folder; and files,
    where it was made from files of a log.

    Every read of a partition begins here, and is recorded here as an input of what the job commits.

    Raises:
        PartitionMissing: there is no committed partition.
    """
    manifest = peek_manifest(config, table, day)
    record(partition_path(table, day), manifest["content_hash"])
    return manifest


def peek_manifest(config: PlatformConfig, table: str, day: date) -> dict[str, Any]:
    """Reads a manifest as `read_manifest` does, for those who make nothing of the partition: it is no input.

    Raises:
        PartitionMissing: there is no committed partition.
    """
    lake, place = lake_of(config), partition_path(table, day)
    manifest = _found(lake, place)
    if manifest is None:
        raise PartitionMissing(
            f"table {table} has no committed partition ds={day} ({lake.shown}/{place}); "
            "run the job that writes it first"
        )
    return manifest


def has_partition(config: PlatformConfig, table: str, day: date) -> bool:
    """Says whether a partition is committed."""
    return all(lake_of(config).are_files([f"{partition_path(table, day)}/{MANIFEST}"]))


def committed_days(config: PlatformConfig, table: str) -> list[date]:
    """Returns the days of a table's committed partitions, oldest first."""
    lake = lake_of(config)
    days = [date.fromisoformat(name.removeprefix("ds=")) for name in lake.names(table) if name.startswith("ds=")]
    committed = lake.are_files([f"{partition_path(table, day)}/{MANIFEST}" for day in days])
    return [day for day, there in zip(days, committed, strict=True) if there]


def tables_of(config: PlatformConfig, day: date) -> list[str]:
    """Returns the names of all tables that have a committed partition of a day, sorted."""
    lake = lake_of(config)
    tables = lake.names("")
    committed = lake.are_files([f"{partition_path(table, day)}/{MANIFEST}" for table in tables])
    return [table for table, there in zip(tables, committed, strict=True) if there]


def dataset(config: PlatformConfig, table: str, days: list[date]) -> pyarrow.dataset.Dataset:
    """Opens committed partitions as one Arrow dataset, in the order of `days` and of the file names.

    Raises:
        PartitionMissing: one of them is not committed.
    """
    lake = lake_of(config)
    paths = []
    for day in days:
        manifest = read_manifest(config, table, day)
        folder = lake.full(f"{partition_path(table, day)}/{manifest[VERSION]}")
        paths += [f"{folder}/{name}" for name in _parquet(manifest)]
    return pa.dataset.dataset(paths, format="parquet", filesystem=lake.files)


def partition_folder(config: PlatformConfig, table: str, day: date) -> Path:
    """Returns the folder of a committed partition, for those who read its files by themselves.

    Raises:
        PartitionMissing: it is not committed.
    """
    return version_folder(config, table, day, read_manifest(config, table, day))


def version_folder(config: PlatformConfig, table: str, day: date, manifest: Mapping[str, Any]) -> Path:
    """Returns the folder of the version that a manifest names, for those who need both of one commit."""
    return lake_of(config).local(f"{partition_path(table, day)}/{manifest[VERSION]}", manifest[PARTS])


def parquet_files(config: PlatformConfig, table: str, day: date, manifest: Mapping[str, Any]) -> list[Path]:
    """Returns the Parquet files of the version that a manifest names, as files of this machine, sorted."""
    folder = version_folder(config, table, day, manifest)
    return [folder / name for name in _parquet(manifest)]


def read_partition(config: PlatformConfig, table: str, day: date, *, columns: list[str] | None = None) -> pa.Table:
    """Reads all rows of one committed partition."""
    while True:
        version = peek_manifest(config, table, day)[VERSION]
        try:
            return dataset(config, table, [day]).to_table(columns=columns)
        except OSError:  # a file is gone
            if not has_partition(config, table, day) or peek_manifest(config, table, day)[VERSION] == version:
                raise
            # It was committed twice while it was read; the newest version is there.


def _found(lake: Lake, place: str) -> dict[str, Any] | None:
    """Reads a manifest; None where there is none.

    Raises:
        ValueError: it is of an earlier version of the platform.
    """
    content = lake.get(f"{place}/{MANIFEST}")
    if content is None:
        return None
    manifest: dict[str, Any] = json.loads(content)
    if VERSION not in manifest:
        raise ValueError(
            f"{lake.shown}/{place} is of an earlier version of Headwater, which laid out partitions otherwise; "
            "`make clean` removes what it left, then run the days again"
        )
    return manifest


def _remove_abandoned(lake: Lake, place: str) -> None:
    """Removes the versions that killed processes left uncommitted."""
    left = [name for name in lake.names(place) if abandoned(name)]
    # Read after the dead were told from the living: what a dead process committed is named by now.
    manifest = _found(lake, place) or {}
    for name in left:
        if name not in (manifest.get(VERSION), manifest.get(PREVIOUS)):
            lake.remove(f"{place}/{name}")


def _parquet(manifest: Mapping[str, Any]) -> list[str]:
    return [name for name in manifest[PARTS] if name.endswith(".parquet") and "/" not in name]


def _manifest(folder: Path, reads: Reads, extra: Mapping[str, Any]) -> dict[str, Any]:
    files = sorted(folder.glob("*.parquet"))
    # Spark's checksums and markers are no content.
    parts = [p for p in sorted(folder.rglob("*")) if p.is_file() and not p.name.startswith((".", "_"))]
    digest = hashlib.sha256()
    for path in parts:
        with path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    schema = {f.name: str(f.type) for f in pa.parquet.read_schema(files[0])} if files else {}
    files_read = {} if reads.files is None else {"files": {name: asdict(read) for name, read in reads.files.items()}}
    return files_read | {
        PARTS: [path.relative_to(folder).as_posix() for path in parts],
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
