"""Models that people would take in place of a search's: architectures by hand, and the platform's own, better tuned."""

from dataclasses import dataclass
from itertools import product
from typing import Any

from benchmarks.studies.architectures.plan import EMBEDDING_DIM, HYPERPARAMETERS
from search.spaces.ranking import recipe_choices
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
        rates: of the network (None: as shipped) and of the embeddings.
        changed: what it changes of the platform's own settings.
    """

    name: str
    rates: tuple[float | None, float]
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
    found = [
        Rival(name, (None, rate), _at(changed, None, rate))
        for name, changed in {SHIPPED: {}, **by_hand}.items()
        for rate in rates
    ]
    return found + [Rival(SHIPPED, (rate, of_ids), _at({}, rate, of_ids)) for rate, of_ids in _own_rates(target)]


def _own_rates(target: str) -> list[tuple[float, float]]:
    """Returns all pairs of rates that a search may choose, so that the shipped model is tuned as its trials are."""
    space = {choice.name: choice for choice in recipe_choices("foundation" if target == FOUNDATION else "vertical")}
    of_network, of_ids = (space[name].levels(16) for name in ("learning_rate", "embedding_learning_rate"))
    return [(float(a), float(b)) for a, b in product(of_network, of_ids)]


def _at(changed: dict[str, Any], rate: float | None, of_ids: float) -> dict[str, Any]:
    rates = {"embedding_learning_rate": of_ids} | ({} if rate is None else {"learning_rate": rate})
    return changed | {"optimizer": rates}
