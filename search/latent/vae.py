"""The variational autoencoder of graphs and its training (D-VAE, arXiv:1904.11088)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from search.latent.decoder import Decoder
from search.latent.encoder import Encoder, FamilyEncoder
from search.latent.graphs import Graphs

BETA = 0.005  # weight of the divergence from the prior
NOISE = 0.01  # share of the posterior's deviation that training draws
FINAL_RATE = 0.1  # of the first learning rate, at the end


@dataclass(frozen=True)
class Fit:
    """How an autoencoder is built and trained.

    Attributes:
        hidden: width.
        latent: width.
        vid: messages tell their sender's place, too.
        bidirectional: of the encoder.
        families: the encoder is that of Bayesian networks.
        batch: graphs of a step.
        learning_rate: of Adam at first; it falls linearly to a tenth.
    """

    hidden: int = 128
    latent: int = 32
    vid: bool = True
    bidirectional: bool = True
    families: bool = False
    batch: int = 128
    learning_rate: float = 1e-3


class DVAE(nn.Module):
    """Encoder and decoder.

    Args:
        types: of nodes, START and END among them.
        places: of the largest graph, those of START and END among them.
        fit: its sizes.
        groups: see `Decoder`.
    """

    def __init__(self, types: int, places: int, fit: Fit, groups: Sequence[int] | None = None) -> None:
        super().__init__()
        sizes = {"hidden": fit.hidden, "latent": fit.latent}
        self.encoder: Encoder | FamilyEncoder
        if fit.families:
            self.encoder = FamilyEncoder(types, places, **sizes)
        else:
            self.encoder = Encoder(types, places, **sizes, vid=fit.vid, bidirectional=fit.bidirectional)
        self.decoder = Decoder(types, places, **sizes, vid=fit.vid, groups=groups)

    def loss(self, graphs: Graphs, generator: torch.Generator) -> Tensor:
        """Computes the mean over graphs of -log p(graph | z) + `BETA` · KL, the true graph as teacher."""
        mean, log_variance = self.encoder(graphs)
        noise = torch.randn(mean.shape, generator=generator, dtype=mean.dtype)
        z = mean + NOISE * noise * (log_variance / 2).exp()
        divergence = (mean.square() + log_variance.exp() - 1 - log_variance).sum(1) / 2
        return (BETA * divergence - self.decoder.log_likelihood(z, graphs)).mean()

    @torch.no_grad()
    def encode(self, graphs: Graphs, *, batch: int = 1_000) -> Tensor:
        """Returns the graphs' points, the means without noise, (B, z)."""
        rows = torch.arange(len(graphs)).split(batch)
        return torch.cat([self.encoder(graphs.at(part))[0] for part in rows])


def trained(
    graphs: Graphs,
    types: int,
    places: int,
    fit: Fit,
    *,
    epochs: int,
    seed: int,
    groups: Sequence[int] | None = None,
    told: Callable[[int, float], None] | None = None,
) -> DVAE:
    """Trains an autoencoder; the same graphs and seed make the same one, and torch's own generator stays as it was.

    Graphs of like size share a batch, so that little of it is padding.

    Args:
        graphs: to learn.
        types: see `DVAE`.
        places: see `DVAE`.
        fit: sizes and training.
        epochs: passes over the graphs.
        seed: of weights, order and noise.
        groups: see `Decoder`.
        told: is told each epoch's number and mean loss.
    """
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.default_generator.manual_seed(seed)
        model, generator = DVAE(types, places, fit, groups), torch.Generator().manual_seed(seed)
        adam = torch.optim.Adam(model.parameters(), fit.learning_rate)
        steps = epochs * -(-len(graphs) // fit.batch)
        schedule = torch.optim.lr_scheduler.LinearLR(adam, 1.0, FINAL_RATE, max(steps, 1))
        for epoch in range(epochs):
            total = 0.0
            shuffled = torch.randperm(len(graphs), generator=generator)
            batches = shuffled[graphs.sizes[shuffled].argsort(stable=True)].split(fit.batch)
            for n in torch.randperm(len(batches), generator=generator).tolist():
                loss = model.loss(graphs.at(batches[n]), generator)
                adam.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                adam.step()
                schedule.step()
                total += float(loss.detach()) * len(batches[n])
            if told is not None:
                told(epoch, total / len(graphs))
    return model.eval().requires_grad_(False)
