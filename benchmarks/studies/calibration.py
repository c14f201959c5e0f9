"""Calibration layers on the days of a platform: NE, ECE and calibration before and after, by day and vertical.

    python -m benchmarks.studies.calibration --configs kuairand.yaml complete_journey.yaml

Each file is a platform.yaml whose days have run, `distill_vertical` among their jobs. For baseline, candidate and FM, a
day's held-out rows are compared as the network predicted them and as the layer of the file's settings corrects them,
which is fitted on held-out rows of earlier days. `methods` does the same with other ways to fit, from the same rows.
`served` judges a day's candidate and baseline, with that day's layer, on all impressions of the day after: what would
have been served. `soft_labels` are the FM's, of all impressions of a day.

Differences are after less before: below 0 the layer helps. Intervals are 95 %, over users.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from sklearn.isotonic import IsotonicRegression

import storage
from benchmarks.report import report
from config import Calibration, PlatformConfig, load_config
from data.batches.vertical_examples import vertical_examples
from models.calibration import CalibrationLayer
from quality.intervals import PairedBootstrap
from quality.metrics import evaluate, expected_calibration_error, user_numbers
from serving.vertical_model import VerticalModel
from training.calibration import fit_layer, fitted_before

MODELS = ("baseline", "candidate", "fm")
FIGURES = ("ne", "ece", "calibration")
RESAMPLES = 100  # of ECE, which has no sums to draw from
Array = npt.NDArray[np.floating]
Correct = Callable[[Array], Array]


@dataclass(frozen=True)
class Compared:
    """Rows of a day, before and after a layer."""

    labels: Array  # (n,)
    users: npt.NDArray  # (n,)
    before: Array  # (n,)
    after: Array  # (n,)

    @classmethod
    def together(cls, several: list["Compared"]) -> "Compared":
        """Joins the rows of several."""
        names = ("labels", "users", "before", "after")
        return cls(*(np.concatenate([getattr(one, name) for one in several]) for name in names))

    def figures(self, seed: int = 0) -> dict[str, Any]:
        """Computes figures before and after, and the differences of NE and ECE with their intervals."""
        both = {name: evaluate(self.labels, getattr(self, name)).as_dict() for name in ("before", "after")}
        bootstrap = PairedBootstrap(self.labels, self.users, {"before": self.before, "after": self.after}, seed=seed)
        return {
            "rows": len(self.labels),
            "clicks": int(self.labels.sum()),
            **{name: {key: metrics[key] for key in FIGURES} for name, metrics in both.items()},
            "ne_difference": bootstrap.ne_difference("after", "before").as_dict(),
            "ece_difference": self._ece_difference(seed),
        }

    def _ece_difference(self, seed: int) -> dict[str, float]:
        """Computes the difference of ECE; its interval draws users with all their rows, the same before and after."""
        codes = user_numbers(self.users)
        order = np.argsort(codes, kind="stable")
        starts = np.searchsorted(codes[order], np.arange(codes.max() + 2))
        generator = np.random.default_rng(seed)

        def difference(rows: npt.NDArray[np.integer]) -> float:
            before, after = (
                expected_calibration_error(self.labels[rows], probabilities[rows])
                for probabilities in (self.before, self.after)
            )
            return after - before

        drawn = []
        for _ in range(RESAMPLES):
            users = generator.integers(0, codes.max() + 1, codes.max() + 1)
            drawn.append(difference(np.concatenate([order[starts[user] : starts[user + 1]] for user in users])))
        low, high = np.quantile(drawn, [0.025, 0.975])
        return {"value": difference(np.arange(len(codes))), "low": float(low), "high": float(high)}


def main() -> None:
    """Reports all platforms' figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configs", nargs="+", required=True, help="platform files whose days have run")
    parser.add_argument("--quick", action="store_true", help="keep no result")
    asked = parser.parse_args()
    platforms = [_switched_on(load_config(path)) for path in asked.configs]
    figures = {config.data_source: _platform(config) for config in platforms}
    report(
        "calibration",
        storage.finite(figures),
        command="python -m benchmarks.studies.calibration --configs PLATFORM.yaml ...",
        packages=["numpy", "scikit-learn", "torch"],
        keep=not asked.quick,
    )


def _switched_on(config: PlatformConfig) -> PlatformConfig:
    """The platform with all layers, whatever its file says of them."""
    settings = config.calibration.model_dump() | {"soft_labels": True, "vertical_models": True}
    return config.model_copy(update={"calibration": Calibration.model_validate(settings)})


def _platform(config: PlatformConfig) -> dict[str, Any]:
    days = storage.committed_days(config, f"evaluations_{config.verticals[0]}")
    judged = days[1:]  # the first day has nothing to fit a layer on
    figures: dict[str, Any] = {"days": [str(day) for day in judged], "settings": config.calibration.model_dump()}
    for name, rows_of in (("held_out", _held_out), ("served", _served), ("soft_labels", _soft_labels)):
        figures[name] = _by_model(config, judged, rows_of)
    figures["methods"] = _methods(config, judged)
    return figures


RowsOf = Callable[[PlatformConfig, str, str, date], Compared | None]


def _by_model(config: PlatformConfig, days: list[date], rows_of: RowsOf) -> dict[str, Any]:
    """Computes the figures of each model: of all rows, by vertical, and by day and vertical."""
    figures = {}
    for model in MODELS:
        compared = {
            (vertical, day): rows
            for vertical in config.verticals
            for day in days
            if (rows := rows_of(config, vertical, model, day)) is not None
        }
        if not compared:
            continue
        figures[model] = {
            "all": Compared.together(list(compared.values())).figures(),
            "by_vertical": {
                vertical: Compared.together([rows for key, rows in compared.items() if key[0] == vertical]).figures()
                for vertical in dict.fromkeys(key[0] for key in compared)
            },
            "by_day": {
                str(day): Compared.together([rows for key, rows in compared.items() if key[1] == day]).figures()
                for day in dict.fromkeys(key[1] for key in compared)
            },
            "by_day_and_vertical": [
                {"vertical": vertical, "day": str(day), **rows.figures()} for (vertical, day), rows in compared.items()
            ],
        }
    return figures


def _held_out(config: PlatformConfig, vertical: str, model: str, day: date) -> Compared | None:
    table = f"evaluations_{vertical}"
    if not storage.has_partition(config, table, day):
        return None
    rows = storage.read_partition(config, table, day, columns=["label", "user_id", f"{model}_raw"])
    raw = rows[f"{model}_raw"].to_numpy()
    return _compared(rows, raw, fitted_before(config, vertical, day, model).layer.apply(raw))


def _served(config: PlatformConfig, vertical: str, model: str, day: date) -> Compared | None:
    """Judges the VM of the day before on the whole day."""
    before = storage.previous_day(config, day)
    table = f"{model}s_{vertical}"
    if model == "fm" or before is None or not storage.has_partition(config, table, before):
        return None
    trained = VerticalModel.load(storage.partition_folder(config, table, before) / "model")
    rows = vertical_examples(config, vertical, [day])
    raw = trained.uncalibrated(rows)
    return _compared(rows, raw, fitted_before(config, vertical, before, model).layer.apply(raw))


def _soft_labels(config: PlatformConfig, vertical: str, model: str, day: date) -> Compared | None:
    if model != "fm":
        return None
    where = pc.field("vertical") == vertical
    rows = storage.dataset(config, "fm_outputs", [day]).to_table(["label", "user_id", "soft_label"], filter=where)
    raw = rows["soft_label"].to_numpy()
    return _compared(rows, raw, fitted_before(config, vertical, day, "fm").layer.apply(raw))


def _compared(rows: pa.Table, before: Array, after: Array) -> Compared:
    return Compared(rows["label"].to_numpy(), rows["user_id"].to_numpy(), before, after)


def _methods(config: PlatformConfig, days: list[date]) -> dict[str, Any]:
    """Judges VMs and FM on all held-out rows, with other ways to fit on the same earlier rows."""
    figures: dict[str, Any] = {}
    for name, way in WAYS.items():
        figures[name] = {}
        for model in MODELS:
            compared = [
                rows
                for vertical in config.verticals
                for day in days
                if (rows := _refitted(config, vertical, model, day, way)) is not None
            ]
            figures[name][model] = Compared.together(compared).figures()
    return figures


def _refitted(config: PlatformConfig, vertical: str, model: str, day: date, way: "Way") -> Compared | None:
    rows = _held_out(config, vertical, model, day)
    earlier = list(_earlier(config, vertical, model, day, way.gathered))
    if rows is None or not earlier:
        return rows
    fitted_on = Compared.together(earlier)
    enough = min(fitted_on.labels.sum(), (1 - fitted_on.labels).sum()) >= way.least
    after = way.fit(fitted_on.labels, fitted_on.before)(rows.before) if enough else rows.before
    return Compared(rows.labels, rows.users, rows.before, after)


def _earlier(config: PlatformConfig, vertical: str, model: str, day: date, clicks: int) -> Iterator[Compared]:
    """Yields held-out rows of earlier days, newest first, until they hold so many clicks."""
    held = 0
    for before in reversed(storage.committed_days(config, f"evaluations_{vertical}")):
        if before < day and held < clicks and (rows := _held_out(config, vertical, model, before)) is not None:
            held += int(rows.labels.sum())
            yield rows


def _platt(prior: float) -> Callable[[Array, Array], Correct]:
    settings = Calibration(min_clicks=1, prior_clicks=prior)
    return lambda labels, probabilities: fit_layer(labels, probabilities, settings).apply


def _shift(labels: Array, probabilities: Array) -> Correct:
    """Fits the intercept alone: by how much all odds are too high."""
    low, high = -3.0, 3.0
    for _ in range(40):
        middle = (low + high) / 2
        too_high = CalibrationLayer(1.0, middle).apply(np.asarray(probabilities, np.float64)).sum() > labels.sum()
        low, high = (low, middle) if too_high else (middle, high)
    return CalibrationLayer(1.0, (low + high) / 2).apply


def _isotonic(labels: Array, probabilities: Array) -> Correct:
    steps = IsotonicRegression(y_min=1e-3, y_max=1 - 1e-3, out_of_bounds="clip").fit(probabilities, labels)
    return lambda raw: np.asarray(steps.predict(raw), np.float64)


@dataclass(frozen=True)
class Way:
    """A way to fit."""

    gathered: int  # earlier days are added until there are so many clicks
    least: int  # with fewer clicks nothing is changed
    fit: Callable[[Array, Array], Correct]


WAYS = {
    "platt": Way(100, 100, _platt(0)),
    "platt, prior 20": Way(100, 100, _platt(20)),
    "platt, prior 100": Way(100, 100, _platt(100)),
    "platt, 300 clicks": Way(300, 300, _platt(0)),
    "platt, 300 clicks, prior 100": Way(300, 300, _platt(100)),
    "platt, up to 1000 clicks": Way(1000, 100, _platt(0)),
    "platt, up to 1000 clicks, prior 100": Way(1000, 100, _platt(100)),
    "platt, 1000 clicks, prior 100": Way(1000, 1000, _platt(100)),
    "shift": Way(100, 100, _shift),
    "shift, 1000 clicks": Way(1000, 1000, _shift),
    "isotonic": Way(100, 100, _isotonic),
    "isotonic, 1000 clicks": Way(1000, 1000, _isotonic),
}


if __name__ == "__main__":
    main()
