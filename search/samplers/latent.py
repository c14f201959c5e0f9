"""Bayesian optimization in a latent space of graphs (D-VAE, arXiv:1904.11088)."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor

from search.bayes.improvement import Improvement
from search.bayes.surrogate import LEAST, Columns, Surrogate
from search.choices import Value
from search.curves import labels
from search.latent.embedding import Embedding, Learning
from search.samplers.bayesian import NO_ANSWER, torch_of_its_own
from search.samplers.random import random_search
from search.samplers.unasked import Unasked
from search.space import Params
from search.trial import FALLBACK, Ask, Question, Trial

DRAWS = 100  # of the decoder at a point
POOL, NEAR, PARENTS = 250, 0.1, 10  # random points, and as many around the best trials, at that distance a coordinate
DECISION = Improvement()


@dataclass(frozen=True)
class Latent:
    """Asks for the model at the point where a Gaussian process expects the next trial to improve most.

    The point is decoded `DRAWS` times, and the most frequent model that is valid and was not asked is the answer. Where
    there is none, the models of many random points follow.

    Attributes:
        first: trials that are drawn at random before.
        learning: of the latent space, before the first answer that needs it.
        kept: file of what was learnt; None: it stays in memory.
    """

    first: int = 10
    learning: Learning = field(default_factory=Learning)
    kept: Path | None = None

    def __call__(self, question: Question) -> list[Ask]:
        """Answers one after another, each as if those before it were running.

        An answer drawn at random because no point had one, or because the process could not be fitted, is a fallback.

        Raises:
            ValueError: the space has no unordered choice.
        """
        if len(question.history) < self.first:
            return random_search(question)
        unasked, asks = Unasked(question), list[Ask]()
        embedding = Embedding(question.space, self.learning, self.kept)
        search: _Search | None = None
        with torch_of_its_own(unasked.rng) as generator:
            while unasked.missing:
                try:
                    if search is None:
                        search = _Search.begun(embedding, question.history)
                    found = search is not None and search.take(unasked, generator)
                except NO_ANSWER:
                    found = False
                if not found and not unasked.take_random():
                    break
                if not found and search is not None:
                    search.expect(unasked.answers[-1:])
                asks.append(Ask(unasked.answers[-1], frozenset(() if found else {FALLBACK})))
        return asks


@dataclass
class _Search:
    """A process over the box of an embedding, which grows by what it expects."""

    embedding: Embedding
    surrogate: Surrogate

    @classmethod
    def begun(cls, embedding: Embedding, history: Sequence[Trial]) -> "_Search | None":
        """Fits the process to the trials; None where too few have an objective."""
        if sum(label is not None for label in labels(history)) < LEAST:
            return None
        points = embedding.points([trial.params for trial in history])
        moved = [replace(trial, params=point) for trial, point in zip(history, points, strict=True)]
        return cls(embedding, Surrogate.fitted(embedding.box, moved))

    def take(self, unasked: Unasked, generator: torch.Generator) -> bool:
        """Takes the most frequent unasked model of the best point that has one; says whether there was any."""
        remaining = unasked.question.remaining - len(unasked.answers)
        best = DECISION.of_cube(self.surrogate, remaining=remaining, generator=generator)
        found = self._most_frequent(best, generator)
        for params in chain(found, self._others(generator)):
            if params is not None and unasked.take(params):
                self.expect([params])
                return True
        return False

    def _most_frequent(self, at: Tensor, generator: torch.Generator) -> list[dict[str, Value]]:
        """Returns the valid models that a point is decoded to, the most frequent first."""
        point = self.embedding.box.decode(at.numpy())
        graphs = Counter(self.embedding.drawn([point] * DRAWS, generator))
        models, times = dict[str, dict[str, Value]](), Counter[str]()
        for graph, count in graphs.items():
            params = self.embedding.model(graph, point)
            if params is not None:
                key = self.embedding.space.key(params)
                models[key] = params
                times[key] += count
        return [models[key] for key, _ in times.most_common()]

    def _others(self, generator: torch.Generator) -> Iterator[dict[str, Value] | None]:
        """Yields the models of many random points, half of them around the best trials, the most promising first."""
        x, y = self.surrogate.model.train_inputs[0], self.surrogate.model.train_targets
        parents = x[y.topk(min(PARENTS, len(y))).indices].repeat(POOL // PARENTS, 1)
        around = (parents + NEAR * torch.randn(parents.shape, generator=generator, dtype=x.dtype)).clamp(0, 1)
        pool = torch.cat([around, torch.rand(POOL, x.shape[1], generator=generator, dtype=x.dtype)])
        scores = DECISION.of_pool(self.surrogate, pool, remaining=1, generator=generator)
        points = [self.embedding.box.decode(at.numpy()) for at in pool[scores.argsort(descending=True)]]
        yield from map(self.embedding.model, self.embedding.drawn(points, generator), points)

    def expect(self, models: Sequence[Params]) -> None:
        """Tells the process that models came out as it expects."""
        self.surrogate = self.surrogate.expecting(Columns(self.embedding.box).of(self.embedding.points(models)))
