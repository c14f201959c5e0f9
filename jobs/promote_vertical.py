"""Moves a vertical's alias champion to the day's candidate if the gates allow it; the old one becomes previous.

It also says how much of what the foundation model knows the candidate took, and warns where that is little.
"""

import logging
from datetime import date
from typing import Any

import numpy.typing as npt
import pyarrow as pa
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

import storage
from config import PlatformConfig
from quality.gate import headroom_warnings, judge
from quality.intervals import PairedBootstrap
from quality.metrics import Metrics, evaluate
from quality.transfer_ratios import headroom_ratio, transfer_ratio
from quality.day_quality import quality_passed
from serving.registry import CHAMPION, PREVIOUS, day_of, load_version, version_at, version_of
from training.tracking import TrackedRun, tracked_run

LOG = logging.getLogger("headwater.promote_vertical")
FM_BEFORE = "fm_before"  # the FM as the previous day ended


@storage.recorded_reads()
def main(config: PlatformConfig, *, day: date, vertical: str) -> dict[str, Any]:
    """Judges candidate against champion on the day's held-out rows; commits the verdict before any alias moves.

    Raises:
        PartitionMissing: the vertical has no candidate of the day.
        RuntimeError: the candidate is not in the registry.
    """
    key = {"job": "promote_vertical", "day": str(day), "vertical": vertical}
    with tracked_run(config, experiment=f"vertical_{vertical}", name=f"{day} gate", key=key) as run:
        name = storage.registered_model(vertical)
        weights = storage.read_manifest(config, f"candidates_{vertical}", day)["extra"]["weights"]
        candidate = version_of(run.client, name, day=day, weights=weights)
        if candidate is None:
            raise RuntimeError(f"{name} has no version of {day} with weights {weights}; run distill_vertical again")
        champion = version_at(run.client, name, CHAMPION)
        verdict = _earlier_verdict(config, vertical, day, candidate)
        # Where the alias has moved since, to this candidate by the first run or elsewhere by hand, that verdict stays.
        if verdict is None or champion is None or str(champion.version) == verdict["champion_version"]:
            verdict = _judge(config, vertical, day, candidate, champion)
            _commit(config, vertical, day, verdict)
            if verdict["promoted"]:
                _promote(run.client, name, candidate, champion)
            _track(run, verdict)
            run.client.set_model_version_tag(name, candidate.version, "warnings", "; ".join(verdict["warnings"]))
    for warning in verdict["warnings"]:
        LOG.warning("%s: %s (docs/operations.md says what to do)", vertical, warning)
    return verdict


def _judge(
    config: PlatformConfig, vertical: str, day: date, candidate: ModelVersion, champion: ModelVersion | None
) -> dict[str, Any]:
    if champion is not None and champion.version == candidate.version:
        champion = None  # somebody made the candidate champion by hand: there is nothing to compare it with
    rows = storage.read_partition(config, f"evaluations_{vertical}", day)
    judged = {name: rows[name].to_numpy() for name in ("baseline", "candidate", "fm")}
    if champion is not None:
        judged["champion"] = load_version(champion).predict(rows)
    labels, users = rows["label"].to_numpy(), rows["user_id"].to_numpy()
    metrics = {name: evaluate(labels, found, users=users) for name, found in judged.items()}
    if champion is not None and day_of(champion) > day:
        promote, reasons = (
            False,
            [f"the champion, version {champion.version}, is of {day_of(champion)}, after {day}"],
        )
    else:
        quality = quality_passed(config, day)
        gate = judge(metrics["candidate"], metrics.get("champion"), quality=quality, gates=config.gates)
        promote, reasons = gate.promote, gate.reasons
    verdict = {
        "day": str(day),
        "vertical": vertical,
        "version": str(candidate.version),
        "champion_version": str(champion.version) if champion else None,
        "promoted": promote,
        "reasons": reasons,
        "metrics": {name: m.as_dict() for name, m in metrics.items()} | ({} if champion else {"champion": None}),
    }
    return storage.finite(verdict | _transfer(config, day, rows, judged, metrics, champion))


def _transfer(
    config: PlatformConfig,
    day: date,
    rows: pa.Table,
    judged: dict[str, npt.NDArray],
    metrics: dict[str, Metrics],
    champion: ModelVersion | None,
) -> dict[str, Any]:
    """What the candidate took from the FM, how sure that is, and warnings.

    Args:
        config: the platform.
        day: the day.
        rows: held-out rows.
        judged: probabilities of the rows by model.
        metrics: figures by model.
        champion: the one compared with, if any.
    """
    labels, users = rows["label"].to_numpy(), rows["user_id"].to_numpy()
    ne = {name: figures.ne for name, figures in metrics.items()}
    missing = None
    if champion is None:
        missing = "there was no champion before the candidate"
    elif day_of(champion) != storage.previous_day(config, day):
        missing = f"the champion is of {day_of(champion)}, not of the day before, from which the FM was upgraded"
    elif rows["soft_label"].null_count:
        missing = "the FM of the day before has not scored all held-out rows"
    else:
        judged = judged | {FM_BEFORE: rows["soft_label"].to_numpy()}
        ne[FM_BEFORE] = evaluate(labels, judged[FM_BEFORE]).ne
        if not ne[FM_BEFORE] > ne["fm"]:
            missing = f"the FM has not improved on these rows: NE {ne[FM_BEFORE]:.4f} before, {ne['fm']:.4f} after"

    headroom = headroom_ratio(ne_without=ne["baseline"], ne_with=ne["candidate"], ne_foundation=ne["fm"])
    bootstrap = PairedBootstrap(labels, users, judged, seed=config.runtime.seed)
    intervals = {
        f"ne_{one}_minus_{other}": bootstrap.ne_difference(one, other)
        for one, other in (("candidate", "baseline"), ("candidate", "champion"), ("fm", "baseline"))
        if {one, other} <= judged.keys()
    }
    intervals["headroom_ratio"] = bootstrap.ratio(("baseline", "candidate"), ("baseline", "fm"))
    transfer = None
    if missing is None:
        transfer = transfer_ratio(
            vm_before=ne["champion"], vm_after=ne["candidate"], fm_before=ne[FM_BEFORE], fm_after=ne["fm"]
        )
        intervals["transfer_ratio"] = bootstrap.ratio(("champion", "candidate"), (FM_BEFORE, "fm"))
    return {
        "headroom_ratio": headroom,
        "transfer_ratio": transfer,
        "transfer_ratio_missing": missing,
        "intervals": {name: found.as_dict() for name, found in intervals.items()},
        "warnings": headroom_warnings(
            headroom,
            ne_baseline=ne["baseline"],
            ne_foundation=ne["fm"],
            ratio_bounds=intervals["headroom_ratio"].bounds,
            lead_bounds=intervals["ne_fm_minus_baseline"].bounds,
            gates=config.gates,
        ),
    }


def _track(run: TrackedRun, verdict: dict[str, Any]) -> None:
    """Logs a verdict: figures with the bounds of their intervals, reasons and warnings."""
    figures = {"promoted": float(verdict["promoted"])}
    figures |= {f"champion_{k}": v for k, v in (verdict["metrics"]["champion"] or {}).items()}
    for name, found in verdict["intervals"].items():
        figures |= {name: found["value"], f"{name}_low": found["low"], f"{name}_high": found["high"]}
    run.log_metrics(figures)
    tags = {"promoted": verdict["promoted"]}
    run.set_tags(tags | {name: "; ".join(verdict[name]) for name in ("reasons", "warnings")})


def _promote(client: MlflowClient, name: str, candidate: ModelVersion, champion: ModelVersion | None) -> None:
    if champion is not None and champion.version != candidate.version:
        client.set_registered_model_alias(name, PREVIOUS, champion.version)
    client.set_registered_model_alias(name, CHAMPION, candidate.version)


def _commit(config: PlatformConfig, vertical: str, day: date, verdict: dict[str, Any]) -> None:
    rows = pa.table({"vertical": [vertical], "version": [verdict["version"]], "promoted": [verdict["promoted"]]})
    storage.write_partition(config, f"verdicts_{vertical}", day, rows, extra=verdict)


def _earlier_verdict(
    config: PlatformConfig, vertical: str, day: date, candidate: ModelVersion
) -> dict[str, Any] | None:
    """The verdict an earlier run of the day gave on the same candidate."""
    if not storage.has_partition(config, f"verdicts_{vertical}", day):
        return None
    verdict: dict[str, Any] = storage.read_manifest(config, f"verdicts_{vertical}", day)["extra"]
    return verdict if verdict["version"] == str(candidate.version) else None
