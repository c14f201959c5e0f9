"""The job commits its results before it decides, and its error line says where to look."""

from datetime import date

import pyarrow.compute as pc
import pytest

import storage
from config import PlatformConfig
from data.sources import source_schema
from jobs import check_quality
from quality.day_quality import quality_passed
from tests.clean_tables import clean_tables, write_tables

DAY = date(2026, 1, 2)


def test_a_clean_day_goes_on_and_a_rerun_replaces_it(tiny_config: PlatformConfig) -> None:
    write_tables(tiny_config, DAY, clean_tables(tiny_config, source_schema(tiny_config), DAY))
    for stage in ("events", "features", "events"):
        result = check_quality.main(tiny_config, day=DAY, stage=stage)
        assert result["passed"] and result["critical_failures"] == result["warnings"] == []
    assert quality_passed(tiny_config, DAY)[0]
    site = storage.docs_dir(tiny_config) / "data_docs"
    assert result["data_docs"] == str(site / "index.html")
    pages = sorted(site.glob("validations/*/*/*/*.html"))
    assert [page.parts[-4] for page in pages] == [
        f"{table}_{part}"
        for table in ("events", "examples", "item_activity", "user_activity")
        for part in ("profile", "rows")
    ]
    index = (site / "index.html").read_text()
    for page in pages:
        assert str(page.relative_to(site)) in index
    for page in (*pages, site / "index.html"):  # readable without a network, and nothing is told to anybody
        assert "src=" not in page.read_text()
        assert "stylesheet" not in page.read_text()


def test_a_bad_day_is_recorded_and_stops(tiny_config: PlatformConfig) -> None:
    tables = clean_tables(tiny_config, source_schema(tiny_config), DAY)
    events = tables["events"]
    position = events.column_names.index("label")
    spoilt = events.set_column(position, events.schema.field("label"), pc.add(events["label"], 1).cast("int32"))
    write_tables(tiny_config, DAY, {"events": spoilt})
    with pytest.raises(check_quality.QualityError) as error:
        check_quality.main(tiny_config, day=DAY, stage="events")
    message = str(error.value)
    assert "\n" not in message
    assert "label is 0 or 1" in message
    assert "expect_column_values_to_be_in_set label" in message
    assert f"quarantine/ds={DAY}" in message
    assert str(storage.docs_dir(tiny_config) / "data_docs" / "index.html") in message
    rows = storage.read_partition(tiny_config, "gate_results_events", DAY).to_pylist()
    assert {row["column"] for row in rows if not row["success"]} == {"label", "click_rate"}
    assert not quality_passed(tiny_config, DAY)[0]
    assert "label is 0 or 1" in (storage.docs_dir(tiny_config) / "data_docs" / "index.html").read_text()


def test_an_unknown_stage_is_named(tiny_config: PlatformConfig) -> None:
    with pytest.raises(ValueError, match="unknown stage 'labels'; known: events, features"):
        check_quality.main(tiny_config, day=DAY, stage="labels")


def test_a_day_that_was_not_ingested_says_so(tiny_config: PlatformConfig) -> None:
    with pytest.raises(storage.PartitionMissing, match="run the job that writes it first"):
        check_quality.main(tiny_config, day=DAY, stage="events")


@pytest.mark.parametrize(
    ("day", "hint"),
    [
        (
            date(2026, 1, 3),
            r"run the day again; or, as the day is empty \(no clicks among 120 rows\).*synthetic.empty_day: skip",
        ),
        (DAY, "the first day cannot be skipped"),
    ],
)
def test_an_empty_day_stops_with_the_setting_that_skips_it(tiny_config: PlatformConfig, day: date, hint: str) -> None:
    events = clean_tables(tiny_config, source_schema(tiny_config), day)["events"]
    position = events.column_names.index("label")
    none = events.set_column(position, events.schema.field("label"), pc.multiply(events["label"], 0).cast("int32"))
    extra = {"raw_rows": none.num_rows, "quarantined": {}, "empty": "no clicks among 120 rows"}
    storage.write_partition(tiny_config, "events", day, none, extra=extra)
    with pytest.raises(check_quality.QualityError, match=hint):
        check_quality.main(tiny_config, day=day, stage="events")


def test_a_day_of_one_instant_stops_at_the_gate(tiny_config: PlatformConfig) -> None:
    events = clean_tables(tiny_config, source_schema(tiny_config), DAY)["events"]
    position = events.column_names.index("event_timestamp")
    instants = events["event_timestamp"].slice(0, 1).combine_chunks().take([0] * events.num_rows)
    one = events.set_column(position, events.schema.field("event_timestamp"), instants)
    storage.write_partition(tiny_config, "events", DAY, one, extra={"raw_rows": one.num_rows, "quarantined": {}})
    with pytest.raises(check_quality.QualityError, match="Instants of the day"):
        check_quality.main(tiny_config, day=DAY, stage="events")


def test_a_day_is_compared_with_the_last_one_not_skipped(tiny_config: PlatformConfig) -> None:
    for day in (DAY, date(2026, 1, 4)):
        write_tables(tiny_config, day, clean_tables(tiny_config, source_schema(tiny_config), day))
    nothing = storage.read_partition(tiny_config, "events", DAY).slice(0, 0)
    extra = {"raw_rows": 0, "quarantined": {}, storage.SKIPPED: "no rows"}
    storage.write_partition(tiny_config, "events", date(2026, 1, 3), nothing, extra=extra)
    check_quality.main(tiny_config, day=date(2026, 1, 4), stage="events")
    manifest = storage.read_manifest(tiny_config, "gate_results_events", date(2026, 1, 4))
    assert f"events/ds={DAY}" in manifest["inputs"]
    rows = storage.read_partition(tiny_config, "gate_results_events", date(2026, 1, 4)).to_pylist()
    assert {row["success"] for row in rows if "over_previous" in row["column"]} == {True}
    assert len([row for row in rows if "over_previous" in row["column"]]) == 2
