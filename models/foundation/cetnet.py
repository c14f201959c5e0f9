"""CETNet: members with tables of their own, taught by each other and fused by confidence (arXiv:2411.13700)."""

from itertools import combinations
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, softplus

from config import Name, Section
from models.architectures.architecture import Count
from models.foundation.embedded_network import EmbeddedNetwork, FoundationBatch
from models.foundation.head import FoundationOutput

Weight = Annotated[float, Field(ge=0)]
CLAMP = 1e-7  # fused probabilities stay this far from 0 and 1
BASE_RATE_STEPS = 1000  # the base rate is a running mean over about so many batches
BASE_RATE_PRIOR = 10  # batches that its start at ½ counts for


class Member(Section):
    """One model of the ensemble."""

    architecture: Name  # one of ARCHITECTURES
    hyperparameters: dict[str, Any] = {}  # the architecture's and the head's
    embedding_dim: int | None = Field(default=None, gt=0)  # None: the foundation model's


def entropy(logits: Tensor) -> Tensor:
    """Computes the entropy of a Bernoulli of the given logit, in nats; exact for large logits too."""
    size = logits.abs()
    return softplus(-size) + size * torch.sigmoid(-size)


def confidence(logits: Tensor, base_rate: Tensor | None = None) -> Tensor:
    """Computes how sure a prediction is: −H(p), or KL(p ‖ base rate), which favours no low p where clicks are rare."""
    if base_rate is None:
        return -entropy(logits)
    p = torch.sigmoid(logits)
    return -entropy(logits) - p * base_rate.log() - (1 - p) * (-base_rate).log1p()


def symmetric_divergence(a: Tensor, b: Tensor) -> Tensor:
    """Computes ½[KL(p_a ‖ p_b) + KL(p_b ‖ p_a)] of two Bernoullis from their logits: ½(p_a − p_b)(s_a − s_b)."""
    return 0.5 * (torch.sigmoid(a) - torch.sigmoid(b)) * (a - b)


def divergence_from_teacher(student: Tensor, teacher: Tensor) -> Tensor:
    """Computes KL(p_teacher ‖ p_student), whose gradient reaches the student only."""
    teacher = teacher.detach()
    return binary_cross_entropy_with_logits(student, torch.sigmoid(teacher), reduction="none") - entropy(teacher)


class CETNet(nn.Module):
    """Members trained together; the fused probability is their mean, weighted by a softmax of their confidences.

    Fusion and loss are what the abstract describes; where it leaves the form open, the plainest one is taken.

    B: batch, K: members, H: width of the representation, the sum of the members'
    """

    steps: Tensor  # training batches seen, ()
    base_rate: Tensor  # running mean of the labels, ()

    class Config(Section):
        """Hyperparameters."""

        members: Annotated[list[Member], Field(min_length=2)]
        temperature: float = Field(default=1.0, gt=0)  # of the fusion: high, the mean; low, the surest member
        confidence: Literal["entropy", "relative"] = "entropy"  # relative: to the base rate of clicks
        fused_weight: Weight = 1.0  # of the fused prediction's loss
        member_weight: Weight = 1.0  # of the sum of the members' losses
        collaboration_weight: Weight = 0.1  # of the mean divergence of two members
        warmup_steps: Count | None = None  # the collaboration weight grows linearly from 0 over these; None: at once
        gradient: Literal["mutual", "detach_target"] = "mutual"  # of the divergence: into both, or into the student

    def __init__(self, config: Config, members: list[EmbeddedNetwork]) -> None:
        super().__init__()
        self.config = config
        self.members = nn.ModuleList(members)
        self.hidden_dim = sum(member.hidden_dim for member in members)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.register_buffer("base_rate", torch.tensor(0.5))  # at ½ relative confidence is the entropy's

    def forward(self, batch: FoundationBatch) -> FoundationOutput:
        """Scores a batch."""
        outputs = [member(batch) for member in self.members]
        logits = tuple(output.logits for output in outputs)
        return FoundationOutput(self.fuse(torch.stack(logits)), torch.cat([o.hidden for o in outputs], dim=1), logits)

    def weights(self, logits: Tensor) -> Tensor:
        """Computes the weight of each member, (K, B); no gradient, as a member could lower the loss by seeming sure.

        Args:
            logits: the members', (K, B).
        """
        base_rate = self.base_rate if self.config.confidence == "relative" else None
        return torch.softmax(confidence(logits.detach().float(), base_rate) / self.config.temperature, dim=0)

    def fuse(self, logits: Tensor) -> Tensor:
        """Maps (K, B) to the logit of Σ w p, (B,), in float32 whatever the members' precision."""
        p = (self.weights(logits) * torch.sigmoid(logits.float())).sum(dim=0)
        return torch.logit(p, eps=CLAMP)

    def loss(self, output: FoundationOutput, labels: Tensor) -> Tensor:
        """Computes the loss of each example, (B,): of the fused prediction, of each member, and their divergence."""
        config = self.config
        logits = [member.float() for member in output.members]
        collaboration_weight = self._collaboration_weight()
        if self.training:
            self._count(labels)
        fused = binary_cross_entropy_with_logits(output.logits, labels, reduction="none")
        alone = [binary_cross_entropy_with_logits(member, labels, reduction="none") for member in logits]
        return (
            config.fused_weight * fused
            + config.member_weight * torch.stack(alone).sum(dim=0)
            + collaboration_weight * self._collaboration(logits)
        )

    def _collaboration(self, logits: list[Tensor]) -> Tensor:
        """Computes the mean divergence over pairs of members, (B,)."""
        if self.config.gradient == "mutual":
            pairs = [symmetric_divergence(a, b) for a, b in combinations(logits, 2)]
        else:
            pairs = [
                0.5 * (divergence_from_teacher(a, b) + divergence_from_teacher(b, a))
                for a, b in combinations(logits, 2)
            ]
        return torch.stack(pairs).mean(dim=0)

    def _collaboration_weight(self) -> Tensor:
        done = self.steps / self.config.warmup_steps if self.config.warmup_steps else torch.ones_like(self.base_rate)
        return self.config.collaboration_weight * done.clamp(max=1)

    @torch.no_grad()
    def _count(self, labels: Tensor) -> None:
        self.steps += 1
        self.base_rate += (labels.float().mean() - self.base_rate) / (self.steps + BASE_RATE_PRIOR).clamp(
            max=BASE_RATE_STEPS
        )
        self.base_rate.clamp_(CLAMP, 1 - CLAMP)
