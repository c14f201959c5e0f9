"""Values of trying each of finitely many points, computed from what is jointly believed of them.

B: any batch, n: points, m: Gauss-Hermite nodes, w: points that are looked at
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from torch import Tensor

TINY = 1e-12  # variance below which nothing is learnt
NORMAL = torch.distributions.Normal(torch.tensor(0.0, dtype=torch.float64), torch.tensor(1.0, dtype=torch.float64))


@cache
def hermite(nodes: int) -> tuple[Tensor, Tensor]:
    """Returns places and weights, (m,), that integrate polynomials up to degree 2 m - 1 over the standard normal."""
    places, weights = np.polynomial.hermite_e.hermegauss(nodes)
    return torch.from_numpy(places), torch.from_numpy(weights / weights.sum())


def improvement(mean: Tensor, deviation: Tensor, best: Tensor) -> Tensor:
    """Computes the expected improvement over `best`, elementwise: σ (φ(u) + u Φ(u)) with u = (μ - best) / σ."""
    deviation = deviation.clamp_min(TINY**0.5)
    u = (mean - best) / deviation
    return (deviation * (NORMAL.log_prob(u).exp() + u * NORMAL.cdf(u))).clamp_min(0.0)


def lookahead(
    mean: Tensor, cov: Tensor, noise: float, best: Tensor, *, nodes: Sequence[int], width: Sequence[int]
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Computes what trying a point is worth, with the best points tried after it (arXiv:2006.15779, section 2).

    v_1 is the expected improvement, v_k(x) = v_1(x) + E_y max_x' v_(k-1)(x' | x, y).

    Args:
        mean: of the objective at the points, (B, n).
        cov: its covariance, (B or 1, n, n).
        noise: variance of an observation around it.
        best: objective so far, (B).
        nodes: Gauss-Hermite nodes of each step but the last; none: one step.
        width: points of the highest expected improvement that are looked at in each step but the last.

    Returns:
        Places of the points looked at, (B, w); their values, (B, w); for each of them the places tried after it, by
        level: (B, w, m1), (B, w, m1, m2), …
    """
    gain = improvement(mean, _deviation(cov.diagonal(dim1=-2, dim2=-1)), best.unsqueeze(-1))  # (B, n)
    if not nodes:
        value, place = gain.max(-1, keepdim=True)
        return place, value, []
    z, weights = hermite(nodes[0])
    values, places = gain.topk(min(width[0], gain.shape[-1]))  # (B, w)
    means, covs, bests = _after(mean, cov, noise, best, places, z, whole=len(nodes) > 1)
    if len(nodes) == 1:
        last = improvement(means, _deviation(covs).unsqueeze(-2), bests.unsqueeze(-1))  # (B, w, m, n)
        value, place = last.max(-1)  # (B, w, m)
        return places, values + value @ weights, [place]
    next_places, next_values, later = lookahead(
        means, covs.unsqueeze(-3), noise, bests, nodes=nodes[1:], width=width[1:]
    )
    value, chosen = next_values.max(-1, keepdim=True)  # (B, w, m1, 1)
    levels = [next_places.gather(-1, chosen).squeeze(-1)]
    axis = chosen.dim() - 1
    for level in later:  # (B, w, m1, w2, m2, …)
        of = chosen.reshape(*chosen.shape, *[1] * (level.dim() - chosen.dim()))
        levels.append(level.gather(axis, of.expand(*chosen.shape, *level.shape[axis + 1 :])).squeeze(axis))
    return places, values + value.squeeze(-1) @ weights, levels


def knowledge(mean: Tensor, cov: Tensor, noise: float, *, nodes: int) -> Tensor:
    """Computes by how much the highest mean would rise by trying each point, (n,): the knowledge gradient."""
    z, weights = hermite(nodes)
    places = torch.arange(len(mean))
    means, _, _ = _after(mean, cov, noise, mean.max(), places, z, whole=False)  # (n, m, n)
    return means.amax(-1) @ weights - mean.max()


def batch(mean: Tensor, cov: Tensor, best: float, size: int, *, samples: int, generator: torch.Generator) -> list[int]:
    """Chooses points whose joint expected improvement, E[max over the batch], is high, one after another.

    Greedy choice reaches at least 1 - 1/e of the best batch, as the value is submodular.

    Returns:
        Places of up to `size` distinct points; fewer where no further one adds anything.
    """
    values, vectors = torch.linalg.eigh(cov)
    root = vectors * values.clamp_min(0).sqrt()  # (n, n)
    drawn = mean + torch.randn(samples, len(mean), generator=generator, dtype=mean.dtype) @ root.T  # (s, n)
    reached = torch.full((samples, 1), best, dtype=mean.dtype)
    places: list[int] = []
    while len(places) < min(size, len(mean)):
        added = (drawn - reached).clamp_min(0).mean(0)
        if not added.max() > 0:
            break
        places.append(int(added.argmax()))
        reached = torch.maximum(reached, drawn[:, places[-1:]])
    return places


def _after(
    mean: Tensor, cov: Tensor, noise: float, best: Tensor, places: Tensor, z: Tensor, *, whole: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Conditions on an observation at each of the places, at m quantiles of it.

    Returns:
        Means, (B, w, m, n); covariances, (B, w, n, n) or their diagonals, (B, w, n), which do not depend on what is
        observed; the best so far, (B, w, m).
    """
    n = mean.shape[-1]
    cov = cov.expand(*mean.shape[:-1], n, n)
    rows = cov.gather(-2, places.unsqueeze(-1).expand(*places.shape, n))  # (B, w, n)
    variance = rows.gather(-1, places.unsqueeze(-1)) + noise  # (B, w, 1)
    scale = variance.clamp_min(TINY).sqrt()
    slope = torch.where(variance > TINY, rows / scale, torch.zeros_like(rows))  # (B, w, n): of the means in z
    means = mean[..., None, None, :] + slope[..., None, :] * z[:, None]
    seen = mean.gather(-1, places)[..., None] + scale * z  # (B, w, m)
    if whole:
        covs = cov[..., None, :, :] - slope[..., :, None] * slope[..., None, :]
    else:
        covs = cov.diagonal(dim1=-2, dim2=-1)[..., None, :] - slope.square()
    return means, covs, torch.maximum(best[..., None, None], seen)


def _deviation(variance: Tensor) -> Tensor:
    return variance.clamp_min(0).sqrt()
