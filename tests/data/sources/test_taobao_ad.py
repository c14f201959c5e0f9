from datetime import UTC, date, datetime

import polars as pl
import pytest

from config import load_config
from data.sources import taobao_ad
from tests.original_files import write_taobao_ad

HEADER = "user,time_stamp,adgroup_id,pid,nonclk,clk"
MIDNIGHT = 1_494_086_400  # 2017-05-07 00:00 at UTC+8


def _config(path):
    return load_config().changed(data_source="taobao_ad", sources={"taobao_ad": {"path": path, "bootstrap_days": 1}})


@pytest.fixture
def small(tmp_path):
    rows = [
        f"2,{MIDNIGHT + 3600},11,430539_1007,0,1",
        f"1,{MIDNIGHT},10,430548_1007,1,0",
        f"1,{MIDNIGHT},10,430548_1007,0,1",  # again, now clicked
        f"1,{MIDNIGHT},12,430548_1007,1,0",  # another ad of the same second
        f"1,{MIDNIGHT - 1},10,430548_1007,1,0",
        f"1,{MIDNIGHT + 86_400},10,430548_1007,1,0",
    ]
    (tmp_path / "raw_sample.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    (tmp_path / "ad_feature.csv").write_text(
        "adgroup_id,cate_id,campaign_id,customer,brand,price\n10,5,100,1000,NULL,9.9\n11,6,101,1001,7,19.0\n"
    )
    (tmp_path / "user_profile.csv").write_text(
        "userid,cms_segid,cms_group_id,final_gender_code,age_level,pvalue_level,shopping_level,occupation,"
        "new_user_class_level \n1,0,5,2,5,,3,0,4\n"
    )
    return tmp_path


def test_a_day_is_a_day_at_utc_plus_8(small):
    rows = taobao_ad.read(_config(str(small)), date(2017, 5, 7))
    assert rows["impression_id"].to_list() == [
        f"1-10-{MIDNIGHT}-430548_1007",
        f"1-12-{MIDNIGHT}-430548_1007",
        f"2-11-{MIDNIGHT + 3600}-430539_1007",
    ]
    assert rows["label"].to_list() == [1, 0, 1]
    assert rows["event_timestamp"][0] == datetime(2017, 5, 6, 16, tzinfo=UTC)
    assert rows["hour_of_day"].to_list() == [0, 0, 1]
    assert taobao_ad.read(_config(str(small)), date(2017, 5, 6)).height == 1


def test_what_the_files_do_not_know_is_null(small):
    rows = taobao_ad.read(_config(str(small)), date(2017, 5, 7))
    assert rows.select("cate_id", "brand", "price").rows() == [("5", None, 9.9), (None, None, None), ("6", "7", 19.0)]
    assert rows["new_user_class_level"].to_list() == ["4", "4", None]  # its name ends in a space in the file
    assert rows["pvalue_level"].null_count() == 3


def test_a_day_does_not_depend_on_the_order_of_the_files(tmp_path):
    write_taobao_ad(tmp_path, users=20)
    config = _config(str(tmp_path))
    before = taobao_ad.read(config, date(2017, 5, 8))
    for name in taobao_ad.FILES:
        header, *lines = (tmp_path / name).read_text().splitlines()
        (tmp_path / name).write_text("\n".join([header, *reversed(lines)]) + "\n")
    assert taobao_ad.read(config, date(2017, 5, 8)).equals(before)


def test_every_impression_is_read_on_one_day(tmp_path):
    write_taobao_ad(tmp_path, users=20)
    config = _config(str(tmp_path))
    rows = pl.concat([taobao_ad.read(config, date(2017, 5, day)) for day in range(6, 14)])
    assert rows["impression_id"].is_unique().all()
    sample = pl.read_csv(tmp_path / "raw_sample.csv")
    assert rows.height == sample.select("user", "time_stamp", "adgroup_id", "pid").n_unique()


def test_a_prepared_file_without_times_is_refused(small):
    (small / "raw_sample.csv").write_text("clk,btag_his,userid\n0,1,2\n")
    with pytest.raises(ValueError, match=r"raw_sample\.csv lacks the columns user, time_stamp, .*tianchi\.aliyun\.com"):
        taobao_ad.fetch(_config(str(small)))


def test_a_broken_value_is_named(small):
    with (small / "raw_sample.csv").open("a") as file:
        file.write("1,yesterday,10,430548_1007,1,0\n")
    with pytest.raises(ValueError, match=r"cannot be read: could not parse `yesterday`"):
        taobao_ad.read(_config(str(small)), date(2017, 5, 7))
