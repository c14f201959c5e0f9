from datetime import date

import polars as pl
import pytest

import storage
from config import ColumnMapping, Source, Vertical, load_config
from data.sources import chosen_source, files, source_schema
from tests.newcomers_log import NEVER

MAPPING = ColumnMapping(
    impression_id="id",
    event_timestamp="time",
    user_id="user",
    item_id="ad",
    label="clicked",
    item_categorical=["brand"],
    item_dense=["price"],
)
HEADER = "id,time,user,ad,clicked,brand,price\n"
DAYS = {day: date(2026, 1, day) for day in range(1, 8)}


def config_of(path, **mapping):
    config = load_config()
    source = Source(
        path=None if path is None else str(path),
        first_day=DAYS[1],
        last_day=DAYS[7],
        bootstrap_days=2,
        verticals={"all": Vertical()},
        columns=MAPPING.changed(**mapping),
    )
    return config.changed(data_source="my_log", sources={"my_log": source})


def row(name, time="2026-01-05 12:00:00"):
    return f"{name},{time},u,a,0,b,1\n"


def ids(config, *days):
    return [files.read(config, DAYS[day])["impression_id"].to_list() for day in days]


def test_a_source_with_columns_is_read_by_files_whatever_its_name(tmp_path):
    config = config_of(tmp_path)
    assert chosen_source(config) is files.SOURCE
    assert source_schema(config).item_dense == ("price",)
    with pytest.raises(ValueError, match=r"'my_log' is none of complete_journey.*needs `columns`"):
        chosen_source(config.changed(sources={"my_log": {"columns": None}}))


def test_rows_go_to_the_day_of_their_timestamp(tmp_path):
    (tmp_path / "a.csv").write_text(
        HEADER + row("early", "2026-01-01 00:00:00") + row("boot", "2026-01-02 23:59:59") + row("next", "2026-01-03")
    )
    pl.DataFrame(
        {"id": [9], "time": [1767614400], "user": [1], "ad": [2], "clicked": [True], "brand": ["b"], "price": [1.5]}
    ).write_parquet(tmp_path / "b.parquet")
    assert ids(config_of(tmp_path), 2, 3, 5) == [["early", "boot"], ["next"], ["9"]]


def test_a_row_without_a_readable_time_goes_to_the_day_of_the_row_before_it(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(
        HEADER
        + row("first", "?")
        + row("a", "2026-01-03 10:00:00")
        + row("torn", "2026-01-")
        + row("empty", "")
        + row("b", "2026-01-04 10:00:00")
    )
    assert ids(config_of(path), 2, 3, 4, 5) == [[], ["first", "a", "torn", "empty"], ["b"], []]


def test_a_file_without_any_readable_time_belongs_to_every_day(tmp_path):
    (tmp_path / "log.csv").write_text(HEADER + row("a", "05/01/2026"))
    assert ids(config_of(tmp_path), 2, 3, 7) == [["a"]] * 3


@pytest.mark.parametrize("never", NEVER)
def test_a_row_whose_time_stands_for_never_is_left_alone(tmp_path, caplog, never):
    path = tmp_path / "log.csv"
    path.write_text(HEADER + row("a", "2026-01-05") + row("never", never))
    config = config_of(path)
    with storage.recorded_reads() as reads:
        assert ids(config, 2, 5) == [[], ["a"]]
    assert "1 rows lie outside the log, from " in caplog.text
    assert reads.files and list(reads.files["log.csv"].rows) == ["2026-01-05"]


def test_dated_files_are_the_days_files_whatever_their_rows_say(tmp_path):
    (tmp_path / "events-2026-01-01.csv").write_text(HEADER + row("a", "2026-01-01"))
    (tmp_path / "events-2026-01-02.csv").write_text(HEADER + row("b", "2026-01-02"))
    folder = tmp_path / "ds=2026-01-05"
    folder.mkdir()
    (folder / "part-0.csv").write_text(HEADER + row("c") + row("stray", "2026-01-06 01:00:00") + row("torn", "?"))
    (folder / "_SUCCESS.csv").write_text("not data")
    assert ids(config_of(tmp_path), 2, 3, 5, 6) == [["a", "b"], [], ["c", "stray", "torn"], []]


def test_dated_and_undated_files_do_not_mix(tmp_path):
    (tmp_path / "2026-01-05.csv").write_text(HEADER)
    (tmp_path / "rest.csv").write_text(HEADER)
    with pytest.raises(ValueError, match=r"some files carry a date.*rest.csv"):
        files.fetch(config_of(tmp_path))


def test_a_lacking_column_is_left_out_and_named(tmp_path, caplog):
    (tmp_path / "log.csv").write_text("id,time,user,ad,brand,price\n1,2026-01-05,u,a,b,1\n")
    rows = files.read(config_of(tmp_path), DAYS[5])
    assert "label" not in rows.columns and rows.height == 1
    assert "lacks the columns 'clicked' (for label); it has id, time, user" in caplog.text


def test_a_file_with_another_separator_keeps_its_rows(tmp_path):
    (tmp_path / "log.csv").write_text((HEADER + row("a") + row("b")).replace(",", ";"))
    assert files.read(config_of(tmp_path), DAYS[5]).height == 2


def test_files_that_are_none_raise_with_their_name(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"sources.my_log.path is not set"):
        files.fetch(config_of(None))
    with pytest.raises(FileNotFoundError, match=r"there is no .parquet"):
        files.fetch(config_of(tmp_path))
    (tmp_path / "log.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(ValueError, match=r"log.parquet cannot be read"):
        files.read(config_of(tmp_path), DAYS[5])


def test_a_mapping_that_cannot_be_is_refused(tmp_path):
    for mapping, message in (
        ({"item_dense": ["brand"]}, "brand is listed twice"),
        ({"item_dense": ["vertical"]}, "may not be called vertical"),
        ({"crosses": ["price"]}, "price is none of item_id, brand"),
    ):
        with pytest.raises(ValueError, match=message):
            source_schema(config_of(tmp_path, **mapping))
