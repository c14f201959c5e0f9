"""The door of an ads server, asked over HTTP, with champions from an MLflow store of its own."""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import uvicorn

import storage
from config import PlatformConfig
from data.batches.vertical import VerticalFeatures
from data.sources import source_schema
from serving.app import FEATURES, MAX_CANDIDATES, create_app
from serving.champion import Champion
from serving.registry import CHAMPION, register
from serving.request_scorer import Asked
from serving.vertical_model import VerticalModel
from tests.online_store import filled_store
from tests.waiting import until
from training.tracking import tracked_run, tracking_client

NAME = storage.registered_model("feed")


def registered(config: PlatformConfig, folder: Path, seed: int) -> str:
    """Registers a model of random weights, saved in a new folder; returns its version."""
    folder /= "model"
    torch.manual_seed(seed)
    features = VerticalFeatures.of(source_schema(config), config)
    folder.mkdir(parents=True)
    VerticalModel.fresh(config.vertical_model, features, use_history=True).save(folder)
    tags = {"day": "2026-01-02", "vertical": "feed", "weights": str(seed), "transfer": "fm", "champion_before": ""}
    with tracked_run(config, experiment="vertical_feed", name="n", key={"seed": str(seed)}) as run:
        repo = storage.feature_repo_dir(config)
        return str(register(run.client, NAME, folder, run_id=run.run_id, feature_repo=repo, tags=tags).version)


def promote(config: PlatformConfig, version: str) -> None:
    tracking_client(config).set_registered_model_alias(NAME, CHAMPION, version)


@dataclass
class Door:
    """A running server."""

    champion: Champion
    url: str

    def ask(self, path: str, body: Any = None) -> tuple[int, Any, Message]:
        """Sends a request; returns status, answer and headers."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                text = answer.read().decode()
                return answer.status, text if path == "/metrics" else json.loads(text), answer.headers
        except urllib.error.HTTPError as error:
            return error.code, json.load(error), error.headers

    def metric(self, name: str) -> float:
        """Reads the value of a metric with its labels, as `/metrics` shows it."""
        (line,) = (line for line in self.ask("/metrics")[1].splitlines() if line.startswith(f"{name} "))
        return float(line.split()[-1])

    def score(self, user: Any, *candidates: Any) -> tuple[int, Any, Message]:
        return self.ask("/score", {"user_id": user, "candidates": candidates})


@pytest.fixture
def platform(tiny_config: PlatformConfig) -> PlatformConfig:
    filled_store(tiny_config)
    return tiny_config


@pytest.fixture
def door(platform: PlatformConfig, tmp_path: Path) -> Iterator[Door]:
    """The server of a vertical whose first version is champion; the alias is looked at all the time."""
    promote(platform, registered(platform, tmp_path / "first", seed=0))
    with Running(platform) as door:
        yield door


class Running:
    """Runs the app on a free port of 127.0.0.1 within a block."""

    def __init__(self, config: PlatformConfig) -> None:
        self.champion = Champion(config, "feed")
        app = create_app(self.champion, vertical="feed", poll_s=0.05)
        self.server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
        self.thread = threading.Thread(target=self.server.run)

    def __enter__(self) -> Door:
        self.thread.start()
        until(lambda: self.server.started or not self.thread.is_alive())
        port = self.server.servers[0].sockets[0].getsockname()[1]
        return Door(self.champion, f"http://127.0.0.1:{port}")

    def __exit__(self, *raised: object) -> None:
        self.server.should_exit = True
        self.thread.join()


def test_candidates_get_the_scores_of_the_model_in_their_order(door: Door) -> None:
    status, answer, headers = door.score(7, "3", 1, "new", None)
    assert (status, answer["version"], headers[FEATURES]) == (200, "1", "online")
    assert door.champion.loaded is not None
    (expected,) = door.champion.loaded.scorer.score([Asked("7", ["3", "1", "new", None])])
    np.testing.assert_allclose(answer["scores"], expected, rtol=1e-6)
    assert len(set(answer["scores"])) == 4
    assert door.score("7")[1]["scores"] == []
    assert door.ask("/health")[:2] == (200, {"vertical": "feed", "version": "1"})


def test_a_promotion_is_live_without_a_restart(door: Door, platform: PlatformConfig, tmp_path: Path) -> None:
    before = door.score("7", "1")[1]
    promote(platform, registered(platform, tmp_path / "second", seed=1))
    until(lambda: door.ask("/health")[1]["version"] == "2")
    after = door.score("7", "1")[1]
    assert after["version"] == "2" and after["scores"] != before["scores"]


def test_a_champion_that_cannot_be_read_leaves_the_one_before_in_place(
    door: Door, platform: PlatformConfig, caplog: pytest.LogCaptureFixture
) -> None:
    source = str(storage.mlflow_dir(platform))  # holds no model
    tags = {"day": "2026-01-03", "vertical": "feed", "weights": "none", "transfer": "fm"}
    promote(platform, str(tracking_client(platform).create_model_version(NAME, source=source, tags=tags).version))
    until(lambda: "the champion could not be read, version 1 serves on" in caplog.text)
    assert door.score("7", "1")[0] == 200


def test_while_the_online_store_fails_everybody_is_scored_as_unknown(door: Door, platform: PlatformConfig) -> None:
    expected = door.score("stranger", "new")[1]["scores"]
    known = door.score("7", "new")[1]["scores"]
    online = storage.feast_dir(platform) / "online.db"
    door.champion.store._get_provider().online_store._conn.close()  # as if the store went away
    online.rename(online.with_suffix(".gone"))
    online.mkdir()
    status, answer, headers = door.score("7", "new")
    assert (status, headers[FEATURES]) == (200, "unavailable")
    assert answer["scores"] == pytest.approx(expected) and answer["scores"] != pytest.approx(known)
    assert door.metric("headwater_fallbacks_total") == 1


@pytest.mark.parametrize("user", [2.0**53, True, [7]])
def test_an_id_that_cannot_be_read_is_refused(door: Door, user: Any) -> None:
    status, answer, _ = door.score(user, "1")
    assert status == 422 and "detail" in answer


def test_one_id_that_cannot_be_read_is_refused_alone(door: Door) -> None:
    users = ["7", 2.0**53, "8", "stranger"] * 5
    alone = {user: door.score(user, "1", "2", "new") for user in set(users)}
    with ThreadPoolExecutor(len(users)) as threads:
        together = list(threads.map(lambda user: door.score(user, "1", "2", "new"), users))
    for user, (status, answer, _) in zip(users, together, strict=True):
        assert status == alone[user][0] == (422 if user == 2.0**53 else 200)
        if status == 200:
            assert answer["scores"] == pytest.approx(alone[user][1]["scores"], abs=1e-6)
    assert "came as a float" in alone[2.0**53][1]["detail"]


def test_requests_that_wait_are_scored_together(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    assert door.champion.loaded is not None
    scorer, held, begun, sizes = door.champion.loaded.scorer, threading.Event(), threading.Event(), []
    score = scorer.score

    def slow(requests: Sequence[Asked], **options: bool) -> Any:
        sizes.append(len(requests))
        begun.set()
        assert held.wait(timeout=60)
        return score(requests, **options)

    monkeypatch.setattr(scorer, "score", slow)
    with ThreadPoolExecutor(9) as threads:
        first = threads.submit(door.score, "7", "1")
        assert begun.wait(timeout=60)
        others = [threads.submit(door.score, "8", *["2"] * count) for count in range(8)]
        until(lambda: door.metric("headwater_candidates_count") == 9)  # all of them have come
        held.set()
        assert [len(one.result()[1]["scores"]) for one in others] == list(range(8)) and first.result()[0] == 200
    assert sizes == [1, 8]


@pytest.mark.parametrize(("count", "status"), [(MAX_CANDIDATES, 200), (MAX_CANDIDATES + 1, 422)])
def test_a_request_has_a_bounded_number_of_candidates(door: Door, count: int, status: int) -> None:
    found, answer, _ = door.score("7", *(str(number) for number in range(count)))
    assert found == status
    if status == 422:
        assert f"at most {MAX_CANDIDATES} items" in answer["detail"][0]["msg"]
    else:
        assert len(answer["scores"]) == count


def test_prometheus_is_told_what_happens(door: Door, platform: PlatformConfig, tmp_path: Path) -> None:
    for _ in range(2):
        door.score("7", "1", "2")
    door.score(True, "1")
    assert door.metric('headwater_requests_total{status="200"}') == 2
    assert door.metric('headwater_requests_total{status="422"}') == 1
    assert door.metric("headwater_request_seconds_count") == 3
    assert (door.metric("headwater_candidates_count"), door.metric("headwater_candidates_sum")) == (2, 4)
    assert door.metric("headwater_batch_requests_sum") == 2
    assert door.metric("headwater_fallbacks_total") == 0
    assert door.metric('headwater_champion_info{version="1",vertical="feed"}') == 1
    assert 0 <= door.metric("headwater_alias_check_age_seconds") < 30
    promote(platform, registered(platform, tmp_path / "second", seed=1))
    until(lambda: 'headwater_champion_info{version="2",vertical="feed"} 1.0' in door.ask("/metrics")[1])
    assert 'version="1"' not in door.ask("/metrics")[1]


def test_while_the_registry_cannot_be_read_the_age_of_the_last_look_grows(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door.champion, "client", None)
    until(lambda: door.metric("headwater_alias_check_age_seconds") > 0.5)


def test_a_server_that_starts_before_the_first_day_says_so_and_serves_the_first_champion(
    tiny_config: PlatformConfig, tmp_path: Path
) -> None:
    with Running(tiny_config) as door:
        assert door.ask("/health")[0] == door.score("7", "1")[0] == 503
        assert "has no champion" in door.score("7", "1")[1]["detail"]
        platform = tiny_config
        filled_store(platform)  # until now there was no store
        promote(platform, registered(platform, tmp_path / "first", seed=0))
        until(lambda: door.ask("/health")[0] == 200)
        assert door.score("7", "1")[0] == 200
