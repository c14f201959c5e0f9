"""The FM's codes as bytes: INT8 or INT4, the form in which Feast keeps them."""

import numpy as np
import numpy.typing as npt

INT8_SCALE = 127.0  # code in [-1, 1] <-> integer in [-127, 127]
INT4_SCALE = 8.0  # code in [-1, 0.875] <-> integer in [-8, 7] (LoopFM, arXiv:2605.29280, section 4)

Codes = npt.NDArray[np.float32]


def encode(codes: npt.NDArray[np.floating], bits: int) -> npt.NDArray[np.uint8]:
    """Encodes codes as bytes, one code after the other.

    Args:
        codes: in [-1, 1], (n, d).
        bits: 8 or 4 of each value; at 4 two values share a byte, the first in its lower half, so d must be even.

    Returns:
        (n, d · bits / 8). The error of a value is at most 1/254 at 8 bits; at 4 bits 1/16, and 1/8 next to 1.

    Raises:
        ValueError: d is odd at 4 bits, or bits is another number.
    """
    if bits == 8:
        return np.rint(np.clip(codes, -1, 1) * INT8_SCALE).astype(np.int8).view(np.uint8)
    if bits != 4 or codes.shape[1] % 2:
        raise ValueError(f"{codes.shape[1]} values of {bits} bits: 8 bits, or 4 bits and an even number, are possible")
    halves = np.clip(np.rint(codes * INT4_SCALE), -8, 7).astype(np.int8).view(np.uint8) & 0xF
    return halves[:, ::2] | (halves[:, 1::2] << 4)


def decode(data: bytes, *, width: int, bits: int) -> Codes:
    """Decodes what `encode` wrote, (n, width).

    Raises:
        ValueError: the bytes are no whole number of codes.
    """
    size = width * bits // 8
    if len(data) % size:
        raise ValueError(
            f"{len(data)} bytes are no whole number of codes of {size} bytes ({width} values of {bits} bits): "
            "transfer.code_dim or transfer.code_bits has changed since they were written; begin with a new storage.root"
        )
    packed = np.frombuffer(data, np.uint8).reshape(-1, size)
    if bits == 8:
        return packed.view(np.int8).astype(np.float32) / np.float32(INT8_SCALE)
    halves = np.stack([packed & 0xF, packed >> 4], axis=-1).reshape(-1, width).astype(np.int8)
    return np.where(halves > 7, halves - 16, halves).astype(np.float32) / np.float32(INT4_SCALE)


def stored(codes: npt.NDArray[np.floating], bits: int) -> Codes:
    """Returns codes as they come back from the feature store, (n, d): encoded with these bits, and decoded."""
    return decode(encode(codes, bits).tobytes(), width=codes.shape[1], bits=bits)
