"""A vertical model that reads FM histories, on users who have none: it must fall back to what the baseline knows."""

from dataclasses import replace

import numpy as np
import torch

from config import Optimizer, Transfer, VerticalSettings
from data.batches.impression_history import ImpressionLog, Slots
from quality.metrics import evaluate
from training.vertical.arm import Arm
from training.vertical.rows import VerticalRows
from training.vertical.student import Student, predict

ITEMS, SLOTS, WIDTH, COLD = 40, 5, 4, 0.3
SETTINGS = VerticalSettings(
    architecture="dnn",
    hyperparameters={"hidden": [16]},
    embedding_dim=4,
    optimizer=Optimizer(batch_size=256, learning_rate=0.01, embedding_learning_rate=0.05),
)


def world(n: int, seed: int) -> tuple[VerticalRows, torch.Tensor]:
    """Impressions whose user's taste shows in the codes of the history, and which of them have a history."""
    g = torch.Generator().manual_seed(seed)
    items = torch.randint(ITEMS, (n, 1), generator=g)
    dense, taste = torch.randn(n, 2, generator=g), torch.randn(n, generator=g)
    p = (torch.linspace(-2, 0.5, ITEMS)[items[:, 0]] + dense[:, 0] + 1.5 * taste).sigmoid()
    labels = (torch.rand(n, generator=g) < p).float()
    warm = torch.rand(n, generator=g) >= COLD
    slots = torch.arange(n * SLOTS).view(n, SLOTS).where(warm.unsqueeze(1), torch.tensor(-1))
    codes = (taste.repeat_interleave(SLOTS).unsqueeze(1) + 0.5 * torch.randn(n * SLOTS, WIDTH, generator=g)).tanh()
    past = ImpressionLog(
        np.repeat(np.arange(n), SLOTS),
        np.zeros(n * SLOTS, np.int64),
        torch.zeros(n * SLOTS),
        torch.zeros(n * SLOTS, 1).long(),
    )
    ages = torch.rand(n, SLOTS, generator=g) * warm.unsqueeze(1)
    rows = VerticalRows(items, dense, labels, p, past, codes, torch.zeros(n, WIDTH), Slots(slots, ages))
    return rows, warm


def ne(arm: Arm, train: VerticalRows, test: VerticalRows) -> float:
    student = Student(SETTINGS, Transfer(), arm, {"item_id": ITEMS}, ("item_id",))
    found = [
        evaluate(test.labels.numpy(), predict(student.fit(train, seed=s, what="test").network, test)).ne
        for s in range(2)
    ]
    return float(np.mean(found))


def test_users_without_history_are_scored_no_worse_than_by_the_baseline():
    (train, _), (test, warm) = world(12_000, seed=0), world(12_000, seed=1)
    cold_rows, warm_rows = test.part((~warm).nonzero().squeeze(1)), test.part(warm.nonzero().squeeze(1))
    baseline, history = Arm(), Arm(codes="codes", ids="all")
    assert ne(history, train, warm_rows) < ne(baseline, train, warm_rows) - 0.1
    assert ne(history, train, cold_rows) < ne(baseline, train, cold_rows) + 0.003


def test_a_history_that_is_taken_away_is_a_cold_user():
    (train, _), (test, _) = world(5_000, seed=0), world(500, seed=1)
    student = Student(SETTINGS, Transfer(), Arm(codes="codes"), {"item_id": ITEMS}, ())
    network = student.fit(train, seed=0, what="test").network
    gone = replace(test, slots=Slots(torch.full_like(test.slots.positions, -1), torch.zeros_like(test.slots.ages)))
    stale = replace(gone, slots=Slots(gone.slots.positions, torch.rand_like(gone.slots.ages)))  # nothing reads the ages
    assert np.array_equal(predict(network, gone), predict(network, stale))
    assert not np.allclose(predict(network, gone), predict(network, test), atol=1e-3)
