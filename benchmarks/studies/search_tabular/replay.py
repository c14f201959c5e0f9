"""One search of a table: a sampler asks, the table answers."""

import time
from collections.abc import Iterator
from typing import Any

from benchmarks.studies.search_tabular.tables import Table
from search.samplers import SAMPLERS
from search.samplers.tpe import REPEATED
from search.trial import FALLBACK, Ask, Question, Sampler, Trial

TRIALS = 100
METHODS: dict[str, tuple[Sampler, int]] = {  # and how many trials it is asked for at once, after its first
    "random": (SAMPLERS["random"](), 1),
    "evolution": (SAMPLERS["evolution"](), 1),
    "tpe": (SAMPLERS["tpe"](), 1),
    "tpe_univariate": (SAMPLERS["tpe"](multivariate=False), 1),
    "predictor": (SAMPLERS["predictor"](), 10),
    "predictor_top_k": (SAMPLERS["predictor_top_k"](), 10),
}
FIRST = 30  # trials that the predictor draws at random, asked for at once


def replay(table: Table, method: str, *, seed: int, trials: int = TRIALS) -> dict[str, Any]:
    """Searches a table by a method; see `searched`."""
    sampler, batch = METHODS[method]
    return searched(table, sampler, batch, seed=seed, trials=trials)


def searched(table: Table, sampler: Sampler, batch: int, *, seed: int, trials: int = TRIALS) -> dict[str, Any]:
    """Searches a table, which shows one training of each combination.

    Args:
        table: to search.
        sampler: that asks.
        batch: see `METHODS`.
        seed: of the search.
        trials: that it makes.

    Returns:
        `ranks` of the trials in their order, by their mean over trainings; `chosen_rank`, of the trial that looked
        best; `repeated` and `fallbacks`, how many asks had these tags; `cpu_seconds` of the sampler.

    Raises:
        ValueError: the sampler found too few to ask.
    """
    observed, history, asks = table.observed(seed), list[Trial](), list[Ask]()
    started = time.process_time()
    for count in batches(batch, trials):
        question = Question(table.space, history, count, trials - len(history), seed)
        answers = sampler(question)
        if len(answers) < count:
            raise ValueError(
                f"A search had {len(answers)} of {count} answers: the table is too small for {trials} trials"
            )
        asks += answers
        for ask in answers:
            row = table.row[tuple(ask.params.values())]
            history.append(
                Trial(len(history), ask.params, "done", float(observed[row]), table.costs[row], None, tags=ask.tags)
            )
    cpu_seconds = time.process_time() - started
    ranks = [int(table.ranks[table.row[tuple(trial.params.values())]]) for trial in history]
    chosen = min(history, key=lambda trial: trial.objective or 0.0)
    return {
        "ranks": ranks,
        "chosen_rank": ranks[chosen.number],
        "repeated": sum(REPEATED in ask.tags for ask in asks),
        "fallbacks": sum(FALLBACK in ask.tags for ask in asks),
        "cpu_seconds": cpu_seconds,
    }


def batches(batch: int, trials: int) -> Iterator[int]:
    """Yields how many trials are asked for at once; a method that asks for several begins with its random ones."""
    left = trials
    while left:
        count = min(left, FIRST if batch > 1 and left == trials else batch)
        yield count
        left -= count
