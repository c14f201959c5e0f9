"""A vertical model's input from Feast rows: nulls, empty histories, order."""

import pyarrow as pa
import torch

from data.batches.vertical import VerticalFeatures
from data.codes import encode

FEATURES = VerticalFeatures(
    {"item_id": 100, "brand": 10}, ("user_clicks_7d",), code_dim=2, code_bits=8, history_length=3
)


def rows() -> pa.Table:
    codes = encode(torch.tensor([[1.0, -1.0], [0.5, 0.0]]).numpy(), 8).tobytes()
    return pa.table(
        {
            "item_id": ["a", "b"],
            "brand": pa.array([None, "x"], pa.string()),
            "user_clicks_7d": pa.array([None, 3.0], pa.float32()),
            "fm_history_codes": pa.array([None, codes], pa.binary()),
            "fm_history_item_ids": pa.array([None, ["old", "new"]], pa.list_(pa.string())),
            "fm_history_labels": pa.array([None, [0, 1]], pa.list_(pa.int32())),
            "fm_history_ages_h": pa.array([None, [9.0, 0.0]], pa.list_(pa.float32())),
            "fm_item_code": pa.array([encode(torch.tensor([[1.0, 0.0]]).numpy(), 8).tobytes(), None], pa.binary()),
        }
    )


def test_histories_are_laid_newest_first_and_unknown_entities_are_empty():
    batch = FEATURES.batch(rows())
    history = batch.history
    assert history.mask.tolist() == [[False] * 3, [True, True, False]]
    assert torch.allclose(history.codes[1, :2], torch.tensor([[64 / 127, 0.0], [1.0, -1.0]]))
    assert history.labels[1].tolist() == [1, 0, 0]
    assert torch.allclose(history.ages[1], torch.log1p(torch.tensor([0.0, 9.0, 0.0])))
    assert torch.allclose(history.item_code, torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
    assert not history.codes[0].any()
    assert batch.sparse[0, 1] == 0 and batch.dense[0, 0] == 0


def test_slices_equal_the_whole():
    whole = FEATURES.batch(rows())
    parts = [batch for _, batch in FEATURES.batches(rows(), 1)]
    assert torch.equal(torch.cat([p.sparse for p in parts]), whole.sparse)
    assert torch.equal(torch.cat([p.history.codes for p in parts]), whole.history.codes)
