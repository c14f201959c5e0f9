"""ExFM's auxiliary head: isolation, gradient and label scaling (arXiv:2502.17494, section 4)."""

import math

import pytest
import torch

from models.losses import AuxiliaryHead, StudentAdapter, gradient_scale


def trunk_gradient(scale: float, label_scale: float = 1.0) -> tuple[torch.Tensor, AuxiliaryHead]:
    torch.manual_seed(0)
    head = AuxiliaryHead(4, label_scale=label_scale, gradient_scale=scale)
    hidden = torch.randn(6, 4, generator=torch.Generator().manual_seed(1)).requires_grad_()
    head(hidden, torch.linspace(0.1, 0.9, 6)).backward()
    return hidden.grad, head


def test_gradient_scale_reaches_the_trunk_and_not_the_head():
    one, head_one = trunk_gradient(1.0)
    many, head_many = trunk_gradient(7.0)
    assert torch.allclose(many, 7.0 * one, atol=1e-6)
    for a, b in zip(head_one.parameters(), head_many.parameters(), strict=True):
        assert torch.equal(a.grad, b.grad)


def test_gradient_scale_is_the_identity_forward():
    x = torch.randn(3)
    assert torch.equal(gradient_scale(x, 5.0), x)


def test_soft_labels_are_scaled_and_clipped_at_one():
    head = AuxiliaryHead(2, label_scale=5.0, gradient_scale=1.0)
    for parameter in head.parameters():
        torch.nn.init.zeros_(parameter)
    torch.nn.init.constant_(head.head[-1].bias, 2.0)
    # Targets 0.5 and min(4.5, 1) = 1 at logit 2: BCE = log(1 + e^2) - 2 * target.
    expected = math.log(1 + math.e**2) - 2 * (0.5 + 1.0) / 2
    assert head(torch.zeros(2, 2), torch.tensor([0.1, 0.9])).item() == pytest.approx(expected, abs=1e-6)


def test_rows_without_a_soft_label_teach_nothing():
    head = AuxiliaryHead(4, label_scale=1.0, gradient_scale=1.0)
    hidden = torch.randn(4, 4, requires_grad=True)
    loss = head(hidden, torch.tensor([0.2, math.nan, 0.7, math.nan]))
    loss.backward()
    assert torch.isfinite(loss)
    assert not hidden.grad[[1, 3]].any() and hidden.grad[[0, 2]].all()
    assert head(hidden, torch.full((4,), math.nan)).item() == 0.0


def test_a_fresh_adapter_leaves_the_soft_label_as_it_is():
    soft = torch.tensor([0.1, 0.5, math.nan, 0.9])
    adapted = StudentAdapter()(soft).sigmoid()
    assert torch.allclose(adapted, soft, atol=1e-6, equal_nan=True)
    assert StudentAdapter().loss(torch.full((3,), math.nan), torch.ones(3)).item() == 0.0


def test_an_adapter_learns_how_a_stale_teacher_is_wrong():
    torch.manual_seed(0)
    truth = torch.randn(4000) - 1.0
    labels = (torch.rand(4000) < truth.sigmoid()).float()
    stale = (0.5 * truth + 1.0).sigmoid()  # too high, and too sure of too little
    adapter = StudentAdapter()
    before = adapter.loss(stale, labels).item()
    optimizer = torch.optim.Adam(adapter.parameters(), lr=0.01)
    for _ in range(300):
        optimizer.zero_grad()
        adapter.loss(stale, labels).backward()
        optimizer.step()
    best = torch.nn.functional.binary_cross_entropy_with_logits(truth, labels).item()
    assert before - best > 0.05
    assert adapter.loss(stale, labels).item() - best < 0.1 * (before - best)
