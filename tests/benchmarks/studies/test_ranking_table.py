"""The table of ranking architectures: its cells are models of the space, and what it has is not trained again."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.studies import ranking_table
from benchmarks.studies.ranking_table import GRID, NAMES, Cell, _rows, _write, cells
from benchmarks.studies.search_tabular.tables import own
from models.architectures.architecture import Sizes
from search.spaces.ranking import RankingSpace
from search.trials import name_of

SPACE = RankingSpace.of(Sizes(10, 12, 16, 20, 1), target="foundation", blocks=2)


def test_the_cells_are_a_thousand_different_models_of_the_space() -> None:
    order = cells(SPACE)
    assert len(order) >= 1000
    assert len({SPACE.key(Cell(cell, 0).params) for cell in order}) == len(order)
    assert order == cells(SPACE)  # drawn by chance, the same on every call
    first = {name: {cell[name] for cell in order[:100]} for name in GRID}
    assert first == {name: set(values) for name, values in GRID.items()}


def test_a_table_is_read_back_as_it_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking_table, "TABLE", tmp_path / "table.csv")
    order = cells(SPACE)
    rows: list[dict[str, Any]] = [
        {"cell": order[n], "seed": seed, "ne": 0.85 + n / 100 + seed / 1000, "ne_later": 0.86, "curve": [0.9, 0.8701]}
        | {"flops": 1000.0 + n, "parameters": 10.0, "seconds": 2.5, "device": "cuda" if n else "cpu"}
        for n, seed in ((0, 0), (1, 0), (0, 1))
    ]
    _write(rows)
    read = _rows(tmp_path, kept=True)
    by_name = {name_of(row, NAMES): row for row in read}
    assert by_name == {name_of(row, NAMES): row for row in rows}
    table = own(tmp_path / "table.csv")
    assert table is not None and sorted(map(len, table.objectives)) == [1, 2]
