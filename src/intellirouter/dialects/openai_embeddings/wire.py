"""Vectors on the wire: lists of numbers, or base64 of little-endian 32-bit floats, which OpenAI's SDKs request."""

import base64
import binascii
import math
import struct
from typing import Any, Final

from intellirouter.core import errors

DIALECT: Final = "openai_chat"
_FLOAT_BYTES: Final = 4


def encode_base64(vector: list[float]) -> str:
    """Raises `UpstreamMalformed` for a number that is too large for a 32-bit float."""
    try:
        data = struct.pack(f"<{len(vector)}f", *vector)
    except (OverflowError, struct.error):
        raise errors.UpstreamMalformed("The upstream returned an embedding with a number that is too large.") from None
    return base64.b64encode(data).decode()


def decode_vector(value: Any) -> list[float]:
    """Decode either encoding. Raises `UpstreamMalformed`."""
    vector = _decode_base64(value) if isinstance(value, str) else value
    if not isinstance(vector, list) or not vector:
        raise errors.UpstreamMalformed("The upstream returned an embedding that is not a vector.")
    for number in vector:
        if number.__class__ is float:
            if not math.isfinite(number):
                raise errors.UpstreamMalformed("The upstream returned an embedding with a number that is not finite.")
        elif number.__class__ is not int:
            raise errors.UpstreamMalformed("The upstream returned an embedding with an element that is not a number.")
    return vector


def _decode_base64(text: str) -> list[float]:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise errors.UpstreamMalformed("The upstream returned an embedding that is not valid base64.") from None
    if len(data) % _FLOAT_BYTES:
        raise errors.UpstreamMalformed("The upstream returned an embedding that is cut off.")
    return [*struct.unpack(f"<{len(data) // _FLOAT_BYTES}f", data)]
