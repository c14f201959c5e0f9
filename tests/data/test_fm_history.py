"""Snapshots of the FM's codes, against a written-out computation."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from config import Transfer, load_config
from data.codes import encode
from data.fm_history import FmLog, item_fm_embedding, user_fm_history
from data.schema import TIMESTAMP

START = datetime(2026, 1, 1, tzinfo=UTC)
AT = START + timedelta(days=2)
CONFIG = load_config().changed(foundation_model={"codes": {"dim": 2}})


def outputs(rows: list[tuple[str, str, float, int, list[float] | None]]) -> pa.Table:
    return pa.table(
        {
            "impression_id": [f"i{n}" for n in range(len(rows))],
            "user_id": [r[0] for r in rows],
            "item_id": [r[1] for r in rows],
            "event_timestamp": pa.array([START + timedelta(hours=r[2]) for r in rows], TIMESTAMP),
            "label": pa.array([r[3] for r in rows], pa.int32()),
            "code": pa.array([r[4] for r in rows], pa.list_(pa.float32())),
        }
    )


LOG = FmLog.of(
    outputs(
        [
            ("u", "a", 1, 1, [1.0, -1.0]),
            ("v", "a", 2, 0, [0.0, 0.5]),
            ("u", "b", 3, 0, [0.25, 0.0]),
            ("u", "a", 47, 1, [-0.5, 0.5]),
            ("u", "c", 48, 1, [0.1, 0.1]),  # at the snapshot's instant: not before it
            ("u", "c", 30, 1, None),  # not scored
        ]
    ),
    CONFIG,
)


def test_history_holds_the_newest_impressions_before_the_snapshot_oldest_first():
    rows = user_fm_history(LOG, AT, Transfer(history_length=2)).to_pylist()
    assert [r["user_id"] for r in rows] == ["u", "v"]
    assert rows[0]["fm_history_item_ids"] == ["b", "a"]
    assert rows[0]["fm_history_labels"] == [0, 1]
    assert rows[0]["fm_history_ages_h"] == [45.0, 1.0]
    codes = np.frombuffer(rows[0]["fm_history_codes"], np.int8).reshape(2, 2)
    assert codes.tobytes() == encode(np.array([[0.25, 0.0], [-0.5, 0.5]]), 8).tobytes()
    assert rows[0]["event_timestamp"] == rows[0]["created_timestamp"] == AT


def test_delay_and_age_bound_the_history():
    late = user_fm_history(LOG, AT, Transfer(delay_s=7200)).to_pylist()
    assert late[0]["fm_history_item_ids"] == ["a", "b"]
    young = user_fm_history(LOG, AT + timedelta(hours=1), Transfer(history_days=1)).to_pylist()
    assert [r["fm_history_item_ids"] for r in young] == [["a", "c"]]


def test_changing_what_comes_at_or_after_the_snapshot_changes_nothing():
    rows = [("u", "a", 1.0, 1, [1.0, -1.0]), ("u", "b", 48.0, 0, [0.3, 0.3]), ("u", "c", 60.0, 1, [0.1, 0.1])]
    other = [rows[0], ("u", "z", 48.0, 1, [-1.0, -1.0])]
    for build in (user_fm_history, item_fm_embedding):
        one, two = (build(FmLog.of(outputs(r), CONFIG), AT, Transfer()) for r in (rows, other))
        assert one.equals(two)


def test_items_have_their_mean_code():
    rows = item_fm_embedding(LOG, AT, Transfer()).to_pylist()
    assert [(r["item_id"], r["fm_item_impressions"]) for r in rows] == [("a", 3), ("b", 1)]
    mean = np.frombuffer(rows[0]["fm_item_code"], np.int8) / 127
    assert mean == pytest.approx([(1 + 0 - 0.5) / 3, (-1 + 0.5 + 0.5) / 3], abs=1 / 127)


def test_nothing_scored_gives_empty_tables():
    empty = FmLog.of(outputs([("u", "a", 1, 1, None)]), CONFIG)
    assert user_fm_history(empty, AT, Transfer()).num_rows == 0
    assert item_fm_embedding(empty, AT, Transfer()).num_rows == 0


def test_a_shorter_code_of_four_bits_is_the_start_of_the_long_one():
    transfer = Transfer(code_dim=2, code_bits=4)
    short = CONFIG.changed(foundation_model={"codes": {"dim": 4, "prefixes": [2]}}, transfer=transfer)
    log = FmLog.of(outputs([("u", "a", 1, 1, [0.5, -0.25, 1.0, 1.0]), ("u", "b", 2, 1, [0.0, 0.875, 1.0, 1.0])]), short)
    stored = user_fm_history(log, AT, transfer)["fm_history_codes"][0].as_py()
    assert stored == encode(np.array([[0.5, -0.25], [0.0, 0.875]]), 4).tobytes() and len(stored) == 2
