"""The vertical models: small embeddings, an encoder of the FM history, trunk and head around an architecture."""

from config import VerticalSettings
from models.architectures import architecture_named
from models.vertical.network import VerticalNetwork, VerticalSizes


def build_vertical(
    settings: VerticalSettings,
    *,
    num_embeddings: dict[str, int],
    num_dense: int,
    history_length: int,
    code_dim: int = 0,
    history_ids: tuple[str, ...] = (),
) -> VerticalNetwork:
    """Builds a fresh VM of the configured architecture; seed torch before.

    Args:
        settings: the `vertical_model` section.
        num_embeddings: rows of each sparse feature's table, by name, in the order of a batch's columns.
        num_dense: number of dense features.
        history_length: slots of a batch's histories.
        code_dim: width of the FM's codes that it reads. 0 without `history_ids` builds the baseline, which takes
            nothing of the FM.
        history_ids: sparse features whose ids it reads from the slots of the history.

    Raises:
        ValueError: the architecture or a hyperparameter is unknown, or a hyperparameter is wrong.
    """
    architecture = architecture_named(settings.architecture, key="vertical_model.architecture")
    sizes = VerticalSizes(num_embeddings, num_dense, settings.embedding_dim, history_length, code_dim, history_ids)
    return VerticalNetwork(architecture, settings.hyperparameters, sizes)
