"""Searches for a better foundation or vertical model: trials, then the best of them against today's on later days.

`plan_search` → `share_weights`, where the sampler or the screener has weights to share, DistDNAS an instance a date →
`run_trial`, an instance a trial, as many at a time as the pool `search` has slots → `conclude_search`.

- **Start it:** *Trigger*; the form says what is searched and how long. Days are those done by `daily_transfer`.
- **It goes on** where it was: clear a task, or trigger again with the same form or the same `study`. A trial whose
  process was killed is taken up by the next one; more `trials` than before add to those made.
- **A failed trial** is a result, not a failure: recorded as failed, diverged or timed out, and the search goes on.
- **Results:** the search's page beside the day reports; MLflow, experiment `search`, a run a trial; the verdict as the
  result of `conclude_search`. Nothing that serves changes: a better model is proposed as a patch of platform.yaml.
- **Tried before?** `.venv/jobs/bin/python -m jobs list_studies`.
"""

from typing import Any

from airflow.sdk import DAG, Param, TriggerRule, task

from config import load_config
from dags.by_hand import by_hand, number
from dags.job_docs import job_doc
from dags.run_job import JobOperator, run_job

CONFIG = load_config()
POOL = "search"
SAMPLERS = [
    "random",
    "evolution",
    "tpe",
    "predictor",
    "predictor_top_k",
    "log_ei",
    "binoculars",
    "multi_step",
    "pareto",
    "latent",
    "active_search",
    "one_shot",
    "dnas",
    "dist_dnas",
]
SCREENERS = ["none", "sigeo", "parameters", "flops", "synflow", "zico"]


PARAMS = {
    "study": Param(
        None,
        type=["null", "string"],
        pattern="^[a-z][a-z0-9_]*$",
        title="Name",
        description="Of the search. Empty: made of target, sampler, last day and seed.",
    ),
    "target": Param(
        "foundation",
        type="string",
        enum=["foundation", *CONFIG.verticals],
        title="Target",
        description="What is searched for: the foundation model, or a vertical's model.",
    ),
    "sampler": Param(
        "predictor", type="string", enum=SAMPLERS, title="Sampler", description="What chooses the next trial."
    ),
    "screener": Param(
        "none",
        type="string",
        enum=SCREENERS,
        title="Screener",
        description="Chooses one in ten of the sampler's answers without training them. Foundation model only.",
    ),
    "from_study": Param(
        None,
        type=["null", "string"],
        pattern="^[a-z][a-z0-9_]*$",
        title="Begin with",
        description="The name of an earlier search of the same target: its trials are taken over.",
    ),
    "trials": number(30, "Trials", "The most of them."),
    "seconds": number(0, "Seconds", "Of training, after which no trial begins. 0: any.", kind="number", minimum=0),
    "flops": number(0, "FLOPs", "Of training, after which no trial begins. 0: any.", kind="number", minimum=0),
    "cost_cap": number(
        0,
        "Cost cap",
        "Most FLOPs of an example's forward pass. 0: as many as today's model.",
        kind="number",
        minimum=0,
    ),
    "days": number(14, "Days", "The most platform days that trials learn."),
    "judged_days": number(
        0,
        "Judged dates",
        "The newest dates of them, on which trials are judged. 0: half of them, of a vertical two.",
        minimum=0,
    ),
    "later_days": number(2, "Later days", "Platform days after those, kept for the judgement at the end."),
    "blocks": number(3, "Blocks", "Most blocks of a model."),
    "seed": number(0, "Seed", "Of the search.", minimum=0),
    "limit_s": number(3600, "Time limit", "Most seconds of a trial.", kind="number"),
    "finalists": number(3, "Finalists", "How many of the best models are trained again at the end."),
    "seeds": number(3, "Seeds", "How often each finalist is trained."),
}

with DAG("search_architecture", **by_hand(CONFIG, __doc__, PARAMS, tag="search")) as dag:
    OF_PLAN = [name for name in PARAMS if name not in ("limit_s", "finalists", "seeds")]
    plan = run_job("plan_search", day=None, **{name: f"{{{{ params.{name} }}}}" for name in OF_PLAN})

    @task(doc_md="Lists the options of each trial still to be made; each gets an instance of `run_trial`.")
    def each_trial(planned: dict[str, Any], params: dict[str, Any]) -> list[dict[str, Any]]:
        """Returns the options of `run_trial`, once for each trial."""
        return [{"study": planned["study"], "limit_s": params["limit_s"]} for _ in planned["trials"]]

    @task(doc_md="Lists the parts of weights that models share; each gets an instance of `share_weights`, often none.")
    def each_part(planned: dict[str, Any]) -> list[dict[str, Any]]:
        """Returns the options of `share_weights`, once for each part."""
        return [{"study": planned["study"], "part": part} for part in planned["parts"]]

    shared = JobOperator.partial(
        task_id="share_weights",
        job="share_weights",
        pool=POOL,
        map_index_template="{{ result.part if result is defined else '' }}",
        doc_md=job_doc("share_weights"),
    ).expand(options=each_part(plan.output))
    trials = JobOperator.partial(
        task_id="run_trial",
        job="run_trial",
        pool=POOL,
        trigger_rule=TriggerRule.NONE_FAILED,  # of share_weights there may be no instance
        map_index_template="{{ 'trial %s: %s' % (result.trial, result.status) if result is defined else '' }}",
        doc_md=job_doc("run_trial"),
    ).expand(options=each_trial(plan.output))
    conclude = run_job(
        "conclude_search",
        trigger_rule="all_done_min_one_success",
        day=None,
        study="{{ ti.xcom_pull(task_ids='plan_search')['study'] }}",
        finalists="{{ params.finalists }}",
        seeds="{{ params.seeds }}",
    )
    shared >> trials
    [plan, trials] >> conclude
