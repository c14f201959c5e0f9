"""The facts of a day that its report shows, gathered from storage."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

import storage
from config import PlatformConfig
from data.late_files import in_words, late_files
from data.sources import chosen_source
from quality.day_quality import STAGES, quality_passed, results_table
from quality.freshness import ages_h
from quality.promotion_verdict import PromotionVerdict
from reports.lineage import Lineage, Partition, missing, partitions
from reports.model_facts import ModelFacts, candidate, foundation_parameters
from reports.verdicts import platform_days, verdict, verdicts_until

CALIBRATION_BINS = 10
FEW_CLICKS = 200  # below this many held-out clicks a page warns that its figures are rough
HIGH_ECE = 0.05


@dataclass(frozen=True)
class Curve:
    """A reliability curve: one point a bin, bins equally filled."""

    predicted: npt.NDArray[np.float64]  # mean prediction, (bins,)
    actual: npt.NDArray[np.float64]  # click rate, (bins,)


@dataclass(frozen=True)
class FoundationDay:
    """The foundation model on one day; None where not recorded."""

    day: date
    version: str
    held_out: dict[str, float]  # metrics of the fresh FM on the day's held-out rows
    scored_unseen: dict[str, float] | None  # metrics of the soft labels, made before the FM learnt the rows


@dataclass(frozen=True)
class Gate:
    """The checks of one stage."""

    stage: str
    checked: bool
    passed: int
    critical: list[str]
    warnings: list[str]


@dataclass(frozen=True)
class VerticalDay:
    """One vertical on the day."""

    name: str
    impressions: int
    clicks: int
    verdict: PromotionVerdict
    past: dict[date, PromotionVerdict]  # verdicts by day, the day's among them
    gain_parts: dict[date, dict[str, Any]]  # as track_transfer committed them, by day
    calibration: dict[str, Curve]  # of candidate and fm
    held_out_clicks: int | None
    with_history: float | None  # share of held-out impressions whose user had an FM history then
    model: ModelFacts | None  # the candidate
    remarks: list[str]

    @property
    def click_rate(self) -> float | None:
        """Returns clicks over impressions, where there are any."""
        return self.clicks / self.impressions if self.impressions else None


@dataclass(frozen=True)
class Freshness:
    """How new what the day's vertical models read is; None where the table is missing."""

    soft_label_version: str | None
    soft_label_origin: str | None
    soft_label_share: float | None  # of the day's impressions
    learnt_until: str | None  # by the FM that gave the soft labels, UTC
    age_h: tuple[float, float, float] | None  # from then to an impression: least, median, most
    scored_at: str | None  # by the clock, UTC
    history_share: float | None  # of the day's users, in the snapshot at the day's end
    online_store_bytes: int | None


@dataclass(frozen=True)
class DayFacts:
    """Everything a day's report says."""

    source: str
    about: str
    day: date
    window: tuple[str, str]  # first and last instant of the day, UTC
    impressions: int
    clicks: int
    users: int
    anonymous: int  # impressions without a user
    items: int
    raw_rows: int | None
    quarantined: dict[str, int]
    quality: tuple[bool, list[str]]
    gates: list[Gate]
    foundation: FoundationDay | None
    foundation_days: list[FoundationDay]
    foundation_architecture: str
    foundation_parameters: int | None
    verticals: list[VerticalDay]
    freshness: Freshness
    partitions: list[Partition]
    missing: dict[str, list[str]]
    late_files: str  # of the log: which came, changed or went since the day was landed; empty where none did
    code_versions: list[str]
    status: dict[str, Any]  # as storage.report_status has it

    def summary(self) -> dict[str, Any]:
        """Returns what programs read about the day: status and every vertical's verdict; what is not finite is null."""
        verdicts = [storage.finite(vertical.verdict.to_json()) for vertical in self.verticals]
        return {"day": str(self.day)} | self.status | {"verticals": verdicts}


def collect(config: PlatformConfig, day: date, verticals: list[str] | None = None) -> DayFacts:
    """Gathers a day's facts; what is missing is None or absent, and listed in `missing`.

    Args:
        config: the platform.
        day: the day.
        verticals: those that were run, which its status is about; None: all.

    Raises:
        PartitionMissing: the day has no `examples`: there is nothing to report on.
    """
    columns = ["user_id", "item_id", "vertical", "label"]
    examples = storage.read_partition(config, "examples", day, columns=columns)
    ingested = _extra(config, "events", day)
    lineage = Lineage(config)
    committed = partitions(lineage, day)
    past = [f for d in platform_days(config, day) if (f := _foundation(config, d)) is not None]
    start, end = storage.day_window(config, day)
    return DayFacts(
        source=config.data_source,
        about=chosen_source(config).about,
        day=day,
        window=(f"{start:%Y-%m-%d %H:%M}", f"{end:%Y-%m-%d %H:%M}"),
        impressions=examples.num_rows,
        clicks=pc.sum(examples["label"]).as_py() or 0,
        users=pc.count_distinct(examples["user_id"]).as_py(),
        anonymous=examples["user_id"].null_count,
        items=pc.count_distinct(examples["item_id"]).as_py(),
        raw_rows=ingested.get("raw_rows"),
        quarantined=ingested.get("quarantined", {}),
        quality=quality_passed(config, day),
        gates=[_gate(config, stage, day) for stage in STAGES],
        foundation=past[-1] if past and past[-1].day == day else None,
        foundation_days=past,
        foundation_architecture=config.foundation_model.architecture,
        foundation_parameters=foundation_parameters(config, day),
        verticals=[_vertical(lineage, name, day, examples) for name in config.verticals],
        freshness=_freshness(config, day, examples),
        partitions=committed,
        missing=missing(config, day, verticals),
        late_files=in_words(late_files(config, [day]).get(day, [])),
        code_versions=list(dict.fromkeys(partition.code_version for partition in committed)),
        status=storage.report_status(config, day, config.verticals if verticals is None else verticals),
    )


def reliability(labels: npt.NDArray, probabilities: npt.NDArray, *, bins: int = CALIBRATION_BINS) -> Curve:
    """Computes mean prediction and click rate in equally filled bins of the prediction, lowest first.

    Args:
        labels: 0 or 1, (n,).
        probabilities: (n,).
        bins: how many; no more than rows.
    """
    order = np.argsort(probabilities, kind="stable")
    groups = np.array_split(order, min(bins, len(order))) if len(order) else []
    return Curve(
        predicted=np.array([probabilities[group].mean() for group in groups]),
        actual=np.array([labels[group].mean() for group in groups]),
    )


def _extra(config: PlatformConfig, table: str, day: date) -> dict[str, Any]:
    if not storage.has_partition(config, table, day):
        return {}
    return dict(storage.read_manifest(config, table, day)["extra"])


def _foundation(config: PlatformConfig, day: date) -> FoundationDay | None:
    extra = _extra(config, "fm_snapshots", day)
    if not extra:
        return None
    return FoundationDay(day, extra["fm_version"], extra["metrics"], extra.get("scored_unseen"))


def _gate(config: PlatformConfig, stage: str, day: date) -> Gate:
    table = results_table(stage)
    if not storage.has_partition(config, table, day):
        return Gate(stage, False, 0, [], [])
    rows = storage.read_partition(config, table, day).to_pylist()
    failed = [row for row in rows if not row["success"]]
    return Gate(
        stage=stage,
        checked=True,
        passed=len(rows) - len(failed),
        critical=[row["message"] for row in failed if row["severity"] == "critical"],
        warnings=[row["message"] for row in failed if row["severity"] == "warning"],
    )


def _vertical(lineage: Lineage, name: str, day: date, examples: pa.Table) -> VerticalDay:
    config = lineage.config
    rows = examples.filter(pc.equal(examples["vertical"], name))
    judged = verdict(lineage, name, day)
    past = verdicts_until(lineage, name, day)
    evaluations = None
    if judged.metrics:
        columns = ["user_id", "item_id", "label", "candidate", "fm", "fm_history_item_ids"]
        evaluations = storage.read_partition(config, f"evaluations_{name}", day, columns=columns)
    clicks = None if evaluations is None else int(pc.sum(evaluations["label"]).as_py() or 0)
    return VerticalDay(
        name=name,
        impressions=rows.num_rows,
        clicks=pc.sum(rows["label"]).as_py() or 0,
        verdict=judged,
        past=past,
        gain_parts={
            of_day: extra["parts"]
            for of_day in platform_days(config, day)
            if (extra := _extra(config, f"gain_parts_{name}", of_day))
        },
        calibration={} if evaluations is None else _calibration(evaluations),
        held_out_clicks=clicks,
        with_history=None if evaluations is None else _share_with_history(evaluations),
        model=candidate(config, name, day, evaluations),
        remarks=remarks(judged, clicks),
    )


def remarks(judged: PromotionVerdict, held_out_clicks: int | None) -> list[str]:
    """Says what a reader of a verdict's figures should not overlook.

    Args:
        judged: the verdict.
        held_out_clicks: clicks among the rows it was judged on.
    """
    if not judged.metrics:
        return []
    baseline, vm = ((judged.metrics.get(model) or {}) for model in ("baseline", "candidate"))
    texts = []
    if judged.winner == "baseline":
        texts.append("The baseline went live, which takes nothing from the FM: the candidate did not pass beside it.")
    before, after = baseline.get("ne"), vm.get("ne")
    if before is None or after is None:
        which = "no clicks" if not held_out_clicks else "nothing but clicks"
        texts.append(
            f"NE, AUC and what follows from them are undefined ({which} among {vm.get('rows', 0)} held-out rows)"
            + ("; so is calibration." if vm.get("calibration") is None else ".")
        )
    elif not after < before:
        texts.append("The candidate is no better than the baseline: what the FM passed on does not show on this day.")
    ece, calibration = vm.get("ece"), vm.get("calibration")
    if ece is not None and ece > HIGH_ECE:
        if calibration is not None and 0.9 <= calibration <= 1.1:
            texts.append(
                f"ECE {ece:.3f}: predictions are too high for some and too low for others, though they "
                "cancel out in the calibration ratio."
            )
        else:
            texts.append(f"ECE {ece:.3f}: the candidate's probabilities are far from the click rates.")
    if held_out_clicks is not None and held_out_clicks < FEW_CLICKS:
        texts.append(f"Only {held_out_clicks} held-out clicks: the figures are rough.")
    return texts


def _calibration(evaluations: pa.Table) -> dict[str, Curve]:
    labels = evaluations["label"].to_numpy()
    return {model: reliability(labels, evaluations[model].to_numpy()) for model in ("candidate", "fm")}


def _share_with_history(evaluations: pa.Table) -> float | None:
    lengths = pc.fill_null(pc.list_value_length(evaluations["fm_history_item_ids"]), 0)
    return pc.mean(pc.greater(lengths, 0).cast(pa.float64())).as_py()


def _freshness(config: PlatformConfig, day: date, examples: pa.Table) -> Freshness:
    version = origin = share = history = None
    scoring = _extra(config, "fm_outputs", day)
    if scoring:
        version = scoring["fm_version"]
        origin = _origin(config, day, version)
        labels = storage.read_partition(config, "fm_outputs", day, columns=["soft_label"])["soft_label"]
        share = (len(labels) - labels.null_count) / len(labels) if len(labels) else None
    if storage.has_partition(config, "user_fm_history", day):
        snapshots = storage.read_partition(config, "user_fm_history", day, columns=["user_id", "event_timestamp"])
        newest = snapshots.filter(pc.equal(snapshots["event_timestamp"], storage.day_ends(config, day)[-1]))
        users = pc.unique(examples["user_id"]).drop_null()
        has_history = pc.is_in(users, value_set=newest["user_id"].combine_chunks())
        history = pc.mean(has_history.cast(pa.float64())).as_py()
    return Freshness(
        soft_label_version=version,
        soft_label_origin=origin,
        soft_label_share=share,
        learnt_until=_instant(scoring.get("learnt_until")),
        age_h=_age_h(config, day) if "learnt_until" in scoring else None,
        scored_at=_instant(scoring.get("scored_at")),
        history_share=history,
        online_store_bytes=storage.online_store_bytes(config),
    )


def _instant(recorded: str | None) -> str | None:
    return None if recorded is None else f"{datetime.fromisoformat(recorded):%Y-%m-%d %H:%M:%S}"


def _age_h(config: PlatformConfig, day: date) -> tuple[float, float, float] | None:
    """Computes how old the FM's knowledge was at the impressions it scored: least, median and most hours."""
    columns = ["event_timestamp", "fm_learnt_until"]
    hours = ages_h(storage.read_partition(config, "fm_outputs", day, columns=columns))
    return (float(hours.min()), float(np.median(hours)), float(hours.max())) if len(hours) else None


def _origin(config: PlatformConfig, day: date, version: str) -> str:
    """Says where the FM that scored a day came from."""
    previous = storage.previous_day(config, day)
    if previous is None:
        return "the FM that had learnt the first half of this first day; the first half itself has none"
    now = _extra(config, "fm_snapshots", previous).get("fm_version")
    if now == version:
        return f"the snapshot that ended {previous}, so it had seen none of the day"
    return f"a snapshot that ended {previous} and has since been replaced by {now}: run {day} again"
