"""The networks of foundation and vertical models: one per file, one line here, for both."""

from collections.abc import Iterable

from models.architectures.architecture import Architecture
from models.architectures.dcnv2 import DCNv2
from models.architectures.deepfm import DeepFM
from models.architectures.dhen import DHEN
from models.architectures.din import DIN
from models.architectures.dlrm import DLRM
from models.architectures.dnn import DNN
from models.architectures.fm import FM
from models.architectures.graph import Graph, SequenceGraph
from models.architectures.interformer import InterFormer
from models.architectures.wukong import Wukong

ARCHITECTURES: dict[str, type[Architecture]] = {
    "dcnv2": DCNv2,
    "deepfm": DeepFM,
    "dhen": DHEN,
    "din": DIN,
    "dlrm": DLRM,
    "dnn": DNN,
    "fm": FM,
    "graph": Graph,
    "interformer": InterFormer,
    "sequence_graph": SequenceGraph,
    "wukong": Wukong,
}


def architecture_named(name: str, *, key: str, others: Iterable[str] = ()) -> type[Architecture]:
    """Returns the architecture of that name.

    Args:
        name: one of ARCHITECTURES.
        key: of platform.yaml, where the name was read.
        others: what that key may name beside them; for the error.

    Raises:
        ValueError: there is none of that name.
    """
    if name not in ARCHITECTURES:
        known = ", ".join(sorted([*ARCHITECTURES, *others]))
        raise ValueError(f"Unknown architecture {name!r} in {key}. Known: {known}.")
    return ARCHITECTURES[name]
