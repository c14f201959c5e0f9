"""CETNet: members with tables of their own, taught by each other and fused by confidence (arXiv:2411.13700)."""

from typing import Annotated, Any

from pydantic import Field
from torch import Tensor, nn

from config import Name, Section
from models.foundation.embedded_network import EmbeddedNetwork, FoundationBatch
from models.foundation.network import FoundationOutput


class Member(Section):
    """One model of the ensemble."""

    architecture: Name
    hyperparameters: dict[str, Any] = {}
    embedding_dim: int | None = Field(default=None, gt=0)  # None: the foundation model's


class CETNet(nn.Module):
    """Collaborative ensemble."""

    class Config(Section):
        """Hyperparameters."""

        members: Annotated[list[Member], Field(min_length=2)]

    def __init__(self, config: Config, members: list[EmbeddedNetwork]) -> None:
        super().__init__()
        raise NotImplementedError

    def forward(self, batch: FoundationBatch) -> FoundationOutput:
        raise NotImplementedError

    def loss(self, output: FoundationOutput, labels: Tensor) -> Tensor:
        raise NotImplementedError
