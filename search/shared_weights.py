"""The parts of a search that weights shared by all models do: each is learnt once and kept in the search's folder.

One-shot and DNAS have one part, DistDNAS one for each date, a screener the supernet that it warms. A part reads the
dates before those that trials are judged on; the newest of these is to choose by, where a method needs that. Trials of
the first three are the models that they propose, in their order.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

import storage
from config import PlatformConfig
from data.batches.foundation import Examples, FoundationFeatures, foundation_batches
from data.sources import source_schema
from search.choices import Categorical, Choice, Value
from search.spaces.ranking import RankingSpace
from search.study import FOUNDATION, SHARED_FOLDER, Study, StudySettings
from search.supernet import PROPOSERS
from search.supernet.dist_dnas import DistDNAS, reduced
from search.supernet.options import Options
from search.supernet.proposal import Log
from search.supernet.screen import BATCHES, warmed
from search.supernet.supernet import Supernet

PROPOSING = ("one_shot", "dnas", "dist_dnas")
WARMED = ("sigeo",)  # screeners that read a warm supernet
SCREENERS = ("none", *WARMED, "parameters", "flops", "synflow", "zico")
WHOLE, WARM = "whole", "warm"  # parts that are no date
WARM_SHARE = 0.1  # of the examples, the newest, that a screener's supernet learns
PROPOSED = 200  # models at most
VALIDATION_BATCHES = 32
BATCH_SIZE = 128  # shared weights need many steps, and a log may be small; trials keep the platform's


def check_shared(settings: StudySettings) -> None:
    """Checks that a search's sampler and screener fit its target.

    Raises:
        ValueError: the screener is unknown, or shared weights are wanted for a vertical, or twice.
    """
    sampler, screener = settings.sampler, settings.screener
    if screener not in SCREENERS:
        raise ValueError(f"unknown screener {screener!r}; there are {', '.join(SCREENERS)}")
    wants = [name for name in (sampler, screener) if name in PROPOSING or name not in ("none", sampler)]
    if settings.target != FOUNDATION and wants:
        raise ValueError(
            f"{wants[0]} knows foundation models only: their tables and histories are what it shares; choose another "
            f"sampler, and no screener, for {settings.target}"
        )
    if sampler in PROPOSING and screener != "none":
        raise ValueError(f"{sampler} proposes models by itself: a screener, here {screener}, has nothing to screen")


def parts(config: PlatformConfig, settings: StudySettings) -> list[str]:
    """Returns the parts that a search must learn before its first trial, in their order.

    Raises:
        ValueError: there are too few dates to learn and to choose by.
    """
    dates = learnt_dates(config, settings)
    if settings.sampler in ("one_shot", "dnas") and len(dates) < 2:
        raise ValueError(
            f"{settings.sampler} needs two dates at least before the {settings.judged_days} that trials are judged on, "
            f"one to learn and one to choose by; {settings.days[0]} to {settings.days[-1]} have {len(dates)}"
        )
    if settings.sampler == "dist_dnas":
        return dates
    return [WHOLE] if settings.sampler in PROPOSING else [WARM] if settings.screener in WARMED else []


def learnt_dates(config: PlatformConfig, settings: StudySettings) -> list[str]:
    """Returns the dates before those that trials are judged on, oldest first."""
    dates = [str(date) for day in settings.days for date in storage.calendar_days(config, day)]
    return dates[: -settings.judged_days]


@dataclass(frozen=True)
class SharedWeights:
    """Learns the parts of a search."""

    config: PlatformConfig
    study: Study

    def learn(self, part: str) -> dict[str, Any]:
        """Learns a part and keeps what it finds; one that is kept is not learnt again.

        Args:
            part: of `parts`.

        Returns:
            What is kept.

        Raises:
            ValueError: the search has no such part.
        """
        settings = self.study.settings
        known = parts(self.config, settings)
        if part not in known:
            raise ValueError(f"the search {self.study.name} has no part {part!r}; it has {', '.join(known) or 'none'}")
        path = self._file(part)
        if path.exists():
            return dict(json.loads(path.read_text()))
        path.parent.mkdir(exist_ok=True)
        if part == WARM:
            supernet, compute = warmed(self.options, self.log, WARM_SHARE, seed=settings.seed)
            with storage.replace_file(self._weights) as file:
                save_file(supernet.state_dict(), file)
            found: dict[str, Any] = {"compute": compute}
        elif part == WHOLE:
            proposal = PROPOSERS[settings.sampler]()(self.options, self.log, count=PROPOSED, seed=settings.seed)
            found = {"models": [one.params for one in proposal.ranked], "compute": proposal.compute}
        else:
            number = known.index(part)
            found = {"probabilities": None, "compute": 0.0}  # of a date without rows
            if day := self._batches(part):
                seed = settings.seed + number
                probabilities, compute = DistDNAS().search_day(self.options, day, self.features, seed=seed)
                found = {"probabilities": probabilities, "compute": compute}
        with storage.replace_file(path) as file:
            file.write_text(json.dumps(found, indent=1))
        return found

    def proposed(self) -> list[dict[str, Value]]:
        """Returns the models that the parts propose, the best first.

        Raises:
            FileNotFoundError: a part has not been learnt.
        """
        found = [self._learnt(part) for part in parts(self.config, self.study.settings)]
        if self.study.settings.sampler != "dist_dnas":
            return [dict(params) for params in found[0]["models"]]
        days = [part["probabilities"] for part in found]
        return reduced(self.options, days)

    def supernet(self) -> Supernet:
        """Returns the warm supernet.

        Raises:
            FileNotFoundError: it has not been learnt.
        """
        self._learnt(WARM)
        supernet = Supernet(self.options, self.features, seed=self.study.settings.seed)
        supernet.load_state_dict(load_file(self._weights))
        return supernet

    @cached_property
    def scored(self) -> list[Examples]:
        """Returns the batches by which a screener scores models: the newest that are learnt."""
        return self._batches(learnt_dates(self.config, self.study.settings)[-1])[-BATCHES:]

    @cached_property
    def options(self) -> Options:
        """Returns the search's models with recipe and embedding width as close to the platform's own as can be."""
        assert isinstance(self.study.space, RankingSpace)
        foundation = self.config.foundation_model
        own = {
            "embedding_dim": foundation.embedding_dim,
            "first_embeddings": foundation.first_embeddings or 0.0,
            "asks": 0,
            **foundation.optimizer.model_dump(),
        }
        choices = {choice.name: choice for choice in self.study.space.choices}
        return Options(
            self.study.space, {name: _nearest(choices[name], float(own[name])) for name in own if name in choices}
        )

    @cached_property
    def log(self) -> Log:
        """Returns what a method may learn from, and what it may choose by."""
        *learnt, last = learnt_dates(self.config, self.study.settings)
        chosen = self._batches(last)
        step = max(1, len(chosen) // VALIDATION_BATCHES)
        days = [self._batches(date) for date in learnt] or [chosen]  # a screener chooses by nothing
        return Log(days, chosen[::step][:VALIDATION_BATCHES], self.features)

    @property
    def features(self) -> FoundationFeatures:
        """Returns what the examples hold."""
        return FoundationFeatures.of(source_schema(self._reading), self._reading.foundation_model, self.config.features)

    @property
    def _reading(self) -> PlatformConfig:
        return self.config.changed(
            foundation_model={
                "architecture": "sequence_graph",
                "hyperparameters": {},
                "optimizer": {"batch_size": BATCH_SIZE},
            }
        )

    def _batches(self, date: str) -> list[Examples]:
        """Returns the examples of a date, histories among them."""
        for day in self.study.settings.days:
            dates = [str(one) for one in storage.calendar_days(self.config, day)]
            if date in dates:
                starts = [*storage.date_starts(self.config, [day]), None]
                start, end = list(pairwise(starts))[dates.index(date)]
                return list(foundation_batches(self._reading, day, start=start, end=end))
        raise ValueError(f"{date} is no date of the search {self.study.name}")

    def _learnt(self, part: str) -> dict[str, Any]:
        path = self._file(part)
        if not path.exists():
            raise FileNotFoundError(
                f"the search {self.study.name} has not learnt {part!r} yet: python -m jobs share_weights --study "
                f"{self.study.name} --part {part}"
            )
        return dict(json.loads(path.read_text()))

    def _file(self, part: str) -> Path:
        return self.study.folder / SHARED_FOLDER / f"{part}.json"

    @property
    def _weights(self) -> Path:
        return self.study.folder / SHARED_FOLDER / "warm.safetensors"


def _nearest(choice: Choice, value: float) -> Value:
    """Returns the value of a choice of numbers that is nearest."""
    assert isinstance(choice, Categorical)
    return min(choice.values, key=lambda one: abs(float(one) - value))
