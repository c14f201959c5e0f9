"""Vertical-model architectures: one per file, one line here."""

from config import VerticalModel
from models.vertical.dcnv2 import DCNv2
from models.vertical.din import DIN
from models.vertical.dlrm import DLRM
from models.vertical.dnn import Dnn
from models.vertical.network import Sizes, VerticalNetwork
from models.vertical.trunk import TrunkNetwork
from models.vertical.wukong import Wukong

VERTICAL_MODELS: dict[str, type[TrunkNetwork]] = {
    "dcnv2": DCNv2,
    "din": DIN,
    "dlrm": DLRM,
    "dnn": Dnn,
    "wukong": Wukong,
}


def build_vertical(
    settings: VerticalModel, *, num_embeddings: dict[str, int], num_dense: int, code_dim: int, use_history: bool
) -> VerticalNetwork:
    """A fresh VM of the configured architecture; seed torch before.

    Args:
        settings: the `vertical_model` section.
        num_embeddings: rows of each sparse feature's table, by name, in the order of a batch's columns.
        num_dense: number of dense features.
        code_dim: width of the FM's codes.
        use_history: False builds the baseline, which takes no FM history.

    Raises:
        ValueError: the architecture is unknown, or does not know a hyperparameter.
    """
    if settings.architecture not in VERTICAL_MODELS:
        raise ValueError(
            f"Unknown architecture {settings.architecture!r} in vertical_model.architecture. "
            f"Known: {', '.join(sorted(VERTICAL_MODELS))}."
        )
    architecture = VERTICAL_MODELS[settings.architecture]
    sizes = Sizes(num_embeddings, num_dense, settings.embedding_dim, code_dim, use_history)
    return architecture(architecture.Config.model_validate(settings.hyperparameters), sizes)
