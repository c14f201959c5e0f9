"""Partitions are committed and read alike in a folder and in a bucket."""

import os
import shutil
import signal
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
from pyarrow.fs import FileSelector, FileSystem, FileType

import storage
from config import PlatformConfig
from tests.lake_process import lake_process

DAY, NEXT = date(2026, 1, 2), date(2026, 1, 3)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """An S3 server of this machine; its host and port."""
    moto = pytest.importorskip("moto.server", reason="no moto here: `make install` brings it")
    running = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    yield ":".join(map(str, running.get_host_and_port()))
    running.stop()


@pytest.fixture
def bucket(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a bucket of its own."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    name = "lake-" + "".join(letter for letter in tmp_path.name.lower() if letter.isalnum())[-40:]
    of_server = f"?endpoint_override={server}&scheme=http&region=us-east-1"
    FileSystem.from_uri(f"s3://{name}{of_server}&allow_bucket_creation=true")[0].create_dir(name)
    return f"s3://{name}/some/folder{of_server}"


@pytest.fixture(params=["folder", "bucket"])
def config(tiny_config: PlatformConfig, request: pytest.FixtureRequest) -> PlatformConfig:
    if request.param == "folder":
        return tiny_config
    return tiny_config.changed(storage={"lake": request.getfixturevalue("bucket")})


def test_a_partition_is_committed_read_replaced_and_dropped(config: PlatformConfig) -> None:
    assert storage.committed_days(config, "events") == [] and storage.tables_of(config, DAY) == []
    for number in range(3):
        rows = pa.table({"a": [number], "b": ["x"]})
        storage.write_partition(config, "events", DAY, rows, extra={"number": number})
        storage.write_partition(config, "events", NEXT, rows)
        assert storage.read_partition(config, "events", DAY, columns=["a"]) == rows.select(["a"])
        assert storage.dataset(config, "events", [DAY, NEXT]).count_rows() == 2
        assert [f.name for f in storage.partition_folder(config, "events", DAY).iterdir()] == ["part-0.parquet"]
    assert storage.read_manifest(config, "events", DAY)["extra"] == {"number": 2}
    assert storage.committed_days(config, "events") == [DAY, NEXT] and storage.tables_of(config, DAY) == ["events"]
    assert len(_versions(config)) == 2
    storage.drop_partition(config, "events", DAY)
    storage.drop_partition(config, "events", DAY)
    assert storage.committed_days(config, "events") == [NEXT] and _versions(config) == []
    with pytest.raises(storage.PartitionMissing, match=r"table events has no .*events/ds=2026-01-02\); run the job"):
        storage.read_partition(config, "events", DAY)


def test_the_same_rows_have_the_same_hash_wherever_they_lie(tiny_config: PlatformConfig, bucket: str) -> None:
    hashes = set()
    for lake in ("", bucket):
        of = tiny_config.changed(storage={"lake": lake})
        storage.write_partition(of, "events", DAY, pa.table({"a": [1, 2]}))
        hashes.add(storage.read_manifest(of, "events", DAY)["content_hash"])
    assert len(hashes) == 1


def test_a_failed_write_leaves_the_old_partition_and_nothing_else(config: PlatformConfig) -> None:
    storage.write_partition(config, "events", DAY, pa.table({"a": [1]}))
    before = _versions(config)
    with pytest.raises(OSError, match="disk full"), storage.commit_partition(config, "events", DAY) as folder:
        (folder / "part-0.parquet").write_bytes(b"half")
        raise OSError("disk full")
    assert storage.read_partition(config, "events", DAY)["a"].to_pylist() == [1] and _versions(config) == before


def test_a_folder_of_many_files_is_had_where_it_was_not_written(config: PlatformConfig) -> None:
    """As models are: a file in a folder of the partition."""
    with storage.commit_partition(config, "models", DAY) as folder:
        (folder / "model").mkdir()
        (folder / "model" / "weights").write_bytes(b"1" * 1000)
        (folder / "state").write_bytes(b"2")
    if config.storage.lake:
        shutil.rmtree(storage.copies_dir(config))  # another machine has none
    for _ in range(2):
        folder = storage.partition_folder(config, "models", DAY)
        assert sorted(str(p.relative_to(folder)) for p in folder.rglob("*")) == ["model", "model/weights", "state"]
        assert (folder / "model" / "weights").read_bytes() == b"1" * 1000


def test_an_object_that_is_replaced_while_it_is_read_is_read_again(
    tiny_config: PlatformConfig, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config.changed(storage={"lake": bucket})
    storage.write_partition(config, "events", DAY, pa.table({"a": [1]}))
    get = storage.lake.Lake.get

    cut = iter([-7])  # of the new object, as much as the old one was long

    def cut_once(lake: storage.lake.Lake, path: str) -> bytes | None:
        content = get(lake, path)
        return content and content[: next(cut, None)]

    monkeypatch.setattr(storage.lake.Lake, "get", cut_once)
    assert storage.read_manifest(config, "events", DAY)["rows"] == 1


def test_copies_of_old_versions_are_removed(tiny_config: PlatformConfig, bucket: str) -> None:
    config = tiny_config.changed(storage={"lake": bucket})
    for number in range(4):
        storage.write_partition(config, "events", DAY, pa.table({"a": [number]}))
    copies = storage.copies_dir(config)
    assert sorted(copy.name for copy in (copies / "events" / f"ds={DAY}").iterdir()) == _versions(config)
    assert not list((copies / "_staging").iterdir())


def test_a_reader_beside_a_writer_sees_whole_partitions(config: PlatformConfig) -> None:
    storage.write_partition(config, "events", DAY, pa.table({"a": [-1] * 100}))
    writing = """
for number in range(15):
    with storage.commit_partition(config, "events", DAY) as folder:
        for part in range(2):
            pa.parquet.write_table(pa.table({"a": [number] * 50}), folder / f"part-{part}.parquet")
"""
    seen = []
    with lake_process(config, DAY, writing) as writer:
        while writer.poll() is None:
            rows = storage.read_partition(config, "events", DAY)["a"].to_pylist()
            assert len(rows) == 100 and len(set(rows)) == 1
            seen.append(rows[0])
    assert writer.returncode == 0 and seen == sorted(seen) and len(set(seen)) > 1
    assert len(_versions(config)) == 2


def test_a_killed_writer_leaves_the_old_partition_and_its_rest_is_removed(config: PlatformConfig) -> None:
    storage.write_partition(config, "events", DAY, pa.table({"a": [1]}))
    writing = """
def put(*_):
    print("all but the manifest", flush=True)
    time.sleep(60)
storage.lake.FolderLake.put = storage.lake.S3Lake.put = put
storage.write_partition(config, "events", DAY, pa.table({"a": [2]}))
"""
    with lake_process(config, DAY, writing) as writer:
        assert writer.stdout and writer.stdout.readline() == "all but the manifest\n"
        os.kill(writer.pid, signal.SIGKILL)
    assert storage.read_partition(config, "events", DAY)["a"].to_pylist() == [1] and len(_versions(config)) == 2
    with storage.commit_partition(config, "events", DAY):
        assert len(_versions(config)) == 1 + (not config.storage.lake)  # the new one is not yet in the bucket


@pytest.mark.parametrize(
    ("address", "told"),
    [("s3:///x", "Missing bucket name"), ("s3://lake/x?speed=1", "Unexpected query parameter"), ("s3://a b/x", "URI")],
)
def test_an_address_that_cannot_be_opened_is_named(tiny_config: PlatformConfig, address: str, told: str) -> None:
    config = tiny_config.changed(storage={"lake": address})
    with pytest.raises(ValueError, match=rf"storage.lake 's3://.*' cannot be opened .*{told}"):
        storage.has_partition(config, "events", DAY)


def test_a_lake_is_a_folder_or_a_bucket(tiny_config: PlatformConfig) -> None:
    with pytest.raises(ValueError, match=r"storage\.lake"):
        tiny_config.changed(storage={"lake": "/mnt/lake"})


def _versions(config: PlatformConfig) -> list[str]:
    """Returns the names of the versions of `events` that are in the lake, sorted."""
    lake = storage.lake.lake_of(config)
    found = lake.files.get_file_info(FileSelector(lake.full(f"events/ds={DAY}"), allow_not_found=True))
    return sorted(info.base_name for info in found if info.type is FileType.Directory)
