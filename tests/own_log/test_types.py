"""The same value means the same in every format."""

import uuid

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.newcomers_log import frame, line

USER = uuid.UUID("f20c96a9-f704-49df-b541-9c23f32edc00")


def test_an_empty_text_is_no_value_in_dictionary_columns_too(log):
    rows = frame({"id": "a", "country": "", "age": ""}, {"id": "b", "country": "de", "age": "30"})
    log.write_table("log.parquet", rows.cast({"country": pl.Categorical, "age": pl.Categorical}))
    assert log.ingest()["quarantined"] == {}
    assert dict(log.table("events").select("impression_id", "country").iter_rows()) == {"a": None, "b": "de"}


def test_truth_values_as_text_are_labels(log):
    log.write("log.csv", line("a", clicked="true"), line("b", clicked="False"), line("c", clicked="1"))
    log.write_table("log.parquet", frame({"id": "d", "clicked": True}, {"id": "e", "clicked": False}))
    assert log.ingest()["quarantined"] == {}
    labels = dict(log.table("events").select("impression_id", "label").iter_rows())
    assert labels == {"a": 1, "b": 0, "c": 1, "d": 1, "e": 0}


@pytest.mark.parametrize(
    ("kind", "values", "user"),
    [
        (pa.uuid(), [USER.bytes], str(USER)),
        (pa.binary(16), [USER.bytes], USER.hex),
        (pa.binary(), ["ü7".encode()], "ü7"),
    ],
)
def test_ids_of_bytes_are_those_that_text_would_say(log, kind, values, user):
    table = frame({"id": "a"}).to_arrow()
    table = table.set_column(table.schema.get_field_index("user"), "user", pa.array(values, kind))
    pq.write_table(table, log.folder / "a.parquet")
    log.write("b.csv", line("b", user=user))
    assert log.ingest()["quarantined"] == {}
    assert log.users() == {"a": user, "b": user}


def test_bytes_that_are_no_text_cost_their_row(log):
    log.write_table("log.parquet", frame({"id": "a", "user": b"\xff\xfe"}, {"id": "b", "user": b"u"}))
    assert log.ingest()["quarantined"] == {"wrong type: user_id": 1}
    assert log.users() == {"b": "u"}
    assert log.table("quarantine")["user_id"].to_list() == ["fffe"]


def test_a_category_of_whole_numbers_is_the_same_on_a_day_with_a_gap(log):
    log = log.with_source(verticals={"feed": {"values": ["1"]}})
    for day, written in ((3, ("1", "2")), (4, ("1.0", "")), (5, ("1.0", "2.0"))):
        rows = [
            line(f"{n}{day}", day=day, placement=value, country=value) for n, value in zip("ab", written, strict=True)
        ]
        log.write(f"log-2026-03-{day:02}.csv", *rows)
        log.ingest(day)
        first = log.table("events", day).sort("impression_id").row(0, named=True)
        assert (first["placement"], first["country"], first["vertical"]) == ("1", "1", "feed")


def test_a_category_of_truth_values_is_the_same_beside_a_csv_file(log):
    for day in (3, 4):
        log.write_table(f"log-2026-03-{day:02}.parquet", frame({"id": "a", "country": True}, day=day))
    log.write("more-2026-03-04.csv", line("b", day=4, country="false"))
    for day in (3, 4):
        log.ingest(day)
    assert log.table("events")["country"].to_list() == ["true"]
    assert log.table("events", 4).sort("impression_id")["country"].to_list() == ["true", "false"]
