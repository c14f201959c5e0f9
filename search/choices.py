"""Choices of a search space: their values, and how values become numbers."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Value = str | int | float | bool
Array = npt.NDArray[np.float64]

STEP = 0.2  # standard deviation of a mutated number's step, as a share of its range


@dataclass(frozen=True)
class Categorical:
    """One of several values.

    Attributes:
        name: of the choice.
        values: at least two, all different; the first stands where the choice has no effect.
        ordered: the values are steps of one scale, such as widths.
    """

    name: str
    values: tuple[Value, ...]
    ordered: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(self.values))
        if len(self.values) < 2:
            raise ValueError(f"Choice {self.name!r} needs at least two values, it has {list(self.values)}")
        if len(set(self.values)) < len(self.values):
            raise ValueError(f"Choice {self.name!r} has a value twice: {list(self.values)}")

    @property
    def width(self) -> int:
        """Numbers in its code."""
        return 1 if self.ordered else len(self.values)

    @property
    def count(self) -> int:
        """How many values it has."""
        return len(self.values)

    def checked(self, value: Value) -> Value:
        """Returns the value as the choice spells it.

        Raises:
            ValueError: it is none of the choice's.
        """
        if value not in self.values:
            raise ValueError(f"Choice {self.name!r} may not be {value!r}; its values are {list(self.values)}")
        return self.values[self.values.index(value)]

    def encode(self, value: Value) -> list[float]:
        """Returns the value's code: one-hot, or its place in [0, 1] where the values are ordered."""
        place = self.values.index(value)
        if self.ordered:
            return [place / (len(self.values) - 1)]
        return [float(n == place) for n in range(len(self.values))]

    def decode(self, code: Array) -> Value:
        """Returns the value whose code is nearest."""
        place = math.floor(code[0] * (len(self.values) - 1) + 0.5) if self.ordered else int(np.argmax(code))
        return self.values[min(max(place, 0), len(self.values) - 1)]

    def levels(self, most: int) -> list[Value]:
        """Returns all values."""
        return list(self.values)

    def sample(self, rng: np.random.Generator) -> Value:
        """Draws a value."""
        return self.values[rng.integers(len(self.values))]

    def mutate(self, value: Value, rng: np.random.Generator) -> Value:
        """Draws another value."""
        place = self.values.index(value)
        return self.values[(place + 1 + rng.integers(len(self.values) - 1)) % len(self.values)]


@dataclass(frozen=True)
class _Range:
    """Numbers from `low` to `high`, both included.

    Attributes:
        name: of the choice.
        low: the least, and what stands where the choice has no effect.
        high: the greatest.
        log: equal ratios are equally far apart.
    """

    name: str
    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"Choice {self.name!r} needs low < high, it has {self.low} and {self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"Choice {self.name!r} is logarithmic, so low must be above 0; it is {self.low}")

    @property
    def width(self) -> int:
        """Numbers in its code."""
        return 1

    def encode(self, value: Value) -> list[float]:
        """Returns the value's place in [0, 1]."""
        if self.log:
            return [math.log(float(value) / self.low) / math.log(self.high / self.low)]
        return [(float(value) - self.low) / (self.high - self.low)]

    def _at(self, place: float) -> float:
        """Scales a place in [0, 1] back."""
        place = min(max(place, 0.0), 1.0)
        if self.log:
            return float(self.low * (self.high / self.low) ** place)
        return self.low + place * (self.high - self.low)

    def _stepped(self, value: Value, rng: np.random.Generator) -> Array:
        """Returns the code of a place near a value's."""
        return np.array([self.encode(value)[0] + STEP * rng.standard_normal()])


@dataclass(frozen=True)
class Integer(_Range):
    """A whole number from `low` to `high`, both included; attributes as of a `Real`."""

    low: int
    high: int

    @property
    def count(self) -> int:
        """How many values it has."""
        return self.high - self.low + 1

    def checked(self, value: Value) -> Value:
        """Returns the value as a whole number.

        Raises:
            ValueError: it is no whole number of the range.
        """
        if not isinstance(value, int | float) or not self.low <= value <= self.high or value != int(value):
            raise ValueError(
                f"Choice {self.name!r} may not be {value!r}; it is a whole number from {self.low} to {self.high}"
            )
        return int(value)

    def decode(self, code: Array) -> Value:
        """Returns the value at the nearest place."""
        # Halves are rounded up, so that equally long stretches belong to all values within.
        return min(max(math.floor(self._at(float(code[0])) + 0.5), self.low), self.high)

    def levels(self, most: int) -> list[Value]:
        """Returns all values, or so many evenly spaced ones where there are more."""
        if self.count <= most:
            return list(range(self.low, self.high + 1))
        return list(dict.fromkeys(self.decode(np.array([place])) for place in np.linspace(0, 1, most)))

    def sample(self, rng: np.random.Generator) -> Value:
        """Draws a value, uniform on its scale."""
        if self.log:
            return self.decode(np.array([rng.random()]))
        return int(rng.integers(self.low, self.high + 1))

    def mutate(self, value: Value, rng: np.random.Generator) -> Value:
        """Draws another value near this one."""
        moved = self.decode(self._stepped(value, rng))
        if moved != value:
            return moved
        aside = [near for near in (int(value) - 1, int(value) + 1) if self.low <= near <= self.high]
        return aside[rng.integers(len(aside))]


@dataclass(frozen=True)
class Real(_Range):
    """A number from `low` to `high`.

    Attributes:
        name: of the choice.
        low: the least, and what stands where the choice has no effect.
        high: the greatest.
        log: equal ratios are equally far apart.
    """

    @property
    def count(self) -> None:
        """There are too many values to count."""
        return

    def checked(self, value: Value) -> Value:
        """Returns the value as a number.

        Raises:
            ValueError: it is no number of the range.
        """
        if not isinstance(value, int | float) or not self.low <= value <= self.high:
            raise ValueError(
                f"Choice {self.name!r} may not be {value!r}; it is a number from {self.low} to {self.high}"
            )
        return float(value)

    def decode(self, code: Array) -> Value:
        """Returns the value at that place."""
        return float(min(max(self._at(float(code[0])), self.low), self.high))

    def levels(self, most: int) -> list[Value]:
        """Returns so many evenly spaced values."""
        return [self.decode(np.array([place])) for place in np.linspace(0, 1, most)]

    def sample(self, rng: np.random.Generator) -> Value:
        """Draws a value, uniform on its scale."""
        return self.decode(np.array([rng.random()]))

    def mutate(self, value: Value, rng: np.random.Generator) -> Value:
        """Draws another value near this one."""
        return self.decode(self._stepped(value, rng))


Choice = Categorical | Integer | Real
