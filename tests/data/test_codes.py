"""Codes as bytes: round trips, error bounds, the levels of INT4, bytes that do not fit."""

import numpy as np
import pytest

from data.codes import decode, encode

CODES = np.tanh(np.random.default_rng(0).normal(size=(500, 6))).astype(np.float32)


@pytest.mark.parametrize(("bits", "size", "bound"), [(8, 6, 0.5 / 127), (4, 3, 1 / 8)])
def test_a_round_trip_loses_no_more_than_half_a_step(bits, size, bound):
    packed = encode(CODES, bits)
    assert packed.shape == (500, size) and packed.dtype == np.uint8
    error = np.abs(decode(packed.tobytes(), width=6, bits=bits) - CODES)
    assert error.max() <= bound + 1e-7
    if bits == 4:
        assert error[np.abs(CODES) <= 0.9375].max() <= 0.0625 + 1e-7


def test_int4_has_sixteen_levels_from_minus_one_to_seven_eighths():
    levels = decode(encode(np.linspace(-1, 1, 2000).reshape(-1, 2), 4).tobytes(), width=2, bits=4)
    assert sorted(set(levels.ravel())) == [n / 8 for n in range(-8, 8)]


@pytest.mark.parametrize("bits", [4, 8])
def test_encoding_again_changes_nothing(bits):
    once = encode(CODES, bits)
    assert np.array_equal(once, encode(decode(once.tobytes(), width=6, bits=bits), bits))


def test_what_does_not_fit_is_an_error():
    with pytest.raises(ValueError, match="5 values of 4 bits"):
        encode(CODES[:, :5], 4)
    with pytest.raises(ValueError, match="7 bytes are no whole number of codes of 6 bytes"):
        decode(bytes(7), width=6, bits=8)
