"""Lists the searches of a source: what was tried before, and what came of it.

- **Reads:** the folder of each search.
- **Writes:** nothing.
"""

import json
import sys
from typing import Any

from rich.console import Console
from rich.table import Table

import storage
from config import PlatformConfig
from search.conclusion import CONCLUSION_FILE
from search.study import begun, best, records_in, study_names


def main(config: PlatformConfig) -> dict[str, Any]:
    """Prints a line a search, the newest last.

    Returns:
        studies: by name, its settings, trials by status, best NE, verdict.
    """
    listed = {name: _summary(config, name) for name in study_names(config)}
    table = Table("search", "target", "sampler", "days", "trials", "best NE", "verdict", title=config.data_source)
    for name, row in listed.items():
        days = f"{row['days'][0]} to {row['days'][-1]}"
        ne = "" if row["best_ne"] is None else f"{row['best_ne']:.4f}"
        table.add_row(name, row["target"], row["sampler"], days, str(row["trials"]), ne, row["verdict"] or "running")
    Console(file=sys.stderr).print(table if listed else f"no search of {config.data_source} yet")
    return {"studies": listed}


def _summary(config: PlatformConfig, name: str) -> dict[str, Any]:
    settings = begun(config, name)
    assert settings is not None
    folder = storage.study_dir(config, name)
    records = records_in(folder)  # without its space: the search may be of a vertical that is gone
    top = best(records)
    path = folder / CONCLUSION_FILE
    statuses = [record.trial.status for record in records]
    return settings.model_dump(mode="json") | {
        "trials": {status: statuses.count(status) for status in dict.fromkeys(statuses)},
        "best_ne": top[0].trial.objective if top else None,
        "verdict": json.loads(path.read_text())["verdict"] if path.exists() else None,
    }
