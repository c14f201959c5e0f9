"""The job on landed days: tables as promised, the same again on a second run, and equal to the naive computation."""

import os
import shutil
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyspark.sql import SparkSession

import storage
from config import PlatformConfig, load_config
from data.features import transforms
from data.schema import HISTORY_COLUMNS
from data.sources import source_schema
from jobs import check_quality, extract_features, ingest
from tests.naive_features import naive_activity, naive_example, plain

TABLES = ("user_activity", "item_activity", "examples")


@pytest.fixture
def landed(tiny_config: PlatformConfig, spark: SparkSession) -> PlatformConfig:
    """The synthetic log with its bootstrap day and the day after."""
    bootstrap = tiny_config.source.bootstrap_day
    for day in (bootstrap, bootstrap + timedelta(days=1)):
        ingest.main(tiny_config, day=day)
    return tiny_config


def check_against_naive(config: PlatformConfig, day: date, *, num_rows: int) -> None:
    """Compares rows of each table, drawn by chance, with their naive computation."""
    schema, features = source_schema(config), config.features
    events = storage.dataset(config, "events", storage.days_back(config, day, features.history_days)).to_table()
    rng = np.random.default_rng(0)

    def drawn(table: str) -> list[dict]:
        rows = storage.read_partition(config, table, day)
        assert len(rows)
        return rows.take(rng.choice(len(rows), min(num_rows, len(rows)), replace=False)).to_pylist()

    for row in drawn("examples"):
        related = pc.or_(pc.equal(events["user_id"], row["user_id"]), pc.equal(events["item_id"], row["item_id"]))
        expected = naive_example(row, events.filter(related).to_pylist(), schema, features)
        assert plain([row]) == plain([expected])
    for entity in ("user", "item"):
        key = f"{entity}_id"
        for row in drawn(f"{entity}_activity"):
            own = events.filter(pc.equal(events[key], row[key])).to_pylist()
            assert plain([row]) == plain(naive_activity(entity, [row["event_timestamp"]], own, schema, features))


def test_a_landed_day_becomes_three_tables(landed: PlatformConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    bootstrap = landed.source.bootstrap_day
    day = bootstrap + timedelta(days=1)
    result = extract_features.main(landed, day=bootstrap)
    monkeypatch.setattr(extract_features, "ROWS_PER_FILE", 200)  # 600 events: three files
    assert extract_features.main(landed, day=day)["rows"].keys() == set(TABLES)

    events = storage.read_partition(landed, "events", day)
    files = sorted(storage.partition_folder(landed, "examples", day).glob("*.parquet"))
    assert [file.name for file in files] == [f"part-0000{n}.parquet" for n in range(3)]
    rows = storage.read_partition(landed, "examples", day)
    order = ["event_timestamp", "impression_id"]
    assert rows.select(order).equals(events.select(order)), "every event once, in the order of events"

    schema, windows = source_schema(landed), landed.features.windows_days
    assert rows.schema.names == [
        *schema.events().names,
        *schema.user_counts(windows),
        *schema.item_counts(windows),
        *schema.cross_counts(),
        *HISTORY_COLUMNS,
    ]
    for field in [*schema.events(), *pa.schema(HISTORY_COLUMNS)]:
        assert rows.schema.field(field.name).type == field.type
    assert all(rows.schema.field(name).type == pa.float32() for name in schema.cross_counts())

    manifest = storage.read_manifest(landed, "examples", day)
    hashes = {d: storage.read_manifest(landed, "events", d)["content_hash"] for d in (bootstrap, day)}
    assert manifest["inputs"] == {f"events/ds={one}": found for one, found in hashes.items()}

    ends = storage.day_ends(landed, bootstrap)
    snapshots = storage.read_partition(landed, "user_activity", bootstrap)
    assert sorted(set(snapshots["event_timestamp"].to_pylist())) == ends and len(ends) == 2
    assert len(snapshots) == result["rows"]["user_activity"]
    for checked in (bootstrap, day):
        check_against_naive(landed, checked, num_rows=15)


def test_features_know_their_whole_windows_across_a_day_of_23_hours(
    tiny_config: PlatformConfig, spark: SparkSession
) -> None:
    window = {"first_day": date(2026, 3, 26), "bootstrap_days": 1, "time_zone": "Europe/Berlin"}
    features = {"windows_days": [1, 2], "history_days": 2}
    config = tiny_config.changed(sources={"synthetic": window}, features=features)
    days = [date(2026, 3, n) for n in range(26, 31)]  # the clocks go forward on the 29th
    for day in days:
        ingest.main(config, day=day)
    for day in days[3:]:
        extract_features.main(config, day=day)
    for stage in ("events", "features"):
        check_quality.main(config, day=days[3], stage=stage)

    schema, events = source_schema(config), storage.dataset(config, "events", days).to_table()
    start, end = storage.day_window(config, days[-1])
    early = storage.dataset(config, "examples", [days[-1]]).to_table(
        filter=pc.field("event_timestamp") < start + timedelta(hours=1)
    )
    assert len(early) > 10
    for row in early.to_pylist():
        assert plain([row]) == plain([naive_example(row, events.to_pylist(), schema, config.features)])
    for entity in ("user", "item"):
        snapshot = storage.read_partition(config, f"{entity}_activity", days[-1])
        assert set(snapshot["event_timestamp"].to_pylist()) == {end}
        of_entity = pc.field(f"{entity}_id") == snapshot[f"{entity}_id"][0]
        (row,) = snapshot.filter(of_entity).to_pylist()
        assert plain([row]) == plain(
            naive_activity(entity, [end], events.filter(of_entity).to_pylist(), schema, config.features)
        )


def test_a_storage_path_is_a_name_and_no_pattern(landed: PlatformConfig, tmp_path: Path) -> None:
    day, odd = landed.source.bootstrap_day, landed.changed(storage={"root": str(tmp_path / "log[12] {a,b} %20*?")})
    shutil.copytree(storage.source_root(landed), storage.source_root(odd))
    assert extract_features.main(odd, day=day)["rows"] == extract_features.main(landed, day=day)["rows"]


def test_a_second_run_gives_the_same_bytes(landed: PlatformConfig) -> None:
    day = landed.source.bootstrap_day
    hashes = []
    for _ in range(2):
        extract_features.main(landed, day=day)
        hashes.append([storage.read_manifest(landed, table, day)["content_hash"] for table in TABLES])
    assert hashes[0] == hashes[1]


def test_an_empty_day_gives_empty_tables_with_all_columns(tiny_config: PlatformConfig, spark: SparkSession) -> None:
    day = tiny_config.source.bootstrap_day
    schema = source_schema(tiny_config)
    storage.write_partition(tiny_config, "events", day, schema.events().empty_table())
    result = extract_features.main(tiny_config, day=day)
    assert result["rows"] == dict.fromkeys(TABLES, 0)
    features = tiny_config.features
    expected = {
        "user_activity": transforms.activity_columns("user", schema, features),
        "item_activity": transforms.activity_columns("item", schema, features),
        "examples": transforms.examples_columns(schema, features),
    }
    for table, columns in expected.items():
        assert storage.read_partition(tiny_config, table, day).schema.equals(columns)


def test_a_missing_earlier_day_is_named(tiny_config: PlatformConfig) -> None:
    bootstrap = tiny_config.source.bootstrap_day
    day = bootstrap + timedelta(days=1)
    storage.write_partition(tiny_config, "events", day, source_schema(tiny_config).events().empty_table())
    with pytest.raises(storage.PartitionMissing, match=f"events has no committed partition ds={bootstrap}"):
        extract_features.main(tiny_config, day=day)
    assert not storage.has_partition(tiny_config, "examples", day)


@pytest.mark.kuairand
def test_real_impressions(tmp_path: Path, spark: SparkSession) -> None:
    path = os.environ.get("KUAIRAND_PATH")
    if not path:
        pytest.skip("set KUAIRAND_PATH to the folder of the KuaiRand files")
    config = load_config().changed(
        data_source="kuairand",
        sources={"kuairand": {"path": path, "bootstrap_days": 2}},
        storage={"root": str(tmp_path)},
    )
    bootstrap_day = config.source.bootstrap_day
    day = bootstrap_day + timedelta(days=1)
    for landed_day in (bootstrap_day, day):
        ingest.main(config, day=landed_day)
    extract_features.main(config, day=day)
    check_against_naive(config, day, num_rows=30)
