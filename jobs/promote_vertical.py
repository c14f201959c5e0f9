"""Moves a vertical's alias champion to the day's candidate, or to its plain baseline, if the gates allow it; says why.

- **Reads:** `candidates`, `baselines`, `evaluations`, the champion, the results of check_quality; `verdicts` of as many
  earlier days as give `gates.min_eval_clicks` held-out clicks.
- **Writes:** `verdicts`; the registry's aliases `champion` and `previous`, and tags of the day's versions.

quality/gate.py has the rules. The champion compared with is that of before the day, also where an earlier run of the
day, or a later day, has promoted one since: that one may have learnt the rows, and later days pool what was compared.

**⚠ beside a vertical's name:** it took little of what the foundation model knows, or the foundation model has nothing
to give it. Nothing fails for that. The log and the result (XCom `warnings`) say more; what to do is in
docs/operations.md.
"""

import logging
from collections.abc import Iterator
from datetime import date
from itertools import chain
from typing import Any

import numpy.typing as npt
import pyarrow as pa
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

import storage
from config import PlatformConfig
from quality.day_quality import quality_passed
from quality.evidence import CONTENDERS, TRANSFER, Contender, Evidence, JudgedRows, newest_with_clicks, pool
from quality.gate import Decision, headroom_warnings, judge
from quality.intervals import PairedBootstrap
from quality.metrics import Metrics, evaluate, undefined_because
from quality.promotion_verdict import PromotionVerdict
from quality.transfer_ratios import headroom_ratio, transfer_ratio
from serving.registry import (
    CHAMPION,
    PREVIOUS,
    ModelLost,
    champion_before,
    day_of,
    load_version,
    transfer_of,
    version_at,
    version_of,
)
from training.tracking import TrackedRun, tracked_run

LOG = logging.getLogger("headwater.promote_vertical")
FM_BEFORE = "fm_before"  # the FM as the previous day ended
Versions = dict[Contender, ModelVersion]
NO_ROWS = pa.table({"user_id": pa.array([], pa.string()), "label": pa.array([], pa.int32())})


@storage.recorded_reads()
def main(config: PlatformConfig, *, day: date, vertical: str) -> dict[str, Any]:
    """Judges candidate and baseline against the champion; commits the verdict, with the rows, before any alias moves.

    Where the vertical had no impressions for a candidate, the verdict says so and the champion stays. A run that was
    killed is taken up by the next: what it judged and promoted stays, and what it had not logged yet is logged.

    Raises:
        PartitionMissing: distill_vertical has not run for the day.
        RuntimeError: a contender is not in the registry.
    """
    key = {"job": "promote_vertical", "day": str(day), "vertical": vertical}
    with tracked_run(config, experiment=f"vertical_{vertical}", name=f"{day} gate", key=key) as run:
        name = storage.registered_model(vertical)
        if reason := storage.no_candidate(config, vertical, day):
            return _without_candidate(config, vertical, day, reason, run).to_json()
        contenders = _contenders(config, run.client, vertical, day)
        serving = version_at(run.client, name, CHAMPION)
        verdict = _earlier_verdict(config, vertical, day, contenders)
        # Where the alias has moved since, to the winner by the first run or elsewhere by hand, that verdict stays.
        if verdict is None or serving is None or str(serving.version) == verdict.serving:
            champion = champion_before(run.client, name, day) if serving else None
            verdict = _judge(config, vertical, day, contenders, champion, serving)
            if verdict.winner is not None:
                _promote(run.client, name, contenders[verdict.winner], champion)
        _track(run, verdict)
        _tag_versions(run.client, name, contenders, verdict)
    for warning in verdict.warnings:
        LOG.warning("%s: %s (docs/operations.md says what to do)", vertical, warning)
    return verdict.to_json()


def _contenders(config: PlatformConfig, client: MlflowClient, vertical: str, day: date) -> Versions:
    """Finds the day's candidate and baseline in the registry."""
    versions: Versions = {}
    name = storage.registered_model(vertical)
    for contender in CONTENDERS:
        weights = storage.read_manifest(config, f"{contender}s_{vertical}", day)["extra"]["weights"]
        version = version_of(client, name, day=day, weights=weights, transfer=TRANSFER[contender])
        if version is None:
            raise RuntimeError(f"{name} has no {contender} of {day} with weights {weights}; run distill_vertical again")
        versions[contender] = version
    return versions


def _without_candidate(
    config: PlatformConfig, vertical: str, day: date, reason: str, run: TrackedRun
) -> PromotionVerdict:
    """Commits the verdict of a day on which there is nothing to judge."""
    storage.read_manifest(config, f"evaluations_{vertical}", day)
    champion = version_at(run.client, storage.registered_model(vertical), CHAMPION)
    stays = f"the champion stays, version {champion.version}" if champion else "there is no champion yet"
    champion_version = str(champion.version) if champion else None
    verdict = PromotionVerdict.none(day, vertical, f"{reason}: {stays}", champion=champion_version)
    storage.write_partition(config, f"verdicts_{vertical}", day, NO_ROWS, extra=verdict.to_json())
    run.set_tags({"promoted": False, "winner": "nobody", "reasons": verdict.reasons[0], "warnings": ""})
    return verdict


def _judge(
    config: PlatformConfig,
    vertical: str,
    day: date,
    contenders: Versions,
    champion: ModelVersion | None,
    serving: ModelVersion | None,
) -> PromotionVerdict:
    """Judges the contenders and commits the verdict with the rows of the day.

    Args:
        config: the platform.
        vertical: the vertical.
        day: the day.
        contenders: the day's.
        champion: the one to compare with, of before the day.
        serving: the version that the alias names: the champion, or one that was promoted since.
    """
    rows = storage.read_partition(config, f"evaluations_{vertical}", day)
    judged = {name: rows[name].to_numpy() for name in ("baseline", "candidate", "fm")}
    if champion is not None:
        try:
            judged["champion"] = load_version(config, champion).predict(rows)
        except ModelLost as error:
            LOG.warning("%s: %s; the contenders are judged as where there is no champion", vertical, error)
            champion = None
    labels, users = rows["label"].to_numpy(), rows["user_id"].to_numpy()
    metrics = {name: evaluate(labels, probabilities, users=users) for name, probabilities in judged.items()}
    raw = {name: rows[f"{name}_raw"].to_numpy() for name in ("baseline", "candidate", "fm")}
    layers = storage.read_manifest(config, f"evaluations_{vertical}", day)["extra"]["calibration"]
    kind = transfer_of(champion) if champion else None
    today = JudgedRows(day, labels, users, {n: p for n, p in judged.items() if n != "fm"}, kind)
    days = newest_with_clicks(chain([today], _earlier_rows(config, vertical, day)), config.gates.min_eval_clicks)
    evidence = pool(days, seed=config.runtime.seed)
    if serving is not None and day_of(serving) > day:
        why = f"the champion, version {serving.version}, is of {day_of(serving)}, after {day}"
        decision = Decision(None, [why])
    else:
        decision = judge(evidence, quality=quality_passed(config, day), gates=config.gates)
        if decision.winner is None and serving is not None and day_of(serving) == day:
            stays = f"the alias {CHAMPION} stays on version {serving.version}, which is of {day}, too"
            decision = Decision(None, [*decision.reasons, stays])
    verdict = PromotionVerdict(
        day=day,
        vertical=vertical,
        winner=decision.winner,
        reasons=decision.reasons,
        versions={
            "candidate": str(contenders["candidate"].version),
            "baseline": str(contenders["baseline"].version),
            "champion": str(champion.version) if champion else None,
        },
        champion_transfer=kind,
        serving=str(serving.version) if serving else None,
        metrics={name: m.as_dict() for name, m in metrics.items()} | ({} if champion else {"champion": None}),
        uncalibrated={
            name: evaluate(labels, probabilities, users=users).as_dict() for name, probabilities in raw.items()
        },
        calibration=layers,
        judged_on=_judged_on(evidence),
        **_transfer(config, day, rows, judged, metrics, champion),
    )
    verdict = PromotionVerdict.from_json(storage.finite(verdict.to_json()))
    _commit(config, verdict, today)
    return verdict


def _judged_on(evidence: Evidence) -> dict[str, Any]:
    """Returns what the decision rests on, as plain values."""
    return {
        "days": [str(one) for one in evidence.days],
        "rows": evidence.rows,
        "clicks": evidence.clicks,
        "metrics": {name: m.as_dict() for name, m in evidence.metrics.items()},
        "champion_days": [str(one) for one in evidence.champion_days],
        "against_champion": {name: m.as_dict() for name, m in evidence.against_champion.items()},
        "intervals": {name: interval.as_dict() for name, interval in evidence.intervals.items()},
    }


def _earlier_rows(config: PlatformConfig, vertical: str, day: date) -> Iterator[JudgedRows]:
    """Yields the rows that the verdicts of earlier days rest on, newest first."""
    table = f"verdicts_{vertical}"
    for before in reversed([one for one in storage.committed_days(config, table) if one < day]):
        verdict = PromotionVerdict.from_json(storage.read_manifest(config, table, before)["extra"])
        if not verdict.metrics:
            continue  # nothing was judged
        rows = storage.read_partition(config, table, before)
        models = CONTENDERS if verdict.champion_transfer is None else (*CONTENDERS, "champion")
        probabilities = {model: rows[model].to_numpy() for model in models}
        labels, users = rows["label"].to_numpy(), rows["user_id"].to_numpy()
        yield JudgedRows(before, labels, users, probabilities, verdict.champion_transfer)


def _transfer(
    config: PlatformConfig,
    day: date,
    rows: pa.Table,
    judged: dict[str, npt.NDArray],
    metrics: dict[str, Metrics],
    champion: ModelVersion | None,
) -> dict[str, Any]:
    """Computes what the candidate took from the FM, with intervals and warnings.

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
        if undefined := undefined_because(labels):
            missing = f"the rows define no NE: {undefined}"
        elif not ne[FM_BEFORE] > ne["fm"]:
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
        "intervals": {name: interval.as_dict() for name, interval in intervals.items()},
        "warnings": headroom_warnings(
            headroom,
            ne_baseline=ne["baseline"],
            ne_foundation=ne["fm"],
            ratio_bounds=intervals["headroom_ratio"].bounds,
            lead_bounds=intervals["ne_fm_minus_baseline"].bounds,
            gates=config.gates,
        ),
    }


def _track(run: TrackedRun, verdict: PromotionVerdict) -> None:
    """Logs a verdict: figures with the bounds of their intervals, the winner, reasons and warnings."""
    figures: dict[str, float | None] = {"promoted": float(verdict.promoted)}
    figures |= {f"champion_{k}": v for k, v in (verdict.metrics["champion"] or {}).items()}
    for prefix, intervals in (("", verdict.intervals), ("pooled_", verdict.judged_on["intervals"])):
        for name, interval in intervals.items():
            figures |= {
                f"{prefix}{name}": interval["value"],
                f"{prefix}{name}_low": interval["low"],
                f"{prefix}{name}_high": interval["high"],
            }
    run.log_metrics(figures)
    tags = {"promoted": verdict.promoted, "winner": verdict.winner or "nobody"}
    run.set_tags(tags | {"reasons": "; ".join(verdict.reasons), "warnings": "; ".join(verdict.warnings)})


def _outcome(verdict: PromotionVerdict, contender: Contender) -> str:
    """Says in a few words what became of a contender."""
    if verdict.winner == contender:
        return "promoted"
    return "refused" if verdict.winner is None else f"the {verdict.winner} won"


def _tag_versions(client: MlflowClient, name: str, contenders: Versions, verdict: PromotionVerdict) -> None:
    """Tags the versions of the day with what became of them."""
    for contender, version in contenders.items():
        client.set_model_version_tag(name, version.version, "gate", _outcome(verdict, contender))
    warnings = "; ".join(verdict.warnings)
    client.set_model_version_tag(name, contenders["candidate"].version, "warnings", warnings)


def _promote(client: MlflowClient, name: str, winner: ModelVersion, champion: ModelVersion | None) -> None:
    """Moves the aliases; `previous` goes to the champion of before the day, never to a model of the day itself."""
    if champion is not None:
        client.set_registered_model_alias(name, PREVIOUS, champion.version)
    client.set_registered_model_alias(name, CHAMPION, winner.version)


def _commit(config: PlatformConfig, verdict: PromotionVerdict, rows: JudgedRows) -> None:
    """Commits the verdict with the day's rows, which later days pool with theirs."""
    columns = {"user_id": pa.array(rows.users, pa.string()), "label": rows.labels} | rows.probabilities
    table = f"verdicts_{verdict.vertical}"
    storage.write_partition(config, table, verdict.day, pa.table(columns), extra=verdict.to_json())


def _earlier_verdict(config: PlatformConfig, vertical: str, day: date, contenders: Versions) -> PromotionVerdict | None:
    """Reads the verdict that an earlier run of the day gave on the same contenders, if there is one."""
    if not storage.has_partition(config, f"verdicts_{vertical}", day):
        return None
    verdict = PromotionVerdict.from_json(storage.read_manifest(config, f"verdicts_{vertical}", day)["extra"])
    same = all(verdict.versions.get(name) == str(version.version) for name, version in contenders.items())
    return verdict if same else None
