"""Trials of a vertical's models: each learns the days of a search and is judged on the dates that follow."""

import time
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

import storage
from config import PlatformConfig, VerticalSettings
from data.batches.vertical import HISTORY_IDS, VerticalFeatures
from data.schema import epoch_us
from data.sources import source_schema
from models.architectures.architecture import Sizes
from models.vertical import build_vertical
from models.vertical.batch import History, VerticalBatch
from models.vertical.network import VerticalNetwork
from quality.metrics import evaluate
from search.platform_model import fingerprint
from search.space import Params
from search.spaces.ranking import RankingSpace
from training.foundation.progressive_log import Judged, forward_flops
from training.vertical.arm import Arm
from training.vertical.logged_rows import logged_rows
from training.vertical.rows import VerticalRows
from training.vertical.student import Student, predict

SECTION = "vertical_model"  # of platform.yaml


@dataclass(frozen=True)
class VerticalLog:
    """Rows to learn, and rows to judge on."""

    learn: VerticalRows
    judge: VerticalRows
    labels: npt.NDArray[np.float32]  # of the judged rows, (n,)
    users: npt.NDArray[Any]  # (n,)
    days: npt.NDArray[np.int64]  # which of the judged dates a row is of, from 0, (n,)


class VerticalTrials:
    """Trains a vertical's models with what the platform's foundation model passes on."""

    section = SECTION

    def __init__(
        self, config: PlatformConfig, space: RankingSpace, vertical: str, days: list[date], *, judged_days: int
    ) -> None:
        """Keeps what a trial needs; the rows are read when the first one is made.

        Args:
            config: the platform.
            space: of the models.
            vertical: whose rows.
            days: platform days to learn and judge on, oldest first.
            judged_days: the newest dates of them.
        """
        self.config, self.space, self.vertical = config.of_vertical(vertical), space, vertical
        self.days, self.judged_days = days, judged_days

    @property
    def place(self) -> tuple[str, ...]:
        """Returns the keys of platform.yaml under which a model of this vertical changes the section."""
        return ("sources", self.config.data_source, "verticals", self.vertical, "model")

    @property
    def platform(self) -> str:
        """Returns what names the settings that a training depends on, beside its params."""
        return fingerprint(self.config.vertical_model, self.config.transfer, self.config.features)

    @property
    def inherited(self) -> str:
        """Returns what names the settings that all trials take from platform.yaml, whatever their params."""
        of_any = self.config.vertical_model.changed(**self.settings(self.space.first))
        return fingerprint(of_any, self.config.transfer, self.config.features)

    @cached_property
    def log(self) -> VerticalLog:
        """Returns the rows; every trial reads the same.

        Raises:
            ValueError: the vertical has no rows to learn, or none to judge on, or too few dates.
        """
        starts = storage.date_starts(self.config, self.days)
        if self.judged_days >= len(starts):
            raise ValueError(f"{len(starts)} dates are too few to judge a model on the last {self.judged_days} of them")
        rows = logged_rows(self.config, source_schema(self.config), self.vertical, self.days)
        bounds = np.array([epoch_us(at) for at in starts[-self.judged_days :]])
        learnt = rows.part(np.flatnonzero(rows.instants < bounds[0]))
        judged = rows.part(np.flatnonzero(rows.instants >= bounds[0]))
        if not len(learnt.instants) or not len(judged.instants):
            lacks = "judge on" if len(learnt.instants) else "learn"
            raise ValueError(
                f"vertical {self.vertical} has no impressions to {lacks} in {self.days[0]} to {self.days[-1]}"
            )
        day_of = np.searchsorted(bounds, judged.instants, side="right") - 1
        return VerticalLog(learnt.served(), judged.served(), judged.labels.numpy(), judged.users, day_of)

    def objective(self, judged: Judged) -> float:
        """Returns the NE by which trials are chosen."""
        return float(judged.figures["ne"])

    def settings(self, params: Params | None) -> dict[str, Any]:
        """Returns what params change of the section; None: nothing, the platform's own model."""
        if params is None:
            return {}
        changed = self.space.settings(params)
        return changed | {"hyperparameters": _kept(self.config) | changed["hyperparameters"]}

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
        settings = self.config.vertical_model.changed(**changed)
        features = VerticalFeatures.of(source_schema(self.config), self.config)
        arm = Arm.of(self.config.transfer)
        student = Student(settings, self.config.transfer, arm, features.num_embeddings, HISTORY_IDS)
        before = time.perf_counter()
        trained = student.fit(self.log.learn, seed=seed, what=what, epochs=settings.cold_start_epochs)
        seconds = time.perf_counter() - before
        probabilities = predict(trained.network, self.log.judge)
        figures = evaluate(self.log.labels, probabilities, users=self.log.users).as_dict()
        tables = sum(p.numel() for p in trained.network.embeddings.parameters())
        sizes = {
            "dense_parameters": sum(p.numel() for p in trained.network.parameters()) - tables,
            "flops_per_example": vertical_flops(self.config, settings),
            "seconds": round(seconds, 1),
            "rows_learnt": len(self.log.learn) * settings.cold_start_epochs,
        }
        return Judged(figures | sizes | {"curve": []}, probabilities, self.log.days)


def vertical_space(config: PlatformConfig, *, blocks: int, cap: float | None) -> RankingSpace:
    """Returns the space of vertical models of a source.

    Raises:
        ValueError: the cap is below what the smallest model costs.
    """
    features = VerticalFeatures.of(source_schema(config), config)
    inputs = Sizes(
        num_sparse=len(features.num_embeddings),
        num_dense=len(features.dense),
        embedding_dim=config.vertical_model.embedding_dim,
        sequence_length=features.history_length,
        target=list(features.num_embeddings).index("item_id"),
    )
    return RankingSpace.of(inputs, target="vertical", blocks=blocks, cap=cap, around=_around(config))


def vertical_flops(config: PlatformConfig, settings: VerticalSettings) -> float:
    """Counts FLOPs of an example's forward pass in a vertical model: matrix products between look-ups and logit."""
    return float(forward_flops(_network(config, settings), _example(config)))


def _around(config: PlatformConfig) -> dict[int, tuple[int, int]]:
    """Returns what stands around an architecture, by embedding width: numbers beside its output, FLOPs of its own."""
    around = {}
    for width in (8, 16, 32):
        settings = config.vertical_model.changed(
            architecture="graph", embedding_dim=width, hyperparameters=_kept(config) | {"hidden": []}
        )
        network = _network(config, settings)
        beside = network.hidden_dim - network.architecture.output_dim
        around[width] = (beside, forward_flops(network, _example(config)) - 2 * network.hidden_dim)
    return around


def _kept(config: PlatformConfig) -> dict[str, Any]:
    """Returns the platform's own sizes of what stands around an architecture; no trial changes them."""
    around = VerticalNetwork.Config.model_fields
    return {name: value for name, value in config.vertical_model.hyperparameters.items() if name in around}


def _network(config: PlatformConfig, settings: VerticalSettings) -> VerticalNetwork:
    features = VerticalFeatures.of(source_schema(config), config)
    arm = Arm.of(config.transfer)
    state = torch.random.get_rng_state()
    network = build_vertical(
        settings,
        num_embeddings=features.num_embeddings,
        num_dense=len(features.dense),
        history_length=features.history_length,
        code_dim=features.code_dim if arm.codes != "none" else 0,
        history_ids=arm.history_ids(HISTORY_IDS),
    )
    torch.random.set_rng_state(state)
    return network.eval()


def _example(config: PlatformConfig) -> VerticalBatch:
    features = VerticalFeatures.of(source_schema(config), config)
    slots = features.history_length
    history = History(
        torch.zeros(1, slots, features.code_dim),
        torch.zeros(1, slots, len(HISTORY_IDS), dtype=torch.int64),
        torch.zeros(1, slots),
        torch.zeros(1, slots),
        torch.ones(1, slots, dtype=torch.bool),
        torch.zeros(1, features.code_dim),
    )
    return VerticalBatch(
        torch.zeros(1, len(features.dense)), torch.zeros(1, len(features.num_embeddings), dtype=torch.int64), history
    )
