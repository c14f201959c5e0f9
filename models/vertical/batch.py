"""What every vertical model takes and gives."""

from typing import NamedTuple

from torch import Tensor


class History(NamedTuple):
    """A user's newest impressions with the FM's codes; B: batch, L: slots, d: code width, A: ids a slot."""

    codes: Tensor  # (B, L, d)
    ids: Tensor  # hashed, (B, L, A), int64; the first is the item
    labels: Tensor  # 0 or 1, (B, L)
    ages: Tensor  # log(1 + hours) between the impression and the history's snapshot, (B, L)
    mask: Tensor  # True where a slot is filled, (B, L)
    item_code: Tensor  # mean code of the candidate item, zeros where unknown, (B, d)


class VerticalBatch(NamedTuple):
    """B examples of a vertical; F: sparse features, N: dense features."""

    dense: Tensor  # (B, N)
    sparse: Tensor  # hashed ids, (B, F), int64
    history: History

    def part(self, start: int, size: int) -> "VerticalBatch":
        """Returns examples start to start + size of the batch."""
        rows = slice(start, start + size)
        return VerticalBatch(self.dense[rows], self.sparse[rows], History(*(values[rows] for values in self.history)))

    def take(self, rows: Tensor) -> "VerticalBatch":
        """Returns the examples of the given numbers, (n,), in their order; a number may come again."""
        return VerticalBatch(self.dense[rows], self.sparse[rows], History(*(values[rows] for values in self.history)))


def pairs(users: VerticalBatch, items: VerticalBatch) -> VerticalBatch:
    """Joins users and items, a pair a row, where each half has null (that is zero) for all that is the other's.

    Args:
        users: B examples without what belongs to the item.
        items: B examples without what belongs to the user.
    """
    history = users.history._replace(item_code=items.history.item_code)
    return VerticalBatch(users.dense + items.dense, users.sparse + items.sparse, history)


class VerticalOutput(NamedTuple):
    """A vertical model's predictions for B examples; H: width of the trunk's output."""

    logits: Tensor  # (B,)
    hidden: Tensor  # (B, H)
