"""A sampler that looks for many models better than the platform's own, not for the one best (arXiv:1811.08871)."""

from dataclasses import dataclass

import numpy as np

from search.active.batch import one_after_another
from search.active.belief import Belief, Pool
from search.active.neighbors import nearest
from search.active.policies import nonmyopic
from search.choices import Array, Value
from search.samplers.unasked import Unasked
from search.space import Space
from search.trial import CHAMPION, FALLBACK, Ask, Question


@dataclass(frozen=True)
class ActiveSearch:
    """Asks for what lets all remaining trials find as many winners as possible (ENS) in a pool drawn by the seed.

    A model is as likely to win as its nearest models were, by their codes. A trial that failed is no winner; one that
    runs is taken for none.

    Attributes:
        drawn: models of the pool; a space of no more combinations is the pool itself.
        neighbors: that tell of a model.
    """

    drawn: int = 3_000
    neighbors: int = 50

    def __call__(self, question: Question) -> list[Ask]:
        """Answers with the models to try.

        Raises:
            ValueError: the question does not say what to be better than.
        """
        if CHAMPION not in question.context:
            raise ValueError(f"active_search must know what to be better than: its question has no {CHAMPION!r}")
        champion = float(question.context[CHAMPION])
        params, codes = _pool(question.space, self.drawn, question.seed)
        # Canonical params: equal models have equal values, in the order of the choices.
        place = {tuple(one.values()): n for n, one in enumerate(params)}
        beside = [trial.params for trial in question.history if tuple(trial.params.values()) not in place]
        place |= {tuple(one.values()): n for n, one in enumerate(beside, start=len(params))}
        points = np.concatenate([codes, *(question.space.encode(one)[None] for one in beside)])
        known = {place[tuple(t.params.values())]: _won(t.objective, champion) for t in question.history}
        unasked = Unasked(question)
        if left := len(points) - len(known):
            pool = Pool(nearest(points, min(self.neighbors, len(points) - 1)))
            belief = Belief.of(pool, known.items())
            looks = min(question.remaining, left)
            for point in one_after_another(nonmyopic, belief, looks, question.count):
                unasked.take(params[point])
        asks = [Ask(answer) for answer in unasked.answers]
        while unasked.missing and unasked.take_random():
            asks.append(Ask(unasked.answers[-1], frozenset({FALLBACK})))
        return asks


def _won(objective: float | None, champion: float) -> bool:
    return objective is not None and objective < champion


def _pool(space: Space, drawn: int, seed: int) -> tuple[list[dict[str, Value]], Array]:
    """Returns distinct valid params and their codes: all of a small space, else so many drawn ones at most."""
    if space.catalogue is not None and len(space.catalogue[0]) <= drawn:
        return space.catalogue
    rng = np.random.default_rng([seed, drawn])
    if space.catalogue is not None:
        params, codes = space.catalogue
        chosen = rng.choice(len(params), drawn, replace=False)
        return [params[n] for n in chosen], codes[chosen]
    of_key = {space.key(one): one for one in (space.sample(rng) for _ in range(drawn))}
    params = list(of_key.values())
    return params, np.array([space.encode(one) for one in params])
