"""The Gaussian process that is fitted to the trials of a study."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
import torch
from botorch.acquisition import LogExpectedImprovement
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from botorch.models.kernels.categorical import CategoricalKernel
from botorch.models.utils.gpytorch_modules import get_covar_module_with_dim_scaled_prior
from botorch.posteriors import GPyTorchPosterior
from gpytorch.constraints import GreaterThan
from gpytorch.kernels import Kernel, ProductKernel, ScaleKernel
from gpytorch.mlls import ExactMarginalLogLikelihood
from gpytorch.priors import LogNormalPrior
from torch import Tensor

from search.choices import Array, Categorical
from search.curves import labels
from search.space import Params, Space
from search.trial import Trial

FAILED = ("failed", "diverged", "timed_out")
LEAST = 2  # trials with an objective, before the process is fitted
CHUNK = 2_000  # points that are scored at once
FIT_ITERATIONS = 100
FLAT = 1e-12  # standard deviation of objectives that are all the same


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
            n for n, choice in enumerate(self.space.choices) if isinstance(choice, Categorical) and not choice.ordered
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
        unordered: columns whose numbers are names.
        costs: the same of the logarithm of the cost; None: not asked for, or no trial has a cost.
    """

    model: SingleTaskGP
    unordered: list[int]
    costs: SingleTaskGP | None = None

    @classmethod
    def fitted(cls, space: Space, history: Sequence[Trial], *, with_costs: bool = False) -> "Surrogate":
        """Fits the process to the trials that ended.

        One that failed counts as the worst seen. A running one is believed to come out as the process expects, so that
        it is not asked beside. A trial without a label is left out; so is one without a cost where costs are wanted and
        others have one.

        Raises:
            ModelFittingError: BoTorch found no hyperparameters.
            ValueError: fewer than two trials have a label.
        """
        columns = Columns(space)
        labelled = list(zip(labels(history), history, strict=True))
        priced = [(label, trial) for label, trial in labelled if trial.cost and isfinite(trial.cost)]
        with_costs = with_costs and sum(label is not None for label, _ in priced) >= LEAST
        labelled = priced if with_costs else labelled
        seen = [label for label, _ in labelled if label is not None]
        if len(seen) < LEAST:
            raise ValueError(f"A Gaussian process needs {LEAST} trials with an objective; there are {len(seen)}")
        known = [
            (max(seen) if label is None else label, trial)
            for label, trial in labelled
            if label is not None or trial.status in FAILED
        ]
        x = columns.of([trial.params for _, trial in known])
        objectives = -torch.tensor([label for label, _ in known], dtype=torch.float64)
        model = fitted_process(x, standardized(objectives)[0], columns.unordered)
        costs = None
        if with_costs:
            of_trials = torch.tensor([trial.cost for _, trial in known], dtype=torch.float64)
            costs = fitted_process(x, standardized(-of_trials.log())[0], columns.unordered)
        made = cls(model, columns.unordered, costs)
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
        return float(self.model.likelihood.noise.detach())

    def expecting(self, x: Tensor) -> "Surrogate":
        """Returns what would be believed had points, (n, d), come out as expected; hyperparameters stay."""
        costs = None if self.costs is None else _expecting(self.costs, x, self.unordered)
        return Surrogate(_expecting(self.model, x, self.unordered), self.unordered, costs)

    @torch.no_grad()
    def joint(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Computes the mean, (n,), and covariance, (n, n), of the objective at points, (n, d)."""
        posterior = self.model.posterior(x)
        assert isinstance(posterior, GPyTorchPosterior)
        return posterior.mean.squeeze(-1), posterior.distribution.covariance_matrix

    @torch.no_grad()
    def log_improvement(self, x: Tensor) -> Tensor:
        """Computes the logarithm of the expected improvement at each of the points, (n, d) -> (n,)."""
        of = LogExpectedImprovement(self.model, best_f=self.best)
        return torch.cat([of(part.unsqueeze(1)) for part in x.split(CHUNK)])


def standardized(y: Tensor) -> tuple[Tensor, float, float]:
    """Returns values, (n,), with mean 0 and deviation 1, and the mean and deviation that they had."""
    spread = float(y.std())
    spread = spread if spread > FLAT else 1.0
    return (y - y.mean()) / spread, float(y.mean()), spread


def fitted_process(x: Tensor, y: Tensor, unordered: list[int], noise: Tensor | None = None) -> SingleTaskGP:
    """Fits a process to standardized values, (n,), at points, (n, d).

    Args:
        x: the points.
        y: the values.
        unordered: columns whose numbers are names.
        noise: variance of each value around the process, (n,); None: the same for all, and fitted.

    Raises:
        ModelFittingError: BoTorch found no hyperparameters.
    """
    model = _process(x, y, unordered, noise)
    mll = ExactMarginalLogLikelihood(model.likelihood, model)
    fit_gpytorch_mll(mll, optimizer_kwargs={"options": {"maxiter": FIT_ITERATIONS}})
    return model.eval()


def _process(x: Tensor, y: Tensor, unordered: list[int], noise: Tensor | None = None) -> SingleTaskGP:
    """Builds a process: Matérn-5/2 over ordered columns, times the share of unordered ones that differ.

    Its scale is that of the values; beside a known noise, which may be most of them, it is fitted.
    """
    ordered = [n for n in range(x.shape[1]) if n not in unordered]
    kernels: list[Kernel] = []
    if ordered:
        kernels.append(get_covar_module_with_dim_scaled_prior(len(ordered), use_rbf_kernel=False, active_dims=ordered))
    if unordered:
        kernels.append(
            CategoricalKernel(
                ard_num_dims=len(unordered),
                active_dims=unordered,
                lengthscale_prior=LogNormalPrior(0.0, 1.0),
                lengthscale_constraint=GreaterThan(1e-2),
            )
        )
    kernel = kernels[0] if len(kernels) == 1 else ProductKernel(*kernels)
    if noise is None:
        return SingleTaskGP(x, y.unsqueeze(-1), covar_module=kernel, outcome_transform=None)
    scaled = ScaleKernel(kernel, outputscale_prior=LogNormalPrior(0.0, 1.0))
    return SingleTaskGP(x, y.unsqueeze(-1), noise.unsqueeze(-1), covar_module=scaled, outcome_transform=None)


def _expecting(model: SingleTaskGP, x: Tensor, unordered: list[int]) -> SingleTaskGP:
    with torch.no_grad():
        mean = model.posterior(x).mean.squeeze(-1)
    wider = _process(torch.cat([model.train_inputs[0], x]), torch.cat([model.train_targets, mean]), unordered)
    wider.load_state_dict(model.state_dict())
    return wider.eval()
