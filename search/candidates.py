"""Ways to look for the params that a predictor likes best: a policy learnt by REINFORCE, and plain looking at many."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from search.choices import Array, Value
from search.space import Params, Space

Reward = Callable[[Array], Array]  # codes of valid params, (n, p), to how good they are, (n,)


class Candidates(Protocol):
    """Finds params of a high reward."""

    def __call__(
        self, space: Space, reward: Reward, rng: np.random.Generator, *, best: Sequence[Params]
    ) -> list[dict[str, Value]]:
        """Returns distinct valid canonical params, the highest reward first.

        Args:
            space: to choose from.
            reward: to be as high as possible.
            rng: all random numbers come from it.
            best: params that are known to be good.
        """
        ...


@dataclass(frozen=True)
class Many:
    """Looks at all params of a small space; of a large one at random ones, and at mutations of the best.

    Attributes:
        drawn: random params of a large space.
        parents: the best so far, each of which is mutated.
        children: of each parent.
        generations: of mutations.
    """

    drawn: int = 10_000
    parents: int = 50
    children: int = 20
    generations: int = 3

    def __call__(
        self, space: Space, reward: Reward, rng: np.random.Generator, *, best: Sequence[Params]
    ) -> list[dict[str, Value]]:
        """Returns what was looked at, the highest reward first."""
        if space.catalogue is not None:
            params, codes = space.catalogue
            return [params[n] for n in np.argsort(-reward(codes), kind="stable")]
        seen = _Seen(space, reward)
        seen.add([space.sample(rng) for _ in range(self.drawn)])
        seen.add([space.canonical(params) for params in best])
        for _ in range(self.generations):
            children = []
            for parent in seen.highest_first()[: self.parents]:
                with suppress(ValueError):  # a parent without a valid neighbor
                    children += [space.mutate(parent, rng) for _ in range(self.children)]
            seen.add(children)
        return seen.highest_first()


@dataclass(frozen=True)
class Reinforce:
    """Learns policies by REINFORCE, each a softmax for every choice, and pools all that they drew (arXiv:2311.07870).

    A number's values are at most `levels` evenly spaced ones. Refused params are worse than all valid ones by 1; where
    the first draws are all refused, as under a low cap, the policies begin at the values of the best params.

    Attributes:
        policies: learnt at once, which differ by their random numbers.
        steps: of Adam.
        batch: params that each policy draws in a step.
        learning_rate: of Adam.
        baseline: how much of the mean reward of the steps before stays in the baseline.
        entropy: weight of the entropy at the first step; it falls to a tenth.
        levels: of a number.
    """

    policies: int = 4
    steps: int = 200
    batch: int = 32
    learning_rate: float = 0.1
    baseline: float = 0.9
    entropy: float = 0.01
    levels: int = 16

    def __call__(
        self, space: Space, reward: Reward, rng: np.random.Generator, *, best: Sequence[Params]
    ) -> list[dict[str, Value]]:
        """Returns what the policies drew, the highest reward first."""
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        levels = [choice.levels(self.levels) for choice in space.choices]
        absent = torch.zeros(len(levels), max(map(len, levels)))  # (C, L): C choices of up to L levels
        for row, of_choice in zip(absent, levels, strict=True):
            row[len(of_choice) :] = -torch.inf
        weights = torch.zeros(self.policies, *absent.shape, requires_grad=True)
        adam = torch.optim.Adam([weights], self.learning_rate)
        seen, baseline = _Seen(space, reward), torch.zeros(0)
        combinations = _Combinations(seen, levels)
        for step in range(self.steps):
            with torch.enable_grad():
                log_p = torch.log_softmax(weights + absent, -1)  # (S, C, L)
                flat = log_p.detach().exp().flatten(0, 1)
                drawn = torch.multinomial(flat, self.batch, replacement=True, generator=generator)
                drawn = drawn.view(self.policies, len(levels), self.batch)
                rewards = combinations.rewards(drawn.transpose(1, 2))  # (S, B)
                if step == 0 and not seen and best:
                    weights.data += _of_values(space, levels, best, absent)
                mean = rewards.mean(1, keepdim=True)
                baseline = self.baseline * baseline + (1 - self.baseline) * mean if step else mean
                chosen = log_p.gather(2, drawn).sum(1)  # (S, B)
                entropy = -(log_p.exp() * log_p.masked_fill(log_p.isinf(), 0)).sum((1, 2))
                weight = self.entropy * 0.1 ** (step / self.steps)
                loss = -((rewards - baseline) * chosen).mean(1).sum() - weight * entropy.sum()
                adam.zero_grad()
                loss.backward()
            adam.step()
        return seen.highest_first()


def _of_values(space: Space, levels: list[list[Value]], best: Sequence[Params], absent: Tensor) -> Tensor:
    """Computes the log of how often the best params have each level, each counted once more, (C, L)."""
    counts = torch.ones_like(absent)
    for row, choice, of_choice in zip(counts, space.choices, levels, strict=True):
        codes = np.array([choice.encode(level) for level in of_choice])
        for params in best:
            nearest = np.abs(codes - np.array(choice.encode(params[choice.name]))).sum(1).argmin()
            row[int(nearest)] += 1
    return counts.log()


class _Seen:
    """Params that were looked at, with their rewards."""

    def __init__(self, space: Space, reward: Reward) -> None:
        self.space, self.reward = space, reward
        self.lowest = 0.0
        self._rewards: dict[tuple[Value, ...], float | None] = {}  # None: refused
        self._params: dict[tuple[Value, ...], dict[str, Value]] = {}

    def add(self, several: Sequence[dict[str, Value]]) -> list[float | None]:
        """Returns the rewards of canonical params; None where they are refused."""
        rows = [tuple(params.values()) for params in several]
        new = {}
        for row, params in zip(rows, several, strict=True):
            if row not in self._rewards and row not in new:
                if self.space.refusal(params) is None:
                    new[row] = params
                else:
                    self._rewards[row] = None
        if new:
            rewards = self.reward(np.array([self.space.encode(params) for params in new.values()]))
            lowest = float(rewards.min())
            self.lowest = min(self.lowest, lowest) if self._params else lowest
            self._params |= new
            self._rewards |= zip(new, map(float, rewards), strict=True)
        return [self._rewards[row] for row in rows]

    def __bool__(self) -> bool:
        return bool(self._params)

    def highest_first(self) -> list[dict[str, Value]]:
        """Returns the valid ones."""
        rewards = np.array([self._rewards[row] for row in self._params], np.float64)
        params = list(self._params.values())
        return [params[n] for n in np.argsort(-rewards, kind="stable")]


class _Combinations:
    """Rewards of combinations of levels; each is made to params once."""

    def __init__(self, seen: _Seen, levels: list[list[Value]]) -> None:
        self.seen, self.levels = seen, levels
        self.names = [choice.name for choice in seen.space.choices]
        self._rewards: dict[bytes, float | None] = {}  # None: refused

    def rewards(self, places: Tensor) -> Tensor:
        """Computes the rewards of combinations, (..., C) -> (...)."""
        rows = places.flatten(0, -2).contiguous()
        keys = [row.tobytes() for row in rows.numpy()]
        new = {key: row for key, row in zip(keys, rows.tolist(), strict=True) if key not in self._rewards}
        rewards = self.seen.add([self._params(row) for row in new.values()])
        self._rewards.update(zip(new, rewards, strict=True))
        found = (self._rewards[key] for key in keys)
        return torch.tensor([self.seen.lowest - 1 if r is None else r for r in found]).view(places.shape[:-1])

    def _params(self, places: list[int]) -> dict[str, Value]:
        values = (levels[place] for levels, place in zip(self.levels, places, strict=True))
        return self.seen.space.canonical(dict(zip(self.names, values, strict=True)))
