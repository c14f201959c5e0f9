"""How a search ends: its best models are trained again with several seeds, and one against the platform's own.

Which one, the search's own dates say; whether it is better, the later days say, by which nothing was chosen.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from math import isnan
from pathlib import Path

import numpy as np
import numpy.typing as npt

import storage
from quality.intervals import Interval, PairedBootstrap
from quality.metrics import evaluate, row_losses
from quality.seed_intervals import interval
from search.choices import Value
from search.finals import Finals
from search.study import Record, Study, best
from search.trials import Row, execute, finished

CURRENT = "current"  # the platform's own model
RUNS_FILE, CONCLUSION_FILE = "finalists.jsonl", "conclusion.json"


@dataclass(frozen=True)
class Final:
    """A finalist, or the platform's own model, trained with one seed."""

    model: str  # CURRENT, or the key of its params
    seed: int
    params: dict[str, Value] | None

    @property
    def key(self) -> dict[str, object]:
        """Returns what names the run in the file of results."""
        return {"model": self.model, "seed": self.seed}


@dataclass(frozen=True)
class Finalist:
    """A model's figures over all seeds; those without another word are of the later days."""

    model: str
    number: int | None  # of its trial
    cost: float  # FLOPs of an example
    search_ne: float  # on the dates by which trials are judged, the mean over seeds
    ne: float  # of the mean over seeds of each row's loss
    by_seed: list[float]  # NE
    difference: Interval | None  # NE minus the platform's own, 95 % over users, of these trained weights
    over_seeds: Interval | None  # the same, 95 % over seeds, on these rows

    @property
    def is_better(self) -> bool:
        """Says whether both intervals lie below 0."""
        return all(of is not None and of.high < 0 for of in (self.difference, self.over_seeds))


@dataclass(frozen=True)
class Conclusion:
    """What a search found."""

    current: Finalist
    finalists: list[Finalist]  # the lowest NE on the search's dates first
    winner: str | None  # key of the first finalist if it is better, at no more cost than allowed
    verdict: str  # in words


def conclude(study: Study, trainer: Finals, *, finalists: int, seeds: int) -> Conclusion:
    """Trains the best models of a search and the platform's own again, and compares them; resumable.

    Args:
        study: the search.
        trainer: of finalists.
        finalists: how many of the best.
        seeds: of each.

    Raises:
        ValueError: no trial has ended well.
    """
    top = best(study.records(), finalists)
    if not top:
        raise ValueError(f"the search {study.name} has no trial that ended well: there is nothing to conclude")
    planned = [Final(record.key, seed, record.trial.params) for record in top for seed in range(seeds)]
    planned += [Final(CURRENT, seed, None) for seed in range(seeds)]
    (study.folder / "finals").mkdir(exist_ok=True)
    execute(
        planned,
        study.folder / RUNS_FILE,
        lambda final: _train(study, trainer, final),
        total=len(planned),
        describe=lambda final: f"final {final.model}, seed {final.seed}",
    )
    concluded = _compared(study, trainer, top, seeds)
    with storage.replace_file(study.folder / CONCLUSION_FILE) as file:
        file.write_text(json.dumps(storage.finite(asdict(concluded)), indent=1))
    return concluded


def _train(study: Study, trainer: Finals, final: Final) -> Row:
    judged = trainer.train(final.params, seed=final.seed, what=f"final {final.model}, seed {final.seed}")
    np.save(final_file(study, final.model, final.seed), judged.probabilities)
    ne = evaluate(trainer.later.log.labels, judged.probabilities).ne
    return {"search_ne": judged.search_ne, "ne": ne, "flops": judged.flops, "seconds": judged.seconds}


def _compared(study: Study, trainer: Finals, top: list[Record], seeds: int) -> Conclusion:
    rows = {(row["model"], row["seed"]): row for row in finished(study.folder / RUNS_FILE)}
    labels, users = trainer.later.log.labels, trainer.later.log.users
    models = [CURRENT, *(record.key for record in top)]
    losses = {model: np.mean(list(_losses(study, model, seeds, labels)), axis=0) for model in models}
    bootstrap = PairedBootstrap.of_losses(labels, users, losses, seed=study.settings.seed)
    numbers = {record.key: record.trial.number for record in top}

    def by_seed(model: str, name: str = "ne") -> list[float]:
        return [float(rows[model, seed][name]) for seed in range(seeds)]

    def figures(model: str) -> Finalist:
        own = model == CURRENT
        return Finalist(
            model,
            numbers.get(model),
            float(rows[model, 0]["flops"]),
            float(np.mean(by_seed(model, "search_ne"))),
            bootstrap.ne(model),
            by_seed(model),
            None if own else bootstrap.ne_difference(model, CURRENT),
            None if own else _over_seeds(np.subtract(by_seed(model), by_seed(CURRENT))),
        )

    current = figures(CURRENT)
    ordered = sorted((figures(record.key) for record in top), key=lambda one: one.search_ne)
    first = ordered[0]
    assert first.difference is not None and first.over_seeds is not None
    told = (
        f"NE {first.ne:.4f} against {current.ne:.4f} ({first.difference.value:+.4f}; 95 % over users "
        f"{_told(first.difference)}, over seeds {_told(first.over_seeds)})"
    )
    if first.is_better:
        return Conclusion(
            current, ordered, first.model, f"trial {first.number} is better than the platform's own: {told}"
        )
    return Conclusion(
        current, ordered, None, f"nothing is shown to be better than the platform's own; trial {first.number}: {told}"
    )


def _over_seeds(differences: npt.NDArray[np.floating]) -> Interval:
    """Returns the mean with its 95 % t interval; of one seed, it has no bounds."""
    found = interval(float(one) for one in differences) or {}
    return Interval(found["mean"], found.get("low", float("nan")), found.get("high", float("nan")))


def _losses(
    study: Study, model: str, seeds: int, labels: npt.NDArray[np.float32]
) -> Iterator[npt.NDArray[np.floating]]:
    for seed in range(seeds):
        yield row_losses(labels, np.load(final_file(study, model, seed)))


def final_file(study: Study, model: str, seed: int) -> Path:
    """Returns the file of the probabilities that a finalist gave the rows of the later days, (n,)."""
    return study.folder / "finals" / f"{model}-{seed}.npy"


def _told(of: Interval) -> str:
    return "not known from one" if isnan(of.low) else f"{of.low:+.4f} to {of.high:+.4f}"
