"""Suite of `examples`: the day's events, each once, with features that knew nothing of the future."""

import pyarrow as pa

from config import PlatformConfig
from data.schema import HISTORY_COLUMNS, Schema
from quality.suite import Measure, Suite, between, no_row, right_columns
from quality.suites.counts import cross_checks, history_checks, window_checks
from quality.suites.events import impression_profile, impression_rows


def suite(config: PlatformConfig, schema: Schema) -> Suite:
    """Builds the suite of a day's examples."""
    windows = config.features.windows_days
    counts = schema.user_counts(windows) + schema.item_counts(windows) + schema.cross_counts()
    fields = [*schema.events(), *(pa.field(name, pa.float32()) for name in counts)]
    return Suite(
        table="examples",
        columns=pa.schema([*fields, *(pa.field(name, kind) for name, kind in HISTORY_COLUMNS.items())]),
        rows=impression_rows(config),
        profile=[
            *right_columns(),
            *impression_profile(),
            between(
                "lost_impressions",
                "(SELECT count(*) FROM events ANTI JOIN rows USING (impression_id))",
                "Every event of the day became an example",
                minimum=0,
                maximum=0,
            ),
            between(
                "invented_impressions",
                "(SELECT count(*) FROM rows ANTI JOIN events USING (impression_id))",
                "Every example is an event of the day",
                minimum=0,
                maximum=0,
            ),
            *window_checks("user", config.features),
            *window_checks("item", config.features),
            *cross_checks(schema.crosses),
            *history_checks(config.features),
            nobody_is_no_user(schema, windows),
        ],
    )


def nobody_is_no_user(schema: Schema, windows: list[int]) -> Measure:
    """Builds the check that nothing is known of the user where there is none."""
    counts = (*schema.user_counts(windows), *schema.cross_counts())
    known = " OR ".join(["len(history_item_ids) > 0", *(f'"{name}" > 0' for name in counts)])
    return no_row(
        "known_of_nobody",
        f"user_id IS NULL AND ({known})",
        "A row without a user_id has no history and no counts of a user",
    )
