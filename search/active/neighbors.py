"""Who is near whom in a pool of points, by FAISS."""

import faiss
import numpy as np
import numpy.typing as npt
from scipy import sparse

EXACT = 50_000  # points of a pool whose neighbors are found by comparing all with all
JITTER = 1e-3  # by which points are moved, of their standard deviation
LINKS, LOOKED_AT = 32, 128  # of the graph that finds them in a larger pool (HNSW): links a point, points a search


def nearest(points: npt.ArrayLike, k: int) -> sparse.csr_array:
    """Finds the k nearest other points of each point, by Euclidean distance, but for a little noise.

    Without it, of many points equally far away, as codes of categories are, the first of the table would be everyone's
    neighbors.

    Args:
        points: (n, d).
        k: less than n.

    Returns:
        (n, n), 1 at [i, j] where j is one of the k nearest of i.

    Raises:
        ValueError: the points are no finite table, or k does not fit their number.
    """
    table = np.ascontiguousarray(points, np.float32)
    if table.ndim != 2 or not np.isfinite(table).all():
        raise ValueError(f"points must be a table of finite numbers, (n, d); these are {table.shape}")
    n, width = table.shape
    if not 0 < k < n:
        raise ValueError(f"k is {k}; a pool of {n} points has 1 to {n - 1} neighbors of each")
    noise = np.random.default_rng(0).standard_normal(table.shape, np.float32)
    table = table + JITTER * float(table.std(0).mean()) * noise
    index = _index(n, width, k)
    index.add(table)
    found = index.search(table, k + 1)[1]
    # A point is its own nearest, but not always the first one found: another may lie at the same place.
    others = found != np.arange(n)[:, None]
    others[others.all(1), -1] = False
    columns = found[others]
    if (columns < 0).any():
        raise ValueError(f"some of the {n} points have fewer than {k} neighbors that the index finds; choose a lower k")
    return sparse.csr_array((np.ones(n * k), columns, np.arange(0, n * k + 1, k)), shape=(n, n))


def _index(n: int, width: int, k: int) -> faiss.Index:
    if n <= EXACT:
        return faiss.IndexFlatL2(width)
    index = faiss.IndexHNSWFlat(width, LINKS)
    index.hnsw.efSearch = max(LOOKED_AT, 2 * k)
    return index
