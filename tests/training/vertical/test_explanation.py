"""The parts of a vertical's gain, measured on worlds where only one thing of a history tells the click."""

import numpy as np
import pyarrow as pa
import pytest
import torch

from config import Optimizer, PlatformConfig, VerticalSettings
from data.batches.impression_history import HOUR_US, ImpressionLog
from data.batches.vertical import VerticalFeatures
from training.vertical.explanation import gain_parts
from training.vertical.logged_rows import LoggedRows

ROWS, ITEMS, WIDTH, NOON = 4000, 8, 4, 12 * HOUR_US


def world(config: PlatformConfig, telling: str) -> LoggedRows:
    """Each row's user has one past impression, whose item or code, as `telling` says, is that of a click to come."""
    g = torch.Generator().manual_seed(0)
    items = torch.randint(ITEMS, (ROWS, 1), generator=g)
    codes = torch.rand(ROWS, WIDTH, generator=g) * 2 - 1
    clicks = {"ids": items[:, 0] % 2, "codes": codes[:, 0] > 0, "nothing": torch.rand(ROWS, generator=g) > 0.5}
    users, past, now = np.arange(ROWS), np.zeros(ROWS, np.int64), np.full(ROWS, NOON)
    labels = clicks[telling].float()
    features = VerticalFeatures({"item_id": ITEMS}, ("x",), code_dim=WIDTH, code_bits=8, history_length=2)
    asked = torch.randint(ITEMS, (ROWS, 1), generator=g)
    vertical = VerticalSettings(
        architecture="dnn",
        hyperparameters={"hidden": [16], "history_dim": 8, "history_encoder": "mean"},
        embedding_dim=4,
        optimizer=Optimizer(batch_size=64, learning_rate=0.01, embedding_learning_rate=0.1),
    )
    return LoggedRows(
        config=config.changed(foundation_model={"codes": {"dim": WIDTH}}, vertical_model=vertical),
        features=features,
        history_ids=("item_id",),
        log=ImpressionLog(users, past, torch.rand(ROWS, generator=g).round(), items),
        logged=pa.array([str(n) for n in range(ROWS)]),
        items=items[:, 0].numpy(),
        codes=codes,
        users=users,
        asked=asked[:, 0].numpy(),
        instants=now,
        snapshots=now,
        sparse=asked,
        dense=torch.randn(ROWS, 1, generator=g),
        labels=labels,
        soft_labels=torch.full((ROWS,), 0.5),
    )


@pytest.mark.parametrize(("telling", "part"), [("ids", "temporal"), ("codes", "cross-feature"), ("nothing", None)])
def test_what_tells_the_click_is_the_part_that_gains(tiny_config: PlatformConfig, telling: str, part: str | None):
    rows = world(tiny_config, telling)
    learn, judge = rows.part(np.arange(ROWS // 2)), rows.part(np.arange(ROWS // 2, ROWS))
    ne, parts = gain_parts(learn, judge, seeds=1, passes=3)
    gains = {part.name: part.gain.value for part in parts}
    for name in ("temporal", "cross-feature"):
        assert gains[name] > 0.3 if name == part else abs(gains[name]) < 0.15
    assert sum(gains.values()) == pytest.approx(ne["none"] - ne["shipped"], abs=1e-9)
    if telling == "ids":  # codes alone lose it; the items beside them bring it back
        assert gains["residual"] < -0.3 and gains["item ids"] > 0.3
