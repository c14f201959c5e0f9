"""Models that people would take in place of a search's: the seven architectures by hand, each at several rates."""

from dataclasses import dataclass
from typing import Any

from benchmarks.studies.architectures.plan import EMBEDDING_DIM, HYPERPARAMETERS
from search.study import FOUNDATION

FOUNDATION_RATES = (0.05, 0.01)  # of the embeddings: what is shipped, and what small models often like better
VERTICAL_RATES = (0.02, 0.005)
VERTICAL_ARCHITECTURES = ("dnn", "deepfm", "dcnv2", "dlrm", "wukong", "din", "interformer")
SHIPPED = "shipped"


@dataclass(frozen=True)
class Rival:
    """A model by hand.

    Attributes:
        name: of its architecture; SHIPPED: the platform's own.
        rate: of its embeddings.
        changed: what it changes of the platform's own settings.
    """

    name: str
    rate: float
    changed: dict[str, Any]


def rivals(target: str) -> list[Rival]:
    """Returns all of them, the platform's own at each rate among them."""
    if target == FOUNDATION:
        rates = FOUNDATION_RATES
        by_hand = {
            name: {"architecture": name, "hyperparameters": sizes, "embedding_dim": EMBEDDING_DIM}
            for name, sizes in HYPERPARAMETERS.items()
        }
    else:
        rates = VERTICAL_RATES
        # Sizes of an architecture are its own defaults; what stands around it is as shipped.
        by_hand = {
            name: {"architecture": name, "hyperparameters": {"hidden": [64, 32], "attention_heads": 2}}
            for name in VERTICAL_ARCHITECTURES[1:]
        }
    return [
        Rival(name, rate, changed | {"optimizer": {"embedding_learning_rate": rate}})
        for name, changed in {SHIPPED: {}, **by_hand}.items()
        for rate in rates
    ]
