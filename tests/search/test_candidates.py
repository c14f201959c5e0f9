import numpy as np
import pytest

from search.candidates import Many, Reinforce
from search.choices import Categorical, Integer, Real
from search.space import Space

TOY = Space(tuple(Categorical(f"c{n}", tuple("abcdef")) for n in range(8)))
BEST = "fbdacefb"


def separable(codes):
    """Rewards the letters of BEST, the more of them the better."""
    wanted = TOY.encode({f"c{n}": letter for n, letter in enumerate(BEST)})
    return codes @ wanted / 4


class Capped(Space):
    """At most five layers in all."""

    def refusal(self, params):
        return "above the cap" if params["a"] + params["b"] > 5 else None


CAPPED = Capped((Integer("a", 1, 5), Integer("b", 1, 5), Real("c", 0, 1)))


@pytest.mark.parametrize("seed", range(10))
def test_reinforce_reaches_the_best_of_a_separable_reward(seed):
    found = Reinforce()(TOY, separable, np.random.default_rng(seed), best=[])
    assert "".join(map(str, found[0].values())) == BEST


@pytest.mark.parametrize("candidates", [Reinforce(steps=40), Many(drawn=300)])
def test_candidates_are_valid_distinct_and_the_best_comes_first(candidates):
    found = candidates(CAPPED, lambda codes: codes.sum(1), np.random.default_rng(0), best=[])
    assert all(CAPPED.refusal(params) is None for params in found)
    assert len({CAPPED.key(params) for params in found}) == len(found) > 20
    totals = [CAPPED.encode(params).sum() for params in found]
    assert totals == sorted(totals, reverse=True) and totals[0] > 1.7  # the cap allows .75 + 1


def test_a_small_space_is_looked_through_as_a_whole():
    space = Space((Categorical("a", tuple("xyz")), Integer("b", 0, 9)))
    found = Many()(space, lambda codes: codes[:, 3] + 10 * codes[:, 1], np.random.default_rng(0), best=[])
    assert len(found) == 30 and found[0] == {"a": "y", "b": 9}


def test_mutations_of_the_best_go_on_from_them():
    peak = TOY.canonical({f"c{n}": letter for n, letter in enumerate(BEST)})
    near = peak | {"c0": "a", "c1": "a"}
    assert TOY.catalogue is None
    many = Many(drawn=10, children=100, generations=2)
    assert many(TOY, separable, np.random.default_rng(0), best=[near])[0] == peak
    assert many(TOY, separable, np.random.default_rng(0), best=[])[0] != peak


class Narrow(Space):
    """At most two of many layers: a policy that begins at chance draws nothing valid."""

    def refusal(self, params):
        return "above the cap" if sum(params.values()) > 2 else None


@pytest.mark.parametrize("seed", range(3))
def test_reinforce_begins_at_the_best_where_chance_draws_nothing_valid(seed):
    space = Narrow(tuple(Categorical(f"layer_{n}", (0, 1)) for n in range(20)))
    known = [space.canonical({f"layer_{n}": int(n == only) for n in range(20)}) for only in range(10)]
    best = space.canonical({f"layer_{n}": int(n in (3, 15)) for n in range(20)})
    found = Reinforce()(space, lambda codes: codes @ space.encode(best), np.random.default_rng(seed), best=known)
    assert found[0] == best
