"""Small made-up files in the form of the public data sets' originals; what is clicked depends on user and item.

    python tests/original_files.py taobao_ad /tmp/taobao --users 300

writes files large enough for `python -m benchmarks.studies.transfer_study --data-set taobao_ad --path FOLDER --quick`.
"""

import argparse
import json
from pathlib import Path

import numpy as np

DAY_S = 86_400
TAOBAO_START = 1_494_000_000  # 2017-05-06 00:00 at UTC+8
TAOBAO_PIDS = ("430548_1007", "430539_1007")
KUAIVIDEO_START_MS, KUAIVIDEO_SPAN_MS = 761_000_000_000, 36 * 3_600_000
AMAZON_CATEGORIES = ("Computers & Accessories", "Accessories & Supplies", "Camera & Photo", "Television & Video")
TASTES = 4


def write_taobao_ad(folder: Path, *, users: int = 60, seed: int = 0) -> None:
    """Writes raw_sample.csv, unordered, with a repeat; ad_feature.csv; user_profile.csv, which lacks a user."""
    rng = np.random.default_rng(seed)
    ads, rows = users // 2, users * 40
    user, ad = rng.integers(1, users + 1, rows), rng.integers(1, ads + 1, rows)
    time = TAOBAO_START + rng.integers(0, 8 * DAY_S, rows)
    pid = rng.integers(0, 2, rows)
    clicked = rng.random(rows) < np.where(user % TASTES == ad % TASTES, 0.5, 0.08)
    sample = [
        f"{u},{t},{a},{TAOBAO_PIDS[p]},{1 - c},{c}"
        for u, t, a, p, c in zip(user, time, ad, pid, clicked * 1, strict=True)
    ]
    _lines(folder / "raw_sample.csv", ["user,time_stamp,adgroup_id,pid,nonclk,clk", *sample, sample[0]])
    features = [f"{a},{a % TASTES},{a},{a % 20},{'NULL' if a % 5 == 0 else a % 7},{9.9 + a}" for a in range(1, ads + 1)]
    _lines(folder / "ad_feature.csv", ["adgroup_id,cate_id,campaign_id,customer,brand,price", *features])
    header = "userid,cms_segid,cms_group_id,final_gender_code,age_level,pvalue_level,shopping_level,occupation,"
    profiles = [
        f"{u},{u % 97},{u % TASTES},{1 + u % 2},{u % 6},{u % 3 or ''},3,0,{u % 4 or ''}" for u in range(1, users)
    ]
    _lines(folder / "user_profile.csv", [header + "new_user_class_level ", *profiles])


def write_amazon_electronics(folder: Path, *, users: int = 60, seed: int = 0) -> None:
    """Writes reviews by user, most of them late, several a day; and products as Python literals, some unreviewed."""
    rng = np.random.default_rng(seed)
    items = 3 * users
    lines = []
    for user in range(users):
        own = rng.permutation(items // TASTES)[: rng.integers(6, 14)] * TASTES + user % TASTES
        # The number of reviews grows over the years; three of a user share a day.
        days = np.sort(12_000 + (4_200 * np.sqrt(rng.random(len(own)))).astype(int))[np.arange(len(own)) // 3 * 3]
        lines += [
            {
                "reviewerID": f"A{user:04d}X",
                "asin": f"B{item:09d}",
                "reviewerName": 'Jo "J" O\'Neil',
                "helpful": [0, 1],
                "reviewText": "Does what it should.",
                "overall": 5.0,
                "summary": "Good",
                "unixReviewTime": int(day) * DAY_S,
                "reviewTime": "01 1, 2014",
            }
            for item, day in zip(own, days, strict=True)
        ]
    rng.shuffle(lines)  # type: ignore[arg-type]
    _lines(folder / "reviews_Electronics_5.json", [json.dumps(line) for line in lines])
    products = []
    for item in range(items + 20):
        product: dict[str, object] = {"asin": f"B{item:09d}", "title": 'It\'s a "thing"'}
        if item % 3:
            product |= {"price": 10.0 + item, "brand": f"Brand {item % TASTES}"}
        leaf = f"Leaf {item % TASTES}"
        product["categories"] = [["Electronics", AMAZON_CATEGORIES[item % TASTES], "Cables", leaf]]
        products.append(repr(product))
    _lines(folder / "meta_Electronics.json", products)


def write_kuaivideo(folder: Path, *, users: int = 60, seed: int = 0) -> None:
    """Writes the contest's train_interaction.txt by user, with faces and words of some covers."""
    rng = np.random.default_rng(seed)
    videos, rows = 2 * users, users * 40
    user, video = np.sort(rng.integers(1, users + 1, rows)), rng.integers(1, videos + 1, rows)
    time = KUAIVIDEO_START_MS + rng.integers(0, KUAIVIDEO_SPAN_MS, rows)
    clicked = rng.random(rows) < np.where(user % TASTES == video % TASTES, 0.6, 0.15)
    shown = zip(user, video, clicked * 1, time, strict=True)
    _lines(
        folder / "train_interaction.txt",
        [f"{u}\t{v}\t{c}\t0\t0\t{t}\t{c * 7}\t{5 + v % 60}" for u, v, c, t in shown],
    )
    faces = [f"{v}\t[[0.2, 0, 18, 69], [0.{3 + v % 5}, 1, 20, 88]]" for v in range(1, videos + 1, 2)]
    _lines(folder / "train_face.txt", [*faces, f"{videos}\t0"])
    words = [f"{v}\t{v % TASTES},38252,4202" if v % TASTES else f"{v}\t0" for v in range(1, videos + 1)]
    _lines(folder / "train_text.txt", words)


WRITERS = {
    "taobao_ad": write_taobao_ad,
    "amazon_electronics": write_amazon_electronics,
    "kuaivideo": write_kuaivideo,
}


def _lines(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_set", choices=WRITERS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--users", type=int, default=300)
    arguments = parser.parse_args()
    WRITERS[arguments.data_set](arguments.folder, users=arguments.users)
