"""What a day costs at 10⁹ users: the lines, and the arithmetic that follows of them, against hand computation."""

import os
import sys

import pytest

from benchmarks.placement import plan
from benchmarks.studies.scale.day import DAYS
from benchmarks.studies.scale.figures import PAID, STEPS, TABLES, figures
from benchmarks.studies.scale.lines import exponent, line
from benchmarks.studies.scale.target import Target, gpus, in_memory, kept, serving, work
from benchmarks.studies.scale.watched import watch
from storage.tables import VIEWS

TARGET = Target(
    impressions=864_000,
    impressions_a_request=10,
    peak_over_mean=2,
    hours_a_step=2,
    cores_a_machine=4,
    memory_tb_a_machine=0.5,
    kept_days=30,
    core_hour_usd=0.1,
    gpu_hour_usd=2,
    tb_month_usd=20,
)


def test_a_line_is_found_again():
    found = line([5 + 2 * n for n in (10, 20, 40)], [10, 20, 40])
    assert (found.fixed, found.slopes[0]) == pytest.approx((5, 2)) and found.worst == pytest.approx(0, abs=1e-9)
    assert found.at(100) == pytest.approx(205)


def test_rows_of_the_day_and_of_days_before_have_slopes_of_their_own():
    days, past = [10, 10, 20, 20, 40, 40], [0, 10, 0, 20, 0, 40]
    found = line([3 + 2 * d + 0.5 * p for d, p in zip(days, past, strict=True)], days, past)
    assert (found.fixed, *found.slopes) == pytest.approx((3, 2, 0.5))
    assert found.at(100, 1000) == pytest.approx(703)


def test_no_part_of_a_cost_is_negative():
    found = line([1.0, 3.0, 7.0], [10, 20, 40])  # exactly 0.2 · rows − 1
    # Without the fixed part: slope = Σxy / Σx² = (10 + 60 + 280) / (100 + 400 + 1600)
    assert found.fixed == 0 and found.slopes[0] == pytest.approx(350 / 2100)
    assert found.worst == pytest.approx(350 / 2100 * 10 - 1)  # of the first, 1.667 for 1


def test_a_line_doubles_and_a_square_quadruples():
    assert exponent([7 + n for n in (1, 2, 4)]) == pytest.approx(1)
    assert exponent([7 + n**2 for n in (1, 2, 4, 8)]) == pytest.approx(2)
    assert exponent([1, 2]) is None and exponent([3, 2, 4]) is None


def test_core_hours_become_machines_and_money():
    found = work(3600 * 17, TARGET)  # 17 core-hours; a machine gives 8 in its 2 hours
    assert (found.core_hours, found.machines, found.usd) == pytest.approx((17, 3, 1.7))


def test_tables_are_paid_for_as_long_as_they_are_kept():
    found = kept(2e12, TARGET)  # 2 TB a day, 60 TB at 20 a month, of which a day is a thirtieth
    assert (found.tb_a_day, found.usd) == pytest.approx((2, 40))


def test_memory_is_paid_for_all_day():
    found = in_memory(1.2e12, TARGET)  # 3 machines of 0.5 TB, 0.4 an hour each
    assert (found.machines, found.core_hours, found.usd) == pytest.approx((3, 288, 28.8))


def test_servers_answer_the_busiest_hour():
    # 86 400 requests a day are 1 a second, 2 when it is busiest; 3 s each take 6 cores, two machines of 4
    found = serving(3.0, TARGET)
    assert (found.machines, found.usd) == pytest.approx((2, 19.2))


def test_gpus_pass_over_the_day():
    # 4 GPUs of 6 examples in 100 ms: 240 a second, so 3600 s for 864 000 examples
    found = gpus(4, step_ms=100, batch_of_a_gpu=6, target=TARGET)
    assert (found.examples_per_s, found.hours, found.usd) == pytest.approx((240, 1, 8))


def test_a_command_is_watched():
    script = "import sys, time; t = time.process_time()\nwhile time.process_time() - t < 1: pass\n"
    script += "print('half', file=sys.stderr, flush=True)\nwhile time.process_time() - t < 2: pass\nprint('done')"
    seen = watch([sys.executable, "-c", script], env=dict(os.environ))
    ((at, line),) = seen.lines
    assert (line, seen.output) == ("half\n", "done\n")
    assert seen.cpu_seconds() == pytest.approx(2, abs=0.5)
    assert seen.cpu_seconds(0, at) == pytest.approx(1, abs=0.5) and 0 < at < seen.seconds
    assert seen.peak_bytes > 1e6


def test_the_processes_that_a_command_starts_are_counted_too():
    burn = "import time\nwhile time.process_time() < 1: pass"
    script = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}])"
    assert watch([sys.executable, "-c", script], env=dict(os.environ)).cpu_seconds() > 0.5


def test_a_command_that_fails_says_why():
    with pytest.raises(RuntimeError, match=r"ended with 1: .*no such luck"):
        watch([sys.executable, "-c", "raise SystemExit('no such luck')"], env=dict(os.environ))


def run_of(rows):
    """A run whose costs are lines: 2 s and 10 s a million rows, 1 s a million past ones, 100 MB and 50 bytes a row."""
    steps = [
        {
            "step": step,
            "day": str(day),
            "rows": rows,
            "past": rows * number,
            "seconds": 3 + rows * 1e-5,
            "cpu_seconds": 2 + rows * 1e-5 + (rows * number * 1e-6 if step == "extract_features" else 0),
            "peak_bytes": 1e8 + 50 * rows,
        }
        for number, day in enumerate(DAYS)
        for step in STEPS
    ]
    tables = [
        {"table": name, "day": str(day), "rows": rows, "elements": elements, "bytes": 1000 + 20 * rows + 8 * elements}
        for name, of in TABLES.items()
        for number, day in enumerate(DAYS)
        for elements in [rows * (number + 1) * 3 if of(Target())[1] else 0]
    ]
    store = {"rows": rows // 4, "bytes": 500 * rows}
    return {"events_per_day": rows, "repeat": 0, "steps": steps, "tables": tables, "online_store": store}


def test_the_target_follows_from_the_lines():
    plans = [
        {"gpus": 64, "sharding": None, "fits": False, "reason": "no room"},
        {"gpus": 128, "sharding": None, "fits": True, "step_ms": 4.096},
        {"gpus": 64, "sharding": "row_wise", "fits": True, "step_ms": 40.96},
    ]
    found = figures([run_of(rows) for rows in (10_000, 20_000, 40_000)], plans, Target())
    # 10¹¹ rows are 10⁶ processor seconds, the 29 days before them 2.9 · 10⁶
    ingest, extract = found["steps"]["ingest"], found["steps"]["extract_features"]
    assert ingest["core_hours"] == pytest.approx(1e6 / 3600, rel=0.005) and ingest["machines"] == 3
    assert extract["core_hours"] == pytest.approx(3.9e6 / 3600, rel=0.005) and "days_of_one_core" not in extract
    assert extract["core_hours_at_most"] == pytest.approx(30e6 / 3600, rel=0.005)  # 30 days at 10 s a million
    assert ingest["days_of_one_core"] == pytest.approx(1e6 / 86400, rel=0.005)
    assert ingest["memory_tb_of_one_process"] == 5.0  # 10¹¹ · 50 bytes
    assert ingest["rows_that_fit_a_machine"] == pytest.approx((0.512e12 - 1e8) / 50, rel=0.005)
    assert found["measured"]["ingest"]["doubling_cpu"] == 1
    assert found["tables"]["events"]["tb_a_day"] == 2.0 and found["tables"]["events"]["usd"] == 40
    assert found["tables"]["examples"]["tb_a_day"] == 42.0  # 20 + 50 · 8 bytes of 10¹¹ rows
    assert found["tables"]["fm_snapshots"]["tb_a_day"] == pytest.approx(4.06, rel=0.005)  # and 1/64 for the optimizer
    assert found["online"]["tb"] == 2.2 and found["online"]["machines"] == 5  # 2000 bytes of 1.1 · 10⁹ entities
    # 128 · 4096 examples in 4.096 ms are 128 million a second: 10¹¹ take 781 s
    plan = found["planner"]["free"]["128"]
    assert (plan["millions_a_s"], plan["hours"]) == (128, 0.217)
    assert plan["usd"] == pytest.approx(0.217 * 128 * 2.5, rel=0.01)
    assert found["planner"]["row_wise"]["64"]["millions_a_s"] == 6.4
    assert found["a_day"]["gpus"] == 128 and found["a_day"]["usd"]["foundation_model"] == pytest.approx(139, rel=0.01)


def test_what_is_paid_for_is_a_step():
    assert set(PAID) <= set(STEPS) and {"fm_outputs", *VIEWS} <= set(TABLES)


def test_the_planner_places_more_rows_than_fit_nowhere():
    assert plan(8, total_rows=10**7)["fits"]
    refused = plan(8, total_rows=10**11)
    assert not refused["fits"] and refused["reason"]
