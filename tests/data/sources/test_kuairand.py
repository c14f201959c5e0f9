import os
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

import storage
from config import load_config
from data.sources import kuairand

POST_CLICK = {
    "is_like",
    "is_follow",
    "is_comment",
    "is_forward",
    "is_hate",
    "long_view",
    "play_time_ms",
    "profile_stay_time",
    "comment_stay_time",
    "is_profile_enter",
}


def _config(path):
    return load_config().changed(data_source="kuairand", sources={"kuairand": {"path": path}})


@pytest.fixture(scope="module")
def real():
    path = os.environ.get("KUAIRAND_PATH")
    if not path:
        pytest.skip("set KUAIRAND_PATH to the folder of the KuaiRand files")
    return _config(path)


@pytest.fixture
def csv_files(tmp_path):
    """The published file names and forms: two logs, of which the second holds the day, and odd values."""
    log = "user_id,video_id,date,hourmin,time_ms,is_click,is_like,play_time_ms,duration_ms,tab\n"
    # 1651507200000 is 2022-05-03 00:00 at UTC+8.
    (tmp_path / "log_standard_4_08_to_4_21_pure.csv").write_text(log + "1,10,20220420,0,1650400000000,1,1,900,9000,1\n")
    (tmp_path / "log_standard_4_22_to_5_08_pure.csv").write_text(
        log
        + "1,10,20220502,2359,1651507199999,1,1,900,9000,1\n"
        + "1,10,20220503,0,1651507200000,1,1,900,9000,1\n"
        + "1,10,20220503,0,1651507200000,0,0,900,9000,4\n"
        + "2,11,20220503,1300,1651554000000,0,0,0,9000,0\n"
    )
    one_hot = [f"onehot_feat{n}" for n in range(18)]
    users = [*kuairand.USER_CATEGORICAL[:8], *kuairand.USER_DENSE, *one_hot]
    values = ["full_active", "0", "-124", "1", "0", "[1,10)", "0", "730+", "0", "9", "0", "99", *["1.0"] * 18]
    quoted = ",".join(f'"{value}"' if "," in value else value for value in values)
    (tmp_path / "user_features_pure.csv").write_text(f"user_id,{','.join(users)}\n1,{quoted}\n")
    (tmp_path / "video_features_basic_pure.csv").write_text(
        "video_id,author_id,video_type,upload_dt,upload_type,visible_status,video_duration,"
        "server_width,server_height,music_id,music_type,tag\n"
        '10,500,NORMAL,2022-04-10,Web,0.0,9000.0,720,1280,77,9.0,"39,12"\n'
        "11,501,AD,2022-04-10,Web,0.0,,720,1280,78,,\n"
    )
    return _config(str(tmp_path))


def test_the_published_csv_files_are_read(csv_files):
    rows = kuairand.read(csv_files, date(2022, 5, 3))
    assert rows["impression_id"].to_list() == ["1-10-1651507200000", "2-11-1651554000000"]  # the first of a repeat
    assert rows["label"].to_list() == [1, 0]
    assert rows["event_timestamp"].to_list()[0] == datetime(2022, 5, 2, 16, tzinfo=UTC)
    assert rows["hour_of_day"].to_list() == [0, 13]
    assert rows["tag"].to_list() == ["39", None]
    assert rows["log_duration_s"].to_list() == [pytest.approx(2.302585), None]  # ln(1 + 9)
    assert rows["log_fans_user_num"].to_list() == [pytest.approx(2.302585), None]  # user 2 is in no user file


def test_nothing_recorded_after_the_click_is_a_column(csv_files):
    columns = set(kuairand.schema(csv_files.source).events().names) | set(kuairand.LOG_COLUMNS)
    assert not POST_CLICK & columns
    assert not POST_CLICK & set(kuairand.read(csv_files, date(2022, 5, 3)).columns)


def test_missing_files_are_named_with_the_advice(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"path is not set: download KuaiRand-Pure"):
        kuairand.fetch(_config(None))
    with pytest.raises(FileNotFoundError, match=r"lacks log.parquet, users.parquet, videos.parquet"):
        kuairand.fetch(_config(str(tmp_path)))


@pytest.mark.kuairand
def test_every_impression_of_two_weeks_is_read_once(real):
    days = [real.source.bootstrap_day, *(date(2022, 5, n) for n in range(3, 9))]
    frames = {day: kuairand.read(real, day) for day in days}
    everything = pl.concat(frames.values())
    assert everything["impression_id"].is_unique().all()
    for day, rows in frames.items():
        start, end = storage.day_window(real, day)
        assert rows["event_timestamp"].is_between(start, end, "left").all()
    if (Path(real.source.path) / "log.parquet").is_file():
        log = pl.read_parquet(Path(real.source.path) / "log.parquet")
        in_log = log.filter(pl.col("time_ms") >= 1650816000000)  # 25 April, 00:00 at UTC+8; 141 rows lie before
        assert everything.height == in_log.select("user_id", "video_id", "time_ms").n_unique()
        assert everything["label"].mean() == pytest.approx(0.44, abs=0.01)
