"""What the Airflow UI says about each job: the job's own docstring, read without importing what the job needs."""

import ast

from config import ROOT


def job_doc(job: str) -> str:
    """Returns the docstring of jobs/JOB.py.

    Raises:
        FileNotFoundError: there is no such job.
    """
    return ast.get_docstring(ast.parse((ROOT / "jobs" / f"{job}.py").read_text())) or ""
