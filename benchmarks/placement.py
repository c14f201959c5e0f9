"""How torchrec's planner would place an FM's tables on many GPUs, by its own estimates and without any GPU.

step_ms is the planner's estimate of the slowest rank's embedding work at an H100's bandwidths, without the dense
network and latencies; imbalance is that rank's time over the mean.
"""

import time
from typing import Any

import numpy as np
import torch
from torch import nn
from torchrec import EmbeddingBagCollection, EmbeddingBagConfig
from torchrec.distributed.embeddingbag import EmbeddingBagCollectionSharder
from torchrec.distributed.planner import EmbeddingShardingPlanner, ParameterConstraints
from torchrec.distributed.planner.storage_reservations import FixedPercentageStorageReservation
from torchrec.distributed.planner.types import (
    HardwareConfig,
    KernelConfig,
    Perf,
    PlannerError,
    ShardingOption,
    Topology,
    TopologyFactory,
    TrainerConfig,
)

GPUS_OF_A_HOST = 8
HBM_BYTES = 80 * 10**9
# An H100 host, in the planner's bytes per millisecond: HBM 3.35 TB/s, NVLink 450 GB/s, network 50 GB/s a GPU.
HBM_BANDWIDTH, NVLINK_BANDWIDTH, NETWORK_BANDWIDTH = 3.35e9, 450e6, 50e6
PCIE_BANDWIDTH = 55e6
TABLES, DIM, TOTAL_ROWS = 26, 64, 1_000_000_000
BATCH_OF_A_GPU = 4096
HISTORY = 50  # ids that an example looks up in the second-largest table, the items'; elsewhere one
COMPONENTS = ("fwd_compute", "fwd_comms", "bwd_compute", "bwd_comms", "prefetch_compute", "input_dist_comms")

Result = dict[str, Any]


def plan(gpus: int, *, total_rows: int = TOTAL_ROWS, sharding: str | None = None) -> Result:
    """Describes the planner's best plan for so many GPUs, by its own estimates.

    Args:
        gpus: in hosts of GPUS_OF_A_HOST.
        total_rows: of all tables together.
        sharding: the one that the planner may choose, such as `row_wise`; None: any.
    """
    plans: list[list[ShardingOption]] = []

    def keep(plan: list[ShardingOption]) -> list[ShardingOption]:
        plans.append(plan)
        return plan

    tables = EmbeddingBagCollection(
        tables=[
            EmbeddingBagConfig(name=f"table_{n}", embedding_dim=DIM, num_embeddings=rows, feature_names=[f"field_{n}"])
            for n, rows in enumerate(table_rows(total_rows))
        ],
        device=torch.device("meta"),
    )
    planner = EmbeddingShardingPlanner(
        topology=_topology(gpus),
        batch_size=BATCH_OF_A_GPU,
        storage_reservation=FixedPercentageStorageReservation(0.15),
        constraints=_constraints(sharding),
        callbacks=[keep],
        stats=[],
    )
    before = time.perf_counter()
    try:
        planner.plan(nn.ModuleDict({"tables": tables}), [EmbeddingBagCollectionSharder()])
    except PlannerError as error:
        return {"fits": False, "reason": str(error).strip().splitlines()[0]}
    return _described(plans[-1], gpus) | {"planning_s": round(time.perf_counter() - before, 1)}


def _constraints(sharding: str | None) -> dict[str, ParameterConstraints]:
    allowed = None if sharding is None else [sharding]
    looked_up = {"table_1": [float(HISTORY)]}
    return {
        f"table_{n}": ParameterConstraints(sharding_types=allowed, pooling_factors=looked_up.get(f"table_{n}", [1.0]))
        for n in range(TABLES)
    }


def table_rows(total: int = TOTAL_ROWS) -> list[int]:
    """Returns the rows of each table, in proportion to 1/n for the n-th, and in all `total`."""
    shares = 1 / np.arange(1, TABLES + 1)
    return [int(rows) for rows in total * shares / shares.sum()]


def _topology(gpus: int) -> Topology:
    return TopologyFactory.create_topology(
        TrainerConfig(world_size=gpus, local_world_size=GPUS_OF_A_HOST),
        HardwareConfig(
            hbm_cap_bytes=HBM_BYTES,
            ddr_cap_bytes=200 * 10**9,
            hbm_mem_bw=HBM_BANDWIDTH,
            hbm_to_ddr_mem_bw=PCIE_BANDWIDTH,
            intra_host_bw=NVLINK_BANDWIDTH,
            inter_host_bw=NETWORK_BANDWIDTH,
        ),
        KernelConfig(compute_device="cuda", use_hardware_based_bandwidth=True),
    )


def _described(plan: list[ShardingOption], gpus: int) -> Result:
    """Describes a plan: its step is the slowest rank's, and the bottleneck what that rank spends most on."""
    nothing = Perf(0.0, 0.0, 0.0, 0.0)
    perf, hbm, by_table = [nothing] * gpus, [0] * gpus, [dict[str, float]() for _ in range(gpus)]
    for option in plan:
        for piece in option.shards:
            assert piece.rank is not None and piece.perf is not None and piece.storage is not None
            perf[piece.rank] += piece.perf
            hbm[piece.rank] += piece.storage.hbm
            by_table[piece.rank][option.name] = by_table[piece.rank].get(option.name, 0.0) + piece.perf.total
    totals = [p.total for p in perf]
    slowest = int(np.argmax(totals))
    table, spent = max(by_table[slowest].items(), key=lambda item: item[1])
    component = max(COMPONENTS, key=lambda name: getattr(perf[slowest], name))
    sharded = [f"{option.sharding_type}/{option.compute_kernel}" for option in plan]
    return {
        "fits": True,
        "step_ms": round(max(totals), 3),
        "imbalance": round(max(totals) / float(np.mean(totals)), 3),
        "most_hbm_gb": round(max(hbm) / 1e9, 1),
        "bottleneck": f"{component}, {table}",
        "bottleneck_share": round(getattr(perf[slowest], component) / totals[slowest], 3),
        "bottleneck_table_share": round(spent / totals[slowest], 3),
        "tables_by_sharding": {kind: sharded.count(kind) for kind in sorted(set(sharded))},
    }


def assumptions(total_rows: int = TOTAL_ROWS) -> Result:
    """Returns the tables and the hardware that plans are made for."""
    return {
        "tables": TABLES,
        "dim": DIM,
        "rows": sum(table_rows(total_rows)),
        "largest_table_rows": table_rows(total_rows)[0],
        "batch_of_a_gpu": BATCH_OF_A_GPU,
        "ids_in_table_1": HISTORY,
        "gpus_of_a_host": GPUS_OF_A_HOST,
        "hbm_gb": HBM_BYTES / 1e9,
        "hbm_gb_per_s": HBM_BANDWIDTH / 1e6,
        "nvlink_gb_per_s": NVLINK_BANDWIDTH / 1e6,
        "network_gb_per_s": NETWORK_BANDWIDTH / 1e6,
    }
