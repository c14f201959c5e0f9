"""Trains one vertical's candidate with the foundation model as teacher, and its baseline without, and registers it.

The candidate starts from the champion and learns every impression since the champion's held-out rows began. Candidate,
baseline and FM are judged on the day's held-out rows; promote_vertical judges the champion on the same rows.
"""

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import torch
from mlflow.entities.model_registry import ModelVersion

import storage
from config import PlatformConfig, Transfer
from data.batches.vertical import VerticalFeatures
from data.batches.vertical_examples import vertical_examples
from data.sources import source_schema
from data.split import held_out_from
from quality.metrics import evaluate
from serving.registry import day_of, load_version, parent_before, register
from serving.vertical_model import HISTORY_IDS, VerticalModel
from training.checkpoint import weights_version
from training.tracking import tracked_run
from training.vertical.arm import Arm
from training.vertical.rows import ServedRows
from training.vertical.student import Student
from training.vertical.trainer import VerticalTrainer


@dataclass(frozen=True)
class Start:
    """Where a model's training goes on from."""

    day: date  # its held-out rows are the first to learn
    model: VerticalModel
    state: Path | None  # folder of the training state; None if it is lost


def main(config: PlatformConfig, *, day: date, vertical: str) -> dict[str, Any]:
    """Commits `candidates_V`, `baselines_V` and `evaluations_V` of a day, and registers the candidate.

    Raises:
        ValueError: the vertical is not configured, or has no impressions to learn or to be judged on.
    """
    if vertical not in config.verticals:
        raise ValueError(f"Unknown vertical {vertical!r}; platform.yaml has {', '.join(config.verticals)}")
    torch.set_num_threads(1)  # a VM's batches are too small to share: two threads take twice as long
    key = {"job": "distill_vertical", "day": str(day), "vertical": vertical}
    with tracked_run(config, experiment=f"vertical_{vertical}", name=str(day), key=key) as run:
        parent = parent_before(run.client, storage.registered_model(vertical), day)
        candidate_from = day_of(parent) if parent else None
        baselines = [d for d in storage.committed_days(config, f"baselines_{vertical}") if d < day]
        baseline_from = max(baselines, default=None)
        learn, held_out = _rows(config, vertical, day, candidate_from, baseline_from)
        run.log_params(config.vertical_model.model_dump() | config.transfer.model_dump())

        start = _from_parent(config, vertical, parent)
        candidate = _fit(config, f"{vertical} {day}: candidate", learn, start, config.transfer)
        start = _from_baseline(config, vertical, baseline_from)
        baseline = _fit(config, f"{vertical} {day}: baseline", learn, start, None)
        weights = _commit(config, f"candidates_{vertical}", day, *candidate)
        _commit(config, f"baselines_{vertical}", day, *baseline)
        metrics = _evaluate(config, vertical, day, held_out, candidate[0], baseline[0])

        version = register(
            run.client,
            storage.registered_model(vertical),
            storage.partition_dir(config, f"candidates_{vertical}", day) / "model",
            run_id=run.run_id,
            feature_repo=storage.feature_repo_dir(config),
            tags={
                "day": str(day),
                "vertical": vertical,
                "weights": weights,
                "parent": str(parent.version) if parent else "",
                "fm_version": storage.read_manifest(config, "fm_snapshots", day)["extra"]["fm_version"],
                "code_version": storage.code_version(),
            },
        )
        for name, figures in metrics.items():
            run.log_metrics({f"{name}_{k}": v for k, v in figures.items()})
    return {
        "day": str(day),
        "vertical": vertical,
        "version": str(version.version),
        "learnt_rows": learn.num_rows,
        "metrics": metrics,
    }


def _rows(
    config: PlatformConfig, vertical: str, day: date, candidate_from: date | None, baseline_from: date | None
) -> tuple[pa.Table, pa.Table]:
    """Rows to learn (for the model that is further behind) and held-out rows, with features."""
    window = storage.days_back(config, day, config.vertical_model.max_training_days)
    first = max(min(candidate_from or window[0], baseline_from or window[0]), window[0])
    days = [d for d in window if d >= first]
    behind = candidate_from is None or baseline_from is None or first > min(candidate_from, baseline_from)
    start = None if behind else held_out_from(config, first)
    cut = held_out_from(config, day)
    rows = vertical_examples(config, vertical, days, start=start)
    learn = rows.filter(pc.less(rows["event_timestamp"], cut))
    held_out = rows.filter(pc.greater_equal(rows["event_timestamp"], cut))
    for part, what in ((learn, "to learn"), (held_out, "held out")):
        if not part.num_rows:
            raise ValueError(
                f"vertical {vertical} has no impressions {what} on {day}: check its filter under verticals in "
                "platform.yaml, or leave it out of this run"
            )
    return learn, held_out


def _from_parent(config: PlatformConfig, vertical: str, parent: ModelVersion | None) -> Start | None:
    """Where the candidate starts: at the champion."""
    if parent is None:
        return None
    table, since = f"candidates_{vertical}", day_of(parent)
    same = storage.has_partition(config, table, since) and (
        storage.read_manifest(config, table, since)["extra"]["weights"] == parent.tags["weights"]
    )
    # Else the champion's day was run again with other settings: its optimizers' state is gone.
    state = storage.partition_dir(config, table, since) if same else None
    return Start(since, load_version(parent), state)


def _from_baseline(config: PlatformConfig, vertical: str, since: date | None) -> Start | None:
    """Where the baseline starts: it has a line of its own, as it is never promoted."""
    if since is None:
        return None
    state = storage.partition_dir(config, f"baselines_{vertical}", since)
    return Start(since, VerticalModel.load(state / "model"), state)


def _fit(
    config: PlatformConfig, what: str, learn: pa.Table, start: Start | None, transfer: Transfer | None
) -> tuple[VerticalModel, VerticalTrainer]:
    """A model that has learnt all rows since its start's day, or all rows from scratch.

    Args:
        config: the platform.
        what: for the progress line.
        learn: rows.
        start: where it goes on from, if anywhere.
        transfer: what it takes from the FM; None for nothing.
    """
    features = VerticalFeatures.of(source_schema(config), config)
    arm = Arm() if transfer is None else Arm.of(transfer)
    student = Student(config.vertical_model, config.transfer, arm, features.num_embeddings, HISTORY_IDS)
    if start is not None:
        learn = learn.filter(pc.greater_equal(learn["event_timestamp"], held_out_from(config, start.day)))
    trainer = student.fit(
        ServedRows(features, learn),
        seed=config.runtime.seed,
        what=what,
        epochs=config.vertical_model.cold_start_epochs if start is None else 1,
        weights=start.model.network.state_dict() if start else None,
        state=start.state if start else None,
    )
    use_history = arm.codes != "none"
    return VerticalModel(trainer.network, features, config.vertical_model, use_history), trainer


def _commit(config: PlatformConfig, table: str, day: date, model: VerticalModel, trainer: VerticalTrainer) -> str:
    """Commits a model with its training state; returns the version of its weights."""
    weights = weights_version(dict(model.network.state_dict()))
    inputs = {"vertical_examples": day}
    with storage.commit_partition(config, table, day, inputs=inputs, extra={"weights": weights}) as folder:
        (folder / "model").mkdir()
        model.save(folder / "model")
        trainer.save_state(folder)
    return weights


def _evaluate(
    config: PlatformConfig, vertical: str, day: date, rows: pa.Table, candidate: VerticalModel, baseline: VerticalModel
) -> dict[str, dict[str, float]]:
    """Commits the held-out rows with every model's probability, and measures them."""
    fm = storage.read_partition(config, "fm_evaluations", day, columns=["impression_id", "probability"])
    rows = rows.append_column("candidate", pa.array(candidate.predict(rows), pa.float32()))
    rows = rows.append_column("baseline", pa.array(baseline.predict(rows), pa.float32()))
    of_row = pc.index_in(rows["impression_id"], fm["impression_id"].combine_chunks())
    rows = rows.append_column("fm", fm["probability"].take(of_row))
    storage.write_partition(config, f"evaluations_{vertical}", day, rows, inputs={"fm_evaluations": day})
    users, labels = rows["user_id"].to_numpy(), rows["label"].to_numpy()
    return {
        name: evaluate(labels, rows[name].to_numpy(), users=users).as_dict() for name in ("baseline", "candidate", "fm")
    }
