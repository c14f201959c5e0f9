"""Vertical-model architectures: one per file, one line here."""

from config import VerticalModel
from models.vertical.dcnv2 import DCNv2
from models.vertical.deepfm import DeepFM
from models.vertical.din import DIN
from models.vertical.dlrm import DLRM
from models.vertical.dnn import Dnn
from models.vertical.fm import FM
from models.vertical.network import Sizes, VerticalNetwork
from models.vertical.trunk import TrunkNetwork
from models.vertical.wukong import Wukong

VERTICAL_MODELS: dict[str, type[TrunkNetwork]] = {
    "dcnv2": DCNv2,
    "deepfm": DeepFM,
    "din": DIN,
    "dlrm": DLRM,
    "dnn": Dnn,
    "fm": FM,
    "wukong": Wukong,
}


def build_vertical(
    settings: VerticalModel,
    *,
    num_embeddings: dict[str, int],
    num_dense: int,
    code_dim: int = 0,
    history_ids: tuple[str, ...] = (),
) -> VerticalNetwork:
    """A fresh VM of the configured architecture; seed torch before.

    Args:
        settings: the `vertical_model` section.
        num_embeddings: rows of each sparse feature's table, by name, in the order of a batch's columns.
        num_dense: number of dense features.
        code_dim: width of the FM's codes that it reads. 0 without `history_ids` builds the baseline, which takes
            nothing of the FM.
        history_ids: sparse features whose ids it reads from the slots of the history.

    Raises:
        ValueError: the architecture is unknown, or does not know a hyperparameter.
    """
    if settings.architecture not in VERTICAL_MODELS:
        raise ValueError(
            f"Unknown architecture {settings.architecture!r} in vertical_model.architecture. "
            f"Known: {', '.join(sorted(VERTICAL_MODELS))}."
        )
    architecture = VERTICAL_MODELS[settings.architecture]
    sizes = Sizes(num_embeddings, num_dense, settings.embedding_dim, code_dim, history_ids)
    return architecture(architecture.Config.model_validate(settings.hyperparameters), sizes)
