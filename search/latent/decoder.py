"""From points of the latent space back to graphs (D-VAE, arXiv:1904.11088).

B: batch, n: places, h: hidden width, z: latent width, T: types
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from search.latent.graphs import END, OWN, PAD, START, Graphs
from search.latent.messages import Messages, TypedGRU

ANY = -1  # group of types that may come any number of times


class Decoder(nn.Module):
    """Adds one node after another, and asks of each earlier one, the latest first, whether the new one reads it.

    After each edge the new node's state is computed anew. By rule, not by chance: the last place is END, a node that
    reads nothing reads START, and END reads what nobody reads; so every graph is acyclic and whole. Both heads see the
    first state, too; in the authors' code, only that of edges does, for Bayesian networks. The gates are its own.

    Args:
        types: T.
        places: n.
        hidden: h.
        latent: z.
        vid: a message tells its sender's place, too.
        groups: of each type of a graph's own nodes, the group of which a graph has one node at most. None: it may have
            any number of nodes of a type.
    """

    def __init__(
        self,
        types: int,
        places: int,
        *,
        hidden: int,
        latent: int,
        vid: bool = True,
        groups: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.places = places
        own = [ANY] * (types - OWN) if groups is None else [group + OWN for group in groups]
        self.register_buffer("groups", torch.tensor([START, END, *own]), persistent=False)
        self.groups: Tensor
        self.first = nn.Linear(latent, hidden)
        self.cell, self.messages = TypedGRU(types, hidden), Messages(hidden, places if vid else None)
        self.type_head = nn.Sequential(nn.Linear(2 * hidden, 2 * hidden), nn.ReLU(), nn.Linear(2 * hidden, types))
        # The first layer of the edges' head, in three parts, so that each is computed once.
        self.of_first = nn.Linear(hidden, 4 * hidden)
        self.of_reader = nn.Linear(hidden, 4 * hidden, bias=False)
        self.of_read = nn.Linear(hidden, 4 * hidden, bias=False)
        self.edge = nn.Linear(4 * hidden, 1)

    def log_likelihood(self, z: Tensor, graphs: Graphs) -> Tensor:
        """Computes the logarithm of the probability that points, (B, z), become these graphs, (B,).

        All edges of a node at once: its states after each of them are known, as the graph is.
        """
        first = torch.tanh(self.first(z))  # (B, h)
        of_first = self.of_first(first)
        state, total = first, torch.zeros(len(z), dtype=z.dtype)
        told, of_read = [self.messages(first, 0)], list[Tensor]()
        taken = self._same_group(graphs.types[:, 0])
        for place in range(1, graphs.types.shape[1]):
            kind = graphs.types[:, place]
            if place < self.places - 1:
                chosen = self._types(state, first, taken).gather(1, kind.clamp_min(0).unsqueeze(1)).squeeze(1)
                total = total + torch.where(kind == PAD, 0.0, chosen)
            taken = taken | self._same_group(kind)
            typed = self.cell.typed(kind)
            reads = graphs.edges[:, 1:place, place].flip(1).unsqueeze(-1).to(z.dtype)  # (B, u, 1), the latest first
            heard = torch.zeros_like(first)
            if place > 1:
                of_each = reads * torch.stack(told[:0:-1], 1)  # (B, u, h)
                heard_before = of_each.cumsum(1) - of_each
                reader = self.of_reader(self.cell(typed.unsqueeze(1), heard_before))
                logits = self._edges(of_first.unsqueeze(1), reader, torch.stack(of_read[::-1], 1))  # (B, u)
                chosen = logsigmoid(torch.where(reads.squeeze(-1) > 0, logits, -logits)).sum(1)
                total = total + torch.where((kind == PAD) | (kind == END), 0.0, chosen)
                heard = of_each.sum(1)
            state = self.cell(typed, heard + graphs.edges[:, 0, place].unsqueeze(1) * told[0])
            told.append(self.messages(state, place))
            of_read.append(self.of_read(state))
        return total

    @torch.no_grad()
    def draw(self, z: Tensor, generator: torch.Generator) -> tuple[Graphs, Tensor]:
        """Draws a graph of each point, (B, z); also returns the logarithm of its probability, (B,)."""
        B, first = len(z), torch.tanh(self.first(z))
        of_first = self.of_first(first)
        types, edges = torch.full((B, self.places), PAD), torch.zeros(B, self.places, self.places, dtype=torch.bool)
        types[:, 0] = START
        state, total = first, torch.zeros(B, dtype=z.dtype)
        told, of_read = [self.messages(first, 0)], [self.of_read(first)]
        going, taken = torch.ones(B, dtype=torch.bool), self._same_group(types[:, 0])
        for place in range(1, self.places):
            if not going.any():
                break
            if place < self.places - 1:
                log_p = self._types(state, first, taken)
                kind = torch.multinomial(log_p.exp(), 1, generator=generator)
                total = total + going * log_p.gather(1, kind).squeeze(1)
                types[:, place] = torch.where(going, kind.squeeze(1), PAD)
            else:
                types[:, place] = torch.where(going, END, PAD)
            taken = taken | self._same_group(types[:, place])
            ended, going = types[:, place] == END, types[:, place] > END
            typed, heard = self.cell.typed(types[:, place]), torch.zeros_like(first)
            state = self.cell(typed, heard)
            for read in range(place - 1, 0, -1):
                logits = self._edges(of_first, self.of_reader(state), of_read[read])
                drawn = torch.rand(B, generator=generator, dtype=z.dtype) < logits.sigmoid()
                total = total + going * logsigmoid(torch.where(drawn, logits, -logits))
                edges[:, read, place] = drawn & going
                heard = heard + drawn.unsqueeze(1) * told[read]
                state = self.cell(typed, heard)
            edges[:, 0, place] = going & ~edges[:, :, place].any(1)
            unread = (types[:, :place] != PAD) & ~edges[:, :place, :place].any(2)
            edges[:, :place, place] |= unread & ended.unsqueeze(1)
            state = self.cell(typed, heard + edges[:, 0, place].unsqueeze(1) * told[0])
            told.append(self.messages(state, place))
            of_read.append(self.of_read(state))
        return Graphs(types, edges), total

    def _types(self, last: Tensor, first: Tensor, taken: Tensor) -> Tensor:
        """Returns logarithms of the probabilities of the next node's type, (B, T); those taken have none."""
        logits = self.type_head(torch.cat([last, first], 1))
        return torch.log_softmax(logits.masked_fill(taken, -torch.inf), 1)

    def _same_group(self, types: Tensor) -> Tensor:
        """Says which types are taken by nodes of some types, (B,) -> (B, T); END never is."""
        groups = self.groups[types.clamp_min(START)].unsqueeze(1)
        return (self.groups == groups) & (groups != ANY) & (self.groups != END)

    def _edges(self, of_first: Tensor, of_reader: Tensor, of_read: Tensor) -> Tensor:
        """Returns logits of edges, (..., 4 h) each -> (...)."""
        return self.edge(torch.relu(of_first + of_reader + of_read)).squeeze(-1)
