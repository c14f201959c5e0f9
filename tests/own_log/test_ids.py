"""Who a user is never depends on the type of a column or on the files that lie beside it."""

import polars as pl
import pytest

from tests.newcomers_log import frame, line


def test_large_integer_ids_stay_apart_beside_a_file_with_float_ids(log):
    log.write_table("march01.parquet", frame({"id": "f", "user": 7.0}))
    log.write_table(
        "march03.parquet", frame({"id": "a", "user": 9007199254740993}, {"id": "b", "user": 9007199254740992})
    )
    assert log.ingest()["quarantined"] == {}
    assert log.users() == {"f": "7", "a": "9007199254740993", "b": "9007199254740992"}


def test_a_user_is_one_in_integers_floats_text_and_csv(log):
    for name, user in (("integer", 7), ("float", 7.0), ("text", "7")):
        log.write_table(f"{name}.parquet", frame({"id": name, "user": user}))
    log.write_table("small.parquet", frame({"id": "small", "user": 7.0}).cast({"user": pl.Float32}))
    log.write_table("decimal.parquet", frame({"id": "decimal", "user": 7}).cast({"user": pl.Decimal(10, 2)}))
    log.write_table("unsigned.parquet", frame({"id": "unsigned", "user": 7}).cast({"user": pl.UInt64}))
    log.write("log.csv", line("csv", user="7"), line("pandas", user="7.0"), line("other", user="007"))
    assert log.ingest()["quarantined"] == {}
    assert log.users().pop("other") == "007"
    assert {user for name, user in log.users().items() if name != "other"} == {"7"} and len(log.users()) == 9


@pytest.mark.parametrize(("kind", "size"), [(pl.Float64, 2**53), (pl.Float32, 2**24)])
def test_a_float_that_cannot_hold_its_id_is_quarantined_not_merged(log, kind, size):
    rows = frame({"id": "a", "user": float(size)}, {"id": "b", "user": float(size - 1)}, {"id": "c", "user": 7.0})
    log.write_table("log.parquet", rows.cast({"user": kind}))
    result = log.ingest()
    assert log.users() == {"b": str(size - 1), "c": "7"}
    (reason,) = result["quarantined"]
    assert reason == "user_id is a float too large to hold an id exactly; write ids as integers or text"


@pytest.mark.parametrize("written", ["9007199254740992.0", "1e+16", "1.2345678901234567e+18"])
def test_text_that_such_a_float_was_written_as_is_quarantined_too(log, written):
    log.write("log.csv", line("a", user=written), line("b", user="9007199254740993"))
    result = log.ingest()
    assert log.users() == {"b": "9007199254740993"} and sum(result["quarantined"].values()) == 1


def test_an_id_is_the_same_whichever_files_lie_beside_it(log):
    log.write_table("a.parquet", frame({"id": "a", "user": 9007199254740993, "ad": 5}))
    log.ingest()
    alone = log.table("events").select("user_id", "item_id").row(0)
    log.write_table("b.parquet", frame({"id": "b", "user": 1.5, "ad": None}))
    log.write("c.csv", line("c", user="x", ad="5.0"))
    log.ingest()
    rows = {row[0]: row[1:] for row in log.table("events").select("impression_id", "user_id", "item_id").iter_rows()}
    assert rows == {"a": alone, "c": ("x", "5")}
    assert log.table("quarantine")["reason"].to_list() == ["null item_id"]


def test_features_and_labels_mean_the_same_in_files_of_different_types(log):
    log.write_table("a.parquet", frame({"id": "a", "clicked": True, "country": 7, "age": 30.5}))
    log.write_table("b.parquet", frame({"id": "b", "clicked": 1.0, "country": 7.0, "age": "30.5"}))
    log.write("c.csv", line("c", clicked="1", country="7", age="30.5"))
    assert log.ingest()["quarantined"] == {}
    assert set(log.table("events").select("label", "country", "age").rows()) == {(1, "7", 30.5)}


def test_instants_are_the_same_in_files_of_different_types_and_zones(log):
    noon = pl.Series("ts", ["2026-03-03 12:00:00"]).str.to_datetime()
    kinds = {
        "utc": noon.dt.replace_time_zone("UTC"),
        "berlin": noon.dt.replace_time_zone("UTC").dt.convert_time_zone("Europe/Berlin"),
        "plain": noon.dt.cast_time_unit("ns"),
        "seconds": noon.dt.epoch("s"),
        "text": pl.Series("ts", ["2026-03-03T13:00:00+01:00"]),
    }
    for name, ts in kinds.items():
        log.write_table(f"{name}.parquet", frame({"id": name}).with_columns(ts))
    assert log.ingest()["quarantined"] == {}
    assert log.ids() == sorted(kinds) and log.table("events")["event_timestamp"].n_unique() == 1


def test_a_list_column_in_one_file_costs_its_rows(log):
    log.write_table("a.parquet", frame({"id": "a", "country": ["de", "fr"]}))
    log.write("b.csv", line("b"))
    assert log.ingest()["quarantined"] == {"wrong type: country": 1}
    assert log.ids() == ["b"]
