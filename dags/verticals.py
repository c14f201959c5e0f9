"""The verticals of a run: the form's field, and the task that passes them to mapped groups."""

from typing import Any

from airflow.sdk import Param, task

from config import load_config

NAMES = load_config().verticals


def verticals_param(description: str) -> Param:
    """Builds a field that offers the configured verticals, all chosen."""
    return Param(
        NAMES,
        type="array",
        minItems=1,
        uniqueItems=True,
        items={"type": "string", "enum": NAMES},
        examples=NAMES,
        title="Verticals",
        description=description,
    )


@task
def choose_verticals(params: dict[str, Any]) -> list[str]:
    """Names the verticals of this run, as chosen in the form; each gets an instance of the group `verticals`."""
    return list(params["verticals"])
