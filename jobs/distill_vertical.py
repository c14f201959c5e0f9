"""Trains one vertical's candidate with the foundation model as teacher, and its baseline without, and registers it.

- **Reads:** `vertical_examples`, `fm_evaluations` and `fm_snapshots` of the day; the champion and the last baseline
  (`candidates`, `baselines` of earlier days).
- **Writes:** `candidates`, `baselines`, `evaluations`; a version of `vertical_<name>` in the MLflow registry.

The candidate starts from the champion and learns every impression since the champion's held-out rows began. Candidate,
baseline and FM are judged on the day's held-out rows; promote_vertical judges the champion on the same rows.
"""

from dataclasses import dataclass
from datetime import date, datetime
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
from data.split import LEARNT_UNTIL, learnt_until
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
    """The model that training continues from."""

    learnt_until: datetime  # rows from this instant on are the first to learn
    model: VerticalModel
    state: Path | None  # folder of the training state; None if it is lost


@storage.recorded_reads()
def main(config: PlatformConfig, *, day: date, vertical: str) -> dict[str, Any]:
    """Commits `candidates_V`, `baselines_V` and `evaluations_V` of a day, and registers the candidate.

    A vertical with no impressions to learn or none held out gets no candidate: `evaluations_V` is empty and says why.

    Raises:
        ValueError: the vertical is not configured.
    """
    if vertical not in config.verticals:
        raise ValueError(f"Unknown vertical {vertical!r}; platform.yaml has {', '.join(config.verticals)}")
    torch.set_num_threads(1)  # a VM's batches are too small to share: two threads take twice as long
    key = {"job": "distill_vertical", "day": str(day), "vertical": vertical}
    with tracked_run(config, experiment=f"vertical_{vertical}", name=str(day), key=key) as run:
        parent = parent_before(run.client, storage.registered_model(vertical), day)
        starts = (_from_parent(config, vertical, parent), _from_baseline(config, vertical, day))
        cut = learnt_until(config, "fm_snapshots", day)
        learn, held_out = _rows(config, vertical, day, cut, [start.learnt_until if start else None for start in starts])
        if not (learn.num_rows and held_out.num_rows):
            reason = f"no impressions {'to learn up to' if held_out.num_rows else 'held out on'} {day}"
            _make_none(config, vertical, day, held_out, reason)
            return {"day": str(day), "vertical": vertical, "no_candidate": reason}
        run.log_params(config.vertical_model.model_dump() | config.transfer.model_dump())

        candidate = _fit(config, f"{vertical} {day}: candidate", learn, starts[0], config.transfer)
        baseline = _fit(config, f"{vertical} {day}: baseline", learn, starts[1], None)
        weights = _commit(config, f"candidates_{vertical}", day, cut, *candidate)
        _commit(config, f"baselines_{vertical}", day, cut, *baseline)
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
                LEARNT_UNTIL: cut.isoformat(),
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
    config: PlatformConfig, vertical: str, day: date, cut: datetime, learnt: list[datetime | None]
) -> tuple[pa.Table, pa.Table]:
    """Reads rows to learn (for the model that is further behind) and held-out rows, with features.

    Args:
        config: the platform.
        vertical: whose rows.
        day: the newest.
        cut: the day's rows from this instant on are held out.
        learnt: what each model has learnt ends here; None: it has learnt nothing.
    """
    days = storage.days_back(config, day, config.vertical_model.max_training_days)
    start = min((until for until in learnt if until), default=None) if None not in learnt else None
    if start is not None:
        days = [one for one in days if storage.day_window(config, one)[1] > start]
    rows = vertical_examples(config, vertical, days, start=start)
    learn = rows.filter(pc.less(rows["event_timestamp"], cut))
    held_out = rows.filter(pc.greater_equal(rows["event_timestamp"], cut))
    return learn, held_out


def _make_none(config: PlatformConfig, vertical: str, day: date, held_out: pa.Table, reason: str) -> None:
    """Records that a vertical has no candidate of the day, in place of what an earlier run of the day may have made."""
    storage.write_partition(
        config, f"evaluations_{vertical}", day, held_out.slice(0, 0), extra={storage.NO_CANDIDATE: reason}
    )
    for table in ("candidates", "baselines"):
        storage.drop_partition(config, f"{table}_{vertical}", day)


def _from_parent(config: PlatformConfig, vertical: str, parent: ModelVersion | None) -> Start | None:
    """Returns where the candidate starts: at the champion."""
    if parent is None:
        return None
    table, since = f"candidates_{vertical}", day_of(parent)
    same = storage.has_partition(config, table, since) and (
        storage.read_manifest(config, table, since)["extra"]["weights"] == parent.tags["weights"]
    )
    # Else the champion's day was run again with other settings: its optimizers' state is gone.
    state = storage.partition_folder(config, table, since) if same else None
    return Start(datetime.fromisoformat(parent.tags[LEARNT_UNTIL]), load_version(parent), state)


def _from_baseline(config: PlatformConfig, vertical: str, day: date) -> Start | None:
    """Returns where the baseline starts: it has a line of its own, as it is never promoted."""
    table = f"baselines_{vertical}"
    since = max((one for one in storage.committed_days(config, table) if one < day), default=None)
    if since is None:
        return None
    state = storage.partition_folder(config, table, since)
    return Start(learnt_until(config, table, since), VerticalModel.load(state / "model"), state)


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
        learn = learn.filter(pc.greater_equal(learn["event_timestamp"], start.learnt_until))
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


def _commit(
    config: PlatformConfig, table: str, day: date, cut: datetime, model: VerticalModel, trainer: VerticalTrainer
) -> str:
    """Commits a model with its training state; returns the version of its weights."""
    weights = weights_version(dict(model.network.state_dict()))
    extra = {"weights": weights, LEARNT_UNTIL: cut.isoformat()}
    with storage.commit_partition(config, table, day, extra=extra) as folder:
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
    storage.write_partition(config, f"evaluations_{vertical}", day, rows)
    users, labels = rows["user_id"].to_numpy(), rows["label"].to_numpy()
    return {
        name: evaluate(labels, rows[name].to_numpy(), users=users).as_dict() for name in ("baseline", "candidate", "fm")
    }
