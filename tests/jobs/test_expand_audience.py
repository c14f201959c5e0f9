"""An audience is expanded: through the job, from the platform's own table, and shown outcome after outcome."""

import csv
from datetime import date, timedelta
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import storage
from config import PlatformConfig
from data.codes import encode
from data.fm_history import USER_FM_HISTORY
from jobs import expand_audience

GROUPS, OF_EACH = 8, 60  # users near each other; those of the first two convert
CONVERT = 2


def rows(config: PlatformConfig, at: Any, codes: dict[str, np.ndarray]) -> pa.Table:
    """A snapshot: each user with three impressions that differ a little."""
    rng = np.random.default_rng(0)
    bits = config.transfer.code_bits
    packed = [
        encode(np.clip(code + rng.normal(0, 0.02, (3, len(code))), -1, 1), bits).tobytes() for code in codes.values()
    ]
    n = len(codes)
    columns = [list(codes), [at] * n, [at] * n, packed, [["i"] * 3] * n, [[0] * 3] * n, [[1.0] * 3] * n]
    return pa.table([pa.array(c, t) for c, t in zip(columns, USER_FM_HISTORY.types, strict=True)], USER_FM_HISTORY)


@pytest.fixture
def config(tiny_config: PlatformConfig) -> PlatformConfig:
    day = tiny_config.source.bootstrap_day
    rng = np.random.default_rng(1)
    centers = rng.uniform(-0.7, 0.7, (GROUPS, tiny_config.served_code_dim))
    codes = {
        f"u{g}_{n}": centers[g] + rng.normal(0, 0.05, centers.shape[1]) for g in range(GROUPS) for n in range(OF_EACH)
    }
    ends = storage.snapshot_ends(tiny_config, day)
    # At the end of the first date everyone was elsewhere: an older snapshot must not count.
    elsewhere = {user: rng.uniform(-0.7, 0.7, centers.shape[1]) for user in codes}
    table = pa.concat_tables([rows(tiny_config, ends[0], elsewhere), rows(tiny_config, ends[-1], codes)])
    storage.write_partition(tiny_config, "user_fm_history", day, table)
    return tiny_config


def seeds(folder: Path, known: dict[str, int]) -> str:
    path = folder / "My seeds.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("user_id", "label"), *known.items()])
    return str(path)


def read(result: dict[str, Any]) -> list[dict[str, str]]:
    with Path(result["table"]).open(newline="") as file:
        return list(csv.DictReader(file))


def converts(user: str) -> int:
    return int(user.split("_")[0] in {f"u{g}" for g in range(CONVERT)})


def test_shown_outcome_after_outcome_it_finds_the_converters(config: PlatformConfig, tmp_path: Path) -> None:
    known, budget = {"u0_0": 1, "u7_0": 0}, 120
    while budget:
        result = expand_audience.main(
            config, vertical="feed", seeds=seeds(tmp_path, known), budget=budget, at_once=min(20, budget)
        )
        chosen = [row["user_id"] for row in read(result)]
        assert len(chosen) == result["users"] == len(set(chosen)) and not set(chosen) & set(known)
        known |= {user: converts(user) for user in chosen}
        budget -= len(chosen)
    found = sum(known[user] for user in known) - 1
    assert found > 60  # of 119; by chance it would be 30


def test_table_and_page_say_who_and_why(config: PlatformConfig, tmp_path: Path) -> None:
    path = seeds(tmp_path, {"u0_0": 1, "u0_1": 1, "u3_0": 0, "stranger": 1})
    result = expand_audience.main(config, vertical="feed", seeds=path, budget=10)
    table = read(result)
    assert result["users"] == len(table) == 10 and {row["user_id"].split("_")[0] for row in table} == {"u0"}
    assert result["expected"] == pytest.approx(sum(float(row["score"]) for row in table), abs=0.01)
    first = table[0]
    assert first["converters_near"] == "2" == first["known_near"] and float(first["score"]) == pytest.approx(
        2.05 / 3.05, abs=1e-4
    )
    assert "2 of 2 known users near them converted (u0_" in first["reason"]
    assert Path(result["table"]).parent == storage.docs_dir(config) / "audiences" / "feed" / "my-seeds"
    page = unescape(Path(result["page"]).read_text())
    assert (
        first["reason"] in page
        and "3 converted, 1 did not" in page
        and f"{GROUPS * OF_EACH} " not in page.split("known")[0]
    )
    assert 'href="audiences/feed/my-seeds/index.html"' in (storage.docs_dir(config) / "index.html").read_text()
    assert read(expand_audience.main(config, vertical="feed", seeds=path, budget=10)) == table


def test_where_fewer_users_are_left_all_of_them_are_chosen(config: PlatformConfig, tmp_path: Path) -> None:
    result = expand_audience.main(
        config, vertical="feed", seeds=seeds(tmp_path, {"u0_0": 1}), budget=10_000, name="all"
    )
    assert result["users"] == GROUPS * OF_EACH - 1


@pytest.mark.parametrize(
    ("asked", "known", "told"),
    [
        ({"vertical": "nope"}, {"u0_0": 1}, "Unknown vertical 'nope'"),
        ({"budget": 0}, {"u0_0": 1}, "budget is 0"),
        ({"at_once": 11}, {"u0_0": 1}, "at_once 11"),
        ({"name": "!"}, {"u0_0": 1}, "cannot be named '!'"),
        ({}, {"u0_0": 0}, "names no user who converted"),
        ({}, {"stranger": 1}, "none of the 1 users who converted is among the 480 with a vector"),
        ({}, {"u0_0": 2}, "line 2: user_id is 'u0_0' and label '2'"),
    ],
)
def test_what_cannot_be_is_said(config: PlatformConfig, tmp_path: Path, asked: Any, known: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        expand_audience.main(config, **{"vertical": "feed", "seeds": seeds(tmp_path, known), "budget": 10} | asked)
    assert not (storage.docs_dir(config) / "audiences").exists()


def test_a_file_that_is_none_is_said(config: PlatformConfig, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        expand_audience.main(config, vertical="feed", seeds=str(tmp_path / "nowhere.csv"), budget=1)
    for text, told in (
        ("user,label\nu0_0,1\n", "no column user_id"),
        ("user_id,label\nu0_0,1\nu0_0,0\n", "line 3: u0_0 has both"),
        ("user_id,label\nu0_0,1\nu1_0,\n", "line 3: user_id is 'u1_0' and label ''; label is 0 or 1, and a user whose"),
        ("user_id,label\nu0_0,1\nu1_0\n", "line 3: user_id is 'u1_0' and label ''"),
    ):
        (tmp_path / "wrong.csv").write_text(text)
        with pytest.raises(ValueError, match=told):
            expand_audience.main(config, vertical="feed", seeds=str(tmp_path / "wrong.csv"), budget=1)


def test_a_day_that_is_not_done_is_said(config: PlatformConfig, tmp_path: Path) -> None:
    path = seeds(tmp_path, {"u0_0": 1})
    with pytest.raises(storage.PartitionMissing):
        later = config.source.bootstrap_day + timedelta(days=1)
        expand_audience.main(config, vertical="feed", seeds=path, budget=1, day=str(later))
    storage.drop_partition(config, "user_fm_history", date.fromisoformat(str(config.source.bootstrap_day)))
    with pytest.raises(ValueError, match="no day is done yet"):
        expand_audience.main(config, vertical="feed", seeds=path, budget=1)
