"""The only way a DAG starts a job: as a process of the jobs environment, its last output line being its result."""

import json
import logging
import os
import signal
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import IO, Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from config import ROOT, jobs_python
from dags.job_docs import job_doc

# What the jobs' own JSON log lines hold besides the fields worth showing.
LOG_FIELDS = {"time", "level", "logger", "message", "traceback"}
EXIT_WRONG_CALL = 2  # of `python -m jobs`: a wrong option or platform.yaml; trying again cannot help
GPU_JOBS = {"train_foundation"}  # on Kubernetes their pods are as $HEADWATER_GPU_POD says; other executors have no pods
DEFAULTS: dict[str, Any] = {
    "owner": "headwater",
    "retries": 1,
    "retry_delay": timedelta(seconds=10),
    "execution_timeout": timedelta(hours=6),
}


class JobFailed(AirflowException):
    """A job ended with an exit code other than 0; the message is the job's own last word."""


class JobOperator(BaseOperator):
    """Runs `python -m jobs JOB --OPTION VALUE ...` in the repository and returns the JSON object it prints last.

    A job that has nothing to do prints `{"skipped": reason}`; its task, and what follows, is skipped. Warnings that a
    job returns as `{"warnings": ["what: more of it"]}` fail nothing; the first one's `what` stands beside the vertical
    wherever the UI names a task of one.

    Args:
        job: name of a module in jobs/.
        options: the job's options, templated; an empty value leaves the option out, true makes it a flag.
    """

    template_fields = ("options",)
    ui_color = "#dbeafe"

    def __init__(self, *, job: str, options: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.job = job
        self.options = dict(options)
        self._process: subprocess.Popen[str] | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Runs the job to its end, passing its log on line by line.

        Raises:
            JobFailed: the job failed; the message is its error line.
            AirflowFailException: the call or platform.yaml is wrong, so there will be no retry.
            AirflowSkipException: the job had nothing to do.
        """
        command = [jobs_python(), "-m", "jobs", self.job, *_arguments(self.options)]
        self.log.info("Running in %s: %s", ROOT, " ".join(command))
        self._process = process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="backslashreplace",
            start_new_session=True,  # so that on_kill reaches Spark's and torchrun's children too
        )
        # Two pipes: libraries that write to standard error while Python exits must not hide the result.
        with ThreadPoolExecutor(max_workers=2) as readers:
            errors = readers.submit(self._relay, process.stderr)
            output = readers.submit(self._relay, process.stdout)
            try:
                process.wait()
            except BaseException:  # the time limit, or a stop from the UI
                self.on_kill()
                raise
        if process.returncode:
            failure = AirflowFailException if process.returncode == EXIT_WRONG_CALL else JobFailed
            raise failure(self._last_word(process.returncode, errors.result()))
        try:
            result: dict[str, Any] = json.loads(output.result()[-1])
        except (IndexError, ValueError):
            raise JobFailed(f"{self.job} ended well but its last output line is no JSON object") from None
        if "skipped" in result:
            raise AirflowSkipException(result["skipped"])
        context["result"] = result  # for names in the UI, rendered again after this
        if result.get("warnings"):
            context["warning"] = result["warnings"][0].partition(":")[0]
        return result

    def on_kill(self) -> None:
        """Stops the job and all its children; their half-written partitions are never committed."""
        if self._process is None or self._process.poll() is not None:
            return
        os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _relay(self, stream: IO[str] | None) -> list[str]:
        """Writes each line of a job's output into the task's log; returns the newest lines."""
        newest: list[str] = []
        for line in stream or ():
            if line := line.rstrip():
                newest = [*newest[-19:], line]
                self.log.log(*_log_entry(line))
        return newest

    def _last_word(self, code: int, errors: list[str]) -> str:
        if code < 0:
            name = signal.Signals(-code).name
            return (
                f"{self.job} was killed by {name} (out of memory, or by hand); nothing half-written remains: "
                "clear this task to run it again"
            )
        said = [line.removeprefix("error: ") for line in errors if line.startswith("error: ")]
        return said[-1] if said else (errors or [f"{self.job} ended with exit code {code}"])[-1]


def run_job(job: str, *, task_id: str = "", trigger_rule: str = "all_success", **options: Any) -> JobOperator:
    """Builds a task that runs one job on the run's day.

    Args:
        job: name of a module in jobs/.
        task_id: where one job is several tasks; default is the job's name.
        trigger_rule: when the task may start, by the states of the tasks before it.
        options: the job's options besides `--day`, which plan_day decides; `day=None` for a job that has none.
    """
    gpu_pod = os.environ.get("HEADWATER_GPU_POD") if job in GPU_JOBS else None
    if job != "plan_day":
        options = {"day": "{{ ti.xcom_pull(task_ids='plan_day')['day'] }}", **options}
    return JobOperator(
        task_id=task_id or job,
        job=job,
        options=options,
        trigger_rule=trigger_rule,
        executor_config={"pod_template_file": gpu_pod} if gpu_pod else {},
        map_index_template=MAP_INDEX if "vertical" in options else None,
        doc_md=job_doc(job) + RERUN.format(job=job),
    )


# How the UI names a task of a vertical.
MAP_INDEX = "{{ task.options['vertical'] }}{{ ' ⚠ ' ~ warning if warning is defined }}"
RERUN = """

- **Run it again:** clear this task (and those after it); it replaces its own outputs of the day and nothing else.
- **Run it by hand:** `.venv/jobs/bin/python -m jobs {job} --help`.
- **When it fails:** the log ends with one line that says what is wrong and what to do.
"""


def _arguments(options: Mapping[str, Any]) -> list[str]:
    arguments: list[str] = []
    for name, value in options.items():
        option = "--" + name.replace("_", "-")
        if value in (True, "True"):
            arguments.append(option)
        elif value not in (None, False, "", "None", "False"):
            arguments += [option, str(value)]
    return arguments


def _log_entry(line: str) -> tuple[int, str]:
    """Returns level and text of one line of a job's output; the job's JSON log lines become plain ones."""
    try:
        entry = json.loads(line)
        level = logging.getLevelNamesMapping()[entry["level"].upper()]
        extra = "".join(f" {name}={value}" for name, value in entry.items() if name not in LOG_FIELDS)
        traceback = f"\n{entry['traceback']}" if "traceback" in entry else ""
        return level, f"{entry['logger']}: {entry['message']}{extra}{traceback}".replace("%", "%%")
    except (ValueError, KeyError, TypeError, AttributeError):
        return logging.ERROR if line.startswith("error: ") else logging.INFO, line.replace("%", "%%")
