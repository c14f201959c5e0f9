"""When a day is done: every needed table of the verticals that were run, and a report made from them."""

from datetime import date

import pytest

import storage
from config import PlatformConfig
from jobs import plan_day, write_report
from tests.reported_day import write_day, write_vertical

DAY = date(2026, 1, 2)


def status(config: PlatformConfig) -> storage.Status:
    """The day's status, after a look that plan_day acts by it."""
    found = storage.day_status(config, DAY)
    assert (plan_day.main(config) == {"day": str(DAY)}) == (found != "done")
    return found


def test_a_day_is_done_once_its_report_is_written_from_all_its_tables(tiny_config: PlatformConfig) -> None:
    assert status(tiny_config) == "missing"
    write_day(tiny_config, DAY, verticals=tiny_config.verticals)
    assert status(tiny_config) == "partial"
    write_report.main(tiny_config, day=DAY)
    assert status(tiny_config) == "done"


def test_a_day_whose_one_vertical_failed_is_not_done_until_that_is_mended(tiny_config: PlatformConfig) -> None:
    write_day(tiny_config, DAY, verticals=["feed", "search"])
    asked = ",".join(tiny_config.verticals)
    write_report.main(tiny_config, day=DAY, verticals=asked)
    assert status(tiny_config) == "partial"
    rows = storage.read_partition(tiny_config, "fm_evaluations", DAY)
    write_vertical(tiny_config, DAY, "video", rows)
    assert status(tiny_config) == "partial"  # the report does not know
    write_report.main(tiny_config, day=DAY, verticals=asked)
    assert status(tiny_config) == "done"


def test_a_day_run_for_some_verticals_is_done_once_they_are(tiny_config: PlatformConfig) -> None:
    write_day(tiny_config, DAY, verticals=["feed"])
    write_report.main(tiny_config, day=DAY, verticals="feed")
    assert status(tiny_config) == "done"


@pytest.mark.parametrize("table", ["events", "fm_snapshots", "verdicts_feed"])
def test_a_table_gone_or_replaced_since_the_report_undoes_a_day(tiny_config: PlatformConfig, table: str) -> None:
    write_day(tiny_config, DAY, verticals=["feed"])
    write_report.main(tiny_config, day=DAY, verticals="feed")
    storage.drop_partition(tiny_config, table, DAY)
    assert status(tiny_config) == "partial"


def test_the_same_content_written_again_leaves_a_day_done(tiny_config: PlatformConfig) -> None:
    for _ in range(2):
        write_day(tiny_config, DAY, verticals=["feed"])
        if storage.day_status(tiny_config, DAY) != "done":
            write_report.main(tiny_config, day=DAY, verticals="feed")
    assert status(tiny_config) == "done"


def test_a_vertical_without_candidate_needs_no_models(tiny_config: PlatformConfig) -> None:
    write_day(tiny_config, DAY, verticals=["feed"])
    for table in ("candidates_feed", "baselines_feed"):
        storage.drop_partition(tiny_config, table, DAY)
    write_report.main(tiny_config, day=DAY, verticals="feed")
    assert status(tiny_config) == "partial"
    rows = storage.read_partition(tiny_config, "evaluations_feed", DAY).slice(0, 0)
    storage.write_partition(tiny_config, "evaluations_feed", DAY, rows, extra={storage.NO_CANDIDATE: "no rows"})
    write_report.main(tiny_config, day=DAY, verticals="feed")
    assert status(tiny_config) == "done"
