"""Processes that train together: one dies and all go on, machines meet, and mistakes end with one clear line."""

import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

import storage
from config import ROOT, FoundationTraining, PlatformConfig
from data.sources import source_schema
from jobs import train_foundation
from tests.clean_tables import clean_tables, write_tables
from training.foundation.launcher import run_in_group

DAY = date(2026, 1, 2)
NETWORK: dict[str, Any] = {"num_layers": 1, "num_fmb_tokens": 4, "num_lcb_tokens": 4, "rank": 4, "mlp": [16]}
TWO = {"processes": 2, "checkpoint_minutes": 1e-9}


@pytest.fixture
def config(tiny_config: PlatformConfig) -> PlatformConfig:
    config = tiny_config.changed(
        foundation_model={"optimizer": {"batch_size": 4}, "hyperparameters": NETWORK, "embedding_dim": 8},
        runtime={"device": "cpu"},
    )
    write_tables(config, DAY, {"examples": clean_tables(config, source_schema(config), DAY)["examples"]})
    return config


def trained(config: PlatformConfig, **training: Any) -> str:
    """Trains the day; the version of its model, which is a hash of all weights."""
    train_foundation.main(config.changed(foundation_model={"training": training}), day=DAY)
    version: str = storage.read_manifest(config, "fm_snapshots", DAY)["extra"]["fm_version"]
    return version


def ranks(number: int) -> list[psutil.Process]:
    """Processes below this one that torchrun started as a rank."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if process.environ().get("RANK") == str(number):
                found.append(process)
        except psutil.Error:
            continue
    return found


@contextmanager
def killing(config: PlatformConfig, rank: int, *, times: int = 1) -> Iterator[None]:
    """Kills a rank once a checkpoint is there, as often as is said."""
    saved, over = storage.checkpoint_dir(config, "train_foundation", DAY) / "progress.json", threading.Event()

    def kill() -> None:
        for _ in range(times):
            while not (saved.is_file() and ranks(rank)):
                if over.wait(0.02):
                    return
            (victim,) = ranks(rank)
            victim.kill()
            victim.wait()

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.e2e
def test_the(config: PlatformConfig, caplog: pytest.LogCaptureFixture, tmp_path: Path):
    t = time.monotonic()
    expected = trained(config, **TWO)
    print("plain", time.monotonic() - t)
    storage.partition_dir(config, "fm_snapshots", DAY).rename(tmp_path / "expected")
    t = time.monotonic()
    with caplog.at_level(logging.WARNING, "headwater"), killing(config, 1):
        again = trained(config, **TWO)
    print("killed", time.monotonic() - t, caplog.messages)
    assert again == expected
