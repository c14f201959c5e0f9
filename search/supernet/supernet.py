"""A supernet: embedding table and dense weights that all ranking models of a space share."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import binary_cross_entropy_with_logits

from data.batches.foundation import Examples, FoundationFeatures
from models.architectures.architecture import Inputs
from models.architectures.graph import Graph, SequenceGraph
from models.foundation.dense_network import DenseNetwork
from search.space import Params
from search.spaces.ranking import reads_history
from search.supernet.options import Options
from search.supernet.shared import SharedWeights
from search.supernet.tables import Tables

FIRST_EMBEDDINGS = 0.05


class Supernet(nn.Module):
    """Runs one model at a time with the weights that all share."""

    def __init__(self, options: Options, features: FoundationFeatures, *, seed: int) -> None:
        """Draws first weights.

        Args:
            options: the models.
            features: that the examples were encoded with.
            seed: of the weights.
        """
        super().__init__()
        self.options = options
        self.weights = SharedWeights(options, seed=seed)
        self.tables = Tables(
            features, embedding_dim=int(options.fixed["embedding_dim"]), bound=FIRST_EMBEDDINGS, seed=seed
        )

    def forward(self, inputs: Inputs, params: Params) -> Tensor:
        """Scores embedded examples with one model's part of the weights, (B,); params: canonical."""
        network = self.alone(params)
        return functional_call(network, self.weights.of(params), (inputs,)).logits

    def embed(self, examples: Examples, params: Params) -> Inputs:
        """Looks up what a model reads."""
        return self.tables(examples.batch, history=reads_history(params))

    def loss(self, examples: Examples, params: Params) -> Tensor:
        """Computes the mean log loss of one model on a batch."""
        return binary_cross_entropy_with_logits(self(self.embed(examples, params), params), examples.labels)

    def alone(self, params: Params) -> DenseNetwork:
        """Builds a model of its own, first weights drawn from a fixed seed."""
        settings: dict[str, Any] = self.options.space.settings(params)
        sizes = replace(self.weights.slots.sizes, sequence_length=self.tables.sequence_length)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            architecture = SequenceGraph if reads_history(params) else Graph
            return DenseNetwork(architecture, settings["hyperparameters"], sizes)

    def inherited(self, params: Params) -> DenseNetwork:
        """Builds a model of its own with a copy of its part of the weights."""
        network = self.alone(params)
        network.load_state_dict({name: weight.detach() for name, weight in self.weights.of(params).items()})
        return network
