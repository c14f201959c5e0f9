"""Suite of `events`: complete, of this day, unique, a believable click rate, and features that are not going dark."""

import great_expectations.expectations as gxe
from great_expectations.expectations.expectation import Expectation

from config import PlatformConfig
from data.schema import EVENT_COLUMNS, Schema
from quality.suite import CRITICAL, WARNING, Measure, Suite, between, no_row, not_null, right_columns

# Day over day, beyond which a person should look; a change of audience rarely exceeds them, a broken join does.
CLICK_RATE_FACTOR = 2.0
ROWS_FACTOR = 5.0
NULL_SHARE_CHANGE = 0.2


def suite(config: PlatformConfig, schema: Schema) -> Suite:
    """Builds the suite of a day's events."""
    return Suite(
        table="events",
        columns=schema.events(),
        rows=impression_rows(config),
        profile=[
            *right_columns(),
            *impression_profile(),
            between(
                "quarantined_fraction",
                "getvariable('quarantined') / greatest(getvariable('raw_rows'), 1)",
                "Share of the raw rows that ingest put into quarantine (gates.max_quarantined_fraction)",
                minimum=0,
                maximum=config.gates.max_quarantined_fraction,
            ),
            between(
                "click_rate_over_previous",
                "avg(label) / (SELECT nullif(avg(label), 0) FROM previous)",
                "Click rate over the previous day's",
                minimum=1 / CLICK_RATE_FACTOR,
                maximum=CLICK_RATE_FACTOR,
                severity=WARNING,
                optional=True,
            ),
            between(
                "rows_over_previous",
                "count(*) / getvariable('log_days') "
                "/ nullif((SELECT count(*) FROM previous) / getvariable('previous_log_days'), 0)",
                "Rows per day of the log over the previous day's",
                minimum=1 / ROWS_FACTOR,
                maximum=ROWS_FACTOR,
                severity=WARNING,
                optional=True,
            ),
            *(vertical_has_rows(vertical) for vertical in config.verticals),
            *(null_share(feature) for feature in schema.categorical + schema.dense),
            *(null_share_change(feature) for feature in schema.categorical + schema.dense),
            *([null_share_change("user_id")] if config.source.anonymous == "keep" else []),  # a join that broke
        ],
    )


def impression_rows(config: PlatformConfig) -> list[Expectation]:
    """Builds the row checks of every table with one row an impression; user_id may be null where nobody's are kept."""
    kept = {"user_id"} if config.source.anonymous == "keep" else set()
    return [
        gxe.ExpectTableRowCountToBeBetween(
            min_value=config.gates.min_rows,
            severity=CRITICAL,
            description="At least gates.min_rows impressions",
        ),
        *(not_null(column) for column in EVENT_COLUMNS if column not in kept),
        gxe.ExpectColumnValuesToBeUnique(column="impression_id", severity=CRITICAL, description="No impression twice"),
        gxe.ExpectColumnValuesToBeInSet(
            column="label", value_set=[0, 1], severity=CRITICAL, description="label is 0 or 1"
        ),
        gxe.ExpectColumnValuesToBeInSet(
            column="vertical",
            value_set=config.verticals,
            severity=CRITICAL,
            description="Every impression belongs to a vertical of platform.yaml",
        ),
    ]


def impression_profile() -> list[Measure]:
    """Builds the profile checks of every table with one row an impression."""
    return [
        no_row(
            "outside_day",
            "epoch_us(event_timestamp) < getvariable('window_start_us') "
            "OR epoch_us(event_timestamp) >= getvariable('window_end_us')",
            "No event_timestamp lies outside the day's window",
        ),
        between(
            "instants",
            "count(DISTINCT event_timestamp)",
            "Instants of the day: of one alone nothing can be held out",
            minimum=2,
        ),
        between(
            "click_rate",
            "coalesce(avg(label), 0)",
            "Clicks over impressions: a day with one class only teaches nothing",
            minimum=0,
            maximum=1,
            strict=True,
        ),
    ]


def vertical_has_rows(vertical: str) -> Measure:
    """Builds the check that warns of a vertical without impressions."""
    return between(
        f"rows_{vertical}",
        f"count(*) FILTER (WHERE vertical = '{vertical}')",
        f"Vertical {vertical} has impressions",
        minimum=1,
        severity=WARNING,
    )


def null_share(feature: str) -> Measure:
    """Builds the check that warns of a feature that is null in every row."""
    return between(
        f"null_share_{feature}",
        f'coalesce(avg(("{feature}" IS NULL)::INTEGER), 1)',
        f"Feature {feature} is known for some rows",
        minimum=0,
        maximum=0.999,
        severity=WARNING,
    )


def null_share_change(feature: str) -> Measure:
    """Builds the check that warns where a feature's share of nulls jumped since the previous day."""
    return between(
        f"null_share_change_{feature}",
        f'avg(("{feature}" IS NULL)::INTEGER) - (SELECT avg(("{feature}" IS NULL)::INTEGER) FROM previous)',
        f"Share of rows without {feature}, minus the previous day's",
        minimum=-NULL_SHARE_CHANGE,
        maximum=NULL_SHARE_CHANGE,
        severity=WARNING,
        optional=True,
    )
