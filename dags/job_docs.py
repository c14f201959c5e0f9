"""What the Airflow UI says about each job: what it does, what it reads and what it writes."""

JOB_DOCS = {
    "plan_day": """Decides what this run does: its day, or nothing because the day is done.

- **Reads:** the run's `day` and `force`, the reports of days already done.
- **Writes:** nothing.

Stops the run as *skipped* when the day's report exists and `force` is off.""",
    "ingest": """Lands the day's raw log in the common schema; bad rows go aside with a reason.

- **Reads:** the data source's files.
- **Writes:** `events`, `quarantine`.""",
    "check_quality": """Checks the day's tables with Great Expectations; a critical failure stops the day here.

- **Reads:** `events` and `quarantine`, or the feature tables.
- **Writes:** `gate_results`, Data Docs.""",
    "extract_features": """Computes point-in-time counts, click rates and histories with Spark.

- **Reads:** `events` up to this day.
- **Writes:** `examples`, `user_activity`, `item_activity`.""",
    "train_foundation": """Yesterday's foundation model scores the day, the scores are committed, then it learns it.

- **Reads:** `examples`, yesterday's snapshot.
- **Writes:** `fm_outputs` (soft labels, embeddings), the new snapshot.""",
    "materialize_features": """Puts the day's histories and activity into Feast; reads its impressions' features back.

- **Reads:** `fm_outputs`, `user_activity`, `item_activity`.
- **Writes:** `user_fm_history`, `item_fm_embedding`, Feast's stores, `vertical_examples` (features as of each
  impression).""",
    "distill_vertical": """Trains one vertical's candidate, taught by the foundation model, and a plain model.

- **Reads:** `vertical_examples`, the champion, held-out rows of earlier days (for the calibration layers).
- **Writes:** two versions of `vertical_<name>` in the MLflow registry: the candidate (tag `transfer=fm`) and the plain
  baseline (`transfer=none`).""",
    "promote_vertical": """Makes the candidate champion if the gates hold, else the plain baseline; says why.

- **Reads:** candidate, baseline, champion, `gate_results`, the held-out rows of as many days as give
  `gates.min_eval_clicks` clicks.
- **Writes:** the registry's aliases `champion` and `previous`; headroom and transfer ratio with their intervals.

**⚠ beside a vertical's name:** it took little of what the foundation model knows, or the foundation model has nothing
to give it. Nothing fails for that. The log and the result (XCom `warnings`) say more; what to do is in
docs/operations.md.""",
    "write_report": """Writes the day's report: one page with metrics, plots and model cards.

- **Reads:** everything of the day.
- **Writes:** `docs/reports/ds=<day>/`.

Runs as soon as one vertical came through; the run itself still fails if another did not.""",
    "track_transfer": """Measures the parts of the vertical's gain from the foundation model on the day.

- **Reads:** `vertical_examples`, `fm_outputs`.
- **Writes:** `gain_parts_<name>`, shown in the report; also in MLflow, experiment `vertical_<name>`, run `<day> parts`.

Nothing that serves is changed. On the first day there is nothing to learn from: it says so.""",
    "explain_transfer": """Trains the vertical's model anew with and without each thing the foundation model passes on.

- **Reads:** `vertical_examples`, `fm_outputs`, the oldest foundation model in reach.
- **Writes:** `explanations_<name>` (numbers and the waterfall plot), also in MLflow's experiment `vertical_<name>`.

The result (XCom `advice`) says which setting to turn. Nothing that serves is changed.""",
}
