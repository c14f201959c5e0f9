"""Scores of a network that is not trained to its end: from gradients on a few batches, or from its shape alone.

ZiCo (arXiv:2301.11300), SynFlow (arXiv:2006.05467), the Fisher-Rao norm (arXiv:1711.01530), and the surrogate that
SiGeo's released code has in its place. Embeddings are inputs here: only dense parameters count.
"""

import copy
import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, jvp
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import binary_cross_entropy_with_logits

from models.architectures.architecture import Inputs
from models.foundation.dense_network import DenseNetwork

MOST = 1e3  # of a coordinate's mean over its standard deviation, which explodes where that is almost 0
TINY = 1e-10

Batch = tuple[Inputs, Tensor]  # embedded examples and their labels
Gradients = Mapping[str, Tensor]  # by parameter


def gradients(network: DenseNetwork, batch: Batch) -> tuple[dict[str, Tensor], float]:
    """Computes the gradients of the mean log loss by parameter, zeros where it does not depend on one, and the loss."""
    named = dict(network.named_parameters())
    loss = binary_cross_entropy_with_logits(network(batch[0]).logits, batch[1])
    found = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    pairs = zip(named.items(), found, strict=True)
    return {n: torch.zeros_like(p) if g is None else g for (n, p), g in pairs}, float(loss.detach())


def by_layer(tensors: Gradients) -> dict[str, Tensor]:
    """Returns the parameters of each layer as one vector; every layer has a name of its own, however alike two are."""
    layers: dict[str, list[Tensor]] = {}
    for name, tensor in tensors.items():
        layers.setdefault(name.rpartition(".")[0], []).append(tensor.flatten())
    return {name: torch.cat(parts) for name, parts in layers.items()}


def zico(batches: Sequence[Mapping[str, Tensor]]) -> float:
    """Computes Σ over layers of ln Σ over parameters of mean |g| / std |g| over the batches; higher is better.

    Parameters whose gradient does not vary are left out, and layers where none does.

    Args:
        batches: of each, the gradient of every layer, (n,).
    """
    total = 0.0
    for name in batches[0]:
        sizes = torch.stack([gradient[name].abs() for gradient in batches]).double()
        deviation = sizes.std(dim=0, unbiased=False)
        varies = deviation > 0
        ratio = (sizes.mean(dim=0)[varies] / deviation[varies]).clamp(max=MOST).sum()
        total += math.log(float(ratio)) if ratio > 0 else 0.0
    return total


def fr_code(batches: Sequence[Gradients], parameters: Mapping[str, Tensor]) -> float:
    """Computes ln |Σ_b g_b · θ|, as SiGeo's released code does."""
    total = sum(float((gradient[name] * parameters[name]).sum()) for gradient in batches for name in gradient)
    return math.log(abs(total) + TINY)


def fr_exact(network: DenseNetwork, batches: Sequence[Batch]) -> float:
    """Computes ln of the mean over examples of (∂ℓ/∂θ · θ)², the Fisher-Rao norm's; a forward-mode product each."""
    theta = {name: parameter.detach() for name, parameter in network.named_parameters()}
    squares = []
    for inputs, labels in batches:

        def losses(weights: dict[str, Tensor], inputs: Inputs = inputs, labels: Tensor = labels) -> Tensor:
            logits = functional_call(network, weights, (inputs,)).logits
            return binary_cross_entropy_with_logits(logits, labels, reduction="none")

        with sdpa_kernel(SDPBackend.MATH):  # the others have no forward mode
            squares.append(jvp(losses, (theta,), (theta,))[1].square())
    return math.log(float(torch.cat(squares).double().mean()) + TINY)


def synflow(network: DenseNetwork, inputs: Inputs) -> float:
    """Computes ln Σ |θ ∂R/∂θ|, R the sum of logits of the network with |θ|, without norms, for inputs of ones.

    Args:
        network: any; it is copied.
        inputs: of which only the shapes matter.
    """
    linear = copy.deepcopy(network).double()
    for module in list(linear.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.LayerNorm):
                setattr(module, name, nn.Identity())
    with torch.no_grad():
        for parameter in linear.parameters():
            parameter.abs_()
    tokens, dense, sequence = (torch.ones_like(x[:1], dtype=torch.double) for x in inputs[:3])
    one = Inputs(tokens, dense, sequence, torch.ones_like(inputs.mask[:1]))
    parameters = list(linear.parameters())
    slopes = torch.autograd.grad(linear(one).logits.sum(), parameters, allow_unused=True)
    flows = [(p * s).abs().sum() for p, s in zip(parameters, slopes, strict=True) if s is not None]
    return math.log(float(torch.stack(flows).sum()) + TINY)
