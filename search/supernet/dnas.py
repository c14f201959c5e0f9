"""Differentiable search: every choice is a mixture of its values, whose weights are learnt with the network's.

Gumbel-softmax of architecture weights α, a loss that counts the expected FLOPs, weights and α in turn (Rankitect,
arXiv:2311.08430, section on DNAS; DARTS, arXiv:1806.09055).
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.flop_counter import FlopCounterMode

from data.batches.foundation import Examples
from search.choices import Value
from search.supernet.gates import Chances, of_choices
from search.supernet.learner import Learner
from search.supernet.mixture import Mixed, mix
from search.supernet.options import Options
from search.supernet.proposal import Log, Proposal, Proposed, trained
from search.supernet.supernet import Supernet

LIKELY = 2000  # models drawn from the learnt chances, of which the likeliest are proposed


@dataclass(frozen=True)
class DNAS:
    """The search.

    Attributes:
        cost_weight: λ, of expected FLOPs over those of the uniform mixture.
        passes: over the training examples.
        first: share of the steps that only weights learn.
        hot: τ at the start.
        cold: τ at the end; between them it falls exponentially.
        rate: of the dense weights.
        embedding_rate: of the table.
        choice_rate: of α.
    """

    cost_weight: float = 0.01
    passes: int = 1
    first: float = 0.15
    hot: float = 5.0
    cold: float = 0.5
    rate: float = 0.001
    embedding_rate: float = 0.05
    choice_rate: float = 0.05

    def __call__(self, options: Options, log: Log, *, count: int, seed: int) -> Proposal:
        """Proposes the models to which the learnt α give the highest chances, that with all the likeliest values first.

        The mixture's compute is counted as it was spent: all operations at their greatest size.
        """
        supernet = Supernet(options, log.features, seed=seed)
        learner = Learner(supernet, rate=self.rate, embedding_rate=self.embedding_rate)
        generator = torch.Generator().manual_seed(seed)
        alphas = {name: nn.Parameter(torch.zeros(len(values))) for name, values in options.searched.items()}
        choice = torch.optim.Adam(alphas.values(), lr=self.choice_rate)
        history = True in options.allowed("history")
        scale, everything = _scales(supernet, log.train[0], history)
        steps, spent = self.passes * len(log.train), 0.0
        for step in range(steps):
            temperature = self.hot * (self.cold / self.hot) ** (step / max(1, steps - 1))
            examples = log.train[step % len(log.train)]
            with torch.no_grad():
                chances = gumbel(alphas, temperature, generator)
            loss, _ = _loss(supernet, examples, chances, history)
            learner.step(loss)
            spent += trained(everything, examples.size)
            if step >= self.first * steps:
                examples = log.validation[step % len(log.validation)]
                loss, mixed = _loss(supernet, examples, gumbel(alphas, temperature, generator), history)
                choice.zero_grad(set_to_none=True)
                total = loss + self.cost_weight * mixed.flops / scale
                for alpha, slope in zip(
                    alphas.values(), torch.autograd.grad(total, list(alphas.values()), allow_unused=True), strict=True
                ):
                    alpha.grad = slope
                choice.step()
                spent += trained(everything, examples.size)
        return Proposal(likeliest(options, alphas, count=count, seed=seed), spent)


def gumbel(alphas: Chances, temperature: float, generator: torch.Generator) -> dict[str, Tensor]:
    """Draws softmax((α + G) / τ) of every choice, differentiable in α."""
    drawn = {}
    for name, alpha in alphas.items():
        noise = -torch.log(-torch.log(torch.rand(alpha.shape, generator=generator).clamp(1e-9, 1 - 1e-7)))
        drawn[name] = torch.softmax((alpha + noise) / temperature, dim=0)
    return drawn


def likeliest(options: Options, alphas: Chances, *, count: int, seed: int) -> tuple[Proposed, ...]:
    """Returns the valid models with the highest chances, by their negative log chance."""
    rng = np.random.default_rng([seed, 2])
    names, values = list(options.searched), options.searched
    logs = {name: torch.log_softmax(alphas[name].detach().double(), 0).numpy() for name in names}
    drawn = [{name: int(np.argmax(logs[name])) for name in names}]
    for _ in range(LIKELY):
        drawn.append({name: int(rng.choice(len(logs[name]), p=np.exp(logs[name]))) for name in names})
    found: dict[str, Proposed] = {}
    for picks in drawn:
        chosen: dict[str, Value] = {name: values[name][pick] for name, pick in picks.items()}
        params = options.complete(chosen)
        predicted = -float(sum(logs[name][pick] for name, pick in picks.items()))
        key = options.space.key(params)
        if options.space.refusal(params) is None and (key not in found or predicted < found[key].predicted):
            found[key] = Proposed(params, predicted)
    if not found:  # the cap refuses all that is likely
        params = options.sample(rng)
        found[options.space.key(params)] = Proposed(params, float("inf"))
    return tuple(sorted(found.values(), key=lambda proposed: proposed.predicted)[:count])


def _loss(supernet: Supernet, examples: Examples, chances: Chances, history: bool) -> tuple[Tensor, Mixed]:
    inputs = supernet.tables(examples.batch, history=history)
    mixed = mix(supernet.weights, inputs, of_choices(supernet.options, chances))
    return binary_cross_entropy_with_logits(mixed.logits, examples.labels), mixed


@torch.no_grad()
def _scales(supernet: Supernet, examples: Examples, history: bool) -> tuple[float, float]:
    """Returns the FLOPs of an example, expected of uniform chances, and spent by the mixture of everything."""
    options = supernet.options
    inputs = supernet.tables(examples.batch, history=history)
    uniform = {name: torch.full((len(values),), 1 / len(values)) for name, values in options.searched.items()}
    expected = float(mix(supernet.weights, inputs, of_choices(options, uniform)).flops)
    return expected, spent_by_mixture(supernet, examples, history=history)


@torch.no_grad()
def spent_by_mixture(supernet: Supernet, examples: Examples, *, history: bool) -> float:
    """Counts the FLOPs that all operations together cost an example: a forward pass's matrix products."""
    inputs = supernet.tables(examples.batch, history=history)
    options = supernet.options
    uniform = {name: torch.full((len(values),), 1 / len(values)) for name, values in options.searched.items()}
    with FlopCounterMode(display=False) as counter:
        mix(supernet.weights, inputs, of_choices(options, uniform))
    return counter.get_total_flops() / len(inputs.dense)
