"""How sure a difference between models is: a paired bootstrap over users."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from quality.metrics import Array, row_losses, user_numbers

RESAMPLES = 1000
LEVEL = 0.95
DRAWS = 4_000_000  # users drawn at once: 32 MB


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % interval; NaN where the rows do not define one."""

    value: float
    low: float
    high: float

    @property
    def bounds(self) -> tuple[float, float]:
        """Returns low and high."""
        return self.low, self.high

    def as_dict(self) -> dict[str, float]:
        """Returns the three numbers by name."""
        return asdict(self)


class PairedBootstrap:
    """Intervals of differences between models that are judged on the same rows.

    Users are drawn with replacement, each with all their rows (a cluster bootstrap: the impressions of one user are not
    independent), and all models are measured on the same draw (paired: what makes rows hard is common to the models and
    drops out of the difference). Intervals are percentiles of the resampled figures (Efron and Tibshirani, An
    Introduction to the Bootstrap, 1993, section 13.3). With few users they are too narrow; with one there is none.

    They say how sure the figure is for other users of the same day and the same trained weights; another day, or
    training with another seed, adds to it.

    N: rows, U: users, M: models, R: resamples

    Args:
        labels: 0 or 1, (N,).
        users: user of each row, (N,); a row without one (None) is drawn by itself.
        probabilities: by model, each (N,).
        seed: of the draws.
        resamples: R.

    Raises:
        ValueError: lengths differ, or a probability is not finite.
    """

    def __init__(
        self,
        labels: Array,
        users: npt.NDArray,
        probabilities: Mapping[str, Array],
        *,
        seed: int,
        resamples: int = RESAMPLES,
    ) -> None:
        losses = {model: row_losses(labels, predicted) for model, predicted in probabilities.items()}
        self._draw(labels, users, losses, seed, resamples)

    @classmethod
    def of_losses(
        cls, labels: Array, users: npt.NDArray, losses: Mapping[str, Array], *, seed: int, resamples: int = RESAMPLES
    ) -> "PairedBootstrap":
        """Builds one from each row's LogLoss, nats, (N,), by model; for means over several trainings of a model."""
        made = cls.__new__(cls)
        made._draw(labels, users, losses, seed, resamples)
        return made

    def _draw(self, labels: Array, users: npt.NDArray, losses: Mapping[str, Array], seed: int, resamples: int) -> None:
        codes = user_numbers(users)
        if len(codes) != len(labels):
            raise ValueError(f"{len(codes)} users against {len(labels)} labels; they must be the same rows")
        count = int(codes.max(initial=-1)) + 1
        columns = [np.ones(len(labels)), np.asarray(labels, np.float64), *losses.values()]
        of_user: Array = np.stack([np.bincount(codes, column, count) for column in columns], axis=1)  # (U, 2 + M)
        self._models = {model: column for column, model in enumerate(losses, start=2)}
        self._all = of_user.sum(axis=0)
        self._drawn = _resampled(of_user, resamples, seed) if count > 1 else np.full((1, len(columns)), np.nan)

    def ne(self, model: str) -> float:
        """Returns the NE of a model on all rows."""
        return float(self._all[self._models[model]] / _entropy(self._all))

    def ne_difference(self, one: str, other: str) -> Interval:
        """Computes NE of `one` minus NE of `other`: below 0 where `one` is better."""
        return _interval(self._difference(self._all, one, other), self._difference(self._drawn, one, other))

    def ratio(self, numerator: tuple[str, str], denominator: tuple[str, str]) -> Interval:
        """Computes the NE gain from the first to the second model of `numerator`, over that of `denominator`.

        NaN where the gain of `denominator` is not above 0. Bounds are NaN where it is not above 0 in more than the
        2.5 % of resamples that an interval may leave out at an end: a ratio whose denominator may be 0 has no bounds
        (Fieller 1954).
        """
        above, below = self._difference(self._drawn, *numerator), self._difference(self._drawn, *denominator)
        of_all = self._difference(self._all, *denominator)
        value = self._difference(self._all, *numerator) / of_all if of_all > 0 else np.array(np.nan)
        with np.errstate(divide="ignore", invalid="ignore"):
            drawn = np.where(below > 0, above / below, np.copysign(np.inf, above))  # the limit, as the gain goes to 0
        return _interval(value, np.where(np.isnan(below), np.nan, drawn))

    def _difference(self, sums: Array, one: str, other: str) -> Array:
        """Computes NE of `one` minus NE of `other`, for each row of sums."""
        losses = sums[..., self._models[one]] - sums[..., self._models[other]]
        return np.asarray(losses / _entropy(sums))


def _resampled(of_user: Array, resamples: int, seed: int) -> Array:
    """Returns the sums over the users of each draw, (R, columns).

    Args:
        of_user: sums over each user's rows, (U, columns).
        resamples: R.
        seed: of the draws.
    """
    generator, users = np.random.default_rng(seed), len(of_user)
    at_once = max(1, DRAWS // users)
    sums = []
    for begin in range(0, resamples, at_once):
        some = min(at_once, resamples - begin)
        drawn = generator.integers(0, users, (some, users))
        drawn += np.arange(some)[:, None] * users
        times = np.bincount(drawn.ravel(), minlength=some * users).reshape(some, users)
        sums.append(times @ of_user)
    return np.concatenate(sums)


def _entropy(sums: Array) -> Array:
    """Computes the entropy of the click rate times rows, for each row of sums; NaN where all rows have one label."""
    rows, clicks = sums[..., 0], sums[..., 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = clicks / rows
        return -rows * (rate * np.log(rate) + (1 - rate) * np.log(1 - rate))


def _interval(value: Array, drawn: Array) -> Interval:
    """Builds the interval from percentiles of the resampled figures, where enough of them are defined."""
    tail = (1 - LEVEL) / 2
    low = high = float("nan")
    if np.isfinite(value) and np.isfinite(drawn).mean() >= 1 - tail:
        bounds = np.nanquantile(drawn, [tail, 1 - tail], method="nearest")  # no mean of finite and infinite
        low, high = (float(bound) for bound in bounds)
    return Interval(float(value), low, high)
