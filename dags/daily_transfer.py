"""One day: from the raw log to promoted vertical models.

`features` (ingest, Spark features, quality gates) → `foundation` (the foundation model scores the day, then learns it;
Feast is filled) → `verticals` (for each vertical: distil a candidate, promote or refuse it) → report. The DAG
`track_transfer` follows by itself: what each vertical gains from the foundation model.

- **Start it:** *Trigger*. An empty day is the next one not done (or the run's logical date, where the log has that
  day). Days go in order, one at a time; a day of a live log not before it has ended.
- **Do a day again:** trigger with that `day` and `force`. Every table of the day is replaced, none is doubled.
- **After a failure:** the failed task's log ends with what to do. Clear the task to continue from there. One failed
  vertical does not stop the others; the run is marked failed all the same.
- **An empty day** (no rows, or no clicks) stops at the gate. With `empty_day: skip` in the source, `ingest` and all
  after it are skipped, the day's report says why, and the next day runs as usual.
- **A warning** (⚠ beside a vertical's name in the list of task instances) fails nothing; the task's log says more.
- **Results:** the report and the Data Docs, at the addresses that `make up` prints; models in MLflow.
"""

from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, CronDataIntervalTimetable, Param, TaskGroup, task_group

from config import load_config
from dags.run_job import DEFAULTS, run_job
from dags.verticals import choose_verticals, verticals_param

CONFIG = load_config()
SOURCE = CONFIG.source

PARAMS = {
    "day": Param(
        None,
        type=["null", "string"],
        format="date",
        title="Day",
        description=f"Day of the log, {SOURCE.bootstrap_day} to {SOURCE.last_day}. Empty: the run's logical date if "
        "the log has that day, else the next day not done. A live log's day must have ended.",
    ),
    "verticals": verticals_param("Which vertical models are distilled and judged."),
    "force": Param(
        False,
        type="boolean",
        title="Run a finished day again",
        description="Off: a day that is done is skipped at once. On: every step is computed again.",
    ),
}

with DAG(
    "daily_transfer",
    description=__doc__.splitlines()[0],
    doc_md=__doc__,
    # A live log's day is run when it has ended. A closed log's days lie in the past: each is triggered.
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone=SOURCE.time_zone) if SOURCE.live else None,
    start_date=datetime.combine(SOURCE.bootstrap_day, time(), ZoneInfo(SOURCE.time_zone)).astimezone(UTC),
    catchup=False,
    max_active_runs=1,
    params=PARAMS,
    default_args=DEFAULTS,
    tags=["daily", CONFIG.data_source],
) as dag:
    plan = run_job(
        "plan_day",
        day="{{ params.day or '' }}",
        # By the log's own calendar: a day of it begins on another date of UTC, which `ds` is, as the zone has it.
        logical_day=f"{{{{ logical_date.in_timezone('{SOURCE.time_zone}') | ds if logical_date is defined else '' }}}}",
        force="{{ params.force }}",
    )

    with TaskGroup("features", tooltip="From raw log to checked features") as features:
        (
            run_job("ingest")
            >> run_job("check_quality", task_id="check_events", stage="events")
            >> run_job("extract_features")
            >> run_job("check_quality", task_id="check_features", stage="features")
        )

    with TaskGroup("foundation", tooltip="The foundation model, and the store that serves what it knows") as foundation:
        run_job("train_foundation") >> run_job("materialize_features")

    @task_group(tooltip="One instance a vertical: distil a candidate, promote or refuse it")
    def verticals(vertical: str) -> None:
        """Distils and judges one vertical model."""
        run_job("distill_vertical", vertical=vertical) >> run_job("promote_vertical", vertical=vertical)

    chosen = choose_verticals()
    each_vertical = verticals.expand(vertical=chosen)
    report = run_job(
        "write_report", trigger_rule="all_done_min_one_success", verticals="{{ params.verticals | join(',') }}"
    )
    tracking = TriggerDagRunOperator(
        task_id="track_transfer",
        trigger_dag_id="track_transfer",
        # As text, since templates would make a string of the list.
        conf='{"day": "{{ ti.xcom_pull(task_ids="plan_day")["day"] }}", "verticals": {{ params.verticals | tojson }}}',
        logical_date=None,  # a day that is run again is tracked again
        doc_md="Starts the DAG `track_transfer` for the day, and does not wait for it.",
    )
    done = EmptyOperator(task_id="done", doc_md="Succeeds only if every vertical did: a failed one fails the run.")

    plan >> features >> foundation >> each_vertical >> report >> [tracking, done]
    plan >> chosen
    each_vertical >> done
