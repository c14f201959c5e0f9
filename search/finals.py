"""Finalists of a search: judged on its dates, by which one of them is chosen, and on later days, by which it wins."""

from datetime import date
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

import storage
from config import PlatformConfig
from search.foundation_trials import FoundationTrials, ne_while_learnt
from search.space import Params
from search.spaces.ranking import RankingSpace
from search.study import StudySettings
from search.vertical_trials import VerticalTrials


class FinalJudged(NamedTuple):
    """A finalist trained once."""

    search_ne: float  # by which it is chosen: on the dates of the search, as its trials are judged
    probabilities: npt.NDArray[np.float32]  # of the n rows of the later days
    flops: float  # of an example's forward pass
    seconds: float


class FoundationFinals:
    """Trains foundation models over all days of a search, once for both judgements."""

    def __init__(self, config: PlatformConfig, space: RankingSpace, settings: StudySettings) -> None:
        """Keeps what a finalist needs; see `StudySettings` for the days."""
        days, later = _days(settings), _later_dates(config, settings)
        self._dates = slice(-settings.judged_days - later, -later)
        self.later = FoundationTrials(config, space, days, judged_days=later)

    def train(self, params: Params | None, *, seed: int, what: str) -> FinalJudged:
        """Trains and judges a model; None: the platform's own.

        Raises:
            FloatingPointError: a loss is not finite.
        """
        judged = self.later.train(params, seed=seed, what=what)
        ne, figures = ne_while_learnt(judged.learnt[self._dates]), judged.figures
        return FinalJudged(ne, judged.probabilities, figures["flops_per_example"], figures["seconds"])


class VerticalFinals:
    """Trains models of a vertical twice: up to the search's dates, and up to the later days."""

    def __init__(self, config: PlatformConfig, space: RankingSpace, settings: StudySettings) -> None:
        """Keeps what a finalist needs; see `StudySettings` for the days."""
        later, of = _later_dates(config, settings), settings.target
        self._searched = VerticalTrials(config, space, of, settings.days, judged_days=settings.judged_days)
        self.later = VerticalTrials(config, space, of, _days(settings), judged_days=later)

    def train(self, params: Params | None, *, seed: int, what: str) -> FinalJudged:
        """Trains and judges a model; None: the platform's own.

        Raises:
            FloatingPointError: a loss is not finite.
        """
        searched = self._searched.train(params, seed=seed, what=f"{what}, on the search's dates")
        judged = self.later.train(params, seed=seed, what=f"{what}, on the later days")
        figures, ne = judged.figures, self._searched.objective(searched)
        seconds = searched.figures["seconds"] + figures["seconds"]
        return FinalJudged(ne, judged.probabilities, figures["flops_per_example"], seconds)


Finals = FoundationFinals | VerticalFinals


def _days(settings: StudySettings) -> list[date]:
    return [*settings.days, *settings.later_days]


def _later_dates(config: PlatformConfig, settings: StudySettings) -> int:
    return sum(len(storage.calendar_days(config, day)) for day in settings.later_days)
