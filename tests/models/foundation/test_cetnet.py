"""CETNet: separate members, fusion by confidence, collaboration."""

import math
from itertools import pairwise

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from models.foundation.cetnet import CETNet, confidence, divergence_from_teacher, entropy, symmetric_divergence
from models.foundation.embedded_network import FoundationBatch
from models.foundation.head import FoundationOutput
from tests.models.foundation.models import foundation_batch, foundation_model

PAIR = [{"architecture": "interformer"}, {"architecture": "dhen"}]
LENGTHS = [3, 0, 6, 1]
LABELS = torch.tensor([1.0, 0.0, 0.0, 1.0])


def cetnet(members: list[dict] = PAIR, **hyperparameters) -> CETNet:
    return foundation_model("cetnet", members=members, **hyperparameters).network


def fusion(**hyperparameters) -> CETNet:
    """Without members: logits are given."""
    return CETNet(CETNet.Config.model_validate({"members": PAIR, **hyperparameters}), [])


def divergence(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """KL of two Bernoullis given by logits, term by term."""
    p, q = torch.sigmoid(a), torch.sigmoid(b)
    return p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()


def tables(member: torch.nn.Module) -> list[torch.Tensor]:
    return [p for name, p in member.named_parameters() if not name.startswith("network.")]


def test_members_have_tables_of_their_own():
    model, batch = cetnet().eval(), foundation_batch(LENGTHS)
    first, second = ({table.data_ptr() for table in tables(member)} for member in model.members)
    assert len(first) == len(second) == 3 and not first & second
    before = model(batch)
    with torch.no_grad():
        for table in tables(model.members[1]):
            table.zero_()
    after = model(batch)
    assert torch.equal(before.members[0], after.members[0])
    assert not torch.equal(before.members[1], after.members[1])


def test_members_of_one_architecture_start_differently():
    model = cetnet([{"architecture": "dhen"}, {"architecture": "dhen"}])
    logits = model(foundation_batch(LENGTHS)).members
    assert not torch.allclose(*logits)
    for a, b in zip(model.members[0].network.parameters(), model.members[1].network.parameters(), strict=True):
        assert not torch.equal(a, b) or a.unique().numel() == 1  # biases and norms may start at one value


def test_divergence_equals_its_closed_form():
    torch.manual_seed(0)
    a, b = torch.randn(100, dtype=torch.float64), torch.randn(100, dtype=torch.float64)
    closed = symmetric_divergence(a, b)
    assert torch.allclose(closed, 0.5 * (divergence(a, b) + divergence(b, a)), atol=1e-6)
    assert torch.allclose(closed, symmetric_divergence(b, a)) and (closed > 0).all()
    assert not symmetric_divergence(a, a).any()
    taught = 0.5 * (divergence_from_teacher(a, b) + divergence_from_teacher(b, a))
    assert torch.allclose(closed, taught, atol=1e-6)


def test_only_the_student_learns_where_the_target_is_detached():
    student, teacher = torch.zeros(3, requires_grad=True), torch.ones(3, requires_grad=True)
    divergence_from_teacher(student, teacher).sum().backward()
    assert teacher.grad is None
    assert torch.allclose(student.grad, torch.sigmoid(torch.zeros(3)) - torch.sigmoid(torch.ones(3)))


def test_weights_are_a_distribution():
    torch.manual_seed(0)
    logits = 5 * torch.randn(3, 50)
    weights = fusion().weights(logits)
    assert torch.allclose(weights.sum(dim=0), torch.ones(50)) and (weights >= 0).all()
    assert torch.allclose(fusion().weights(torch.full((3, 4), 0.7)), torch.full((3, 4), 1 / 3))
    pair = fusion().weights(20 * torch.randn(2, 500))
    assert pair.min() >= 1 / 3 - 1e-6 and pair.max() <= 2 / 3 + 1e-6  # confidence spans ln 2


def test_a_lower_temperature_trusts_the_surest_more():
    logits = torch.tensor([[0.3, -2.0], [1.0, 0.5]])
    highest = [fusion(temperature=t).weights(logits).max(dim=0).values for t in (10.0, 1.0, 0.1, 0.01)]
    assert all((low > high).all() for high, low in pairwise(highest))
    # p = .04 and .06: the page's numbers.
    rare = torch.tensor([[0.04], [0.06]]).logit()
    for temperature, expected in ((1.0, 0.515), (0.1, 0.64), (0.01, 0.997)):
        assert fusion(temperature=temperature).weights(rare)[0].item() == pytest.approx(expected, abs=6e-3)


def test_a_prediction_further_from_a_half_weighs_more():
    logits = torch.tensor([[2.0, -2.0, 0.1], [1.0, 1.0, -0.2]])
    weights = fusion().weights(logits)
    assert (weights[0] > weights[1]).tolist() == [True, True, False]


def test_entropy_is_the_definitions_and_finite():
    logits = torch.linspace(-30, 30, 601)
    p = torch.sigmoid(logits.double())
    q = torch.sigmoid(-logits.double())
    assert torch.allclose(entropy(logits).double(), -p * p.log() - q * q.log(), atol=1e-6)
    assert torch.isfinite(entropy(torch.tensor([-100.0, 100.0]))).all()


def test_relative_confidence_does_not_favour_rare_clicks():
    logits, base_rate = torch.tensor([0.01, 0.05, 0.2]).logit(), torch.tensor(0.05)
    expected = [p * math.log(p / 0.05) + (1 - p) * math.log((1 - p) / 0.95) for p in (0.01, 0.05, 0.2)]
    assert confidence(logits, base_rate).tolist() == pytest.approx(expected, abs=1e-6)
    assert torch.allclose(confidence(logits, torch.tensor(0.5)), math.log(2) + confidence(logits), atol=1e-6)


def test_base_rate_follows_the_labels_in_training_only():
    model = fusion(confidence="relative")
    output = FoundationOutput(torch.zeros(4), torch.zeros(4, 1), (torch.zeros(4), torch.zeros(4)))
    labels = torch.tensor([1.0, 0.0, 0.0, 0.0])
    model.eval().loss(output, labels)
    assert model.base_rate == 0.5 and model.steps == 0
    model.train()
    for _ in range(500):
        model.loss(output, labels)
    assert model.base_rate.item() == pytest.approx(0.25, abs=0.01) and model.steps == 500


def test_fused_logit_is_the_weighted_mean_of_probabilities():
    logits = torch.tensor([[0.3, -2.0], [1.0, 0.5]])
    model = fusion(temperature=0.3)
    p = (model.weights(logits) * torch.sigmoid(logits)).sum(dim=0)
    assert torch.allclose(torch.sigmoid(model.fuse(logits)), p, atol=1e-6)
    extreme = model.fuse(torch.tensor([[100.0, -100.0], [100.0, -100.0]], dtype=torch.bfloat16))
    assert extreme.dtype == torch.float32 and torch.isfinite(extreme).all()


def test_fusion_gives_members_gradient_through_probabilities_only():
    model = fusion(temperature=0.1)
    logits = torch.tensor([[0.3], [1.0]], requires_grad=True)
    p = torch.sigmoid(model.fuse(logits))
    p.sum().backward()
    slope = torch.sigmoid(logits) * torch.sigmoid(-logits)
    assert torch.allclose(logits.grad, (model.weights(logits) * slope).detach(), atol=1e-6)


@pytest.mark.parametrize("gradient", ["mutual", "detach_target"])
def test_loss_is_the_sum_of_its_terms_for_each_example(gradient):
    torch.manual_seed(0)
    members = tuple(torch.randn(4) for _ in range(3))
    model = fusion(fused_weight=0.5, member_weight=2.0, collaboration_weight=0.3, gradient=gradient).eval()
    fused = model.fuse(torch.stack(members))
    alone = [binary_cross_entropy_with_logits(s, LABELS, reduction="none") for s in members]
    pairs = [(0, 1), (0, 2), (1, 2)]
    apart = sum(0.5 * (divergence(members[i], members[j]) + divergence(members[j], members[i])) for i, j in pairs)
    p = torch.sigmoid(fused)
    task = -(LABELS * p.log() + (1 - LABELS) * (1 - p).log())
    loss = model.loss(FoundationOutput(fused, torch.zeros(4, 1), members), LABELS)
    assert loss.shape == (4,)
    assert torch.allclose(loss, 0.5 * task + 2.0 * sum(alone) + 0.3 * apart / 3, atol=1e-5)


def test_collaboration_warms_up_linearly():
    model = fusion(fused_weight=0.0, member_weight=0.0, collaboration_weight=0.4, warmup_steps=4)
    members = (torch.ones(1), -torch.ones(1))
    full = 0.4 * symmetric_divergence(*members).item()
    losses = [model.loss(FoundationOutput(torch.zeros(1), torch.zeros(1, 1), members), torch.ones(1)) for _ in range(6)]
    assert [loss.item() for loss in losses] == pytest.approx([full * part for part in (0, 0.25, 0.5, 0.75, 1, 1)])


def test_a_member_trains_as_if_alone_without_fused_and_collaboration_loss():
    batch = foundation_batch(LENGTHS)
    model = cetnet(fused_weight=0.0, collaboration_weight=0.0)
    model.loss(model(batch), LABELS).sum().backward()
    together = [[p.grad.clone() for p in member.parameters()] for member in model.members]
    model.zero_grad()
    for member, gradients in zip(model.members, together, strict=True):
        member.loss(member(batch), LABELS).sum().backward()
        for p, gradient in zip(member.parameters(), gradients, strict=True):
            assert torch.allclose(p.grad, gradient, atol=1e-7)


def clicks(seed: int) -> tuple[FoundationBatch, torch.Tensor]:
    """Rows whose rare clicks one dense feature explains."""
    batch = foundation_batch([0] * 256, seed=seed)
    chance = torch.rand(256, generator=torch.Generator().manual_seed(1000 + seed))
    return batch, (chance < torch.sigmoid(2 * batch.dense[:, 0] - 2)).float()


def unseen_logits(collaboration_weight: float, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The members', (2, rows), and the fused, (rows,), after one pass over other rows."""
    small = {"num_tokens": 4, "num_layers": 1}
    members = [{"architecture": "dhen", "hyperparameters": small}, {"architecture": "dlrm"}]
    model = foundation_model("cetnet", seed=seed, members=members, collaboration_weight=collaboration_weight).network
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    for step in range(30):
        batch, labels = clicks(step)
        loss = model.loss(model(batch), labels).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        outputs = [model.eval()(clicks(100 + part)[0]) for part in range(4)]
    members_logits = torch.cat([torch.stack(output.members) for output in outputs], dim=1)
    return members_logits, torch.cat([output.logits for output in outputs])


def test_collaboration_draws_members_together_and_fusion_keeps_their_mean():
    correlations = []
    for weight in (0.0, 0.1, 1.0):
        runs = [unseen_logits(weight, seed) for seed in (0, 1)]
        correlations.append(sum(torch.corrcoef(members)[0, 1] for members, _ in runs))
        for members, fused in runs:
            mean = torch.sigmoid(members).mean(dim=0).sum().item()
            assert torch.sigmoid(fused).sum().item() == pytest.approx(mean, rel=0.01)
    assert all(low <= high for low, high in pairwise(correlations))
