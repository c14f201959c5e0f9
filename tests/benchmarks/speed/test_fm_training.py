"""Who takes part in the training benchmark, and how its ratios are made of the runs."""

from typing import Any

from benchmarks.speed.fm_training import _ratios
from benchmarks.speed.fm_training_contestants import ENTRIES, OURS, PEERS


def runs(*speeds: float) -> list[dict[str, Any]]:
    return [{"per_cpu_s": speed, "peak_gb": 1.0} for speed in speeds]


def test_every_peer_takes_part_with_torchs_products_and_with_ours():
    assert set(ENTRIES) == set(OURS) | set(PEERS) | {f"{name}_onednn" for name in PEERS}
    assert all(ENTRIES[f"{name}_onednn"] == entry._replace(onednn=True) for name, entry in PEERS.items())


def test_a_ratio_is_given_for_both_products_against_ours_of_the_same_shape():
    speeds = {"dcnv2": 60.0, "dcnv2_full_rank": 40.0, "wukong": 30.0}
    speeds |= {"torchrec_dlrm_dcn": 40.0, "torchrec_dlrm_dcn_onednn": 60.0}
    speeds |= {"deepctr_dcn": 20.0, "deepctr_dcn_onednn": 25.0, "deepctr_dcnmix": 10.0, "rechub_dcnv2_onednn": 30.0}
    found = _ratios({"1e4": {name: runs(speed) for name, speed in speeds.items()}}, {})
    assert (found["ratio_torchrec"]["median"], found["ratio_torchrec_onednn"]["median"]) == (1.5, 1.0)
    assert found["ratio_best_peer_1e4"]["median"] == 2.0  # 40 / 20, full matrices; not 60 / 10
    assert found["ratio_best_peer_onednn_1e4"]["median"] == 1.6  # 40 / 25; not 60 / 30
    assert found["ratio_peers_onednn_1e4"]["deepctr_dcnmix"] is None  # did not run


def test_the_ratio_without_a_size_is_the_one_that_is_worse_for_us():
    found = _ratios(
        {
            "1e4": {"wukong": runs(30.0), "fuxictr_wukong": runs(10.0)},
            "1e6": {"wukong": runs(30.0), "fuxictr_wukong": runs(20.0)},
        },
        {},
    )
    assert found["ratio_fuxictr_wukong"]["median"] == 1.5
    assert found["ratio_fuxictr_wukong_onednn"] is None
