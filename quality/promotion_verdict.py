"""The verdict on a vertical's day, as promote_vertical commits it and the reports, MLflow and the terminal show it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import date
from typing import Any

from quality.evidence import Contender, Transfer

Figures = Mapping[str, float | None]  # by name; None where the rows do not define one


@dataclass(frozen=True)
class PromotionVerdict:
    """Who was promoted and why, with the figures it rests on; figures are those of the day unless said otherwise."""

    day: date
    vertical: str
    winner: Contender | None  # that became champion; None: nobody did
    reasons: list[str]
    versions: dict[str, str | None] = field(default_factory=dict)  # of candidate, baseline and champion before
    champion_transfer: Transfer | None = None  # what the champion before takes from the FM; None: there was none
    serving: str | None = None  # the version that the alias champion named: the champion before, or one of since
    metrics: Mapping[str, Figures | None] = field(default_factory=dict)  # by model; empty: there is no verdict
    uncalibrated: Mapping[str, Figures] = field(default_factory=dict)  # the same before the calibration layer
    calibration: dict[str, dict[str, Any]] = field(default_factory=dict)  # each model's layer, what it was fitted on
    judged_on: dict[str, Any] = field(default_factory=dict)  # days, rows, clicks, and figures of the models on them
    headroom_ratio: float | None = None
    transfer_ratio: float | None = None
    transfer_ratio_missing: str | None = None  # why
    intervals: Mapping[str, Figures] = field(default_factory=dict)  # value, low and high of differences and ratios
    warnings: list[str] = field(default_factory=list)

    @property
    def promoted(self) -> bool:
        """Says whether the day has a new champion."""
        return self.winner is not None

    @property
    def version(self) -> str | None:
        """Returns the winner's version; where nobody won, the candidate's."""
        return self.versions.get(self.winner or "candidate")

    def to_json(self) -> dict[str, Any]:
        """Returns plain values, which `from_json` reads."""
        return asdict(self) | {"day": str(self.day), "promoted": self.promoted}

    @classmethod
    def from_json(cls, tree: Mapping[str, Any]) -> "PromotionVerdict":
        """Reads what `to_json` returned; fields that an older platform did not write keep their defaults."""
        values = {known.name: tree[known.name] for known in fields(cls) if known.name in tree}
        return cls(**values | {"day": date.fromisoformat(tree["day"])})

    @classmethod
    def none(cls, day: date, vertical: str, why: str, *, champion: str | None = None) -> "PromotionVerdict":
        """Returns the verdict where nothing was judged: nobody is promoted, and it says why.

        Args:
            day: the day.
            vertical: the vertical.
            why: the reason that nothing was judged.
            champion: the version that stays; None: there is none.
        """
        return cls(day=day, vertical=vertical, winner=None, reasons=[why], versions={"champion": champion})
