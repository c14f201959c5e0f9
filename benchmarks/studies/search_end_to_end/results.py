"""What a search found against the other models, on the later days: figures with both intervals."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from quality.intervals import PairedBootstrap
from quality.metrics import evaluate, row_losses
from quality.seed_intervals import interval

Floats = npt.NDArray[np.floating]
Predicted = Mapping[str, list[Floats]]  # by model, of each seed, probabilities of the later days' rows, (n,)
LEAST_GAIN = 0.004  # of the shipped model's NE: the goal


def figures(
    labels: Floats, users: npt.NDArray[Any], predicted: Predicted, *, found: str, shipped: str, by_hand: list[str]
) -> dict[str, Any]:
    """Computes NE of every model, and of the found one less each other.

    Args:
        labels: of the later days' rows, (n,).
        users: (n,).
        predicted: by model.
        found: the search's model: the one with the lowest NE on the search's own days.
        shipped: the platform's own.
        by_hand: models to compare the found one with; the first was chosen on the search's days.
    """
    losses = {name: np.mean([row_losses(labels, one) for one in of], axis=0) for name, of in predicted.items()}
    bootstrap = PairedBootstrap.of_losses(labels, users, losses, seed=0)
    by_seed = {name: [evaluate(labels, one).ne for one in of] for name, of in predicted.items()}
    result: dict[str, Any] = {
        "rows_judged": len(labels),
        "users_judged": len(set(users)),
        "models": {name: {"ne": interval(of)} for name, of in by_seed.items()},
        "found": found,
    }
    for name in predicted:
        if name != found:
            pairs = zip(by_seed[found], by_seed[name], strict=False)
            result["models"][name]["found_less_this"] = {
                "over_seeds": interval(one - other for one, other in pairs),
                "over_users": dict(
                    zip(
                        ("low", "high"), (round(x, 5) for x in bootstrap.ne_difference(found, name).bounds), strict=True
                    )
                ),
            }
    gain = 1 - np.mean(by_seed[found]) / np.mean(by_seed[shipped])
    result["relative_gain_over_shipped"] = round(float(gain), 5)
    result["goal_gain"] = LEAST_GAIN
    result["goal_met"] = bool(gain >= LEAST_GAIN)
    result["by_hand_chosen"] = by_hand[0]
    best = min(by_hand, key=lambda name: float(np.mean(by_seed[name])))
    result["by_hand_best_on_later_days"] = best
    result["no_worse_than_by_hand_chosen"] = _no_worse(result["models"][by_hand[0]])
    result["no_worse_than_by_hand_best"] = _no_worse(result["models"][best])
    return result


def _no_worse(model: dict[str, Any]) -> bool:
    """Says whether the found model's mean NE over seeds is not above this one's."""
    return bool(model["found_less_this"]["over_seeds"]["mean"] <= 0)
