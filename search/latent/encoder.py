"""From graphs to points of the latent space (D-VAE, arXiv:1904.11088).

B: batch, n: places, h: hidden width, z: latent width
"""

import torch
from torch import Tensor, nn

from search.latent.graphs import END, OWN, Graphs
from search.latent.messages import Messages, TypedGRU


class Encoder(nn.Module):
    """Passes messages along the edges, each node after those that it reads; END then stands for the whole computation.

    Args:
        types: of nodes, START and END among them.
        places: n at most.
        hidden: h.
        latent: z.
        vid: a message tells its sender's place, too; without it, equal computations have equal codes.
        bidirectional: messages also go from END to START, with weights of their own.
    """

    def __init__(
        self, types: int, places: int, *, hidden: int, latent: int, vid: bool = True, bidirectional: bool = True
    ) -> None:
        super().__init__()
        directions = 2 if bidirectional else 1
        self.cells = nn.ModuleList(TypedGRU(types, hidden) for _ in range(directions))
        self.messages = nn.ModuleList(Messages(hidden, places if vid else None) for _ in range(directions))
        self.both = nn.Linear(2 * hidden, hidden) if bidirectional else nn.Identity()
        self.mean, self.log_variance = nn.Linear(hidden, latent), nn.Linear(hidden, latent)

    def forward(self, graphs: Graphs) -> tuple[Tensor, Tensor]:
        """Returns mean and logarithm of the variance, (B, z) each."""
        rows, ends = torch.arange(len(graphs)), (graphs.types == END).int().argmax(1)
        ways = [self._states(graphs, 0)[rows, ends]]
        if len(self.cells) == 2:
            ways.append(self._states(graphs, 1)[:, 0])
        state = self.both(torch.cat(ways, 1))  # (B, h)
        return self.mean(state), self.log_variance(state)

    def _states(self, graphs: Graphs, way: int) -> Tensor:
        """Returns the states of all nodes, (B, n, h), whose messages go forward (0) or backward (1)."""
        cell, messages = self.cells[way], self.messages[way]
        assert isinstance(cell, TypedGRU) and isinstance(messages, Messages)
        places = list(range(graphs.types.shape[1]))[:: -1 if way else 1]
        hears = (graphs.edges.transpose(1, 2) if way else graphs.edges)[:, places][:, :, places]
        typed = cell.typed(graphs.types[:, places])  # (B, n, 3 h)
        hears = hears.to(typed.dtype)
        states: list[Tensor] = []
        told: list[Tensor] = []
        for step, place in enumerate(places):
            if told:
                heard = torch.einsum("bu,ubh->bh", hears[:, :step, step], torch.stack(told))
            else:
                heard = typed.new_zeros(len(graphs), typed.shape[-1] // 3)
            states.append(cell(typed[:, step], heard))
            told.append(messages(states[-1], place))
        return torch.stack(states[:: -1 if way else 1], 1)


class FamilyEncoder(nn.Module):
    """Lets a node hear only the types of those it reads, and sums all nodes (for Bayesian networks).

    The score of a Bayesian network is a sum over families, a variable and its parents, and so is the graph's state.

    Args:
        types: of nodes, START and END among them.
        places: n at most; they tell nothing.
        hidden: h.
        latent: z.
    """

    def __init__(self, types: int, places: int, *, hidden: int, latent: int) -> None:
        super().__init__()
        self.of_type = nn.Embedding(types, hidden)
        self.messages = Messages(hidden, None)
        self.cell = TypedGRU(types, hidden)
        self.mean, self.log_variance = nn.Linear(hidden, latent), nn.Linear(hidden, latent)

    def forward(self, graphs: Graphs) -> tuple[Tensor, Tensor]:
        """Returns mean and logarithm of the variance, (B, z) each."""
        told = self.messages(self.of_type(graphs.types.clamp_min(0)), 0)  # (B, n, h)
        heard = graphs.edges.to(told.dtype).transpose(1, 2) @ told
        states = self.cell(self.cell.typed(graphs.types), heard)
        state = (states * (graphs.types >= OWN).unsqueeze(-1)).sum(1)
        return self.mean(state), self.log_variance(state)
