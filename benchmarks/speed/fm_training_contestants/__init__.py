"""Who takes part in the training benchmark: one file each, run in a process of its own (see __main__.py)."""

from typing import NamedTuple


class Entry(NamedTuple):
    """Where a contestant is, and what it needs."""

    module: str  # in this package, with a function `build`
    variant: str  # given to `build`
    own_tables: bool  # True: a step touches only the rows looked up; False: dense Adam over whole tables
    environment: str  # the Python environment it runs in: jobs or benchmarks
    onednn: bool = False  # for a peer: its matrix products are oneDNN's, as ours are, instead of torch's default


OURS: dict[str, Entry] = {
    "dcnv2": Entry("platform_network", "dcnv2", True, "jobs"),
    "dcnv2_full_rank": Entry("platform_network", "dcnv2_full_rank", True, "jobs"),
    "dcnv2_bf16": Entry("platform_network", "dcnv2_bf16", True, "jobs"),
    "dcnv2_full_rank_bf16": Entry("platform_network", "dcnv2_full_rank_bf16", True, "jobs"),
    "wukong": Entry("platform_network", "wukong", True, "jobs"),
}
PEERS: dict[str, Entry] = {
    "torchrec_dlrm_dcn": Entry("torchrec_dlrm_dcn", "low_rank", True, "jobs"),
    "deepctr_dcn": Entry("deepctr", "matrix", False, "benchmarks"),
    "deepctr_dcnmix": Entry("deepctr", "mix", False, "benchmarks"),
    "rechub_dcnv2": Entry("rechub", "low_rank", False, "benchmarks"),
    "fuxictr_wukong": Entry("fuxictr_wukong", "wukong", False, "benchmarks"),
}
ENTRIES = OURS | PEERS | {f"{name}_onednn": entry._replace(onednn=True) for name, entry in PEERS.items()}
