"""A vertical model's training beside a teacher: who gets which gradient, and what a biased or stale teacher does."""

import copy

import numpy as np
import pytest
import torch

from config import Optimizer, Transfer, VerticalSettings
from models.vertical import build_vertical
from models.vertical.batch import History, VerticalBatch
from quality.metrics import evaluate
from tests.training.test_weight_average import recursion
from training.vertical.trainer import VerticalTrainer

SETTINGS = Optimizer(batch_size=256, learning_rate=0.01, embedding_learning_rate=0.05)
ITEMS = 40


def network(seed: int = 0):
    torch.manual_seed(seed)
    settings = VerticalSettings(
        architecture="dnn", hyperparameters={"hidden": [16]}, embedding_dim=4, optimizer=SETTINGS
    )
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


@pytest.mark.parametrize(("adapter", "ema_decay"), [(False, 0.0), (True, 0.0), (True, 0.9)])
def test_training_goes_on_where_it_was_saved(tmp_path, adapter, ema_decay):
    transfer, examples, settings = Transfer(student_adapter=adapter), world(1024), SETTINGS.changed(ema_decay=ema_decay)
    whole = learn(VerticalTrainer(settings, network(), transfer), examples, examples[2])
    whole.end()
    halves = [(e[0].part(n, 512), e[1][n : n + 512], e[2][n : n + 512]) for e in [examples] for n in (0, 512)]
    first = learn(VerticalTrainer(settings, network(), transfer), halves[0], halves[0][2])
    first.end()
    first.save_state(tmp_path)
    second = VerticalTrainer(settings, copy.deepcopy(first.network), transfer)
    second.load_state(tmp_path)
    learn(second, halves[1], halves[1][2]).end()
    for a, b in zip(whole.network.parameters(), second.network.parameters(), strict=True):
        assert np.allclose(a.detach(), b.detach(), atol=1e-6)


def test_the_average_of_network_and_tables_serves():
    examples, course = world(1024), []
    trainer, plain = (VerticalTrainer(SETTINGS.changed(ema_decay=d), network(), None) for d in (0.9, 0.0))
    for first in range(0, 1024, 256):
        part = (examples[0].part(first, 256), examples[1][first : first + 256], None)
        learn(plain, part, examples[2][first : first + 256])
        learn(trainer, part, examples[2][first : first + 256])
        course.append([weight.detach().clone() for weight in plain.network.parameters()])
        assert all(torch.equal(a, b) for a, b in zip(course[-1], trainer.network.parameters(), strict=True))
    trainer.end()
    names = [name for name, _ in trainer.network.named_parameters()]
    assert any(name.startswith("embeddings.") for name in names)
    for number, (name, average) in enumerate(trainer.network.named_parameters()):
        expected = recursion([step[number] for step in course], 0.9)
        assert torch.allclose(average, expected, atol=1e-6), name
    heads = VerticalTrainer(SETTINGS.changed(ema_decay=0.9), network(), Transfer(loss_weight=1.0))
    learn(heads, examples, examples[2])
    before = [weight.detach().clone() for weight in heads.distillation.heads()]
    heads.end()  # no one is served by them
    assert all(torch.equal(a, b) for a, b in zip(before, heads.distillation.heads(), strict=True))


def taught(soft_labels: torch.Tensor, examples, **transfer) -> list[torch.Tensor]:
    """Weights of a network that learnt the examples beside soft labels."""
    trainer = learn(VerticalTrainer(SETTINGS, network(), Transfer(**transfer)), examples, soft_labels)
    return [parameter.detach() for parameter in trainer.network.parameters()]


@pytest.mark.parametrize("head", ["auxiliary", "serving"])
def test_what_is_distilled_are_the_teachers_probabilities_and_not_the_clicks(head: str):
    examples = world(512)
    of_clicks = taught(examples[1], examples, distillation_head=head)
    of_teacher = taught(examples[2], examples, distillation_head=head)
    assert not all(torch.allclose(a, b, atol=1e-3) for a, b in zip(of_clicks, of_teacher, strict=True))


@pytest.mark.parametrize("head", ["auxiliary", "serving"])
def test_a_teacher_that_knows_more_improves_the_serving_head(head: str):
    """Clicks are few and depend on what the network must find in 20 features; the teacher's probability tells more."""

    def features(n: int, seed: int) -> tuple[VerticalBatch, torch.Tensor, torch.Tensor]:
        batch, _, _ = world(n, seed)
        g = torch.Generator().manual_seed(seed + 100)
        dense = torch.randn(n, 20, generator=g)
        p = (3 * (dense[:, :2].prod(dim=1) + dense[:, 2] - 0.5)).sigmoid()
        return batch._replace(dense=dense), (torch.rand(n, generator=g) < p).float(), p

    train, test = features(2000, 0), features(4000, 1)

    def ne(transfer: Transfer | None) -> float:
        torch.manual_seed(0)
        settings = VerticalSettings(
            architecture="dnn", hyperparameters={"hidden": [32, 16]}, embedding_dim=4, optimizer=SETTINGS
        )
        trainer = VerticalTrainer(
            SETTINGS,
            build_vertical(settings, num_embeddings={"item_id": ITEMS}, num_dense=20, history_length=1),
            transfer,
        )
        for _ in range(8):
            learn(trainer, train, train[2])
        with torch.no_grad():
            return evaluate(test[1].numpy(), trainer.network.eval()(test[0]).logits.sigmoid().numpy()).ne

    assert ne(Transfer(distillation_head=head, loss_weight=3.0)) < ne(None) - 0.02


def test_the_adapted_head_learns_the_corrected_soft_label():
    """ExFM eq. 7: BCE(head(h), adapter(p)), so an adapter that says otherwise gives another loss."""
    batch, _, p = world(64)
    net = network()
    output = net(batch)
    distillation = VerticalTrainer(SETTINGS, net, Transfer(student_adapter=True, loss_weight=0.0)).distillation
    torch.nn.init.constant_(distillation.adapter.correction.bias, 1.5)  # logit(p) + 1.5
    logits = distillation.adapted.head(output.hidden).squeeze(-1)
    corrected = (torch.logit(p) + 1.5).sigmoid()
    expected = -(corrected * logits.sigmoid().log() + (1 - corrected) * (1 - logits.sigmoid()).log()).mean()
    assert distillation(output, p).item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("adapter_alone", [False, True])
def test_the_gradient_scale_holds_for_each_head_of_training(adapter_alone: bool):
    def gradient(scale: float) -> torch.Tensor:
        weight = 0.0 if adapter_alone else 1.0
        transfer = Transfer(student_adapter=adapter_alone, loss_weight=weight, gradient_scale=scale)
        batch, _, p = world(64)
        net = network()
        trainer = VerticalTrainer(SETTINGS, net, transfer)
        trainer.distillation(net(batch), p).backward()
        return net.trunk[0].weight.grad

    assert gradient(1.0).any()
    assert torch.allclose(gradient(0.3), 0.3 * gradient(1.0), atol=1e-7)


def test_gradients_of_the_dense_part_are_clipped_before_the_step():
    batch, labels, p = world(256)
    norms = {}
    for clip in (1e-3, 1e3):
        settings = SETTINGS.changed(gradient_clip_norm=clip)
        trainer = VerticalTrainer(settings, network(), Transfer(loss_weight=10.0))
        trainer.step(batch, labels, p)
        dense = [v for name, v in trainer.network.named_parameters() if not name.startswith("embeddings.")]
        gradients = [v.grad.flatten() for v in [*dense, *trainer.distillation.heads()]]
        norms[clip] = torch.cat(gradients).norm().item()
    assert norms[1e-3] == pytest.approx(1e-3, rel=1e-3)
    assert 0.1 < norms[1e3] < 1e3
