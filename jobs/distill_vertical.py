"""Trains one vertical's candidate with the foundation model as teacher, and its baseline without; registers both.

- **Reads:** `vertical_examples` of the days to learn; `fm_evaluations` and `fm_snapshots`; the champion and the last
  baseline (`candidates`, `baselines` of earlier days); `evaluations` of earlier days, for the calibration layers.
- **Writes:** `candidates`, `baselines`, `evaluations`; two versions of `vertical_<name>` in the MLflow registry: the
  candidate (tag `transfer=fm`) and the plain baseline (`transfer=none`).

The candidate starts from the champion (from the newest candidate where a baseline serves) and learns every impression
since the held-out rows of that one began; the baseline starts from the last baseline. Where a version was deleted, or
its artifacts, the candidate starts from the nearest one before it that is left, or cold; the log says what to restore.
Where the settings make other weights than those of the champion, it starts from the newest candidate of the same
settings, or cold: it learns the last `max_training_days`, `cold_start_epochs` times.
Each model gets a calibration layer, fitted on held-out rows of earlier days, as have the FM's soft labels that the
candidate learns. Candidate, baseline and FM are judged on the day's held-out rows; promote_vertical judges the champion
on the same rows.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import torch
from mlflow.entities.model_registry import ModelVersion

import storage
from config import PlatformConfig, Transfer, VerticalSettings
from data.batches.vertical import HISTORY_IDS, VerticalFeatures
from data.batches.vertical_examples import vertical_examples
from data.sources import source_schema
from data.split import LEARNT_UNTIL, learnt_until
from quality.metrics import evaluate
from serving.registry import (
    TRANSFER,
    ModelLost,
    candidates_since,
    champion_before,
    line_of_candidate,
    load_version,
    made_in,
    register,
)
from serving.vertical_model import VerticalModel
from training.calibration import FittedLayer, calibrated_soft_labels, fitted_before
from training.checkpoint import weights_version
from training.tracking import tracked_run
from training.vertical.arm import Arm
from training.vertical.rows import ServedRows
from training.vertical.student import Student
from training.vertical.trainer import VerticalTrainer

LOG = logging.getLogger("headwater")
JUDGED = ("baseline", "candidate", "fm")
OF_WEIGHTS = ("architecture", "hyperparameters", "embedding_dim", "num_embeddings")  # settings that decide on weights
COLD_START = "cold_start"  # tag of a candidate: why it starts cold although there is a line


@dataclass(frozen=True)
class Start:
    """The model that training continues from."""

    learnt_until: datetime  # rows from this instant on are the first to learn
    model: VerticalModel
    state: Path | None  # folder of the training state; None if it is lost


@storage.recorded_reads()
def main(config: PlatformConfig, *, day: date, vertical: str) -> dict[str, Any]:
    """Commits `candidates_V`, `baselines_V` and `evaluations_V` of a day, and registers candidate and baseline.

    A vertical with no impressions to learn or none held out gets no candidate: `evaluations_V` is empty and says why.

    Raises:
        ValueError: the vertical is not configured.
    """
    config = config.of_vertical(vertical)
    torch.set_num_threads(1)  # a VM's batches are too small to share: two threads take twice as long
    name = storage.registered_model(vertical)
    key = {"job": "distill_vertical", "day": str(day), "vertical": vertical}
    with tracked_run(config, experiment=f"vertical_{vertical}", name=str(day), key=key) as run:
        champion = champion_before(run.client, name, day)
        line = line_of_candidate(run.client, name, day, champion=champion)
        recent = candidates_since(run.client, name, day, days=config.vertical_model.max_training_days)
        parent, start, cold = _from_line(config, line, recent)
        starts = (start, _from_baseline(config, vertical, day))
        cut = learnt_until(config, "fm_snapshots", day)
        learnt_before = [start.learnt_until if start else None for start in starts]
        learn, held_out, soft = _rows(config, vertical, day, cut, learnt_before)
        if not (learn.num_rows and held_out.num_rows):
            reason = f"no impressions {'to learn up to' if held_out.num_rows else 'held out on'} {day}"
            _make_none(config, vertical, day, held_out, reason)
            return {"day": str(day), "vertical": vertical, "no_candidate": reason}
        run.log_params(config.vertical_model.model_dump() | config.transfer.model_dump())

        candidate = _fit(config, f"{vertical} {day}: candidate", learn, starts[0], config.transfer)
        baseline = _fit(config, f"{vertical} {day}: baseline", learn, starts[1], None)
        layers = {model: fitted_before(config, vertical, day, model) for model in ("baseline", "candidate")}
        layers["fm"] = soft[day]
        candidate[0].calibration, baseline[0].calibration = layers["candidate"].layer, layers["baseline"].layer
        learnt = {LEARNT_UNTIL: cut.isoformat()}
        soft_labels = {"soft_label_calibration": {str(of_day): fitted.as_dict() for of_day, fitted in soft.items()}}
        weights = {
            "fm": _commit(config, f"candidates_{vertical}", day, *candidate, extra=learnt | soft_labels),
            "none": _commit(config, f"baselines_{vertical}", day, *baseline, extra=learnt),
        }
        metrics = _evaluate(config, vertical, day, held_out, candidate[0], baseline[0], layers)
        for model, figures in metrics.items():
            run.log_metrics({f"{model}_{k}": v for k, v in figures.items()})

        tags = {
            "day": str(day),
            "vertical": vertical,
            "champion_before": str(champion.version) if champion else "",
            **({COLD_START: cold} if cold else {}),
            **learnt,
            "fm_version": storage.read_manifest(config, "fm_snapshots", day)["extra"]["fm_version"],
            "code_version": storage.code_version(),
        }
        parents = {"fm": str(parent.version) if parent else "", "none": ""}  # baselines follow one another by day
        versions = {
            transfer: register(
                run.client,
                name,
                storage.partition_folder(config, table, day) / "model",
                run_id=run.run_id,
                feature_repo=storage.feature_repo_dir(config),
                tags=tags | {TRANSFER: transfer, "weights": weights[transfer], "parent": parents[transfer]},
            )
            for transfer, table in (("none", f"baselines_{vertical}"), ("fm", f"candidates_{vertical}"))
        }
    return {
        "day": str(day),
        "vertical": vertical,
        "version": str(versions["fm"].version),
        "baseline_version": str(versions["none"].version),
        "learnt_rows": learn.num_rows,
        "metrics": metrics,
    }


def _rows(
    config: PlatformConfig, vertical: str, day: date, cut: datetime, learnt: list[datetime | None]
) -> tuple[pa.Table, pa.Table, dict[date, FittedLayer]]:
    """Reads rows to learn (for the model that is further behind) and held-out rows, with features.

    Soft labels are corrected by the calibration layer of their day; the layers come third.

    Args:
        config: the platform.
        vertical: the one whose rows are read.
        day: the newest day to read.
        cut: the day's rows from this instant on are held out.
        learnt: the instant before which each model has learnt; None: it has learnt nothing.
    """
    days = storage.days_back(config, day, config.vertical_model.max_training_days)
    start = min((until for until in learnt if until), default=None) if None not in learnt else None
    if start is not None:
        days = [one for one in days if storage.day_window(config, one)[1] > start]
    rows = vertical_examples(config, vertical, days, start=start)
    rows, soft = calibrated_soft_labels(config, vertical, rows, days)
    learn = rows.filter(pc.less(rows["event_timestamp"], cut))
    held_out = rows.filter(pc.greater_equal(rows["event_timestamp"], cut))
    return learn, held_out, soft


def _make_none(config: PlatformConfig, vertical: str, day: date, held_out: pa.Table, reason: str) -> None:
    """Records that a vertical has no candidate of the day; removes what an earlier run of the day may have made."""
    storage.write_partition(
        config, f"evaluations_{vertical}", day, held_out.slice(0, 0), extra={storage.NO_CANDIDATE: reason}
    )
    for table in ("candidates", "baselines"):
        storage.drop_partition(config, f"{table}_{vertical}", day)


def _from_line(
    config: PlatformConfig, line: Iterator[ModelVersion], recent: Iterator[ModelVersion]
) -> tuple[ModelVersion | None, Start | None, str]:
    """Returns the version the candidate starts from, where that one ended, and why it starts cold, if it does.

    It is the first of its line that can be read and has the weights of today's settings; where the line's have others,
    the newest of the other candidates that has them.
    """
    lost, unlike = None, ""
    for version in chain(line, recent):
        try:
            model = load_version(config, version)
        except ModelLost as error:
            LOG.warning("%s; the candidate starts from an earlier version", error)
            lost = error
            continue
        if other := _otherwise_set(model.settings, config.vertical_model):
            unlike = unlike or f"version {version.version} has other settings: {other}"
            continue
        # The partition is gone, too, where the day was run again with other settings: no state of the optimizers.
        start = Start(datetime.fromisoformat(version.tags[LEARNT_UNTIL]), model, made_in(config, version))
        return version, start, ""
    if unlike:
        LOG.info("the candidate starts cold, as %s", unlike)
    elif lost is not None:
        LOG.warning("nothing of the candidate's line is left: it starts cold")
    return None, None, unlike


def _otherwise_set(made: VerticalSettings, now: VerticalSettings) -> str:
    """Returns what of the settings that decide on a model's weights has changed, in words; empty: nothing."""
    pairs = ((name, getattr(made, name), getattr(now, name)) for name in OF_WEIGHTS)
    return ", ".join(f"{name} {before} -> {after}" for name, before, after in pairs if before != after)


def _from_baseline(config: PlatformConfig, vertical: str, day: date) -> Start | None:
    """Returns where the baseline starts: at the last one, promoted or not; None: cold, as there is none that fits."""
    table = f"baselines_{vertical}"
    since = max((one for one in storage.committed_days(config, table) if one < day), default=None)
    if since is None:
        return None
    state = storage.partition_folder(config, table, since)
    model = VerticalModel.load(state / "model")
    if other := _otherwise_set(model.settings, config.vertical_model):
        LOG.info("the baseline starts cold, as that of %s has other settings: %s", since, other)
        return None
    return Start(learnt_until(config, table, since), model, state)


def _fit(
    config: PlatformConfig, what: str, learn: pa.Table, start: Start | None, transfer: Transfer | None
) -> tuple[VerticalModel, VerticalTrainer]:
    """Trains a model on all rows since its start's day, or, without a start, on all rows from scratch.

    Args:
        config: the platform.
        what: for the progress line.
        learn: rows.
        start: the model that training continues from; None: from scratch.
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
    config: PlatformConfig,
    table: str,
    day: date,
    model: VerticalModel,
    trainer: VerticalTrainer,
    *,
    extra: dict[str, Any],
) -> str:
    """Commits a model with its training state; returns the version of its weights, the calibration layer among them."""
    layer = torch.tensor([model.calibration.slope, model.calibration.intercept], dtype=torch.float64)
    weights = weights_version(dict(model.network.state_dict()) | {"calibration": layer})
    with storage.commit_partition(config, table, day, extra=extra | {"weights": weights}) as folder:
        (folder / "model").mkdir()
        model.save(folder / "model")
        trainer.save_state(folder)
    return weights


def _evaluate(
    config: PlatformConfig,
    vertical: str,
    day: date,
    rows: pa.Table,
    candidate: VerticalModel,
    baseline: VerticalModel,
    layers: dict[str, FittedLayer],
) -> dict[str, dict[str, float]]:
    """Commits the held-out rows with every model's probability, also before calibration, and measures them."""
    fm = storage.read_partition(config, "fm_evaluations", day, columns=["impression_id", "probability"])
    of_row = pc.index_in(rows["impression_id"], fm["impression_id"].combine_chunks())
    raw = {
        "baseline": baseline.uncalibrated(rows),
        "candidate": candidate.uncalibrated(rows),
        "fm": fm["probability"].take(of_row).to_numpy(),
    }
    users, labels = rows["user_id"].to_numpy(), rows["label"].to_numpy()
    metrics = {}
    for model in JUDGED:
        for name, probabilities in ((model, layers[model].layer.apply(raw[model])), (f"{model}_raw", raw[model])):
            rows = rows.append_column(name, pa.array(probabilities, pa.float32()))
            metrics[name] = evaluate(labels, probabilities, users=users).as_dict()
    extra = {"calibration": {model: fitted.as_dict() for model, fitted in layers.items()}}
    storage.write_partition(config, f"evaluations_{vertical}", day, rows, extra=extra)
    return metrics
