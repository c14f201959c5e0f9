"""What a day's quality checks decided, read back from the gate results; needs no Great Expectations."""

from datetime import date

import storage
from config import PlatformConfig
from storage.tables import checked_tables

STAGES = checked_tables()  # tables judged by each stage of check_quality


def results_table(stage: str) -> str:
    """Returns the name of the table that holds a stage's gate results."""
    return f"gate_results_{stage}"


def quality_passed(config: PlatformConfig, day: date) -> tuple[bool, list[str]]:
    """Says whether a day passed every critical check, of both stages, on the tables as they are now.

    Returns:
        Whether it passed, and why: what failed, or how many checks passed. The reasons are never empty.
    """
    failures: list[str] = []
    passed = warnings = 0
    for stage, tables in STAGES.items():
        name = results_table(stage)
        if not storage.has_partition(config, name, day):
            failures.append(f"{stage} of {day} were never checked; run check_quality --stage {stage} --day {day}")
            continue
        checked = storage.read_manifest(config, name, day)["inputs"]
        for table in tables:
            if not storage.has_partition(config, table, day):
                failures.append(f"{table}/ds={day} is gone since it was checked; run the day again")
            elif checked.get(f"{table}/ds={day}") != storage.read_manifest(config, table, day)["content_hash"]:
                failures.append(
                    f"{table}/ds={day} has changed since it was checked; run check_quality --stage {stage} again"
                )
        for row in storage.read_partition(config, name, day).to_pylist():
            passed += row["success"]
            warnings += not row["success"] and row["severity"] == "warning"
            if not row["success"] and row["severity"] == "critical":
                failures.append(row["message"])
    if failures:
        return False, failures
    return True, [f"{passed} quality checks passed, {warnings} warnings"]
