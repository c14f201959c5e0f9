"""Scores the day with yesterday's foundation model, commits the scores, then learns the day.

- **Reads:** `examples`, yesterday's `fm_snapshots`.
- **Writes:** `fm_outputs` (soft labels and codes), `fm_evaluations`, `fm_snapshots`.

Order matters: soft labels and codes come from a snapshot that has not seen the impression, and are committed before
the first step of learning. On the bootstrap day, where no snapshot exists, the FM learns the first half by time and
scores the second; the first half keeps null outputs. The day's newest `eval_fraction` is held out from training until
the next day. At the end the codes are rotated to match those of the snapshot that scored the day, so that all codes
of a history lie in one space.

A run that is killed resumes from its last checkpoint and ends with the same model; where several processes train
together and one of them dies, all of them do.
"""

import hashlib
import json
import tempfile
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from torch.distributed.elastic.multiprocessing.errors import record

import storage
from config import PlatformConfig
from data.batches.foundation import count_examples, foundation_batches
from data.sources import source_schema
from data.split import LEARNT_UNTIL, cut_day, learnt_until
from training.foundation.code_alignment import align_codes
from training.foundation.launcher import run_in_group
from training.foundation.outputs import evaluate_held_out, evaluate_outputs, write_outputs
from training.foundation.parallel import in_group, leads, process_group, summed
from training.foundation.run_checkpoint import RunCheckpoint, on_every_rank
from training.foundation.same_lake import check_same_lake
from training.foundation.sharded_checkpoint import load_sharded, save_sharded
from training.foundation.trainer import FoundationTrainer, Progress, foundation_trainer
from training.tracking import TrackedRun, tracked_run

LOG_EVERY_S = 10.0


@dataclass(frozen=True)
class Phase:
    """A stretch of impressions to learn, in time order; `scores` says that the day is scored before it."""

    what: str
    day: date
    start: datetime | None
    end: datetime | None
    scores: bool = False


def main(config: PlatformConfig, *, day: date) -> dict[str, Any]:
    """Writes `fm_outputs`, `fm_evaluations` (fresh FM on the held-out rows) and `fm_snapshots` of a day."""
    training = config.foundation_model.training
    if in_group():
        record(_run)(config, day)  # leaves its error to torchrun's agent, which tells it
    elif training.processes > 1 or training.nodes > 1:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "platform.yaml"
            path.write_text(yaml.safe_dump(json.loads(config.model_dump_json())))
            arguments = ["jobs", "train_foundation", "--day", str(day), "--config", str(path)]
            run_in_group(arguments, training, name=f"train_foundation-{day}")
    else:
        _run(config, day)
    extra = storage.read_manifest(config, "fm_snapshots", day)["extra"]
    figures = {"held_out": extra["metrics"], "scored_unseen": extra["scored_unseen"]}
    return {"day": str(day), "fm_version": extra["fm_version"]} | figures


@storage.recorded_reads()
def _run(config: PlatformConfig, day: date) -> None:
    """Scores and learns the day, in each of the processes that train together."""
    with process_group(config.runtime):
        check_same_lake(storage.checkpoint_dir(config, "train_foundation", day).parent, partial(_inputs, config, day))
        _train(config, day)


def _train(config: PlatformConfig, day: date) -> None:
    """Scores and learns the day."""
    phases = _phases(config, day)
    checkpoint = RunCheckpoint(
        storage.checkpoint_dir(config, "train_foundation", day),
        key=_key(config, day),
        every_s=config.foundation_model.training.checkpoint_minutes * 60,
    )
    with (
        _tracked(config, day) as run,
        foundation_trainer(config, source_schema(config)) as trainer,
        checkpoint,
    ):
        if run:
            run.log_params(config.foundation_model.model_dump())
        progress = checkpoint.restore(trainer)
        if progress is None:
            progress, previous = Progress(), storage.previous_day(config, day)
            if previous is not None:
                folder = storage.partition_folder(config, "fm_snapshots", previous)
                load_sharded(folder, trainer.model, trainer.optimizer)
        for number in range(progress.phase, len(phases)):
            phase = phases[number]
            if phase.scores and progress.phase_step == 0:
                scored_from = phase.start if number and phase.start else storage.day_window(config, day)[0]
                version, until = _scoring_version(config, day), _learnt_until(config, day)
                write_outputs(config, day, trainer, version=version, learnt_until=until, scored_from=scored_from)
            _learn(config, trainer, phase, progress, checkpoint, run)
        _commit(config, day, trainer, progress, run)
        checkpoint.clear()


def _phases(config: PlatformConfig, day: date) -> list[Phase]:
    """Returns what is learnt on a day, in order."""
    previous, held_out = storage.previous_day(config, day), cut_day(config, day)
    if previous is None:
        middle = _middle(config, day)
        return [
            Phase("learn the first half", day, None, middle),
            Phase("learn the day", day, middle, held_out, scores=True),
        ]
    rest = Phase("learn yesterday's rest", previous, learnt_until(config, "fm_snapshots", previous), None, scores=True)
    return [rest, Phase("learn the day", day, None, held_out)]


def _learn(
    config: PlatformConfig,
    trainer: FoundationTrainer,
    phase: Phase,
    progress: Progress,
    checkpoint: RunCheckpoint,
    run: TrackedRun | None,
) -> None:
    logged_at = started = time.monotonic()
    before = progress.examples

    def after_step(ne: float | None) -> None:
        nonlocal logged_at
        checkpoint.after_step(trainer, progress)
        now = time.monotonic()
        if run and ne is not None and now - logged_at > LOG_EVERY_S:
            speed = (progress.examples - before) / (now - started)
            run.log_metrics({"ne_recent": ne, "examples_per_s": speed}, step=progress.examples)
            logged_at = now

    trainer.learn(
        foundation_batches(config, phase.day, start=phase.start, end=phase.end, **trainer.part),
        phase.what,
        progress=progress,
        total=count_examples(config, phase.day, start=phase.start, end=phase.end),
        after_step=after_step,
    )


def _commit(
    config: PlatformConfig, day: date, trainer: FoundationTrainer, progress: Progress, run: TrackedRun | None
) -> None:
    """Aligns the FM's codes, judges it and commits its snapshot."""
    aligned = config.foundation_model.codes.alignment == "rotation"
    drift = align_codes(config, day, trainer) if aligned else None
    held_out = cut_day(config, day)
    metrics = evaluate_held_out(config, day, trainer, held_out)
    loss, examples = summed([progress.loss, progress.examples], trainer.device)
    extra: dict[str, Any] = {LEARNT_UNTIL: held_out.isoformat(), "metrics": metrics}
    extra["scored_unseen"] = evaluate_outputs(config, day)
    snapshot = storage.commit_partition(config, "fm_snapshots", day, extra=extra)
    with on_every_rank(snapshot) as folder:
        extra["fm_version"] = save_sharded(folder, trainer.model, trainer.optimizer)
    if run:
        figures = {f"held_out_{k}": v for k, v in metrics.items()}
        figures |= {f"scored_{k}": v for k, v in extra["scored_unseen"].items()}
        if drift:
            figures |= {"code_drift": drift.before, "code_drift_aligned": drift.after}
        run.log_metrics({"log_loss_progressive": loss / max(examples, 1)} | figures)
        run.set_tags({"fm_version": extra["fm_version"]})


def _tracked(config: PlatformConfig, day: date) -> AbstractContextManager[TrackedRun | None]:
    if not leads():
        return nullcontext()
    key = {"job": "train_foundation", "day": str(day)}
    return tracked_run(config, experiment="foundation", name=str(day), key=key, system_metrics=True)


def _scoring_version(config: PlatformConfig, day: date) -> str:
    previous = storage.previous_day(config, day)
    if previous is None:
        return f"{day}-half"
    return str(storage.read_manifest(config, "fm_snapshots", previous)["extra"]["fm_version"])


def _learnt_until(config: PlatformConfig, day: date) -> datetime:
    """Returns the instant before which the FM that scores a day has learnt."""
    previous = storage.previous_day(config, day)
    if previous is None:
        return _middle(config, day)
    return learnt_until(config, "fm_snapshots", previous)


def _key(config: PlatformConfig, day: date) -> str:
    """Computes a key of all that the day's training depends on."""
    inputs = json.dumps(_inputs(config, day), default=str, sort_keys=True)  # a file written for a group is sorted, too
    return hashlib.sha256(inputs.encode()).hexdigest()[:16]


def _inputs(config: PlatformConfig, day: date) -> dict[str, Any]:
    """Returns all that the day's training depends on, by what it is called."""
    inputs = {
        "foundation_model": config.foundation_model.without_placement.model_dump(),
        "runtime.seed": config.runtime.seed,
        f"examples of {day}": storage.read_manifest(config, "examples", day)["content_hash"],
    }
    previous = storage.previous_day(config, day)
    if previous is not None:
        for table in ("examples", "fm_snapshots"):
            inputs[f"{table} of {previous}"] = storage.read_manifest(config, table, previous)["content_hash"]
    return inputs


def _middle(config: PlatformConfig, day: date) -> datetime:
    """Returns the median instant of a day's impressions; what happens at it belongs to the second half."""
    column = storage.read_partition(config, "examples", day, columns=["event_timestamp"])["event_timestamp"]
    instant: datetime = column[len(column) // 2].as_py()
    return instant
