"""What DAGs that a person starts have in common."""

from datetime import UTC, datetime, time
from typing import Any

from airflow.sdk import Param

from config import PlatformConfig
from dags.run_job import DEFAULTS


def by_hand(config: PlatformConfig, doc: str, params: dict[str, Param], *, tag: str) -> dict[str, Any]:
    """Returns the arguments of a DAG with a form and no schedule, one run at a time.

    They are passed to `DAG` in the DAG's own file, which Airflow shows as its code.

    Args:
        config: the platform.
        doc: the file's docstring; its first line describes the DAG.
        params: fields of the form.
        tag: beside the source's name.
    """
    return {
        "description": doc.splitlines()[0],
        "doc_md": doc,
        "schedule": None,
        "start_date": datetime.combine(config.source.bootstrap_day, time(), UTC),
        "catchup": False,
        "max_active_runs": 1,
        "params": params,
        "default_args": DEFAULTS,
        "tags": [tag, config.data_source],
    }


def number(default: float, title: str, description: str, *, kind: str = "integer", minimum: float = 1) -> Param:
    """Builds a field for a number."""
    return Param(default, type=kind, minimum=minimum, title=title, description=description)
