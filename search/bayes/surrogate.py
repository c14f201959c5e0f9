"""The Gaussian process that is fitted to the trials of a study."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import isfinite

import numpy as np
import torch
from botorch.acquisition import LogExpectedImprovement
from botorch.fit import fit_gpytorch_mll
from botorch.models import MixedSingleTaskGP, SingleTaskGP
from botorch.models.utils.gpytorch_modules import get_covar_module_with_dim_scaled_prior
from gpytorch.mlls import ExactMarginalLogLikelihood
from torch import Tensor

from search.curves import labels
from search.space import Array, Categorical, Params, Space
from search.trial import Trial

FAILED = ("failed", "diverged", "timed_out")
CHUNK = 2_000  # points that are scored at once
MATERN = partial(get_covar_module_with_dim_scaled_prior, use_rbf_kernel=False)


@dataclass(frozen=True)
class Columns:
    """How the process sees params: one number a choice, in [0, 1]; unordered values are numbered.

    Attributes:
        space: of the params.
    """

    space: Space

    @property
    def unordered(self) -> list[int]:
        """Returns the columns whose numbers are names."""
        return [
            n for n, choice in enumerate(self.space.choices) if isinstance(choice, Categorical) and choice.width > 1
        ]

    def of_codes(self, codes: Array) -> Tensor:
        """Turns the space's codes, (n, p), into columns, (n, d)."""
        ends = np.cumsum([choice.width for choice in self.space.choices])
        parts = np.split(codes, ends[:-1], axis=1)
        return torch.from_numpy(np.stack([p[:, 0] if p.shape[1] == 1 else p.argmax(1) for p in parts], 1)).double()

    def of(self, params: Sequence[Params]) -> Tensor:
        """Turns canonical params, n, into columns, (n, d)."""
        return self.of_codes(np.array([self.space.encode(one) for one in params]))


@dataclass(frozen=True)
class Surrogate:
    """What is believed of the objective after some trials.

    Attributes:
        model: of the objective turned around and standardized, float64.
        costs: the same of the logarithm of the cost; None: not asked for, or no trial has a cost.
    """

    model: SingleTaskGP
    costs: SingleTaskGP | None = None

    @classmethod
    def fitted(cls, space: Space, history: Sequence[Trial], *, with_costs: bool = False) -> "Surrogate":
        """Fits the process to the trials that ended.

        One that failed counts as the worst seen. A running one is believed to come out as the process expects, so that
        it is not asked beside. A trial without a label, or without a finite cost where costs are wanted, is left out.

        Raises:
            ModelFittingError: BoTorch found no hyperparameters.
            ValueError: fewer than two trials have a label.
        """
        columns = Columns(space)
        labelled = list(zip(labels(history), history, strict=True))
        if with_costs:
            labelled = [pair for pair in labelled if pair[1].cost and isfinite(pair[1].cost)] or labelled
        seen = [label for label, _ in labelled if label is not None]
        if len(seen) < 2:
            raise ValueError(f"A Gaussian process needs two trials with an objective; there are {len(seen)}")
        known = [
            (max(seen) if label is None else label, trial)
            for label, trial in labelled
            if label is not None or trial.status in FAILED
        ]
        x = columns.of([trial.params for _, trial in known])
        model = _fitted(x, -torch.tensor([label for label, _ in known], dtype=torch.float64), columns.unordered)
        costs = None
        if with_costs and all(trial.cost and isfinite(trial.cost) for _, trial in known):
            of_trials = torch.tensor([trial.cost or 1.0 for _, trial in known], dtype=torch.float64)
            costs = _fitted(x, -of_trials.log(), columns.unordered)
        made = cls(model, costs)
        running = [trial.params for trial in history if trial.status == "running"]
        return made.expecting(columns.of(running)) if running else made

    @property
    def dimensions(self) -> int:
        """Returns the number of columns, d."""
        return int(self.model.train_inputs[0].shape[-1])

    @property
    def best(self) -> float:
        """Returns the best objective, seen or expected."""
        return float(self.model.train_targets.max())

    @property
    def noise(self) -> float:
        """Returns the variance of an observation around the objective."""
        return float(self.model.likelihood.noise)

    def expecting(self, x: Tensor) -> "Surrogate":
        """Returns what would be believed had points, (n, d), come out as expected; hyperparameters stay."""
        return Surrogate(_expecting(self.model, x), None if self.costs is None else _expecting(self.costs, x))

    @torch.no_grad()
    def joint(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Computes the mean, (n,), and covariance, (n, n), of the objective at points, (n, d)."""
        posterior = self.model.posterior(x)
        return posterior.mean.squeeze(-1), posterior.distribution.covariance_matrix

    @torch.no_grad()
    def log_improvement(self, x: Tensor) -> Tensor:
        """Computes the logarithm of the expected improvement at each of the points, (n, d) -> (n,)."""
        of = LogExpectedImprovement(self.model, best_f=self.best)
        return torch.cat([of(part.unsqueeze(1)) for part in x.split(CHUNK)])


def _fitted(x: Tensor, y: Tensor, unordered: list[int]) -> SingleTaskGP:
    """Fits a process with Matérn-5/2 kernels to values, (n,), at points, (n, d)."""
    spread = float(y.std())
    y = ((y - y.mean()) / (spread if spread > 1e-12 else 1.0)).unsqueeze(-1)
    if unordered:
        model: SingleTaskGP = MixedSingleTaskGP(x, y, unordered, cont_kernel_factory=_factory, outcome_transform=None)
    else:
        model = SingleTaskGP(x, y, covar_module=MATERN(ard_num_dims=x.shape[1]), outcome_transform=None)
    fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
    return model.eval()


def _factory(batch_shape: torch.Size, ard_num_dims: int, active_dims: list[int]) -> object:
    return MATERN(ard_num_dims=ard_num_dims, batch_shape=batch_shape, active_dims=active_dims)


def _expecting(model: SingleTaskGP, x: Tensor) -> SingleTaskGP:
    with torch.no_grad():
        mean = model.posterior(x).mean.squeeze(-1)
    known, y = model.train_inputs[0], model.train_targets
    state = model.state_dict()
    unordered = getattr(model, "_ignore_X_dims_scaling_check", None)
    x, y = torch.cat([known, x]), torch.cat([y, mean])
    if unordered:
        wider: SingleTaskGP = MixedSingleTaskGP(
            x, y.unsqueeze(-1), unordered, cont_kernel_factory=_factory, outcome_transform=None
        )
    else:
        wider = SingleTaskGP(x, y.unsqueeze(-1), covar_module=MATERN(ard_num_dims=x.shape[1]), outcome_transform=None)
    wider.load_state_dict(state)
    return wider.eval()
