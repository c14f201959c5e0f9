"""First weights of a table do not depend on where, or in how many parts, the table lies."""

from itertools import pairwise

import pytest
import torch

from models.foundation.tables import BLOCK_ROWS, FirstWeights

ROWS, DIM = 2 * BLOCK_ROWS + 100, 6


def drawn(name: str = "item_id", *, seed: int = 0) -> FirstWeights:
    torch.manual_seed(seed)
    return FirstWeights(name, rows=ROWS, embedding_dim=DIM)


def whole(first: FirstWeights) -> torch.Tensor:
    table = torch.full((ROWS, DIM), torch.nan)
    first.fill(table)
    return table


def test_first_weights_are_uniform_within_their_bound():
    table, bound = whole(drawn()), ROWS**-0.5
    assert table.abs().max() <= bound
    assert table.mean().abs() < 0.05 * bound and table.std() == pytest.approx(bound / 3**0.5, rel=0.02)
    assert len(table.unique(dim=0)) == ROWS


@pytest.mark.parametrize("cuts", [(0, ROWS), (0, 1, 700, BLOCK_ROWS, BLOCK_ROWS + 1, ROWS), (0, 2000, ROWS)])
def test_parts_of_a_table_start_as_the_whole_does(cuts: tuple[int, ...]):
    table = whole(drawn())
    for first, last in pairwise(cuts):
        for left, right in ((0, DIM), (0, 2), (2, DIM)):
            part = torch.full((last - first, right - left), torch.nan)
            drawn().fill(part, first, left)
            assert torch.equal(part, table[first:last, left:right])


def test_rows_can_be_drawn_alone():
    numbers = torch.tensor([ROWS - 1, 3, BLOCK_ROWS, 3, 0])
    assert torch.equal(drawn().of(numbers), whole(drawn())[numbers])
    assert drawn().of(numbers[:0]).shape == (0, DIM)


def test_name_and_seed_make_other_weights():
    tables = [whole(drawn()), whole(drawn("user_id")), whole(drawn(seed=1))]
    assert not torch.equal(tables[0], tables[1]) and not torch.equal(tables[0], tables[2])
    torch.rand(3)  # numbers drawn in between do not matter
    assert torch.equal(whole(drawn()), tables[0])
