"""What does it bring that a moving average of the weights scores, and not the weights that learn?

    python -m benchmarks.studies.weight_average --kuairand ~/KuaiRand-Pure/data

Foundation models learn three logs in one pass and are judged on the last dates, each before any of it is learnt. Models
of all verticals of `kuairand` learn the same days, with what a foundation model passes on that scored by its average,
and are judged on the last dates; one row has a foundation model without. Settings are those that ship; the decay
differs. The decays that ship were chosen by looks at `kuairand`, the foundation model and the verticals `tab_4` and
`tab_2` of it, so the rest confirms them, or does not.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import torch

import storage
from benchmarks.report import report
from benchmarks.studies.command_line import study_parser
from benchmarks.studies.complete_seeds import complete_seeds
from benchmarks.studies.kept_runs import make_runs
from benchmarks.studies.landed import landed_days
from config import ROOT, PlatformConfig, load_config
from quality.seed_intervals import interval
from search.study import FOUNDATION
from search.trials import Row
from search.vertical_trials import VerticalTrials, vertical_space
from training.foundation.progressive_log import ProgressiveLog

OF_FOUNDATION, OF_VERTICAL = 0.99, 0.98  # the decays that ship
FOUNDATION_DECAYS = (0.0, 0.9, OF_FOUNDATION)
# Of the vertical model, and of the foundation model whose soft labels and codes it learns from.
VERTICAL_DECAYS = ((0.0, OF_FOUNDATION), (0.95, OF_FOUNDATION), (OF_VERTICAL, OF_FOUNDATION), (OF_VERTICAL, 0.0))


@dataclass(frozen=True)
class Stretch:
    """How many platform days of a log are taken, and on how many of their last dates models are judged."""

    days: int | None  # None: all
    judged_dates: int
    verticals: bool = True  # whether models of verticals are trained, too


STRETCHES = {
    "kuairand": Stretch(None, 3),
    "complete_journey": Stretch(5, 3, verticals=False),  # a date is a week
    "synthetic": Stretch(6, 3, verticals=False),
}
QUICK = {"synthetic": Stretch(3, 1)}


@dataclass(frozen=True)
class Run:
    """A model, trained once."""

    source: str
    model: str  # FOUNDATION, or a vertical
    decay: float
    of_foundation: float | None  # decay of the foundation model that a vertical's model learns from
    seed: int

    @property
    def key(self) -> dict[str, object]:
        """Returns what names the run in the file of results."""
        return asdict(self)

    @property
    def averages(self) -> str:
        """Returns the run's decays, for tables."""
        return f"{self.decay}" if self.of_foundation is None else f"{self.decay} after {self.of_foundation}"


def runs(stretches: dict[str, Stretch], *, seeds: int) -> Iterator[Run]:
    """Yields all runs of the first seed, then of the next."""
    shipped = load_config(ROOT / "platform.yaml")
    for seed in range(seeds):
        for source, stretch in stretches.items():
            yield from (Run(source, FOUNDATION, decay, None, seed) for decay in FOUNDATION_DECAYS)
            if stretch.verticals:
                of_source = shipped.changed(data_source=source).verticals
                yield from (Run(source, v, *decays, seed) for decays, v in product(VERTICAL_DECAYS, of_source))


def main() -> None:
    """Makes the runs that are missing, then reports what there is."""
    parser = study_parser(__doc__, seeds=3, quick="one seed on a small log; nothing is kept", kuairand=True)
    a = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    torch.set_num_threads(1)
    stretches = QUICK if a.quick else STRETCHES
    planned = list(runs(stretches, seeds=1 if a.quick else a.seeds))
    study = Study(a.work / ("weight_average_logs_quick" if a.quick else "weight_average_logs"), stretches, a.kuairand)
    rows, seeds = complete_seeds(planned, make_runs(a, "weight_average", planned, study.run))
    report(
        "weight_average",
        figures(rows) | {"seeds": seeds},
        command="python -m benchmarks.studies.weight_average --kuairand FOLDER",
        packages=["torch", "torchrec"],
        keep=not a.quick and seeds > 0,
    )


class Study:
    """Trains what a run asks for; logs are landed once for each decay of the foundation model."""

    def __init__(self, work: Path, stretches: dict[str, Stretch], kuairand: str | None) -> None:
        """Takes the folder for the logs, and where KuaiRand-Pure is."""
        self.work, self.stretches, self.kuairand = work, stretches, kuairand
        self._of: tuple[object, Any] = (None, None)  # the newest log, and of what it is

    def run(self, run: Run) -> Row:
        """Trains and judges a model."""
        optimizer = {"optimizer": {"ema_decay": run.decay}}
        what = f"{run.source}, {run.model}, {run.averages}, seed {run.seed}"
        log = self._log(run)
        if isinstance(log, ProgressiveLog):
            judged = log.run(log.config.foundation_model.changed(**optimizer), seed=run.seed, what=what)
        else:
            judged = log.fit(optimizer, seed=run.seed, what=what)
        return {name: judged.figures[name] for name in ("ne", "auc", "seconds")}

    def _log(self, run: Run) -> ProgressiveLog | VerticalTrials:
        wanted = run.source, run.model, run.of_foundation
        if self._of[0] != wanted:
            self._of = wanted, self._read(run)
        log: ProgressiveLog | VerticalTrials = self._of[1]
        return log

    def _read(self, run: Run) -> ProgressiveLog | VerticalTrials:
        stretch = self.stretches[run.source]
        config = self._landed(run, stretch)
        days = storage.platform_days(config)[: stretch.days]
        if run.model == FOUNDATION:
            return ProgressiveLog.of(config, days, judged_days=stretch.judged_dates)
        space = vertical_space(config.of_vertical(run.model), blocks=1, cap=None)
        return VerticalTrials(config, space, run.model, days, judged_days=stretch.judged_dates)

    def _landed(self, run: Run, stretch: Stretch) -> PlatformConfig:
        decay = OF_FOUNDATION if run.of_foundation is None else run.of_foundation
        return landed_days(
            run.source,
            self.work / str(decay),
            target=run.model,
            path=self.kuairand if run.source == "kuairand" else None,
            days=stretch.days,
            foundation_model={"optimizer": {"ema_decay": decay}},
        ).changed(runtime={"torch_threads": 1})


def figures(rows: Sequence[Row]) -> dict[str, Any]:
    """Computes NE of every model by decays, and by how much it is less than that of the run it is compared with."""
    of_runs = [(Run(**{name: row[name] for name in Run.__dataclass_fields__}), float(row["ne"])) for row in rows]
    ne = dict(of_runs)
    result: dict[str, Any] = {}
    for run, _ in of_runs:
        seeds = [other for other in ne if replace(other, seed=run.seed) == run]
        found: dict[str, Any] = {"ne": interval(ne[one] for one in seeds)}
        if compared(run) != run:
            found["less"] = interval(ne[one] - ne[compared(one)] for one in seeds)
        result.setdefault(run.source, {}).setdefault(run.model, {})[run.averages] = found
    return result


def compared(run: Run) -> Run:
    """Returns the run that one is compared with: the same without an average, or after a foundation model with one."""
    if run.of_foundation == 0.0:
        return replace(run, of_foundation=OF_FOUNDATION)
    return replace(run, decay=0.0)


if __name__ == "__main__":
    main()
