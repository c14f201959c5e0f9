from datetime import UTC, date, datetime

import polars as pl
import pyarrow as pa
import pytest

from data.schema import Schema
from data.validation import read_timestamps, split_rows

SCHEMA = Schema(user_categorical=("country",), item_dense=("price",))
WINDOW = datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 6, tzinfo=UTC)
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


def rows(*changes: dict) -> pl.DataFrame:
    """Good rows i0, i1, ... each with the changes given for it; every value of any type."""
    records = [
        {"impression_id": f"i{n}", "event_timestamp": "2026-01-05 12:00:00", "user_id": "u", "item_id": "a"}
        | {"label": "1", "country": "de", "price": "2.5"}
        | change
        for n, change in enumerate(changes)
    ]
    return pl.DataFrame(records)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"label": "yes"}, "wrong type: label"),
        ({"price": "dear"}, "wrong type: price"),
        ({"event_timestamp": "yesterday"}, "wrong type: event_timestamp"),
        ({"event_timestamp": "05/01/2026"}, "wrong type: event_timestamp"),
        ({"event_timestamp": None}, "null event_timestamp"),
        ({"user_id": None}, "null user_id"),
        ({"item_id": " "}, "null item_id"),
        ({"impression_id": None}, "null impression_id"),
        ({"impression_id": "i0"}, "duplicate impression_id"),
        ({"label": "2"}, "label is not 0 or 1"),
        ({"label": "0.5"}, "label is not 0 or 1"),
        ({"label": None}, "label is not 0 or 1"),
        ({"event_timestamp": "2026-01-06 00:00:00"}, "timestamp outside the day"),
        ({"event_timestamp": "2026-01-04 23:59:59.999999"}, "timestamp outside the day"),
        ({"price": "inf"}, "not finite: price"),
        ({"price": "NaN"}, "not finite: price"),
        ({"price": "1e300"}, "not finite: price"),  # beyond float32
    ],
)
def test_a_bad_row_is_parted_with_its_reason_and_its_raw_values(change, reason):
    raw = rows({}, change, {})
    good, bad = split_rows(raw, SCHEMA, WINDOW)
    assert good["impression_id"].to_list() == ["i0", "i2"]
    assert bad["reason"].to_list() == [reason]
    assert bad.drop("reason").row(0) == raw.row(1)


def test_a_row_gets_the_first_reason_that_applies():
    worst = {"impression_id": None, "label": "7", "price": "dear", "event_timestamp": "2020-01-01"}
    _, bad = split_rows(rows(worst, worst | {"price": "1"}, {"label": "7", "price": "inf"}), SCHEMA, WINDOW)
    assert bad["reason"].to_list() == ["wrong type: price", "null impression_id", "label is not 0 or 1"]


def test_an_unreadable_row_does_not_make_its_later_twin_a_duplicate():
    good, bad = split_rows(rows({"impression_id": "x", "price": "dear"}, {"impression_id": "x"}), SCHEMA, WINDOW)
    assert good["impression_id"].to_list() == ["x"]
    assert bad["reason"].to_list() == ["wrong type: price"]


def test_a_missing_column_takes_every_row():
    raw = rows({}, {}).drop("user_id", "price")
    good, bad = split_rows(raw, SCHEMA, WINDOW)
    assert good.is_empty()
    assert bad["reason"].to_list() == ["missing column: user_id, price"] * 2


def test_good_rows_have_the_types_of_the_events_table():
    raw = rows({}).with_columns(
        pl.lit(7).alias("user_id"), pl.lit(3).alias("price"), pl.lit(True).alias("label"), pl.lit([1]).alias("extra")
    )
    for frame in (raw, raw.head(0), raw.drop("label")):
        good, _ = split_rows(frame, SCHEMA, WINDOW)
        expected = pa.schema([field for field in SCHEMA.events() if field.name != "vertical"])
        assert good.to_arrow().cast(expected).schema == expected  # a cast fails on other names or another order
    good, _ = split_rows(raw, SCHEMA, WINDOW)
    assert good.row(0) == ("i0", NOON, "7", "a", 1, "de", 3.0)


def test_missing_features_are_allowed():
    good, bad = split_rows(rows({"country": None, "price": None}, {"country": "", "price": ""}), SCHEMA, WINDOW)
    assert bad.is_empty()
    assert good.select("country", "price").rows() == [(None, None), (None, None)]


def test_an_id_is_the_same_from_an_integer_a_float_or_a_string():
    for values in ([12, 3], [12.0, 3.0], ["12", "3"]):
        good, _ = split_rows(rows({}, {}).with_columns(pl.Series("user_id", values)), SCHEMA, WINDOW)
        assert good["user_id"].to_list() == ["12", "3"]


def test_values_of_no_readable_type_are_quarantined_not_raised():
    raw = rows({}, {}).with_columns(
        pl.Series("user_id", [[1], [2]]), pl.Series("price", [NOON, NOON]), pl.Series("country", [b"a", b"\xff"])
    )
    _, bad = split_rows(raw, SCHEMA, WINDOW)
    assert bad["reason"].to_list() == ["wrong type: user_id"] * 2
    assert bad["user_id"].to_list() == ["[1]", "[2]"]
    assert set(bad.dtypes) == {pl.String}


@pytest.mark.parametrize(
    "values",
    [
        ["2026-01-05T12:00:00Z", "2026-01-05 13:00:00+01:00", "2026-01-05T12:00:00.000000+00", "1767614400"],
        [
            "2026-01-05 12:00",
            "2026-01-05T12:00:00 UTC",
            "2026-01-05 12:00 UTC",
            "2026-01-05 06:00:00-0600",
            "1767614400000",
        ],
        ["2026-01-05T14:00+02:00", "2026-01-05 17:30+0530", "2026-01-05T07:00-05", "2026-01-05T12:00Z"],
        [1767614400, 1767614400_000, 1767614400_000_000],
        [1767614400.0],
        [NOON],
        [NOON.replace(tzinfo=None)],
    ],
)
def test_timestamps_are_read_in_their_usual_forms(values):
    assert read_timestamps(pl.Series(values)).to_list() == [NOON] * len(values)


def test_a_date_is_its_midnight():
    midnight = datetime(2026, 1, 5, tzinfo=UTC)
    assert read_timestamps(pl.Series(["2026-01-05"])).to_list() == [midnight]
    assert read_timestamps(pl.Series([date(2026, 1, 5)])).to_list() == [midnight]
    assert read_timestamps(pl.Series([float("nan"), None])).to_list() == [None, None]
