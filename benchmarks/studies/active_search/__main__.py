"""How many positives active search finds in pools whose labels are known: ENS against greedy, two steps and UCB.

    python -m benchmarks.studies.active_search --kuairand ~/KuaiRand-Pure/data

Every search begins with one positive, drawn by the seed, the same for all policies. How many neighbors tell of a point
is chosen for each policy and pool by five seeds that are not reported. Pools: discs of a square; the
architectures of NAS-Bench-Graph whose accuracy is in the top 2 %; users of MovieLens-100k who click (rate highly) one
of ten films later; users of KuaiRand who click one of ten authors later. Users are near each other by the vectors that
the platform's foundation model gave them on its first day. `gap` is the clustered pool searched in batches.

Every search is one line of `runs.jsonl` in the work folder; a study that was stopped continues where it was.
"""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np

from benchmarks.report import report
from benchmarks.studies.active_search.page import write_page
from benchmarks.studies.active_search.pools import Labelled, architectures, clusters, users
from benchmarks.studies.active_search.results import TUNING_SEEDS, figures, neighbors_chosen
from benchmarks.studies.command_line import study_parser
from search.active import policies
from search.active.batch import batch_nonmyopic, one_after_another
from search.active.belief import Belief
from search.active.policies import greedy, nonmyopic, two_step, upper_bound
from search.trials import Row, execute, finished

NAME = "active_search"
LOOKS = (100, 300, 500)
POLICIES = {"greedy": greedy, "two_step": two_step, "upper_bound": upper_bound, "ens": nonmyopic}
NEIGHBORS = (10, 25, 50, 100)
TUNED_BY, TUNED_LOOKS = range(TUNING_SEEDS, TUNING_SEEDS + 5), 300
GAP_LOOKS, BATCHES = 300, (1, 5, 10, 25, 50)
BATCHED = ("batch_ens", "ens_one_after_another", "greedy_one_after_another")
QUICK_SEEDS = 2


@dataclass(frozen=True)
class Run:
    """One search of a pool."""

    pool: str
    policy: str
    k: int
    looks: int
    batch: int
    seed: int

    @property
    def key(self) -> dict[str, object]:
        """Returns what names the run in the file of results."""
        return vars(self)


def main() -> None:
    """Makes the searches that are missing, then reports what there is."""
    parser = study_parser(
        __doc__, seeds=30, quick="two seeds of the two pools without a log; figures are not kept", kuairand=True
    )
    a = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    work = a.work / NAME
    work.mkdir(parents=True, exist_ok=True)
    runs = work / ("quick.jsonl" if a.quick else "runs.jsonl")
    if not a.report:
        seeds = range(QUICK_SEEDS if a.quick else a.seeds)
        pools = ["clusters", "architectures"]
        pools += [] if a.quick else ["movielens"]
        pools += ["kuairand"] if a.kuairand else []
        total = len(pools) * len(POLICIES) * (len(NEIGHBORS) * len(TUNED_BY) + len(LOOKS) * len(seeds))
        pool_of = _reader(work, a.kuairand)
        execute(
            _planned(pools, seeds, runs),
            runs,
            lambda run: search(pool_of(run.pool, run.seed if run.pool == "clusters" else 0), run),
            total=total + len(BATCHES) * len(BATCHED) * len(seeds),
            describe=lambda run: f"{run.pool} {run.policy} {run.k} {run.looks} {run.batch} {run.seed}",
            minutes=a.minutes,
        )
    report(
        NAME,
        figures(finished(runs)),
        command="python -m benchmarks.studies.active_search --kuairand DIRECTORY",
        packages=["numpy", "scipy", "faiss-cpu", "torch"],
        keep=not a.quick,
    )
    if not a.quick:
        write_page()


def _planned(pools: list[str], seeds: range, runs: Path) -> Iterator[Run]:
    for pool, seed, policy, k in product(pools, TUNED_BY, POLICIES, NEIGHBORS):
        yield Run(pool, policy, k, TUNED_LOOKS, 1, seed)
    k_of = neighbors_chosen(finished(runs))
    for seed, pool, looks, policy in product(seeds, pools, LOOKS, POLICIES):
        yield Run(pool, policy, k_of[pool, policy], looks, 1, seed)
    for seed, batch, policy in product(seeds, BATCHES, BATCHED):
        k = k_of["clusters", "greedy" if policy.startswith("greedy") else "ens"]
        yield Run("clusters", policy, k, GAP_LOOKS, batch, seed)


def _reader(work: Path, kuairand: str | None) -> Callable[[str, int], Labelled]:
    @cache
    def read(name: str) -> Labelled:
        if name == "architectures":
            return architectures(work)
        if name == "movielens":
            return users("movielens", work, None, column="item_id")
        return users("kuairand", work, kuairand, column="author_id")

    @cache
    def drawn(seed: int) -> Labelled:
        return clusters(seed)

    return lambda name, seed: drawn(seed) if name == "clusters" else read(name)


def search(of: Labelled, run: Run) -> Row:
    """Looks at points until none is left to look at; counts the positives, the exact scores and the CPU seconds."""
    labels = of.campaigns[run.seed % len(of.campaigns)]
    rng = np.random.default_rng([run.seed, 5])
    known = int(rng.choice(np.flatnonzero(labels)))
    belief, found, scores = Belief.of(of.pool(run.k), [(known, True)]), 0, policies.Score.made
    pruned_from, begun = 0, time.process_time()
    for done in range(0, run.looks, run.batch):
        pruned_from += int(belief.unknown.sum())
        for point in _chosen(belief, run, run.looks - done, rng):
            found += int(labels[point])
            belief = belief.after(point, label=bool(labels[point]))
    return {
        "found": found,
        "positives": int(labels.sum()) - 1,
        "points": len(labels),
        "scored": policies.Score.made - scores,
        "scored_unpruned": pruned_from,
        "cpu_s": round(time.process_time() - begun, 3),
    }


def _chosen(belief: Belief, run: Run, left: int, rng: np.random.Generator) -> list[int]:
    if run.policy in POLICIES:
        return [POLICIES[run.policy](belief, left)]
    if run.policy == "batch_ens":
        return batch_nonmyopic(belief, left, run.batch, rng)
    policy = nonmyopic if run.policy == "ens_one_after_another" else greedy
    return one_after_another(policy, belief, left, run.batch)


if __name__ == "__main__":
    main()
