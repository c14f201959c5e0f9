"""Active search against plain computation, and against each other on pools that come in clusters."""

import numpy as np
import pytest
from scipy.stats import wilcoxon

from search.active.batch import MOST_STATES, batch_nonmyopic, one_after_another
from search.active.belief import Belief, Pool
from search.active.neighbors import nearest
from search.active.policies import Score, greedy, nonmyopic, scored, two_step

LOOKS = (1, 2, 5, 30, 120, 250)


def random_belief(seed, n=120, k=8):
    rng = np.random.default_rng(seed)
    pool = Pool(nearest(rng.random((n, 2)), k))
    known = rng.choice(n, rng.integers(0, n // 3), replace=False)
    return Belief.of(pool, [(int(point), bool(rng.random() < 0.4)) for point in known])


def plain_score(belief, looks, point):
    """The definition: both labels, all points sorted."""
    m = min(looks, belief.unknown.sum()) - 1
    p = belief.probability[point]
    total = p
    for label, weight in ((True, p), (False, 1 - p)):
        after = belief.after(point, label=label)
        total += weight * np.sort(after.probability[after.unknown])[::-1][:m].sum()
    return total


def clusters(seed):
    """A pool of which eight discs are positive, and one positive that is known."""
    rng = np.random.default_rng(seed)
    points, centers, radii = rng.random((2_000, 2)), rng.random((8, 2)), rng.uniform(0.03, 0.06, 8)
    labels = (np.linalg.norm(points[:, None] - centers, axis=2) < radii).any(1)
    return Pool(nearest(points, 20)), labels, int(rng.choice(np.flatnonzero(labels)))


def found(policy, pool, labels, known, looks):
    belief, total = Belief.of(pool, [(known, True)]), 0
    for n in range(looks):
        point = policy(belief, looks - n)
        total += labels[point]
        belief = belief.after(point, label=bool(labels[point]))
    return int(total)


def test_neighbors_are_the_nearest_others_also_among_points_at_one_place():
    points = np.random.default_rng(0).random((60, 3)).repeat(2, 0)
    near = nearest(points, 5).toarray()
    distances = np.linalg.norm(points[:, None] - points, axis=2) + np.diag(np.full(len(points), np.inf))
    assert (near.sum(1) == 5).all() and not near.diagonal().any()
    # Distances but for the little noise that breaks ties.
    assert np.allclose(np.sort(np.where(near, distances, np.inf), 1)[:, :5], np.sort(distances, 1)[:, :5], atol=0.005)


def test_of_points_equally_far_away_none_is_everyones_neighbor():
    cube = np.array(list(np.ndindex(*(3,) * 6)))
    codes = np.eye(3)[cube].reshape(len(cube), -1)
    assert nearest(codes, 5).sum(0).max() < 20  # 729 points; by their order, it would be dozens


def test_a_label_tells_those_who_count_the_point_among_their_neighbors():
    pool = Pool(nearest(np.array([[0.0], [1.0], [3.0]]), 1))  # 0 and 1 have each other, 2 has 1
    belief = Belief.of(pool, [(1, True), (0, False)])
    assert np.allclose(belief.probability, [1.05 / 2.05, 0.05 / 2.05, 1.05 / 2.05])
    with pytest.raises(ValueError, match="point 1 has a label already"):
        belief.after(1, label=True)


@pytest.mark.parametrize("seed", range(8))
def test_scores_and_bounds_agree_with_the_definition(seed):
    belief = random_belief(seed)
    open_ = np.flatnonzero(belief.unknown)
    for looks in LOOKS:
        bounds, score = scored(belief, looks), Score(belief, looks)
        plain = np.array([plain_score(belief, looks, point) for point in open_])
        assert np.allclose([score(point) for point in open_], plain)
        assert (bounds.bound[open_] >= plain - 1e-9).all() and not bounds.exact[~belief.unknown].any()
        exact = bounds.exact[open_]
        assert np.allclose(bounds.bound[open_][exact], plain[exact])
        chosen = nonmyopic(belief, looks)
        assert belief.unknown[chosen] and plain[open_ == chosen] == pytest.approx(plain.max())
    assert nonmyopic(belief, 1) == greedy(belief, 1) == two_step(belief, 1)
    assert two_step(belief, 200) == nonmyopic(belief, 2)


def test_bounds_are_the_scores_where_most_points_are_alike():
    """So that a pool of which little is known is not scored one by one."""
    belief = Belief.of(Pool(nearest(np.random.default_rng(0).random((500, 2)), 20)), [(0, False)])
    assert scored(belief, 3).exact.sum() > 450 and scored(belief, 100).exact.sum() > 450


def test_looking_ahead_finds_more_in_a_pool_of_clusters():
    ahead, plain = np.array([[found(p, *clusters(n), 100) for p in (nonmyopic, greedy)] for n in range(20)]).T
    assert ahead.mean() > plain.mean() + 5 and wilcoxon(ahead - plain, alternative="greater").pvalue < 0.02


def plain_batch_score(belief, chosen, looks):
    """The definition: all labels of the chosen, each after those before it."""
    total, m = 0.0, looks - len(chosen)
    for labels in np.ndindex(*(2,) * len(chosen)):
        weight, after, positives = 1.0, belief, 0
        for point, label in zip(chosen, labels, strict=True):
            p = after.probability[point]
            weight *= p if label else 1 - p
            positives += label
            after = after.after(point, label=bool(label))
        best = np.sort(after.probability[after.unknown])[::-1][:m].sum()
        total += weight * (positives + best)
    return total


def test_a_batch_is_chosen_by_what_it_finds_with_all_looks_after_it():
    belief, rng = random_belief(3, n=60, k=6), np.random.default_rng(0)
    assert batch_nonmyopic(belief, 9, 1, rng) == [nonmyopic(belief, 9)]
    first, second = batch_nonmyopic(belief, 9, 2, rng)
    best_first = max(np.flatnonzero(belief.unknown), key=lambda x: plain_batch_score(belief, [x], 8))
    assert plain_batch_score(belief, [first], 8) == pytest.approx(plain_batch_score(belief, [best_first], 8))
    left = [x for x in np.flatnonzero(belief.unknown) if x != first]
    values = {x: plain_batch_score(belief, [first, x], 9) for x in left}
    assert values[second] == pytest.approx(max(values.values()))


def test_the_last_batch_are_the_likeliest_points_and_labels_are_drawn_beyond_a_few_states():
    belief = random_belief(5, n=60, k=6)
    last = batch_nonmyopic(belief, 4, 4, np.random.default_rng(0))
    p = belief.probability[belief.unknown]
    assert np.allclose(belief.probability[last], np.sort(p)[::-1][:4])
    many = [batch_nonmyopic(belief, 30, 10, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    assert len(set(many[0])) == 10 and MOST_STATES < 2**9
    assert many[0] == many[1]


def test_one_after_another_takes_those_before_for_negative():
    belief = random_belief(6)
    chosen = one_after_another(nonmyopic, belief, 20, 3)
    for n, point in enumerate(chosen):
        assert nonmyopic(belief, 20 - n) == point
        belief = belief.after(point, label=False)
    assert len(set(one_after_another(greedy, belief, 500, 500))) == belief.unknown.sum()
    last = one_after_another(nonmyopic, belief, 3, 3)  # nothing follows that it could tell of
    assert np.allclose(belief.probability[last], np.sort(belief.probability[belief.unknown])[::-1][:3])


@pytest.mark.parametrize("k", [0, 10])
def test_a_number_of_neighbors_that_does_not_fit_is_refused(k):
    with pytest.raises(ValueError, match=f"k is {k}; a pool of 10 points has 1 to 9"):
        nearest(np.zeros((10, 2)), k)


def test_points_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="finite numbers"):
        nearest(np.full((10, 2), np.nan), 3)


def test_without_a_look_there_is_nothing_to_choose():
    belief = random_belief(0)
    with pytest.raises(ValueError, match="0 looks"):
        nonmyopic(belief, 0)
