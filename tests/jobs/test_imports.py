"""A job imports what it uses: a heavy library that it does not need costs seconds, many times a day."""

import subprocess
import sys

import pytest

from config import ROOT
from jobs.__main__ import job_names

HEAVY = (
    "torch",
    "torchrec",
    "pyspark",
    "sklearn",
    "matplotlib",
    "great_expectations",
    "feast",
    "mlflow",
    "polars",
    "botorch",
)
OF_MLFLOW = {"mlflow", "pyspark", "polars"}  # it imports the two by itself
SEARCH = {"torch", "torchrec", "matplotlib", "sklearn"} | OF_MLFLOW
NEEDED: dict[str, set[str]] = dict.fromkeys(
    ("conclude_search", "list_studies", "plan_search", "run_trial", "search_architecture", "share_weights"), SEARCH
) | {
    "check_quality": {"polars"},  # Great Expectations follows when its tables are known to be there
    "check_source": {"polars", "sklearn"},
    "distill_vertical": {"torch"} | OF_MLFLOW,
    "estimate_ne": {"torch", "botorch"} | OF_MLFLOW,
    "expand_audience": {"matplotlib", "polars", "sklearn"},
    "explain_transfer": {"torch", "torchrec", "matplotlib"} | OF_MLFLOW,
    "extract_features": {"pyspark", "polars"},
    "ingest": {"polars"},
    "materialize_features": {"feast", "torch", "polars"},  # Feast imports torch by itself
    "plan_day": {"polars"},  # it may have to compare a file with what was landed
    "promote_vertical": OF_MLFLOW,
    "track_transfer": {"torch"} | OF_MLFLOW,
    "train_foundation": {"torch", "torchrec"} | OF_MLFLOW,
    "write_report": {"matplotlib", "polars"},
}


ALIKE = {needed: [job for job in NEEDED if NEEDED[job] == needed] for needed in map(frozenset, NEEDED.values())}


def test_every_job_says_what_it_needs() -> None:
    assert sorted(NEEDED) == job_names()


@pytest.mark.parametrize("needed", ALIKE, ids=lambda needed: ALIKE[needed][0])
def test_a_job_imports_no_library_that_it_does_not_need(needed: frozenset[str]) -> None:
    """Jobs that need the same are imported together, as each import costs seconds here, too."""
    script = "\n".join(["import sys", *(f"import jobs.{job}" for job in ALIKE[needed])])
    script += f"\nprint(*(name for name in {HEAVY!r} if name in sys.modules))"
    command = [sys.executable, "-W", "ignore", "-c", script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) <= needed
