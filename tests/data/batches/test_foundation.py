"""Batches of the foundation model against the rows they come from."""

from datetime import date
from itertools import product

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch

import storage
from config import PlatformConfig
from data.batches.encoding import hash_ids
from data.batches.foundation import CHUNK_ROWS, Examples, count_examples, foundation_batches
from data.sources import source_schema
from models.foundation.embedded_network import CLICKED, SEQUENCE
from tests.clean_tables import clean_tables, write_tables

DAY = date(2026, 1, 2)


@pytest.fixture
def config(tiny_config: PlatformConfig) -> PlatformConfig:
    config = tiny_config.changed(
        foundation_model={"architecture": "din", "hyperparameters": {}, "optimizer": {"batch_size": 50}}
    )
    write_tables(config, DAY, {"examples": clean_tables(config, source_schema(config), DAY)["examples"]})
    return config


def test_the_history_is_newest_first_with_label_and_age(config: PlatformConfig):
    rows = storage.read_partition(config, "examples", DAY).to_pylist()
    seen = 0
    for examples in foundation_batches(config, DAY):
        steps = examples.batch.sparse[SEQUENCE]
        values, lengths, start = steps.values(), steps.lengths().tolist(), 0
        clicked = examples.batch.sparse[CLICKED]
        clicked_start = 0
        for n, length in enumerate(lengths):
            row = rows[seen + n]
            newest = list(reversed(row["history_item_ids"]))
            expected = hash_ids(_strings(newest), config.foundation_model.num_embeddings.item_id)
            assert values[start : start + length].tolist() == list(expected)
            extras = examples.batch.history_extras[start : start + length].numpy()
            now = row["event_timestamp"].timestamp()
            ages = [np.log1p((now - t / 1e6) / 3600) for t in reversed(row["history_timestamps"])]
            assert np.allclose(extras[:, 0], list(reversed(row["history_labels"])))
            assert np.allclose(extras[:, 1], ages, atol=1e-4)
            clicks = sum(row["history_labels"])
            count = int(clicked.lengths()[n])
            assert count == clicks
            of_clicked = [i for i, c in zip(row["history_item_ids"], row["history_labels"], strict=True) if c]
            of_clicked_ids = hash_ids(_strings(of_clicked), config.foundation_model.num_embeddings.item_id)
            assert clicked.values()[clicked_start : clicked_start + count].tolist() == list(of_clicked_ids)
            start, clicked_start = start + length, clicked_start + count
        seen += len(lengths)
    assert seen == len(rows)


@pytest.mark.parametrize("ranks", [2, 3])
def test_the_slices_of_all_ranks_make_the_whole(config: PlatformConfig, ranks: int):
    whole = list(foundation_batches(config, DAY))
    slices = [list(foundation_batches(config, DAY, rank=r, world_size=ranks)) for r in range(ranks)]
    assert all(len(of_rank) == len(whole) for of_rank in slices)
    for n, batch in enumerate(whole):
        parts = [of_rank[n] for of_rank in slices]
        assert {part.size for part in parts} == {batch.size}
        assert max(len(p.labels) for p in parts) - min(len(p.labels) for p in parts) <= 1
        assert torch.equal(torch.cat([p.labels for p in parts]), batch.labels)
        assert torch.equal(torch.cat([p.batch.dense for p in parts]), batch.batch.dense)
        assert torch.equal(torch.cat([p.batch.history_extras for p in parts]), batch.batch.history_extras)
        for feature in whole[0].batch.sparse.to_dict():
            together = torch.cat([p.batch.sparse[feature].values() for p in parts])
            assert torch.equal(together, batch.batch.sparse[feature].values())


def test_a_slice_may_be_empty_where_a_batch_has_fewer_rows_than_ranks(config: PlatformConfig):
    instant = storage.read_partition(config, "examples", DAY, columns=["event_timestamp"])["event_timestamp"][
        -1
    ].as_py()
    slices = [list(foundation_batches(config, DAY, start=instant, rank=r, world_size=2)) for r in (0, 1)]
    assert [len(batches) for batches in slices] == [1, 1]
    assert sorted(len(batches[0].labels) for batches in slices) == [0, 1]
    assert count_examples(config, DAY, start=instant, end=None) == 1
    assert count_examples(config, DAY, start=None, end=instant) == sum(_sizes(foundation_batches(config, DAY))) - 1


def test_a_window_has_the_rows_of_its_times_wherever_row_groups_end(config: PlatformConfig):
    rows = storage.read_partition(config, "examples", DAY)
    size = len(rows) // 5
    with storage.commit_partition(config, "examples", DAY) as folder:
        pa.parquet.write_table(rows, folder / "part-00000.parquet", row_group_size=size)
    times = [t.as_py() for t in rows["event_timestamp"]]
    edges = [None, times[0], times[size - 1], times[size], times[2 * size + 3], times[-1]]
    for start, end in product(edges, edges):
        expected = [t for t in times if (start is None or t >= start) and (end is None or t < end)]
        found = [t.as_py() for e in foundation_batches(config, DAY, start=start, end=end) for t in e.keys[3]]
        assert found == expected


def test_ids_of_tables_that_hand_rows_out_are_not_folded(config: PlatformConfig):
    config = config.changed(foundation_model={"managed_collision": {"tables": ["user_id"]}})
    ids = next(foundation_batches(config, DAY)).batch.sparse
    assert int(ids["user_id"].values().max()) > 2**40
    assert int(ids["item_id"].values().max()) < config.foundation_model.num_embeddings.item_id


def _sizes(batches: object) -> list[int]:
    return [examples.size for examples in batches if isinstance(examples, Examples)]  # type: ignore[attr-defined]


def _strings(values: list[str]) -> pa.Array:
    return pa.array(values, pa.string())


def test_memory_does_not_grow_with_the_day(config: PlatformConfig):
    rows = storage.read_partition(config, "examples", DAY)
    most = []
    for copies in (2, 10):
        many = pa.concat_tables([rows] * (copies * CHUNK_ROWS // len(rows) + 1)).combine_chunks()
        storage.write_partition(config, "examples", DAY, many)
        del many
        before = pa.total_allocated_bytes()
        most.append(max(pa.total_allocated_bytes() - before for _ in foundation_batches(config, DAY)))
    assert 0 < most[1] < 1.2 * most[0]
