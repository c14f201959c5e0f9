"""Three synthetic days through every job, and what its users find behind Feast's and MLflow's doors."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import torch
from feast import FeatureStore
from mlflow import MlflowClient

import storage
from config import PlatformConfig
from data.batches.vertical import VerticalFeatures
from data.batches.vertical_examples import vertical_examples
from data.schema import FEATURE_SERVICE
from data.sources import source_schema
from feature_repo.feature_views import snapshot_ttl
from feature_repo.store import open_store
from jobs import (
    check_quality,
    explain_transfer,
    extract_features,
    materialize_features,
    promote_vertical,
    track_transfer,
    train_foundation,
)
from models.vertical.batch import History
from serving.registry import CHALLENGER, CHAMPION, PREVIOUS, version_at
from storage.tables import TABLES, names
from tests.tiny_days import (
    DAYS,
    VERTICAL,
    assert_online_is_offline,
    promote_by_hand,
    run_day,
    score_in_a_process_of_its_own,
    tiny_platform,
)
from training.tracking import tracking_client
from training.vertical.logged_rows import logged_rows

pytestmark = pytest.mark.e2e

DATED = ["events", "examples", "user_activity", "item_activity", "fm_outputs", "fm_snapshots", "user_fm_history"]
DATED += ["item_fm_embedding", "vertical_examples"]


@dataclass(frozen=True)
class Platform:
    config: PlatformConfig
    results: dict[tuple[str, date], dict[str, Any]]

    @property
    def store(self) -> FeatureStore:
        return open_store(self.config)

    @property
    def client(self) -> MlflowClient:
        return tracking_client(self.config)


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("pipeline")
    config = tiny_platform(folder).changed(calibration={"vertical_models": True})
    results: dict[tuple[str, date], dict[str, Any]] = {}
    for day in DAYS:
        # A setting that changes on the way: what is held out of a day must stay what it was.
        results |= run_day(config.changed(foundation_model={"eval_fraction": 0.5 if day == DAYS[1] else 0.2}), day)
        if day == DAYS[0]:
            promote_by_hand(config, results["distill", day]["version"])
    yield Platform(config, results)


def test_what_a_job_read_is_what_the_catalogue_says(platform: Platform):
    config, known = platform.config, {}
    for table in TABLES:
        for name in names(table, config.verticals):
            known[name] = table
    read: dict[str, set[str]] = {table.name: set() for table in TABLES}
    for day in DAYS:
        for name in storage.tables_of(config, day):
            inputs = storage.read_manifest(config, name, day)["inputs"]
            read[known[name].name] |= {known[source.partition("/")[0]].name for source in inputs}
    read.pop("explanations")  # no part of a day
    assert read == {table.name: set(table.reads) for table in TABLES if table.name != "explanations"}


RUNS_AGAIN = {
    "check_quality": lambda config, day: check_quality.main(config, day=day, stage="features"),
    "extract_features": lambda config, day: extract_features.main(config, day=day),
    "train_foundation": lambda config, day: train_foundation.main(config, day=day),
    "materialize_features": lambda config, day: materialize_features.main(config, day=day),
    "track_transfer": lambda config, day: track_transfer.main(config, day=day, verticals=VERTICAL),
}


@pytest.mark.parametrize("job", RUNS_AGAIN)
def test_a_job_that_is_given_its_recorded_inputs_alone_writes_the_same(platform: Platform, job: str, tmp_path: Path):
    day, written = DAYS[2], [t.name + f"_{VERTICAL}" * t.per_vertical for t in TABLES if t.writer == job]
    written = [name for name in written if name != "gate_results_events"]
    config = platform.config.changed(storage={"root": str(tmp_path / "state"), "feature_repo": str(tmp_path / "repo")})
    own = {f"{name}/ds={day}" for name in written}
    for name in written:
        for source in storage.read_manifest(platform.config, name, day)["inputs"].keys() - own:
            table, _, of_day = source.partition("/ds=")
            target = storage.partition_dir(config, table, date.fromisoformat(of_day))
            if not target.exists():
                shutil.copytree(storage.partition_dir(platform.config, table, date.fromisoformat(of_day)), target)
    RUNS_AGAIN[job](config, day)
    for name in written:
        then, now = (storage.read_manifest(of, name, day) for of in (platform.config, config))
        assert now["content_hash"] == then["content_hash"], name
        assert now["inputs"] == then["inputs"], name


def test_both_contenders_are_registered_and_few_clicks_let_no_candidate_be_the_first(platform: Platform):
    first, name = platform.results["promote", DAYS[0]], storage.registered_model(VERTICAL)
    assert first["winner"] != "candidate" and "fewer than gates.min_eval_clicks" in first["reasons"][0]
    assert any(reason.startswith("candidate: too few clicks to tell the kinds apart") for reason in first["reasons"])
    kinds = [
        [platform.client.get_model_version(name, str(number)).tags["transfer"] for number in (2 * n + 1, 2 * n + 2)]
        for n in range(len(DAYS))
    ]
    assert kinds == [["none", "fm"]] * len(DAYS)
    assert str(version_at(platform.client, name, CHALLENGER).version) == "6"
    last = platform.results["promote", DAYS[2]]
    assert last["judged_on"]["days"] == [str(day) for day in DAYS]
    assert last["judged_on"]["champion_days"] == [str(day) for day in DAYS[1:]]  # on the first there was none


def test_a_baseline_is_served_like_any_other_model(platform: Platform):
    platform.client.set_registered_model_alias(storage.registered_model(VERTICAL), "plain", "5")
    rows = storage.read_partition(platform.config, f"evaluations_{VERTICAL}", DAYS[-1], columns=["user_id", "item_id"])
    answer = score_in_a_process_of_its_own(platform.config, rows.slice(0, 20).to_pandas(), "plain")
    assert answer["loaded"] == [] and all(0 < p < 1 for p in answer["probability"])


def test_soft_labels_come_from_a_snapshot_that_had_not_seen_the_day(platform: Platform):
    for before, day in pairwise(DAYS):
        outputs = storage.read_partition(platform.config, "fm_outputs", day)
        snapshot = storage.read_manifest(platform.config, "fm_snapshots", before)["extra"]["fm_version"]
        assert set(outputs["fm_version"].to_pylist()) == {snapshot}
    first = storage.read_partition(platform.config, "fm_outputs", DAYS[0])
    scored = pc.is_valid(first["soft_label"])
    times = first["event_timestamp"]
    assert 0.4 < pc.mean(scored.cast("int8")).as_py() < 0.6
    assert pc.max(times.filter(pc.invert(scored))).as_py() < pc.min(times.filter(scored)).as_py()


def test_every_history_slot_is_older_than_its_impression_and_equals_the_log(platform: Platform):
    config = platform.config
    rows = vertical_examples(config, VERTICAL, DAYS).to_pandas()
    log = storage.dataset(config, "fm_outputs", DAYS).to_table().to_pandas()
    log = log[log.soft_label.notna()].sort_values(["event_timestamp", "impression_id"])
    by_user = dict(list(log.groupby("user_id")))
    checked = 0
    for row in rows.sample(300, random_state=0).itertuples():
        snapshot = row.event_timestamp.floor("D")  # the newest day end at or before the impression
        past = by_user.get(row.user_id, log.iloc[:0])
        past = past[past.event_timestamp < snapshot].tail(config.transfer.history_length)
        found = [] if row.fm_history_item_ids is None else list(row.fm_history_item_ids)
        assert found == list(past.item_id)
        if found:
            ages = (snapshot - past.event_timestamp) / pd.Timedelta(hours=1)
            assert np.allclose(row.fm_history_ages_h, ages, atol=1e-3) and min(row.fm_history_ages_h) > 0
            checked += 1
    assert checked > 50


def test_offline_and_online_give_the_same_values_for_the_same_instant(platform: Platform):
    assert_online_is_offline(platform.config)


def test_running_a_day_again_changes_nothing(platform: Platform):
    config, day = platform.config, DAYS[-1]
    name = storage.registered_model(VERTICAL)
    before = {t: storage.read_manifest(config, t, day)["content_hash"] for t in DATED}
    versions = len(platform.client.search_model_versions(f"name = '{name}'"))
    again = run_day(config, day)
    assert {t: storage.read_manifest(config, t, day)["content_hash"] for t in DATED} == before
    assert len(platform.client.search_model_versions(f"name = '{name}'")) == versions
    for job in ("train_foundation", "distill", "promote"):
        assert again[job, day] == platform.results[job, day]
    assert len(platform.client.search_runs(_experiments(platform.client), "tags.job = 'distill_vertical'")) == len(DAYS)


def _experiments(client: MlflowClient) -> list[str]:
    return [e.experiment_id for e in client.search_experiments()]


def test_candidates_descend_from_the_champion_and_learn_what_it_had_not_seen(platform: Platform):
    name = storage.registered_model(VERTICAL)
    third = platform.client.get_model_version(name, "6")
    assert (third.tags["day"], third.tags["parent"]) == (str(DAYS[2]), "4")
    distilled = platform.results["distill", DAYS[2]]
    rows = storage.dataset(platform.config, "fm_outputs", DAYS).to_table(filter=pc.field("vertical") == VERTICAL)
    from data.split import learnt_until  # the split of each day

    since, until = (learnt_until(platform.config, "fm_snapshots", day) for day in DAYS[1:])
    times = rows["event_timestamp"]
    expected = pc.sum(pc.and_(pc.greater_equal(times, since), pc.less(times, until))).as_py()
    assert distilled["learnt_rows"] == expected
    assert str(version_at(platform.client, name, CHAMPION).version) == "6"
    assert str(version_at(platform.client, name, PREVIOUS).version) == "4"


def test_the_registered_model_scores_ids_from_feast_without_the_foundation_model(platform: Platform):
    rows = storage.read_partition(platform.config, f"evaluations_{VERTICAL}", DAYS[-1], columns=["user_id", "item_id"])
    pairs = rows.slice(0, 20).to_pandas()
    stranger = pd.DataFrame({"user_id": ["nobody"], "item_id": ["nothing"]})
    answer = score_in_a_process_of_its_own(platform.config, pd.concat([pairs, stranger]))
    assert answer["loaded"] == []
    assert len(answer["probability"]) == 21 and all(0 < p < 1 for p in answer["probability"])
    assert len(set(answer["probability"])) > 10


def test_no_pickle_lies_in_the_registry_or_the_lake(platform: Platform):
    files = [p for p in storage.source_root(platform.config).rglob("*") if p.is_file()]
    assert len(files) > 50
    assert not [p for p in files if p.suffix in {".pkl", ".pickle", ".pt", ".pth", ".joblib"}]


def test_an_alias_moved_by_hand_is_served_and_respected(platform: Platform):
    config, client, name = platform.config, platform.client, storage.registered_model(VERTICAL)
    pairs = pd.DataFrame({"user_id": ["nobody"], "item_id": ["nothing"]})
    client.set_registered_model_alias(name, CHAMPION, "2")
    try:
        served = score_in_a_process_of_its_own(config, pairs)
        assert served["probability"] != score_in_a_process_of_its_own(config, pairs, PREVIOUS)["probability"]
        # The day that promoted version 6 does not undo what was done by hand afterwards.
        promote_vertical.main(config, day=DAYS[2], vertical=VERTICAL)
        assert str(version_at(client, name, CHAMPION).version) == "2"
        # The next day's candidate starts from the champion, learns from its day on, and is compared with it.
        following = DAYS[2] + timedelta(days=1)
        results = run_day(config, following)
        assert client.get_model_version(name, str(results["distill", following]["version"])).tags["parent"] == "2"
        assert results["distill", following]["learnt_rows"] > platform.results["distill", DAYS[2]]["learnt_rows"]
        assert results["promote", following]["versions"]["champion"] == "2"
    finally:
        client.set_registered_model_alias(name, CHAMPION, "6")


def test_the_feast_command_line_lists_the_views(platform: Platform):
    command = [os.path.join(os.path.dirname(sys.executable), "feast")]
    command += ["-c", str(storage.feature_repo_dir(platform.config)), "feature-views", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for view in ("user_activity", "item_activity", "user_fm_history", "item_fm_embedding"):
        assert view in listed


def test_a_changed_table_is_not_promoted(platform: Platform):
    config, day = platform.config, DAYS[-1]
    name = storage.registered_model(VERTICAL)
    platform.client.delete_registered_model_alias(name, CHAMPION)
    examples = storage.read_partition(config, "examples", day)
    try:
        storage.write_partition(config, "examples", day, examples.slice(1))
        verdict = promote_vertical.main(config, day=day, vertical=VERTICAL)
        assert not verdict["promoted"] and "examples" in " ".join(verdict["reasons"])
        assert version_at(platform.client, name, CHAMPION) is None
    finally:
        platform.client.set_registered_model_alias(name, CHAMPION, "6")


def test_histories_rebuilt_from_the_log_are_those_that_feast_served(platform: Platform):
    config, schema = platform.config, source_schema(platform.config)
    features = VerticalFeatures.of(schema, config)
    served = features.batch(vertical_examples(config, VERTICAL, DAYS)).history
    rebuilt = logged_rows(config, schema, VERTICAL, DAYS).served().batch().history
    count = served.mask.sum(dim=1)
    assert torch.equal(count, rebuilt.mask.sum(dim=1)) and int(count.max()) == config.transfer.history_length
    apart = (served.item_code - rebuilt.item_code).abs()  # means are summed in another order, then rounded
    assert float(apart.max()) < 1.01 / 127 and float((apart > 0).float().mean()) < 1e-4

    def steps(history: History) -> torch.Tensor:  # known slots, row by row, oldest first
        values = [history.codes, history.ids[..., :1], history.labels[..., None], history.ages[..., None]]
        return torch.cat([value.double() for value in values], dim=-1)[history.mask]

    ours, theirs = steps(rebuilt), steps(served)
    assert torch.allclose(ours, theirs, atol=1e-3)
    assert torch.equal(ours[:, : config.served_code_dim], theirs[:, : config.served_code_dim])


def test_parts_of_the_gain_are_tracked_and_reported(platform: Platform):
    config, tracked = platform.config, platform.results["track", DAYS[2]]["gain"][VERTICAL]
    untracked = platform.results["track", DAYS[0]]["untracked"]
    assert untracked == {VERTICAL: "no earlier day is in reach to learn from"}
    extra = storage.read_manifest(config, f"gain_parts_{VERTICAL}", DAYS[2])["extra"]
    assert sum(tracked.values()) == pytest.approx(extra["ne"]["none"] - extra["ne"]["shipped"], abs=1e-9)
    assert list(tracked) == ["temporal", "cross-feature", "residual", "item ids", "distillation"]
    runs = platform.client.search_runs(
        _experiments(platform.client), f"tags.job = 'track_transfer' and tags.day = '{DAYS[2]}'"
    )
    assert [run.data.metrics["gain_temporal"] for run in runs] == [pytest.approx(tracked["temporal"])]
    page = (storage.report_dir(config, DAYS[2]) / "index.html").read_text()
    assert f"Parts of what {VERTICAL} gains from the FM by platform day" in page


def test_a_gain_is_explained_by_parts_that_sum_to_it(platform: Platform):
    config = platform.config
    day = storage.committed_days(config, "vertical_examples")[-1]  # what is explained where no day is named
    found = explain_transfer.main(config, vertical=VERTICAL, seeds=1)
    assert found["day"] == str(day) and found["not_measured"] == []
    assert "skipped" not in found  # by which a job tells Airflow that it had nothing to do
    gain = found["ne"]["none"] - found["ne"]["shipped"]
    assert sum(part["value"] for part in found["gain"].values()) == pytest.approx(gain, abs=1e-9)
    assert set(found["open"]) >= {"staleness", "rounding", "alignment", "compression"} and found["advice"]
    folder = storage.partition_folder(config, f"explanations_{VERTICAL}", day)
    told = json.loads((folder / "explanation.json").read_text())
    assert told["ne"]["fm"] == pytest.approx(found["ne"]["fm"])
    assert told["rows"] == storage.dataset(config, "vertical_examples", [day]).count_rows(
        filter=pc.field("vertical") == VERTICAL
    )
    picture = (folder / "waterfall.svg").read_text()
    assert picture.startswith("<?xml") and picture.count("<path") > 10
    runs = platform.client.search_runs(_experiments(platform.client), "tags.job = 'explain_transfer'")
    assert [run.data.metrics["ne_shipped"] for run in runs] == [pytest.approx(found["ne"]["shipped"])]
    assert {file.path for file in platform.client.list_artifacts(runs[0].info.run_id)} >= {
        "explanation.json",
        "waterfall.svg",
    }


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"vertical": "nope"}, "Unknown vertical 'nope'; platform.yaml has feed, search, video"),
        ({"vertical": VERTICAL, "day": str(DAYS[0])}, "is the bootstrap day"),
        ({"vertical": VERTICAL, "seeds": 0}, "seeds is 0"),
        ({"vertical": VERTICAL, "day": str(DAYS[-1] + timedelta(days=9))}, "has no committed partition"),
    ],
)
def test_what_cannot_be_explained_is_said(platform: Platform, asked: dict[str, Any], told: str):
    before = storage.committed_days(platform.config, f"explanations_{VERTICAL}")
    with pytest.raises((ValueError, storage.PartitionMissing), match=told):
        explain_transfer.main(platform.config, **asked)
    assert storage.committed_days(platform.config, f"explanations_{VERTICAL}") == before


def test_a_snapshot_beyond_its_time_to_live_is_an_empty_history(platform: Platform):
    config, store = platform.config, platform.store
    newest = storage.committed_days(config, "user_fm_history")[-1]
    rows = storage.read_partition(config, "user_fm_history", newest, columns=["user_id", "event_timestamp"])
    user, at = rows["user_id"][0].as_py(), rows["event_timestamp"][0].as_py()
    ttl = snapshot_ttl(config)
    asked = pd.DataFrame(
        {"user_id": user, "item_id": "nothing", "event_timestamp": [at + ttl, at + ttl + timedelta(seconds=1)]}
    )
    service = store.get_feature_service(FEATURE_SERVICE)
    joined = store.get_historical_features(asked, service, filter_by_created_timestamp=False).to_df()
    joined = joined.sort_values("event_timestamp")
    known, stale = joined.fm_history_item_ids
    assert len(known) > 0 and stale is None
    features = VerticalFeatures.of(source_schema(config), config)
    history = features.batch(pa.Table.from_pandas(joined, preserve_index=False)).history
    assert history.mask.any(dim=1).tolist() == [True, False]
