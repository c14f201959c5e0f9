"""Runs suites with Great Expectations, keeps their results by day, and renders them as Data Docs."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import great_expectations as gx
import pandas as pd
import pyarrow as pa
from great_expectations.core import ExpectationSuite
from great_expectations.core.expectation_validation_result import ExpectationValidationResult
from great_expectations.core.run_identifier import RunIdentifier
from great_expectations.expectations.expectation import Expectation

import storage
from config import PlatformConfig
from data.schema import Schema
from quality.data_docs import build_site, open_context
from quality.profile import profile
from quality.suites import SUITES


@dataclass(frozen=True)
class Result:
    """The outcome of one expectation; one row of `gate_results`."""

    table: str
    suite: str
    expectation: str
    column: str  # of the table or of its profile; several joined by a comma; empty for the whole table
    severity: str  # critical or warning
    success: bool
    observed: str
    message: str


RESULT_SCHEMA = pa.schema(
    {name: pa.bool_() if name == "success" else pa.string() for name in Result.__dataclass_fields__}
)


def validate(config: PlatformConfig, schema: Schema, day: date, tables: Sequence[str]) -> list[Result]:
    """Runs the suites of some tables on one day and renders their results into the Data Docs.

    A day's earlier results of the same tables are replaced.

    Args:
        config: the platform.
        schema: the data source's features.
        day: the platform day.
        tables: keys of SUITES.

    Returns:
        One result an expectation.

    Raises:
        PartitionMissing: a table has no committed partition of the day.
        RuntimeError: Great Expectations ran, but did not render a page.
    """
    context = open_context(config)
    # A run is named by its day and timed by the day's end, so that running a day again overwrites its files.
    run_id = RunIdentifier(run_name=str(day), run_time=storage.day_window(config, day)[1])
    lake = context.data_sources.add_pandas("lake")
    results: list[Result] = []
    for table in tables:
        suite = SUITES[table](config, schema)
        frames = profile(config, day, suite)
        judged: dict[str, tuple[pd.DataFrame, Sequence[Expectation]]] = {
            "rows": (frames.rows, suite.rows),
            "profile": (
                frames.profile,
                [
                    measure.expectation
                    for measure in suite.profile
                    if not (measure.optional and frames.profile[measure.name].isna().all())
                ],
            ),
        }
        for kind, (frame, expectations) in judged.items():
            name = f"{table}_{kind}"
            batch = lake.add_dataframe_asset(name).add_batch_definition_whole_dataframe(str(day))
            expectation_suite = context.suites.add(ExpectationSuite(name=name, expectations=list(expectations)))
            definition = gx.ValidationDefinition(name=name, data=batch, suite=expectation_suite)
            outcome = context.validation_definitions.add(definition).run(
                batch_parameters={"dataframe": frame}, result_format="SUMMARY", run_id=run_id
            )
            results += [_result(table, name, result) for result in outcome.results]
    build_site(config, context, day)
    return results


def as_table(results: Sequence[Result]) -> pa.Table:
    """Returns results as rows of `gate_results`."""
    return pa.Table.from_pylist([asdict(result) for result in results], schema=RESULT_SCHEMA)


def _result(table: str, suite: str, outcome: ExpectationValidationResult) -> Result:
    configuration = outcome.expectation_config
    assert configuration is not None
    kwargs = configuration.kwargs
    column = kwargs.get("column") or ", ".join(kwargs.get("column_list", []))
    observed = _observed(suite, kwargs, outcome)
    message = f"{table}: {configuration.description}; " + ("" if outcome.success else "but ") + f"found {observed}"
    return Result(
        table=table,
        suite=suite,
        expectation=configuration.type,
        column=column,
        severity=str(configuration.severity.value),
        success=bool(outcome.success),
        observed=observed,
        message=message,
    )


def _observed(suite: str, kwargs: dict[str, Any], outcome: ExpectationValidationResult) -> str:
    """Says in words what was found."""
    result: dict[str, Any] = outcome.result
    if not result:  # the expectation raised; Great Expectations keeps the exception instead of a result
        return f"an error: {_exception(outcome.exception_info)}"
    if "observed_value" in result:
        value = result["observed_value"]
        if suite.endswith("_rows"):
            return f"{value} rows"
        if kwargs.get("min_value") == kwargs.get("max_value") == 0:  # counts what breaks a rule
            return f"{value} that do not"
        return "nothing" if value is None else str(round(value, 4))
    examples = result.get("partial_unexpected_list", [])
    if suite.endswith("_profile"):
        return str(examples[0]) if examples else "none"
    text = f"{result['unexpected_count']} of {result['element_count']} rows"
    distinct = list(dict.fromkeys(str(example) for example in examples))[:5]
    return text + (f", such as {', '.join(distinct)}" if distinct else "")


def _exception(info: dict[str, Any]) -> str:
    if "exception_message" in info:
        return str(info["exception_message"])
    return "; ".join(str(one["exception_message"]) for one in info.values())
