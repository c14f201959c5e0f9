"""A file that cannot be read is named, with what to do."""

import pytest

from tests.newcomers_log import HEADER, frame, line


def test_a_date_that_no_calendar_has_is_named_with_its_file(log):
    log.write("log-2026-02-30.csv", line("a"))
    with pytest.raises(ValueError, match=r"log-2026-02-30.csv: 2026-02-30 in its name is no date.*rename it"):
        log.ingest()


@pytest.mark.parametrize("name", ["log.parquet", "log.csv", "log.csv.gz"])
def test_a_file_of_no_bytes_is_named(log, name):
    (log.folder / name).touch()
    with pytest.raises(ValueError, match=rf"{name} is empty \(0 bytes\): write it again, or take it away"):
        log.ingest()


@pytest.mark.parametrize("part", [slice(0, 3), slice(0, 400), slice(-400, None)])
def test_a_cut_parquet_file_is_named(log, part):
    path = log.write_table("log.parquet", frame({"id": "a"}))
    path.write_bytes(path.read_bytes()[part])
    with pytest.raises(ValueError, match=r"log.parquet cannot be read as Parquet .*write it again"):
        log.ingest()


def test_a_file_with_column_names_alone_has_no_rows(log):
    (log.folder / "log.csv").write_text(HEADER)
    assert log.ingest()["raw_rows"] == 0


def test_a_list_as_an_id_costs_its_rows(log):
    log.write_table("log.parquet", frame({"id": "a", "user": [1, 2]}))
    assert log.ingest()["quarantined"] == {"wrong type: user_id": 1}


@pytest.mark.parametrize("encoding", ["utf-99", "base64"])
def test_an_encoding_that_is_none_is_refused_with_the_files_name(log, encoding):
    log.write("log.csv", line("a"))
    with pytest.raises(ValueError, match=rf"log.csv is not {encoding} text.*set the source's format.encoding"):
        log.with_source(format={"encoding": encoding}).ingest()


def test_a_mapped_column_that_stands_twice_is_named(log):
    rows = [row.rstrip() + ",9\n" for row in (line("a"), line("b"))]
    (log.folder / "log.csv").write_text(HEADER + ",other\n" + "".join(rows))
    assert log.ingest()["quarantined"] == {}
    (log.folder / "log.csv").write_text(HEADER + ",price\n" + "".join(rows))
    with pytest.raises(ValueError, match=r"log.csv has the column 'price' twice: rename one"):
        log.ingest()
