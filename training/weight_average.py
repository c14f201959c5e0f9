"""A moving average of weights over training steps: the average scores, the weights learn on."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.optim.swa_utils import get_ema_multi_avg_fn

from training.warm_up import steps_made

AVERAGE = "average"  # its key in the state of an optimizer


class WeightAverage:
    """Keeps the exponential moving average of an optimizer's weights (Polyak and Juditsky 1992).

    After step n the average keeps `decay` of what it was, at first less, (1 + n) / (10 + n), so that a model's first
    weights are soon forgotten (as in TensorFlow's ExponentialMovingAverage).

    It is part of the optimizer's state, so who saves and loads that saves and loads the average, too. Where it is not
    there yet, it begins at the next step's weights.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, weights: list[torch.nn.Parameter], *, decay: float) -> None:
        """Averages after each step from now on.

        Args:
            optimizer: one that counts its steps, as Adam and Adagrad do.
            weights: of it.
            decay: 0 for no average; one that was loaded is dropped at the first step.
        """
        self.optimizer, self.weights, self.decay = optimizer, weights, decay
        self.made: int | None = None
        optimizer.register_step_post_hook(self._after_step)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Puts the average in the place of the weights; nothing may be learnt meanwhile."""
        self.exchange()
        try:
            yield
        finally:
            self.exchange()

    @torch.no_grad()
    def exchange(self) -> None:
        """Lets the average and the weights change places; done twice, all is as before."""
        for weight in self.weights:
            average = self.optimizer.state.get(weight, {}).get(AVERAGE)
            if average is not None:
                learnt = weight.clone()
                weight.copy_(average)
                average.copy_(learnt)

    def _after_step(self, *of_hook: object) -> None:
        states = [(w, state) for w in self.weights if (state := self.optimizer.state.get(w))]
        if not self.decay:
            for _, state in states:
                state.pop(AVERAGE, None)
            return
        self.made = steps_made(self.optimizer) if self.made is None else self.made + 1
        for weight, state in states:
            if AVERAGE not in state:
                state[AVERAGE] = weight.detach().clone()
        kept = min(self.decay, (1 + self.made) / (10 + self.made))
        averages, weights = [state[AVERAGE] for _, state in states], [weight.detach() for weight, _ in states]
        if weights:
            get_ema_multi_avg_fn(kept)(averages, weights, self.made)


def averages(optimizer: torch.optim.Optimizer) -> dict[int, torch.Tensor]:
    """Returns the averages in an optimizer's state, by the place of their weights in it."""
    states = optimizer.state_dict()["state"]
    return {index: state[AVERAGE] for index, state in states.items() if AVERAGE in state}
