from collections import Counter
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pytest

import storage
from config import PlatformConfig
from quality.promotion_verdict import PromotionVerdict
from reports.day_facts import collect, reliability, remarks
from tests.reported_day import verdict, write_day, write_evaluations

DAY = date(2026, 1, 2)


def test_a_day_in_figures(tiny_config: PlatformConfig) -> None:
    write_day(tiny_config, DAY, verticals=["feed"], quarantined=2)
    facts = collect(tiny_config, DAY)
    assert facts.impressions == 240  # 120 a log day, the bootstrap day has two
    assert sum(v.impressions for v in facts.verticals) == facts.impressions
    assert sum(v.clicks for v in facts.verticals) == facts.clicks
    assert (facts.raw_rows, facts.quarantined) == (242, {"null_user_id": 2})
    assert facts.freshness.soft_label_share == 0.75
    assert facts.freshness.history_share == pytest.approx((facts.users - 1) / facts.users)
    assert facts.foundation is not None and facts.foundation.version == f"fm-of-{DAY}"
    assert facts.foundation_parameters == 12
    feed = facts.verticals[0]
    assert feed.with_history == 0.5
    assert feed.model is not None
    assert (feed.model.parameters, feed.model.embedding_parameters) == (13, 10)  # running_mean is none
    assert [(g.passed, g.critical, g.warnings) for g in facts.gates] == [
        (1, [], ["events <checked>"]),
        (1, [], ["features <checked>"]),
    ]


def test_how_old_the_knowledge_of_the_fm_was_is_told(tiny_config: PlatformConfig) -> None:
    write_day(tiny_config, DAY, verticals=[])
    fresh = collect(tiny_config, DAY).freshness
    times = storage.read_partition(tiny_config, "examples", DAY, columns=["event_timestamp"])["event_timestamp"]
    until = times[len(times) // 4].as_py()  # of the first row that has a soft label
    assert (fresh.learnt_until, fresh.scored_at) == (f"{until:%Y-%m-%d %H:%M:%S}", "2026-01-02 06:30:00")
    assert fresh.age_h == pytest.approx((0, 17.9, 35.8))  # a log day has 120 impressions: 180 are scored


def test_outputs_of_before_the_cut_was_recorded_are_reported_without_it(tiny_config: PlatformConfig) -> None:
    write_day(tiny_config, DAY, verticals=[])
    older = storage.read_partition(tiny_config, "fm_outputs", DAY).drop_columns("fm_learnt_until")
    storage.write_partition(tiny_config, "fm_outputs", DAY, older, extra={"fm_version": "older"})
    fresh = collect(tiny_config, DAY).freshness
    assert (fresh.learnt_until, fresh.age_h, fresh.scored_at) == (None, None, None)
    assert (fresh.soft_label_version, fresh.soft_label_share) == ("older", 0.75)


def test_the_summary_holds_verdicts_as_they_were_given_and_null_for_what_is_no_number(
    tiny_config: PlatformConfig,
) -> None:
    write_day(tiny_config, DAY, verticals=["feed"])
    entries = {entry["vertical"]: entry for entry in collect(tiny_config, DAY).summary()["verticals"]}
    assert list(entries) == tiny_config.verticals
    assert entries["feed"] == verdict(DAY, "feed").to_json()
    assert entries["feed"]["metrics"]["candidate"]["gauc"] is None
    missing = f"no verdict: distill_vertical has no output (evaluations_search/ds={DAY})"
    assert entries["search"] == PromotionVerdict.none(DAY, "search", missing).to_json()
    assert entries["search"]["reasons"] == [missing] and not entries["search"]["promoted"]


def test_a_verdict_on_replaced_evaluations_does_not_count(tiny_config: PlatformConfig) -> None:
    write_day(tiny_config, DAY, verticals=["feed"])
    rows = storage.read_partition(tiny_config, "fm_evaluations", DAY)
    write_evaluations(tiny_config, DAY, "feed", rows, candidate=0.4)
    feed = collect(tiny_config, DAY).verticals[0]
    assert not feed.verdict.promoted
    assert "verdicts_feed was made from an earlier evaluations_feed" in feed.verdict.reasons[0]
    assert feed.past == {}


def test_the_verticals_of_a_report_go_back_to_what_they_share_once(
    tiny_config: PlatformConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_day(tiny_config, DAY, verticals=tiny_config.verticals)
    read, reads = storage.read_manifest, Counter[str]()

    def read_manifest(config: PlatformConfig, table: str, day: date) -> dict[str, Any]:
        reads[table] += 1
        return read(config, table, day)

    monkeypatch.setattr(storage, "read_manifest", read_manifest)
    assert all(list(vertical.past) == [DAY] for vertical in collect(tiny_config, DAY).verticals)
    assert reads["fm_evaluations"] == 2  # once more to be listed itself


def test_soft_labels_of_a_replaced_snapshot_are_told(tiny_config: PlatformConfig) -> None:
    following = date(2026, 1, 3)
    for day in (DAY, following):
        write_day(tiny_config, day, verticals=["feed"])
    facts = collect(tiny_config, following)
    assert facts.freshness.soft_label_origin == f"the snapshot that ended {DAY}, so it had seen none of the day"
    assert [f.day for f in facts.foundation_days] == [DAY, following]
    assert list(facts.verticals[0].past) == [DAY, following]
    extra = {"fm_version": "another", "metrics": {"ne": 0.7}}
    with storage.commit_partition(tiny_config, "fm_snapshots", DAY, extra=extra):
        pass
    origin = collect(tiny_config, following).freshness.soft_label_origin
    assert origin is not None and "since been replaced by another" in origin


def test_reliability_of_equally_filled_bins() -> None:
    curve = reliability(np.array([1, 0, 1, 0]), np.array([0.8, 0.1, 0.6, 0.3]), bins=2)
    np.testing.assert_allclose(curve.predicted, [0.2, 0.7])
    np.testing.assert_allclose(curve.actual, [0.0, 1.0])


def test_a_candidate_that_learnt_nothing_from_the_fm_is_remarked_on() -> None:
    found = " ".join(remarks(verdict(DAY, "feed"), 12))
    assert "no better than the baseline: what the FM passed on" in found
    assert "ECE 0.200" in found and "cancel out" in found
    assert "Only 12 held-out clicks" in found


@pytest.mark.parametrize(("clicks", "which"), [(0, "no clicks"), (60, "nothing but clicks")])
def test_undefined_figures_are_remarked_on_as_such(clicks: int, which: str) -> None:
    judged = verdict(DAY, "feed")
    nothing = {"ne": None, "auc": None, "calibration": None if not clicks else 1.0}
    figures = {model: {**(judged.metrics[model] or {}), **nothing} for model in ("baseline", "candidate")}
    found = " ".join(remarks(replace(judged, metrics=dict(judged.metrics) | figures), clicks))
    assert f"undefined ({which} among 60 held-out rows)" in found


def test_a_baseline_that_went_live_is_remarked_on() -> None:
    found = remarks(replace(verdict(DAY, "feed"), winner="baseline"), None)
    assert found[0].startswith("The baseline went live")
