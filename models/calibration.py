"""The calibration layer: a line on the logit, fitted on held-out rows, that travels with a model."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Probabilities = TypeVar("Probabilities", npt.NDArray[np.float32], npt.NDArray[np.float64])
EDGE = 1e-7  # probabilities are kept this far from 0 and 1, as where their loss is taken


@dataclass(frozen=True)
class CalibrationLayer:
    """Platt scaling (Platt 1999): sigmoid(slope * logit(p) + intercept). The default changes nothing."""

    slope: float = 1.0
    intercept: float = 0.0

    @property
    def changes_nothing(self) -> bool:
        """Says whether probabilities pass as they are."""
        return self == CalibrationLayer()

    def apply(self, probabilities: Probabilities) -> Probabilities:
        """Corrects probabilities, (n,); NaN stays NaN. Order is kept where the slope is above 0."""
        if self.changes_nothing:
            return probabilities
        logits = self.slope * logit(probabilities) + self.intercept
        return (1 / (1 + np.exp(-logits))).astype(probabilities.dtype)


def logit(probabilities: npt.NDArray) -> npt.NDArray[np.float64]:
    """Computes log odds, (n,); finite for 0 and 1, too."""
    clipped = np.asarray(probabilities, np.float64).clip(EDGE, 1 - EDGE)
    return np.log(clipped / (1 - clipped))
