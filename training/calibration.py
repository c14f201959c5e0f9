"""Fits calibration layers on rows that were held out before those they are applied to.

A layer of a day is fitted on the held-out rows of the days before it, as each day's model predicted them: rows that no
model had learnt when it predicted them, and none of which is judged on the day. So the layer that is judged is the one
that is served, and what the day's clicks are cannot change it.
"""

from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

import storage
from config import Calibration, PlatformConfig
from models.calibration import CalibrationLayer, logit


@dataclass(frozen=True)
class FittedLayer:
    """A layer, and what it was fitted on."""

    layer: CalibrationLayer
    days: list[date]  # whose held-out rows, oldest first
    rows: int
    clicks: int

    def as_dict(self) -> dict[str, Any]:
        """Returns plain values."""
        return {
            "slope": self.layer.slope,
            "intercept": self.layer.intercept,
            "days": [str(day) for day in self.days],
            "rows": self.rows,
            "clicks": self.clicks,
        }


def fit_layer(labels: npt.NDArray, probabilities: npt.NDArray, settings: Calibration) -> CalibrationLayer:
    """Fits a layer; with too few clicks, or too few rows without one, it changes nothing.

    The fit also counts rows that turned out exactly as predicted, as many as hold `prior_clicks` clicks: on few rows
    the layer so stays near what changes nothing, and on many they do not matter.

    Args:
        labels: 0 or 1, (n,).
        probabilities: of a model that has not learnt the rows, (n,).
        settings: least clicks, prior.
    """
    labels = np.asarray(labels, np.float64)
    clicks = int(labels.sum())
    if min(clicks, len(labels) - clicks) < settings.min_clicks:
        return CalibrationLayer()
    from sklearn.linear_model import LogisticRegression  # takes a second to import, and most verticals have too little

    predicted = np.asarray(probabilities, np.float64)
    weight = settings.prior_clicks / clicks  # of the row that turned out as predicted, beside each real one
    logits = logit(predicted)
    line = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000)
    line.fit(
        np.concatenate([logits, logits])[:, None],
        np.repeat([1, 0], len(labels)),
        sample_weight=np.concatenate([labels + weight * predicted, 1 - labels + weight * (1 - predicted)]),
    )
    return CalibrationLayer(float(line.coef_[0, 0]), float(line.intercept_[0]))


def fitted_before(config: PlatformConfig, vertical: str, day: date, model: str) -> FittedLayer:
    """Fits a model's layer of a day on the held-out rows of the newest days before it that hold enough clicks.

    Args:
        config: the platform.
        vertical: whose rows.
        day: on which the layer is to be applied.
        model: candidate, baseline or fm.
    """
    settings = config.calibration
    wanted = settings.soft_labels if model == "fm" else settings.vertical_models
    table = "fm_evaluations" if model == "fm" else f"evaluations_{vertical}"
    column = "probability" if model == "fm" else f"{model}_raw"
    tables: list[pa.Table] = []
    days: list[date] = []
    clicks = 0
    if wanted:
        for before in reversed([earlier for earlier in storage.committed_days(config, table) if earlier < day]):
            if storage.no_candidate(config, vertical, before):
                continue
            rows = storage.dataset(config, table, [before]).to_table(
                columns=["label", column], filter=pc.field("vertical") == vertical
            )
            tables.append(rows)
            days.append(before)
            clicks += pc.sum(rows["label"]).as_py() or 0
            if clicks >= settings.min_clicks:
                break
    if not tables:
        return FittedLayer(CalibrationLayer(), [], 0, 0)
    rows = pa.concat_tables(tables)
    layer = fit_layer(rows["label"].to_numpy(), rows[column].to_numpy(), settings)
    return FittedLayer(layer, days[::-1], rows.num_rows, clicks)


def calibrated_soft_labels(
    config: PlatformConfig, vertical: str, rows: pa.Table, days: list[date]
) -> tuple[pa.Table, dict[date, FittedLayer]]:
    """Corrects the FM's soft labels, each day's by the layer of that day; the raw ones stay in `fm_outputs`.

    The snapshot that scored a day is the one that predicted the held-out rows of the day before, on which the day's
    layer is fitted.

    Args:
        config: the platform.
        vertical: whose rows.
        rows: with event_timestamp and soft_label; null where the FM gave none.
        days: of the rows.

    Returns:
        The rows with corrected soft labels, and the layers by day.
    """
    layers = {day: fitted_before(config, vertical, day, "fm") for day in days}
    soft = rows["soft_label"].to_numpy().copy()
    times = rows["event_timestamp"]
    for day, fitted in layers.items():
        start, end = storage.day_window(config, day)
        of_day = pc.and_(pc.greater_equal(times, start), pc.less(times, end)).to_numpy()
        soft[of_day] = fitted.layer.apply(soft[of_day])
    column = pa.array(soft, pa.float32(), mask=np.isnan(soft))
    return rows.set_column(rows.schema.get_field_index("soft_label"), "soft_label", column), layers
