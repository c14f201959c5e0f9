"""The verdict on a day needs both stages, checked on the tables as they are now."""

from datetime import date

import pyarrow as pa
import pytest

import storage
from config import PlatformConfig
from quality.day_quality import STAGES, quality_passed, results_table
from quality.validate import Result, as_table

DAY = date(2026, 1, 3)


def result(*, success: bool, severity: str = "critical") -> Result:
    return Result("events", "events_rows", "expect_x", "label", severity, success, "2", "label is 0 or 1; but found 2")


def write_stage(config: PlatformConfig, stage: str, *results: Result) -> None:
    for table in STAGES[stage]:
        if not storage.has_partition(config, table, DAY):
            storage.write_partition(config, table, DAY, pa.table({"x": [1]}))
    with storage.recorded_reads():
        for table in STAGES[stage]:
            storage.read_manifest(config, table, DAY)
        storage.write_partition(config, results_table(stage), DAY, as_table(results))


def test_both_stages_passed(tiny_config: PlatformConfig) -> None:
    write_stage(tiny_config, "events", result(success=True), result(success=False, severity="warning"))
    write_stage(tiny_config, "features", result(success=True))
    assert quality_passed(tiny_config, DAY) == (True, ["2 quality checks passed, 1 warnings"])


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_that_was_not_checked_has_not_passed(tiny_config: PlatformConfig, stage: str) -> None:
    write_stage(tiny_config, next(other for other in STAGES if other != stage), result(success=True))
    passed, reasons = quality_passed(tiny_config, DAY)
    assert not passed
    assert reasons == [f"{stage} of {DAY} were never checked; run check_quality --stage {stage} --day {DAY}"]


def test_a_critical_failure_is_the_reason(tiny_config: PlatformConfig) -> None:
    write_stage(tiny_config, "events", result(success=False))
    write_stage(tiny_config, "features", result(success=True))
    assert quality_passed(tiny_config, DAY) == (False, ["label is 0 or 1; but found 2"])


def test_a_table_written_after_its_check_has_not_passed(tiny_config: PlatformConfig) -> None:
    write_stage(tiny_config, "events", result(success=True))
    write_stage(tiny_config, "features", result(success=True))
    storage.write_partition(tiny_config, "examples", DAY, pa.table({"x": [2]}))
    passed, reasons = quality_passed(tiny_config, DAY)
    assert not passed
    assert reasons == [f"examples/ds={DAY} has changed since it was checked; run check_quality --stage features again"]
