"""Scores the day with yesterday's foundation model and logs it, then learns the day.

Order matters: soft labels and codes come from a snapshot that has not seen the impression, and are committed before
the first step of learning. On the bootstrap day, where no snapshot exists, the FM learns the first half by time and
scores the second; the first half keeps null outputs. The day's newest `eval_fraction` is learnt tomorrow.
"""

from collections.abc import Iterable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

import storage
from config import PlatformConfig
from data.foundation_batches import foundation_batches
from data.schema import TIMESTAMP
from data.sources import source_schema
from data.split import held_out_from
from training.foundation import FoundationTrainer, foundation_trainer
from training.metrics import evaluate
from training.sharded_checkpoint import load_sharded, save_sharded
from training.tracking import tracked_run

OUTPUTS = pa.schema(
    {
        "impression_id": pa.string(),
        "user_id": pa.string(),
        "item_id": pa.string(),
        "event_timestamp": TIMESTAMP,
        "vertical": pa.string(),
        "label": pa.int32(),
        "soft_label": pa.float32(),
        "embedding": pa.list_(pa.float32()),
        "fm_version": pa.string(),
    }
)


def main(config: PlatformConfig, *, day: date) -> dict[str, Any]:
    """Writes `fm_outputs`, `fm_evaluations` (fresh FM on the held-out rows) and `fm_snapshots` of a day."""
    previous = storage.previous_day(config, day)
    held_out = held_out_from(config, day)
    with (
        tracked_run(
            config, experiment="foundation", name=str(day), key={"job": "train_foundation", "day": str(day)}
        ) as run,
        foundation_trainer(config, source_schema(config)) as trainer,
    ):
        run.log_params(config.foundation_model.model_dump())
        if previous is None:
            middle = _middle(config, day)
            losses = [trainer.learn(foundation_batches(config, day, end=middle), "learn the first half")]
            scored_from, version = middle, f"{day}-half"
        else:
            manifest = storage.read_manifest(config, "fm_snapshots", previous)
            load_sharded(storage.partition_dir(config, "fm_snapshots", previous), trainer.model, trainer.optimizer)
            losses = []
            scored_from, version = storage.day_window(config, day)[0], manifest["extra"]["fm_version"]
        _write_outputs(config, day, trainer, version=version, scored_from=scored_from)
        if previous is not None:
            learnt_to = held_out_from(config, previous)
            losses.append(
                trainer.learn(foundation_batches(config, previous, start=learnt_to), "learn yesterday's rest")
            )
        losses.append(trainer.learn(foundation_batches(config, day, start=scored_from, end=held_out), "learn the day"))

        metrics = _evaluate(config, day, trainer, held_out)
        progressive = evaluate_outputs(config, day)
        loss = float(np.concatenate(losses).mean())
        extra: dict[str, Any] = {"held_out_from": held_out.isoformat(), "metrics": metrics}
        extra["scored_unseen"] = progressive
        with storage.commit_partition(config, "fm_snapshots", day, inputs={"examples": day}, extra=extra) as folder:
            extra["fm_version"] = save_sharded(folder, trainer.model, trainer.optimizer)
        run.log_metrics({"log_loss_progressive": loss} | {f"held_out_{k}": v for k, v in metrics.items()})
        run.log_metrics({f"scored_{k}": v for k, v in progressive.items()})
        run.set_tags({"fm_version": extra["fm_version"]})
    return {"day": str(day), "fm_version": extra["fm_version"], "held_out": metrics, "scored_unseen": progressive}


def evaluate_outputs(config: PlatformConfig, day: date) -> dict[str, float]:
    """Metrics of the logged soft labels, which come from a snapshot that had not seen the impressions."""
    rows = storage.read_partition(config, "fm_outputs", day, columns=["label", "soft_label", "user_id"])
    return _metrics(rows.filter(pc.is_valid(rows["soft_label"])), "soft_label")


def _metrics(rows: pa.Table, column: str) -> dict[str, float]:
    users = rows["user_id"].to_numpy()
    return evaluate(rows["label"].to_numpy(), rows[column].to_numpy(), users=users).as_dict()


def _middle(config: PlatformConfig, day: date) -> datetime:
    """The median instant of a day's impressions; what happens at it belongs to the second half."""
    column = storage.read_partition(config, "examples", day, columns=["event_timestamp"])["event_timestamp"]
    return column[len(column) // 2].as_py()


def _write_outputs(
    config: PlatformConfig, day: date, trainer: FoundationTrainer, *, version: str, scored_from: datetime
) -> None:
    inputs = {"examples": day}
    previous = storage.previous_day(config, day)
    if previous is not None:
        inputs["fm_snapshots"] = previous
    with storage.commit_partition(config, "fm_outputs", day, inputs=inputs, extra={"fm_version": version}) as folder:
        _write(folder, _unscored(config, day, scored_from), _scored(config, day, trainer, version, scored_from))


def _write(folder: Path, *parts: Iterable[pa.Table]) -> None:
    with pa.parquet.ParquetWriter(folder / "part-0.parquet", OUTPUTS, compression="zstd") as writer:
        for part in parts:
            for rows in part:
                writer.write_table(rows)


def _unscored(config: PlatformConfig, day: date, scored_from: datetime) -> Iterable[pa.Table]:
    """Rows before `scored_from`, with null outputs."""
    for batch in foundation_batches(config, day, end=scored_from):
        rows = pa.Table.from_batches([batch.keys])
        for name in ("soft_label", "embedding", "fm_version"):
            rows = rows.append_column(OUTPUTS.field(name), pa.nulls(rows.num_rows, OUTPUTS.field(name).type))
        yield rows.cast(OUTPUTS)


def _scored(
    config: PlatformConfig, day: date, trainer: FoundationTrainer, version: str, scored_from: datetime
) -> Iterable[pa.Table]:
    batches = foundation_batches(config, day, start=scored_from)
    for keys, probabilities, codes in trainer.score(batches, "score unseen impressions"):
        rows = pa.Table.from_batches([keys])
        width = codes.shape[1]
        offsets = np.arange(0, len(codes) * width + 1, width, dtype=np.int32)
        rows = rows.append_column("soft_label", pa.array(probabilities, pa.float32()))
        rows = rows.append_column("embedding", pa.ListArray.from_arrays(offsets, pa.array(codes.ravel())))
        yield rows.append_column("fm_version", pa.array([version] * len(rows))).cast(OUTPUTS)


def _evaluate(config: PlatformConfig, day: date, trainer: FoundationTrainer, held_out: datetime) -> dict[str, float]:
    """Commits the fresh FM's probabilities on the held-out rows, and measures them."""
    parts = []
    for keys, probabilities, _ in trainer.score(foundation_batches(config, day, start=held_out), "score held-out rows"):
        parts.append(pa.Table.from_batches([keys]).append_column("probability", pa.array(probabilities)))
    rows = pa.concat_tables(parts)
    storage.write_partition(config, "fm_evaluations", day, rows, inputs={"examples": day})
    return _metrics(rows, "probability")
