"""The foundation model's outputs of a day, as tables: soft labels and codes, and its figures on held-out rows."""

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet
import torch.distributed as dist

import storage
from config import PlatformConfig
from data.batches.foundation import Examples, count_examples, foundation_batches
from data.schema import TIMESTAMP
from quality.freshness import refuse_leaks
from quality.metrics import evaluate
from training.foundation.run_checkpoint import on_every_rank
from training.foundation.trainer import FoundationTrainer

KEY_FIELDS = {
    "impression_id": pa.string(),
    "user_id": pa.string(),
    "item_id": pa.string(),
    "event_timestamp": TIMESTAMP,
    "vertical": pa.string(),
    "label": pa.int32(),
}
OUTPUTS = pa.schema(
    KEY_FIELDS
    | {
        "soft_label": pa.float32(),
        "code": pa.list_(pa.float32()),
        "fm_version": pa.string(),
        "fm_learnt_until": TIMESTAMP,  # that FM had learnt impressions before this instant, none at or after it
    }
)
EVALUATIONS = pa.schema(KEY_FIELDS | {"probability": pa.float32()})


def write_outputs(
    config: PlatformConfig,
    day: date,
    trainer: FoundationTrainer,
    *,
    version: str,
    learnt_until: datetime,
    scored_from: datetime,
) -> None:
    """Commits `fm_outputs`: rows from `scored_from` on with soft label and code, earlier ones with nulls.

    When the day was scored, by the clock, is in the manifest only, so that a re-run gives the same content.

    Args:
        config: the platform.
        day: to score.
        trainer: holds the FM that has not seen the rows it scores.
        version: of that FM.
        learnt_until: the instant before which it has learnt.
        scored_from: start of the day, or of what the FM has not learnt.

    Raises:
        ValueError: the FM has learnt later impressions than one it scores.
    """
    extra = {"fm_version": version, "learnt_until": learnt_until.isoformat()}
    unscored = _unscored(_slices(config, day, trainer, end=scored_from))
    scored = _scored(config, day, trainer, version, learnt_until, scored_from)
    with on_every_rank(storage.commit_partition(config, "fm_outputs", day, extra=extra)) as folder:
        _write(folder, OUTPUTS, chain(unscored, scored))
        extra["scored_at"] = datetime.now(UTC).isoformat(timespec="seconds")


def evaluate_held_out(
    config: PlatformConfig, day: date, trainer: FoundationTrainer, held_out: datetime
) -> dict[str, float]:
    """Commits `fm_evaluations`, the FM's probabilities on the held-out rows, and measures them."""
    judged = (
        pa.Table.from_batches([scored.keys])
        .append_column("probability", pa.array(scored.probabilities))
        .cast(EVALUATIONS)
        for scored in trainer.score(_slices(config, day, trainer, start=held_out), "score held-out rows")
    )
    with on_every_rank(storage.commit_partition(config, "fm_evaluations", day)) as folder:
        _write(folder, EVALUATIONS, judged)
    return _metrics(storage.read_partition(config, "fm_evaluations", day), "probability")


def evaluate_outputs(config: PlatformConfig, day: date) -> dict[str, float]:
    """Measures the logged soft labels, which come from a snapshot that had not seen the impressions."""
    rows = storage.read_partition(config, "fm_outputs", day, columns=["label", "soft_label", "user_id"])
    return _metrics(rows.filter(pc.is_valid(rows["soft_label"])), "soft_label")


def _write(folder: Path, schema: pa.Schema, tables: Iterable[pa.Table]) -> None:
    """Writes this rank's rows, in a file of its own."""
    with pa.parquet.ParquetWriter(folder / f"part-{dist.get_rank()}.parquet", schema, compression="zstd") as writer:
        for rows in tables:
            writer.write_table(rows)


def _slices(
    config: PlatformConfig,
    day: date,
    trainer: FoundationTrainer,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
) -> Iterator[Examples]:
    return foundation_batches(config, day, start=start, end=end, **trainer.part)


def _metrics(rows: pa.Table, column: str) -> dict[str, float]:
    users = rows["user_id"].to_numpy()
    return evaluate(rows["label"].to_numpy(), rows[column].to_numpy(), users=users).as_dict()


def _unscored(batches: Iterable[Examples]) -> Iterator[pa.Table]:
    for examples in batches:
        rows = pa.Table.from_batches([examples.keys])
        for name in ("soft_label", "code", "fm_version", "fm_learnt_until"):
            rows = rows.append_column(OUTPUTS.field(name), pa.nulls(rows.num_rows, OUTPUTS.field(name).type))
        yield rows.cast(OUTPUTS)


def _scored(
    config: PlatformConfig,
    day: date,
    trainer: FoundationTrainer,
    version: str,
    learnt_until: datetime,
    scored_from: datetime,
) -> Iterator[pa.Table]:
    batches = _slices(config, day, trainer, start=scored_from)
    total = count_examples(config, day, start=scored_from, end=None)
    for keys, probabilities, codes, _ in trainer.score(batches, "score unseen impressions", total=total):
        rows = pa.Table.from_batches([keys])
        width = codes.shape[1]
        offsets = np.arange(0, len(codes) * width + 1, width, dtype=np.int32)
        rows = rows.append_column("soft_label", pa.array(probabilities, pa.float32()))
        rows = rows.append_column("code", pa.ListArray.from_arrays(offsets, pa.array(codes.ravel())))
        rows = rows.append_column("fm_version", pa.repeat(pa.scalar(version), len(rows)))
        rows = rows.append_column("fm_learnt_until", pa.repeat(pa.scalar(learnt_until, TIMESTAMP), len(rows)))
        rows = rows.cast(OUTPUTS)
        refuse_leaks(rows)
        yield rows
