"""Do scores of a supernet, warmed on a share of a log, tell which models will be good? SiGeo (arXiv:2311.13169).

    python -m benchmarks.studies.sigeo --kuairand ~/KuaiRand-Pure/data

Models are architectures of the kept ranking table (`ranking_table.py`), trained there over the whole log. A supernet is
warmed on the newest 0, 1, 10 or 100 % of the days before the judged ones; then every architecture is scored with what
it inherits: the terms of SiGeo, and its loss on validation batches. Beside them stand proxies that need no warming.

The truth is an architecture's NE over the judged days, less the mean of all models with its recipe, averaged over the
recipes in which it was trained; `truth_between_recipes` is the correlation of two recipes' values of the same
architecture. Only the report reads the table, so `--report` may be called again when it has grown. What is picked is
compared with picking by chance: `by_chance` is the share of random picks that are as good.
"""

import logging
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
import torch

from benchmarks.report import report
from benchmarks.studies.command_line import study_parser
from benchmarks.studies.rank_agreement import agreement, difference, kendall
from benchmarks.studies.ranking_table import Cell, cells, kept_table
from benchmarks.studies.supernet_log import RECIPE, StudyLog, study_log
from search.choices import Array
from search.spaces.ranking import RankingSpace
from search.supernet.learner import inherited_loss
from search.supernet.proposal import Log
from search.supernet.proxies import by_layer, gradients, synflow, zico
from search.supernet.screen import BATCHES, Terms, scoring, sigeo, terms, warmed
from search.trials import Row, execute, finished

SHARES = (0.0, 0.01, 0.1, 1.0)
ARCHITECTURES = 80  # that are scored: those which the ranking table trains first
VALIDATION_BATCHES = 32
LEAST = 60  # models whose result is kept
LEAST_PAIRED = 4  # models of two recipes, for a correlation
PUBLISHED_SHARE = 0.4  # of one-shot's compute, by the abstract: 60 % less
PICKED = 5  # models that a search would train
RANDOM_PICKS = 10_000
CHANCE = 0.05  # a pick is better than by chance if fewer random ones are as good
OF_SHAPE = ("parameters", "flops", "synflow", "zico of an own network")


@dataclass(frozen=True)
class Warm:
    """A supernet warmed on a share of the log."""

    share: float
    seed: int

    @property
    def key(self) -> dict[str, object]:
        """Returns what names the run in the file of results."""
        return {"share": self.share, "seed": self.seed}


def main() -> None:
    """Warms and scores what is missing, then reports what there is."""
    parser = study_parser(
        __doc__, seeds=3, quick="six models on a small log against made-up truths; nothing is kept", kuairand=True
    )
    a = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    torch.set_num_threads(1)
    work = a.work / ("sigeo_quick" if a.quick else "sigeo")
    work.mkdir(parents=True, exist_ok=True)
    runs = work / "runs.jsonl"
    log = study_log(a.work, kuairand=a.kuairand, quick=a.quick)
    space, keys = log.options.space, architectures(log.options.space)
    chosen = dict(list(keys.items())[: 6 if a.quick else ARCHITECTURES])
    planned = [Warm(share, seed) for seed in range(1 if a.quick else a.seeds) for share in SHARES]
    if not a.report:
        of_log = log.log(VALIDATION_BATCHES)
        execute(
            planned,
            runs,
            lambda run: score(log, of_log, chosen, run),
            total=len(planned),
            describe=lambda run: f"warm {run.share:.0%}",
            minutes=a.minutes,
        )
    truth = {key: [float(n)] for n, key in enumerate(chosen)} if a.quick else final_ne(kept_table(), space)
    found = figures(finished(runs), truth)
    whole = not a.quick and a.minutes == float("inf") and found["models"] >= LEAST
    report(
        "sigeo",
        found,
        command="python -m benchmarks.studies.sigeo --kuairand FOLDER",
        packages=["torch", "scipy"],
        keep=whole,
    )


def architectures(space: RankingSpace) -> dict[str, Cell]:
    """Returns the table's architectures with the studies' recipe, in the order in which the table meets them."""
    different: dict[str, Cell] = {}
    for cell in cells(space):
        alike = Cell(cell | RECIPE, 0)
        different.setdefault(space.key(alike.params), alike)
    return different


def score(log: StudyLog, of_log: Log, chosen: dict[str, Cell], run: Warm) -> Row:
    """Warms a supernet and scores all models with it."""
    options = log.options
    supernet, spent = warmed(options, of_log, run.share, seed=run.seed)
    batches = of_log.train[-BATCHES:]
    rows = sum(batch.size for batch in of_log.validation)
    scores, scored, validated = {}, 0.0, 0.0
    for key, cell in chosen.items():
        params = options.space.canonical(cell.params)
        scores[key] = terms(supernet, params, batches)._asdict()
        scores[key]["validation"] = inherited_loss(supernet, params, of_log.validation)
        scores[key]["flops"] = options.space.cost(params)
        scored += scoring(options, params, batches)
        validated += options.space.cost(params) * rows
        if run.share == 0:
            own = supernet.alone(params)
            embedded = [(supernet.embed(batch, params), batch.labels) for batch in batches]
            scores[key]["parameters"] = sum(parameter.numel() for parameter in own.parameters())
            scores[key]["synflow"] = synflow(own, embedded[0][0])
            scores[key]["zico of an own network"] = zico([by_layer(gradients(own, batch)[0]) for batch in embedded])
    return {"scores": scores, "warming": spent, "scoring": scored, "validation": validated}


def final_ne(rows: list[Row], space: RankingSpace) -> dict[str, list[float]]:
    """Returns every architecture's NE less the mean of its recipe's models, a value a recipe; see the module.

    Args:
        rows: of the table.
        space: of its models.
    """
    by_recipe: dict[tuple, list[tuple[str, float]]] = {}
    for row in rows:
        recipe = tuple(row["cell"][name] for name in RECIPE)
        ne = (row["ne"] + row["ne_later"]) / 2  # both stretches have as many days
        by_recipe.setdefault(recipe, []).append((space.key(Cell(row["cell"] | RECIPE, 0).params), ne))
    values: dict[str, list[float]] = {}
    for models in by_recipe.values():
        mean = float(np.mean([ne for _, ne in models]))
        for key, ne in models:
            values.setdefault(key, []).append(ne - mean)
    return values


def figures(rows: list[Row], truth: dict[str, list[float]]) -> dict[str, Any]:
    """Computes everything the study reports.

    Args:
        rows: of the runs.
        truth: of the table's architectures.
    """
    names = [key for key in rows[0]["scores"] if key in truth]
    final = np.array([np.mean(truth[name]) for name in names])
    result: dict[str, Any] = {
        "models": len(names),
        "ne_spread": round(float(final.std()), 5),
        "truth_between_recipes": _between_recipes([truth[name] for name in names]),
        "warm": {},
        "needs_no_warming": {},
    }

    def of(row: Row, term: str) -> Array:
        return np.array([row["scores"][name][term] for name in names], float)

    def scores_of(row: Row) -> dict[str, Array]:
        found = [Terms(**{t: row["scores"][name][t] for t in Terms._fields}) for name in names]
        return {
            "loss": -of(row, "loss"),
            "validation loss": -of(row, "validation"),
            "zico": of(row, "zico"),
            "fr_exact": of(row, "fr_exact"),
            "fr_code": of(row, "fr_code"),
            "sigeo": sigeo(found, warm=row["share"]),
        }

    flops = of(rows[0], "flops")
    mean: dict[float, dict[str, Array]] = {}  # of standardised scores over seeds
    for share in sorted({row["share"] for row in rows}):
        by_seed = [scores_of(row) for row in rows if row["share"] == share]
        mean[share] = {n: np.mean([_standard(one[n]) for one in by_seed], axis=0) for n in by_seed[0]}
        entry: dict[str, Any] = {}
        for name in by_seed[0]:
            own = np.arange(len(names))[None]
            entry[name] = {
                "of_seeds_mean": agreement(mean[share][name], -final, flops),
                "kendall_by_seed": [round(float(kendall(one[name], -final, own)[0]), 3) for one in by_seed],
                "picked_ne": round(_picked(mean[share][name], final), 5),
                "best_tenth_found": round(_best_tenth_found(mean[share][name], final), 3),
            }
        result["warm"][f"{share:.0%}"] = entry
    cold = [row for row in rows if row["share"] == 0]
    for name in OF_SHAPE if cold else ():
        result["needs_no_warming"][name] = agreement(of(cold[0], name), -final, flops)
    if 0.0 in mean and 0.1 in mean and len(names) > 3:
        result["loss_10_less_cold"] = difference(mean[0.1]["loss"], mean[0.0]["loss"], -final)
        result["sigeo_10_less_cold"] = difference(mean[0.1]["sigeo"], mean[0.0]["sigeo"], -final)
        result["sigeo_10_less_loss"] = difference(mean[0.1]["sigeo"], mean[0.1]["loss"], -final)
        result["sigeo_10_less_flops"] = difference(mean[0.1]["sigeo"], flops, -final)
    if 1.0 in mean:
        result["one_shot"] = _against_one_shot(rows, mean, final)
    result["directions"] = _directions(result)
    return result


def _directions(result: dict[str, Any]) -> dict[str, str]:
    """Says which published directions hold here; `not separated`: the 90 % interval holds 0."""

    def outcome(name: str) -> str:
        measured = result.get(name)
        if measured is None:
            return "not measured"
        return "holds" if measured["low"] > 0 else "fails" if measured["high"] < 0 else "not separated"

    return {
        "the loss ranks better after 10 % of the log than cold": outcome("loss_10_less_cold"),
        "SiGeo ranks better after 10 % of the log than cold": outcome("sigeo_10_less_cold"),
        "SiGeo ranks better than the loss alone, both after 10 %": outcome("sigeo_10_less_loss"),
        "SiGeo after 10 % ranks better than FLOPs": outcome("sigeo_10_less_flops"),
        "SiGeo picks as well as one-shot at 40 % of its compute": _cheaper(result.get("one_shot")),
    }


def _cheaper(one_shot: dict[str, Any] | None) -> str:
    """Says whether SiGeo picks as well as one-shot for the published share of its compute."""
    if one_shot is None:
        return "not measured"
    if one_shot["by_chance"] >= CHANCE:
        return "not told: one-shot's own pick is no better than chance"
    enough = one_shot["least_compute_share_that_equals"]
    return "holds" if enough is not None and enough <= PUBLISHED_SHARE else "fails"


def _against_one_shot(rows: list[Row], mean: dict[float, dict[str, Array]], final: Array) -> dict[str, Any]:
    """Compares what warm SiGeo picks, and what it costs, with picking by the validation loss of the whole log."""
    spent = {
        share: np.mean(
            [[row["warming"], row["scoring"], row["validation"]] for row in rows if row["share"] == share], 0
        )
        for share in mean
    }
    one_shot = float(spent[1.0][0] + spent[1.0][2])
    picked = _picked(mean[1.0]["validation loss"], final)
    result: dict[str, Any] = {"picked_ne": round(picked, 5), "random_ne": round(float(final.mean()), 5)}
    result["best_ne"] = round(float(np.sort(final)[:PICKED].mean()), 5)
    result["by_chance"] = _by_chance(picked, final)
    enough = None
    for share in sorted(mean, reverse=True):
        ne = _picked(mean[share]["sigeo"], final)
        compute = float(spent[share][0] + spent[share][1]) / one_shot
        result[f"{share:.0%}"] = {
            "sigeo_picked_ne": round(ne, 5),
            "by_chance": _by_chance(ne, final),
            "compute_share": round(compute, 3),
            "of_it_warming": round(float(spent[share][0]) / one_shot, 3),
        }
        if ne <= picked:
            enough = compute
    result["least_compute_share_that_equals"] = None if enough is None else round(enough, 3)
    return result


def _picked(scores: Array, final: Array) -> float:
    """Returns the mean truth of the models with the highest scores."""
    return float(final[np.argsort(-scores, kind="stable")[:PICKED]].mean())


def _by_chance(ne: float, final: Array) -> float:
    """Returns the share of random picks whose mean truth is no worse."""
    rng = np.random.default_rng(0)
    drawn = rng.permuted(np.tile(final, (RANDOM_PICKS, 1)), axis=1)[:, :PICKED].mean(1)
    return round(float((drawn <= ne + 1e-12).mean()), 3)


def _between_recipes(values: list[list[float]]) -> float | None:
    """Returns the correlation of two recipes' values of the same model, over all pairs; None of fewer than 4 models."""
    pairs = [pair for of_model in values for pair in permutations(of_model, 2)]
    if sum(len(of_model) > 1 for of_model in values) < LEAST_PAIRED:
        return None
    one, other = np.array(pairs).T
    return round(float(np.corrcoef(one, other)[0, 1]), 3)


def _best_tenth_found(scores: Array, final: Array) -> float:
    """Returns how much of the best tenth is in the best-scored tenth; by chance it is a tenth."""
    count = max(1, round(len(final) / 10))
    best, kept = np.argsort(final, kind="stable")[:count], np.argsort(-scores, kind="stable")[:count]
    return len(set(best) & set(kept)) / count


def _standard(scores: Array) -> Array:
    return (scores - scores.mean()) / (scores.std() or 1.0)


if __name__ == "__main__":
    main()
