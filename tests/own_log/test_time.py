"""Timestamps in every usual form, and a day without rows that says where the rows are."""

import polars as pl
import pytest

import storage
from data.empty_day import EMPTY
from tests.newcomers_log import DAYS, NEVER, frame, line

NOON = 1772539200  # 2026-03-03 12:00 UTC


@pytest.mark.parametrize("scale", [1, 10**3, 10**6, 10**9])
def test_whole_numbers_since_1970_are_read_by_their_size(log, scale):
    log.write_table("log.parquet", frame({"id": "a", "ts": NOON * scale}))
    log.write("log.csv", line("b", ts=NOON * scale))
    log.write_table("float.parquet", frame({"id": "c", "ts": float(NOON * scale)}))
    assert log.ingest()["quarantined"] == {}
    assert set(log.table("events")["event_timestamp"].dt.epoch("us")) == {NOON * 10**6} and len(log.ids()) == 3


def test_nanoseconds_keep_their_microsecond(log):
    log.write_table("log.parquet", frame({"id": "a", "ts": NOON * 10**9 + 123_457_999}))
    log.write("log.csv", line("b", ts=NOON * 10**9 + 123_457_999))
    log.ingest()
    assert set(log.table("events")["event_timestamp"].dt.epoch("us")) == {NOON * 10**6 + 123_457}


def test_a_date_without_dashes_is_its_midnight(log):
    log.write_table("log.parquet", frame({"id": "a", "ts": 20260303}))
    log.write("log.csv", line("b", ts="20260303"))
    assert log.ingest()["quarantined"] == {}
    assert log.table("events")["event_timestamp"].dt.strftime("%F %T").to_list() == ["2026-03-03 00:00:00"] * 2


def test_rows_outside_the_log_are_counted_with_their_span(log, caplog):
    log.write("log.csv", line("a", ts="2026-02-01 08:00:00"), line("b", ts="2027-03-02 09:00:00"))
    log.ingest()
    said = "2 rows lie outside the log, from 2026-02-01 08:00:00+00:00 to 2027-03-02 09:00:00+00:00"
    assert said in caplog.text
    assert storage.read_manifest(log.config, "events", DAYS[3])["extra"][EMPTY] == f"no rows: {said}"


def test_a_day_without_rows_says_where_the_rows_are(log):
    log.write("log.csv", line("a", ts="2026-03-04 08:00:00"))
    log.ingest()
    reason = storage.read_manifest(log.config, "events", DAYS[3])["extra"][EMPTY]
    assert reason.startswith("no rows: the log's rows are of 2026-03-04 08:00:00")


def test_a_day_without_files_says_of_which_days_they_are(log):
    log.write("export_2026-03-06.csv", line("a", day=6))
    log.ingest()
    reason = storage.read_manifest(log.config, "events", DAYS[3])["extra"][EMPTY]
    assert reason == "no rows: no file is of this day: the files are of 2026-03-06"


def test_text_with_several_offsets_is_read_row_by_row(log):
    log.write("log.csv", line("a", ts="2026-03-03T01:00:00+01:00"), line("b", ts="2026-03-02T19:00:00-05:00"))
    log.ingest()
    assert log.table("events")["event_timestamp"].n_unique() == 1 and len(log.ids()) == 2


def test_tables_of_several_zones_are_one_log(log):
    for zone in ("UTC", "Europe/Berlin", "America/New_York"):
        ts = pl.Series("ts", ["2026-03-03 12:00:00"]).str.to_datetime().dt.replace_time_zone("UTC")
        rows = frame({"id": zone}).with_columns(ts.dt.convert_time_zone(zone))
        log.write_table(f"{zone.replace('/', ' ')}.parquet", rows)
    assert log.ingest()["quarantined"] == {}
    assert log.table("events")["event_timestamp"].n_unique() == 1 and len(log.ids()) == 3


@pytest.mark.parametrize("never", NEVER)
def test_a_time_that_stands_for_never_is_a_row_outside_the_log(log, caplog, never):
    log.write("log.csv", line("a"), line("never", ts=never))
    assert log.ingest()["quarantined"] == {} and log.ids() == ["a"]
    assert "1 rows lie outside the log, from " in caplog.text


def test_a_day_of_a_log_that_never_was_says_so(log):
    log.write("log.csv", *(line(f"i{n}", ts=never) for n, never in enumerate(NEVER)))
    log.ingest()
    reason = storage.read_manifest(log.config, "events", DAYS[3])["extra"][EMPTY]
    span = "0001-01-01 00:00:00+00:00 to +10000-01-01 01:59:59+00:00"
    assert reason == f"no rows: 3 rows lie outside the log, from {span}"


@pytest.mark.parametrize("kind", [pl.Datetime("us"), pl.Datetime("ms", "UTC"), pl.Date])
@pytest.mark.parametrize("far", [1, -1])
def test_a_time_that_no_calendar_has_is_quarantined(log, kind, far):
    noon = pl.Series("ts", ["2026-03-03 12:00:00"]).str.to_datetime().dt.replace_time_zone("UTC").cast(kind)
    most = 2**31 - 1 if kind == pl.Date else 2**63 - 1
    never = pl.Series("ts", [far * most], dtype=noon.to_physical().dtype).cast(kind)
    rows = pl.concat([frame({"id": name}) for name in ("a", "never")])
    log.write_table("log.parquet", rows.with_columns(pl.concat([noon, never]).alias("ts")))
    assert log.ingest()["quarantined"] == {"wrong type: event_timestamp": 1} and log.ids() == ["a"]
    log.write("log.csv", line("b"))  # two types in the files of the day
    log.ingest()
    assert sorted(log.ids()) == ["a", "b"]
