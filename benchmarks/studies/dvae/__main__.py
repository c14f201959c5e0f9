"""A latent space of graphs (D-VAE, arXiv:1904.11088): does it give graphs back, and can scores be predicted in it?

    python -m benchmarks.studies.dvae --seeds 1

Two sets: 20 000 random Bayesian networks of the Asia variables with their BIC, and the 26 206 architectures of
NAS-Bench-Graph with their accuracy. Nine in ten are learnt, without their scores. Figures, as in the paper:

- `reconstruction`: how often a graph not learnt is drawn from its own point, over ten draws.
- `validity`, `uniqueness`, `novelty`, of ten draws at each of 1 000 points that are spread as the learnt graphs' are:
  how many are valid; of these, how many are different, and how many were not learnt.
- `rmse`, `r`: of scores, standardized, that a Gaussian process predicts for graphs not learnt, from 1 000 that were;
  by `latent` points, and by the `raw` graph: bits of edges, or one-hot choices.

Then the sampler `latent` searches NAS-Bench-Graph beside others: 100 trials, ten seeds, ranks as in `search_tabular`.

Sizes fit a CPU, of which one core takes half an hour; the paper's are larger. Every run is one line of `runs.jsonl` or
`searches.jsonl` in the work folder; a study that was stopped continues where it was.
"""

import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import wilcoxon
from torch import Tensor

from benchmarks.report import report
from benchmarks.studies.command_line import study_parser
from benchmarks.studies.dvae.data import DATA, Scored, WiredTable
from benchmarks.studies.search_tabular.replay import METHODS as BESIDE
from benchmarks.studies.search_tabular.replay import TRIALS, searched
from benchmarks.studies.search_tabular.results import SHARES, hit
from benchmarks.studies.search_tabular.tables import nas_bench_graph
from quality.seed_intervals import interval
from search.bayes.surrogate import fitted_process, standardized
from search.latent.graphs import OWN, Graphs
from search.latent.vae import DVAE, Fit, trained
from search.samplers import SAMPLERS
from search.trial import Sampler
from search.trials import Row, execute, finished

Rows = npt.NDArray[np.int64]
LEARNT = 0.9  # share of the graphs
EPOCHS = 35
FIT = Fit(hidden=128, latent=32, batch=128, learning_rate=8e-3)
POINTS, DRAWS = 1_000, 10  # that graphs are drawn at, and how many at each
TOLD, SUBSETS = 1_000, 3  # graphs whose scores a process is told, and how often they are drawn
METHODS: dict[str, tuple[Sampler, int]] = {  # and how many trials it is asked for at once, after its first
    "latent": (SAMPLERS["latent"](), 1),
    **{name: BESIDE[name] for name in ("random", "evolution", "predictor")},
}
SEARCHES, QUICK_TRIALS = 10, 14
MEASURES = ("reconstruction", "validity", "uniqueness", "novelty")


@dataclass(frozen=True)
class Run:
    """An autoencoder of a set of graphs."""

    data: str
    seed: int

    @property
    def key(self) -> dict[str, object]:
        """Returns what names the run in the file of results."""
        return asdict(self)


@dataclass(frozen=True)
class Search:
    """A search of NAS-Bench-Graph."""

    method: str
    seed: int

    @property
    def key(self) -> dict[str, object]:
        """Returns what names the search in the file of results."""
        return asdict(self)


@dataclass(frozen=True)
class Effort:
    """How much a run does.

    Attributes:
        graphs: of the set at most.
        epochs: passes over those that are learnt.
        told: graphs whose scores a process is told.
        subsets: how often these are drawn.
        points: that graphs are drawn at, those of graphs not learnt, and as many by chance.
    """

    graphs: int = 10**9
    epochs: int = EPOCHS
    told: int = TOLD
    subsets: int = SUBSETS
    points: int = POINTS


WHOLE, QUICK = Effort(), Effort(graphs=600, epochs=1, told=50, subsets=2, points=50)


def main() -> None:
    """Makes the runs that are missing, then reports what there is."""
    a = study_parser(__doc__, seeds=1, quick="600 graphs, one epoch; figures are not kept").parse_args()
    torch.set_num_threads(1)  # the networks are too small to share
    work = a.work / ("dvae_quick" if a.quick else "dvae")
    if a.quick:
        shutil.rmtree(work, ignore_errors=True)  # nothing of the last look is used again
    work.mkdir(parents=True, exist_ok=True)
    planned, searches = list(runs(1 if a.quick else a.seeds)), list(of_table(1 if a.quick else SEARCHES))

    def run(one: Run) -> Row:
        return measured(DATA[one.data](a.work), QUICK if a.quick else WHOLE, seed=one.seed)

    @cache
    def table() -> WiredTable:
        return WiredTable(**vars(nas_bench_graph(a.work, "arxiv")))

    def search(one: Search) -> Row:
        sampler, batch = METHODS[one.method]
        trials = QUICK_TRIALS if a.quick else TRIALS
        return searched(table(), sampler, batch, seed=one.seed, trials=trials) | {"combinations": len(table().values)}

    if not a.report:
        execute(planned, work / "runs.jsonl", run, total=len(planned), describe=str, minutes=a.minutes)
        execute(searches, work / "searches.jsonl", search, total=len(searches), describe=str, minutes=a.minutes)
    made, found = finished(work / "runs.jsonl"), finished(work / "searches.jsonl")
    made = [row for row in made if Run(row["data"], row["seed"]) in planned]
    found = [row for row in found if Search(row["method"], row["seed"]) in searches]
    report(
        "dvae",
        figures(made) | {"searches": of_searches(found)},
        command=f"python -m benchmarks.studies.dvae --seeds {a.seeds}",
        packages=["torch", "botorch", "gpytorch"],
        keep=not a.quick and len(made) == len(planned) and len(found) == len(searches),
    )


def of_table(seeds: int) -> Iterator[Search]:
    """Yields all searches with the first seed, then with the next."""
    for seed, method in product(range(seeds), METHODS):
        yield Search(method, seed)


def runs(seeds: int) -> Iterator[Run]:
    """Yields everything with the first seed, then with the next."""
    for seed, data in product(range(seeds), DATA):
        yield Run(data, seed)


def measured(data: Scored, effort: Effort = WHOLE, *, seed: int) -> Row:
    """Trains an autoencoder and measures it.

    Returns:
        `MEASURES`, shares; `latent` and `raw`, each `rmse` and `r` by subset; `loss` by epoch; `train_cpu_seconds`.
    """
    order = np.random.default_rng(seed).permutation(len(data.graphs))[: effort.graphs]
    learnt, held = np.split(order, [int(LEARNT * len(order))])
    graphs, losses, began = Graphs.of(data.graphs), list[float](), time.process_time()
    model = trained(
        graphs.at(torch.from_numpy(learnt)),
        data.types + OWN,
        graphs.types.shape[1],
        Fit(**asdict(FIT) | {"families": data.families}),
        epochs=effort.epochs,
        seed=seed,
        told=lambda epoch, loss: losses.append(round(loss, 4)),
    )
    seconds = time.process_time() - began
    z = model.encode(graphs).double()
    generator = torch.Generator().manual_seed(seed)
    row: Row = {"graphs": len(order), "epochs": effort.epochs, "loss": losses, "train_cpu_seconds": round(seconds, 1)}
    row |= {"reconstruction": reconstruction(model, data, held[: effort.points], z, generator)}
    row |= prior(model, data, learnt, z, generator, effort.points)
    scores = standardized(torch.from_numpy(data.scores))[0]
    for name, of in (("latent", z), ("raw", torch.from_numpy(data.raw))):
        low, high = of[learnt].amin(0), of[learnt].amax(0)
        x = (of - low) / (high - low).clamp_min(1e-9)
        rng = np.random.default_rng(seed)
        told = [rng.choice(learnt, effort.told, replace=False) for _ in range(effort.subsets)]
        row[name] = [predicted(x, scores, subset, held) for subset in told]
    return row


def reconstruction(model: DVAE, data: Scored, held: Rows, z: Tensor, generator: torch.Generator) -> float:
    """Computes how often graphs are drawn from their own points."""
    drawn = model.decoder.draw(z[held].float().repeat_interleave(DRAWS, 0), generator)[0].single()
    return float(np.mean([graph == data.graphs[held[n // DRAWS]] for n, graph in enumerate(drawn)]))


def prior(
    model: DVAE, data: Scored, learnt: Rows, z: Tensor, generator: torch.Generator, count: int
) -> dict[str, float]:
    """Measures graphs drawn at points that are spread as the learnt graphs' are, each coordinate by itself."""
    of = z[learnt].float()
    points = of.mean(0) + of.std(0) * torch.randn(count, of.shape[1], generator=generator)
    drawn = model.decoder.draw(points.repeat_interleave(DRAWS, 0), generator)[0].single()
    valid, known = [graph for graph in drawn if data.valid(graph)], {data.graphs[n] for n in learnt}
    return {
        "validity": len(valid) / len(drawn),
        "uniqueness": len(set(valid)) / max(len(valid), 1),
        "novelty": sum(graph not in known for graph in valid) / max(len(valid), 1),
    }


def predicted(x: Tensor, y: Tensor, told: Rows, held: Rows) -> dict[str, float]:
    """Fits a Gaussian process to some graphs; returns error and correlation on those held out.

    Args:
        x: of all graphs, (N, p).
        y: (N,), standardized.
        told: rows that the process is fitted to.
        held: rows that it predicts.
    """
    of_told, mean, spread = standardized(y[told])
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        process = fitted_process(x[told], of_told, [])
    with torch.no_grad():
        found = torch.cat([process.posterior(part).mean.squeeze(-1) for part in x[held].split(1_000)]) * spread + mean
    true = y[held]
    return {
        "rmse": round(float((found - true).square().mean().sqrt()), 4),
        "r": round(float(torch.corrcoef(torch.stack([found, true]))[0, 1]), 4),
    }


def figures(rows: list[Row]) -> dict[str, Any]:
    """Computes, by set, percentages over seeds, and errors and correlations with 95 % intervals over all subsets."""
    found: dict[str, Any] = {}
    for data in DATA:
        of = [row for row in rows if row["data"] == data]
        if of:
            found[data] = {name: round(100 * float(np.mean([row[name] for row in of])), 2) for name in MEASURES}
            for name in ("latent", "raw"):
                subsets = [subset for row in of for subset in row[name]]
                found[data][name] = {m: _over_subsets([subset[m] for subset in subsets]) for m in ("rmse", "r")}
            for name in ("graphs", "epochs", "train_cpu_seconds"):
                found[data][name] = of[0][name]
            found[data]["final_loss"] = of[0]["loss"][-1]
    return found


def of_searches(rows: list[Row]) -> dict[str, Any]:
    """Computes what searches found, and by how much `latent` is better than each other method on the same seeds.

    Ranks are compared by their logarithms, with Wilcoxon's signed ranks.
    """
    ranks = {(row["method"], row["seed"]): min(row["ranks"]) for row in rows}
    found: dict[str, Any] = {}
    for method in METHODS:
        of = [row for row in rows if row["method"] == method]
        if of:
            best = [ranks[method, row["seed"]] for row in of]
            found[method] = {
                "median_best_rank": float(np.median(best)),
                **{share: round(float(np.mean([hit(row, share) for row in of])), 2) for share in SHARES},
                "fallbacks": sum(row["fallbacks"] for row in of),
                "cpu_seconds": round(float(np.mean([row["cpu_seconds"] for row in of])), 1),
            }
        pairs = [(ranks["latent", s], rank) for (name, s), rank in ranks.items() if name == method != "latent"]
        if pairs:
            less = np.log([one for one, _ in pairs]) - np.log([other for _, other in pairs])
            p = float(wilcoxon(less).pvalue) if less.any() else 1.0
            found[f"latent_against_{method}"] = {
                "seeds": len(pairs),
                "better": int((less < 0).sum()),
                "worse": int((less > 0).sum()),
                "p": round(p, 4),
            }
    return found


def _over_subsets(values: list[float]) -> dict[str, float]:
    of = interval(values)
    assert of is not None
    return {("subsets" if name == "seeds" else name): value for name, value in of.items()}


if __name__ == "__main__":
    main()
