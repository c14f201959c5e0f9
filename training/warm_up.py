"""Learning rates that rise over a fresh model's first steps."""

from collections.abc import Mapping

import torch

from config import Optimizer


class WarmUp:
    """Raises a model's rates linearly from its first step to `warmup_steps`, where they are as configured.

    Which step is the next one, the dense parameters' Adam knows: its count is saved with the model.
    """

    def __init__(
        self, settings: Optimizer, adam: torch.optim.Optimizer, rates: Mapping[torch.optim.Optimizer, float]
    ) -> None:
        """Keeps what it needs.

        Args:
            settings: of the model.
            adam: of its dense parameters.
            rates: as configured, by optimizer, that one among them.
        """
        self.steps, self.adam, self.rates = settings.warmup_steps, adam, rates
        self.made: int | None = None

    def before_step(self) -> bool:
        """Sets the rates of the next step; says whether they changed."""
        if not self.steps:
            return False
        if self.made is None:
            self.made = steps_made(self.adam)
        self.made += 1
        if self.made > self.steps:
            return False
        for optimizer, rate in self.rates.items():
            for group in optimizer.param_groups:
                group["lr"] = rate * self.made / self.steps
        return True


def steps_made(optimizer: torch.optim.Optimizer) -> int:
    """Returns how many steps an Adam or Adagrad has made, also before it was loaded."""
    return max((int(state["step"]) for state in optimizer.state.values() if state), default=0)
