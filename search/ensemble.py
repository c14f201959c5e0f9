"""Small networks that learn from few trials which params are better (AutoML, arXiv:2311.07870), all fitted at once."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits


@dataclass(frozen=True)
class Fit:
    """How an ensemble is fitted.

    Attributes:
        nets: in the ensemble; they differ by their first weights.
        hidden: width of both shared layers.
        steps: of Adam, each over all pairs.
        learning_rate: of Adam.
        weight_decay: of Adam.
        margin: between the predictions of a pair; labels have a standard deviation of 1.
        ranking: weight of the ranking loss.
        squared: weight of the squared error, which keeps the nets on one scale.
    """

    nets: int = 10
    hidden: int = 50
    steps: int = 100
    learning_rate: float = 5e-3
    weight_decay: float = 1e-2
    margin: float = 0.1
    ranking: float = 1.0
    squared: float = 0.01


class Prediction(NamedTuple):
    """What an ensemble says of Q params.

    Attributes:
        heads: standardized objective and cost, the less the better; mean over nets, (Q, H).
        failure: probability that the trial fails, mean over nets, (Q,).
    """

    heads: Tensor
    failure: Tensor


class Ensemble:
    """E nets p -> hidden -> hidden -> H heads and one for failure; weights are kept with E in front."""

    def __init__(self, weights: list[Tensor]) -> None:
        self.weights = weights

    @classmethod
    def initial(cls, inputs: int, heads: int, fit: Fit, generator: torch.Generator) -> "Ensemble":
        """Draws first weights, each uniform within 1 / sqrt(inputs of its layer), as torch does."""
        sizes = [(inputs, fit.hidden), (fit.hidden, fit.hidden), (fit.hidden, heads + 1)]
        weights = []
        for into, out in sizes:
            for shape in ((fit.nets, into, out), (fit.nets, 1, out)):
                weights.append((2 * torch.rand(shape, generator=generator) - 1) / into**0.5)
        return cls(weights)

    def outputs(self, x: Tensor) -> Tensor:
        """Computes every net's outputs.

        Args:
            x: codes, (Q, p).

        Returns:
            (E, Q, H + 1): the heads, then the logit of failure.
        """
        w1, b1, w2, b2, w3, b3 = self.weights
        hidden = torch.relu(torch.matmul(x, w1) + b1)  # (E, Q, hidden)
        hidden = torch.relu(torch.baddbmm(b2, hidden, w2))
        return torch.baddbmm(b3, hidden, w3)

    @torch.no_grad()
    def predict(self, x: Tensor) -> Prediction:
        """Averages over the nets; x is (Q, p)."""
        outputs = self.outputs(x)
        return Prediction(outputs[:, :, :-1].mean(0), outputs[:, :, -1].sigmoid().mean(0))


def fitted(x: Tensor, labels: Tensor, failed: Tensor, fit: Fit, *, seed: int) -> Ensemble:
    """Fits an ensemble.

    Args:
        x: codes of the trials, (n, p).
        labels: each column standardized by `standardized_ranks` or alike, (n, H); NaN where a trial has none.
        failed: 1 where a trial failed, else 0, (n,).
        fit: how.
        seed: of the first weights.
    """
    generator = torch.Generator().manual_seed(seed)
    ensemble = Ensemble.initial(x.shape[1], labels.shape[1], fit, generator)
    for weight in ensemble.weights:
        weight.requires_grad_()
    adam = torch.optim.Adam(ensemble.weights, fit.learning_rate, weight_decay=fit.weight_decay, foreach=True)
    some_failed = bool(failed.any())
    columns = [(head, known := ~column.isnan(), column[known]) for head, column in enumerate(labels.T)]
    with torch.enable_grad():
        for _ in range(fit.steps):
            outputs = ensemble.outputs(x)
            loss = torch.zeros(())
            for head, known, label in columns:
                predicted = outputs[:, known, head]
                loss = loss + fit.squared * ((predicted - label) ** 2).mean(1).sum()
                if fit.ranking:
                    loss = loss + fit.ranking * ranking_loss(predicted, label, fit.margin).sum()
            if some_failed:
                target = failed.expand(fit.nets, -1)
                loss = (
                    loss + binary_cross_entropy_with_logits(outputs[:, :, -1], target, reduction="none").mean(1).sum()
                )
            adam.zero_grad()
            loss.backward()
            adam.step()
    for weight in ensemble.weights:
        weight.requires_grad_(False)
    return ensemble


def ranking_loss(predicted: Tensor, labels: Tensor, margin: float) -> Tensor:
    """Computes max(0, margin - sign(y_i - y_j)(ŷ_i - ŷ_j)), mean over all pairs with different labels.

    Args:
        predicted: of E nets for n trials, (E, n).
        labels: (n,).
        margin: between the predictions of a pair.

    Returns:
        (E,); 0 where all labels are equal.
    """
    sign = (labels[:, None] - labels).sign().triu(1)  # (n, n), each pair once
    apart = sign * (predicted[:, :, None] - predicted[:, None, :])  # (E, n, n)
    return (torch.relu(margin - apart) * sign.abs()).sum((1, 2)) / sign.count_nonzero().clamp(min=1)


def standardized_ranks(values: Tensor) -> Tensor:
    """Replaces values by their ranks, ties by their mean rank, with mean 0 and standard deviation 1; NaN stays.

    Ranks are the same whatever the objective's scale, and one trial far from the rest has no more weight than another.
    """
    known = ~values.isnan()
    of = values[known]
    ranks = (of[:, None] > of).sum(1) + ((of[:, None] == of).sum(1) - 1) / 2
    return torch.full_like(values, torch.nan).masked_scatter(known, standardized(ranks.to(values.dtype)))


def standardized(values: Tensor) -> Tensor:
    """Scales values to mean 0 and standard deviation 1; to 0 where all are equal. NaN stays."""
    known = values[~values.isnan()]
    spread = known.std(correction=0)
    return (values - known.mean()) / (spread if spread > 0 else 1.0)
