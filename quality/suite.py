"""What a suite is: the columns a table must have, and Great Expectations on its rows and on a one-row profile of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import great_expectations.expectations as gxe
import pyarrow as pa
from great_expectations.expectations.expectation import Expectation
from great_expectations.expectations.metadata_types import FailureSeverity

CRITICAL, WARNING = FailureSeverity.CRITICAL, FailureSeverity.WARNING


@dataclass(frozen=True)
class Measure:
    """One value of a table's profile, and what it must be.

    Args:
        name: column of the profile.
        sql: DuckDB aggregate over the view `rows`. The views and variables it may use are those of
            quality.profile.
        expectation: judges the column `name` of the profile.
        optional: NULL means that there is nothing to compare with, and the measure is not judged. Otherwise NULL
            fails.
    """

    name: str
    sql: str
    expectation: Expectation
    optional: bool = False


@dataclass(frozen=True)
class Suite:
    """The checks of one table.

    Great Expectations is slow on big tables, so only what names single bad rows is checked on the rows, on a frame
    of just the columns those expectations read; everything else is one aggregate a check, computed by DuckDB in one
    pass, and Great Expectations judges the resulting row.
    """

    table: str
    columns: pa.Schema
    rows: Sequence[Expectation]
    profile: Sequence[Measure]

    @property
    def row_columns(self) -> list[str]:
        """Returns the columns that the row expectations read."""
        names: set[str] = set()
        for expectation in self.rows:
            names.update([column] if (column := getattr(expectation, "column", None)) else [])
            names.update(getattr(expectation, "column_list", []))
        return [name for name in self.columns.names if name in names]


def not_null(column: str) -> Expectation:
    """Builds the critical check that no row lacks the column."""
    return gxe.ExpectColumnValuesToNotBeNull(column=column, severity=CRITICAL, description=f"Every row has {column}")


def between(
    name: str,
    sql: str,
    description: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    strict: bool = False,
    severity: FailureSeverity = CRITICAL,
    optional: bool = False,
) -> Measure:
    """Builds the check that a profile value lies in [minimum, maximum], or, if strict, in (minimum, maximum)."""
    # The profile has one row, so its maximum is its value: the cheapest expectation that reports what it saw.
    expectation = gxe.ExpectColumnMaxToBeBetween(
        column=name,
        min_value=minimum,
        max_value=maximum,
        strict_min=strict and minimum is not None,
        strict_max=strict and maximum is not None,
        severity=severity,
        description=description,
    )
    return Measure(name, sql, expectation, optional)


def no_row(name: str, condition: str, description: str, *, severity: FailureSeverity = CRITICAL) -> Measure:
    """Builds the check that no row meets the SQL condition; the profile holds how many do."""
    sql = f"count(*) FILTER (WHERE {condition})"
    return between(name, sql, description, minimum=0, maximum=0, severity=severity)


def right_columns() -> list[Measure]:
    """Builds the critical checks that every column is there, with its type."""
    return [
        Measure(
            name,
            f"getvariable('{name}')",
            gxe.ExpectColumnValuesToBeInSet(
                column=name, value_set=["none"], severity=CRITICAL, description=description
            ),
        )
        for name, description in {
            "missing_columns": "No column of the schema is missing",
            "wrong_types": "Every column has the type of the schema",
        }.items()
    ]
