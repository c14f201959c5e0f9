"""The held-out rows that a promotion is judged on: the day's, and those of days before where the day has few clicks.

A model of the day has learnt what was held out on the days before, so it cannot be judged on those rows. What is
pooled is the evidence about the way of making models: on each day its candidate, its baseline and the champion of that
day, each on rows that none of them had learnt.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

import numpy as np
import numpy.typing as npt

from quality.intervals import Interval, PairedBootstrap
from quality.metrics import Metrics, evaluate

Contender = Literal["candidate", "baseline"]
Transfer = Literal["fm", "none"]  # what a model takes from the FM
CONTENDERS: tuple[Contender, Contender] = ("candidate", "baseline")
TRANSFER: dict[Contender, Transfer] = {"candidate": "fm", "baseline": "none"}


@dataclass(frozen=True)
class JudgedRows:
    """A day's held-out rows, with what each model of that day predicted."""

    day: date
    labels: npt.NDArray  # (n,)
    users: npt.NDArray  # (n,)
    probabilities: dict[str, npt.NDArray]  # of candidate, baseline and, where there was one, the day's champion; (n,)
    champion_transfer: Transfer | None  # None: there was no champion

    @property
    def clicks(self) -> int:
        """Returns the number of rows that were clicked."""
        return int(self.labels.sum())


@dataclass(frozen=True)
class Evidence:
    """What the pooled rows show about the contenders."""

    days: list[date]  # oldest first
    rows: int
    clicks: int
    metrics: dict[str, Metrics]  # of candidate and baseline, on all rows
    champion_transfer: Transfer | None  # of the day's champion
    champion_days: list[date] = field(default_factory=list)  # whose champion was of the same kind
    against_champion: dict[str, Metrics] = field(default_factory=dict)  # of contenders and champion, on those days
    intervals: dict[str, Interval] = field(default_factory=dict)  # `ne_ONE_minus_OTHER`


def newest_with_clicks(days: Iterable[JudgedRows], clicks: int) -> list[JudgedRows]:
    """Returns the newest days that together hold enough clicks, newest first; all days where they hold fewer.

    Args:
        days: newest first; read no further than needed.
        clicks: how many are enough.
    """
    taken: list[JudgedRows] = []
    for rows in days:
        taken.append(rows)
        if sum(day.clicks for day in taken) >= clicks:
            break
    return taken


def pool(days: list[JudgedRows], *, seed: int) -> Evidence:
    """Measures the contenders on the rows of all days together.

    They are compared with the champion on the days whose champion was of the same kind as that of the newest day: with
    another kind of model in its place, the figures of that day say nothing about the present one.

    Args:
        days: newest first; the first is the day to decide on.
        seed: of the intervals' draws.
    """
    kind = days[0].champion_transfer
    metrics, intervals = _measure(days, list(CONTENDERS), seed)
    alike: list[JudgedRows] = []
    against: dict[str, Metrics] = {}
    if kind is not None:
        alike = [rows for rows in days if rows.champion_transfer == kind]
        against, differences = _measure(alike, [*CONTENDERS, "champion"], seed)
        intervals |= {name: interval for name, interval in differences.items() if name.endswith("_champion")}
    return Evidence(
        days=[rows.day for rows in reversed(days)],
        rows=sum(len(rows.labels) for rows in days),
        clicks=sum(rows.clicks for rows in days),
        metrics=metrics,
        champion_transfer=kind,
        champion_days=[rows.day for rows in reversed(alike)],
        against_champion=against,
        intervals=intervals,
    )


def _measure(days: list[JudgedRows], models: list[str], seed: int) -> tuple[dict[str, Metrics], dict[str, Interval]]:
    """Computes figures of models on the rows of all days, and intervals of the NE differences between them."""
    labels, users = (np.concatenate([getattr(rows, name) for rows in days]) for name in ("labels", "users"))
    judged = {model: np.concatenate([rows.probabilities[model] for rows in days]) for model in models}
    metrics = {model: evaluate(labels, probabilities) for model, probabilities in judged.items()}
    bootstrap = PairedBootstrap(labels, users, judged, seed=seed)
    pairs = [(one, other) for at, one in enumerate(models) for other in models[at + 1 :]]
    return metrics, {f"ne_{one}_minus_{other}": bootstrap.ne_difference(one, other) for one, other in pairs}
