"""What nodes tell the nodes that read them, and what these make of it (D-VAE, arXiv:1904.11088).

h: hidden width
"""

import torch
from torch import Tensor, nn


class Messages(nn.Module):
    """Gated messages, of which a node sums those that it reads.

    Args:
        hidden: h.
        places: n; the sender's place tells, too (`vid` of the released code). None: it does not, so that the order in
            which a graph is written does not matter.
    """

    def __init__(self, hidden: int, places: int | None) -> None:
        super().__init__()
        self.gate = nn.Linear(hidden, hidden)
        self.value = nn.Linear(hidden, hidden, bias=False)
        self.gate_of_place = self.value_of_place = None
        if places is not None:
            self.gate_of_place = nn.Embedding(places, hidden)
            self.value_of_place = nn.Embedding(places, hidden)
            for table in (self.gate_of_place, self.value_of_place):
                nn.init.uniform_(table.weight, -(hidden**-0.5), hidden**-0.5)

    def forward(self, states: Tensor, place: int) -> Tensor:
        """Returns what nodes at a place tell, (..., h), by their states, (..., h)."""
        gate, value = self.gate(states), self.value(states)
        if self.gate_of_place is not None and self.value_of_place is not None:
            gate = gate + self.gate_of_place.weight[place]
            value = value + self.value_of_place.weight[place]
        return torch.sigmoid(gate) * value


class TypedGRU(nn.Module):
    """A GRU cell whose input is a node's type and whose state is what it has heard.

    As `nn.GRUCell` with one-hot inputs, but the type's part can be computed once for many states.
    """

    def __init__(self, types: int, hidden: int) -> None:
        super().__init__()
        self.of_type = nn.Embedding(types, 3 * hidden)
        self.of_state = nn.Linear(hidden, 3 * hidden)
        nn.init.uniform_(self.of_type.weight, -(hidden**-0.5), hidden**-0.5)

    def typed(self, types: Tensor) -> Tensor:
        """Returns the type's part, (...) -> (..., 3 h); that of a padding place is never used."""
        return self.of_type(types.clamp_min(0))

    def forward(self, typed: Tensor, heard: Tensor) -> Tensor:
        """Returns states, (..., h), of types, (..., 3 h), and what nodes have heard, (..., h)."""
        reset, update, new = typed.chunk(3, -1)
        reset_heard, update_heard, new_heard = self.of_state(heard).chunk(3, -1)
        fresh = torch.tanh(new + torch.sigmoid(reset + reset_heard) * new_heard)
        kept = torch.sigmoid(update + update_heard)
        return fresh + kept * (heard - fresh)
