"""Search day by day, side by side: every day says which operations it would keep, and their mean decides.

DistDNAS (arXiv:2311.00231). Every operation has a gate of its own, sigmoid((α + logistic noise) / τ); weights and α
learn together in one pass over a day, and the loss counts the FLOPs of what is kept. The paper learns a cost of each
operation from sampled models; here it is a least-squares fit of the space's closed form.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from data.batches.foundation import Examples, FoundationFeatures
from search.choices import Value
from search.supernet.dnas import spent_by_mixture
from search.supernet.gates import modules, of_modules
from search.supernet.learner import Learner
from search.supernet.mixture import mix
from search.supernet.options import Options
from search.supernet.proposal import Log, Proposal, Proposed, trained
from search.supernet.supernet import Supernet

LOG = logging.getLogger(__name__)
KEEP = 0.5  # least mean probability of what is kept
OTHER_THRESHOLDS = (0.7, 0.3)
REGRESSED = 512  # models that the costs of operations are fitted to

Probabilities = dict[str, float]  # of `gates.modules`


@dataclass(frozen=True)
class DistDNAS:
    """The search of one day, and of all.

    Attributes:
        cost_weight: λ, of the kept share of all operations' FLOPs.
        first: share of the steps that only weights learn.
        hot: τ at the start.
        cold: τ at the end; between them it falls exponentially.
        rate: of the dense weights.
        embedding_rate: of the table.
        choice_rate: of α; days of a small log have few steps, so it is far above the paper's.
    """

    cost_weight: float = 0.01
    first: float = 0.2
    hot: float = 2.5
    cold: float = 0.5
    rate: float = 0.001
    embedding_rate: float = 0.05
    choice_rate: float = 0.05

    def __call__(self, options: Options, log: Log, *, count: int, seed: int) -> Proposal:
        """Proposes what the days agree on, then what other thresholds than `KEEP` give; `validation` is not used."""
        found = [self.search_day(options, day, log.features, seed=seed + n) for n, day in enumerate(log.days)]
        models = reduced(options, [probabilities for probabilities, _ in found])
        ranked = tuple(Proposed(params, float(n)) for n, params in enumerate(models))
        return Proposal(ranked[:count], sum(spent for _, spent in found))

    def search_day(
        self, options: Options, examples: Sequence[Examples], features: FoundationFeatures, *, seed: int
    ) -> tuple[Probabilities, float]:
        """Learns a day once with a fresh supernet.

        Args:
            options: the models.
            examples: of the day, in time order; several days one after another are one search over all.
            features: that they were encoded with.
            seed: of weights and noise.

        Returns:
            The probability of each operation, and the FLOPs that were spent.
        """
        supernet = Supernet(options, features, seed=seed)
        learner = Learner(supernet, rate=self.rate, embedding_rate=self.embedding_rate)
        generator = torch.Generator().manual_seed(seed)
        alphas = {name: nn.Parameter(torch.zeros(())) for name in modules(options)}
        choice = torch.optim.Adam(alphas.values(), lr=self.choice_rate)
        costs = module_costs(options)
        history = True in options.allowed("history")
        everything, spent = spent_by_mixture(supernet, examples[0], history=history), 0.0
        for step, batch in enumerate(examples):
            temperature = self.hot * (self.cold / self.hot) ** (step / max(1, len(examples) - 1))
            gates = {name: _gate(alpha, temperature, generator) for name, alpha in alphas.items()}
            inputs = supernet.tables(batch.batch, history=history)
            mixed = mix(supernet.weights, inputs, of_modules(options, gates))
            loss = binary_cross_entropy_with_logits(mixed.logits, batch.labels)
            cost = torch.stack([gates[name] * share for name, share in costs.items()]).sum()
            learner.step(loss + self.cost_weight * cost, *alphas.values())
            if step >= self.first * len(examples):
                choice.step()
            spent += trained(everything, batch.size)
        return {name: float(torch.sigmoid(alpha.detach())) for name, alpha in alphas.items()}, spent


def module_costs(options: Options) -> dict[str, float]:
    """Returns each operation's share of all their FLOPs, fitted to models drawn by chance; they sum to 1."""
    rng, names = np.random.default_rng(0), modules(options)
    drawn = [options.sample(rng) for _ in range(REGRESSED)]
    present = np.array([[_has(params, name) for name in names] + [1.0] for params in drawn])
    flops = np.array([options.space.cost(params) for params in drawn])
    fitted = np.linalg.lstsq(present, flops, rcond=None)[0][:-1].clip(min=0)
    return dict(zip(names, (fitted / fitted.sum()).tolist(), strict=True))


def reduce(options: Options, days: Sequence[Mapping[str, float] | None], *, keep: float = KEEP) -> dict[str, Value]:
    """Returns the model that the days agree on.

    An operation is kept whose mean probability is `keep` at least; of those that exclude each other the likeliest; of a
    block with none its likeliest one. Where the cap refuses the model, the least likely operations go.

    Args:
        options: the models.
        days: what `search_day` found; None where it failed, which is logged.
        keep: least mean probability.

    Raises:
        ValueError: every day failed.
    """
    there = [day for day in days if day is not None]
    if not there:
        raise ValueError("Every day's search failed; there is nothing to reduce")
    if len(there) < len(days):
        LOG.warning("%d of %d days failed; the others decide", len(days) - len(there), len(days))
    mean = {name: float(np.mean([day[name] for day in there])) for name in modules(options)}
    kept = {name for name, probability in mean.items() if probability >= keep}
    for n in range(1, options.blocks + 1):
        of_block = [name for name in mean if name.endswith(f"_{n}")]
        if of_block and not kept & set(of_block):
            kept.add(max(of_block, key=lambda name: mean[name]))
    order = sorted(kept, key=lambda name: mean[name])
    for dropped in range(len(order) + 1):
        params = options.complete(_chosen(options, mean, set(order[dropped:])))
        if options.space.refusal(params) is None:
            return params
    raise ValueError(f"Even without any operation {options.space.refusal(params)}")


def reduced(options: Options, days: Sequence[Mapping[str, float] | None]) -> list[dict[str, Value]]:
    """Returns what the days agree on, then what else other thresholds than `KEEP` give; see `reduce`."""
    models = [reduce(options, days, keep=keep) for keep in (KEEP, *OTHER_THRESHOLDS)]
    return list({options.space.key(params): params for params in models}.values())


def agreement(one: Mapping[str, float], other: Mapping[str, float], *, keep: float = KEEP) -> float:
    """Returns the share of operations that both keep or both drop."""
    return float(np.mean([(one[name] >= keep) == (other[name] >= keep) for name in one]))


def _chosen(options: Options, mean: Mapping[str, float], kept: set[str]) -> dict[str, Value]:
    """Returns values of the searched choices; sizes that are searched are the greatest."""
    chosen: dict[str, Value] = {}
    for name, values in options.searched.items():
        kind, _, block = name.rpartition("_")
        if kind == "tokens" and block.isdigit():
            both = [op for op in ("lcb", "fmb") if f"{op}_{block}" in kept]
            rivals = {"+".join(both): max(mean[f"{op}_{block}"] for op in both)} if both else {}
            if f"attention_{block}" in kept:
                rivals["attention"] = mean[f"attention_{block}"]
            chosen[name] = max(rivals, key=lambda rival: rivals[rival]) if rivals else "none"
        elif kind in ("pairs", "vector"):
            rivals = {str(v): mean[f"{v}_{block}"] for v in values if f"{v}_{block}" in kept}
            chosen[name] = max(rivals, key=lambda rival: rivals[rival]) if rivals else "none"
        elif name == "history":
            chosen[name] = name in kept
        elif name == "dense_tokens":
            chosen[name] = max(values) if name in kept else min(values)
        else:
            chosen[name] = values[-1] if name.split("_")[0] in ("count", "width", "head", "tokens") else values[0]
    return chosen


def _has(params: Mapping[str, Value], module: str) -> float:
    kind, _, block = module.rpartition("_")
    if module in ("history", "dense_tokens"):
        return float(bool(params[module]))
    return float(any(kind in str(params[f"{choice}_{block}"]).split("+") for choice in ("tokens", "pairs", "vector")))


def _gate(alpha: Tensor, temperature: float, generator: torch.Generator) -> Tensor:
    uniform = torch.rand((), generator=generator).clamp(1e-6, 1 - 1e-6)
    return torch.sigmoid((alpha + uniform.log() - (1 - uniform).log()) / temperature)
