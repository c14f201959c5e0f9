"""Gradient boosting on what a model reads of an example, fitted anew for every judged day."""

from dataclasses import dataclass
from datetime import date
from itertools import pairwise, product
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import TargetEncoder

import storage
from config import PlatformConfig
from data.batches.foundation import FoundationFeatures, foundation_batches
from data.sources import source_schema
from search.vertical_trials import VerticalTrials

GRID = [
    {"learning_rate": rate, "max_leaf_nodes": leaves} for rate, leaves in product((0.02, 0.05, 0.1), (7, 15, 31, 63))
]
ROUNDS = 1000  # at most; a tenth of the rows says when to stop


@dataclass(frozen=True)
class Table:
    """Rows of a log in time order.

    Attributes:
        dense: (n, D).
        ids: of every feature that has one a row, (n, F).
        labels: (n,).
        days: of each row; judged dates are numbered from 0, all before them are -1, (n,).
    """

    dense: npt.NDArray[np.float32]
    ids: npt.NDArray[np.int64]
    labels: npt.NDArray[np.float32]
    days: npt.NDArray[np.int64]


def boosted(table: Table, settings: dict[str, Any], *, seed: int) -> npt.NDArray[np.float64]:
    """Returns probabilities of the judged rows; each day's model has learnt all rows before that day.

    Args:
        table: the rows.
        settings: one of GRID.
        seed: of the rows that say when to stop, and of the folds in which ids are encoded.
    """
    judged = []
    x = np.concatenate([table.dense, table.ids], axis=1)
    for day in range(int(table.days.max()) + 1):
        before, now = table.days < day, table.days == day
        model = _model(table, settings, seed).fit(x[before], table.labels[before])
        judged.append(model.predict_proba(x[now])[:, 1])
    return np.concatenate(judged)


def foundation_table(config: PlatformConfig, days: list[date], *, judged_days: int) -> Table:
    """Returns what a foundation model reads of some days' examples, without histories.

    Args:
        config: the platform.
        days: platform days, oldest first.
        judged_days: the newest dates of them.
    """
    features = FoundationFeatures.of(source_schema(config), config.foundation_model, config.features)
    starts = storage.date_starts(config, days)
    dense, ids, labels, numbers = [], [], [], []
    number = judged_days - len(starts)
    for day in days:
        for start, end in pairwise([*storage.date_starts(config, [day]), None]):
            for examples in foundation_batches(config, day, start=start, end=end):
                dense.append(examples.batch.dense.numpy())
                of_row = [examples.batch.sparse[name].values().numpy() for name in features.sparse]
                ids.append(np.stack(of_row, axis=1))
                labels.append(examples.labels.numpy())
                numbers.append(np.full(examples.size, max(number, -1)))
            number += 1
    return Table(*(np.concatenate(parts) for parts in (dense, ids, labels, numbers)))


def vertical_table(trainer: VerticalTrials) -> Table:
    """Returns what a vertical model reads of its rows, without histories."""
    parts = (trainer.log.learn, trainer.log.judge)
    return Table(
        np.concatenate([part.dense.numpy() for part in parts]),
        np.concatenate([part.sparse.numpy() for part in parts]),
        np.concatenate([part.labels.numpy() for part in parts]),
        np.concatenate([np.full(len(parts[0]), -1), trainer.log.days]),
    )


def _model(table: Table, settings: dict[str, Any], seed: int) -> Pipeline:
    width = table.dense.shape[1]
    columns = list(range(width, width + table.ids.shape[1]))
    # Ids become the mean label of their rows, each row's by the others' (cross-fitted).
    encode = ColumnTransformer([("ids", TargetEncoder(random_state=seed), columns)], remainder="passthrough")
    boost = HistGradientBoostingClassifier(
        max_iter=ROUNDS, early_stopping=True, n_iter_no_change=20, random_state=seed, **settings
    )
    return make_pipeline(encode, boost)
