import json
from datetime import date

import polars as pl
import pyarrow as pa
import pytest
import yaml

import storage
from config import ROOT, ColumnMapping, Source, Vertical, load_config
from data.sources import source_schema
from jobs import ingest
from jobs.__main__ import main as run

BOOT, DAY = date(2026, 1, 1), date(2026, 1, 2)
GOOD = {
    "id": "i0",
    "time": "2026-01-02T12:00:00",
    "user": "u",
    "ad": "a",
    "clicked": "1",
    "surface": "feed",
    "price": "2",
}


@pytest.fixture
def own_log(tmp_path):
    """A function from rows, in the user's own columns, to a config whose day DAY has exactly those rows."""

    def make(rows: list[dict] | pl.DataFrame, suffix: str = "csv", verticals: dict | None = None):
        folder = tmp_path / "mine"
        folder.mkdir(exist_ok=True)
        frame = rows if isinstance(rows, pl.DataFrame) else pl.DataFrame(rows, infer_schema_length=None)
        path = folder / f"events-{DAY}.{suffix}"
        frame.write_csv(path) if suffix == "csv" else frame.write_parquet(path)
        source = Source(
            path=str(folder),
            first_day=BOOT,
            last_day=date(2026, 1, 9),
            bootstrap_days=1,
            verticals=verticals or {"feed": Vertical(column="surface", values=["feed"]), "rest": Vertical()},
            columns=ColumnMapping(
                impression_id="id",
                event_timestamp="time",
                user_id="user",
                item_id="ad",
                label="clicked",
                item_dense=["price"],
                context_categorical=["surface"],
            ),
        )
        stored = {"root": str(tmp_path / "state")}
        return load_config().changed(data_source="mine", sources={"mine": source}, storage=stored)

    return make


def table(config, name, day=DAY):
    return pl.from_arrow(storage.read_partition(config, name, day))


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"price": "dear"}, "wrong type: price"),
        ({"time": "noon"}, "wrong type: event_timestamp"),
        ({"user": None}, "null user_id"),
        ({"id": "i0"}, "duplicate impression_id"),
        ({"clicked": "3"}, "label is not 0 or 1"),
        ({"time": "2026-01-03T00:00:00"}, "timestamp outside the day"),
        ({"price": "inf"}, "not finite: price"),
    ],
)
def test_a_bad_row_goes_to_quarantine_with_its_reason(own_log, change, reason, suffix):
    config = own_log([GOOD, {**GOOD, "id": "i1"} | change, {**GOOD, "id": "i2"}], suffix)
    result = ingest.main(config, day=DAY)
    assert (result["rows"], result["raw_rows"], result["quarantined"]) == (2, 3, {reason: 1})
    assert table(config, "events")["impression_id"].to_list() == ["i0", "i2"]
    bad = table(config, "quarantine")
    assert bad["reason"].to_list() == [reason]
    raw = {**GOOD, "id": "i1"} | change
    assert bad.select("impression_id", "event_timestamp", "user_id", "label", "price").row(0) == (
        raw["id"],
        raw["time"],
        raw["user"],
        raw["clicked"],
        raw["price"],
    )
    manifest = storage.read_manifest(config, "events", DAY)
    assert manifest["extra"] == {"raw_rows": 3, "quarantined": {reason: 1}}


def test_a_missing_column_quarantines_the_whole_day(own_log):
    config = own_log(pl.DataFrame([GOOD, {**GOOD, "id": "i1"}]).drop("clicked"))
    result = ingest.main(config, day=DAY)
    assert result["rows"] == 0 and result["label_rate"] is None
    assert result["quarantined"] == {"missing column: label": 2}
    assert table(config, "events").is_empty()


def test_an_empty_day_commits_empty_tables(own_log):
    config = own_log([GOOD])
    for day in (BOOT, date(2026, 1, 3)):
        result = ingest.main(config, day=day)
        assert (result["rows"], result["raw_rows"], result["quarantined"]) == (0, 0, {})
        schema = storage.read_partition(config, "events", day).schema
        assert schema.names[:6] == ["impression_id", "event_timestamp", "user_id", "item_id", "vertical", "label"]
        assert table(config, "quarantine", day).is_empty()


def test_rows_without_a_vertical_are_quarantined(own_log):
    only_feed = {"feed": Vertical(column="surface", values=["feed"])}
    config = own_log(
        [GOOD, {**GOOD, "id": "i1", "surface": "search"}, {**GOOD, "id": "i2", "price": "x"}], "csv", only_feed
    )
    result = ingest.main(config, day=DAY)
    assert result["quarantined"] == {"no vertical takes this row": 1, "wrong type: price": 1}
    assert result["verticals"] == {"feed": 1}
    bad = table(config, "quarantine").sort("impression_id")
    assert bad["impression_id"].to_list() == ["i1", "i2"]
    assert bad["surface"].to_list() == ["search", "feed"]


def test_a_vertical_on_an_unknown_column_stops_the_job(own_log):
    config = own_log([GOOD], "csv", {"feed": Vertical(column="tab", values=["1"])})
    with pytest.raises(ValueError, match=r"verticals.feed.column is 'tab'.*surface"):
        ingest.main(config, day=DAY)
    assert not storage.has_partition(config, "events", DAY)


def test_events_are_sorted_and_in_the_common_types(own_log):
    times = ["2026-01-02T03:00:00", "2026-01-02T01:00:00", "2026-01-02T03:00:00"]
    config = own_log([{**GOOD, "id": f"i{9 - n}", "time": time} for n, time in enumerate(times)])
    ingest.main(config, day=DAY)
    events = storage.read_partition(config, "events", DAY)
    assert events["impression_id"].to_pylist() == ["i8", "i7", "i9"]
    assert events.schema.equals(source_schema(config).events())


def test_a_second_run_gives_the_same_bytes(tiny_config):
    hashes = []
    for _ in range(2):
        result = ingest.main(tiny_config, day=date(2026, 1, 3))
        manifests = [storage.read_manifest(tiny_config, name, date(2026, 1, 3)) for name in ("events", "quarantine")]
        hashes.append([manifest["content_hash"] for manifest in manifests])
    assert result["rows"] == 600
    assert hashes[0] == hashes[1]


def test_a_day_outside_the_log_is_refused(tiny_config):
    with pytest.raises(ValueError, match=r"2025-12-31 is outside the log of synthetic"):
        ingest.main(tiny_config, day=date(2025, 12, 31))


def test_the_command_prints_its_result_as_json(tmp_path, capsys, monkeypatch):
    tree = yaml.safe_load((ROOT / "platform.yaml").read_text())
    tree["data_source"] = "synthetic"
    tree["sources"]["synthetic"]["events_per_day"] = 300
    tree["storage"]["root"] = str(tmp_path / "state")
    (tmp_path / "platform.yaml").write_text(yaml.safe_dump(tree))
    monkeypatch.delenv("HEADWATER_SOURCE", raising=False)
    monkeypatch.delenv("HEADWATER_DATA_PATH", raising=False)
    assert run(["ingest", "--day", "2026-01-04", "--config", str(tmp_path / "platform.yaml")]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["rows"] == 300 and sum(result["verticals"].values()) == 300


def skipping(config):
    return config.changed(sources={"mine": {"empty_day": "skip"}})


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (
            [GOOD | {"id": f"i{n}", "clicked": "0", "time": f"2026-01-02T0{n}:00:00"} for n in range(3)],
            "no clicks among 3",
        ),
        ([GOOD | {"id": f"i{n}", "time": f"2026-01-02T0{n}:00:00"} for n in range(3)], "nothing but clicks among 3"),
        ([GOOD | {"id": f"i{n}", "clicked": str(n % 2)} for n in range(3)], "all 3 rows are of one instant"),
    ],
)
def test_an_empty_day_is_skipped_where_the_source_says_so(own_log, rows, reason):
    config = own_log(rows)
    assert "skipped" not in ingest.main(config, day=DAY) and storage.skip_reason(config, DAY) is None
    storage.write_partition(config, "examples", DAY, pa.table({"a": [1]}))  # an earlier run's, when there was more
    assert f"sources.mine.empty_day says: {reason}" in ingest.main(skipping(config), day=DAY)["skipped"]
    assert reason in storage.skip_reason(config, DAY)
    assert storage.tables_of(config, DAY) == ["events", "quarantine"]
    assert storage.day_status(config, DAY) == "done"
    ingest.main(config, day=DAY)  # the source has changed its mind
    assert storage.day_status(config, DAY) == "partial"


def test_a_day_with_both_labels_is_not_skipped(own_log):
    rows = [GOOD | {"id": f"i{n}", "clicked": str(n % 2), "time": f"2026-01-02T0{n}:00:00"} for n in range(3)]
    assert "skipped" not in ingest.main(skipping(own_log(rows)), day=DAY)


def test_the_first_day_is_never_skipped(own_log):
    config = skipping(own_log([GOOD]))
    assert "skipped" not in ingest.main(config, day=BOOT) and storage.skip_reason(config, BOOT) is None


def test_a_day_that_is_empty_as_its_rows_are_bad_is_not_skipped(own_log):
    config = skipping(own_log([GOOD | {"id": f"i{n}", "clicked": "3"} for n in range(3)]))
    assert "skipped" not in ingest.main(config, day=DAY)
