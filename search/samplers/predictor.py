"""The best that an ensemble of small networks predicts (AutoML for ranking models, arXiv:2311.07870)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import nan

import numpy as np
import torch
from torch import Tensor

from search.candidates import Candidates, Reward
from search.choices import Array
from search.curves import labels
from search.ensemble import Fit, fitted, standardized_ranks
from search.samplers.random import random_search
from search.samplers.unasked import Unasked
from search.space import Space
from search.trial import FALLBACK, Ask, Question, Trial

FAILURE = 2.0  # standard deviations of the objective that a certain failure costs
LEAST = 10  # trials with an objective, before a predictor is worth a look
SHARE = 3  # of all trials, at most one in so many is drawn before, but LEAST
PARENTS = 10


@dataclass(frozen=True)
class Predictor:
    """Asks for what ranks best by an ensemble that is fitted to all trials, and for some at random.

    Attributes:
        candidates: finds what the ensemble likes.
        first: trials that are drawn at random before, in a search that is not short.
        exploration: share of the answers after them that are random, which keeps the ensemble honest.
        apart: choices by which answers to one question differ from each other.
        cost_weight: of the cost in the reward, from 0 to 1; the rest is the objective's.
        fit: of the ensemble.
    """

    candidates: Candidates
    first: int = 30
    exploration: float = 0.1
    apart: int = 1
    cost_weight: float = 0.0
    fit: Fit = field(default_factory=Fit)

    def __call__(self, question: Question) -> list[Ask]:
        """Answers with the best unasked candidates and some random ones; a fallback where candidates ran out.

        Raises:
            ValueError: costs have a weight, and no trial has a cost.
        """
        total = len(question.history) + question.remaining
        if len(question.history) < min(self.first, max(LEAST, total // SHARE)):
            return random_search(question)
        labelled = list(zip(labels(question.history), question.history, strict=True))
        ranked = [(label, trial) for label, trial in labelled if label is not None]
        if len(ranked) < LEAST:
            return [Ask(ask.params, ask.tags | {FALLBACK}) for ask in random_search(question)]
        unasked = Unasked(question)
        made = [(label, trial) for label, trial in labelled if label is not None or _failed(trial)]
        reward = self._reward(question.space, made, seed=int(unasked.rng.integers(2**62)))
        explored = int(question.count * self.exploration + unasked.rng.random())
        best = [trial.params for _, trial in sorted(ranked, key=lambda pair: pair[0])[:PARENTS]]
        candidates = self.candidates(question.space, reward, unasked.rng, best=best)
        unasked.take_first(candidates, question.count - explored, apart=self.apart)
        short = unasked.missing - explored
        asks = [Ask(params) for params in unasked.answers]
        while unasked.missing and unasked.take_random():
            asks.append(Ask(unasked.answers[-1], frozenset({FALLBACK} if short > 0 else ())))
            short -= 1
        return asks

    def _reward(self, space: Space, made: Sequence[tuple[float | None, Trial]], *, seed: int) -> Reward:
        """Fits the ensemble to trials with their labels, None where one failed.

        The reward is in standard deviations of the labels' ranks.
        """
        trials = [trial for _, trial in made]
        columns = [_column([label for label, _ in made])]
        costs = _column([trial.cost for trial in trials])
        if not costs.isnan().all():
            columns.append(costs)
        elif self.cost_weight:
            raise ValueError("Costs have a weight in the search, and no trial has a cost")
        failed = torch.tensor([float(_failed(trial)) for trial in trials])
        ensemble = fitted(
            torch.from_numpy(np.array([space.encode(trial.params) for trial in trials])).float(),
            torch.stack([standardized_ranks(column).float() for column in columns], 1),
            failed,
            self.fit,
            seed=seed,
        )
        weights = torch.tensor([1 - self.cost_weight, self.cost_weight][: len(columns)])
        penalty = FAILURE if failed.any() else 0.0

        def reward(codes: Array) -> Array:
            predicted = ensemble.predict(torch.from_numpy(codes).float())
            return (-(predicted.heads * weights).sum(1) - penalty * predicted.failure).double().numpy()

        return reward


def _column(values: Sequence[float | None]) -> Tensor:
    return torch.tensor([nan if value is None else value for value in values], dtype=torch.float64)


def _failed(trial: Trial) -> bool:
    return trial.status in ("failed", "diverged", "timed_out")
