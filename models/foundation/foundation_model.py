"""The foundation model as the platform trains it: tables, an architecture or an ensemble of some, head, compressor."""

from typing import NamedTuple

from torch import Tensor, nn

from config import FoundationSettings
from models.architectures import architecture_named
from models.architectures.architecture import Architecture
from models.foundation.cetnet import CETNet, Member
from models.foundation.embedded_network import EmbeddedNetwork, FoundationBatch
from models.foundation.head import FoundationOutput
from models.layers.compressor import Compressor

ENSEMBLES: dict[str, type[CETNet]] = {"cetnet": CETNet}  # their members are ARCHITECTURES


class CodedOutput(NamedTuple):
    """The FM's predictions for B examples, with the codes that LoopFM keeps."""

    output: FoundationOutput
    code: Tensor  # compressed representation in (-1, 1), (B, code_dim)
    reconstruction_loss: Tensor  # (B,); trains the compressor only


class FoundationModel(nn.Module):
    """torchrec tables -> architecture -> logits and codes."""

    def __init__(
        self, config: FoundationSettings, *, sparse: tuple[str, ...], num_dense: int, sequence_length: int
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
        ensemble = ENSEMBLES.get(config.architecture)
        networks = [
            EmbeddedNetwork(
                architecture,
                member.hyperparameters,
                sparse=sparse,
                num_dense=num_dense,
                num_embeddings=config.num_embeddings,
                embedding_dim=member.embedding_dim or config.embedding_dim,
                sequence_length=sequence_length,
                first_embeddings=config.first_embeddings,
                managed=config.managed_collision,
                prefix=f"member{number}_" if ensemble else "",
            )
            for number, (member, architecture) in enumerate(_members(config))
        ]
        self.network: EmbeddedNetwork | CETNet = networks[0]
        if ensemble:
            self.network = ensemble(ensemble.Config.model_validate(config.hyperparameters), networks)
        self.compressor = Compressor(self.network.hidden_dim, config.codes.dim, tuple(config.codes.prefixes))

    def forward(self, batch: FoundationBatch) -> CodedOutput:
        """Scores a batch."""
        output = self.network(batch)
        return CodedOutput(output, *self.compressor(output.hidden))

    def loss(self, output: FoundationOutput, labels: Tensor) -> Tensor:
        """Computes the loss of each example, (B,)."""
        return self.network.loss(output, labels)


def reads_sequence(config: FoundationSettings) -> bool:
    """Returns whether the architecture, or a member of the ensemble, reads every step of the history.

    Raises:
        ValueError: an architecture is unknown.
    """
    return any(architecture.reads_sequence for _, architecture in _members(config))


def _members(config: FoundationSettings) -> list[tuple[Member, type[Architecture]]]:
    """Returns what the model is built of: the ensemble's members, or the one architecture."""
    if config.architecture not in ENSEMBLES:
        named = architecture_named(config.architecture, key="foundation_model.architecture", others=ENSEMBLES)
        return [(Member(architecture=config.architecture, hyperparameters=config.hyperparameters), named)]
    members = ENSEMBLES[config.architecture].Config.model_validate(config.hyperparameters).members
    key = "foundation_model.hyperparameters.members"
    return [
        (member, architecture_named(member.architecture, key=f"{key}.{number}.architecture"))
        for number, member in enumerate(members)
    ]
