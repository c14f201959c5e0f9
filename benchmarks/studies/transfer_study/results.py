"""What the runs show: gains with intervals over seeds, ratios, directions that hold or fail."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.studies.transfer_study.plan import CONTROLS, EQUAL_BYTES, KINDS, SWEEPS, Run
from quality.seed_intervals import half_width, interval
from search.trials import Row, finished

Floats = npt.NDArray[np.float64]
DEFAULTS = Run("", "dnn", "", 0).key


@dataclass(frozen=True)
class Results:
    """The runs there are."""

    rows: list[Row]

    @classmethod
    def read(cls, path: Path) -> "Results":
        """Reads the lines of a file; none where there is no file."""
        return cls(finished(path))

    def of(self, arm: str, **changes: object) -> dict[tuple[str, int], Row]:
        """Returns the runs of an arm by vertical and seed, all else as the platform ships it but for `changes`."""
        wanted = DEFAULTS | {"arm": arm} | changes
        fixed = [name for name in wanted if name not in ("vertical", "seed")]
        return {
            (row["vertical"], row["seed"]): row for row in self.rows if all(row[name] == wanted[name] for name in fixed)
        }

    def verticals(self) -> list[str]:
        """Returns the verticals that have runs, in their order."""
        return list(dict.fromkeys(row["vertical"] for row in self.rows))


def gains(
    one: dict[tuple[str, int], Row], other: dict[tuple[str, int], Row], figure: str = "ne", *, weigh: bool = False
) -> Floats:
    """Computes `one` minus `other`, each seed's mean over verticals, (seeds,); skips seeds that lack a vertical.

    A vertical without the figure, as LogLoss of cold users where every user is warm, is left out in all seeds.

    Args:
        one: runs by vertical and seed.
        other: runs by vertical and seed.
        figure: what is compared.
        weigh: verticals by their impressions, as if all were one log; else each vertical counts the same.
    """
    lacking = {vertical for runs in (one, other) for (vertical, _), row in runs.items() if row[figure] is None}
    verticals = {vertical for vertical, _ in [*one, *other]} - lacking
    if not verticals:
        return np.zeros(0)
    seeds = sorted({seed for _, seed in one} & {seed for _, seed in other})
    whole = [s for s in seeds if all((v, s) in one and (v, s) in other for v in verticals)]
    return np.array(
        [
            np.average(
                [one[v, s][figure] - other[v, s][figure] for v in verticals],
                weights=[_weight(one[v, s]) if weigh else 1.0 for v in verticals],
            )
            for s in whole
        ]
    )


def _weight(row: Row) -> float:
    """Computes the entropy of the vertical's labels times its rows: NE so weighted is that of the whole log."""
    return float(row["rows"] * row["log_loss"] / row["ne"])


def ratio(numerator: Floats, denominator: Floats) -> dict[str, float] | None:
    """Divides the means of paired values, with a jackknife interval over seeds; None where it is not defined."""
    n = min(len(numerator), len(denominator))
    a, b = numerator[:n], denominator[:n]
    if not n or b.mean() <= 0:
        return None
    result = {"mean": float(a.mean() / b.mean()), "seeds": n}
    if n > 2:
        left_out = np.array([np.delete(a, k).mean() / np.delete(b, k).mean() for k in range(n)])
        error = float(np.sqrt((n - 1) / n * ((left_out - left_out.mean()) ** 2).sum()))
        half = half_width(error, n - 1)
        result |= {"low": result["mean"] - half, "high": result["mean"] + half}
    return {name: round(value, 3) for name, value in result.items()}


def figures(results: Results) -> dict[str, Any]:
    """Computes everything the study reports; a figure whose runs are missing is left out.

    What `lean` holds is of VMs without window counts, all else of VMs with the features that the platform ships.
    """
    lean = Results([row | {"features": "shipped"} for row in results.rows if row["features"] == "lean"])
    found = _figures(Results([row for row in results.rows if row["features"] == "shipped"]))
    return found | ({"lean": _figures(lean)} if lean.rows else {})


def _figures(results: Results) -> dict[str, Any]:
    from benchmarks.studies.transfer_study.arms import ARMS  # loads torch, which reading results does not need

    gain, pooled = _gain(results), _gain(results, weigh=True)
    best_kd, tuned_loop, tuned_raw = _tuned_gains(results)
    found: dict[str, Any] = {
        "by_vertical": _by_vertical(results, list(ARMS)),
        "gain_over_none": {
            kind: {arm: interval(gain(arm, kind=kind)) for arm in ARMS if len(gain(arm, kind=kind))} for kind in KINDS
        },
        "gain_over_none_by_impressions": {arm: interval(pooled(arm)) for arm in ARMS},
        "headroom_ratio": {arm: ratio(gain(arm), _headroom(results)) for arm in ARMS},
        "loopfm_ah_over_ah": ratio(gain("loopfm_ah"), gain("ah")),
        "loopfm_ah_over_kd": ratio(gain("loopfm_ah"), gain("kd")),
        "loopfm_ah_over_raw_ah": ratio(gain("loopfm_ah"), gain("raw_ah")),
        "loopfm_ah_over_raw_ah_equal_bytes": ratio(gain("loopfm_ah", **EQUAL_BYTES), gain("raw_ah")),
        "loopfm_ah_over_ah_by_impressions": ratio(pooled("loopfm_ah"), pooled("ah")),
        "loopfm_ah_over_raw_ah_by_impressions": ratio(pooled("loopfm_ah"), pooled("raw_ah")),
        "loopfm_ah_over_raw_ah_equal_bytes_by_impressions": ratio(pooled("loopfm_ah", **EQUAL_BYTES), pooled("raw_ah")),
        "tuned": {
            "kd": interval(best_kd),
            "loopfm_kd": interval(tuned_loop),
            "raw_kd": interval(tuned_raw),
            "loopfm_over_kd": ratio(tuned_loop, best_kd),
            "loopfm_over_raw": ratio(tuned_loop, tuned_raw),
        },
        "parts": _parts(gain),
        "ne_by_day": _by_day(results),
        "controls": {control: interval(gain("loopfm_ah", control=control)) for control in CONTROLS},
        "controls_share_of_gain": {
            control: ratio(gain("loopfm_ah", control=control), gain("loopfm_ah")) for control in CONTROLS
        },
        "fm_size": _sizes(results, gain),
        "stale": {
            str(stale): {
                arm: interval(gain(arm, stale=stale, codes="frozen" if stale == "frozen" else "daily"))
                for arm in ("kd", "ah", "ah_sa", "loopfm", "loopfm_ah")
            }
            for stale in (0, 1, 3, "frozen")
        },
        "sweeps": {
            name: {str(next(iter(c.values()))): interval(gain(arm, **c)) for c in changes}
            for name, (arm, changes) in SWEEPS.items()
        },
        "cold_users": _cold(results),
    }
    found["directions"] = _directions(gain, best_kd, tuned_loop, tuned_raw)
    return _without_missing(found)


def summary(figures: dict[str, Any]) -> dict[str, Any]:
    """Picks the main figures of a data set's study; those whose runs are missing are left out."""
    gained, tuned = figures["gain_over_none"]["dnn"], figures.get("tuned", {})
    chosen = {
        "kd": tuned.get("kd"),
        "ah": gained.get("ah"),
        "ah_sa": gained.get("ah_sa"),
        "loopfm": gained.get("loopfm"),
        "loopfm_kd": gained.get("loopfm_ah"),
        "raw_history": gained.get("raw"),
        "raw_history_kd": gained.get("raw_ah"),
        "shuffled": figures.get("controls", {}).get("shuffled_codes"),
        "ratio_loopfm_kd_over_kd": tuned.get("loopfm_over_kd"),
        "ratio_loopfm_kd_over_raw_kd": figures.get("loopfm_ah_over_raw_ah"),
        "ratio_loopfm_kd_over_raw_kd_equal_bytes": figures.get("loopfm_ah_over_raw_ah_equal_bytes"),
        "ratio_loopfm_kd_over_raw_kd_by_impressions": figures.get("loopfm_ah_over_raw_ah_by_impressions"),
        "headroom_ratio": figures["headroom_ratio"].get("loopfm_ah"),
        "transfer_ratio": figures.get("fm_size", {}).get("transfer_ratio_small_to_large", {}).get("loopfm_ah"),
        "lean": summary(figures["lean"]) if "lean" in figures else None,
    }
    return _without_missing(chosen)


def _gain(results: Results, *, weigh: bool = False) -> Callable[..., Floats]:
    def gain(arm: str, **changes: object) -> Floats:
        kind = changes.get("kind", "dnn")
        return gains(results.of("none", kind=kind), results.of(arm, **changes), weigh=weigh)

    return gain


def _headroom(results: Results) -> Floats:
    none = results.of("none")
    return gains(none, {key: {"ne": row["fm_ne"]} for key, row in none.items()})


def _by_vertical(results: Results, arms: list[str]) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for vertical in results.verticals():
        of_arms = {arm: [r for (v, _), r in results.of(arm).items() if v == vertical] for arm in arms}
        figures[vertical] = {
            arm: {
                name: interval(row[name] for row in rows if row[name] is not None)
                for name in ("ne", "auc", "gauc", "calibration")
            }
            for arm, rows in of_arms.items()
            if rows
        }
        none = of_arms["none"]
        if none:
            for name in ("fm", "fm_frozen", "truth"):
                if f"{name}_ne" in none[0]:
                    figures[vertical][name] = {"ne": interval(row[f"{name}_ne"] for row in none)}
            figures[vertical]["rows"] = none[0]["rows"]
    return figures


def _tuned_gains(results: Results) -> tuple[Floats, Floats, Floats]:
    """Computes gains with each vertical's tuned distillation: of KD, LoopFM + KD, raw history + KD; see `__main__`."""
    searched = [row for row in results.rows if row["validation"]]
    best: dict[str, Any] = {}
    for row in sorted(searched, key=lambda r: -r["ne"]):
        best[row["vertical"]] = row["distilling"]
    tuned = []
    for arm in ("ah", "loopfm_ah", "raw_ah"):
        rows = {
            (row["vertical"], row["seed"]): row
            for row in results.rows
            if row["vertical"] in best
            and all(
                row[k] == v
                for k, v in (DEFAULTS | {"arm": arm, "distilling": best[row["vertical"]]}).items()
                if k not in ("vertical", "seed")
            )
        }
        tuned.append(gains(results.of("none"), rows) if rows else np.zeros(0))
    return tuned[0], tuned[1], tuned[2]


def _parts(gain: Callable[..., Floats]) -> dict[str, Any]:
    """Computes LoopFM's gain = temporal + cross-feature - residual (theorem 1), differences of measured NE.

    A slot of LoopFM holds item, label, age and code, one of the raw history the item's features in place of the code.
    """
    raw, loopfm, both = gain("raw"), gain("loopfm"), gain("both")
    return {
        "loopfm": interval(loopfm),
        "temporal": interval(raw),
        "cross_feature": interval(_minus(both, raw)),
        "residual": interval(_minus(both, loopfm)),
    }


def _by_day(results: Results) -> dict[str, dict[str, float]]:
    """Computes the NE of each judged day by model, mean over verticals and seeds."""
    by_model: dict[str, dict[str, list[float]]] = {}
    for arm in ("none", "ah", "raw_ah", "loopfm_ah"):
        for row in results.of(arm).values():
            by_name = {arm: row["ne_by_day"]}
            if arm == "none":
                by_name |= {name: row.get(f"{name}_ne_by_day", {}) for name in ("fm", "fm_frozen", "truth")}
            for name, by_day in by_name.items():
                for day, ne in by_day.items():
                    if ne is not None:
                        by_model.setdefault(name, {}).setdefault(day, []).append(ne)
    return {name: {day: round(float(np.mean(ne)), 5) for day, ne in days.items()} for name, days in by_model.items()}


def _sizes(results: Results, gain: Callable[..., Floats]) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    ah = {size: results.of("ah", size=size) for size in ("small", "medium", "large")}
    fm = {size: {key: {"ne": row["fm_ne"]} for key, row in rows.items()} for size, rows in ah.items()}
    for size, rows in fm.items():
        figures[size] = {"fm_gain": interval(gains(results.of("none"), rows))} | {
            arm: interval(gain(arm, size=size)) for arm in ("ah", "loopfm", "loopfm_ah")
        }
    for before, after in (("small", "medium"), ("medium", "large"), ("small", "large")):
        upgrade = gains(fm[before], fm[after])
        figures[f"transfer_ratio_{before}_to_{after}"] = {
            arm: ratio(gains(results.of(arm, size=before), results.of(arm, size=after)), upgrade)
            for arm in ("ah", "loopfm", "loopfm_ah")
        }
    return figures


def _cold(results: Results) -> dict[str, Any]:
    """Computes LogLoss on impressions of users without history, of the baseline less that of LoopFM + KD."""
    none, loop = results.of("none"), results.of("loopfm_ah")
    return {
        "gain_log_loss": interval(gains(none, loop, "cold_log_loss")),
        "warm_gain_log_loss": interval(gains(none, loop, "warm_log_loss")),
        "share_of_rows": round(
            sum(r["cold_rows"] for r in none.values()) / max(1, sum(r["rows"] for r in none.values())), 3
        ),
    }


def _directions(gain: Callable[..., Floats], best_kd: Floats, tuned_loop: Floats, tuned_raw: Floats) -> dict[str, str]:
    """Says of each published or wished direction whether it holds, fails, or the intervals do not tell."""

    def above(one: Floats, other: Floats, factor: float = 1.0) -> str:
        difference = interval(_minus(one, factor * other))
        if difference is None or "low" not in difference:
            return ""
        return "holds" if difference["low"] > 0 else "fails" if difference["high"] < 0 else "not separated"

    nothing = np.zeros_like(gain("none"))
    frozen = {"stale": "frozen", "codes": "frozen"}
    sa, sa_frozen = _minus(gain("ah_sa"), gain("ah")), _minus(gain("ah_sa", **frozen), gain("ah", **frozen))
    history = _minus(gain("loopfm_ah"), gain("ah"))
    other_user, current = (_minus(gain("loopfm_ah", control=c), gain("ah")) for c in ("other_user", "current_code"))
    return {
        "none < KD": above(gain("ah"), nothing),
        "KD < LoopFM": above(gain("loopfm"), gain("ah")),
        "LoopFM < LoopFM + KD": above(gain("loopfm_ah"), gain("loopfm")),
        "auxiliary head > serving head": above(gain("ah"), gain("kd")),
        "LoopFM + KD >= 2 x best tuned KD": above(tuned_loop, best_kd, 2.0),
        "LoopFM + KD >= 1.5 x raw history + KD": above(gain("loopfm_ah"), gain("raw_ah"), 1.5),
        "LoopFM + KD >= 1.5 x raw history + KD, both tuned": above(tuned_loop, tuned_raw, 1.5),
        "adapter helps more with a frozen FM": above(sa_frozen, sa),
        "another user's history removes 90 % of the gain of the history": above(0.1 * history, other_user),
        "the current code adds less than a third of the history": above(history, current, 3.0),
    }


def _minus(one: Floats, other: Floats) -> Floats:
    """Computes the difference seed by seed, of the seeds that both have."""
    n = min(len(one), len(other))
    return one[:n] - other[:n]


def _without_missing(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {key: _without_missing(entry) for key, entry in value.items()}
        return {key: entry for key, entry in kept.items() if entry not in (None, {}, "")}
    return value
