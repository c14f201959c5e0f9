"""Processes that train together: one dies and all go on, machines meet, and mistakes end with one clear line."""

import json
import logging
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

import storage
from config import ROOT, FoundationTraining, PlatformConfig, load_config
from data.batches.foundation import Examples
from data.sources import source_schema
from jobs import train_foundation
from local.ports import free_ports
from models.foundation.foundation_model import CodedOutput
from tests.clean_tables import clean_tables, write_tables
from training.foundation.launcher import _described, run_in_group
from training.foundation.run_checkpoint import RunCheckpoint
from training.foundation.trainer import FoundationTrainer, Progress

DAY = date(2026, 1, 2)
NETWORK: dict[str, Any] = {"num_layers": 1, "num_fmb_tokens": 4, "num_lcb_tokens": 4, "rank": 4, "mlp": [16]}
TWO = {"processes": 2, "checkpoint_minutes": 1e-9}


def a_day_below(folder: Path) -> PlatformConfig:
    config = load_config(ROOT / "platform.yaml").changed(
        data_source="synthetic",
        sources={"synthetic": {"events_per_day": 600, "bootstrap_days": 2}},
        storage={"root": str(folder / "state"), "feature_repo": str(folder / "feature_repo")},
        foundation_model={"optimizer": {"batch_size": 4}, "hyperparameters": NETWORK, "embedding_dim": 8},
        runtime={"device": "cpu"},
    )
    write_tables(config, DAY, {"examples": clean_tables(config, source_schema(config), DAY)["examples"]})
    return config


@pytest.fixture
def config(tmp_path: Path) -> PlatformConfig:
    return a_day_below(tmp_path)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The model that two processes make of the day."""
    return trained(a_day_below(tmp_path_factory.mktemp("undisturbed")), **TWO)


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
    """Kills a rank once there is a checkpoint; after each restart again, as often as is said."""
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
def test_a_rank_is_killed_and_all_go_on_to_the_same_model(
    config: PlatformConfig, undisturbed: str, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.WARNING, "headwater"), killing(config, 1):
        assert trained(config, **TWO) == undisturbed
    (told,) = caplog.messages
    assert re.fullmatch(
        r"rank 1 \(process \d+ on .*\) was killed by SIGKILL; starting all processes again \(1 of 3 restarts\)", told
    )


@pytest.mark.e2e
def test_when_restarts_are_used_up_the_run_says_who_died_of_what_and_another_goes_on(config: PlatformConfig):
    with (
        killing(config, 0, times=2),
        pytest.raises(RuntimeError, match=r"rank 0 .* was killed by SIGKILL; .*training.restarts: 1 are used up") as e,
    ):
        trained(config, **TWO, restarts=1)
    assert "\n" not in str(e.value)
    assert storage.checkpoint_dir(config, "train_foundation", DAY).exists()


def outputs(config: PlatformConfig) -> list[float | None]:
    """Soft labels of the day, and the model's NE after it."""
    scores: list[float | None] = (
        storage.read_partition(config, "fm_outputs", DAY).sort_by("impression_id")["soft_label"].to_pylist()
    )
    return [*scores, storage.read_manifest(config, "fm_snapshots", DAY)["extra"]["metrics"]["ne"]]


def learnt_by(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A list to which the impressions are added that this process learns from now on."""
    learnt: list[str] = []
    forward = FoundationTrainer._forward

    def noted(self: FoundationTrainer, examples: Examples) -> CodedOutput:
        if self.model.training:
            learnt.extend(examples.keys["impression_id"].to_pylist())
        return forward(self, examples)

    monkeypatch.setattr(FoundationTrainer, "_forward", noted)
    return learnt


def break_off_after(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    after_step = RunCheckpoint.after_step

    def breaks_off(checkpoint: RunCheckpoint, trainer: FoundationTrainer, progress: Progress) -> None:
        after_step(checkpoint, trainer, progress)
        if progress.total_steps == steps:
            raise RuntimeError("broken off")

    monkeypatch.setattr(RunCheckpoint, "after_step", breaks_off)


@pytest.mark.e2e
@pytest.mark.parametrize("at_first", [1, 2])
def test_one_process_goes_on_where_two_were_and_two_where_one_was(
    config: PlatformConfig,
    at_first: int,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
):
    learnt = learnt_by(monkeypatch)
    trained(config)
    whole, expected = list(learnt), outputs(config)
    for table in ("fm_snapshots", "fm_outputs"):
        storage.partition_dir(config, table, DAY).rename(tmp_path / table)
    saved = storage.checkpoint_dir(config, "train_foundation", DAY) / "progress.json"
    learnt.clear()
    if at_first == 2:
        with killing(config, 0), pytest.raises(RuntimeError, match="was killed by SIGKILL"):
            trained(config, **TWO, restarts=0)
        done = sum(rank["examples"] for rank in json.loads(saved.read_text())["ranks"])
        trained(config)
        assert 0 < done < len(whole) and learnt == whole[done:]  # nothing twice, and nothing left out
    else:
        with monkeypatch.context() as context, pytest.raises(RuntimeError, match="broken off"):
            break_off_after(33, context)
            trained(config, checkpoint_minutes=1e-9)
        steps = json.loads(saved.read_text())["ranks"][0]["phase_step"]
        capfd.readouterr()
        trained(config, **TWO)
        assert f"continuing from the checkpoint of phase 1, step {steps}" in capfd.readouterr().err
    assert outputs(config) == pytest.approx(expected, abs=5e-6, nan_ok=True)


def platform_file(config: PlatformConfig, path: Path, **changes: Any) -> Path:
    path.write_text(yaml.safe_dump(json.loads(config.changed(**changes).model_dump_json())))
    return path


def two_machines(endpoint: str, **more: Any) -> dict[str, Any]:
    return {"training": {"nodes": 2, "rendezvous": endpoint, **more}}


def on_each_machine(*files: Path) -> list[subprocess.CompletedProcess[str]]:
    """Starts the job with each of the platform files, at the same time."""
    command = [sys.executable, "-m", "jobs", "train_foundation", "--day", str(DAY), "--config"]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(
            [*command, str(file)], cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for file in files
    ]
    ended = [process.communicate(timeout=300) for process in started]
    return [
        subprocess.CompletedProcess(process.args, process.returncode, *said)
        for process, said in zip(started, ended, strict=True)
    ]


def error_of(run: subprocess.CompletedProcess[str]) -> str:
    """The last line on standard error that says why a job ended."""
    return [line for line in run.stderr.splitlines() if line.startswith("error: ")][-1]


@pytest.mark.e2e
def test_two_machines_of_one_process_make_the_model_of_one_machine_with_two(
    config: PlatformConfig, undisturbed: str, tmp_path: Path
):
    file = platform_file(
        config, tmp_path / "platform.yaml", foundation_model=two_machines(f"127.0.0.1:{free_ports(1)[0]}")
    )
    runs = on_each_machine(file, file)
    assert [run.returncode for run in runs] == [0, 0], runs[0].stderr + runs[1].stderr
    results = [json.loads(run.stdout.splitlines()[-1]) for run in runs]
    assert results[0] == results[1] and results[0]["fm_version"] == undisturbed


@pytest.mark.e2e
@pytest.mark.parametrize("copied", [False, True])
def test_a_machine_without_the_lake_is_named_before_any_work_is_done(
    config: PlatformConfig, tmp_path: Path, copied: bool
):
    model = two_machines(f"127.0.0.1:{free_ports(1)[0]}")
    elsewhere = tmp_path / "elsewhere"
    if copied:
        shutil.copytree(config.storage.root, elsewhere)
    files = [
        platform_file(config, tmp_path / "mounted.yaml", foundation_model=model),
        platform_file(config, tmp_path / "not.yaml", foundation_model=model, storage={"root": str(elsewhere)}),
    ]
    wrong = "does not see what rank 0 on .* writes to" if copied else "does not see the lake that others do: "
    for run in on_each_machine(*files):
        assert run.returncode == 1
        assert re.search(rf"rank [01] on \S+ {wrong}.* the same folder mounted as storage.root", error_of(run))
        assert "restarts" not in run.stderr  # none would help
    assert not storage.has_partition(config, "fm_outputs", DAY)


@pytest.mark.parametrize(
    ("exit_codes", "named"),
    [
        ({0: 1, 1: -9}, "rank 1 .* was killed by SIGKILL"),  # 0 has lost 1
        ({0: -15, 1: -9}, "rank 1 .* was killed by SIGKILL"),  # the agent ended 0
        ({0: -15, 1: 1}, "rank 1 .* failed with exit code 1, as told above"),
        ({0: -15}, "rank 0 .* was killed by SIGTERM"),
    ],
)
def test_of_several_ranks_that_died_the_one_that_caused_it_is_named(exit_codes: dict[int, int], named: str):
    failures = {rank: ProcessFailure(rank, 100 + rank, code, "none") for rank, code in exit_codes.items()}
    assert re.fullmatch(named, _described(failures))


@pytest.mark.parametrize(
    ("host", "error"),
    [
        ("127.0.0.1", r"fewer than 2 machines met at 127.0.0.1:\d+ \(.*rendezvous_minutes: 0.02\)"),  # it is alone
        ("192.0.2.1", r"nothing answers at .*rendezvous: 192.0.2.1:\d+ \(.*rendezvous_minutes: 0.02\)"),  # no such
        ("no-such-machine.invalid", r"rendezvous: no machine is known as no-such-machine.invalid"),
    ],
)
def test_machines_that_do_not_meet_say_so_after_the_stated_time(host: str, error: str):
    settings = FoundationTraining(nodes=2, rendezvous=f"{host}:{free_ports(1)[0]}", rendezvous_minutes=0.02)
    with pytest.raises(RuntimeError, match=error):
        run_in_group(["this"], settings, name="nobody else")
