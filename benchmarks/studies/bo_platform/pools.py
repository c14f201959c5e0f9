"""Pools of settings that were trained already: what a search may ask for is a pool's rows, and nothing else.

HPO-B and LCBench travel in the wheel of bocode, which is fetched by pip and never kept in the repository; the grids of
the paper on BINOCULARS are CSV files that the caller has (github.com/shalijiang/bo, enbo/data). The last pool is the
platform's own table.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.studies.search_tabular.tables import LEAST, own
from data.raw.wheels import fetch_from_wheel
from search.choices import Array, Integer, Value
from search.space import Params, Space

MOST = 2_000  # rows of a pool; of a larger one, so many are drawn, for all methods and seeds the same
# Data sets of which few rows are the best: where hundreds are, the first rows hold one, and a search says nothing.
HPO_B = {
    "glmnet_2": "5970_37",
    "glmnet_large_2": "6766_31",
    "rpart_3": "4796_3918",
    "rpart_6": "5859_31",
    "svm_8": "5891_3891",
    "ranger_9": "7609_145853",
}
LCBENCH = {"lcbench_higgs_7": "higgs", "lcbench_fashion_7": "Fashion_MNIST"}
GRIDS = {
    "grid_svm_3": "svm",
    "grid_lda_3": "lda",
    "grid_logreg_4": "logreg",
    "grid_robotpush_3": "robotpush3",
}
OWN = "ranking_kuairand"
LOGARITHMIC = (0, 1, 3)  # columns of LCBench that its authors draw so: batch size, learning rate, units


@dataclass(frozen=True)
class Level(Integer):
    """The number of one of a column's values, in their order; its code is the value's own place between 0 and 1.

    Attributes:
        places: of the values.
    """

    places: tuple[float, ...] = ()

    def encode(self, value: Value) -> list[float]:
        """Returns the value's place."""
        return [self.places[int(value)]]

    def decode(self, code: Array) -> Value:
        """Returns the number of the value at the nearest place."""
        return int(np.abs(np.array(self.places) - code[0]).argmin())


@dataclass(frozen=True)
class PoolSpace(Space):
    """The rows of a pool as the whole space, so a sampler weighs each of them as it does with any small space.

    Attributes:
        rows: numbers of the levels.
    """

    rows: tuple[tuple[int, ...], ...] = field(default=(), repr=False)

    @cached_property
    def _known(self) -> frozenset[tuple[int, ...]]:
        return frozenset(self.rows)

    def refusal(self, params: Params) -> str | None:
        """Refuses what the pool lacks."""
        return None if tuple(params.values()) in self._known else "the pool lacks it"

    def sample(self, rng: np.random.Generator) -> dict[str, Value]:
        """Draws a row."""
        return self._params(self.rows[rng.integers(len(self.rows))])

    @cached_property
    def catalogue(self) -> tuple[list[dict[str, Value]], Array] | None:
        """All rows and their codes."""
        params = [self._params(row) for row in self.rows]
        return params, np.array([self.encode(one) for one in params])

    def _params(self, row: tuple[int, ...]) -> dict[str, Value]:
        return {choice.name: value for choice, value in zip(self.choices, row, strict=True)}


@dataclass(frozen=True)
class Pool:
    """Trained settings.

    Attributes:
        space: of the rows.
        objectives: by the values of a row; lower is better.
    """

    space: Space
    objectives: dict[tuple[Value, ...], float]

    @property
    def dimensions(self) -> int:
        """Returns the number of choices."""
        return len(self.space.choices)

    @property
    def optimum(self) -> float:
        """Returns the lowest objective."""
        return min(self.objectives.values())

    def objective(self, params: Params) -> float:
        """Looks up the objective of a row's params."""
        return self.objectives[tuple(params.values())]


def pool_of(x: npt.NDArray[np.floating], objectives: npt.NDArray[np.floating], most: int = MOST) -> Pool:
    """Makes a pool of rows of numbers.

    Columns that do not vary are left out; equal rows are one, with their mean objective; a row without objective is
    none.

    Args:
        x: (n, d).
        objectives: lower is better, (n,).
        most: rows that are kept.
    """
    there = np.isfinite(objectives)
    x, objectives = np.asarray(x, np.float64)[there], np.asarray(objectives, np.float64)[there]
    if len(x) > most:
        drawn = np.random.default_rng(0).choice(len(x), most, replace=False)
        x, objectives = x[drawn], objectives[drawn]
    x = x[:, x.min(0) < x.max(0)]
    columns, numbers = [], []
    for n, values in enumerate(x.T):
        levels, number = np.unique(values, return_inverse=True)
        places = (levels - levels[0]) / (levels[-1] - levels[0])
        columns.append(Level(f"x{n}", 0, len(levels) - 1, places=tuple(places.tolist())))
        numbers.append(number)
    by_row: dict[tuple[int, ...], list[float]] = {}
    for row, objective in zip(np.stack(numbers, 1).tolist(), objectives.tolist(), strict=True):
        by_row.setdefault(tuple(row), []).append(objective)
    means: dict[tuple[Value, ...], float] = {row: float(np.mean(of)) for row, of in by_row.items()}
    return Pool(PoolSpace(tuple(columns), tuple(by_row)), means)


def pools(work: Path, grids: Path | None) -> dict[str, Callable[[], Pool]]:
    """Returns how to read each pool there is, by name.

    Args:
        work: folder that keeps what was fetched.
        grids: folder of the paper's grids, `svm_on_grid.csv` and others; None: left out.
    """
    found: dict[str, Callable[[], Pool]] = {name: partial(hpo_b, work, key) for name, key in HPO_B.items()}
    found |= {name: partial(lcbench, work, key) for name, key in LCBENCH.items()}
    if grids is not None:
        found |= {name: partial(grid, grids / f"{key}_on_grid.csv") for name, key in GRIDS.items()}
    table = own(least=LEAST)
    if table is not None:
        found[OWN] = partial(Pool, table.space, dict(zip(table.values, table.means.tolist(), strict=True)))
    return found


def hpo_b(work: Path, key: str) -> Pool:
    """Reads a pool of HPO-B: settings in [0, 1], accuracy last (arXiv:2106.06257)."""
    rows = _of_wheel(work, "hpob", key)
    return pool_of(rows[:, :-1], -rows[:, -1])


def lcbench(work: Path, key: str) -> Pool:
    """Reads a pool of LCBench: seven settings of a network, accuracy last (arXiv:2006.13799)."""
    rows = _of_wheel(work, "lcbench", key).astype(np.float64)
    rows[:, LOGARITHMIC] = np.log(rows[:, LOGARITHMIC])
    return pool_of(rows[:, :-1], -rows[:, -1])


def grid(path: Path) -> Pool:
    """Reads a grid of the paper: a line a row, what is to be low last."""
    rows = np.genfromtxt(path, delimiter=",")
    return pool_of(rows[:, :-1], rows[:, -1])


def _of_wheel(work: Path, data: str, key: str) -> npt.NDArray[np.float32]:
    target = work / "tables" / f"bocode_{data}"
    fetch_from_wheel("bocode==1.0.1", {f"bocode/opt_problems/hpo/data/{data}_data.npz": "table"}, target)
    with np.load(target / "table", allow_pickle=False) as tables:
        rows: npt.NDArray[np.float32] = tables[key]
    return rows
