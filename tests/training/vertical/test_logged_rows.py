"""Histories rebuilt from the logs are those of the snapshot tables that Feast serves, and train the same model."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

import storage
from config import PlatformConfig, Transfer
from data.batches.vertical import VerticalFeatures
from data.batches.vertical_examples import vertical_examples
from data.fm_history import ITEM_FM_EMBEDDING, USER_FM_HISTORY, FmLog, item_fm_embedding, user_fm_history
from data.schema import TIMESTAMP
from data.sources import source_schema
from tests.study_log import DAY, study_config, write_log
from training.vertical.arm import Arm
from training.vertical.logged_rows import LoggedRows, logged_rows
from training.vertical.rows import Rows, ServedRows
from training.vertical.student import Student

KEYS = {"impression_id": pa.string(), "user_id": pa.string(), "item_id": pa.string(), "event_timestamp": TIMESTAMP}


@pytest.fixture(
    scope="module", params=[({}, 0.0), ({"delay_s": 7200, "history_days": 2, "code_bits": 4}, 0.3)], ids=str
)
def config(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlatformConfig]:
    """A log with what an FM said of it, and each impression with the newest midnight's snapshots."""
    config = study_config(tmp_path_factory.mktemp("log"))
    transfer, anonymous = request.param
    yield logged(config.changed(transfer={"history_length": 4, **transfer}), anonymous=anonymous)


def logged(config: PlatformConfig, *, anonymous: float = 0.0) -> PlatformConfig:
    events, draw = write_log(config), np.random.default_rng(0)
    events = [row | {"user_id": None} if number % 10 < 10 * anonymous else row for number, row in enumerate(events)]
    width, features = config.foundation_model.codes.dim, VerticalFeatures.of(source_schema(config), config)
    for row in events:
        row["code"] = draw.uniform(-1, 1, width).astype(np.float32) if draw.random() < 0.9 else None
        row["soft_label"] = draw.random() if row["code"] is not None else None
    fields = KEYS | {"label": pa.int32(), "code": pa.list_(pa.float32())}
    outputs = pa.Table.from_pylist(events, schema=pa.schema(fields))
    storage.write_partition(config, "fm_outputs", DAY, outputs)

    log = FmLog.of(outputs, config)
    start = storage.day_window(config, DAY)[0]
    served: dict[tuple[Any, str], dict[str, Any]] = {}
    for at in [start, *storage.day_ends(config, DAY)]:
        for table, key in ((user_fm_history, "user_id"), (item_fm_embedding, "item_id")):
            served |= {(at, row[key]): row for row in table(log, at, config.transfer).to_pylist()}
    columns = [
        field
        for schema in (USER_FM_HISTORY, ITEM_FM_EMBEDDING)
        for field in schema
        if field.name in set(features.columns) - {"item_id"}
    ]
    empty = dict.fromkeys(field.name for field in columns)
    rows = []
    for row in events:
        at = start + (row["event_timestamp"] - start) // timedelta(days=1) * timedelta(days=1)
        found = served.get((at, row["user_id"]), {}) | served.get((at, row["item_id"]), {})
        numbers = {name: draw.normal() for name in features.dense}
        rows.append(row | numbers | empty | {name: found[name] for name in empty if name in found})
    fields = KEYS | {"vertical": pa.string(), "label": pa.int32(), "soft_label": pa.float32()}
    fields |= dict.fromkeys(set(features.num_embeddings) - {"item_id"}, pa.string())
    fields |= dict.fromkeys(features.dense, pa.float32()) | {field.name: field.type for field in columns}
    storage.write_partition(config, "vertical_examples", DAY, pa.Table.from_pylist(rows, schema=pa.schema(fields)))
    return config


def both(config: PlatformConfig) -> tuple[ServedRows, LoggedRows]:
    schema = source_schema(config)
    served = ServedRows(VerticalFeatures.of(schema, config), vertical_examples(config, "feed", [DAY]))
    return served, logged_rows(config, schema, "feed", [DAY])


def test_rebuilt_rows_are_the_served_ones(config: PlatformConfig):
    served, rebuilt = both(config)
    ours, theirs = (next(rows.batches(100_000)) for rows in (rebuilt.served(), served))
    assert torch.equal(ours.labels, theirs.labels) and torch.equal(ours.batch.dense, theirs.batch.dense)
    assert torch.equal(ours.batch.sparse, theirs.batch.sparse)
    assert torch.equal(ours.soft_labels.nan_to_num(-1), theirs.soft_labels.nan_to_num(-1))
    one, other = ours.batch.history, theirs.batch.history
    slots = other.mask.sum(dim=1)
    assert torch.equal(one.mask, other.mask) and slots.max() == 4 and (slots == 0).any()
    assert torch.equal(one.codes, other.codes) and torch.equal(one.ids[..., :1], other.ids)
    assert torch.equal(one.labels, other.labels) and torch.allclose(one.ages, other.ages, atol=1e-4)
    step = 1.01 / (2 ** (config.transfer.code_bits - 1) - 1)
    apart = (one.item_code - other.item_code).abs()  # means are summed in another order, then rounded
    assert apart.max() < step and (apart > 0).float().mean() < 1e-2 and other.item_code.any()


def test_served_and_rebuilt_rows_train_the_same_model(config: PlatformConfig):
    served, rebuilt = both(config)
    features = served.features
    exact = replace(rebuilt.served(), item_codes=next(served.batches(100_000)).batch.history.item_code)
    student = Student(config.vertical_model, Transfer(), Arm.of(Transfer()), features.num_embeddings, ("item_id",))
    everything = next(served.batches(100_000)).batch

    def says(rows: Rows, seed: int = 0) -> torch.Tensor:
        network = student.fit(rows, seed=seed, what="test", epochs=2).network
        with torch.no_grad():
            return network.eval()(everything).logits.sigmoid()

    assert (says(served) - says(exact)).abs().max() < 5e-3
    assert (says(served) - says(exact, seed=1)).abs().max() > 5e-2


def test_fresh_histories_are_as_of_the_impression(config: PlatformConfig):
    rebuilt = both(config)[1]
    log, slots = rebuilt.log, rebuilt.with_codes(rebuilt.codes, fresh=True).slots
    newest = slots.positions[:, 0]
    known = (newest >= 0).numpy()
    times = log.micros[newest.numpy()[known]]
    until = rebuilt.instants[known] - config.transfer.delay_s * 1_000_000
    assert (times < until).all() and (times >= rebuilt.snapshots[known]).any()


def test_a_feature_of_items_may_be_called_as_the_column_of_codes(tmp_path: Path):
    config = logged(study_config(tmp_path))
    schema = source_schema(config)
    for table in ("examples", "vertical_examples"):
        rows = storage.read_partition(config, table, DAY)
        storage.write_partition(config, table, DAY, rows.append_column("code", rows["category"]))
    renamed = replace(schema, item_categorical=("category", "code"))
    plain, other = (logged_rows(config, of, "feed", [DAY]) for of in (schema, renamed))
    assert torch.equal(plain.codes, other.codes)
    assert torch.equal(other.log.ids[:, 2], other.log.ids[:, 1]) and len(other.log.ids.unique()) > 1
