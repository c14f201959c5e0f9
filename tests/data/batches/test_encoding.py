"""Ids and dense values as tensors."""

import numpy as np
import pyarrow as pa
import pytest

from data.batches.encoding import dense_values, hash_ids, history_steps, ragged


def test_ids_are_stable_in_range_and_null_is_zero():
    ids = hash_ids(pa.chunked_array([["a", None], ["b", "a"]]), 1000)
    assert ids[1] == 0 and ids[0] == ids[3] != ids[2]
    assert (ids >= 0).all() and (ids < 1000).all()
    # Frozen values: another hash would silently give every trained table other rows.
    assert hash_ids(pa.array(["user-1", "user-2", ""]), 1 << 20).tolist() == [FROZEN[k] for k in FROZEN]


FROZEN = {"user-1": 310986, "user-2": 127778, "": 1004906}


def test_ids_do_not_depend_on_what_else_is_in_the_column():
    many = pa.array([f"item-{n}" for n in range(500)])
    alone = np.array([hash_ids(many.slice(n, 1), 4096)[0] for n in range(500)])
    assert (hash_ids(many, 4096) == alone).all()


def test_dense_values_are_squashed_and_null_is_zero():
    table = pa.table({"count": pa.array([0, 9, None], pa.float32()), "gap": pa.array([-1.0, 0.5, 2.0], pa.float32())})
    expected = [[0, -np.log(2)], [np.log(10), np.log(1.5)], [0, np.log(3)]]
    assert dense_values(table, ("count", "gap")) == pytest.approx(np.array(expected), abs=1e-6)


def test_ragged_columns_are_laid_newest_first():
    column = pa.chunked_array([[["a", "b", "c"], None], [[], ["d"]]])
    values, lengths = ragged(column)
    rows, slots = history_steps(lengths, 4)
    laid = np.full((4, 4), "", dtype=object)
    laid[rows, slots] = values.to_numpy(zero_copy_only=False)
    assert laid.tolist() == [["c", "b", "a", ""], [""] * 4, [""] * 4, ["d", "", "", ""]]
