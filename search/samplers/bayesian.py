"""Samplers that ask a Gaussian process; what they decide by is in `search/bayes/`."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from botorch.exceptions.errors import ModelFittingError
from linear_operator.utils.errors import NanError, NotPSDError
from torch.quasirandom import SobolEngine

from search.bayes.decision import Decision, TooSlow
from search.bayes.improvement import Improvement
from search.bayes.surrogate import LEAST, Columns, Surrogate
from search.candidates import Many
from search.choices import Array, Categorical, Choice, Real, Value
from search.curves import labels
from search.samplers.unasked import Unasked
from search.space import Params, Space
from search.trial import FALLBACK, Ask, Question

FIRST = 5  # the fewest trials before the process is asked
SHARE = 3  # of all trials, at most one in so many is asked before
POOL = Many(drawn=500, parents=10, children=10, generations=3)  # of a space that is neither small nor all real
SCORED = 5_000  # points of a larger catalogue, and the neighbors of the best
PARENTS, CHILDREN = 10, 20
RANDOM = 4  # one in so many of a shortlist
GREEDY = Improvement()
NO_ANSWER = (ModelFittingError, NanError, NotPSDError)  # of BoTorch, where the process has no answer


@dataclass(frozen=True)
class Bayesian:
    """Asks for what a decision prefers, given all trials; running ones are believed to come out as expected.

    Before, trials fill the space evenly (Sobol). A space of real numbers alone is searched by gradients; of any other,
    a pool is weighed: all of a small space, else random points and changes of good ones.

    Attributes:
        decision: of what to try.
        first: trials before; None: as many as choices and one, at most a third of all, but 5.
    """

    decision: Decision
    first: int | None = None

    def __call__(self, question: Question) -> list[Ask]:
        """Answers one after another, each as if those before it were running.

        A decision that took too long is replaced by the greedy one, and one that had no answer by a random draw; both
        are tagged as a fallback.
        """
        unasked, asks, surrogate = Unasked(question), list[Ask](), None
        while unasked.missing:
            number, fallback = len(question.history) + len(asks), False
            if number < self._first(question):
                _take_even(unasked, number)
            elif sum(label is not None for label in labels(question.history)) < LEAST:
                fallback = True
            else:
                with torch_of_its_own(unasked.rng) as generator:
                    try:
                        surrogate = self._believed(surrogate, unasked)
                        fallback = self._take_decided(unasked, surrogate, generator)
                    except NO_ANSWER:
                        fallback = True
            if len(unasked.answers) == len(asks) and not unasked.take_random():
                break
            asks.append(Ask(unasked.answers[-1], frozenset({FALLBACK} if fallback else ())))
        return asks

    def _first(self, question: Question) -> int:
        if self.first is not None:
            return self.first
        total = len(question.history) + question.remaining
        return max(FIRST, min(len(question.space.choices) + 1, total // SHARE))

    def _believed(self, before: Surrogate | None, unasked: Unasked) -> Surrogate:
        """Fits the process for the first answer; for a further one, expects the outcome of the one before it."""
        space = unasked.space
        if before is None:
            before = Surrogate.fitted(space, unasked.question.history, with_costs=self.decision.costs)
            answers = unasked.answers
        else:
            answers = unasked.answers[-1:]
        return before.expecting(Columns(space).of(answers)) if answers else before

    def _take_decided(self, unasked: Unasked, surrogate: Surrogate, generator: torch.Generator) -> bool:
        """Takes the decision's answer, if it has one; returns whether another had to take its place."""
        space, remaining = unasked.space, unasked.question.remaining - len(unasked.answers)
        if all(isinstance(choice, Real) for choice in space.choices):
            slow = False
            try:
                point = self.decision.of_cube(surrogate, remaining=remaining, generator=generator)
            except TooSlow:
                slow = True
                point = GREEDY.of_cube(surrogate, remaining=remaining, generator=generator)
            params = space.decode(point.numpy())
            if space.refusal(params) is None and unasked.take(params):
                return slow
        pool = _pool(unasked, surrogate, self.decision.shortlist)
        if not pool:
            return True
        scores = self.decision.of_pool(surrogate, Columns(space).of(pool), remaining=remaining, generator=generator)
        unasked.take(pool[int(scores.argmax())])
        return False


@contextmanager
def torch_of_its_own(rng: np.random.Generator) -> Iterator[torch.Generator]:
    """Seeds torch's own generator, from which BoTorch draws, and puts it back afterwards."""
    with torch.random.fork_rng(devices=[]), torch.enable_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # BoTorch warns of every start that it could not climb from
        torch.default_generator.manual_seed(int(rng.integers(2**62)))
        yield torch.Generator().manual_seed(int(rng.integers(2**62)))


def _take_even(unasked: Unasked, number: int) -> None:
    """Takes the Sobol point of that number, unless it is refused or was asked before."""
    space = unasked.space
    engine = SobolEngine(len(space.choices), scramble=True, seed=unasked.question.seed % 2**31)
    (point,) = engine.fast_forward(number).draw(1, dtype=torch.float64).tolist()
    params = space.canonical({c.name: _at(c, place) for c, place in zip(space.choices, point, strict=True)})
    if space.refusal(params) is None:
        unasked.take(params)


def _at(choice: Choice, place: float) -> Value:
    """Returns the value at a place in [0, 1), each value of a categorical as long as the others."""
    if isinstance(choice, Categorical):
        return choice.values[int(place * choice.count)]
    return choice.decode(np.array([place]))


def _pool(unasked: Unasked, surrogate: Surrogate, shortlist: int | None) -> list[dict[str, Value]]:
    """Returns what may be tried next: the highest expected improvements first, then random ones, a fourth.

    Without a shortlist, the highest alone.
    """
    space, rng = unasked.space, unasked.rng
    columns = Columns(space)

    def reward(codes: Array) -> Array:
        return surrogate.log_improvement(columns.of_codes(codes)).numpy()

    ranked = enumerate(labels(unasked.question.history))
    best = sorted((label, place) for place, label in ranked if label is not None)[:PARENTS]
    parents = [unasked.question.history[place].params for _, place in best]
    if space.catalogue is not None and len(space.catalogue[0]) > SCORED:
        params, codes = space.catalogue
        drawn = rng.choice(len(params), SCORED, replace=False)
        near = {tuple(c.values()): c for p in parents for c in _neighbors(space, p, rng)}
        found = [*near.values(), *(params[n] for n in drawn)]
        scores = reward(np.concatenate([np.array([space.encode(one) for one in near.values()]), codes[drawn]]))
        found = [found[n] for n in np.argsort(-scores, kind="stable")]
    else:
        found = POOL(space, reward, rng, best=parents)
    wanted = 1 if shortlist is None else shortlist
    first = [*islice((one for one in found if one in unasked), wanted - wanted // RANDOM)]
    left = [found[n] for n in rng.permutation(len(found))]
    taken = {tuple(one.values()) for one in first}
    others = (one for one in left if tuple(one.values()) not in taken and one in unasked)
    return [*first, *islice(others, wanted // RANDOM)]


def _neighbors(space: Space, params: Params, rng: np.random.Generator) -> list[dict[str, Value]]:
    with suppress(ValueError):  # it has none
        return [space.mutate(params, rng) for _ in range(CHILDREN)]
    return []
