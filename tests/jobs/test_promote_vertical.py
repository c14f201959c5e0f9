"""Verdicts on a small day: predictions are given, so no model is loaded."""

import logging
import shutil
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from mlflow import MlflowClient

import storage
from config import PlatformConfig
from jobs import promote_vertical
from quality.metrics import evaluate
from serving.registry import CHAMPION, PREVIOUS, version_at
from tests.reported_day import verdict as promotion_verdict
from tests.reported_day import write_day
from training.tracking import tracking_client

BEFORE, DAY = date(2026, 1, 2), date(2026, 1, 3)
NAME = storage.registered_model("feed")
ROWS = 600
LAYERS = {name: {"slope": 1.0, "intercept": 0.0, "days": [], "rows": 0, "clicks": 0} for name in ("candidate", "fm")}


class Champion:
    """What load_version gives: knows `share` of what is to be known."""

    def __init__(self, share: float) -> None:
        self.share = share

    def predict(self, rows: pa.Table) -> np.ndarray:
        return predictions(self.share)


def predictions(share: float) -> np.ndarray:
    """Probabilities of a model that knows a share of the truth, (ROWS,)."""
    return (1 / (1 + np.exp(-share * truth()))).astype(np.float32)


def truth() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 2, ROWS)


def evaluations(shares: dict[str, float]) -> pa.Table:
    """Held-out rows of 100 users, with a probability a model; labels as the truth has them."""
    labels = np.random.default_rng(1).random(ROWS) < 1 / (1 + np.exp(-truth()))
    columns = {name: predictions(share) for name, share in shares.items()}
    columns |= {f"{name}_raw": columns[name] for name in ("baseline", "candidate", "fm") if name in columns}
    users = [f"u{n % 100}" for n in range(ROWS)]
    return pa.table({"user_id": users, "label": labels.astype(np.int32)} | columns)


@pytest.fixture
def platform(tiny_config: PlatformConfig) -> PlatformConfig:
    """Two days in storage, without verdicts; candidates are versions 1 and 3, baselines 2 and 4, champion is 1."""
    client = tracking_client(tiny_config)
    client.create_registered_model(NAME)
    for day in (BEFORE, DAY):
        write_day(tiny_config, day, verticals=["feed"])
        for transfer in ("fm", "none"):
            tags = {"day": str(day), "weights": f"weights-{day}", "transfer": transfer, "vertical": "feed"}
            tags["champion_before"] = "1" if day == DAY else ""
            client.create_model_version(NAME, source=str(storage.mlflow_dir(tiny_config)), tags=tags)
        storage.partition_dir(tiny_config, "verdicts_feed", day).rename(tiny_config.storage.root + f"/{day}")
    client.set_registered_model_alias(NAME, CHAMPION, "1")
    return tiny_config


def serve(config: PlatformConfig, day: date, *, champion_before: str) -> None:
    """Makes the champion a version 5 of a day, with version 1 the one before: promoted by another run."""
    client = tracking_client(config)
    tags = {"day": str(day), "weights": "others", "transfer": "fm", "champion_before": champion_before}
    client.create_model_version(NAME, source=str(storage.mlflow_dir(config)), tags=tags)
    client.set_registered_model_alias(NAME, CHAMPION, "5")
    client.set_registered_model_alias(NAME, PREVIOUS, "1")


def aliases(config: PlatformConfig) -> tuple[str, str]:
    """The versions that champion and previous name."""
    client = tracking_client(config)
    champion, previous = (version_at(client, NAME, alias) for alias in (CHAMPION, PREVIOUS))
    assert champion is not None and previous is not None
    return str(champion.version), str(previous.version)


def by_version(config: PlatformConfig, version: Any) -> Champion:
    """A load_version: version 5 has learnt the held-out rows, so that nothing compares with it."""
    return Champion({"1": 0.4, "5": 1.0}[str(version.version)])


def promote(
    config: PlatformConfig, monkeypatch: pytest.MonkeyPatch, *, champion: float = 0.4, load: Any = None, **shares: float
) -> dict[str, Any]:
    """Judges a candidate on predictions that know so much of the truth."""
    rows = evaluations({"baseline": 0.3, "candidate": 0.5, "fm": 0.9, "soft_label": 0.7} | shares)
    storage.write_partition(config, "evaluations_feed", DAY, rows, extra={"calibration": LAYERS})
    monkeypatch.setattr(promote_vertical, "load_version", load or (lambda config, version: Champion(champion)))
    return promote_vertical.main(config, day=DAY, vertical="feed")


def gate_run(config: PlatformConfig) -> Any:
    client: MlflowClient = tracking_client(config)
    experiment = client.get_experiment_by_name("vertical_feed")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    return run


def test_ratios_and_their_intervals_are_in_the_verdict_and_in_mlflow(
    platform: PlatformConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdict = promote(platform, monkeypatch)
    labels = evaluations({})["label"].to_numpy()
    shares = {"baseline": 0.3, "champion": 0.4, "candidate": 0.5, "before": 0.7, "fm": 0.9}
    ne = {model: evaluate(labels, predictions(share)).ne for model, share in shares.items()}
    headroom = (ne["baseline"] - ne["candidate"]) / (ne["baseline"] - ne["fm"])
    transfer = (ne["champion"] - ne["candidate"]) / (ne["before"] - ne["fm"])
    gain = ne["candidate"] - ne["baseline"]
    assert verdict["promoted"] and verdict["warnings"] == []
    assert (verdict["headroom_ratio"], verdict["transfer_ratio"]) == (pytest.approx(headroom), pytest.approx(transfer))
    figures = gate_run(platform).data.metrics
    for name, value in {
        "headroom_ratio": headroom,
        "transfer_ratio": transfer,
        "ne_candidate_minus_baseline": gain,
        "ne_candidate_minus_champion": ne["candidate"] - ne["champion"],
        "ne_fm_minus_baseline": ne["fm"] - ne["baseline"],
    }.items():
        assert figures[name] == pytest.approx(value)
        assert verdict["intervals"][name]["value"] == pytest.approx(value)
        if name != "transfer_ratio":  # the FM's own gain may be chance: no bounds
            assert figures[f"{name}_low"] < value < figures[f"{name}_high"]


def test_a_champion_whose_model_is_nowhere_any_more_is_not_compared_with(
    platform: PlatformConfig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.rmtree(storage.partition_dir(platform, "candidates_feed", BEFORE))
    load_version = promote_vertical.load_version
    with caplog.at_level(logging.WARNING, "headwater"):
        verdict = promote(platform, monkeypatch, load=load_version)
    assert verdict["winner"] == "candidate" and verdict["versions"]["champion"] is None
    assert (
        "the artifacts of vertical_feed version 1 are gone" in caplog.text
        and f"restore {storage.mlflow_dir(platform)}" in caplog.text
    )


def test_little_headroom_closed_warns_and_promotes_all_the_same(
    platform: PlatformConfig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "headwater"):
        verdict = promote(platform, monkeypatch, candidate=0.35, champion=0.3)
    assert verdict["promoted"]
    (warning,) = verdict["warnings"]
    assert warning.startswith("headroom ratio 0.")
    assert [r.getMessage() for r in caplog.records] == [f"feed: {warning} (docs/operations.md says what to do)"]
    run, client = gate_run(platform), tracking_client(platform)
    assert run.info.status == "FINISHED" and run.data.tags["warnings"] == warning
    assert client.get_model_version(NAME, "3").tags["warnings"] == warning
    assert str(version_at(client, NAME, CHAMPION).version) == "3"
    assert str(version_at(client, NAME, PREVIOUS).version) == "1"


def test_an_fm_no_better_than_the_baseline_is_warned_of_and_gives_no_ratio(
    platform: PlatformConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdict = promote(platform, monkeypatch, fm=0.2)
    assert verdict["promoted"] and verdict["headroom_ratio"] is None
    assert verdict["warnings"][0].startswith("FM no better than the baseline: ")
    assert verdict["intervals"]["headroom_ratio"] == {"value": None, "low": None, "high": None}
    assert "headroom_ratio" not in gate_run(platform).data.metrics


@pytest.mark.parametrize(
    ("champion_of", "shares", "why"),
    [
        (None, {}, "no champion before"),
        (date(2025, 12, 31), {}, "the champion is of 2025-12-31, not of the day before"),
        (BEFORE, {"soft_label": 0.95}, "the FM has not improved on these rows"),
    ],
)
def test_where_there_is_no_transfer_ratio_it_is_said_why(
    platform: PlatformConfig,
    monkeypatch: pytest.MonkeyPatch,
    champion_of: date | None,
    shares: dict[str, float],
    why: str,
) -> None:
    client = tracking_client(platform)
    client.set_model_version_tag(NAME, "1", "day", str(champion_of))
    if champion_of is None:
        client.delete_registered_model_alias(NAME, CHAMPION)
    verdict = promote(platform, monkeypatch, **shares)
    assert verdict["transfer_ratio"] is None and why in verdict["transfer_ratio_missing"]
    assert "transfer_ratio" not in verdict["intervals"]
    assert "transfer_ratio" not in gate_run(platform).data.metrics


def test_judging_again_after_the_promotion_repeats_the_verdict(
    platform: PlatformConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = promote(platform, monkeypatch)
    assert promote_vertical.main(platform, day=DAY, vertical="feed") == first


def test_a_baseline_that_is_better_goes_live(platform: PlatformConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    client = tracking_client(platform)
    verdict = promote(platform, monkeypatch, baseline=0.6)
    assert (verdict["winner"], verdict["promoted"]) == ("baseline", True)
    assert any(reason.startswith("candidate: NE ") and "the baseline's" in reason for reason in verdict["reasons"])
    assert str(version_at(client, NAME, CHAMPION).version) == "4"
    assert str(version_at(client, NAME, PREVIOUS).version) == "1"
    assert gate_run(platform).data.tags["winner"] == "baseline"
    outcomes = [client.get_model_version(NAME, version).tags["gate"] for version in ("3", "4")]
    assert outcomes == ["the baseline won", "promoted"]


def test_days_before_are_judged_too_where_the_day_has_few_clicks(
    platform: PlatformConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The day before, the candidate was far better; on the day it is a little worse."""
    earlier = evaluations({"baseline": 0.1, "candidate": 0.9, "champion": 0.3}).select(
        ["user_id", "label", "baseline", "candidate", "champion"]
    )
    extra = replace(promotion_verdict(BEFORE, "feed"), champion_transfer="fm").to_json()
    storage.write_partition(platform, "verdicts_feed", BEFORE, earlier, extra=extra)
    alone = promote(platform, monkeypatch, baseline=0.55)
    assert alone["winner"] == "baseline" and alone["judged_on"]["days"] == [str(DAY)]
    tracking_client(platform).set_registered_model_alias(NAME, CHAMPION, "1")
    more = platform.changed(gates={"min_eval_clicks": alone["judged_on"]["clicks"] + 1})
    together = promote(more, monkeypatch, baseline=0.55)
    assert together["winner"] == "candidate"
    assert together["judged_on"]["days"] == together["judged_on"]["champion_days"] == [str(BEFORE), str(DAY)]
    assert together["judged_on"]["rows"] == 2 * ROWS
    assert together["reasons"][0].startswith(f"judged on {2 * ROWS} held-out rows with ")
    assert together["reasons"][0].endswith(f"of the days {BEFORE} to {DAY}")
    assert "pooled_ne_candidate_minus_baseline_low" in gate_run(platform).data.metrics


def test_the_rows_of_the_day_are_kept_for_the_days_after(
    platform: PlatformConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(platform, monkeypatch, champion=0.4)
    kept = storage.read_partition(platform, "verdicts_feed", DAY)
    np.testing.assert_array_equal(kept["champion"].to_numpy(), predictions(0.4))
    np.testing.assert_array_equal(kept["baseline"].to_numpy(), predictions(0.3))
    assert kept["label"].to_pylist() == evaluations({})["label"].to_pylist()


def test_a_day_that_is_run_again_is_judged_against_the_champion_before_it(
    platform: PlatformConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(platform, DAY, champion_before="1")
    verdict = promote(platform, monkeypatch, load=by_version)
    assert (verdict["winner"], verdict["versions"]["champion"]) == ("candidate", "1")
    assert verdict["transfer_ratio"] is not None  # the champion is of the day before
    assert aliases(platform) == ("3", "1")  # not 5, whose run of the day was replaced
    kept = storage.read_partition(platform, "verdicts_feed", DAY)
    np.testing.assert_array_equal(kept["champion"].to_numpy(), predictions(0.4))


def test_a_champion_of_the_day_stays_where_nobody_wins_and_the_verdict_says_so(
    platform: PlatformConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(platform, DAY, champion_before="1")
    verdict = promote(platform, monkeypatch, load=by_version, candidate=0.2, baseline=0.1)
    assert verdict["winner"] is None and verdict["versions"]["champion"] == "1"
    assert verdict["reasons"][-1] == f"the alias champion stays on version 5, which is of {DAY}, too"
    assert aliases(platform) == ("5", "1")


def test_on_the_first_day_run_again_there_is_no_champion_to_compare_with(
    platform: PlatformConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(platform, DAY, champion_before="")
    verdict = promote(platform, monkeypatch, load=by_version)
    assert (verdict["winner"], verdict["versions"]["champion"]) == ("candidate", None)
    assert "champion" not in storage.read_partition(platform, "verdicts_feed", DAY).column_names


def test_a_champion_of_a_later_day_stays_and_what_it_predicts_is_not_kept(
    platform: PlatformConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(platform, date(2026, 1, 4), champion_before="3")
    verdict = promote(platform, monkeypatch, load=by_version)
    assert verdict["reasons"] == [f"the champion, version 5, is of 2026-01-04, after {DAY}"]
    assert aliases(platform) == ("5", "1")
    kept = storage.read_partition(platform, "verdicts_feed", DAY)
    np.testing.assert_array_equal(kept["champion"].to_numpy(), predictions(0.4))


def killed_in(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Lets a step of the job fail the first time."""
    done, calls = getattr(promote_vertical, step), []

    def fails_once(*arguments: Any) -> Any:
        calls.append(step)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return done(*arguments)

    monkeypatch.setattr(promote_vertical, step, fails_once)


@pytest.mark.parametrize("step", ["_track", "_tag_versions"])
def test_a_run_killed_after_the_promotion_is_logged_by_the_next(
    platform: PlatformConfig, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    killed_in(monkeypatch, step)
    with pytest.raises(KeyboardInterrupt):
        promote(platform, monkeypatch, candidate=0.35, champion=0.3)
    assert aliases(platform) == ("3", "1")
    verdict = promote_vertical.main(platform, day=DAY, vertical="feed")
    assert verdict["winner"] == "candidate" and verdict["versions"]["champion"] == "1"
    assert aliases(platform) == ("3", "1")
    run, client = gate_run(platform), tracking_client(platform)
    assert run.info.status == "FINISHED" and run.data.tags["winner"] == "candidate"
    assert run.data.metrics["headroom_ratio"] == pytest.approx(verdict["headroom_ratio"])
    tags = [client.get_model_version(NAME, version).tags for version in ("3", "4")]
    assert [of["gate"] for of in tags] == ["promoted", "the candidate won"]
    assert tags[0]["warnings"] == verdict["warnings"][0]


def test_a_run_killed_before_the_promotion_is_taken_up_although_the_champion_is_of_the_day(
    platform: PlatformConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(platform, DAY, champion_before="1")
    killed_in(monkeypatch, "_promote")
    with pytest.raises(KeyboardInterrupt):
        promote(platform, monkeypatch, load=by_version)
    assert aliases(platform) == ("5", "1")
    assert promote_vertical.main(platform, day=DAY, vertical="feed")["winner"] == "candidate"
    assert aliases(platform) == ("3", "1")


def test_a_day_that_had_no_candidate_may_have_one_when_it_is_run_again(
    platform: PlatformConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = evaluations({"baseline": 0.3}).slice(0, 0)
    storage.write_partition(platform, "evaluations_feed", DAY, rows, extra={storage.NO_CANDIDATE: "no impressions"})
    without = promote_vertical.main(platform, day=DAY, vertical="feed")
    assert without["reasons"] == ["no impressions: the champion stays, version 1"]
    assert promote(platform, monkeypatch)["winner"] == "candidate"
