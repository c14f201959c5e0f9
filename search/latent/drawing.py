"""How the params of a space are drawn as a labelled graph, and read from one."""

from collections.abc import Mapping

from search.choices import Categorical, Choice, Value
from search.latent.graphs import OWN, Graph
from search.space import Params, Space


class Drawing:
    """A graph of params: a node is an unordered choice that has an effect, its type the choice and its value.

    Edges are those of `Space.flow`. Numbers and ordered choices, such as widths and rates, are not drawn: they have
    coordinates of their own.

    Args:
        space: of the params.

    Attributes:
        kinds: choice and value by type.
        groups: the choice of each type, by number; a model has one node of it at most.
        beside: the choices that are not drawn.

    Raises:
        ValueError: the space has no unordered choice.
    """

    def __init__(self, space: Space) -> None:
        drawn = [choice for choice in space.choices if isinstance(choice, Categorical) and not choice.ordered]
        if not drawn:
            raise ValueError("The latent space is one of graphs, and this space has no unordered choice to draw one of")
        self.space = space
        self.kinds = [(choice.name, value) for choice in drawn for value in choice.values]
        self.groups = [n for n, choice in enumerate(drawn) for _ in choice.values]
        self.beside: list[Choice] = [choice for choice in space.choices if choice not in drawn]
        self.types, self.places = len(self.kinds) + OWN, len(drawn) + 2
        self._plain = space.first
        self._types = {kind: number for number, kind in enumerate(self.kinds)}

    def graph(self, params: Params) -> Graph:
        """Draws canonical params."""
        flow = self.space.flow(params)
        place = {name: n for n, name in enumerate(flow)}
        return Graph(
            tuple(self._types[name, params[name]] for name in flow),
            tuple(tuple(sorted(place[read] for read in reads)) for reads in flow.values()),
        )

    def params(self, graph: Graph, beside: Mapping[str, Value]) -> dict[str, Value] | None:
        """Reads canonical params from a graph's types and the values beside it; None: the space refuses them.

        Edges follow from the types, so none of them is read, and an operation that has no effect is left out.

        Raises:
            ValueError: two nodes are of one choice.
        """
        drawn = dict(self.kinds[kind] for kind in graph.types)
        if len(drawn) < len(graph.types):
            raise ValueError(f"{[self.kinds[kind] for kind in graph.types]} has two nodes of one choice")
        params = self.space.canonical({**self._plain, **drawn, **beside})
        return params if self.space.refusal(params) is None else None
