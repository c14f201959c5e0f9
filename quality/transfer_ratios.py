"""How much of what the foundation model knows a vertical model has taken; two ratios with two names.

Both are ratios of differences of NE on the same rows, so the entropy of the rows cancels out.
"""


def headroom_ratio(*, ne_without: float, ne_with: float, ne_foundation: float) -> float:
    """Computes the share of the NE gap between a VM without the FM and the FM that the VM with the FM closes.

    0: no better than without the FM; 1: as good as the FM. It may exceed 1, as a VM that reads the FM's history knows
    things that the FM does not, and it is negative where the VM is worse than without the FM.

    Args:
        ne_without: NE of the VM that takes nothing from the FM, the baseline.
        ne_with: NE of the VM that does.
        ne_foundation: NE of the FM.

    Returns:
        (without − with) / (without − foundation); NaN where the FM is no better than the VM without it: there is
        nothing to close.
    """
    gap = ne_without - ne_foundation
    return (ne_without - ne_with) / gap if gap > 0 else float("nan")


def transfer_ratio(*, vm_before: float, vm_after: float, fm_before: float, fm_after: float) -> float:
    """Computes the share of an FM upgrade's NE gain that shows up in the VM.

    This is TR = ΔNE of VM / ΔNE of FM in LoopFM (arXiv:2605.29280).

    All four are NE on the same rows. The platform tracks it from day to day (`promote_vertical`), where the *upgrade*
    is the FM's move from the snapshot that ended the previous platform day to the one that ends the day:

    - rows: the day's held-out rows of the vertical, learnt by none of the four;
    - FM before: their soft labels, which the previous day's snapshot gave before the FM learnt the day;
    - FM after: the FM as it ends the day;
    - VM before: the champion, if it is the previous day's candidate; VM after: the day's candidate.

    Read it over many days, not on one. A day's upgrade is small, so the denominator is close to 0 and its noise is
    blown up; both models have learnt the day's clicks as well, so the VM's gain is not all transfer; and the candidate
    is taught by the snapshot before the day, so what the FM learns in a day reaches the VM a day later.

    Raises:
        ValueError: the FM's NE has not changed, so the ratio is not defined.
    """
    if fm_before == fm_after:
        raise ValueError(
            f"the FM's NE is {fm_before} before and after: without an upgrade there is no transfer ratio; "
            "compare two different FMs"
        )
    return (vm_before - vm_after) / (fm_before - fm_after)
