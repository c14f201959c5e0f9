"""Checks the day's events or feature tables with Great Expectations: continues, warns, or stops the day.

- **Reads:** `events`, or the feature tables `examples`, `user_activity`, `item_activity` and `events`; those of the
  previous day too, where they are compared.
- **Writes:** `gate_results_events` or `gate_results_features`, Data Docs.
"""

import logging
from collections.abc import Mapping
from datetime import date
from typing import Any

import storage
from config import PlatformConfig
from data.empty_day import EMPTY
from data.sources import source_schema
from data.validation import NO_USER
from quality.day_quality import STAGES, results_table

LOG = logging.getLogger("headwater.check_quality")
NAMED_FAILURES = 3  # critical failures spelled out in the error line; the rest are counted


class QualityError(ValueError):
    """A critical check failed; the day must not continue."""


@storage.recorded_reads()
def main(config: PlatformConfig, *, day: date, stage: str) -> dict[str, Any]:
    """Judges the tables of one stage and commits the results as gate_results_<stage>, pass or fail.

    Args:
        config: the platform.
        day: platform day.
        stage: `events` (before the features are extracted) or `features` (after).

    Returns:
        stage, passed, critical_failures, warnings (messages) and data_docs (path of the index page).

    Raises:
        ValueError: there is no such stage.
        PartitionMissing: a table has no committed partition of the day.
        QualityError: at least one critical check failed.
    """
    if stage not in STAGES:
        raise ValueError(f"unknown stage {stage!r}; known: {', '.join(STAGES)}")
    logging.getLogger("great_expectations").setLevel(logging.WARNING)  # hundreds of lines about itself, on import
    from quality.data_docs import index_page  # Great Expectations takes seconds to import
    from quality.validate import as_table, validate

    tables = STAGES[stage]
    for table in tables:
        storage.read_manifest(config, table, day)
    landed = storage.read_manifest(config, "events", day)["extra"]
    results = validate(config, source_schema(config), day, tables)
    storage.write_partition(config, results_table(stage), day, as_table(results))
    failures = [r for r in results if not r.success and r.severity == "critical"]
    warnings = [r for r in results if not r.success and r.severity == "warning"]
    for result in warnings:
        LOG.warning(result.message)
    for result in failures:
        LOG.error(result.message)
    if failures:
        named = "; ".join(f"{r.message} [{r.suite}: {r.expectation} {r.column}]" for r in failures[:NAMED_FAILURES])
        more = f"; and {len(failures) - NAMED_FAILURES} more" if len(failures) > NAMED_FAILURES else ""
        raise QualityError(
            f"{len(failures)} critical checks of {stage} failed on {day}: {named}{more}. "
            f"Read {index_page(config)}, look at the rejected rows, "
            f"{storage.partition_path('quarantine', day)} in the lake, correct the source and run the day again"
            + _hint(config, day, landed.get(EMPTY))
            + _anonymous_hint(config, landed)
        )
    return {
        "stage": stage,
        "passed": True,
        "critical_failures": [],
        "warnings": [result.message for result in warnings],
        "data_docs": str(index_page(config)),
    }


def _hint(config: PlatformConfig, day: date, empty: str | None) -> str:
    """Names the setting that skips an empty day."""
    if empty is None:
        return ""
    if day == config.source.bootstrap_day:
        return f". The day is empty ({empty}); the first day cannot be skipped: move first_day or raise bootstrap_days"
    setting = f"sources.{config.data_source}.empty_day: skip"
    return f"; or, as the day is empty ({empty}), let the log go on without it: {setting}"


def _anonymous_hint(config: PlatformConfig, landed: Mapping[str, Any]) -> str:
    """Names the setting that keeps rows without a user id, where they are among too many rows in quarantine.

    Args:
        config: the platform.
        landed: what ingest recorded with `events`.
    """
    reasons = landed.get("quarantined", {})
    without_user = reasons.get(NO_USER, 0)
    allowed = config.gates.max_quarantined_fraction * landed.get("raw_rows", 0)
    if not without_user or sum(reasons.values()) <= allowed:
        return ""
    setting = f"sources.{config.data_source}.anonymous: keep"
    return f"; or, where the {without_user} rows without a user id are anonymous traffic, keep them: {setting}"
