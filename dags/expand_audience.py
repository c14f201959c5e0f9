"""To whom a vertical should be shown next, given users who converted there.

Users are near each other as the foundation model sees them. The choice looks ahead: it takes who lets the whole budget
find as many converters as possible.

- **Start it:** *Trigger*, with a CSV on the machine of Airflow's workers: a column `user_id`, and `label` where some
  were shown it and did not convert (0).
- **Go on:** add the outcomes of those who were shown it to the CSV, lower the budget by as many, and trigger it again.
- **Results:** the audience's page beside the day reports, with a picture, and `audience.csv` beside it; the task's
  result (XCom) names both.
- **It changes nothing** that the daily run or serving reads, and may run beside them.
"""

from airflow.sdk import DAG, Param

from config import load_config
from dags.by_hand import by_hand, number
from dags.run_job import run_job

CONFIG = load_config()

PARAMS = {
    "vertical": Param(
        CONFIG.verticals[0], type="string", enum=CONFIG.verticals, title="Vertical", description="What users are shown."
    ),
    "seeds": Param(
        "/path/to/converters.csv",
        type="string",
        minLength=1,
        title="Known users",
        description="A CSV with the column user_id, and label where some did not convert (0).",
    ),
    "budget": number(100, "Budget", "Users that may still be shown it, those of this run among them."),
    "at_once": number(
        0, "Now", "Users to choose in this run, before any outcome is known. 0: the whole budget.", minimum=0
    ),
    "day": Param(
        None,
        type=["null", "string"],
        format="date",
        title="Day",
        description="A day done; users are taken as of its end. Empty: the newest.",
    ),
    "name": Param(
        None,
        type=["null", "string"],
        title="Name",
        description="Of the audience. Empty: the CSV's own, without its ending.",
    ),
}

with DAG("expand_audience", **by_hand(CONFIG, __doc__, PARAMS, tag="analysis")) as dag:
    run_job(
        "expand_audience",
        vertical="{{ params.vertical }}",
        seeds="{{ params.seeds }}",
        budget="{{ params.budget }}",
        at_once="{{ params.at_once or '' }}",
        day="{{ params.day or '' }}",
        name="{{ params.name or '' }}",
    )
