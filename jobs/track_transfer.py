"""Tracks the parts of each vertical's gain from the FM, day by day; explain_transfer says more about one day.

- **Reads:** `vertical_examples`, `fm_outputs`, `examples`.
- **Writes:** `gain_parts`, shown in the report; also in MLflow, experiment `vertical_<name>`, run `<day> parts`.

For each vertical, trains five VMs anew on the newest impressions before the day, each given one thing more from the FM,
and judges them on the whole day. It learns no more than a bounded number of impressions, so that what it costs does not
grow with the log, and takes little from jobs that run beside it. Nothing that serves is changed. On the first day there
is nothing to learn from: it says so.
"""

import logging
from dataclasses import asdict
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import torch

import storage
from config import PlatformConfig
from data.sources import source_schema
from training.tracking import tracked_run
from training.vertical.explanation import gain_parts, metric_name
from training.vertical.logged_rows import learnt_and_judged

LOG = logging.getLogger("headwater.track_transfer")
LEARNT_ROWS = 10_000  # newest ones that each VM learns: about half a minute of one core for the five
NICENESS = 10  # of a process that runs the job: the next day's jobs come first


def main(config: PlatformConfig, *, day: date, verticals: str = "") -> dict[str, Any]:
    """Commits `gain_parts_V` of a day for each vertical, and logs them to MLflow.

    Args:
        config: the platform.
        day: the VMs are judged on its impressions.
        verticals: joined by commas; empty: all.

    Returns:
        day; gain: by vertical, NE gained by part; untracked: by vertical, why there is nothing to track.

    Raises:
        ValueError: a vertical is not configured.
        PartitionMissing: the day, or a day before that the VM learns, is not done.
    """
    asked = verticals.split(",") if verticals else config.verticals
    of_each = {vertical: config.of_vertical(vertical) for vertical in asked}
    torch.set_num_threads(1)  # a VM's batches are too small to share
    gain, untracked = {}, {}
    for vertical, own in of_each.items():
        tracked = _track(own, day, vertical)
        if isinstance(tracked, str):
            LOG.info("%s is not tracked: %s", vertical, tracked)
            untracked[vertical] = tracked
        else:
            gain[vertical] = tracked
    return {"day": str(day), "gain": gain, "untracked": untracked}


@storage.recorded_reads()
def _track(config: PlatformConfig, day: date, vertical: str) -> dict[str, float] | str:
    """Returns NE gained by part, or why there is nothing to track."""
    days = storage.days_back(config, day, config.vertical_model.max_training_days)
    if len(days) < 2:
        return "no earlier day is in reach to learn from"
    learn, judge = learnt_and_judged(config, source_schema(config), vertical, days)
    if len(learn.instants) < 2 or not len(judge.instants):
        return "it has no impressions to learn, or none on the day"
    learn = learn.part(np.arange(len(learn.instants))[-LEARNT_ROWS:])
    ne, parts = gain_parts(learn, judge, seeds=1, passes=config.vertical_model.cold_start_epochs)
    by_name = {part.name: {"what": part.what, **asdict(part.gain)} for part in parts}
    table = pa.table({"part": list(by_name), "gain": [part["value"] for part in by_name.values()]})
    extra = storage.finite({"ne": ne, "parts": by_name, "learnt_rows": len(learn.instants)})
    storage.write_partition(config, f"gain_parts_{vertical}", day, table, extra=extra)
    key = {"job": "track_transfer", "day": str(day), "vertical": vertical}
    with tracked_run(config, experiment=f"vertical_{vertical}", name=f"{day} parts", key=key) as run:
        run.log_metrics({metric_name("ne", name): value for name, value in ne.items()})
        run.log_metrics({metric_name("gain", part.name): part.gain.value for part in parts})
    return {name: part["value"] for name, part in by_name.items()}
