import numpy as np

from data.raw.stable_hash import stable_hash, stable_uniform


def test_the_hash_never_changes():
    # SplitMix64 of state 0 begins with 0xE220A8397B1DCDAF (reference implementation, prng.di.unimi.it).
    assert stable_hash(np.array([0])).tolist() == [0xE220A8397B1DCDAF]


def test_columns_and_seed_all_matter():
    a, b = np.array([1, 2, 3]), np.array([4, 5, 6])
    hashes = [stable_hash(a), stable_hash(a, b), stable_hash(b, a), stable_hash(a, seed=1)]
    assert len({tuple(h.tolist()) for h in hashes}) == 4


def test_uniform_numbers_are_even():
    numbers = stable_uniform(np.arange(100_000))
    counts, _ = np.histogram(numbers, bins=10, range=(0, 1))
    assert numbers.min() >= 0 and numbers.max() < 1
    assert abs(counts - 10_000).max() < 400  # four standard deviations of a binomial count are 380
