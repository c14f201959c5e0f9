from datetime import date, timedelta

import polars as pl
import pytest

import storage
from config import load_config
from data.sources import kuaivideo
from tests.original_files import KUAIVIDEO_START_MS, write_kuaivideo

FIRST = date(2018, 5, 1)


def _config(path, days=8):
    source = {"path": path, "bootstrap_days": 1, "first_day": FIRST, "last_day": FIRST + timedelta(days=days - 1)}
    return load_config().changed(data_source="kuaivideo", sources={"kuaivideo": source})


def _days(config):
    count = (config.source.last_day - FIRST).days + 1
    return {day: kuaivideo.read(config, day) for day in (FIRST + timedelta(days=n) for n in range(count))}


@pytest.fixture
def contest(tmp_path):
    write_kuaivideo(tmp_path, users=20)
    return tmp_path


def test_every_impression_is_replayed_once_in_its_order(contest):
    config = _config(str(contest))
    days = _days(config)
    rows = pl.concat(days.values())
    log = pl.read_csv(contest / "train_interaction.txt", separator="\t", has_header=False)
    assert rows.height == log.height == 800
    assert rows["label"].sum() == log.to_series(2).sum()
    for day, of_day in days.items():
        assert of_day.height == 100
        assert of_day["event_timestamp"].is_between(*storage.day_window(config, day), "left").all()
    time = rows["impression_id"].str.split("-").list.last().cast(pl.Int64)
    assert (time.diff()[1:] >= 0).all() and rows["event_timestamp"].is_sorted()


def test_a_video_has_its_length_faces_and_words(tmp_path):
    start = KUAIVIDEO_START_MS
    lines = [f"1\t10\t1\t1\t0\t{start}\t9\t11", f"1\t11\t0\t0\t0\t{start + 3_600_000}\t0\t24"]
    lines += [f"2\t12\t0\t0\t0\t{start + 2 * 3_600_000}\t0\t0", lines[0].replace("\t1\t1\t0", "\t0\t0\t0")]
    (tmp_path / "train_interaction.txt").write_text("\n".join(lines) + "\n")
    (tmp_path / "train_face.txt").write_text("10\t[[0.20, 0, 18, 69], [0.23, 1, 20, 88]]\n11\t0\n")
    (tmp_path / "train_text.txt").write_text("10\t2972,38252,4202\n11\t0\n")
    rows = kuaivideo.read(_config(str(tmp_path), days=1), FIRST)
    assert rows["label"].to_list() == [1, 0, 0]  # of a repeat, the click
    assert rows.select(kuaivideo.SCHEMA.item_dense).rows() == [
        (11, 2, 0.23, 3),
        (24, None, None, 0),
        (0, None, None, None),
    ]
    assert rows["cover_word"].to_list() == ["2972", None, None]
    first = start // 3_600_000 % 24
    assert rows["hour_of_day"].to_list() == [(first + n) % 24 for n in range(3)]


def test_nothing_that_follows_the_click_is_read(contest):
    config = _config(str(contest))
    before = kuaivideo.read(config, FIRST)
    lines = [line.split("\t") for line in (contest / "train_interaction.txt").read_text().splitlines()]
    changed = ["\t".join([*line[:3], "1", "1", line[5], "99", line[7]]) for line in lines]
    (contest / "train_interaction.txt").write_text("\n".join(changed) + "\n")
    assert kuaivideo.read(config, FIRST).equals(before)


def test_the_prepared_form_holds_the_same_impressions(contest, tmp_path_factory):
    """train.csv and test.csv have a header, more columns, and are split by chance; the log is both, by time."""
    folder = tmp_path_factory.mktemp("x1")
    names = ["user_id", "item_id", "is_click", "is_like", "is_follow", "timestamp", "playing", "duration"]
    log = pl.read_csv(contest / "train_interaction.txt", separator="\t", has_header=False, new_columns=names)
    prepared = log.select("timestamp", *names[:5], pos_items=pl.lit("1^2^3"), neg_items=pl.lit(""))
    chosen = pl.int_range(pl.len()) % 5 == 0
    prepared.filter(~chosen).write_csv(folder / "train.csv")
    prepared.filter(chosen).write_csv(folder / "test.csv")
    kuaivideo.fetch(_config(str(folder)))
    same = ["impression_id", "event_timestamp", "user_id", "item_id", "label", "hour_of_day"]
    for ours, theirs in zip(_days(_config(str(folder))).values(), _days(_config(str(contest))).values(), strict=True):
        assert ours.select(same).equals(theirs.select(same))
        assert ours["duration_s"].null_count() == ours["num_faces"].null_count() == ours.height


def test_faces_and_words_may_be_missing(contest):
    (contest / "train_face.txt").unlink()
    (contest / "train_text.txt").unlink()
    rows = kuaivideo.read(_config(str(contest)), FIRST)
    assert rows.height and rows["num_faces"].null_count() == rows["cover_word"].null_count() == rows.height


def test_a_file_of_another_form_is_refused(contest):
    (contest / "train_interaction.txt").write_text("1\t2\t1526000000000\t11\n")  # that is the contest's test file
    with pytest.raises(ValueError, match=r"has 4 columns separated by tabs; expected are 8, user_id, photo_id, click"):
        kuaivideo.fetch(_config(str(contest)))
    (contest / "train_interaction.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks train_interaction\.txt: download .*KuaiVideo_x1"):
        kuaivideo.fetch(_config(str(contest)))
