"""Explains a vertical's gain from the FM: what each part gives, what each change would add, which setting to turn.

- **Reads:** `vertical_examples`, `fm_outputs`, `examples`, the oldest foundation model in reach (`fm_snapshots`).
- **Writes:** `explanations` (numbers and the waterfall plot), also in MLflow's experiment `vertical_<name>`.

Trains the VM anew, several times, on the days before; judges on the whole day, which the FM scored before it learnt it.
The result (XCom `advice`) says which setting to turn. Nothing that serves is changed.
"""

import json
import logging
from dataclasses import asdict
from datetime import date
from typing import Any

import mlflow
import numpy as np
import pyarrow.compute as pc
import torch

import storage
from config import PlatformConfig
from data.batches.foundation import foundation_batches
from data.schema import Schema, epoch_us
from data.sources import source_schema
from reports.waterfall import Bar, waterfall
from training.foundation.sharded_checkpoint import load_sharded
from training.foundation.trainer import foundation_trainer
from training.tracking import tracked_run
from training.vertical.explanation import Explanation, OneSnapshot, Part, explain, metric_name
from training.vertical.logged_rows import LoggedRows, learnt_and_judged

LOG = logging.getLogger("headwater")


@storage.recorded_reads()
def main(config: PlatformConfig, *, vertical: str, day: str = "", seeds: int = 3) -> dict[str, Any]:
    """Commits `explanations_V` of a day: explanation.json and waterfall.svg; both go to MLflow, too.

    Args:
        config: the platform.
        vertical: the one whose VM is explained.
        day: the day to judge on; empty: the newest whose features are in Feast.
        seeds: how often each VM is trained; figures are means.

    Raises:
        ValueError: the vertical is not configured, the day is the bootstrap day, or seeds is below 1.
        PartitionMissing: the day, or a day before that the VM learns, is not done.
    """
    config = config.of_vertical(vertical)
    if seeds < 1:
        raise ValueError(f"seeds is {seeds}; at least 1 model must be trained")
    done = storage.committed_days(config, "vertical_examples")
    if not day and not done:
        raise ValueError("no day is done yet: run daily_transfer for two days first")
    return _explain(config, date.fromisoformat(day) if day else done[-1], vertical, seeds)


def _explain(config: PlatformConfig, day: date, vertical: str, seeds: int) -> dict[str, Any]:
    days = storage.days_back(config, day, config.vertical_model.max_training_days)
    if len(days) < 2:
        raise ValueError(f"{day} is the bootstrap day: there is no earlier day to learn from; explain a later one")
    torch.set_num_threads(1)  # a VM's batches are too small to share
    schema = source_schema(config)
    learn, judge = learnt_and_judged(config, schema, vertical, days)
    for rows, what in ((learn, f"before {day}"), (judge, f"on {day}")):
        if not len(rows.instants):
            raise ValueError(f"vertical {vertical} has no impressions {what}: choose another day or vertical")
    if len(judge.labels.unique()) < 2:
        raise ValueError(
            f"all impressions of {vertical} on {day} have one label, so no NE is defined: choose another day"
        )
    snapshot = _one_snapshot(config, schema, learn, days)
    with tracked_run(
        config,
        experiment=f"vertical_{vertical}",
        name=f"{day} explained",
        key={"job": "explain_transfer", "day": str(day), "vertical": vertical},
    ) as run:
        explanation = explain(learn, judge, snapshot, seeds=seeds, passes=config.vertical_model.cold_start_epochs)
        title = f"{vertical}, {day}: from a VM without the FM to the VM that ships, and on to the FM"
        plot = waterfall(explanation.ne, _bars(explanation.gain), _bars(explanation.open), title)
        table = f"explanations_{vertical}"
        with storage.commit_partition(config, table, day) as folder:
            text = json.dumps(storage.finite(explanation.as_dict()), indent=1)
            (folder / "explanation.json").write_text(text + "\n")
            (folder / "waterfall.svg").write_text(plot)
        where = storage.partition_folder(config, table, day)
        kinds = {"gain": explanation.gain, "open": explanation.open, "without": explanation.depends}
        run.log_metrics({metric_name("ne", name): ne for name, ne in explanation.ne.items()})
        run.log_metrics({metric_name(kind, p.name): p.gain.value for kind, parts in kinds.items() for p in parts})
        for file in ("explanation.json", "waterfall.svg"):
            mlflow.log_artifact(str(where / file), run_id=run.run_id)
    advice = _advice(explanation)
    for line in advice:
        LOG.info("%s", line)
    return {
        "day": str(day),
        "vertical": vertical,
        "ne": {name: explanation.ne[name] for name in ("none", "shipped", "fm")},
        "gain": {p.name: asdict(p.gain) for p in explanation.gain},
        "open": {p.name: asdict(p.gain) for p in explanation.open},
        "advice": advice,
        "not_measured": explanation.skipped,
        "waterfall": str(where / "waterfall.svg"),
    }


def _one_snapshot(config: PlatformConfig, schema: Schema, rows: LoggedRows, days: list[date]) -> OneSnapshot | str:
    """Scores what was logged after a day with the FM as that day left it, or says why not."""
    snapshot_day = storage.previous_day(config, days[0]) or days[0]
    scored = [day for day in storage.days_back(config, days[-1], (days[-1] - snapshot_day).days) if day > snapshot_day]
    if len(scored) < 2:
        return f"they need a day to learn after the oldest snapshot in reach, of {snapshot_day}: explain a later day"
    if not storage.has_partition(config, "fm_snapshots", snapshot_day):
        return f"the snapshot of {snapshot_day} is not kept"
    since = epoch_us(storage.day_window(config, snapshot_day)[1])
    codes = torch.zeros(len(rows.items), config.foundation_model.codes.dim)
    hidden: torch.Tensor | None = None
    with foundation_trainer(config, schema) as trainer:
        load_sharded(storage.partition_folder(config, "fm_snapshots", snapshot_day), trainer.model, trainer.optimizer)
        for day in scored:
            for scores in trainer.score(foundation_batches(config, day), f"{snapshot_day}'s FM scores {day}"):
                logged = pc.index_in(scores.keys["impression_id"], rows.logged)
                wanted = np.flatnonzero(logged.is_valid())
                positions = logged.drop_null().to_numpy().astype(np.int64)
                if hidden is None:
                    hidden = torch.zeros(len(rows.items), scores.hidden.shape[1])
                codes[positions] = torch.from_numpy(scores.codes[wanted])
                hidden[positions] = torch.from_numpy(scores.hidden[wanted])
    assert hidden is not None
    return OneSnapshot(since, codes, hidden)


def _bars(parts: list[Part]) -> list[Bar]:
    return [Bar(part.name, part.gain.value, part.gain.low, part.gain.high) for part in parts]


def _advice(explanation: Explanation) -> list[str]:
    """Says which settings to change, the most valuable first; only changes whose interval lies above 0."""
    sure = sorted((p for p in explanation.open if p.gain.low > 0), key=lambda p: -p.gain.value)
    lines = [f"{p.name}: {p.what} would gain {p.gain.value:.4f} NE; turn {p.knob}" for p in sure]
    lines += [
        f"{p.name} costs {-p.gain.value:.4f} NE; turn {p.knob}" for p in explanation.gain if p.knob and p.gain.high < 0
    ]
    if not lines:
        lines = ["no single change measured here gains NE for sure; more impressions or a better FM would"]
    if explanation.cold_share > 0.2:
        lines.append(
            f"{explanation.cold_share:.0%} of the impressions are of users without history; see transfer.history_days"
        )
    return lines
