"""Search spaces: choices with their values, and which combinations may be tried."""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
import numpy.typing as npt

Value = str | int | float | bool
Params = Mapping[str, Value]  # a value for every choice of a space
Array = npt.NDArray[np.float64]

DRAWS = 10_000  # before a space is said to hold nothing valid
PLAIN_DRAWS = 20  # before choices of a refused draw are set back
ENUMERATED = 100_000  # combinations of a space that is kept as a whole
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
        place = int(_rounded(code[0] * (len(self.values) - 1))) if self.ordered else int(np.argmax(code))
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
class Integer:
    """A whole number from `low` to `high`, both included.

    Attributes:
        name: of the choice.
        low: the least, and what stands where the choice has no effect.
        high: the greatest.
        log: equal ratios are equally far apart.
    """

    name: str
    low: int
    high: int
    log: bool = False

    def __post_init__(self) -> None:
        _check_range(self)

    @property
    def width(self) -> int:
        """Numbers in its code."""
        return 1

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

    def encode(self, value: Value) -> list[float]:
        """Returns the value's place in [0, 1]."""
        return [_place(self, float(value))]

    def decode(self, code: Array) -> Value:
        """Returns the value at the nearest place."""
        return min(max(int(_rounded(_at(self, float(code[0])))), self.low), self.high)

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
        moved = self.decode(np.array([_place(self, float(value)) + STEP * rng.standard_normal()]))
        if moved != value:
            return moved
        aside = [near for near in (int(value) - 1, int(value) + 1) if self.low <= near <= self.high]
        return aside[rng.integers(len(aside))]


@dataclass(frozen=True)
class Real:
    """A number from `low` to `high`.

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
        _check_range(self)

    @property
    def width(self) -> int:
        """Numbers in its code."""
        return 1

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

    def encode(self, value: Value) -> list[float]:
        """Returns the value's place in [0, 1]."""
        return [_place(self, float(value))]

    def decode(self, code: Array) -> Value:
        """Returns the value at that place."""
        return float(min(max(_at(self, float(code[0])), self.low), self.high))

    def levels(self, most: int) -> list[Value]:
        """Returns so many evenly spaced values."""
        return [self.decode(np.array([place])) for place in np.linspace(0, 1, most)]

    def sample(self, rng: np.random.Generator) -> Value:
        """Draws a value, uniform on its scale."""
        return self.decode(np.array([rng.random()]))

    def mutate(self, value: Value, rng: np.random.Generator) -> Value:
        """Draws another value near this one."""
        return self.decode(np.array([_place(self, float(value)) + STEP * rng.standard_normal()]))


Choice = Categorical | Integer | Real


@dataclass(frozen=True)
class Space:
    """Choices, and which of their combinations may be tried; a subclass adds rules, costs and what has no effect.

    Params are plain values and stand JSON. A subclass whose choices may have no effect overrides `canonical`, so that
    equal models have equal params and so one key.
    """

    choices: tuple[Choice, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "choices", tuple(self.choices))
        names = [choice.name for choice in self.choices]
        if not names:
            raise ValueError("A search space needs at least one choice")
        if repeated := [name for name, times in Counter(names).items() if times > 1]:
            raise ValueError(f"A search space has two choices named {repeated[0]!r}; names must differ")

    def canonical(self, params: Params) -> dict[str, Value]:
        """Returns the params in the choices' order; a subclass sets those without effect to their first value.

        Raises:
            ValueError: a choice is missing, unknown, or has a value that it may not have.
        """
        if params.keys() != self._names():
            missing, unknown = self._names() - params.keys(), params.keys() - self._names()
            told = [f"lack {sorted(missing)}"] * bool(missing) + [f"have unknown {sorted(unknown)}"] * bool(unknown)
            raise ValueError(f"Params {' and '.join(told)}; the space's choices are {sorted(self._names())}")
        return {choice.name: choice.checked(params[choice.name]) for choice in self.choices}

    def refusal(self, params: Params) -> str | None:
        """Says which rule forbids to try canonical params, such as a cap of their cost; None: they are valid.

        Refusals are counted by their text, so it names the rule and not the params' own figures.
        """
        return None

    def cost(self, params: Params) -> float | None:
        """Returns what is known of canonical params before training, FLOPs of an example; None: not known."""
        return None

    def flow(self, params: Params) -> dict[str, list[str]]:
        """Returns the graph of canonical params, over their unordered choices: what each reads, all of it before it.

        A subclass says how data flow, and leaves out choices without effect; here, each reads the one before it.
        """
        names = [choice.name for choice in self.choices if isinstance(choice, Categorical) and not choice.ordered]
        return {name: names[max(n - 1, 0) : n] for n, name in enumerate(names)}

    def key(self, params: Params) -> str:
        """Returns what names the model: a short hash of the canonical params, the same on every machine."""
        text = json.dumps(self.canonical(params), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def sample(self, rng: np.random.Generator) -> dict[str, Value]:
        """Draws valid canonical params, each choice uniform.

        Where `PLAIN_DRAWS` were refused, as under a low cap, further ones are made valid: their choices are set to
        their first value one after another, in an order drawn by chance, until nothing refuses them.

        Raises:
            ValueError: `DRAWS` draws in a row were refused; says what refuses most.
        """

        def drawn() -> Iterator[Params]:
            for n in range(DRAWS):
                params: dict[str, Value] = {choice.name: choice.sample(rng) for choice in self.choices}
                yield params
                for place in rng.permutation(len(self.choices)) if n >= PLAIN_DRAWS else ():
                    choice = self.choices[place]
                    params = params | {choice.name: choice.levels(1)[0]}
                    yield params

        return self._first_valid(drawn(), "No valid params", unlike=None)

    def mutate(self, params: Params, rng: np.random.Generator) -> dict[str, Value]:
        """Changes one choice; the result is valid, canonical, and of another key.

        Raises:
            ValueError: `DRAWS` changes in a row were refused or had no effect.
        """
        before = self.canonical(params)

        def changed() -> Iterator[Params]:
            for _ in range(DRAWS):
                choice = self.choices[rng.integers(len(self.choices))]
                yield before | {choice.name: choice.mutate(before[choice.name], rng)}

        return self._first_valid(changed(), f"No valid neighbor of {before}", unlike=before)

    def encode(self, params: Params) -> Array:
        """Returns the params' code, (p,) in [0, 1]: one-hot for unordered categoricals, scaled numbers for the rest."""
        params = self.canonical(params)
        return np.array([x for choice in self.choices for x in choice.encode(params[choice.name])])

    def decode(self, code: Array) -> dict[str, Value]:
        """Returns the canonical params whose code is nearest, choice by choice; they may be invalid."""
        ends = np.cumsum([choice.width for choice in self.choices])
        parts = np.split(np.asarray(code, np.float64), ends[:-1])
        return self.canonical({c.name: c.decode(part) for c, part in zip(self.choices, parts, strict=True)})

    def size(self) -> int | None:
        """Returns the number of combinations, valid or not; None where a choice is a real number."""
        counts = [choice.count for choice in self.choices if choice.count is not None]
        return math.prod(counts) if len(counts) == len(self.choices) else None

    def everything(self) -> Iterator[dict[str, Value]]:
        """Yields all valid canonical params of a finite space once."""
        assert self.size() is not None
        seen, names = set(), [choice.name for choice in self.choices]
        for values in product(*(choice.levels(choice.count or 0) for choice in self.choices)):
            params = self.canonical(dict(zip(names, values, strict=True)))
            told = tuple(params.values())
            if told not in seen and self.refusal(params) is None:
                yield params
            seen.add(told)

    @cached_property
    def catalogue(self) -> tuple[list[dict[str, Value]], Array] | None:
        """All valid canonical params, n, and their codes, (n, p); kept. None: there are too many combinations."""
        size = self.size()
        if size is None or size > ENUMERATED:
            return None
        params = list(self.everything())
        return params, np.array([self.encode(one) for one in params])

    def _names(self) -> set[str]:
        return {choice.name for choice in self.choices}

    def _first_valid(self, drawn: Iterator[Params], failed: str, *, unlike: Params | None) -> dict[str, Value]:
        refusals: Counter[str] = Counter()
        for draw in drawn:
            params = self.canonical(draw)
            reason = "it changes nothing" if params == unlike else self.refusal(params)
            if reason is None:
                return params
            refusals[reason] += 1
        raise ValueError(f"{failed} in {DRAWS} draws; refused most often: {refusals.most_common(1)[0][0]}")


def _check_range(choice: Integer | Real) -> None:
    if not choice.low < choice.high:
        raise ValueError(f"Choice {choice.name!r} needs low < high, it has {choice.low} and {choice.high}")
    if choice.log and choice.low <= 0:
        raise ValueError(f"Choice {choice.name!r} is logarithmic, so low must be above 0; it is {choice.low}")


def _place(choice: Integer | Real, value: float) -> float:
    """Scales a value to [0, 1]."""
    if choice.log:
        return math.log(value / choice.low) / math.log(choice.high / choice.low)
    return (value - choice.low) / (choice.high - choice.low)


def _at(choice: Integer | Real, place: float) -> float:
    """Scales a place in [0, 1] back."""
    place = min(max(place, 0.0), 1.0)
    if choice.log:
        return float(choice.low * (choice.high / choice.low) ** place)
    return choice.low + place * (choice.high - choice.low)


def _rounded(number: float) -> float:
    """Rounds halves up, so that equally long stretches belong to all values within."""
    return math.floor(number + 0.5)
