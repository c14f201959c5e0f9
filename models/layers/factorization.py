"""Second-order interaction of a factorization machine."""

from torch import Tensor


def bi_interaction(tokens: Tensor) -> Tensor:
    """Computes Σ_{i<j} v_i ⊙ v_j; its sum over e is the FM's pairwise term (Rendle, ICDM 2010, eq. 5).

    Args:
        tokens: F feature vectors, (B, F, e).

    Returns:
        (B, e), in O(F·e).
    """
    return (tokens.sum(dim=1).square() - tokens.square().sum(dim=1)) / 2
