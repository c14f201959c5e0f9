"""The catalogue of tables agrees with what each job says of itself, and with itself."""

import re

import pytest

from dags.job_docs import job_doc
from jobs.__main__ import job_names
from storage.tables import TABLES

KNOWN = {table.name for table in TABLES}
WRITERS = sorted({table.writer for table in TABLES})


def said(job: str, what: str) -> set[str]:
    """Tables that a job's documentation names under **Reads:** or **Writes:**."""
    found = re.search(rf"- \*\*{what}:\*\*(.*?)(?=\n- |\n\n|\Z)", job_doc(job), re.DOTALL)
    assert found, f"jobs/{job}.py does not say what it {what.lower()}"
    return set(re.findall(r"`(\w+)`", found[1])) & KNOWN


@pytest.mark.parametrize("job", WRITERS)
def test_a_jobs_documentation_names_the_tables_that_it_writes_and_reads(job: str) -> None:
    written = {table.name for table in TABLES if table.writer == job}
    assert said(job, "Writes") == written
    read = {source for table in TABLES if table.writer == job for source in table.reads}
    # What it has written itself, this day, goes without saying; what checks were made on stands behind their results.
    assert read - written - said(job, "Reads") <= ({"events", "examples", "user_activity", "item_activity"} |
        {"gate_results_events", "gate_results_features"} if job == "promote_vertical" else set())  # fmt: skip
    assert said(job, "Reads") <= read


@pytest.mark.parametrize("job", job_names())
def test_every_job_says_what_it_reads_and_writes(job: str) -> None:
    assert job_doc(job).count("- **Reads:**") == job_doc(job).count("- **Writes:**") == 1


def test_a_table_is_made_from_tables_of_the_catalogue_by_a_job_that_exists() -> None:
    assert len(KNOWN) == len(TABLES)
    for table in TABLES:
        assert set(table.reads) <= KNOWN, table.name
        assert table.writer in job_names(), table.name
