"""Which values a supernet's paths may take: a space of ranking models with some choices fixed."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from search.choices import Categorical, Value
from search.space import DRAWS, PLAIN_DRAWS, Params
from search.spaces.ranking import RankingSpace

# Operations that shared weights lack, and what stands for each where a model that has it is to be judged by them.
STAND_INS: dict[Value, Value] = {"ensemble": "lcb+fmb"}
SHARED = ("tokens", "count", "pairs", "vector", "width", "reads", "dense", "history", "raw", "head")


@dataclass(frozen=True)
class Options:
    """A space and the choices that are not searched.

    Attributes:
        space: of ranking models, with its cap.
        fixed: values of choices. The embedding width, the recipe (rates, warm-up, first embeddings) and the queries
            over the history must be among them: tables have one width, weights are shared by models that are trained
            alike, and shared weights have no such queries.
    """

    space: RankingSpace
    fixed: Params

    def __post_init__(self) -> None:
        """Checks what is fixed.

        Raises:
            ValueError: a choice is unknown, has a value that it may not have, or is missing; or the models are not
                foundation models.
        """
        if self.space.target != "foundation":
            raise ValueError("A supernet shares the weights of foundation models; this space is of vertical models")
        choices = {choice.name: choice for choice in self.space.choices}
        if unknown := self.fixed.keys() - choices.keys():
            raise ValueError(f"Fixed choices are unknown: {sorted(unknown)}; the space has {sorted(choices)}")
        for name, value in self.fixed.items():
            choices[name].checked(value)
            if value in STAND_INS:
                raise ValueError(f"A supernet has no {value}; fix {name} otherwise, such as at {STAND_INS[value]}")
        if self.fixed.get("asks"):
            raise ValueError("A supernet has no tokens that ask the history: fix asks at 0")
        missing = [name for name in choices if name.split("_")[0] not in SHARED and name not in self.fixed]
        if missing:
            raise ValueError(f"A supernet needs one value of {', '.join(missing)}: fix them")

    @property
    def blocks(self) -> int:
        """Returns how many blocks there can be."""
        return sum(choice.name.startswith("tokens_") and choice.name != "tokens_out" for choice in self.space.choices)

    @property
    def choices(self) -> tuple[Categorical, ...]:
        """Returns the choices that are not fixed, with the values that they may take."""
        return tuple(
            replace(choice, values=tuple(value for value in choice.values if value not in STAND_INS))
            for choice in self.space.choices
            if isinstance(choice, Categorical) and choice.name not in self.fixed
        )

    @cached_property
    def searched(self) -> dict[str, tuple[Value, ...]]:
        """Returns the values of the choices that are not fixed."""
        return {choice.name: choice.values for choice in self.choices}

    def allowed(self, name: str) -> tuple[Value, ...]:
        """Returns the values of a choice."""
        return (self.fixed[name],) if name in self.fixed else self.searched[name]

    def most(self, name: str) -> int:
        """Returns the greatest value of a choice of numbers."""
        return max(int(value) for value in self.allowed(name))

    def complete(self, chosen: Params) -> dict[str, Value]:
        """Returns canonical params of values for the searched choices."""
        return self.space.canonical({**self.fixed, **chosen})

    def nearest(self, params: Params) -> dict[str, Value]:
        """Returns the model that stands for any model of the space: with stand-ins, and what is fixed."""
        return self.complete({name: STAND_INS.get(params[name], params[name]) for name in self.searched})

    def alike(self, params: Params) -> dict[str, Value]:
        """Returns a model of the space itself, but for the embedding width and the recipe that are fixed."""
        return self.complete({name: params[name] for name in (*self.searched, "asks")})

    def sample(self, rng: np.random.Generator) -> dict[str, Value]:
        """Draws valid canonical params, each searched choice uniform; made valid under a low cap as by `Space.sample`.

        Raises:
            ValueError: `DRAWS` draws in a row were refused.
        """
        for draw in range(DRAWS):
            chosen = {name: values[rng.integers(len(values))] for name, values in self.searched.items()}
            set_back = [list(chosen)[n] for n in rng.permutation(len(chosen))] if draw >= PLAIN_DRAWS else []
            for name in (None, *set_back):
                if name is not None:
                    chosen[name] = self.searched[name][0]
                params = self.complete(chosen)
                if self.space.refusal(params) is None:
                    return params
        raise ValueError(f"No valid params in {DRAWS} draws: {self.space.refusal(params)}")

    def mutate(self, params: Params, rng: np.random.Generator) -> dict[str, Value]:
        """Changes one searched choice, so that the model is valid and another.

        Raises:
            ValueError: `DRAWS` changes in a row were refused or changed nothing.
        """
        before = self.space.canonical(params)
        names = list(self.searched)
        for _ in range(DRAWS):
            name = names[rng.integers(len(names))]
            values = [value for value in self.searched[name] if value != before[name]]
            after = self.space.canonical(before | {name: values[rng.integers(len(values))]})
            if after != before and self.space.refusal(after) is None:
                return after
        raise ValueError(f"No valid neighbor of {before} in {DRAWS} draws")
