"""A vertical model's training beside a teacher: who gets which gradient, and what a biased or stale teacher does."""

import copy

import numpy as np
import pytest
import torch

from config import Optimizer, Transfer, VerticalModel
from models.vertical import build_vertical
from models.vertical.batch import History, VerticalBatch
from training.vertical.trainer import VerticalTrainer

SETTINGS = Optimizer(batch_size=256, learning_rate=0.01, embedding_learning_rate=0.05)
ITEMS = 40


def network(seed: int = 0):
    torch.manual_seed(seed)
    settings = VerticalModel(architecture="dnn", hyperparameters={"hidden": [16]}, embedding_dim=4, optimizer=SETTINGS)
    return build_vertical(settings, num_embeddings={"item_id": ITEMS}, num_dense=2, history_length=1)


def world(n: int, seed: int = 0) -> tuple[VerticalBatch, torch.Tensor, torch.Tensor]:
    """Batch, labels and true probabilities of n examples."""
    g = torch.Generator().manual_seed(seed)
    items, dense = torch.randint(ITEMS, (n, 1), generator=g), torch.randn(n, 2, generator=g)
    quality = torch.linspace(-2, 0.5, ITEMS)[items[:, 0]]
    p = (quality + dense[:, 0]).sigmoid()
    labels = (torch.rand(n, generator=g) < p).float()
    nothing = History(
        *(torch.zeros(n, 1, 1), torch.zeros(n, 1, 1).long(), *[torch.zeros(n, 1)] * 2),
        torch.zeros(n, 1).bool(),
        torch.zeros(n, 1),
    )
    return VerticalBatch(dense, items, nothing), labels, p


def learn(trainer: VerticalTrainer, examples, soft: torch.Tensor) -> VerticalTrainer:
    batch, labels, _ = examples
    trainer.network.train()
    for first in range(0, len(labels), 256):
        rows = slice(first, first + 256)
        trainer.step(batch.part(first, 256), labels[rows], soft[rows])
    return trainer


def calibration(trainer: VerticalTrainer, examples) -> float:
    batch, labels, _ = examples
    with torch.no_grad():
        return float(trainer.network.eval()(batch).logits.sigmoid().sum() / labels.sum())


def test_a_teacher_of_no_weight_changes_nothing():
    examples = world(512)
    plain = learn(VerticalTrainer(SETTINGS, network(), None), examples, examples[2])
    taught = learn(VerticalTrainer(SETTINGS, network(), Transfer(loss_weight=0.0)), examples, examples[2])
    for a, b in zip(plain.network.parameters(), taught.network.parameters(), strict=True):
        assert torch.equal(a, b)


def test_serving_head_auxiliary_head_and_adapter_learn_apart():
    batch, labels, p = world(64)
    trainer = VerticalTrainer(SETTINGS, network(), Transfer(student_adapter=True))
    distillation = trainer.distillation
    distillation(trainer.network.train()(batch), p).backward()
    assert all(v.grad is None or not v.grad.any() for v in trainer.network.head.parameters())
    assert all(v.grad is None for v in distillation.adapter.parameters())
    assert all(v.grad.any() for v in trainer.network.trunk[0].parameters())
    trainer.network.zero_grad(set_to_none=True)
    distillation.zero_grad(set_to_none=True)
    distillation.adapter.loss(p, labels).backward()
    assert all(v.grad is None for v in [*trainer.network.parameters(), *distillation.heads()])


def test_the_exported_network_holds_no_heads_of_training():
    names = set(network().state_dict())
    assert set(VerticalTrainer(SETTINGS, network(), Transfer(student_adapter=True)).network.state_dict()) == names


def test_an_auxiliary_head_keeps_the_teachers_bias_off_the_serving_head():
    train, test = world(20_000), world(20_000, seed=1)
    biased = (torch.logit(train[2]) + 1.0).sigmoid()
    off = {
        head: abs(
            calibration(
                learn(VerticalTrainer(SETTINGS, network(), Transfer(distillation_head=head)), train, biased), test
            )
            - 1
        )
        for head in ("auxiliary", "serving")
    }
    assert off["serving"] > 3 * off["auxiliary"]


def test_an_adapter_brings_a_drifted_teacher_nearer_to_the_clicks():
    train = world(20_000)
    stale = (0.5 * torch.logit(train[2]) + 1.0).sigmoid()
    trainer = VerticalTrainer(SETTINGS, network(), Transfer(student_adapter=True, loss_weight=0.0))
    adapter = trainer.distillation.adapter
    before = copy.deepcopy(adapter).loss(stale, train[1]).item()
    learn(trainer, train, stale)
    assert adapter.loss(stale, train[1]).item() < before - 0.02


@pytest.mark.parametrize("adapter", [False, True])
def test_training_goes_on_where_it_was_saved(tmp_path, adapter):
    transfer, examples = Transfer(student_adapter=adapter), world(1024)
    whole = learn(VerticalTrainer(SETTINGS, network(), transfer), examples, examples[2])
    halves = [(e[0].part(n, 512), e[1][n : n + 512], e[2][n : n + 512]) for e in [examples] for n in (0, 512)]
    first = learn(VerticalTrainer(SETTINGS, network(), transfer), halves[0], halves[0][2])
    first.save_state(tmp_path)
    second = VerticalTrainer(SETTINGS, copy.deepcopy(first.network), transfer)
    second.load_state(tmp_path)
    learn(second, halves[1], halves[1][2])
    for a, b in zip(whole.network.parameters(), second.network.parameters(), strict=True):
        assert np.allclose(a.detach(), b.detach(), atol=1e-6)
