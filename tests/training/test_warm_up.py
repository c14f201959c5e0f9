"""The rates of a fresh model's first steps, through both trainers."""

import pytest
import torch

from config import Optimizer
from training.warm_up import WarmUp

SETTINGS = Optimizer(batch_size=4, learning_rate=0.01, embedding_learning_rate=0.4, warmup_steps=4)


def optimizers(steps_made: int = 0) -> tuple[torch.optim.Adam, torch.optim.Adagrad]:
    adam = torch.optim.Adam([torch.zeros(2, requires_grad=True)], lr=SETTINGS.learning_rate)
    adagrad = torch.optim.Adagrad([torch.zeros(2, requires_grad=True)], lr=SETTINGS.embedding_learning_rate)
    for _ in range(steps_made):
        adam.param_groups[0]["params"][0].grad = torch.ones(2)
        adam.step()
    return adam, adagrad


def rates(settings: Optimizer, adam: torch.optim.Optimizer, adagrad: torch.optim.Optimizer, n: int) -> list[tuple]:
    warm_up = WarmUp(settings, adam, {adam: settings.learning_rate, adagrad: settings.embedding_learning_rate})
    seen = []
    for _ in range(n):
        warm_up.before_step()
        seen.append((adam.param_groups[0]["lr"], adagrad.param_groups[0]["lr"]))
    return seen


def test_both_rates_rise_to_what_is_configured_and_stay():
    assert rates(SETTINGS, *optimizers(), 6) == [
        pytest.approx((0.01 * share, 0.4 * share)) for share in (0.25, 0.5, 0.75, 1, 1, 1)
    ]


def test_a_model_that_has_learnt_goes_on_where_it_was():
    assert rates(SETTINGS, *optimizers(steps_made=2), 2) == [pytest.approx((0.0075, 0.3)), pytest.approx((0.01, 0.4))]
    assert rates(SETTINGS, *optimizers(steps_made=9), 1) == [(0.01, 0.4)]


def test_without_warm_up_nothing_changes():
    assert rates(SETTINGS.changed(warmup_steps=0), *optimizers(), 1) == [(0.01, 0.4)]
