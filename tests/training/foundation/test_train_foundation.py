"""A day of the foundation model: killed and gone on, in several processes, on bad input."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import torch
import yaml
from safetensors.torch import load_file

import storage
from config import ROOT, FoundationTraining, ManagedCollision, PlatformConfig
from data.batches.foundation import Examples, foundation_batches
from data.sources import source_schema
from data.split import learnt_until
from jobs import train_foundation
from models.architectures import ARCHITECTURES
from tests.clean_tables import ITEMS, USERS, clean_tables, write_tables
from training.foundation.replay import load_batch
from training.foundation.run_checkpoint import RunCheckpoint
from training.foundation.sharded_checkpoint import load_sharded
from training.foundation.trainer import FoundationTrainer, Progress, foundation_trainer

FIRST, SECOND = date(2026, 1, 2), date(2026, 1, 3)
NETWORK: dict[str, Any] = {"num_layers": 1, "num_fmb_tokens": 4, "num_lcb_tokens": 4, "rank": 4, "mlp": [16]}


@pytest.fixture
def config(tiny_config: PlatformConfig) -> PlatformConfig:
    config = tiny_config.changed(
        foundation_model={
            "optimizer": {"batch_size": 4, "ema_decay": 0.98},
            "hyperparameters": NETWORK,
            "embedding_dim": 8,
        },
        runtime={"device": "cpu"},
    )
    for day in (FIRST, SECOND):
        write_tables(config, day, {"examples": clean_tables(config, source_schema(config), day)["examples"]})
    return config


def results(config: PlatformConfig, day: date) -> dict[str, Any]:
    """Everything a day's training leaves, comparable."""
    manifest = storage.read_manifest(config, "fm_snapshots", day)["extra"]
    outputs = storage.read_partition(config, "fm_outputs", day).sort_by("impression_id")
    return {"extra": manifest, "soft_label": outputs["soft_label"].to_pylist(), "version": manifest["fm_version"]}


STOPPED_BY_ITSELF = """
import os, runpy
from training.foundation.run_checkpoint import RunCheckpoint
save, saved = RunCheckpoint.save, []
def save_and_stop(checkpoint, trainer, progress):
    save(checkpoint, trainer, progress)
    saved.append(progress.total_steps)
    if len(saved) == {saves}:
        os.kill(os.getpid(), {signal})
RunCheckpoint.save = save_and_stop
runpy.run_module("jobs", run_name="__main__", alter_sys=True)
"""


def run_until(
    config: PlatformConfig, folder: Path, day: date, *, saves: int, how: signal.Signals
) -> subprocess.CompletedProcess[str]:
    """The job in a process of its own, which sends itself a signal right after so many checkpoints."""
    path = folder / "platform.yaml"
    path.write_text(yaml.safe_dump(json.loads(config.model_dump_json())))
    script = STOPPED_BY_ITSELF.format(saves=saves, signal=int(how))
    command = [sys.executable, "-c", script, "train_foundation", "--day", str(day), "--config", str(path)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("how", "managed"), [(signal.SIGKILL, ManagedCollision(eviction_interval=4)), (signal.SIGTERM, None)]
)
def test_a_killed_run_goes_on_and_ends_as_if_it_had_not_been(
    config: PlatformConfig, tmp_path: Path, how: signal.Signals, managed: ManagedCollision | None
):
    config = config.changed(foundation_model={"managed_collision": managed})
    train_foundation.main(config, day=FIRST)
    expected = results(config, FIRST)
    storage.partition_dir(config, "fm_snapshots", FIRST).rename(tmp_path / "expected")

    run = run_until(
        config.changed(foundation_model={"training": {"checkpoint_minutes": 1e-9}}), tmp_path, FIRST, saves=5, how=how
    )
    if how is signal.SIGTERM:
        assert "error: train_foundation: StoppedBySignal: stopped by SIGTERM after step" in run.stderr
        assert run.returncode == 1
    else:
        assert run.returncode == -signal.SIGKILL, run.stderr
    checkpoint = storage.checkpoint_dir(config, "train_foundation", FIRST)
    assert (checkpoint / "progress.json").is_file()
    assert not storage.has_partition(config, "fm_snapshots", FIRST)

    train_foundation.main(config, day=FIRST)
    again = results(config, FIRST)
    assert again["version"] == expected["version"]
    assert again["soft_label"] == pytest.approx(expected["soft_label"], abs=1e-6, nan_ok=True)
    assert again["extra"]["metrics"]["ne"] == pytest.approx(expected["extra"]["metrics"]["ne"], abs=1e-6)
    assert not checkpoint.exists()


def test_a_checkpoint_of_other_settings_is_not_gone_on_from(config: PlatformConfig):
    checkpoint = storage.checkpoint_dir(config, "train_foundation", FIRST)
    checkpoint.mkdir(parents=True)
    (checkpoint / "progress.json").write_text(json.dumps({"key": "of another run", "ranks": [{}]}))
    assert train_foundation.main(config, day=FIRST)["held_out"]["rows"] > 0
    assert not checkpoint.exists()


def in_processes(config: PlatformConfig) -> list[tuple[dict[str, Any], dict[str, set[int]]]]:
    """What one and what two processes leave after two days, and which ids then have a row of their own, by table."""
    found = []
    for processes in (1, 2):
        for day in (FIRST, SECOND):
            train_foundation.main(config.changed(foundation_model={"training": {"processes": processes}}), day=day)
        held: dict[str, set[int]] = {}
        for path in storage.partition_folder(config, "fm_snapshots", SECOND).glob("model-*.safetensors"):
            for name, ids in load_file(path).items():
                if name.endswith("sorted_raw_ids"):
                    held[name.split(".")[-2]] = {int(i) for i in ids if int(i) < 2**63 - 1}
        found.append((results(config, SECOND), held))
    return found


@pytest.mark.e2e
@pytest.mark.parametrize("model", ["wukong", "din"])  # tables that lie whole on a process; one cut by rows
def test_two_processes_learn_what_one_learns(config: PlatformConfig, model: str):
    if model != "wukong":
        config = config.changed(foundation_model=MODELS[model])
    (one, _), (two, _) = in_processes(config)
    # What differs is the order of float32 sums: 2e-7 were seen.
    assert one["soft_label"] == pytest.approx(two["soft_label"], abs=5e-6)
    assert one["extra"]["metrics"]["ne"] == pytest.approx(two["extra"]["metrics"]["ne"], abs=5e-6)


@pytest.mark.e2e
def test_two_processes_hand_out_rows_to_the_ids_to_which_one_does(config: PlatformConfig):
    # At once, so that no ids share a row until theirs is assigned: each process has a shared row of its own.
    config = config.changed(foundation_model={"managed_collision": ManagedCollision(eviction_interval=1)})
    (one, held_by_one), (two, held_by_two) = in_processes(config)
    assert held_by_one == held_by_two and {table: len(ids) for table, ids in held_by_one.items()} == {
        "user_id": USERS,
        "item_id": ITEMS,
    }
    assert one["soft_label"] == pytest.approx(two["soft_label"], abs=5e-6)
    assert one["extra"]["metrics"]["ne"] == pytest.approx(two["extra"]["metrics"]["ne"], abs=5e-6)


@pytest.mark.parametrize(("on_the_first_day", "then"), [(0.5, 0.2), (0.2, 0.5)])
def test_a_changed_eval_fraction_neither_loses_nor_doubles_rows(
    config: PlatformConfig, monkeypatch: pytest.MonkeyPatch, on_the_first_day: float, then: float
):
    learnt: list[str] = []
    learn = FoundationTrainer.learn

    def noted(self: FoundationTrainer, batches: Iterable[Examples], what: str, **options: Any) -> None:
        def seen() -> Iterator[Examples]:
            for examples in batches:
                learnt.extend(examples.keys["impression_id"].to_pylist())
                yield examples

        learn(self, seen(), what, **options)

    monkeypatch.setattr(FoundationTrainer, "learn", noted)
    train_foundation.main(config.changed(foundation_model={"eval_fraction": on_the_first_day}), day=FIRST)
    train_foundation.main(config.changed(foundation_model={"eval_fraction": then}), day=SECOND)
    rows = storage.dataset(config, "examples", [FIRST, SECOND]).to_table(columns=["impression_id", "event_timestamp"])
    before_the_cut = pc.less(rows["event_timestamp"], learnt_until(config, "fm_snapshots", SECOND))
    assert sorted(learnt) == sorted(rows.filter(before_the_cut)["impression_id"].to_pylist())


def test_a_snapshot_in_many_files_is_the_same_model(config: PlatformConfig, monkeypatch: pytest.MonkeyPatch):
    found, files = [], []
    for most in (1 << 30, 1):
        monkeypatch.setattr("training.foundation.sharded_checkpoint.FILE_BYTES", most)
        for day in (FIRST, SECOND):  # the second continues from the first's snapshot
            train_foundation.main(config, day=day)
        found.append(results(config, SECOND))
        files.append(len(list(storage.partition_folder(config, "fm_snapshots", SECOND).glob("*.safetensors"))))
    assert files[0] == 3
    assert files[1] > 10  # one for each tensor
    assert found[0]["version"] == found[1]["version"]
    assert np.array_equal(found[0]["soft_label"], found[1]["soft_label"], equal_nan=True)


def test_a_snapshot_of_another_architecture_is_refused(config: PlatformConfig):
    train_foundation.main(config, day=FIRST)
    wider = config.changed(foundation_model={"embedding_dim": 16})
    with pytest.raises(ValueError, match=r"checkpoint .* is of another model: .* the checkpoint has .* platform.yaml"):
        train_foundation.main(wider, day=SECOND)


def test_a_value_that_is_not_finite_stops_the_run_and_can_be_replayed(config: PlatformConfig):
    rows = storage.read_partition(config, "examples", FIRST)
    values = rows["user_ctr_7d"].to_numpy().copy()
    values[20] = np.inf
    place = rows.schema.get_field_index("user_ctr_7d")
    rows = rows.set_column(place, rows.schema.field(place), pa.array(values))
    storage.write_partition(config, "examples", FIRST, rows)
    with pytest.raises(
        FloatingPointError, match=r"not finite at step 5, .*dense feature user_ctr_7d is not finite"
    ) as e:
        train_foundation.main(config, day=FIRST)
    folder = Path(str(e.value).split("The batch is in ")[1].split(", the model")[0])
    batch = load_batch(folder)
    assert batch.keys["impression_id"][0].as_py() == rows["impression_id"][20].as_py()
    with foundation_trainer(config, source_schema(config)) as trainer:
        column = trainer.features.dense.index("user_ctr_7d")
        assert torch.isinf(batch.batch.dense[0, column]) and torch.isfinite(batch.batch.dense[1:]).all()
        assert not torch.isfinite(trainer.model(batch.batch).output.logits).all()


def learn(trainer: FoundationTrainer, config: PlatformConfig, day: date) -> Progress:
    progress = Progress()
    trainer.learn(foundation_batches(config, day), "learn", progress=progress)
    return progress


@pytest.mark.parametrize("architecture", ["wukong", "dcnv2", "dlrm", "din", "dhen", "interformer"])
def test_odd_days_are_learnt(config: PlatformConfig, architecture: str):
    config = config.changed(foundation_model={"architecture": architecture, "hyperparameters": {}})
    rows = storage.read_partition(config, "examples", FIRST)
    place = rows.schema.get_field_index("label")
    without_clicks = rows.set_column(place, rows.schema.field(place), pa.array(np.zeros(len(rows), np.int32)))
    first_ever = rows.filter(pc.equal(pc.list_value_length(rows["history_item_ids"]), 0))
    odd = {0: without_clicks.slice(0, 40), 1: rows.slice(100, 1), 2: first_ever}
    for days, part in odd.items():
        storage.write_partition(config, "examples", FIRST + timedelta(days=days), part)
    with foundation_trainer(config, source_schema(config)) as trainer:
        for days, part in odd.items():
            progress = learn(trainer, config, FIRST + timedelta(days=days))
            assert progress.examples == part.num_rows > 0 and np.isfinite(progress.loss)


def test_half_precision_learns_as_full_does(config: PlatformConfig):
    losses = []
    for precision in ("fp32", "bf16"):
        of = config.changed(foundation_model={"training": {"precision": precision}})
        with foundation_trainer(of, source_schema(of)) as trainer:
            losses.append(learn(trainer, of, FIRST).loss)
    assert losses[0] != losses[1] and losses[0] == pytest.approx(losses[1], rel=0.02)


ON_GPU = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")]
PAIR = {"members": [{"architecture": "dcnv2"}, {"architecture": "wukong"}]}
MODELS: dict[str, dict[str, Any]] = {
    **{name: {"architecture": name, "hyperparameters": {}} for name in ARCHITECTURES},
    "cetnet": {"architecture": "cetnet", "hyperparameters": PAIR},
    "zero-collision tables": {"managed_collision": ManagedCollision(eviction_interval=4)},
}
ON_DEVICES = [
    pytest.param("cpu", "wukong", id="cpu, wukong"),  # the same test where there is no GPU: a re-run changes nothing
    *(pytest.param("cuda", name, marks=ON_GPU, id=f"cuda, {name}") for name in MODELS),
]


def on(device: str, config: PlatformConfig) -> PlatformConfig:
    return config.changed(runtime={"device": device})


@pytest.mark.parametrize(("device", "model"), ON_DEVICES)
def test_two_days_on_a_device_are_those_on_the_cpu(config: PlatformConfig, device: str, model: str):
    config = config.changed(foundation_model=MODELS[model])
    found = []
    for of in (on("cpu", config), on(device, config)):
        for day in (FIRST, SECOND):  # the second loads the first's snapshot
            train_foundation.main(of, day=day)
        found.append(results(of, SECOND))
    assert found[0]["soft_label"] == pytest.approx(found[1]["soft_label"], abs=1e-3)
    assert found[0]["extra"]["metrics"]["ne"] == pytest.approx(found[1]["extra"]["metrics"]["ne"], abs=1e-3)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=ON_GPU)])
def test_a_run_that_breaks_off_goes_on_from_its_checkpoint(
    config: PlatformConfig, monkeypatch: pytest.MonkeyPatch, device: str
):
    config = on(device, config)
    train_foundation.main(config, day=FIRST)
    whole = results(config, FIRST)
    after_step, gone_on = RunCheckpoint.after_step, []

    def breaks_off(checkpoint: RunCheckpoint, trainer: FoundationTrainer, progress: Progress) -> None:
        after_step(checkpoint, trainer, progress)
        gone_on.append(progress.total_steps)
        if len(gone_on) == 9:
            raise RuntimeError("broken off")

    monkeypatch.setattr(RunCheckpoint, "after_step", breaks_off)
    often = config.changed(foundation_model={"training": {"checkpoint_minutes": 1e-9}})
    with pytest.raises(RuntimeError, match="broken off"):
        train_foundation.main(often, day=FIRST)
    train_foundation.main(often, day=FIRST)
    assert gone_on[:10] == list(range(1, 11))
    again = results(config, FIRST)
    assert again["soft_label"] == pytest.approx(whole["soft_label"], abs=1e-4, nan_ok=True)
    assert again["extra"]["metrics"]["ne"] == pytest.approx(whole["extra"]["metrics"]["ne"], abs=1e-4)


def test_soft_labels_say_until_when_the_fm_had_learnt(config: PlatformConfig):
    for day in (FIRST, SECOND):
        train_foundation.main(config, day=day)
    content = storage.read_manifest(config, "fm_outputs", SECOND)["content_hash"]
    cuts = {}
    for day in (FIRST, SECOND):
        outputs = storage.read_partition(config, "fm_outputs", day)
        scored = outputs.filter(pc.is_valid(outputs["soft_label"]))
        assert outputs["fm_learnt_until"].null_count == outputs.num_rows - scored.num_rows
        (cuts[day],) = scored["fm_learnt_until"].unique().to_pylist()
        extra = storage.read_manifest(config, "fm_outputs", day)["extra"]
        assert datetime.fromisoformat(extra["learnt_until"]) == cuts[day]
        assert datetime.fromisoformat(extra["scored_at"]).utcoffset() == timedelta(0)
        assert pc.min(scored["event_timestamp"]).as_py() >= cuts[day]
    times = storage.read_partition(config, "examples", FIRST, columns=["event_timestamp"])["event_timestamp"]
    assert cuts[FIRST] == times[len(times) // 2].as_py()  # the second half was scored by who had learnt the first
    assert cuts[SECOND] == learnt_until(config, "fm_snapshots", FIRST)
    snapshot = storage.read_manifest(config, "fm_snapshots", SECOND)["extra"]
    assert datetime.fromisoformat(snapshot["learnt_until"]) == learnt_until(config, "fm_snapshots", SECOND)
    train_foundation.main(config, day=SECOND)
    assert storage.read_manifest(config, "fm_outputs", SECOND)["content_hash"] == content


def test_compiled_networks_keep_their_names(config: PlatformConfig):
    assert not FoundationTraining().compile
    names = []
    for compiled in (False, True):
        of = config.changed(foundation_model={"training": {"compile": compiled}})
        with foundation_trainer(of, source_schema(of)) as trainer:
            names.append(list(trainer.model.state_dict()))
    assert names[0] == names[1]


def codes_after(config: PlatformConfig, day: date) -> tuple[np.ndarray, np.ndarray]:
    """Codes of a day's impressions by the snapshot that ends it, and those that were logged."""
    logged = storage.read_partition(config, "fm_outputs", day)
    logged = logged.filter(pc.is_valid(logged["code"]))
    with foundation_trainer(config, source_schema(config)) as trainer:
        load_sharded(storage.partition_folder(config, "fm_snapshots", day), trainer.model, trainer.optimizer)
        scored = list(trainer.score(foundation_batches(config, day), "score"))
    ids = pa.chunked_array([part.keys["impression_id"] for part in scored])
    places = pc.index_in(logged["impression_id"], ids.combine_chunks()).to_numpy()
    then = logged["code"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return np.concatenate([part.codes for part in scored])[places], then.reshape(logged.num_rows, -1)


def test_a_days_codes_are_rotated_to_match_those_of_the_snapshot_that_scored_it(config: PlatformConfig, tmp_path: Path):
    apart, scores = {}, {}
    for alignment in ("none", "rotation"):
        of = config.changed(foundation_model={"codes": {"alignment": alignment}})
        for day in (FIRST, SECOND):
            train_foundation.main(of, day=day)
        scores[alignment] = results(of, SECOND)["soft_label"], results(of, SECOND)["extra"]["metrics"]
        now, then = (np.arctanh(codes.clip(-0.999, 0.999)) for codes in codes_after(of, SECOND))
        apart[alignment] = float(((now - then) ** 2).sum() / (then**2).sum())
        for day in (FIRST, SECOND):
            for table in ("fm_snapshots", "fm_outputs", "fm_evaluations"):
                storage.partition_dir(of, table, day).rename(tmp_path / f"{alignment} {table} {day}")
    assert apart["rotation"] < 0.9 * apart["none"]
    assert scores["rotation"] == scores["none"]  # what the FM says of a click does not turn with its codes
