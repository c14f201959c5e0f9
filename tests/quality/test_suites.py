"""Every corruption of a day's tables is caught by the check that is meant for it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pytest

from config import PlatformConfig
from data.schema import Schema
from data.sources import source_schema
from data.sources.synthetic import SCHEMA
from quality.suites import SUITES
from quality.validate import validate
from tests.clean_tables import clean_tables, write_tables

BOOTSTRAP, DAY = date(2026, 1, 2), date(2026, 1, 3)
Spoil = Callable[[pa.Table], pa.Table]
VERTICALS = ("feed", "search", "video")
FEATURES = SCHEMA.categorical + SCHEMA.dense


def replace(column: str, value: Callable[[int, Any], Any]) -> Spoil:
    """Replaces a column's values; `value` gets the row number and the old value."""

    def spoil(table: pa.Table) -> pa.Table:
        kind = table.schema.field(column)
        values = [value(n, old) for n, old in enumerate(table[column].to_pylist())]
        return table.set_column(table.column_names.index(column), kind, pa.array(values, kind.type))

    return spoil


def as_text(column: str) -> Spoil:
    def spoil(table: pa.Table) -> pa.Table:
        values = pa.array([f"yes{value}" for value in table[column].to_pylist()])
        return table.set_column(table.column_names.index(column), column, values)

    return spoil


def doubled(table: pa.Table) -> pa.Table:
    return pa.concat_tables([table, table.slice(0, 1)])


def at(column: str, changes: dict[int, Any]) -> Spoil:
    """Replaces single values, by row number."""
    return replace(column, lambda n, old: changes.get(n, old))


def late(column: str, changes: dict[int, Callable[[Any], Any]]) -> Spoil:
    """Changes single values, by row number from the end, where windows and histories are well filled."""

    def spoil(table: pa.Table) -> pa.Table:
        end = table.num_rows
        return replace(column, lambda n, old: changes[n - end](old) if n - end in changes else old)(table)

    return spoil


def micros(*when: int) -> int:
    return int(datetime(*when, tzinfo=UTC).timestamp()) * 1_000_000


@dataclass(frozen=True)
class Case:
    """Corruptions of one table that lie in different rows or columns, and everything that they must set off."""

    table: str
    corruptions: list[Spoil]
    critical: set[str] = field(default_factory=set)  # columns reported; "" is the table itself
    warning: set[str] = field(default_factory=set)


CASES = {
    "bad rows": Case(
        "events",
        [
            at("user_id", {0: None}),
            at("item_id", {1: None}),
            at("label", {2: 2}),
            at("vertical", {3: "billboard"}),
            doubled,
        ],
        critical={"user_id", "item_id", "label", "vertical", "impression_id"},
    ),
    "null impression id and label": Case(
        "events", [at("impression_id", {0: None}), at("label", {1: None})], critical={"impression_id", "label"}
    ),
    "yesterday's row": Case(
        "events", [at("event_timestamp", {0: datetime(2026, 1, 2, 12, tzinfo=UTC)})], critical={"outside_day"}
    ),
    "row of the midnight that ends the day": Case(
        "events", [at("event_timestamp", {0: datetime(2026, 1, 4, tzinfo=UTC)})], critical={"outside_day"}
    ),
    "empty day": Case(
        "events",
        [lambda t: t.slice(0, 0)],
        critical={"", "click_rate", "instants"},
        warning={"rows_over_previous", *(f"rows_{v}" for v in VERTICALS), *(f"null_share_{f}" for f in FEATURES)},
    ),
    "too few rows and a missing column": Case(
        "events",
        [lambda t: t.slice(0, 99), lambda t: t.drop_columns(["item_id"])],
        critical={"", "item_id", "missing_columns"},
    ),
    "one class": Case(
        "events", [replace("label", lambda n, old: 0)], critical={"click_rate"}, warning={"click_rate_over_previous"}
    ),
    "wrong type": Case("events", [as_text("label")], critical={"wrong_types", "label", "click_rate"}),
    "strange but possible": Case(
        "events",
        [
            replace("vertical", lambda n, old: "video" if old == "search" else old),
            replace("price", lambda n, old: None),
            replace("country", lambda n, old: old if n % 2 else None),
            replace("label", lambda n, old: int(n > 0)),
        ],
        warning={
            "rows_search",
            "null_share_price",
            "null_share_change_price",
            "null_share_change_country",
            "click_rate_over_previous",
        },
    ),
    "impressions and counts": Case(
        "examples",
        [
            at("impression_id", {0: "invented"}),
            at("user_ctr_7d", {1: 1.5}),
            at("item_ctr_7d", {2: float("nan")}),
            late("item_ctr_30d", {-1: lambda old: 0.99}),
            at("item_clicks_1d", {4: -1.0}),
            at("user_item_id_clicks", {5: None, 6: 50.0}),
            late("user_impressions_7d", {-1: lambda old: 1000.0}),
        ],
        critical={
            "lost_impressions",
            "invented_impressions",
            "user_ctr_7d_invalid",
            "user_ctr_7d_wrong",
            "item_ctr_7d_invalid",
            "item_ctr_7d_wrong",
            "item_ctr_30d_wrong",
            "item_clicks_1d_invalid",
            "item_ctr_1d_wrong",
            "user_item_id_clicks_invalid",
            "user_item_id_clicks_above_impressions",
            "user_impressions_7d_above_30d",
        },
    ),
    "history of the future": Case(
        "examples",
        [late("history_timestamps", {-1: lambda old: [*old[:-1], micros(2026, 1, 4)]})],
        critical={"history_leaks"},
    ),
    "broken histories": Case(
        "examples",
        [
            late("history_timestamps", {-2: lambda old: [micros(2025, 10, 1), *old[1:]], -3: lambda old: old[::-1]}),
            late("history_labels", {-4: lambda old: old[1:], -5: lambda old: [2, *old[1:]]}),
            late("history_item_ids", {-6: lambda old: None}),
        ],
        critical={
            "history_too_old",
            "history_unordered",
            "history_ragged",
            "history_labels_invalid",
            "history_missing",
        },
    ),
    "user twice, another left out": Case(
        "user_activity",
        [lambda t: t.slice(1), doubled],
        critical={"user_id, event_timestamp", "left_out"},
    ),
    "snapshot at noon, item unknown": Case(
        "item_activity",
        [at("event_timestamp", {0: datetime(2026, 1, 3, 12, tzinfo=UTC)}), at("item_id", {1: None})],
        critical={"item_id", "between_snapshots", "left_out"},
    ),
    "no snapshot": Case(
        "item_activity", [lambda t: t.slice(0, 0)], critical={"", "left_out"}, warning={"missing_snapshots"}
    ),
}


@pytest.fixture(scope="module")
def tables() -> dict[tuple[PlatformConfig, date], dict[str, pa.Table]]:
    """Clean tables by day, filled at first use."""
    return {}


@pytest.fixture
def schema(tiny_config: PlatformConfig) -> Schema:
    return source_schema(tiny_config)


@pytest.fixture
def clean(tiny_config: PlatformConfig, schema: Schema, tables: dict[date, dict[str, pa.Table]]) -> dict[str, pa.Table]:
    """The tables of DAY; the bootstrap day's lie in storage."""
    for day in (BOOTSTRAP, DAY):
        if day not in tables:
            tables[day] = clean_tables(tiny_config, schema, day)
    write_tables(tiny_config, BOOTSTRAP, tables[BOOTSTRAP])
    return dict(tables[DAY])


def test_a_clean_day_passes_every_check(
    tiny_config: PlatformConfig, schema: Schema, clean: dict[str, pa.Table]
) -> None:
    write_tables(tiny_config, DAY, clean, quarantined=6)  # 6 of 126 is 4.8%; the limit is 5%
    results = validate(tiny_config, schema, DAY, list(SUITES))
    assert [result.message for result in results if not result.success] == []
    assert {result.table for result in results} == set(SUITES)


@pytest.mark.parametrize("name", CASES)
def test_corruptions_set_off_their_checks_and_no_others(
    tiny_config: PlatformConfig, schema: Schema, clean: dict[str, pa.Table], name: str
) -> None:
    case = CASES[name]
    for corruption in case.corruptions:
        clean[case.table] = corruption(clean[case.table])
    write_tables(tiny_config, DAY, clean)
    results = validate(tiny_config, schema, DAY, [case.table])
    assert {r.column for r in results if not r.success and r.severity == "critical"} == case.critical
    assert {r.column for r in results if not r.success and r.severity == "warning"} == case.warning


def test_files_without_a_column_get_a_verdict(
    tiny_config: PlatformConfig, schema: Schema, clean: dict[str, pa.Table]
) -> None:
    write_tables(tiny_config, DAY, clean | {"events": clean["events"].select([])})
    results = validate(tiny_config, schema, DAY, ["events"])
    found = {r.column: r.observed for r in results if not r.success}
    assert found["missing_columns"] == ", ".join(schema.events().names)


def test_too_many_quarantined_rows_are_critical_and_the_message_says_how_many(
    tiny_config: PlatformConfig, schema: Schema, clean: dict[str, pa.Table]
) -> None:
    write_tables(tiny_config, DAY, clean, quarantined=7)
    failures = [r for r in validate(tiny_config, schema, DAY, ["events"]) if not r.success]
    assert [(r.column, r.severity, r.observed) for r in failures] == [("quarantined_fraction", "critical", "0.0551")]
    assert failures[0].message == (
        "events: Share of the raw rows that ingest put into quarantine (gates.max_quarantined_fraction); "
        "but found 0.0551"
    )


def test_delay_moves_the_leak_limit(tiny_config: PlatformConfig, schema: Schema, clean: dict[str, pa.Table]) -> None:
    write_tables(tiny_config, DAY, clean)  # histories reach up to the impression
    delayed = tiny_config.changed(features={"user_delay_s": 12 * 3600})
    results = validate(delayed, schema, DAY, ["examples"])
    assert [(r.column, r.severity) for r in results if not r.success] == [("history_leaks", "critical")]
