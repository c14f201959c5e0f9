"""The highest point of an acquisition function over the unit cube."""

from dataclasses import dataclass

import torch
from botorch.acquisition import AcquisitionFunction
from botorch.optim import optimize_acqf
from torch import Tensor


@dataclass(frozen=True)
class Effort:
    """How hard it is looked for.

    Attributes:
        restarts: of L-BFGS-B, all at once.
        raw: random points of which the restarts are chosen.
        iterations: of L-BFGS-B.
    """

    restarts: int = 4
    raw: int = 64
    iterations: int = 60


THOROUGH, LIGHT = Effort(), Effort(restarts=2, raw=32, iterations=15)


def highest(
    of: AcquisitionFunction,
    dimensions: int,
    effort: Effort,
    *,
    q: int = 1,
    starts: Tensor | None = None,
    limit_s: float | None = None,
) -> Tensor:
    """Maximizes an acquisition function; random starts come from torch's generator.

    Args:
        of: q points.
        dimensions: d of the cube.
        effort: of the search.
        q: points at once, with those of fantasies.
        starts: (s, q, d); None: random ones, also around the best trials.
        limit_s: seconds after which the best so far is returned.

    Returns:
        The points, (q, d).
    """
    cube = torch.tensor([[0.0] * dimensions, [1.0] * dimensions], dtype=torch.float64)
    options: dict[str, bool | float | int | str] = {"maxiter": effort.iterations}
    if starts is None:
        options["sample_around_best"] = True
    found, values = optimize_acqf(
        of,
        cube,
        q=q,
        num_restarts=effort.restarts if starts is None else len(starts),
        raw_samples=effort.raw if starts is None else None,
        options=options,
        batch_initial_conditions=starts,
        return_best_only=False,
        return_full_tree=True,
        timeout_sec=limit_s,
        retry_on_optimization_warning=False,
    )
    assert values is not None
    return found[int(values.argmax())].detach()
