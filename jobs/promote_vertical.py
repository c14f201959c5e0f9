"""Moves a vertical's alias champion to the day's candidate if the gates allow it; the old one becomes previous."""

from datetime import date
from typing import Any

import pyarrow as pa
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

import storage
from config import PlatformConfig
from quality.gate import judge
from quality.verdict import quality_passed
from serving.registry import CHAMPION, PREVIOUS, day_of, load_version, version_at, version_of
from training.metrics import Metrics, evaluate, headroom_ratio
from training.tracking import tracked_run


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
        earlier = _earlier_verdict(config, vertical, day, candidate)
        if earlier is not None and champion is not None and str(champion.version) != earlier["champion_version"]:
            return earlier  # the alias has moved since: to this candidate by the first run, or elsewhere by hand
        verdict = _judge(config, vertical, day, candidate, champion)
        _commit(config, vertical, day, verdict)
        if verdict["promoted"]:
            _promote(run.client, name, candidate, champion)
        run.log_metrics({"promoted": float(verdict["promoted"]), "headroom_ratio": verdict["headroom_ratio"]})
        run.log_metrics({f"champion_{k}": v for k, v in (verdict["metrics"]["champion"] or {}).items()})
        run.set_tags({"promoted": verdict["promoted"], "reasons": "; ".join(verdict["reasons"])})
    return verdict


def _judge(
    config: PlatformConfig, vertical: str, day: date, candidate: ModelVersion, champion: ModelVersion | None
) -> dict[str, Any]:
    rows = storage.read_partition(config, f"evaluations_{vertical}", day)
    metrics: dict[str, Metrics | None] = {
        name: _metrics(rows, rows[name].to_numpy()) for name in ("baseline", "candidate", "fm")
    }
    if champion is not None and champion.version == candidate.version:
        champion = None  # somebody made the candidate champion by hand: there is nothing to compare it with
    metrics["champion"] = _metrics(rows, load_version(champion).predict(rows)) if champion else None
    of_candidate, of_baseline, of_fm = metrics["candidate"], metrics["baseline"], metrics["fm"]
    assert of_candidate and of_baseline and of_fm
    if champion is not None and day_of(champion) > day:
        promote, reasons = (
            False,
            [f"the champion, version {champion.version}, is of {day_of(champion)}, after {day}"],
        )
    else:
        gate = judge(of_candidate, metrics["champion"], quality=quality_passed(config, day), gates=config.gates)
        promote, reasons = gate.promote, gate.reasons
    verdict = {
        "day": str(day),
        "vertical": vertical,
        "version": str(candidate.version),
        "champion_version": str(champion.version) if champion else None,
        "promoted": promote,
        "reasons": reasons,
        "metrics": {name: m.as_dict() if m else None for name, m in metrics.items()},
        "headroom_ratio": headroom_ratio(of_baseline.ne, of_candidate.ne, of_fm.ne),
    }
    return storage.finite(verdict)


def _metrics(rows: pa.Table, probabilities: Any) -> Metrics:
    return evaluate(rows["label"].to_numpy(), probabilities, users=rows["user_id"].to_numpy())


def _promote(client: MlflowClient, name: str, candidate: ModelVersion, champion: ModelVersion | None) -> None:
    if champion is not None and champion.version != candidate.version:
        client.set_registered_model_alias(name, PREVIOUS, champion.version)
    client.set_registered_model_alias(name, CHAMPION, candidate.version)


def _commit(config: PlatformConfig, vertical: str, day: date, verdict: dict[str, Any]) -> None:
    rows = pa.table({"vertical": [vertical], "version": [verdict["version"]], "promoted": [verdict["promoted"]]})
    inputs = {f"evaluations_{vertical}": day}
    storage.write_partition(config, f"verdicts_{vertical}", day, rows, inputs=inputs, extra=verdict)


def _earlier_verdict(
    config: PlatformConfig, vertical: str, day: date, candidate: ModelVersion
) -> dict[str, Any] | None:
    """The verdict an earlier run of the day gave on the same candidate."""
    if not storage.has_partition(config, f"verdicts_{vertical}", day):
        return None
    verdict: dict[str, Any] = storage.read_manifest(config, f"verdicts_{vertical}", day)["extra"]
    return verdict if verdict["version"] == str(candidate.version) else None
