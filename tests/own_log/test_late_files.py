"""Files of a day that come, change or go after it was landed: plan_day and the reports name them until it is again."""

import json
import os
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import storage
from data.late_files import late_files
from data.sources import files
from jobs import plan_day, write_report
from tests.done_days import finish
from tests.newcomers_log import DAYS, NEVER, Log, frame, line
from tests.reported_day import write_day

BOOT, DAY = DAYS[2], DAYS[3]


def landed(log: Log, *days: int) -> Log:
    """The log with some days done, their events landed by ingest."""
    for day in days:
        finish(log.config, str(DAYS[day]))
        done_again(log, day)
    return log


def done_again(log: Log, day: int) -> None:
    log.ingest(day)
    summary = {"day": str(DAYS[day]), "verticals": []}
    summary |= storage.report_status(log.config, DAYS[day], log.config.verticals)
    (storage.report_dir(log.config, DAYS[day]) / storage.SUMMARY).write_text(json.dumps(summary))


@pytest.fixture
def dated(log: Log) -> Log:
    """A log with a file a day, of which the first two platform days are done."""
    for day in (1, 2, 3):
        log.write(f"events-2026-03-{day:02}.csv", line(f"a{day}", day=day), line(f"b{day}", day=day, clicked=1))
    return landed(log, 2, 3)


@pytest.fixture
def undated(log: Log) -> Log:
    """The same in one file that grows and one that was written once."""
    log.write("growing.csv", *(line(f"a{day}", day=day) for day in (1, 2, 3)))
    log.write("once.csv", *(line(f"b{day}", day=day, clicked=1) for day in (1, 2)))
    return landed(log, 2, 3)


def said(log: Log) -> dict[str, str]:
    return plan_day.main(log.config).get("late_files", {})


def rewritten(path: Path) -> None:
    text = path.read_bytes()
    path.write_bytes(text)
    os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns + 10**9))


# --- names with dates -------------------------------------------------------------------------------------------------


def test_a_file_that_comes_late_is_named_and_the_day_is_run_again_only_on_request(
    dated: Log, caplog: pytest.LogCaptureFixture
):
    assert plan_day.main(dated.config) == {"day": "2026-03-04"}
    dated.write("more/events-2026-03-03.csv", line("late", day=3))
    planned = plan_day.main(dated.config)
    assert planned == {"day": "2026-03-04", "late_files": {"2026-03-03": "new: more/events-2026-03-03.csv"}}
    assert plan_day.main(dated.config) == planned
    assert (
        "day 2026-03-03: files of the log differ from what was landed: new: more/events-2026-03-03.csv; "
        "to run it again, trigger daily_transfer with day 2026-03-03 and force, then the days after it" in caplog.text
    )
    asked = plan_day.main(dated.config, day="2026-03-03")["skipped"]
    assert asked.startswith("day 2026-03-03 is done; set force to run it again; files of the log differ")
    assert dated.ids() == ["a3", "b3"]  # nobody has run it

    assert plan_day.main(dated.config, day="2026-03-03", force=True) == {"day": "2026-03-03"}
    done_again(dated, 3)
    assert dated.ids() == ["a3", "b3", "late"]
    assert plan_day.main(dated.config) == {"day": "2026-03-04"}


def test_changed_and_gone_files_are_told_apart(dated: Log, caplog: pytest.LogCaptureFixture):
    dated.write("events-2026-03-01.csv", line("a1", day=1), line("b1", day=1, clicked=0))
    (dated.folder / "events-2026-03-02.csv").unlink()
    shutil.move(dated.folder / "events-2026-03-03.csv", dated.folder.parent / "kept.csv")
    assert said(dated) == {
        "2026-03-02": "changed: events-2026-03-01.csv; gone: events-2026-03-02.csv",
        "2026-03-03": "gone: events-2026-03-03.csv",
    }
    assert (
        "events-2026-03-03.csv; what was landed of them is kept, and would be lost if the day were run" in caplog.text
    )
    assert "gone: events-2026-03-02.csv; to run it again, trigger" in caplog.text


def test_the_same_content_written_again_is_not_late_and_what_is_as_it_was_is_not_opened(
    dated: Log, monkeypatch: pytest.MonkeyPatch
):
    opened: list[str] = []
    read = files.read_rows

    def counted(path: Path, *rest: Any) -> Any:
        opened.append(path.name)
        return read(path, *rest)

    monkeypatch.setattr(files, "read_rows", counted)
    assert said(dated) == {} and opened == []
    rewritten(dated.folder / "events-2026-03-03.csv")
    assert said(dated) == {} and opened == ["events-2026-03-03.csv"]
    rows = pl.read_csv(dated.folder / "events-2026-03-03.csv")
    dated.write("events-2026-03-03.csv", *(",".join(map(str, row)) + "\n" for row in rows.reverse().rows()))
    assert list(said(dated)) == ["2026-03-03"]  # of repeated impressions the first counts, so order does, too


def test_two_runs_record_the_same(dated: Log):
    def recorded() -> dict[str, Any]:
        manifest = storage.read_manifest(dated.config, "events", DAY)
        return {key: value for key, value in manifest.items() if key not in ("version", "previous")}  # each run's own

    first = recorded()
    dated.ingest(3)
    assert recorded() == first and list(first["files"]) == ["events-2026-03-03.csv"]
    of_boot = storage.read_manifest(dated.config, "quarantine", BOOT)["files"]
    assert list(of_boot) == ["events-2026-03-01.csv", "events-2026-03-02.csv"]


def test_a_file_that_cannot_be_read_stops_no_plan(dated: Log, caplog: pytest.LogCaptureFixture):
    (dated.folder / "events-2026-03-03.parquet").write_bytes(b"half")
    assert said(dated) == {"2026-03-03": "new: events-2026-03-03.parquet"}
    assert "not compared with what was landed" in caplog.text


def test_a_log_that_is_away_is_said_once_and_no_day_is_late(dated: Log, caplog: pytest.LogCaptureFixture):
    dated.folder.rename(dated.folder.with_name("away"))
    assert said(dated) == {} and caplog.text.count("is not there") == 1


def test_rows_for_a_day_that_had_none_are_late(dated: Log):
    dated = dated.with_source(empty_day="skip")
    dated.ingest(4)
    assert storage.skip_reason(dated.config, DAYS[4])
    assert storage.read_manifest(dated.config, "events", DAYS[4])["files"] == {}
    dated.write("events-2026-03-04.csv", line("a4", day=4))
    assert said(dated) == {"2026-03-04": "new: events-2026-03-04.csv"}
    write_report.main(dated.config, day=DAYS[4])
    page = (storage.report_dir(dated.config, DAYS[4]) / "index.html").read_text()
    assert "Files of the log differ from what was landed: new: events-2026-03-04.csv" in page
    index = (storage.docs_dir(dated.config) / "index.html").read_text()
    assert "files differ from what was landed: new: events-2026-03-04.csv" in index


def test_many_files_are_counted(dated: Log):
    for n in range(9):
        dated.write(f"part{n}-2026-03-03.csv", line(f"x{n}", day=3))
    assert said(dated)["2026-03-03"].endswith("part4-2026-03-03.csv and 4 more")


# --- names without dates ----------------------------------------------------------------------------------------------


def test_of_a_file_that_grows_only_the_days_whose_rows_have_changed_are_late(undated: Log):
    assert plan_day.main(undated.config) == {"day": "2026-03-04"}
    more = [line(f"a{day}", day=day) for day in (1, 2, 3, 4)]
    undated.write("growing.csv", *more)
    assert said(undated) == {}  # rows of a day to come
    undated.write("growing.csv", *more, line("late", day=2))
    assert said(undated) == {"2026-03-02": "changed: growing.csv"}
    undated.write_table("late.parquet", frame({"id": "l"}, day=3))
    assert said(undated) == {"2026-03-02": "changed: growing.csv", "2026-03-03": "new: late.parquet"}
    done_again(undated, 2)
    done_again(undated, 3)
    assert undated.ids(2) == ["a1", "a2", "b1", "b2", "late"] and undated.ids(3) == ["a3", "l"]
    assert said(undated) == {}


@pytest.mark.parametrize("other", [line("a4", day=4, category='"tv, 42"'), line("a4", day=4) + "torn\n"])
def test_how_rows_of_another_day_are_written_makes_no_day_late(log: Log, other: str):
    rows = [line("a1", day=1), line("a2", day=2, country=""), line("a3", day=3, age="")]
    log.write("growing.csv", *rows)
    log = landed(log, 2, 3)
    log.write("growing.csv", *rows, other)
    assert said(log) == {}


def test_a_malformed_line_counts_for_its_text_and_not_for_where_it_lies(log: Log):
    rows = [line("a2", day=2), "torn\n", line("a3", day=3)]
    log.write("growing.csv", *rows)
    log = landed(log, 2, 3)
    log.write("growing.csv", line("a4", day=4), *rows)
    assert said(log) == {}
    log.write("growing.csv", *(row.replace("torn", "torn again") for row in rows))
    assert said(log) == {"2026-03-02": "changed: growing.csv"}


@pytest.mark.parametrize("never", NEVER)
def test_a_row_whose_time_stands_for_never_makes_no_day_late(undated: Log, never: str):
    undated.write("never.csv", line("n", ts=never))
    assert said(undated) == {}
    undated.write("growing.csv", *(line(f"a{day}", day=day) for day in (1, 2, 3)), line("n", ts=never))
    assert said(undated) == {}
    undated.write("growing.csv", line("n", ts=never), line("a1", day=1), line("a2", day=2))
    assert said(undated) == {"2026-03-03": "gone: growing.csv"}


def test_a_file_is_opened_until_some_day_knows_it(undated: Log, monkeypatch: pytest.MonkeyPatch):
    undated.write("march04.csv", line("a4", day=4))
    assert said(undated) == {}
    undated.ingest(4)

    def refuse(*_: Any) -> None:
        raise AssertionError("a file that day 4 was read from is opened again")

    monkeypatch.setattr(files, "read_rows", refuse)
    assert late_files(undated.config, list(DAYS.values())) == {}


def test_a_day_landed_with_other_settings_makes_no_other_day_late(undated: Log):
    columns = undated.config.source.columns
    assert columns is not None
    fewer = undated.with_source(columns=columns.changed(user_dense=[]))
    done_again(fewer, 3)
    assert said(fewer) == said(undated) == {}


def test_a_file_without_rows_of_a_day_may_go(undated: Log):
    (undated.folder / "once.csv").unlink()
    assert said(undated) == {"2026-03-02": "gone: once.csv"}


def test_rows_that_cannot_be_placed_belong_to_every_day(undated: Log):
    undated.write("noon.csv", line("n", ts="noon"))
    assert said(undated) == {"2026-03-02": "new: noon.csv", "2026-03-03": "new: noon.csv"}


# --- the day's report -------------------------------------------------------------------------------------------------


def test_the_days_report_shows_late_files_until_the_day_is_landed_again(log: Log):
    log.write("events-2026-03-03.csv", line("a"), line("b", clicked=1))
    write_day(log.config, DAY, verticals=["feed"])
    log.ingest()

    def page() -> str:
        write_report.main(log.config, day=DAY)
        return (storage.report_dir(log.config, DAY) / "index.html").read_text()

    assert "files of the log differ" not in page() and "1 file of the log" in page()
    log.write("late/2026-03-03.csv", line("c"))
    assert "<li>files of the log differ from what was landed: new: late/2026-03-03.csv</li>" in page()
    assert (
        "files differ from what was landed: new: late/2026-03-03.csv"
        in (storage.docs_dir(log.config) / "index.html").read_text()
    )
    assert page() == page()
    log.ingest()
    assert "files of the log differ" not in page() and "2 files of the log" in page()


def test_a_source_without_files_and_a_day_of_an_earlier_version_have_no_late_files(log: Log, tiny_config):
    finish(tiny_config, "2026-01-02")
    assert late_files(tiny_config, [date(2026, 1, 2)]) == {}
    finish(log.config, "2026-03-02")  # its manifest names no files
    log.write("events-2026-03-02.csv", line("a", day=2))
    assert late_files(log.config, [BOOT]) == {}
