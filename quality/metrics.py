"""Quality of predicted probabilities: NE, LogLoss, AUC, gAUC, calibration, ECE."""

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

ECE_BINS = 20
Array = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Metrics:
    """Figures of one model on one set of rows. NaN where the rows do not define a figure."""

    rows: int
    ne: float  # normalized entropy: LogLoss / entropy of the rows' click rate (He et al. 2014); lower is better
    log_loss: float  # nats
    auc: float
    gauc: float  # AUC within each user, weighted by the user's rows (users with both labels only)
    calibration: float  # predicted clicks / actual clicks
    ece: float  # expected calibration error over 20 equally filled bins

    def as_dict(self) -> dict[str, float]:
        """Returns the figures by name."""
        return asdict(self)


def evaluate(labels: Array, probabilities: Array, *, users: npt.NDArray | None = None) -> Metrics:
    """Measures predictions.

    Args:
        labels: 0 or 1, (n,).
        probabilities: in [0, 1], (n,).
        users: user of each row, None for nobody, (n,); needed for gAUC.

    Raises:
        ValueError: lengths differ, or a probability is not finite.
    """
    labels, probabilities = np.asarray(labels, np.float64), np.asarray(probabilities, np.float64)
    losses = row_losses(labels, probabilities)
    nan = float("nan")
    if not len(labels):
        return Metrics(0, nan, nan, nan, nan, nan, nan)
    rate = labels.mean()
    loss = float(losses.mean())
    both = 0 < rate < 1
    entropy = -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate)) if both else nan
    return Metrics(
        rows=len(labels),
        ne=float(loss / entropy),
        log_loss=loss,
        auc=grouped_auc(labels, probabilities, np.zeros(len(labels))),
        gauc=nan if users is None else grouped_auc(labels, probabilities, users),
        calibration=float(probabilities.sum() / labels.sum()) if rate > 0 else nan,
        ece=expected_calibration_error(labels, probabilities),
    )


def undefined_because(labels: npt.NDArray) -> str:
    """Says why rows define no NE (nor AUC, nor, without clicks, calibration); empty where they do.

    Args:
        labels: 0 or 1, (n,).
    """
    if not len(labels):
        return "no rows"
    if labels.min() != labels.max():
        return ""
    return f"{'nothing but clicks' if labels[0] > 0 else 'no clicks'} among {len(labels)} rows"


def row_losses(labels: Array, probabilities: Array) -> npt.NDArray[np.float64]:
    """Computes the LogLoss of each row, nats, (n,); probabilities are kept 1e-7 away from 0 and 1.

    Raises:
        ValueError: lengths differ, or a probability is not finite.
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities, np.float64)
    if labels.shape != probabilities.shape:
        raise ValueError(
            f"{labels.shape} labels against {probabilities.shape} probabilities; they must be the same rows"
        )
    if not np.isfinite(probabilities).all():
        raise ValueError(f"{(~np.isfinite(probabilities)).sum()} of {len(probabilities)} probabilities are not finite")
    clipped = probabilities.clip(1e-7, 1 - 1e-7)
    return -np.log(np.where(labels > 0, clipped, 1 - clipped))


def user_numbers(users: npt.NDArray) -> npt.NDArray[np.int64]:
    """Numbers users in their order from 0; each row without one (None or NaN) gets a number of its own, after them.

    Args:
        users: user of each row, (n,).

    Returns:
        (n,).
    """
    numbers, known = pd.factorize(users, sort=True)
    nobody = np.flatnonzero(numbers < 0)
    numbers[nobody] = len(known) + np.arange(len(nobody))
    return numbers.astype(np.int64)


def grouped_auc(labels: Array, probabilities: Array, users: npt.NDArray) -> float:
    """Computes AUC within each user, averaged with the user's number of rows as weight; ties count half.

    Users whose rows all have one label are left out, and so is nobody (`user_numbers`). NaN if none is left.
    """
    codes = user_numbers(users)
    order = np.lexsort((probabilities, codes))
    codes, labels, probabilities = codes[order], np.asarray(labels)[order], probabilities[order]
    start = np.concatenate([[0], np.flatnonzero(np.diff(codes)) + 1])
    sizes = np.diff(np.concatenate([start, [len(codes)]]))
    # Mid-ranks within the user: rows of one (user, probability) share the mean of their positions.
    tied = np.concatenate([[True], (np.diff(codes) != 0) | (np.diff(probabilities) != 0)])
    group = np.cumsum(tied) - 1
    position = np.arange(len(codes)) - np.repeat(start, sizes) + 1.0
    rank = (np.bincount(group, position) / np.bincount(group))[group]
    user = np.repeat(np.arange(len(start)), sizes)
    positives = np.bincount(user, labels)
    negatives = sizes - positives
    both_labels = (positives > 0) & (negatives > 0)
    if not both_labels.any():
        return float("nan")
    rank_sum = np.bincount(user, rank * labels)
    pairs = np.where(both_labels, positives * negatives, 1)
    auc = (rank_sum - positives * (positives + 1) / 2) / pairs
    return float(np.average(auc[both_labels], weights=sizes[both_labels]))


def expected_calibration_error(labels: Array, probabilities: Array, bins: int = ECE_BINS) -> float:
    """Computes the mean |predicted − actual| click rate over equally filled bins, weighted by rows."""
    order = np.argsort(probabilities, kind="stable")
    groups = np.array_split(order, min(bins, len(order)))
    return float(
        sum(abs(probabilities[group].mean() - labels[group].mean()) * len(group) for group in groups) / len(order)
    )
