"""Wukong: stacked factorization machines with a scaling law (arXiv:2403.02545)."""

from typing import Literal

import torch
from pydantic import model_validator
from torch import Tensor, nn

from config import Section
from models.architectures.architecture import Architecture, Count, Sizes
from models.layers.interaction import Machine, WukongLayer
from models.layers.mlp import mlp


class Wukong(Architecture):
    """Interaction layers over feature tokens, some of them for all dense features (section 3).

    B: batch, F: sparse features, e: embedding width, N: dense features, n: tokens of the last layer
    """

    class Config(Section):
        """Hyperparameters (section 3.7 names them l, n_F, n_L, k and the FMB's MLP)."""

        num_layers: Count = 2
        num_fmb_tokens: Count = 8
        num_lcb_tokens: Count = 8
        rank: Count = 16  # of the optimised interaction
        interaction: Literal["naive", "optimised"] = "optimised"  # X Xᵀ, or X (XᵀY)
        attentive_projection: bool = False  # Y depends on the example
        mlp: list[Count] = [128]  # hidden layers of each FMB and of the bottom MLP
        num_dense_tokens: Count = 1  # tokens the dense features become

        @model_validator(mode="after")
        def _attention_has_a_projection(self) -> "Wukong.Config":
            if self.attentive_projection and self.interaction == "naive":
                raise ValueError("attentive_projection needs interaction: optimised; the naive one has no projection")
            return self

        @property
        def machine(self) -> Machine:
            """Says which factorization machine a layer has."""
            return "attentive" if self.attentive_projection else self.interaction

    def __init__(self, config: Config, sizes: Sizes) -> None:
        super().__init__()
        self.embedding_dim = embedding_dim = sizes.embedding_dim
        self.bottom = mlp(sizes.num_dense, config.mlp, config.num_dense_tokens * embedding_dim)
        num_tokens = sizes.num_sparse + config.num_dense_tokens
        layers = []
        for _ in range(config.num_layers):
            layers.append(
                WukongLayer(
                    num_tokens,
                    embedding_dim,
                    num_fmb=config.num_fmb_tokens,
                    num_lcb=config.num_lcb_tokens,
                    rank=config.rank,
                    hidden=config.mlp,
                    machine=config.machine,
                )
            )
            num_tokens = config.num_fmb_tokens + config.num_lcb_tokens
        self.layers = nn.Sequential(*layers)
        self.output_dim = num_tokens * embedding_dim

    def forward(self, tokens: Tensor, dense: Tensor, sequence: Tensor, mask: Tensor) -> Tensor:
        """Returns (B, n·e), the last layer's tokens side by side; the history is not read."""
        tokens = torch.cat([tokens, self.bottom(dense).unflatten(1, (-1, self.embedding_dim))], dim=1)
        return self.layers(tokens).flatten(1)
