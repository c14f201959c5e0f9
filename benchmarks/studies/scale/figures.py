"""From measured runs to lines, and from lines to the target load."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.placement import BATCH_OF_A_GPU, DIM, table_rows
from benchmarks.report import RESULTS
from benchmarks.studies.scale.day import DAYS, RANKS
from benchmarks.studies.scale.lines import Line, exponent, line
from benchmarks.studies.scale.target import Gpus, Target, gpus, in_memory, kept, serving, work
from feature_repo.training_rows import ROWS_AT_ONCE
from jobs.extract_features import MAX_FILES
from search.trials import Row

MILLION = 1e6
BYTES_OF_A_TIMESTAMP = 8
BYTES_OF_A_PARAMETER, BYTES_OF_A_ROW = 4, 4  # a weight, and row-wise Adagrad's sum of a row
CANDIDATES = "100"  # of a request, in serving.json


@dataclass(frozen=True)
class Step:
    """A step of the day, by what it works on."""

    units: Callable[[Target], tuple[float, ...]]  # at the target: rows and, where they cost, rows of earlier days
    one_process: bool = True  # as it is today, whatever the machine has
    holds: str = ""  # step whose memory it is judged by, where it is the whole of a job; empty: not judged


def _impressions(target: Target) -> tuple[float, ...]:
    return (target.impressions,)


STEPS = {
    "ingest": Step(_impressions, holds="ingest"),
    "check_events": Step(_impressions, holds="check_events"),
    "extract_features": Step(lambda t: (t.impressions, t.impressions * (t.history_days - 1)), one_process=False),
    "check_features": Step(_impressions, holds="check_features"),
    "read_batches": Step(_impressions),
    f"read_batches_{RANKS}": Step(_impressions),
    "foundation_scores": Step(_impressions),
    "foundation_learns": Step(_impressions),
    "snapshots": Step(lambda t: (t.impressions * t.history_days,), holds="snapshots"),
    "online_store": Step(lambda t: (t.users + t.ads,)),
    "read_back": Step(_impressions),
    "distill_vertical": Step(_impressions, holds="distill_vertical"),
}
PAID = (  # steps whose core-hours add up to a day; the FM's are a GPU's
    "ingest",
    "check_events",
    "extract_features",
    "check_features",
    "snapshots",
    "online_store",
    "read_back",
    "distill_vertical",
)
# Rows a day, and elements of a full history; 0: there is none, or, in vertical_examples, it is as short as measured, as
# nothing else tells a first day, whose features are null, from the next.
TABLES: dict[str, Callable[[Target], tuple[float, float]]] = {
    "events": lambda t: (t.impressions, 0),
    "examples": lambda t: (t.impressions, t.history_length),
    "user_activity": lambda t: (t.users, t.history_length),
    "item_activity": lambda t: (t.ads, 0),
    "fm_outputs": lambda t: (t.impressions, 0),
    "user_fm_history": lambda t: (t.users, t.served_history_length),
    "item_fm_embedding": lambda t: (t.ads, 0),
    "vertical_examples": lambda t: (t.impressions, 0),
}


def figures(rows: list[Row], plans: list[Row], target: Target) -> dict[str, Any]:
    """Computes lines from the runs, and from them and the plans what the target load takes."""
    lines = {step: _lines(_of_step(rows, step), past=len(of.units(target)) > 1) for step, of in STEPS.items()}
    tables = {
        table: _table_line(
            [one for row in rows for one in row["tables"] if one["table"] == table], histories=of(target)[1] > 0
        )
        for table, of in TABLES.items()
    }
    stores = [row["online_store"] for row in rows]
    store = line([one["bytes"] for one in stores], [one["rows"] for one in stores])
    steps = {step: _at_target(lines[step], of, target) for step, of in STEPS.items()}
    bytes_of = {name: _kept(_table_bytes(tables[name], *of(target)), target) for name, of in TABLES.items()}
    rows_of_tables = target.parameters / DIM
    bytes_of["fm_snapshots"] = _kept(target.parameters * BYTES_OF_A_PARAMETER + rows_of_tables * BYTES_OF_A_ROW, target)
    online_bytes = store.fixed + store.slopes[0] * (target.users + target.ads)
    online = {"tb": _round(online_bytes / 1e12)} | _rounded(asdict(in_memory(online_bytes, target)))
    placed = {
        name: {str(row["gpus"]): _placed(row, target) for row in plans if row["sharding"] == sharding}
        for name, sharding in (("free", None), ("row_wise", "row_wise"))
    }
    served = _served(target)
    return {
        "events_per_day": sorted({row["events_per_day"] for row in rows}),
        "runs": len(rows),
        "measured": {step: _described(rows, step, lines[step]) for step in STEPS},
        "bytes": {table: _described_table(of) for table, of in tables.items()},
        "online_store": {"bytes_per_entity": _round(store.slopes[0]), "off_by": _round(store.worst)},
        "target": asdict(target)
        | {"table_rows": rows_of_tables, "embedding_dim": DIM, "batch_of_a_gpu": BATCH_OF_A_GPU},
        "steps": steps,
        "tables": bytes_of,
        "online": online,
        "planner": placed,
        "serving": served,
        "of_the_code": _of_the_code(target),
        "a_day": _total(steps, bytes_of, online, placed["free"], served),
    }


@dataclass(frozen=True)
class Lines:
    """What a step costs, by rows."""

    seconds: Line
    cpu: Line
    peak: Line


def _of_step(rows: list[Row], step: str) -> list[Row]:
    return [one for row in rows for one in row["steps"] if one["step"] == step]


def _lines(of: list[Row], *, past: bool) -> Lines:
    units = [[one["rows"] for one in of], *([[one["past"] for one in of]] if past else [])]
    seconds, cpu, peak = (line([one[name] for one in of], *units) for name in ("seconds", "cpu_seconds", "peak_bytes"))
    return Lines(seconds, cpu, peak)


def _at_target(lines: Lines, of: Step, target: Target) -> dict[str, Any]:
    """Computes core-hours, machines and money of a step; and, of one process, the days of one core and its memory.

    `at_most` is what it takes if a row of an earlier day costs as much as one of the day.
    """
    units = of.units(target)
    found = _rounded(asdict(work(lines.cpu.at(*units), target)))
    found["known"] = lines.cpu.slopes[0] > 0  # False: what rows add is lost in the noise
    if len(units) > 1:  # what earlier rows add is small here, so badly known, and many times as much at the target
        most = work(lines.cpu.fixed + lines.cpu.slopes[0] * sum(units), target)
        found |= {"core_hours_at_most": _round(most.core_hours), "usd_at_most": _round(most.usd)}
    if of.one_process:
        found["days_of_one_core"] = _round(found["core_hours"] / 24)
    if of.holds:
        found["memory_tb_of_one_process"] = _round(lines.peak.at(*units) / 1e12)
        per_row = lines.peak.slopes[0]
        room = target.memory_tb_a_machine * 1e12 - lines.peak.fixed
        found["rows_that_fit_a_machine"] = _round(room / per_row) if per_row else None
    return found


def _described(rows: list[Row], step: str, lines: Lines) -> dict[str, Any]:
    of = _of_step(rows, step)
    second = sorted((one for one in of if one["day"] == str(DAYS[-1])), key=lambda one: int(one["rows"]))
    found: dict[str, Any] = {
        "rows": [one["rows"] for one in second],
        "seconds": [one["seconds"] for one in second],
        "cpu_seconds": [one["cpu_seconds"] for one in second],
        "fixed_s": _round(lines.seconds.fixed),
        "s_per_million": _round(lines.seconds.slopes[0] * MILLION),
        "cpu_fixed_s": _round(lines.cpu.fixed),
        "cpu_s_per_million": _round(lines.cpu.slopes[0] * MILLION),
        "off_by": _round(lines.cpu.worst),  # the worst point's distance from the line of processor seconds
        "doubling_s": _exponent(second, "seconds"),
        "doubling_cpu": _exponent(second, "cpu_seconds"),
        "peak_gb": _round(max(one["peak_bytes"] for one in of) / 1e9),
        "peak_bytes_per_row": _round(lines.peak.slopes[0]),
    }
    if len(lines.cpu.slopes) > 1:
        found["s_per_million_past"] = _round(lines.seconds.slopes[1] * MILLION)
        found["cpu_s_per_million_past"] = _round(lines.cpu.slopes[1] * MILLION)
    return found


def _exponent(second: list[Row], name: str) -> float | None:
    """Computes p of the mean costs by size; see `exponent`."""
    by_size: dict[int, list[float]] = {}
    for one in second:
        by_size.setdefault(one["rows"], []).append(one[name])
    found = exponent([sum(costs) / len(costs) for _, costs in sorted(by_size.items())])
    return None if found is None else _round(found)


def _table_line(of: list[Row], *, histories: bool) -> Line:
    """Fits bytes = fixed + by row · rows + by element · elements of histories.

    Where these are not looked at, the second day alone is fitted: of the first the FM has scored only a half.
    """
    if histories:
        return line([one["bytes"] for one in of], [one["rows"] for one in of], [one["elements"] for one in of])
    of = [one for one in of if one["day"] == str(DAYS[-1])]
    return line([one["bytes"] for one in of], [one["rows"] for one in of])


def _table_bytes(of: Line, rows: float, elements: float) -> float:
    return of.at(rows, rows * elements) if elements else of.at(rows)


def _described_table(of: Line) -> dict[str, float]:
    by_element = {"per_element": _round(of.slopes[1])} if len(of.slopes) > 1 else {}
    return {"per_row": _round(of.slopes[0])} | by_element | {"off_by": _round(of.worst)}


def _kept(size: float, target: Target) -> dict[str, float]:
    return _rounded(asdict(kept(size, target)))


def _placed(plan: Row, target: Target) -> dict[str, Any]:
    """Adds to the planner's plan what a pass over the day takes with it: embedding work only."""
    found = {name: value for name, value in plan.items() if name not in ("gpus", "table_rows", "sharding")}
    if found["fits"]:
        speed: Gpus = gpus(plan["gpus"], step_ms=plan["step_ms"], batch_of_a_gpu=BATCH_OF_A_GPU, target=target)
        found |= {"millions_a_s": _round(speed.examples_per_s / MILLION), "hours": _round(speed.hours)}
        found["usd"] = _round(speed.usd)
    return found


def _of_the_code(target: Target) -> dict[str, float]:
    """Computes what constants of today's code make of the target; none of it shows at the sizes measured."""
    return {
        "files_of_examples": MAX_FILES,
        "million_rows_a_file": _round(target.impressions / MAX_FILES / MILLION),
        "passes_of_read_back": _round(target.impressions / ROWS_AT_ONCE),
        "tb_of_timestamps": _round(target.impressions * BYTES_OF_A_TIMESTAMP / 1e12),
        "tb_of_the_largest_table": _round(
            table_rows(int(target.parameters / DIM))[0] * DIM * BYTES_OF_A_PARAMETER / 1e12
        ),
    }


def _served(target: Target) -> dict[str, Any]:
    """Computes the servers from what a request of a hundred candidates costs in serving.json, on Redis."""
    measured = json.loads((RESULTS / "serving.json").read_text())["figures"]
    ms = measured["redis"]["ours"][CANDIDATES]["cpu_ms"]
    return {"cpu_ms": ms, "candidates": int(CANDIDATES)} | _rounded(asdict(serving(ms / 1000, target)))


def _total(
    steps: Mapping[str, dict[str, Any]],
    tables: Mapping[str, dict[str, float]],
    online: Mapping[str, Any],
    placed: Mapping[str, dict[str, Any]],
    served: Mapping[str, Any],
) -> dict[str, Any]:
    """Adds up the money of a day; the FM passes over it twice on the fewest GPUs that hold its tables."""
    fitting = {int(count): plan for count, plan in placed.items() if plan["fits"]}
    fewest = min(fitting, default=None)
    usd = {
        "steps": _round(sum(steps[step]["usd"] for step in PAID)),
        "foundation_model": None if fewest is None else _round(2 * fitting[fewest]["usd"]),
        "files": _round(sum(of["usd"] for of in tables.values())),
        "online_store": online["usd"],
        "serving": served["usd"],
    }
    return {
        "gpus": fewest,
        "core_hours": _round(sum(steps[step]["core_hours"] for step in PAID)),
        "tb_written": _round(sum(of["tb_a_day"] for of in tables.values())),
        "usd_of_steps_at_most": _round(sum(steps[step].get("usd_at_most", steps[step]["usd"]) for step in PAID)),
        "usd": usd | {"all": _round(sum(part for part in usd.values() if part is not None))},
    }


def _rounded(found: Mapping[str, float]) -> dict[str, Any]:
    return {name: _round(value) if isinstance(value, float) else value for name, value in found.items()}


def _round(value: float) -> float:
    """Rounds to three digits: what is calculated from small sizes is not known better."""
    short = float(f"{value:.3g}")
    return int(short) if abs(short) >= 100 else short
