"""May the day's vertical model replace the champion, and does it take enough of what the foundation model knows?

Two contenders: the candidate, which takes from the foundation model (`transfer=fm`), and the baseline, the same model
without it (`transfer=none`). Both are judged on the same held-out rows by the same rules, in this order:

1. Nobody is promoted where the day's data quality failed, or fewer than `gates.min_eval_rows` rows are judged.
2. The rows are the day's held-out rows and, while these hold fewer than `gates.min_eval_clicks` clicks, those of the
   days before, newest first; each day's models speak for their kind (quality/evidence.py says why).
3. A contender must have an NE, and a calibration inside `gates.calibration`.
4. Against the champion, on the days whose champion was of the same kind: a contender of the champion's own kind renews
   it with an NE no higher than the champion's + `gates.ne_tolerance`; one of the other kind needs an NE lower by more
   than that. Without a champion, a contender needs an NE below 1, that of the base rate.
5. The candidate must be no worse than the plain model: its NE may not be above the baseline's + `gates.ne_tolerance`.
   To replace a baseline that serves, it must be lower by more than that; without a champion, lower. A difference
   within the tolerance is thus a tie, and a tie goes to the kind that serves: noise does not switch kinds to and fro.
6. Where all days together hold fewer clicks than `gates.min_eval_clicks`, the two kinds cannot be told apart: the kind
   that serves stays (only a contender of that kind may renew it), and where there is no champion only the baseline may
   become it.

The candidate is promoted if no rule speaks against it, else the baseline if none speaks against that, else nobody.
"""

import math
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from config import Gates
from quality.evidence import CONTENDERS, TRANSFER, Contender, Evidence
from quality.intervals import Interval

Rule = tuple[bool, str]  # kept, and what was compared with what


class Metrics(Protocol):
    """What the gate looks at."""

    @property
    def ne(self) -> float:
        """Returns the normalized entropy: 1.0 is as good as always predicting the base rate, lower is better."""

    @property
    def calibration(self) -> float:
        """Returns predicted clicks over actual clicks."""


@dataclass(frozen=True)
class Decision:
    """Who is promoted, and why.

    Attributes:
        winner: the contender that becomes champion; None: nobody.
        reasons: the rows judged, both contenders compared, then what was compared with what for the winner, or what
            spoke against each contender. Never empty.
    """

    winner: Contender | None
    reasons: list[str]


def judge(evidence: Evidence, *, quality: tuple[bool, list[str]], gates: Gates) -> Decision:
    """Decides on a day's two contenders by the rules above.

    Args:
        evidence: the contenders and the champion on the rows judged.
        quality: the day's data quality, as quality.day_quality.quality_passed returns it.
        gates: thresholds.
    """
    shared = _shared(evidence, quality, gates)
    rules = {name: _rules(name, evidence, gates) for name in CONTENDERS}
    broken = {name: [reason for kept, reason in rules[name] if not kept] for name in CONTENDERS}
    refused = [reason for kept, reason in shared if not kept]
    winner = None if refused else next((name for name in CONTENDERS if not broken[name]), None)
    reasons = [_rows_judged(evidence, gates), _compared(evidence)]
    if winner is None:
        reasons += refused + [f"{name}: {reason}" for name in CONTENDERS for reason in broken[name]]
        return Decision(None, reasons)
    if winner == "baseline":
        reasons += [f"candidate: {reason}" for reason in broken["candidate"]]
    reasons += [f"{winner}: {reason}" for _, reason in rules[winner]]
    return Decision(winner, reasons + [reason for _, reason in shared])


def headroom_warnings(
    ratio: float,
    *,
    ne_baseline: float,
    ne_foundation: float,
    ratio_bounds: tuple[float, float],
    lead_bounds: tuple[float, float],
    gates: Gates,
) -> list[str]:
    """Says what is wrong with a vertical's share of the FM's knowledge; this refuses no candidate.

    Args:
        ratio: the headroom ratio; NaN where the FM is no better than the baseline.
        ne_baseline: NE of the baseline.
        ne_foundation: NE of the FM, on the same rows.
        ratio_bounds: bounds of the ratio's 95 % interval; NaN where it has none.
        lead_bounds: the same for the FM's NE minus the baseline's.
        gates: thresholds.

    Returns:
        Warnings, each "what: more of it"; none where the rows define no NE.
    """
    if ne_foundation >= ne_baseline:
        return [
            f"FM no better than the baseline: NE {ne_foundation:.4f} against {ne_baseline:.4f}, so there is nothing to "
            f"take and the headroom ratio is undefined; the difference has {_interval(lead_bounds, 4)}"
        ]
    if not ratio < gates.min_headroom_ratio:  # not for NaN
        return []
    interval = _interval(ratio_bounds, 2)
    return [f"headroom ratio {ratio:.2f}: below gates.min_headroom_ratio {gates.min_headroom_ratio}; it has {interval}"]


def _interval(bounds: tuple[float, float], digits: int) -> str:
    if not math.isfinite(bounds[0]):
        return "no 95 % interval, as the rows are too few"
    return f"the 95 % interval {bounds[0]:.{digits}f} to {bounds[1]:.{digits}f}"


def _shared(evidence: Evidence, quality: tuple[bool, list[str]], gates: Gates) -> list[Rule]:
    """Judges the rules that hold for the day, not for a contender."""
    passed, reasons = quality
    return [
        (passed, f"data quality {'passed' if passed else 'failed'}: {'; '.join(reasons)}"),
        _compare(
            evidence.rows >= gates.min_eval_rows,
            f"{evidence.rows} held-out rows",
            ">=",
            "<",
            f"gates.min_eval_rows {gates.min_eval_rows}",
        ),
    ]


def _rules(name: Contender, evidence: Evidence, gates: Gates) -> list[Rule]:
    """Judges the rules for one contender; where its NE is undefined, no other rule is judged."""
    metrics = evidence.metrics[name]
    if not math.isfinite(metrics.ne):
        return [(False, f"NE is undefined ({_undefined(evidence)}): nothing can be compared")]
    low, high = gates.calibration
    inside = low <= metrics.calibration <= high  # false for nan
    few = evidence.clicks < gates.min_eval_clicks
    rules = [_champion_rule(name, evidence, gates)]
    if few:
        rules.append(_few_clicks_rule(name, evidence))
    elif name == "candidate":
        rules.append(_baseline_rule(evidence, gates))
    where = "inside" if inside else "outside"
    return [*rules, (inside, f"calibration {metrics.calibration:.3f} {where} gates.calibration [{low}, {high}]")]


def _champion_rule(name: Contender, evidence: Evidence, gates: Gates) -> Rule:
    champion = evidence.against_champion.get("champion")
    if champion is None or not math.isfinite(champion.ne):
        ne = evidence.metrics[name].ne
        why = "there is no champion" if champion is None else "the champion's NE is undefined on its days"
        kept, reason = _compare(ne < 1.0, f"NE {ne:.4f}", "<", ">=", "1, the base rate's")
        return kept, f"{reason} ({why})"
    ne = evidence.against_champion[name].ne
    interval = _interval(evidence.intervals[f"ne_{name}_minus_champion"].bounds, 4)
    if TRANSFER[name] == evidence.champion_transfer:
        bound = f"the champion's {champion.ne:.4f} + gates.ne_tolerance {gates.ne_tolerance}"
        kept, reason = _compare(ne <= champion.ne + gates.ne_tolerance, f"NE {ne:.4f}", "<=", ">", bound)
    else:
        bound = f"the champion's {champion.ne:.4f} - gates.ne_tolerance {gates.ne_tolerance}, as of the other kind"
        kept, reason = _compare(ne < champion.ne - gates.ne_tolerance, f"NE {ne:.4f}", "<", ">=", bound)
    if evidence.champion_days != evidence.days:
        reason += f", on {_days(evidence.champion_days)}, whose champion was of the same kind"
    return kept, f"{reason}; the difference has {interval}"


def _baseline_rule(evidence: Evidence, gates: Gates) -> Rule:
    """Compares the candidate with the plain model."""
    candidate, baseline = (evidence.metrics[name].ne for name in CONTENDERS)
    figure, bound = f"NE {candidate:.4f}", f"the baseline's {baseline:.4f}"
    if evidence.champion_transfer == "fm":
        bound += f" + gates.ne_tolerance {gates.ne_tolerance}"
        return _compare(candidate <= baseline + gates.ne_tolerance, figure, "<=", ">", bound)
    if evidence.champion_transfer is None:
        return _compare(candidate < baseline, figure, "<", ">=", bound)
    bound += f" - gates.ne_tolerance {gates.ne_tolerance}, as a baseline serves"
    return _compare(candidate < baseline - gates.ne_tolerance, figure, "<", ">=", bound)


def _few_clicks_rule(name: Contender, evidence: Evidence) -> Rule:
    kind = TRANSFER[name]
    if evidence.champion_transfer is None:
        return (
            kind == "none",
            "too few clicks to tell the kinds apart, and no champion: only the plain model may go live",
        )
    same = kind == evidence.champion_transfer
    stays = f"too few clicks to tell the kinds apart: the champion's, transfer={evidence.champion_transfer}, stays"
    return same, stays


def _rows_judged(evidence: Evidence, gates: Gates) -> str:
    text = f"judged on {evidence.rows} held-out rows with {evidence.clicks} clicks of {_days(evidence.days)}"
    if evidence.clicks < gates.min_eval_clicks:
        text += f": all there are, fewer than gates.min_eval_clicks {gates.min_eval_clicks}"
    return text


def _compared(evidence: Evidence) -> str:
    candidate, baseline = (evidence.metrics[name].ne for name in CONTENDERS)
    if not (math.isfinite(candidate) and math.isfinite(baseline)):
        return f"NE of candidate and baseline is undefined ({_undefined(evidence)})"
    difference: Interval = evidence.intervals["ne_candidate_minus_baseline"]
    return (
        f"NE {candidate:.4f} of the candidate (transfer=fm), {baseline:.4f} of the baseline (transfer=none): "
        f"the difference, {difference.value:+.4f}, has {_interval(difference.bounds, 4)}"
    )


def _undefined(evidence: Evidence) -> str:
    """Says why the rows define no NE."""
    if evidence.clicks == 0:
        return f"no clicks among {evidence.rows} rows" if evidence.rows else "no rows"
    return f"nothing but clicks among {evidence.rows} rows"


def _days(days: list[date]) -> str:
    return f"the day {days[0]}" if len(days) == 1 else f"the days {days[0]} to {days[-1]}"


def _compare(kept: bool, figure: str, if_kept: str, if_broken: str, bound: str) -> Rule:
    return kept, f"{figure} {if_kept if kept else if_broken} {bound}"
