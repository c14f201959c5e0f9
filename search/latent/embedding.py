"""A box in which each model of a space has a point, and each point is a model (D-VAE, arXiv:1904.11088)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import storage
from search.choices import Real, Value
from search.latent.drawing import Drawing
from search.latent.graphs import OWN, Graph, Graphs
from search.latent.vae import DVAE, Fit, trained
from search.space import Params, Space

SEED = 0  # of the models that are learnt and of the training: the box is the space's, whatever the search's seed
DRAWN, TRAINED = 10, 30  # models and steps of training for each combination of a small space
EDGES = ("low", "high")  # what is kept beside the weights


@dataclass(frozen=True)
class Learning:
    """What an embedding learns before any trial: models drawn at random, which nobody trains.

    Attributes:
        models: how many; fewer where there are few combinations to draw.
        steps: of training; fewer there, too.
        fit: of the autoencoder.
    """

    models: int = 4_000
    steps: int = 4_000
    fit: Fit = field(default_factory=lambda: Fit(hidden=64, latent=16, batch=32, learning_rate=5e-3))


class Embedding:
    """The box: coordinates of the latent space, and one for each choice that is not drawn.

    Latent coordinates go from the lowest to the highest of the models that were learnt.

    Args:
        space: of the models.
        learning: of the autoencoder.
        kept: file of what was learnt: read where it is there, else made. None: what was learnt stays in memory.

    Raises:
        ValueError: the space has no unordered choice.
    """

    def __init__(self, space: Space, learning: Learning, kept: Path | None = None) -> None:
        self.space, self.drawing = space, Drawing(space)
        of = math.prod(choice.count or 1 for choice in space.choices if choice not in self.drawing.beside)
        fit = replace(learning.fit, latent=min(learning.fit.latent, of))
        if kept is not None and kept.exists():
            found = load_file(kept)
            edges = [found.pop(name) for name in EDGES]
            self.autoencoder = DVAE(self.drawing.types, self.drawing.places, fit, self.drawing.groups)
            self.autoencoder.load_state_dict(found)
            self.autoencoder.eval().requires_grad_(False)
        else:
            rng = np.random.default_rng(SEED)
            drawn = tuple(self.drawing.graph(space.sample(rng)) for _ in range(min(learning.models, DRAWN * of)))
            groups, steps = tuple(self.drawing.groups), min(learning.steps, TRAINED * of)
            self.autoencoder, edges = _learnt(drawn, groups, self.drawing.places, steps, fit)
            if kept is not None:
                with storage.replace_file(kept) as path:
                    save_file(self.autoencoder.state_dict() | dict(zip(EDGES, edges, strict=True)), path)
        low, high = (edge.tolist() for edge in edges)
        self.latent = tuple(Real(f"latent_{n}", *ends) for n, ends in enumerate(zip(low, high, strict=True)))
        self.box = Space((*self.latent, *(Real(choice.name, 0, 1) for choice in self.drawing.beside)))

    def points(self, models: Sequence[Params]) -> list[dict[str, Value]]:
        """Returns canonical params' points, as params of the box; one beyond its edges is moved to them."""
        z = self.autoencoder.encode(Graphs.of([self.drawing.graph(params) for params in models])).tolist()
        return [
            {choice.name: min(max(at, choice.low), choice.high) for choice, at in zip(self.latent, of, strict=True)}
            | {choice.name: choice.encode(params[choice.name])[0] for choice in self.drawing.beside}
            for of, params in zip(z, models, strict=True)
        ]

    def drawn(self, points: Sequence[Mapping[str, Value]], generator: torch.Generator) -> list[Graph]:
        """Draws a graph of each point of the box; all random numbers come from the generator."""
        z = torch.tensor([[float(point[choice.name]) for choice in self.latent] for point in points])
        return self.autoencoder.decoder.draw(z, generator)[0].single()

    def model(self, graph: Graph, point: Mapping[str, Value]) -> dict[str, Value] | None:
        """Returns the model of a graph and of the coordinates beside it; None: the space refuses it."""
        beside = {choice.name: choice.decode(np.array([point[choice.name]])) for choice in self.drawing.beside}
        return self.drawing.params(graph, beside)


@lru_cache(maxsize=4)
def _learnt(
    drawn: tuple[Graph, ...], groups: tuple[int, ...], places: int, steps: int, fit: Fit
) -> tuple[DVAE, list[Tensor]]:
    """Trains an autoencoder; also returns the lowest and the highest of each latent coordinate, (z,) each."""
    graphs, epochs = Graphs.of(drawn), -(-steps // -(-len(drawn) // fit.batch))
    model = trained(graphs, len(groups) + OWN, places, fit, epochs=epochs, seed=SEED, groups=groups)
    z = model.encode(graphs)
    return model, [z.amin(0), z.amax(0) + 1e-6]  # a coordinate that is the same for all still needs a range
