"""Rendezvous hashing: distributes keys over names, without any shared state.

All processes that know the key and the names put the names into the same order. If a name disappears, only its own keys
move; if one appears, only those move that it gets. Python's own hashes differ from process to process.
"""

import hashlib
import math
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

_BYTES: Final = 8
_MASK: Final = (1 << 8 * _BYTES) - 1
_DRAWS: Final = float(1 << 8 * _BYTES)
_MAX_NAMES: Final = 4096
_MIX_1: Final = 0xBF58476D1CE4E5B9
_MIX_2: Final = 0x94D049BB133111EB
"""The multipliers of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators")."""


def rendezvous_order(key: bytes, names: Iterable[str]) -> list[str]:
    """Return the names in the order of this key. Each name is first for an equal share of the keys."""
    number = _number_of(key)
    return sorted(names, key=lambda name: (-_mix(number ^ _number_of_name(name)), name))


def weighted_rendezvous_order(key: bytes, weights: Mapping[str, float]) -> list[str]:
    """Return the names in the order of this key. Weight 2 is first for twice as many keys as weight 1."""
    number = _number_of(key)
    return sorted(weights, key=lambda name: (_weighted_draw(number ^ _number_of_name(name), weights[name]), name))


def _weighted_draw(number: int, weight: float) -> float:
    """Return a draw from an exponential distribution with this rate; the smallest one of all is first."""
    return -math.log((_mix(number) + 0.5) / _DRAWS) / weight if weight > 0 else math.inf


def _mix(number: int) -> int:
    """Return 64 bits, each of which depends on all bits of the number."""
    number = (number ^ (number >> 30)) * _MIX_1 & _MASK
    number = (number ^ (number >> 27)) * _MIX_2 & _MASK
    return number ^ (number >> 31)


@lru_cache(maxsize=_MAX_NAMES)
def _number_of_name(name: str) -> int:
    return _number_of(name.encode(errors="surrogatepass"))


def _number_of(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=_BYTES).digest())
