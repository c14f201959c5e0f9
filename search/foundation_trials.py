"""Trials of foundation models: each learns the days of a search in one pass and is judged as it learns the last."""

from collections.abc import Sequence
from datetime import date
from functools import cached_property
from typing import Any

from config import PlatformConfig
from data.batches.foundation import FoundationFeatures, foundation_batches
from data.sources import source_schema
from models.architectures.architecture import Sizes
from search.platform_model import fingerprint
from search.space import Params
from search.spaces.ranking import RankingSpace
from training.foundation.progressive_log import Judged, Learnt, ProgressiveLog, dense_size, progressive_ne
from training.foundation.trainer import foundation_trainer

SECTION = "foundation_model"  # of platform.yaml


class FoundationTrials:
    """Trains foundation models of a space over some days."""

    section = SECTION

    def __init__(self, config: PlatformConfig, space: RankingSpace, days: list[date], *, judged_days: int) -> None:
        """Keeps what a trial needs; the log is read when the first one is made.

        Args:
            config: the platform.
            space: of the models.
            days: platform days to learn, oldest first.
            judged_days: the newest dates of them.
        """
        self.config, self.space, self.days, self.judged_days = config, space, days, judged_days

    @property
    def place(self) -> tuple[str, ...]:
        """Returns the keys of platform.yaml under which a model of this source changes the section."""
        return ("sources", self.config.data_source, SECTION)

    @property
    def platform(self) -> str:
        """Returns what names the settings that a training depends on, beside its params."""
        return fingerprint(self.config.foundation_model, self.config.features)

    @property
    def inherited(self) -> str:
        """Returns what names the settings that all trials take from platform.yaml, whatever their params."""
        of_any = self.config.foundation_model.changed(**self.settings(self.space.first))
        return fingerprint(of_any.without_placement, self.config.features)

    @cached_property
    def log(self) -> ProgressiveLog:
        """Returns the examples; every trial reads the same."""
        return ProgressiveLog.of(self.config, self.days, judged_days=self.judged_days)

    def objective(self, judged: Judged) -> float:
        """Returns the NE by which trials are chosen: of the judged dates, each batch just before it is learnt."""
        return ne_while_learnt(judged.learnt[-self.judged_days :])

    def settings(self, params: Params | None) -> dict[str, Any]:
        """Returns what params change of the section; None: nothing, the platform's own model."""
        return {} if params is None else self.space.settings(params)

    def train(self, params: Params | None, *, seed: int, what: str) -> Judged:
        """Trains and judges a model; None: the platform's own.

        Raises:
            FloatingPointError: a loss is not finite.
        """
        return self.fit(self.settings(params), seed=seed, what=what)

    def fit(self, changed: dict[str, Any], *, seed: int, what: str) -> Judged:
        """Trains and judges a model whose settings differ so from the platform's own.

        Raises:
            FloatingPointError: a loss is not finite.
        """
        return self.log.run(self.config.foundation_model.changed(**changed), seed=seed, what=what)


def ne_while_learnt(dates: Sequence[Learnt]) -> float:
    """Returns the NE of dates as they were learnt; NaN where they define none."""
    ne = progressive_ne(dates)
    return float("nan") if ne is None else ne


def foundation_inputs(config: PlatformConfig) -> Sizes:
    """Returns what foundation models of a source read, with the history, at the configured embedding width."""
    features = FoundationFeatures.of(source_schema(config), config.foundation_model, config.features)
    return Sizes(
        num_sparse=len(features.sparse) + 1,
        num_dense=len(features.dense),
        embedding_dim=config.foundation_model.embedding_dim,
        sequence_length=config.features.history_length,
        target=features.sparse.index("item_id"),
    )


def foundation_flops(config: PlatformConfig, day: date) -> float:
    """Counts FLOPs of an example's forward pass in the platform's own foundation model, as the space counts its own.

    Args:
        config: the platform.
        day: any committed one; a batch of it is looked at.
    """
    batch = next(iter(foundation_batches(config, day, start=None, end=None)))
    with foundation_trainer(config, source_schema(config)) as trainer:
        return float(dense_size(trainer.module, batch.batch)[1])
