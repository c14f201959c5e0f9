"""Searches of a pool, by each way to decide."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import product

from benchmarks.studies import bo_gap
from benchmarks.studies.bo_platform.pools import Pool
from search.samplers.bayesian import Bayesian
from search.samplers.random import random_search
from search.trial import FALLBACK, Ask, Question, Trial
from search.trials import Row

FIRST, THEN = 2, 20  # random rows by choice, the same for all methods, and rows that a method chooses
METHODS = {name: decision for name, decision in bo_gap.METHODS.items() if name != "log_ei"}


@dataclass(frozen=True)
class Run:
    """A search for the best row of a pool."""

    pool: str
    rows: int
    method: str
    seed: int

    @property
    def key(self) -> dict[str, object]:
        """Returns what names the run in the file of results."""
        return asdict(self)


def runs(seeds: int, rows: Mapping[str, int]) -> Iterator[Run]:
    """Yields everything with the first seed, then with the next.

    Args:
        seeds: how many.
        rows: of each pool.
    """
    for seed, pool, method in product(range(seeds), rows, METHODS):
        yield Run(pool, rows[pool], method, seed)


def search(run: Run, pool: Pool, *, then: int = THEN) -> Row:
    """Makes a search.

    Returns:
        `gap`, None where the first rows held the best one; `fallbacks` among the trials; `cpu_seconds` of all
        `decisions` together.
    """
    assert pool.space.catalogue is not None  # read before the clock starts
    began = time.process_time()
    history = trials(run, pool, then=then)
    objectives = [trial.objective for trial in history if trial.objective is not None]
    return {
        "gap": gap(objectives, FIRST * pool.dimensions, pool.optimum),
        "fallbacks": sum(FALLBACK in trial.tags for trial in history),
        "cpu_seconds": time.process_time() - began,
        "decisions": then,
    }


def gap(objectives: list[float], first: int, optimum: float) -> float | None:
    """Computes how much of the way to the best row was gone; None where the first rows held it."""
    found = min(objectives[:first])
    return (found - min(objectives)) / (found - optimum) if found > optimum else None


def trials(run: Run, pool: Pool, *, then: int) -> list[Trial]:
    """Makes the trials of a search, in their order."""
    first = FIRST * pool.dimensions
    total = first + then
    history: list[Trial] = []

    def tried(asks: list[Ask]) -> None:
        for ask in asks:
            reached = pool.objective(ask.params)
            history.append(Trial(len(history), ask.params, "done", reached, None, None, tags=ask.tags))

    tried(random_search(Question(pool.space, (), first, total, run.seed)))
    decision = METHODS[run.method]
    sampler = random_search if decision is None else Bayesian(decision, first=first)
    while len(history) < total:
        tried(sampler(Question(pool.space, tuple(history), 1, total - len(history), run.seed)))
    return history
