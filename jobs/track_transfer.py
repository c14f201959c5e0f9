"""Tracks the parts of a vertical's gain from the FM, day by day; explain_transfer says more of one day.

- **Reads:** `vertical_examples`, `fm_outputs`, `examples`.
- **Writes:** `gain_parts`, shown in the report; also in MLflow, experiment `vertical_<name>`, run `<day> parts`.

Trains five VMs anew on the days before, each knowing one thing more of the FM, and judges them on the whole day.
Nothing that serves is changed. On the first day there is nothing to learn from: it says so.
"""

from dataclasses import asdict
from datetime import date
from typing import Any

import pyarrow as pa
import torch

import storage
from config import PlatformConfig
from data.sources import source_schema
from training.tracking import tracked_run
from training.vertical.explanation import gain_parts, metric_name
from training.vertical.logged_rows import learnt_and_judged


@storage.recorded_reads()
def main(config: PlatformConfig, *, day: date, vertical: str) -> dict[str, Any]:
    """Commits `gain_parts_V` of a day, and logs it to MLflow; says why where there is nothing to track.

    Raises:
        ValueError: the vertical is not configured.
        PartitionMissing: the day, or a day before that the VM learns, is not done.
    """
    if vertical not in config.verticals:
        raise ValueError(f"Unknown vertical {vertical!r}; platform.yaml has {', '.join(config.verticals)}")
    days = storage.days_back(config, day, config.vertical_model.max_training_days)
    if len(days) < 2:
        return _untracked(day, vertical, "no earlier day is in reach to learn from")
    torch.set_num_threads(1)  # a VM's batches are too small to share
    learn, judge = learnt_and_judged(config, source_schema(config), vertical, days)
    if len(learn.instants) < 2 or not len(judge.instants):
        return _untracked(day, vertical, "it has no impressions to learn, or none on the day")
    ne, parts = gain_parts(learn, judge, seeds=1, passes=config.vertical_model.cold_start_epochs)
    found = {part.name: {"what": part.what, **asdict(part.gain)} for part in parts}
    table = pa.table({"part": list(found), "gain": [part["value"] for part in found.values()]})
    extra = storage.finite({"ne": ne, "parts": found})
    storage.write_partition(config, f"gain_parts_{vertical}", day, table, extra=extra)
    key = {"job": "track_transfer", "day": str(day), "vertical": vertical}
    with tracked_run(config, experiment=f"vertical_{vertical}", name=f"{day} parts", key=key) as run:
        run.log_metrics({metric_name("ne", name): value for name, value in ne.items()})
        run.log_metrics({metric_name("gain", part.name): part.gain.value for part in parts})
    return {"day": str(day), "vertical": vertical, "gain": {name: part["value"] for name, part in found.items()}}


def _untracked(day: date, vertical: str, why: str) -> dict[str, Any]:
    return {"day": str(day), "vertical": vertical, "untracked": why}
