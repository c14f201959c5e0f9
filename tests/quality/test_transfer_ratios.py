import math

import pytest

from quality.transfer_ratios import headroom_ratio, transfer_ratio


def test_headroom_ratio_is_the_share_of_the_gap_to_the_fm_that_is_closed() -> None:
    assert headroom_ratio(ne_without=0.9, ne_with=0.85, ne_foundation=0.8) == pytest.approx(0.5)
    assert headroom_ratio(ne_without=0.9, ne_with=0.75, ne_foundation=0.8) == pytest.approx(1.5)
    assert headroom_ratio(ne_without=0.9, ne_with=0.92, ne_foundation=0.8) == pytest.approx(-0.2)


@pytest.mark.parametrize("ne_foundation", [0.8, 0.9, math.nan])
def test_there_is_no_headroom_ratio_where_the_fm_is_no_better(ne_foundation: float) -> None:
    assert math.isnan(headroom_ratio(ne_without=0.8, ne_with=0.7, ne_foundation=ne_foundation))


def test_transfer_ratio_is_the_share_of_the_fms_gain_that_the_vm_has() -> None:
    found = transfer_ratio(vm_before=0.90, vm_after=0.89, fm_before=0.85, fm_after=0.80)
    assert found == pytest.approx(0.01 / 0.05)


def test_without_an_upgrade_there_is_no_transfer_ratio() -> None:
    with pytest.raises(ValueError, match=r"the FM's NE is 0\.8 before and after"):
        transfer_ratio(vm_before=0.9, vm_after=0.8, fm_before=0.8, fm_after=0.8)
