"""What each vertical gains from the foundation model, in parts, on a day that is done.

`daily_transfer` starts it when a day's report is written, and does not wait for it: an analysis must not decide when a
day is done. Its figures join the report, which is written once more at the end.

- **Start it by hand:** *Trigger*, for a day done by `daily_transfer`. On the first day there is nothing to track.
- **How long:** about half a minute a vertical, whatever the length of the log.
- **Results:** the report's plots; the task's result (XCom `gain`); MLflow, experiment `vertical_<name>`, run
  `<day> parts`.
- **It changes nothing** that the daily run or serving reads, and runs beside them.
"""

from airflow.sdk import DAG, Param

from config import load_config
from dags.by_hand import by_hand
from dags.run_job import run_job
from dags.verticals import verticals_param

CONFIG = load_config()
SOURCE = CONFIG.source
DAY = "{{ params.day }}"

PARAMS = {
    "day": Param(
        str(SOURCE.bootstrap_day),
        type="string",
        format="date",
        title="Day",
        description=f"A day done, after {SOURCE.bootstrap_day}.",
    ),
    "verticals": verticals_param("Which vertical models are tracked."),
}

with DAG("track_transfer", **by_hand(CONFIG, __doc__, PARAMS, tag="analysis")) as dag:
    track = run_job("track_transfer", day=DAY, verticals="{{ params.verticals | join(',') }}")
    track >> run_job("write_report", day=DAY)
