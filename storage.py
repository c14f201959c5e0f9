"""Every path, table and registry name, and the commit of a dated partition by one atomic rename."""

import ctypes
import hashlib
import json
import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from math import isfinite
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet

from config import ROOT, PlatformConfig

MANIFEST = "_SUCCESS.json"
AT_FDCWD, RENAME_EXCHANGE = -100, 2  # linux/fs.h


class PartitionMissing(FileNotFoundError):
    """A partition has no manifest: it was never committed."""


# --- days ---------------------------------------------------------------------------------------


def day_window(config: PlatformConfig, day: date) -> tuple[datetime, datetime]:
    """The half-open UTC window [start, end) of a platform day.

    The bootstrap day's window covers all of `bootstrap_days`; every other day's covers 24 hours.

    Raises:
        ValueError: the day is before the bootstrap day or after the log's last day.
    """
    source = config.source
    if not source.bootstrap_day <= day <= source.last_day:
        raise ValueError(
            f"day {day} is outside the log of {config.data_source}: its platform days are "
            f"{source.bootstrap_day} (bootstrap) to {source.last_day}"
        )
    first = source.first_day if day == source.bootstrap_day else day
    offset = timedelta(hours=source.utc_offset_hours)
    start = datetime.combine(first, time(), UTC) - offset
    return start, datetime.combine(day, time(), UTC) - offset + timedelta(days=1)


def day_ends(config: PlatformConfig, day: date) -> list[datetime]:
    """Ends (UTC) of every day of the log inside a platform day's window, oldest first.

    A platform day holds `days_per_day` of them, the bootstrap day `bootstrap_days` times as many. Activity and history
    snapshots are taken at these instants.
    """
    start, end = day_window(config, day)
    a_day = config.source.days_per_day
    return [start + timedelta(days=1) * n / a_day for n in range(1, (end - start).days * a_day + 1)]


def previous_day(config: PlatformConfig, day: date) -> date | None:
    """The platform day before, or None on the bootstrap day."""
    return None if day <= config.source.bootstrap_day else day - timedelta(days=1)


def days_back(config: PlatformConfig, day: date, days: int) -> list[date]:
    """The platform days whose windows reach into the `days` days before `day` ends, `day` included, oldest first."""
    first = max(config.source.bootstrap_day, day - timedelta(days=days))
    return [first + timedelta(days=n) for n in range((day - first).days + 1)]


# --- places and names ---------------------------------------------------------------------------


def source_root(config: PlatformConfig) -> Path:
    """Folder of everything kept for the chosen data source."""
    return ROOT / config.storage.root / config.data_source


def cache_dir(config: PlatformConfig) -> Path:
    """Folder of downloaded source files."""
    return ROOT / config.storage.cache


def table_dir(config: PlatformConfig, table: str) -> Path:
    """Folder of a table's partitions."""
    return source_root(config) / "lake" / table


def partition_dir(config: PlatformConfig, table: str, day: date) -> Path:
    """Folder of one partition; only committed partitions have it."""
    return table_dir(config, table) / f"ds={day}"


def feast_dir(config: PlatformConfig) -> Path:
    """Folder of Feast's registry and online store."""
    return source_root(config) / "feast"


def feature_repo_dir(config: PlatformConfig) -> Path:
    """Folder whose feature_store.yaml describes the Feast store of the chosen source."""
    return ROOT / config.storage.feature_repo


def mlflow_dir(config: PlatformConfig) -> Path:
    """Folder of MLflow's database and artifacts."""
    return source_root(config) / "mlflow"


def mlflow_tracking_uri(config: PlatformConfig) -> str:
    """MLflow's backend store."""
    return f"sqlite:///{mlflow_dir(config) / 'mlflow.db'}"


def docs_dir(config: PlatformConfig) -> Path:
    """Folder of pages for people: run reports and Great Expectations' Data Docs."""
    return source_root(config) / "docs"


def report_dir(config: PlatformConfig, day: date) -> Path:
    """Folder of a day's report: index.html for people, summary.json for programs. The day is done once it is there."""
    return docs_dir(config) / "reports" / f"ds={day}"


def checkpoint_dir(config: PlatformConfig, job: str, day: date) -> Path:
    """Folder where a job that runs for long keeps what a retry goes on from."""
    return source_root(config) / "checkpoints" / f"{job}.ds={day}"


def failure_dir(config: PlatformConfig, what: str) -> Path:
    """Folder for what a failed step leaves to be looked at."""
    return source_root(config) / "failures" / "-".join(re.findall(r"[a-z0-9]+", what.lower()))


def registered_model(vertical: str) -> str:
    """A vertical model's name in the MLflow registry."""
    return f"vertical_{vertical}"


# --- partitions ---------------------------------------------------------------------------------


@contextmanager
def commit_partition(
    config: PlatformConfig,
    table: str,
    day: date,
    *,
    inputs: Mapping[str, date] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Iterator[Path]:
    """Yields an empty folder to write Parquet (and other) files into, and commits it when the block ends well.

    The folder lies beside the table; a manifest is written into it and one rename puts it in place of the
    partition, replacing the old one. If the block raises or the process dies, the old partition is untouched.

    Args:
        inputs: tables read, with the day of the partition read; their manifests' hashes are recorded.
        extra: more entries for the manifest. May be filled inside the block.
    """
    target = partition_dir(config, table, day)
    staging_root = table_dir(config, "_staging")
    with replace_folder(target, staging_root=staging_root, name=f"{table}.ds={day}") as staging:
        yield staging
        manifest = _manifest(config, staging, inputs or {}, extra or {})
        (staging / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True))


@contextmanager
def replace_folder(target: Path, *, staging_root: Path, name: str) -> Iterator[Path]:
    """Yields an empty folder, and puts it in place of `target` by one rename when the block ends well.

    If the block raises or the process dies, `target` is untouched.

    Args:
        target: the folder to make or to replace.
        staging_root: where the new folder lies until then; on the file system of `target`.
        name: of the thing replaced, unique below `staging_root`: what killed attempts left of it is removed.
    """
    staging = staging_root / f"{name}.{os.getpid()}.{uuid.uuid4().hex[:8]}"
    for leftover in staging_root.glob(f"{name}.*"):
        if not _alive(int(leftover.name.rsplit(".", 2)[1])):
            shutil.rmtree(leftover, ignore_errors=True)  # a killed attempt's
    staging.mkdir(parents=True)
    try:
        yield staging
        target.parent.mkdir(parents=True, exist_ok=True)
        _sync(staging)
        _put_in_place(staging, target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def write_partition(
    config: PlatformConfig,
    table: str,
    day: date,
    rows: pa.Table,
    *,
    inputs: Mapping[str, date] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Commits one Arrow table as a partition (one Parquet file, zstd, microsecond timestamps)."""
    with commit_partition(config, table, day, inputs=inputs, extra=extra) as folder:
        pa.parquet.write_table(rows, folder / "part-0.parquet", compression="zstd", coerce_timestamps="us")


def finite(value: Any) -> Any:
    """A result as strict JSON can hold it: numbers that are not finite become null, in mappings and lists too."""
    if isinstance(value, Mapping):
        return {key: finite(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [finite(entry) for entry in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def read_manifest(config: PlatformConfig, table: str, day: date) -> dict[str, Any]:
    """The manifest of a committed partition: rows, schema, schema_hash, content_hash, code_version, inputs, extra.

    Raises:
        PartitionMissing: there is no committed partition.
    """
    path = partition_dir(config, table, day) / MANIFEST
    if not path.is_file():
        raise PartitionMissing(
            f"table {table} has no committed partition ds={day} ({path.parent}); run the job that writes it first"
        )
    return dict(json.loads(path.read_text()))


def has_partition(config: PlatformConfig, table: str, day: date) -> bool:
    """Whether a partition is committed."""
    return (partition_dir(config, table, day) / MANIFEST).is_file()


def committed_days(config: PlatformConfig, table: str) -> list[date]:
    """Days of a table's committed partitions, oldest first."""
    found = table_dir(config, table).glob(f"ds=*/{MANIFEST}")
    return sorted(date.fromisoformat(path.parent.name.removeprefix("ds=")) for path in found)


def tables(config: PlatformConfig, day: date) -> list[str]:
    """Names of all tables that have a committed partition of a day, sorted."""
    return sorted(p.parent.parent.name for p in table_dir(config, "").glob(f"*/ds={day}/{MANIFEST}"))


def dataset(config: PlatformConfig, table: str, days: list[date]) -> pyarrow.dataset.Dataset:
    """Committed partitions as one Arrow dataset, in the order of `days` and of the file names.

    Raises:
        PartitionMissing: one of them is not committed.
    """
    files: list[str] = []
    for day in days:
        read_manifest(config, table, day)
        files += sorted(str(p) for p in partition_dir(config, table, day).glob("*.parquet"))
    return pa.dataset.dataset(files, format="parquet")


def read_partition(config: PlatformConfig, table: str, day: date, *, columns: list[str] | None = None) -> pa.Table:
    """All rows of one committed partition."""
    return dataset(config, table, [day]).to_table(columns=columns)


def _manifest(
    config: PlatformConfig, folder: Path, inputs: Mapping[str, date], extra: Mapping[str, Any]
) -> dict[str, Any]:
    files = sorted(folder.glob("*.parquet"))
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith((".", "_")):  # Spark's checksums and markers are no content
            with path.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    schema = {f.name: str(f.type) for f in pa.parquet.read_schema(files[0])} if files else {}
    return {
        "rows": sum(pa.parquet.read_metadata(f).num_rows for f in files),
        "schema": schema,
        "schema_hash": hashlib.sha256(json.dumps(schema).encode()).hexdigest(),
        "content_hash": digest.hexdigest(),
        "code_version": code_version(),
        "inputs": {
            f"{table}/ds={day}": read_manifest(config, table, day)["content_hash"] for table, day in inputs.items()
        },
        "extra": finite(extra),
    }


@cache
def code_version() -> str:
    """The checkout's commit, or "unknown" outside git."""
    result = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return result.stdout.strip() if result.returncode == 0 else "unknown"


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _sync(folder: Path) -> None:
    for path in [*folder.rglob("*"), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def _put_in_place(staging: Path, target: Path) -> None:
    """Renames staging to target. An existing target is swapped out in the same atomic step where the system can."""
    if not target.exists():
        os.rename(staging, target)
        return
    libc = ctypes.CDLL(None, use_errno=True)
    exchange = getattr(libc, "renameat2", None)
    if exchange and exchange(AT_FDCWD, bytes(staging), AT_FDCWD, bytes(target), RENAME_EXCHANGE) == 0:
        return  # staging now holds the old partition; the caller removes it
    # No exchange on this system: for an instant there is no partition, which readers refuse and a retry repairs.
    old = staging.with_name(staging.name + ".old")
    os.rename(target, old)
    os.rename(staging, target)
    shutil.rmtree(old)
