"""Every file of a log is read, each once and on its day, and what is not read is named."""

import ibis
import pytest

import storage
from data.sources import source_schema
from feature_repo.feature_views import snapshot_source
from feature_repo.offline import link_snapshots
from quality.profile import profile
from quality.suites import SUITES
from tests.newcomers_log import DAYS, frame, line, make_log


def test_a_folder_that_is_key_and_date_decides_on_the_day(log, caplog):
    log.write("ds=2026-03-03/stream-1-2026-03-04-00-00-12.csv", line("a"), line("b"))
    log.write("ds=2026-03-03/stream-1-2026-03-03-00-00-12.csv", line("c"))
    log.write("ds=2026-03-04/stream-1-2026-03-05-00-00-12.csv", line("d", day=4))
    assert log.ingest(3)["quarantined"] == {} and log.ids(3) == ["a", "b", "c"]
    assert "dates disagree in 2 names: ds=2026-03-03/stream-1-2026-03-04-00-00-12.csv is taken for 2026-03-03, " in (
        caplog.text
    )
    assert log.ingest(4)["quarantined"] == {} and log.ids(4) == ["d"]


def test_without_such_a_folder_the_last_date_decides_and_a_disagreement_is_named(log, caplog):
    log.write("2026-03-04/log-2026-03-03.csv", line("a"))
    log.ingest()
    assert log.ids() == ["a"]
    assert "is taken for 2026-03-03, though it also says 2026-03-04" in caplog.text


@pytest.mark.parametrize("name", ["log[12].csv", "log*.csv", "a%20b.csv", "day [3]/log?.csv", "{a,b}.csv"])
def test_names_are_no_patterns(log, name):
    log.write("log1.csv", line("other"))
    log.write("a b.csv", line("blank"))
    log.write(name, line("mine"))
    log.write_table(name.replace(".csv", ".parquet"), frame({"id": "table"}))
    assert log.ingest()["quarantined"] == {}
    assert log.ids() == ["blank", "mine", "other", "table"]


def test_a_storage_path_is_no_pattern(tmp_path):
    log = make_log(tmp_path / "my%20state [12]", "log [3]")
    log.write("log.csv", *(line(f"i{n}", clicked=n % 2, ts=f"2026-03-03 10:00:0{n}") for n in range(8)))
    log.ingest()
    assert len(log.ids()) == 8
    assert storage.dataset(log.config, "events", [DAYS[3]]).count_rows() == 8
    suite = SUITES["events"](log.config, source_schema(log.config))
    assert len(profile(log.config, DAYS[3], suite).rows) == 8
    # As Feast's offline store reads its sources.
    source = snapshot_source(link_snapshots(log.config, ["events"]), "events")
    assert ibis.duckdb.connect().read_parquet(source.path).count().execute() == 8


def test_hidden_files_and_folders_are_no_data_and_are_named(log, caplog):
    log.write("log.csv", line("a"))
    log.write(".ipynb_checkpoints/log-checkpoint.csv", line("b"))
    log.write("_temporary/0/part-0.csv", line("c"))
    log.write_table("_delta_log/00.checkpoint.parquet", frame({"id": "d"}))
    log.write("._log.csv", line("e"))
    (log.folder / "notes.txt").write_text("x")
    log.ingest()
    assert log.ids() == ["a"]
    assert "4 hidden, as their names begin with . or _: " in caplog.text and "_delta_log" in caplog.text
    assert "1 none of .parquet, .pq" in caplog.text and "notes.txt" in caplog.text
    assert caplog.text.count("left out of") == 1


def test_links_are_followed_and_what_they_lead_to_is_read_once(log, tmp_path, caplog):
    elsewhere = make_log(tmp_path / "elsewhere")
    elsewhere.write("day/log.csv", line("linked"))
    elsewhere.write("one.csv", line("file"))
    (log.folder / "ds=2026-03-03").symlink_to(elsewhere.folder / "day")
    log.write("ds=2026-03-04/log.csv", line("real", day=4))
    (log.folder / "ds=2026-03-04" / "loop").symlink_to(log.folder)
    (log.folder / "current").symlink_to(log.folder / "ds=2026-03-04")
    (log.folder / "ds=2026-03-04" / "one-2026-03-03.csv").symlink_to(elsewhere.folder / "one.csv")
    assert log.ingest(3)["quarantined"] == {} and log.ids(3) == ["linked"]
    assert "links to what is read already: " in caplog.text
    assert log.ingest(4)["rows"] == 1


def test_all_the_usual_suffixes_are_read_in_any_case(log):
    log.write("a.csv", line("a"))
    log.write("B.CSV", line("b"))
    log.write_table("c.pq", frame({"id": "c"}))
    log.write_table("D.PARQUET", frame({"id": "d"}))
    for name in ("e.tsv", "F.TSV"):
        path = log.write(name, line(name[0]))
        path.write_text(path.read_text().replace(",", "\t"))
    assert log.ingest()["quarantined"] == {}
    assert log.ids() == ["F", "a", "b", "c", "d", "e"]


def test_a_folder_without_any_log_names_what_is_there(log):
    (log.folder / "log.xlsx").write_text("x")
    with pytest.raises(FileNotFoundError, match=r"there is no .parquet or .pq.*left out: 1 none of .*log.xlsx"):
        log.ingest()
