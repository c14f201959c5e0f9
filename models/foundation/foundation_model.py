"""The foundation model as the platform trains it: embedding tables, an architecture, the compressor of its codes."""

from typing import Any, NamedTuple

from torch import Tensor, nn

from config import FoundationModel as FoundationConfig
from models.foundation import FOUNDATION_MODELS
from models.foundation.cetnet import CETNet
from models.foundation.embedded_network import EmbeddedNetwork, FoundationBatch
from models.foundation.network import FoundationOutput
from models.layers.compressor import Compressor


class CodedOutput(NamedTuple):
    """What the FM says of a batch of B examples, with what LoopFM keeps of it."""

    output: FoundationOutput
    code: Tensor  # compressed representation in (-1, 1), (B, code_dim)
    reconstruction_loss: Tensor  # (B,); trains the compressor only


class FoundationModel(nn.Module):
    """torchrec tables -> architecture -> logits and codes."""

    def __init__(
        self, config: FoundationConfig, *, sparse: tuple[str, ...], num_dense: int, sequence_length: int
    ) -> None:
        """Builds the module; the tables stay on the meta device until they are sharded.

        Args:
            config: the `foundation_model` section.
            sparse: names of the one-id features; the pooled click history is added to them.
            num_dense: number of dense features.
            sequence_length: most history steps of a row.

        Raises:
            ValueError: an architecture is unknown, or does not know a hyperparameter.
        """
        super().__init__()
        inputs: dict[str, Any] = {
            "sparse": sparse,
            "num_dense": num_dense,
            "sequence_length": sequence_length,
            "num_embeddings": config.num_embeddings,
            "managed": config.managed_collision,
        }
        self.network: EmbeddedNetwork | CETNet
        if config.architecture == "cetnet":
            ensemble = CETNet.Config.model_validate(config.hyperparameters)
            members = []
            for place, member in enumerate(ensemble.members):
                width = member.embedding_dim or config.embedding_dim
                members.append(
                    _embedded(member.architecture, member.hyperparameters, width, prefix=f"member{place}_", **inputs)
                )
            self.network = CETNet(ensemble, members)
        else:
            self.network = _embedded(config.architecture, config.hyperparameters, config.embedding_dim, **inputs)
        self.compressor = Compressor(self.network.hidden_dim, config.codes.dim, tuple(config.codes.prefixes))

    def forward(self, batch: FoundationBatch) -> CodedOutput:
        """Scores a batch."""
        output = self.network(batch)
        return CodedOutput(output, *self.compressor(output.hidden))

    def loss(self, output: FoundationOutput, labels: Tensor) -> Tensor:
        """Loss of each example, (B,)."""
        return self.network.loss(output, labels)


def reads_sequence(config: FoundationConfig) -> bool:
    """Whether the architecture, or a member of the ensemble, reads every step of the history."""
    names = [config.architecture]
    if config.architecture == "cetnet":
        names = [member.architecture for member in CETNet.Config.model_validate(config.hyperparameters).members]
    return any(FOUNDATION_MODELS[name].reads_sequence for name in names if name in FOUNDATION_MODELS)


def _embedded(
    name: str, hyperparameters: dict[str, Any], embedding_dim: int, *, prefix: str = "", **inputs: Any
) -> EmbeddedNetwork:
    if name not in FOUNDATION_MODELS:
        raise ValueError(
            f"Unknown architecture {name!r} in foundation_model.architecture. "
            f"Known: {', '.join(sorted([*FOUNDATION_MODELS, 'cetnet']))}."
        )
    architecture = FOUNDATION_MODELS[name]
    config = architecture.Config.model_validate(hyperparameters)
    return EmbeddedNetwork(architecture, config, embedding_dim=embedding_dim, prefix=prefix, **inputs)
