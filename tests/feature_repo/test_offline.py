"""Feast reads whole committed days, each once, also when one is run again."""

from datetime import UTC, date, datetime
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from feast import FeatureStore, Field
from feast.infra.offline_stores.offline_store import RetrievalJob
from feast.types import Array, Bytes, String

import storage
from config import PlatformConfig
from data.schema import FEATURE_SERVICE, TIMESTAMP
from data.sources import source_schema
from feature_repo.offline import link_snapshots
from feature_repo.store import open_store, register
from storage.tables import VIEWS

DAYS = [date(2026, 1, 2), date(2026, 1, 3)]
AT = datetime(2026, 1, 4, tzinfo=UTC)  # the end of the last
USERS, ITEMS = ["anna", "ben", "carl"], ["x", "y"]


@pytest.fixture
def config(tiny_config: PlatformConfig) -> PlatformConfig:
    """Two days whose every feature is 1, registered."""
    store = open_store(tiny_config)
    register(store, tiny_config, source_schema(tiny_config))
    for day in DAYS:
        _run(tiny_config, day, number=1)
    _register(tiny_config)
    return tiny_config


def test_a_day_that_is_run_again_is_neither_doubled_nor_mixed(config: PlatformConfig) -> None:
    for number in (2, 3):
        before = number - 1
        for table in VIEWS:
            _run(config, DAYS[1], number=number, tables=[table])
            assert _numbers(open_store(config)) == {before}  # of all views, as they were registered
        _register(config)
        assert _numbers(open_store(config)) == {number}
        rows = _rows(open_store(config))
        assert rows == {table: len(DAYS) * len(_ids(table)) for table in VIEWS}


def test_a_day_that_is_gone_is_served_until_the_next_is_registered(config: PlatformConfig) -> None:
    _run(config, DAYS[0], number=9)
    storage.drop_partition(config, "user_activity", DAYS[1])
    assert _numbers(open_store(config)) == {1}
    _register(config)
    assert _rows(open_store(config))["user_activity"] == len(USERS)


def test_a_query_that_began_before_reads_on(config: PlatformConfig) -> None:
    asked = _asked(open_store(config))
    _run(config, DAYS[1], number=2)
    _run(config, DAYS[1], number=3)  # what was registered is gone from the lake
    assert _found(asked) == {1}
    _register(config)
    assert _found(asked) == {1} and _numbers(open_store(config)) == {3}
    _register(config)
    with pytest.raises(duckdb.IOException, match="No files found"):  # rather than a part of them
        _found(asked)


def test_the_files_of_a_set_are_links(config: PlatformConfig) -> None:
    file = storage.partition_folder(config, "user_activity", DAYS[0]) / "part-0.parquet"
    links = file.stat().st_nlink
    folder = link_snapshots(config, ["user_activity"])
    assert file.stat().st_nlink == links + 1
    assert {p.stat().st_ino for p in folder.rglob("*.parquet")} > {file.stat().st_ino}


def test_files_that_cannot_be_linked_are_copied(config: PlatformConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError("Invalid cross-device link")

    monkeypatch.setattr("os.link", refuse)
    _run(config, DAYS[1], number=2)
    _register(config)
    assert _numbers(open_store(config)) == {2}


def test_two_sets_are_kept_and_what_fails_to_be_registered_costs_none_that_is(
    config: PlatformConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        _register(config)
        assert len(list(storage.offline_dir(config).iterdir())) == 2
    with monkeypatch.context() as broken:
        broken.setattr(FeatureStore, "apply", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
        for _ in range(3):
            with pytest.raises(OSError, match="disk full"):
                _register(config)
    asked = _asked(open_store(config))
    _register(config)
    assert _found(asked) == {1}
    assert len(list(storage.offline_dir(config).iterdir())) == 2


def _run(config: PlatformConfig, day: date, *, number: int, tables: tuple[str, ...] | list[str] = VIEWS) -> None:
    """Commits a day's snapshots, every feature of which is a number; two files each."""
    at = storage.day_ends(config, day)[-1]
    for view in open_store(config).list_feature_views():
        if view.name in tables:
            (key,) = view.join_keys
            ids = _ids(view.name)
            columns: dict[str, Any] = {key: pa.array(ids)}
            columns |= {name: pa.array([at] * len(ids), TIMESTAMP) for name in ("event_timestamp", "created_timestamp")}
            columns |= {field.name: pa.array([_value(field, number)] * len(ids)) for field in view.features}
            rows = pa.table(columns)
            with storage.commit_partition(config, view.name, day) as folder:
                pa.parquet.write_table(rows.slice(0, 1), folder / "part-0.parquet")
                pa.parquet.write_table(rows.slice(1), folder / "part-1.parquet")


def _register(config: PlatformConfig) -> None:
    register(open_store(config), config, source_schema(config))


def _value(field: Field, number: int) -> Any:
    if field.dtype == Bytes:
        return str(number).encode()
    if isinstance(field.dtype, Array):
        return [str(number) if field.dtype.base_type == String else number]
    return str(number) if field.dtype == String else number


def _numbers(store: FeatureStore) -> set[int]:
    """Returns the numbers that Feast finds in all features of every user and item, as the last day ends."""
    return _found(_asked(store))


def _asked(store: FeatureStore) -> RetrievalJob:
    asked = pd.DataFrame({"user_id": USERS, "item_id": (ITEMS * 2)[: len(USERS)], "event_timestamp": AT})
    service = store.get_feature_service(FEATURE_SERVICE)
    return store.get_historical_features(asked, service, filter_by_created_timestamp=True)


def _found(asked: RetrievalJob) -> set[int]:
    found = asked.to_arrow()
    assert found.num_rows == len(USERS)
    found = found.drop_columns(["user_id", "item_id", "event_timestamp"])
    cells = {cell for name in found.column_names for cell in map(str, found[name].to_pylist())}
    return {int(float(cell.strip("b'[]\""))) for cell in cells}


def _rows(store: FeatureStore) -> dict[str, int]:
    """Returns the rows of each view's source, as DuckDB reads it for Feast."""
    return {v.name: len(duckdb.read_parquet(v.batch_source.path)) for v in store.list_feature_views()}


def _ids(view: str) -> list[str]:
    return USERS if view.startswith("user") else ITEMS
