"""How a search ends: its best models are trained again with several seeds, and one against the platform's own.

Which one, the search's own dates say; whether it is better, the later days say, by which nothing was chosen.
"""

import json
import logging
from dataclasses import asdict, dataclass
from math import isnan
from pathlib import Path

import numpy as np
import numpy.typing as npt

import storage
from quality.intervals import Interval, PairedBootstrap
from quality.metrics import evaluate, row_losses, undefined_because
from quality.seed_intervals import interval
from search.choices import Value
from search.finals import Finals
from search.study import Record, Study, best
from search.trials import Row, execute, finished

LOG = logging.getLogger("headwater.search")
CURRENT = "current"  # the platform's own model
RUNS_FILE, CONCLUSION_FILE = "finalists.jsonl", "conclusion.json"


@dataclass(frozen=True)
class Final:
    """A finalist, or the platform's own model, trained with one seed."""

    model: str  # CURRENT, or the key of its params
    platform: str  # names the settings of the platform that it was trained under
    seed: int
    params: dict[str, Value] | None

    @property
    def key(self) -> dict[str, object]:
        """Returns what names the run in the file of results."""
        return {"model": self.model, "platform": self.platform, "seed": self.seed}


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

    A finalist that diverges with one of the seeds is left out.

    Args:
        study: the search.
        trainer: of finalists.
        finalists: how many of the best.
        seeds: of each.

    Raises:
        ValueError: no trial has ended well, no finalist is left, the platform's own model diverges, or the later days
            define no NE.
    """
    top = best(study.records(), finalists)
    if not top:
        raise ValueError(f"the search {study.name} has no trial that ended well: there is nothing to conclude")
    if why := undefined_because(trainer.later.log.labels):
        raise ValueError(f"the later days of the search {study.name} define no NE: {why}; nothing can be concluded")
    platform = trainer.later.platform
    planned = [Final(record.key, platform, seed, record.trial.params) for record in top for seed in range(seeds)]
    planned += [Final(CURRENT, platform, seed, None) for seed in range(seeds)]
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
    try:
        judged = trainer.train(final.params, seed=final.seed, what=f"final {final.model}, seed {final.seed}")
    except FloatingPointError as error:
        LOG.warning("final %s, seed %d: %s", final.model, final.seed, error)
        return {"error": str(error)}
    np.save(final_file(study, final.platform, final.model, final.seed), judged.probabilities)
    ne = evaluate(trainer.later.log.labels, judged.probabilities).ne
    return {"search_ne": judged.search_ne, "ne": ne, "flops": judged.flops, "seconds": judged.seconds}


def _compared(study: Study, trainer: Finals, top: list[Record], seeds: int) -> Conclusion:
    platform = trainer.later.platform
    made = [row for row in finished(study.folder / RUNS_FILE) if row["platform"] == platform and row["seed"] < seeds]
    rows = {(row["model"], row["seed"]): row for row in made}
    diverged = {row["model"] for row in made if "error" in row}
    if CURRENT in diverged:
        raise ValueError("the platform's own model diverges on the search's days: there is nothing to compare with")
    top = [record for record in top if record.key not in diverged]
    if not top:
        raise ValueError(f"every finalist of the search {study.name} diverges with one of {seeds} seeds")
    labels, users = trainer.later.log.labels, trainer.later.log.users
    files = {m: [final_file(study, platform, m, s) for s in range(seeds)] for m in (CURRENT, *(r.key for r in top))}
    losses = {m: np.mean([row_losses(labels, np.load(one)) for one in of], axis=0) for m, of in files.items()}
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


def final_file(study: Study, platform: str, model: str, seed: int) -> Path:
    """Returns the file of the probabilities that a finalist gave the rows of the later days, (n,); see `Final`."""
    return study.folder / "finals" / f"{platform}-{model}-{seed}.npy"


def _told(of: Interval) -> str:
    return "not known from one" if isnan(of.low) else f"{of.low:+.4f} to {of.high:+.4f}"
