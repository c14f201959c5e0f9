"""What the calibration layers of a vertical's models changed, in words and figures."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from quality.promotion_verdict import PromotionVerdict
from reports.comparisons import plain

FIGURES = {"ne": 4, "ece": 4, "calibration": 3}  # key: digits


@dataclass(frozen=True)
class Calibrated:
    """One row of a table; all texts."""

    model: str
    layer: str
    fitted_on: str
    changed: dict[str, tuple[str, str]]  # figure: before and after


def calibrations(verdict: PromotionVerdict, min_clicks: int) -> list[Calibrated]:
    """Returns the layers of a verdict's models; empty where there is no verdict.

    Args:
        verdict: the one of the day.
        min_clicks: with fewer, a layer changes nothing.
    """
    return [
        Calibrated(
            model=model,
            layer=_layer(layer),
            fitted_on=_fitted_on(layer, min_clicks),
            changed={
                name: (
                    plain((verdict.uncalibrated.get(model) or {}).get(name), digits),
                    plain((verdict.metrics.get(model) or {}).get(name), digits),
                )
                for name, digits in FIGURES.items()
            },
        )
        for model, layer in verdict.calibration.items()
    ]


def _layer(layer: Mapping[str, Any]) -> str:
    if (layer["slope"], layer["intercept"]) == (1, 0):
        return "changes nothing"
    return f"logit × {layer['slope']:.3f} {layer['intercept']:+.3f}"


def _fitted_on(layer: Mapping[str, Any], min_clicks: int) -> str:
    days = layer["days"]
    if not days:
        return "nothing: no earlier day has held-out rows, or `calibration` in platform.yaml switches it off"
    span = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    text = f"{layer['rows']:,} held-out rows with {layer['clicks']:,} clicks of {span}"
    few = min(layer["clicks"], layer["rows"] - layer["clicks"]) < min_clicks
    return f"too little: {text}; calibration.min_clicks is {min_clicks}" if few else text
