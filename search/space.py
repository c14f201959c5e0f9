"""Search spaces: choices, and which combinations of their values may be tried."""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np

from search.choices import Array, Categorical, Choice, Value

Params = Mapping[str, Value]  # a value for every choice of a space

DRAWS = 10_000  # before a space is said to hold nothing valid
PLAIN_DRAWS = 20  # before choices of a refused draw are set back
ENUMERATED = 100_000  # combinations of a space that is kept as a whole


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

    @property
    def first(self) -> dict[str, Value]:
        """Returns the first value of every choice."""
        return {choice.name: choice.levels(1)[0] for choice in self.choices}

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
