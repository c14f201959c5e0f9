"""Training one vertical model: its seed, its passes, its batches."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from config import Optimizer, Transfer, VerticalSettings
from data.batches.impression_history import ImpressionLog, Slots
from training.vertical.arm import Arm
from training.vertical.rows import VerticalRows
from training.vertical.student import Student

ITEMS, WIDTH, SLOTS = 20, 4, 3
OPTIMIZER = Optimizer(batch_size=32, learning_rate=0.01, embedding_learning_rate=0.05)


def rows(n: int = 200) -> VerticalRows:
    g = torch.Generator().manual_seed(0)
    log = ImpressionLog(np.arange(n), np.zeros(n, np.int64), torch.ones(n), torch.randint(ITEMS, (n, 1), generator=g))
    slots = Slots(torch.randint(n, (n, SLOTS), generator=g), torch.rand(n, SLOTS, generator=g))
    labels, soft = torch.rand(n, generator=g).round(), torch.rand(n, generator=g)
    codes = torch.randn(n, WIDTH, generator=g)
    items = torch.randint(ITEMS, (n, 1), generator=g)
    return VerticalRows(items, torch.randn(n, 2, generator=g), labels, soft, log, codes, codes, slots)


def weights(of: VerticalRows, *, seed: int = 0, epochs: int = 1, ema_decay: float = 0.0) -> torch.Tensor:
    settings = VerticalSettings(
        architecture="dnn",
        hyperparameters={"hidden": [8]},
        embedding_dim=4,
        optimizer=OPTIMIZER.changed(ema_decay=ema_decay),
    )
    arm = Arm("auxiliary", codes="codes", ids="item")
    student = Student(settings, Transfer(), arm, {"item_id": ITEMS}, ("item_id",))
    network = student.fit(of, seed=seed, what="test", epochs=epochs).network
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


def test_the_seed_decides_the_weights():
    torch.manual_seed(5)
    once = weights(rows(), seed=0)
    torch.manual_seed(6)  # what else was drawn has no part in it
    assert torch.equal(weights(rows(), seed=0), once)
    assert not torch.allclose(weights(rows(), seed=1), once, atol=1e-2)


def test_what_is_trained_holds_the_average():
    assert not torch.allclose(weights(rows(), ema_decay=0.9), weights(rows()), atol=1e-3)


def test_every_pass_learns():
    assert not torch.allclose(weights(rows(), epochs=2), weights(rows(), epochs=1), atol=1e-3)


def test_rows_are_learnt_in_their_order():
    backwards = rows().part(torch.arange(199, -1, -1))
    assert not torch.allclose(weights(backwards), weights(rows()), atol=1e-3)


def test_a_last_batch_of_one_row_is_left_out():
    """Batch normalization would learn nothing but that row."""
    assert torch.equal(weights(rows().part(slice(0, 65))), weights(rows().part(slice(0, 64))))
    assert not torch.equal(weights(rows().part(slice(0, 66))), weights(rows().part(slice(0, 64))))


@pytest.mark.parametrize("wrong", ["labels", "soft_labels"])
def test_clicks_and_soft_labels_are_both_learnt(wrong: str):
    other = replace(rows(), **{wrong: 1 - getattr(rows(), wrong)})
    assert not torch.allclose(weights(other), weights(rows()), atol=1e-3)


def test_a_loss_that_is_not_finite_is_told_with_its_place():
    spoilt = rows()
    spoilt.dense[70] = torch.inf
    with pytest.raises(FloatingPointError, match="test: loss is nan at impressions from number 65 of 200; lower"):
        weights(spoilt)
