"""Checks that the two activity tables share: one row an entity and snapshot, at the right instants, none left out."""

import great_expectations.expectations as gxe
from great_expectations.expectations.expectation import Expectation

from quality.suite import CRITICAL, WARNING, Measure, between, no_row, not_null
from quality.suites.counts import DAY_US, SECOND_US


def snapshot_rows(entity_id: str) -> list[Expectation]:
    """Builds the row checks of an activity table.

    Args:
        entity_id: `user_id` or `item_id`.
    """
    return [
        gxe.ExpectTableRowCountToBeBetween(min_value=1, severity=CRITICAL, description="There is at least one row"),
        *(not_null(column) for column in (entity_id, "event_timestamp", "created_timestamp")),
        gxe.ExpectCompoundColumnsToBeUnique(
            column_list=[entity_id, "event_timestamp"],
            severity=CRITICAL,
            description=f"No {entity_id} twice in one snapshot",
        ),
    ]


def snapshot_profile(entity_id: str, *, delay_s: int, history_days: int) -> list[Measure]:
    """Builds the profile checks of an activity table.

    Args:
        entity_id: `user_id` or `item_id`.
        delay_s: events younger than this at a snapshot are not in it, seconds.
        history_days: nor are events older than this, days.
    """
    end = "getvariable('window_end_us')"
    seen = (
        f"epoch_us(event_timestamp) >= {end} - {history_days * DAY_US} "
        f"AND epoch_us(event_timestamp) < {end} - {delay_s * SECOND_US}"
    )
    return [
        no_row(
            "between_snapshots",
            "NOT list_contains(getvariable('snapshot_ends_us'), epoch_us(event_timestamp))",
            "Every event_timestamp is the end of a day of the log",
        ),
        between(
            "missing_snapshots",
            "len(getvariable('snapshot_ends_us')) - count(DISTINCT event_timestamp)",
            "Every day of the log that ends in this window has a snapshot",
            maximum=0,
            severity=WARNING,
        ),
        between(
            "left_out",
            f"(SELECT count(DISTINCT {entity_id}) FROM "
            f"(SELECT {entity_id} FROM events WHERE {seen}) ANTI JOIN "
            f"(SELECT {entity_id} FROM rows WHERE epoch_us(event_timestamp) = {end}) "
            f"USING ({entity_id}))",
            f"Every {entity_id} of the day's events is in the day's last snapshot",
            minimum=0,
            maximum=0,
        ),
    ]
