"""Vectors on the wire: lists of numbers, or base64 of little-endian 32-bit floats, as OpenAI's SDKs ask for."""

import base64
import binascii
import math
import struct
from typing import Any, Final

from intellirouter.core import errors

_FLOAT_BYTES: Final = 4


def encode_base64(vector: list[float]) -> str:
    """Raises `UpstreamMalformed` for a number that no 32-bit float can hold."""
    try:
        data = struct.pack(f"<{len(vector)}f", *vector)
    except (OverflowError, struct.error):
        raise errors.UpstreamMalformed("The upstream's embedding holds a number that is too large.") from None
    return base64.b64encode(data).decode()


def decode_vector(value: Any) -> list[float]:
    """Read either form. Raises `UpstreamMalformed`."""
    vector = _unpacked(value) if isinstance(value, str) else value
    if not isinstance(vector, list) or not vector:
        raise errors.UpstreamMalformed("The upstream's answer has an embedding that is no vector.")
    for number in vector:
        if number.__class__ is float:
            if not math.isfinite(number):
                raise errors.UpstreamMalformed("The upstream's embedding holds what is no finite number.")
        elif number.__class__ is not int:
            raise errors.UpstreamMalformed("The upstream's embedding holds what is no number.")
    return vector


def _unpacked(text: str) -> list[float]:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise errors.UpstreamMalformed("The upstream's embedding is neither numbers nor base64.") from None
    if len(data) % _FLOAT_BYTES:
        raise errors.UpstreamMalformed("The upstream's embedding is cut off.")
    return [*struct.unpack(f"<{len(data) // _FLOAT_BYTES}f", data)]
