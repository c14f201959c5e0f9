"""Why vertical models gain what they gain from the foundation model, and which setting to turn.

For each vertical chosen, its model is trained anew several times on the days before; each time one thing about what the
foundation model passes on differs. A waterfall plot and advice come out; docs/transfer.md says how to read them.

- **Start it:** *Trigger*. The day must be done by `daily_transfer`, and must not be the first.
- **How long:** one to several minutes a vertical, more with more seeds.
- **Results:** the task's log and XCom `advice`; plot and numbers in MLflow, experiment `vertical_<name>`, run
  `<day> explained`.
- **It changes nothing** that the daily run or serving reads, and may run beside them.
"""

from airflow.sdk import DAG, Param, task_group

from config import load_config
from dags.by_hand import by_hand
from dags.run_job import run_job
from dags.verticals import choose_verticals, verticals_param

CONFIG = load_config()
SOURCE = CONFIG.source

PARAMS = {
    "day": Param(
        None,
        type=["null", "string"],
        format="date",
        title="Day",
        description=f"A day done, after {SOURCE.bootstrap_day}. Empty: the newest.",
    ),
    "verticals": verticals_param("Which vertical models are explained."),
    "seeds": Param(
        3,
        type="integer",
        minimum=1,
        maximum=20,
        title="Seeds",
        description="How often each model is trained; figures are means. More tell smaller parts apart, in more time.",
    ),
}

with DAG("explain_transfer", **by_hand(CONFIG, __doc__, PARAMS, tag="analysis")) as dag:

    @task_group(tooltip="One instance a vertical")
    def verticals(vertical: str) -> None:
        """Explains one vertical."""
        run_job("explain_transfer", vertical=vertical, day="{{ params.day or '' }}", seeds="{{ params.seeds }}")

    verticals.expand(vertical=choose_verticals())
