"""LoopFM's gain is temporal + cross-feature - residual information, exactly (arXiv:2605.29280, theorem 1).

In a discrete world every information is a sum over its states; the parts of a gain, differences of NE as
`training.vertical.explanation` takes them, must be those sums where the models are the best possible ones.
"""

import numpy as np
import pytest

from quality.intervals import PairedBootstrap
from training.vertical.explanation import parts_of_gain

X, RAW, EXTRA, CLICK = 0, 1, 2, 3  # columns of a state: VM's features, raw history, what only the FM saw, label


def rows(seed: int) -> np.ndarray:
    """One row an impression; the world is their empirical distribution."""
    counts = np.random.default_rng(seed).integers(1, 20, size=(2, 3, 3, 2))
    return np.repeat(np.argwhere(counts), counts[counts > 0], axis=0)


def entropy(*columns: np.ndarray) -> float:
    _, counts = np.unique(np.stack(columns), axis=1, return_counts=True)
    p = counts / counts.sum()
    return float(-(p * np.log(p)).sum())


def information(of: np.ndarray, y: np.ndarray, given: list[np.ndarray]) -> float:
    """I(of; y | given) in nats."""
    return entropy(of, *given) + entropy(y, *given) - entropy(of, y, *given) - entropy(*given)


def best_losses(y: np.ndarray, *known: np.ndarray) -> np.ndarray:
    """LogLoss of each row of the model that knows the true probability given `known`."""
    _, state = np.unique(np.stack(known), axis=1, return_inverse=True)
    p = (np.bincount(state, y) / np.bincount(state))[state]
    return -np.where(y == 1, np.log(p), np.log(1 - p))


@pytest.mark.parametrize("fm_sees_more", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_parts_of_the_gain_are_informations(seed: int, fm_sees_more: bool):
    world = rows(seed)
    x, raw, extra, y = (world[:, n] for n in (X, RAW, EXTRA, CLICK))
    codes = (raw + extra) % 3 if fm_sees_more else raw // 2  # a code keeps a part of what the FM saw
    losses = {
        "none": best_losses(y, x),
        "raw": best_losses(y, x, raw),
        "both": best_losses(y, x, raw, codes),
        "loopfm": best_losses(y, x, codes),
        "with item": best_losses(y, x, codes, raw // 2),
        "shipped": best_losses(y, x, codes, raw),
    }
    found = PairedBootstrap.of_losses(y.astype(float), np.arange(len(y)), losses, seed=0)
    gain = {part.name: part.gain.value * entropy(y) for part in parts_of_gain(found)}
    assert gain["temporal"] == pytest.approx(information(raw, y, [x]), abs=1e-9)
    assert gain["cross-feature"] == pytest.approx(information(codes, y, [x, raw]), abs=1e-9)
    assert gain["residual"] == pytest.approx(-information(raw, y, [x, codes]), abs=1e-9)  # it is taken away
    assert gain["item ids"] == pytest.approx(information(raw // 2, y, [x, codes]), abs=1e-9)
    loopfm = information(codes, y, [x])
    assert sum(gain[name] for name in ("temporal", "cross-feature", "residual")) == pytest.approx(loopfm, abs=1e-9)
    assert sum(gain.values()) == pytest.approx(information(raw, y, [x]) + gain["cross-feature"], abs=1e-9)
    assert (gain["cross-feature"] > 1e-4) == fm_sees_more
