"""Estimates a registered model's NE over all days after its own from few parts of days, with an error bar.

- **Reads:** `vertical_examples` of the days after the version's own, a version of `vertical_<name>`.
- **Writes:** nothing.

Each day is cut into parts of equal time. The labels of all parts are read, and the model scores `budget` parts; of
the others, a Gaussian process says what to expect (search/bayes/quadrature.py), told how much the mean of so many rows
varies by chance. A budget of all parts is the NE itself. With few parts the interval may be too narrow: look at it as a
rough one.
"""

import logging
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

import storage
from config import PlatformConfig
from quality.metrics import row_losses, undefined_because
from search.bayes.quadrature import average, noise_of_means
from search.choices import Array
from serving.registry import CHAMPION, day_of, load_version, version_at, version_numbered
from training.tracking import tracking_client

LOG = logging.getLogger("headwater.estimate_ne")


def main(
    config: PlatformConfig, *, vertical: str, budget: int, version: str = "", parts: int = 8, seed: int = 0
) -> dict[str, Any]:
    """Scores parts of days one after another, each where least is known of the average.

    Args:
        config: the platform.
        vertical: whose model.
        budget: parts that are scored.
        version: of the model; empty: the champion.
        parts: of a day.
        seed: of what is drawn.

    Returns:
        ne, with low and high of its 95 % interval, null where one part says nothing of the others; how much was scored.

    Raises:
        ValueError: the vertical, the version or a number is wrong, or no day after the version's own has both labels.
    """
    config = config.of_vertical(vertical)
    if budget < 1 or parts < 1:
        raise ValueError(f"budget is {budget} and parts is {parts}; both must be at least 1")
    chosen = _version(tracking_client(config), storage.registered_model(vertical), version)
    days = [day for day in storage.committed_days(config, "vertical_examples") if day > day_of(chosen)]
    if not days:
        raise ValueError(
            f"{chosen.name} version {chosen.version} is of {day_of(chosen)}, and no later day is done: run one, or "
            "name an earlier --version"
        )
    cells = [(day, part) for day in days for part in range(parts)]
    labels = [_rows(config, vertical, *cell, parts, ["label"])["label"].to_numpy() for cell in cells]
    everything = np.concatenate(labels)
    if reason := undefined_because(everything):
        raise ValueError(f"NE is not defined: {vertical} has {reason} after {day_of(chosen)}")
    model = load_version(config, chosen)

    counts = np.array([len(of_cell) for of_cell in labels], np.float64)
    variances: dict[int, float] = {}

    def log_loss(cell: int) -> float:
        rows = _rows(config, vertical, *cells[cell], parts, None)
        LOG.info("scored %s, part %d of %d: %d rows", cells[cell][0], cells[cell][1] + 1, parts, rows.num_rows)
        losses = row_losses(rows["label"].to_numpy(), model.predict(rows))
        variances[cell] = float(losses.var())
        return float(losses.mean())

    def noise(scored: Sequence[int]) -> Array:
        return noise_of_means([variances[cell] for cell in scored], scored, counts)

    found = average(log_loss, places(len(days), parts), counts, budget=budget, noise=noise, seed=seed)
    rate = everything.mean()
    entropy = -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))
    low, high = (bound / entropy for bound in found.interval)
    return {
        "version": str(chosen.version),
        "days": [str(day) for day in days],
        "ne": found.mean / entropy,
        "low": low,
        "high": high,
        "parts_scored": len(found.cells),
        "parts": int((counts > 0).sum()),
        "rows_scored": int(counts[list(found.cells)].sum()),
        "rows": len(everything),
    }


def _version(client: MlflowClient, name: str, number: str) -> ModelVersion:
    found = version_numbered(client, name, number) if number else version_at(client, name, CHAMPION)
    if found is None:
        raise ValueError(f"{name} has no version {number}" if number else f"{name} has no champion; name a --version")
    return found


def places(days: int, parts: int) -> Array:
    """Returns where each part lies, by day and by time of the day, in [0, 1], (days · parts, 2)."""
    day, part = np.divmod(np.arange(days * parts), parts)
    return np.stack([day / max(days - 1, 1), part / max(parts - 1, 1)], 1)


def _rows(
    config: PlatformConfig, vertical: str, day: date, part: int, parts: int, columns: list[str] | None
) -> pa.Table:
    start, end = storage.day_window(config, day)
    bounds: list[datetime] = [start + (end - start) * n / parts for n in (part, part + 1)]
    time = pc.field("event_timestamp")
    where = (pc.field("vertical") == vertical) & (time >= bounds[0]) & (time < bounds[1])
    return storage.dataset(config, "vertical_examples", [day]).to_table(columns=columns, filter=where)
