"""An impression's id may take several columns of the log."""

from config import ColumnMapping
from tests.newcomers_log import Log, frame, line


def with_key(log: Log, *key: str) -> Log:
    return log.with_source(columns=ColumnMapping(**dict(log.config.source.columns) | {"impression_id": list(key)}))


def test_several_columns_tell_the_ads_of_one_request_apart(log):
    log.write("log.csv", *(line("r1", ad=f"a{n}") for n in range(4)), line("r1", ad="a0"), line("", ad="a9"))
    log = with_key(log, "id", "ad")
    assert log.ingest()["quarantined"] == {"duplicate impression_id": 1, "null impression_id": 1}
    assert log.ids() == ["r1:a0", "r1:a1", "r1:a2", "r1:a3"]


def test_different_parts_never_make_the_same_id(log):
    log.write("log.csv", line("a:b", ad="c"), line("a", ad="b:c"), line("a\\", ad=":c"), line("a", ad="\\:c"))
    assert with_key(log, "id", "ad").ingest()["rows"] == 4


def test_the_parts_are_ids_as_others_are(log):
    log.write_table("a.parquet", frame({"id": 7.0, "ad": 1}))
    log.write("b.csv", line("7", ad="1"))
    log = with_key(log, "id", "ad")
    assert log.ingest()["quarantined"] == {"duplicate impression_id": 1} and log.ids() == ["7:1"]


def test_many_duplicates_come_with_the_hint_to_put_an_id_together(log, caplog):
    log.write("log.csv", *(line("r1", ad=f"a{n}") for n in range(4)))
    log.ingest()
    assert "quarantined 3 rows of 2026-03-03: duplicate impression_id; where one request shows several ads, put" in (
        caplog.text
    )


def test_a_part_that_a_file_lacks_is_a_missing_column(log, caplog):
    log.write("log.csv", line("r1"))
    assert with_key(log, "id", "slot").ingest()["quarantined"] == {"missing column: impression_id": 1}
    assert "lacks the columns 'slot' (for impression_id (slot))" in caplog.text
