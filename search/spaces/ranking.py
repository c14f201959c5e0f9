"""The space of ranking models: an architecture graph, block by block, and how it is trained.

A block reads tokens and vectors of the block before it. It may make new tokens, take pairwise products of tokens into a
vector, and run a vector operation over all it has (after NASRec and Rankitect, arXiv:2311.08430). The history comes in
as DIN's interest, a vector, and as tokens that ask it, which the first block and the head read. The shipped DLRM,
DCN-V2, DeepFM, DIN and Wukong are points of the space, up to norms and, in vertical models, sizes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import pairwise
from typing import Any, Literal

from models.architectures.architecture import Sizes
from models.architectures.graph import GIVEN, Graph, reaching
from search.choices import Categorical, Choice, Value
from search.space import Params, Space

Target = Literal["foundation", "vertical"]
Nodes = dict[str, dict[str, Any]]

RANK = 16  # of crosses, factorization machines and ensembles
# Hidden layers between the graph and the logit, tokens that an operation makes, and widths. Those of the shipped models
# lie within.
HEADS = {"foundation": ("64", "128-64", "256-64", "256-128"), "vertical": ("32", "64", "64-32", "128-64")}
COUNTS = {"foundation": (4, 8, 16), "vertical": (2, 4, 8)}
WIDTHS = {"foundation": (32, 64, 128, 256), "vertical": (16, 32, 64, 128)}
# How the names of the graph's choices begin.
OF_GRAPH = ("dense", "history", "asks", "tokens", "raw", "count", "pairs", "vector", "width", "reads")
INTEREST_WIDTH = 32  # of the activation unit's hidden layer
# Of a node's name, up to the block's number, the choice that made it.
MADE_BY = {op: "tokens" for op in ("lcb", "fmb", "ensemble", "attention")} | {"vectors": "vector", "flat": "vector"}
MADE_BY |= {"pairs": "pairs", "vector": "vector"}


def architecture_choices(target: Target, blocks: int) -> list[Choice]:
    """Returns the choices of the graph.

    Args:
        target: which kind of model.
        blocks: how many there can be; one whose operations are all `none` is left out.
    """
    choices: list[Choice] = [
        Categorical("embedding_dim", (8, 16, 32), ordered=True),
        Categorical("dense_tokens", (0, 1, 4), ordered=True),  # tokens that the dense features become
        Categorical("history", (False, True)),  # each step weighted for the candidate, summed
        Categorical("asks", (0, 4, 8), ordered=True),  # tokens that attend over the history
        Categorical("tokens_out", (False, True)),  # the head reads the last tokens themselves
        Categorical("raw_out", (False, True)),  # the head reads the network's inputs themselves
        Categorical("head", HEADS[target]),
    ]
    for n in range(1, blocks + 1):
        choices += [
            Categorical(f"tokens_{n}", ("none", "lcb", "fmb", "lcb+fmb", "attention", "ensemble")),
            Categorical(f"count_{n}", COUNTS[target], ordered=True),  # tokens that each makes
            Categorical(f"pairs_{n}", ("none", "dot", "fm")),
            Categorical(f"vector_{n}", ("none", "linear", "gate", "cross", "product")),
            Categorical(f"width_{n}", WIDTHS[target], ordered=True),
        ]
        if n > 1:
            choices.append(Categorical(f"reads_{n}", ("previous", "all")))  # all: the network's inputs, too
    return choices


def recipe_choices(target: Target) -> list[Choice]:
    """Returns the choices of training: rates, warm-up and first embeddings."""
    choices: list[Choice] = [
        Categorical("learning_rate", (0.0005, 0.001, 0.002, 0.004), ordered=True),
        Categorical("embedding_learning_rate", (0.005, 0.01, 0.02, 0.05, 0.1), ordered=True),
        Categorical("warmup_steps", (0, 50, 200), ordered=True),
        Categorical("weight_decay", (0.0, 1e-6, 1e-5, 1e-4), ordered=True),
    ]
    if target == "foundation":
        choices.append(Categorical("first_embeddings", (0.0, 0.01, 0.05, 0.2), ordered=True))  # 0: 1/√rows
    return choices


@dataclass(frozen=True)
class RankingSpace(Space):
    """Foundation models, or vertical models, of one source.

    Attributes:
        inputs: of the network; the embedding width in it is not used.
        target: which kind of model.
        cap: most FLOPs of an example's forward pass, matrix products between look-ups and logit; None: any.
        around: what stands around the graph in a vertical model, by embedding width: how many numbers beside its
            output, and the FLOPs that made them.
    """

    inputs: Sizes
    target: Target
    cap: float | None = None
    around: Mapping[int, tuple[int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Checks choices and cap.

        Raises:
            ValueError: the cap is below what the smallest model costs.
        """
        super().__post_init__()
        smallest = self.cost(self.first)
        if self.cap is not None and smallest > self.cap:
            raise ValueError(
                f"the cost cap of {self.cap:,.0f} FLOPs is below the smallest model's {smallest:,.0f}; raise the cap"
            )

    @classmethod
    def of(
        cls,
        inputs: Sizes,
        *,
        target: Target,
        blocks: int = 3,
        cap: float | None = None,
        around: Mapping[int, tuple[int, int]] | None = None,
    ) -> "RankingSpace":
        """Builds the whole space; see the class for its arguments.

        Raises:
            ValueError: the cap is below what the smallest model costs.
        """
        return cls((*architecture_choices(target, blocks), *recipe_choices(target)), inputs, target, cap, around or {})

    def canonical(self, params: Params) -> dict[str, Value]:
        """Returns the params with used blocks before empty ones, and what changes nothing at its first value."""
        checked = super().canonical(params)
        return dict(zip(checked, _canonical(self.choices, tuple(checked.values())), strict=True))

    def refusal(self, params: Params) -> str | None:
        """Says that params cost more than the cap."""
        if self.cap is not None and self.cost(params) > self.cap:
            return f"it costs more than the cap of {self.cap:,.0f} FLOPs an example"
        return None

    def cost(self, params: Params) -> float:
        """Counts FLOPs of an example's forward pass: the graph's, the head's, and not the look-ups'."""
        beside, flops = self.around.get(int(params["embedding_dim"]), (0, 0))
        return _flops(self.inputs, tuple(params.items()), beside) + flops

    def flow(self, params: Params) -> dict[str, list[str]]:
        """Returns what each choice of an operation reads, along the data; the network's inputs are no nodes.

        `reads_n` reads nothing, and is read where block n or a later one takes the network's inputs once more.
        `raw_out` is read by the head, as is `tokens_out`, which reads the last tokens.
        """
        nodes, outputs = graph(params)
        again = [name for name, value in params.items() if name.startswith("reads_") and value == "all"]
        reads: dict[str, list[str]] = {name: [] for name in (*["history"] * bool(params["history"]), *again)}
        for name, node in nodes.items():
            choice = _made_by(name)
            if choice is None or choice == "history":
                continue
            inputs = [_made_by(i) for i in node["inputs"]]
            here = [i for i in inputs if i not in (None, choice)]
            if None in inputs or "history" in inputs:
                here += [one for one in again if int(one.split("_")[1]) <= int(choice.split("_")[1])]
            reads[choice] = list(dict.fromkeys([*reads.get(choice, []), *here]))
        last = [choice for name in outputs if (choice := _made_by(name)) is not None]
        tokens = [choice for choice in last if choice.startswith("tokens_")]
        head = [choice for choice in last if choice not in tokens]
        if any(_made_by(name) in (None, "history") for name in outputs if name != "asks"):
            head += again
        if params["tokens_out"]:
            reads["tokens_out"] = list(dict.fromkeys(tokens))
        if params["raw_out"]:
            reads["raw_out"] = []
        return reads | {"head": [*head, *(name for name in ("tokens_out", "raw_out") if params[name])]}

    def settings(self, params: Params) -> dict[str, Any]:
        """Returns what to change of `foundation_model` or `vertical_model` of platform.yaml."""
        nodes, outputs = graph(params)
        layers = "head" if self.target == "foundation" else "hidden"
        optimizer = ("learning_rate", "embedding_learning_rate", "warmup_steps", "weight_decay")
        changed: dict[str, Any] = {
            "architecture": "sequence_graph" if reads_history(params) else "graph",
            "hyperparameters": {"nodes": nodes, "outputs": outputs, layers: hidden(params)},
            "embedding_dim": params["embedding_dim"],
            "optimizer": {name: params[name] for name in optimizer},
        }
        if self.target == "foundation":
            changed["first_embeddings"] = params["first_embeddings"] or None
        return changed


def reads_history(params: Params) -> bool:
    """Returns whether the model reads the history step by step."""
    return bool(params["history"] or params["asks"])


def hidden(params: Params) -> list[int]:
    """Returns the hidden layers behind the graph."""
    return [int(width) for width in str(params["head"]).split("-")]


def graph(params: Params) -> tuple[Nodes, list[str]]:
    """Returns the graph's live nodes and its outputs, as the hyperparameters of `graph` and `sequence_graph`."""
    nodes: Nodes = {}
    tokens, vectors = ["tokens"], ["dense"]
    if params["dense_tokens"]:
        nodes["dense_tokens"] = {
            "op": "spread",
            "inputs": ["dense"],
            "tokens": params["dense_tokens"],
            "norm": True,
        }
        tokens = ["tokens", "dense_tokens"]
    if params["asks"]:
        # Not normalised: queries begin near 0, so a norm would make a noise of them as large as what is found later.
        nodes["asks"] = {"op": "ask", "inputs": tokens, "tokens": params["asks"]}
        tokens = [*tokens, "asks"]
    first_tokens, first_vectors = tokens, vectors
    if params["history"]:
        nodes["interest"] = {"op": "interest", "width": INTEREST_WIDTH}
        first_vectors = vectors = ["dense", "interest"]
    n = 1
    while f"tokens_{n}" in params:
        if params.get(f"reads_{n}", "previous") == "all":
            tokens = [*tokens, *(name for name in first_tokens if name not in tokens)]
            vectors = [*vectors, *(name for name in first_vectors if name not in vectors)]
        tokens, vectors = _block(params, n, nodes, tokens, vectors)
        n += 1
    outputs = [*vectors, *tokens] if params["tokens_out"] else list(vectors)
    if params["raw_out"]:
        outputs += [name for name in GIVEN if name not in outputs]
    if params["asks"] and "asks" not in outputs:
        outputs.append("asks")
    wanted = reaching(outputs, {name: node.get("inputs", []) for name, node in nodes.items()})
    return {name: node for name, node in nodes.items() if name in wanted}, outputs


def _made_by(node: str) -> str | None:
    """Returns the choice that made a node of the graph; None: it is the network's own, or made of dense features."""
    if node == "interest":
        return "history"
    kind, _, n = node.rpartition("_")
    return f"{MADE_BY[kind]}_{n}" if kind in MADE_BY else None


def _block(params: Params, n: int, nodes: Nodes, tokens: list[str], vectors: list[str]) -> tuple[list[str], list[str]]:
    """Adds a block's nodes; returns the tokens and the vectors that the next one reads."""
    kind, count, pairs = params[f"tokens_{n}"], params[f"count_{n}"], params[f"pairs_{n}"]
    vector, width = params[f"vector_{n}"], params[f"width_{n}"]
    made = []
    for op in [] if kind == "none" else str(kind).split("+"):
        sizes: dict[str, Value] = {
            "lcb": {"tokens": count},
            "fmb": {"tokens": count, "rank": RANK, "width": width},
            "ensemble": {"tokens": count, "rank": RANK},
            "attention": {},
        }[op]
        norm = op != "ensemble"  # which has its own
        nodes[f"{op}_{n}"] = {"op": op, "inputs": tokens, "norm": norm, **sizes}
        made.append(f"{op}_{n}")
    tokens = made or tokens
    products: list[str] = []
    if pairs != "none":
        nodes[f"pairs_{n}"] = {"op": pairs, "inputs": tokens, "norm": True}
        products = [f"pairs_{n}"]
    if vector != "none":
        both = [*vectors, *tokens]
        width_of: dict[str, Value] = {"rank": RANK} if vector == "cross" else {"width": width}
        if vector == "product":
            nodes[f"vectors_{n}"] = {"op": "concatenate", "inputs": vectors}
            nodes[f"flat_{n}"] = {"op": "concatenate", "inputs": tokens}
            both = [f"vectors_{n}", f"flat_{n}"]
        nodes[f"vector_{n}"] = {"op": vector, "inputs": both, "norm": True, **width_of}
        vectors = [f"vector_{n}"]
    return tokens, [*products, *vectors]


@lru_cache(maxsize=200_000)
def _flops(inputs: Sizes, params: tuple[tuple[str, Value], ...], beside: int) -> float:
    chosen = dict(params)
    nodes, outputs = graph(chosen)
    sizes = replace(inputs, embedding_dim=int(chosen["embedding_dim"]))
    config = Graph.Config.model_validate({"nodes": nodes, "outputs": outputs})
    shapes = config.shapes(sizes)
    widths = [sum(shapes[name].size for name in outputs) + beside, *hidden(chosen), 1]
    return float(config.flops(sizes) + sum(2 * before * after for before, after in pairwise(widths)))


@lru_cache(maxsize=200_000)
def _canonical(choices: tuple[Choice, ...], values: tuple[Value, ...]) -> tuple[Value, ...]:
    first = {choice.name: choice.levels(1)[0] for choice in choices}
    params = _plain({choice.name: value for choice, value in zip(choices, values, strict=True)}, first)
    while (moved := _moved_up(params, first)) != params:
        params = _plain(moved, first)
    return tuple(params.values())


def _plain(params: dict[str, Value], first: Params) -> dict[str, Value]:
    """Returns the params with the graph's choices that change nothing at their first value."""
    wanted = graph(params)
    for name in params:
        if name.split("_")[0] in OF_GRAPH:
            plain = params | {name: first[name]}
            if plain != params and graph(plain) == wanted:
                params = plain
    return params


def _moved_up(params: dict[str, Value], first: Params) -> dict[str, Value]:
    """Moves used blocks up over empty ones, which changes nothing but the names of nodes.

    An empty block that reads the inputs again hands them on to the next used one, or to the head.

    Args:
        params: of the whole space.
        first: the first value of every choice.
    """
    blocks = [int(name.removeprefix("count_")) for name in params if name.startswith("count_")]
    moved = {name: first[name] for n in blocks for name in params if name.endswith(f"_{n}")}
    place, again = 1, False
    for n in blocks:
        again = again or params.get(f"reads_{n}") == "all"
        if all(params[f"{name}_{n}"] == "none" for name in ("tokens", "pairs", "vector")):
            continue
        moved |= {f"{name}_{place}": params[f"{name}_{n}"] for name in ("tokens", "count", "pairs", "vector", "width")}
        if place > 1 and again:
            moved[f"reads_{place}"] = "all"
        place, again = place + 1, False
    if again and 1 < place <= len(blocks):
        moved[f"reads_{place}"] = "all"
    return params | moved
