"""The door of an ads server, asked over HTTP, with champions from an MLflow store of its own."""

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
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
from serving.app import FEATURES, create_app
from serving.champion import Champion
from serving.registry import CHAMPION, register
from serving.request_scorer import Asked
from serving.vertical_model import VerticalModel
from tests.online_store import filled_store
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
                return answer.status, json.load(answer), answer.headers
        except urllib.error.HTTPError as error:
            return error.code, json.load(error), error.headers

    def score(self, user: Any, *candidates: Any) -> tuple[int, Any, Message]:
        return self.ask("/score", {"user_id": user, "candidates": candidates})


def until(holds: Callable[[], bool]) -> None:
    """Asks again and again until something holds."""
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline


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


@pytest.mark.parametrize("user", [2.0**53, True, [7]])
def test_an_id_that_cannot_be_read_is_refused(door: Door, user: Any) -> None:
    status, answer, _ = door.score(user, "1")
    assert status == 422 and "detail" in answer


def test_without_a_champion_the_server_says_so_and_serves_the_first_one(
    platform: PlatformConfig, tmp_path: Path
) -> None:
    with Running(platform) as door:
        assert door.ask("/health")[0] == door.score("7", "1")[0] == 503
        assert "has no champion" in door.score("7", "1")[1]["detail"]
        promote(platform, registered(platform, tmp_path / "first", seed=0))
        until(lambda: door.ask("/health")[0] == 200)
        assert door.score("7", "1")[0] == 200
