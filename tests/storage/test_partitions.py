"""Dated partitions: windows, atomic commit, refusal of what was never committed."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet
import pytest

import storage
from config import PlatformConfig
from data.schema import epoch_us
from tests.lake_process import lake_process

DAY = date(2026, 1, 2)  # the bootstrap day of tiny_config


def test_windows_are_half_open_and_the_bootstrap_day_covers_its_days(tiny_config: PlatformConfig):
    assert storage.day_window(tiny_config, DAY) == (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 3, tzinfo=UTC))
    assert storage.day_ends(tiny_config, DAY) == [datetime(2026, 1, d, tzinfo=UTC) for d in (2, 3)]
    after = date(2026, 1, 3)
    assert storage.day_window(tiny_config, after)[0] == storage.day_window(tiny_config, DAY)[1]
    assert storage.previous_day(tiny_config, DAY) is None and storage.previous_day(tiny_config, after) == DAY


def test_a_platform_day_of_a_week_ends_seven_days_of_the_log(tiny_config: PlatformConfig):
    config = tiny_config.changed(sources={"synthetic": {"days_per_day": 7}})
    day = date(2026, 1, 3)
    start, end = storage.day_window(config, day)
    ends = storage.day_ends(config, day)
    assert len(ends) == 7 and ends[-1] == end and ends == sorted(set(ends))
    assert epoch_us(ends[0]) == epoch_us(start) + 12_342_857_143  # 24 h / 7, to the microsecond
    assert len(storage.day_ends(config, DAY)) == 14


@pytest.mark.parametrize("day", [date(2026, 1, 1), date(2027, 1, 1)])
def test_days_outside_the_log_are_refused(tiny_config: PlatformConfig, day: date):
    with pytest.raises(ValueError, match=r"outside the log of synthetic: .*2026-01-02 .*2026-12-31"):
        storage.day_window(tiny_config, day)


def test_a_partition_is_replaced_whole_and_says_what_it_holds(tiny_config: PlatformConfig):
    storage.write_partition(tiny_config, "events", DAY, pa.table({"a": [1, 2, 3]}), extra={"raw_rows": 4})
    first = storage.read_manifest(tiny_config, "events", DAY)
    storage.write_partition(tiny_config, "events", DAY, pa.table({"a": [7]}))
    second = storage.read_manifest(tiny_config, "events", DAY)
    assert storage.read_partition(tiny_config, "events", DAY)["a"].to_pylist() == [7]
    assert (first["rows"], first["extra"], second["rows"]) == (3, {"raw_rows": 4}, 1)


def test_a_partition_names_what_its_job_has_read_by_then(tiny_config: PlatformConfig):
    days = [DAY, date(2026, 1, 3)]
    for day in days:
        storage.write_partition(tiny_config, "events", day, pa.table({"a": [day.day]}))
        storage.write_partition(tiny_config, "other", day, pa.table({"a": [day.day]}))
    hashes = {f"events/ds={day}": storage.read_manifest(tiny_config, "events", day)["content_hash"] for day in days}

    @storage.recorded_reads()
    def job() -> None:
        with ThreadPoolExecutor(1) as thread:  # as batches are read ahead
            thread.submit(storage.read_partition, tiny_config, "events", DAY).result()
        storage.write_partition(tiny_config, "early", DAY, pa.table({"a": [1]}))
        storage.dataset(tiny_config, "events", days)
        storage.partition_folder(tiny_config, "late", DAY)  # of an earlier attempt: it is replaced, so it is no input
        storage.write_partition(tiny_config, "late", DAY, pa.table({"a": [1]}))

    storage.write_partition(tiny_config, "late", DAY, pa.table({"a": [0]}))
    for _ in range(2):  # nothing is left of the first run's record
        job()
        inputs = {name: storage.read_manifest(tiny_config, name, DAY)["inputs"] for name in ("early", "late")}
        assert inputs == {"early": {f"events/ds={DAY}": hashes[f"events/ds={DAY}"]}, "late": hashes}
    storage.read_partition(tiny_config, "other", DAY)
    storage.write_partition(tiny_config, "late", DAY, pa.table({"a": [1]}))
    assert storage.read_manifest(tiny_config, "late", DAY)["inputs"] == {}  # no job


def test_an_input_that_is_replaced_while_a_job_runs_is_recorded_as_it_was_read(tiny_config: PlatformConfig):
    storage.write_partition(tiny_config, "events", DAY, pa.table({"a": [1]}))
    read = storage.read_manifest(tiny_config, "events", DAY)["content_hash"]
    with storage.recorded_reads():
        storage.read_partition(tiny_config, "events", DAY)
        storage.write_partition(tiny_config, "events", DAY, pa.table({"a": [2]}))
        storage.write_partition(tiny_config, "examples", DAY, pa.table({"a": [1]}))
    assert storage.read_manifest(tiny_config, "examples", DAY)["inputs"] == {f"events/ds={DAY}": read}


def test_equal_content_has_an_equal_hash(tiny_config: PlatformConfig):
    for table in ("one", "two"):
        storage.write_partition(tiny_config, table, DAY, pa.table({"a": [1, 2]}))
    one, two = (storage.read_manifest(tiny_config, table, DAY)["content_hash"] for table in ("one", "two"))
    assert one == two


def test_a_failed_write_leaves_the_old_partition(tiny_config: PlatformConfig):
    storage.write_partition(tiny_config, "events", DAY, pa.table({"a": [1]}))
    with pytest.raises(OSError, match="disk"), storage.commit_partition(tiny_config, "events", DAY) as folder:
        (folder / "part-0.parquet").write_bytes(b"half")
        raise OSError("disk full")
    assert storage.read_partition(tiny_config, "events", DAY)["a"].to_pylist() == [1]


def test_a_folder_without_manifest_is_no_partition(tiny_config: PlatformConfig):
    storage.partition_dir(tiny_config, "events", DAY).mkdir(parents=True)
    assert not storage.has_partition(tiny_config, "events", DAY)
    with pytest.raises(storage.PartitionMissing, match=r"table events has no committed partition ds=2026-01-02"):
        storage.read_partition(tiny_config, "events", DAY)


def test_a_killed_writer_leaves_the_old_partition_and_its_rest_is_swept_up(tiny_config: PlatformConfig):
    storage.write_partition(tiny_config, "events", DAY, pa.table({"a": [1]}))
    writing = """
with storage.commit_partition(config, "events", DAY) as folder:
    (folder / "part-0.parquet").write_bytes(b"half of a file")
    print("writing", flush=True)
    time.sleep(60)
"""
    with lake_process(tiny_config, DAY, writing) as writer:
        assert writer.stdout and writer.stdout.readline() == "writing\n"
        os.kill(writer.pid, signal.SIGKILL)
    before = storage.read_manifest(tiny_config, "events", DAY)["version"]
    assert len(_versions(tiny_config)) == 2
    assert storage.read_partition(tiny_config, "events", DAY)["a"].to_pylist() == [1]
    storage.write_partition(tiny_config, "events", DAY, pa.table({"a": [2]}))
    after = storage.read_manifest(tiny_config, "events", DAY)
    assert storage.read_partition(tiny_config, "events", DAY)["a"].to_pylist() == [2]
    assert _versions(tiny_config) == [before, after["version"]] and after["previous"] == before


def test_the_version_before_is_kept_until_the_next_commit(tiny_config: PlatformConfig):
    committed, slow = [], None
    for number in range(4):
        storage.write_partition(tiny_config, "events", DAY, pa.table({"a": [number]}))
        committed.append(storage.read_manifest(tiny_config, "events", DAY)["version"])
        assert _versions(tiny_config) == committed[-2:]  # names sort by time
        opened = storage.dataset(tiny_config, "events", [DAY])  # by a reader that takes its time
        if slow:
            assert slow.to_table()["a"].to_pylist() == [number - 1]
        slow = opened
    storage.write_partition(tiny_config, "events", DAY, pa.table({"a": [4]}))
    storage.write_partition(tiny_config, "events", DAY, pa.table({"a": [5]}))
    with pytest.raises(FileNotFoundError):  # two commits later there is nothing to read, rather than something else
        slow.to_table()


def test_a_living_writer_keeps_what_it_writes(tiny_config: PlatformConfig):
    with storage.commit_partition(tiny_config, "events", DAY) as folder:
        storage.write_partition(tiny_config, "events", DAY, pa.table({"a": [1]}))
        storage.write_partition(tiny_config, "events", DAY, pa.table({"a": [2]}))
        pa.parquet.write_table(pa.table({"a": [3]}), folder / "part-0.parquet")
        assert storage.read_partition(tiny_config, "events", DAY)["a"].to_pylist() == [2]
    assert storage.read_partition(tiny_config, "events", DAY)["a"].to_pylist() == [3]


def test_a_version_that_a_dead_process_committed_is_no_leftover(tiny_config: PlatformConfig):
    for number in (1, 2):
        _in_process(tiny_config, f'storage.write_partition(config, "events", DAY, pa.table({{"a": [{number}]}}))')
    committed = _versions(tiny_config)
    with storage.commit_partition(tiny_config, "events", DAY):
        assert set(committed) < set(_versions(tiny_config))  # both are there while a new one is written
    assert set(_versions(tiny_config)) > {committed[1]}


def test_a_reader_beside_a_writer_sees_whole_partitions(tiny_config: PlatformConfig):
    """Rows of a version all carry its number, in two files; a mix, a part or nothing would show."""
    storage.write_partition(tiny_config, "events", DAY, pa.table({"a": [-1] * 100}))
    writing = """
for number in range(60):
    with storage.commit_partition(config, "events", DAY, extra={"number": number}) as folder:
        for part in range(2):
            pa.parquet.write_table(pa.table({"a": [number] * 50}), folder / f"part-{part}.parquet")
"""
    seen = []
    with lake_process(tiny_config, DAY, writing) as writer:
        while writer.poll() is None:
            rows = storage.read_partition(tiny_config, "events", DAY)["a"].to_pylist()
            assert len(rows) == 100 and len(set(rows)) == 1
            seen.append(rows[0])
    assert writer.returncode == 0 and seen == sorted(seen) and len(set(seen)) > 1
    assert len(_versions(tiny_config)) == 2


def test_a_read_that_two_commits_overtake_begins_again(tiny_config: PlatformConfig, monkeypatch: pytest.MonkeyPatch):
    def overtaken(*asked: Any) -> pyarrow.dataset.Dataset:
        opened = storage.dataset(*asked)
        monkeypatch.undo()
        for number in (1, 2):
            storage.write_partition(tiny_config, "events", DAY, pa.table({"a": [number]}))
        return opened

    storage.write_partition(tiny_config, "events", DAY, pa.table({"a": [0]}))
    monkeypatch.setattr("storage.partitions.dataset", overtaken)
    assert storage.read_partition(tiny_config, "events", DAY)["a"].to_pylist() == [2]


def test_a_file_that_is_gone_from_a_partition_is_an_error(tiny_config: PlatformConfig):
    storage.write_partition(tiny_config, "events", DAY, pa.table({"a": [0]}))
    with storage.commit_partition(tiny_config, "events", DAY) as folder:
        for part in range(2):
            pa.parquet.write_table(pa.table({"a": [part]}), folder / f"part-{part}.parquet")
    (folder / "part-0.parquet").unlink()  # as where an old version is being removed
    with pytest.raises(FileNotFoundError):
        storage.read_partition(tiny_config, "events", DAY)


def test_a_writer_killed_at_any_instant_leaves_a_whole_partition(tiny_config: PlatformConfig):
    # By a process that ends, too: what was committed by one that lives is not told from what it still writes.
    _in_process(tiny_config, 'storage.write_partition(config, "events", DAY, pa.table({"a": [-1] * 100}))')
    writing = """
print("ready", flush=True)
for number in itertools.count():
    storage.write_partition(config, "events", DAY, pa.table({"a": [number] * 100}))
"""
    for attempt in range(4):
        with lake_process(tiny_config, DAY, writing) as writer:
            assert writer.stdout and writer.stdout.readline() == "ready\n"
            time.sleep(0.05 + 0.013 * attempt)
            os.kill(writer.pid, signal.SIGKILL)
        rows = storage.read_partition(tiny_config, "events", DAY)["a"].to_pylist()
        assert len(rows) == 100 and len(set(rows)) == 1
    storage.write_partition(tiny_config, "events", DAY, pa.table({"a": [7]}))
    storage.write_partition(tiny_config, "events", DAY, pa.table({"a": [8]}))
    assert len(_versions(tiny_config)) == 2
    assert not list(storage.partition_dir(tiny_config, "events", DAY).glob(".*"))


def test_a_commit_renames_nothing_but_its_manifest(tiny_config: PlatformConfig, monkeypatch: pytest.MonkeyPatch):
    renamed = []
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda old, new: (renamed.append(Path(new).name), replace(old, new)))
    for forbidden in ("rename", "renames"):
        monkeypatch.setattr(os, forbidden, None)
    monkeypatch.setattr("storage.replace._put_in_place", None)  # the exchange of folders
    for _ in range(2):
        storage.write_partition(tiny_config, "events", DAY, pa.table({"a": [1]}))
    storage.drop_partition(tiny_config, "events", DAY)
    assert renamed == [storage.MANIFEST] * 2


def test_a_partition_of_an_earlier_version_is_refused(tiny_config: PlatformConfig):
    folder = storage.partition_dir(tiny_config, "events", DAY)
    folder.mkdir(parents=True)
    pa.parquet.write_table(pa.table({"a": [1]}), folder / "part-0.parquet")
    (folder / storage.MANIFEST).write_text('{"rows": 1, "content_hash": "0"}')
    for using in (
        lambda: storage.read_partition(tiny_config, "events", DAY),
        lambda: storage.write_partition(tiny_config, "events", DAY, pa.table({"a": [1]})),
    ):
        with pytest.raises(ValueError, match=r"events/ds=2026-01-02 is of an earlier version .*`make clean`"):
            using()
    assert sorted(path.name for path in folder.iterdir()) == [storage.MANIFEST, "part-0.parquet"]


def test_skipped_days_are_stepped_over_and_named_as_inputs(tiny_config: PlatformConfig):
    days = [date(2026, 1, n) for n in (2, 3, 4, 5)]
    for day, extra in zip(days, ({}, {storage.SKIPPED: "no rows"}, {storage.SKIPPED: "no clicks"}, {}), strict=True):
        storage.write_partition(tiny_config, "events", day, pa.table({"a": [day.day]}), extra=extra)
    assert storage.previous_day(tiny_config, days[3]) == days[0]
    assert storage.days_back(tiny_config, days[3], 30) == [days[0], days[3]]
    assert storage.days_back(tiny_config, days[2], 1) == [days[2]]
    with storage.recorded_reads() as reads:
        storage.previous_day(tiny_config, days[3])
    assert set(reads.partitions) == {f"events/ds={day}" for day in days[1:3]}


def test_the_day_after_a_skipped_one_has_a_snapshot_as_it_begins(tiny_config: PlatformConfig):
    skipped, day = date(2026, 1, 3), date(2026, 1, 4)
    assert storage.snapshot_ends(tiny_config, day) == storage.day_ends(tiny_config, day)
    storage.write_partition(tiny_config, "events", skipped, pa.table({"a": [1]}), extra={storage.SKIPPED: "no rows"})
    starts = storage.day_window(tiny_config, day)[0]
    assert storage.snapshot_ends(tiny_config, day) == [starts, *storage.day_ends(tiny_config, day)]
    assert storage.snapshot_ends(tiny_config, skipped) == storage.day_ends(tiny_config, skipped)


def test_a_dropped_partition_is_gone_and_leaves_nothing(tiny_config: PlatformConfig):
    storage.write_partition(tiny_config, "events", DAY, pa.table({"a": [1]}))
    for _ in range(2):
        storage.drop_partition(tiny_config, "events", DAY)
        assert not storage.has_partition(tiny_config, "events", DAY)
        assert storage.committed_days(tiny_config, "events") == [] and storage.tables_of(tiny_config, DAY) == []
    assert not _versions(tiny_config)


def test_a_drop_begins_with_the_manifest(tiny_config: PlatformConfig, monkeypatch: pytest.MonkeyPatch):
    for number in (1, 2):
        storage.write_partition(tiny_config, "events", DAY, pa.table({"a": [number]}))
    versions = _versions(tiny_config)
    removed = []
    monkeypatch.setattr("storage.lake.Lake.remove", lambda lake, path: removed.append(Path(path).name))
    storage.drop_partition(tiny_config, "events", DAY)
    assert removed == [storage.MANIFEST, *reversed(versions)]


def _versions(config: PlatformConfig) -> list[str]:
    """Returns the names of the folders that lie beside the manifest of `events`, sorted."""
    return sorted(path.name for path in storage.partition_dir(config, "events", DAY).iterdir() if path.is_dir())


def _in_process(config: PlatformConfig, lines: str) -> None:
    with lake_process(config, DAY, lines) as process:
        assert process.wait() == 0
