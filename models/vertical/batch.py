"""What every vertical model takes and gives."""

from typing import NamedTuple

from torch import Tensor


class History(NamedTuple):
    """Users' newest impressions with the FM's codes.

    U: users, B: examples, U of them in training, L: slots, d: code width, A: ids a slot
    """

    codes: Tensor  # (U, L, d)
    ids: Tensor  # hashed, (U, L, A), int64; the first is the item
    labels: Tensor  # 0 or 1, (U, L)
    ages: Tensor  # log(1 + hours) between the impression and the history's snapshot, (U, L)
    mask: Tensor  # True where a slot is filled, (U, L)
    item_code: Tensor  # mean code of the candidate item, zeros where unknown, (B, d)


class VerticalBatch(NamedTuple):
    """B = U·C examples of a vertical: C of each of U users, side by side; in training each is a user of its own, C = 1.

    F: sparse features, N: dense features
    """

    dense: Tensor  # (B, N)
    sparse: Tensor  # hashed ids, (B, F), int64
    history: History

    def part(self, start: int, size: int) -> "VerticalBatch":
        """Returns examples start to start + size of a batch with C = 1."""
        rows = slice(start, start + size)
        return VerticalBatch(self.dense[rows], self.sparse[rows], History(*(values[rows] for values in self.history)))

    def take(self, rows: Tensor) -> "VerticalBatch":
        """Returns the examples of the given numbers, (n,), of a batch with C = 1, in their order."""
        return VerticalBatch(self.dense[rows], self.sparse[rows], History(*(values[rows] for values in self.history)))


class Items(NamedTuple):
    """What is known of n candidate items themselves; F: sparse features, N: dense features, d: code width."""

    dense: Tensor  # zeros where a feature is the user's, (n, N)
    sparse: Tensor  # hashed ids, zeros where a feature is the user's, (n, F), int64
    code: Tensor  # mean code, zeros where unknown, (n, d)

    def take(self, rows: Tensor) -> "Items":
        """Returns the items of the given numbers, (m,), in their order; a number may come again."""
        return Items(*(values[rows] for values in self))


def pairs(users: VerticalBatch, items: Items) -> VerticalBatch:
    """Joins users with their candidates; what one half does not have is zero there.

    Args:
        users: U examples without what belongs to the item.
        items: U·C candidates, those of a user side by side.
    """
    candidates = len(items.dense) // len(users.dense)
    dense, sparse = (part.repeat_interleave(candidates, dim=0) for part in (users.dense, users.sparse))
    history = users.history._replace(item_code=items.code)
    return VerticalBatch(dense + items.dense, sparse + items.sparse, history)


class VerticalOutput(NamedTuple):
    """A vertical model's predictions for B examples; H: width of the trunk's output."""

    logits: Tensor  # (B,)
    hidden: Tensor  # (B, H)
